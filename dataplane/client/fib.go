package client

import (
	"context"
	"errors"
	"fmt"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/routing/fib"
	"millrace/routing/rib"
)

// The seam's weights are one byte.
const maxWeight = 255

// FIB returns the client as the FIB programmer sees the data plane. What is of another epoch than the present session's is not sent:
// it belongs to a connection that broke.
func (c *Client) FIB() fib.Dataplane { return fibDataplane{c} }

type fibDataplane struct{ c *Client }

// Apply implements fib.Dataplane.
func (f fibDataplane) Apply(ctx context.Context, ops []fib.Op) ([]error, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	k, err := f.c.connOf(uint64(ops[0].Epoch))
	if err != nil {
		return nil, err
	}
	s := f.c.opSpace()
	defer f.c.giveBack(s)
	for i := range ops {
		op := s.route(&ops[i])
		if op == nil {
			if op, err = fibOp(&ops[i]); err != nil {
				return nil, fmt.Errorf("operation %d: %w", i, err)
			}
		}
		s.ops = append(s.ops, op)
	}
	res, err := f.c.applyOn(ctx, k, s.ops)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(ops))
	for _, r := range res.Failed {
		errs[r.Index] = &fib.Error{Code: fibCode(r.Err.Code), Field: r.Err.Field, Msg: r.Err.Message}
	}
	return errs, nil
}

// Sweep implements fib.Dataplane. It sweeps all that is of an earlier epoch, the configuration's objects as well: these have to be
// written before.
func (f fibDataplane) Sweep(ctx context.Context, epoch uint32) error {
	k, err := f.c.connOf(uint64(epoch))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.c.opt.CallTimeout, ErrStalled)
	defer cancel()
	m, err := k.call(ctx, &pb.Request{Op: &pb.Request_Sweep{Sweep: &pb.Sweep{}}})
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return &fib.Error{Code: fibCode(refused.Code), Field: refused.Field, Msg: refused.Message}
	case err != nil:
		return err
	}
	n := m.GetSweep()
	f.c.log.Info("swept what is of earlier epochs", "routes", n.GetRoutes(), "groups", n.GetGroups(), "next_hops", n.GetNextHops(),
		"neighbors", n.GetNeighbors(), "addresses", n.GetAddresses(), "interfaces", n.GetInterfaces(), "vrfs", n.GetVrfs())
	return nil
}

// connOf is the present connection if it writes with the epoch given.
func (c *Client) connOf(epoch uint64) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur == nil || c.session.Epoch != epoch {
		return nil, ErrDisconnected
	}
	return c.cur, nil
}

func fibCode(c pb.Code) fib.Code {
	switch c {
	case pb.Code_CODE_INVALID, pb.Code_CODE_MALFORMED, pb.Code_CODE_UNSUPPORTED:
		return fib.CodeInvalid
	case pb.Code_CODE_NOT_FOUND:
		return fib.CodeNotFound
	case pb.Code_CODE_TABLE_FULL, pb.Code_CODE_NO_MEMORY:
		return fib.CodeTableFull
	case pb.Code_CODE_PERMISSION:
		return fib.CodeExists
	case pb.Code_CODE_IN_USE:
		return fib.CodeBusy
	}
	return fib.CodeOther
}

func fibOp(o *fib.Op) (*pb.Op, error) {
	switch o.Type {
	case fib.NextHopUpsert:
		h, err := fibNextHop(o)
		return &pb.Op{Op: &pb.Op_NextHop{NextHop: h}}, err
	case fib.NextHopDelete:
		return &pb.Op{Op: &pb.Op_NextHopDelete{NextHopDelete: o.ID}}, nil
	case fib.GroupUpsert:
		g := &pb.Group{Id: o.ID, LikeId: o.Like, Members: make([]*pb.Member, len(o.Members))}
		most := map[uint8]uint32{} // of each level of backups
		for _, m := range o.Members {
			most[m.Backup] = max(most[m.Backup], m.Weight, maxWeight)
		}
		for i, m := range o.Members {
			g.Members[i] = &pb.Member{NextHopId: m.NextHop, Weight: max(1, m.Weight*maxWeight/most[m.Backup]), Backup: uint32(m.Backup)}
		}
		return &pb.Op{Op: &pb.Op_Group{Group: g}}, nil
	case fib.GroupDelete:
		return &pb.Op{Op: &pb.Op_GroupDelete{GroupDelete: o.ID}}, nil
	}
	return nil, fmt.Errorf("%s is not known to the seam", o.Type)
}

func fibNextHop(o *fib.Op) (*pb.NextHop, error) {
	h := &pb.NextHop{Id: o.ID}
	switch o.Kind {
	case rib.KindUnicast:
		h.Kind, h.Interface = pb.NextHopKind_NEXT_HOP_KIND_INTERFACE, o.Interface
		if o.Gateway.IsValid() {
			h.Kind, h.Gateway = pb.NextHopKind_NEXT_HOP_KIND_GATEWAY, o.Gateway.AsSlice()
		}
	case rib.KindBlackhole:
		h.Kind = pb.NextHopKind_NEXT_HOP_KIND_BLACKHOLE
	case rib.KindReject:
		h.Kind = pb.NextHopKind_NEXT_HOP_KIND_REJECT
	case rib.KindPunt:
		h.Kind = pb.NextHopKind_NEXT_HOP_KIND_PUNT
	case rib.KindLookup:
		h.Kind, h.Vrf = pb.NextHopKind_NEXT_HOP_KIND_VRF, o.VRF
	default:
		return nil, fmt.Errorf("next hop of kind %s is not known to the seam", o.Kind)
	}
	return h, nil
}
