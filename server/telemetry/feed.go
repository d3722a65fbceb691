package telemetry

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

const (
	// pollInterval is how often what no source tells the changes of is read.
	pollInterval = time.Second
	// restartDelay is how long a source whose watch has failed is left alone.
	restartDelay = time.Second
)

// kind says how a feed gets to know what it tells.
type kind uint8

const (
	// told: a source that watches says it.
	told kind = iota + 1
	// polled: all is read and compared with before. polledSampled: counters and the like only; polledSteady: all but these.
	polled
	polledSampled
	polledSteady
	// rounds: all is read and told. roundsSampled: counters and the like only.
	rounds
	roundsSampled
)

// feedKey is what feeds are shared by.
type feedKey struct {
	source   *source // nil: all, and the configuration
	pattern  string
	kind     kind
	interval time.Duration
}

// feed reads, or watches, one pattern for all who want the same of it. It has a goroutine as long as there is anyone.
type feed struct {
	hub *Hub
	key feedKey
	m   tree.Pattern
	// ready is closed once nothing is missed any more.
	ready     chan struct{}
	readyOnce sync.Once
	cancel    context.CancelFunc

	mu      sync.Mutex
	members map[*Watch]*sampleEnd // the end is nil but for rounds

	// failing: the last reading did not succeed. Only the feed's goroutine knows.
	failing bool
}

// failed logs that readings have begun to fail, or that they succeed again.
func (f *feed) failed(err error) {
	if (err != nil) == f.failing {
		return
	}
	if f.failing = err != nil; f.failing {
		f.hub.log.Warn("reading state failed", "path", f.key.pattern, "err", err)
	} else {
		f.hub.log.Info("reading state succeeds again", "path", f.key.pattern)
	}
}

// join makes the watch a member of a feed, which is started if it is the first.
func (w *Watch) join(k feedKey, m tree.Pattern) {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[k]
	if f == nil {
		ctx, cancel := context.WithCancel(context.Background())
		f = &feed{hub: h, key: k, m: m, ready: make(chan struct{}), cancel: cancel, members: map[*Watch]*sampleEnd{}}
		h.feeds[k] = f
		go f.run(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.members[w]; ok {
		return
	}
	var end *sampleEnd
	if k.kind == rounds || k.kind == roundsSampled {
		end = &sampleEnd{feed: f}
		w.ends = append(w.ends, end)
	}
	f.members[w] = end
	w.feeds = append(w.feeds, f)
}

// leave ends the feed with its last member.
func (f *feed) leave(w *Watch) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.members, w)
	if len(f.members) == 0 && f.hub.feeds[f.key] == f {
		delete(f.hub.feeds, f.key)
		f.cancel()
	}
}

func (f *feed) run(ctx context.Context) {
	defer f.setReady()
	switch f.key.kind {
	case told:
		f.watch(ctx)
	case rounds, roundsSampled:
		f.sample(ctx)
	default:
		f.poll(ctx)
	}
}

func (f *feed) setReady() { f.readyOnce.Do(func() { close(f.ready) }) }

// each calls a function for all members.
func (f *feed) each(do func(*Watch, *sampleEnd)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w, end := range f.members {
		do(w, end)
	}
}

func (f *feed) tell(b Batch) {
	f.hub.events(f.m, b, func(e *Event) { f.each(func(w *Watch, _ *sampleEnd) { w.push(e) }) })
}

// fail ends all members with an error, and the feed with them: those who come later start it anew.
func (f *feed) fail(err error) {
	f.hub.mu.Lock()
	if f.hub.feeds[f.key] == f {
		delete(f.hub.feeds, f.key)
	}
	f.hub.mu.Unlock()
	f.each(func(w *Watch, _ *sampleEnd) { w.fail(err) })
}

// watch passes on what the source tells.
func (f *feed) watch(ctx context.Context) {
	s := f.key.source
	for {
		err := s.watcher.Watch(ctx, f.m, f.setReady, func(b Batch) error {
			if b, ok := f.hub.filter(s, f.m, All, b); ok {
				b.Leaves = keep(b.Leaves, func(l Leaf) bool { return !s.watcher.Sampled(l.Schema) })
				f.tell(b)
			}
			return ctx.Err()
		})
		if ctx.Err() != nil {
			return
		}
		f.hub.log.Warn("watching a source of state ended", "source", s.name, "path", f.key.pattern, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartDelay):
		}
		// What happened in between nobody has told.
		f.each(func(w *Watch, _ *sampleEnd) { w.lose() })
	}
}

// read is what the feed reads, without what it does not tell.
func (f *feed) read(ctx context.Context, emit func(Batch) error) error {
	h, s := f.hub, f.key.source
	take := func(Leaf) bool { return true }
	switch f.key.kind {
	case polledSampled, roundsSampled:
		take = func(l Leaf) bool { return h.sampled(l.Schema) }
	case polledSteady:
		take = func(l Leaf) bool { return !h.sampled(l.Schema) }
	}
	if s == nil {
		what := All
		if f.key.kind == roundsSampled {
			what = Operational
		}
		return h.Read(ctx, f.m, what, func(b Batch) error {
			if b.Leaves = keep(b.Leaves, take); len(b.Leaves) == 0 {
				return nil
			}
			return emit(b)
		})
	}
	return s.Read(ctx, f.m, func(b Batch) error {
		b, _ = h.filter(s, f.m, All, b)
		if b.Leaves = keep(b.Leaves, take); len(b.Leaves) == 0 {
			return ctx.Err()
		}
		return emit(b)
	})
}

// Sampled says that a leaf is a counter or the like: one that has another value at each reading.
func (h *Hub) Sampled(n *schema.Node) bool { return n.IsLeaf() && h.sampled(n) }

func (h *Hub) sampled(n *schema.Node) bool {
	s := h.owner[n]
	switch {
	case s == nil:
		return false
	case s.watcher != nil:
		return s.watcher.Sampled(n)
	}
	// A source that only can be read does not say. OpenConfig's counters have a type of their own or are in a container of this name.
	return strings.HasPrefix(n.Type.Name, "counter") || strings.Contains(n.Path(), "/counters/") || n.Parent.Name == "utilization" ||
		strings.Contains(n.Path(), "/utilization/")
}

type kinds struct{ sampled, steady bool }

// kinds says of which kind the leaves are which a source knows at or below a node.
func (h *Hub) kinds(s *source, n *schema.Node) (k kinds) {
	n.Walk(func(c *schema.Node) {
		if c.IsLeaf() && h.owner[c] == s {
			if h.sampled(c) {
				k.sampled = true
			} else {
				k.steady = true
			}
		}
	})
	return k
}

func (h *Hub) hasSampled(n *schema.Node) bool {
	found := false
	n.Walk(func(c *schema.Node) { found = found || c.IsLeaf() && h.sampled(c) })
	return found
}

// mirrored says that there is state that mirrors configuration at or below a node.
func (h *Hub) mirrored(n *schema.Node) bool {
	found := false
	n.Walk(func(c *schema.Node) { found = found || h.mirror[c] != nil && h.owner[c] == nil })
	return found
}

// errTooMany is the end of watches of what can only be read and is too much to be compared.
func errTooMany(path string) error {
	return fmt.Errorf("%s: %w", path, ErrTooMany)
}
