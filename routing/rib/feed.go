package rib

import "net/netip"

// DeltaOp says what a Delta does.
type DeltaOp uint8

// The operations of a Delta.
const (
	GroupUpdate DeltaOp = iota // make the group or replace its members
	RouteUpdate                // make the route or point it to the group
	RouteDelete
	GroupDelete // no route points to the group any more
)

// Delta is one change that the FIB has to make.
type Delta struct {
	Op      DeltaOp
	Group   uint32   // of GroupUpdate, RouteUpdate and GroupDelete
	Members []Member // of GroupUpdate, never empty; must not be modified
	Like    uint32   // of GroupUpdate that makes a group for a route that has one: that one, else 0
	VRF     string   // of RouteUpdate and RouteDelete
	Prefix  netip.Prefix
	entry   uint32
}

// Feed is what the FIB has to become, as changes against what it has
// acknowledged. It holds no copy of the routes: a change is a mark on the
// prefix, so that however often a prefix flaps while the FIB is busy, one
// operation results. There is one Feed with one user, the FIB programmer.
type Feed struct {
	r     *RIB
	ready chan struct{}

	routes     ring // entries to look at
	groups     ring // groups to look at
	pull       uint64
	programmed int
	inFlight   int
	failed     int
	failedBy   [256]int
	failGroups map[uint32]struct{}
	scan       uint32 // where RetryFailed goes on
}

// groupFIB is the state of a group in the FIB.
type groupFIB struct {
	refs     int    // routes that point, or are being pointed, to it
	pull     uint64 // the Pull that last handed it out
	present  bool   // acknowledged
	inFlight bool
	queued   bool
}

func (f *groupFIB) held() bool { return f.refs > 0 || f.present || f.inFlight || f.queued }

// ring is a queue that knows how many it has ever taken in.
type ring struct {
	buf        []uint32
	head, tail uint64
}

func (q *ring) len() int { return int(q.tail - q.head) }

func (q *ring) push(v uint32) {
	if q.len() == len(q.buf) {
		buf := make([]uint32, max(64, 2*len(q.buf)))
		for i := q.head; i < q.tail; i++ {
			buf[i%uint64(len(buf))] = q.buf[i%uint64(len(q.buf))]
		}
		q.buf = buf
	}
	q.buf[q.tail%uint64(len(q.buf))] = v
	q.tail++
}

func (q *ring) peek() uint32 { return q.buf[q.head%uint64(len(q.buf))] }

func (q *ring) pop() {
	q.head++
	if q.head == q.tail && len(q.buf) > 1<<16 {
		q.buf = nil // give the memory of a burst back
	}
}

// Feed returns the RIB's feed, which begins with all that there is.
func (r *RIB) Feed() *Feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.feed == nil {
		r.feed = &Feed{r: r, ready: make(chan struct{}, 1), failGroups: make(map[uint32]struct{})}
		for i := uint32(1); i < r.entries.end(); i++ {
			if r.entries.at(i).node != 0 {
				r.feedEntry(i)
			}
		}
		r.wakeFeed()
	}
	return r.feed
}

// desired is the group that the FIB is to have for an entry, 0 for no route.
func (r *RIB) desired(e *entry) uint32 {
	if e.best == 0 || r.origins[r.cands.at(e.best).origin].source == SourceConnected {
		return 0
	}
	return e.set
}

func (r *RIB) feedEntry(ei uint32) {
	e := r.entries.at(ei)
	if r.feed == nil || e.flags&flagQueued != 0 {
		return
	}
	if e.flags == 0 && r.desired(e) == e.fib {
		return
	}
	e.flags |= flagQueued
	r.feed.routes.push(ei)
}

func (r *RIB) feedGroup(gi uint32) {
	g := r.groups[gi]
	if r.feed != nil && !g.fib.queued && (g.fib.present || g.fib.inFlight) {
		g.fib.queued = true
		r.feed.groups.push(gi)
	}
}

func (r *RIB) wakeFeed() {
	if f := r.feed; f != nil && f.routes.len()+f.groups.len() > 0 {
		select {
		case f.ready <- struct{}{}:
		default:
		}
	}
}

// Ready receives when there may be something to Pull.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Pull appends up to about max changes to dst: changes of groups first (a
// group is always handed out before a route that needs it), then routes in the
// order in which they changed. Each is in flight until Ack. A prefix or group
// that is in flight is not handed out again before that. more says that calling
// again now may yield more.
func (f *Feed) Pull(dst []Delta, limit int) (deltas []Delta, more bool) {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	f.pull++
	end := len(dst) + limit
	for f.groups.len() > 0 && len(dst) < end {
		gi := f.groups.peek()
		g := r.groups[gi]
		if g.fib.inFlight {
			break
		}
		f.groups.pop()
		g.fib.queued = false
		switch {
		case g.fib.refs > 0:
			dst = f.handGroup(dst, gi, g, 0)
		case g.fib.present:
			g.fib.inFlight = true
			dst = append(dst, Delta{Op: GroupDelete, Group: gi})
		default:
			r.releaseGroup(gi)
		}
	}
	for looked := 0; f.routes.len() > 0; looked++ {
		if len(dst) >= end || looked >= 4*limit {
			return dst, true
		}
		ei := f.routes.peek()
		e := r.entries.at(ei)
		if e.flags&flagInFlight != 0 {
			break
		}
		want := r.desired(e)
		if want != 0 && want != e.fib {
			g := r.groups[want]
			if g.fib.inFlight && g.fib.pull != f.pull {
				break
			}
			if !g.fib.present && !g.fib.inFlight {
				dst = f.handGroup(dst, want, g, e.fib)
			}
			g.fib.refs++
		}
		f.routes.pop()
		e.flags &^= flagQueued
		f.unfail(e)
		if want == e.fib {
			r.reap(ei)
			continue
		}
		e.flags |= flagInFlight
		f.inFlight++
		d := Delta{Op: RouteUpdate, Group: want, VRF: r.tables[e.table].inst.name, Prefix: r.entryPrefix(e), entry: ei}
		if want == 0 {
			d.Op = RouteDelete
		}
		dst = append(dst, d)
	}
	return dst, false
}

func (f *Feed) handGroup(dst []Delta, gi uint32, g *group, like uint32) []Delta {
	g.fib.inFlight, g.fib.pull = true, f.pull
	return append(dst, Delta{Op: GroupUpdate, Group: gi, Members: g.last, Like: like})
}

func (f *Feed) unfail(e *entry) {
	if e.flags&flagFailed != 0 {
		e.flags &^= flagFailed
		f.failed--
		f.failedBy[e.code]--
		e.code = 0
		f.r.notifyFIB(e)
	}
}

func (f *Feed) unref(gi uint32) {
	g := f.r.groups[gi]
	g.fib.refs--
	if g.fib.refs > 0 {
		return
	}
	if !g.fib.queued && (g.fib.present || g.fib.inFlight) {
		g.fib.queued = true
		f.groups.push(gi)
		return
	}
	if !g.fib.present {
		delete(f.failGroups, gi)
	}
	f.r.releaseGroup(gi)
}

// Ack takes the results of changes handed out by Pull: 0 for done, otherwise a
// code by which the failure is counted. A failed route stays failed until it
// changes or is retried.
func (f *Feed) Ack(deltas []Delta, codes []uint8) {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range deltas {
		d, code := &deltas[i], codes[i]
		switch d.Op {
		case GroupUpdate, GroupDelete:
			g := r.groups[d.Group]
			g.fib.inFlight = false
			if code == 0 {
				g.fib.present = d.Op == GroupUpdate
				delete(f.failGroups, d.Group)
			} else {
				f.failGroups[d.Group] = struct{}{}
			}
			if !g.fib.queued && g.fib.present && g.fib.refs == 0 {
				g.fib.queued = code == 0
				if g.fib.queued {
					f.groups.push(d.Group)
				}
			}
			if !g.fib.present && !g.fib.held() {
				delete(f.failGroups, d.Group)
				r.releaseGroup(d.Group)
			}
		case RouteUpdate, RouteDelete:
			e := r.entries.at(d.entry)
			e.flags &^= flagInFlight
			f.inFlight--
			if code != 0 {
				e.flags |= flagFailed
				e.code = code
				f.failed++
				f.failedBy[code]++
				r.notifyFIB(e)
				if d.Group != 0 {
					f.unref(d.Group)
				}
				continue
			}
			old := e.fib
			e.fib = d.Group
			switch {
			case old == 0 && e.fib != 0:
				f.programmed++
			case old != 0 && e.fib == 0:
				f.programmed--
			}
			if old != 0 {
				f.unref(old)
			}
			r.reap(d.entry)
		}
	}
	r.wakeFeed()
}

// Reset forgets all that the FIB has acknowledged, so that Pull hands out
// everything again. Nothing may be in flight or be acknowledged afterwards
// from before.
func (f *Feed) Reset() {
	r := f.r
	for i := uint32(1); ; {
		r.mu.Lock()
		end := r.entries.end()
		for n := 0; n < 16*r.opt.Slice && i < end; n, i = n+1, i+1 {
			e := r.entries.at(i)
			if e.node == 0 {
				continue
			}
			f.unfail(e)
			if e.fib != 0 {
				f.programmed--
				e.fib = 0
			}
			if e.flags&flagInFlight != 0 {
				f.inFlight--
				e.flags &^= flagInFlight
			}
			if r.desired(e) != 0 {
				r.feedEntry(i)
			} else {
				r.reap(i)
				end = r.entries.end()
			}
		}
		if i < end {
			r.mu.Unlock()
			continue
		}
		f.groups = ring{head: f.groups.tail, tail: f.groups.tail}
		clear(f.failGroups)
		for gi, g := range r.groups {
			if g != nil {
				g.fib = groupFIB{}
				r.releaseGroup(uint32(gi))
			}
		}
		r.wakeFeed()
		r.mu.Unlock()
		return
	}
}

// RetryFailed puts up to limit failed routes, taken in turn, and all failed groups
// into the queue again and returns how many routes.
func (f *Feed) RetryFailed(limit int) int {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for gi := range f.failGroups {
		if g := r.groups[gi]; g != nil && !g.fib.queued && !g.fib.inFlight && (g.fib.present || g.fib.refs > 0) {
			g.fib.queued = true
			f.groups.push(gi)
		}
	}
	n, end := 0, r.entries.end()
	for looked := uint32(0); looked < end && n < limit && n < f.failed; looked++ {
		if f.scan++; f.scan >= end {
			f.scan = 1
		}
		e := r.entries.at(f.scan)
		if e.node != 0 && e.flags&(flagFailed|flagQueued|flagInFlight) == flagFailed {
			r.feedEntry(f.scan)
			n++
		}
	}
	r.wakeFeed()
	return n
}

// Mark is a point in the stream of changes; see Passed.
type Mark struct{ routes, groups uint64 }

// Mark returns the point after all changes up to now.
func (f *Feed) Mark() Mark {
	f.r.mu.RLock()
	defer f.r.mu.RUnlock()
	return Mark{f.routes.tail, f.groups.tail}
}

// Passed says whether all changes before the mark have been handed out.
func (f *Feed) Passed(m Mark) bool {
	f.r.mu.RLock()
	defer f.r.mu.RUnlock()
	return f.routes.head >= m.routes && f.groups.head >= m.groups
}

// FeedStats counts routes by their state in the FIB.
type FeedStats struct {
	Programmed   int           // acknowledged, whether or not a change of it is pending
	Pending      int           // waiting to be handed out
	InFlight     int           // handed out, not acknowledged
	Failed       int           // refused
	FailedBy     map[uint8]int // refused, by code
	FailedGroups int
}

// Stats returns the present counts.
func (f *Feed) Stats() FeedStats {
	f.r.mu.RLock()
	defer f.r.mu.RUnlock()
	s := FeedStats{
		Programmed: f.programmed, Pending: f.routes.len() + f.groups.len(), InFlight: f.inFlight,
		Failed: f.failed, FailedGroups: len(f.failGroups),
	}
	for code, n := range f.failedBy {
		if n > 0 {
			if s.FailedBy == nil {
				s.FailedBy = make(map[uint8]int)
			}
			s.FailedBy[uint8(code)] = n
		}
	}
	return s
}

// FailedRoute is a route that the FIB refused.
type FailedRoute struct {
	VRF    string
	Prefix netip.Prefix
	Code   uint8
}

// Failures lists up to limit refused routes in no particular but a stable
// order. The cursor begins as 0; next is where to go on, 0 at the end.
func (f *Feed) Failures(cursor uint32, limit int) (list []FailedRoute, next uint32) {
	r := f.r
	for i := max(cursor, 1); ; {
		r.mu.RLock()
		end := r.entries.end()
		if f.failed == 0 {
			end = 0
		}
		for n := 0; n < 16*r.opt.Slice && i < end; n, i = n+1, i+1 {
			e := r.entries.at(i)
			if e.node == 0 || e.flags&flagFailed == 0 {
				continue
			}
			if len(list) == limit {
				r.mu.RUnlock()
				return list, i
			}
			list = append(list, FailedRoute{VRF: r.tables[e.table].inst.name, Prefix: r.entryPrefix(e), Code: e.code})
		}
		r.mu.RUnlock()
		if i >= end {
			return list, 0
		}
	}
}
