package telemetry

import (
	"context"
	"errors"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// maxRound leaves of one reading are shared among the watchers. If there are more, each watcher reads for itself as fast as it takes
// them.
const maxRound = 16_384

// round is one reading of all that a feed takes.
type round struct {
	events []*Event
	// gone are the leaves that were in the round before. Those of big rounds are not known.
	gone   []tree.Path
	number uint64
	// big: it was too much to be kept.
	big bool
}

// sampleEnd is where a watcher takes rounds from.
type sampleEnd struct {
	feed *feed
	// next is the latest round that has not been taken; missed counts those before it that were not. Both are guarded by the feed's mu.
	next   *round
	missed uint32
	// gone of the rounds that were missed.
	gone []tree.Path
}

var errBig = errors.New("the round is too big")

// seenKey is a leaf by its place in the schema and the hash of its path.
type seenKey struct {
	node *schema.Node
	hash uint64
}

type seenLeaf struct {
	path  tree.Path
	round uint64
}

// sample reads at the feed's interval and hands each round to all members.
func (f *feed) sample(ctx context.Context) {
	tick := time.NewTicker(f.key.interval)
	defer tick.Stop()
	seen := map[seenKey]seenLeaf{}
	f.setReady()
	big := false
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r := &round{number: n, big: big}
		if !big {
			err := f.gather(ctx, r, seen)
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, errBig):
				r, big, seen = &round{number: n, big: true}, true, nil
			case err != nil:
				f.failed(err)
				continue
			default:
				f.failed(nil)
			}
		}
		f.each(func(w *Watch, end *sampleEnd) {
			if end.next != nil {
				end.missed++
				end.gone = append(end.gone, end.next.gone...)
			}
			if end.next = r; len(end.gone) > maxBacklog {
				end.gone = nil
				w.lose()
			}
			w.wake()
		})
	}
}

func (f *feed) gather(ctx context.Context, r *round, seen map[seenKey]seenLeaf) error {
	size := 0
	err := f.read(ctx, func(b Batch) error {
		if size += len(b.Leaves); size > maxRound {
			return errBig
		}
		for _, l := range b.Leaves {
			seen[seenKey{l.Schema, hash(l.Path)}] = seenLeaf{l.Path, r.number}
		}
		f.hub.events(f.m, b, func(e *Event) { r.events = append(r.events, e) })
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for key, s := range seen {
		if s.round != r.number {
			r.gone = append(r.gone, s.path)
			delete(seen, key)
		}
	}
	return nil
}

// drain emits the latest round, if there is one that was not, and says whether there was.
func (s *sampleEnd) drain(ctx context.Context, emit func(*Event) error) (bool, error) {
	f := s.feed
	f.mu.Lock()
	r, missed, gone := s.next, s.missed, s.gone
	s.next, s.missed, s.gone = nil, 0, nil
	f.mu.Unlock()
	if r == nil {
		return false, nil
	}
	if gone = append(gone, r.gone...); len(gone) > 0 {
		if err := emit(&Event{Batch: Batch{Time: time.Now(), Deleted: gone}}); err != nil {
			return true, err
		}
	}
	if missed > 0 {
		plain := emit
		emit = func(e *Event) error { return plain(e.late(missed)) }
	}
	if r.big {
		return true, f.read(ctx, func(b Batch) error {
			var err error
			f.hub.events(f.m, b, func(e *Event) {
				if err == nil {
					err = emit(e)
				}
			})
			return err
		})
	}
	for _, e := range r.events {
		if err := emit(e); err != nil {
			return true, err
		}
	}
	return true, nil
}

// late is the event with a number of values left out before it.
func (e *Event) late(missed uint32) *Event {
	out := &Event{Batch: e.Batch, Object: e.Object, Duplicates: make([]uint32, len(e.Leaves))}
	for i := range out.Duplicates {
		out.Duplicates[i] = missed
	}
	return out
}
