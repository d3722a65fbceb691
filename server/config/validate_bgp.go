package config

import (
	"fmt"
	"net/netip"
	"slices"
)

const asTrans = 23456 // RFC 6793

func (v *validator) asn(path string, n uint32) {
	if n == asTrans || n == 65535 || n == 1<<32-1 {
		v.errs.addf(path, "%d is a reserved AS number", n)
	}
}

func (v *validator) bgp(n *NetworkInstance, p string) {
	b := n.BGP
	if n.Name != DefaultInstance {
		// Each instance's TAPs are in a network namespace of their own, and the speaker's sockets in that of the default one.
		v.errs.addf(p, "BGP runs in the default instance only")
	}
	if b.ASN == 0 {
		v.errs.addf(p+".asn", "is missing")
	}
	v.asn(p+".asn", b.ASN)
	for _, id := range []struct {
		name string
		addr netip.Addr
	}{{"router-id", b.RouterID}, {"cluster-id", b.ClusterID}} {
		if id.addr.IsValid() && (!id.addr.Is4() || id.addr.IsUnspecified()) {
			v.errs.addf(p+"."+id.name, "%s is not an IPv4 address other than 0.0.0.0", id.addr)
		}
	}
	if !v.c.RouterID(n.Name).IsValid() {
		v.errs.addf(p+".router-id", "is missing, and the instance has no IPv4 address to take it from")
	}
	limit(v, p+".multipath.ebgp", b.Multipath.EBGP, 1, MaxECMP)
	limit(v, p+".multipath.ibgp", b.Multipath.IBGP, 1, MaxECMP)
	limit(v, p+".distance.ebgp", b.Distance.EBGP, 1, 254)
	limit(v, p+".distance.ibgp", b.Distance.IBGP, 1, 254)
	limit(v, p+".graceful-restart.restart-time", b.GracefulRestart.RestartTime, 1, 4095)
	limit(v, p+".graceful-restart.deferral-time", b.GracefulRestart.DeferralTime, 1, 3600)
	limit(v, p+".graceful-restart.stale-time", b.GracefulRestart.StaleTime, 1, 65535)
	for i, a := range b.ListenAddresses {
		if !a.IsUnspecified() && !v.hasAddress(n.Name, a) {
			v.errs.addf(fmt.Sprintf("%s.listen-addresses[%d]", p, i), "no interface of the instance has the address %s", a)
		}
	}
	for i, q := range b.Networks {
		if why := RoutePrefix(q); why != "" {
			v.errs.addf(fmt.Sprintf("%s.networks[%d]", p, i), "%s %s", q, why)
		}
	}
	unique(v, p+".families", b.Families)
	v.redistribute(b, p)
	for i := range b.PeerGroups {
		g := &b.PeerGroups[i]
		at := fmt.Sprintf("%s.peer-groups[%s]", p, g.Name)
		if g.Name != "" && !policyName.MatchString(g.Name) {
			v.errs.addf(at, "the name is not 1 to 63 characters of [A-Za-z0-9._-]")
		}
		v.peerOptions(n, g.PeerOptions, at)
	}
	for i := range b.Neighbors {
		v.bgpNeighbor(n, &b.Neighbors[i], p)
	}
	for _, d := range b.DynamicNeighbors {
		at := fmt.Sprintf("%s.dynamic-neighbors[%s]", p, d.Prefix)
		if d.Prefix.IsValid() && d.Prefix != d.Prefix.Masked() {
			v.errs.addf(at+".prefix", "has bits set past its length: %s?", d.Prefix.Masked())
		}
		if d.PeerGroup == "" {
			v.errs.addf(at+".peer-group", "is missing")
		}
		known(v, at+".peer-group", d.PeerGroup, b.PeerGroups, "peer group", func(g PeerGroup) string { return g.Name })
		if i := slices.IndexFunc(b.PeerGroups, func(g PeerGroup) bool { return g.Name == d.PeerGroup }); i >= 0 {
			v.dynamicOptions(b.PeerGroups[i].PeerOptions, at+".peer-group")
		}
	}
}

// dynamicOptions refuses in the group of dynamic neighbours what needs each to be known before it comes, and wants what else each
// would say of itself.
func (v *validator) dynamicOptions(o PeerOptions, at string) {
	if o.RemoteAS == 0 {
		v.errs.addf(at, "the group has no remote-as, which is that of dynamic neighbours")
	}
	const impossible = "the group has %s, which dynamic neighbours cannot have"
	if o.AllowOwnAS != 0 {
		v.errs.addf(at, impossible, "allow-own-as")
	}
	if o.ReplacePeerAS != nil && *o.ReplacePeerAS {
		v.errs.addf(at, impossible, "replace-peer-as")
	}
	if slices.ContainsFunc(o.Families, func(f BGPFamily) bool { return f.PrefixLimit != 0 }) {
		v.errs.addf(at, impossible, "prefix limits")
	}
}

func (v *validator) redistribute(b *BGP, p string) {
	for i, r := range b.Redistribute {
		at := fmt.Sprintf("%s.redistribute[%d]", p, i)
		if r.Source == "" {
			v.errs.addf(at+".source", "is missing")
		}
		for _, o := range b.Redistribute[:i] {
			if o.Source == r.Source && (o.Family == r.Family || o.Family == "" || r.Family == "") {
				v.errs.addf(at+".source", "%s is there twice", r.Source)
				break
			}
		}
		known(v, at+".prefix-set", r.PrefixSet, v.c.RoutingPolicy.PrefixSets, "prefix set", func(s PrefixSet) string { return s.Name })
		for j, name := range r.Policies {
			known(v, fmt.Sprintf("%s.policies[%d]", at, j), name, v.c.RoutingPolicy.Policies, "policy", func(q Policy) string { return q.Name })
		}
	}
}

// unique reports what is in a list twice.
func unique[T comparable](v *validator, path string, list []T) {
	for i, x := range list {
		if slices.Contains(list[:i], x) {
			v.errs.addf(fmt.Sprintf("%s[%d]", path, i), "%v is there twice", x)
		}
	}
}

func (v *validator) bgpNeighbor(n *NetworkInstance, nb *BGPNeighbor, p string) {
	a, b := nb.Address, n.BGP
	if !a.IsValid() {
		return // told as a missing key
	}
	p = fmt.Sprintf("%s.neighbors[%s]", p, a)
	known(v, p+".peer-group", nb.PeerGroup, b.PeerGroups, "peer group", func(g PeerGroup) string { return g.Name })
	o := b.Resolve(*nb)
	switch {
	case a.Zone() != "":
		v.errs.addf(p+".address", "has a zone: give the interface instead")
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6():
		v.errs.addf(p+".address", "%s is not the address of a router", a)
	case !a.IsLinkLocalUnicast() && v.hasAddress(n.Name, a):
		v.errs.addf(p+".address", "%s is our own address", a)
	case a.Is6() && a.IsLinkLocalUnicast() && nb.Interface == "":
		v.errs.addf(p+".interface", "is missing: %s is a link-local address", a)
	}
	if nb.Interface != "" {
		if f := v.ifaces[nb.Interface]; f == nil {
			v.errs.addf(p+".interface", "there is no interface %s", show(nb.Interface))
		} else if f.Instance() != n.Name {
			v.errs.addf(p+".interface", "%s is in network instance %s, not %s", nb.Interface, f.Instance(), n.Name)
		}
	}
	if o.RemoteAS == 0 {
		v.errs.addf(p+".remote-as", "is missing")
	}
	v.peerOptions(n, o, p)
	own := b.ASN
	if o.LocalAS != 0 {
		own = o.LocalAS
	}
	internal := o.RemoteAS == own
	set := func(x *bool) bool { return x != nil && *x }
	if internal {
		if o.Multihop != 0 {
			v.errs.addf(p+".multihop", "is for eBGP peers; this one is in our own AS")
		}
		if o.RemovePrivateAS != "" {
			v.errs.addf(p+".remove-private-as", "is for eBGP peers; this one is in our own AS")
		}
		if set(o.ReplacePeerAS) {
			v.errs.addf(p+".replace-peer-as", "is for eBGP peers; this one is in our own AS")
		}
	} else if set(o.RouteReflectorClient) {
		v.errs.addf(p+".route-reflector-client", "is for iBGP peers; this one is in AS %d", o.RemoteAS)
	}
	if o.TTLSecurity != 0 && o.Multihop != 0 {
		v.errs.addf(p+".ttl-security", "excludes multihop: its number of hops is given here")
	}
	if l := o.LocalAddress; l.IsValid() && l.Is4() != a.Is4() {
		v.errs.addf(p+".local-address", "%s is of another family than the peer's address", l)
	}
}

// peerOptions checks what holds for a group as well as for a neighbour.
func (v *validator) peerOptions(n *NetworkInstance, o PeerOptions, p string) {
	v.asn(p+".remote-as", o.RemoteAS)
	v.asn(p+".local-as", o.LocalAS)
	if len(o.Description) > 255 {
		v.errs.addf(p+".description", "is longer than 255 bytes")
	}
	if len(o.Password) > 80 {
		v.errs.addf(p+".password", "is longer than the 80 bytes that TCP MD5 allows")
	}
	limit(v, p+".ttl-security", o.TTLSecurity, 1, 254)
	limit(v, p+".multihop", o.Multihop, 2, 255)
	limit(v, p+".hold-time", o.HoldTime, 3, 65535)
	hold := o.HoldTime
	if hold == 0 {
		hold = 90
	}
	if o.Keepalive >= hold {
		v.errs.addf(p+".keepalive", "%d is not less than the hold time of %d", o.Keepalive, hold)
	}
	limit(v, p+".allow-own-as", o.AllowOwnAS, 1, 10)
	limit(v, p+".tcp-mss", o.TCPMSS, 88, 65535)
	if c := o.ClusterID; c.IsValid() && (!c.Is4() || c.IsUnspecified()) {
		v.errs.addf(p+".cluster-id", "%s is not an IPv4 address other than 0.0.0.0", c)
	}
	if l := o.LocalAddress; l.IsValid() && !v.hasAddress(n.Name, l) {
		v.errs.addf(p+".local-address", "no interface of the instance has the address %s", l)
	}
	for _, f := range o.Families {
		limit(v, fmt.Sprintf("%s.families[%s].prefix-warning", p, f.Name), f.PrefixWarning, 1, 100)
		if f.PrefixLimit == 0 && (f.PrefixWarning != 0 || f.PrefixRestart != 0 || f.PrefixWarnOnly) {
			v.errs.addf(fmt.Sprintf("%s.families[%s].prefix-limit", p, f.Name), "is missing")
		}
	}
	for _, l := range []struct {
		name string
		list []string
	}{{"import-policies", o.ImportPolicies}, {"export-policies", o.ExportPolicies}} {
		for i, name := range l.list {
			known(v, fmt.Sprintf("%s.%s[%d]", p, l.name, i), name, v.c.RoutingPolicy.Policies, "policy", func(q Policy) string { return q.Name })
		}
	}
}

// known reports a reference to something that is not there; an empty one is not set.
func known[T any](v *validator, path, name string, all []T, what string, nameOf func(T) string) {
	if name != "" && !slices.ContainsFunc(all, func(t T) bool { return nameOf(t) == name }) {
		v.errs.addf(path, "there is no %s %s", what, show(name))
	}
}

func (v *validator) hasAddress(vrf string, a netip.Addr) bool {
	return len(v.own[ownAddress{vrf, a}]) > 0
}

// RouterID is the BGP identifier of an instance: the one that is set, or the highest IPv4 address of a loopback, or of any
// interface. It is invalid if there is none.
func (c *Config) RouterID(instance string) netip.Addr {
	for i := range c.NetworkInstances {
		if n := &c.NetworkInstances[i]; n.Name == instance && n.BGP != nil && n.BGP.RouterID.IsValid() {
			return n.BGP.RouterID
		}
	}
	var best netip.Addr
	bestLoopback := false
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		for _, a := range f.Addresses {
			loop := f.Type == Loopback
			if f.Instance() != instance || !a.Addr().Is4() || bestLoopback && !loop {
				continue
			}
			if loop && !bestLoopback || !best.IsValid() || a.Addr().Compare(best) > 0 {
				best, bestLoopback = a.Addr(), loop
			}
		}
	}
	return best
}
