package model

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

func tcpSchema(t *testing.T) *schema.Schema {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tcpOfTree reads the section of a tree alone.
func tcpOfTree(t *testing.T, root *tree.Node) (config.TCP, tree.Errors) {
	t.Helper()
	x := &reader{Root: root, C: new(config.Config), memo: map[string]remembered{}}
	readTCP(x)
	return x.C.TCP, x.errs
}

// treeOfTCP writes the section alone. Leafrefs out of it are given their targets.
func treeOfTCP(t *testing.T, s *schema.Schema, c *config.Config, hint *tree.Tree) *tree.Tree {
	t.Helper()
	w := &writer{C: c, e: tree.New(s).Edit()}
	if hint != nil {
		w.Hint = hint.Root()
	}
	for _, name := range []string{"default", "red"} {
		w.set(entry(nil, "network-instances/network-instance", "name", name), "config/name", name)
	}
	for _, name := range []string{"eth1", "lo.5"} {
		w.set(entry(nil, "interfaces/interface", "name", name), "config/name", name)
	}
	w.set(entry(entry(nil, "interfaces/interface", "name", "eth1"), "subinterfaces/subinterface", "index", "7"), "config/index", 7)
	writeTCP(w)
	if err := w.errs.Err(); err != nil {
		t.Fatal(err)
	}
	got, err := w.e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// fill gives a value's fields random values that the schema takes, or leaves them out.
func fill(r *rand.Rand, v reflect.Value, path string) {
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf([]netip.Addr{
			netip.AddrFrom4([4]byte{10, byte(r.Uint32()), 0, byte(r.Uint32())}), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", 1+r.UintN(65535))),
		}[r.IntN(2)]))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.Uint32())}), 16)))
		return
	case config.Duration:
		v.SetInt(int64(time.Duration(1000+1000*r.IntN(3)) * time.Millisecond))
		return
	case tcpChoice:
		words := v.Interface().(tcpChoice).Values()
		v.SetString(words[r.IntN(len(words))])
		return
	}
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		e := reflect.New(v.Type().Elem())
		fill(r, e.Elem(), path)
		if v.Type().Elem().Kind() == reflect.Bool {
			e.Elem().SetBool(r.IntN(2) == 0)
		}
		if !e.Elem().IsZero() || v.Type().Elem().Kind() == reflect.Bool {
			v.Set(e) // a container that holds nothing is not there
		}
	case reflect.String:
		switch name {
		case "Pool", "BackupPool":
			v.SetString("p0") // which fillTCP makes
		case "NetworkInstance":
			v.SetString("red")
		case "Interface":
			v.SetString([]string{"eth1", "eth1.7", "lo.5"}[r.IntN(3)])
		default:
			v.SetString([]string{"a", "two words", "/x/y\n", "ünïcode \"'<&]["}[r.IntN(4)])
		}
	case reflect.Uint8:
		v.SetUint(uint64(1 + r.UintN(63)))
	case reflect.Uint16:
		v.SetUint(uint64([]int{2000, 400, 599}[r.IntN(3)]))
		if strings.HasPrefix(name, "Status") {
			v.SetUint(uint64(200 + r.UintN(400)))
		} else if name != "Port" {
			v.SetUint(uint64(1024 + r.UintN(60000)))
		}
	case reflect.Uint32:
		v.SetUint(uint64(4096 + r.UintN(1000)))
		if name == "Retries" || name == "Fall" || name == "MinHealthy" {
			v.SetUint(uint64(1 + r.UintN(15)))
		}
	case reflect.Uint64:
		v.SetUint(1 + r.Uint64N(1<<40))
	case reflect.Slice:
		for i := range 1 + r.IntN(3) {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(r, e, path)
			if e.Kind() == reflect.Struct {
				for k := range e.NumField() {
					if strings.HasSuffix(e.Type().Field(k).Tag.Get("cfg"), ",key") {
						e.Field(k).SetString(fmt.Sprintf("%s%d", map[bool]string{true: "/k]", false: "p"}[e.Type().Field(k).Name == "Path"], i))
					}
				}
			}
			v.Set(reflect.Append(v, e))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := path + "." + v.Type().Field(i).Name
			if r.IntN(3) > 0 || v.Type().Field(i).Name == "SYNACKRetries" {
				fill(r, v.Field(i), field)
			}
		}
		if o, ok := v.Addr().Interface().(*config.TCPOptions); ok {
			o.SYNACKRetries = min(o.SYNACKRetries, 15)
			if strings.HasPrefix(path, ".Pools") {
				o.FastOpen, o.SYNCookiesAlways, o.SYNACKRetries = false, false, 0
			}
		}
	}
}

// fillTCP makes a random configuration. Sets have no element twice.
func fillTCP(r *rand.Rand) *config.Config {
	c := &config.Config{Interfaces: []config.Interface{
		{Name: "eth1", Type: config.Port}, {Name: "eth1.7", Type: config.VLAN, Parent: "eth1", VLANID: 7}, {Name: "lo.5", Type: config.Loopback},
	}}
	fill(r, reflect.ValueOf(&c.TCP).Elem(), "")
	if len(c.TCP.Pools) == 0 {
		c.TCP.Pools = []config.TCPPool{{Name: "p0"}}
	}
	for i := range c.TCP.Pools {
		c.TCP.Pools[i].SourceAddresses = unique(c.TCP.Pools[i].SourceAddresses)
	}
	for i := range c.TCP.Listeners {
		l := &c.TCP.Listeners[i]
		l.Allow, l.Deny = unique(l.Allow), unique(l.Deny)
		if l.HTTP != nil {
			l.HTTP.Methods = unique(l.HTTP.Methods)
		}
		if l.Proxy != nil {
			l.Proxy.ProxyProtocolTrusted = unique(l.Proxy.ProxyProtocolTrusted)
		}
	}
	return c
}

func unique[T comparable](list []T) []T {
	var out []T
	for _, x := range list {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func TestTCPRoundTrip(t *testing.T) {
	s := tcpSchema(t)
	r := rand.New(rand.NewPCG(4, 2))
	for n := range 400 {
		c := fillTCP(r)
		made := treeOfTCP(t, s, c, nil)
		got, errs := tcpOfTree(t, made.Root())
		if len(errs) > 0 {
			t.Fatalf("round %d: %v", n, errs)
		}
		if !reflect.DeepEqual(got, c.TCP) {
			t.Fatalf("round %d:\n got %+v\nwant %+v", n, got, c.TCP)
		}
		// Through JSON as well, as it is kept.
		again, err := tree.Parse(s, made.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := tcpOfTree(t, again.Root()); !reflect.DeepEqual(got, c.TCP) {
			t.Fatalf("round %d: JSON changed something", n)
		}
	}
}

// Each leaf of the configuration, set alone, changes the Config, and the Config's tree has that leaf again.
func TestTCPEachLeaf(t *testing.T) {
	s := tcpSchema(t)
	top := s.Find("/tcp-termination")
	if top == nil {
		t.Fatal("the schema has no /tcp-termination")
	}
	leaves := 0
	top.Walk(func(n *schema.Node) {
		if !n.IsLeaf() || !n.Config || n.Parent.Name != "config" || n.Parent.Parent.Kind == schema.List && slices.Contains(n.Parent.Parent.Keys, n.Name) {
			return
		}
		leaves++
		t.Run(n.Path(), func(t *testing.T) {
			for _, value := range sample(n) {
				e := tree.New(s).Edit()
				put := func(path string, v any) {
					if err := e.Put(path, v); err != nil {
						t.Fatal(err)
					}
				}
				put("/network-instances/network-instance[name=red]/config/name", "red")
				put("/interfaces/interface[name=red]/config/name", "red")
				put("/interfaces/interface[name=red]/subinterfaces/subinterface[index=7]/config/index", 7)
				put("/tcp-termination/pools/pool[name=red]/config/name", "red")
				p := tree.Path{}
				for at := n; at.Parent != nil; at = at.Parent {
					el := tree.Elem{Name: at.Name}
					for _, k := range at.Keys {
						el.Keys = append(el.Keys, tree.Key{Name: k, Value: map[bool]string{true: "7", false: "red"}[k == "index"]})
					}
					p = append(tree.Path{el}, p...)
				}
				if n.Name == "subinterface" {
					if err := e.Set(p[:len(p)-1].Name("interface"), "red"); err != nil {
						t.Fatal(err)
					}
				}
				if len(p) > 3 { // what it is in is there before
					for i := range p {
						if len(p[i].Keys) > 0 {
							if err := e.Set(p[:i+1].Name("config").Name(p[i].Keys[0].Name), p[i].Keys[0].Value); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				before, err := e.Commit()
				if err != nil {
					t.Fatal(err)
				}
				e = before.Edit()
				if err := e.SetText(p, value); err != nil {
					t.Fatal(err)
				}
				after, err := e.Commit()
				if err != nil {
					t.Fatal(err)
				}
				a, _ := tcpOfTree(t, before.Root())
				b, errs := tcpOfTree(t, after.Root())
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				if reflect.DeepEqual(a, b) && value != "0" {
					t.Errorf("%s = %s changes nothing", p, value)
				}
				w := &writer{C: &config.Config{TCP: b, Interfaces: []config.Interface{{Name: "red.7", Type: config.VLAN, Parent: "red"}}}, Hint: after.Root(), e: tree.New(s).Edit()}
				writeTCP(w)
				if len(w.errs) > 0 {
					t.Fatal(w.errs)
				}
				if got := lookup(w.e.Root(), p).Value().Text(); got != value && value != "0" {
					t.Errorf("%s = %q comes back as %q", p, value, got)
				}
			}
		})
	})
	if leaves < 100 {
		t.Errorf("only %d leaves", leaves)
	}
}

// sample is values for a leaf, in canonical text.
func sample(n *schema.Node) []string {
	typ := n.Type.Resolve()
	switch {
	case n.Name == "subinterface":
		return []string{"7"}
	case typ.Base == schema.Enumeration:
		return typ.Values
	case typ.Base == schema.Boolean:
		return []string{"true"}
	}
	for _, set := range [][]string{{"red"}, {"192.0.2.0/24", "2001:db8::/32"}, {"192.0.2.1", "2001:db8::1"}, {"7", "63"}, {"599", "200"}, {"5003"}} {
		ok := true
		for _, v := range set {
			_, err := n.FromText(v)
			ok = ok && err == nil
		}
		if ok {
			return set
		}
	}
	return nil
}

func TestTCPPaths(t *testing.T) {
	s := tcpSchema(t)
	c := &config.Config{TCP: config.TCP{Listeners: []config.TCPListener{{
		Name: "web", HTTP: &config.TCPHTTP{Routes: []config.HTTPRoute{{Path: "/a.b", Response: config.HTTPResponse{
			Headers: []config.HTTPHeader{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
		}}}},
	}}}}
	e := treeOfTCP(t, s, c, nil).Edit()
	const headers = "/tcp-termination/listeners/listener[name=web]/http/routes/route[path=/a.b]/response/headers"
	if err := e.Delete(tree.MustPath(headers + "/header[index=2]")); err != nil {
		t.Fatal(err)
	}
	for _, kv := range [][2]string{{"name", "C"}, {"value", "3"}} {
		if err := e.Put(headers+"/header[index=30]/config/"+kv[0], kv[1]); err != nil {
			t.Fatal(err)
		}
	}
	now, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	l := &locator{C: c, Tree: now.Root(), s: s}
	for in, want := range map[string]string{
		"tcp":                                       "/tcp-termination",
		"tcp.port-max":                              "/tcp-termination/config/port-max",
		"tcp.listeners":                             "/tcp-termination/listeners/listener",
		"tcp.vips":                                  "/tcp-termination/virtual-addresses/virtual-address",
		"tcp.vips[v].interface":                     "/tcp-termination/virtual-addresses/virtual-address[name=v]/config/interface",
		"tcp.pools[p]":                              "/tcp-termination/pools/pool[name=p]",
		"tcp.pools[p].source-addresses[3]":          "/tcp-termination/pools/pool[name=p]/config/source-address",
		"tcp.pools[p].passive-check.time":           "/tcp-termination/pools/pool[name=p]/passive-check/config/time",
		"tcp.pools[p].options.mss":                  "/tcp-termination/pools/pool[name=p]/options/config/mss",
		"tcp.pools[p].backends":                     "/tcp-termination/pools/pool[name=p]/backends/backend",
		"tcp.pools[p].backends[b.1].admin":          "/tcp-termination/pools/pool[name=p]/backends/backend[name=b.1]/config/admin-state",
		"tcp.listeners[web].allow[2]":               "/tcp-termination/listeners/listener[name=web]/config/allow",
		"tcp.listeners[web].http":                   "/tcp-termination/listeners/listener[name=web]/http",
		"tcp.listeners[web].http.routes":            "/tcp-termination/listeners/listener[name=web]/http/routes/route",
		"tcp.listeners[web].http.methods[1]":        "/tcp-termination/listeners/listener[name=web]/http/config/method",
		"tcp.listeners[web].http.response.body":     "/tcp-termination/listeners/listener[name=web]/http/response/config/body",
		"tcp.listeners[web].proxy":                  "/tcp-termination/listeners/listener[name=web]/proxy",
		"tcp.listeners[web].proxy.pool":             "/tcp-termination/listeners/listener[name=web]/proxy/config/pool",
		"tcp.listeners[web].options.synack-retries": "/tcp-termination/listeners/listener[name=web]/options/config/synack-retries",
		"tcp.listeners[web].http.routes[0].path":    "/tcp-termination/listeners/listener[name=web]/http/routes/route[path=/a.b]/config/path",
		"tcp.listeners[web].http.routes[/a.b].path": "/tcp-termination/listeners/listener[name=web]/http/routes/route[path=/a.b]/config/path",
		"tcp.listeners[web].http.routes[/a.b].response.headers[0].name":  headers + "/header[index=1]/config/name",
		"tcp.listeners[web].http.routes[/a.b].response.headers[1].value": headers + "/header[index=30]/config/value",
		"tcp.listeners[web].http.routes[/a.b].response.headers":          headers + "/header",
	} {
		got := l.fit(locateTCP(l, parseSteps(in)))
		if got.String() != want {
			t.Errorf("%s is at %s, want %s", in, got, want)
		}
	}
	// What is there keeps its index, whoever changes the answer.
	r := &c.TCP.Listeners[0].HTTP.Routes[0].Response
	r.Headers = []config.HTTPHeader{{Name: "A", Value: "1"}, {Name: "C", Value: "3"}, {Name: "D", Value: "4"}}
	if got := indices(lookup(treeOfTCP(t, s, c, now).Root(), tree.MustPath(headers)[:7])); !slices.Equal(got, []uint64{1, 30, 31}) {
		t.Errorf("indices %v", got)
	}
}

// A tree that has what the appliance cannot do is refused by name.
func TestTCPRefused(t *testing.T) {
	s := tcpSchema(t)
	for path, value := range map[string]string{
		"/tcp-termination/virtual-addresses/virtual-address[name=v]/config/subinterface": "7",
	} {
		e := tree.New(s).Edit()
		if err := e.Put("/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=7]/config/index", 7); err != nil {
			t.Fatal(err)
		}
		if err := e.SetText(tree.MustPath(path), value); err != nil {
			t.Fatal(err)
		}
		got, err := e.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := tcpOfTree(t, got.Root()); len(errs) != 1 || errs[0].Path != path {
			t.Errorf("%s = %s: %v", path, value, errs)
		}
	}
}
