package store

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"millrace/server/config"
	"millrace/server/model"
	"millrace/yang/tree"
)

// many is a store with so many static routes.
func many(t testing.TB, routes int) *box {
	b := open(t, func(o *Options) { o.Model = model.New(o.Schema) })
	if err := b.Edit(context.Background(), func(c *config.Config) error {
		c.Interfaces = []config.Interface{{Name: "eth1", Type: config.Port, Iface: "a", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}}
		n := config.NetworkInstance{Name: config.DefaultInstance}
		for i := range routes {
			n.StaticRoutes = append(n.StaticRoutes, config.StaticRoute{
				Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24),
				NextHops: []config.NextHop{{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i%200 + 2)})}},
			})
		}
		c.NetworkInstances = []config.NetworkInstance{n}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkLeafInTenThousandRoutes(b *testing.B) {
	s := many(b, 10_000)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		s.mustSet("/interfaces/interface[name=eth1]/config/description", fmt.Sprint(n))
	}
}

func BenchmarkRouteAmongTenThousand(b *testing.B) {
	s := many(b, 10_000)
	n := 0
	const at = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=10.1.0.0/24]/next-hops/next-hop[index=0]/config/next-hop"
	for b.Loop() {
		n++
		s.mustSet(at, fmt.Sprintf("192.0.2.%d", n%200+2))
	}
}

func BenchmarkEditAmongTenThousand(b *testing.B) {
	s := many(b, 10_000)
	n := 0
	for b.Loop() {
		n++
		if err := s.Edit(context.Background(), func(c *config.Config) error { c.Interfaces[0].Description = fmt.Sprint(n); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTenThousandRoutes(b *testing.B) {
	s := many(b, 10_000)
	doc := s.Tree().Root().Child("network-instances").AppendJSON(nil, tree.Format{IETF: true})
	for b.Loop() {
		for _, f := range []func(*tree.Edit) error{
			func(e *tree.Edit) error { return e.Delete(tree.MustPath("/network-instances")) },
			func(e *tree.Edit) error { return e.Replace(tree.MustPath("/network-instances"), doc) },
		} {
			if _, err := s.Commit(context.Background(), Request{}, f); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestEncoder(t *testing.T) {
	s := many(t, 300)
	for n := range 20 {
		s.mustSet("/interfaces/interface[name=eth1]/config/description", fmt.Sprint(n))
		s.mustSet(fmt.Sprintf("/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=10.0.%d.0/24]/next-hops/next-hop[index=0]/config/next-hop", n), "192.0.2.250")
		if got, want := string(s.json.encode(s.Tree())), s.text(); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	}
	if n := len(s.json.now); n < 300 || n > 320 {
		t.Errorf("%d entries are remembered", n)
	}
}
