package grpcserver

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/fib"
	"millrace/routing/rib"
)

var ribSources = map[vnfv1.RouteSource]rib.Source{
	vnfv1.RouteSource_ROUTE_SOURCE_CONNECTED: rib.SourceConnected,
	vnfv1.RouteSource_ROUTE_SOURCE_STATIC:    rib.SourceStatic,
	vnfv1.RouteSource_ROUTE_SOURCE_API:       rib.SourceAPI,
	vnfv1.RouteSource_ROUTE_SOURCE_BGP:       rib.SourceBGP,
	vnfv1.RouteSource_ROUTE_SOURCE_GRIBI:     rib.SourceGRIBI,
}

func sourceOut(s rib.Source) vnfv1.RouteSource {
	switch s {
	case rib.SourceConnected:
		return vnfv1.RouteSource_ROUTE_SOURCE_CONNECTED
	case rib.SourceStatic:
		return vnfv1.RouteSource_ROUTE_SOURCE_STATIC
	case rib.SourceAPI:
		return vnfv1.RouteSource_ROUTE_SOURCE_API
	case rib.SourceBGP:
		return vnfv1.RouteSource_ROUTE_SOURCE_BGP
	case rib.SourceGRIBI:
		return vnfv1.RouteSource_ROUTE_SOURCE_GRIBI
	}
	return vnfv1.RouteSource_ROUTE_SOURCE_UNSPECIFIED
}

func actionOut(k rib.Kind) vnfv1.RouteAction {
	switch k {
	case rib.KindUnicast:
		return vnfv1.RouteAction_ROUTE_ACTION_FORWARD
	case rib.KindBlackhole:
		return vnfv1.RouteAction_ROUTE_ACTION_BLACKHOLE
	case rib.KindReject:
		return vnfv1.RouteAction_ROUTE_ACTION_REJECT
	case rib.KindPunt:
		return vnfv1.RouteAction_ROUTE_ACTION_PUNT
	}
	return vnfv1.RouteAction_ROUTE_ACTION_UNSPECIFIED
}

var fibStates = map[rib.FIBState]vnfv1.FibState{
	rib.FIBNone:      vnfv1.FibState_FIB_STATE_NOT_SELECTED,
	rib.FIBDataPlane: vnfv1.FibState_FIB_STATE_DATAPLANE,
	rib.FIBPending:   vnfv1.FibState_FIB_STATE_PENDING,
	rib.FIBInstalled: vnfv1.FibState_FIB_STATE_INSTALLED,
	rib.FIBFailed:    vnfv1.FibState_FIB_STATE_FAILED,
}

func nextHopOut(h rib.NextHop) *vnfv1.NextHop {
	o := &vnfv1.NextHop{Interface: h.Interface, NetworkInstance: h.VRF, Weight: max(h.Weight, 1)}
	if h.Addr.IsValid() {
		o.Gateway = h.Addr.WithZone("").String()
	}
	return o
}

func memberOut(vrf string, m rib.Member) *vnfv1.NextHop {
	o := &vnfv1.NextHop{Interface: m.Interface, Weight: m.Weight}
	if m.VRF != vrf {
		o.NetworkInstance = m.VRF
	}
	if m.Kind != rib.KindUnicast {
		o.Action = actionOut(m.Kind)
	}
	if m.Gateway.IsValid() {
		o.Gateway = m.Gateway.WithZone("").String()
	}
	return o
}

// candidateOut shows a candidate by itself.
func candidateOut(vrf string, c rib.CandidateInfo) *vnfv1.Route {
	o := &vnfv1.Route{
		NetworkInstance: vrf, Prefix: c.Route.Prefix.String(), Source: sourceOut(c.Route.Source), Distance: uint32(c.Route.Distance),
		Metric: c.Route.Metric, Action: actionOut(c.Route.Kind), Origin: c.Route.Origin, Reason: c.Reason,
		FibState: vnfv1.FibState_FIB_STATE_NOT_SELECTED,
	}
	for _, h := range c.Route.NextHops {
		o.NextHops = append(o.NextHops, nextHopOut(h))
	}
	return o
}

// routeOut shows candidate n of a prefix.
func routeOut(ri rib.RouteInfo, n int) *vnfv1.Route {
	o := candidateOut(ri.VRF, ri.Candidates[n])
	if n != ri.Best {
		if o.Reason == "" && ri.Best >= 0 {
			o.Reason = fmt.Sprintf("%s is preferred (distance %d, metric %d)", ri.Candidates[ri.Best].Route.Source,
				ri.Candidates[ri.Best].Route.Distance, ri.Candidates[ri.Best].Route.Metric)
		}
		return o
	}
	o.Best, o.FibState = true, fibStates[ri.FIB]
	if ri.FIB == rib.FIBFailed {
		o.FibError = strings.ToLower(strings.ReplaceAll(fib.Code(ri.FIBCode).String(), "_", " "))
	}
	for _, m := range ri.Resolved {
		o.ResolvedNextHops = append(o.ResolvedNextHops, memberOut(ri.VRF, m))
	}
	return o
}

func explanationOut(table RIB, x rib.Explanation) *vnfv1.LookupRouteResponse {
	resp := &vnfv1.LookupRouteResponse{}
	first := x.Steps[0]
	if first.Found {
		resp.Candidates = candidatesOf(table, x, first)
		for _, c := range resp.Candidates {
			if c.Best {
				resp.Route = proto.CloneOf(c)
			}
		}
	}
	resp.Resolution = resolutionOut(nil, x, 0, map[int]bool{})
	resp.Explanation = append(resp.Explanation, x.Verdict)
	if first.Found {
		resp.Explanation = append(resp.Explanation, fmt.Sprintf("%s was chosen for %s: %s", first.Best.Route.Source, first.Prefix, first.Why))
		state := fmt.Sprintf("in the data plane: %s", x.FIB)
		if e := resp.GetRoute().GetFibError(); e != "" {
			state += ", " + e
		}
		resp.Explanation = append(resp.Explanation, state)
	}
	for _, s := range first.Skipped {
		resp.Explanation = append(resp.Explanation, fmt.Sprintf("%s was passed over: %s", s.Prefix, s.Reason))
	}
	return resp
}

// resolutionOut appends the next hops of a step, each followed by those that it is reached over. A step that several next hops lead to
// is told once.
func resolutionOut(out []*vnfv1.ResolutionStep, x rib.Explanation, at int, told map[int]bool) []*vnfv1.ResolutionStep {
	told[at] = true
	for _, h := range x.Steps[at].Hops {
		step := &vnfv1.ResolutionStep{NextHop: nextHopOut(h.NextHop), Depth: uint32(x.Steps[at].Level), Result: h.Result}
		out = append(out, step)
		if h.Step < 0 || !x.Steps[h.Step].Found {
			continue
		}
		by := x.Steps[h.Step]
		step.ViaPrefix, step.ViaSource = by.Prefix.String(), sourceOut(by.Best.Route.Source)
		if !told[h.Step] {
			out = resolutionOut(out, x, h.Step, told)
		}
	}
	return out
}

// candidatesOf shows the candidates of the prefix that a look-up ended at, as they are now; where the prefix went meanwhile, as the
// explanation has them.
func candidatesOf(table RIB, x rib.Explanation, s rib.Step) []*vnfv1.Route {
	var out []*vnfv1.Route
	if ri, err := table.Get(x.VRF, s.Prefix); err == nil && ri.Best >= 0 {
		out = append(out, routeOut(ri, ri.Best))
		for n := range ri.Candidates {
			if n != ri.Best {
				out = append(out, routeOut(ri, n))
			}
		}
		return out
	}
	best := candidateOut(x.VRF, s.Best)
	best.Best = true
	out = append(out, best)
	for _, c := range s.Others {
		out = append(out, candidateOut(x.VRF, c))
	}
	return out
}

func dataplaneLookupOut(l *dpb.LookupResult) *vnfv1.DataplaneLookup {
	return &vnfv1.DataplaneLookup{
		Found: l.GetFound(), Prefix: prefixString(l.GetRoute().GetPrefix(), l.GetRoute().GetPrefixLen()), Action: l.GetAction(),
		Interface: l.GetInterface(), Gateway: addrString(l.GetGateway()), Mac: macString(l.GetMac()), GroupId: l.GetGroupId(),
		NextHopId: l.GetNextHopId(),
	}
}

func dataplaneWords(l *vnfv1.DataplaneLookup) string {
	if !l.GetFound() {
		return "the data plane has no route"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the data plane takes %s: %s", l.GetPrefix(), l.GetAction())
	if l.GetGateway() != "" {
		fmt.Fprintf(&b, " via %s", l.GetGateway())
	}
	if l.GetInterface() != "" {
		fmt.Fprintf(&b, " on %s", l.GetInterface())
	}
	if l.GetMac() != "" {
		fmt.Fprintf(&b, ", MAC %s", l.GetMac())
	}
	return b.String()
}
