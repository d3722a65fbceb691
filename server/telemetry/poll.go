package telemetry

import (
	"context"
	"errors"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// maxPolled leaves of one pattern are kept to be compared with what is read next.
const maxPolled = 200_000

// ErrTooMany says that more leaves would have to be compared than are kept.
var ErrTooMany = errors.New("takes more than 200000 leaves whose changes can only be found by comparing: sample it")

// known is a leaf as it was read last.
type known struct {
	value schema.Value
	path  tree.Path
	node  *schema.Node
	round uint64
}

// poll reads at the feed's interval and tells what has changed.
func (f *feed) poll(ctx context.Context) {
	tick := time.NewTicker(f.key.interval)
	defer tick.Stop()
	all := map[string]known{}
	for round := uint64(1); ; round++ {
		err := f.compare(ctx, all, round)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrTooMany):
			f.fail(err)
			return
		case err != nil:
			f.failed(err)
		default:
			f.failed(nil)
			f.sweep(all, round)
		}
		f.setReady() // after a failure too: all that is read later is told then
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// compare reads all and tells what is new. The first time nothing is told: the watchers read that themselves.
func (f *feed) compare(ctx context.Context, all map[string]known, round uint64) error {
	first := len(all) == 0 && round == 1
	return f.read(ctx, func(b Batch) error {
		var fresh []Leaf
		for _, l := range b.Leaves {
			key := l.Path.String()
			old, ok := all[key]
			all[key] = known{l.Value, l.Path, l.Schema, round}
			if !ok || !old.value.Equal(l.Value) {
				fresh = append(fresh, l)
			}
		}
		if len(all) > maxPolled {
			return errTooMany(f.key.pattern)
		}
		if len(fresh) > 0 && !first {
			if f.hub.whole(f.m, b.Leaves[0]) {
				fresh = b.Leaves
			}
			f.tell(Batch{Time: b.Time, Leaves: fresh})
		}
		return ctx.Err()
	})
}

// whole says that the leaf is of an object that is told as a whole, and that the pattern takes all of it.
func (h *Hub) whole(m tree.Pattern, l Leaf) bool {
	d := h.atomic[l.Schema]
	return d > 0 && d >= len(m.Path)
}

// sweep tells what has gone: entries of lists of which nobody but the source knows anything, as a whole, and else leaf by leaf.
func (f *feed) sweep(all map[string]known, round uint64) {
	var gone []known
	for key, k := range all {
		if k.round != round {
			gone = append(gone, k)
			delete(all, key)
		}
	}
	if len(gone) == 0 {
		return
	}
	alive := map[string]bool{}
	for _, k := range all {
		if e := f.entry(k); e != nil {
			alive[e.String()] = true
		}
	}
	told := map[string]bool{}
	b := Batch{Time: time.Now()}
	for _, k := range gone {
		p := k.path
		if e := f.entry(k); e != nil && !alive[e.String()] {
			p = e
		}
		if key := p.String(); !told[key] {
			told[key] = true
			b.Deleted = append(b.Deleted, p)
		}
	}
	f.tell(b)
}

// entry is the outermost entry of a list around a leaf of which all is read by the feed and known by the source alone; nil if there is
// none.
func (f *feed) entry(k known) tree.Path {
	s := f.hub.owner[k.node]
	if s == nil || f.key.kind != polled {
		return nil
	}
	for i := max(len(f.m.Path), 1); i < len(k.path); i++ {
		if len(k.path[i-1].Keys) == 0 {
			continue
		}
		n := k.node
		for range len(k.path) - i {
			n = n.Parent
		}
		for _, r := range s.roots {
			if below(n, r) {
				return k.path[:i:i]
			}
		}
	}
	return nil
}
