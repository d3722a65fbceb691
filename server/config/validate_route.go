package config

import (
	"fmt"
	"net/netip"
	"slices"
)

func (v *validator) instance(n *NetworkInstance) {
	p := fmt.Sprintf("network-instances[%s]", n.Name)
	if n.Name != "" && !instanceName.MatchString(n.Name) {
		v.errs.addf(p, "the name is not 1 to 31 characters of [A-Za-z0-9_-]")
	}
	if len(v.c.NetworkInstances) > MaxInstances && n == &v.c.NetworkInstances[0] {
		v.errs.addf("network-instances", "%d instances, at most %d are allowed", len(v.c.NetworkInstances), MaxInstances)
	}
	if len(n.Description) > 255 {
		v.errs.addf(p+".description", "is longer than 255 bytes")
	}
	limit(v, p+".ipv4-routes", n.IPv4Routes, 1, 16<<20)
	limit(v, p+".ipv6-routes", n.IPv6Routes, 1, 16<<20)
	if n.Name == DefaultInstance && (n.IPv4Routes != 0 || n.IPv6Routes != 0) {
		v.errs.addf(p, "the sizes of the default instance are in system.dataplane")
	}
	v.staticRoutes(n, p)
	if n.BGP != nil {
		v.bgp(n, p+".bgp")
	}
}

func (v *validator) staticRoute(n *NetworkInstance, r *StaticRoute, p string) {
	if !r.Prefix.IsValid() {
		return // told as a missing key
	}
	p = fmt.Sprintf("%s.static-routes[%s]", p, r.Prefix)
	if why := RoutePrefix(r.Prefix); why != "" {
		v.errs.addf(p+".prefix", "%s %s", r.Prefix, why)
	}
	limit(v, p+".distance", r.Distance, 1, 254)
	if len(r.Description) > 255 {
		v.errs.addf(p+".description", "is longer than 255 bytes")
	}
	forward := r.Action == "" || r.Action == Forward
	switch {
	case forward && len(r.NextHops) == 0:
		v.errs.addf(p+".next-hops", "is missing")
	case !forward && len(r.NextHops) > 0:
		v.errs.addf(p+".next-hops", "do not go with action %s", r.Action)
	case len(r.NextHops) > MaxECMP:
		v.errs.addf(p+".next-hops", "%d next hops, at most %d are allowed", len(r.NextHops), MaxECMP)
	}
	for i, h := range r.NextHops {
		v.nextHop(n, r, h, fmt.Sprintf("%s.next-hops[%d]", p, i))
		same := func(o NextHop) bool {
			return o.Address == h.Address && o.Interface == h.Interface && o.NetworkInstance == h.NetworkInstance &&
				r.DistanceOf(o) == r.DistanceOf(h)
		}
		if slices.ContainsFunc(r.NextHops[:i], same) {
			v.errs.addf(fmt.Sprintf("%s.next-hops[%d]", p, i), "is there twice")
		}
	}
}

// DistanceOf is the administrative distance of a next hop.
func (r *StaticRoute) DistanceOf(h NextHop) uint8 { return cmpOr(h.Distance, cmpOr(r.Distance, 1)) }

// RoutePrefix says why a prefix cannot be that of a route; empty if it can.
func RoutePrefix(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return "is not a prefix"
	case a.Is4In6():
		return "is an IPv4-mapped prefix"
	case p != p.Masked():
		return fmt.Sprintf("has bits set past its length: %s?", p.Masked())
	case a.IsMulticast():
		return "is a multicast prefix"
	case a.IsLoopback() || a.IsLinkLocalUnicast() && a.Is6():
		return "is never routed"
	}
	return ""
}

func (v *validator) nextHop(n *NetworkInstance, r *StaticRoute, h NextHop, p string) {
	limit(v, p+".distance", h.Distance, 1, 254)
	vrf := n.Name
	if h.NetworkInstance != "" {
		vrf = h.NetworkInstance
		if v.vrfs[vrf] == nil {
			v.errs.addf(p+".network-instance", "there is no network instance %s", show(vrf))
			return
		}
	}
	a := h.Address
	switch {
	case !a.IsValid() && h.Interface == "":
		v.errs.addf(p, "needs an address or an interface")
		return
	case a.IsValid() && (a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.Is4In6()):
		v.errs.addf(p+".address", "%s is not the address of a router", a)
	case a.Zone() != "":
		v.errs.addf(p+".address", "%s has a zone: give the interface instead", a)
	case a.Is4() && r.Prefix.Addr().Is6():
		v.errs.addf(p+".address", "%s is an IPv4 next hop of an IPv6 route", a)
	case a.Is6() && a.IsLinkLocalUnicast() && h.Interface == "":
		v.errs.addf(p+".interface", "is missing: %s is a link-local address", a)
	}
	if h.Interface != "" {
		f := v.ifaces[h.Interface]
		switch {
		case f == nil:
			v.errs.addf(p+".interface", "there is no interface %s", show(h.Interface))
		case f.Instance() != vrf:
			v.errs.addf(p+".interface", "%s is in network instance %s, not %s", h.Interface, f.Instance(), vrf)
		case f.Type == Loopback:
			v.errs.addf(p+".interface", "%s is a loopback", h.Interface)
		}
	}
	for _, name := range v.own[ownAddress{vrf, a}] {
		if !a.IsLinkLocalUnicast() || name == h.Interface {
			v.errs.addf(p+".address", "%s is our own address on interface %s", a, name)
		}
	}
}
