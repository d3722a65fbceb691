package client

import (
	"context"
	"errors"
	"iter"

	pb "millrace/api/proto/dataplane/v1"
)

// Page reads one page of a table. The cursor of the answer goes into the request for the next one; it is empty after the last.
func (c *Client) Page(ctx context.Context, l *pb.List) (*pb.ListResult, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_List{List: l}}, 0)
	if err != nil {
		return nil, err
	}
	if m.GetList() == nil {
		return nil, unexpected("list", m)
	}
	return m.GetList(), nil
}

// list walks a table page by page. A table that changes meanwhile is not a snapshot: what was there all the time is seen once.
// An error ends the walk and is yielded last.
func list[T any](ctx context.Context, c *Client, l *pb.List, rows func(*pb.ListResult) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		q := &pb.List{
			Table: l.GetTable(), Limit: l.GetLimit(), Vrf: l.GetVrf(), Ipv6: l.GetIpv6(), Interface: l.GetInterface(), Name: l.GetName(),
			Tcp: l.GetTcp(),
		}
		if q.Limit == 0 {
			q.Limit = 2048
		}
		for {
			page, err := c.Page(ctx, q)
			if err != nil {
				yield(none, err)
				return
			}
			for _, row := range rows(page) {
				if !yield(row, nil) {
					return
				}
			}
			if len(page.GetNextCursor()) == 0 {
				return
			}
			if string(page.GetNextCursor()) == string(q.GetCursor()) {
				yield(none, errors.New("list: the cursor of the data plane does not move"))
				return
			}
			q.Cursor = page.GetNextCursor()
		}
	}
}

// Collect gathers all rows of a walk, or returns its error.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for row, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

// Vrfs lists the network instances.
func (c *Client) Vrfs(ctx context.Context) iter.Seq2[*pb.VrfState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_VRFS}, (*pb.ListResult).GetVrfs)
}

// Interfaces lists the interfaces, or the one named.
func (c *Client) Interfaces(ctx context.Context, name string) iter.Seq2[*pb.InterfaceState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_INTERFACES, Interface: name}, (*pb.ListResult).GetInterfaces)
}

// Addresses lists the addresses of an interface, or of all if the name is empty.
func (c *Client) Addresses(ctx context.Context, iface string) iter.Seq2[*pb.AddressState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_ADDRESSES, Interface: iface}, (*pb.ListResult).GetAddresses)
}

// Neighbors lists the neighbours of an interface, or of all if the name is empty.
func (c *Client) Neighbors(ctx context.Context, iface string) iter.Seq2[*pb.NeighborState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_NEIGHBORS, Interface: iface}, (*pb.ListResult).GetNeighbors)
}

// NextHops lists the next hops.
func (c *Client) NextHops(ctx context.Context) iter.Seq2[*pb.NextHopState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_NEXT_HOPS}, (*pb.ListResult).GetNextHops)
}

// Groups lists the next-hop groups.
func (c *Client) Groups(ctx context.Context) iter.Seq2[*pb.GroupState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_GROUPS}, (*pb.ListResult).GetGroups)
}

// Routes lists the FIB of one network instance (empty: default) and family.
func (c *Client) Routes(ctx context.Context, vrf string, ipv6 bool) iter.Seq2[*pb.RouteState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_ROUTES, Vrf: vrf, Ipv6: ipv6, Limit: 4096}, (*pb.ListResult).GetRoutes)
}

// Workers lists the forwarding threads.
func (c *Client) Workers(ctx context.Context) iter.Seq2[*pb.WorkerState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_WORKERS}, (*pb.ListResult).GetWorkers)
}

// Nodes lists the nodes of the packet graph.
func (c *Client) Nodes(ctx context.Context) iter.Seq2[*pb.NodeState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_NODES}, (*pb.ListResult).GetNodes)
}

// Drops lists the reasons for which packets were dropped.
func (c *Client) Drops(ctx context.Context) iter.Seq2[*pb.DropState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_DROPS}, (*pb.ListResult).GetDrops)
}

// XStats lists the extended statistics of a port, or of all if the name is empty.
func (c *Client) XStats(ctx context.Context, iface string) iter.Seq2[*pb.XStat, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_PORT_XSTATS, Interface: iface}, (*pb.ListResult).GetXstats)
}
