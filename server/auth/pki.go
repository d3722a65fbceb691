package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Options of a server's certificates.
type Options struct {
	// Dir holds the files; it is made, with mode 0700, if it is not there.
	Dir string
	// Hosts are names and addresses that clients reach the server by. The host's name, localhost and the loopback addresses are
	// always among them.
	Hosts []string
	// Logger takes one line when certificates were made or changed; nil: none.
	Logger *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Passwords tells whether clients without a certificate may try a user and a password; nil: never.
	Passwords func() bool
}

// Open makes what is missing in the directory and loads it.
func Open(o Options) (*PKI, error) {
	if o.Dir == "" {
		return nil, errors.New("certificates: no directory given")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := prepare(o); err != nil {
		return nil, fmt.Errorf("certificates in %s: %w", o.Dir, err)
	}
	p := &PKI{dir: o.Dir, log: o.Logger, now: o.Now, passwords: o.Passwords}
	s, err := p.load(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("certificates in %s: %w", o.Dir, err)
	}
	p.current = s
	return p, nil
}

// prepare makes the authority and the certificates at a first start, and renews its own where they run out or lack a host.
func prepare(o Options) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	if err := finishRotation(o.Dir); err != nil {
		return err
	}
	hosts := serverHosts(o.Hosts)
	var there, missing []string
	for _, name := range pkiFiles {
		switch _, err := os.Stat(filepath.Join(o.Dir, name)); {
		case err == nil:
			there = append(there, name)
		case errors.Is(err, os.ErrNotExist):
			missing = append(missing, name)
		default:
			return err
		}
	}
	if len(there) == 0 {
		return create(o, hosts)
	}
	i, err := loadIssuer(o.Dir, o.Now())
	if err != nil {
		return err
	}
	if i == nil {
		if len(missing) > 0 {
			return fmt.Errorf("%v is there, but %v is missing: put it there, or remove all to have new ones made", there, missing)
		}
		return nil
	}
	return renew(o, i, hosts)
}

func create(o Options, hosts []string) error {
	if _, err := os.Stat(filepath.Join(o.Dir, CAKeyFile)); err == nil {
		return fmt.Errorf("%s is there without %s: put that back, or remove both to have new ones made", CAKeyFile, CAFile)
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		return err
	}
	name := organization
	if h, err := os.Hostname(); err == nil && h != "" {
		name += " " + h
	}
	i, err := newIssuer(o.Dir, name, o.Now())
	if err != nil {
		return err
	}
	if err := i.client(o.Dir, operatorName); err != nil {
		return err
	}
	if err := i.server(o.Dir, hosts); err != nil {
		return err
	}
	o.Logger.Info("made a certificate authority, a server and an operator certificate", "dir", o.Dir,
		"operator", []string{CAFile, ClientFile, ClientKeyFile}, "hosts", hosts)
	return nil
}

func renew(o Options, i *issuer, hosts []string) error {
	serverPath, clientPath := filepath.Join(o.Dir, ServerFile), filepath.Join(o.Dir, ClientFile)
	why := ""
	switch c, err := ownLeaf(i, serverPath, filepath.Join(o.Dir, ServerKeyFile)); {
	case errors.Is(err, os.ErrNotExist):
		why = "missing"
	case err != nil:
		return err
	case c == nil: // from another authority
	case c.NotAfter.Sub(i.now) < renewBefore:
		why = "expires " + c.NotAfter.Format(time.DateOnly)
		hosts = withNamesOf(c, hosts)
	case len(missingHosts(c, hosts)) > 0:
		why = "lacks a host"
		hosts = withNamesOf(c, hosts)
	}
	if why != "" {
		if err := i.server(o.Dir, hosts); err != nil {
			return err
		}
		o.Logger.Info("made a new server certificate", "file", serverPath, "reason", why, "hosts", hosts)
	}
	// An operator who took client.pem away did so on purpose: it is renewed, not made again, unless the first start was cut short.
	if _, err := os.Stat(clientPath); why == "missing" && errors.Is(err, os.ErrNotExist) {
		return i.client(o.Dir, operatorName)
	}
	c, err := ownLeaf(i, clientPath, filepath.Join(o.Dir, ClientKeyFile))
	if err == nil && c != nil && c.NotAfter.Sub(i.now) < renewBefore {
		if err := i.client(o.Dir, c.Subject.CommonName); err != nil {
			return err
		}
		o.Logger.Info("made a new operator certificate", "file", clientPath, "reason", "expires "+c.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// withNamesOf adds the names of an old certificate: what it was good for stays good.
func withNamesOf(c *x509.Certificate, hosts []string) []string {
	hosts = append(slices.Clone(hosts), c.DNSNames...)
	for _, a := range c.IPAddresses {
		hosts = append(hosts, a.String())
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// ownLeaf reads a certificate if the issuer signed it, and returns nil if another did.
func ownLeaf(i *issuer, path, keyPath string) (*x509.Certificate, error) {
	if _, err := os.Stat(keyPath); err != nil {
		return nil, err
	}
	certs, err := readCertificates(path)
	if err != nil {
		return nil, err
	}
	if certs[0].CheckSignatureFrom(i.cert) != nil {
		return nil, nil
	}
	return certs[0], nil
}

// serverHosts adds what the appliance is always called by. Unspecified addresses ("0.0.0.0") are no names.
func serverHosts(given []string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if h, err := os.Hostname(); err == nil && h != "" {
		hosts = append(hosts, h)
	}
	for _, h := range given {
		if a, err := netip.ParseAddr(h); h == "" || err == nil && (a.IsUnspecified() || a.Zone() != "") {
			continue
		}
		hosts = append(hosts, h)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
