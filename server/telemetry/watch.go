package telemetry

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"millrace/yang/tree"
)

// maxCommits of the configuration wait for a watcher one by one; more become one.
const maxCommits = 8

// ErrClosed is the end of a Watch that was closed.
var ErrClosed = errors.New("telemetry: the watch is closed")

// Watch is one who watches. What is added to it begins to be gathered at once; Wait says when nothing more can be missed, and what there
// is at that time is for the watcher to Read. One goroutine at a time uses it.
type Watch struct {
	hub    *Hub
	signal chan struct{}
	feeds  []*feed
	config []tree.Pattern
	// again is what is read anew if events were lost.
	again []tree.Pattern
	ends  []*sampleEnd

	closed atomic.Bool
	mu     sync.Mutex
	queue  queue
	commit []commit
	err    error
}

// Watch makes a watch of nothing yet. It has to be closed.
func (h *Hub) Watch() *Watch {
	return &Watch{hub: h, signal: make(chan struct{}, 1)}
}

// OnChange adds what a pattern takes: changes are told. Those of leaves that no source tells the changes of are found by reading each
// second; sampled says whether counters and the like are to be among these.
func (w *Watch) OnChange(m tree.Pattern, sampled bool) {
	h := w.hub
	w.again = append(w.again, m)
	if m.Schema.Config || h.mirrored(m.Schema) {
		h.mu.Lock()
		w.config = append(w.config, m)
		h.watches[w] = struct{}{}
		h.mu.Unlock()
	}
	for _, s := range h.sources {
		if !s.touches(m.Schema) {
			continue
		}
		has := h.kinds(s, m.Schema)
		if s.watcher != nil {
			if has.steady {
				w.join(feedKey{source: s, pattern: m.Path.String(), kind: told}, m)
			}
			if has.sampled && sampled {
				w.join(feedKey{source: s, pattern: m.Path.String(), kind: polledSampled, interval: pollInterval}, m)
			}
			continue
		}
		switch {
		case has.sampled && sampled:
			w.join(feedKey{source: s, pattern: m.Path.String(), kind: polled, interval: pollInterval}, m)
		case has.steady:
			w.join(feedKey{source: s, pattern: m.Path.String(), kind: polledSteady, interval: pollInterval}, m)
		}
	}
}

// Changed adds what a pattern takes, read at an interval: what has another value than at the last reading is told.
func (w *Watch) Changed(m tree.Pattern, interval time.Duration) {
	w.again = append(w.again, m)
	w.join(feedKey{pattern: m.Path.String(), kind: polled, interval: interval}, m)
}

// Sample adds what a pattern takes, read at an interval: all values are told. sampled limits it to counters and the like.
func (w *Watch) Sample(m tree.Pattern, interval time.Duration, sampled bool) {
	k := feedKey{pattern: m.Path.String(), kind: rounds, interval: interval}
	if sampled {
		if !w.hub.hasSampled(m.Schema) {
			return
		}
		k.kind = roundsSampled
	} else {
		w.again = append(w.again, m)
	}
	w.join(k, m)
}

// Wait until nothing that changes from now on can be missed.
func (w *Watch) Wait(ctx context.Context) error {
	for _, f := range w.feeds {
		select {
		case <-f.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Ready receives when there is something to Drain.
func (w *Watch) Ready() <-chan struct{} { return w.signal }

// Drain calls emit with all that has come since it was last called. What came to be too much to keep is read anew: first emit gets an
// event that deletes it all. It ends with emit's error, if that returns one, or with that of the watch.
func (w *Watch) Drain(ctx context.Context, emit func(*Event) error) error {
	for {
		w.mu.Lock()
		if w.err != nil {
			w.mu.Unlock()
			return w.err
		}
		commits := w.commit
		w.commit = nil
		events, lost := w.queue.pop()
		w.mu.Unlock()
		if lost {
			if err := w.readAgain(ctx, emit); err != nil {
				return err
			}
			continue
		}
		for _, c := range commits {
			for _, m := range w.config {
				if err := w.hub.changes(ctx, c, m, emit); err != nil {
					return err
				}
			}
		}
		for _, e := range events {
			if err := emit(e); err != nil {
				return err
			}
		}
		some := len(commits)+len(events) > 0
		for _, s := range w.ends {
			did, err := s.drain(ctx, emit)
			if err != nil {
				return err
			}
			some = some || did
		}
		if !some {
			return nil
		}
	}
}

// readAgain tells that all is gone, and then what there is.
func (w *Watch) readAgain(ctx context.Context, emit func(*Event) error) error {
	now := time.Now()
	for _, m := range w.again {
		if err := emit(&Event{Batch: Batch{Time: now, Deleted: []tree.Path{within(m, nil)}}}); err != nil {
			return err
		}
	}
	for _, m := range w.again {
		if err := w.hub.ReadEvents(ctx, m, All, emit); err != nil {
			return err
		}
	}
	return nil
}

// ReadEvents is Read with the batches as events.
func (h *Hub) ReadEvents(ctx context.Context, m tree.Pattern, what What, emit func(*Event) error) error {
	return h.Read(ctx, m, what, func(b Batch) error {
		var err error
		h.events(m, b, func(e *Event) {
			if err == nil {
				err = emit(e)
			}
		})
		return err
	})
}

// Close ends the watch. It may be called from anywhere and more than once.
func (w *Watch) Close() {
	if w.closed.Swap(true) {
		return
	}
	h := w.hub
	h.mu.Lock()
	delete(h.watches, w)
	h.mu.Unlock()
	for _, f := range w.feeds {
		f.leave(w)
	}
	w.fail(ErrClosed)
}

func (w *Watch) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *Watch) push(e *Event) {
	w.mu.Lock()
	w.queue.push(e)
	w.mu.Unlock()
	w.wake()
}

// lose makes the watcher read anew.
func (w *Watch) lose() {
	w.mu.Lock()
	w.queue.lose()
	w.mu.Unlock()
	w.wake()
}

func (w *Watch) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
		w.queue, w.commit = queue{}, nil
	}
	w.mu.Unlock()
	w.wake()
}

// Committed tells of a commit: the configuration before and the one which is in force now, and since when. Commits are told in order.
func (h *Hub) Committed(old, now *tree.Tree, at time.Time) {
	h.times.commit(old, now, at)
	h.mu.Lock()
	all := make([]*Watch, 0, len(h.watches))
	for w := range h.watches {
		all = append(all, w)
	}
	h.mu.Unlock()
	for _, w := range all {
		w.mu.Lock()
		if w.err == nil {
			if n := len(w.commit); n >= maxCommits {
				w.commit[n-1].new, w.commit[n-1].time = now, at
			} else {
				w.commit = append(w.commit, commit{old, now, at})
			}
		}
		w.mu.Unlock()
		w.wake()
	}
}
