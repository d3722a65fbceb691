package bgp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

// Two network instances in one process, which here talk to each other.
func TestTwoInstances(t *testing.T) {
	ctx := context.Background()
	var s [2]*Speaker
	var sinks [2]*testSink
	var conf [2]Config
	var ports [2]int
	for i := range s {
		ports[i] = freePort(t)
	}
	for i := range s {
		sinks[i] = &testSink{routes: make(map[netip.Prefix]PathSet)}
		var err error
		s[i], err = New(ctx, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Sink: sinks[i]})
		if err != nil {
			t.Fatal(err)
		}
		defer s[i].Close()
		me := netip.AddrFrom4([4]byte{127, 0, 0, byte(11 + i)})
		conf[i] = Config{
			Instance: fmt.Sprint("vrf", i), ASN: uint32(65001 + i), RouterID: me,
			ListenPort: int32(ports[i]), ListenAddrs: []netip.Addr{me},
			Networks: prefixes("10.0.0.0/8", fmt.Sprintf("192.168.%d.0/24", i)),
		}
		if err := s[i].Apply(ctx, conf[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s {
		other := 1 - i
		conf[i].Neighbors = []Neighbor{{
			Address: netip.AddrFrom4([4]byte{127, 0, 0, byte(11 + other)}),
			PeerSettings: PeerSettings{
				PeerAS: uint32(65001 + other), LocalAddress: conf[i].RouterID, RemotePort: uint16(ports[other]),
				ConnectRetry: time.Second,
			},
		}}
		if err := s[i].Apply(ctx, conf[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s {
		want := prefix(fmt.Sprintf("192.168.%d.0/24", 1-i))
		waitFor(t, "routes between instances", func() error {
			sinks[i].mu.Lock()
			defer sinks[i].mu.Unlock()
			if _, ok := sinks[i].routes[want]; !ok || len(sinks[i].routes) != 1 {
				return fmt.Errorf("instance %d has %v", i, sinks[i].routes)
			}
			return nil
		})
	}
	// Own routes are better than those of the other and not given to the sink; when the own one goes, the other's is.
	conf[0].Networks = prefixes("192.168.0.0/24")
	if err := s[0].Apply(ctx, conf[0]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the other's route", func() error {
		sinks[0].mu.Lock()
		defer sinks[0].mu.Unlock()
		if x := sinks[0].routes[prefix("10.0.0.0/8")]; len(x.NextHops) != 1 {
			return fmt.Errorf("%v", sinks[0].routes)
		}
		return nil
	})
	paths, err := s[0].Lookup(ctx, prefix("10.0.0.0/8"))
	if err != nil || len(paths) != 1 || !paths[0].Best || paths[0].ASPath != "65002" || paths[0].Origin != "igp" {
		t.Errorf("lookup %+v, %v", paths, err)
	}
	s[1].Close()
	if err := s[1].Apply(ctx, conf[1]); err != ErrClosed {
		t.Errorf("apply after close: %v", err)
	}
	waitFor(t, "routes of a closed speaker gone", func() error {
		sinks[0].mu.Lock()
		defer sinks[0].mu.Unlock()
		if len(sinks[0].routes) != 0 {
			return fmt.Errorf("%v", sinks[0].routes)
		}
		return nil
	})
}
