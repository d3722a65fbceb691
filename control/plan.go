package control

import (
	"slices"

	pb "millrace/api/proto/dataplane/v1"
)

func sortObjects(objects []object) {
	slices.SortStableFunc(objects, func(a, b object) int { return int(a.rank - b.rank) })
}

// plan is what has to be done to come from one set of objects to another.
type plan struct {
	// del is in the order of deletion, add in the order of writing.
	del, add []object
}

// makePlan compares what is there with what is wanted. Only what differs is touched; what goes away with another object, or is
// lost when its interface moves to another instance, is written again if it is still wanted.
func makePlan(have map[string]object, want []object) plan {
	wanted := make(map[string]object, len(want))
	for _, o := range want {
		wanted[o.key] = o
	}
	gone := map[string]bool{}  // has to be deleted
	lost := map[string]bool{}  // deleted by the data plane with another
	moved := map[string]bool{} // interfaces that change their instance
	for key, old := range have {
		o, ok := wanted[key]
		switch {
		case old.del == nil:
		case !ok || !old.same(o) && old.remake(o):
			gone[key] = true
		case old.moves(o):
			moved[key] = true
		}
	}
	// An instance that is remade or goes takes its interfaces along; an interface its sub-interfaces and what is on it. Ranks go
	// from parents to children, so one pass in their order sees all.
	inOrder := make([]object, 0, len(have))
	for _, o := range have {
		inOrder = append(inOrder, o)
	}
	sortObjects(inOrder)
	for _, o := range inOrder {
		switch {
		case o.del == nil || gone[o.key]:
		case o.vrf() != "" && gone[vrfKey(o.vrf())] && !moved[o.key]:
			gone[o.key] = true
		case o.parent != "" && gone[o.parent]:
			gone[o.key] = true
		case o.parent != "" && moved[o.parent] && o.rank > rankLoopback, o.reaches(gone):
			lost[o.key] = true
		}
	}
	var p plan
	for _, o := range inOrder {
		// Addresses, neighbours and advertisements go with their interface.
		if gone[o.key] && (o.rank <= rankLoopback || !gone[o.parent]) {
			p.del = append(p.del, o)
		}
	}
	slices.Reverse(p.del)
	for _, o := range want {
		old, ok := have[o.key]
		if !ok || gone[o.key] || lost[o.key] || !old.same(o) {
			p.add = append(p.add, o)
		}
	}
	return p
}

// drain gives the listeners that are deleted another time than their own.
func (p plan) drain(milliseconds uint32) plan {
	for i, o := range p.del {
		p.del[i] = o.drained(milliseconds)
	}
	return p
}

// step is one write or deletion.
type step struct {
	object
	delete bool
}

func (s step) op() *pb.Op {
	if s.delete {
		return s.del
	}
	return s.add
}

// steps puts a plan into its order. What goes away goes first, so that names, addresses and devices are free for what comes. But
// an instance can go only when the interfaces that leave it have moved, and these need new instances to be there; nor while a pool
// has backends in it.
func (p plan) steps(have map[string]object) []step {
	deleted := map[string]bool{}
	var early, late, moves, rest []step
	for _, o := range p.del {
		deleted[o.key] = true
		if o.rank == rankVRF {
			late = append(late, step{o, true})
		} else {
			early = append(early, step{o, true})
		}
	}
	for _, o := range p.add {
		old, ok := have[o.key]
		if ok && old.reaches(deleted) {
			moves = append(moves, step{old.without(deleted), false})
		}
		switch {
		case o.rank <= rankVRF && !deleted[o.key]:
			early = append(early, step{o, false})
		case ok && !deleted[o.key] && old.moves(o):
			moves = append(moves, step{o, false})
		default:
			rest = append(rest, step{o, false})
		}
	}
	return slices.Concat(early, moves, late, rest)
}
