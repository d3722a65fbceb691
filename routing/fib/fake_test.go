package fib

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"millrace/routing/rib"
)

type fakeKey struct {
	vrf    string
	prefix netip.Prefix
}

type fakeHop struct {
	epoch uint32
	op    Op
}

type fakeGroup struct {
	epoch   uint32
	members []Member
}

type fakeRoute struct {
	epoch uint32
	group uint64
}

var errGone = errors.New("connection reset")

// fake is a data plane in memory that keeps the seam's rules: references must
// exist, what is referred to cannot be deleted, tables have a size.
type fake struct {
	t *testing.T

	mu       sync.Mutex
	rng      *rand.Rand
	hops     map[uint64]fakeHop
	groups   map[uint64]fakeGroup
	routes   map[fakeKey]fakeRoute
	capacity int     // of routes
	refuse   float64 // share of operations refused at random
	cut      float64 // share of batches in which the connection goes
	down     bool    // until reconnect
	busy     map[string]bool
	maxOps   int
	maxCalls int
	calls    int
	ops      int
	delay    time.Duration
	hold     chan struct{} // nil: calls need not wait
	badVRF   string
	onDown   func()
}

func newFake(t *testing.T, seed uint64) *fake {
	f := &fake{t: t, rng: rand.New(rand.NewPCG(seed, 9)), capacity: 1 << 30, busy: make(map[string]bool)}
	f.wipe()
	return f
}

func (f *fake) wipe() {
	f.hops, f.groups, f.routes = make(map[uint64]fakeHop), make(map[uint64]fakeGroup), make(map[fakeKey]fakeRoute)
}

func (f *fake) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// holdBack has calls wait until the returned function is called.
func (f *fake) holdBack() (release func()) {
	c := make(chan struct{})
	f.set(func() { f.hold = c })
	return func() {
		f.set(func() { f.hold = nil })
		close(c)
	}
}

func opKey(o *Op) string {
	switch o.Type {
	case NextHopUpsert, NextHopDelete:
		return fmt.Sprint("h", o.ID)
	case GroupUpsert, GroupDelete:
		return fmt.Sprint("g", o.ID)
	}
	return fmt.Sprint(o.VRF, o.Prefix)
}

func (f *fake) Apply(ctx context.Context, ops []Op) ([]error, error) {
	f.mu.Lock()
	f.calls++
	f.maxCalls = max(f.maxCalls, f.calls)
	f.maxOps = max(f.maxOps, len(ops))
	for i := range ops {
		if k := opKey(&ops[i]); f.busy[k] {
			f.t.Errorf("two operations under way on %s", k)
		} else {
			f.busy[k] = true
		}
	}
	delay := time.Duration(0)
	if f.delay > 0 {
		delay = time.Duration(f.rng.Int64N(int64(f.delay)))
	}
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls--
	for i := range ops {
		delete(f.busy, opKey(&ops[i]))
	}
	stop := len(ops) + 1
	if f.rng.Float64() < f.cut {
		stop = f.rng.IntN(len(ops) + 1) // so much is carried out, and nobody learns of it
	}
	errs := make([]error, len(ops))
	for i := range ops {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f.down || i >= stop {
			f.goDown()
			return nil, errGone
		}
		errs[i] = f.do(&ops[i])
		f.ops++
	}
	if stop == len(ops) {
		f.goDown()
		return nil, errGone
	}
	return errs, nil
}

func (f *fake) goDown() {
	if !f.down {
		f.down = true
		if f.onDown != nil {
			go f.onDown()
		}
	}
}

func (f *fake) do(o *Op) error {
	if f.rng.Float64() < f.refuse {
		return &Error{Code: CodeBusy, Msg: "not now"}
	}
	if o.ID != 0 && uint32(o.ID>>32) != o.Epoch {
		f.t.Errorf("ID %x in epoch %d", o.ID, o.Epoch)
	}
	switch o.Type {
	case NextHopUpsert:
		f.hops[o.ID] = fakeHop{o.Epoch, *o}
	case GroupUpsert:
		if len(o.Members) == 0 || len(o.Members) > rib.MaxNextHops {
			f.t.Errorf("group with %d members", len(o.Members))
		}
		for _, m := range o.Members {
			if _, ok := f.hops[m.NextHop]; !ok {
				return &Error{Code: CodeNotFound, Field: "members.next_hop", Msg: "no such next hop"}
			}
			if m.Weight == 0 || m.Weight > rib.MaxWeight {
				f.t.Errorf("weight %d", m.Weight)
			}
		}
		f.groups[o.ID] = fakeGroup{o.Epoch, o.Members}
	case RouteUpsert:
		if _, ok := f.groups[o.ID]; !ok {
			return &Error{Code: CodeNotFound, Field: "group", Msg: "no such group"}
		}
		if o.VRF == f.badVRF {
			return &Error{Code: CodeInvalid, Field: "vrf", Msg: "no such instance"}
		}
		k := fakeKey{o.VRF, o.Prefix}
		if _, ok := f.routes[k]; !ok && len(f.routes) >= f.capacity {
			return &Error{Code: CodeTableFull, Msg: "table full"}
		}
		f.routes[k] = fakeRoute{o.Epoch, o.ID}
	case RouteDelete:
		k := fakeKey{o.VRF, o.Prefix}
		if _, ok := f.routes[k]; !ok {
			return &Error{Code: CodeNotFound, Msg: "no such route"}
		}
		delete(f.routes, k)
	case GroupDelete:
		for k, r := range f.routes {
			if r.group == o.ID {
				f.t.Errorf("group %x deleted under %v", o.ID, k)
			}
		}
		if _, ok := f.groups[o.ID]; !ok {
			return &Error{Code: CodeNotFound, Msg: "no such group"}
		}
		delete(f.groups, o.ID)
	case NextHopDelete:
		for id, g := range f.groups {
			for _, m := range g.members {
				if m.NextHop == o.ID {
					f.t.Errorf("next hop %x deleted under group %x", o.ID, id)
				}
			}
		}
		if _, ok := f.hops[o.ID]; !ok {
			return &Error{Code: CodeNotFound, Msg: "no such next hop"}
		}
		delete(f.hops, o.ID)
	}
	return nil
}

func (f *fake) Sweep(_ context.Context, epoch uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errGone
	}
	for k, r := range f.routes {
		if r.epoch != epoch {
			delete(f.routes, k)
		}
	}
	for id, g := range f.groups {
		if g.epoch != epoch {
			delete(f.groups, id)
		}
	}
	for id, h := range f.hops {
		if h.epoch != epoch {
			delete(f.hops, id)
		}
	}
	return nil
}

// check compares all content with the RIB, and finds what nobody uses.
func (f *fake) check(r *rib.RIB) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	cur, n := rib.Cursor{}, 0
	usedG, usedH := make(map[uint64]bool), make(map[uint64]bool)
	for {
		list, next, err := r.List(rib.Filter{BestOnly: true}, cur, 10000)
		if err != nil {
			return err
		}
		for i := range list {
			ri := &list[i]
			if ri.Candidates[ri.Best].Route.Source == rib.SourceConnected {
				continue
			}
			n++
			fr, ok := f.routes[fakeKey{ri.VRF, ri.Prefix}]
			if !ok {
				return fmt.Errorf("%s is missing", ri.Prefix)
			}
			g := f.groups[fr.group]
			if len(g.members) != len(ri.Resolved) {
				return fmt.Errorf("%s has %d members, want %d", ri.Prefix, len(g.members), len(ri.Resolved))
			}
			usedG[fr.group] = true
			for j, m := range g.members {
				h, want := f.hops[m.NextHop].op, ri.Resolved[j]
				usedH[m.NextHop] = true
				if h.Kind != want.Kind || h.VRF != want.VRF || h.Interface != want.Interface || h.Gateway != want.Gateway || m.Weight != want.Weight {
					return fmt.Errorf("%s: member %+v, want %+v", ri.Prefix, h, want)
				}
			}
			if ri.FIB != rib.FIBInstalled {
				return fmt.Errorf("%s: state %s", ri.Prefix, ri.FIB)
			}
		}
		if cur = next; cur == (rib.Cursor{}) {
			break
		}
	}
	if len(f.routes) != n || len(f.groups) != len(usedG) || len(f.hops) != len(usedH) {
		return fmt.Errorf("%d routes, %d groups, %d next hops; want %d, %d, %d", len(f.routes), len(f.groups), len(f.hops),
			n, len(usedG), len(usedH))
	}
	return nil
}
