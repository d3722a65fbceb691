package grpcserver_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/bgp"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

// noSink takes routes and forgets them.
type noSink struct{}

func (noSink) Upsert(context.Context, string, []bgp.Route) error        { return nil }
func (noSink) Withdraw(context.Context, string, []netip.Prefix) error   { return nil }
func (noSink) EndOfRIB(context.Context, string, netip.Addr, bgp.Family) {}
func (noSink) Converged(context.Context, string)                        {}

const bgpConfig = `
interfaces:
  - {name: eth1, type: port, iface: tap1, addresses: [192.0.2.1/24]}
network-instances:
  - name: default
    bgp:
      asn: 65001
      router-id: 192.0.2.1
      neighbors:
        - {address: 192.0.2.2, remote-as: 65002, password: secret, description: transit}
  - name: blue
`

func bgpBox(t *testing.T) *grpctest.Box {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := bgp.New(ctx, bgp.Options{Sink: noSink{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	passive := true
	err = s.Apply(ctx, bgp.Config{
		Instance: "default", ASN: 65001, RouterID: netip.MustParseAddr("192.0.2.1"), ListenPort: -1,
		Neighbors: []bgp.Neighbor{{
			Address: netip.MustParseAddr("192.0.2.2"), PeerSettings: bgp.PeerSettings{PeerAS: 65002, Passive: &passive},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return grpctest.New(t, bgpConfig, func(o *grpcserver.Options) {
		o.BGP = func(instance string) (grpcserver.Speaker, bool) { return s, instance == "default" }
	})
}

func TestBgp(t *testing.T) {
	b := bgpBox(t)
	c := vnfv1.NewBgpServiceClient(b.Dial(t))
	ctx := testContext(t)
	g, err := c.GetBgp(ctx, &vnfv1.GetBgpRequest{})
	if err != nil || !g.GetRunning() || g.GetAs() != 65001 || g.GetRouterId() != "192.0.2.1" || g.GetNeighbors() != 1 {
		t.Errorf("%v %v", g, err)
	}
	if none, err := c.GetBgp(ctx, &vnfv1.GetBgpRequest{NetworkInstance: "blue"}); err != nil || none.GetRunning() {
		t.Errorf("%v %v", none, err)
	}
	_, err = c.GetBgp(ctx, &vnfv1.GetBgpRequest{NetworkInstance: "red"})
	wantError(t, err, codes.NotFound, "network_instance")

	list, err := c.ListBgpNeighbors(ctx, &vnfv1.ListBgpNeighborsRequest{})
	if err != nil || len(list.GetNeighbors()) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	n := list.GetNeighbors()[0]
	if !n.GetConfig().GetHasPassword() || strings.Contains(n.String(), "secret") || n.GetConfig().GetPeerAs() != 65002 ||
		n.GetState().GetSessionState() == vnfv1.BgpSessionState_BGP_SESSION_STATE_ESTABLISHED {
		t.Errorf("%v", n)
	}
	added, err := c.AddBgpNeighbor(ctx, &vnfv1.AddBgpNeighborRequest{Config: &vnfv1.BgpNeighborConfig{
		Address: "fe80::2", Interface: "eth1", PeerAs: 65003,
		Families: []*vnfv1.BgpFamilyConfig{{Family: vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4, PrefixLimit: 100}},
	}})
	if err != nil || added.GetConfig().GetInterface() != "eth1" {
		t.Errorf("%v %v", added, err)
	}
	off, err := c.SetBgpNeighborEnabled(ctx, &vnfv1.SetBgpNeighborEnabledRequest{Address: "192.0.2.2", Communication: "maintenance"})
	if err != nil || off.GetConfig().GetEnabled() {
		t.Errorf("%v %v", off, err)
	}
	if _, err := c.ResetBgpNeighbor(ctx, &vnfv1.ResetBgpNeighborRequest{Kind: vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_IN}); err != nil {
		t.Error(err)
	}
	if _, err := c.ListBgpRoutes(ctx, &vnfv1.ListBgpRoutesRequest{
		Address: "192.0.2.2", View: vnfv1.BgpRouteView_BGP_ROUTE_VIEW_RECEIVED,
	}); err != nil {
		t.Error(err)
	}

	add := func(change func(*vnfv1.BgpNeighborConfig)) error {
		n := &vnfv1.BgpNeighborConfig{Address: "192.0.2.3", PeerAs: 65003}
		change(n)
		_, err := c.AddBgpNeighbor(ctx, &vnfv1.AddBgpNeighborRequest{Config: n})
		return err
	}
	for _, tc := range []struct {
		name  string
		err   error
		code  codes.Code
		field string
	}{
		{"no address", add(func(n *vnfv1.BgpNeighborConfig) { n.Address = "" }), codes.InvalidArgument, "config.address"},
		{"own address", add(func(n *vnfv1.BgpNeighborConfig) { n.Address = "192.0.2.1" }), codes.InvalidArgument, "config.address"},
		{"taken", add(func(n *vnfv1.BgpNeighborConfig) { n.Address = "192.0.2.2" }), codes.AlreadyExists, "config.address"},
		{"no AS", add(func(n *vnfv1.BgpNeighborConfig) { n.PeerAs = 0 }), codes.InvalidArgument, "config.peer_as"},
		{"hold time", add(func(n *vnfv1.BgpNeighborConfig) { n.HoldTime = 2 }), codes.InvalidArgument, "config.hold_time"},
		{"hold time too long", add(func(n *vnfv1.BgpNeighborConfig) { n.HoldTime = 70000 }), codes.InvalidArgument, "config.hold_time"},
		{"multihop", add(func(n *vnfv1.BgpNeighborConfig) { n.EbgpMultihopTtl = 1 }), codes.InvalidArgument, "config.ebgp_multihop_ttl"},
		{"GTSM", add(func(n *vnfv1.BgpNeighborConfig) { n.TtlSecurityHops = 255 }), codes.InvalidArgument, "config.ttl_security_hops"},
		{"password", add(func(n *vnfv1.BgpNeighborConfig) { n.Password = strings.Repeat("x", 81) }), codes.InvalidArgument, "config.password"},
		{"group", add(func(n *vnfv1.BgpNeighborConfig) { n.PeerGroup = "g" }), codes.InvalidArgument, "config.peer_group"},
		{"link-local", add(func(n *vnfv1.BgpNeighborConfig) { n.Address = "fe80::7" }), codes.InvalidArgument, "config.interface"},
		{"family", add(func(n *vnfv1.BgpNeighborConfig) { n.Families = []*vnfv1.BgpFamilyConfig{{}} }),
			codes.InvalidArgument, "config.families[0].family"},
		{"policy", add(func(n *vnfv1.BgpNeighborConfig) { n.ImportPolicies = []string{"p"} }), codes.InvalidArgument, "config.import_policies[0]"},
		{"no BGP there", func() error {
			_, err := c.ListBgpNeighbors(ctx, &vnfv1.ListBgpNeighborsRequest{NetworkInstance: "blue"})
			return err
		}(), codes.FailedPrecondition, "network_instance"},
		{"unknown neighbour", func() error {
			_, err := c.GetBgpNeighbor(ctx, &vnfv1.GetBgpNeighborRequest{Address: "192.0.2.99"})
			return err
		}(), codes.NotFound, "address"},
		{"no view", func() error {
			_, err := c.ListBgpRoutes(ctx, &vnfv1.ListBgpRoutesRequest{Address: "192.0.2.2"})
			return err
		}(), codes.InvalidArgument, "view"},
		{"delete unknown", func() error {
			_, err := c.DeleteBgpNeighbor(ctx, &vnfv1.DeleteBgpNeighborRequest{Address: "192.0.2.99"})
			return err
		}(), codes.NotFound, "address"},
		{"long message", func() error {
			_, err := c.ResetBgpNeighbor(ctx, &vnfv1.ResetBgpNeighborRequest{Communication: strings.Repeat("x", 129)})
			return err
		}(), codes.InvalidArgument, "communication"},
	} {
		t.Run(tc.name, func(t *testing.T) { wantError(t, tc.err, tc.code, tc.field) })
	}
	s, err := c.WatchBgpNeighbors(ctx, &vnfv1.WatchBgpNeighborsRequest{Address: "192.0.2.2"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []vnfv1.EventKind{vnfv1.EventKind_EVENT_KIND_ADDED, vnfv1.EventKind_EVENT_KIND_SYNCED} {
		if e, err := s.Recv(); err != nil || e.GetKind() != want {
			t.Fatalf("%v %v", e, err)
		}
	}
	if _, err := c.DeleteBgpNeighbor(ctx, &vnfv1.DeleteBgpNeighborRequest{Address: "fe80::2%eth1"}); err != nil {
		t.Error(err)
	}
}
