package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTCPKeepalive: Linux's probes are answered, and ours find out who is gone.
func TestTCPKeepalive(t *testing.T) {
	r := newTermination(t, "keep", `
listeners:
  - {name: echo, port: 7, service: echo}
  - {name: probing, port: 8, service: echo, options: {keepalive-idle: 1s, keepalive-interval: 1s, keepalive-count: 2}}
`)
	r.sub("theirs", func(r *termination) {
		c := r.dial(r.a, "10.0.1.1:7", func(fd int) error {
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
				unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1),
				unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1),
				unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 2))
		})
		r.ok(speak(c))
		before := r.one("echo").GetSegsIn()
		time.Sleep(4500 * time.Millisecond)
		if now := r.one("echo").GetSegsIn(); now < before+2 {
			r.t.Errorf("%d segments after %d: there were no probes", now, before)
		}
		r.ok(speak(c))
	})
	r.sub("ours", func(r *termination) {
		before := r.mib()
		stays, goes := r.dial(r.b, "10.0.2.1:8"), r.dial(r.a, "[2001:db8:1::1]:8")
		r.ok(speak(stays))
		r.ok(speak(goes))
		r.a.IP("link", "set", "eth0", "down")
		r.eventually(20*time.Second, func() error {
			all := r.connections("--listener", "probing")
			if len(all) != 1 || all[0].GetRemoteAddress() != "10.0.2.2" {
				return fmt.Errorf("there are %v", all)
			}
			return nil
		})
		r.ok(speak(stays))
		r.rose(before, "keepalive-probes", "keepalive-drops")
	})
}

// TestTCPVirtualAddress: a host on the link finds a virtual address by ARP or ND, once it is there and until it is not.
func TestTCPVirtualAddress(t *testing.T) {
	r := newTermination(t, "vip", `
vips:
  - {name: four, address: 10.0.1.80}
  - {name: six, address: "2001:db8:1::80"}
listeners:
  - {name: four, address: 10.0.1.80, port: 7, service: echo}
  - {name: six, address: "2001:db8:1::80", port: 7, service: echo}
`)
	for name, vip := range map[string]string{"four": "10.0.1.80", "six": "2001:db8:1::80"} {
		r.sub(name, func(r *termination) {
			for _, c := range []*net.TCPConn{r.dial(r.a, at(vip, 7)), r.dial(r.b, at(vip, 7))} {
				r.ok(echoes(c, 1, 1<<20))
			}
			if out := r.run(r.a, "ip", "neigh", "show", vip); !strings.Contains(out, r.mac(r.ns, "pa")) {
				r.t.Errorf("the neighbour of host a is %q", out)
			}
			// The listener is on that address alone.
			if _, err := dial(r.a, at(map[string]string{"four": "10.0.1.1", "six": "2001:db8:1::1"}[name], 7)); !errors.Is(err, unix.ECONNREFUSED) {
				r.t.Errorf("at the interface's address: %v", err)
			}
			r.ctl("tcp", "listener", "delete", name)
			r.ctl("tcp", "vip", "delete", name)
			r.run(r.a, "ip", "neigh", "flush", "dev", "eth0")
			_ = r.a.Do(func() error {
				c, err := net.DialTimeout("tcp", at(vip, 7), 1500*time.Millisecond)
				if err == nil {
					_, err = io.WriteString(c, "x")
					r.t.Errorf("the address is still there: %v", err)
					_ = c.Close()
				}
				return nil
			})
		})
	}
}
