package grpcserver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
)

type neighborService struct {
	vnfv1.UnimplementedNeighborServiceServer
	s *Server
}

func neighborOut(n *dpb.NeighborState) *vnfv1.Neighbor {
	return &vnfv1.Neighbor{
		Interface: n.GetInterface(), Address: addrString(n.GetAddress()), Mac: macString(n.GetMac()), Nud: vnfv1.NeighborNud(n.GetNud()),
		Age: durationpb.New(time.Duration(n.GetAge()) * time.Second), IsRouter: n.GetIsRouter(), Queued: n.GetQueued(),
		TxPackets: n.GetTxPackets(), TxOctets: n.GetTxOctets(),
	}
}

// known says whether an interface is configured or present.
func (n *neighborService) known(ctx context.Context, name string) error {
	if name == "" || indexOf(n.s.opt.Config.Config(), name) >= 0 {
		return nil
	}
	for _, err := range n.s.opt.Dataplane.Interfaces(ctx, name) {
		if err == nil {
			return nil
		}
		break
	}
	return notFound("interface", "there is no interface %q", name)
}

func (n *neighborService) ListNeighbors(ctx context.Context, req *vnfv1.ListNeighborsRequest) (*vnfv1.ListNeighborsResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	var c checks
	enumField(&c, "family", req.GetFamily())
	enumField(&c, "nud", req.GetNud())
	within := optPrefixField(&c, "prefix", req.GetPrefix())
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := n.known(ctx, req.GetInterface()); err != nil {
		return nil, err
	}
	resp := &vnfv1.ListNeighborsResponse{}
	cursor := p.cursor
	for len(resp.Neighbors) < p.size {
		list, err := n.s.opt.Dataplane.Page(ctx, &dpb.List{
			Table: dpb.Table_TABLE_NEIGHBORS, Limit: uint32(p.size - len(resp.Neighbors)), Cursor: cursor, Interface: req.GetInterface(),
		})
		if client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND {
			return resp, nil // configured, but not there
		}
		if err != nil {
			return nil, dataplaneError(err)
		}
		for _, one := range list.GetNeighbors() {
			a, ok := netip.AddrFromSlice(one.GetAddress())
			if !ok || !familyMatches(req.GetFamily(), a) || within.IsValid() && !within.Contains(a) ||
				req.GetNud() != 0 && vnfv1.NeighborNud(one.GetNud()) != req.GetNud() {
				continue
			}
			resp.Neighbors = append(resp.Neighbors, neighborOut(one))
		}
		if cursor = list.GetNextCursor(); len(cursor) == 0 {
			return resp, nil
		}
	}
	resp.NextPageToken = p.token(cursor)
	return resp, nil
}

func (n *neighborService) AddNeighbor(ctx context.Context, req *vnfv1.AddNeighborRequest) (*vnfv1.AddNeighborResponse, error) {
	var c checks
	a := addrField(&c, "address", req.GetAddress())
	mac, err := config.ParseMAC(req.GetMac())
	switch {
	case err != nil:
		c.addf("mac", "%q %v", req.GetMac(), err)
	case mac[0]&1 != 0:
		c.addf("mac", "%s is a group address", mac)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	err = n.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := indexOf(cfg, req.GetInterface())
		if at < 0 {
			return notFound("interface", "there is no interface %q in the configuration", req.GetInterface())
		}
		list := &cfg.Interfaces[at].Neighbors
		if k := slices.IndexFunc(*list, func(x config.StaticNbr) bool { return x.Address == a }); k >= 0 {
			(*list)[k].MAC = mac
			return nil
		}
		*list = append(*list, config.StaticNbr{Address: a, MAC: mac})
		return nil
	})
	own := scope{path: "interfaces[" + req.GetInterface() + "]", field: "interface"}
	if err := configError(err, scope{path: own.path + ".neighbors[" + a.String() + "]"}, own); err != nil {
		return nil, err
	}
	return &vnfv1.AddNeighborResponse{}, nil
}

func (n *neighborService) DeleteNeighbor(ctx context.Context, req *vnfv1.DeleteNeighborRequest) (*vnfv1.DeleteNeighborResponse, error) {
	var c checks
	a := addrField(&c, "address", req.GetAddress())
	if err := c.err(); err != nil {
		return nil, err
	}
	err := n.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := indexOf(cfg, req.GetInterface())
		if at < 0 {
			return notFound("interface", "there is no interface %q in the configuration", req.GetInterface())
		}
		list := &cfg.Interfaces[at].Neighbors
		k := slices.IndexFunc(*list, func(x config.StaticNbr) bool { return x.Address == a })
		if k < 0 {
			return notFound("address", "%s has no static neighbour %s", req.GetInterface(), a)
		}
		*list = slices.Delete(*list, k, k+1)
		return nil
	})
	if err := configError(err); err != nil {
		return nil, err
	}
	return &vnfv1.DeleteNeighborResponse{}, nil
}

func (n *neighborService) FlushNeighbors(ctx context.Context, req *vnfv1.FlushNeighborsRequest) (*vnfv1.FlushNeighborsResponse, error) {
	var c checks
	a := optAddrField(&c, "address", req.GetAddress())
	if a.IsValid() && req.GetInterface() == "" {
		c.addf("interface", "is needed with an address")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := n.known(ctx, req.GetInterface()); err != nil {
		return nil, err
	}
	count, err := n.s.opt.Dataplane.FlushNeighbors(ctx, &dpb.NeighborFlush{Interface: req.GetInterface(), Address: addrBytes(a)})
	if err != nil {
		return nil, dataplaneError(err)
	}
	return &vnfv1.FlushNeighborsResponse{Flushed: count}, nil
}

type neighborID struct{ iface, address string }

// neighborWatch turns states of neighbours into events.
type neighborWatch struct {
	known map[neighborID]bool
	only  string
	send  func(*vnfv1.NeighborEvent) error
}

func (n *neighborService) WatchNeighbors(req *vnfv1.WatchNeighborsRequest, out grpc.ServerStreamingServer[vnfv1.NeighborEvent]) error {
	ctx := out.Context()
	if err := n.known(ctx, req.GetInterface()); err != nil {
		return err
	}
	stream, err := n.s.opt.Dataplane.Subscribe(ctx)
	if err != nil {
		return dataplaneError(err)
	}
	defer stream.Close()
	w := neighborWatch{known: map[neighborID]bool{}, only: req.GetInterface(), send: out.Send}
	if err := w.list(ctx, n.s.opt.Dataplane); err != nil {
		return err
	}
	if err := out.Send(&vnfv1.NeighborEvent{Kind: vnfv1.EventKind_EVENT_KIND_SYNCED, Time: timestamppb.Now()}); err != nil {
		return err
	}
	for {
		e, err := stream.Next(ctx)
		if err != nil {
			return streamError(ctx, err)
		}
		switch {
		case e.GetNeighbor() != nil:
			err = w.seen(e.GetNeighbor(), unixNano(e.GetTime()))
		case e.GetNeighborGone() != nil:
			g := e.GetNeighborGone()
			err = w.gone(neighborID{g.GetInterface(), addrString(g.GetAddress())}, unixNano(e.GetTime()))
		case e.GetOverflow() != nil:
			err = w.list(ctx, n.s.opt.Dataplane)
		}
		if err != nil {
			return err
		}
	}
}

// list tells the present neighbours, and those that went unseen.
func (w *neighborWatch) list(ctx context.Context, dp Dataplane) error {
	now := timestamppb.Now()
	old := w.known
	w.known = make(map[neighborID]bool, len(old))
	for one, err := range dp.Neighbors(ctx, w.only) {
		if client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND {
			break
		}
		if err != nil {
			return dataplaneError(err)
		}
		id := neighborID{one.GetInterface(), addrString(one.GetAddress())}
		w.known[id] = old[id]
		delete(old, id)
		if err := w.seen(one, now); err != nil {
			return err
		}
	}
	for id := range old {
		w.known[id] = true
		if err := w.gone(id, now); err != nil {
			return err
		}
	}
	return nil
}

func (w *neighborWatch) seen(n *dpb.NeighborState, at *timestamppb.Timestamp) error {
	if w.only != "" && n.GetInterface() != w.only {
		return nil
	}
	o := neighborOut(n)
	id := neighborID{o.Interface, o.Address}
	kind := vnfv1.EventKind_EVENT_KIND_ADDED
	if w.known[id] {
		kind = vnfv1.EventKind_EVENT_KIND_CHANGED
	}
	w.known[id] = true
	return w.send(&vnfv1.NeighborEvent{Kind: kind, Time: at, Neighbor: o})
}

func (w *neighborWatch) gone(id neighborID, at *timestamppb.Timestamp) error {
	if !w.known[id] {
		return nil
	}
	delete(w.known, id)
	return w.send(&vnfv1.NeighborEvent{
		Kind: vnfv1.EventKind_EVENT_KIND_REMOVED, Time: at, Neighbor: &vnfv1.Neighbor{Interface: id.iface, Address: id.address},
	})
}

// streamError is how a stream of the data plane ended.
func streamError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	if errors.Is(err, client.ErrDisconnected) {
		return status.Error(codes.Unavailable, "the data plane went away")
	}
	return dataplaneError(err)
}
