package rib

import (
	"maps"
	"math/bits"
	"slices"
)

const (
	// maxFlips is how often one operation may change whether a group is
	// resolved before the group is held unresolved until the next operation.
	// Nothing known reaches it; it bounds the work whatever the input.
	maxFlips = 16
	// maxRounds is how often one operation looks again at what loops held back.
	maxRounds = 32
	// maxRecheck is how much of it is looked at in a round. If there is more,
	// chance decides which; someone makes loops on purpose then, and the work
	// of an operation must stay bounded.
	maxRecheck = 256
)

// work is what is left to do for the RIB to settle. Whoever changes something
// also does the work, in slices (settle).
type work struct {
	dirty    []uint32            // groups to resolve again
	walks    []uint32            // groups whose candidates to evaluate again
	idle     []uint32            // groups that lost their last candidate
	suspects map[uint32]struct{} // groups whose resolution met a loop
	blocked  map[uint32]struct{} // candidates that would close a loop
	op       uint64              // counts operations from outside
	rounds   int
	mark     uint64 // counts calls of markDirty
	gen      uint64 // counts changes of the resolution graph…
	seen     uint64 // …up to which suspects and blocked have been looked at
}

func (w *work) init() {
	w.suspects = make(map[uint32]struct{})
	w.blocked = make(map[uint32]struct{})
}

func (w *work) newOp() {
	w.op++
	w.rounds = 0
}

// markDirty queues a group for resolution, and all that resolve through it:
// they may have been resolved already with what it is about to become, and then
// nothing else would tell them if that changes again before its turn.
func (r *RIB) markDirty(gi uint32) {
	r.work.mark++
	r.markFrom(gi)
}

func (r *RIB) markFrom(gi uint32) {
	g := r.groups[gi]
	if g == nil || g.mark == r.work.mark {
		return
	}
	g.mark = r.work.mark
	if !g.queued {
		g.queued = true
		r.work.dirty = append(r.work.dirty, gi)
	}
	r.markDeps(g)
}

func (r *RIB) markDeps(g *group) {
	if len(g.deps) == 0 {
		return
	}
	for _, d := range slices.Sorted(maps.Keys(g.deps)) {
		r.markFrom(d)
	}
}

// settle works until nothing is left, letting go of the lock between slices.
func (r *RIB) settle() {
	for {
		r.mu.Lock()
		done := r.step(r.opt.Slice)
		r.mu.Unlock()
		if done {
			return
		}
	}
}

// step does work on about budget prefixes and says whether none is left.
func (r *RIB) step(budget int) bool {
	w := &r.work
	for budget > 0 {
		switch {
		case len(w.dirty) > 0:
			gi := w.dirty[0]
			w.dirty = w.dirty[1:]
			g := r.groups[gi]
			if g == nil || !g.queued {
				continue // freed since
			}
			g.queued = false
			budget -= 1 + len(g.hops)/4
			r.resolveGroup(gi)
		case len(w.walks) > 0:
			budget = r.walkGroup(w.walks[0], budget)
		case w.gen != w.seen && (len(w.suspects) > 0 || len(w.blocked) > 0) && w.rounds < maxRounds:
			w.seen = w.gen
			w.rounds++
			budget -= r.recheck()
		default:
			w.seen = w.gen
			w.dirty = nil
			idle := w.idle
			w.idle = nil
			for _, gi := range idle {
				r.releaseGroup(gi)
			}
			r.wakeFeed()
			return true
		}
	}
	r.wakeFeed()
	return false
}

// walkGroup evaluates the entries of a group's candidates again.
func (r *RIB) walkGroup(gi uint32, budget int) int {
	g := r.groups[gi]
	for g.walkPos != 0 && budget > 0 && len(r.work.dirty) == 0 {
		cd := r.cands.at(g.walkPos)
		g.walkPos = cd.setNext
		r.evalEntry(cd.entry)
		budget--
	}
	if g.walkPos == 0 {
		g.walking = false
		r.work.walks = r.work.walks[1:]
		if g.ncands == 0 {
			r.work.idle = append(r.work.idle, gi)
		}
	}
	return budget
}

func (r *RIB) startWalk(gi uint32) {
	g := r.groups[gi]
	g.walkPos = g.cands
	if !g.walking && g.cands != 0 {
		g.walking = true
		r.work.walks = append(r.work.walks, gi)
	}
}

// recheck looks again at what was held back because of loops.
func (r *RIB) recheck() int {
	groups, cands := pick(r.work.suspects), pick(r.work.blocked)
	for _, gi := range groups {
		r.markDirty(gi)
	}
	for _, c := range cands {
		if _, still := r.work.blocked[c]; still {
			r.evalEntry(r.cands.at(c).entry)
		}
	}
	return 1 + len(groups) + len(cands)
}

// pick returns the members of a set in order, at most maxRecheck of them.
func pick(set map[uint32]struct{}) []uint32 {
	out := make([]uint32, 0, min(len(set), maxRecheck))
	for i := range set {
		if len(out) == maxRecheck {
			break
		}
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// resolveGroup works out a group's members and passes on what changed.
func (r *RIB) resolveGroup(gi uint32) {
	g := r.groups[gi]
	v := resolver{r: r}
	members, backups, via := v.top(gi)
	w := &r.work
	w.mark++
	if r.setVia(gi, g, via) {
		r.markDeps(g)
	}
	if v.looped {
		w.suspects[gi] = struct{}{}
	} else {
		delete(w.suspects, gi)
	}
	if g.op != w.op {
		g.op, g.flips = w.op, 0
	}
	if g.flips > maxFlips && len(members) > 0 {
		members, backups = nil, nil
		w.suspects[gi] = struct{}{}
	}
	if slices.Equal(members, g.members) {
		if !slices.Equal(backups, g.backups) {
			g.backups, g.last = backups, slices.Concat(members, backups)
			r.feedGroup(gi)
		}
		return
	}
	was := g.ok()
	g.members, g.backups = members, backups
	if members != nil {
		g.last = members
		if backups != nil {
			g.last = slices.Concat(members, backups)
		}
	}
	w.gen++
	r.markDeps(g)
	r.notifyGroup(gi)
	if was != g.ok() {
		g.flips++
		r.startWalk(gi)
	}
	if g.ok() {
		r.feedGroup(gi)
	}
}

// evalEntry chooses the best candidate of a prefix again and passes on what
// changed.
func (r *RIB) evalEntry(ei uint32) {
	e := r.entries.at(ei)
	t := r.tables[e.table]
	k, plen := t.routes.key(e.node), t.routes.nodes.at(e.node).plen
	tracked := uint32(0)
	if t.nhts.root != 0 {
		tracked = t.nhts.subtree(k, plen)
	}
	if len(r.work.blocked) > 0 {
		for c := e.cands; c != 0; c = r.cands.at(c).next {
			delete(r.work.blocked, c)
		}
	}
	var best, set uint32
	for c := e.cands; c != 0; c = r.cands.at(c).next {
		cd := r.cands.at(c)
		if cd.distance == DistanceUnusable {
			break
		}
		// A route that covers next hops may be one of those that its own next
		// hops lead to: what counts is whether they resolve once it is in use.
		ok := r.groups[cd.set].ok()
		if tracked != 0 && !r.direct(cd.set) {
			if cd.set != e.set {
				ok = (ok || e.set != 0) && r.safeToInstall(ei, cd.set)
			}
			if !ok {
				r.work.blocked[c] = struct{}{}
			}
		}
		if ok {
			best, set = c, cd.set
			break
		}
	}
	if best == 0 && tracked != 0 {
		// With nothing in use, what does not resolve now waits for its group.
		for c := e.cands; c != 0; c = r.cands.at(c).next {
			if !r.groups[r.cands.at(c).set].ok() {
				delete(r.work.blocked, c)
			}
		}
	}
	oldBest, oldSet := e.best, e.set
	sources := r.lostBest
	r.lostBest = 0
	if oldBest != 0 && sources == 0 {
		sources = sourceBit(r.sourceOf(oldBest))
	}
	if oldBest != 0 {
		t.best[bits.TrailingZeros8(sources)]--
	}
	if best != 0 {
		s := r.sourceOf(best)
		t.best[s]++
		sources |= sourceBit(s)
	}
	e.best, e.set = best, set
	if best != oldBest || set != oldSet {
		r.notify(ei, sources)
	}
	if set == oldSet {
		if best != oldBest {
			r.feedEntry(ei) // it may have become, or ceased to be, connected
		}
		return
	}
	r.feedEntry(ei)
	if tracked == 0 {
		return
	}
	r.work.gen++
	t.nhts.walk(tracked, func(ni uint32) bool {
		if x := r.nhts[ni]; x.minLen <= plen {
			// Until its groups are resolved again any covering prefix matters:
			// others may be resolved by way of them meanwhile.
			x.minLen = 0
			for _, gi := range x.groups {
				r.markDirty(gi)
			}
		}
		return true
	})
	if set != 0 && !r.groups[set].ok() {
		r.resolveGroup(set)
	}
}

// direct says whether a group's members do not depend on other routes.
func (r *RIB) direct(set uint32) bool {
	hops := r.groups[set].hops
	for i := range hops {
		if hops[i].iface == nil && !hops[i].lookup {
			return false
		}
	}
	return true
}

// safeToInstall says whether a group would still be resolved if the entry, which
// covers tracked next hops, used it. It may be so only then: what the entry uses
// now may be in the way.
func (r *RIB) safeToInstall(ei, set uint32) bool {
	v := resolver{r: r, overEntry: ei, overSet: set}
	members, _, _ := v.top(set)
	return len(members) > 0
}
