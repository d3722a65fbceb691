package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millrace/internal/lab"
)

// TestTCPLimits: what a listener refuses, and that it is counted for what it is.
func TestTCPLimits(t *testing.T) {
	r := newTermination(t, "limits", `
listeners:
  - {name: few, port: 7, service: echo, max-connections: 3}
  - {name: slow, port: 8, service: echo, rate: 2, burst: 4}
  - {name: source, port: 9, service: echo, max-per-source: 2}
  - {name: only, port: 10, service: echo, allow: [10.0.1.0/24, "2001:db8:1::/64"], deny: [10.0.1.77/32], reset-denied: true}
  - {name: not, port: 11, service: echo, deny: [10.0.2.0/24, "2001:db8:2::/64"]}
`, func(o *routerOptions) {
		o.prepare = func(r *router) { r.a.Addr("eth0", "10.0.1.77/24") }
	})
	// takes tells whether a new connection is served within some seconds.
	takes := func(ns *lab.NS, address string, from ...string) (c net.Conn, ok bool) {
		_ = ns.Do(func() error {
			d := net.Dialer{Timeout: 3 * time.Second}
			if len(from) > 0 {
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from[0])}
			}
			var err error
			if c, err = d.Dial("tcp", address); err != nil {
				return err
			}
			r.t.Cleanup(func() { _ = c.Close() })
			_ = c.SetDeadline(time.Now().Add(3 * time.Second))
			if _, err = c.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			ok = err == nil
			return err
		})
		return c, ok
	}
	r.families("connections", func(r *termination, family string) {
		var open []net.Conn
		for range 3 {
			c, ok := takes(r.a, at(boxAtA[family], 7))
			if !ok {
				r.t.Fatal("a connection within the limit is not served")
			}
			open = append(open, c)
		}
		before := r.listener("few")
		if _, ok := takes(r.b, at(boxAtA[family], 7)); ok {
			r.t.Error("a connection beyond the limit is served")
		}
		if s := r.listener("few"); s.GetRefusedLimit() == before.GetRefusedLimit() || s.GetActive() != 3 {
			r.t.Errorf("the listener counts %v", s)
		}
		for _, c := range open {
			_ = c.Close()
		}
		r.eventually(5*time.Second, func() error {
			if s := r.listener("few"); s.GetActive() != 0 {
				return fmt.Errorf("still %d", s.GetActive())
			}
			return nil
		})
		if c, ok := takes(r.b, at(boxAtA[family], 7)); !ok {
			r.t.Error("no connection after others ended")
		} else {
			_ = c.Close()
		}
		r.eventually(5*time.Second, func() error {
			if s := r.listener("few"); s.GetActive() != 0 {
				return fmt.Errorf("still %d", s.GetActive())
			}
			return nil
		})
	})
	r.sub("rate", func(r *termination) {
		// All at once, and none for so long that the kernel would try again.
		const n = 12
		var served atomic.Int32
		var wg sync.WaitGroup
		began := time.Now()
		for range n {
			wg.Go(func() {
				_ = r.a.Do(func() error {
					d := net.Dialer{Timeout: 900 * time.Millisecond}
					c, err := d.Dial("tcp", "10.0.1.1:8")
					if err == nil {
						served.Add(1)
						_ = c.Close()
					}
					return err
				})
			})
		}
		wg.Wait()
		most := 5 + int32(2*time.Since(began).Seconds())
		if s, got := r.listener("slow"), served.Load(); s.GetRefusedRate() == 0 || got < 4 || got > most {
			r.t.Errorf("%d of %d were served, want 4 to %d; the listener counts %v", got, n, most, s)
		}
		time.Sleep(1500 * time.Millisecond)
		if _, ok := takes(r.a, "10.0.1.1:8"); !ok {
			r.t.Error("no connection after a pause")
		}
	})
	r.families("source", func(r *termination, family string) {
		for range 2 {
			if _, ok := takes(r.a, at(boxAtA[family], 9)); !ok {
				r.t.Error("a connection within the limit is not served")
			}
		}
		before := r.listener("source")
		if _, ok := takes(r.a, at(boxAtA[family], 9)); ok {
			r.t.Error("a third of one source is served")
		}
		if _, ok := takes(r.b, at(boxAtA[family], 9)); !ok {
			r.t.Error("another source is not served")
		}
		if s := r.listener("source"); s.GetRefusedSource() == before.GetRefusedSource() {
			r.t.Errorf("the listener counts %v", s)
		}
	})
	r.families("prefixes", func(r *termination, family string) {
		for _, c := range []struct {
			ns     *lab.NS
			port   int
			served bool
		}{{r.a, 10, true}, {r.b, 10, false}, {r.a, 11, true}, {r.b, 11, false}} {
			if _, ok := takes(c.ns, at(boxAtA[family], c.port)); ok != c.served {
				r.t.Errorf("%s at port %d is served: %v", c.ns.Name, c.port, ok)
			}
		}
		if r.listener("only").GetRefusedAcl() == 0 || r.listener("not").GetRefusedAcl() == 0 {
			r.t.Errorf("the listeners count %v, %v", r.listener("only"), r.listener("not"))
		}
		// With reset-denied it is told at once, else silence.
		if _, err := dial(r.b, at(boxAtA[family], 10)); !errors.Is(err, syscall.ECONNREFUSED) {
			r.t.Errorf("who is not allowed gets %v", err)
		}
	})
	if _, ok := takes(r.a, "10.0.1.1:10", "10.0.1.77"); ok {
		t.Error("deny did not win over allow")
	}
}

// TestTCPInstances: a listener is seen in its network instance only, and what none takes reaches the kernel.
func TestTCPInstances(t *testing.T) {
	r := newTermination(t, "vrf", `
listeners:
  - {name: red, port: 7, service: echo, network-instance: red}
  - {name: any, port: 8, service: echo}
  - {name: special, address: 10.0.1.1, port: 8, service: chargen, chargen-limit: 74}
`, func(o *routerOptions) {
		o.eth2 = "network-instance: red"
		o.instances = "  - {name: red}"
	})
	boxAtB := map[string]string{"ipv4": "10.0.2.1", "ipv6": "2001:db8:2::1"}
	r.families("instance", func(r *termination, family string) {
		c := r.dial(r.b, at(boxAtB[family], 7))
		if got := r.one("red"); got.GetNetworkInstance() != "red" {
			r.t.Errorf("the connection of red: %v", got)
		}
		r.ok(echoes(c, 1, 1<<20))
		for _, c := range []struct {
			ns      *lab.NS
			address string
		}{{r.a, at(boxAtA[family], 7)}, {r.b, at(boxAtB[family], 8)}} {
			if c, err := dial(c.ns, c.address); !errors.Is(err, syscall.ECONNREFUSED) {
				r.t.Errorf("in the other instance: %v, %v", c, err)
			}
		}
	})
	r.sub("address before none", func(r *termination) {
		r.ok(echoes(r.dial(r.a, at(boxAtA["ipv6"], 8)), 1, 1000))
		got, err := io.ReadAll(r.dial(r.a, "10.0.1.1:8"))
		if err != nil || string(got) != string(chargenLines(74)) {
			r.t.Errorf("%q, %v", got, err)
		}
	})
	r.sub("kernel", func(r *termination) {
		// As sshd would be: a server of Linux in the namespace of the TAPs.
		stop := r.serve(r.box.Inner, ":22", func(c *net.TCPConn) { _, _ = io.WriteString(c, "SSH-2.0-test\r\n") })
		for _, family := range []string{"ipv4", "ipv6"} {
			got, err := io.ReadAll(r.dial(r.a, at(boxAtA[family], 22)))
			if err != nil || !strings.HasPrefix(string(got), "SSH-2.0") {
				r.t.Errorf("%s: %q, %v", family, got, err)
			}
		}
		stop()
		if _, err := dial(r.a, "10.0.1.1:22"); !errors.Is(err, syscall.ECONNREFUSED) {
			r.t.Errorf("to a port that nobody has: %v", err)
		}
	})
}
