package rib

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
)

// maxBackup is the largest number of NextHop.Backup.
const maxBackup = 15

// hop is a next hop in canonical form.
type hop struct {
	vrf    uint16
	iface  *iface
	addr   netip.Addr
	weight uint32
	nht    uint32 // if resolved recursively
	backup uint8  // see NextHop
	lookup bool
}

// iface is an interface that next hops mention or whose state is known.
type iface struct {
	name   string
	up     bool
	groups map[uint32]struct{}
}

// nht is the tracking entry of one next-hop address in one instance.
type nht struct {
	table  *table
	key    key
	groups []uint32
	// minLen is at most the length of the shortest prefix on which a group's
	// result depends: a change of a covering prefix at least so long concerns us.
	minLen uint8
}

// group is an interned list of next hops with its resolution, shared by all
// candidates that have it, and the unit that the FIB programs.
type group struct {
	key     string
	named   bool // kept by SetGroup until DeleteGroup
	kind    Kind
	hops    []hop
	cands   uint32 // list of the candidates that use it
	ncands  int
	members []Member // resolved; never modified once set; nil: unresolved
	backups []Member // what takes over when the data plane finds the members dead; never modified once set
	last    []Member // the last members that were not nil, with their backups
	via     []uint32 // groups that the hops resolve through
	deps    map[uint32]struct{}

	queued  bool   // waits for resolution
	mark    uint64 // see markDirty
	walking bool   // its candidates are being evaluated again
	walkPos uint32 // the next of them
	op      uint64 // last operation in which it was resolved…
	flips   int    // …and how often its eligibility changed in it

	fib groupFIB
}

func (g *group) ok() bool { return len(g.members) > 0 }

// setMemo remembers the group of the last next-hop slice seen: routes come in
// runs that share one.
type setMemo struct {
	hops *NextHop
	n    int
	vrf  *instance
	v6   bool
	kind Kind
	set  uint32
}

// intern checks a route's next hops and returns their group, made if need be.
func (r *RIB) intern(t *table, rt *Route, memo *setMemo) (uint32, error) {
	if rt.Group != "" {
		return r.findNamed(rt)
	}
	v6 := t.routes.v6
	if n := len(rt.NextHops); n > 0 && memo.set != 0 && memo.hops == &rt.NextHops[0] && memo.n == n &&
		memo.vrf == t.inst && memo.v6 == v6 && memo.kind == rt.Kind {
		return memo.set, nil
	}
	hops, err := r.canonHops(t, rt, MaxNextHops)
	if err != nil {
		return 0, err
	}
	b := append(r.keyBuf[:0], byte(rt.Kind))
	for i := range hops {
		h := &hops[i]
		b = append(b, h.flags())
		b = binary.BigEndian.AppendUint16(b, h.vrf)
		b = binary.BigEndian.AppendUint32(b, h.weight)
		a := h.addr.AsSlice()
		b = append(b, byte(len(a)))
		b = append(b, a...)
		name := rt.ifaceName(h)
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	r.keyBuf = b
	set, ok := r.groupI[string(b)]
	if !ok {
		set = r.newGroup(string(b), rt.Kind, hops)
	}
	if len(rt.NextHops) > 0 {
		*memo = setMemo{&rt.NextHops[0], len(rt.NextHops), t.inst, v6, rt.Kind, set}
	}
	return set, nil
}

func (rt *Route) ifaceName(h *hop) string {
	if h.iface == nil {
		return ""
	}
	return h.iface.name
}

// canonHops validates the next hops and returns them sorted, equal ones merged.
// The result is valid until the next call. Nothing is changed.
func (r *RIB) canonHops(t *table, rt *Route, limit int) ([]hop, error) {
	if rt.Kind >= numKinds || rt.Kind == KindLookup {
		return nil, fieldErr("kind", "%d is unknown", rt.Kind)
	}
	if rt.Kind != KindUnicast {
		if len(rt.NextHops) > 0 {
			return nil, fieldErr("next_hops", "a %s route takes none", rt.Kind)
		}
		return nil, nil
	}
	switch n := len(rt.NextHops); {
	case n == 0:
		return nil, fieldErr("next_hops", "a unicast route needs at least one")
	case n > limit:
		return nil, fieldErr("next_hops", "%d are more than the %d allowed", n, limit)
	}
	hops := r.hopBuf[:0]
	for i := range rt.NextHops {
		h, err := r.canonHop(t, i, &rt.NextHops[i])
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	r.hopBuf = hops
	if len(hops) > 1 {
		slices.SortFunc(hops, compareHops)
		w := 0
		for _, h := range hops[1:] {
			if compareHops(hops[w], h) == 0 {
				hops[w].weight += h.weight
				continue
			}
			w++
			hops[w] = h
		}
		hops = hops[:w+1]
	}
	return hops, nil
}

// flags tells hops apart that agree in everything else.
func (h *hop) flags() uint8 {
	f := h.backup << 1
	if h.lookup {
		f |= 1
	}
	return f
}

func compareHops(a, b hop) int {
	if c := cmp.Compare(a.flags(), b.flags()); c != 0 {
		return c
	}
	if c := cmp.Compare(a.vrf, b.vrf); c != 0 {
		return c
	}
	if c := a.addr.Compare(b.addr); c != 0 {
		return c
	}
	var an, bn string
	if a.iface != nil {
		an = a.iface.name
	}
	if b.iface != nil {
		bn = b.iface.name
	}
	return cmp.Compare(an, bn)
}

func (r *RIB) canonHop(t *table, i int, nh *NextHop) (hop, error) {
	field := func(name string) string { return "next_hops[" + strconv.Itoa(i) + "]." + name }
	in := t.inst
	if nh.VRF != "" {
		var err error
		if in, err = r.lookupVRF(nh.VRF, field("vrf")); err != nil {
			return hop{}, err
		}
	}
	h := hop{vrf: in.id, addr: nh.Addr, weight: max(nh.Weight, 1), backup: nh.Backup, lookup: nh.Lookup}
	if nh.Backup > maxBackup {
		return hop{}, fieldErr(field("backup"), "%d is more than %d", nh.Backup, maxBackup)
	}
	if nh.Weight > MaxWeight {
		return hop{}, fieldErr(field("weight"), "%d is more than %d", nh.Weight, MaxWeight)
	}
	name := nh.Interface
	if z := nh.Addr.Zone(); z != "" {
		if name != "" && name != z {
			return hop{}, fieldErr(field("interface"), "%q contradicts the zone of %s", name, nh.Addr)
		}
		name, h.addr = z, nh.Addr.WithZone("")
	}
	if len(name) > 255 {
		return hop{}, fieldErr(field("interface"), "is longer than 255 bytes")
	}
	a := h.addr
	switch {
	case nh.Lookup:
		if nh.VRF == "" || name != "" || a.IsValid() {
			return hop{}, fieldErr(field("lookup"), "takes an instance, and neither an address nor an interface")
		}
	case !a.IsValid():
		if name == "" {
			return hop{}, fieldErr(field("addr"), "neither an address nor an interface is given")
		}
	case a.Is4In6():
		return hop{}, fieldErr(field("addr"), "%s is an IPv4-mapped IPv6 address", a)
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return hop{}, fieldErr(field("addr"), "%s is not the address of a gateway", a)
	case a.Is4() && t.routes.v6:
		return hop{}, fieldErr(field("addr"), "IPv4 gateway %s for an IPv6 prefix", a)
	case a.Is6() && a.IsLinkLocalUnicast() && name == "":
		return hop{}, fieldErr(field("interface"), "the link-local gateway %s needs one", a)
	}
	if name != "" {
		if h.iface = r.ifaces[name]; h.iface == nil {
			h.iface = &iface{name: name} // entered by newGroup
		}
	}
	return h, nil
}

func (r *RIB) newGroup(k string, kind Kind, hops []hop) uint32 {
	g := &group{key: k, kind: kind, hops: slices.Clone(hops)}
	var gi uint32
	if n := len(r.groupFr); n > 0 {
		gi, r.groupFr = r.groupFr[n-1], r.groupFr[:n-1]
		r.groups[gi] = g
	} else {
		gi = uint32(len(r.groups))
		r.groups = append(r.groups, g)
	}
	r.groupI[k] = gi
	r.attach(gi, g)
	r.resolveGroup(gi)
	return gi
}

// attach enters a group's hops where what they depend on is looked for.
func (r *RIB) attach(gi uint32, g *group) {
	for i := range g.hops {
		h := &g.hops[i]
		switch {
		case h.lookup:
			in := r.byID[h.vrf]
			if in.lookups == nil {
				in.lookups = make(map[uint32]struct{})
			}
			in.lookups[gi] = struct{}{}
		case h.iface != nil:
			if f := r.ifaces[h.iface.name]; f != nil {
				h.iface = f
			} else {
				r.ifaces[h.iface.name] = h.iface
			}
			if h.iface.groups == nil {
				h.iface.groups = make(map[uint32]struct{})
			}
			h.iface.groups[gi] = struct{}{}
		default:
			r.track(gi, h)
		}
	}
}

// detach undoes attach.
func (r *RIB) detach(gi uint32, g *group) {
	for i := range g.hops {
		h := &g.hops[i]
		if h.lookup {
			delete(r.byID[h.vrf].lookups, gi)
			continue
		}
		if h.iface != nil {
			delete(h.iface.groups, gi)
			r.dropIface(h.iface)
			continue
		}
		x := r.nhts[h.nht]
		if j := slices.Index(x.groups, gi); j >= 0 {
			last := len(x.groups) - 1
			x.groups[j] = x.groups[last]
			x.groups = x.groups[:last]
		}
		if len(x.groups) == 0 {
			bits := uint8(32)
			if x.table.nhts.v6 {
				bits = 128
			}
			x.table.nhts.remove(x.table.nhts.find(x.key, bits))
			r.nhts[h.nht] = nil
			r.nhtFr = append(r.nhtFr, h.nht)
		}
	}
}

// track enters a recursive hop in the next-hop tracking table.
func (r *RIB) track(gi uint32, h *hop) {
	t := r.byID[h.vrf].table(h.addr)
	k := addrKey(h.addr)
	n := t.nhts.insert(k, uint8(h.addr.BitLen()))
	ni := t.nhts.nodes.at(n).val
	if ni == 0 {
		x := &nht{table: t, key: k, minLen: 255}
		if l := len(r.nhtFr); l > 0 {
			ni, r.nhtFr = r.nhtFr[l-1], r.nhtFr[:l-1]
			r.nhts[ni] = x
		} else {
			ni = uint32(len(r.nhts))
			r.nhts = append(r.nhts, x)
		}
		t.nhts.setVal(n, ni)
	}
	h.nht = ni
	r.nhts[ni].groups = append(r.nhts[ni].groups, gi)
}

func (r *RIB) dropIface(f *iface) {
	if !f.up && len(f.groups) == 0 {
		delete(r.ifaces, f.name)
	}
}

// releaseGroup frees a group that neither candidates nor the FIB use.
func (r *RIB) releaseGroup(gi uint32) {
	g := r.groups[gi]
	if g == nil || g.named || g.ncands > 0 || g.walking || g.fib.held() {
		return
	}
	r.detach(gi, g)
	r.setVia(gi, g, nil)
	for d := range g.deps { // its index may soon mean another group
		o := r.groups[d]
		o.via = slices.DeleteFunc(slices.Clone(o.via), func(s uint32) bool { return s == gi })
	}
	delete(r.groupI, g.key)
	delete(r.work.suspects, gi)
	r.groups[gi] = nil
	r.groupFr = append(r.groupFr, gi)
	r.notifyGroup(gi)
}

// setVia replaces the groups that gi resolves through and says whether they
// are others.
func (r *RIB) setVia(gi uint32, g *group, via []uint32) bool {
	if slices.Equal(g.via, via) {
		return false
	}
	for _, s := range g.via {
		if o := r.groups[s]; o != nil {
			delete(o.deps, gi)
		}
	}
	for _, s := range via {
		o := r.groups[s]
		if o.deps == nil {
			o.deps = make(map[uint32]struct{})
		}
		o.deps[gi] = struct{}{}
	}
	g.via = via
	r.work.gen++
	return true
}

func (r *RIB) linkSet(c, set uint32) {
	cd, g := r.cands.at(c), r.groups[set]
	cd.set, cd.setPrev, cd.setNext = set, 0, g.cands
	if g.cands != 0 {
		r.cands.at(g.cands).setPrev = c
	}
	g.cands = c
	g.ncands++
}

func (r *RIB) unlinkSet(c uint32) {
	cd := r.cands.at(c)
	g := r.groups[cd.set]
	if g.walking && g.walkPos == c {
		g.walkPos = cd.setNext
	}
	if cd.setPrev != 0 {
		r.cands.at(cd.setPrev).setNext = cd.setNext
	} else {
		g.cands = cd.setNext
	}
	if cd.setNext != 0 {
		r.cands.at(cd.setNext).setPrev = cd.setPrev
	}
	g.ncands--
	if g.ncands == 0 {
		r.work.idle = append(r.work.idle, cd.set)
	}
	cd.set, cd.setPrev, cd.setNext = 0, 0, 0
}
