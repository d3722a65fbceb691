package rib

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// FIBState says how far a prefix is in the forwarding table.
type FIBState uint8

// The states.
const (
	FIBNone      FIBState = iota // nothing to program
	FIBDataPlane                 // connected: the data plane has it by itself
	FIBPending                   // on its way
	FIBInstalled                 // acknowledged
	FIBFailed                    // refused; see CodeFIB
)

var fibNames = [...]string{"none", "data-plane", "pending", "installed", "failed"}

func (s FIBState) String() string { return fibNames[s] }

// CandidateInfo is a candidate as readers see it.
type CandidateInfo struct {
	Route    Route // with the distance in force and its next hops in canonical order
	Group    uint32
	Eligible bool
	Stale    bool
	// Reason says why it is not eligible; empty if it is.
	Reason string
}

// RouteInfo is what the RIB knows of a prefix.
type RouteInfo struct {
	VRF        string
	Prefix     netip.Prefix
	Candidates []CandidateInfo // in order of preference
	Best       int             // index into Candidates, -1 if none is eligible
	Resolved   []Member        // of the best; must not be modified
	FIB        FIBState
	FIBCode    uint8 // why, if FIBFailed
}

// Match says how a Filter's prefix is compared.
type Match uint8

// The ways to match.
const (
	Exact    Match = iota
	OrLonger       // the prefix and those it covers
	Longer         // those it covers, not itself
)

// Filter picks prefixes. Its zero value picks all.
type Filter struct {
	VRF    string       // empty: all instances
	Prefix netip.Prefix // invalid: all
	Match  Match        // how Prefix is compared
	Family int          // 4, 6, or 0 for both
	// HasSource picks prefixes with a candidate of Source; BestOnly with it
	// those whose best candidate is of Source, without it those that have a
	// best candidate.
	HasSource bool
	Source    Source
	BestOnly  bool
}

func (f *Filter) check() error {
	if f.Prefix.IsValid() && f.Prefix != f.Prefix.Masked() {
		return fieldErr("filter.prefix", "%s has bits set beyond its length", f.Prefix)
	}
	if f.Match > Longer {
		return fieldErr("filter.match", "%d is unknown", f.Match)
	}
	if f.Family != 0 && f.Family != 4 && f.Family != 6 {
		return fieldErr("filter.family", "%d is none of 0, 4, 6", f.Family)
	}
	return nil
}

// table says whether prefixes of the table can match.
func (f *Filter) table(t *table) bool {
	if f.VRF != "" && t.inst.name != canonVRF(f.VRF) {
		return false
	}
	fam := 4
	if t.routes.v6 {
		fam = 6
	}
	return (f.Family == 0 || f.Family == fam) &&
		(!f.Prefix.IsValid() || f.Prefix.Addr().Is6() == t.routes.v6)
}

func (f *Filter) prefix(p netip.Prefix) bool {
	switch {
	case !f.Prefix.IsValid():
		return true
	case f.Match == Exact:
		return p == f.Prefix
	case f.Match == Longer && p == f.Prefix:
		return false
	}
	return p.Bits() >= f.Prefix.Bits() && f.Prefix.Contains(p.Addr())
}

func (r *RIB) sourceOf(c uint32) Source { return r.origins[r.cands.at(c).origin].source }

func (r *RIB) filterEntry(f *Filter, e *entry) bool {
	if e.cands == 0 || f.BestOnly && e.best == 0 {
		return false
	}
	if !f.HasSource {
		return true
	}
	if f.BestOnly {
		return r.sourceOf(e.best) == f.Source
	}
	for c := e.cands; c != 0; c = r.cands.at(c).next {
		if r.sourceOf(c) == f.Source {
			return true
		}
	}
	return false
}

// Get returns what the RIB knows of a prefix. The error wraps ErrNotFound if
// there is no candidate or no such instance.
func (r *RIB) Get(vrf string, p netip.Prefix) (RouteInfo, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	in, err := r.lookupVRF(vrf, "vrf")
	if err != nil {
		return RouteInfo{}, err
	}
	if err := checkPrefix(&Route{Prefix: p}); err != nil {
		return RouteInfo{}, err
	}
	t := in.table(p.Addr())
	if n := t.routes.find(addrKey(p.Addr()), uint8(p.Bits())); n != 0 {
		if e := r.entries.at(t.routes.nodes.at(n).val); e.cands != 0 {
			return r.info(e), nil
		}
	}
	return RouteInfo{}, fmt.Errorf("route %s in %s: %w", p, in.name, ErrNotFound)
}

func (r *RIB) info(e *entry) RouteInfo {
	t := r.tables[e.table]
	ri := RouteInfo{VRF: t.inst.name, Prefix: r.entryPrefix(e), Best: -1}
	for c := e.cands; c != 0; c = r.cands.at(c).next {
		if c == e.best {
			ri.Best = len(ri.Candidates)
			ri.Resolved = r.groups[e.set].members
		}
		ri.Candidates = append(ri.Candidates, r.candInfo(t, ri.Prefix, c))
	}
	ri.FIB, ri.FIBCode = r.fibState(e)
	return ri
}

// fibState is how far a prefix is in the forwarding table and, if it failed, why.
func (r *RIB) fibState(e *entry) (FIBState, uint8) {
	want := r.desired(e)
	switch {
	case e.flags&flagFailed != 0:
		return FIBFailed, e.code
	case want != e.fib || e.flags&flagInFlight != 0:
		return FIBPending, 0
	case want != 0:
		return FIBInstalled, 0
	case e.best != 0:
		return FIBDataPlane, 0
	}
	return FIBNone, 0
}

func (r *RIB) candInfo(t *table, p netip.Prefix, c uint32) CandidateInfo {
	cd := r.cands.at(c)
	o := &r.origins[cd.origin]
	g := r.groups[cd.set]
	ci := CandidateInfo{
		Group:    cd.set,
		Eligible: g.ok(),
		Stale:    cd.epoch != o.epoch,
		Route: Route{
			VRF: t.inst.name, Prefix: p, Source: o.source, Origin: o.name,
			Distance: cd.distance, Metric: cd.metric, Kind: g.kind, NextHops: r.nextHops(t, g), Group: g.name(),
		},
	}
	_, blocked := r.work.blocked[c]
	_, suspect := r.work.suspects[cd.set]
	switch {
	case cd.distance == DistanceUnusable:
		ci.Eligible, ci.Reason = false, "distance 255 is never used"
	case blocked && g.ok():
		ci.Eligible, ci.Reason = false, "its next hops would resolve through itself (loop)"
	case !g.ok() && suspect:
		ci.Reason = "its next hops resolve in a loop"
	case !g.ok():
		ci.Reason = r.whyUnresolved(cd.set, g)
	}
	return ci
}

func (r *RIB) whyUnresolved(gi uint32, g *group) string {
	var why []string
	v := resolver{r: r}
	for i := range g.hops {
		if i == 4 {
			why = append(why, fmt.Sprintf("and %d more", len(g.hops)-i))
			break
		}
		h := &g.hops[i]
		if h.lookup {
			why = append(why, fmt.Sprintf("no network instance %s", r.byID[h.vrf].name))
			continue
		}
		if h.iface != nil {
			why = append(why, fmt.Sprintf("interface %s is down", h.iface.name))
			continue
		}
		if ei, set, _ := v.match(gi, h); set == 0 {
			why = append(why, fmt.Sprintf("no route to %s", h.addr))
		} else {
			why = append(why, fmt.Sprintf("%s cannot be reached by %s", h.addr, r.entryPrefix(r.entries.at(ei))))
		}
	}
	return strings.Join(why, "; ")
}

func (r *RIB) nextHops(t *table, g *group) []NextHop {
	if len(g.hops) == 0 {
		return nil
	}
	nhs := make([]NextHop, len(g.hops))
	for i := range g.hops {
		nhs[i] = r.nextHop(t, &g.hops[i])
	}
	return nhs
}

func (r *RIB) nextHop(t *table, h *hop) NextHop {
	nh := NextHop{Addr: h.addr, Weight: h.weight, Backup: h.backup, Lookup: h.lookup}
	if h.iface != nil {
		nh.Interface = h.iface.name
	}
	if h.vrf != t.inst.id || h.lookup {
		nh.VRF = r.byID[h.vrf].name
	}
	return nh
}

// Cursor is a position in a listing: after the prefix it names. The zero
// value is the beginning.
type Cursor struct {
	VRF    string
	Prefix netip.Prefix
}

func (c Cursor) String() string {
	if !c.Prefix.IsValid() {
		return ""
	}
	return c.Prefix.String() + "@" + c.VRF
}

// ParseCursor is the inverse of Cursor.String.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	ps, vrf, _ := strings.Cut(s, "@")
	p, err := netip.ParsePrefix(ps)
	if err != nil || vrf == "" || p != p.Masked() || p.Addr().Is4In6() {
		return Cursor{}, fieldErr("cursor", "%q did not come from this service", s)
	}
	return Cursor{VRF: vrf, Prefix: p}, nil
}

// List returns up to limit prefixes that match, ordered by instance name, IPv4
// before IPv6, address and length, beginning after the cursor. next is the
// cursor to go on with, its zero value at the end. Prefixes that come and go
// meanwhile may or may not be seen; all others are seen once. limit is 1 to
// 10,000, others are taken for the nearest.
func (r *RIB) List(f Filter, cur Cursor, limit int) (list []RouteInfo, next Cursor, err error) {
	if err := f.check(); err != nil {
		return nil, Cursor{}, err
	}
	limit = min(max(limit, 1), 10000)
	for {
		r.mu.RLock()
		done := r.listSlice(&f, &cur, limit-len(list), func(e *entry) { list = append(list, r.info(e)) })
		r.mu.RUnlock()
		if done {
			return list, Cursor{}, nil
		}
		if len(list) >= limit {
			return list, cur, nil
		}
	}
}

// listSlice lists up to limit more and moves the cursor; it says whether it reached the end.
func (r *RIB) listSlice(f *Filter, cur *Cursor, limit int, add func(*entry)) bool {
	names := r.vrfNames()
	if cur.Prefix.IsValid() {
		i, _ := slices.BinarySearch(names, cur.VRF)
		names = names[i:]
	}
	budget := 4 * r.opt.Slice
	for _, name := range names {
		for _, t := range r.vrfs[name].tables {
			inTable := cur.Prefix.IsValid() && cur.VRF == name
			if inTable && cur.Prefix.Addr().Is6() && !t.routes.v6 {
				continue
			}
			inTable = inTable && cur.Prefix.Addr().Is6() == t.routes.v6
			if !f.table(t) {
				continue
			}
			visit := func(ei uint32) bool {
				if limit == 0 || budget == 0 {
					return false
				}
				budget--
				e := r.entries.at(ei)
				p := r.entryPrefix(e)
				*cur = Cursor{VRF: name, Prefix: p}
				if f.prefix(p) && r.filterEntry(f, e) {
					add(e)
					limit--
				}
				return true
			}
			top := t.routes.root
			if f.Prefix.IsValid() {
				top = t.routes.subtree(addrKey(f.Prefix.Addr()), uint8(f.Prefix.Bits()))
				if f.Match == Exact && top != 0 && int(t.routes.nodes.at(top).plen) != f.Prefix.Bits() {
					top = 0
				} else if f.Match == Exact && top != 0 {
					// Only this node, not what is below it.
					if val := t.routes.nodes.at(top).val; val != 0 && !(inTable && cur.Prefix == f.Prefix) && !visit(val) {
						return false
					}
					top = 0
				}
			}
			more := true
			if inTable {
				more = t.routes.walkAfter(top, addrKey(cur.Prefix.Addr()), uint8(cur.Prefix.Bits()), visit)
			} else {
				more = t.routes.walk(top, visit)
			}
			if !more {
				return false
			}
		}
	}
	return true
}
