package control

import (
	"fmt"
	"net/netip"
	"slices"
	"unsafe"

	"millrace/routing/rib"
	"millrace/server/config"
)

type prefix = netip.Prefix

func prefixOf(b []byte, bits uint32) (prefix, bool) {
	a, ok := netip.AddrFromSlice(b)
	if !ok || int(bits) > a.BitLen() {
		return prefix{}, false
	}
	return netip.PrefixFrom(a, int(bits)), true
}

// routeKey tells the RIB's candidates of the configuration apart.
type routeKey struct {
	vrf    string
	prefix netip.Prefix
	source rib.Source
	origin string
}

// routeChanges are what turns the routes of one configuration (nil: none) into those of another: what goes, and what comes or changes.
func routeChanges(old, next *config.Config) (del, add []rib.Change) {
	if old == nil {
		old = new(config.Config)
	}
	del, add = connectedChanges(connectedByKey(old), connectedByKey(next))
	before := make(map[string]*config.NetworkInstance, len(old.NetworkInstances))
	for i := range old.NetworkInstances {
		before[old.NetworkInstances[i].Name] = &old.NetworkInstances[i]
	}
	for i := range next.NetworkInstances {
		n := &next.NetworkInstances[i]
		var had []config.StaticRoute
		if o := before[n.Name]; o != nil {
			had = o.StaticRoutes
			delete(before, n.Name)
		}
		d, a := staticChanges(n.Name, had, n.StaticRoutes)
		del, add = append(del, d...), append(add, a...)
	}
	for _, o := range before { // instances that go
		d, _ := staticChanges(o.Name, o.StaticRoutes, nil)
		del = append(del, d...)
	}
	return del, add
}

func connectedByKey(c *config.Config) map[routeKey]rib.Route {
	routes := map[routeKey]rib.Route{}
	for _, r := range connectedRoutes(c) {
		routes[routeKey{r.vrf, r.prefix, rib.SourceConnected, r.iface}] = rib.Route{
			VRF: r.vrf, Prefix: r.prefix, Source: rib.SourceConnected, Origin: r.iface,
			NextHops: []rib.NextHop{{Interface: r.iface}},
		}
	}
	return routes
}

func connectedChanges(old, next map[routeKey]rib.Route) (del, add []rib.Change) {
	for k, r := range old {
		if _, ok := next[k]; !ok {
			del = append(del, rib.Change{Op: rib.Delete, Route: r})
		}
	}
	for k, r := range next {
		if _, ok := old[k]; !ok { // all of it is in the key
			add = append(add, rib.Change{Op: rib.Add, Route: r})
		}
	}
	return del, add
}

// staticChanges compares the static routes of an instance. There may be many, and most of them are the same most of the time.
func staticChanges(vrf string, old, next []config.StaticRoute) (del, add []rib.Change) {
	if len(old) == len(next) && unsafe.SliceData(old) == unsafe.SliceData(next) {
		return nil, nil
	}
	had := make(map[prefix]*config.StaticRoute, len(old))
	for i := range old {
		had[old[i].Prefix] = &old[i]
	}
	for i := range next {
		r := &next[i]
		o := had[r.Prefix]
		delete(had, r.Prefix)
		if o != nil && r.Action == o.Action && r.Distance == o.Distance && slices.Equal(r.NextHops, o.NextHops) {
			continue
		}
		now := staticRoutes(vrf, r)
		for _, x := range now {
			add = append(add, rib.Change{Op: rib.Add, Route: x})
		}
		if o == nil {
			continue
		}
		for _, x := range staticRoutes(vrf, o) {
			if !slices.ContainsFunc(now, func(y rib.Route) bool { return y.Origin == x.Origin }) {
				del = append(del, rib.Change{Op: rib.Delete, Route: x})
			}
		}
	}
	for _, o := range had {
		for _, x := range staticRoutes(vrf, o) {
			del = append(del, rib.Change{Op: rib.Delete, Route: x})
		}
	}
	return del, add
}

// staticRoutes are the candidates of a static route: one for each distance of its next hops.
func staticRoutes(vrf string, s *config.StaticRoute) []rib.Route {
	if !slices.ContainsFunc(s.NextHops, func(h config.NextHop) bool { return h.Distance != 0 }) {
		return []rib.Route{staticRoute(vrf, *s)}
	}
	var out []rib.Route
	parts := map[uint8]*config.StaticRoute{}
	var order []uint8
	for _, h := range s.NextHops {
		d := s.DistanceOf(h)
		if parts[d] == nil {
			parts[d] = &config.StaticRoute{Prefix: s.Prefix, Distance: d}
			order = append(order, d)
		}
		parts[d].NextHops = append(parts[d].NextHops, h)
	}
	for _, d := range order {
		r := staticRoute(vrf, *parts[d])
		if d != max(1, s.Distance) {
			r.Origin = fmt.Sprintf("distance %d", d)
		}
		out = append(out, r)
	}
	return out
}

func staticRoute(vrf string, s config.StaticRoute) rib.Route {
	r := rib.Route{VRF: vrf, Prefix: s.Prefix, Source: rib.SourceStatic, Distance: s.Distance}
	switch s.Action {
	case config.Blackhole:
		r.Kind = rib.KindBlackhole
	case config.Reject:
		r.Kind = rib.KindReject
	case config.Punt:
		r.Kind = rib.KindPunt
	}
	for _, h := range s.NextHops {
		r.NextHops = append(r.NextHops, rib.NextHop{
			Addr: h.Address, Interface: h.Interface, VRF: h.NetworkInstance, Weight: uint32(h.Weight),
		})
	}
	return r
}
