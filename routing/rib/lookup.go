package rib

import (
	"fmt"
	"net/netip"
	"slices"
)

// maxSteps bounds an explanation.
const maxSteps = 256

// Step is one level of an explanation: an address looked up in an instance.
type Step struct {
	Level   int // 0 is the address asked for, others are next hops
	VRF     string
	Addr    netip.Addr
	Found   bool
	Prefix  netip.Prefix
	Best    CandidateInfo
	Others  []CandidateInfo // the prefix's other candidates, in order of preference
	Skipped []Skipped       // longer prefixes that cover the address and were not taken
	Why     string          // why Best won, or why there is none
	Hops    []HopStep       // what became of each next hop of Best
}

// Skipped is a prefix that covers the address and was passed over.
type Skipped struct {
	Prefix netip.Prefix
	Reason string
}

// HopStep is a next hop of a step's best candidate.
type HopStep struct {
	NextHop NextHop
	Members []Member // what it resolves to, nil if unresolved
	Result  string
	Step    int // index of the step that resolves it, -1 if none does
}

// Explanation is the answer of Lookup.
type Explanation struct {
	VRF     string
	Addr    netip.Addr
	Steps   []Step   // Steps[0] is for Addr
	Members []Member // where packets go; nil: there is no route
	FIB     FIBState // of the prefix matched
	Verdict string   // one line for people
}

// Lookup says which route takes an address, and why.
func (r *RIB) Lookup(vrf string, a netip.Addr) (Explanation, error) {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
		return Explanation{}, fieldErr("addr", "%s is not a plain IPv4 or IPv6 address", a)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	in, err := r.lookupVRF(vrf, "vrf")
	if err != nil {
		return Explanation{}, err
	}
	x := explainer{r: r, ex: Explanation{VRF: in.name, Addr: a}, seen: make(map[uint32]int)}
	x.step(0, in, a, 0)
	if s := &x.ex.Steps[0]; s.Found {
		t := in.table(a)
		e := r.entries.at(t.routes.nodes.at(t.routes.find(addrKey(s.Prefix.Addr()), uint8(s.Prefix.Bits()))).val)
		ri := r.info(e)
		x.ex.Members, x.ex.FIB = ri.Resolved, ri.FIB
		x.ex.Verdict = fmt.Sprintf("%s by %s (%s, distance %d): %s", a, s.Prefix, s.Best.Route.Source,
			s.Best.Route.Distance, describe(ri.Resolved, a))
	} else {
		x.ex.Verdict = fmt.Sprintf("%s: no route", a)
	}
	return x.ex, nil
}

// Resolve returns where packets to an address go, nil if there is no route. A
// member whose gateway is invalid has the address on its link.
func (r *RIB) Resolve(vrf string, a netip.Addr) ([]Member, error) {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
		return nil, fieldErr("addr", "%s is not a plain IPv4 or IPv6 address", a)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	in, err := r.lookupVRF(vrf, "vrf")
	if err != nil {
		return nil, err
	}
	v := resolver{r: r}
	h := hop{vrf: in.id, addr: a}
	if _, set, _ := v.match(0, &h); set != 0 {
		return r.groups[set].members, nil
	}
	return nil, nil
}

func describe(ms []Member, a netip.Addr) string {
	s := ""
	for i, m := range ms {
		if i == 4 {
			return s + fmt.Sprintf(", and %d more", len(ms)-i)
		}
		if i > 0 {
			s += ", "
		}
		switch {
		case m.Kind == KindLookup:
			s += "looked up again in " + m.VRF
		case m.Kind != KindUnicast:
			s += m.Kind.String()
		case m.Gateway.IsValid():
			s += fmt.Sprintf("via %s on %s", m.Gateway, m.Interface)
		default:
			s += fmt.Sprintf("%s directly on %s", a, m.Interface)
		}
		if len(ms) > 1 {
			s += fmt.Sprintf(" (weight %d)", m.Weight)
		}
	}
	return s
}

type explainer struct {
	r     *RIB
	ex    Explanation
	seen  map[uint32]int // tracked next hop to its step
	stack []uint32       // groups on the way, against loops
}

// step explains one look-up for a next hop of group user (0 for the address
// asked for) and returns its index.
func (x *explainer) step(level int, in *instance, a netip.Addr, user uint32) int {
	r := x.r
	t := in.table(a)
	at := len(x.ex.Steps)
	x.ex.Steps = append(x.ex.Steps, Step{})
	s := Step{Level: level, VRF: in.name, Addr: a}
	cov := t.routes.covering(addrKey(a), uint8(a.BitLen()), nil)
	var e *entry
	for i := len(cov) - 1; i >= 0 && e == nil; i-- {
		c := r.entries.at(cov[i])
		switch {
		case c.cands == 0: // only waits to be removed from the FIB
		case c.set == 0:
			ci := r.candInfo(t, r.entryPrefix(c), c.cands)
			s.Skipped = append(s.Skipped, Skipped{r.entryPrefix(c), "no eligible candidate: " + ci.Reason})
		case c.set == user:
			s.Skipped = append(s.Skipped, Skipped{r.entryPrefix(c), "a route does not resolve through itself"})
		default:
			e = c
		}
	}
	if e == nil {
		s.Why = "no route covers the address"
		x.ex.Steps[at] = s
		return at
	}
	ri := r.info(e)
	s.Found, s.Prefix, s.Best = true, ri.Prefix, ri.Candidates[ri.Best]
	s.Others = slices.Concat(ri.Candidates[:ri.Best], ri.Candidates[ri.Best+1:])
	s.Why = whyBest(&ri)
	g := r.groups[e.set]
	x.stack = append(x.stack, e.set)
	v := resolver{r: r, stack: slices.Clone(x.stack)}
	for i := range g.hops {
		h := &g.hops[i]
		hs := HopStep{NextHop: r.nextHop(t, h), Step: -1}
		var set uint32
		hs.Members, set, _, _ = v.hop(e.set, h)
		switch {
		case h.lookup && hs.Members == nil:
			hs.Result = "no such network instance"
		case h.lookup:
			hs.Result = "looked up again in " + r.byID[h.vrf].name
		case h.iface != nil && hs.Members == nil:
			hs.Result = fmt.Sprintf("interface %s is down", h.iface.name)
		case h.iface != nil:
			hs.Result = "on " + h.iface.name
		case slices.Contains(x.stack, set):
			hs.Result = "loop: leads back to the route it is a next hop of"
		case level+1 >= MaxDepth || len(x.ex.Steps) >= maxSteps:
			hs.Result = "not followed further"
		default:
			var ok bool
			if hs.Step, ok = x.seen[h.nht]; !ok {
				hs.Step = x.step(level+1, r.byID[h.vrf], h.addr, e.set)
				x.seen[h.nht] = hs.Step
			}
			hs.Result = "unresolved"
			if hs.Members != nil {
				hs.Result = describe(hs.Members, h.addr)
			}
		}
		s.Hops = append(s.Hops, hs)
	}
	x.stack = x.stack[:len(x.stack)-1]
	x.ex.Steps[at] = s
	return at
}

// whyBest says what decided for the best candidate of a prefix.
func whyBest(ri *RouteInfo) string {
	best := &ri.Candidates[ri.Best]
	if ri.Best > 0 {
		pre := &ri.Candidates[0]
		return fmt.Sprintf("the preferred candidate of %s is not eligible: %s", pre.Route.Source, pre.Reason)
	}
	if len(ri.Candidates) == 1 {
		return "the only candidate"
	}
	o := &ri.Candidates[1]
	switch {
	case best.Route.Distance != o.Route.Distance:
		return fmt.Sprintf("distance %d is lower than %d of %s", best.Route.Distance, o.Route.Distance, o.Route.Source)
	case best.Route.Metric != o.Route.Metric:
		return fmt.Sprintf("metric %d is lower than %d of %s", best.Route.Metric, o.Route.Metric, o.Route.Source)
	case best.Route.Source != o.Route.Source:
		return fmt.Sprintf("equal distance and metric; %s goes before %s", best.Route.Source, o.Route.Source)
	}
	return "equal distance, metric and source; the first origin by name"
}
