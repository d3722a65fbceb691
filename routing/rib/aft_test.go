package rib

import (
	"context"
	"maps"
	"net/netip"
	"testing"
)

func TestBestAndGroups(t *testing.T) {
	r := New(Options{Slice: 4})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := r.WatchGroups(ctx)
	defer w.Close()
	r.SetInterfaceState("eth1", true)
	pfx := netip.MustParsePrefix
	gw := netip.MustParseAddr("192.0.2.1")
	add := func(p string, s Source, h ...NextHop) {
		t.Helper()
		for _, err := range r.Apply([]Change{{Route: Route{Prefix: pfx(p), Source: s, NextHops: h}}}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	add("192.0.2.0/24", SourceConnected, NextHop{Interface: "eth1"})
	for i := range 10 {
		add(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16).String(), SourceStatic, NextHop{Addr: gw})
	}
	add("10.0.0.0/16", SourceBGP, NextHop{Addr: gw})
	list, next, err := r.ListBest(Filter{Family: 4}, Cursor{}, 7)
	if err != nil || len(list) != 7 || next == (Cursor{}) {
		t.Fatal(list, next, err)
	}
	more, next, err := r.ListBest(Filter{Family: 4}, next, 7)
	if err != nil || len(more) != 4 || next != (Cursor{}) {
		t.Fatal(more, next, err)
	}
	if got := r.CountBest("", 4); !maps.Equal(got, map[Source]int{SourceConnected: 1, SourceStatic: 10}) {
		t.Error(got)
	}
	if got := r.CountBest("red", 4); len(got) != 0 {
		t.Error(got)
	}
	r.Apply([]Change{{Op: Delete, Route: Route{Prefix: pfx("10.0.0.0/16"), Source: SourceStatic}}})
	if got := r.CountBest("", 4); !maps.Equal(got, map[Source]int{SourceConnected: 1, SourceStatic: 9, SourceBGP: 1}) {
		t.Error(got)
	}
	groups, after := r.Groups(0, 1)
	if len(groups) != 1 || after != groups[0].ID {
		t.Fatal(groups, after)
	}
	rest, after := r.Groups(after, 100)
	if len(rest) != 1 || after != 0 {
		t.Fatal(rest, after)
	}
	<-w.Ready()
	if got := w.Take(); len(got) != 2 || got[0].Members == nil {
		t.Error(got)
	}
	if list[1].Group == 0 {
		t.Error(list[1])
	}
	if g, ok := r.GroupByID(list[1].Group); !ok || g.Members[0].Gateway != gw {
		t.Error(g, ok)
	}
	r.SetInterfaceState("eth1", false)
	<-w.Ready()
	for _, g := range w.Take() {
		if g.Members != nil {
			t.Error(g)
		}
	}
	if got := r.CountBest("", 4); len(got) != 0 {
		t.Error(got)
	}
}
