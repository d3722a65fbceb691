package rib

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr  { return netip.MustParseAddr(s) }

func via(addrs ...string) []NextHop {
	var out []NextHop
	for _, a := range addrs {
		out = append(out, NextHop{Addr: addr(a)})
	}
	return out
}

func static(p string, nhs ...NextHop) Change {
	return Change{Route: Route{Prefix: pfx(p), Source: SourceStatic, NextHops: nhs}}
}

func bgp(p string, nhs ...NextHop) Change {
	return Change{Route: Route{Prefix: pfx(p), Source: SourceBGP, Origin: "bgp", NextHops: nhs}}
}

func del(c Change) Change { c.Op = Delete; return c }

func must(t *testing.T, r *RIB, cs ...Change) {
	t.Helper()
	for i, err := range r.Apply(cs) {
		if err != nil {
			t.Fatalf("change %d (%s): %v", i, cs[i].Route.Prefix, err)
		}
	}
}

// show is where packets to an address go, short.
func show(t *testing.T, r *RIB, vrf, a string) string {
	t.Helper()
	ms, err := r.Resolve(vrf, addr(a))
	if err != nil {
		t.Fatal(err)
	}
	return members(ms)
}

func members(ms []Member) string {
	var s []string
	for _, m := range ms {
		x := m.Interface
		if m.Kind != KindUnicast {
			x = m.Kind.String()
		}
		if m.Gateway.IsValid() {
			x += "/" + m.Gateway.String()
		}
		if m.VRF != "" && m.VRF != DefaultVRF {
			x += "@" + m.VRF
		}
		if m.Weight != 1 {
			x += "*" + string(rune('0'+m.Weight))
		}
		s = append(s, x)
	}
	return strings.Join(s, " ")
}

func want(t *testing.T, r *RIB, a, w string) {
	t.Helper()
	if got := show(t, r, "", a); got != w {
		t.Errorf("%s goes to %q, want %q", a, got, w)
	}
}

// lab has two connected networks of each family.
func lab() *RIB {
	r := New(Options{Slice: 16})
	connected(r, "eth0", "10.0.0.0/24")
	connected(r, "eth1", "10.0.1.0/24")
	connected(r, "eth0", "2001:db8:0::/64")
	connected(r, "eth1", "2001:db8:1::/64")
	return r
}

func TestBestPath(t *testing.T) {
	r := lab()
	b, s := bgp("192.0.2.0/24", via("10.0.0.1")...), static("192.0.2.0/24", via("10.0.1.1")...)
	must(t, r, b)
	want(t, r, "192.0.2.9", "eth0/10.0.0.1")
	must(t, r, s)
	want(t, r, "192.0.2.9", "eth1/10.0.1.1")
	r.SetInterfaceState("eth1", false)
	want(t, r, "192.0.2.9", "eth0/10.0.0.1")
	r.SetInterfaceState("eth1", true)
	want(t, r, "192.0.2.9", "eth1/10.0.1.1")
	s.Route.Distance = 255
	must(t, r, s)
	want(t, r, "192.0.2.9", "eth0/10.0.0.1")
	s.Route.Distance = 20
	s.Route.Metric = 5
	must(t, r, s)
	want(t, r, "192.0.2.9", "eth0/10.0.0.1")
	b.Route.Metric = 6
	must(t, r, b)
	want(t, r, "192.0.2.9", "eth1/10.0.1.1")
	must(t, r, del(s), del(b))
	want(t, r, "192.0.2.9", "")
	if errs := r.Apply([]Change{del(b)}); errs == nil || !errors.Is(errs[0], ErrNotFound) {
		t.Errorf("deleting what is not there: %v", errs)
	}
	if st := r.Stats(); st.Prefixes != 4 || st.NextHops != 0 || st.Groups != 2 {
		t.Errorf("left over: %+v", st)
	}
}

func TestRecursion(t *testing.T) {
	r := lab()
	must(t, r,
		bgp("203.0.113.0/24", via("192.0.2.1")...), // three levels, given top first
		bgp("192.0.2.0/24", via("198.51.100.1")...),
		static("198.51.100.0/24", via("10.0.0.7")...),
	)
	want(t, r, "203.0.113.5", "eth0/10.0.0.7")
	must(t, r, static("198.51.100.0/24", via("10.0.1.7")...))
	want(t, r, "203.0.113.5", "eth1/10.0.1.7")
	// A more specific route takes the next hop over, and gives it back.
	must(t, r, static("198.51.100.1/32", via("10.0.0.8")...))
	want(t, r, "203.0.113.5", "eth0/10.0.0.8")
	must(t, r, del(static("198.51.100.1/32")))
	want(t, r, "203.0.113.5", "eth1/10.0.1.7")
	must(t, r, del(static("198.51.100.0/24")))
	want(t, r, "203.0.113.5", "")
	// Through the default route; the default route not through itself.
	must(t, r, static("0.0.0.0/0", via("10.0.0.254")...))
	want(t, r, "203.0.113.5", "eth0/10.0.0.254")
	must(t, r, static("0.0.0.0/0", via("172.16.0.1")...))
	want(t, r, "203.0.113.5", "")
	// On the link of a static route by interface.
	must(t, r, static("172.16.0.0/24", NextHop{Interface: "eth1"}))
	want(t, r, "203.0.113.5", "eth1/172.16.0.1")
}

func TestSelfRecursion(t *testing.T) {
	r := lab()
	must(t, r, bgp("10.0.0.0/25", via("10.0.0.2")...))
	want(t, r, "10.0.0.9", "eth0/10.0.0.2")
	must(t, r, bgp("192.0.2.0/24", via("10.0.0.2")...), bgp("198.51.100.0/24", via("10.0.0.3")...))
	want(t, r, "192.0.2.1", "eth0/10.0.0.2")
	want(t, r, "198.51.100.1", "eth0/10.0.0.2")
	must(t, r, static("172.16.0.0/12", via("172.16.0.1")...))
	want(t, r, "172.16.5.5", "")
	must(t, r, static("10.0.0.2/32", via("10.0.0.2")...))
	want(t, r, "10.0.0.2", "eth0/10.0.0.2")
}

func TestLoops(t *testing.T) {
	// Nothing else to resolve with: both unresolved.
	r := lab()
	must(t, r, static("172.16.0.0/16", via("172.17.0.1")...), static("172.17.0.0/16", via("172.16.0.1")...))
	want(t, r, "172.16.0.1", "")
	want(t, r, "172.17.0.1", "")
	// Each could resolve over a connected network, but not both at once: the
	// first stays, the second is held back until that goes.
	a, b := static("10.0.0.0/25", via("10.0.1.1")...), static("10.0.1.0/25", via("10.0.0.1")...)
	must(t, r, b)
	must(t, r, a)
	want(t, r, "10.0.1.9", "eth0/10.0.0.1")
	want(t, r, "10.0.0.9", "eth0")
	ri, err := r.Get("", pfx("10.0.0.0/25"))
	if err != nil || ri.Best != -1 || !strings.Contains(ri.Candidates[0].Reason, "loop") {
		t.Errorf("held back route: %+v, %v", ri, err)
	}
	if r.Stats().Blocked != 1 {
		t.Errorf("blocked: %+v", r.Stats())
	}
	must(t, r, del(b))
	want(t, r, "10.0.0.9", "eth1/10.0.1.1")
	must(t, r, b)
	want(t, r, "10.0.1.9", "eth1")
	// A longer ring.
	r = lab()
	var ring []Change
	for i := range 40 {
		c := static("172.16.0.0/24", via("172.16.0.1")...)
		c.Route.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i), 0}), 24)
		c.Route.NextHops[0].Addr = netip.AddrFrom4([4]byte{172, 16, byte((i + 1) % 40), 1})
		ring = append(ring, c)
	}
	must(t, r, ring...)
	want(t, r, "172.16.3.3", "")
	must(t, r, static("172.16.39.0/24", via("10.0.0.1")...))
	want(t, r, "172.16.38.3", "eth0/10.0.0.1")
	want(t, r, "172.16.26.3", "eth0/10.0.0.1")
	want(t, r, "172.16.3.3", "") // deeper than MaxDepth
}

func TestECMP(t *testing.T) {
	r := lab()
	must(t, r, bgp("192.0.2.0/24", via("10.0.0.1", "10.0.1.1")...))
	want(t, r, "192.0.2.1", "eth0/10.0.0.1 eth1/10.0.1.1")
	must(t, r, bgp("198.51.100.0/24", NextHop{Addr: addr("192.0.2.1"), Weight: 1}, NextHop{Addr: addr("10.0.0.5"), Weight: 2}))
	want(t, r, "198.51.100.1", "eth0/10.0.0.1 eth0/10.0.0.5*4 eth1/10.0.1.1")
	r.SetInterfaceState("eth1", false)
	want(t, r, "192.0.2.1", "eth0/10.0.0.1")
	want(t, r, "198.51.100.1", "eth0/10.0.0.1 eth0/10.0.0.5*2")
	// 64 next hops with two members each are cut to 64.
	r.SetInterfaceState("eth1", true)
	var nhs []NextHop
	for i := range 64 {
		a := netip.AddrFrom4([4]byte{172, 16, byte(i), 1})
		must(t, r, Change{Route: Route{Prefix: netip.PrefixFrom(a, 32), Source: SourceStatic, NextHops: []NextHop{
			{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}, {Addr: netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)})},
		}}})
		nhs = append(nhs, NextHop{Addr: a})
	}
	must(t, r, bgp("203.0.113.0/24", nhs...))
	if ms, _ := r.Resolve("", addr("203.0.113.1")); len(ms) != MaxNextHops {
		t.Errorf("%d members", len(ms))
	}
}

func TestKindsAndLinkLocal(t *testing.T) {
	r := lab()
	bh := Change{Route: Route{Prefix: pfx("192.0.2.1/32"), Source: SourceStatic, Kind: KindBlackhole}}
	local := Change{Route: Route{Prefix: pfx("10.0.0.254/32"), Source: SourceConnected, Kind: KindPunt}}
	must(t, r, bh, local,
		bgp("198.51.100.0/24", via("192.0.2.1")...),    // remotely triggered blackhole
		bgp("203.0.113.0/24", via("10.0.0.254")...),    // an own address is no gateway
		bgp("2001:db8:f::/48", via("fe80::1%eth0")...), // keeps its interface
		bgp("100.64.0.0/10", via("2001:db8:1::9")...),  // RFC 8950
		bgp("100.64.0.0/16", NextHop{Addr: addr("fe80::2"), Interface: "eth1"}),
	)
	want(t, r, "198.51.100.1", "blackhole")
	want(t, r, "203.0.113.1", "")
	want(t, r, "2001:db8:f::1", "eth0/fe80::1")
	want(t, r, "100.65.0.1", "eth1/2001:db8:1::9")
	want(t, r, "100.64.0.1", "eth1/fe80::2")
	r.SetInterfaceState("eth1", false)
	want(t, r, "100.65.0.1", "")
	want(t, r, "100.64.0.1", "")
	want(t, r, "2001:db8:f::1", "eth0/fe80::1")
}

func TestVRFs(t *testing.T) {
	r := lab()
	if err := r.CreateVRF("red"); err != nil {
		t.Fatal(err)
	}
	r.SetInterfaceState("eth2", true)
	red := func(c Change) Change { c.Route.VRF = "red"; return c }
	conn := static("10.0.0.0/24", NextHop{Interface: "eth2"})
	conn.Route.Source = SourceConnected
	must(t, r, red(conn), red(static("192.0.2.0/24", via("10.0.0.1")...)), static("192.0.2.0/24", via("10.0.0.1")...),
		static("198.51.100.0/24", NextHop{Addr: addr("192.0.2.1"), VRF: "red"}))
	if got := show(t, r, "red", "192.0.2.1"); got != "eth2/10.0.0.1@red" {
		t.Error(got)
	}
	want(t, r, "192.0.2.1", "eth0/10.0.0.1")
	want(t, r, "198.51.100.1", "eth2/10.0.0.1@red")
	if err := r.DeleteVRF("red"); err != nil {
		t.Fatal(err)
	}
	want(t, r, "198.51.100.1", "")
	if _, err := r.Resolve("red", addr("192.0.2.1")); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err := r.CreateVRF("red"); err != nil {
		t.Fatal(err)
	}
	if got := show(t, r, "red", "192.0.2.1"); got != "" {
		t.Error(got)
	}
	must(t, r, red(conn), red(static("192.0.2.0/24", via("10.0.0.1")...)))
	want(t, r, "198.51.100.1", "eth2/10.0.0.1@red")
	if err := r.DeleteVRF("default"); err == nil {
		t.Error("default instance deleted")
	}
}

func TestBadInput(t *testing.T) {
	r := lab()
	before := r.Stats()
	many := make([]NextHop, 65)
	for i := range many {
		many[i].Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
	}
	for _, c := range []struct {
		field string
		ch    Change
	}{
		{"prefix", Change{}},
		{"prefix", static("10.0.0.1/24", via("10.0.0.2")...)},
		{"prefix", static("::ffff:10.0.0.0/104", via("10.0.0.2")...)},
		{"next_hops", static("10.9.0.0/24")},
		{"next_hops", static("10.9.0.0/24", many...)},
		{"next_hops[1].addr", static("10.9.0.0/24", via("10.0.0.2", "224.0.0.1")...)},
		{"next_hops[0].addr", static("10.9.0.0/24", NextHop{})},
		{"next_hops[0].addr", static("10.9.0.0/24", via("127.0.0.1")...)},
		{"next_hops[0].addr", static("2001:db8::/32", via("10.0.0.1")...)},
		{"next_hops[0].interface", static("2001:db8::/32", via("fe80::1")...)},
		{"next_hops[0].interface", static("2001:db8::/32", NextHop{Addr: addr("fe80::1%a"), Interface: "b"})},
		{"next_hops[0].vrf", static("10.9.0.0/24", NextHop{Addr: addr("10.0.0.1"), VRF: "blue"})},
		{"next_hops[0].weight", static("10.9.0.0/24", NextHop{Addr: addr("10.0.0.1"), Weight: 65536})},
		{"vrf", Change{Route: Route{VRF: "blue", Prefix: pfx("10.0.0.0/8")}}},
		{"source", Change{Route: Route{Prefix: pfx("10.0.0.0/8"), Source: 77}}},
		{"kind", Change{Route: Route{Prefix: pfx("10.0.0.0/8"), Kind: 77}}},
		{"next_hops", Change{Route: Route{Prefix: pfx("10.0.0.0/8"), Kind: KindReject, NextHops: via("10.0.0.1")}}},
		{"op", Change{Op: 9, Route: Route{Prefix: pfx("10.0.0.0/8")}}},
	} {
		errs := r.Apply([]Change{c.ch})
		var fe *FieldError
		if errs == nil || !errors.As(errs[0], &fe) || fe.Field != c.field {
			t.Errorf("%+v: %v, want an error about %s", c.ch.Route, errs, c.field)
		}
	}
	if after := r.Stats(); after.Prefixes != before.Prefixes || after.Groups != before.Groups || after.NextHops != before.NextHops {
		t.Errorf("refused changes left %+v, before %+v", after, before)
	}
	// The good ones of a batch are kept.
	errs := r.Apply([]Change{static("10.9.0.0/24"), static("10.8.0.0/24", via("10.0.0.9")...)})
	if errs[0] == nil || errs[1] != nil {
		t.Error(errs)
	}
	want(t, r, "10.8.0.1", "eth0/10.0.0.9")
}

func TestStale(t *testing.T) {
	r := lab()
	var cs []Change
	for i := range 100 {
		c := bgp("0.0.0.0/0", via("10.0.0.1")...)
		c.Route.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(i), 0}), 24)
		cs = append(cs, c)
	}
	must(t, r, cs...)
	must(t, r, static("192.0.2.0/24", via("10.0.0.1")...))
	r.MarkStale(SourceBGP, "bgp")
	must(t, r, cs[:40]...)
	if ri, _ := r.Get("", cs[99].Route.Prefix); !ri.Candidates[0].Stale || ri.Best != 0 {
		t.Errorf("%+v", ri)
	}
	if n := r.SweepStale(SourceBGP, "bgp"); n != 60 {
		t.Errorf("swept %d", n)
	}
	if n := r.SweepStale(SourceBGP, "bgp"); n != 0 {
		t.Errorf("swept %d again", n)
	}
	if n := r.DeleteOrigin(SourceBGP, "bgp"); n != 40 {
		t.Errorf("deleted %d", n)
	}
	if st := r.Stats(); st.Prefixes != 5 || st.Candidates[SourceBGP] != 0 {
		t.Errorf("%+v", st)
	}
}
