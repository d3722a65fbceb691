package fib

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"millrace/routing/rib"
)

type hopKey struct {
	kind           rib.Kind
	vrf, ifaceName string
	gateway        netip.Addr
}

// hop is a next hop in the data plane.
type hop struct {
	key     hopKey
	n       uint32 // lower half of its ID
	refs    int    // by groups, or groups being made
	present bool   // acknowledged
	adding  bool   // in the batch being built
	dying   bool   // being deleted
}

// hopTable holds the next hops and what the groups have of them: a few for
// each neighbour and set of next hops, whatever the number of routes.
type hopTable struct {
	byKey  map[hopKey]*hop
	groups map[uint32][]*hop // members acknowledged
	dying  []*hop            // without a reference, to be deleted
	stuck  []*hop            // whose deletion was refused
	next   uint32
	free   []uint32
}

func (t *hopTable) get(k hopKey) *hop {
	if h := t.byKey[k]; h != nil {
		return h
	}
	if t.byKey == nil {
		t.byKey = make(map[hopKey]*hop)
		t.groups = make(map[uint32][]*hop)
	}
	h := &hop{key: k}
	if l := len(t.free); l > 0 {
		h.n, t.free = t.free[l-1], t.free[:l-1]
	} else {
		t.next++
		h.n = t.next
	}
	t.byKey[k] = h
	return h
}

func (t *hopTable) forget(h *hop) {
	delete(t.byKey, h.key)
	t.free = append(t.free, h.n)
}

func (t *hopTable) unref(hops []*hop) {
	for _, h := range hops {
		if h.refs--; h.refs == 0 {
			if h.present {
				t.dying = append(t.dying, h)
			} else {
				t.forget(h)
			}
		}
	}
}

// batch is a list of operations under way. ops are, in this order: hopAdd,
// groupUp, routes, groupDel, hopDel.
type batch struct {
	seq     uint64
	sent    time.Time
	objects bool
	freed   int // routes deleted, once answered
	deltas  []rib.Delta
	codes   []uint8
	ops     []Op

	hopAdd, hopDel            []*hop
	groupUp, routes, groupDel []int32 // index into deltas
	groupHops                 [][]*hop
}

func (p *Programmer) newBatch() *batch {
	if n := len(p.freeBatches); n > 0 {
		b := p.freeBatches[n-1]
		p.freeBatches = p.freeBatches[:n-1]
		return b
	}
	return &batch{}
}

func (p *Programmer) recycle(b *batch) {
	clear(b.ops)
	clear(b.deltas)
	*b = batch{
		deltas: b.deltas[:0], codes: b.codes[:0], ops: b.ops[:0], hopAdd: b.hopAdd[:0], hopDel: b.hopDel[:0],
		groupUp: b.groupUp[:0], routes: b.routes[:0], groupDel: b.groupDel[:0],
	}
	p.freeBatches = append(p.freeBatches, b)
}

func (p *Programmer) id(n uint32) uint64 { return uint64(p.epoch)<<32 | uint64(n) }

// sendBatch sends what is pending, up to a batch, and says whether it is worth
// calling again.
func (p *Programmer) sendBatch() bool {
	b := p.newBatch()
	more := true
	for more && len(b.deltas) == 0 {
		b.deltas, more = p.feed.Pull(b.deltas, p.opt.BatchSize)
	}
	p.build(b)
	if len(b.ops) == 0 {
		p.recycle(b)
		return false
	}
	p.seq++
	b.seq, b.sent = p.seq, time.Now()
	p.flying[b.seq] = b
	p.objects = b.objects
	ctx := p.ctx
	go func() {
		res := result{batch: b, errs: make([]error, 0, len(b.ops))}
		for off := 0; off < len(b.ops) && res.err == nil; off += p.opt.BatchSize {
			part := b.ops[off:min(off+p.opt.BatchSize, len(b.ops))]
			errs, err := p.dp.Apply(ctx, part)
			if err == nil && len(errs) != len(part) {
				err = fmt.Errorf("%d results for %d operations", len(errs), len(part))
			}
			res.errs, res.err = append(res.errs, errs...), err
		}
		p.results <- res
	}()
	return true
}

// build makes the operations from the deltas.
func (p *Programmer) build(b *batch) {
	t := &p.hops
	for i := range b.deltas {
		switch d := &b.deltas[i]; d.Op {
		case rib.GroupUpdate:
			hops := make([]*hop, len(d.Members))
			for j := range d.Members {
				m := &d.Members[j]
				k := hopKey{kind: m.Kind}
				switch m.Kind {
				case rib.KindUnicast:
					k = hopKey{m.Kind, m.VRF, m.Interface, m.Gateway}
				case rib.KindLookup:
					k.vrf = m.VRF
				}
				h := t.get(k)
				h.refs++
				if !h.present && !h.adding {
					h.adding = true
					b.hopAdd = append(b.hopAdd, h)
				}
				hops[j] = h
			}
			b.groupUp = append(b.groupUp, int32(i))
			b.groupHops = append(b.groupHops, hops)
		case rib.GroupDelete:
			b.groupDel = append(b.groupDel, int32(i))
		default:
			b.routes = append(b.routes, int32(i))
		}
	}
	for _, h := range t.dying {
		if h.refs == 0 && h.present && !h.dying {
			h.dying = true
			b.hopDel = append(b.hopDel, h)
		}
	}
	t.dying = t.dying[:0]
	b.objects = len(b.hopAdd)+len(b.groupUp)+len(b.groupDel)+len(b.hopDel) > 0

	op := Op{Epoch: p.epoch}
	for _, h := range b.hopAdd {
		h.adding = false
		o := op
		o.Type, o.ID, o.Kind, o.VRF, o.Interface, o.Gateway = NextHopUpsert, p.id(h.n), h.key.kind, h.key.vrf, h.key.ifaceName, h.key.gateway
		b.ops = append(b.ops, o)
	}
	for i, di := range b.groupUp {
		d := &b.deltas[di]
		o := op
		o.Type, o.ID, o.Members = GroupUpsert, p.id(d.Group), make([]Member, len(d.Members))
		if d.Like != 0 {
			o.Like = p.id(d.Like)
		}
		for j, h := range b.groupHops[i] {
			o.Members[j] = Member{NextHop: p.id(h.n), Weight: d.Members[j].Weight, Backup: d.Members[j].Backup}
		}
		b.ops = append(b.ops, o)
	}
	for _, di := range b.routes {
		d := &b.deltas[di]
		o := op
		o.Type, o.VRF, o.Prefix = RouteDelete, d.VRF, d.Prefix
		if d.Op == rib.RouteUpdate {
			o.Type, o.ID = RouteUpsert, p.id(d.Group)
		}
		b.ops = append(b.ops, o)
	}
	for _, di := range b.groupDel {
		o := op
		o.Type, o.ID = GroupDelete, p.id(b.deltas[di].Group)
		b.ops = append(b.ops, o)
	}
	for _, h := range b.hopDel {
		o := op
		o.Type, o.ID = NextHopDelete, p.id(h.n)
		b.ops = append(b.ops, o)
	}
}

// code turns an operation's error into a code and keeps its text.
func (p *Programmer) code(op *Op, err error) Code {
	if err == nil {
		return CodeOK
	}
	c := CodeOther
	var e *Error
	if errors.As(err, &e) && e.Code > CodeOK && e.Code < CodeOther {
		c = e.Code
	}
	if c == CodeNotFound && op.Type >= RouteDelete {
		return CodeOK // it is gone, which is what was asked for
	}
	p.mu.Lock()
	p.lastErr[c] = err.Error()
	p.mu.Unlock()
	return c
}

// finish books the answers to a batch.
func (p *Programmer) finish(b *batch, errs []error) {
	t := &p.hops
	b.codes = append(b.codes, make([]uint8, len(b.deltas))...)
	n := 0
	take := func() Code {
		c := p.code(&b.ops[n], errs[n])
		n++
		return c
	}
	// The cause of a failure is that of the next hop for its groups, and that
	// of the group for its routes.
	var badHops map[*hop]Code
	var badGroups map[uint32]Code
	for _, h := range b.hopAdd {
		c := take()
		h.present = c == CodeOK
		if c != CodeOK {
			if badHops == nil {
				badHops = make(map[*hop]Code)
			}
			badHops[h] = c
		}
	}
	for i, di := range b.groupUp {
		c := take()
		gi, hops := b.deltas[di].Group, b.groupHops[i]
		if c == CodeOK {
			t.unref(t.groups[gi])
			t.groups[gi] = hops
			continue
		}
		for _, h := range hops {
			if hc, bad := badHops[h]; bad {
				c = hc
			}
		}
		t.unref(hops)
		if badGroups == nil {
			badGroups = make(map[uint32]Code)
		}
		badGroups[gi] = c
		b.codes[di] = uint8(c)
	}
	for _, di := range b.routes {
		d := &b.deltas[di]
		c := take()
		if gc, bad := badGroups[d.Group]; c == CodeNotFound && bad {
			c = gc
		}
		if c == CodeOK && d.Op == rib.RouteDelete {
			b.freed++
		}
		b.codes[di] = uint8(c)
	}
	for _, di := range b.groupDel {
		c := take()
		b.codes[di] = uint8(c)
		if c == CodeOK {
			gi := b.deltas[di].Group
			t.unref(t.groups[gi])
			delete(t.groups, gi)
		}
	}
	for _, h := range b.hopDel {
		h.dying = false
		if take() == CodeOK {
			t.forget(h)
		} else {
			t.stuck = append(t.stuck, h)
		}
	}
	p.feed.Ack(b.deltas, b.codes)
}
