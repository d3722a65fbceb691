package bgp

import (
	"fmt"
)

func (d *PolicyDefs) has(name string) bool {
	for i := range d.Policies {
		if d.Policies[i].Name == name {
			return true
		}
	}
	return false
}

// setKinds are the sets by kind and name.
type setKinds struct {
	prefix, neighbor, asPath map[string]bool
	community                map[CommunityType]map[string]bool
}

func (d *PolicyDefs) validate(v *validator) {
	k := setKinds{
		prefix: make(map[string]bool), neighbor: make(map[string]bool), asPath: make(map[string]bool),
		community: map[CommunityType]map[string]bool{StandardCommunity: {}, ExtendedCommunity: {}, LargeCommunity: {}},
	}
	name := func(list, n string, seen map[string]bool) string {
		f := fmt.Sprintf("policy.%s[%s]", list, n)
		v.check(n != "", "policy."+list+"[].name", "missing")
		v.check(!seen[n], f, "is there twice")
		seen[n] = true
		return f
	}
	for _, s := range d.PrefixSets {
		f := name("prefix-sets", s.Name, k.prefix)
		v.check(len(s.Prefixes) > 0, f+".prefixes", "is empty")
		for i, p := range s.Prefixes {
			ff := fmt.Sprintf("%s.prefixes[%d]", f, i)
			if err := p.check(); err != nil {
				v.fail(ff, "%s", err)
				continue
			}
			v.check(p.Prefix.Addr().Is4() == s.Prefixes[0].Prefix.Addr().Is4(), ff,
				"a set has prefixes of one family only")
		}
	}
	for _, s := range d.NeighborSets {
		f := name("neighbor-sets", s.Name, k.neighbor)
		v.check(len(s.Addresses) > 0, f+".addresses", "is empty")
		for i, p := range s.Addresses {
			v.check(p.IsValid() && !p.Addr().Is4In6() && p == p.Masked(), fmt.Sprintf("%s.addresses[%d]", f, i),
				"is not a prefix, or has bits set after its length")
		}
	}
	for _, s := range d.ASPathSets {
		f := name("as-path-sets", s.Name, k.asPath)
		v.check(len(s.Patterns) > 0, f+".patterns", "is empty")
		for i, p := range s.Patterns {
			if err := checkPattern(p); err != nil {
				v.fail(fmt.Sprintf("%s.patterns[%d]", f, i), "%s", err)
			}
		}
	}
	all := make(map[string]bool)
	for _, s := range d.CommunitySets {
		f := name("community-sets", s.Name, all)
		v.check(s.Type <= LargeCommunity, f+".type", "is unknown")
		v.check(len(s.Members) > 0, f+".members", "is empty")
		if s.Type <= LargeCommunity {
			k.community[s.Type][s.Name] = true
		}
		for i, m := range s.Members {
			if err := checkMember(s.Type, m); err != nil {
				v.fail(fmt.Sprintf("%s.members[%d]", f, i), "%s", err)
			}
		}
	}
	seen := make(map[string]bool)
	for _, p := range d.Policies {
		f := name("policies", p.Name, seen)
		for i := range p.Statements {
			st := &p.Statements[i]
			sf := fmt.Sprintf("%s.statements[%s]", f, statementName(st, i))
			st.Match.validate(v, sf+".match", k)
			st.Actions.validate(v, sf+".actions")
		}
	}
}

func (m *Match) validate(v *validator, f string, k setKinds) {
	set := func(field string, s *SetMatch, known map[string]bool, all bool) {
		if s == nil {
			return
		}
		v.check(known[s.Set], f+"."+field, "there is no such set %q", s.Set)
		v.check(s.Option <= MatchInvert && (all || s.Option != MatchAll), f+"."+field, "its option does not apply")
	}
	set("prefix-set", m.PrefixSet, k.prefix, false)
	set("neighbor-set", m.NeighborSet, k.neighbor, false)
	set("as-path-set", m.ASPathSet, k.asPath, true)
	set("community-set", m.CommunitySet, k.community[StandardCommunity], true)
	set("ext-community-set", m.ExtCommunitySet, k.community[ExtendedCommunity], true)
	set("large-community-set", m.LargeCommunitySet, k.community[LargeCommunity], true)
	compare := func(field string, c *Compare) {
		if c != nil {
			v.check(c.Op == "eq" || c.Op == "ge" || c.Op == "le", f+"."+field, "%q is not one of eq, ge, le", c.Op)
		}
	}
	compare("as-path-length", m.ASPathLength)
	compare("community-count", m.CommunityCount)
	for i, p := range m.NextHops {
		v.check(p.IsValid() && !p.Addr().Is4In6(), fmt.Sprintf("%s.next-hops[%d]", f, i), "is not a prefix")
	}
	v.check(m.RouteType <= LocalRoute, f+".route-type", "is unknown")
	v.check(m.Origin == "" || validOrigin(m.Origin), f+".origin", "%q is not one of igp, egp, incomplete", m.Origin)
	for i, x := range m.Families {
		v.check(x == IPv4Unicast || x == IPv6Unicast, fmt.Sprintf("%s.families[%d]", f, i), "is unknown")
	}
}

func validOrigin(s string) bool { return s == "igp" || s == "egp" || s == "incomplete" }

func (a *Actions) validate(v *validator, f string) {
	v.check(a.Result <= Reject, f+".result", "is unknown")
	community := func(field string, t CommunityType, o *CommunityOp) {
		if o == nil {
			return
		}
		ff := f + "." + field
		v.check(o.Op == "add" || o.Op == "remove" || o.Op == "replace", ff+".op", "%q is not one of add, remove, replace", o.Op)
		v.check(len(o.Communities) > 0 || o.Op == "replace", ff+".communities", "is empty")
		for i, c := range o.Communities {
			_, err := ParseCommunity(t, c)
			if o.Op == "remove" {
				err = checkMember(t, c)
			}
			if err != nil {
				v.fail(fmt.Sprintf("%s.communities[%d]", ff, i), "%s", err)
			}
		}
	}
	community("community", StandardCommunity, a.Community)
	community("ext-community", ExtendedCommunity, a.ExtCommunity)
	community("large-community", LargeCommunity, a.LargeCommunity)
	if a.MED != nil {
		v.check(a.MED.Op == "set" || a.MED.Op == "add" || a.MED.Op == "sub", f+".med.op",
			"%q is not one of set, add, sub", a.MED.Op)
	}
	if a.Prepend != nil {
		v.check(a.Prepend.ASN == 0 || validASN(a.Prepend.ASN), f+".prepend.asn", "%d is reserved", a.Prepend.ASN)
		v.check(a.Prepend.Repeat >= 1 && a.Prepend.Repeat <= 64, f+".prepend.repeat", "%d is not in 1..64", a.Prepend.Repeat)
	}
	if n := a.NextHop; n != nil {
		count := 0
		for _, set := range []bool{n.Self, n.Unchanged, n.Peer, n.Address.IsValid()} {
			if set {
				count++
			}
		}
		v.check(count == 1, f+".next-hop", "is not exactly one of self, unchanged, peer and an address")
		v.check(!n.Address.IsValid() || n.Address.Zone() == "" && !n.Address.Is4In6(), f+".next-hop.address",
			"%s is not an address without a zone", n.Address)
	}
	v.check(a.Origin == "" || validOrigin(a.Origin), f+".origin", "%q is not one of igp, egp, incomplete", a.Origin)
}
