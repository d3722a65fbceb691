package auth

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string, now time.Time, hosts ...string) *PKI {
	t.Helper()
	p, err := Open(Options{Dir: dir, Hosts: hosts, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// handshake connects to a listener with the server's configuration and says what each side thought of it.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		err = c.(*tls.Conn).Handshake()
		if err == nil {
			_, err = c.Write([]byte("hello"))
		}
		done <- err
	}()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", l.Addr().String(), client)
	if err == nil {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = io.ReadAll(c)
		c.Close()
	}
	return <-done, err
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "pki")
	var log bytes.Buffer
	p, err := Open(Options{Dir: dir, Hosts: []string{"192.0.2.1", "vnf.example.net", "0.0.0.0"}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), dir) {
		t.Errorf("want one log line that names %s, got %q", dir, log.String())
	}
	if st, _ := os.Stat(dir); st.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v", st.Mode())
	}
	for _, name := range []string{CAKeyFile, ServerKeyFile, ClientKeyFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "192.0.2.1", "vnf.example.net"} {
		if err := p.current.config.Certificates[0].Leaf.VerifyHostname(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	cc, err := ClientConfig(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	if se, ce := handshake(t, p.ServerConfig(), cc); se != nil || ce != nil {
		t.Errorf("server: %v, client: %v", se, ce)
	}
}

func TestSecondStartKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	a := open(t, dir, now)
	b := open(t, dir, now)
	if !bytes.Equal(a.current.config.Certificates[0].Certificate[0], b.current.config.Certificates[0].Certificate[0]) {
		t.Error("the server certificate changed")
	}
	c := open(t, dir, now, "203.0.113.9")
	if err := c.current.config.Certificates[0].Leaf.VerifyHostname("203.0.113.9"); err != nil {
		t.Error(err)
	}
	d := open(t, dir, now.Add(leafLifetime-time.Hour))
	if !d.NotAfter().After(now.Add(leafLifetime)) {
		t.Error("the server certificate was not renewed")
	}
	if err := d.current.config.Certificates[0].Leaf.VerifyHostname("203.0.113.9"); err != nil {
		t.Error("host of an earlier start:", err)
	}
}

func TestClientsRefused(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	p := open(t, dir, time.Now())
	open(t, other, time.Now())
	good, err := ClientConfig(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ClientConfig(other, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	stranger.RootCAs = good.RootCAs
	// A certificate that ended yesterday.
	old := t.TempDir()
	i, err := loadIssuer(dir, time.Now().Add(-leafLifetime-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.client(old, "late"); err != nil {
		t.Fatal(err)
	}
	lateCert, err := tls.LoadX509KeyPair(filepath.Join(old, ClientFile), filepath.Join(old, ClientKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	late := good.Clone()
	late.Certificates = []tls.Certificate{lateCert}
	none := good.Clone()
	none.Certificates = nil
	v12 := good.Clone()
	v12.MinVersion, v12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	asServer := good.Clone()
	asServer.Certificates = p.current.config.Certificates
	for _, tc := range []struct {
		name   string
		config *tls.Config
		want   string
	}{
		{"no certificate", none, "certificate"},
		{"wrong authority", stranger, "unknown authority"},
		{"expired", late, "expired"},
		{"TLS 1.2", v12, "version"},
		{"a server's certificate", asServer, "incompatible key usage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			se, ce := handshake(t, p.ServerConfig(), tc.config)
			if se == nil || ce == nil || !strings.Contains(se.Error(), tc.want) {
				t.Errorf("server: %v, client: %v", se, ce)
			}
		})
	}
	strangerPool := good.Clone()
	strangerPool.RootCAs = func() *tls.Config { c, _ := ClientConfig(other, "localhost"); return c }().RootCAs
	if _, ce := handshake(t, p.ServerConfig(), strangerPool); ce == nil {
		t.Error("a client believed a server of another authority")
	}
}

// TestTwoAuthorities: clients and servers may have one each. A client's ca.pem holds the servers', and need not hold its own.
func TestTwoAuthorities(t *testing.T) {
	servers, clients, client := t.TempDir(), t.TempDir(), t.TempDir()
	open(t, servers, time.Now())
	open(t, clients, time.Now())
	copyFile(t, filepath.Join(servers, CAFile), filepath.Join(client, CAFile))
	copyFile(t, filepath.Join(clients, ClientFile), filepath.Join(client, ClientFile))
	copyFile(t, filepath.Join(clients, ClientKeyFile), filepath.Join(client, ClientKeyFile))
	c, err := ClientConfig(client, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	remove(t, servers, CAKeyFile)
	copyFile(t, filepath.Join(servers, CAFile), filepath.Join(servers, ServerCAFile))
	copyFile(t, filepath.Join(clients, CAFile), filepath.Join(servers, CAFile))
	p, err := Open(Options{Dir: servers})
	if err != nil {
		t.Fatal(err)
	}
	if se, ce := handshake(t, p.ServerConfig(), c); se != nil || ce != nil {
		t.Errorf("server: %v, client: %v", se, ce)
	}
	// What is no client's is told before a handshake all the same.
	copyFile(t, filepath.Join(clients, ServerFile), filepath.Join(client, ClientFile))
	copyFile(t, filepath.Join(clients, ServerKeyFile), filepath.Join(client, ClientKeyFile))
	if _, err := ClientConfig(client, "localhost"); err == nil || !strings.Contains(err.Error(), "incompatible key usage") {
		t.Errorf("a server's certificate: %v", err)
	}
}

func TestUnusableFiles(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"a server key is missing and so is the CA key", func(t *testing.T, dir string) {
			remove(t, dir, CAKeyFile, ServerKeyFile)
		}, "[server-key.pem] is missing"},
		{"mismatched key", func(t *testing.T, dir string) {
			remove(t, dir, CAKeyFile)
			copyFile(t, filepath.Join(dir, ClientKeyFile), filepath.Join(dir, ServerKeyFile))
		}, "server-key.pem is not the key of server.pem"},
		{"another authority's certificate", func(t *testing.T, dir string) {
			other := t.TempDir()
			open(t, other, time.Now())
			remove(t, dir, CAKeyFile)
			copyFile(t, filepath.Join(other, CAFile), filepath.Join(dir, CAFile))
		}, "server.pem is not good with ca.pem"},
		{"expired", func(t *testing.T, dir string) {
			i, err := loadIssuer(dir, time.Now().Add(-leafLifetime-time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if err := i.server(dir, []string{"localhost"}); err != nil {
				t.Fatal(err)
			}
			remove(t, dir, CAKeyFile)
		}, "server.pem expired on"},
		{"not PEM", func(t *testing.T, dir string) {
			remove(t, dir, CAKeyFile)
			write(t, filepath.Join(dir, ServerFile), "hello")
		}, "server.pem holds no certificate"},
		{"the authority without its certificate", func(t *testing.T, dir string) {
			remove(t, dir, CAFile, ServerFile, ServerKeyFile)
		}, "ca-key.pem is there without ca.pem"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, time.Now())
			tc.damage(t, dir)
			_, err := Open(Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := ClientConfig(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "ca.pem is missing") {
		t.Errorf("client without files: %v", err)
	}
}

func TestReload(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	now := time.Now()
	p, err := Open(Options{Dir: dir, Now: func() time.Time { now = now.Add(2 * checkEvery); return now }})
	if err != nil {
		t.Fatal(err)
	}
	open(t, other, now)
	before, err := ClientConfig(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	sc := p.ServerConfig()
	// Half of the change: the old files stay in use.
	copyFile(t, filepath.Join(other, ServerFile), filepath.Join(dir, ServerFile))
	if se, ce := handshake(t, sc, before); se != nil || ce != nil {
		t.Errorf("during the change: server: %v, client: %v", se, ce)
	}
	copyFile(t, filepath.Join(other, ServerKeyFile), filepath.Join(dir, ServerKeyFile))
	copyFile(t, filepath.Join(other, CAFile), filepath.Join(dir, CAFile))
	after, err := ClientConfig(other, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	if se, ce := handshake(t, sc, after); se != nil || ce != nil {
		t.Errorf("after the change: server: %v, client: %v", se, ce)
	}
	if se, _ := handshake(t, sc, before); se == nil {
		t.Error("a certificate of the old authority was let in after the change")
	}
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.Remove(filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The authority of the server's certificate need not be one whose clients are let in.
func TestServersAuthority(t *testing.T) {
	ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	now := time.Now()
	open(t, ours, now, "vnf")
	open(t, theirs, now, "vnf")
	dir := t.TempDir()
	put := func(name, from, file string) {
		b, err := os.ReadFile(filepath.Join(from, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(CAFile, theirs, CAFile)
	put(ServerFile, ours, ServerFile)
	put(ServerKeyFile, ours, ServerKeyFile)
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "server.pem is not good with ca.pem") {
		t.Errorf("without its authority: %v", err)
	}
	put(ServerCAFile, ours, CAFile)
	server := open(t, dir, now).ServerConfig()
	client := func(of string) *tls.Config {
		c, err := ClientConfig(of, "vnf")
		if err != nil {
			t.Fatal(err)
		}
		right, err := ClientConfig(ours, "vnf")
		if err != nil {
			t.Fatal(err)
		}
		c.RootCAs = right.RootCAs
		return c
	}
	if s, c := handshake(t, server, client(theirs)); s != nil || c != nil {
		t.Errorf("a client of the authority: %v, %v", s, c)
	}
	if s, _ := handshake(t, server, client(ours)); s == nil {
		t.Error("a client of the server's authority gets in")
	}
}
