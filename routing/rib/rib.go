package rib

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
)

// Options tunes a RIB. The zero value is good.
type Options struct {
	// Slice is the number of prefixes worked on in one hold of the lock, so
	// that readers and other writers get their turn. Default 4,096.
	Slice int
}

// entry is what the RIB holds of one prefix, in 24 bytes.
type entry struct {
	node  uint32 // in its table's trie; 0: slot is free
	cands uint32 // list of candidates, best preference first
	best  uint32 // the candidate in use, 0: none is eligible
	set   uint32 // group of best
	fib   uint32 // group that the FIB has acknowledged, 0: none
	table uint16
	flags uint8
	code  uint8 // why programming failed, if flagFailed
}

const (
	flagQueued   = 1 << iota // in the feed's queue
	flagInFlight             // handed to the FIB programmer, no answer yet
	flagFailed               // the FIB refused the last operation
)

// candidate is one source's offer for a prefix, in 32 bytes.
type candidate struct {
	set      uint32
	metric   uint32
	next     uint32 // in the entry's list
	entry    uint32
	setPrev  uint32 // in the group's list
	setNext  uint32
	origin   uint16
	epoch    uint16 // the origin's when last added; stale if behind it
	distance uint8
}

type originKey struct {
	source Source
	name   string
}

type origin struct {
	originKey
	epoch uint16
	count int // candidates
}

type instance struct {
	name   string
	id     uint16
	exists bool
	made   uint64    // counts how often it was made
	tables [2]*table // IPv4, IPv6
	// lookups are the groups that have packets looked up here.
	lookups map[uint32]struct{}
}

type table struct {
	id     uint16
	inst   *instance
	routes trie            // prefix to entry
	nhts   trie            // tracked next-hop address to nht
	best   [numSources]int // prefixes by the source of their best candidate
}

// RIB is the routing information base. All its methods may be called
// concurrently.
type RIB struct {
	mu    sync.RWMutex
	vrfMu sync.Mutex // held while an instance is made or deleted, before mu
	opt   Options

	vrfs    map[string]*instance
	byID    []*instance
	tables  []*table
	origins []origin
	originI map[originKey]uint16
	ifaces  map[string]*iface

	entries arena[entry]
	cands   arena[candidate]
	groups  []*group // index 0 unused
	groupFr []uint32
	groupI  map[string]uint32
	nhts    []*nht // index 0 unused
	nhtFr   []uint32

	work     work
	feed     *Feed
	watchers map[*Watcher]struct{}

	groupWatchers map[*GroupWatcher]struct{}

	perSource [numSources]int
	lostBest  uint8 // source bit of a best candidate just removed
	keyBuf    []byte
	hopBuf    []hop
}

// New makes an empty RIB with the default instance.
func New(opt Options) *RIB {
	if opt.Slice <= 0 {
		opt.Slice = 4096
	}
	r := &RIB{
		opt:      opt,
		vrfs:     make(map[string]*instance),
		originI:  make(map[originKey]uint16),
		ifaces:   make(map[string]*iface),
		groups:   make([]*group, 1),
		groupI:   make(map[string]uint32),
		nhts:     make([]*nht, 1),
		watchers: make(map[*Watcher]struct{}),

		groupWatchers: make(map[*GroupWatcher]struct{}),
	}
	r.work.init()
	r.instance(DefaultVRF).exists = true
	return r
}

func canonVRF(name string) string {
	if name == "" {
		return DefaultVRF
	}
	return name
}

// instance returns the instance of that name, made if need be; its id stays
// with the name for good.
func (r *RIB) instance(name string) *instance {
	if in := r.vrfs[name]; in != nil {
		return in
	}
	in := &instance{name: name, id: uint16(len(r.byID))}
	for f := range in.tables {
		t := &table{id: uint16(len(r.tables)), inst: in}
		t.routes.v6, t.nhts.v6 = f == 1, f == 1
		in.tables[f] = t
		r.tables = append(r.tables, t)
	}
	r.byID = append(r.byID, in)
	r.vrfs[name] = in
	return in
}

func (in *instance) table(a netip.Addr) *table {
	if a.Is4() {
		return in.tables[0]
	}
	return in.tables[1]
}

func (r *RIB) lookupVRF(name, field string) (*instance, error) {
	name = canonVRF(name)
	if in := r.vrfs[name]; in != nil && in.exists {
		return in, nil
	}
	return nil, &notFoundError{FieldError{Field: field, Reason: fmt.Sprintf("no network instance %q", name)}}
}

// notFoundError is a FieldError that is also ErrNotFound.
type notFoundError struct{ FieldError }

func (e *notFoundError) Unwrap() []error { return []error{ErrNotFound, &e.FieldError} }

// Apply makes the changes in order and returns when best routes and resolution
// have settled. The result is nil if all were accepted, otherwise it holds one
// error per change. Distinct slices of changes may interleave with those of
// other callers. The next-hop slices are not kept.
func (r *RIB) Apply(changes []Change) []error {
	var errs []error
	var memo setMemo
	settled := true
	for off := 0; off < len(changes); off += r.opt.Slice {
		end := min(off+r.opt.Slice, len(changes))
		r.mu.Lock()
		r.work.newOp()
		memo = setMemo{}
		for i := off; i < end; i++ {
			if err := r.change(&changes[i], &memo); err != nil {
				if errs == nil {
					errs = make([]error, len(changes))
				}
				errs[i] = err
			}
		}
		settled = r.step(r.opt.Slice)
		r.mu.Unlock()
	}
	if !settled {
		r.settle()
	}
	return errs
}

func (r *RIB) change(c *Change, memo *setMemo) error {
	rt := &c.Route
	in, err := r.lookupVRF(rt.VRF, "vrf")
	if err != nil {
		return err
	}
	if err := checkPrefix(rt); err != nil {
		return err
	}
	t := in.table(rt.Prefix.Addr())
	switch c.Op {
	case Add:
		return r.add(t, rt, memo)
	case Delete:
		k, plen := addrKey(rt.Prefix.Addr()), uint8(rt.Prefix.Bits())
		if n := t.routes.find(k, plen); n != 0 {
			ei := t.routes.nodes.at(n).val
			if c := r.findCand(ei, originKey{rt.Source, rt.Origin}); c != 0 {
				r.removeCand(c)
				r.evalEntry(ei)
				r.reap(ei)
				return nil
			}
		}
		return fmt.Errorf("route %s of %s %q in %s: %w", rt.Prefix, rt.Source, rt.Origin, in.name, ErrNotFound)
	}
	return fieldErr("op", "%d is neither add nor delete", c.Op)
}

func checkPrefix(rt *Route) error {
	p := rt.Prefix
	switch {
	case !p.IsValid():
		return fieldErr("prefix", "is missing or invalid")
	case p.Addr().Is4In6():
		return fieldErr("prefix", "%s is an IPv4-mapped IPv6 prefix", p)
	case p != p.Masked():
		return fieldErr("prefix", "%s has bits set beyond its length", p)
	case rt.Source >= numSources:
		return fieldErr("source", "%d is unknown", rt.Source)
	}
	return nil
}

func (r *RIB) add(t *table, rt *Route, memo *setMemo) error {
	oi, err := r.origin(originKey{rt.Source, rt.Origin})
	if err != nil {
		return err
	}
	set, err := r.intern(t, rt, memo)
	if err != nil {
		return err
	}
	distance := rt.Distance
	if distance == 0 {
		distance = rt.Source.DefaultDistance()
	}
	k, plen := addrKey(rt.Prefix.Addr()), uint8(rt.Prefix.Bits())
	n := t.routes.insert(k, plen)
	ei := t.routes.nodes.at(n).val
	if ei == 0 {
		ei = r.entries.alloc()
		e := r.entries.at(ei)
		e.node, e.table = n, t.id
		t.routes.setVal(n, ei)
	}
	c := uint32(0)
	for i := r.entries.at(ei).cands; i != 0; i = r.cands.at(i).next {
		if r.cands.at(i).origin == oi {
			c = i
			break
		}
	}
	if c == 0 {
		c = r.cands.alloc()
		cd := r.cands.at(c)
		cd.entry, cd.origin, cd.distance, cd.metric = ei, oi, distance, rt.Metric
		r.origins[oi].count++
		r.perSource[rt.Source]++
		r.linkSet(c, set)
		r.linkEntry(c)
	} else {
		cd := r.cands.at(c)
		cd.epoch = r.origins[oi].epoch
		if cd.set == set && cd.distance == distance && cd.metric == rt.Metric {
			return nil
		}
		if cd.set != set {
			r.unlinkSet(c)
			r.linkSet(c, set)
		}
		if cd.distance != distance || cd.metric != rt.Metric {
			r.unlinkEntry(c)
			cd.distance, cd.metric = distance, rt.Metric
			r.linkEntry(c)
		}
		if r.entries.at(ei).best == c {
			r.notify(ei, sourceBit(rt.Source))
		}
	}
	r.cands.at(c).epoch = r.origins[oi].epoch
	r.evalEntry(ei)
	return nil
}

func (r *RIB) origin(k originKey) (uint16, error) {
	if i, ok := r.originI[k]; ok {
		return i, nil
	}
	if len(r.origins) > 65535 {
		// An origin without candidates gives its place up.
		for i := range r.origins {
			if o := &r.origins[i]; o.count == 0 {
				delete(r.originI, o.originKey)
				*o = origin{originKey: k}
				r.originI[k] = uint16(i)
				return uint16(i), nil
			}
		}
		return 0, fieldErr("origin", "more than 65,536 origins are in use")
	}
	i := uint16(len(r.origins))
	r.origins = append(r.origins, origin{originKey: k})
	r.originI[k] = i
	return i, nil
}

func (r *RIB) findCand(ei uint32, k originKey) uint32 {
	oi, ok := r.originI[k]
	if !ok {
		return 0
	}
	for c := r.entries.at(ei).cands; c != 0; c = r.cands.at(c).next {
		if r.cands.at(c).origin == oi {
			return c
		}
	}
	return 0
}

// removeCand takes a candidate out; the caller evaluates and reaps its entry.
// removeCand frees a candidate; evalEntry has to follow before anything else.
func (r *RIB) removeCand(c uint32) {
	cd := r.cands.at(c)
	if r.entries.at(cd.entry).best == c {
		r.lostBest = sourceBit(r.origins[cd.origin].source)
	}
	r.unlinkSet(c)
	r.unlinkEntry(c)
	delete(r.work.blocked, c)
	o := &r.origins[cd.origin]
	o.count--
	r.perSource[o.source]--
	r.cands.release(c)
}

// prefer orders candidates: negative if a goes before b.
func (r *RIB) prefer(a, b *candidate) int {
	if a.distance != b.distance {
		return int(a.distance) - int(b.distance)
	}
	if a.metric != b.metric {
		return cmp.Compare(a.metric, b.metric)
	}
	oa, ob := &r.origins[a.origin], &r.origins[b.origin]
	if oa.source != ob.source {
		return int(oa.source) - int(ob.source)
	}
	return cmp.Compare(oa.name, ob.name)
}

func (r *RIB) linkEntry(c uint32) {
	cd := r.cands.at(c)
	p := &r.entries.at(cd.entry).cands
	for *p != 0 && r.prefer(r.cands.at(*p), cd) < 0 {
		p = &r.cands.at(*p).next
	}
	cd.next = *p
	*p = c
}

func (r *RIB) unlinkEntry(c uint32) {
	cd := r.cands.at(c)
	p := &r.entries.at(cd.entry).cands
	for *p != c {
		p = &r.cands.at(*p).next
	}
	*p = cd.next
	cd.next = 0
}

// reap frees an entry that nobody needs any more.
func (r *RIB) reap(ei uint32) {
	e := r.entries.at(ei)
	if e.node == 0 || e.cands != 0 || e.fib != 0 || e.flags != 0 {
		return
	}
	r.tables[e.table].routes.remove(e.node)
	r.entries.release(ei)
}

func (r *RIB) entryPrefix(e *entry) netip.Prefix { return r.tables[e.table].routes.prefix(e.node) }

// CreateVRF makes a network instance; it is no error if it exists. At most
// 32,768 names are ever taken.
func (r *RIB) CreateVRF(name string) error {
	if name = canonVRF(name); len(name) > 255 {
		return fieldErr("name", "is longer than 255 bytes")
	}
	r.vrfMu.Lock()
	defer r.vrfMu.Unlock()
	r.mu.Lock()
	if r.vrfs[name] == nil && len(r.byID) >= 32768 {
		r.mu.Unlock()
		return fieldErr("name", "32,768 network instances have been named already")
	}
	in := r.instance(name)
	settled := true
	if !in.exists {
		in.exists = true
		in.made++
		settled = r.lookupsChanged(in)
	}
	r.mu.Unlock()
	if !settled {
		r.settle()
	}
	return nil
}

// DeleteVRF removes a network instance with its routes. Next hops of other
// instances that resolve in it become unresolved.
func (r *RIB) DeleteVRF(name string) error {
	name = canonVRF(name)
	if name == DefaultVRF {
		return fieldErr("name", "the default network instance cannot be deleted")
	}
	r.vrfMu.Lock()
	defer r.vrfMu.Unlock()
	r.mu.Lock()
	in, err := r.lookupVRF(name, "name")
	if err != nil {
		r.mu.Unlock()
		return err
	}
	in.exists = false
	r.lookupsChanged(in)
	r.mu.Unlock()
	r.removeWhere(func(e *entry, _ *candidate) bool {
		return r.tables[e.table].inst == in
	})
	return nil
}

// lookupsChanged has the groups that look packets up in an instance resolved
// again and says whether that is done.
func (r *RIB) lookupsChanged(in *instance) bool {
	if len(in.lookups) == 0 {
		return true
	}
	r.work.newOp()
	r.work.gen++
	for _, g := range slices.Sorted(maps.Keys(in.lookups)) {
		r.markDirty(g)
	}
	return r.step(r.opt.Slice)
}

// VRFMade tells whether an instance exists, and how often it has been made: what
// a source put into an earlier one of the same name has gone with it.
func (r *RIB) VRFMade(name string) (times uint64, exists bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	in := r.vrfs[canonVRF(name)]
	if in == nil || !in.exists {
		return 0, false
	}
	return in.made, true
}

// VRFs lists the network instances in the order of their names.
func (r *RIB) VRFs() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.vrfNames()
}

func (r *RIB) vrfNames() []string {
	var names []string
	for n, in := range r.vrfs {
		if in.exists {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// removeWhere removes the candidates that f picks, in slices, and settles.
func (r *RIB) removeWhere(f func(*entry, *candidate) bool) int {
	removed := 0
	for i := uint32(1); ; {
		r.mu.Lock()
		r.work.newOp()
		end := r.entries.end()
		for n := 0; n < r.opt.Slice && i < end; n, i = n+1, i+1 {
			e := r.entries.at(i)
			if e.node == 0 {
				continue
			}
			hit := false
			for c := e.cands; c != 0; {
				cd := r.cands.at(c)
				next := cd.next
				if f(e, cd) {
					r.removeCand(c)
					removed++
					hit = true
				}
				c = next
			}
			if hit {
				r.evalEntry(i)
				r.reap(i)
				end = r.entries.end()
			}
		}
		r.step(r.opt.Slice)
		r.mu.Unlock()
		if i >= end {
			break
		}
	}
	r.settle()
	return removed
}

// MarkStale marks every candidate of an origin as stale: those not added again
// by the time of SweepStale are removed by it. It takes no time at all.
func (r *RIB) MarkStale(source Source, origin string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.originI[originKey{source, origin}]; ok {
		r.origins[i].epoch++
	}
}

// SweepStale removes the stale candidates of an origin and returns how many.
func (r *RIB) SweepStale(source Source, name string) int {
	k := originKey{source, name}
	return r.removeWhere(func(_ *entry, c *candidate) bool {
		o := &r.origins[c.origin]
		return o.originKey == k && c.epoch != o.epoch
	})
}

// DeleteOrigin removes every candidate of an origin and returns how many.
func (r *RIB) DeleteOrigin(source Source, name string) int {
	k := originKey{source, name}
	return r.removeWhere(func(_ *entry, c *candidate) bool { return r.origins[c.origin].originKey == k })
}

// SetInterfaceState says whether an interface is usable: present, enabled and
// with link. One never mentioned is not.
func (r *RIB) SetInterfaceState(name string, up bool) {
	r.mu.Lock()
	r.work.newOp()
	f := r.ifaces[name]
	if f == nil {
		f = &iface{name: name}
		r.ifaces[name] = f
	}
	if f.up != up {
		f.up = up
		r.work.gen++
		for _, g := range slices.Sorted(maps.Keys(f.groups)) {
			r.markDirty(g)
		}
	}
	r.dropIface(f)
	settled := r.step(r.opt.Slice)
	r.mu.Unlock()
	if !settled {
		r.settle()
	}
}

// Stats counts what the RIB holds.
type Stats struct {
	Prefixes   int            // with a candidate, or still to be removed from the FIB
	Candidates map[Source]int // by source
	Groups     int            // distinct sets of next hops
	NextHops   int            // tracked (instance, address) pairs
	Blocked    int            // candidates held back because they would close a loop
}

// Stats returns the present counts.
func (r *RIB) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := Stats{
		Prefixes:   r.entries.live(),
		Candidates: make(map[Source]int),
		Groups:     len(r.groups) - 1 - len(r.groupFr),
		NextHops:   len(r.nhts) - 1 - len(r.nhtFr),
		Blocked:    len(r.work.blocked),
	}
	for i, n := range r.perSource {
		if n > 0 {
			s.Candidates[Source(i)] = n
		}
	}
	return s
}
