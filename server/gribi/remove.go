package gribi

import (
	"fmt"
	"net/netip"

	"millrace/routing/rib"
)

// A DELETE of what is not there is done already. One of a client that shares the
// entry with others (ALL_PRIMARY) only takes the client from its owners.

// keep says whether an entry stays because others added it too, and takes s from
// its owners then.
func keep(o *owners, s *session) bool {
	if s.params.single || len(*o) == 0 || len(*o) == 1 && o.has(s) {
		return false
	}
	*o = o.without(s)
	return true
}

func (t *table) deleteHop(s *session, in *instance, id uint64) error {
	e := in.hops[id]
	switch {
	case e == nil:
		return nil
	case keep(&e.owners, s):
		return nil
	case len(e.users) > 0:
		return fmt.Errorf("next_hop: %d next-hop groups use it", len(e.users))
	}
	t.dropHop(in, e)
	return nil
}

func (t *table) dropHop(in *instance, e *hopEntry) {
	delete(in.hops, e.key.id)
	t.nHops--
}

func (t *table) reapHop(e *hopEntry) {
	if e.doomed && len(e.users) == 0 {
		if in := t.instances[e.key.instance]; in != nil && in.hops[e.key.id] == e {
			t.dropHop(in, e)
		}
	}
}

func (t *table) deleteGroup(s *session, in *instance, id uint64) error {
	e := in.groups[id]
	switch {
	case e == nil:
		return nil
	case keep(&e.owners, s):
		return nil
	case e.inUse():
		return fmt.Errorf("next_hop_group: %d prefixes and %d next-hop groups use it", e.routes, len(e.backupOf))
	}
	return t.dropGroup(in, e)
}

func (t *table) dropGroup(in *instance, e *groupEntry) error {
	if err := t.rib.DeleteGroup(e.ribName); err != nil {
		return err
	}
	delete(in.groups, e.key.id)
	t.nGroups--
	old := e.group
	e.group = group{}
	t.unrefer(in, e, &old)
	return nil
}

func (t *table) reapGroup(e *groupEntry) {
	if e.doomed && !e.inUse() {
		if in := t.instances[e.key.instance]; in != nil && in.groups[e.key.id] == e {
			_ = t.dropGroup(in, e) // nothing uses it
		}
	}
}

func (b *batch) deletePrefix(s *session, in *instance, op *operation) {
	p := op.key.prefix
	e := in.prefixes[p]
	if e == nil || keep(&e.owners, s) {
		return
	}
	b.add(in, b.t.withdrawal(in.name, p))
	g := e.to
	b.t.dropPrefix(in, p, e)
	if g.doomed && !g.inUse() {
		b.flush()
		b.t.reapGroup(g)
	}
}

// dropPrefix takes an entry out whose route is, or is about to be, withdrawn.
func (t *table) dropPrefix(in *instance, p netip.Prefix, e *prefixEntry) {
	delete(in.prefixes, p)
	e.to.routes--
	t.nPrefixes--
}

// flush removes all entries of network instances, but for the groups that
// prefixes of others use, with what these need. It says whether any stayed.
func (t *table) flush(names []string) (stayed bool) {
	var changes []rib.Change
	var freed []*groupEntry
	for _, name := range names {
		in := t.instance(name)
		if in == nil {
			continue
		}
		for p, e := range in.prefixes {
			changes = append(changes, t.withdrawal(name, p))
			if e.to.doomed {
				freed = append(freed, e.to)
			}
			t.dropPrefix(in, p, e)
		}
	}
	t.rib.Apply(changes)
	for _, g := range freed { // of instances that were flushed before
		t.reapGroup(g)
	}
	for _, name := range names {
		in := t.instances[name]
		if in == nil {
			continue
		}
		for _, e := range in.groups {
			e.doomed = true
		}
		for _, e := range in.groups {
			t.reapGroup(e)
		}
		for _, e := range in.hops {
			e.doomed = true
			t.reapHop(e)
		}
		stayed = stayed || in.size() > 0
	}
	return stayed
}

// disown removes what a client added and nobody else did, when it has gone
// without having asked for its entries to be preserved.
func (t *table) disown(s *session) {
	var changes []rib.Change
	var freed []*groupEntry
	var names []string
	for name, in := range t.instances {
		names = append(names, name)
		for p, e := range in.prefixes {
			if e.owners.has(s) {
				if e.owners = e.owners.without(s); len(e.owners) == 0 {
					changes = append(changes, t.withdrawal(name, p))
					if e.to.doomed {
						freed = append(freed, e.to)
					}
					t.dropPrefix(in, p, e)
				}
			}
		}
	}
	t.rib.Apply(changes)
	for _, g := range freed {
		t.reapGroup(g)
	}
	for _, name := range names {
		in := t.instances[name]
		for _, e := range in.groups {
			if e.owners.has(s) {
				e.owners = e.owners.without(s)
				e.doomed = len(e.owners) == 0
			}
		}
		for _, e := range in.hops {
			if e.owners.has(s) {
				e.owners = e.owners.without(s)
				e.doomed = len(e.owners) == 0
			}
		}
		for _, e := range in.groups {
			t.reapGroup(e)
		}
		for _, e := range in.hops {
			t.reapHop(e)
		}
	}
}
