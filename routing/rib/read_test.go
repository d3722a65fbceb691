package rib

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// pages lists everything that matches, in pages, by way of the cursor's text.
func pages(t *testing.T, r *RIB, f Filter, limit int) []string {
	t.Helper()
	var out []string
	cur := Cursor{}
	for {
		list, next, err := r.List(f, cur, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, ri := range list {
			s := ri.Prefix.String()
			if ri.VRF != DefaultVRF {
				s += "@" + ri.VRF
			}
			out = append(out, s)
		}
		if cur, err = ParseCursor(next.String()); err != nil || cur != next {
			t.Fatalf("cursor %q became %q: %v", next, cur, err)
		}
		if cur == (Cursor{}) {
			return out
		}
		if len(list) != limit {
			t.Fatalf("short page with a cursor")
		}
	}
}

func TestList(t *testing.T) {
	r := lab()
	if err := r.CreateVRF("blue@1"); err != nil {
		t.Fatal(err)
	}
	b := bgp("10.1.0.0/16", via("10.1.0.1")...)
	b.Route.VRF = "blue@1"
	must(t, r, bgp("10.0.0.0/8", via("10.0.0.1")...), static("10.0.0.0/24", via("10.0.1.1")...), bgp("0.0.0.0/0", via("10.0.0.1")...),
		static("10.0.0.128/25", via("172.16.0.1")...), bgp("2001:db8::/32", via("2001:db8::1")...), b)
	for _, c := range []struct {
		f    Filter
		want string
	}{
		{Filter{}, "10.1.0.0/16@blue@1 0.0.0.0/0 10.0.0.0/8 10.0.0.0/24 10.0.0.128/25 10.0.1.0/24 2001:db8::/32 2001:db8::/64 2001:db8:1::/64"},
		{Filter{VRF: "blue@1"}, "10.1.0.0/16@blue@1"},
		{Filter{Family: 6}, "2001:db8::/32 2001:db8::/64 2001:db8:1::/64"},
		{Filter{Prefix: pfx("10.0.0.0/8")}, "10.0.0.0/8"},
		{Filter{Prefix: pfx("10.0.0.0/9")}, ""},
		{Filter{Prefix: pfx("10.0.0.0/24"), Match: OrLonger}, "10.0.0.0/24 10.0.0.128/25"},
		{Filter{Prefix: pfx("10.0.0.0/23"), Match: OrLonger}, "10.0.0.0/24 10.0.0.128/25 10.0.1.0/24"},
		{Filter{Prefix: pfx("10.0.0.0/24"), Match: Longer}, "10.0.0.128/25"},
		{Filter{HasSource: true, Source: SourceStatic}, "10.0.0.0/24 10.0.0.128/25"},
		{Filter{HasSource: true, Source: SourceStatic, BestOnly: true}, "10.0.0.128/25"},
		{Filter{HasSource: true, Source: SourceConnected, BestOnly: true, Family: 4}, "10.0.0.0/24 10.0.1.0/24"},
	} {
		for _, limit := range []int{1, 2, 3, 100} {
			if got := strings.Join(pages(t, r, c.f, limit), " "); got != c.want {
				t.Errorf("%+v by %d: %s\nwant %s", c.f, limit, got, c.want)
			}
		}
	}
	for _, f := range []Filter{{Prefix: netip.PrefixFrom(addr("10.0.0.1"), 8)}, {Match: 9}, {Family: 5}} {
		if _, _, err := r.List(f, Cursor{}, 1); err == nil {
			t.Errorf("%+v accepted", f)
		}
	}
	for _, s := range []string{"x", "10.0.0.1/8@default", "10.0.0.0/8", "::ffff:1.2.3.0/120@default"} {
		if _, err := ParseCursor(s); err == nil {
			t.Errorf("cursor %q accepted", s)
		}
	}
}

// TestTrie compares the trie with a map, in both families.
func TestTrie(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		tr := trie{v6: seed%2 == 1}
		ref := make(map[netip.Prefix]uint32)
		random := func() netip.Prefix {
			var b [16]byte
			for i := range b {
				b[i] = byte(rng.IntN(2)) * byte(rng.IntN(256))
			}
			if tr.v6 {
				return netip.PrefixFrom(netip.AddrFrom16(b), rng.IntN(129)).Masked()
			}
			return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), rng.IntN(33)).Masked()
		}
		for step := range uint32(3000) {
			p := random()
			k, l := addrKey(p.Addr()), uint8(p.Bits())
			if rng.IntN(3) == 0 {
				for q := range ref {
					p, k, l = q, addrKey(q.Addr()), uint8(q.Bits())
					break
				}
				if n := tr.find(k, l); n != 0 {
					tr.remove(n)
				}
				delete(ref, p)
			} else {
				tr.setVal(tr.insert(k, l), step+1)
				ref[p] = step + 1
			}
			if tr.count != len(ref) {
				t.Fatalf("seed %d: %d values, want %d", seed, tr.count, len(ref))
			}
			q := random()
			var got, want []string
			var cov []netip.Prefix
			for o := range ref {
				if o.Contains(q.Addr()) && o.Bits() <= q.Bits() {
					cov = append(cov, o)
				}
			}
			slices.SortFunc(cov, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
			vals := tr.covering(addrKey(q.Addr()), uint8(q.Bits()), nil)
			for _, o := range cov {
				want = append(want, o.String())
			}
			if len(vals) != len(cov) {
				t.Fatalf("seed %d: %v covered by %d, want %v", seed, q, len(vals), want)
			}
			for i := range vals {
				if vals[i] != ref[cov[i]] {
					t.Fatalf("seed %d: covering differs", seed)
				}
			}
			if step%300 != 0 {
				continue
			}
			want = nil
			var keys []netip.Prefix
			for o := range ref {
				keys = append(keys, o)
			}
			slices.SortFunc(keys, func(a, b netip.Prefix) int { return a.Compare(b) })
			slices.SortFunc(keys, func(a, b netip.Prefix) int {
				if c := a.Addr().Compare(b.Addr()); c != 0 {
					return c
				}
				return a.Bits() - b.Bits()
			})
			for _, o := range keys {
				if o.Addr().Compare(q.Addr()) > 0 || o.Addr() == q.Addr() && o.Bits() > q.Bits() {
					want = append(want, o.String())
				}
			}
			rev := make(map[uint32]string)
			for o, v := range ref {
				rev[v] = o.String()
			}
			tr.walkAfter(tr.root, addrKey(q.Addr()), uint8(q.Bits()), func(v uint32) bool {
				got = append(got, rev[v])
				return true
			})
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: after %v: %v, want %v", seed, q, got, want)
			}
		}
		for p := range ref {
			tr.remove(tr.find(addrKey(p.Addr()), uint8(p.Bits())))
		}
		if tr.root != 0 || tr.nodes.live() != 0 {
			t.Fatalf("seed %d: %d nodes left over", seed, tr.nodes.live())
		}
	}
}

func TestLookup(t *testing.T) {
	r := lab()
	must(t, r, bgp("203.0.113.0/24", via("192.0.2.1", "192.0.2.2")...), static("203.0.113.0/25", via("172.16.0.1")...),
		static("192.0.2.0/24", via("10.0.0.7")...), bgp("192.0.2.0/24", via("10.0.1.7")...))
	ex, err := r.Lookup("", addr("203.0.113.5"))
	if err != nil {
		t.Fatal(err)
	}
	if ex.Verdict != "203.0.113.5 by 203.0.113.0/24 (bgp, distance 20): via 10.0.0.7 on eth0" {
		t.Error(ex.Verdict)
	}
	if len(ex.Steps) != 4 || len(ex.Steps[0].Hops) != 2 || len(ex.Steps[0].Skipped) != 1 ||
		!strings.Contains(ex.Steps[0].Skipped[0].Reason, "no route to 172.16.0.1") {
		t.Fatalf("%+v", ex)
	}
	s := ex.Steps[ex.Steps[0].Hops[1].Step]
	if s.Level != 1 || s.Addr != addr("192.0.2.2") || s.Why != "distance 1 is lower than 20 of bgp" || len(s.Others) != 1 {
		t.Errorf("%+v", s)
	}
	last := ex.Steps[s.Hops[0].Step]
	if last.Level != 2 || last.Prefix != pfx("10.0.0.0/24") || last.Hops[0].Result != "on eth0" {
		t.Errorf("%+v", last)
	}
	must(t, r, static("172.16.0.0/16", via("172.17.0.1")...), static("172.17.0.0/16", via("172.16.0.1")...))
	if ex, err = r.Lookup("", addr("172.16.0.9")); err != nil || ex.Members != nil || len(ex.Steps[0].Skipped) != 1 {
		t.Errorf("%+v %v", ex, err)
	}
	if _, err := r.Lookup("", netip.Addr{}); err == nil {
		t.Error("invalid address accepted")
	}
	if _, err := r.Lookup("nix", addr("10.0.0.1")); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) {
	r := lab()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w, err := r.Watch(ctx, Filter{Prefix: pfx("192.0.0.0/8"), Match: OrLonger})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 { // a flap is one event
		must(t, r, bgp("192.0.2.0/24", via("10.0.0.1")...), static("172.16.0.0/16", via("10.0.0.1")...))
		must(t, r, del(bgp("192.0.2.0/24")))
	}
	must(t, r, static("192.0.3.0/24", via("10.0.0.1")...))
	evs, err := w.Next(ctx, 100)
	if err != nil || len(evs) != 2 || evs[0].Type != EventDelete || evs[1].Type != EventUpdate || evs[1].Route.Best != 0 {
		t.Fatalf("%+v %v", evs, err)
	}
	var cs []Change
	for i := range watchLimit + 10 {
		c := static("192.0.3.0/24", via("10.0.0.1")...)
		c.Route.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 1, byte(i >> 8), byte(i)}), 32)
		cs = append(cs, c)
	}
	must(t, r, cs...)
	n := 0
	for i := 0; n < 10; i++ {
		evs, err := w.Next(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && evs[0].Type != EventResync {
			t.Error("no resync marker after an overflow")
		}
		for _, ev := range evs {
			if ev.Type == EventUpdate {
				n++
			}
		}
	}
	w.Close()
	if _, err := w.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(r.watchers) != 0 {
		t.Error("watcher left over")
	}
}

// TestConcurrent has writers, readers and a feed work at once, for -race.
func TestConcurrent(t *testing.T) {
	r := lab()
	f := r.Feed()
	done := make(chan struct{})
	var stop = make(chan struct{})
	go func() {
		defer close(done)
		for {
			ds, _ := f.Pull(nil, 50)
			f.Ack(ds, make([]uint8, len(ds)))
			_, _, _ = r.List(Filter{}, Cursor{}, 50)
			_, _ = r.Lookup("", addr("203.0.113.1"))
			_ = r.Stats()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	errc := make(chan struct{}, 3)
	for w := range 3 {
		go func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for range 300 {
				rt := randomRoute(rng, []string{DefaultVRF})
				r.Apply([]Change{{Op(rng.IntN(2)), rt}})
				r.SetInterfaceState("eth2", rng.IntN(2) == 0)
			}
			errc <- struct{}{}
		}()
	}
	for range 3 {
		<-errc
	}
	close(stop)
	<-done
}

// TestFeedLike: a group made for routes that have one is handed out with that one's number.
func TestFeedLike(t *testing.T) {
	r := lab()
	f := r.Feed()
	pull := func() []Delta {
		ds, _ := f.Pull(nil, 50)
		f.Ack(ds, make([]uint8, len(ds)))
		return ds
	}
	pull()
	must(t, r, static("192.0.2.0/24", via("10.0.0.1", "10.0.1.1")...))
	first := pull()
	if len(first) != 2 || first[0].Op != GroupUpdate || first[0].Like != 0 {
		t.Fatalf("%+v", first)
	}
	must(t, r, static("192.0.2.0/24", via("10.0.0.1")...))
	next := pull()
	if len(next) != 2 || next[0].Op != GroupUpdate || next[0].Group == first[0].Group || next[0].Like != first[0].Group {
		t.Errorf("%+v after group %d", next, first[0].Group)
	}
}

// TestWatchSource makes sure that who follows a source is not bothered, let alone overrun, by the changes of others.
func TestWatchSource(t *testing.T) {
	r := lab()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w, err := r.Watch(ctx, Filter{HasSource: true, Source: SourceStatic, BestOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	next := func(want ...EventType) {
		t.Helper()
		evs, err := w.Next(ctx, 100)
		var got []EventType
		for _, e := range evs {
			got = append(got, e.Type)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v %v, want %v", got, err, want)
		}
	}
	var cs []Change
	for i := range watchLimit + 10 {
		c := bgp("192.0.3.0/24", via("10.0.0.1")...)
		c.Route.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 1, byte(i >> 8), byte(i)}), 32)
		cs = append(cs, c)
	}
	must(t, r, cs...)
	p := "192.1.0.7/32"
	must(t, r, static(p, via("10.0.0.1")...)) // takes the prefix from BGP
	next(EventUpdate)
	must(t, r, bgp(p, via("10.0.0.2")...)) // not in use
	must(t, r, static(p, via("10.0.0.2")...))
	next(EventUpdate)
	must(t, r, del(static(p))) // gives it back
	next(EventDelete)
	must(t, r, static(p, via("10.0.0.1")...))
	next(EventUpdate)
	if n := r.DeleteOrigin(SourceStatic, ""); n == 0 {
		t.Fatal("nothing deleted")
	}
	next(EventDelete)
	must(t, r, del(bgp(p)), del(bgp("192.1.0.8/32")))
	must(t, r, static("192.1.0.9/32", via("10.0.0.1")...))
	next(EventUpdate)
}
