package state_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"millrace/routing/bgp"
	"millrace/server/config"
	"millrace/server/model"
	"millrace/server/state"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// nowhere is a sink whose routes go nowhere.
type nowhere struct{}

func (nowhere) Upsert(context.Context, string, []bgp.Route) error        { return nil }
func (nowhere) Withdraw(context.Context, string, []netip.Prefix) error   { return nil }
func (nowhere) EndOfRIB(context.Context, string, netip.Addr, bgp.Family) {}
func (nowhere) Converged(context.Context, string)                        {}

const bgpText = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=BGP][name=bgp]/bgp"

// bgpBox is two speakers, and the source of the first one's state.
type bgpBox struct {
	s        *schema.Schema
	src      *state.BGP
	us, them *bgp.Speaker
}

func newBGPBox(t *testing.T) *bgpBox {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	speaker := func(c bgp.Config) *bgp.Speaker {
		sp, err := bgp.New(t.Context(), bgp.Options{Sink: nowhere{}, ResolveInterface: func(netip.Addr) string { return "lo" }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sp.Close)
		if err := sp.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return sp
	}
	a := netip.MustParseAddr
	us, them := a("127.0.7.1"), a("127.0.7.2")
	passive := true
	gr := bgp.GracefulRestart{Enabled: true}
	b := &bgpBox{s: s}
	b.us = speaker(bgp.Config{
		ASN: 65001, RouterID: a("192.0.2.1"), ListenPort: 11791, ListenAddrs: []netip.Addr{us}, GracefulRestart: gr,
		Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		Neighbors: []bgp.Neighbor{{Address: them, PeerSettings: bgp.PeerSettings{
			PeerAS: 65002, Passive: &passive, LocalAddress: us, IdleHoldAfterRst: 3 * time.Second, Families: []bgp.Family{bgp.IPv4Unicast, bgp.IPv6Unicast},
		}}},
	})
	b.them = speaker(bgp.Config{
		ASN: 65002, RouterID: a("192.0.2.2"), ListenPort: -1, GracefulRestart: gr,
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("198.51.101.0/24")},
		Neighbors: []bgp.Neighbor{{Address: us, PeerSettings: bgp.PeerSettings{
			PeerAS: 65001, RemotePort: 11791, LocalAddress: them, ConnectRetry: time.Second, IdleHoldAfterRst: time.Second,
		}}},
	})
	cfg := &config.Config{NetworkInstances: []config.NetworkInstance{{Name: "default", BGP: &config.BGP{
		ASN: 65001, RouterID: a("192.0.2.1"),
		PeerGroups: []config.PeerGroup{{Name: "g", PeerOptions: config.PeerOptions{
			RemoteAS: 65002, Password: "secret", HoldTime: 30, ImportPolicies: []string{"in"}, AllowOwnAS: 2,
		}}},
		Neighbors: []config.BGPNeighbor{
			{Address: them, PeerGroup: "g", PeerOptions: config.PeerOptions{
				Description: "them", Passive: &passive,
				Families: []config.BGPFamily{{Name: config.IPv4Unicast, PrefixLimit: 10}, {Name: config.IPv6Unicast}},
			}},
			{Address: a("192.0.2.9"), PeerOptions: config.PeerOptions{RemoteAS: 65001}},
		},
	}}}}
	cfg.RoutingPolicy.Policies = []config.Policy{{Name: "in"}}
	tr, err := model.New(s).FromConfig(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.src = state.NewBGP(state.BGPOptions{
		Schema: s, Config: func() *config.Config { return cfg }, Tree: func() *tree.Tree { return tr },
		Speaker: func(name string) (*bgp.Speaker, bool) { return b.us, name == "default" },
	})
	return b
}

func (b *bgpBox) pattern(t *testing.T, path string) tree.Pattern {
	t.Helper()
	m, err := tree.Expand(b.s, tree.MustPath(path))
	if err != nil {
		t.Fatal(err)
	}
	return m[0]
}

func (b *bgpBox) read(t *testing.T, path string) map[string]string {
	t.Helper()
	m := b.pattern(t, path)
	out := map[string]string{}
	err := b.src.Read(t.Context(), m, func(x telemetry.Batch) error {
		for _, l := range x.Leaves {
			if m.Covers(l.Path) {
				out[strings.TrimPrefix(l.Path.String(), bgpText+"/")] = strings.ReplaceAll(l.Value.Local(), "openconfig-bgp-types:", "")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBGPNeighborState(t *testing.T) {
	b := newBGPBox(t)
	const n = "neighbors/neighbor[neighbor-address=127.0.7.2]/"
	m := b.pattern(t, bgpText+"/"+n+"state/session-state")
	changes := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = b.src.Watch(ctx, m, func() { close(started) }, func(x telemetry.Batch) error {
			for _, l := range x.Leaves {
				if m.Covers(l.Path) {
					if lag := time.Since(x.Time); lag > 5*time.Minute {
						t.Errorf("%s is told %s late", l.Value.Local(), lag)
					}
					changes <- l.Value.Local()
				}
			}
			return nil
		})
	}()
	<-started
	v4 := n + "afi-safis/afi-safi[afi-safi-name=IPV4_UNICAST]/"
	want := map[string]string{
		"global/state/router-id": "192.0.2.1", n + "state/session-state": "ESTABLISHED", n + "state/peer-as": "65002",
		n + "state/local-as": "65001", n + "state/peer-group": "g", n + "state/description": "them", n + "state/enabled": "true",
		n + "state/peer-type": "EXTERNAL", n + "state/dynamically-configured": "false", n + "state/established-transitions": "1",
		n + "state/supported-capabilities": "ASN32 EXTENDED_NEXTHOP_ENCODING GRACEFUL_RESTART MPBGP ROUTE_REFRESH", n + "timers/state/hold-time": "30",
		n + "timers/state/negotiated-hold-time": "90", n + "transport/state/passive-mode": "true",
		n + "transport/state/local-address": "127.0.7.1", n + "transport/state/remote-address": "127.0.7.2",
		n + "as-path-options/state/allow-own-as": "2", n + "apply-policy/state/import-policy": "in",
		n + "session-options/state/router-id": "192.0.2.2", n + "session-options/state/admin-state": "UP",
		n + "graceful-restart/state/mode": "BILATERAL",
		v4 + "state/active":               "true", v4 + "state/prefixes/received-pre-policy": "2", v4 + "state/prefixes/installed": "2",
		v4 + "state/prefixes/sent":                                            "1",
		v4 + "ipv4-unicast/prefix-limit-received/state/max-prefixes":          "10",
		v4 + "ipv4-unicast/prefix-limit-received/state/prefix-limit-exceeded": "false",
		n + "afi-safis/afi-safi[afi-safi-name=IPV6_UNICAST]/state/active":     "false",
		"neighbors/neighbor[neighbor-address=192.0.2.9]/state/session-state":  "IDLE",
		"neighbors/neighbor[neighbor-address=192.0.2.9]/state/peer-type":      "INTERNAL",
	}
	var got map[string]string
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got = b.read(t, bgpText)
		wrong := 0
		for k, v := range want {
			if got[k] != v {
				wrong++
			}
		}
		if wrong == 0 {
			break
		}
		if time.Now().After(end) {
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
			break
		}
	}
	for k, v := range got {
		if strings.Contains(k, "password") || v == "secret" {
			t.Errorf("%s shows the password", k)
		}
	}
	if len(b.read(t, bgpText+"/neighbors/neighbor[neighbor-address=192.0.2.77]")) != 0 {
		t.Error("a neighbour that is not there has state")
	}
	told := func(want string) {
		t.Helper()
		var seen []string
		for end := time.After(90 * time.Second); ; {
			select {
			case c := <-changes:
				if seen = append(seen, c); c == want {
					return
				}
			case <-end:
				t.Fatalf("told only %q", seen)
			}
		}
	}
	if err := b.us.Reset(t.Context(), netip.MustParseAddr("127.0.7.2"), "test"); err != nil {
		t.Fatal(err)
	}
	told("IDLE")
	told("ESTABLISHED")
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got = b.read(t, bgpText+"/"+n+"state/messages")
		if got[n+"state/messages/sent/last-notification-error-subcode"] == "ADMINISTRATIVE_RESET" &&
			got[n+"state/messages/sent/last-notification-error-code"] == "CEASE" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v", got)
		}
	}
	cancel()
	<-done
}
