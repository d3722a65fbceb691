package control

import (
	"net/netip"
	"reflect"

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

// configRoutes are the connected and static routes of a configuration.
func configRoutes(c *config.Config) map[routeKey]rib.Route {
	routes := map[routeKey]rib.Route{}
	add := func(r rib.Route) { routes[routeKey{r.VRF, r.Prefix, r.Source, r.Origin}] = r }
	for _, r := range connectedRoutes(c) {
		add(rib.Route{
			VRF: r.vrf, Prefix: r.prefix, Source: rib.SourceConnected, Origin: r.iface,
			NextHops: []rib.NextHop{{Interface: r.iface}},
		})
	}
	for _, n := range c.NetworkInstances {
		for _, s := range n.StaticRoutes {
			add(staticRoute(n.Name, s))
		}
	}
	return routes
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

// routeChanges are what turns one set of routes into another: what goes, and what comes or changes.
func routeChanges(old, next map[routeKey]rib.Route) (del, add []rib.Change) {
	for k, r := range old {
		if _, ok := next[k]; !ok {
			del = append(del, rib.Change{Op: rib.Delete, Route: r})
		}
	}
	for k, r := range next {
		if o, ok := old[k]; !ok || !reflect.DeepEqual(o, r) {
			add = append(add, rib.Change{Op: rib.Add, Route: r})
		}
	}
	return del, add
}
