package bgp

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
)

// batchSize is how many routes a call to the sink carries at most.
const batchSize = 1024

type eorMark struct {
	neighbor netip.Addr
	family   Family
}

// outbox folds changes until the sink takes them. It holds one entry per changed prefix, so it is bounded by the number
// of prefixes, and putting into it never blocks.
type outbox struct {
	instance func() string
	sink     Sink
	log      *slog.Logger
	wake     chan struct{}

	mu        sync.Mutex
	dirty     map[netip.Prefix]*PathSet // nil: withdrawn
	eors      []eorMark
	converged func()                    // called after Sink.Converged
	touched   map[netip.Prefix]struct{} // put since a resend began; nil if there is none
}

func newOutbox(sink Sink, log *slog.Logger, instance func() string) *outbox {
	return &outbox{
		sink: sink, log: log, instance: instance,
		wake:  make(chan struct{}, 1),
		dirty: make(map[netip.Prefix]*PathSet),
	}
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) put(p netip.Prefix, s *PathSet) {
	o.mu.Lock()
	o.dirty[p] = s
	if o.touched != nil {
		o.touched[p] = struct{}{}
	}
	o.mu.Unlock()
	o.signal()
}

// track begins or ends a resend.
func (o *outbox) track(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.touched = nil
	if on {
		o.touched = make(map[netip.Prefix]struct{})
	}
}

// resend puts what was read from the table, unless an event of this resend's time says something that may be newer. Events
// older than the reading that are still queued in GoBGP are followed by the newer ones, so the last word is right.
func (o *outbox) resend(p netip.Prefix, s *PathSet) {
	o.mu.Lock()
	if _, ok := o.touched[p]; !ok {
		o.dirty[p] = s
	}
	o.mu.Unlock()
	o.signal()
}

// endOfRIB is delivered after all that was put before.
func (o *outbox) endOfRIB(n netip.Addr, f Family) {
	o.mu.Lock()
	defer o.signal()
	defer o.mu.Unlock()
	m := eorMark{n, f}
	for _, e := range o.eors {
		if e == m {
			return
		}
	}
	o.eors = append(o.eors, m)
}

// converge makes the sink's Converged be called after all that was put before, and done after that.
func (o *outbox) converge(done func()) {
	o.mu.Lock()
	o.converged = done
	o.mu.Unlock()
	o.signal()
}

// run feeds the sink until ctx ends.
func (o *outbox) run(ctx context.Context) {
	routes := make([]Route, 0, batchSize)
	gone := make([]netip.Prefix, 0, batchSize)
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		o.mu.Lock()
		dirty, eors, converged := o.dirty, o.eors, o.converged
		o.dirty, o.eors, o.converged = make(map[netip.Prefix]*PathSet), nil, nil
		o.mu.Unlock()

		instance := o.instance()
		for p, s := range dirty {
			if s == nil {
				gone = append(gone, p)
			} else {
				routes = append(routes, Route{Prefix: p, PathSet: s})
			}
			if len(routes) == batchSize {
				routes = o.upsert(ctx, instance, routes)
			}
			if len(gone) == batchSize {
				gone = o.withdraw(ctx, instance, gone)
			}
		}
		routes = o.upsert(ctx, instance, routes)
		gone = o.withdraw(ctx, instance, gone)
		for _, e := range eors {
			o.sink.EndOfRIB(ctx, instance, e.neighbor, e.family)
		}
		if converged != nil {
			o.sink.Converged(ctx, instance)
			converged()
		}
	}
}

func (o *outbox) upsert(ctx context.Context, instance string, r []Route) []Route {
	if len(r) > 0 && ctx.Err() == nil {
		if err := o.sink.Upsert(ctx, instance, r); err != nil {
			o.log.Error("bgp routes not taken", "instance", instance, "routes", len(r), "error", err)
		}
	}
	clear(r)
	return r[:0]
}

func (o *outbox) withdraw(ctx context.Context, instance string, p []netip.Prefix) []netip.Prefix {
	if len(p) > 0 && ctx.Err() == nil {
		if err := o.sink.Withdraw(ctx, instance, p); err != nil {
			o.log.Error("bgp withdrawals not taken", "instance", instance, "prefixes", len(p), "error", err)
		}
	}
	return p[:0]
}
