package gribi

import (
	"errors"
	"fmt"
	"slices"

	"millrace/routing/rib"
)

// waiter is an operation that waits for what it refers to.
type waiter struct {
	s       *session
	op      operation
	seq     uint64
	missing key
}

// batch is a run of operations. Changes of prefixes are collected for one call
// of the RIB, and answered after it.
type batch struct {
	t       *table
	changes []rib.Change
	about   []batched // in the order of changes
	done    []applied
}

type batched struct {
	done int // index into batch.done
	in   *instance
}

// applied is an operation with its result.
type applied struct {
	s   *session
	op  *operation
	err error
}

// apply carries operations of one client out, in order, with those that waited
// for them, and returns all that have a result now.
func (t *table) apply(s *session, ops []operation) []applied {
	b := &batch{t: t}
	t.batch = b
	for i := range ops {
		b.one(s, &ops[i])
	}
	b.flush()
	t.batch = nil
	return b.done
}

// errMissing says that an operation refers to what does not exist (yet).
type errMissing struct {
	field string
	key   key
}

func (e *errMissing) Error() string { return fmt.Sprintf("%s: there is no %s", e.field, e.key) }

// one carries out an operation, and what it sets free.
func (b *batch) one(s *session, op *operation) {
	t := b.t
	if op.bad == nil {
		// Whoever waits to write this entry has been overtaken.
		if w := t.waits[op.key]; w != nil {
			t.unwait(w)
			b.done = append(b.done, applied{w.s, &w.op, fmt.Errorf("superseded by operation %d while it waited: %w",
				op.id, &errMissing{"reference", w.missing})})
		}
	}
	run := []*waiter{{s: s, op: *op}}
	first := true
	for len(run) > 0 {
		w := run[0]
		run = run[1:]
		o := &w.op
		if first {
			o = op
		}
		first = false
		err := b.carryOut(w.s, o)
		var missing *errMissing
		if errors.As(err, &missing) && t.forward {
			if err = t.wait(w.s, o, missing.key); err == nil {
				continue
			}
		}
		b.done = append(b.done, applied{w.s, o, err})
		if err == nil && o.verb != verbDelete && o.key.aft != aftPrefix {
			run = append(run, t.freed(o.key)...)
		}
	}
}

func (t *table) wait(s *session, op *operation, missing key) error {
	if len(t.waits) >= t.limits.Pending {
		return fmt.Errorf("%d operations wait for what they refer to, more may not", len(t.waits))
	}
	t.seq++
	w := &waiter{s: s, op: *op, seq: t.seq, missing: missing}
	t.waits[op.key] = w
	t.waiting[missing] = append(t.waiting[missing], w)
	return nil
}

func (t *table) unwait(w *waiter) {
	delete(t.waits, w.op.key)
	list := t.waiting[w.missing]
	if i := slices.Index(list, w); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(t.waiting, w.missing)
	} else {
		t.waiting[w.missing] = list
	}
}

// freed takes out those that waited for an entry, in the order in which they came.
func (t *table) freed(k key) []*waiter {
	list := t.waiting[k]
	delete(t.waiting, k)
	for _, w := range list {
		delete(t.waits, w.op.key)
	}
	return list
}

// dropWaiting forgets what waits and is picked; f is called with the lock held.
func (t *table) dropWaiting(f func(*waiter) bool) (dropped []*waiter) {
	for _, w := range t.waits {
		if f(w) {
			dropped = append(dropped, w)
		}
	}
	for _, w := range dropped {
		t.unwait(w)
	}
	slices.SortFunc(dropped, func(a, b *waiter) int { return int(int64(a.seq) - int64(b.seq)) })
	return dropped
}

func (b *batch) carryOut(s *session, op *operation) error {
	if op.bad != nil {
		return op.bad
	}
	in := b.t.instance(op.key.instance)
	if in == nil {
		return fmt.Errorf("network_instance: there is no %q", op.key.instance)
	}
	switch op.key.aft {
	case aftNextHop:
		if op.verb == verbDelete {
			return b.t.deleteHop(s, in, op.key.id)
		}
		return b.t.setHop(s, in, op)
	case aftGroup:
		b.flush() // routes that go have to go before a group that they use
		if op.verb == verbDelete {
			return b.t.deleteGroup(s, in, op.key.id)
		}
		return b.t.setGroup(s, in, op)
	}
	if op.verb == verbDelete {
		b.deletePrefix(s, in, op)
		return nil
	}
	return b.setPrefix(s, in, op)
}

// own notes who added an entry. A new primary takes over what it writes. Who
// has its entries preserved need not be known.
func own(o owners, s *session) owners {
	switch {
	case s.params.preserve:
		return nil
	case s.params.single:
		return append(o[:0], s)
	case o.has(s):
		return o
	}
	return append(o, s)
}

var errReplace = errors.New("op: REPLACE of an entry that does not exist")

func (t *table) setHop(s *session, in *instance, op *operation) error {
	e := in.hops[op.key.id]
	if e == nil {
		if op.verb == verbReplace {
			return errReplace
		}
		if t.nHops >= t.limits.NextHops {
			return fmt.Errorf("there are %d next hops, more may not be", t.nHops)
		}
	}
	if n := op.hop.instance; n != "" {
		if _, ok := t.rib.VRFMade(n); !ok {
			return fmt.Errorf("next_hop.network_instance: there is no %q", n)
		}
	}
	if e == nil {
		in.hops[op.key.id] = &hopEntry{nextHop: op.hop, key: op.key, owners: own(nil, s)}
		t.nHops++
		return nil
	}
	if e.nextHop != op.hop {
		old := e.nextHop
		e.nextHop = op.hop
		users := make([]*groupEntry, 0, len(e.users))
		for g := range e.users {
			users = append(users, g)
		}
		if err := t.programAll(in, dependents(users...)); err != nil {
			e.nextHop = old
			return errors.Join(err, t.programAll(in, dependents(users...)))
		}
	}
	e.owners, e.doomed = own(e.owners, s), false
	return nil
}

func (t *table) programAll(in *instance, groups []*groupEntry) error {
	for _, g := range groups {
		if err := t.program(in, g, &g.group); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) setGroup(s *session, in *instance, op *operation) error {
	e := in.groups[op.key.id]
	if e == nil && op.verb == verbReplace {
		return errReplace
	}
	for _, h := range op.group.hops {
		if in.hops[h.index] == nil {
			return &errMissing{fmt.Sprintf("next_hop_group.next_hop[%d]", h.index), key{instance: in.name, aft: aftNextHop, id: h.index}}
		}
	}
	if b := op.group.backup; op.group.hasBackup && b != op.key.id && in.groups[b] == nil {
		return &errMissing{"next_hop_group.backup_next_hop_group", key{instance: in.name, aft: aftGroup, id: b}}
	}
	fresh := e == nil
	if fresh {
		if t.nGroups >= t.limits.Groups {
			return fmt.Errorf("there are %d next-hop groups, more may not be", t.nGroups)
		}
		e = &groupEntry{key: op.key, ribName: fmt.Sprintf("%s/%d", in.name, op.key.id)}
	}
	if err := t.program(in, e, &op.group); err != nil {
		return within("next_hop_group", err)
	}
	old := e.group
	t.refer(in, e, &op.group)
	e.group = op.group
	if fresh {
		in.groups[op.key.id] = e
		t.nGroups++
	} else if err := t.programAll(in, dependents(e)[1:]); err != nil {
		e.group = old
		t.refer(in, e, &old)
		t.unrefer(in, e, &op.group)
		return errors.Join(within("next_hop_group", err), t.programAll(in, dependents(e)))
	}
	t.unrefer(in, e, &old)
	e.owners, e.doomed = own(e.owners, s), false
	return nil
}

// refer enters a group where its content refers to.
func (t *table) refer(in *instance, e *groupEntry, content *group) {
	for _, h := range content.hops {
		n := in.hops[h.index]
		if n.users == nil {
			n.users = make(map[*groupEntry]struct{})
		}
		n.users[e] = struct{}{}
	}
	if content.hasBackup {
		b := in.groups[content.backup]
		if b.backupOf == nil {
			b.backupOf = make(map[*groupEntry]struct{})
		}
		b.backupOf[e] = struct{}{}
	}
}

// unrefer takes a group out where an earlier content referred to and its present
// one does not.
func (t *table) unrefer(in *instance, e *groupEntry, old *group) {
	for _, h := range old.hops {
		if slices.ContainsFunc(e.hops, func(o groupHop) bool { return o.index == h.index }) {
			continue
		}
		if n := in.hops[h.index]; n != nil {
			delete(n.users, e)
			t.reapHop(n)
		}
	}
	if old.hasBackup && !(e.hasBackup && e.backup == old.backup) {
		if b := in.groups[old.backup]; b != nil {
			delete(b.backupOf, e)
			t.reapGroup(b)
		}
	}
}

func (b *batch) setPrefix(s *session, in *instance, op *operation) error {
	t := b.t
	e := in.prefixes[op.key.prefix]
	if e == nil && op.verb == verbReplace {
		return errReplace
	}
	gk := key{instance: op.prefix.groupInstance, aft: aftGroup, id: op.prefix.group}
	if gk.instance == "" {
		gk.instance = in.name
	} else if _, ok := t.rib.VRFMade(gk.instance); !ok {
		return fmt.Errorf("next_hop_group_network_instance: there is no %q", gk.instance)
	}
	g := t.findGroup(gk)
	if g == nil {
		return &errMissing{"next_hop_group", gk}
	}
	if e == nil {
		if t.nPrefixes >= t.limits.Prefixes {
			return fmt.Errorf("there are %d prefixes, more may not be", t.nPrefixes)
		}
		e = &prefixEntry{}
		in.prefixes[op.key.prefix] = e
		t.nPrefixes++
	}
	was := e.to
	e.prefix, e.to, e.owners = op.prefix, g, own(e.owners, s)
	if was != g {
		g.routes++
		if was != nil {
			was.routes--
		}
	}
	b.add(in, t.announcement(in.name, op.key.prefix, g))
	if was != nil && was != g && was.doomed {
		b.flush()
		t.reapGroup(was)
	}
	return nil
}

// add puts a change of the RIB on the list; the operation's result comes next.
func (b *batch) add(in *instance, c rib.Change) {
	b.changes = append(b.changes, c)
	b.about = append(b.about, batched{len(b.done), in})
}

// flush makes the RIB take the changes. It refuses only what is of an instance
// that has gone in this moment.
func (b *batch) flush() {
	errs := b.t.rib.Apply(b.changes)
	for i, err := range errs {
		c := &b.changes[i]
		if err == nil || c.Op == rib.Delete {
			continue
		}
		at := b.about[i]
		if at.done < len(b.done) {
			b.done[at.done].err = err
		}
		if e := at.in.prefixes[c.Route.Prefix]; e != nil {
			b.t.dropPrefix(at.in, c.Route.Prefix, e)
		}
	}
	b.changes, b.about = b.changes[:0], b.about[:0]
}
