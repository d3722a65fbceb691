package bgp

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestGracefulRestartHelper(t *testing.T) {
	l := newLab(t)
	l.add("s", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	b := l.bird("b", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001",
		"graceful restart on; graceful restart time 60;"+bird4, "198.51.100.0/24 192.0.2.0/24"))
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		GracefulRestart: GracefulRestart{Enabled: true, StaleRoutesTime: 30 * time.Second},
		Neighbors: []Neighbor{{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{
			PeerAS: 65002, ConnectRetry: time.Second}}},
	})
	s.waitUp("10.0.0.2")
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	waitFor(t, "convergence", func() error {
		if r := s.must(request{Op: "routes"}); r.Converged != 1 || len(r.EORs) != 1 {
			return fmt.Errorf("%d %v", r.Converged, r.EORs)
		}
		return nil
	})
	b.kill()
	s.waitRestarting("10.0.0.2")
	if r := s.routes(); len(r) != 2 {
		t.Fatalf("routes of a restarting neighbour: %v", r)
	}
	p := s.must(request{Op: "received", Neighbor: addr("10.0.0.2"), Family: IPv4Unicast}).Page
	if len(p.Paths) != 2 || !p.Paths[0].Stale {
		t.Errorf("received %+v", p.Paths)
	}
	// It comes back with one route less.
	b.edit("route 192.0.2.0/24 blackhole;", "")
	withdrawn := s.must(request{Op: "routes"}).Withdrawn
	b.start("-R")
	s.waitHops("192.0.2.0/24")
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	if n := s.must(request{Op: "routes"}).Withdrawn; n != withdrawn+1 {
		t.Errorf("%d withdrawals, want 1", n-withdrawn)
	}
	waitFor(t, "the end of the neighbour's restart", func() error {
		if n := s.neighbor("10.0.0.2"); n.PeerRestarting || n.State != Established {
			return fmt.Errorf("state %+v", n)
		}
		return nil
	})
}

// waitRestarting waits until a neighbour is known to have gone to come back.
func (r *remote) waitRestarting(neighbor string) {
	r.t.Helper()
	waitFor(r.t, "neighbour restarting", func() error {
		n := r.neighbor(neighbor)
		if n.State == Established || !n.PeerRestarting {
			return fmt.Errorf("%s %v", n.State, n.PeerRestarting)
		}
		return nil
	})
}

func TestGracefulRestartTimeOver(t *testing.T) {
	l := newLab(t)
	l.add("s", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	b := l.bird("b", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001",
		"graceful restart on; graceful restart time 10;"+bird4, "198.51.100.0/24"))
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"), GracefulRestart: GracefulRestart{Enabled: true},
		Neighbors: []Neighbor{{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002}}},
	})
	s.waitUp("10.0.0.2")
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	b.kill()
	s.waitRestarting("10.0.0.2")
	if r := s.routes(); len(r) != 1 {
		t.Errorf("routes of a restarting neighbour: %v", r)
	}
	s.waitHops("198.51.100.0/24")
}

// The speaker is killed and comes back; one neighbour is reachable at once, the other only after a while.
func TestGracefulRestartSpeaker(t *testing.T) {
	l := newLab(t)
	l.add("s", "f", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "f", "eth0", []string{"10.0.0.2/24"})
	l.link("s", "eth1", []string{"10.0.2.1/24"}, "b", "eth0", []string{"10.0.2.2/24"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", `router bgp 65002
 bgp router-id 10.0.0.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart restart-time 60
 timers bgp 10 30
 neighbor 10.0.0.1 remote-as 65001
 address-family ipv4 unicast
  network 198.51.100.0/24
 exit-address-family
`)
	b := l.bird("b", birdPeer("10.0.2.2", "10.0.2.2", "65003", "10.0.2.1", "65001",
		"graceful restart on;"+bird4, "192.0.2.0/24"))
	c := Config{
		ASN: 65001, RouterID: addr("10.0.0.1"), Networks: prefixes("203.0.113.0/24"),
		GracefulRestart: GracefulRestart{Enabled: true, RestartTime: 60 * time.Second, DeferralTime: 60 * time.Second},
		Neighbors: []Neighbor{
			{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002, ConnectRetry: time.Second}},
			{Address: addr("10.0.2.2"), PeerSettings: PeerSettings{PeerAS: 65003, ConnectRetry: time.Second}},
		},
	}
	s.apply(c)
	s.waitUp("10.0.0.2", "10.0.2.2")
	f.has("show bgp ipv4 unicast", "203.0.113.0/24", "192.0.2.0/24")
	b.has("show route", "203.0.113.0/24", "198.51.100.0/24")
	time.Sleep(2 * time.Second) // so that the neighbours have our end-of-RIB

	// The time of our route in BIRD shows whether it is still the one of before.
	since := func(out string) string {
		_, rest, _ := strings.Cut(out, "203.0.113.0/24")
		_, rest, _ = strings.Cut(rest, "[peer ")
		when, _, _ := strings.Cut(rest, "]")
		return when
	}
	before := since(b.birdc("show", "route"))
	s.kill()
	keeps := func(step string) {
		t.Helper()
		if out := f.vtysh("show bgp ipv4 unicast"); !strings.Contains(out, "203.0.113.0/24") {
			t.Fatalf("%s: FRR dropped our route\n%s", step, out)
		}
		if out := b.birdc("show", "route"); !strings.Contains(out, "203.0.113.0/24") {
			t.Fatalf("%s: BIRD dropped our route\n%s", step, out)
		}
	}
	f.has("show bgp ipv4 unicast", "S") // stale
	keeps("killed")
	// BIRD's packets to us go astray for a while.
	l.run("ip", "-n", l.ns("b"), "neigh", "replace", "10.0.2.1", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent")
	s2 := startSpeaker(t, l.ns("s"))
	s2.must(request{Op: "hold"})
	c.GracefulRestart.Restarting = true
	s2.apply(c)
	s2.waitUp("10.0.0.2")
	s2.waitHops("198.51.100.0/24", "10.0.0.2")
	time.Sleep(2 * time.Second)
	keeps("one neighbour up")
	if n := s2.must(request{Op: "routes"}); n.Converged != 0 {
		t.Fatal("converged before the second neighbour was heard")
	}
	l.run("ip", "-n", l.ns("b"), "neigh", "del", "10.0.2.1", "dev", "eth0")
	s2.waitUp("10.0.2.2")
	s2.waitHops("192.0.2.0/24", "10.0.2.2")
	waitFor(t, "convergence", func() error {
		if r := s2.must(request{Op: "routes"}); r.Converged != 1 {
			return fmt.Errorf("%v", r.EORs)
		}
		return nil
	})
	// The FIB has not acknowledged: the routes of before stay, and nothing was sent.
	time.Sleep(2 * time.Second)
	keeps("converged")
	if out := b.birdc("show", "route"); since(out) != before {
		t.Errorf("BIRD got routes before the FIB was ready, %s\n%s", before, out)
	}
	s2.must(request{Op: "release"})
	f.has("show bgp ipv4 unicast 203.0.113.0/24", "65001", "!stale")
	f.has("show bgp ipv4 unicast", "192.0.2.0/24")
	b.has("show route all 203.0.113.0/24", "65001", "!STALE", "!stale")
	keeps("released")
	for _, n := range s2.must(request{Op: "neighbors"}).Neighbors {
		if n.Address == gateAddr || n.LocalRestarting {
			t.Errorf("after the restart: %+v", n)
		}
	}
	// And later changes go out.
	c.Networks = prefixes("203.0.113.0/24", "203.0.114.0/24")
	s2.apply(c)
	f.has("show bgp ipv4 unicast", "203.0.114.0/24")
	b.has("show route", "203.0.114.0/24")
}

// A neighbour that never comes back ends the deferral by time.
func TestGracefulRestartDeferralOver(t *testing.T) {
	l := newLab(t)
	l.add("s", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	b := l.bird("b", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001",
		"graceful restart on;"+bird4, "198.51.100.0/24"))
	const deferral = 12 * time.Second
	began := time.Now()
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"), Networks: prefixes("203.0.113.0/24"),
		GracefulRestart: GracefulRestart{Enabled: true, Restarting: true, DeferralTime: deferral},
		Neighbors: []Neighbor{
			{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002}},
			{Address: addr("10.0.0.3"), PeerSettings: PeerSettings{PeerAS: 65003}},
		},
	})
	s.waitUp("10.0.0.2")
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	if r := s.must(request{Op: "routes"}); r.Converged != 0 && time.Since(began) < deferral {
		t.Fatal("converged before the deferral time was over")
	}
	if out := b.birdc("show", "route"); strings.Contains(out, "203.0.113.0/24") && time.Since(began) < deferral {
		t.Error("routes were sent before the deferral time was over")
	}
	b.has("show route", "203.0.113.0/24")
	if r := s.must(request{Op: "routes"}); r.Converged != 1 {
		t.Errorf("converged %d times", r.Converged)
	}
}
