package bgp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// TestTap sees to it that the tap fits the GoBGP that is linked, and that routes come the same way without it.
func TestTap(t *testing.T) {
	var sets []map[netip.Prefix]PathSet
	for _, slow := range []bool{false, true} {
		sink := &testSink{routes: make(map[netip.Prefix]PathSet)}
		s, err := New(context.Background(), Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Sink: sink})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if slow {
			s.tap.learned, s.tap.fits = true, errors.New("not wanted")
		}
		port := freePort(t)
		err = s.Apply(context.Background(), Config{
			ASN: 65001, RouterID: addr("127.0.0.1"), ListenPort: int32(port), ListenAddrs: []netip.Addr{addr("127.0.0.1")},
			Neighbors: []Neighbor{{Address: addr("127.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002, Passive: yes()}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		const n = 1000
		f, err := newFeeder(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.connect(port); err != nil {
			t.Fatal(err)
		}
		defer f.conn.Close()
		await := func(want int) {
			t.Helper()
			for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				sink.mu.Lock()
				have := len(sink.routes)
				sink.mu.Unlock()
				if have == want {
					return
				}
				if time.Since(begin) > patience {
					t.Fatalf("%d routes, want %d (slow: %v)", have, want, slow)
				}
			}
		}
		if err := f.send(); err != nil {
			t.Fatal(err)
		}
		await(n)
		sink.mu.Lock()
		all := make(map[netip.Prefix]PathSet, n)
		for p, x := range sink.routes {
			all[p] = x
		}
		sink.mu.Unlock()
		sets = append(sets, all)
		if err := f.withdraw(n); err != nil {
			t.Fatal(err)
		}
		await(0)
		if !slow && (!s.tap.learned || s.tap.fits != nil) {
			t.Errorf("the tap is not in use: %v", s.tap.fits)
		}
	}
	if !reflect.DeepEqual(sets[0], sets[1]) {
		t.Error("routes by the tap and without it differ")
	}
}
