package control

import (
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"millrace/internal/leaftest"
	"millrace/routing/bgp"
	"millrace/server/config"
	"millrace/server/model"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// outcome is all that a configuration does: what the data plane, the RIB and the BGP speakers are given, and what the daemon itself
// goes by.
type outcome struct {
	objects map[string][]byte
	routes  map[string]string
	bgp     map[string]bgp.Config
	system  config.System
	aaa     config.AAA
	gribi   any
	// redistribute is what of other sources BGP announces, by instance.
	redistribute map[string][]config.Redistribute
	// announced are the virtual addresses that BGP announces while they are served.
	announced []config.VIP
}

func outcomeOf(t *testing.T, c *config.Config) outcome {
	t.Helper()
	routes := map[string]string{}
	_, add := routeChanges(nil, c)
	for _, x := range add {
		r := x.Route
		routes[fmt.Sprint(r.VRF, r.Prefix, r.Source, r.Origin)] = fmt.Sprintf("%+v", r)
	}
	o := outcome{objects: map[string][]byte{}, routes: routes, bgp: bgpConfigs(c), system: c.System, aaa: c.AAA, gribi: c.GRIBI, redistribute: map[string][]config.Redistribute{}}
	for _, n := range c.NetworkInstances {
		if n.BGP != nil {
			o.redistribute[n.Name] = n.BGP.Redistribute
		}
	}
	for _, x := range desired(c) {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(x.add)
		if err != nil {
			t.Fatal(err)
		}
		o.objects[x.key] = b
	}
	for _, v := range c.TCP.VIPs {
		if v.Announce {
			o.announced = append(o.announced, v)
		}
	}
	return o
}

// idle are leaves of which nothing can be seen to come here, and why.
var idle = map[string]string{
	"/interfaces/interface/config/type":                                                                                             "has to fit what the interface is made of",
	"/interfaces/interface/subinterfaces/subinterface/ipv4/config/enabled":                                                          "true: the family is there when it has addresses",
	"/interfaces/interface/subinterfaces/subinterface/ipv6/config/enabled":                                                          "true: the family is there when it has addresses",
	"/network-instances/network-instance/config/type":                                                                               "which its name says",
	"/network-instances/network-instance/protocols/protocol/bgp/global/config/as":                                                   "iBGP peers have to be of the same",
	"/routing-policy/defined-sets/prefix-sets/prefix-set/config/mode":                                                               "that of the prefixes",
	"/routing-policy/policy-definitions/policy-definition/statements/statement/actions/bgp-actions/set-community/config/method":     "has to fit which of inline and reference is there",
	"/routing-policy/policy-definitions/policy-definition/statements/statement/actions/bgp-actions/set-ext-community/config/method": "has to fit which of inline and reference is there",
	"/system/aaa/authentication/users/user/config/password":                                                                         "is hashed before it is committed",
}

// TestEveryLeafHasAnEffect sets each leaf of the management tree to something else and fails where nothing comes of it: neither the data
// plane, the RIB nor BGP is told anything else, nor does the daemon itself go by it.
func TestEveryLeafHasAnEffect(t *testing.T) {
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(leaftest.Document)
	if err != nil {
		t.Fatal(err)
	}
	m := model.New(s)
	base, err := m.FromConfig(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = m.ToConfig(base); err != nil {
		t.Fatal(err)
	}
	before := outcomeOf(t, c)
	b := leaftest.Base{Schema: s, Tree: base}
	try := func(change func(*tree.Edit) error) bool {
		e := base.Edit()
		if change(e) != nil {
			return false
		}
		next, err := e.Commit()
		if err != nil {
			return false
		}
		c, err := m.ToConfig(next)
		if err != nil || c.Validate() != nil {
			return false
		}
		return !reflect.DeepEqual(before, outcomeOf(t, c))
	}
	leaf := func(n *schema.Node) bool {
		for _, at := range b.Places(n) {
			for _, text := range b.Candidates(n) {
				if try(func(e *tree.Edit) error { return leaftest.Set(e, at, n, text) }) {
					return true
				}
			}
			if base.Get(at) != nil && try(func(e *tree.Edit) error { return e.Delete(at) }) {
				return true
			}
		}
		return false
	}
	for _, n := range b.Leaves() {
		if n.Name == "description" { // shown, and no more
			continue
		}
		_, known := idle[n.Path()]
		switch {
		case leaf(n) && known:
			t.Errorf("%s is listed as idle, and has an effect", n.Path())
		case !known && !leaf(n):
			t.Errorf("nothing comes of %s", n.Path())
		}
	}
}
