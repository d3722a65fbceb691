package control

import (
	"net/netip"
	"testing"

	"millrace/routing/rib"
	"millrace/server/config"
)

// Next hops of another distance stand by, and take over when the others cannot be resolved.
func TestStaticRouteThatFloats(t *testing.T) {
	r := rib.New(rib.Options{})
	for _, name := range []string{"eth1", "eth2"} {
		r.SetInterfaceState(name, true)
	}
	p := netip.MustParsePrefix("203.0.113.0/24")
	now := &config.Config{}
	bring := func(distance uint8, hops ...config.NextHop) {
		t.Helper()
		next := &config.Config{NetworkInstances: []config.NetworkInstance{{Name: "default", StaticRoutes: []config.StaticRoute{
			{Prefix: p, Distance: distance, NextHops: hops},
		}}}}
		if len(hops) == 0 {
			next = &config.Config{}
		}
		del, add := routeChanges(now, next)
		for _, err := range append(r.Apply(del), r.Apply(add)...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		now = next
	}
	want := func(candidates int, ifaces ...string) {
		t.Helper()
		i, err := r.Get("default", p)
		if err != nil || len(i.Candidates) != candidates || i.Best < 0 && len(ifaces) > 0 || len(i.Resolved) != len(ifaces) {
			t.Fatalf("%+v %v", i, err)
		}
		for k, name := range ifaces {
			if i.Resolved[k].Interface != name {
				t.Fatalf("%+v", i.Resolved)
			}
		}
	}
	one, two := config.NextHop{Interface: "eth1"}, config.NextHop{Interface: "eth2"}
	spare := two
	spare.Distance = 200
	bring(0, one, two)
	want(1, "eth1", "eth2")
	bring(0, one, spare)
	want(2, "eth1")
	r.SetInterfaceState("eth1", false)
	want(2, "eth2")
	r.SetInterfaceState("eth1", true)
	want(2, "eth1")
	bring(100, one, spare)
	want(2, "eth1")
	spare.Distance = 50
	bring(100, one, spare)
	want(2, "eth2")
	bring(100, one)
	want(1, "eth1")
	bring(0)
	if _, err := r.Get("default", p); err == nil {
		t.Error("the route is left")
	}
}
