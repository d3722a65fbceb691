package rib

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// The model: a map of candidates and brute force. Which of two routes that
// exclude each other by a loop is installed depends on history, so the model
// takes which candidates are in use from the RIB and checks that each is what
// it must be given the others: the first of its prefix that resolves.

type modelKey struct {
	vrf string
	p   netip.Prefix
}

type model struct {
	cands map[modelKey][]Route
	up    map[string]bool
	vrfs  map[string]bool
	used  map[modelKey]string // the set in use
	sets  map[string]modelSet
	named map[string][]NextHop
}

type modelSet struct {
	kind Kind
	hops []NextHop // with instance
}

func (m *model) set(rt *Route) string {
	s := modelSet{kind: rt.Kind}
	hops := rt.NextHops
	if rt.Group != "" {
		hops = m.named[rt.Group]
	}
	for _, h := range hops {
		h.VRF = canonVRF(h.VRF)
		if h.Weight == 0 {
			h.Weight = 1
		}
		found := false
		for i := range s.hops {
			if o := &s.hops[i]; o.VRF == h.VRF && o.Addr == h.Addr && o.Interface == h.Interface && o.Backup == h.Backup && o.Lookup == h.Lookup {
				o.Weight += h.Weight
				found = true
			}
		}
		if !found {
			s.hops = append(s.hops, h)
		}
	}
	sort.Slice(s.hops, func(i, j int) bool { return fmt.Sprint(s.hops[i]) < fmt.Sprint(s.hops[j]) })
	k := fmt.Sprint(s)
	if rt.Group != "" {
		k = "@" + rt.Group // another one than an equal list of next hops
	}
	m.sets[k] = s
	return k
}

// resolve returns the shares of a set's members by their text.
func (m *model) resolve(set string, at modelKey, with string, stack []string) map[string]*big.Rat {
	s := m.sets[set]
	if s.kind != KindUnicast {
		return map[string]*big.Rat{s.kind.String(): big.NewRat(1, 1)}
	}
	stack = append(slices.Clone(stack), set)
	for backup := range uint8(4) {
		if out := m.resolveHops(s, set, backup, at, with, stack); len(out) > 0 {
			return out
		}
	}
	return nil
}

// resolveHops resolves those of a set's next hops that have a number of Backup.
func (m *model) resolveHops(s modelSet, set string, backup uint8, at modelKey, with string, stack []string) map[string]*big.Rat {
	out := make(map[string]*big.Rat)
	for _, h := range s.hops {
		if h.Backup != backup {
			continue
		}
		sub := make(map[string]*big.Rat)
		if h.Lookup {
			sub[KindLookup.String()] = big.NewRat(1, 1)
		} else if h.Interface != "" {
			if m.up[h.Interface] {
				sub[h.Interface+"|"+h.VRF+"|"+h.Addr.String()] = big.NewRat(1, 1)
			}
		} else {
			best, next := -1, ""
			for k := range m.cands {
				u := m.used[k]
				if k == at {
					u = with
				}
				if u != "" && u != set && k.vrf == h.VRF && k.p.Contains(h.Addr) && k.p.Bits() > best {
					best, next = k.p.Bits(), u
				}
			}
			if next == "" || slices.Contains(stack, next) {
				continue
			}
			for t, w := range m.resolve(next, at, with, stack) {
				if t == KindPunt.String() {
					continue
				}
				t = strings.Replace(t, "invalid IP", h.Addr.String(), 1)
				if sub[t] != nil {
					w = new(big.Rat).Add(w, sub[t])
				}
				sub[t] = w
			}
		}
		total := new(big.Rat)
		for _, w := range sub {
			total.Add(total, w)
		}
		for t, w := range sub {
			w := new(big.Rat).Mul(new(big.Rat).Quo(w, total), big.NewRat(int64(h.Weight), 1))
			if out[t] == nil {
				out[t] = new(big.Rat)
			}
			out[t].Add(out[t], w)
		}
	}
	return out
}

// sameShares compares members with shares: exactly in who they are, and
// nearly in the weights, which are rounded where they would grow too large.
func sameShares(ms []Member, shares map[string]*big.Rat) error {
	if len(ms) != len(shares) {
		return fmt.Errorf("%d members, want %d", len(ms), len(shares))
	}
	total, sum := new(big.Rat), 0.0
	for _, w := range shares {
		total.Add(total, w)
	}
	for _, x := range ms {
		sum += float64(x.Weight)
	}
	for _, x := range ms {
		w := shares[textMember(x)]
		if w == nil {
			return fmt.Errorf("member %s is none", textMember(x))
		}
		share, _ := new(big.Rat).Quo(w, total).Float64()
		if got := float64(x.Weight) / sum; got < share*0.99-0.0005 || got > share*1.01+0.0005 {
			return fmt.Errorf("member %s has %f of the weight, want %f", textMember(x), got, share)
		}
	}
	return nil
}

func textMember(x Member) string {
	if x.Kind != KindUnicast {
		return x.Kind.String()
	}
	return x.Interface + "|" + x.VRF + "|" + x.Gateway.String()
}

func textMembers(ms []Member) string {
	var out []string
	for _, x := range ms {
		out = append(out, fmt.Sprintf("%s*%d", textMember(x), x.Weight))
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// check compares all prefixes with the model.
func (m *model) check(r *RIB) error {
	list, _, err := r.List(Filter{}, Cursor{}, 10000)
	if err != nil {
		return err
	}
	if len(list) != len(m.cands) {
		return fmt.Errorf("%d prefixes listed, want %d", len(list), len(m.cands))
	}
	m.used = make(map[modelKey]string)
	for i := range list {
		ri := &list[i]
		k := modelKey{ri.VRF, ri.Prefix}
		if len(m.cands[k]) != len(ri.Candidates) {
			return fmt.Errorf("%v: %d candidates, want %d", k, len(ri.Candidates), len(m.cands[k]))
		}
		if ri.Best >= 0 {
			c := &ri.Candidates[ri.Best].Route
			for j := range m.cands[k] {
				if o := &m.cands[k][j]; o.Source == c.Source && o.Origin == c.Origin {
					m.used[k] = m.set(o)
				}
			}
		}
	}
	for i := range list {
		ri := &list[i]
		k := modelKey{ri.VRF, ri.Prefix}
		cs := m.cands[k]
		sort.Slice(cs, func(i, j int) bool {
			a, b := &cs[i], &cs[j]
			if a.Distance != b.Distance {
				return a.Distance < b.Distance
			}
			if a.Metric != b.Metric {
				return a.Metric < b.Metric
			}
			if a.Source != b.Source {
				return a.Source < b.Source
			}
			return a.Origin < b.Origin
		})
		best := -1
		var shares map[string]*big.Rat
		for j := range cs {
			set := m.set(&cs[j])
			if shares = m.resolve(set, k, set, nil); len(shares) > 0 {
				best = j
				break
			}
		}
		if best != ri.Best {
			return fmt.Errorf("%v: candidate %d is in use, want %d\n%+v", k, ri.Best, best, ri)
		}
		if best < 0 {
			continue
		}
		if err := sameShares(ri.Resolved, shares); err != nil {
			return fmt.Errorf("%v: resolves to %s: %w", k, textMembers(ri.Resolved), err)
		}
	}
	return nil
}

// mirror is a FIB that follows the feed.
type mirror struct {
	f      *Feed
	rng    *rand.Rand
	groups map[uint32][]Member
	routes map[modelKey]uint32
	flight [][]Delta
}

// pump hands batches out and acknowledges them late, some with failures.
func (m *mirror) pump(t *testing.T, fail float64, all bool) {
	for {
		ds, more := m.f.Pull(nil, 1+m.rng.IntN(20))
		if len(ds) > 0 {
			m.flight = append(m.flight, ds)
		}
		for len(m.flight) > 0 && (all || m.rng.IntN(2) == 0) {
			ds := m.flight[0]
			m.flight = m.flight[1:]
			codes := make([]uint8, len(ds))
			for i := range ds {
				codes[i] = m.do(t, &ds[i], fail)
			}
			m.f.Ack(ds, codes)
			more = true
		}
		if !more || !all && m.rng.IntN(3) == 0 {
			return
		}
	}
}

func (m *mirror) do(t *testing.T, d *Delta, fail float64) uint8 {
	if m.rng.Float64() < fail {
		return 7
	}
	k := modelKey{d.VRF, d.Prefix}
	switch d.Op {
	case GroupUpdate:
		if len(d.Members) == 0 {
			t.Fatal("empty group")
		}
		m.groups[d.Group] = d.Members
	case GroupDelete:
		for k, g := range m.routes {
			if g == d.Group {
				t.Fatalf("group %d deleted while %v uses it", g, k)
			}
		}
		delete(m.groups, d.Group)
	case RouteUpdate:
		if m.groups[d.Group] == nil {
			return 3
		}
		m.routes[k] = d.Group
	case RouteDelete:
		if _, ok := m.routes[k]; !ok {
			t.Fatalf("deletes %v, which is not there", k)
		}
		delete(m.routes, k)
	}
	return 0
}

func (m *mirror) check(r *RIB) error {
	list, _, _ := r.List(Filter{BestOnly: true}, Cursor{}, 10000)
	n := 0
	inUse := func(ms []Member) (out []Member) {
		for i, m := range ms {
			if m.Backup == 0 {
				out = append(out, m)
			}
			if m.Backup > 0 && i == 0 || i > 0 && (m.Backup < ms[i-1].Backup || m.Backup > ms[i-1].Backup+1) {
				return nil
			}
		}
		return out
	}
	for i := range list {
		ri := &list[i]
		if ri.Candidates[ri.Best].Route.Source == SourceConnected {
			continue
		}
		n++
		g, ok := m.routes[modelKey{ri.VRF, ri.Prefix}]
		if !ok || textMembers(inUse(m.groups[g])) != textMembers(ri.Resolved) {
			return fmt.Errorf("%s: FIB has %s, want %s", ri.Prefix, textMembers(m.groups[g]), textMembers(ri.Resolved))
		}
		if ri.FIB != FIBInstalled {
			return fmt.Errorf("%s: state %s", ri.Prefix, ri.FIB)
		}
	}
	if n != len(m.routes) {
		return fmt.Errorf("FIB has %d routes, want %d", len(m.routes), n)
	}
	used := make(map[uint32]bool)
	for _, g := range m.routes {
		used[g] = true
	}
	if len(used) != len(m.groups) {
		return fmt.Errorf("FIB has %d groups, %d are used", len(m.groups), len(used))
	}
	if st := m.f.Stats(); st.Programmed != n || st.Pending+st.InFlight+st.Failed+st.FailedGroups != 0 {
		return fmt.Errorf("stats %+v, want %d programmed", st, n)
	}
	return nil
}

func randomRoute(rng *rand.Rand, vrfs []string) Route {
	// Few addresses, so that routes cover each other's next hops, and loop.
	octet := func() byte { return byte(rng.IntN(4)) }
	rt := Route{
		VRF:    vrfs[rng.IntN(len(vrfs))],
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, octet(), 0, octet() << 6}), []int{0, 8, 16, 24, 26, 26, 32}[rng.IntN(7)]).Masked(),
		Source: Source(1 + rng.IntN(3)), Origin: []string{"", "x"}[rng.IntN(2)],
		Distance: uint8(1 + rng.IntN(3)), Metric: uint32(rng.IntN(2)),
	}
	v6 := rng.IntN(5) == 0
	if v6 {
		rt.Prefix = netip.PrefixFrom(addr(fmt.Sprintf("2001:db8:%d::", octet())), []int{0, 32, 48, 64}[rng.IntN(4)]).Masked()
	}
	if rng.IntN(12) == 0 {
		rt.Kind = Kind(1 + rng.IntN(3))
		return rt
	}
	for range 1 + rng.IntN(3) {
		nh := NextHop{Addr: netip.AddrFrom4([4]byte{10, octet(), 0, octet()<<6 + 1}), Weight: uint32(rng.IntN(4))}
		if v6 || rng.IntN(6) == 0 {
			nh.Addr = addr(fmt.Sprintf("2001:db8:%d::1", octet()))
		}
		switch rng.IntN(8) {
		case 0:
			nh.Interface = fmt.Sprintf("eth%d", octet())
		case 1:
			nh = NextHop{Interface: fmt.Sprintf("eth%d", octet()), Weight: nh.Weight}
		case 2:
			nh.VRF = vrfs[rng.IntN(len(vrfs))]
		}
		if nh.VRF == "" {
			nh.VRF = rt.VRF
		}
		nh.Backup = uint8(rng.IntN(8) / 5)
		if rng.IntN(20) == 0 {
			nh = NextHop{VRF: "red", Lookup: true, Backup: nh.Backup}
		}
		rt.NextHops = append(rt.NextHops, nh)
	}
	return rt
}

func runModel(t *testing.T, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := New(Options{Slice: 1 + rng.IntN(8)})
	m := &model{cands: make(map[modelKey][]Route), up: make(map[string]bool), vrfs: map[string]bool{}, sets: make(map[string]modelSet),
		named: make(map[string][]NextHop)}
	mi := &mirror{f: r.Feed(), rng: rng, groups: make(map[uint32][]Member), routes: make(map[modelKey]uint32)}
	vrfs := []string{DefaultVRF, "red"}
	if err := r.CreateVRF("red"); err != nil {
		t.Fatal(err)
	}
	apply := func(op Op, rt Route) Change {
		k := modelKey{rt.VRF, rt.Prefix}
		m.cands[k] = slices.DeleteFunc(m.cands[k], func(o Route) bool { return o.Source == rt.Source && o.Origin == rt.Origin })
		if op == Add {
			m.cands[k] = append(m.cands[k], rt)
		} else if len(m.cands[k]) == 0 {
			delete(m.cands, k)
		}
		return Change{op, rt}
	}
	for i := range 4 {
		rt := Route{VRF: vrfs[i/3], Prefix: pfx(fmt.Sprintf("10.%d.0.0/24", i)), Source: SourceConnected,
			NextHops: []NextHop{{Interface: fmt.Sprintf("eth%d", i), VRF: vrfs[i/3]}}}
		r.Apply([]Change{apply(Add, rt)})
		rt.Prefix = pfx(fmt.Sprintf("2001:db8:%d::/64", i))
		r.Apply([]Change{apply(Add, rt)})
	}
	for step := range steps {
		var what string
		switch n := rng.IntN(20); {
		case n < 3:
			name := fmt.Sprintf("eth%d", rng.IntN(4))
			m.up[name] = rng.IntN(3) > 0
			r.SetInterfaceState(name, m.up[name])
			what = "interface"
		case n == 3 && rng.IntN(10) == 0:
			if err := r.DeleteVRF("red"); err != nil {
				t.Fatal(err)
			}
			for k := range m.cands {
				if k.vrf == "red" {
					delete(m.cands, k)
				}
			}
			if err := r.CreateVRF("red"); err != nil {
				t.Fatal(err)
			}
			what = "vrf"
		case n < 6:
			name := fmt.Sprintf("g%d", rng.IntN(3))
			rt := randomRoute(rng, vrfs)
			if rt.Kind != KindUnicast {
				continue
			}
			if err := r.SetGroup(name, rt.NextHops); err != nil {
				t.Fatalf("seed %d step %d: %+v: %v", seed, step, rt, err)
			}
			m.named[name] = rt.NextHops
			what = fmt.Sprintf("group %s: %+v", name, rt.NextHops)
		default:
			var cs []Change
			for range 1 + rng.IntN(4) {
				if len(m.cands) > 8 && rng.IntN(5) < 2 || len(m.cands) > 18 {
					keys := make([]modelKey, 0, len(m.cands))
					for k := range m.cands {
						keys = append(keys, k)
					}
					sort.Slice(keys, func(i, j int) bool { return fmt.Sprint(keys[i]) < fmt.Sprint(keys[j]) })
					k := keys[rng.IntN(len(keys))]
					cs = append(cs, apply(Delete, m.cands[k][rng.IntN(len(m.cands[k]))]))
				} else {
					rt := randomRoute(rng, vrfs)
					if name := fmt.Sprintf("g%d", rng.IntN(12)); m.named[name] != nil {
						rt.Kind, rt.NextHops, rt.Group = KindUnicast, nil, name
					}
					cs = append(cs, apply(Add, rt))
				}
			}
			for i, err := range r.Apply(cs) {
				if err != nil {
					t.Fatalf("seed %d step %d: %+v: %v", seed, step, cs[i], err)
				}
			}
			what = fmt.Sprintf("%+v", cs)
		}
		for gi, g := range r.groups {
			if g != nil && g.flips > maxFlips {
				t.Fatalf("seed %d step %d: group %d went to and fro", seed, step, gi)
			}
		}
		if r.work.rounds >= maxRounds {
			t.Fatalf("seed %d step %d: %d rounds", seed, step, r.work.rounds)
		}
		if err := m.check(r); err != nil {
			t.Fatalf("seed %d step %d: %s: %v", seed, step, what, err)
		}
		mi.pump(t, 0.05, false)
		if rng.IntN(10) == 0 {
			mi.pump(t, 0, true)
			mi.f.RetryFailed(1 << 20)
			mi.pump(t, 0, true)
			if err := mi.check(r); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
		}
		if rng.IntN(100) == 0 { // the FIB restarts
			mi.flight = nil
			clear(mi.groups)
			clear(mi.routes)
			mi.f.Reset()
		}
	}
	// Take everything away: nothing may be left over.
	r.removeWhere(func(*entry, *candidate) bool { return true })
	for name := range m.named {
		if err := r.DeleteGroup(name); err != nil {
			t.Fatal(err)
		}
	}
	mi.pump(t, 0, true)
	mi.f.RetryFailed(1 << 20)
	mi.pump(t, 0, true)
	if len(mi.routes)+len(mi.groups) != 0 {
		t.Errorf("seed %d: FIB keeps %d routes, %d groups", seed, len(mi.routes), len(mi.groups))
	}
	if st := r.Stats(); st.Prefixes+st.Groups+st.NextHops+st.Blocked != 0 {
		t.Errorf("seed %d: left over %+v", seed, st)
	}
}

func TestModel(t *testing.T) {
	seeds := uint64(15)
	if testing.Short() {
		seeds = 5
	}
	if n, err := strconv.ParseUint(os.Getenv("RIB_MODEL_SEEDS"), 10, 32); err == nil {
		seeds = n
	}
	for seed := range seeds {
		runModel(t, seed, 200)
	}
}

func FuzzModel(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { runModel(t, seed, 60) })
}
