package bgp

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func validConfig() Config {
	return Config{
		ASN: 65001, RouterID: addr("192.0.2.1"),
		PeerGroups: []PeerGroup{{Name: "g", PeerSettings: PeerSettings{PeerAS: 65002}}},
		Neighbors: []Neighbor{
			{Address: addr("192.0.2.2"), PeerGroup: "g"},
			{Address: addr("fe80::1%eth0"), PeerSettings: PeerSettings{PeerAS: 65001}},
		},
		DynamicNeighbors: []DynamicNeighbor{{Prefix: prefix("198.51.100.0/24"), PeerGroup: "g"}},
		Networks:         prefixes("203.0.113.0/24", "2001:db8::/32"),
		Policy: PolicyDefs{
			PrefixSets:    []PrefixSet{{Name: "p", Prefixes: []PrefixRange{{Prefix: prefix("10.0.0.0/8"), Min: 8, Max: 32}}}},
			NeighborSets:  []NeighborSet{{Name: "n", Addresses: prefixes("192.0.2.0/24")}},
			CommunitySets: []CommunitySet{{Name: "c", Members: []string{"65001:1"}}},
			Policies: []Policy{{Name: "pol", Statements: []Statement{{
				Name: "s", Match: Match{PrefixSet: &SetMatch{Set: "p"}}, Actions: Actions{Result: Accept},
			}}}},
		},
	}
}

func TestValidate(t *testing.T) {
	ok := validConfig()
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	st := func(c *Config) *Statement { return &c.Policy.Policies[0].Statements[0] }
	nb := func(c *Config) *Neighbor { return &c.Neighbors[0] }
	for _, x := range []struct {
		field string
		edit  func(*Config)
	}{
		{"asn", func(c *Config) { c.ASN = 0 }},
		{"asn", func(c *Config) { c.ASN = 23456 }},
		{"router-id", func(c *Config) { c.RouterID = addr("::1") }},
		{"router-id", func(c *Config) { c.RouterID = netip.Addr{} }},
		{"listen-port", func(c *Config) { c.ListenPort = 70000 }},
		{"listen-addrs[0]", func(c *Config) { c.ListenAddrs = []netip.Addr{{}} }},
		{"multipath.ebgp", func(c *Config) { c.Multipath.EBGP = 65 }},
		{"multipath.ibgp", func(c *Config) { c.Multipath.IBGP = -1 }},
		{"graceful-restart.restart-time", func(c *Config) { c.GracefulRestart.RestartTime = 5000 * time.Second }},
		{"graceful-restart.deferral-time", func(c *Config) { c.GracefulRestart.DeferralTime = time.Millisecond }},
		{"graceful-restart.restarting", func(c *Config) { c.GracefulRestart.Restarting = true }},
		{"peer-groups[g]", func(c *Config) { c.PeerGroups = append(c.PeerGroups, c.PeerGroups[0]) }},
		{"neighbors[].address", func(c *Config) { nb(c).Address = netip.Addr{} }},
		{"neighbors[::ffff:1.2.3.4].address", func(c *Config) { nb(c).Address = addr("::ffff:1.2.3.4") }},
		{"neighbors[224.0.0.1].address", func(c *Config) { nb(c).Address = addr("224.0.0.1") }},
		{"neighbors[fe80::9].address", func(c *Config) { nb(c).Address = addr("fe80::9") }},
		{"neighbors[2001:db8::1%eth0].address", func(c *Config) { nb(c).Address = addr("2001:db8::1%eth0") }},
		{"neighbors[fe80::1%eth0]", func(c *Config) { c.Neighbors[0] = c.Neighbors[1] }},
		{"neighbors[fe80::1%eth0].password", func(c *Config) { c.Neighbors[1].Password = "x" }},
		{"neighbors[fe80::1%eth0].local-address", func(c *Config) { c.Neighbors[1].LocalAddress = addr("fe80::2") }},
		{"neighbors[192.0.2.2].peer-group", func(c *Config) { nb(c).PeerGroup = "h" }},
		{"neighbors[192.0.2.2].peer-as", func(c *Config) { nb(c).PeerGroup = "" }},
		{"neighbors[192.0.2.2].local-address", func(c *Config) { nb(c).LocalAddress = addr("::1") }},
		{"neighbors[192.0.2.2].password", func(c *Config) { nb(c).Password = strings.Repeat("x", 81) }},
		{"neighbors[192.0.2.2].families[1]", func(c *Config) { nb(c).Families = []Family{IPv4Unicast, IPv4Unicast} }},
		{"neighbors[192.0.2.2].families[0]", func(c *Config) { nb(c).Families = []Family{9} }},
		{"neighbors[192.0.2.2].hold-time", func(c *Config) { nb(c).HoldTime = time.Second }},
		{"neighbors[192.0.2.2].keepalive", func(c *Config) { nb(c).HoldTime, nb(c).Keepalive = 9*time.Second, 9*time.Second }},
		{"neighbors[fe80::1%eth0].ebgp-multihop", func(c *Config) { c.Neighbors[1].EBGPMultihop = 2 }},
		{"neighbors[192.0.2.2].ttl-security-hops", func(c *Config) { nb(c).EBGPMultihop, nb(c).TTLSecurityHops = 2, 1 }},
		{"neighbors[192.0.2.2].ttl-security-hops", func(c *Config) { nb(c).TTLSecurityHops = 255 }},
		{"neighbors[192.0.2.2].route-reflector-client", func(c *Config) { nb(c).RouteReflectorClient = yes() }},
		{"neighbors[192.0.2.2].next-hop-self", func(c *Config) { nb(c).NextHopSelf = yes() }},
		{"neighbors[192.0.2.2].remove-private-as", func(c *Config) { nb(c).RemovePrivateAS = "all" }},
		{"neighbors[192.0.2.2].prefix-limits[0].max", func(c *Config) { nb(c).PrefixLimits = []PrefixLimit{{Family: IPv4Unicast}} }},
		{"neighbors[192.0.2.2].import[0]", func(c *Config) { nb(c).Import = []string{"x"} }},
		{"neighbors[192.0.2.2].export[1]", func(c *Config) { nb(c).Export = []string{"pol", "pol"} }},
		{"dynamic-neighbors[198.51.100.0/24].peer-group", func(c *Config) { c.DynamicNeighbors[0].PeerGroup = "" }},
		{"dynamic-neighbors[0].prefix", func(c *Config) { c.DynamicNeighbors[0].Prefix = netip.MustParsePrefix("198.51.100.1/24") }},
		{"networks[0]", func(c *Config) { c.Networks = prefixes("203.0.113.1/24") }},
		{"networks[1]", func(c *Config) { c.Networks = prefixes("203.0.113.0/24", "203.0.113.0/24") }},
		{"policy.prefix-sets[p].prefixes[0]", func(c *Config) { c.Policy.PrefixSets[0].Prefixes[0].Min = 7 }},
		{"policy.prefix-sets[p].prefixes[0]", func(c *Config) { c.Policy.PrefixSets[0].Prefixes[0].Max = 33 }},
		{"policy.prefix-sets[p].prefixes[1]", func(c *Config) {
			s := &c.Policy.PrefixSets[0]
			s.Prefixes = append(s.Prefixes, PrefixRange{Prefix: prefix("::/0"), Max: 128})
		}},
		{"policy.community-sets[c].members[0]", func(c *Config) { c.Policy.CommunitySets[0].Members[0] = "(" }},
		{"policy.as-path-sets[a].patterns[0]", func(c *Config) {
			c.Policy.ASPathSets = []ASPathSet{{Name: "a", Patterns: []string{"[0-"}}}
		}},
		{"policy.policies[pol].statements[s].match.prefix-set", func(c *Config) { st(c).Match.PrefixSet.Set = "q" }},
		{"policy.policies[pol].statements[s].match.prefix-set", func(c *Config) { st(c).Match.PrefixSet.Option = MatchAll }},
		{"policy.policies[pol].statements[s].match.large-community-set", func(c *Config) {
			st(c).Match.LargeCommunitySet = &SetMatch{Set: "c"} // of another kind
		}},
		{"policy.policies[pol].statements[s].match.as-path-length", func(c *Config) { st(c).Match.ASPathLength = &Compare{Op: "=="} }},
		{"policy.policies[pol].statements[s].match.origin", func(c *Config) { st(c).Match.Origin = "x" }},
		{"policy.policies[pol].statements[s].actions.community.op", func(c *Config) {
			st(c).Actions.Community = &CommunityOp{Op: "set", Communities: []string{"1:1"}}
		}},
		{"policy.policies[pol].statements[s].actions.community.communities[0]", func(c *Config) {
			st(c).Actions.Community = &CommunityOp{Op: "add", Communities: []string{"65536:1"}}
		}},
		{"policy.policies[pol].statements[s].actions.med.op", func(c *Config) { st(c).Actions.MED = &MEDOp{} }},
		{"policy.policies[pol].statements[s].actions.prepend.repeat", func(c *Config) { st(c).Actions.Prepend = &PrependOp{} }},
		{"policy.policies[pol].statements[s].actions.next-hop", func(c *Config) { st(c).Actions.NextHop = &NextHopOp{} }},
		{"policy", func(c *Config) { // an inverted set that cuts dynamic neighbours in two
			c.Policy.NeighborSets[0].Addresses = prefixes("198.51.100.0/28")
			st(c).Match.NeighborSet = &SetMatch{Set: "n", Option: MatchInvert}
			c.PeerGroups[0].Import = []string{"pol"}
		}},
	} {
		c := validConfig()
		x.edit(&c)
		err := c.Validate()
		if err == nil {
			t.Errorf("%s: no error", x.field)
			continue
		}
		var fields []string
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var f *FieldError
			if !errors.As(e, &f) || f.Reason == "" {
				t.Errorf("%s: %v is no field error", x.field, e)
				continue
			}
			fields = append(fields, f.Field)
		}
		if !slices.Contains(fields, x.field) {
			t.Errorf("%s: error is %v", x.field, err)
		}
	}
}

func TestInherit(t *testing.T) {
	no := false
	c := Config{PeerGroups: []PeerGroup{{Name: "g", PeerSettings: PeerSettings{
		PeerAS: 1, Passive: yes(), Import: []string{"a"}, HoldTime: time.Minute,
	}}}}
	n := c.merged(Neighbor{PeerGroup: "g", PeerSettings: PeerSettings{PeerAS: 2, Passive: &no, Import: []string{}}})
	if n.PeerAS != 2 || flag(n.Passive) || len(n.Import) != 0 || n.HoldTime != time.Minute {
		t.Errorf("%+v", n)
	}
}
