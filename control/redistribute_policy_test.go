package control

import (
	"net/netip"
	"reflect"
	"testing"

	"millrace/routing/bgp"
	"millrace/server/config"
)

func TestRedistributePolicy(t *testing.T) {
	u := func(n uint32) *uint32 { return &n }
	r := &config.RoutingPolicy{
		PrefixSets:    []config.PrefixSet{{Name: "ten", Prefixes: []config.PrefixMatch{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Max: 24}}}},
		NeighborSets:  []config.NeighborSet{{Name: "n", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
		CommunitySets: []config.CommunitySet{{Name: "c", Communities: []string{"65001:1", "^65009:.*$"}}},
		ASPathSets:    []config.ASPathSet{{Name: "none", Patterns: []string{"^$"}}},
	}
	p := netip.MustParsePrefix("10.1.0.0/16")
	six := netip.MustParsePrefix("2001:db8::/32")
	mark := config.Statement{Name: "mark", Actions: config.Actions{AddCommunities: []string{"65001:1"}, SetMED: u(5)}}
	for name, x := range map[string]struct {
		statements []config.Statement
		fallback   config.Disposition
		prefix     netip.Prefix
		want       *bgp.RedistributedRoute // nil: rejected
	}{
		"nothing accepts":     {nil, config.RejectRoute, p, nil},
		"default accepts":     {nil, "", p, &bgp.RedistributedRoute{Prefix: p}},
		"in set":              {[]config.Statement{{Match: config.Match{PrefixSet: "ten"}, Actions: config.Actions{Result: "accept"}}}, config.RejectRoute, p, &bgp.RedistributedRoute{Prefix: p}},
		"not in set":          {[]config.Statement{{Match: config.Match{PrefixSet: "ten"}, Actions: config.Actions{Result: "accept"}}}, config.RejectRoute, six, nil},
		"inverted":            {[]config.Statement{{Match: config.Match{PrefixSet: "ten", PrefixMatch: config.MatchInvert}, Actions: config.Actions{Result: "reject"}}}, "", six, nil},
		"from no neighbor":    {[]config.Statement{{Match: config.Match{NeighborSet: "n"}, Actions: config.Actions{Result: "reject"}}}, "", p, &bgp.RedistributedRoute{Prefix: p}},
		"empty AS path":       {[]config.Statement{{Match: config.Match{ASPathSet: "none"}, Actions: config.Actions{Result: "reject"}}}, "", p, nil},
		"origin incomplete":   {[]config.Statement{{Match: config.Match{Origin: "incomplete"}, Actions: config.Actions{Result: "reject"}}}, "", p, nil},
		"not external":        {[]config.Statement{{Match: config.Match{RouteType: "external"}, Actions: config.Actions{Result: "reject"}}}, "", p, &bgp.RedistributedRoute{Prefix: p}},
		"family":              {[]config.Statement{{Match: config.Match{Families: []config.AddressFamily{config.IPv6Unicast}}, Actions: config.Actions{Result: "reject"}}}, "", p, &bgp.RedistributedRoute{Prefix: p}},
		"marked and matched":  {[]config.Statement{mark, {Match: config.Match{CommunitySet: "c"}, Actions: config.Actions{Result: "accept", SetMED: u(3), MEDAction: "add"}}}, config.RejectRoute, p, &bgp.RedistributedRoute{Prefix: p, MED: u(8), Communities: []string{"65001:1"}}},
		"all of a set":        {[]config.Statement{mark, {Match: config.Match{CommunitySet: "c", CommunityMatch: config.MatchAll}, Actions: config.Actions{Result: "accept"}}}, config.RejectRoute, p, nil},
		"removed":             {[]config.Statement{mark, {Actions: config.Actions{RemoveCommunities: []string{"^65001:.*$"}, Result: "accept"}}}, config.RejectRoute, p, &bgp.RedistributedRoute{Prefix: p, MED: u(5), Communities: []string{}}},
		"path, pref, origin":  {[]config.Statement{{Actions: config.Actions{Prepend: 2, SetLocalPref: u(7), SetOrigin: "igp", SetNextHop: "192.0.2.9"}}}, "", p, &bgp.RedistributedRoute{Prefix: p, ASPath: []uint32{65001, 65001}, LocalPref: u(7), Origin: "igp", NextHop: netip.MustParseAddr("192.0.2.9")}},
		"count and length":    {[]config.Statement{{Match: config.Match{ASPathLength: &config.Compare{Value: 0}, CommunityCount: &config.Compare{Operator: "ge", Value: 1}}, Actions: config.Actions{Result: "reject"}}}, "", p, &bgp.RedistributedRoute{Prefix: p}},
		"MED below zero":      {[]config.Statement{mark, {Actions: config.Actions{SetMED: u(9), MEDAction: "subtract", SetCommunities: []string{"no-export"}}}}, "", p, &bgp.RedistributedRoute{Prefix: p, MED: u(0), Communities: []string{"no-export"}}},
		"extended and large":  {[]config.Statement{{Actions: config.Actions{AddExtCommunities: []string{"rt:65001:1"}, AddLargeCommunities: []string{"1:2:3"}}}}, "", p, &bgp.RedistributedRoute{Prefix: p, ExtCommunities: []string{"rt:65001:1"}, LargeCommunities: []string{"1:2:3"}}},
		"next hop that is no": {[]config.Statement{{Match: config.Match{NextHops: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, Actions: config.Actions{Result: "reject"}}}, "", p, &bgp.RedistributedRoute{Prefix: p}},
	} {
		for i := range x.statements {
			x.statements[i].Name = string(rune('a' + i))
		}
		d := config.Redistribute{Source: config.RedistributeStatic, Policies: []string{"pol"}, Default: x.fallback}
		r.Policies = []config.Policy{{Name: "pol", Statements: x.statements}}
		got, ok := newRedistributePolicy(r, 65001, d).apply(x.prefix)
		if ok != (x.want != nil) || ok && !reflect.DeepEqual(got, *x.want) {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
	u4 := rule{family: 4}
	if !u4.passes(p) || u4.passes(six) {
		t.Error("the family of a rule does not count")
	}
}
