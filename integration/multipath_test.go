package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

func mustAddrPort(a string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a), port)
}

const anycast4, anycast6 = "203.0.113.1", "2001:db8:c::1"

// multipathBed has four routers with the same destination behind each.
func multipathBed(t *testing.T) (*bed, map[string]*lab.NS, map[string]*lab.BIRD) {
	b := newBed(t, 4)
	sinks, birds := map[string]*lab.NS{}, map[string]*lab.BIRD{}
	var neighbors []string
	for i := 2; i <= 5; i++ {
		r := fmt.Sprintf("r%d", i)
		sinks[r] = b.lab.NS(r)
		sinks[r].Addr("lo", anycast4+"/32")
		sinks[r].Addr("lo", anycast6+"/128")
		neighbors = append(neighbors, fmt.Sprintf("address: 10.0.%d.2, remote-as: %d, connect-retry: 1, %s", i, 65010+i, bothFamilies))
	}
	b.start(b.interfaces() + bgpConfig(65001, "multipath: {ebgp: 8}\nnetworks: [10.0.1.0/24]", neighbors...) +
		"settings: {neighbor-reachable-time: 2}\n")
	for i := 2; i <= 5; i++ {
		r := fmt.Sprintf("r%d", i)
		birds[r] = b.bird(r, birdPeer(i, 65010+i, 65001, "203.0.113.0/24", "2001:db8:c::/64", ""))
	}
	b.established("10.0.2.2", "10.0.3.2", "10.0.4.2", "10.0.5.2")
	b.hops("203.0.113.0/24", 4)
	b.hops("2001:db8:c::/64", 4)
	return b, sinks, birds
}

// hops waits until a route is in the FIB with this many next hops.
func (b *bed) hops(prefix string, n int) {
	b.t.Helper()
	b.eventually(20*time.Second, func() error {
		r, err := b.routes(prefix)
		if err != nil {
			return err
		}
		if len(r) != 1 || len(r[0].GetResolvedNextHops()) != n || r[0].GetFibState() != vnfv1.FibState_FIB_STATE_INSTALLED {
			return fmt.Errorf("%s has not %d next hops: %v", prefix, n, r)
		}
		return nil
	})
}

// spread checks that each sink has a fair share of the flows.
func spread(t *testing.T, where []string, sinks ...string) {
	t.Helper()
	n := map[string]int{}
	for _, w := range where {
		n[w]++
	}
	fair := len(where) / len(sinks)
	for _, s := range sinks {
		if n[s] < fair/2 || n[s] > fair*2 {
			t.Errorf("%s has %d of %d flows, %d were fair: %v", s, n[s], len(where), fair, n)
		}
		delete(n, s)
	}
	if len(n) > 0 {
		t.Errorf("flows go elsewhere: %v", n)
	}
}

// stayed checks that the flows that were not at the sink `away` are where they were.
func stayed(t *testing.T, before, after []string, away string) {
	t.Helper()
	moved := 0
	for i := range before {
		if before[i] != away && after[i] != before[i] {
			moved++
		}
	}
	if moved > 0 {
		t.Errorf("%d flows moved though their next hop stayed", moved)
	}
}

// intact checks that no packet was lost of the flows that were not at the sink `away`, and returns how many of the others were.
func intact(t *testing.T, tr *traffic, before []string, away string) (lost int) {
	t.Helper()
	for i := range before {
		sent, got := tr.counts(i)
		if before[i] == away {
			lost += sent - got
		} else if got != sent {
			t.Errorf("flow %d, which had nothing to do with it: %d packets sent, %d arrived", i, sent, got)
		}
	}
	return lost
}

// TestMultipathWithdraw: one of four withdraws; its flows go to the three others, whose flows stay, and nothing is lost.
func TestMultipathWithdraw(t *testing.T) {
	b, sinks, birds := multipathBed(t)
	for _, dst := range []string{anycast4, anycast6} {
		b.pings("a", dst)
		channel, prefix := "s4", "203.0.113.0/24"
		if strings.Contains(dst, ":") {
			channel, prefix = "s6", "2001:db8:c::/64"
		}
		warm := startTraffic(t, b.lab.NS("a"), dst, 256, 1000, sinks) // all neighbours are resolved
		b.ok(warm.settle(10 * time.Second))
		warm.halt()
		tr := startTraffic(t, b.lab.NS("a"), dst, 256, 1000, sinks)
		b.ok(tr.settle(10 * time.Second))
		before := tr.where()
		spread(t, before, "r2", "r3", "r4", "r5")
		_, err := birds["r4"].Ctl("disable", channel)
		b.ok(err)
		b.hops(prefix, 3)
		b.ok(tr.settle(10 * time.Second))
		after := tr.where()
		spread(t, after, "r2", "r3", "r5")
		stayed(t, before, after, "r4")
		_, err = birds["r4"].Ctl("enable", channel)
		b.ok(err)
		b.hops(prefix, 4)
		b.ok(tr.settle(10 * time.Second))
		back := tr.where()
		spread(t, back, "r2", "r3", "r4", "r5")
		for i := range after {
			if back[i] != after[i] && back[i] != "r4" {
				t.Errorf("flow %d moved from %s to %s when r4 came back", i, after[i], back[i])
				break
			}
		}
		tr.halt()
		if lost := intact(t, tr, before, "r4"); lost > 0 {
			t.Errorf("%s: %d packets of the flows that had to move were lost", dst, lost)
		}
	}
}

// TestMultipathDead: a link and then a neighbour of one member dies. The data plane takes it out of the group by itself, with vnf
// stopped, and no route is touched.
func TestMultipathDead(t *testing.T) {
	b, sinks, birds := multipathBed(t)
	control, err := b.box.Child("control")
	b.ok(err)
	freeze := func(on bool) {
		sig := syscall.SIGCONT
		if on {
			sig = syscall.SIGSTOP
		}
		b.ok(syscall.Kill(control, sig))
	}
	t.Cleanup(func() { _ = syscall.Kill(control, syscall.SIGCONT) })
	b.pings("a", anycast4)
	for _, c := range []struct {
		what      string
		kill      func()
		revive    func()
		away      string
		within    time.Duration // until all flows arrive again
		mayLose   int           // packets of the flows that were there
		backAfter time.Duration
	}{
		{
			what: "link", away: "r3", within: 2 * time.Second, mayLose: 500, backAfter: 20 * time.Second,
			kill:   func() { sinks["r3"].IP("link", "set", "eth0", "down") },
			revive: func() { sinks["r3"].IP("link", "set", "eth0", "up") },
		},
		{
			// Reachable for 1 to 3 s (RFC 4861, from the configured 2 s), then delay and probes.
			what: "neighbour", away: "r5", within: 20 * time.Second, mayLose: 5000, backAfter: 20 * time.Second,
			kill: func() {
				_, err := sinks["r5"].Output("nft", "add table netdev mute; add chain netdev mute in "+
					"{ type filter hook ingress device eth0 priority 0; policy drop; }")
				b.ok(err)
			},
			revive: func() {
				_, err := sinks["r5"].Output("nft", "delete table netdev mute")
				b.ok(err)
			},
		},
	} {
		tr := startTraffic(t, b.lab.NS("a"), anycast4, 256, 1000, sinks)
		b.ok(tr.settle(10 * time.Second))
		tr.halt()
		tr = startTraffic(t, b.lab.NS("a"), anycast4, 256, 1000, sinks)
		b.ok(tr.settle(10 * time.Second))
		before := tr.where()
		spread(t, before, "r2", "r3", "r4", "r5")
		freeze(true)
		c.kill()
		b.ok(b.lab.Err())
		// Flows arrive at the dead one's socket no longer; wait until they arrive elsewhere.
		var after []string
		err := lab.Eventually(c.within, func() error {
			if err := tr.settle(time.Second); err != nil {
				return err
			}
			after = tr.where()
			for i, w := range after {
				if w == c.away {
					return fmt.Errorf("flow %d still goes to %s", i, w)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		var three []string
		for s := range sinks {
			if s != c.away {
				three = append(three, s)
			}
		}
		spread(t, after, three...)
		stayed(t, before, after, c.away)
		tr.halt()
		lost := intact(t, tr, before, c.away)
		t.Logf("%s: %d packets of its flows were lost", c.what, lost)
		if lost > c.mayLose {
			t.Errorf("%s: %d packets lost", c.what, lost)
		}
		freeze(false)
		c.revive()
		b.ok(b.lab.Err())
		// BIRD ends its session with the link.
		b.eventually(30*time.Second, func() error {
			out, err := birds[c.away].Ctl("show", "protocols", "box")
			if err == nil && !strings.Contains(out, "Established") {
				err = errors.New(out)
			}
			return err
		})
		b.established("10.0.2.2", "10.0.3.2", "10.0.4.2", "10.0.5.2")
		b.hops("203.0.113.0/24", 4)
		tr = startTraffic(t, b.lab.NS("a"), anycast4, 256, 1000, sinks)
		b.eventually(c.backAfter, func() error {
			if err := tr.settle(time.Second); err != nil {
				return err
			}
			n := 0
			for _, w := range tr.where() {
				if w == c.away {
					n++
				}
			}
			if n < 16 {
				return fmt.Errorf("%d flows are back at %s", n, c.away)
			}
			return nil
		})
		tr.halt()
	}
}
