package grpcserver_test

import (
	"fmt"
	"net/netip"
	"testing"

	"google.golang.org/grpc/codes"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/rib"
	"millrace/server/grpc/grpctest"
)

func seedRIB(t *testing.T, b *grpctest.Box) {
	t.Helper()
	if err := b.RIB.CreateVRF("blue"); err != nil {
		t.Fatal(err)
	}
	b.RIB.SetInterfaceState("eth1", true)
	var ch []rib.Change
	add := func(prefix string, source rib.Source, metric uint32, hops ...rib.NextHop) {
		ch = append(ch, rib.Change{Route: rib.Route{Prefix: netip.MustParsePrefix(prefix), Source: source, Metric: metric, NextHops: hops}})
	}
	add("192.0.2.0/24", rib.SourceConnected, 0, rib.NextHop{Interface: "eth1"})
	add("198.51.100.0/24", rib.SourceStatic, 0, rib.NextHop{Addr: netip.MustParseAddr("192.0.2.9")})
	add("198.51.100.0/24", rib.SourceBGP, 10, rib.NextHop{Addr: netip.MustParseAddr("192.0.2.7")})
	add("2001:db8:1::/48", rib.SourceBGP, 0, rib.NextHop{Addr: netip.MustParseAddr("fe80::2"), Interface: "eth1"})
	for n := range 20 {
		add(fmt.Sprintf("10.0.%d.0/24", n), rib.SourceBGP, 0, rib.NextHop{Addr: netip.MustParseAddr("198.51.100.7")})
	}
	for n, err := range b.RIB.Apply(ch) {
		if err != nil {
			t.Fatalf("%v: %v", ch[n], err)
		}
	}
}

func TestListRoutes(t *testing.T) {
	b := newBox(t)
	seedRIB(t, b)
	c := vnfv1.NewRouteServiceClient(b.Dial(t))
	ctx := testContext(t)
	all := func(req *vnfv1.ListRoutesRequest) (routes []*vnfv1.Route) {
		t.Helper()
		for {
			resp, err := c.ListRoutes(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			routes = append(routes, resp.GetRoutes()...)
			if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
				return routes
			}
		}
	}
	if n := len(all(&vnfv1.ListRoutesRequest{PageSize: 3})); n != 23 {
		t.Errorf("%d routes", n)
	}
	if n := len(all(&vnfv1.ListRoutesRequest{Family: vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6})); n != 1 {
		t.Errorf("%d IPv6 routes", n)
	}
	if n := len(all(&vnfv1.ListRoutesRequest{Source: vnfv1.RouteSource_ROUTE_SOURCE_BGP})); n != 21 {
		t.Errorf("%d BGP routes", n)
	}
	if n := len(all(&vnfv1.ListRoutesRequest{Prefix: "10.0.0.0/20", LongerPrefixes: true, PageSize: 7})); n != 16 {
		t.Errorf("%d routes inside 10.0.0.0/20", n)
	}
	if n := len(all(&vnfv1.ListRoutesRequest{NextHop: "198.51.100.7", PageSize: 6})); n != 20 {
		t.Errorf("%d routes by next hop", n)
	}
	if n := len(all(&vnfv1.ListRoutesRequest{NetworkInstance: "blue"})); n != 0 {
		t.Errorf("%d routes in blue", n)
	}
	both := all(&vnfv1.ListRoutesRequest{Prefix: "198.51.100.0/24", AllCandidates: true})
	if len(both) != 2 || !both[0].GetBest() || both[0].GetSource() != vnfv1.RouteSource_ROUTE_SOURCE_STATIC || both[1].GetReason() == "" {
		t.Errorf("candidates: %v", both)
	}
	r := all(&vnfv1.ListRoutesRequest{Prefix: "10.0.3.0/24"})[0]
	if r.GetNextHops()[0].GetGateway() != "198.51.100.7" || r.GetResolvedNextHops()[0].GetGateway() != "192.0.2.9" ||
		r.GetResolvedNextHops()[0].GetInterface() != "eth1" {
		t.Errorf("recursion: %v", r)
	}
	for _, tc := range []struct {
		req   *vnfv1.ListRoutesRequest
		code  codes.Code
		field string
	}{
		{&vnfv1.ListRoutesRequest{Prefix: "10.0.0.1/24"}, codes.InvalidArgument, "prefix"},
		{&vnfv1.ListRoutesRequest{NextHop: "x"}, codes.InvalidArgument, "next_hop"},
		{&vnfv1.ListRoutesRequest{Family: 9}, codes.InvalidArgument, "family"},
		{&vnfv1.ListRoutesRequest{Source: 99}, codes.InvalidArgument, "source"},
		{&vnfv1.ListRoutesRequest{FibState: 99}, codes.InvalidArgument, "fib_state"},
		{&vnfv1.ListRoutesRequest{NetworkInstance: "red"}, codes.NotFound, "network_instance"},
		{&vnfv1.ListRoutesRequest{PageToken: "!!"}, codes.InvalidArgument, "page_token"},
	} {
		_, err := c.ListRoutes(ctx, tc.req)
		wantError(t, err, tc.code, tc.field)
	}
}

func TestLookupRoute(t *testing.T) {
	b := newBox(t)
	seedRIB(t, b)
	b.Seam.OnLookup(func(l *dpb.Lookup) *dpb.LookupResult {
		return &dpb.LookupResult{
			Found: true, Route: &dpb.RouteState{Prefix: []byte{10, 0, 3, 0}, PrefixLen: 24}, Interface: "eth1", Gateway: []byte{192, 0, 2, 9},
			Mac: []byte{2, 0, 0, 0, 0, 9}, Action: "forward",
		}
	})
	c := vnfv1.NewRouteServiceClient(b.Dial(t))
	ctx := testContext(t)
	r, err := c.LookupRoute(ctx, &vnfv1.LookupRouteRequest{Destination: "10.0.3.7"})
	if err != nil {
		t.Fatal(err)
	}
	if r.GetRoute().GetPrefix() != "10.0.3.0/24" || len(r.GetResolution()) < 2 || r.GetResolution()[0].GetViaPrefix() != "198.51.100.0/24" ||
		r.GetDataplane().GetMac() != "02:00:00:00:00:09" || len(r.GetExplanation()) == 0 {
		t.Errorf("%v", r)
	}
	none, err := c.LookupRoute(ctx, &vnfv1.LookupRouteRequest{Destination: "203.0.113.1"})
	if err != nil || none.GetRoute() != nil {
		t.Errorf("%v %v", none, err)
	}
	b.Seam.Drop()
	_, err = c.LookupRoute(ctx, &vnfv1.LookupRouteRequest{Destination: "10.0.3.7", Source: "2001:db8::1", Protocol: 300})
	wantError(t, err, codes.InvalidArgument, "protocol")
}

func TestStaticRoutes(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewRouteServiceClient(b.Dial(t))
	ctx := testContext(t)
	via := func(s string) []*vnfv1.NextHop { return []*vnfv1.NextHop{{Gateway: s}} }
	resp, err := c.AddRoutes(ctx, &vnfv1.AddRoutesRequest{Routes: []*vnfv1.StaticRoute{
		{Prefix: "203.0.113.0/24", NextHops: via("192.0.2.2")},
		{Prefix: "203.0.113.1/24", NextHops: via("192.0.2.2")},
		{Prefix: "203.0.114.0/24", NextHops: []*vnfv1.NextHop{{Interface: "eth9"}}},
		{Prefix: "203.0.115.0/24"},
		{Prefix: "203.0.116.0/24", Action: vnfv1.RouteAction_ROUTE_ACTION_BLACKHOLE},
		{Prefix: "203.0.117.0/24", NextHops: via("fe80::1")},
		{Prefix: "2001:db8:2::/48", NextHops: via("192.0.2.2")},
		{Prefix: "203.0.118.0/24", NextHops: via("192.0.2.2"), NetworkInstance: "red"},
		{Prefix: "203.0.119.0/24", NextHops: []*vnfv1.NextHop{{Gateway: "192.0.2.2", Weight: 300}}},
		{Prefix: "203.0.120.0/24", NextHops: via("192.0.2.2"), Distance: 255},
		{Prefix: "198.51.100.0/24", NextHops: via("192.0.2.3")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]string{
		1: "routes[1].prefix", 2: "routes[2].next_hops[0].interface", 3: "routes[3].next_hops", 5: "routes[5].next_hops[0].interface",
		6: "routes[6].next_hops[0].gateway", 7: "routes[7].network_instance", 8: "routes[8].next_hops[0].weight", 9: "routes[9].distance",
	}
	if resp.GetApplied() != 3 || len(resp.GetFailed()) != len(want) {
		t.Errorf("applied %d, failed %v", resp.GetApplied(), resp.GetFailed())
	}
	for _, f := range resp.GetFailed() {
		if f.GetField() != want[f.GetIndex()] || codes.Code(f.GetCode()) != codes.InvalidArgument {
			t.Errorf("item %d: %q %v, want %q", f.GetIndex(), f.GetField(), codes.Code(f.GetCode()), want[f.GetIndex()])
		}
	}
	routes := defaultRoutes(b)
	if len(routes) != 3 || routes[0].NextHops[0].Address.String() != "192.0.2.3" {
		t.Errorf("configuration: %v", routes)
	}
	del, err := c.DeleteRoutes(ctx, &vnfv1.DeleteRoutesRequest{Routes: []*vnfv1.RouteKey{
		{Prefix: "203.0.113.0/24"}, {Prefix: "203.0.99.0/24"}, {Prefix: "203.0.113.0/24"},
	}})
	if err != nil || del.GetApplied() != 1 || len(del.GetFailed()) != 2 || codes.Code(del.GetFailed()[0].GetCode()) != codes.NotFound {
		t.Errorf("delete: %v %v", del, err)
	}
	_, err = c.AddRoutes(ctx, &vnfv1.AddRoutesRequest{Routes: make([]*vnfv1.StaticRoute, 8193)})
	wantError(t, err, codes.InvalidArgument, "routes")
}

func TestTransientRoutesAndWatch(t *testing.T) {
	b := newBox(t)
	seedRIB(t, b)
	c := vnfv1.NewRouteServiceClient(b.Dial(t))
	ctx := testContext(t)
	stream, err := c.WatchRoutes(ctx, &vnfv1.WatchRoutesRequest{Source: vnfv1.RouteSource_ROUTE_SOURCE_API})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *vnfv1.RouteEvent {
		t.Helper()
		e, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_SYNCED {
		t.Fatalf("%v", e)
	}
	resp, err := c.AddRoutes(ctx, &vnfv1.AddRoutesRequest{Transient: true, Routes: []*vnfv1.StaticRoute{
		{Prefix: "203.0.113.0/24", NextHops: []*vnfv1.NextHop{{Gateway: "192.0.2.2"}}},
		{Prefix: "203.0.114.0/24"},
		{Prefix: "224.0.0.0/8", Action: vnfv1.RouteAction_ROUTE_ACTION_REJECT},
	}})
	if err != nil || resp.GetApplied() != 1 || len(resp.GetFailed()) != 2 || resp.GetFailed()[1].GetField() != "routes[2].prefix" {
		t.Fatalf("%v %v", resp, err)
	}
	if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_CHANGED || e.GetRoute().GetPrefix() != "203.0.113.0/24" || e.GetRoute().GetDistance() != 5 {
		t.Errorf("%v", e)
	}
	if n := len(defaultRoutes(b)); n != 1 {
		t.Errorf("%d static routes", n)
	}
	del, err := c.DeleteRoutes(ctx, &vnfv1.DeleteRoutesRequest{Transient: true, Routes: []*vnfv1.RouteKey{
		{Prefix: "203.0.113.0/24"}, {Prefix: "203.0.99.0/24"},
	}})
	if err != nil || del.GetApplied() != 1 || codes.Code(del.GetFailed()[0].GetCode()) != codes.NotFound {
		t.Errorf("%v %v", del, err)
	}
	if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_REMOVED {
		t.Errorf("%v", e)
	}
	sum, err := c.GetRouteSummary(ctx, &vnfv1.GetRouteSummaryRequest{})
	if err != nil || sum.GetPrefixes() != 23 {
		t.Errorf("%v %v", sum, err)
	}
}
