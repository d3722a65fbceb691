package telemetry

import (
	"time"

	"millrace/yang/tree"
)

// Bounds of what waits for one watcher: as events as long as it keeps up, by path once it does not. Beyond that nothing is kept, and the
// watcher reads all anew.
const (
	maxEvents  = 1024
	maxPlain   = 16_384
	maxBacklog = 100_000
)

// queue holds what a watcher has not taken yet. Its owner locks.
type queue struct {
	plain []*Event
	size  int
	late  *backlog
	// lost: there was more than fits.
	lost bool
}

func (q *queue) empty() bool { return len(q.plain) == 0 && q.late == nil && !q.lost }

func (q *queue) push(e *Event) {
	switch {
	case q.lost:
		return
	case q.late == nil && len(q.plain) < maxEvents && q.size+e.size() <= maxPlain:
		q.plain = append(q.plain, e)
		q.size += e.size()
		return
	case q.late == nil:
		q.late = &backlog{}
		for _, e := range q.plain {
			q.late.add(e)
		}
		q.plain, q.size = nil, 0
	}
	q.late.add(e)
	if q.late.size > maxBacklog {
		q.lose()
	}
}

// lose forgets everything: the watcher has to read anew.
func (q *queue) lose() { *q = queue{lost: true} }

// pop takes the next events out, and says whether some were lost.
func (q *queue) pop() (all []*Event, lost bool) {
	switch {
	case q.lost:
		*q = queue{}
		return nil, true
	case q.late != nil:
		if all = q.late.take(maxPlain / 16); q.late.live == 0 {
			q.late = nil
		}
		return all, false
	}
	all, q.plain, q.size = q.plain, nil, 0
	return all, false
}

// backlog holds the latest value of each path, in the order in which the paths came to have something new.
type backlog struct {
	ops  []op
	head int
	// live are the operations that still count, size the leaves in them.
	live, size int
	root       place
}

// op is a leaf, an object that is told as a whole, or a deletion.
type op struct {
	at     *place // nil: it no longer counts
	time   time.Time
	leaves []Leaf
	object tree.Path
	gone   tree.Path
	dups   uint32
}

// place is a node of a tree of paths. The indices of its operations are counted from 1; a deletion comes before a value.
type place struct {
	kids       map[string]*place
	value, del int
}

func (b *backlog) find(p tree.Path) *place {
	n := &b.root
	for _, e := range p {
		name := e.Name
		if len(e.Keys) > 0 {
			name = e.String()
		}
		k := n.kids[name]
		if k == nil {
			if n.kids == nil {
				n.kids = map[string]*place{}
			}
			k = &place{}
			n.kids[name] = k
		}
		n = k
	}
	return n
}

func (b *backlog) add(e *Event) {
	if len(b.ops) > 2*b.live+1024 {
		b.tidy()
	}
	for _, p := range e.Deleted {
		n := b.find(p)
		first := n.del // an earlier deletion of the same stays: nothing that came after it is left
		b.drop(n, first)
		if first == 0 {
			n.del = b.append(op{at: n, time: e.Time, gone: p})
		}
	}
	if e.Object != nil {
		b.put(e.Object, e.Time, e.Leaves, e.Object, e.dup(0))
		return
	}
	for i := range e.Leaves {
		b.put(e.Leaves[i].Path, e.Time, e.Leaves[i:i+1:i+1], nil, e.dup(i))
	}
}

func (e *Event) dup(i int) uint32 {
	if i < len(e.Duplicates) {
		return e.Duplicates[i]
	}
	return 0
}

func (b *backlog) put(p tree.Path, t time.Time, leaves []Leaf, object tree.Path, dups uint32) {
	n := b.find(p)
	if n.value != 0 {
		o := &b.ops[n.value-1]
		b.size += len(leaves) - len(o.leaves)
		o.time, o.leaves, o.dups = t, leaves, o.dups+1+dups
		return
	}
	n.value = b.append(op{at: n, time: t, leaves: leaves, object: object, dups: dups})
}

func (b *backlog) append(o op) int {
	b.ops = append(b.ops, o)
	b.live++
	b.size += max(1, len(o.leaves))
	return len(b.ops)
}

// tidy leaves out the operations that no longer count, and the places of none.
func (b *backlog) tidy() {
	out := make([]op, 0, b.live+b.live/2)
	b.root = place{}
	for _, o := range b.ops[b.head:] {
		if o.at == nil {
			continue
		}
		switch {
		case o.gone != nil:
			o.at = b.find(o.gone)
			o.at.del = len(out) + 1
		case o.object != nil:
			o.at = b.find(o.object)
			o.at.value = len(out) + 1
		default:
			o.at = b.find(o.leaves[0].Path)
			o.at.value = len(out) + 1
		}
		out = append(out, o)
	}
	b.ops, b.head = out, 0
}

// drop makes all operations at and below a place not count, but one.
func (b *backlog) drop(n *place, but int) {
	for _, i := range [...]int{n.value, n.del} {
		if i != 0 && i != but {
			b.forget(i - 1)
		}
	}
	for _, k := range n.kids {
		b.drop(k, 0)
	}
	n.kids = nil
}

// forget takes an operation out.
func (b *backlog) forget(i int) {
	o := &b.ops[i]
	if o.gone != nil {
		o.at.del = 0
	} else {
		o.at.value = 0
	}
	b.live--
	b.size -= max(1, len(o.leaves))
	*o = op{}
}

// take makes events of the first operations, about as many as asked for.
func (b *backlog) take(n int) (out []*Event) {
	var e *Event
	for ; b.head < len(b.ops) && n > 0; b.head++ {
		o := b.ops[b.head]
		if o.at == nil {
			continue
		}
		b.forget(b.head)
		n -= max(1, len(o.leaves))
		if e == nil || o.object != nil || e.Object != nil || !e.Time.Equal(o.time) || o.gone != nil && len(e.Leaves) > 0 {
			e = &Event{Batch: Batch{Time: o.time}, Object: o.object}
			out = append(out, e)
		}
		if o.gone != nil {
			e.Deleted = append(e.Deleted, o.gone)
			continue
		}
		e.Leaves = append(e.Leaves, o.leaves...)
		for range o.leaves {
			e.Duplicates = append(e.Duplicates, o.dups)
		}
	}
	return out
}
