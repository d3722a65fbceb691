package auth

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Bundle is certificates that are to take the place of those in use. What is nil stays as it is.
type Bundle struct {
	// CA are the authorities whose certificates are believed.
	CA []*x509.Certificate
	// Chain is the appliance's certificate and the intermediate ones, Key its key; only together.
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// Trial is certificates in use for new connections that are not kept yet.
type Trial struct {
	p    *PKI
	dir  string
	snap *snapshot
}

// What Try and Commit refuse for.
var (
	// ErrTrial says that other certificates are being tried.
	ErrTrial = errors.New("other certificates are being tried: finalize or end that first")
	// ErrTrialOver says that Rollback came before Commit.
	ErrTrialOver = errors.New("the trial is over")
)

const (
	trialPrefix = ".rotate-"
	// A folder of this name holds files that were decided to be the ones in use: what is left in it is moved to its place.
	decided = "rotate.next"
)

var pkiFiles = []string{CAFile, ServerFile, ServerKeyFile}

// Try checks certificates and takes them into use for new connections, until Commit or Rollback. Connections that are there go on. If
// the certificates are no good, nothing has changed.
func (p *PKI) Try(b Bundle) (*Trial, error) {
	if (b.Chain == nil) != (b.Key == nil) {
		return nil, errors.New("a certificate and its key are needed together")
	}
	p.mu.Lock()
	busy := p.trying || p.trial != nil
	p.trying = p.trying || !busy
	p.mu.Unlock()
	if busy {
		return nil, ErrTrial
	}
	t, err := p.newTrial(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trying = false
	p.trial = t
	return t, err
}

func (p *PKI) newTrial(b Bundle) (*Trial, error) {
	dir, err := os.MkdirTemp(p.dir, trialPrefix)
	if err != nil {
		return nil, err
	}
	t := &Trial{p: p, dir: dir}
	if err := t.fill(b); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if t.snap, err = p.load(dir); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return t, nil
}

// fill writes the files as they are to be.
func (t *Trial) fill(b Bundle) error {
	for _, name := range pkiFiles {
		raw, err := os.ReadFile(filepath.Join(t.p.dir, name))
		switch {
		case name == CAFile && b.CA != nil:
			raw, err = chainPEM(b.CA), nil
		case name == ServerFile && b.Chain != nil:
			raw, err = chainPEM(b.Chain), nil
		case name == ServerKeyFile && b.Key != nil:
			var der []byte
			if der, err = x509.MarshalPKCS8PrivateKey(b.Key); err == nil {
				raw = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
			}
		}
		if err != nil {
			return err
		}
		if err := writeSynced(filepath.Join(t.dir, name), raw); err != nil {
			return err
		}
	}
	return nil
}

func chainPEM(all []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes all
	}
	return b.Bytes()
}

func writeSynced(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

// Commit keeps the certificates: also a power failure leaves all of them or none.
func (t *Trial) Commit() error {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trial != t {
		return ErrTrialOver
	}
	p.trial = nil
	if err := errors.Join(syncDir(t.dir), os.Rename(t.dir, filepath.Join(p.dir, decided)), syncDir(p.dir)); err != nil {
		_ = os.RemoveAll(t.dir)
		return fmt.Errorf("keep the certificates: %w", err)
	}
	p.current, p.refused = t.snap, fingerprint{}
	err := finishRotation(p.dir)
	if f, lookErr := p.look(p.dir); lookErr == nil {
		p.current.files = f
	}
	p.log.Info("took new certificates into use", "dir", p.dir, "not_after", t.snap.notAfter)
	return err
}

// Rollback goes back to the certificates of before; after Commit it does nothing.
func (t *Trial) Rollback() {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if t.p.trial == t {
		t.p.trial = nil
		_ = os.RemoveAll(t.dir)
	}
}

// finishRotation moves files that were decided upon to their places, and takes away what was only tried.
func finishRotation(dir string) error {
	next := filepath.Join(dir, decided)
	if _, err := os.Stat(next); err == nil {
		for _, name := range pkiFiles {
			err := os.Rename(filepath.Join(next, name), filepath.Join(dir, name))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("keep the certificates: %w", err)
			}
		}
		if err := dropAuthority(dir); err != nil {
			return err
		}
		if err := errors.Join(syncDir(dir), os.RemoveAll(next)); err != nil {
			return fmt.Errorf("keep the certificates: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trialPrefix) {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return nil
}

// dropAuthority removes the key of an authority of our own that is believed no more: the certificates are somebody else's affair now.
func dropAuthority(dir string) error {
	_, err := loadIssuer(dir, time.Time{})
	if errors.Is(err, errStrayKey) {
		return os.Remove(filepath.Join(dir, CAKeyFile))
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Authorities are the certificates that are believed now.
func (p *PKI) Authorities() ([]*x509.Certificate, error) {
	return readCertificates(filepath.Join(p.dir, CAFile))
}
