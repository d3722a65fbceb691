package grpcserver

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/bgp"
)

func (b *bgpService) ListBgpRoutes(ctx context.Context, req *vnfv1.ListBgpRoutesRequest) (*vnfv1.ListBgpRoutesResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	a, err := neighborAddr(req.GetAddress())
	if err != nil {
		return nil, err
	}
	var c checks
	within := optPrefixField(&c, "prefix", req.GetPrefix())
	enumField(&c, "family", req.GetFamily())
	i, err := b.instance(req.GetNetworkInstance())
	if err != nil {
		return nil, err
	}
	var read func(context.Context, netip.Addr, bgp.Family, netip.Prefix, int) (bgp.Page, error)
	switch req.GetView() {
	case vnfv1.BgpRouteView_BGP_ROUTE_VIEW_RECEIVED:
		read = i.speaker.Received
	case vnfv1.BgpRouteView_BGP_ROUTE_VIEW_ACCEPTED:
		read = i.speaker.Accepted
	case vnfv1.BgpRouteView_BGP_ROUTE_VIEW_ADVERTISED:
		read = i.speaker.Advertised
	default:
		c.addf("view", "is needed: received, accepted or advertised")
	}
	family, cursor, ok := bgpCursor(string(p.cursor))
	if !ok {
		c.addf("page_token", "is not a token of an earlier answer")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	// Whether it is a neighbour at all.
	if _, err := i.one(ctx, a, false); err != nil {
		return nil, err
	}
	resp := &vnfv1.ListBgpRoutesResponse{}
	for _, f := range []bgp.Family{bgp.IPv4Unicast, bgp.IPv6Unicast} {
		if f < family || !bgpFamilyMatches(req.GetFamily(), f) || within.IsValid() && bgp.FamilyOf(within.Addr()) != f {
			continue
		}
		if f != family {
			cursor = netip.Prefix{}
		}
		for {
			if len(resp.Routes) >= p.size {
				resp.NextPageToken = p.token([]byte(bgpCursorText(f, cursor)))
				return resp, nil
			}
			page, err := read(ctx, i.resolve(a), f, cursor, p.size-len(resp.Routes))
			if err != nil {
				return nil, bgpError(err)
			}
			for _, path := range page.Paths {
				if bgpRouteMatches(within, req.GetLongerPrefixes(), path.Prefix) {
					resp.Routes = append(resp.Routes, bgpRouteOut(path))
				}
			}
			if cursor = page.Next; !cursor.IsValid() {
				break
			}
		}
	}
	return resp, nil
}

func bgpFamilyMatches(want vnfv1.AddressFamily, f bgp.Family) bool {
	switch want {
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4:
		return f == bgp.IPv4Unicast
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6:
		return f == bgp.IPv6Unicast
	}
	return true
}

func bgpRouteMatches(within netip.Prefix, longer bool, p netip.Prefix) bool {
	switch {
	case !within.IsValid():
		return true
	case !longer:
		return p == within
	}
	return p.Bits() >= within.Bits() && within.Contains(p.Addr())
}

// bgpCursorText is where a list goes on: in a family, after a prefix or at its beginning.
func bgpCursorText(f bgp.Family, after netip.Prefix) string {
	if !after.IsValid() {
		return f.String()
	}
	return f.String() + " " + after.String()
}

func bgpCursor(s string) (bgp.Family, netip.Prefix, bool) {
	if s == "" {
		return bgp.IPv4Unicast, netip.Prefix{}, true
	}
	name, rest, _ := strings.Cut(s, " ")
	for _, f := range []bgp.Family{bgp.IPv4Unicast, bgp.IPv6Unicast} {
		if f.String() != name {
			continue
		}
		if rest == "" {
			return f, netip.Prefix{}, true
		}
		p, err := netip.ParsePrefix(rest)
		return f, p, err == nil
	}
	return 0, netip.Prefix{}, false
}

// How often a watch of BGP neighbours looks by itself: changes of the configuration are no events of the speaker.
const bgpWatchInterval = 2 * time.Second

func (b *bgpService) WatchBgpNeighbors(req *vnfv1.WatchBgpNeighborsRequest, out grpc.ServerStreamingServer[vnfv1.BgpNeighborEvent]) error {
	ctx := out.Context()
	var only netip.Addr
	if req.GetAddress() != "" {
		a, err := neighborAddr(req.GetAddress())
		if err != nil {
			return err
		}
		i, err := b.instance(req.GetNetworkInstance())
		if err != nil {
			return err
		}
		if _, err := i.one(ctx, a, false); err != nil {
			return err
		}
		only = i.resolve(a)
	}
	i, err := b.instance(req.GetNetworkInstance())
	if err != nil {
		return err
	}
	events := i.speaker.Events(ctx)
	w := bgpWatch{known: map[string]*vnfv1.BgpNeighbor{}, send: out.Send}
	tick := time.NewTicker(bgpWatchInterval)
	defer tick.Stop()
	for synced := false; ; {
		if i, err = b.instance(req.GetNetworkInstance()); err != nil {
			return err
		}
		list, err := i.neighbors(ctx, only, false)
		if err != nil {
			return err
		}
		if err := w.update(list); err != nil {
			return err
		}
		if !synced {
			synced = true
			if err := out.Send(&vnfv1.BgpNeighborEvent{Kind: vnfv1.EventKind_EVENT_KIND_SYNCED, Time: timestamppb.Now()}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return contextError(ctx)
		case <-tick.C:
		case _, ok := <-events:
			if !ok {
				events = nil // the speaker was replaced: the next tick finds the new one, or that there is none
			}
		}
	}
}

type bgpWatch struct {
	known map[string]*vnfv1.BgpNeighbor
	send  func(*vnfv1.BgpNeighborEvent) error
}

// essence leaves out what counts up by itself.
func essence(n *vnfv1.BgpNeighbor) *vnfv1.BgpNeighbor {
	e := proto.CloneOf(n)
	e.State.Received, e.State.Sent, e.State.Families = nil, nil, nil
	return e
}

func (w *bgpWatch) update(list []*vnfv1.BgpNeighbor) error {
	now := timestamppb.Now()
	var keys []string
	for _, n := range list {
		key := neighborKey(n)
		keys = append(keys, key)
		kind := vnfv1.EventKind_EVENT_KIND_CHANGED
		e := essence(n)
		if old := w.known[key]; old == nil {
			kind = vnfv1.EventKind_EVENT_KIND_ADDED
		} else if proto.Equal(old, e) {
			continue
		}
		w.known[key] = e
		if err := w.send(&vnfv1.BgpNeighborEvent{Kind: kind, Time: now, Neighbor: n}); err != nil {
			return err
		}
	}
	for key, old := range w.known {
		if slices.Contains(keys, key) {
			continue
		}
		delete(w.known, key)
		gone := &vnfv1.BgpNeighbor{Config: &vnfv1.BgpNeighborConfig{
			Address: old.GetConfig().GetAddress(), Interface: old.GetConfig().GetInterface(),
		}}
		if err := w.send(&vnfv1.BgpNeighborEvent{Kind: vnfv1.EventKind_EVENT_KIND_REMOVED, Time: now, Neighbor: gone}); err != nil {
			return err
		}
	}
	return nil
}
