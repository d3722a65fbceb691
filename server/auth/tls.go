package auth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// PKI is a server's certificates, kept up to date with their files.
type PKI struct {
	dir string
	log *slog.Logger
	now func() time.Time
	// passwords says that clients need no certificate.
	passwords func() bool

	mu      sync.Mutex
	current *snapshot
	checked time.Time
	// trial is in use instead of current; nil: there is none. trying: one is being made.
	trial  *Trial
	trying bool
	// What the files looked like when loading them failed last, so that one fault is logged once.
	refused fingerprint
}

// checkEvery bounds how often the files are looked at.
const checkEvery = time.Second

type snapshot struct {
	config *tls.Config
	// open takes clients without a certificate as well.
	open  *tls.Config
	files fingerprint
	// Of the server's certificate.
	notAfter time.Time
}

// fingerprint tells whether one of the files changed.
type fingerprint [3]struct {
	mtime time.Time
	size  int64
}

// Dir is where the files are.
func (p *PKI) Dir() string { return p.dir }

// NotAfter is when the server's certificate runs out.
func (p *PKI) NotAfter() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current.notAfter
}

// ServerConfig is for a TLS listener: TLS 1.3, a client certificate of the authority required, unless passwords are allowed: then a
// client may come without one. Each handshake takes the files as they are then; where they don't fit together the last good ones stay
// in use.
func (p *PKI) ServerConfig() *tls.Config {
	c := p.snapshot().config.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s := p.snapshot()
		if p.passwords != nil && p.passwords() {
			return s.open, nil
		}
		return s.config, nil
	}
	return c
}

func (p *PKI) snapshot() *snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trial != nil {
		return p.trial.snap
	}
	now := p.now()
	if d := now.Sub(p.checked); d >= 0 && d < checkEvery {
		return p.current
	}
	p.checked = now
	files, err := p.look(p.dir)
	if err == nil && files == p.current.files {
		return p.current
	}
	if files == p.refused {
		return p.current
	}
	s, err := p.load(p.dir)
	if err != nil {
		p.refused = files
		p.log.Error("the changed certificates can't be used; the old ones stay", "dir", p.dir, "error", err)
		return p.current
	}
	p.current, p.refused = s, fingerprint{}
	p.log.Info("took new certificates into use", "dir", p.dir, "not_after", s.notAfter)
	return s
}

func (p *PKI) look(dir string) (f fingerprint, err error) {
	for i, name := range pkiFiles {
		st, e := os.Stat(filepath.Join(dir, name))
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		f[i].mtime, f[i].size = st.ModTime(), st.Size()
	}
	return f, err
}

func (p *PKI) load(dir string) (*snapshot, error) {
	files, err := p.look(dir)
	if err != nil {
		return nil, err
	}
	// Where it is, while others are on trial elsewhere.
	others, err := readCertificates(filepath.Join(p.dir, ServerCAFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	pool, cert, err := loadPair(dir, ServerFile, ServerKeyFile, x509.ExtKeyUsageServerAuth, p.now(), others...)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		NextProtos:   []string{"h2"},
		// A resumed session would outlive the authority it was admitted by.
		SessionTicketsDisabled: true,
	}
	open := c.Clone()
	open.ClientAuth = tls.VerifyClientCertIfGiven
	return &snapshot{files: files, notAfter: cert.Leaf.NotAfter, config: c, open: open}, nil
}

// ClientConfig reads what a client needs from dir (ca.pem, client.pem, client-key.pem) and makes a configuration that accepts only
// servers of that authority with the name given; empty: the name it dials.
func ClientConfig(dir, serverName string) (*tls.Config, error) {
	pool, cert, err := loadPair(dir, ClientFile, ClientKeyFile, x509.ExtKeyUsageClientAuth, time.Now())
	if err != nil {
		return nil, fmt.Errorf("certificates in %s: %w", dir, err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      pool,
		Certificates: []tls.Certificate{cert},
		ServerName:   serverName,
		NextProtos:   []string{"h2"},
	}, nil
}

// loadPair reads an authority and a certificate with its key, and checks that they fit together: later, in a handshake, the reason
// would be hard to see. The certificate may also be of another authority, which is not among those returned.
func loadPair(dir, certName, keyName string, usage x509.ExtKeyUsage, now time.Time, others ...*x509.Certificate) (*x509.CertPool, tls.Certificate, error) {
	var none tls.Certificate
	cas, err := readCertificates(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, none, err
	}
	certs, err := readCertificates(filepath.Join(dir, certName))
	if err != nil {
		return nil, none, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		return nil, none, readable(err)
	}
	if b, _ := pem.Decode(keyPEM); b == nil {
		return nil, none, fmt.Errorf("%s holds no PEM block", keyName)
	}
	var chain []byte
	for _, c := range certs {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	cert, err := tls.X509KeyPair(chain, keyPEM)
	if err != nil {
		return nil, none, fmt.Errorf("%s is not the key of %s: %w", keyName, certName, err)
	}
	cert.Leaf = certs[0]
	pool, roots, inter := x509.NewCertPool(), x509.NewCertPool(), x509.NewCertPool()
	for _, c := range cas {
		pool.AddCert(c)
		roots.AddCert(c)
	}
	for _, c := range others {
		roots.AddCert(c)
	}
	for _, c := range certs[1:] {
		inter.AddCert(c)
	}
	leaf := certs[0]
	switch {
	case now.Before(leaf.NotBefore):
		return nil, none, fmt.Errorf("%s is not valid before %s; the clock says %s", certName, stamp(leaf.NotBefore), stamp(now))
	case now.After(leaf.NotAfter):
		return nil, none, fmt.Errorf("%s expired on %s; the clock says %s", certName, stamp(leaf.NotAfter), stamp(now))
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if stranger := (x509.UnknownAuthorityError{}); usage == x509.ExtKeyUsageClientAuth && errors.As(err, &stranger) {
		// ca.pem says whom a client believes; who believes the client is the server's to say.
		err = serves(leaf, usage)
	}
	if err != nil {
		return nil, none, fmt.Errorf("%s is not good with %s: %w", certName, CAFile, err)
	}
	return pool, cert, nil
}

// serves says that a certificate may be used for something; one without extended key usages may for all (RFC 5280 section 4.2.1.12).
func serves(c *x509.Certificate, usage x509.ExtKeyUsage) error {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, usage) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	return x509.CertificateInvalidError{Cert: c, Reason: x509.IncompatibleUsage}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// readCertificates reads at least one certificate.
func readCertificates(path string) ([]*x509.Certificate, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, readable(err)
	}
	var certs []*x509.Certificate
	for {
		var b *pem.Block
		if b, raw = pem.Decode(raw); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", filepath.Base(path))
	}
	return certs, nil
}

// readable says which file is missing before the system's words.
func readable(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: %w", filepath.Base(pe.Path), err)
	}
	return err
}
