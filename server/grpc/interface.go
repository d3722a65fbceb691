package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
)

type interfaceService struct {
	vnfv1.UnimplementedInterfaceServiceServer
	s *Server
}

// interfaces returns configured and present interfaces in order of name; name limits them to one.
func (i *interfaceService) interfaces(ctx context.Context, name string) ([]*vnfv1.Interface, error) {
	all := map[string]*vnfv1.Interface{}
	for _, c := range i.s.opt.Config.Config().Interfaces {
		if name != "" && c.Name != name {
			continue
		}
		all[c.Name] = &vnfv1.Interface{
			Config: interfaceConfigOut(c),
			State:  &vnfv1.InterfaceState{OperStatus: vnfv1.OperStatus_OPER_STATUS_NOT_PRESENT},
		}
	}
	if err := i.addState(ctx, name, all); err != nil {
		if !errors.Is(err, client.ErrDisconnected) {
			return nil, dataplaneError(err)
		}
		for _, one := range all {
			one.State = &vnfv1.InterfaceState{OperStatus: vnfv1.OperStatus_OPER_STATUS_NOT_PRESENT, Error: err.Error()}
		}
	}
	i.addReasons(all)
	list := make([]*vnfv1.Interface, 0, len(all))
	for _, one := range all {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *vnfv1.Interface) int { return strings.Compare(a.Config.Name, b.Config.Name) })
	return list, nil
}

func (i *interfaceService) addState(ctx context.Context, name string, all map[string]*vnfv1.Interface) error {
	for st, err := range i.s.opt.Dataplane.Interfaces(ctx, name) {
		if err != nil {
			if client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND {
				return nil
			}
			return err
		}
		one := all[st.GetConfig().GetName()]
		if one == nil {
			one = &vnfv1.Interface{Config: interfaceConfigOfState(st.GetConfig())}
			all[one.Config.Name] = one
		}
		one.State, one.Counters = interfaceStateOut(st), interfaceCountersOut(st.GetCounters())
	}
	for a, err := range i.s.opt.Dataplane.Addresses(ctx, name) {
		if err != nil {
			if client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND {
				return nil
			}
			return err
		}
		if one := all[a.GetInterface()]; one != nil && one.State != nil {
			one.State.Addresses = append(one.State.Addresses, interfaceAddressOut(a))
		}
	}
	return nil
}

// addReasons says why an interface is not there, if an alarm knows.
func (i *interfaceService) addReasons(all map[string]*vnfv1.Interface) {
	if i.s.opt.Alarms == nil {
		return
	}
	for _, a := range i.s.opt.Alarms.Alarms() {
		name, ok := strings.CutPrefix(a.Resource, "interface ")
		if one := all[name]; ok && one != nil && one.State.OperStatus == vnfv1.OperStatus_OPER_STATUS_NOT_PRESENT {
			one.State.Error = a.Text
		}
	}
}

func (i *interfaceService) one(ctx context.Context, field, name string) (*vnfv1.Interface, error) {
	if name == "" {
		return nil, invalid(field, "is empty; the name of an interface is needed")
	}
	list, err := i.interfaces(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFound(field, "there is no interface %q", name)
	}
	return list[0], nil
}

func (i *interfaceService) ListInterfaces(ctx context.Context, req *vnfv1.ListInterfacesRequest) (*vnfv1.ListInterfacesResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	var c checks
	enumField(&c, "kind", req.GetKind())
	if err := c.err(); err != nil {
		return nil, err
	}
	all, err := i.interfaces(ctx, "")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(one *vnfv1.Interface) bool {
		return req.GetNetworkInstance() != "" && instanceName(one.Config.NetworkInstance) != req.GetNetworkInstance() ||
			req.GetKind() != 0 && one.Config.Kind != req.GetKind()
	})
	items, token := pageByName(p, all, func(one *vnfv1.Interface) string { return one.Config.Name })
	return &vnfv1.ListInterfacesResponse{Interfaces: items, NextPageToken: token}, nil
}

func (i *interfaceService) GetInterface(ctx context.Context, req *vnfv1.GetInterfaceRequest) (*vnfv1.Interface, error) {
	return i.one(ctx, "name", req.GetName())
}

// indexOf finds an interface of the configuration; -1 if it is not there.
func indexOf(c *config.Config, name string) int {
	return slices.IndexFunc(c.Interfaces, func(x config.Interface) bool { return x.Name == name })
}

func interfaceScope(name, field string) scope {
	return scope{path: "interfaces[" + name + "]", field: field, rename: map[string]string{
		"type": "kind", "iface": "device", "driver": "device", "router-advertisements": "router_advertisement",
	}}
}

func (i *interfaceService) CreateInterface(ctx context.Context, req *vnfv1.CreateInterfaceRequest) (*vnfv1.Interface, error) {
	var c checks
	want := interfaceConfigIn(&c, "config", req.GetConfig())
	if err := c.err(); err != nil {
		return nil, err
	}
	err := i.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		if indexOf(cfg, want.Name) >= 0 {
			return fail(codes.AlreadyExists, "config.name", "there is an interface %q already", want.Name)
		}
		cfg.Interfaces = append(cfg.Interfaces, want)
		return nil
	})
	if err := configError(err, interfaceScope(want.Name, "config")); err != nil {
		return nil, err
	}
	return i.one(ctx, "config.name", want.Name)
}

func (i *interfaceService) UpdateInterface(ctx context.Context, req *vnfv1.UpdateInterfaceRequest) (*vnfv1.Interface, error) {
	name := req.GetConfig().GetName()
	if name == "" {
		return nil, invalid("config.name", "is empty; the name of an interface is needed")
	}
	err := i.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := indexOf(cfg, name)
		if at < 0 {
			return notFound("config.name", "there is no interface %q", name)
		}
		old := cfg.Interfaces[at]
		merged, err := mergeInterface(interfaceConfigOut(old), req.GetConfig(), req.GetUpdateMask().GetPaths())
		if err != nil {
			return err
		}
		var c checks
		want := interfaceConfigIn(&c, "config", merged)
		for _, fixed := range []struct {
			field    string
			old, new any
		}{
			{"config.kind", old.Type, want.Type},
			{"config.device", deviceOut(old), deviceOut(want)},
			{"config.parent", old.Parent, want.Parent},
			{"config.vlan_id", old.VLANID, want.VLANID},
		} {
			if fixed.old != fixed.new {
				c.addf(fixed.field, "can't be changed from %v to %v; delete the interface and make it anew", fixed.old, fixed.new)
			}
		}
		if err := c.err(); err != nil {
			return err
		}
		want.Neighbors = old.Neighbors
		if want.RouterAdvertisements == nil && !old.RouterAdvertisements.On() {
			want.RouterAdvertisements = old.RouterAdvertisements // set up but not sent, which this service does not tell
		}
		cfg.Interfaces[at] = want
		return nil
	})
	if err := configError(err, interfaceScope(name, "config")); err != nil {
		return nil, err
	}
	return i.one(ctx, "config.name", name)
}

func (i *interfaceService) DeleteInterface(ctx context.Context, req *vnfv1.DeleteInterfaceRequest) (*vnfv1.DeleteInterfaceResponse, error) {
	name := req.GetName()
	if name == "" {
		return nil, invalid("name", "is empty; the name of an interface is needed")
	}
	err := i.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := indexOf(cfg, name)
		if at < 0 {
			return notFound("name", "there is no interface %q in the configuration", name)
		}
		cfg.Interfaces = slices.Delete(cfg.Interfaces, at, at+1)
		return nil
	})
	if err := configError(err); err != nil {
		return nil, err
	}
	return &vnfv1.DeleteInterfaceResponse{}, nil
}

func (i *interfaceService) AddInterfaceAddress(ctx context.Context, req *vnfv1.AddInterfaceAddressRequest) (*vnfv1.Interface, error) {
	var c checks
	prefix := ifPrefixField(&c, "prefix", req.GetPrefix())
	if err := c.err(); err != nil {
		return nil, err
	}
	at := 0
	err := i.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		n := indexOf(cfg, req.GetInterface())
		if n < 0 {
			return notFound("interface", "there is no interface %q in the configuration", req.GetInterface())
		}
		list := &cfg.Interfaces[n].Addresses
		if slices.ContainsFunc(*list, func(p netip.Prefix) bool { return p.Addr() == prefix.Addr() }) {
			return fail(codes.AlreadyExists, "prefix", "%s has the address %s already", req.GetInterface(), prefix.Addr())
		}
		at = len(*list)
		*list = append(*list, prefix)
		return nil
	})
	own := interfaceScope(req.GetInterface(), "interface")
	address := scope{path: fmt.Sprintf("%s.addresses[%d]", own.path, at), field: "prefix"}
	if err := configError(err, address, own); err != nil {
		return nil, err
	}
	return i.one(ctx, "interface", req.GetInterface())
}

func (i *interfaceService) DeleteInterfaceAddress(ctx context.Context, req *vnfv1.DeleteInterfaceAddressRequest) (*vnfv1.Interface, error) {
	var c checks
	match := func(p netip.Prefix) bool { return false }
	if strings.Contains(req.GetPrefix(), "/") {
		want := ifPrefixField(&c, "prefix", req.GetPrefix())
		match = func(p netip.Prefix) bool { return p == want }
	} else {
		want := addrField(&c, "prefix", req.GetPrefix())
		match = func(p netip.Prefix) bool { return p.Addr() == want }
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	err := i.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		n := indexOf(cfg, req.GetInterface())
		if n < 0 {
			return notFound("interface", "there is no interface %q in the configuration", req.GetInterface())
		}
		list := &cfg.Interfaces[n].Addresses
		at := slices.IndexFunc(*list, match)
		if at < 0 {
			return notFound("prefix", "%s has no address %s in the configuration", req.GetInterface(), req.GetPrefix())
		}
		*list = slices.Delete(*list, at, at+1)
		return nil
	})
	if err := configError(err, interfaceScope(req.GetInterface(), "interface")); err != nil {
		return nil, err
	}
	return i.one(ctx, "interface", req.GetInterface())
}

func (i *interfaceService) ClearInterfaceCounters(ctx context.Context, req *vnfv1.ClearInterfaceCountersRequest) (
	*vnfv1.ClearInterfaceCountersResponse, error) {
	var n uint32
	for _, err := range i.s.opt.Dataplane.Interfaces(ctx, req.GetName()) {
		if client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND {
			break
		}
		if err != nil {
			return nil, dataplaneError(err)
		}
		n++
	}
	if n == 0 && req.GetName() != "" {
		return nil, notFound("name", "there is no interface %q", req.GetName())
	}
	if err := i.s.opt.Dataplane.ClearCounters(ctx, req.GetName()); err != nil {
		return nil, dataplaneError(err)
	}
	return &vnfv1.ClearInterfaceCountersResponse{Cleared: n}, nil
}

func (i *interfaceService) GetInterfaceXstats(ctx context.Context, req *vnfv1.GetInterfaceXstatsRequest) (
	*vnfv1.GetInterfaceXstatsResponse, error) {
	if _, err := i.one(ctx, "name", req.GetName()); err != nil {
		return nil, err
	}
	resp := &vnfv1.GetInterfaceXstatsResponse{}
	for x, err := range i.s.opt.Dataplane.XStats(ctx, req.GetName()) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		resp.Xstats = append(resp.Xstats, &vnfv1.InterfaceXstat{Name: x.GetName(), Value: x.GetValue()})
	}
	return resp, nil
}
