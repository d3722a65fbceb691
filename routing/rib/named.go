package rib

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// namedKey begins the keys of named groups; those of others begin with a kind.
const namedKey = "\xff"

// SetGroup makes a group of next hops under a name, which routes can use in the
// place of next hops of their own (Route.Group), or gives it others: then all of
// them follow with one change of the FIB's group. The hops' addresses may be of
// either family, whatever the routes': an IPv6 packet can be sent to a neighbour
// that ARP knows. An empty NextHop.VRF means the default instance. It returns
// when resolution has settled; nhs is not kept.
func (r *RIB) SetGroup(name string, nhs []NextHop) error {
	if name == "" || len(name) > 511 {
		return fieldErr("group", "a name of 1 to 511 bytes is needed")
	}
	r.mu.Lock()
	hops, err := r.canonHops(r.vrfs[DefaultVRF].tables[0], &Route{NextHops: nhs}, MaxGroupHops)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	r.work.newOp()
	if gi, ok := r.groupI[namedKey+name]; ok {
		g := r.groups[gi]
		g.named = true
		if !slices.Equal(g.hops, keepTracking(hops, g.hops)) {
			r.detach(gi, g)
			g.hops = slices.Clone(hops)
			for i := range g.hops {
				g.hops[i].nht = 0
			}
			r.attach(gi, g)
			r.work.gen++
			r.markDirty(gi)
		}
	} else {
		gi = r.newGroup(namedKey+name, KindUnicast, hops)
		r.groups[gi].named = true
	}
	settled := r.step(r.opt.Slice)
	r.mu.Unlock()
	if !settled {
		r.settle()
	}
	return nil
}

// keepTracking takes over the tracking entries of equal hops, so that the lists
// can be compared.
func keepTracking(hops, old []hop) []hop {
	for i := range min(len(hops), len(old)) {
		if compareHops(hops[i], old[i]) == 0 {
			hops[i].nht, hops[i].iface = old[i].nht, old[i].iface
		}
	}
	return hops
}

// DeleteGroup removes a named group. The error wraps ErrInUse while routes use
// it, and ErrNotFound if there is none.
func (r *RIB) DeleteGroup(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	gi, g, err := r.namedGroup(name)
	switch {
	case err != nil:
		return err
	case g.ncands > 0:
		return fmt.Errorf("group %s has %d routes: %w", name, g.ncands, ErrInUse)
	}
	g.named = false
	r.releaseGroup(gi)
	return nil
}

// GroupInfo is what the RIB knows of a named group.
type GroupInfo struct {
	Members []Member // what it resolves to, nil if nothing; must not be modified
	Routes  int      // candidates that use it
	FIB     FIBState // FIBNone while no route in use points to it
}

// Group returns what the RIB knows of a named group. The error wraps ErrNotFound.
func (r *RIB) Group(name string) (GroupInfo, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	gi, g, err := r.namedGroup(name)
	if err != nil {
		return GroupInfo{}, err
	}
	info := GroupInfo{Members: g.members, Routes: g.ncands}
	failed := false
	if r.feed != nil {
		_, failed = r.feed.failGroups[gi]
	}
	switch {
	case failed:
		info.FIB = FIBFailed
	case g.fib.inFlight || g.fib.queued:
		info.FIB = FIBPending
	case g.fib.present:
		info.FIB = FIBInstalled
	}
	return info, nil
}

// Placement is what has become of one source's candidate for a prefix.
type Placement struct {
	Exists   bool // there is such a candidate
	Eligible bool // its next hops resolve
	Best     bool // it is in use
	FIB      FIBState
	FIBCode  uint8 // why, if FIBFailed
}

// Placement returns what has become of a candidate, and the FIB's state of its
// prefix even if there is none. It is cheap.
func (r *RIB) Placement(vrf string, p netip.Prefix, s Source, origin string) Placement {
	r.mu.RLock()
	defer r.mu.RUnlock()
	in := r.vrfs[canonVRF(vrf)]
	if in == nil || !p.IsValid() {
		return Placement{}
	}
	t := in.table(p.Addr())
	n := t.routes.find(addrKey(p.Addr()), uint8(p.Bits()))
	if n == 0 {
		return Placement{}
	}
	ei := t.routes.nodes.at(n).val
	e := r.entries.at(ei)
	var pl Placement
	pl.FIB, pl.FIBCode = r.fibState(e)
	if c := r.findCand(ei, originKey{s, origin}); c != 0 {
		pl.Exists, pl.Eligible, pl.Best = true, r.groups[r.cands.at(c).set].ok(), e.best == c
	}
	return pl
}

func (r *RIB) namedGroup(name string) (uint32, *group, error) {
	if gi, ok := r.groupI[namedKey+name]; ok && r.groups[gi].named {
		return gi, r.groups[gi], nil
	}
	return 0, nil, fmt.Errorf("group %s: %w", name, ErrNotFound)
}

// findNamed returns the group that a route names.
func (r *RIB) findNamed(rt *Route) (uint32, error) {
	if rt.Kind != KindUnicast || len(rt.NextHops) > 0 {
		return 0, fieldErr("group", "goes with kind unicast and no next hops")
	}
	gi, _, err := r.namedGroup(rt.Group)
	if err != nil {
		return 0, &notFoundError{FieldError{Field: "group", Reason: fmt.Sprintf("no group %q", rt.Group)}}
	}
	return gi, nil
}

// name is the name of a named group, else empty.
func (g *group) name() string {
	if n, ok := strings.CutPrefix(g.key, namedKey); ok {
		return n
	}
	return ""
}
