package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/rib"
	"millrace/server/config"
)

const (
	maxBatch = 8192
	// apiOrigin tells routes of this API apart from others of the same source.
	apiOrigin = "grpc"
)

// batch gathers what became of the items of a request.
type batch struct {
	failed map[int]*vnfv1.ItemError
	size   int
}

func newBatch(n int) (*batch, error) {
	if n > maxBatch {
		return nil, invalid("routes", "%d items, at most %d are allowed", n, maxBatch)
	}
	return &batch{failed: map[int]*vnfv1.ItemError{}, size: n}, nil
}

// fail notes the fault of an item; the first one stands.
func (b *batch) fail(n int, err error) {
	if b.failed[n] != nil {
		return
	}
	s := status.Convert(err)
	item := &vnfv1.ItemError{Index: uint32(n), Code: int32(s.Code()), Message: s.Message()}
	for _, d := range s.Details() {
		if br, ok := d.(*errdetails.BadRequest); ok && len(br.GetFieldViolations()) > 0 {
			item.Field = br.GetFieldViolations()[0].GetField()
			item.Message = br.GetFieldViolations()[0].GetDescription()
		}
	}
	b.failed[n] = item
}

func (b *batch) result() (applied uint32, failed []*vnfv1.ItemError) {
	for _, f := range b.failed {
		failed = append(failed, f)
	}
	slices.SortFunc(failed, func(x, y *vnfv1.ItemError) int { return int(x.Index) - int(y.Index) })
	return uint32(b.size - len(failed)), failed
}

func routeField(n int, name string) string {
	if name == "" {
		return fmt.Sprintf("routes[%d]", n)
	}
	return fmt.Sprintf("routes[%d].%s", n, name)
}

func (r *routeService) AddRoutes(ctx context.Context, req *vnfv1.AddRoutesRequest) (*vnfv1.AddRoutesResponse, error) {
	b, err := newBatch(len(req.GetRoutes()))
	if err != nil {
		return nil, err
	}
	if req.GetTransient() {
		err = r.addTransient(b, req.GetRoutes())
	} else {
		err = r.addStatic(ctx, b, req.GetRoutes())
	}
	if err != nil {
		return nil, err
	}
	applied, failed := b.result()
	return &vnfv1.AddRoutesResponse{Applied: applied, Failed: failed}, nil
}

func (r *routeService) DeleteRoutes(ctx context.Context, req *vnfv1.DeleteRoutesRequest) (*vnfv1.DeleteRoutesResponse, error) {
	b, err := newBatch(len(req.GetRoutes()))
	if err != nil {
		return nil, err
	}
	if req.GetTransient() {
		err = r.deleteTransient(b, req.GetRoutes())
	} else {
		err = r.deleteStatic(ctx, b, req.GetRoutes())
	}
	if err != nil {
		return nil, err
	}
	applied, failed := b.result()
	return &vnfv1.DeleteRoutesResponse{Applied: applied, Failed: failed}, nil
}

var routeActions = map[vnfv1.RouteAction]struct {
	config config.RouteAction
	rib    rib.Kind
}{
	vnfv1.RouteAction_ROUTE_ACTION_UNSPECIFIED: {"", rib.KindUnicast},
	vnfv1.RouteAction_ROUTE_ACTION_FORWARD:     {"", rib.KindUnicast},
	vnfv1.RouteAction_ROUTE_ACTION_BLACKHOLE:   {config.Blackhole, rib.KindBlackhole},
	vnfv1.RouteAction_ROUTE_ACTION_REJECT:      {config.Reject, rib.KindReject},
	vnfv1.RouteAction_ROUTE_ACTION_PUNT:        {config.Punt, rib.KindPunt},
}

// staticIn reads a route; the rules between its fields are config's and the RIB's.
func staticIn(n int, in *vnfv1.StaticRoute) (instance string, out config.StaticRoute, err error) {
	var c checks
	enumField(&c, routeField(n, "action"), in.GetAction())
	rangeOf(&c, routeField(n, "distance"), in.GetDistance(), 1, 254, true)
	out = config.StaticRoute{
		Prefix: prefixField(&c, routeField(n, "prefix"), in.GetPrefix()), Action: routeActions[in.GetAction()].config,
		Distance: uint8(min(in.GetDistance(), math.MaxUint8)), Description: in.GetDescription(),
	}
	for k, h := range in.GetNextHops() {
		at := routeField(n, fmt.Sprintf("next_hops[%d]", k))
		rangeOf(&c, at+".weight", h.GetWeight(), 1, 255, true)
		if h.GetAction() != 0 {
			c.addf(at+".action", "is for answers only")
		}
		out.NextHops = append(out.NextHops, config.NextHop{
			Address: optAddrField(&c, at+".gateway", h.GetGateway()), Interface: h.GetInterface(),
			NetworkInstance: h.GetNetworkInstance(), Weight: uint8(min(h.GetWeight(), math.MaxUint8)),
		})
	}
	return instanceName(in.GetNetworkInstance()), out, c.err()
}

// routeID names a static route.
type routeID struct {
	instance string
	prefix   netip.Prefix
}

func (id routeID) scope(n int) scope {
	return scope{
		path:   fmt.Sprintf("network-instances[%s].static-routes[%s]", id.instance, id.prefix),
		field:  routeField(n, ""),
		rename: map[string]string{"address": "gateway"},
	}
}

// addStatic puts the routes into the configuration. Where validation faults some of them, the others are tried without these.
func (r *routeService) addStatic(ctx context.Context, b *batch, routes []*vnfv1.StaticRoute) error {
	ids, parsed := make([]routeID, len(routes)), make([]config.StaticRoute, len(routes))
	last := map[routeID]int{}
	for n, in := range routes {
		instance, out, err := staticIn(n, in)
		if err != nil {
			b.fail(n, err)
			continue
		}
		ids[n], parsed[n] = routeID{instance, out.Prefix}, out
		last[ids[n]] = n
	}
	for len(b.failed) < len(routes) {
		err := r.s.opt.Config.Edit(ctx, func(cfg *config.Config) error { return r.setStatic(cfg, b, ids, parsed, last) })
		var faults config.Errors
		if err == nil || !errors.As(err, &faults) {
			return configError(err)
		}
		before := len(b.failed)
		for _, f := range faults {
			for n, id := range ids {
				if field, ok := id.scope(n).fieldOf(f.Path); ok && last[id] == n {
					b.fail(n, invalid(field, "%s", f.Reason))
				}
			}
		}
		if len(b.failed) == before {
			return configError(err)
		}
	}
	return nil
}

// setStatic writes the items that have not failed. Of several with the same prefix the last one counts.
func (r *routeService) setStatic(cfg *config.Config, b *batch, ids []routeID, parsed []config.StaticRoute, last map[routeID]int) error {
	where := map[routeID]int{}
	at := map[string]int{}
	for k, ni := range cfg.NetworkInstances {
		at[ni.Name] = k
		for j, sr := range ni.StaticRoutes {
			where[routeID{ni.Name, sr.Prefix}] = j
		}
	}
	for n, id := range ids {
		if b.failed[n] != nil || last[id] != n {
			continue
		}
		k, ok := at[id.instance]
		if !ok {
			if id.instance != config.DefaultInstance {
				b.fail(n, invalid(routeField(n, "network_instance"), "there is no network instance %q", id.instance))
				continue
			}
			k = len(cfg.NetworkInstances)
			cfg.NetworkInstances = append(cfg.NetworkInstances, config.NetworkInstance{Name: id.instance})
			at[id.instance] = k
		}
		list := &cfg.NetworkInstances[k].StaticRoutes
		if j, ok := where[id]; ok {
			(*list)[j] = parsed[n]
			continue
		}
		where[id] = len(*list)
		*list = append(*list, parsed[n])
	}
	return nil
}

func (r *routeService) deleteStatic(ctx context.Context, b *batch, keys []*vnfv1.RouteKey) error {
	want := map[routeID]int{}
	for n, in := range keys {
		var c checks
		p := prefixField(&c, routeField(n, "prefix"), in.GetPrefix())
		if err := c.err(); err != nil {
			b.fail(n, err)
			continue
		}
		id := routeID{instanceName(in.GetNetworkInstance()), p}
		if _, twice := want[id]; twice {
			b.fail(n, notFound(routeField(n, "prefix"), "%s is named twice", p))
			continue
		}
		want[id] = n
	}
	found := map[routeID]bool{}
	err := r.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		clear(found)
		for k := range cfg.NetworkInstances {
			ni := &cfg.NetworkInstances[k]
			ni.StaticRoutes = slices.DeleteFunc(ni.StaticRoutes, func(sr config.StaticRoute) bool {
				id := routeID{ni.Name, sr.Prefix}
				_, hit := want[id]
				if hit {
					found[id] = true
				}
				return hit
			})
		}
		return nil
	})
	if err != nil {
		return configError(err)
	}
	for id, n := range want {
		if !found[id] {
			b.fail(n, notFound(routeField(n, "prefix"), "there is no static route %s in %s", id.prefix, id.instance))
		}
	}
	return nil
}

func (r *routeService) addTransient(b *batch, routes []*vnfv1.StaticRoute) error {
	table, err := r.rib()
	if err != nil {
		return err
	}
	var list []rib.Change
	var index []int
	for n, in := range routes {
		instance, out, err := staticIn(n, in)
		if err == nil && r.instance(table, instance) != nil {
			err = invalid(routeField(n, "network_instance"), "there is no network instance %q", instance)
		}
		if why := config.RoutePrefix(out.Prefix); err == nil && why != "" {
			err = invalid(routeField(n, "prefix"), "%s %s", out.Prefix, why)
		}
		if err != nil {
			b.fail(n, err)
			continue
		}
		ch := rib.Change{Op: rib.Add, Route: rib.Route{
			VRF: instance, Prefix: out.Prefix, Source: rib.SourceAPI, Origin: apiOrigin, Distance: out.Distance,
			Kind: routeActions[in.GetAction()].rib,
		}}
		for _, h := range out.NextHops {
			ch.Route.NextHops = append(ch.Route.NextHops, rib.NextHop{
				Addr: h.Address, Interface: h.Interface, VRF: h.NetworkInstance, Weight: uint32(h.Weight),
			})
		}
		list, index = append(list, ch), append(index, n)
	}
	b.apply(table, list, index)
	return nil
}

func (r *routeService) deleteTransient(b *batch, keys []*vnfv1.RouteKey) error {
	table, err := r.rib()
	if err != nil {
		return err
	}
	var list []rib.Change
	var index []int
	for n, in := range keys {
		var c checks
		p := prefixField(&c, routeField(n, "prefix"), in.GetPrefix())
		if err := c.err(); err != nil {
			b.fail(n, err)
			continue
		}
		list = append(list, rib.Change{Op: rib.Delete, Route: rib.Route{
			VRF: instanceName(in.GetNetworkInstance()), Prefix: p, Source: rib.SourceAPI, Origin: apiOrigin,
		}})
		index = append(index, n)
	}
	b.apply(table, list, index)
	return nil
}

// apply gives the changes to the RIB; index says which item each came from.
func (b *batch) apply(table RIB, list []rib.Change, index []int) {
	if len(list) == 0 {
		return
	}
	for k, err := range table.Apply(list) {
		if err == nil {
			continue
		}
		n := index[k]
		if errors.Is(err, rib.ErrNotFound) {
			b.fail(n, fail(codes.NotFound, routeField(n, "prefix"), "%v", err))
			continue
		}
		b.fail(n, ribError(err, routeField(n, "")))
	}
}
