package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
)

// Batches are kept well under MaxFrame, so that an answer with an error for each operation fits as well.
const batchBytes = 1 << 20

// The largest encoding of a route but for the name of its network instance: keys, lengths, an IPv6 prefix and an id.
const routeSize = 64

// Batches of one Apply that are on their way at the same time.
const batchWindow = 4

// OpError is the refusal of one operation.
type OpError struct {
	// Index into the operations given to Apply.
	Index int
	Err   *Error
}

// Result says what became of a list of operations.
type Result struct {
	// Applied counts the operations that were carried out.
	Applied int
	// Failed are the others, in their order.
	Failed []OpError
}

// Err returns the first refusal, or nil.
func (r Result) Err() error {
	if len(r.Failed) == 0 {
		return nil
	}
	return r.Failed[0].Err
}

// Apply carries out the operations in their order, split into as many batches as they need. Each succeeds or fails alone: look
// into Result.Failed. The error is for the whole: then the operations from index Applied+len(Failed) on have an unknown fate.
func (c *Client) Apply(ctx context.Context, ops []*pb.Op) (Result, error) {
	k := c.conn()
	if k == nil {
		return Result{}, c.noConn()
	}
	return c.applyOn(ctx, k, ops)
}

func (c *Client) applyOn(ctx context.Context, k *conn, ops []*pb.Op) (Result, error) {
	var res Result
	type sent struct {
		first, n int
		id       uint64
		w        *waiter
	}
	var window []sent
	var sendErr error
	next := 0
	for sendErr == nil && next < len(ops) || len(window) > 0 {
		if sendErr == nil && next < len(ops) && len(window) < batchWindow {
			n := batchLen(ops[next:])
			req := &pb.Request{Op: &pb.Request_Batch{Batch: &pb.Batch{Ops: ops[next : next+n]}}}
			startCtx, cancel := context.WithTimeoutCause(ctx, c.opt.CallTimeout, ErrStalled)
			w, err := k.start(startCtx, req, nil)
			cancel()
			if err != nil {
				sendErr = err // answers that came before still count
				continue
			}
			window = append(window, sent{next, n, req.Id, w})
			next += n
			continue
		}
		b := window[0]
		window = window[1:]
		waitCtx, cancel := context.WithTimeoutCause(ctx, c.opt.CallTimeout, ErrStalled)
		m, err := k.finish(waitCtx, b.id, b.w)
		cancel()
		if err != nil {
			return res, err
		}
		if m.GetBatch() == nil {
			return res, unexpected("batch", m)
		}
		failed := m.GetBatch().GetFailed()
		for _, f := range failed {
			if int(f.GetIndex()) >= b.n {
				return res, unexpected("batch: index out of range", m)
			}
			res.Failed = append(res.Failed, OpError{b.first + int(f.GetIndex()), fromProto(f.GetError())})
		}
		res.Applied += b.n - len(failed)
	}
	return res, sendErr
}

// opSize is no less than what an operation takes in a batch.
func opSize(op *pb.Op) int {
	switch o := op.GetOp().(type) {
	case *pb.Op_Route:
		return routeSize + len(o.Route.GetVrf()) // exact sizes of many routes cost more than they are worth
	case *pb.Op_RouteDelete:
		return routeSize + len(o.RouteDelete.GetVrf())
	}
	return proto.Size(op) + 8
}

// batchLen is how many of the operations go into one batch; at least one.
func batchLen(ops []*pb.Op) int {
	size := 0
	for i, op := range ops {
		size += opSize(op)
		if i > 0 && (i == MaxOps || size > batchBytes) {
			return i
		}
	}
	return len(ops)
}

// Sweep deletes what this owner wrote in earlier epochs and not again in this one.
func (c *Client) Sweep(ctx context.Context) (*pb.SweepResult, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_Sweep{Sweep: &pb.Sweep{}}}, 0)
	if err != nil {
		return nil, err
	}
	if m.GetSweep() == nil {
		return nil, unexpected("sweep", m)
	}
	return m.GetSweep(), nil
}

// Info describes the data plane.
func (c *Client) Info(ctx context.Context) (*pb.Info, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_GetInfo{GetInfo: &pb.GetInfo{}}}, 0)
	if err != nil {
		return nil, err
	}
	if m.GetInfo() == nil {
		return nil, unexpected("info", m)
	}
	return m.GetInfo(), nil
}

// Ping sends one probe and waits for what becomes of it.
func (c *Client) Ping(ctx context.Context, p *pb.Ping) (*pb.PingResult, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_Ping{Ping: p}}, time.Duration(p.GetTimeout())*time.Millisecond)
	if err != nil {
		return nil, err
	}
	if m.GetPing() == nil {
		return nil, unexpected("ping", m)
	}
	return m.GetPing(), nil
}

// Lookup asks what the FIB does with a packet.
func (c *Client) Lookup(ctx context.Context, l *pb.Lookup) (*pb.LookupResult, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_Lookup{Lookup: l}}, 0)
	if err != nil {
		return nil, err
	}
	if m.GetLookup() == nil {
		return nil, unexpected("lookup", m)
	}
	return m.GetLookup(), nil
}

// FlushNeighbors forgets dynamic neighbours and returns how many there were.
func (c *Client) FlushNeighbors(ctx context.Context, f *pb.NeighborFlush) (uint64, error) {
	m, err := c.do(ctx, &pb.Request{Op: &pb.Request_NeighborFlush{NeighborFlush: f}}, 0)
	return m.GetDone().GetCount(), err
}

// ClearCounters sets the counters of an interface, or of all if the name is empty, to zero.
func (c *Client) ClearCounters(ctx context.Context, iface string) error {
	_, err := c.do(ctx, &pb.Request{Op: &pb.Request_ClearCounters{ClearCounters: &pb.ClearCounters{Interface: iface}}}, 0)
	return err
}
