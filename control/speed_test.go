package control

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"millrace/server/config"
	"millrace/server/model"
	"millrace/server/store"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// manyRoutes is a controller with a store and so many static routes.
func manyRoutes(t *testing.T, n int) (*bench, *store.Store) {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Options{Dir: t.TempDir(), Schema: s, Model: model.New(s), Secrets: model.Secrets()})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, "{}", nil)
	b.eventually("the session", func() bool { return b.has("settings") })
	st.Bind(b.c)
	if err := st.Edit(context.Background(), func(c *config.Config) error {
		c.Interfaces = []config.Interface{{Name: "eth1", Type: config.Port, Iface: "a", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}}
		in := config.NetworkInstance{Name: config.DefaultInstance}
		for i := range n {
			in.StaticRoutes = append(in.StaticRoutes, config.StaticRoute{
				Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24),
				NextHops: []config.NextHop{{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i%200 + 2)})}},
			})
		}
		c.NetworkInstances = []config.NetworkInstance{in}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.c.waitFIB(context.Background(), patience); err != nil {
		t.Fatal(err)
	}
	return b, st
}

// TestCommitAmongManyRoutes changes a leaf, and then a route, beside ten thousand routes, and sees the data plane have both.
func TestCommitAmongManyRoutes(t *testing.T) {
	b, st := manyRoutes(t, 10_000)
	commit := func(path string, value any) {
		t.Helper()
		if _, err := st.Commit(context.Background(), store.Request{Who: "test"}, func(e *tree.Edit) error { return e.Put(path, value) }); err != nil {
			t.Fatal(err)
		}
	}
	const at = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes/"
	b.s.TakeLog()
	for n := range 20 {
		commit("/interfaces/interface[name=eth1]/config/description", fmt.Sprint(n))
		if l := b.s.TakeLog(); len(l) != 1 {
			t.Fatalf("a description was written as %q", l)
		}
	}
	for n := range 20 {
		commit(at+"static[prefix=11.0.0.0/8]/next-hops/next-hop[index=0]/config/next-hop", fmt.Sprintf("192.0.2.%d", n+2))
		if !b.has("route default 11.0.0.0/8") {
			t.Fatal("the route was answered before the data plane has it")
		}
		if l := b.s.TakeLog(); len(l) > 5 {
			t.Fatalf("a route was written as %q", l)
		}
	}
}
