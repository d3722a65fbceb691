package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/lab"
)

// web serves HTTP in a namespace: /name says who, /noise the bytes of noise(seed, size), /from the client's address, and what is
// POSTed comes back as its digest.
func (r *termination) web(ns *lab.NS, address, name string, seed uint64, size int64) (stop func()) {
	r.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/name", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	mux.HandleFunc("/from", func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.RemoteAddr) })
	mux.HandleFunc("/noise", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, noise(seed, size), make([]byte, 256<<10))
	})
	mux.HandleFunc("/digest", func(w http.ResponseWriter, q *http.Request) {
		sum, n, err := digest(q.Body)
		fmt.Fprint(w, sum, n, err)
	})
	var l net.Listener
	r.ok(ns.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	}))
	s := &http.Server{Handler: mux}
	go func() { _ = s.Serve(l) }()
	stop = func() { _ = s.Close() }
	r.t.Cleanup(stop)
	return stop
}

// get asks for a page of the proxy, on a connection of its own.
func (r *termination) get(ns *lab.NS, address, path string, more ...string) (string, error) {
	return ns.Output("curl", append([]string{"-sS", "-m", "120", "http://" + address + path}, more...)...)
}

// proxies has a pool of one backend on host b for each family, and listeners of all kinds in front.
const proxies = `
pools:
  - {name: web4, backends: [{name: b, address: 10.0.2.2, port: 8000}]}
  - {name: web6, backends: [{name: b, address: "2001:db8:2::2", port: 8000}]}
  - {name: raw4, backends: [{name: b, address: 10.0.2.2, port: 9000}]}
  - {name: raw6, backends: [{name: b, address: "2001:db8:2::2", port: 9000}]}
  - {name: tls, backends: [{name: b, address: 10.0.2.2, port: 4433}]}
  - {name: iperf, backends: [{name: b, address: 10.0.2.2, port: 5201}]}
  - {name: clear4, source-mode: transparent, backends: [{name: b, address: 10.0.2.2, port: 8000}]}
  - {name: clear6, source-mode: transparent, backends: [{name: b, address: "2001:db8:2::2", port: 8000}]}
  - {name: none, backends: [{name: b, address: 10.0.2.2, port: 1}]}
listeners:
  - {name: web4, address: 0.0.0.0, port: 80, service: proxy, proxy: {pool: web4}}
  - {name: web6, address: "::", port: 80, service: proxy, proxy: {pool: web6}}
  - {name: cross4, address: 0.0.0.0, port: 81, service: proxy, proxy: {pool: web6}}
  - {name: cross6, address: "::", port: 81, service: proxy, proxy: {pool: web4}}
  - {name: raw4, address: 0.0.0.0, port: 90, service: proxy, proxy: {pool: raw4}}
  - {name: raw6, address: "::", port: 90, service: proxy, proxy: {pool: raw6}}
  - {name: v1-4, address: 0.0.0.0, port: 91, service: proxy, proxy: {pool: raw4, proxy-protocol-out: v1}}
  - {name: v1-6, address: "::", port: 91, service: proxy, proxy: {pool: raw6, proxy-protocol-out: v1}}
  - {name: v2-4, address: 0.0.0.0, port: 92, service: proxy, proxy: {pool: raw4, proxy-protocol-out: v2}}
  - {name: v2-6, address: "::", port: 92, service: proxy, proxy: {pool: raw6, proxy-protocol-out: v2}}
  - {name: in4, address: 0.0.0.0, port: 93, service: proxy, header-timeout: 1s, proxy: {pool: raw4, proxy-protocol-in: any, proxy-protocol-out: v1}}
  - {name: clear4, address: 0.0.0.0, port: 94, service: proxy, proxy: {pool: clear4}}
  - {name: clear6, address: "::", port: 94, service: proxy, proxy: {pool: clear6}}
  - {name: tls, port: 443, service: proxy, proxy: {pool: tls}}
  - {name: iperf, port: 5201, service: proxy, proxy: {pool: iperf}}
  - {name: none, port: 95, service: proxy, proxy: {pool: none}}
  - {name: idle, port: 96, service: proxy, idle-timeout: 1s, proxy: {pool: raw4}}
  - {name: total, port: 97, service: proxy, total-timeout: 2s, proxy: {pool: raw4}}
`

// TestTCPProxy: programs of Linux talk to each other through the box.
func TestTCPProxy(t *testing.T) {
	r := newTermination(t, "proxy", proxies)
	const size = 20 << 20
	r.web(r.b, ":8000", "b", 7, size)
	r.families("http", func(r *termination, family string) {
		for _, port := range []int{80, 81} {
			address := at(boxAtA[family], port)
			resp, err := r.get(r.a, address, "/name", "http://"+address+"/name")
			r.ok(err)
			if resp != "bb" {
				r.t.Fatalf("the backend says %q", resp)
			}
			r.ok(r.download(r.a, address, 7, size))
		}
	})
	r.families("upload", func(r *termination, family string) {
		file := filepath.Join(t.TempDir(), "up")
		f, err := os.Create(file)
		r.ok(err)
		_, err = io.Copy(f, noise(8, size))
		r.ok(err)
		r.ok(f.Close())
		want, n, err := digest(noise(8, size))
		out, err2 := r.get(r.a, at(boxAtA[family], 80), "/digest", "-H", "Expect:", "-T", file)
		r.ok(err2)
		if out != fmt.Sprint(want, n, err) {
			r.t.Errorf("the backend received %s, want %s %d", out, want, n)
		}
	})
	r.families("transparent", func(r *termination, family string) {
		out, err := r.get(r.a, at(boxAtA[family], 94), "/from")
		r.ok(err)
		if from, err := netip.ParseAddrPort(out); err != nil || from.Addr().Unmap().String() != hostA[family] {
			r.t.Errorf("the backend sees %s", out)
		}
		r.ok(r.download(r.a, at(boxAtA[family], 94), 7, size))
		// Otherwise it sees the box.
		out, err = r.get(r.a, at(boxAtA[family], 80), "/from")
		r.ok(err)
		if from, err := netip.ParseAddrPort(out); err != nil || from.Addr().Unmap().String() == hostA[family] {
			r.t.Errorf("the backend sees %s", out)
		}
	})
	r.sub("half close", func(r *termination) { r.halfClose() })
	r.sub("proxy protocol", func(r *termination) { r.proxyProtocol() })
	r.sub("tls", func(r *termination) { r.tls() })
	r.sub("iperf3", func(r *termination) {
		r.start(r.b, "iperf3", "-s", "-B", "10.0.2.2")
		r.eventually(5*time.Second, func() error { _, err := r.a.Output("ncat", "-z", "10.0.2.2", "5201"); return err })
		for _, args := range [][]string{nil, {"-R"}, {"-P", "8"}} {
			var out string
			r.eventually(10*time.Second, func() (err error) { // the server may still be at the end of the test before
				out, err = r.a.Output("iperf3", append([]string{"-c", "10.0.1.1", "-t", "1"}, args...)...)
				return err
			})
			m := regexp.MustCompile(`(?m)([\d.]+ [KMG]?bits/sec) .*receiver$`).FindAllStringSubmatch(out, -1)
			if len(m) == 0 {
				r.t.Fatal(out)
			}
			r.t.Log(args, m[len(m)-1][1])
		}
	})
	r.sub("refused", func(r *termination) {
		// The reset may be there before connect() has returned.
		if c, err := dial(r.a, "10.0.1.1:95"); err == nil {
			n, err := c.Read(make([]byte, 1))
			_ = c.Close()
			if err == nil || n > 0 {
				r.t.Errorf("a connection without a backend has %d bytes, %v", n, err)
			}
		} else if !errors.Is(err, syscall.ECONNRESET) {
			r.t.Error(err)
		}
		if s := r.pool("none").GetState(); s.GetConnectFailed() == 0 || s.GetExhausted() == 0 {
			r.t.Errorf("the pool counts %v", s)
		}
	})
	r.sub("timeouts", func(r *termination) {
		r.serve(r.b, "10.0.2.2:9000", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
		for port, stays := range map[int]time.Duration{96: 500 * time.Millisecond, 97: time.Second} {
			began := time.Now()
			c := r.dial(r.a, at("10.0.1.1", port))
			_, err := c.Write([]byte("x"))
			r.ok(err)
			_, err = c.Read(make([]byte, 1))
			r.ok(err)
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			_, err = c.Read(make([]byte, 1))
			if ne, ok := err.(net.Error); err == nil || ok && ne.Timeout() || time.Since(began) < stays {
				r.t.Errorf("port %d: %v after %v", port, err, time.Since(began))
			}
		}
	})
	r.quiet()
}

// download gets /noise and compares it.
func (r *termination) download(ns *lab.NS, address string, seed uint64, size int64) error {
	c, err := dial(ns, address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "GET /noise HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 256<<10), nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return wantNoise(resp.Body, seed, size)
}

// halfClose sends and ends one direction, and uses the other only then; both ways.
func (r *termination) halfClose() {
	const n = 5 << 20
	client := make(chan error, 2)
	stop := r.serve(r.b, ":9000", func(c *net.TCPConn) {
		if err := wantNoise(c, 11, n); err != nil {
			client <- err
			return
		}
		time.Sleep(200 * time.Millisecond)
		client <- send(c, noise(12, n))
	})
	for _, family := range []string{"ipv4", "ipv6"} {
		c := r.dial(r.a, at(boxAtA[family], 90))
		r.ok(send(c, noise(11, n)))
		r.ok(wantNoise(c, 12, n))
		r.ok(<-client)
	}
	stop()
	stop = r.serve(r.b, ":9000", func(c *net.TCPConn) {
		if err := send(c, noise(13, n)); err != nil {
			client <- err
			return
		}
		client <- wantNoise(c, 14, n)
	})
	for _, family := range []string{"ipv4", "ipv6"} {
		c := r.dial(r.a, at(boxAtA[family], 90))
		r.ok(wantNoise(c, 13, n))
		time.Sleep(200 * time.Millisecond)
		r.ok(send(c, noise(14, n)))
		r.ok(<-client)
	}
	stop()
}

// proxyHeader reads a PROXY header of either version, and returns the addresses and ports it tells.
func proxyHeader(in *bufio.Reader) (version int, src, dst netip.AddrPort, err error) {
	magic, err := in.Peek(12)
	if err != nil {
		return 0, src, dst, err
	}
	if !bytes.Equal(magic, []byte("\r\n\r\n\x00\r\nQUIT\n")) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, src, dst, err
		}
		var family, s, d string
		var sp, dp uint16
		if _, err := fmt.Sscanf(line, "PROXY %s %s %s %d %d\r\n", &family, &s, &d, &sp, &dp); err != nil {
			return 0, src, dst, fmt.Errorf("%q: %w", line, err)
		}
		src, dst = netip.AddrPortFrom(netip.MustParseAddr(s), sp), netip.AddrPortFrom(netip.MustParseAddr(d), dp)
		if want := map[bool]string{true: "TCP4", false: "TCP6"}[src.Addr().Is4()]; family != want {
			return 0, src, dst, fmt.Errorf("%q: want %s", line, want)
		}
		return 1, src, dst, nil
	}
	var head [16]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, src, dst, err
	}
	body := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(in, body); err != nil {
		return 0, src, dst, err
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[head[13]]
	if head[12] != 0x21 || size == 0 || len(body) < 2*size+4 {
		return 0, src, dst, fmt.Errorf("bad header % x, % x", head, body)
	}
	a, _ := netip.AddrFromSlice(body[:size])
	b, _ := netip.AddrFromSlice(body[size : 2*size])
	ports := body[2*size:]
	return 2, netip.AddrPortFrom(a, binary.BigEndian.Uint16(ports)), netip.AddrPortFrom(b, binary.BigEndian.Uint16(ports[2:])), nil
}

// proxyProtocol has a backend that reads the header, and clients with and without one.
func (r *termination) proxyProtocol() {
	type told struct {
		version  int
		src, dst netip.AddrPort
		err      error
	}
	seen := make(chan told, 16)
	stop := r.serve(r.b, ":9000", func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		v, src, dst, err := proxyHeader(in)
		seen <- told{v, src, dst, err}
		if err == nil {
			_, _ = io.Copy(c, in)
			_ = c.CloseWrite()
		}
	})
	defer stop()
	for version := 1; version <= 2; version++ {
		for _, family := range []string{"ipv4", "ipv6"} {
			c := r.dial(r.a, at(boxAtA[family], 90+version))
			src := c.LocalAddr().(*net.TCPAddr).AddrPort()
			want := told{version, src, netip.MustParseAddrPort(at(boxAtA[family], 90+version)), nil}
			r.ok(echoes(c, 20, 1<<20))
			if got := <-seen; got != want {
				r.t.Errorf("the backend was told %v, want %v", got, want)
			}
		}
	}
	// What a client in front tells is passed on.
	v2 := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 192, 0, 2, 7, 203, 0, 113, 80, 0x30, 0x39, 0, 80)
	for _, header := range []string{"PROXY TCP4 192.0.2.7 203.0.113.80 12345 80\r\n", string(v2)} {
		c := r.dial(r.a, "10.0.1.1:93")
		// In two parts, to have it put together.
		for _, part := range []string{header[:9], header[9:] + "after"} {
			_, err := io.WriteString(c, part)
			r.ok(err)
			time.Sleep(50 * time.Millisecond)
		}
		r.ok(c.CloseWrite())
		rest, err := io.ReadAll(c)
		r.ok(err)
		want := told{1, netip.MustParseAddrPort("192.0.2.7:12345"), netip.MustParseAddrPort("203.0.113.80:80"), nil}
		if got := <-seen; got != want || string(rest) != "after" {
			r.t.Errorf("the backend was told %v and sent %q, want %v", got, rest, want)
		}
	}
	// Without a right one there is no connection, and the backend hears of none.
	for _, bad := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY TCP4 nonsense\r\n", ""} {
		c := r.dial(r.a, "10.0.1.1:93")
		_, err := io.WriteString(c, bad)
		r.ok(err)
		if n, err := c.Read(make([]byte, 1)); err == nil || n > 0 {
			r.t.Errorf("%q was answered", bad)
		} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
			r.t.Errorf("%q: the connection stays", bad)
		}
	}
	select {
	case got := <-seen:
		r.t.Errorf("a backend was connected for a bad header: %v", got)
	default:
	}
}

// tls runs openssl's client and server through the proxy.
func (r *termination) tls() {
	dir := r.t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	r.run(r.b, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
		"-subj", "/CN=backend.example", "-keyout", key, "-out", cert)
	r.start(r.b, "openssl", "s_server", "-accept", "10.0.2.2:4433", "-key", key, "-cert", cert, "-rev", "-quiet")
	r.eventually(5*time.Second, func() error { _, err := r.a.Output("ncat", "-z", "10.0.2.2", "4433"); return err })
	for _, box := range boxAtA {
		out := r.run(r.a, "sh", "-c", "(echo millrace; sleep 1) | timeout 60 openssl s_client -connect '"+at(box, 443)+"' -quiet -no_ign_eof -verify_return_error -CAfile "+cert+
			" -servername backend.example -verify_hostname backend.example 2>&1")
		if !strings.Contains(out, "ecarllim") {
			r.t.Errorf("through %s: %s", box, out)
		}
	}
}
