package rib

import (
	"context"
	"net/netip"
	"sync"
)

// watchLimit is how many changed prefixes a watcher may have waiting.
const watchLimit = 16384

// EventType says what an Event reports.
type EventType uint8

// The types of events.
const (
	EventUpdate EventType = iota // the prefix has a (new) best candidate
	EventDelete                  // it has none any more
	// EventResync says that changes were dropped because the reader was too
	// slow: it must List again. Changes after it are complete.
	EventResync
)

// Event is a change of a best route, as it is when read: changes of one prefix
// in between are not reported one by one.
type Event struct {
	Type   EventType
	VRF    string
	Prefix netip.Prefix
	Route  RouteInfo // of EventUpdate
}

type watchKey struct {
	table  uint16
	prefix netip.Prefix
}

// Watcher receives changes of best routes until it is closed or the context
// that it was made with ends. Changes of resolution alone, below an unchanged
// best candidate, are not reported.
type Watcher struct {
	r      *RIB
	filter Filter
	ready  chan struct{}
	done   chan struct{}
	stop   func() bool
	once   sync.Once

	mu      sync.Mutex
	pending map[watchKey]struct{}
	order   []watchKey
	limit   int
	resync  bool
}

// Watch returns a stream of the changes from now on. To follow from a full
// picture, Watch first and then List.
func (r *RIB) Watch(ctx context.Context, f Filter) (*Watcher, error) {
	return r.WatchMany(ctx, f, watchLimit)
}

// WatchMany is Watch for a reader that can have up to limit changed prefixes wait, at about 100 bytes each.
func (r *RIB) WatchMany(ctx context.Context, f Filter, limit int) (*Watcher, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	w := &Watcher{
		r: r, filter: f, ready: make(chan struct{}, 1), done: make(chan struct{}),
		pending: make(map[watchKey]struct{}), limit: limit,
	}
	r.mu.Lock()
	r.watchers[w] = struct{}{}
	r.mu.Unlock()
	w.stop = context.AfterFunc(ctx, w.shut)
	return w, nil
}

// Close ends the stream.
func (w *Watcher) Close() {
	w.stop()
	w.shut()
}

func (w *Watcher) shut() {
	w.once.Do(func() {
		w.r.mu.Lock()
		delete(w.r.watchers, w)
		w.r.mu.Unlock()
		close(w.done)
	})
}

// Next waits for changes and returns up to limit of them. The error is
// ctx.Err(), or context.Canceled once the watcher is closed.
func (w *Watcher) Next(ctx context.Context, limit int) ([]Event, error) {
	for {
		if evs := w.take(limit); len(evs) > 0 {
			return evs, nil
		}
		select {
		case <-w.ready:
		case <-w.done:
			return nil, context.Canceled
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *Watcher) take(limit int) []Event {
	w.r.mu.RLock()
	defer w.r.mu.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	var evs []Event
	if w.resync {
		w.resync = false
		evs = append(evs, Event{Type: EventResync})
	}
	n := min(len(w.order), max(limit, 1))
	for _, k := range w.order[:n] {
		delete(w.pending, k)
		if ev, ok := w.event(k); ok {
			evs = append(evs, ev)
		}
	}
	if w.order = w.order[n:]; len(w.order) == 0 {
		w.order = nil
	} else {
		w.wake()
	}
	return evs
}

func (w *Watcher) event(k watchKey) (Event, bool) {
	t := w.r.tables[k.table]
	ev := Event{Type: EventDelete, VRF: t.inst.name, Prefix: k.prefix}
	n := t.routes.find(addrKey(k.prefix.Addr()), uint8(k.prefix.Bits()))
	if n == 0 {
		return ev, true
	}
	e := w.r.entries.at(t.routes.nodes.at(n).val)
	if e.best == 0 {
		return ev, true
	}
	// A best candidate of another source than the one asked for means, to this
	// reader, that its route has gone.
	if w.filter.HasSource && w.r.sourceOf(e.best) != w.filter.Source {
		return ev, true
	}
	ev.Type, ev.Route = EventUpdate, w.r.info(e)
	return ev, true
}

func (w *Watcher) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// sourceBit is a source in a set of sources.
func sourceBit(s Source) uint8 { return 1 << s }

// notify tells the watchers that an entry's best candidate changed; sources are
// those of the old and of the new one. Who follows another source hears nothing.
func (r *RIB) notify(ei uint32, sources uint8) {
	if len(r.watchers) > 0 {
		r.notifyEntry(r.entries.at(ei), sources)
	}
}

func (r *RIB) notifyEntry(e *entry, sources uint8) {
	t := r.tables[e.table]
	p := t.routes.prefix(e.node)
	for w := range r.watchers {
		if w.filter.HasSource && sources&sourceBit(w.filter.Source) == 0 {
			continue
		}
		if w.filter.table(t) && w.filter.prefix(p) {
			w.add(watchKey{t.id, p})
		}
	}
}

func (w *Watcher) add(k watchKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.pending[k]; ok {
		return
	}
	if len(w.order) >= w.limit {
		clear(w.pending)
		w.order = nil
		w.resync = true
	}
	w.pending[k] = struct{}{}
	w.order = append(w.order, k)
	w.wake()
}
