package auth

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bundleOf is the certificates of another directory, as what takes the place of those here.
func bundleOf(t *testing.T, dir string) Bundle {
	t.Helper()
	cas, err := readCertificates(filepath.Join(dir, CAFile))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := readCertificates(filepath.Join(dir, ServerFile))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, ServerFile), filepath.Join(dir, ServerKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return Bundle{CA: cas, Chain: chain, Key: pair.PrivateKey.(crypto.Signer)}
}

func same(t *testing.T, dir, other string, names ...string) {
	t.Helper()
	for _, n := range names {
		a, err := os.ReadFile(filepath.Join(dir, n))
		b, err2 := os.ReadFile(filepath.Join(other, n))
		if err != nil || err2 != nil || string(a) != string(b) {
			t.Errorf("%s is not the same: %v %v", n, err, err2)
		}
	}
}

// left are the files of a rotation that is over.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestRotationCutShort has a power failure at each step: before the decision all is as it was, after it all is new.
func TestRotationCutShort(t *testing.T) {
	next := t.TempDir()
	open(t, next, time.Now())
	for _, withCA := range []bool{true, false} {
		for moved := -1; moved <= len(pkiFiles)+1; moved++ {
			dir, before := t.TempDir(), t.TempDir()
			p := open(t, dir, time.Now())
			for _, n := range append([]string{CAKeyFile}, pkiFiles...) {
				copyFile(t, filepath.Join(dir, n), filepath.Join(before, n))
			}
			b := bundleOf(t, next)
			want := next
			if !withCA { // one of our own authority
				issuer, err := loadIssuer(dir, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				want = t.TempDir()
				if err := issuer.server(want, serverHosts(nil)); err != nil {
					t.Fatal(err)
				}
				copyFile(t, filepath.Join(dir, CAFile), filepath.Join(want, CAFile))
				b = bundleOf(t, want)
				b.CA = nil
			}
			tr, err := p.Try(b)
			if err != nil {
				t.Fatal(err)
			}
			if moved >= 0 {
				if err := os.Rename(tr.dir, filepath.Join(dir, decided)); err != nil {
					t.Fatal(err)
				}
				for _, n := range pkiFiles[:min(moved, len(pkiFiles))] {
					if err := os.Rename(filepath.Join(dir, decided, n), filepath.Join(dir, n)); err != nil {
						t.Fatal(err)
					}
				}
				if moved > len(pkiFiles) {
					if err := dropAuthority(dir); err != nil {
						t.Fatal(err)
					}
				}
			}
			// The next start.
			again := open(t, dir, time.Now())
			if moved < 0 {
				want = before
			}
			same(t, dir, want, pkiFiles...)
			_, err = os.Stat(filepath.Join(dir, CAKeyFile))
			if gone := errors.Is(err, os.ErrNotExist); gone != (withCA && moved >= 0) {
				t.Errorf("%d files moved, another authority %v: its key is gone: %v", moved, withCA, gone)
			}
			if l := left(t, dir); len(l) > 0 {
				t.Errorf("left: %v", l)
			}
			if again.NotAfter().IsZero() {
				t.Error("nothing is loaded")
			}
		}
	}
}

func TestTrial(t *testing.T) {
	dir, next := t.TempDir(), t.TempDir()
	p := open(t, dir, time.Now())
	open(t, next, time.Now())
	old, err := ClientConfig(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := ClientConfig(next, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	sc := p.ServerConfig()
	lets := func(c *tls.Config) bool {
		se, ce := handshake(t, sc, c)
		return se == nil && ce == nil
	}
	if _, err := p.Try(Bundle{Chain: []*x509.Certificate{}}); err == nil {
		t.Error("a certificate without a key")
	}
	tr, err := p.Try(bundleOf(t, next))
	if err != nil {
		t.Fatal(err)
	}
	if !lets(fresh) || lets(old) {
		t.Error("the trial is not in use")
	}
	if _, err := p.Try(bundleOf(t, next)); !errors.Is(err, ErrTrial) {
		t.Errorf("a second trial: %v", err)
	}
	tr.Rollback()
	tr.Rollback()
	if lets(fresh) || !lets(old) {
		t.Error("the trial is in use after its end")
	}
	if err := tr.Commit(); !errors.Is(err, ErrTrialOver) {
		t.Errorf("commit after the end: %v", err)
	}
	if tr, err = p.Try(bundleOf(t, next)); err != nil {
		t.Fatal(err)
	}
	if err := tr.Commit(); err != nil {
		t.Fatal(err)
	}
	tr.Rollback() // nothing any more
	if !lets(fresh) || lets(old) {
		t.Error("what was kept is not in use")
	}
	same(t, dir, next, pkiFiles...)
	if l := left(t, dir); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}
