package bgp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestInstalledCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x := newInstalled()
	have := map[netip.Prefix]netip.Addr{}
	peers := []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1"), addr("fe80::1%eth0")}
	for range 2000 {
		p := prefix(fmt.Sprintf("10.%d.0.0/16", r.IntN(50)))
		if r.IntN(2) == 0 {
			p = prefix(fmt.Sprintf("2001:db8:%x::/48", r.IntN(50)))
		}
		if n := peers[r.IntN(3)]; r.IntN(3) > 0 {
			x.upserted([]Route{{Prefix: p, PathSet: &PathSet{Neighbor: n}}})
			have[p] = n
		} else {
			x.withdrawn([]netip.Prefix{p})
			delete(have, p)
		}
	}
	for _, n := range peers {
		for _, f := range []Family{IPv4Unicast, IPv6Unicast} {
			want := uint64(0)
			for p, m := range have {
				if m == n && FamilyOf(p.Addr()) == f {
					want++
				}
			}
			if got := x.of(n, f); got != want {
				t.Errorf("%s %s: %d, want %d", n, f, got, want)
			}
		}
	}
	if x.of(addr("192.0.2.9"), IPv4Unicast) != 0 {
		t.Error("an unknown neighbour has routes")
	}
}
