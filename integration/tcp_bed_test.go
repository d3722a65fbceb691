package integration

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// Addresses of the box towards host a and host b, and of the hosts.
var (
	boxAtA = map[string]string{"ipv4": "10.0.1.1", "ipv6": "2001:db8:1::1"}
	hostA  = map[string]string{"ipv4": "10.0.1.2", "ipv6": "2001:db8:1::2"}
)

// deadline bounds every connection of these tests; nothing is meant to come near it.
const deadline = 5 * time.Minute

// termination is a router whose box ends TCP connections.
type termination struct{ *router }

// newTermination starts a box with these items of `tcp`, and waits until the data plane has all listeners.
func newTermination(t *testing.T, name, tcp string, opts ...func(*routerOptions)) *termination {
	t.Helper()
	opt := routerOptions{mbufs: 32768, tail: "tcp:\n" + indent(tcp)}
	for _, f := range opts {
		f(&opt)
	}
	r := &termination{newRouter(t, name, opt)}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := r.box.Ctl("tcp", "statistics")
			more, _ := r.box.Ctl("tcp", "connections")
			t.Logf("TCP:\n%s\n%s", out, tail(more, 4000))
		}
	})
	r.ready()
	return r
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n"
}

func (r *termination) ready() {
	r.t.Helper()
	r.eventually(20*time.Second, func() error {
		all, err := r.listeners()
		if err != nil {
			return err
		}
		for _, l := range all {
			if s := l.GetState(); !s.GetPresent() && !s.GetDraining() {
				return fmt.Errorf("listener %s: %v", l.GetConfig().GetName(), s)
			}
		}
		return nil
	})
}

func (r *termination) listeners() (map[string]*vnfv1.TcpListener, error) {
	all, err := items(r.box, func() *vnfv1.TcpListener { return new(vnfv1.TcpListener) }, "tcp", "listener", "list")
	m := map[string]*vnfv1.TcpListener{}
	for _, l := range all {
		m[l.GetConfig().GetName()] = l
	}
	return m, err
}

// listener is the state of one.
func (r *termination) listener(name string) *vnfv1.TcpListenerState {
	r.t.Helper()
	all, err := r.listeners()
	if err != nil {
		r.t.Fatal(err)
	}
	l, ok := all[name]
	if !ok {
		r.t.Fatalf("there is no listener %s", name)
	}
	return l.GetState()
}

func (r *termination) pool(name string) *vnfv1.TcpPool {
	r.t.Helper()
	var p vnfv1.TcpPool
	if err := protojson.Unmarshal([]byte(r.ctl("tcp", "pool", "show", name, "-o", "json")), &p); err != nil {
		r.t.Fatal(err)
	}
	return &p
}

func (r *termination) backend(pool, name string) *vnfv1.TcpBackendState {
	r.t.Helper()
	for _, b := range r.pool(pool).GetBackends() {
		if b.GetConfig().GetName() == name {
			return b.GetState()
		}
	}
	r.t.Fatalf("pool %s has no backend %s", pool, name)
	return nil
}

func (r *termination) connections(filter ...string) []*vnfv1.TcpConnection {
	r.t.Helper()
	all, err := items(r.box, func() *vnfv1.TcpConnection { return new(vnfv1.TcpConnection) },
		append([]string{"tcp", "connections"}, filter...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// mib are the counters of the engines.
func (r *termination) mib() map[string]uint64 {
	r.t.Helper()
	all, err := items(r.box, func() *vnfv1.TcpCounter { return new(vnfv1.TcpCounter) }, "tcp", "statistics", "--all")
	if err != nil {
		r.t.Fatal(err)
	}
	m := map[string]uint64{}
	for _, c := range all {
		m[c.GetName()] = c.GetValue()
	}
	return m
}

// rose fails unless the counters rose by at least one.
func (r *termination) rose(before map[string]uint64, names ...string) {
	r.t.Helper()
	r.eventually(2*time.Second, func() error {
		now := r.mib()
		for _, n := range names {
			if _, known := now[n]; !known {
				return fmt.Errorf("there is no counter %s", n)
			} else if now[n] == before[n] {
				return fmt.Errorf("%s did not rise from %d; what did: %v", n, before[n], dropsSince(before, now))
			}
		}
		return nil
	})
}

// usage is that of the only worker.
func (r *termination) usage() *vnfv1.TcpWorkerUsage {
	r.t.Helper()
	all, err := items(r.box, func() *vnfv1.TcpWorkerUsage { return new(vnfv1.TcpWorkerUsage) }, "tcp", "workers")
	if err != nil || len(all) != 1 {
		r.t.Fatal(len(all), err)
	}
	return all[0]
}

// quiet waits until there is no connection but in TIME-WAIT, and checks that nothing holds memory.
func (r *termination) quiet() {
	r.t.Helper()
	r.eventually(20*time.Second, func() error {
		u := r.usage()
		if u.GetConnections() != 0 || u.GetHalfOpen() != 0 || u.GetSegments() != 0 || u.GetMemory() != 0 {
			return fmt.Errorf("the engine still has %v", u)
		}
		return nil
	})
}

// dial connects from a namespace; the connection fails after the deadline.
func dial(ns *lab.NS, address string, setup ...func(fd int) error) (*net.TCPConn, error) {
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = dialHere(address, setup...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// dialHere is dial for who is in the namespace.
func dialHere(address string, setup ...func(fd int) error) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Minute, KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		var serr error
		if err := raw.Control(func(fd uintptr) {
			for _, f := range setup {
				if serr == nil {
					serr = f(int(fd))
				}
			}
		}); err != nil {
			return err
		}
		return serr
	}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(deadline))
}

// receiveBuffer gives the socket a small receive buffer.
func receiveBuffer(n int) func(int) error {
	return func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n) }
}

func (r *termination) dial(ns *lab.NS, address string, setup ...func(fd int) error) *net.TCPConn {
	r.t.Helper()
	c, err := dial(ns, address, setup...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// serve listens in a namespace and gives every connection to f, which need not close it.
func (r *termination) serve(ns *lab.NS, address string, f func(*net.TCPConn)) (stop func()) {
	r.t.Helper()
	var l net.Listener
	r.eventually(5*time.Second, func() error {
		return ns.Do(func() (err error) {
			l, err = net.Listen("tcp", address)
			return err
		})
	})
	stop = func() { _ = l.Close() }
	r.t.Cleanup(stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(deadline))
				f(c.(*net.TCPConn))
			}()
		}
	}()
	return stop
}

func at(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }

// noise is n bytes that are the same for the same seed, and that no other order of its parts equals.
func noise(seed uint64, n int64) io.Reader {
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], seed)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	return io.LimitReader(cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, 16)), R: zeros{}}, n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func digest(r io.Reader) (sum string, n int64, err error) {
	h := sha256.New()
	n, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// send writes and then ends this direction.
func send(c *net.TCPConn, r io.Reader) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return c.CloseWrite()
}

// echoes sends n bytes and expects them back, and then the end.
func echoes(c *net.TCPConn, seed uint64, n int64) error {
	sent := make(chan error, 1)
	go func() { sent <- send(c, noise(seed, n)) }()
	got, m, err := digest(c)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", m, n, err)
	}
	if err := <-sent; err != nil {
		return err
	}
	want, _, _ := digest(noise(seed, n))
	if m != n || got != want {
		return fmt.Errorf("%d bytes came back of %d, the same: %v", m, n, got == want)
	}
	return nil
}

// wantNoise reads n bytes of noise and then the end.
func wantNoise(r io.Reader, seed uint64, n int64) error {
	got, m, err := digest(r)
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", m, n, err)
	}
	if want, _, _ := digest(noise(seed, n)); m != n || got != want {
		return fmt.Errorf("%d bytes of %d, the same: %v", m, n, got == want)
	}
	return nil
}

// families runs a test with each.
func (r *termination) families(name string, f func(r *termination, family string)) {
	r.t.Helper()
	for _, family := range []string{"ipv4", "ipv6"} {
		r.sub(name+"/"+family, func(r *termination) { f(r, family) })
	}
}

// sub runs a subtest on the same box.
func (r *termination) sub(name string, f func(r *termination)) {
	r.t.Helper()
	r.t.Run(name, func(t *testing.T) {
		inner := *r.router
		inner.t = t
		f(&termination{&inner})
	})
}

func (r *termination) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// parallel runs f n times at once and fails with the first error.
func (r *termination) parallel(n int, f func(i int) error) {
	r.t.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var all []error
	for range n {
		if err := <-errs; err != nil && len(all) < 5 {
			all = append(all, err)
		}
	}
	r.ok(errors.Join(all...))
}
