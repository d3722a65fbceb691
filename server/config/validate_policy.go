package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var wellKnownCommunities = []string{
	"graceful-shutdown", "accept-own", "llgr-stale", "no-llgr", "blackhole",
	"no-export", "no-advertise", "no-export-subconfed", "no-peer",
}

func (v *validator) policyName(path, name string) {
	if name != "" && !policyName.MatchString(name) {
		v.errs.addf(path, "the name is not 1 to 63 characters of [A-Za-z0-9._-]")
	}
}

func (v *validator) routingPolicy() {
	r := &v.c.RoutingPolicy
	const p = "routing-policy."
	for _, s := range r.PrefixSets {
		v.prefixSet(s, fmt.Sprintf("%sprefix-sets[%s]", p, s.Name))
	}
	for _, s := range r.CommunitySets {
		at := fmt.Sprintf("%scommunity-sets[%s]", p, s.Name)
		v.policyName(at, s.Name)
		if len(s.Communities) == 0 {
			v.errs.addf(at+".communities", "is missing")
		}
		for i, c := range s.Communities {
			v.community(fmt.Sprintf("%s.communities[%d]", at, i), c, s.Type, true)
		}
	}
	for _, s := range r.ASPathSets {
		at := fmt.Sprintf("%sas-path-sets[%s]", p, s.Name)
		v.policyName(at, s.Name)
		if len(s.Patterns) == 0 {
			v.errs.addf(at+".patterns", "is missing")
		}
		for i, e := range s.Patterns {
			v.regexp(fmt.Sprintf("%s.patterns[%d]", at, i), e)
		}
	}
	for _, s := range r.NeighborSets {
		at := fmt.Sprintf("%sneighbor-sets[%s]", p, s.Name)
		v.policyName(at, s.Name)
		if len(s.Addresses) == 0 {
			v.errs.addf(at+".addresses", "is missing")
		}
	}
	for _, pol := range r.Policies {
		at := fmt.Sprintf("%spolicies[%s]", p, pol.Name)
		v.policyName(at, pol.Name)
		for i := range pol.Statements {
			s := &pol.Statements[i]
			v.statement(s, fmt.Sprintf("%s.statements[%s]", at, s.Name))
		}
	}
}

func (v *validator) prefixSet(s PrefixSet, p string) {
	v.policyName(p, s.Name)
	if len(s.Prefixes) == 0 {
		v.errs.addf(p+".prefixes", "is missing")
	}
	for i, m := range s.Prefixes {
		if !m.Prefix.IsValid() {
			v.errs.addf(fmt.Sprintf("%s.prefixes[%d].prefix", p, i), "is missing")
			continue
		}
		at := fmt.Sprintf("%s.prefixes[%s]", p, m.Prefix)
		if slices.Contains(s.Prefixes[:i], m) {
			v.errs.addf(at, "is there twice")
		}
		if m.Prefix != m.Prefix.Masked() {
			v.errs.addf(at+".prefix", "has bits set past its length: %s?", m.Prefix.Masked())
		}
		if m.Prefix.Addr().Is4() != s.Prefixes[0].Prefix.Addr().Is4() {
			v.errs.addf(at+".prefix", "is of another family than the first prefix of the set")
		}
		lo, hi := m.Bounds()
		most := m.Prefix.Addr().BitLen()
		if int(lo) < m.Prefix.Bits() || int(hi) > most || lo > hi {
			v.errs.addf(at, "lengths from %d to %d are not between %d and %d", lo, hi, m.Prefix.Bits(), most)
		}
	}
}

// Bounds are the lengths that match. A Min without Max reaches to the longest prefix.
func (m PrefixMatch) Bounds() (lo, hi uint8) {
	lo, hi = m.Min, m.Max
	if lo == 0 {
		lo = uint8(m.Prefix.Bits())
	}
	switch {
	case hi != 0:
	case m.Min != 0:
		hi = uint8(m.Prefix.Addr().BitLen())
	default:
		hi = lo
	}
	return lo, hi
}

// Contains says whether a prefix is in the set.
func (s PrefixSet) Contains(p netip.Prefix) bool {
	return slices.ContainsFunc(s.Prefixes, func(m PrefixMatch) bool {
		lo, hi := m.Bounds()
		return p.Bits() >= int(lo) && p.Bits() <= int(hi) && p.Bits() >= m.Prefix.Bits() && m.Prefix.Contains(p.Addr())
	})
}

func (v *validator) regexp(path, e string) {
	if e == "" || len(e) > 255 {
		v.errs.addf(path, "is not 1 to 255 characters long")
		return
	}
	if _, err := regexp.Compile(strings.ReplaceAll(e, "_", `(^|[,{}() ]|$)`)); err != nil {
		v.errs.addf(path, "%s is not a regular expression: %s", show(e), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

// community checks a value of a set or an action; pattern says whether a regular expression may stand there.
func (v *validator) community(path, c string, kind CommunityType, pattern bool) {
	parts := strings.Split(c, ":")
	number := func(s string, bits int) bool { _, err := strconv.ParseUint(s, 10, bits); return err == nil }
	ok := false
	switch kind {
	case "", "standard":
		ok = slices.Contains(wellKnownCommunities, c) || number(c, 32) ||
			len(parts) == 2 && number(parts[0], 16) && number(parts[1], 16)
	case "large":
		ok = len(parts) == 3 && number(parts[0], 32) && number(parts[1], 32) && number(parts[2], 32)
	case "extended":
		ok = len(parts) == 3 && (parts[0] == "rt" || parts[0] == "soo") && number(parts[2], 32)
	}
	switch {
	case ok:
	case !pattern || !strings.ContainsAny(c, `^$.*+?[]()|\`):
		v.errs.addf(path, "%s is not a community", show(c))
	default:
		v.regexp(path, c)
	}
}

func (v *validator) statement(s *Statement, p string) {
	r := &v.c.RoutingPolicy
	m, a := &s.Match, &s.Actions
	known(v, p+".match.prefix-set", m.PrefixSet, r.PrefixSets, "prefix set", func(x PrefixSet) string { return x.Name })
	known(v, p+".match.community-set", m.CommunitySet, r.CommunitySets, "community set", func(x CommunitySet) string { return x.Name })
	v.communityType(p+".match.ext-community-set", m.ExtCommunitySet, "extended")
	v.communityType(p+".match.large-community-set", m.LargeCommunitySet, "large")
	if m.CommunitySet != "" {
		for _, s := range r.CommunitySets {
			if s.Name == m.CommunitySet && (s.Type == "extended" && m.ExtCommunitySet != "" || s.Type == "large" && m.LargeCommunitySet != "") {
				v.errs.addf(p+".match.community-set", "%s is of type %s, as the other set is: use two statements", s.Name, s.Type)
			}
		}
	}
	known(v, p+".match.as-path-set", m.ASPathSet, r.ASPathSets, "AS path set", func(x ASPathSet) string { return x.Name })
	known(v, p+".match.neighbor-set", m.NeighborSet, r.NeighborSets, "neighbor set", func(x NeighborSet) string { return x.Name })
	for _, k := range []struct {
		name, set string
		kind      MatchKind
		all       bool
	}{
		{"prefix", m.PrefixSet, m.PrefixMatch, false}, {"community", m.CommunitySet, m.CommunityMatch, true},
		{"ext-community", m.ExtCommunitySet, m.ExtCommunityMatch, true},
		{"large-community", m.LargeCommunitySet, m.LargeCommunityMatch, true},
		{"as-path", m.ASPathSet, m.ASPathMatch, true}, {"neighbor", m.NeighborSet, m.NeighborMatch, false},
	} {
		if k.kind != "" && k.set == "" {
			v.errs.addf(fmt.Sprintf("%s.match.%s-set", p, k.name), "is missing")
		}
		if k.kind == MatchAll && !k.all {
			v.errs.addf(fmt.Sprintf("%s.match.%s-match", p, k.name), "all is none of any, invert")
		}
	}
	if m.MinASPathLength != 0 && m.MaxASPathLength != 0 {
		v.errs.addf(p+".match.max-as-path-length", "excludes min-as-path-length: use two statements")
	}
	if m.ASPathLength != nil && m.MinASPathLength+m.MaxASPathLength != 0 {
		v.errs.addf(p+".match.as-path-length", "excludes min-as-path-length and max-as-path-length")
	}
	unique(v, p+".match.next-hops", m.NextHops)
	unique(v, p+".match.families", m.Families)
	v.actions(a, p+".actions")
}

// communityType checks a reference to a set that has to be of a type.
func (v *validator) communityType(path, name string, t CommunityType) {
	if name == "" {
		return
	}
	i := slices.IndexFunc(v.c.RoutingPolicy.CommunitySets, func(s CommunitySet) bool { return s.Name == name })
	if i < 0 {
		v.errs.addf(path, "there is no community set %s", show(name))
	} else if have := v.c.RoutingPolicy.CommunitySets[i].Type; have != t {
		v.errs.addf(path, "%s is a set of communities of another type, %s", show(name), have)
	}
}

func (v *validator) actions(a *Actions, p string) {
	if h := a.SetNextHop; h != "" && h != "self" && h != "unchanged" && h != "peer-address" {
		if addr, err := netip.ParseAddr(h); err != nil || addr.Zone() != "" || addr.IsMulticast() || addr.IsUnspecified() {
			v.errs.addf(p+".set-next-hop", "%s is not an address, self, peer-address or unchanged", show(h))
		}
	}
	limit(v, p+".prepend", a.Prepend, 1, 32)
	if a.PrependAS != 0 && a.Prepend == 0 {
		v.errs.addf(p+".prepend", "is missing")
	}
	v.asn(p+".prepend-as", a.PrependAS)
	if a.MEDAction != "" && a.SetMED == nil {
		v.errs.addf(p+".set-med", "is missing")
	}
	v.communityChange(p, "communities", "", a.RemoveCommunities, a.SetCommunities, a.AddCommunities)
	v.communityChange(p, "ext-communities", "extended", a.RemoveExtCommunities, a.SetExtCommunities, a.AddExtCommunities)
	v.communityChange(p, "large-communities", "large", a.RemoveLargeCommunities, a.SetLargeCommunities, a.AddLargeCommunities)
}

// communityChange checks the three ways to change communities of a type, of which one may be used.
func (v *validator) communityChange(p, name string, t CommunityType, remove, set, add []string) {
	used := 0
	for _, l := range []struct {
		verb    string
		list    []string
		pattern bool
	}{{"remove", remove, true}, {"set", set, false}, {"add", add, false}} {
		if len(l.list) > 0 {
			used++
		}
		for i, c := range l.list {
			v.community(fmt.Sprintf("%s.%s-%s[%d]", p, l.verb, name, i), c, t, l.pattern)
		}
	}
	if used > 1 {
		v.errs.addf(p, "remove-%[1]s, set-%[1]s and add-%[1]s exclude each other: use two statements", name)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
