// Package probe has the data plane ping and trace routes.
package probe

import (
	"context"
	"math"
	"net/netip"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
)

// Pinger sends one probe and waits for what comes of it; *client.Client is one.
type Pinger interface {
	Ping(ctx context.Context, p *dpb.Ping) (*dpb.PingResult, error)
}

// Target is where probes go, and from where. All but Destination may be zero.
type Target struct {
	Instance    string
	Destination netip.Addr
	Source      netip.Addr
	Interface   string
	// Size of the payload in octets.
	Size         uint32
	DontFragment bool
	// Timeout of one probe; at least a millisecond.
	Timeout time.Duration
}

func (t *Target) probe(id, seq, ttl uint32) *dpb.Ping {
	p := &dpb.Ping{
		Vrf: t.Instance, Destination: t.Destination.AsSlice(), Interface: t.Interface, Ttl: ttl, Size: t.Size, Identifier: id,
		Sequence: seq & math.MaxUint16, Timeout: uint32(max(1, t.Timeout/time.Millisecond)), DontFragment: t.DontFragment,
	}
	if t.Source.IsValid() {
		p.Source = t.Source.AsSlice()
	}
	return p
}

func newID() uint32 { return uint32(time.Now().UnixNano() & math.MaxUint16) }

// Ping sends count echo requests, one each interval, and calls emit with what came of each; sequence numbers begin at 1. It ends with
// ctx's error, that of the data plane, or emit's.
func Ping(ctx context.Context, dp Pinger, t Target, ttl, count uint32, interval time.Duration, emit func(seq uint32, r *dpb.PingResult) error) error {
	id := newID()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for seq := uint32(1); ; seq++ {
		r, err := dp.Ping(ctx, t.probe(id, seq, ttl))
		if err != nil {
			return err
		}
		if err := emit(seq, r); err != nil || seq == count {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Hop is what came of one probe of a trace.
type Hop struct {
	TTL, Probe uint32
	From       netip.Addr
	// Final: the destination answered.
	Final  bool
	Result *dpb.PingResult
}

// Trace sends probes with growing TTL from first to last, several each, by UDP or ICMP, until the destination answers or nothing further
// on can.
func Trace(ctx context.Context, dp Pinger, t Target, first, last, probes uint32, icmp bool, emit func(Hop) error) error {
	id := newID()
	var seq uint32
	for ttl := first; ttl <= last; ttl++ {
		over := false
		for n := uint32(1); n <= probes; n++ {
			p := t.probe(id, seq, ttl)
			p.Udp = !icmp
			r, err := dp.Ping(ctx, p)
			if err != nil {
				return err
			}
			seq++
			from, _ := netip.AddrFromSlice(r.GetFrom())
			h := Hop{TTL: ttl, Probe: n, From: from, Result: r}
			h.Final = from == t.Destination || r.GetOutcome() == dpb.PingOutcome_PING_OUTCOME_REPLY
			over = over || h.Final || r.GetOutcome() == dpb.PingOutcome_PING_OUTCOME_UNREACHABLE ||
				r.GetOutcome() == dpb.PingOutcome_PING_OUTCOME_NO_ROUTE
			if err := emit(h); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
	}
	return nil
}
