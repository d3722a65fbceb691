package model

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"millrace/server/config"
	"millrace/yang/tree"
)

// routing is random network instances with static routes and BGP, and a routing policy; it obeys Config.Validate except for interfaces.
type routing struct{ *rand.Rand }

func (r routing) coin() bool { return r.IntN(2) == 0 }

func maybe[T any](r routing, v T) T {
	var zero T
	if r.coin() {
		return zero
	}
	return v
}

func (r routing) flag() *bool {
	b := r.coin()
	return maybe(r, &b)
}

func (r routing) addr4() netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))})
}

func (r routing) addr() netip.Addr {
	if r.coin() {
		return r.addr4()
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::%x", r.IntN(1<<16), 1+r.IntN(1<<16-1)))
}

func (r routing) prefix() netip.Prefix {
	a := r.addr()
	p, _ := a.Prefix(8 + r.IntN(a.BitLen()-7))
	return p
}

func (r routing) some(names []string) []string {
	var out []string
	for _, n := range names {
		if r.IntN(3) == 0 {
			out = append(out, n)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func oneOf[T any](r routing, all ...T) T { return all[r.IntN(len(all))] }

func distinct[T any, K comparable](n int, key func(T) K, next func() T) []T {
	seen := map[K]bool{}
	var out []T
	for range n {
		if v := next(); !seen[key(v)] {
			seen[key(v)] = true
			out = append(out, v)
		}
	}
	return out
}

func (r routing) static() config.StaticRoute {
	s := config.StaticRoute{Prefix: r.prefix(), Description: maybe(r, "to somewhere"), Distance: maybe(r, uint8(1+r.IntN(254)))}
	if r.IntN(4) == 0 {
		s.Action = oneOf(r, config.Blackhole, config.Reject, config.Punt)
		return s
	}
	weighted := r.coin()
	s.NextHops = distinct(1+r.IntN(14), func(h config.NextHop) netip.Addr { return h.Address }, func() config.NextHop {
		h := config.NextHop{Address: r.addr(), NetworkInstance: maybe(r, "red"), Interface: maybe(r, "eth1")}
		if weighted {
			h.Weight = uint8(1 + r.IntN(255))
		}
		if r.IntN(4) == 0 {
			h.Distance = uint8(1 + r.IntN(254))
		}
		return h
	})
	return s
}

func (r routing) families() []config.BGPFamily {
	var out []config.BGPFamily
	for _, f := range []config.AddressFamily{config.IPv4Unicast, config.IPv6Unicast} {
		if r.coin() {
			b := config.BGPFamily{Name: f}
			if r.coin() {
				b.PrefixLimit, b.PrefixWarning = uint32(1+r.IntN(1e6)), maybe(r, uint8(1+r.IntN(100)))
				b.PrefixWarnOnly, b.PrefixRestart = r.coin(), maybe(r, uint32(60))
			}
			out = append(out, b)
		}
	}
	return out
}

func (r routing) options(policies []string) config.PeerOptions {
	return config.PeerOptions{
		Enabled: r.flag(), Description: maybe(r, "peer"), RemoteAS: maybe(r, uint32(65002)), LocalAS: maybe(r, uint32(65003)),
		Password: maybe(r, "secret"), TTLSecurity: maybe(r, uint8(1)), Multihop: maybe(r, uint8(2+r.IntN(254))),
		HoldTime: maybe(r, uint16(9)), Keepalive: maybe(r, uint16(3)), ConnectRetry: maybe(r, uint16(5)), Passive: r.flag(),
		LocalAddress: maybe(r, r.addr()), TCPMSS: maybe(r, uint16(1400)), RouteReflectorClient: r.flag(), ClusterID: maybe(r, r.addr4()),
		NextHopSelf: r.flag(), AllowOwnAS: maybe(r, uint8(3)), ReplacePeerAS: r.flag(),
		RemovePrivateAS: maybe(r, oneOf[config.PrivateAS](r, "remove", "replace")), GracefulRestart: r.flag(), Families: r.families(),
		ImportPolicies: r.some(policies), ExportPolicies: r.some(policies),
		DefaultImport: oneOf[config.Disposition](r, "", "accept", "reject"), DefaultExport: oneOf[config.Disposition](r, "", "accept", "reject"),
	}
}

func (r routing) bgp(policies, sets []string) *config.BGP {
	b := &config.BGP{
		Enabled: r.flag(), ASN: 65001, RouterID: maybe(r, r.addr4()), ListenPort: maybe(r, uint16(1179)), ClusterID: maybe(r, r.addr4()),
		Multipath: config.Multipath{EBGP: maybe(r, uint8(4)), IBGP: maybe(r, uint8(8))},
		Distance:  config.BGPDistance{EBGP: maybe(r, uint8(30)), IBGP: maybe(r, uint8(31))},
		GracefulRestart: config.GracefulRestart{
			Enabled: r.flag(), HelperOnly: r.coin(), RestartTime: maybe(r, uint16(100)), DeferralTime: maybe(r, uint16(101)),
			StaleTime: maybe(r, uint32(102)),
		},
		Families: maybe(r, []config.AddressFamily{config.IPv6Unicast}),
		Networks: maybe(r, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}),
	}
	group := func(g config.PeerGroup) string { return g.Name }
	b.PeerGroups = distinct(r.IntN(4), group, func() config.PeerGroup {
		return config.PeerGroup{Name: oneOf(r, "core", "edge", "rr"), PeerOptions: r.options(policies)}
	})
	b.Neighbors = distinct(r.IntN(5), func(n config.BGPNeighbor) netip.Addr { return n.Address }, func() config.BGPNeighbor {
		n := config.BGPNeighbor{Address: r.addr(), RemotePort: maybe(r, uint16(1790)), PeerOptions: r.options(policies)}
		if len(b.PeerGroups) > 0 && r.coin() {
			n.PeerGroup = b.PeerGroups[r.IntN(len(b.PeerGroups))].Name
		}
		return n
	})
	for _, g := range b.PeerGroups {
		if r.coin() {
			b.DynamicNeighbors = append(b.DynamicNeighbors, config.DynamicNeighbor{Prefix: r.prefix(), PeerGroup: g.Name})
		}
	}
	for _, s := range []config.RedistributeSource{config.RedistributeConnected, config.RedistributeStatic} {
		if r.coin() {
			continue
		}
		d := config.Redistribute{
			Source: s, Family: oneOf(r, "", config.IPv4Unicast, config.IPv6Unicast), Policies: r.some(policies),
			Default: oneOf[config.Disposition](r, "", "accept", "reject"), PrefixSet: maybe(r, sets[0]),
		}
		b.Redistribute = append(b.Redistribute, d)
	}
	return b
}

func (r routing) statement(name string) config.Statement {
	u := func(n int) *uint32 { v := uint32(r.IntN(n)); return &v }
	s := config.Statement{Name: name}
	m := &s.Match
	kind := func(all bool) config.MatchKind {
		if all {
			return oneOf[config.MatchKind](r, "", "any", "all", "invert")
		}
		return oneOf[config.MatchKind](r, "", "any", "invert")
	}
	if r.coin() {
		m.PrefixSet, m.PrefixMatch = "p", kind(false)
	}
	if r.coin() {
		m.NeighborSet, m.NeighborMatch = "n", kind(false)
	}
	if r.coin() {
		m.ASPathSet, m.ASPathMatch = "a", kind(true)
	}
	if r.coin() {
		m.CommunitySet, m.CommunityMatch = oneOf(r, "standard", "extended", "large"), kind(true)
	} else if r.coin() {
		m.ExtCommunitySet, m.ExtCommunityMatch = "extended", kind(true)
		m.LargeCommunitySet, m.LargeCommunityMatch = "large", kind(true)
	}
	switch r.IntN(4) {
	case 0:
		m.MinASPathLength = 3
	case 1:
		m.MaxASPathLength = 4
	case 2:
		m.ASPathLength = &config.Compare{Operator: oneOf[config.Operator](r, "", "eq", "ge", "le"), Value: *u(3)}
	}
	m.CommunityCount = maybe(r, &config.Compare{Operator: oneOf[config.Operator](r, "eq", "ge", "le"), Value: *u(3)})
	m.Origin = oneOf[config.Origin](r, "", "igp", "egp", "incomplete")
	m.NextHops = maybe(r, []netip.Addr{r.addr4()})
	m.RouteType = oneOf[config.RouteType](r, "", "internal", "external")
	m.Families = maybe(r, []config.AddressFamily{config.IPv4Unicast})
	a := &s.Actions
	a.Result = oneOf[config.StatementResult](r, "", "accept", "reject", "next")
	a.SetLocalPref, a.SetMED = maybe(r, u(200)), maybe(r, u(200))
	if a.SetMED != nil {
		a.MEDAction = oneOf[config.MEDAction](r, "", "set", "add", "subtract")
	}
	a.SetOrigin = oneOf[config.Origin](r, "", "igp", "egp", "incomplete")
	a.SetNextHop = oneOf(r, "", "self", "peer-address", "unchanged", "192.0.2.1")
	if r.coin() {
		a.Prepend, a.PrependAS = uint8(1+r.IntN(32)), maybe(r, uint32(65009))
	}
	*oneOf(r, &a.RemoveCommunities, &a.SetCommunities, &a.AddCommunities) = maybe(r, []string{"65001:1", "no-export", "blackhole"})
	*oneOf(r, &a.RemoveExtCommunities, &a.SetExtCommunities, &a.AddExtCommunities) = maybe(r, []string{"rt:65001:1", "soo:1.10:5"})
	*oneOf(r, &a.RemoveLargeCommunities, &a.SetLargeCommunities, &a.AddLargeCommunities) = maybe(r, []string{"65001:1:2"})
	return s
}

func (r routing) config() *config.Config {
	c := &config.Config{}
	p := &c.RoutingPolicy
	p.PrefixSets = []config.PrefixSet{{Name: "p", Prefixes: distinct(1+r.IntN(4), func(m config.PrefixMatch) config.PrefixMatch { return m },
		func() config.PrefixMatch {
			m := config.PrefixMatch{Prefix: netip.MustParsePrefix(oneOf(r, "10.0.0.0/8", "0.0.0.0/0"))}
			m.Min, m.Max = maybe(r, uint8(8+r.IntN(8))), maybe(r, uint8(16+r.IntN(17)))
			return m
		})}}
	p.PrefixSets[0].Prefixes = distinct(len(p.PrefixSets[0].Prefixes), rangeOf, func() config.PrefixMatch {
		m := p.PrefixSets[0].Prefixes[0]
		p.PrefixSets[0].Prefixes = p.PrefixSets[0].Prefixes[1:]
		return m
	})
	p.NeighborSets = []config.NeighborSet{{Name: "n", Addresses: []netip.Addr{r.addr4()}}}
	p.ASPathSets = []config.ASPathSet{{Name: "a", Patterns: []string{"^65001_", "_65010$"}}}
	p.CommunitySets = []config.CommunitySet{
		{Name: "standard", Communities: []string{"65001:100", "no-export", "^65001:.*$"}},
		{Name: "extended", Type: "extended", Communities: []string{"rt:65001:100", "soo:192.0.2.1:5", "rt:1.10:7"}},
		{Name: "large", Type: "large", Communities: []string{"65001:1:2", "^65001:.*"}},
	}
	policies := []string{"one", "two", "three"}
	for _, name := range policies {
		pol := config.Policy{Name: name}
		for _, s := range r.Perm(3)[:1+r.IntN(3)] {
			pol.Statements = append(pol.Statements, r.statement(fmt.Sprintf("s%d", s)))
		}
		p.Policies = append(p.Policies, pol)
	}
	c.Interfaces = []config.Interface{
		{Name: "eth1", Type: config.Port, Iface: "x", NetworkInstance: maybe(r, "red")},
		{Name: "eth1.100", Type: config.VLAN, Parent: "eth1", VLANID: 100, NetworkInstance: maybe(r, "default")},
	}
	c.NetworkInstances = []config.NetworkInstance{
		{Name: "default", BGP: maybe(r, r.bgp(policies, []string{"p"}))},
		{Name: "red", Description: maybe(r, "the red one"), IPv4Routes: maybe(r, uint32(100)), IPv6Routes: maybe(r, uint32(200))},
	}
	for i := range c.NetworkInstances {
		key := func(s config.StaticRoute) netip.Prefix { return s.Prefix }
		c.NetworkInstances[i].StaticRoutes = distinct(r.IntN(5), key, r.static)
	}
	return c
}

func rangeOf(m config.PrefixMatch) string { return m.Prefix.String() + rangeText(m) }

// normal brings what means the same into one form: the order of lists that have none, and values that are defaults.
func normal(c *config.Config) *config.Config {
	c = c.Clone()
	slices.SortFunc(c.Interfaces, func(a, b config.Interface) int { return strings.Compare(a.Name, b.Name) })
	for i := range c.RoutingPolicy.PrefixSets {
		list := c.RoutingPolicy.PrefixSets[i].Prefixes
		for j := range list {
			if m := &list[j]; m.Min != 0 || m.Max != 0 {
				m.Min, m.Max = m.Bounds()
			}
		}
		slices.SortFunc(list, func(a, b config.PrefixMatch) int { return strings.Compare(rangeOf(a), rangeOf(b)) })
	}
	slices.SortFunc(c.RoutingPolicy.Policies, func(a, b config.Policy) int { return strings.Compare(a.Name, b.Name) })
	w := writer{C: c}
	for i := range c.RoutingPolicy.CommunitySets {
		if s := &c.RoutingPolicy.CommunitySets[i]; s.Type == "standard" {
			s.Type = ""
		}
	}
	for _, p := range c.RoutingPolicy.Policies {
		for i := range p.Statements {
			normalStatement(&w, &p.Statements[i])
		}
	}
	c.NetworkInstances = slices.DeleteFunc(c.NetworkInstances, func(n config.NetworkInstance) bool {
		return n.Name == "default" && emptyInstance(&n)
	})
	for i := range c.NetworkInstances {
		n := &c.NetworkInstances[i]
		slices.SortFunc(n.StaticRoutes, func(a, b config.StaticRoute) int { return strings.Compare(a.Prefix.String(), b.Prefix.String()) })
		for j := range n.StaticRoutes {
			r := &n.StaticRoutes[j]
			if len(r.NextHops) > 0 { // the route's distance is that of its first next hop, if all have one
				base := cmp.Or(r.NextHops[0].Distance, r.Distance)
				for _, h := range r.NextHops {
					if h.Distance == 0 && r.Distance == 0 {
						base = 0
					}
				}
				for k := range r.NextHops {
					h := &r.NextHops[k]
					if h.Distance = cmp.Or(h.Distance, r.Distance); h.Distance == base {
						h.Distance = 0
					}
				}
				r.Distance = base
			}
			if slices.ContainsFunc(r.NextHops, func(h config.NextHop) bool { return h.Weight != 0 }) {
				for j := range r.NextHops {
					r.NextHops[j].Weight = max(1, r.NextHops[j].Weight)
				}
			}
		}
		if b := n.BGP; b != nil {
			normalBGP(b)
		}
	}
	return c
}

func normalStatement(w *writer, s *config.Statement) {
	m, a := &s.Match, &s.Actions
	w.placeCommunitySet(m)
	for _, c := range conditionsOf(m) {
		if *c.kind == config.MatchAny {
			*c.kind = ""
		}
	}
	for _, l := range []*config.Compare{m.ASPathLength, m.CommunityCount} {
		if l != nil {
			l.Operator = cmp.Or(l.Operator, "eq")
		}
	}
	if l := m.ASPathLength; l != nil && l.Value > 0 && l.Operator == "ge" {
		m.MinASPathLength, m.ASPathLength = l.Value, nil
	} else if l != nil && l.Value > 0 && l.Operator == "le" {
		m.MaxASPathLength, m.ASPathLength = l.Value, nil
	}
	if a.MEDAction == "set" {
		a.MEDAction = ""
	}
}

func normalBGP(b *config.BGP) {
	slices.SortFunc(b.PeerGroups, func(a, b config.PeerGroup) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(b.Neighbors, func(a, b config.BGPNeighbor) int { return strings.Compare(a.Address.String(), b.Address.String()) })
	slices.SortFunc(b.DynamicNeighbors, func(a, b config.DynamicNeighbor) int {
		return strings.Compare(a.Prefix.String(), b.Prefix.String())
	})
	options := func(o *config.PeerOptions, grouped bool) {
		if grouped {
			return
		}
		o.ConnectRetry = cmp.Or(o.ConnectRetry, defaultRetry)
		for _, d := range []*config.Disposition{&o.DefaultImport, &o.DefaultExport} {
			if *d == config.Accept {
				*d = ""
			}
		}
	}
	for i := range b.PeerGroups {
		options(&b.PeerGroups[i].PeerOptions, false)
	}
	for i := range b.Neighbors {
		options(&b.Neighbors[i].PeerOptions, b.Neighbors[i].PeerGroup != "")
	}
	for i := range b.Redistribute {
		if b.Redistribute[i].Default == config.Accept {
			b.Redistribute[i].Default = ""
		}
	}
	slices.SortFunc(b.Redistribute, func(a, b config.Redistribute) int { return strings.Compare(string(a.Source), string(b.Source)) })
}

// A Config that is written as a tree reads back the same, also with the tree of another as the hint.
func TestRandomRoutingRoundTrips(t *testing.T) {
	m := New(testSchema(t))
	var hint *tree.Tree
	for seed := range uint64(300) {
		c := routing{rand.New(rand.NewPCG(seed, 4))}.config()
		tr, err := m.FromConfig(c, hint)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		back, err := m.ToConfig(tr)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, tr.Indented())
		}
		want, got := normal(c), normal(back)
		if !reflect.DeepEqual(want.NetworkInstances, got.NetworkInstances) || !reflect.DeepEqual(want.RoutingPolicy, got.RoutingPolicy) {
			a, _ := want.YAML()
			b, _ := got.YAML()
			t.Fatalf("seed %d: %s\n%s", seed, firstDifference(string(a), string(b)), tr.Indented())
		}
		for i := range want.Interfaces {
			if w, g := want.Interfaces[i], got.Interfaces[i]; w.Name != g.Name || w.NetworkInstance != g.NetworkInstance {
				t.Fatalf("seed %d: %+v is %+v", seed, w, g)
			}
		}
		again, err := m.FromConfig(back, tr)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := string(tr.JSON()), string(again.JSON()); a != b {
			t.Fatalf("seed %d: the tree changes when it is written again: %s", seed, firstDifference(a, b))
		}
		hint = tr
	}
}

func firstDifference(a, b string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%q is %q", a[max(0, i-200):min(len(a), i+200)], b[max(0, i-200):min(len(b), i+200)])
		}
	}
	return "one ends before the other"
}

func TestFilesRoundTrip(t *testing.T) {
	m := New(testSchema(t))
	files, err := filepath.Glob("../config/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		c, err := config.Load(f)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := m.FromConfig(c, nil)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		back, err := m.ToConfig(tr)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if err := back.Validate(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
		want, got := normal(c), normal(back)
		if !reflect.DeepEqual(want.NetworkInstances, got.NetworkInstances) || !reflect.DeepEqual(want.RoutingPolicy, got.RoutingPolicy) {
			a, _ := want.YAML()
			b, _ := got.YAML()
			t.Errorf("%s: %s", f, firstDifference(string(a), string(b)))
		}
	}
}

const niText = "/network-instances/network-instance[name=default]"

// staticTree is a tree with many static routes.
func staticTree(t testing.TB, n int) *tree.Tree {
	t.Helper()
	e := tree.New(testSchema(t)).Edit()
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		at := fmt.Sprintf(niText+"/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=%s]/next-hops/next-hop[index=0]/config/next-hop", p)
		if err := e.Put(at, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// What an edit of a big tree leaves as it is is not read again: the next hops of a route are in the same memory.
func TestSmallEditIsCheap(t *testing.T) {
	m := New(testSchema(t))
	tr := staticTree(t, 10000)
	c, err := m.ToConfig(tr)
	if err != nil || len(c.NetworkInstances[0].StaticRoutes) != 10000 {
		t.Fatal(err)
	}
	at := func(c *config.Config) map[netip.Prefix]*config.NextHop {
		all := map[netip.Prefix]*config.NextHop{}
		for _, r := range c.NetworkInstances[0].StaticRoutes {
			all[r.Prefix] = unsafe.SliceData(r.NextHops)
		}
		return all
	}
	before := at(c)
	for path, again := range map[string]int{
		niText + "/config/description": 0,
		niText + "/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=10.0.7.0/24]/config/description": 1,
	} {
		e := tr.Edit()
		if err := e.Put(path, "try 4"); err != nil {
			t.Fatal(err)
		}
		if tr, err = e.Commit(); err != nil {
			t.Fatal(err)
		}
		if c, err = m.ToConfig(tr); err != nil {
			t.Fatal(err)
		}
		read := 0
		now := at(c)
		for p, h := range now {
			if before[p] != h {
				read++
			}
		}
		if read > again {
			t.Errorf("%s: %d routes were read again, want %d", path, read, again)
		}
		before = now
	}
	for _, r := range c.NetworkInstances[0].StaticRoutes {
		if want := r.Prefix.String() == "10.0.7.0/24"; want != (r.Description == "try 4") {
			t.Errorf("%+v", r)
		}
	}
}

// However many errors there are, an entry that is wrong is refused again when nothing has changed.
func TestErrorsAreNotForgotten(t *testing.T) {
	m := New(testSchema(t))
	e := staticTree(t, 300).Edit()
	for i := range 300 {
		at := fmt.Sprintf(niText+"/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=10.%d.%d.0/24]/next-hops/next-hop[index=0]/config/preference", i>>8, i&255)
		if err := e.Put(at, 0); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := m.ToConfig(tr); err == nil {
			t.Fatal("routes of preference 0 are accepted")
		}
	}
}
