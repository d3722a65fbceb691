package rib

import (
	"context"
	"net/netip"
	"sync"
)

// Best is the candidate in use for a prefix, in short.
type Best struct {
	VRF    string
	Prefix netip.Prefix
	Source Source
	Group  uint32 // the group that it forwards by; see Groups
	FIB    FIBState
}

// ListBest is List of the prefixes with a best candidate, for those who read them all.
func (r *RIB) ListBest(f Filter, cur Cursor, limit int) (list []Best, next Cursor, err error) {
	if err := f.check(); err != nil {
		return nil, Cursor{}, err
	}
	f.BestOnly = true
	limit = min(max(limit, 1), 10000)
	for {
		r.mu.RLock()
		done := r.listSlice(&f, &cur, limit-len(list), func(e *entry) {
			b := Best{VRF: r.tables[e.table].inst.name, Prefix: r.entryPrefix(e), Source: r.sourceOf(e.best), Group: e.set}
			b.FIB, _ = r.fibState(e)
			list = append(list, b)
		})
		r.mu.RUnlock()
		if done {
			return list, Cursor{}, nil
		}
		if len(list) >= limit {
			return list, cur, nil
		}
	}
}

// CountBest counts the prefixes of a family (4 or 6) of an instance by the source of their best candidate. Sources that have none
// are left out.
func (r *RIB) CountBest(vrf string, family int) map[Source]int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := map[Source]int{}
	in := r.vrfs[canonVRF(vrf)]
	if in == nil || !in.exists {
		return out
	}
	for _, t := range in.tables {
		if t.routes.v6 != (family == 6) {
			continue
		}
		for s, n := range t.best {
			if n > 0 {
				out[Source(s)] = n
			}
		}
	}
	return out
}

// GroupUse is a group of next hops that resolves.
type GroupUse struct {
	ID      uint32   // may mean another group once it is gone
	Members []Member // must not be modified; nil in what a GroupWatcher gives: the group is gone
}

// Groups returns up to limit groups with an ID above after, by ID, and the ID to go on after; 0 at the end. limit is 1 to 10,000.
func (r *RIB) Groups(after uint32, limit int) (list []GroupUse, next uint32) {
	limit = min(max(limit, 1), 10000)
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i := int(after) + 1; i < len(r.groups); i++ {
		if g := r.groups[i]; g != nil && g.ok() {
			if len(list) == limit {
				return list, list[limit-1].ID
			}
			list = append(list, GroupUse{uint32(i), g.members})
		}
	}
	return list, 0
}

// GroupByID returns a group; false if there is none or it does not resolve.
func (r *RIB) GroupByID(id uint32) (GroupUse, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.groupUse(id)
}

func (r *RIB) groupUse(id uint32) (GroupUse, bool) {
	if id == 0 || int(id) >= len(r.groups) || r.groups[id] == nil || !r.groups[id].ok() {
		return GroupUse{ID: id}, false
	}
	return GroupUse{id, r.groups[id].members}, true
}

// GroupWatcher receives the groups whose members change, until it is closed or the context that it was made with ends. It holds no
// more than the IDs of the groups that there are.
type GroupWatcher struct {
	r     *RIB
	ready chan struct{}
	once  sync.Once
	stop  func() bool

	mu      sync.Mutex
	pending map[uint32]struct{}
}

// WatchGroups returns the changes from now on.
func (r *RIB) WatchGroups(ctx context.Context) *GroupWatcher {
	w := &GroupWatcher{r: r, ready: make(chan struct{}, 1), pending: map[uint32]struct{}{}}
	r.mu.Lock()
	r.groupWatchers[w] = struct{}{}
	r.mu.Unlock()
	w.stop = context.AfterFunc(ctx, w.shut)
	return w
}

// Close ends the stream.
func (w *GroupWatcher) Close() {
	w.stop()
	w.shut()
}

func (w *GroupWatcher) shut() {
	w.once.Do(func() {
		w.r.mu.Lock()
		delete(w.r.groupWatchers, w)
		w.r.mu.Unlock()
	})
}

// Ready receives when there may be something to Take.
func (w *GroupWatcher) Ready() <-chan struct{} { return w.ready }

// Take returns the groups that have changed since they were last taken, as they are now.
func (w *GroupWatcher) Take() []GroupUse {
	w.r.mu.RLock()
	defer w.r.mu.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]GroupUse, 0, len(w.pending))
	for id := range w.pending {
		g, _ := w.r.groupUse(id)
		out = append(out, g)
	}
	clear(w.pending)
	return out
}

// notifyGroup tells the watchers that a group is there, has other members or is gone.
func (r *RIB) notifyGroup(id uint32) {
	for w := range r.groupWatchers {
		w.mu.Lock()
		w.pending[id] = struct{}{}
		w.mu.Unlock()
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

// notifyFIB tells the watchers that the FIB has refused an entry, or is to try again.
func (r *RIB) notifyFIB(e *entry) {
	if e.best != 0 && len(r.watchers) > 0 {
		r.notifyEntry(e, sourceBit(r.sourceOf(e.best)))
	}
}
