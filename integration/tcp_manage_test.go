package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// speak sends a byte to an echo service and waits for it.
func speak(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// TestTCPManagement: listeners come, change and go under connections; what is listed is true; what is wrong is refused whole.
func TestTCPManagement(t *testing.T) {
	r := newTermination(t, "manage", simpleServices+"pools: [{name: b, backends: [{name: b, address: \"2001:db8:2::2\", port: 8007}]}]")
	r.sub("update", func(r *termination) {
		r.ctl("tcp", "listener", "add", "new", "70", "echo")
		c := r.dial(r.a, "10.0.1.1:70")
		r.ok(speak(c))
		r.ctl("tcp", "listener", "set", "new", "--max-connections", "1", "--congestion-control", "bbr", "--nagle=false")
		r.ok(speak(c))
		if c, err := dial(r.a, "10.0.1.1:70", shortConnect); err == nil {
			err = speak(c)
			_ = c.Close()
			if err == nil {
				r.t.Error("a connection beyond the new limit is served")
			}
		}
		r.ctl("tcp", "listener", "set", "new", "--max-connections", "10")
		later := r.dial(r.a, "10.0.1.1:70")
		r.ok(speak(later))
		var controls []string
		for _, one := range r.connections("--listener", "new") {
			controls = append(controls, one.GetCongestionControl().String())
		}
		if all := strings.Join(controls, " "); !strings.Contains(all, "CUBIC") || !strings.Contains(all, "BBR") {
			r.t.Errorf("the old and the new connection have %s", all)
		}
		if out, err := r.box.Ctl("tcp", "listener", "add", "new", "71", "echo"); err == nil {
			r.t.Errorf("a second listener of the same name: %s", out)
		}
		r.ok(speak(c))
	})
	r.sub("delete", func(r *termination) {
		r.serve(r.b, ":8007", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
		r.ctl("tcp", "listener", "add", "ends", "72", "echo")
		r.ctl("tcp", "listener", "add", "gone", "71", "proxy", "--pool", "b")
		c, echo := r.dial(r.a, "[2001:db8:1::1]:71"), r.dial(r.a, "10.0.1.1:72")
		r.ok(speak(c))
		r.ok(speak(echo))
		r.ctl("tcp", "listener", "delete", "gone", "--drain", "6s")
		r.ctl("tcp", "listener", "delete", "ends", "--drain", "1m")
		// Streams of a proxy may go on, the simple services end theirs in order.
		r.ok(speak(c))
		if _, err := echo.Read(make([]byte, 1)); err != io.EOF {
			r.t.Errorf("from a service that was asked to end: %v", err)
		}
		if c, err := dial(r.a, "[2001:db8:1::1]:71"); !errors.Is(err, syscall.ECONNREFUSED) {
			r.t.Errorf("a new connection to a listener that drains: %v, %v", c, err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && err != io.EOF {
			r.t.Errorf("after the drain: %v", err)
		}
		r.eventually(10*time.Second, func() error {
			all, err := r.listeners()
			if err == nil && all["gone"] != nil {
				err = fmt.Errorf("still there: %v", all["gone"].GetState())
			}
			return err
		})
	})
	r.sub("kill", func(r *termination) {
		a1, a2, b := r.dial(r.a, "10.0.1.1:7"), r.dial(r.a, "[2001:db8:1::1]:7"), r.dial(r.b, "10.0.2.1:7")
		for _, c := range []net.Conn{a1, a2, b} {
			r.ok(speak(c))
		}
		r.ctl("tcp", "kill", "--listener", "echo", "--remote", "10.0.2.0/24")
		if err := speak(b); !errors.Is(err, syscall.ECONNRESET) {
			r.t.Errorf("the killed connection: %v", err)
		}
		r.ok(speak(a1))
		r.ctl("tcp", "kill", a1.RemoteAddr().String(), a1.LocalAddr().String())
		if err := speak(a1); !errors.Is(err, syscall.ECONNRESET) {
			r.t.Errorf("the killed connection: %v", err)
		}
		r.ok(speak(a2))
		if out, err := r.box.Ctl("tcp", "kill"); err == nil {
			r.t.Errorf("everything is killed without --all: %s", out)
		}
		r.ctl("tcp", "kill", "--all")
		if err := speak(a2); !errors.Is(err, syscall.ECONNRESET) {
			r.t.Errorf("the killed connection: %v", err)
		}
	})
	r.families("listing", func(r *termination, family string) { r.compare(family) })
	r.sub("refused", func(r *termination) {
		before, err := r.listeners()
		r.ok(err)
		for config, field := range map[string]string{
			"listeners: [{name: x, port: 0, service: echo}]":                                                          "tcp.listeners[x].port",
			"listeners: [{name: x, port: 1, service: gopher}]":                                                        "tcp.listeners[x].service",
			"listeners: [{name: x, port: 1, service: echo, address: 192.0.2.1}]":                                      "tcp.listeners[x].address",
			"listeners: [{name: x, port: 1, service: proxy, proxy: {pool: none}}]":                                    "tcp.listeners[x].proxy.pool",
			"listeners: [{name: x, port: 1, service: echo, allow: [10.0.0.1/8]}]":                                     "tcp.listeners[x].allow[0]",
			"listeners: [{name: x, port: 1, service: http, http: {response: {body-file: /nowhere}}}]":                 "body-file",
			"listeners: [{name: x, port: 1, service: echo, options: {mss: 10}}]":                                      "tcp.listeners[x].options.mss",
			"pools: [{name: p, backends: [{name: b, address: 10.0.2.2, port: 70000}]}]":                               "tcp.pools[p].backends[b].port",
			"pools: [{name: p, health-check: {type: connect, interval: 1ms}}]":                                        "tcp.pools[p].health-check.interval",
			"listeners: [{name: ok, port: 99, service: echo}, {name: x, port: 99, service: echo}]":                    "tcp.listeners[x]",
			"listeners: [{name: ok, port: 99, service: echo}]\nvips: [{name: v, address: 10.0.1.1, interface: eth9}]": "tcp.vips[v]",
		} {
			opt := routerOptions{tail: "tcp:\n" + indent(config)}
			err := r.box.Apply(opt.config())
			if err == nil || !strings.Contains(err.Error(), field) {
				r.t.Errorf("%s: want a word about %s, got %v", config, field, err)
			}
			now, err := r.listeners()
			r.ok(err)
			if len(now) != len(before) {
				r.t.Errorf("%s: changed what there was: %v", config, now)
			}
		}
		r.ok(speak(r.dial(r.a, "10.0.1.1:7")))
	})
}

// shortConnect has the kernel give up a connection soon: a listener that is full is silent.
func shortConnect(fd int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1)
}

// compare has the same connections listed by the box and by ss.
func (r *termination) compare(family string) {
	c := r.dial(r.a, at(boxAtA[family], 7))
	r.ok(speak(c))
	go func() { _ = send(c, noise(1, 5<<20)) }()
	got, n, err := digest(c)
	r.ok(err)
	if n != 5<<20 {
		r.t.Fatal(got, n)
	}
	for range 20 {
		_ = r.dial(r.a, at(boxAtA[family], 7))
	}
	c = r.dial(r.a, at(boxAtA[family], 9))
	_, err = io.CopyN(c, noise(2, 3<<20), 3<<20)
	r.ok(err)
	port := c.LocalAddr().(*net.TCPAddr).Port
	ss := r.run(r.a, "ss", "-tniH", "sport", "=", fmt.Sprintf(":%d", port))
	r.eventually(5*time.Second, func() error {
		all := r.connections("--remote-port", fmt.Sprint(port))
		if len(all) != 1 {
			return fmt.Errorf("%d connections from port %d", len(all), port)
		}
		x := all[0]
		wscale := fmt.Sprintf("wscale:%d,%d", x.GetRcvWscale(), x.GetSndWscale())
		switch mss := map[string]uint32{"ipv4": 1448, "ipv6": 1428}[family]; {
		case x.GetBytesReceived() != 3<<20:
			return fmt.Errorf("%d bytes received", x.GetBytesReceived())
		case x.GetState().String() != "TCP_STATE_ESTABLISHED" || !strings.HasPrefix(ss, "ESTAB"):
			return fmt.Errorf("the state is %v, ss says %s", x.GetState(), ss)
		case !strings.Contains(ss, fmt.Sprintf(" mss:%d ", x.GetMss())) || x.GetMss() != mss:
			return fmt.Errorf("mss %d, ss says %s", x.GetMss(), ss)
		case !strings.Contains(ss, wscale):
			return fmt.Errorf("%s, ss says %s", wscale, ss)
		case !x.GetSack() || !x.GetTimestamps() || !x.GetPassive() || x.GetListener() != "discard":
			return fmt.Errorf("%v", x)
		case x.GetSrtt().AsDuration() <= 0 || x.GetSrtt().AsDuration() > 2*time.Second || x.GetRto().AsDuration() < x.GetSrtt().AsDuration():
			return fmt.Errorf("rtt %v, rto %v", x.GetSrtt().AsDuration(), x.GetRto().AsDuration())
		case x.GetLocalAddress() != boxAtA[family] || x.GetRemoteAddress() != hostA[family] || x.GetLocalPort() != 9:
			return fmt.Errorf("from %s to %s", x.GetRemoteAddress(), x.GetLocalAddress())
		}
		return nil
	})
	if all := r.connections("--listener", "echo", "--family", family, "--state", "established"); len(all) != 20 {
		r.t.Errorf("%d connections of echo, want 20", len(all))
	}
	if all := r.connections("--listener", "echo", "--family", family, "--state", "established", "--limit", "7"); len(all) != 7 {
		r.t.Errorf("%d connections with a limit of 7", len(all))
	}
}

// TestTCPRestart: kill -9 of vnf drops no connection and stops no transfer; after kill -9 of the data plane the listeners are back.
func TestTCPRestart(t *testing.T) {
	r := newTermination(t, "tcprestart", simpleServices+`
  - {name: proxy, port: 84, service: proxy, proxy: {pool: b}}
pools:
  - {name: b, backends: [{name: b, address: 10.0.2.2, port: 8007}], health-check: {type: connect, interval: 200ms}}
`)
	r.serve(r.b, ":8007", func(c *net.TCPConn) { _, _ = io.Copy(c, c); _ = c.CloseWrite() })
	r.eventually(10*time.Second, func() error {
		if !r.listener("proxy").GetHealthy() {
			return errors.New("the proxy is not healthy")
		}
		return nil
	})
	r.ctl("tcp", "listener", "add", "later", "77", "echo")
	idle := []net.Conn{r.dial(r.a, "10.0.1.1:7"), r.dial(r.a, "[2001:db8:1::1]:84"), r.dial(r.a, "10.0.1.1:77")}
	for _, c := range idle {
		r.ok(speak(c))
	}
	// Transfers that last as long as vnf is away, and then end.
	transfer := func(address string, stop <-chan struct{}, done chan<- error) {
		c, err := dial(r.a, address)
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = c.Close() }()
		for i := 0; ; i++ {
			select {
			case <-stop:
				if i < 2 {
					err = fmt.Errorf("only %d rounds", i)
				}
				done <- err
				return
			default:
			}
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			sent := make(chan error, 1)
			go func() { _, err := io.CopyN(c, noise(uint64(i), 1<<20), 1<<20); sent <- err }()
			if err = wantNoise(io.LimitReader(c, 1<<20), uint64(i), 1<<20); err == nil {
				err = <-sent
			}
			if err != nil {
				done <- fmt.Errorf("round %d: %w", i, err)
				return
			}
		}
	}
	stop, done := make(chan struct{}), make(chan error, 2)
	go transfer("10.0.1.1:7", stop, done)
	go transfer("[2001:db8:1::1]:84", stop, done)
	before := r.listener("echo")
	time.Sleep(500 * time.Millisecond)
	supervisor := r.box.Proc
	r.ok(supervisor.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = supervisor.Signal(syscall.SIGCONT) })
	r.ok(r.box.Kill("control"))
	time.Sleep(time.Second)
	// Without vnf connections are taken as well.
	r.ok(echoes(r.dial(r.a, "10.0.1.1:7"), 5, 1<<20))
	r.ok(supervisor.Signal(syscall.SIGCONT))
	r.eventually(20*time.Second, func() error { _, err := r.listeners(); return err })
	r.ready()
	time.Sleep(time.Second)
	close(stop)
	r.ok(errors.Join(<-done, <-done))
	for _, c := range idle {
		r.ok(speak(c))
	}
	if now := r.listener("echo"); now.GetAccepted() < before.GetAccepted()+1 {
		t.Errorf("the listener counts %v, before %v", now, before)
	}

	r.ok(r.box.Kill("dataplane"))
	r.eventually(30*time.Second, func() error {
		c, err := dial(r.a, "10.0.1.1:77", shortConnect)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return speak(c)
	})
	r.ready()
	for i, c := range idle {
		if err := speak(c); err == nil {
			t.Errorf("connection %d outlived the data plane", i)
		}
	}
	for _, address := range []string{"10.0.1.1:7", "[2001:db8:1::1]:7", "10.0.1.1:84", "[2001:db8:1::1]:77"} {
		r.eventually(15*time.Second, func() error {
			c, err := dial(r.a, address, shortConnect)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			return echoes(c, 6, 1<<20)
		})
	}
}
