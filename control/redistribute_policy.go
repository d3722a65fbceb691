package control

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/routing/bgp"
	"millrace/server/config"
)

// redistributePolicy is the policies that routes of another source pass on their way into BGP. GoBGP has none for paths of its own, so
// they are evaluated here, by the same rules: such a route comes from no neighbour, and has an empty AS path and no communities before
// a statement gives it some.
type redistributePolicy struct {
	// Statements of all policies, in order, in the form that the speaker's are in; sets are looked up in defs.
	statements []bgp.Statement
	defs       bgp.PolicyDefs
	reject     bool // what no statement decided on
}

func newRedistributePolicy(r *config.RoutingPolicy, asn uint32, d config.Redistribute) *redistributePolicy {
	out := &redistributePolicy{defs: policyDefs(r, asn), reject: d.Default == config.RejectRoute}
	for _, name := range d.Policies {
		for _, p := range out.defs.Policies {
			if p.Name == name {
				out.statements = append(out.statements, p.Statements...)
			}
		}
	}
	out.defs.Policies = nil
	return out
}

// apply gives a route its attributes, and says whether it is accepted.
func (p *redistributePolicy) apply(prefix netip.Prefix) (bgp.RedistributedRoute, bool) {
	r := bgp.RedistributedRoute{Prefix: prefix}
	for i := range p.statements {
		s := &p.statements[i]
		if !p.match(&s.Match, &r) {
			continue
		}
		act(&s.Actions, &r)
		switch s.Actions.Result {
		case bgp.Accept:
			return r, true
		case bgp.Reject:
			return bgp.RedistributedRoute{Prefix: prefix}, false
		}
	}
	return r, !p.reject
}

func (p *redistributePolicy) match(m *bgp.Match, r *bgp.RedistributedRoute) bool {
	is := func(c *bgp.SetMatch, any bool) bool { return c == nil || any != (c.Option == bgp.MatchInvert) }
	switch {
	case !is(m.PrefixSet, m.PrefixSet != nil && p.inPrefixSet(m.PrefixSet.Set, r.Prefix)),
		!is(m.NeighborSet, false), // it comes from none
		!p.asPath(m.ASPathSet, r.ASPath),
		!p.communities(m.CommunitySet, bgp.StandardCommunity, r.Communities),
		!p.communities(m.ExtCommunitySet, bgp.ExtendedCommunity, r.ExtCommunities),
		!p.communities(m.LargeCommunitySet, bgp.LargeCommunity, r.LargeCommunities),
		!compares(m.ASPathLength, len(r.ASPath)),
		!compares(m.CommunityCount, len(r.Communities)),
		m.Origin != "" && m.Origin != cmp.Or(r.Origin, "incomplete"),
		m.RouteType == bgp.InternalRoute, m.RouteType == bgp.ExternalRoute,
		len(m.Families) > 0 && !slices.Contains(m.Families, bgp.FamilyOf(r.Prefix.Addr())):
		return false
	}
	return len(m.NextHops) == 0 || slices.ContainsFunc(m.NextHops, func(n netip.Prefix) bool { return r.NextHop.IsValid() && n.Contains(r.NextHop) })
}

func (p *redistributePolicy) inPrefixSet(name string, prefix netip.Prefix) bool {
	for _, s := range p.defs.PrefixSets {
		if s.Name == name {
			return slices.ContainsFunc(s.Prefixes, func(m bgp.PrefixRange) bool {
				return prefix.Bits() >= int(m.Min) && prefix.Bits() <= int(m.Max) && prefix.Bits() >= m.Prefix.Bits() &&
					m.Prefix.Contains(prefix.Addr())
			})
		}
	}
	return false
}

func (p *redistributePolicy) asPath(c *bgp.SetMatch, path []uint32) bool {
	if c == nil {
		return true
	}
	words := make([]string, len(path))
	for i, as := range path {
		words[i] = strconv.FormatUint(uint64(as), 10)
	}
	text := strings.Join(words, " ")
	for _, s := range p.defs.ASPathSets {
		if s.Name == c.Set {
			return option(c.Option, s.Patterns, func(pattern string) bool {
				re, err := regexp.Compile(strings.ReplaceAll(pattern, "_", `(^|[,{}() ]|$)`))
				return err == nil && re.MatchString(text)
			})
		}
	}
	return false
}

func (p *redistributePolicy) communities(c *bgp.SetMatch, t bgp.CommunityType, have []string) bool {
	if c == nil {
		return true
	}
	for _, s := range p.defs.CommunitySets {
		if s.Name == c.Set && s.Type == t {
			return option(c.Option, s.Members, func(member string) bool {
				return slices.ContainsFunc(have, func(h string) bool { return sameCommunity(t, member, h) })
			})
		}
	}
	return false
}

// option says whether any, all or none of a set match.
func option(o bgp.MatchOption, members []string, matches func(string) bool) bool {
	n := 0
	for _, m := range members {
		if matches(m) {
			n++
		}
	}
	switch o {
	case bgp.MatchAll:
		return n == len(members)
	case bgp.MatchInvert:
		return n == 0
	}
	return n > 0
}

// sameCommunity says whether a value, or an expression over its text, takes a value.
func sameCommunity(t bgp.CommunityType, member, value string) bool {
	v, err := bgp.ParseCommunity(t, value)
	if err != nil {
		return false
	}
	if m, err := bgp.ParseCommunity(t, member); err == nil {
		return m == v
	}
	re, err := regexp.Compile(strings.ReplaceAll(member, "_", `(^|[,{}() ]|$)`))
	return err == nil && (re.MatchString(value) || re.MatchString(v.String()))
}

func compares(c *bgp.Compare, n int) bool {
	if c == nil {
		return true
	}
	switch {
	case c.Op == "ge":
		return uint64(n) >= uint64(c.Value)
	case c.Op == "le":
		return uint64(n) <= uint64(c.Value)
	}
	return uint64(n) == uint64(c.Value)
}

func act(a *bgp.Actions, r *bgp.RedistributedRoute) {
	if a.LocalPref != nil {
		r.LocalPref = a.LocalPref
	}
	if m := a.MED; m != nil {
		var now uint32
		if r.MED != nil {
			now = *r.MED
		}
		switch m.Op {
		case "add":
			now = uint32(min(uint64(now)+uint64(m.Value), 1<<32-1))
		case "sub":
			now -= min(now, m.Value)
		default:
			now = m.Value
		}
		r.MED = &now
	}
	if a.Origin != "" {
		r.Origin = a.Origin
	}
	if p := a.Prepend; p != nil && p.ASN != 0 {
		r.ASPath = slices.Concat(slices.Repeat([]uint32{p.ASN}, int(p.Repeat)), r.ASPath)
	}
	if h := a.NextHop; h != nil {
		r.NextHop = h.Address // invalid: our own, which "self", "peer" and "unchanged" come to
	}
	r.Communities = change(bgp.StandardCommunity, a.Community, r.Communities)
	r.ExtCommunities = change(bgp.ExtendedCommunity, a.ExtCommunity, r.ExtCommunities)
	r.LargeCommunities = change(bgp.LargeCommunity, a.LargeCommunity, r.LargeCommunities)
}

func change(t bgp.CommunityType, op *bgp.CommunityOp, have []string) []string {
	if op == nil {
		return have
	}
	switch op.Op {
	case "replace":
		return op.Communities
	case "remove":
		return slices.DeleteFunc(slices.Clone(have), func(h string) bool {
			return slices.ContainsFunc(op.Communities, func(m string) bool { return sameCommunity(t, m, h) })
		})
	}
	out := slices.Clone(have)
	for _, c := range op.Communities {
		if !slices.ContainsFunc(out, func(h string) bool { return sameCommunity(t, c, h) }) {
			out = append(out, c)
		}
	}
	return out
}
