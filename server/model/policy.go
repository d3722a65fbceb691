package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

const (
	policyTop     = "routing-policy"
	prefixSets    = "defined-sets/prefix-sets/prefix-set"
	neighborSets  = "defined-sets/neighbor-sets/neighbor-set"
	asPathSets    = "defined-sets/bgp-defined-sets/as-path-sets/as-path-set"
	standardSets  = "defined-sets/bgp-defined-sets/community-sets/community-set"
	extendedSets  = "defined-sets/bgp-defined-sets/ext-community-sets/ext-community-set"
	largeSets     = "defined-sets/bgp-defined-sets/large-community-sets/large-community-set"
	policyList    = "policy-definitions/policy-definition"
	statementList = "statements/statement"
)

// policySection is the routing policy.
func policySection() section {
	return section{read: readPolicy, write: writePolicy, names: []string{"routing-policy"}, locate: locatePolicy}
}

// communityKind is where sets of one type of communities are, and how their members are written.
type communityKind struct {
	kind         config.CommunityType
	list         string
	key, members string
	toConfig     func(string) string
	toTree       func(string) string
}

func communityKinds() []communityKind {
	return []communityKind{
		{"standard", standardSets, "community-set-name", "community-member", standardToConfig, standardToTree},
		{"extended", extendedSets, "ext-community-set-name", "ext-community-member", extendedToConfig, extendedToTree},
		{"large", largeSets, "name", "member", same, same},
	}
}

func same(s string) string { return s }

func kindOf(t config.CommunityType) communityKind {
	for _, k := range communityKinds() {
		if k.kind == t {
			return k
		}
	}
	return communityKinds()[0]
}

func readPolicy(x *reader) {
	n, at := x.Root.At(policyTop), top(policyTop)
	r := &x.C.RoutingPolicy
	r.PrefixSets = entries(x, n.At(prefixSets), below(at, prefixSets), x.prefixSet)
	for s := range n.List(neighborSets) {
		r.NeighborSets = append(r.NeighborSets, config.NeighborSet{
			Name: s.Key("name"), Addresses: x.addrs(s, below(at, "defined-sets/neighbor-sets").With(s.Elem()), "config/address"),
		})
	}
	for s := range n.List(asPathSets) {
		r.ASPathSets = append(r.ASPathSets, config.ASPathSet{
			Name: s.Key("as-path-set-name"), Patterns: s.Texts("config/as-path-set-member"),
		})
	}
	seen := map[string]bool{}
	for _, k := range communityKinds() {
		for s := range n.List(k.list) {
			c := config.CommunitySet{Name: s.Key(k.key)}
			if k.kind != "standard" {
				c.Type = k.kind
			}
			if seen[c.Name] {
				list := below(at, k.list)
				x.fail(list[:len(list)-1].With(s.Elem()), "there is a set of communities of another type with this name")
			}
			seen[c.Name] = true
			for _, m := range s.Texts("config/" + k.members) {
				c.Communities = append(c.Communities, k.toConfig(m))
			}
			r.CommunitySets = append(r.CommunitySets, c)
		}
	}
	r.Policies = entries(x, n.At(policyList), below(at, policyList), x.policy)
}

func (x *reader) prefixSet(at tree.Path, n *tree.Node) config.PrefixSet {
	s := config.PrefixSet{Name: n.Key("name")}
	mode := n.Text("config/mode")
	if mode == "MIXED" {
		x.failAt(at, "config/mode", "MIXED is not supported: make a set for each family")
	}
	for p := range n.List("prefixes/prefix") {
		pat := below(at, "prefixes").With(p.Elem())
		m := config.PrefixMatch{Prefix: x.prefix(p, pat, "ip-prefix")}
		if !m.Prefix.IsValid() {
			continue
		}
		if mode != "" && mode != "MIXED" && (mode == "IPV4") != m.Prefix.Addr().Is4() {
			x.fail(pat, "is not of the mode of the set, %s", mode)
		}
		if r := p.Key("masklength-range"); r != "exact" {
			lo, hi, _ := strings.Cut(r, "..")
			a, errA := strconv.ParseUint(lo, 10, 8)
			b, errB := strconv.ParseUint(hi, 10, 8)
			if errA != nil || errB != nil || b == 0 || a < uint64(m.Prefix.Bits()) {
				x.fail(pat, "%s is no range of lengths of prefixes in %s: give `exact`, or two numbers such as 24..32", r, m.Prefix)
			}
			m.Min, m.Max = uint8(a), uint8(b)
		}
		s.Prefixes = append(s.Prefixes, m)
	}
	return s
}

// rangeText is the range of a prefix as OpenConfig writes it.
func rangeText(m config.PrefixMatch) string {
	if m.Min == 0 && m.Max == 0 {
		return "exact"
	}
	lo, hi := m.Bounds()
	return fmt.Sprintf("%d..%d", lo, hi)
}

func writePolicy(w *writer) {
	at, r := top(policyTop), &w.C.RoutingPolicy
	for _, s := range r.PrefixSets {
		sat := entry(at, prefixSets, "name", s.Name)
		w.set(sat, "config/name", s.Name)
		for _, m := range s.Prefixes {
			p := entry(sat, "prefixes/prefix", "ip-prefix", m.Prefix.String(), "masklength-range", rangeText(m))
			w.set(p, "config/ip-prefix", m.Prefix)
		}
	}
	for _, s := range r.NeighborSets {
		sat := entry(at, neighborSets, "name", s.Name)
		w.set(sat, "config/name", s.Name)
		w.opt(sat, "config/address", s.Addresses)
	}
	for _, s := range r.ASPathSets {
		sat := entry(at, asPathSets, "as-path-set-name", s.Name)
		w.set(sat, "config/as-path-set-name", s.Name)
		w.opt(sat, "config/as-path-set-member", s.Patterns)
	}
	for _, s := range r.CommunitySets {
		k := kindOf(s.Type)
		sat := entry(at, k.list, k.key, s.Name)
		w.set(sat, "config/"+k.key, s.Name)
		w.opt(sat, "config/"+k.members, each(s.Communities, k.toTree))
	}
	for i := range r.Policies {
		p := &r.Policies[i]
		pat := entry(at, policyList, "name", p.Name)
		w.set(pat, "config/name", p.Name)
		for j := range p.Statements {
			s := &p.Statements[j]
			w.statement(entry(pat, statementList, "name", s.Name), s)
		}
	}
}

func each(list []string, f func(string) string) []string {
	var out []string
	for _, s := range list {
		if t := f(s); !slices.Contains(out, t) { // two ways to write one value
			out = append(out, t)
		}
	}
	return out
}

// locatePolicy finds the places of routing-policy.…
func locatePolicy(l *locator, s []step) tree.Path {
	at := top(policyTop)
	f, g := stepAt(s, 1), stepAt(s, 2)
	set := func(list, key, members string) tree.Path {
		out := entry(at, list, key, f.Key)
		if g.Name != "" {
			return below(out, "config/"+members)
		}
		return out
	}
	switch f.Name {
	case "prefix-sets":
		out := entry(at, prefixSets, "name", f.Key)
		if g.Name != "prefixes" {
			return out
		}
		for _, p := range l.C.RoutingPolicy.PrefixSets {
			for i, m := range p.Prefixes {
				if p.Name == f.Key && (m.Prefix.String() == g.Key || i == g.index()) {
					return entry(out, "prefixes/prefix", "ip-prefix", m.Prefix.String(), "masklength-range", rangeText(m))
				}
			}
		}
		return below(out, "prefixes")
	case "neighbor-sets":
		return set(neighborSets, "name", "address")
	case "as-path-sets":
		return set(asPathSets, "as-path-set-name", "as-path-set-member")
	case "community-sets":
		for _, c := range l.C.RoutingPolicy.CommunitySets {
			if c.Name == f.Key {
				k := kindOf(c.Type)
				return set(k.list, k.key, k.members)
			}
		}
	case "policies":
		out := entry(at, policyList, "name", f.Key)
		if g.Name == "statements" && g.Key != "" {
			return l.statement(entry(out, statementList, "name", g.Key), s[3:])
		}
		return out
	}
	return at
}
