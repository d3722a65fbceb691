package telemetry

import (
	"sync"

	"millrace/yang/tree"
)

// Event is what a watcher is told: a batch that may be shared with other watchers, and is not changed.
type Event struct {
	Batch
	// Duplicates is, for each leaf, how many values before this one were left out since the watcher was slow; nil: none were.
	Duplicates []uint32
	// Object is, if the leaves are all that there is of an object which is always told as a whole (OpenConfig's telemetry-atomic), the
	// path of it; nil else.
	Object tree.Path

	mu    sync.Mutex
	cache []cached
}

type cached struct{ key, value any }

// Cached returns what is kept with the event under a key, and makes it if there is nothing yet: an encoding that all watchers share.
func (e *Event) Cached(key any, create func() any) any {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.cache {
		if c.key == key {
			return c.value
		}
	}
	v := create()
	e.cache = append(e.cache, cached{key, v})
	return v
}

// size is what an event counts in the bounds of a queue.
func (e *Event) size() int { return len(e.Leaves) + len(e.Deleted) }

// events makes events of a batch: one, or one for each object that is told as a whole, if the pattern takes the whole of it.
func (h *Hub) events(m tree.Pattern, b Batch, emit func(*Event)) {
	depth := func(l Leaf) int {
		d := h.atomic[l.Schema]
		if d < len(m.Path) {
			return 0
		}
		return d
	}
	if len(b.Deleted) > 0 {
		emit(&Event{Batch: Batch{Time: b.Time, Deleted: b.Deleted}})
	}
	all := b.Leaves
	for len(all) > 0 {
		d, n := depth(all[0]), 1
		for n < len(all) && depth(all[n]) == d && (d == 0 || all[n].Path[:d].Equal(all[0].Path[:d])) {
			n++
		}
		e := &Event{Batch: Batch{Time: b.Time, Leaves: all[:n:n]}}
		if d > 0 {
			e.Object = all[0].Path[:d:d]
		}
		emit(e)
		all = all[n:]
	}
}
