package control

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"millrace/routing/bgp"
	"millrace/server/config"
)

// bgpConfigs turns the configuration into one of a speaker for each instance that has BGP.
func bgpConfigs(c *config.Config) map[string]bgp.Config {
	all := map[string]bgp.Config{}
	for i := range c.NetworkInstances {
		n := &c.NetworkInstances[i]
		if n.BGP != nil && isOn(n.BGP.Enabled) {
			all[n.Name] = bgpConfig(c, n)
		}
	}
	return all
}

func isOn(b *bool) bool { return b == nil || *b }

func seconds[T uint16 | uint32](n T) time.Duration { return time.Duration(n) * time.Second }

func bgpConfig(c *config.Config, n *config.NetworkInstance) bgp.Config {
	b := n.BGP
	out := bgp.Config{
		Instance: n.Name, ASN: b.ASN, RouterID: c.RouterID(n.Name), ListenPort: int32(b.ListenPort), ListenAddrs: b.ListenAddresses,
		Multipath: bgp.Multipath{EBGP: int(b.Multipath.EBGP), IBGP: int(b.Multipath.IBGP)},
		Distance:  bgp.Distance{EBGP: b.Distance.EBGP, IBGP: b.Distance.IBGP},
		GracefulRestart: bgp.GracefulRestart{
			Enabled:         isOn(b.GracefulRestart.Enabled),
			HelperOnly:      b.GracefulRestart.HelperOnly,
			RestartTime:     seconds(b.GracefulRestart.RestartTime),
			DeferralTime:    seconds(cmp.Or(b.GracefulRestart.DeferralTime, 120)),
			StaleRoutesTime: seconds(cmp.Or(b.GracefulRestart.StaleTime, 300)),
		},
		Policy: policyDefs(&c.RoutingPolicy, b.ASN), Networks: b.Networks,
	}
	for _, g := range b.PeerGroups {
		s := peerSettings(b, g.PeerOptions)
		if len(s.Families) == 0 {
			s.Families = families(b.Families)
		}
		out.PeerGroups = append(out.PeerGroups, bgp.PeerGroup{Name: g.Name, PeerSettings: s})
	}
	for _, nb := range b.Neighbors {
		// Groups are merged here already: being on or off is inherited as well.
		o := b.Resolve(nb)
		one := bgp.Neighbor{
			Address: nb.Address, PeerGroup: nb.PeerGroup, Disabled: !isOn(o.Enabled), PeerSettings: peerSettings(b, nb.PeerOptions),
		}
		one.Interface, one.RemotePort = nb.Interface, nb.RemotePort
		if len(o.Families) == 0 {
			one.Families = families(b.Families)
		}
		one.NextHop6 = nextHop6(c, n.Name, cmp.Or(o.LocalAddress, nb.Address))
		if nb.Address.Is6() && nb.Address.IsLinkLocalUnicast() {
			one.Address = nb.Address.WithZone(nb.Interface)
		}
		out.Neighbors = append(out.Neighbors, one)
	}
	for _, d := range b.DynamicNeighbors {
		out.DynamicNeighbors = append(out.DynamicNeighbors, bgp.DynamicNeighbor{
			Prefix: d.Prefix, PeerGroup: d.PeerGroup, NextHop6: nextHop6(c, n.Name, d.Prefix.Addr()),
		})
	}
	return out
}

// nextHop6 is the first IPv6 address of the interface that has an IPv4 address or its network.
func nextHop6(c *config.Config, instance string, a netip.Addr) netip.Addr {
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		if f.Instance() != instance || !a.Is4() || !slices.ContainsFunc(f.Addresses, func(p netip.Prefix) bool { return p.Contains(a) }) {
			continue
		}
		for _, p := range f.Addresses {
			if p.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() {
				return p.Addr()
			}
		}
	}
	return netip.Addr{}
}

func peerSettings(b *config.BGP, o config.PeerOptions) bgp.PeerSettings {
	s := bgp.PeerSettings{
		PeerAS: o.RemoteAS, LocalAS: o.LocalAS, Description: o.Description, Password: o.Password, LocalAddress: o.LocalAddress,
		Passive: o.Passive, HoldTime: seconds(o.HoldTime), Keepalive: seconds(o.Keepalive),
		ConnectRetry: seconds(cmp.Or(o.ConnectRetry, 10)), EBGPMultihop: o.Multihop, TTLSecurityHops: o.TTLSecurity,
		RouteReflectorClient: o.RouteReflectorClient, NextHopSelf: o.NextHopSelf, AllowOwnAS: o.AllowOwnAS,
		ReplacePeerAS: o.ReplacePeerAS, RemovePrivateAS: bgp.PrivateAS(o.RemovePrivateAS), Import: o.ImportPolicies,
		Export: o.ExportPolicies, DefaultImport: disposition(o.DefaultImport), DefaultExport: disposition(o.DefaultExport),
		GracefulRestart: o.GracefulRestart, IdleHoldAfterRst: 5 * time.Second, TCPMSS: o.TCPMSS, ClusterID: o.ClusterID,
	}
	if o.RouteReflectorClient != nil && *o.RouteReflectorClient && !s.ClusterID.IsValid() {
		s.ClusterID = b.ClusterID
	}
	for _, f := range o.Families {
		family := familyOf(f.Name)
		s.Families = append(s.Families, family)
		if f.PrefixLimit != 0 {
			s.PrefixLimits = append(s.PrefixLimits, bgp.PrefixLimit{
				Family: family, Max: f.PrefixLimit, WarnPercent: cmp.Or(f.PrefixWarning, 75), WarnOnly: f.PrefixWarnOnly,
				RestartAfter: seconds(f.PrefixRestart),
			})
		}
	}
	return s
}

func familyOf(name config.AddressFamily) bgp.Family {
	if name == config.IPv6Unicast {
		return bgp.IPv6Unicast
	}
	return bgp.IPv4Unicast
}

func families(names []config.AddressFamily) []bgp.Family {
	var all []bgp.Family
	for _, n := range names {
		all = append(all, familyOf(n))
	}
	return all
}

// familiesOf are the families exchanged with a neighbour.
func familiesOf(b *config.BGP, a netip.Addr, o config.PeerOptions) []bgp.Family {
	switch {
	case len(o.Families) == 0 && len(b.Families) > 0:
		return families(b.Families)
	case len(o.Families) == 0:
		return []bgp.Family{bgp.FamilyOf(a)}
	}
	var all []bgp.Family
	for _, f := range o.Families {
		all = append(all, familyOf(f.Name))
	}
	return all
}

func disposition(d config.Disposition) bgp.Result {
	switch d {
	case config.Accept:
		return bgp.Accept
	case config.RejectRoute:
		return bgp.Reject
	}
	return bgp.Next
}

func policyDefs(r *config.RoutingPolicy, asn uint32) bgp.PolicyDefs {
	var d bgp.PolicyDefs
	for _, s := range r.PrefixSets {
		set := bgp.PrefixSet{Name: s.Name}
		for _, m := range s.Prefixes {
			lo, hi := m.Bounds()
			set.Prefixes = append(set.Prefixes, bgp.PrefixRange{Prefix: m.Prefix, Min: lo, Max: hi})
		}
		d.PrefixSets = append(d.PrefixSets, set)
	}
	for _, s := range r.NeighborSets {
		set := bgp.NeighborSet{Name: s.Name}
		for _, a := range s.Addresses {
			set.Addresses = append(set.Addresses, netip.PrefixFrom(a, a.BitLen()))
		}
		d.NeighborSets = append(d.NeighborSets, set)
	}
	for _, s := range r.ASPathSets {
		d.ASPathSets = append(d.ASPathSets, bgp.ASPathSet{Name: s.Name, Patterns: s.Patterns})
	}
	for _, s := range r.CommunitySets {
		d.CommunitySets = append(d.CommunitySets, bgp.CommunitySet{Name: s.Name, Type: communityType(s.Type), Members: s.Communities})
	}
	for _, p := range r.Policies {
		pol := bgp.Policy{Name: p.Name}
		for i := range p.Statements {
			s := &p.Statements[i]
			pol.Statements = append(pol.Statements, bgp.Statement{
				Name: s.Name, Match: policyMatch(r, &s.Match), Actions: policyActions(&s.Actions, asn),
			})
		}
		d.Policies = append(d.Policies, pol)
	}
	return d
}

func communityType(t config.CommunityType) bgp.CommunityType {
	switch t {
	case "extended":
		return bgp.ExtendedCommunity
	case "large":
		return bgp.LargeCommunity
	}
	return bgp.StandardCommunity
}

func setMatch(name string, kind config.MatchKind) *bgp.SetMatch {
	if name == "" {
		return nil
	}
	m := &bgp.SetMatch{Set: name}
	switch kind {
	case config.MatchAll:
		m.Option = bgp.MatchAll
	case config.MatchInvert:
		m.Option = bgp.MatchInvert
	}
	return m
}

func policyMatch(r *config.RoutingPolicy, m *config.Match) bgp.Match {
	out := bgp.Match{
		ExtCommunitySet:   setMatch(m.ExtCommunitySet, m.ExtCommunityMatch),
		LargeCommunitySet: setMatch(m.LargeCommunitySet, m.LargeCommunityMatch),
		Families:          families(m.Families), ASPathLength: compare(m.ASPathLength), CommunityCount: compare(m.CommunityCount),
		PrefixSet: setMatch(m.PrefixSet, m.PrefixMatch), NeighborSet: setMatch(m.NeighborSet, m.NeighborMatch),
		ASPathSet: setMatch(m.ASPathSet, m.ASPathMatch), Origin: string(m.Origin),
	}
	set := setMatch(m.CommunitySet, m.CommunityMatch)
	for _, s := range r.CommunitySets {
		if s.Name != m.CommunitySet {
			continue
		}
		switch communityType(s.Type) {
		case bgp.ExtendedCommunity:
			out.ExtCommunitySet = set
		case bgp.LargeCommunity:
			out.LargeCommunitySet = set
		default:
			out.CommunitySet = set
		}
	}
	if m.MinASPathLength != 0 {
		out.ASPathLength = &bgp.Compare{Op: "ge", Value: m.MinASPathLength}
	}
	if m.MaxASPathLength != 0 {
		out.ASPathLength = &bgp.Compare{Op: "le", Value: m.MaxASPathLength}
	}
	for _, a := range m.NextHops {
		out.NextHops = append(out.NextHops, netip.PrefixFrom(a, a.BitLen()))
	}
	switch m.RouteType {
	case "internal":
		out.RouteType = bgp.InternalRoute
	case "external":
		out.RouteType = bgp.ExternalRoute
	}
	return out
}

func compare(c *config.Compare) *bgp.Compare {
	if c == nil {
		return nil
	}
	return &bgp.Compare{Op: string(cmp.Or(c.Operator, config.OperatorEQ)), Value: c.Value}
}

func policyActions(a *config.Actions, asn uint32) bgp.Actions {
	out := bgp.Actions{LocalPref: a.SetLocalPref, Origin: string(a.SetOrigin)}
	switch a.Result {
	case "accept":
		out.Result = bgp.Accept
	case "reject":
		out.Result = bgp.Reject
	}
	if a.SetMED != nil {
		out.MED = &bgp.MEDOp{Op: "set", Value: *a.SetMED}
		switch a.MEDAction {
		case "add":
			out.MED.Op = "add"
		case "subtract":
			out.MED.Op = "sub"
		}
	}
	switch a.SetNextHop {
	case "":
	case "self":
		out.NextHop = &bgp.NextHopOp{Self: true}
	case "unchanged":
		out.NextHop = &bgp.NextHopOp{Unchanged: true}
	case "peer-address":
		out.NextHop = &bgp.NextHopOp{Peer: true}
	default:
		if addr, err := netip.ParseAddr(a.SetNextHop); err == nil {
			out.NextHop = &bgp.NextHopOp{Address: addr}
		}
	}
	if a.Prepend != 0 {
		out.Prepend = &bgp.PrependOp{ASN: cmp.Or(a.PrependAS, asn), Repeat: a.Prepend}
	}
	out.Community = communityOp(a.RemoveCommunities, a.SetCommunities, a.AddCommunities)
	out.ExtCommunity = communityOp(a.RemoveExtCommunities, a.SetExtCommunities, a.AddExtCommunities)
	out.LargeCommunity = communityOp(a.RemoveLargeCommunities, a.SetLargeCommunities, a.AddLargeCommunities)
	return out
}

func communityOp(remove, set, add []string) *bgp.CommunityOp {
	switch {
	case len(remove) > 0:
		return &bgp.CommunityOp{Op: "remove", Communities: remove}
	case len(set) > 0:
		return &bgp.CommunityOp{Op: "replace", Communities: set}
	case len(add) > 0:
		return &bgp.CommunityOp{Op: "add", Communities: add}
	}
	return nil
}
