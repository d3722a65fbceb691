package rib

import (
	"cmp"
	"math/bits"
	"slices"
)

// maxVisits bounds the next hops that one resolution looks at. Without loops
// each is looked at once; with loops results depend on the way, and are not
// reused. What exceeds the bound counts as a loop.
const maxVisits = 8192

// resolver does one resolution, from the present best routes and not from
// other groups' results, which may be about to change.
type resolver struct {
	r         *RIB
	overEntry uint32 // taken to use overSet, whatever it uses
	overSet   uint32
	stack     []uint32
	memo      map[uint32][]Member
	visits    int
	looped    bool // some member led back to a group on the way, or too far
	cov       [16]uint32
}

// noCut is the level of a result that no loop has touched.
const noCut = MaxDepth + 1

// part is the share of one hop, with the members it resolves to.
type part struct {
	weight  uint32
	backup  uint8
	members []Member
}

// top resolves a group and returns its members, their backups and the groups
// that its hops led to directly.
func (v *resolver) top(gi uint32) (members, backups []Member, via []uint32) {
	g := v.r.groups[gi]
	v.stack = append(v.stack, gi)
	parts := make([]part, 0, len(g.hops))
	for i := range g.hops {
		h := &g.hops[i]
		m, set, plen, _ := v.hop(gi, h)
		if h.nht != 0 && v.overEntry == 0 {
			x := v.r.nhts[h.nht]
			if len(x.groups) == 1 {
				x.minLen = plen
			}
			x.minLen = min(x.minLen, plen)
		}
		if set != 0 && !slices.Contains(via, set) {
			via = append(via, set)
		}
		parts = append(parts, part{h.weight, h.backup, m})
	}
	if g.kind != KindUnicast {
		return []Member{{Kind: g.kind, Weight: 1}}, nil, nil
	}
	slices.Sort(via)
	members, rest := choose(parts)
	return members, behind(members, rest), via
}

// nested resolves a group that another leads to. cut is the lowest level of
// the stack that a loop led back to.
func (v *resolver) nested(gi uint32) (members []Member, cut int) {
	g := v.r.groups[gi]
	if g.kind != KindUnicast {
		return []Member{{Kind: g.kind, Weight: 1}}, noCut
	}
	if m, ok := v.memo[gi]; ok {
		return m, noCut
	}
	v.visits += len(g.hops)
	if len(v.stack) >= MaxDepth || v.visits > maxVisits {
		v.looped = true
		return nil, 0
	}
	level := len(v.stack)
	v.stack = append(v.stack, gi)
	cut = noCut
	parts := make([]part, 0, len(g.hops))
	for i := range g.hops {
		m, _, _, c := v.hop(gi, &g.hops[i])
		cut = min(cut, c)
		parts = append(parts, part{g.hops[i].weight, g.hops[i].backup, m})
	}
	v.stack = v.stack[:level]
	members, _ = choose(parts)
	switch {
	case cut > level: // in no loop, thus independent of how we came here
		if v.memo == nil {
			v.memo = make(map[uint32][]Member)
		}
		v.memo[gi] = members
		return members, noCut
	case cut == level: // in a loop, but of nothing above
		return members, noCut
	}
	return members, cut
}

// match finds the group that a recursive hop of group gi leads to, and the
// length of the prefix that says so. Routes that use gi itself are passed over.
func (v *resolver) match(gi uint32, h *hop) (entryIdx, set uint32, plen uint8) {
	t := v.r.byID[h.vrf].table(h.addr)
	cov := t.routes.covering(addrKey(h.addr), uint8(h.addr.BitLen()), v.cov[:0])
	for i := len(cov) - 1; i >= 0; i-- {
		e := v.r.entries.at(cov[i])
		set := e.set
		if cov[i] == v.overEntry {
			set = v.overSet
		}
		if set != 0 && set != gi {
			return cov[i], set, t.routes.nodes.at(e.node).plen
		}
	}
	return 0, 0, 0
}

func (v *resolver) hop(gi uint32, h *hop) (members []Member, set uint32, plen uint8, cut int) {
	if h.lookup {
		if !v.r.byID[h.vrf].exists {
			return nil, 0, 0, noCut
		}
		return []Member{{Kind: KindLookup, VRF: v.r.byID[h.vrf].name, Weight: 1}}, 0, 0, noCut
	}
	if h.iface != nil {
		if !h.iface.up {
			return nil, 0, 0, noCut
		}
		return []Member{{VRF: v.r.byID[h.vrf].name, Interface: h.iface.name, Gateway: h.addr, Weight: 1}}, 0, 0, noCut
	}
	_, set, plen = v.match(gi, h)
	if set == 0 {
		return nil, 0, 0, noCut
	}
	if level := slices.Index(v.stack, set); level >= 0 {
		v.looped = true
		return nil, set, plen, level
	}
	sub, cut := v.nested(set)
	members = make([]Member, 0, len(sub))
	for _, m := range sub {
		switch {
		case m.Kind == KindPunt:
			continue // an address of the box itself is no gateway
		case m.Kind == KindUnicast && !m.Gateway.IsValid():
			m.Gateway = h.addr
		}
		members = append(members, m)
	}
	return members, set, plen, cut
}

func compareMembers(a, b Member) int {
	if c := cmp.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	if c := cmp.Compare(a.VRF, b.VRF); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Interface, b.Interface); c != 0 {
		return c
	}
	return a.Gateway.Compare(b.Gateway)
}

// choose combines the first hops that resolve: those in use, else the backups,
// and returns the parts behind them. Hops are in the order of NextHop.Backup.
func choose(parts []part) (members []Member, rest []part) {
	for len(parts) > 0 {
		n := 1
		for n < len(parts) && parts[n].backup == parts[0].backup {
			n++
		}
		if m := combine(parts[:n]); m != nil {
			return m, parts[n:]
		}
		parts = parts[n:]
	}
	return nil, nil
}

// behind combines the parts behind a group's members to their backups, of which
// each is there once, at its first place, and as many as there is room for.
func behind(members []Member, rest []part) (backups []Member) {
	for level := uint8(1); len(rest) > 0; level++ {
		var next []Member
		if next, rest = choose(rest); next == nil {
			break
		}
		for _, m := range next {
			same := func(o Member) bool { return compareMembers(m, o) == 0 }
			if slices.ContainsFunc(members, same) || slices.ContainsFunc(backups, same) || len(members)+len(backups) >= MaxNextHops {
				continue
			}
			m.Backup = level
			backups = append(backups, m)
		}
	}
	return backups
}

// combine merges the members of the hops. Each hop's weight is shared out among
// its members by theirs; hops without members leave their share to the others.
// The result is in canonical order with the smallest equivalent weights, at
// most MaxNextHops members (the heaviest) and none heavier than MaxWeight.
func combine(parts []part) []Member {
	n, only := 0, -1
	for i := range parts {
		if len(parts[i].members) > 0 {
			n += len(parts[i].members)
			only = i
		}
	}
	if n == 0 {
		return nil
	}
	if n == 1 {
		m := parts[only].members[0]
		m.Weight = 1
		return []Member{m}
	}
	type share struct {
		Member
		w uint64
	}
	// Shares over a common denominator, as long as that stays small enough
	// to be exact in 64 bits: 2^16 weight × 2^22 × 2^16 × 64 members.
	lcm := uint64(1)
	for _, p := range parts {
		if s := sum(p.members); s > 0 {
			if l := lcm / gcd(lcm, s) * s; l <= 1<<22 {
				lcm = l
			}
		}
	}
	all := make([]share, 0, n)
	for _, p := range parts {
		s := sum(p.members)
		for _, m := range p.members {
			hi, lo := bits.Mul64(uint64(p.weight)*uint64(m.Weight), lcm)
			w, _ := bits.Div64(hi%s, lo, s)
			all = append(all, share{m, max(w, 1)})
		}
	}
	slices.SortFunc(all, func(a, b share) int { return compareMembers(a.Member, b.Member) })
	w := 0
	for _, s := range all[1:] {
		if compareMembers(all[w].Member, s.Member) == 0 {
			all[w].w += s.w
			continue
		}
		w++
		all[w] = s
	}
	all = all[:w+1]
	if len(all) > MaxNextHops {
		slices.SortStableFunc(all, func(a, b share) int { return cmp.Compare(b.w, a.w) })
		all = all[:MaxNextHops]
		slices.SortFunc(all, func(a, b share) int { return compareMembers(a.Member, b.Member) })
	}
	div, top := uint64(0), uint64(0)
	for _, s := range all {
		div = gcd(div, s.w)
		top = max(top, s.w)
	}
	out := make([]Member, len(all))
	for i, s := range all {
		out[i] = s.Member
		w := s.w / div
		if top/div > MaxWeight {
			hi, lo := bits.Mul64(s.w, MaxWeight)
			w, _ = bits.Div64(hi, lo, top)
		}
		out[i].Weight = uint32(max(w, 1))
	}
	return out
}

func sum(ms []Member) uint64 {
	var s uint64
	for i := range ms {
		s += uint64(ms[i].Weight)
	}
	return s
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
