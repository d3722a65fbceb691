package telemetry

import (
	"context"
	"slices"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// eventLeaves is about how many leaves and deletions of a commit are told in one event.
const eventLeaves = 512

// commit is a change of the configuration.
type commit struct {
	old, new *tree.Tree
	time     time.Time
}

// changes tells what a commit changed of what a pattern takes: the configuration and the state that mirrors it.
func (h *Hub) changes(ctx context.Context, c commit, m tree.Pattern, emit func(*Event) error) error {
	d := &differ{hub: h, ctx: ctx, time: c.time, emit: emit}
	if err := d.both(c.old.Root(), c.new.Root(), nil, m.Path); err != nil {
		return err
	}
	return d.flush()
}

type differ struct {
	hub     *Hub
	ctx     context.Context
	time    time.Time
	emit    func(*Event) error
	leaves  []Leaf
	deleted []tree.Path
}

func (d *differ) flush() error {
	if len(d.leaves)+len(d.deleted) == 0 {
		return nil
	}
	e := &Event{Batch: Batch{Time: d.time, Leaves: d.leaves, Deleted: d.deleted}}
	d.leaves, d.deleted = nil, nil
	return d.emit(e)
}

// both compares two versions of a node, either of which may be nil.
func (d *differ) both(a, b *tree.Node, at, rest tree.Path) error {
	if a == b {
		return nil
	}
	n := b
	if n == nil {
		n = a
	}
	s := n.Schema()
	if s.IsLeaf() {
		switch va, vb := a.Value(), b.Value(); {
		case b == nil:
			d.deleted = append(d.deleted, at)
		case !va.Equal(vb):
			d.leaves = append(d.leaves, Leaf{at, s, vb})
		}
		return nil
	}
	if len(d.leaves)+len(d.deleted) >= eventLeaves {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		el := rest[0]
		if c := s.Child(el.Name); c != nil && c.Config {
			return d.child(c, a.Child(el.Name), b.Child(el.Name), at, el.Keys, rest[1:])
		}
		if el.Name == "state" {
			d.mirrors(a, b, at, rest[1:])
		}
		return nil
	}
	if b == nil && len(at) > 0 && !d.hub.sourced[s] {
		d.deleted = append(d.deleted, at) // nobody else knows anything below
		return nil
	}
	for _, c := range s.Children() {
		if !c.Config {
			continue
		}
		if err := d.child(c, a.Child(c.Name), b.Child(c.Name), at, nil, nil); err != nil {
			return err
		}
	}
	d.mirrors(a, b, at, nil)
	return nil
}

func (d *differ) child(c *schema.Node, a, b *tree.Node, at tree.Path, keys []tree.Key, rest tree.Path) error {
	if a == b {
		return nil
	}
	if c.Kind != schema.List {
		return d.both(a, b, at.Name(c.Name), rest)
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	// First what has gone, so that nothing that takes its place is told before.
	err := eachEntryOf(a, keys, func(x *tree.Node) error {
		if y := twin(b, x); y == nil {
			return d.both(x, nil, at.With(x.Elem()), rest)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return eachEntryOf(b, keys, func(y *tree.Node) error { return d.both(twin(a, y), y, at.With(y.Elem()), rest) })
}

func eachEntryOf(list *tree.Node, keys []tree.Key, f func(*tree.Node) error) error {
	if list == nil {
		return nil
	}
	return eachEntry(list, keys, f)
}

// twin is the entry of another version of the list with the same keys.
func twin(list, entry *tree.Node) *tree.Node {
	if list == nil {
		return nil
	}
	el := entry.Elem()
	texts := make([]string, len(el.Keys))
	for i, k := range el.Keys {
		texts[i] = k.Value
	}
	return list.Entry(texts...)
}

// mirrors compares the state that mirrors the configuration of a node.
func (d *differ) mirrors(a, b *tree.Node, at, rest tree.Path) {
	if a != nil && b != nil && a.Child("config") == b.Child("config") {
		return
	}
	var old, now []Leaf
	r := &reader{hub: d.hub, ctx: d.ctx}
	if a != nil {
		r.mirrors(a, at, rest, &old)
	}
	if b != nil {
		r.mirrors(b, at, rest, &now)
	}
	for _, l := range now {
		i := slices.IndexFunc(old, func(o Leaf) bool { return o.Schema == l.Schema })
		if i < 0 || !old[i].Value.Equal(l.Value) {
			d.leaves = append(d.leaves, l)
		}
	}
	for _, l := range old {
		if !slices.ContainsFunc(now, func(n Leaf) bool { return n.Schema == l.Schema }) {
			d.deleted = append(d.deleted, l.Path)
		}
	}
}
