package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

func routesOf(n int) *Config {
	c := &Config{
		Interfaces: []Interface{
			{Name: "eth1", Type: Port, Iface: "a", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
			{Name: "lo0", Type: Loopback},
		},
		NetworkInstances: []NetworkInstance{{Name: DefaultInstance}, {Name: "red"}},
	}
	for i := range n {
		in := &c.NetworkInstances[i%2]
		in.StaticRoutes = append(in.StaticRoutes, StaticRoute{
			Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24),
			NextHops: []NextHop{{Address: netip.MustParseAddr("192.0.2.2")}},
		})
	}
	return c
}

// TestValidateAfter holds what it says against Validate after random changes, right and wrong ones.
func TestValidateAfter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	old := routesOf(60)
	if err := old.Validate(); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for n := range 3000 {
		if n%50 == 0 {
			old = routesOf(60)
		}
		next := old.Clone()
		for range 1 + r.IntN(3) {
			in := &next.NetworkInstances[r.IntN(len(next.NetworkInstances))]
			i := 0
			if len(in.StaticRoutes) > 0 {
				i = r.IntN(len(in.StaticRoutes))
			}
			switch k := r.IntN(12); {
			case k == 0:
				next.Interfaces[0].Addresses = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", 1+r.IntN(3)))}
			case k == 1:
				next.Interfaces[r.IntN(2)].Description = fmt.Sprint(n)
			case k == 2:
				next.Interfaces[0].NetworkInstance = []string{"", "red"}[r.IntN(2)]
			case k == 3 && len(next.NetworkInstances) == 2:
				next.NetworkInstances = next.NetworkInstances[:1]
			case len(in.StaticRoutes) == 0:
			case k == 4:
				in.StaticRoutes = slices.Delete(in.StaticRoutes, i, i+1)
			case k == 5:
				in.StaticRoutes = append(in.StaticRoutes, in.StaticRoutes[i])
			case k == 6:
				in.StaticRoutes[i].Distance = uint8(r.IntN(256))
			case k == 7:
				in.StaticRoutes[i].Action = []RouteAction{"", Blackhole, "x"}[r.IntN(3)]
			case k >= 8 && len(in.StaticRoutes[i].NextHops) == 0:
			case k == 8:
				in.StaticRoutes[i].NextHops[0].Interface = []string{"", "eth1", "lo0", "none"}[r.IntN(4)]
			case k == 9:
				in.StaticRoutes[i].Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(60)), 0}), 24)
			case k == 10:
				in.StaticRoutes[i].NextHops = nil
			case k == 11:
				in.StaticRoutes[i].NextHops[0].NetworkInstance = []string{"", "red", "blue"}[r.IntN(3)]
			}
		}
		want, got := next.Validate(), next.ValidateAfter(old)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%v\nwant %v", got, want)
		}
		if want != nil {
			wrong++
			continue
		}
		x, y := WithoutCommon(old, next)
		if (reflect.DeepEqual(x, y)) != reflect.DeepEqual(old, next) {
			t.Fatal("what differs is not told")
		}
		old = next
	}
	if wrong < 500 || wrong > 2900 {
		t.Errorf("%d of 3000 were wrong", wrong)
	}
}

func TestWithoutCommon(t *testing.T) {
	a := routesOf(1000)
	b := a.Clone()
	b.NetworkInstances[0].StaticRoutes[5].Distance = 9
	b.NetworkInstances[1].StaticRoutes = slices.Delete(b.NetworkInstances[1].StaticRoutes, 7, 8)
	x, y := WithoutCommon(a, b)
	for i, n := range []int{2, 2} {
		if len(x.NetworkInstances[i].StaticRoutes) != n {
			t.Errorf("%d routes are left of old instance %d", len(x.NetworkInstances[i].StaticRoutes), i)
		}
	}
	if n, m := len(y.NetworkInstances[0].StaticRoutes), len(y.NetworkInstances[1].StaticRoutes); n != 2 || m != 1 {
		t.Errorf("%d and %d routes are left of the new instances", n, m)
	}
	if len(a.NetworkInstances[0].StaticRoutes) != 500 || len(b.NetworkInstances[1].StaticRoutes) != 499 {
		t.Error("the originals have changed")
	}
}
