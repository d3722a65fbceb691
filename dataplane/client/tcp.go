package client

import (
	"context"
	"iter"

	pb "millrace/api/proto/dataplane/v1"
)

// TCPListeners lists the listeners, those that are drained among them, or the ones of a name.
func (c *Client) TCPListeners(ctx context.Context, name string) iter.Seq2[*pb.TcpListenerState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_TCP_LISTENERS, Name: name, Limit: 512}, (*pb.ListResult).GetTcpListeners)
}

// TCPPools lists the pools without their backends, or the one named.
func (c *Client) TCPPools(ctx context.Context, name string) iter.Seq2[*pb.TcpPoolState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_TCP_POOLS, Name: name}, (*pb.ListResult).GetTcpPools)
}

// TCPBackends lists the backends of a pool, or of all if the name is empty.
func (c *Client) TCPBackends(ctx context.Context, pool string) iter.Seq2[*pb.TcpBackendState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_TCP_BACKENDS, Name: pool}, (*pb.ListResult).GetTcpBackends)
}

// TCPConnections lists the connections that match; nil: all.
func (c *Client) TCPConnections(ctx context.Context, f *pb.TcpFilter) iter.Seq2[*pb.TcpConnection, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_TCP_CONNECTIONS, Tcp: f}, (*pb.ListResult).GetTcpConnections)
}

// TCPCounters lists the counters of the engines, summed over the workers.
func (c *Client) TCPCounters(ctx context.Context) iter.Seq2[*pb.TcpCounter, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_TCP_COUNTERS}, (*pb.ListResult).GetTcpCounters)
}

// TCPWorkers lists how full the engines are.
func (c *Client) TCPWorkers(ctx context.Context) iter.Seq2[*pb.TcpWorkerState, error] {
	return list(ctx, c, &pb.List{Table: pb.Table_TABLE_TCP_WORKERS}, (*pb.ListResult).GetTcpWorkers)
}

// KillTCP resets the connections that match and returns how many there were. A filter that matches everything needs all.
func (c *Client) KillTCP(ctx context.Context, f *pb.TcpFilter, all bool) (uint64, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_TcpKill{TcpKill: &pb.TcpKill{Filter: f, All: all}}}, 0)
	return m.GetDone().GetCount(), err
}
