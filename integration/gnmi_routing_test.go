package integration

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"millrace/internal/lab"
	"millrace/yang/tree"
)

const (
	niPath     = "/network-instances/network-instance[name=default]"
	aftV4      = niPath + "/afts/ipv4-unicast"
	bgpProto   = niPath + "/protocols/protocol[identifier=BGP][name=bgp]"
	frrState   = bgpProto + "/bgp/neighbors/neighbor[neighbor-address=10.0.2.2]"
	policyText = "/routing-policy/policy-definitions/policy-definition"
)

// identity is the name of an identity with its module.
func identity(module, name string) string { return "openconfig-" + module + ":" + name }

// routingPolicy lets FRR's routes in but for one, marked, and static routes of one set out, marked.
func routingPolicy() object {
	set := func(name, prefix, lengths string) object {
		return object{"name": name, "config": object{"name": name}, "prefixes": object{"prefix": array{object{
			"ip-prefix": prefix, "masklength-range": lengths, "config": object{"ip-prefix": prefix, "masklength-range": lengths},
		}}}}
	}
	statement := func(name, set, result string, actions object) object {
		a := object{"config": object{"policy-result": result}}
		if actions != nil {
			a["openconfig-bgp-policy:bgp-actions"] = actions
		}
		s := object{"name": name, "config": object{"name": name}, "actions": a}
		if set != "" {
			s["conditions"] = object{"match-prefix-set": object{"config": object{"prefix-set": set}}}
		}
		return s
	}
	policy := func(name string, statements ...any) object {
		return object{"name": name, "config": object{"name": name}, "statements": object{"statement": statements}}
	}
	mark := func(community string) object {
		return object{
			"config": object{"set-med": 77, "set-med-action": "SET"},
			"set-community": object{
				"config": object{"method": "INLINE", "options": "ADD"},
				"inline": object{"config": object{"communities": array{community}}},
			},
		}
	}
	return object{
		"openconfig-routing-policy:defined-sets": object{"prefix-sets": object{"prefix-set": array{
			set("unwanted", "203.0.99.0/24", "exact"), set("ours", "198.18.0.0/15", "16..24"),
		}}},
		"openconfig-routing-policy:policy-definitions": object{"policy-definition": array{
			policy("in", statement("no", "unwanted", "REJECT_ROUTE", nil), statement("rest", "", "ACCEPT_ROUTE", object{"config": object{"set-local-pref": 250}})),
			policy("static", statement("ours", "ours", "ACCEPT_ROUTE", mark("65001:77"))),
		}},
	}
}

// routingInstance is the default instance: static routes, some of which are redistributed, and BGP with FRR on link 2 and whoever comes
// from link 3.
func routingInstance() object {
	drop := object{"prefix": "198.18.0.0/16", "config": object{"prefix": "198.18.0.0/16", "description": "ours"}, "next-hops": object{"next-hop": array{
		object{"index": "a", "config": object{"index": "a", "next-hop": identity("local-routing", "DROP"), "preference": 200}}}}}
	family := func(enabled bool) object {
		name := identity("bgp-types", "IPV4_UNICAST")
		return object{"afi-safi": array{object{"afi-safi-name": name, "config": object{"afi-safi-name": name, "enabled": enabled},
			"ipv4-unicast": object{"prefix-limit-received": object{"config": object{"max-prefixes": 1000}}}}}}
	}
	group := func(name string, as int) object {
		return object{
			"peer-group-name": name, "config": object{"peer-group-name": name, "peer-as": as}, "timers": object{"config": object{"connect-retry": 1}},
			"apply-policy": object{"config": object{"import-policy": array{"in"}, "default-export-policy": "ACCEPT_ROUTE"}},
		}
	}
	upstream := group("upstream", 65010)
	upstream["afi-safis"] = family(true)
	af := identity("types", "IPV4")
	static, bgp := identity("policy-types", "STATIC"), identity("policy-types", "BGP")
	table := func(p string) object {
		return object{"protocol": p, "address-family": af, "config": object{"protocol": p, "address-family": af}}
	}
	n := instanceEntry(
		protocol("STATIC", object{"static-routes": object{"static": array{drop, staticEntry("10.99.0.0/16", "10.0.2.2")}}}),
		protocol("BGP", object{"bgp": object{
			"global": object{
				"config":           object{"as": 65001, "router-id": "10.0.1.1"},
				"graceful-restart": object{"config": object{"enabled": true, "stale-routes-time": 60}},
				"dynamic-neighbor-prefixes": object{"dynamic-neighbor-prefix": array{object{
					"prefix": "10.0.3.0/24", "config": object{"prefix": "10.0.3.0/24", "peer-group": "guests"}}}},
				"vnf-routing:speaker": object{"config": object{"network": array{"10.0.1.0/24"}}},
			},
			"peer-groups": object{"peer-group": array{upstream, group("guests", 65020)}},
			"neighbors": object{"neighbor": array{object{
				"neighbor-address": "10.0.2.2", "config": object{"neighbor-address": "10.0.2.2", "peer-group": "upstream", "description": "FRR"}}}},
		}}),
	)
	n["tables"] = object{"table": array{table(static), table(bgp)}}
	n["table-connections"] = object{"table-connection": array{object{
		"src-protocol": static, "dst-protocol": bgp, "address-family": af,
		"config": object{"src-protocol": static, "dst-protocol": bgp, "address-family": af, "import-policy": array{"static"}},
	}}}
	return n
}

// aftView is what a subscription has told of the entries of an AFT.
type aftView struct {
	mu   sync.Mutex
	have map[string]string // next hop group by prefix
}

func (v *aftView) group(prefix string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.have[prefix]
}

// watchAFT subscribes to entries by their changes.
func watchAFT(c *treeClient) *aftView {
	c.r.t.Helper()
	stream, err := c.stub.Subscribe(c.r.t.Context())
	c.must(err)
	c.must(stream.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: &gpb.SubscriptionList{
		Encoding:     gpb.Encoding_PROTO,
		Subscription: []*gpb.Subscription{{Path: c.path(aftV4), Mode: gpb.SubscriptionMode_ON_CHANGE}},
	}}}))
	v := &aftView{have: map[string]string{}}
	whole := func(n *gpb.Notification, p *gpb.Path) tree.Path {
		var out tree.Path
		for _, e := range append(append([]*gpb.PathElem{}, n.GetPrefix().GetElem()...), p.GetElem()...) {
			el := tree.Elem{Name: e.GetName()}
			for k, val := range e.GetKey() {
				el.Keys = append(el.Keys, tree.Key{Name: k, Value: val})
			}
			out = append(out, el)
		}
		return out
	}
	synced := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil || m.GetSyncResponse() {
				select {
				case synced <- err:
				default:
				}
				if err != nil {
					return
				}
			}
			n := m.GetUpdate()
			v.mu.Lock()
			for _, d := range n.GetDelete() {
				delete(v.have, whole(n, d).Key("ipv4-entry", "prefix"))
			}
			for _, u := range n.GetUpdate() {
				if p := whole(n, u.GetPath()); p[len(p)-1].Name == "next-hop-group" {
					v.have[p.Key("ipv4-entry", "prefix")] = fmt.Sprint(u.GetVal().GetUintVal())
				}
			}
			v.mu.Unlock()
		}
	}()
	c.must(<-synced)
	return v
}

func (v *aftView) wait(b *bed, prefix string, there bool) {
	b.t.Helper()
	b.eventually(40*time.Second, func() error {
		if (v.group(prefix) != "") != there {
			return fmt.Errorf("%s: told that it is there: %t, want %t", prefix, !there, there)
		}
		return nil
	})
}

// From an empty box over gNMI: static routes, BGP with policies, dynamic neighbours, redistribution, and what comes of it in the AFT.
func TestGNMIRouting(t *testing.T) {
	b, _ := newEmptyBox(t)
	b.link(3, "r3")
	b.lab.NS("r3").Sysctl("net.ipv4.ip_forward", "1")
	b.stub("r2", "203.0.2.0/24", "2001:db8:c2::/64")
	b.stub("r3", "203.0.3.0/24", "2001:db8:c3::/64")
	b.ok(b.lab.Err())
	c := &treeClient{&router{t: t, lab: b.lab, box: b.box}, gpb.NewGNMIClient(dialBox(t, b.box, credentials.NewTLS(operator(t, b.box))))}
	c.must(c.set(&gpb.SetRequest{Replace: []*gpb.Update{
		c.update("/interfaces", document(object{"openconfig-interfaces:interface": array{portEntry(1), portEntry(2), portEntry(3)}})),
		c.update("/routing-policy", document(routingPolicy())),
		c.update("/network-instances", document(object{"openconfig-network-instance:network-instance": array{routingInstance()}})),
	}}))
	b.ok(b.box.WaitInterfaces("eth1", "eth2", "eth3"))
	view := watchAFT(c)
	sessions := c.follow(bgpProto + "/bgp/neighbors/neighbor/state/session-state")
	two := b.frr("r2", frrPeer(2, 65010, 65001, "203.0.2.0/24\n  network 203.0.99.0/24", "2001:db8:c2::/64", ""))
	three := b.frr("r3", frrPeer(3, 65020, 65001, "203.0.3.0/24", "2001:db8:c3::/64", ""))
	up := expect(t, sessions, frrState+"/state/session-state", "ESTABLISHED")
	if age := time.Since(up.at); age < 0 || age > 5*time.Minute {
		t.Errorf("the session came up %s ago", age)
	}
	view.wait(b, "203.0.2.0/24", true)
	view.wait(b, "203.0.3.0/24", true)
	view.wait(b, "198.18.0.0/16", true)
	b.pings("a", "203.0.2.2", "203.0.3.2")
	if view.group("203.0.99.0/24") != "" {
		t.Error("a route is there that the import policy rejects")
	}

	// From the entry to the interface.
	group := niPath + "/afts/next-hop-groups/next-hop-group[id=" + view.group("203.0.2.0/24") + "]"
	out, err := c.get(group + "/next-hops")
	b.ok(err)
	_, index, _ := strings.Cut(out, `"index":"`)
	index, _, _ = strings.Cut(index, `"`)
	hop := niPath + "/afts/next-hops/next-hop[index=" + index + "]"
	for path, want := range map[string]string{
		hop + "/state/ip-address":                                         "10.0.2.2",
		hop + "/interface-ref/state/interface":                            "eth2",
		hop + "/state/action":                                             "FORWARD",
		aftV4 + "/ipv4-entry[prefix=203.0.2.0/24]/state/origin-protocol":  identity("policy-types", "BGP"),
		aftV4 + "/ipv4-entry[prefix=10.0.1.0/24]/state/origin-protocol":   identity("policy-types", "DIRECTLY_CONNECTED"),
		aftV4 + "/ipv4-entry[prefix=198.18.0.0/16]/state/origin-protocol": identity("policy-types", "STATIC"),
		niPath + "/afts/aft-summaries/ipv4-unicast/protocols/protocol[origin-protocol=BGP]/state/counters/aft-entries": "2",
		frrState + "/state/peer-as":                                                                                                 "65010",
		frrState + "/state/description":                                                                                             "FRR",
		frrState + "/state/peer-type":                                                                                               "EXTERNAL",
		frrState + "/state/established-transitions":                                                                                 "1",
		frrState + "/state/dynamically-configured":                                                                                  "false",
		frrState + "/timers/state/connect-retry":                                                                                    "1",
		frrState + "/apply-policy/state/default-import-policy":                                                                      "REJECT_ROUTE",
		frrState + "/graceful-restart/state/enabled":                                                                                "true",
		frrState + "/session-options/state/router-id":                                                                               "10.0.2.2",
		frrState + "/afi-safis/afi-safi[afi-safi-name=IPV4_UNICAST]/state/prefixes/received-pre-policy":                             "5", // FRR sends back what it got
		frrState + "/afi-safis/afi-safi[afi-safi-name=IPV4_UNICAST]/state/prefixes/installed":                                       "1",
		frrState + "/afi-safis/afi-safi[afi-safi-name=IPV4_UNICAST]/state/active":                                                   "true",
		bgpProto + "/bgp/neighbors/neighbor[neighbor-address=10.0.3.2]/state/dynamically-configured":                                "true",
		bgpProto + "/bgp/neighbors/neighbor[neighbor-address=10.0.3.2]/state/peer-group":                                            "guests",
		bgpProto + "/bgp/neighbors/neighbor[neighbor-address=10.0.3.2]/state/session-state":                                         "ESTABLISHED",
		niPath + "/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=198.18.0.0/16]/state/description": "ours",
	} {
		c.want(path, want)
	}

	// What FRR got: our network, the static route that the policy lets out, marked, and not the other.
	b.eventually(15*time.Second, func() error {
		out, err := two.VTY("show bgp ipv4 unicast 198.18.0.0/16")
		for _, w := range []string{"65001:77", "metric 77", "valid"} {
			if err == nil && !strings.Contains(out, w) {
				err = fmt.Errorf("no %q in\n%s", w, out)
			}
		}
		return err
	})
	routes, err := two.VTY("show bgp ipv4 unicast")
	b.ok(err)
	if !strings.Contains(routes, "10.0.1.0/24") || strings.Contains(routes, "10.99.0.0") || !strings.Contains(routes, "203.0.3.0/24") {
		t.Errorf("FRR has\n%s", routes)
	}
	if out := c.r.ctl("bgp", "neighbors"); !strings.Contains(out, "10.0.2.2") || !strings.Contains(out, "10.0.3.2") {
		t.Errorf("the typed API shows\n%s", out)
	}
	restartPeer(b, c, two, view)

	// A policy changes under a running session; a withdrawn route goes; a static one comes.
	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(policyText + "[name=in]/statements/statement[name=no]")}}))
	view.wait(b, "203.0.99.0/24", true)
	_, err = three.VTY("configure terminal", "router bgp 65020", "address-family ipv4 unicast", "no network 203.0.3.0/24")
	b.ok(err)
	view.wait(b, "203.0.3.0/24", false)
	c.must(c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(niPath+"/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=203.0.3.0/24]",
		document(staticEntry("203.0.3.0/24", "10.0.3.2")))}}))
	view.wait(b, "203.0.3.0/24", true)
	b.pings("a", "203.0.3.2")
	refusedRouting(b, c)

	// Without BGP its routes go, and the static ones stay.
	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(niPath + "/table-connections"), c.path(niPath + "/tables"), c.path(bgpProto)}}))
	view.wait(b, "203.0.2.0/24", false)
	view.wait(b, "203.0.3.0/24", true)
	if _, err := c.get(frrState + "/state/session-state"); status.Code(err) != codes.NotFound {
		t.Errorf("a neighbour is left: %v", err)
	}
}

// restartPeer has FRR come back after it was killed: the routes stay meanwhile (RFC 4724).
func restartPeer(b *bed, c *treeClient, peer *lab.FRR, view *aftView) {
	b.t.Helper()
	_, err := peer.VTY("configure terminal", "router bgp 65010", "bgp graceful-restart")
	b.ok(err)
	_, err = peer.VTY("clear bgp *")
	b.ok(err)
	c.want(frrState+"/graceful-restart/state/mode", "BILATERAL")
	c.want(frrState+"/state/session-state", "ESTABLISHED")
	view.wait(b, "203.0.2.0/24", true)
	b.ok(peer.KillBGP())
	c.want(frrState+"/graceful-restart/state/peer-restarting", "true")
	b.steady(2*time.Second, func() error {
		if view.group("203.0.2.0/24") == "" {
			return errors.New("the route has gone with the session")
		}
		return nil
	})
	b.pings("a", "203.0.2.2")
	b.ok(peer.StartBGP(frrPeer(2, 65010, 65001, "203.0.2.0/24\n  network 203.0.99.0/24", "2001:db8:c2::/64", "bgp graceful-restart")))
	c.want(frrState+"/state/session-state", "ESTABLISHED")
	c.want(frrState+"/graceful-restart/state/peer-restarting", "false")
	b.pings("a", "203.0.2.2")
}

// refusedRouting tries what cannot be; each is refused at its path.
func refusedRouting(b *bed, c *treeClient) {
	b.t.Helper()
	static := niPath + "/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=10.98.0.0/16]"
	for _, x := range []struct{ path, doc, at string }{
		{bgpProto + "/bgp/global/config/as", "23456", bgpProto + "/bgp/global/config/as"},
		{bgpProto + "/bgp/global/config/as", "0", bgpProto + "/bgp/global/config/as"},
		{frrState + "/timers/config/hold-time", "2", frrState + "/timers/config/hold-time"},
		{frrState + "/config/peer-group", `"nobody"`, frrState + "/config/peer-group"},
		{frrState + "/config/send-community-type", `["BOTH"]`, frrState + "/config/send-community-type"},
		{frrState + "/apply-policy/config/import-policy", `["nothing"]`, frrState + "/apply-policy/config/import-policy"},
		{bgpProto + "/bgp/neighbors/neighbor[neighbor-address=10.0.2.1]/config/peer-as", "65010",
			bgpProto + "/bgp/neighbors/neighbor[neighbor-address=10.0.2.1]/config/neighbor-address"},
		{static, document(object{"config": object{"prefix": "10.98.0.0/16"}}), static + "/next-hops"},
		{static, document(staticEntry("10.98.0.0/16", "2001:db8::1")), ""},
		{static, document(staticEntry("10.98.0.0/16", "10.0.2.1")), static + "/next-hops/next-hop[index=0]/config/next-hop"},
		{niPath + "/protocols/protocol[identifier=OSPF][name=o]/config", `{"identifier": "openconfig-policy-types:OSPF", "name": "o"}`,
			niPath + "/protocols/protocol[identifier=OSPF][name=o]"},
		{policyText + "[name=in]/statements/statement[name=rest]/actions/bgp-actions/config/set-med", `"IGP"`,
			policyText + "[name=in]/statements/statement[name=rest]/actions/bgp-actions/config/set-med"},
	} {
		err := c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(x.path, x.doc)}})
		switch status.Code(err) {
		case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.Unimplemented:
		case codes.OK:
			if x.at != "" {
				b.t.Errorf("%s = %s is accepted", x.path, x.doc)
			}
			continue
		default:
			b.t.Errorf("%s = %s: %v", x.path, x.doc, err)
		}
		if msg := status.Convert(err).Message(); !strings.Contains(msg, x.at) {
			b.t.Errorf("%s = %s: %q does not name %s", x.path, x.doc, msg, x.at)
		}
	}
}

// A network instance over gNMI: its interfaces, a bounded table, routes of its own, and one that leads out of it.
func TestGNMIInstances(t *testing.T) {
	b, _ := newEmptyBox(t)
	for i := 3; i <= 4; i++ {
		b.link(i, fmt.Sprintf("r%d", i))
	}
	b.stub("r3", "203.0.3.0/24", "2001:db8:c3::/64")
	b.lab.NS("r3").Sysctl("net.ipv4.ip_forward", "1")
	b.ok(b.lab.Err())
	c := &treeClient{&router{t: t, lab: b.lab, box: b.box}, gpb.NewGNMIClient(dialBox(t, b.box, credentials.NewTLS(operator(t, b.box))))}
	const red = "/network-instances/network-instance[name=red]"
	member := func(name string) object {
		return object{"id": name, "config": object{"id": name, "interface": name}}
	}
	limit := identity("types", "IPV4")
	toDefault := staticEntry("10.0.4.0/24", "10.0.4.2")
	toDefault["next-hops"].(object)["next-hop"].(array)[0].(object)["config"].(object)["vnf-routing:network-instance"] = "default"
	instance := object{
		"name": "red", "config": object{"name": "red", "type": identity("network-instance-types", "L3VRF"), "description": "the red one"},
		"interfaces":   object{"interface": array{member("eth2"), member("eth3")}},
		"route-limits": object{"route-limit": array{object{"afi": limit, "config": object{"afi": limit, "maximum": 100}}}},
		"protocols": object{"protocol": array{protocol("STATIC", object{"static-routes": object{"static": array{
			staticEntry("203.0.3.0/24", "10.0.3.2"), toDefault,
		}}})}},
	}
	c.must(c.set(&gpb.SetRequest{Update: []*gpb.Update{
		c.update("/interfaces", document(object{"openconfig-interfaces:interface": array{portEntry(1), portEntry(2), portEntry(3), portEntry(4)}})),
		c.update(red, document(instance)),
		c.update(niPath+"/protocols/protocol[identifier=STATIC][name=static]", document(protocol("STATIC", object{
			"static-routes": object{"static": array{object{"prefix": "10.0.2.0/24", "config": object{"prefix": "10.0.2.0/24"}, "next-hops": object{"next-hop": array{
				object{"index": "7", "config": object{"index": "7", "next-hop": "10.0.2.2", "vnf-routing:network-instance": "red"}}}}}}},
		}))),
	}}))
	b.ok(b.box.WaitInterfaces("eth1", "eth2", "eth3", "eth4"))
	b.pings("r2", "10.0.3.2", "203.0.3.2", "10.0.4.2") // the last one from red to the default instance and back
	const entry = "/afts/ipv4-unicast/ipv4-entry[prefix=203.0.3.0/24]/state/"
	for path, want := range map[string]string{
		red + "/state/type":        identity("network-instance-types", "L3VRF"),
		red + "/state/description": "the red one",
		red + "/route-limits/route-limit[afi=IPV4]/state/installed-routes": "4",
		red + "/route-limits/route-limit[afi=IPV4]/state/maximum":          "100",
		red + "/interfaces/interface[id=eth3]/state/interface":             "eth3",
		red + entry + "origin-protocol":                                    identity("policy-types", "STATIC"),
		red + entry + "next-hop-group-network-instance":                    "default",
		niPath + "/state/type":                                             identity("network-instance-types", "DEFAULT_INSTANCE"),
	} {
		c.want(path, want)
	}
	if _, err := c.get(niPath + entry + "prefix"); status.Code(err) != codes.NotFound {
		t.Errorf("the route of red is in the default instance: %v", err)
	}
	if _, err := b.lab.NS("a").Output("ping", "-c", "1", "-W", "1", "10.0.3.2"); err == nil {
		t.Error("packets go from the default instance to red without a route")
	}
	for _, x := range []struct{ path, doc, at string }{
		{red + "/config/type", `"` + identity("network-instance-types", "DEFAULT_INSTANCE") + `"`, red + "/config/type"},
		{red + "/interfaces/interface[id=eth9]/config/id", `"eth9"`, red + "/interfaces/interface[id=eth9]"},
		{niPath + "/interfaces/interface[id=eth3]/config/id", `"eth3"`, "interface[id=eth3]"},
		{red + "/protocols/protocol[identifier=BGP][name=bgp]/bgp/global/config/as", "65001", red + "/protocols/protocol[identifier=BGP][name=bgp]"},
		{"/network-instances/network-instance[name=a b]/config/type", `"` + identity("network-instance-types", "L3VRF") + `"`, "/network-instances/network-instance[name=a b]"},
	} {
		err := c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(x.path, x.doc)}})
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.FailedPrecondition || !strings.Contains(err.Error(), x.at) {
			t.Errorf("%s = %s: %v", x.path, x.doc, err)
		}
	}

	// An interface moves, and the instance goes.
	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(red + "/interfaces/interface[id=eth3]"), c.path(red + "/protocols")}}))
	b.pings("a", "10.0.3.2")
	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(red), c.path(niPath + "/protocols")}}))
	b.pings("a", "10.0.2.2")
	if _, err := c.get(red + "/state/type"); status.Code(err) != codes.NotFound {
		t.Errorf("red is left: %v", err)
	}
}
