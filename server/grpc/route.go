package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
	"millrace/routing/rib"
	"millrace/server/config"
)

type routeService struct {
	vnfv1.UnimplementedRouteServiceServer
	s *Server
}

// Prefixes taken from the RIB at a time.
const ribPage = 1000

func (r *routeService) rib() (RIB, error) {
	if r.s.opt.RIB == nil {
		return nil, status.Error(codes.Unimplemented, "this vnf has no RIB")
	}
	return r.s.opt.RIB, nil
}

// ribError names the request's fields instead of the RIB's.
func ribError(err error, prefix string) error {
	var fe *rib.FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fe):
		field := strings.NewReplacer("filter.", "", "addr", "gateway", "vrf", "network_instance").Replace(fe.Field)
		if field == "kind" {
			field = "action"
		}
		if prefix != "" && field != "" {
			field = prefix + "." + field
		}
		return invalid(field, "%s", fe.Reason)
	case errors.Is(err, rib.ErrNotFound):
		return notFound("network_instance", "%v", err)
	}
	return contextOr(err, codes.Internal)
}

// routeFilter is a filter of routes, after parsing.
type routeFilter struct {
	rib      rib.Filter
	all      bool
	nextHop  netip.Addr
	fibState vnfv1.FibState
}

// filterIn reads what ListRoutes and WatchRoutes have in common.
func filterIn(c *checks, instance string, family vnfv1.AddressFamily, source vnfv1.RouteSource, prefix string) rib.Filter {
	enumField(c, "family", family)
	enumField(c, "source", source)
	f := rib.Filter{VRF: instanceName(instance), Prefix: optPrefixField(c, "prefix", prefix), Match: rib.OrLonger, BestOnly: true}
	switch family {
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4:
		f.Family = 4
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6:
		f.Family = 6
	}
	f.Source, f.HasSource = ribSources[source]
	return f
}

func (r *routeService) instance(table RIB, name string) error {
	if !slices.Contains(table.VRFs(), instanceName(name)) {
		return notFound("network_instance", "there is no network instance %q", instanceName(name))
	}
	return nil
}

func (r *routeService) ListRoutes(ctx context.Context, req *vnfv1.ListRoutesRequest) (*vnfv1.ListRoutesResponse, error) {
	table, err := r.rib()
	if err != nil {
		return nil, err
	}
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	var c checks
	f := routeFilter{
		rib: filterIn(&c, req.GetNetworkInstance(), req.GetFamily(), req.GetSource(), req.GetPrefix()),
		all: req.GetAllCandidates(), nextHop: optAddrField(&c, "next_hop", req.GetNextHop()), fibState: req.GetFibState(),
	}
	enumField(&c, "fib_state", req.GetFibState())
	if !req.GetLongerPrefixes() {
		f.rib.Match = rib.Exact
	}
	f.rib.BestOnly = !f.all
	cursor, cursorErr := rib.ParseCursor(string(p.cursor))
	if cursorErr != nil {
		c.addf("page_token", "is not a token of an earlier answer")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := r.instance(table, req.GetNetworkInstance()); err != nil {
		return nil, err
	}
	resp := &vnfv1.ListRoutesResponse{}
	for found := 0; found < p.size; {
		list, next, err := table.List(f.rib, cursor, min(p.size-found, ribPage))
		if err != nil {
			return nil, ribError(err, "")
		}
		for _, ri := range list {
			if routes := f.pick(ri); len(routes) > 0 {
				resp.Routes = append(resp.Routes, routes...)
				found++
			}
		}
		if cursor = next; !cursor.Prefix.IsValid() {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, contextError(ctx)
		}
	}
	resp.NextPageToken = p.token([]byte(cursor.String()))
	return resp, nil
}

// pick returns the candidates of a prefix that the filter asks for.
func (f *routeFilter) pick(ri rib.RouteInfo) []*vnfv1.Route {
	if f.nextHop.IsValid() {
		hit := slices.ContainsFunc(ri.Resolved, func(m rib.Member) bool { return m.Gateway == f.nextHop })
		for n, c := range ri.Candidates {
			hit = hit || (f.all || n == ri.Best) &&
				slices.ContainsFunc(c.Route.NextHops, func(h rib.NextHop) bool { return h.Addr.WithZone("") == f.nextHop })
		}
		if !hit {
			return nil
		}
	}
	var out []*vnfv1.Route
	for n := range ri.Candidates {
		if n != ri.Best && !f.all || f.rib.HasSource && ri.Candidates[n].Route.Source != f.rib.Source {
			continue
		}
		one := routeOut(ri, n)
		if f.fibState != 0 && one.FibState != f.fibState {
			continue
		}
		out = append(out, one)
	}
	return out
}

func (r *routeService) WatchRoutes(req *vnfv1.WatchRoutesRequest, out grpc.ServerStreamingServer[vnfv1.RouteEvent]) error {
	table, err := r.rib()
	if err != nil {
		return err
	}
	var c checks
	f := filterIn(&c, req.GetNetworkInstance(), req.GetFamily(), req.GetSource(), req.GetPrefix())
	if err := c.err(); err != nil {
		return err
	}
	if err := r.instance(table, req.GetNetworkInstance()); err != nil {
		return err
	}
	ctx := out.Context()
	w, err := table.Watch(ctx, f)
	if err != nil {
		return ribError(err, "")
	}
	defer w.Close()
	for cursor := (rib.Cursor{}); !req.GetChangesOnly(); {
		list, next, err := table.List(f, cursor, ribPage)
		if err != nil {
			return ribError(err, "")
		}
		now := timestamppb.Now()
		for _, ri := range list {
			if ri.Best < 0 {
				continue
			}
			if err := out.Send(&vnfv1.RouteEvent{Kind: vnfv1.EventKind_EVENT_KIND_ADDED, Time: now, Route: routeOut(ri, ri.Best)}); err != nil {
				return err
			}
		}
		if cursor = next; !cursor.Prefix.IsValid() {
			break
		}
	}
	if err := out.Send(&vnfv1.RouteEvent{Kind: vnfv1.EventKind_EVENT_KIND_SYNCED, Time: timestamppb.Now()}); err != nil {
		return err
	}
	for {
		events, err := w.Next(ctx, ribPage)
		if err != nil {
			return contextError(ctx)
		}
		for _, e := range events {
			if e.Type == rib.EventResync {
				return status.Error(codes.ResourceExhausted, "the stream was read too slowly: changes were lost, begin anew")
			}
			if err := out.Send(routeEventOut(e)); err != nil {
				return err
			}
		}
	}
}

func routeEventOut(e rib.Event) *vnfv1.RouteEvent {
	o := &vnfv1.RouteEvent{Kind: vnfv1.EventKind_EVENT_KIND_CHANGED, Time: timestamppb.Now()}
	if e.Type == rib.EventDelete || e.Route.Best < 0 {
		o.Kind = vnfv1.EventKind_EVENT_KIND_REMOVED
		o.Route = &vnfv1.Route{NetworkInstance: e.VRF, Prefix: e.Prefix.String()}
		return o
	}
	o.Route = routeOut(e.Route, e.Route.Best)
	return o
}

func (r *routeService) LookupRoute(ctx context.Context, req *vnfv1.LookupRouteRequest) (*vnfv1.LookupRouteResponse, error) {
	table, err := r.rib()
	if err != nil {
		return nil, err
	}
	var c checks
	dst := addrField(&c, "destination", req.GetDestination())
	src := optAddrField(&c, "source", req.GetSource())
	rangeOf(&c, "protocol", req.GetProtocol(), 0, 255, true)
	rangeOf(&c, "source_port", req.GetSourcePort(), 0, 65535, true)
	rangeOf(&c, "destination_port", req.GetDestinationPort(), 0, 65535, true)
	if dst.IsValid() && src.IsValid() && dst.Is4() != src.Is4() {
		c.addf("source", "%s and the destination %s are of different families", src, dst)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := r.instance(table, req.GetNetworkInstance()); err != nil {
		return nil, err
	}
	x, err := table.Lookup(instanceName(req.GetNetworkInstance()), dst)
	if err != nil {
		return nil, ribError(err, "")
	}
	resp := explanationOut(table, x)
	got, err := r.s.opt.Dataplane.Lookup(ctx, &dpb.Lookup{
		Vrf: instanceName(req.GetNetworkInstance()), Destination: dst.AsSlice(), Source: addrBytes(src), Protocol: req.GetProtocol(),
		SourcePort: req.GetSourcePort(), DestinationPort: req.GetDestinationPort(),
	})
	switch {
	case errors.Is(err, client.ErrDisconnected):
		resp.Explanation = append(resp.Explanation, "the data plane can't be asked: "+err.Error())
	case err != nil:
		return nil, dataplaneError(err)
	default:
		resp.Dataplane = dataplaneLookupOut(got)
		resp.Explanation = append(resp.Explanation, dataplaneWords(resp.Dataplane))
	}
	return resp, nil
}

func (r *routeService) ListFibFailures(_ context.Context, req *vnfv1.ListFibFailuresRequest) (*vnfv1.ListFibFailuresResponse, error) {
	if r.s.opt.FIB == nil {
		return nil, status.Error(codes.Unimplemented, "this vnf has no FIB")
	}
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	var cursor uint32
	if len(p.cursor) > 0 {
		if _, err := fmt.Sscanf(string(p.cursor), "%d", &cursor); err != nil {
			return nil, invalid("page_token", "is not a token of an earlier answer")
		}
	}
	list, next := r.s.opt.FIB.Failures(cursor, p.size)
	resp := &vnfv1.ListFibFailuresResponse{}
	for _, f := range list {
		one := &vnfv1.FibFailure{NetworkInstance: f.VRF, Prefix: f.Prefix.String(), Error: f.Code.String()}
		if f.LastError != "" {
			one.Error += ": " + f.LastError
		}
		resp.Failures = append(resp.Failures, one)
	}
	if next != 0 {
		resp.NextPageToken = p.token(fmt.Append(nil, next))
	}
	return resp, nil
}

func (r *routeService) GetRouteSummary(context.Context, *vnfv1.GetRouteSummaryRequest) (*vnfv1.GetRouteSummaryResponse, error) {
	table, err := r.rib()
	if err != nil {
		return nil, err
	}
	st := table.Stats()
	resp := &vnfv1.GetRouteSummaryResponse{Prefixes: uint64(st.Prefixes), Groups: uint64(st.Groups)}
	for _, source := range []vnfv1.RouteSource{
		vnfv1.RouteSource_ROUTE_SOURCE_CONNECTED, vnfv1.RouteSource_ROUTE_SOURCE_STATIC,
		vnfv1.RouteSource_ROUTE_SOURCE_API, vnfv1.RouteSource_ROUTE_SOURCE_BGP, vnfv1.RouteSource_ROUTE_SOURCE_GRIBI,
	} {
		resp.Counts = append(resp.Counts, &vnfv1.RouteCount{Source: source, Routes: uint64(st.Candidates[ribSources[source]])})
	}
	if r.s.opt.FIB != nil {
		f := r.s.opt.FIB.Stats()
		resp.FibPending, resp.FibFailed, resp.FibInstalled = uint64(f.Pending+f.InFlight), uint64(f.Failed), uint64(f.Programmed)
	}
	return resp, nil
}

// instanceIndex finds a network instance in the configuration; the default one need not stand in it.
func instanceIndex(c *config.Config, name string) int {
	return slices.IndexFunc(c.NetworkInstances, func(n config.NetworkInstance) bool { return n.Name == name })
}
