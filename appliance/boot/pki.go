package boot

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"

	"millrace/server/auth"
)

// pkiDir is where the control plane looks for its certificates.
const pkiDir = "var/lib/millrace/pki"

// certificates puts those of the user data in the control plane's place. A copy of another machine loses those that it made for itself: the keys
// of one box are not another's.
func (m *Machine) certificates(o *outlook) error {
	dir := m.path(pkiDir)
	o.Certificates = "own"
	if o.day0.TLS.Empty() {
		if exists(m.path(stateDir, marker)) && exists(filepath.Join(dir, auth.CAKeyFile)) {
			m.Log.Info("a new instance: the control plane makes new certificates")
			return os.RemoveAll(dir)
		}
		return nil
	}
	made, err := m.makePKI(o)
	if made != "" {
		defer func() { _ = os.RemoveAll(made) }()
	}
	if err != nil {
		o.Add("millrace.tls", "is not taken, the box makes certificates of its own: %v", err)
		return nil
	}
	for _, name := range []string{auth.CAFile, auth.CAKeyFile, auth.ServerFile, auth.ServerCAFile, auth.ServerKeyFile, auth.ClientFile,
		auth.ClientKeyFile, "."} {
		if path := filepath.Join(made, name); exists(path) {
			if err := m.Owner(path, false); err != nil {
				return err
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(made, dir); err != nil {
		return err
	}
	o.Certificates = "user-data"
	return nil
}

// makePKI makes a directory of the certificates that are given, and checks that they belong together. What is not given the box makes: its
// own operator's certificate is accepted beside those of the authority given, or alone, unless both are given.
func (m *Machine) makePKI(o *outlook) (dir string, err error) {
	parent := filepath.Dir(m.path(pkiDir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(parent, ".pki-"); err != nil {
		return "", err
	}
	t := o.day0.TLS
	open := func() error {
		if _, err := auth.Open(auth.Options{Dir: dir, Hosts: o.in.Addresses}); err != nil {
			// The place of the trial says nothing to the operator.
			if u := errors.Unwrap(err); u != nil {
				return u
			}
			return err
		}
		return nil
	}
	write := func(name, text string, flags int) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|flags, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Sync(), f.Close())
	}
	if t.CA != "" && lastCertificate(t.CA) == "" {
		return dir, errors.New("ca: there is no PEM block of a certificate in it")
	}
	if t.CA == "" || t.Certificate == "" {
		if err := open(); err != nil { // makes all of its own
			return dir, err
		}
		if t.CA != "" {
			if err := write(auth.CAFile, "\n"+t.CA, os.O_APPEND); err != nil {
				return dir, err
			}
			return dir, open()
		}
	} else if err := write(auth.CAFile, t.CA, os.O_TRUNC); err != nil {
		return dir, err
	}
	for name, text := range map[string]string{auth.ServerFile: t.Certificate, auth.ServerKeyFile: t.Key} {
		if err := write(name, text, os.O_TRUNC); err != nil {
			return dir, err
		}
	}
	if open() == nil {
		return dir, nil
	}
	// Another authority's than the clients': theirs alone are let in.
	if err := write(auth.ServerCAFile, lastCertificate(t.Certificate), os.O_TRUNC); err != nil {
		return dir, err
	}
	return dir, open()
}

// lastCertificate is the last of some certificates, in a chain the highest; empty: there is none.
func lastCertificate(text string) (last string) {
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return last
		}
		if b.Type == "CERTIFICATE" {
			last = string(pem.EncodeToMemory(b))
		}
	}
}
