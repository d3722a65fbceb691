package model

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/server/config"
	"millrace/yang/tree"
)

// locateConfig has one of everything in routing.
func locateConfig() *config.Config {
	a := netip.MustParseAddr
	return &config.Config{
		Interfaces: []config.Interface{{Name: "eth1", Type: config.Port, Iface: "x"}},
		NetworkInstances: []config.NetworkInstance{{
			Name: "default",
			StaticRoutes: []config.StaticRoute{
				{Prefix: netip.MustParsePrefix("10.0.0.0/8"), NextHops: []config.NextHop{{Address: a("192.0.2.1")}, {Address: a("192.0.2.2"), Interface: "eth1"}}},
			},
			BGP: &config.BGP{
				ASN:          65001,
				Redistribute: []config.Redistribute{{Source: config.RedistributeStatic}, {Source: config.RedistributeConnected, Family: config.IPv6Unicast}},
				PeerGroups:   []config.PeerGroup{{Name: "core"}},
				Neighbors: []config.BGPNeighbor{{Address: a("192.0.2.1"), PeerOptions: config.PeerOptions{
					Families: []config.BGPFamily{{Name: config.IPv4Unicast}, {Name: config.IPv6Unicast}},
				}}},
			},
		}},
		RoutingPolicy: config.RoutingPolicy{
			PrefixSets: []config.PrefixSet{{Name: "p", Prefixes: []config.PrefixMatch{
				{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, {Prefix: netip.MustParsePrefix("172.16.0.0/12"), Max: 24},
			}}},
			CommunitySets: []config.CommunitySet{
				{Name: "c", Communities: []string{"1:1"}}, {Name: "e", Type: "extended", Communities: []string{"rt:1:1"}},
				{Name: "l", Type: "large", Communities: []string{"1:1:1"}},
			},
			ASPathSets:   []config.ASPathSet{{Name: "a", Patterns: []string{"^1$"}}},
			NeighborSets: []config.NeighborSet{{Name: "n", Addresses: []netip.Addr{a("192.0.2.1")}}},
			Policies:     []config.Policy{{Name: "in", Statements: []config.Statement{{Name: "one"}}}},
		},
	}
}

func TestPathOfRouting(t *testing.T) {
	m := New(testSchema(t))
	c := locateConfig()
	e := tree.New(m.s).Edit()
	const ni = "/network-instances/network-instance[name=default]"
	const static = ni + "/protocols/protocol[identifier=STATIC][name=mine]/static-routes/static[prefix=10.0.0.0/8]"
	for i, hop := range []string{"5", "7"} { // the names and indices are those of the tree
		if err := e.Put(static+"/next-hops/next-hop[index="+hop+"]/config/next-hop", []string{"192.0.2.1", "192.0.2.2"}[i]); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	const bgp = ni + "/protocols/protocol[identifier=BGP][name=bgp]"
	const nb = bgp + "/bgp/neighbors/neighbor[neighbor-address=192.0.2.1]"
	const st = "/routing-policy/policy-definitions/policy-definition[name=in]/statements/statement[name=one]"
	const n = "network-instances[default]."
	for path, want := range map[string]string{
		"network-instances":                                    "/network-instances",
		"network-instances[default]":                           ni,
		n + "description":                                      ni + "/config/description",
		n + "ipv6-routes":                                      ni + "/route-limits/route-limit[afi=IPV6]/config/maximum",
		n + "static-routes[10.0.0.0/8]":                        static,
		n + "static-routes[10.0.0.0/8].prefix":                 static + "/config/prefix",
		n + "static-routes[10.0.0.0/8].distance":               static + "/next-hops/next-hop[index=5]/config/preference",
		n + "static-routes[10.0.0.0/8].next-hops":              static + "/next-hops",
		n + "static-routes[10.0.0.0/8].next-hops[1].interface": static + "/next-hops/next-hop[index=7]/interface-ref/config/interface",
		n + "static-routes[10.0.0.0/8].next-hops[0].address":   static + "/next-hops/next-hop[index=5]/config/next-hop",
		n + "bgp":                                         bgp,
		n + "bgp.asn":                                     bgp + "/bgp/global/config/as",
		n + "bgp.networks[3]":                             bgp + "/bgp/global/speaker/config/network",
		n + "bgp.graceful-restart.stale-time":             bgp + "/bgp/global/graceful-restart/config/stale-routes-time",
		n + "bgp.neighbors[192.0.2.1]":                    nb,
		n + "bgp.neighbors[192.0.2.1].remote-as":          nb + "/config/peer-as",
		n + "bgp.neighbors[192.0.2.1].import-policies[0]": nb + "/apply-policy/config/import-policy",
		n + "bgp.neighbors[192.0.2.1].families[ipv6-unicast].prefix-limit": nb +
			"/afi-safis/afi-safi[afi-safi-name=IPV6_UNICAST]/ipv6-unicast/prefix-limit-received/config/max-prefixes",
		n + "bgp.peer-groups[core].enabled": bgp + "/bgp/peer-groups/peer-group[peer-group-name=core]/session-options/config/enabled",
		n + "bgp.dynamic-neighbors[10.0.0.0/8].peer-group": bgp +
			"/bgp/global/dynamic-neighbor-prefixes/dynamic-neighbor-prefix[prefix=10.0.0.0/8]/config/peer-group",
		n + "bgp.redistribute[1].policies[0]": ni +
			"/table-connections/table-connection[src-protocol=DIRECTLY_CONNECTED][dst-protocol=BGP][address-family=IPV6]/config/import-policy",
		"routing-policy.prefix-sets[p].prefixes[172.16.0.0/12]":                        "/routing-policy/defined-sets/prefix-sets/prefix-set[name=p]/prefixes/prefix[ip-prefix=172.16.0.0/12][masklength-range=12..24]",
		"routing-policy.community-sets[e].communities[0]":                              "/routing-policy/defined-sets/bgp-defined-sets/ext-community-sets/ext-community-set[ext-community-set-name=e]/config/ext-community-member",
		"routing-policy.community-sets[l].communities[0]":                              "/routing-policy/defined-sets/bgp-defined-sets/large-community-sets/large-community-set[name=l]/config/member",
		"routing-policy.policies[in].statements[one].match.community-set":              st + "/conditions/bgp-conditions/match-community-set/config/community-set",
		"routing-policy.policies[in].statements[one].actions.add-large-communities[2]": st + "/actions/bgp-actions/set-large-community/config/communities",
		"routing-policy.policies[in].statements[one].actions":                          st + "/actions",
		"nowhere[x].y": "/",
	} {
		if got := m.PathOf(path, c, tr).String(); got != want {
			t.Errorf("%s is at\n%s, want\n%s", path, got, want)
		}
	}
}

// Every field of the routing's part of Config has a place in the tree: a leaf, or a list or container for those that have fields.
func TestPathOfEveryField(t *testing.T) {
	m := New(testSchema(t))
	c := locateConfig()
	keys := map[string][]string{
		"static-routes": {"10.0.0.0/8"}, "next-hops": {"1"}, "peer-groups": {"core"}, "neighbors": {"192.0.2.1"}, "dynamic-neighbors": {"10.0.0.0/8"},
		"families": {"ipv4-unicast", "ipv6-unicast"}, "redistribute": {"0", "1"}, "prefix-sets": {"p"}, "community-sets": {"c", "e", "l"},
		"as-path-sets": {"a"}, "neighbor-sets": {"n"}, "policies": {"in"}, "statements": {"one"}, "prefixes": {"10.0.0.0/8", "172.16.0.0/12"},
	}
	var walk func(v reflect.Type, path string)
	check := func(path string) {
		p := m.PathOf(path, c, nil)
		n := m.s.Find(p.SchemaPath())
		if n == nil || !n.IsLeaf() && !strings.HasSuffix(path, "families") && !strings.HasSuffix(path, "prefix-sets[p].name") {
			t.Errorf("%s is at %s", path, p)
		}
	}
	walk = func(v reflect.Type, path string) {
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Anonymous {
				walk(f.Type, path)
				continue
			}
			name, option, _ := strings.Cut(f.Tag.Get("cfg"), ",")
			if option == "key" && name == "name" || slices.Contains([]string{"source", "family", "prefix", "min", "max"}, name) && strings.Contains(path, "[") {
				continue // the entry itself
			}
			ft := f.Type
			for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
				ft = ft.Elem()
			}
			at := path + "." + name
			switch {
			case ft.Kind() == reflect.Struct && ft.PkgPath() == v.PkgPath() && f.Type.Kind() == reflect.Slice:
				for _, k := range keys[name] {
					walk(ft, at+"["+k+"]")
				}
			case ft.Kind() == reflect.Struct && ft.PkgPath() == v.PkgPath() && ft.Name() != "Compare":
				walk(ft, at)
			case ft.Name() == "CommunityType" || ft.Name() == "Compare":
			default:
				check(at)
			}
		}
	}
	walk(reflect.TypeFor[config.NetworkInstance](), "network-instances[default]")
	walk(reflect.TypeFor[config.RoutingPolicy](), "routing-policy")
}
