package integration

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// TestTCPPools: backends go out of the pool when they die and come back, are drained, and get their share.
func TestTCPPools(t *testing.T) {
	r := newTermination(t, "pools", `
pools:
  - name: checked
    health-check: {type: http, path: /name, interval: 200ms, timeout: 5s, rise: 1, fall: 2}
    backends:
      - {name: one, address: 10.0.2.2, port: 8001}
      - {name: two, address: "2001:db8:2::2", port: 8002}
  - name: spare
    health-check: {type: connect, interval: 200ms, timeout: 5s, rise: 1, fall: 2}
    backends: [{name: three, address: 10.0.2.2, port: 8003}]
  - name: weighted
    backends:
      - {name: one, address: 10.0.2.2, port: 8001, weight: 3}
      - {name: three, address: 10.0.2.2, port: 8003}
  - name: hashed
    algorithm: maglev
    backends:
      - {name: one, address: 10.0.2.2, port: 8001}
      - {name: two, address: 10.0.2.2, port: 8002}
      - {name: three, address: 10.0.2.2, port: 8003}
  - name: least
    algorithm: least-connections
    backends:
      - {name: one, address: 10.0.2.2, port: 8001}
      - {name: three, address: 10.0.2.2, port: 8003}
  - name: echo
    backends: [{name: echo, address: 10.0.2.2, port: 8007}]
listeners:
  - {name: checked, port: 80, service: proxy, proxy: {pool: checked, backup-pool: spare}}
  - {name: weighted, port: 81, service: proxy, proxy: {pool: weighted}}
  - {name: hashed, port: 82, service: proxy, proxy: {pool: hashed}}
  - {name: least, port: 83, service: proxy, proxy: {pool: least}}
  - {name: echo, port: 84, service: proxy, proxy: {pool: echo}}
`, func(o *routerOptions) {
		// More clients for the hash.
		o.prepare = func(r *router) {
			for i := range 16 {
				r.a.Addr("eth0", fmt.Sprintf("10.0.1.%d/24", 100+i))
			}
		}
	})
	// Servers are of the whole test, not of a part of it.
	outer, stop := r, map[string]func(){}
	for i, name := range []string{"one", "two", "three"} {
		stop[name] = r.web(r.b, fmt.Sprintf(":%d", 8001+i), name, 1, 1)
	}
	// asked counts who answers n requests.
	asked := func(r *termination, port, n int, curl ...string) map[string]int {
		r.t.Helper()
		got := map[string]int{}
		for range n {
			out, err := r.get(r.a, at("10.0.1.1", port), "/name", curl...)
			r.ok(err)
			got[out]++
		}
		return got
	}
	health := func(r *termination, pool, name string, want vnfv1.TcpHealth) {
		r.t.Helper()
		r.eventually(15*time.Second, func() error {
			if s := r.backend(pool, name); s.GetHealth() != want {
				return fmt.Errorf("%s in %s: %v", name, pool, s)
			}
			return nil
		})
	}
	r.sub("health", func(r *termination) {
		health(r, "checked", "one", vnfv1.TcpHealth_TCP_HEALTH_UP)
		health(r, "checked", "two", vnfv1.TcpHealth_TCP_HEALTH_UP)
		health(r, "spare", "three", vnfv1.TcpHealth_TCP_HEALTH_UP)
		if got := asked(r, 80, 10); got["one"] != 5 || got["two"] != 5 {
			r.t.Errorf("round robin: %v", got)
		}
		stop["two"]()
		health(r, "checked", "two", vnfv1.TcpHealth_TCP_HEALTH_DOWN)
		if s := r.backend("checked", "two"); s.GetReason() == "" || s.GetChecksFailed() == 0 {
			r.t.Errorf("down without a reason: %v", s)
		}
		if got := asked(r, 80, 6); got["one"] != 6 {
			r.t.Errorf("with one down: %v", got)
		}
		stop["one"]()
		health(r, "checked", "one", vnfv1.TcpHealth_TCP_HEALTH_DOWN)
		if got := asked(r, 80, 3); got["three"] != 3 {
			r.t.Errorf("from the backup pool: %v", got)
		}
		if s := r.pool("checked").GetState(); s.GetHealthy() || s.GetBackendsHealthy() != 0 {
			r.t.Errorf("the pool without backends: %v", s)
		}
		stop["one"] = outer.web(r.b, ":8001", "one", 1, 1)
		stop["two"] = outer.web(r.b, ":8002", "two", 1, 1)
		health(r, "checked", "one", vnfv1.TcpHealth_TCP_HEALTH_UP)
		health(r, "checked", "two", vnfv1.TcpHealth_TCP_HEALTH_UP)
		if got := asked(r, 80, 10); got["one"] != 5 || got["two"] != 5 {
			r.t.Errorf("after they came back: %v", got)
		}
	})
	r.sub("weights", func(r *termination) {
		if got := asked(r, 81, 16); got["one"] != 12 || got["three"] != 4 {
			r.t.Errorf("3 to 1: %v", got)
		}
		r.ctl("tcp", "backend", "set", "weighted", "three", "10.0.2.2:8003", "--weight", "3")
		if got := asked(r, 81, 16); got["one"] != 8 || got["three"] != 8 {
			r.t.Errorf("3 to 3: %v", got)
		}
	})
	r.sub("maglev", func(r *termination) {
		first, all := map[string]string{}, map[string]int{}
		for round := range 2 {
			for i := range 16 {
				from := fmt.Sprintf("10.0.1.%d", 100+i)
				out, err := r.get(r.a, "10.0.1.1:82", "/name", "--interface", from)
				r.ok(err)
				if round == 0 {
					first[from] = out
					all[out]++
				} else if first[from] != out {
					r.t.Errorf("%s went to %s, then to %s", from, first[from], out)
				}
			}
		}
		if len(all) != 3 {
			r.t.Errorf("of 16 clients: %v", all)
		}
		// Those of the others stay, or nearly all.
		moved := 0
		r.ctl("tcp", "backend", "drain", "hashed", "two")
		for from, to := range first {
			out, err := r.get(r.a, "10.0.1.1:82", "/name", "--interface", from)
			r.ok(err)
			if out == "two" {
				r.t.Errorf("%s went to a backend that is drained", from)
			} else if to != "two" && out != to {
				moved++
			}
		}
		if moved > 2 {
			r.t.Errorf("%d clients of other backends were moved", moved)
		}
	})
	r.sub("least connections", func(r *termination) {
		for range 10 {
			_ = r.dial(r.a, "10.0.1.1:83")
		}
		r.eventually(5*time.Second, func() error {
			one, three := r.backend("least", "one").GetActive(), r.backend("least", "three").GetActive()
			if one != 5 || three != 5 {
				return fmt.Errorf("%d and %d connections", one, three)
			}
			return nil
		})
	})
	r.sub("drain", func(r *termination) {
		r.serve(r.b, ":8007", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
		c := r.dial(r.a, "10.0.1.1:84")
		speaks := func() error {
			if _, err := c.Write([]byte("x")); err != nil {
				return err
			}
			_, err := io.ReadFull(c, make([]byte, 1))
			return err
		}
		r.ok(speaks())
		r.ctl("tcp", "backend", "drain", "echo", "echo")
		r.ok(speaks())
		if c, err := dial(r.a, "10.0.1.1:84"); err == nil {
			n, err := c.Read(make([]byte, 1))
			_ = c.Close()
			if err == nil || n > 0 {
				r.t.Error("a backend that is drained got a connection")
			}
		}
		r.ctl("tcp", "backend", "enable", "echo", "echo")
		r.ok(echoes(r.dial(r.a, "10.0.1.1:84"), 1, 1000))
		r.ok(speaks())
		r.ctl("tcp", "backend", "disable", "echo", "echo")
		if err := speaks(); err == nil {
			r.t.Error("the connection to a disabled backend goes on")
		}
	})
}
