package bgp

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// batchSize is how many routes a call to the sink carries at most.
	batchSize = 4096
	// busyBatch is how many changes found at once mean that a table is being learned; then the next ones are given gatherTime to
	// become many, since each call costs everyone down to the data plane.
	busyBatch  = 32
	gatherTime = 10 * time.Millisecond
	// spareSize is the largest map that is kept for use again.
	spareSize = 1 << 16
)

type eorMark struct {
	neighbor netip.Addr
	family   Family
}

// change is what is to be told of a prefix: a set, or the paths that it is to be made of. None of both: withdrawn.
type change struct {
	set   *PathSet
	paths []tapped
	stale bool // of the best of paths
}

// outbox folds changes until the sink takes them. It holds one entry per changed prefix, so it is bounded by the number
// of prefixes, and putting into it never blocks.
type outbox struct {
	instance func() string
	sink     Sink
	log      *slog.Logger
	wake     chan struct{}
	have     *installed
	// build makes a set of paths; it is called by run.
	build func(paths []tapped, stale bool) *PathSet

	mu        sync.Mutex
	dirty     map[netip.Prefix]change
	eors      []eorMark
	converged func()                    // called after Sink.Converged
	touched   map[netip.Prefix]struct{} // put since a resend began; nil if there is none
}

func newOutbox(sink Sink, log *slog.Logger, instance func() string) *outbox {
	return &outbox{
		sink: sink, log: log, instance: instance,
		wake:  make(chan struct{}, 1),
		have:  newInstalled(),
		dirty: make(map[netip.Prefix]change),
	}
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) put(p netip.Prefix, s *PathSet) { o.add(p, change{set: s}) }

// offer puts the paths of a prefix, to be made a set of when its turn comes: the caller is GoBGP's server.
func (o *outbox) offer(p netip.Prefix, paths []tapped, stale bool) {
	o.add(p, change{paths: paths, stale: stale})
}

func (o *outbox) add(p netip.Prefix, c change) {
	o.mu.Lock()
	o.dirty[p] = c
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
		o.dirty[p] = change{set: s}
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
	gather := time.NewTimer(time.Hour)
	defer gather.Stop()
	spare := make(map[netip.Prefix]change)
	busy := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		if busy {
			gather.Reset(gatherTime)
			select {
			case <-ctx.Done():
				return
			case <-gather.C:
			}
		}
		o.mu.Lock()
		dirty, eors, converged := o.dirty, o.eors, o.converged
		o.dirty, o.eors, o.converged = spare, nil, nil
		o.mu.Unlock()

		instance := o.instance()
		for p, c := range dirty {
			set := c.set
			if c.paths != nil {
				set = o.build(c.paths, c.stale)
			}
			if set == nil {
				gone = append(gone, p)
			} else {
				routes = append(routes, Route{Prefix: p, PathSet: set})
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
		busy = len(dirty) >= busyBatch
		if len(dirty) <= spareSize {
			clear(dirty)
			spare = dirty
		} else {
			spare = make(map[netip.Prefix]change)
		}
	}
}

func (o *outbox) upsert(ctx context.Context, instance string, r []Route) []Route {
	if len(r) > 0 && ctx.Err() == nil {
		if err := o.sink.Upsert(ctx, instance, r); err != nil {
			o.log.Error("bgp routes not taken", "instance", instance, "routes", len(r), "error", err)
		}
		o.have.upserted(r)
	}
	clear(r)
	return r[:0]
}

func (o *outbox) withdraw(ctx context.Context, instance string, p []netip.Prefix) []netip.Prefix {
	if len(p) > 0 && ctx.Err() == nil {
		if err := o.sink.Withdraw(ctx, instance, p); err != nil {
			o.log.Error("bgp withdrawals not taken", "instance", instance, "prefixes", len(p), "error", err)
		}
		o.have.withdrawn(p)
	}
	return p[:0]
}
