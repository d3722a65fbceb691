package integration

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

const vipConfig = `
tcp:
  vips:
    - {name: web, address: 10.0.1.80, announce: true}
    - {name: web6, address: "2001:db8:99::80", interface: lo0, announce: true}
  pools:
    - name: app
      backends: [{name: a, address: 10.0.2.2, port: 8080}]
      health-check: {type: http, interval: 200ms, timeout: 3s, rise: 1, fall: 2}
  listeners:
    - {name: web, address: 10.0.1.80, port: 80, service: proxy, proxy: {pool: app}}
    - {name: web6, address: "2001:db8:99::80", port: 80, service: proxy, proxy: {pool: app}}
    - {name: echo, port: 7, service: echo, drain-timeout: 1s}
`

// TestTCPAnnouncement has virtual addresses announced to FRR while a backend answers health checks, through restarts of both processes.
func TestTCPAnnouncement(t *testing.T) {
	b := newBed(t, 1)
	b.start(b.interfaces("{name: lo0, type: loopback, addresses: [192.0.2.1/32]}") +
		bgpConfig(65001, "graceful-restart: {restart-time: 30}", "address: 10.0.2.2, remote-as: 65010, connect-retry: 1, "+bothFamilies) + vipConfig)
	frr := b.frr("r2", frrPeer(2, 65010, 65001, "203.0.2.0/24", "2001:db8:c2::/64", ""))
	b.established("10.0.2.2")
	announced := func(want bool) func() error {
		return func() error {
			for _, q := range []string{"show bgp ipv4 unicast 10.0.1.80/32", "show bgp ipv6 unicast 2001:db8:99::80/128"} {
				out, err := frr.VTY(q)
				if err != nil {
					return err
				}
				if got := strings.Contains(out, "65001"); got != want {
					return fmt.Errorf("%s: want %v:\n%s", q, want, out)
				}
			}
			return nil
		}
	}
	get := func() error {
		for _, url := range []string{"http://10.0.1.80/", "http://[2001:db8:99::80]/"} {
			if out, err := b.lab.NS("a").Output("curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", url); err != nil || out != "200" {
				return fmt.Errorf("%s: %q, %w", url, out, err)
			}
		}
		return nil
	}
	b.alarm(true, "tcp-pool app")
	b.ok(announced(false)())

	web, err := b.lab.NS("r2").Start("python3", "-m", "http.server", "8080", "--bind", "10.0.2.2")
	b.ok(err)
	b.eventually(20*time.Second, announced(true))
	b.alarm(false, "tcp-")
	b.ok(get())
	vips, err := items(b.box, func() *vnfv1.TcpVip { return new(vnfv1.TcpVip) }, "tcp", "vip", "list")
	b.ok(err)
	for _, v := range vips {
		if s := v.GetState(); !s.GetAnnounced() || !s.GetHealthy() || !s.GetPresent() {
			t.Errorf("%v", v)
		}
	}

	// A restart of vnf withdraws nothing and drops no connection.
	talk := dialEcho(b, "10.0.1.1:7")
	b.ok(talk("before"))
	b.ok(b.box.Kill("control"))
	b.steady(8*time.Second, announced(true))
	b.eventually(20*time.Second, func() error { _, err := b.box.Ctl("tcp", "listener", "list"); return err })
	b.ok(talk("after"))
	b.established("10.0.2.2")
	b.steady(3*time.Second, announced(true))

	// One of the data plane brings everything back.
	b.ok(b.box.Kill("dataplane"))
	b.eventually(40*time.Second, get)
	b.eventually(40*time.Second, announced(true))

	// What is deleted drains; what is killed is reset.
	talk = dialEcho(b, "10.0.1.1:7")
	b.ok(talk("hello"))
	if out := b.ctl("tcp", "kill", "--listener", "echo", "--state", "established"); !strings.Contains(out, "1 reset") {
		t.Error(out)
	}
	if talk("gone") == nil {
		t.Error("killed, and still there")
	}
	b.ctl("tcp", "listener", "delete", "echo")
	b.eventually(5*time.Second, func() error {
		out, err := b.box.Ctl("tcp", "listener", "list")
		if err == nil && strings.Contains(out, "echo") {
			err = fmt.Errorf("still listed:\n%s", out)
		}
		return err
	})

	web.Stop()
	b.eventually(20*time.Second, announced(false))
	b.alarm(true, "tcp-backend app a")
}

// dialEcho connects host a to an echo service; the function returned has a line echoed.
func dialEcho(b *bed, address string) func(string) error {
	b.t.Helper()
	var c net.Conn
	b.ok(b.lab.NS("a").Do(func() (err error) {
		err = lab.Eventually(10*time.Second, func() (err error) {
			c, err = net.DialTimeout("tcp", address, 10*time.Second)
			return err
		})
		return err
	}))
	b.t.Cleanup(func() { _ = c.Close() })
	r := bufio.NewReader(c)
	return func(line string) error {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := fmt.Fprintln(c, line); err != nil {
			return err
		}
		got, err := r.ReadString('\n')
		if err == nil && got != line+"\n" {
			err = fmt.Errorf("echoed %q for %q", got, line)
		}
		return err
	}
}
