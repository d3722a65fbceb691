package grpcserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/bgp"
	"millrace/server/config"
)

type bgpService struct {
	vnfv1.UnimplementedBgpServiceServer
	s *Server
}

// bgpInstance is a network instance that runs BGP.
type bgpInstance struct {
	name    string
	config  *config.BGP
	speaker Speaker
}

func bgpOf(c *config.Config, instance string) *config.BGP {
	if n := instanceIndex(c, instance); n >= 0 {
		return c.NetworkInstances[n].BGP
	}
	return nil
}

func (b *bgpService) instance(name string) (bgpInstance, error) {
	i := bgpInstance{name: instanceName(name)}
	cfg := b.s.opt.Config.Config()
	if i.config = bgpOf(cfg, i.name); i.config == nil {
		if i.name != config.DefaultInstance && instanceIndex(cfg, i.name) < 0 {
			return i, notFound("network_instance", "there is no network instance %q", i.name)
		}
		return i, fail(codes.FailedPrecondition, "network_instance", "BGP is not configured in %q", i.name)
	}
	ok := false
	if b.s.opt.BGP != nil {
		i.speaker, ok = b.s.opt.BGP(i.name)
	}
	if !ok {
		return i, fail(codes.FailedPrecondition, "network_instance", "BGP is switched off in %q", i.name)
	}
	return i, nil
}

// bgpError names the neighbour where the speaker does not know it.
func bgpError(err error) error {
	var fe *bgp.FieldError
	switch {
	case err == nil:
		return nil
	case isStatus(err):
		return statusOf(err)
	case errors.As(err, &fe) && fe.Field == "neighbor":
		return notFound("address", "%s", fe.Reason)
	case errors.As(err, &fe):
		return invalid(fe.Field, "%s", fe.Reason)
	case errors.Is(err, bgp.ErrClosed):
		return fail(codes.FailedPrecondition, "network_instance", "BGP is being switched off")
	}
	return contextOr(err, codes.Internal)
}

// neighborAddr reads the address of a neighbour in a request; a link-local one may carry its interface as zone.
func neighborAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case s == "":
		return a, invalid("address", "is empty; the address of a neighbour is needed")
	case err != nil:
		return a, invalid("address", "%q is not an address", s)
	}
	return a.Unmap(), nil
}

// sessionAddr is how the speaker names a configured neighbour.
func sessionAddr(n config.BGPNeighbor) netip.Addr {
	if n.Address.Is6() && n.Address.IsLinkLocalUnicast() {
		return n.Address.WithZone(n.Interface)
	}
	return n.Address
}

// neighborIndex finds a configured neighbour; -1 if it is not there.
func neighborIndex(c *config.BGP, a netip.Addr) int {
	return slices.IndexFunc(c.Neighbors, func(n config.BGPNeighbor) bool {
		return n.Address == a.WithZone("") && (a.Zone() == "" || a.Zone() == n.Interface)
	})
}

// resolve gives a neighbour the name that the speaker has for it.
func (i bgpInstance) resolve(a netip.Addr) netip.Addr {
	if n := neighborIndex(i.config, a); n >= 0 {
		return sessionAddr(i.config.Neighbors[n])
	}
	return a
}

// neighbors lists configured and dynamic neighbours; only limits them to one.
func (i bgpInstance) neighbors(ctx context.Context, only netip.Addr, advertised bool) ([]*vnfv1.BgpNeighbor, error) {
	states, err := i.speaker.Neighbors(ctx, only, advertised)
	var fe *bgp.FieldError
	if err != nil && !(only.IsValid() && errors.As(err, &fe)) {
		return nil, bgpError(err)
	}
	var out []*vnfv1.BgpNeighbor
	seen := map[netip.Addr]bool{}
	for _, st := range states {
		cfg := config.BGPNeighbor{Address: st.Address.WithZone(""), Interface: st.Address.Zone(), PeerGroup: st.PeerGroup}
		if n := neighborIndex(i.config, st.Address); n >= 0 {
			cfg = i.config.Neighbors[n]
		}
		seen[sessionAddr(cfg)] = true
		out = append(out, &vnfv1.BgpNeighbor{Config: bgpNeighborOut(i.config, cfg), State: bgpStateOut(st)})
	}
	for _, cfg := range i.config.Neighbors {
		if a := sessionAddr(cfg); !seen[a] && (!only.IsValid() || a == only) {
			out = append(out, &vnfv1.BgpNeighbor{
				Config: bgpNeighborOut(i.config, cfg),
				State:  &vnfv1.BgpNeighborState{SessionState: vnfv1.BgpSessionState_BGP_SESSION_STATE_IDLE},
			})
		}
	}
	slices.SortFunc(out, func(a, b *vnfv1.BgpNeighbor) int { return strings.Compare(neighborKey(a), neighborKey(b)) })
	return out, nil
}

// neighborKey orders neighbours by address, IPv4 first.
func neighborKey(n *vnfv1.BgpNeighbor) string {
	a, err := netip.ParseAddr(n.GetConfig().GetAddress())
	if err != nil {
		return n.GetConfig().GetAddress()
	}
	return strconv.Itoa(a.BitLen()+100) + string(a.AsSlice()) + "%" + n.GetConfig().GetInterface()
}

func (i bgpInstance) one(ctx context.Context, a netip.Addr, advertised bool) (*vnfv1.BgpNeighbor, error) {
	list, err := i.neighbors(ctx, i.resolve(a), advertised)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFound("address", "%s is not a neighbour", a)
	}
	return list[0], nil
}

func (b *bgpService) GetBgp(ctx context.Context, req *vnfv1.GetBgpRequest) (*vnfv1.Bgp, error) {
	i, err := b.instance(req.GetNetworkInstance())
	if i.config == nil && instanceIndex(b.s.opt.Config.Config(), i.name) < 0 && i.name != config.DefaultInstance {
		return nil, err
	}
	if err != nil {
		return &vnfv1.Bgp{}, nil
	}
	o := &vnfv1.Bgp{Running: true, As: i.config.ASN}
	if id := b.s.opt.Config.Config().RouterID(i.name); id.IsValid() {
		o.RouterId = id.String()
	}
	states, err := i.speaker.Neighbors(ctx, netip.Addr{}, false)
	if err != nil {
		return nil, bgpError(err)
	}
	for _, st := range states {
		o.Neighbors++
		if st.State == bgp.Established {
			o.NeighborsEstablished++
		}
		for _, f := range st.Families {
			o.Paths += f.Accepted
		}
	}
	port := "179"
	if i.config.ListenPort != 0 {
		port = strconv.Itoa(int(i.config.ListenPort))
	}
	for _, a := range i.config.ListenAddresses {
		o.Listen = append(o.Listen, net.JoinHostPort(a.String(), port))
	}
	if len(o.Listen) == 0 {
		o.Listen = []string{net.JoinHostPort("0.0.0.0", port), net.JoinHostPort("::", port)}
	}
	return o, nil
}

func (b *bgpService) ListBgpNeighbors(ctx context.Context, req *vnfv1.ListBgpNeighborsRequest) (*vnfv1.ListBgpNeighborsResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	i, err := b.instance(req.GetNetworkInstance())
	if err != nil {
		return nil, err
	}
	all, err := i.neighbors(ctx, netip.Addr{}, false)
	if err != nil {
		return nil, err
	}
	items, token := pageByName(p, all, neighborKey)
	return &vnfv1.ListBgpNeighborsResponse{Neighbors: items, NextPageToken: token}, nil
}

func (b *bgpService) GetBgpNeighbor(ctx context.Context, req *vnfv1.GetBgpNeighborRequest) (*vnfv1.BgpNeighbor, error) {
	a, err := neighborAddr(req.GetAddress())
	if err != nil {
		return nil, err
	}
	i, err := b.instance(req.GetNetworkInstance())
	if err != nil {
		return nil, err
	}
	return i.one(ctx, a, true)
}

// edit changes the BGP of an instance in the configuration.
func (b *bgpService) edit(ctx context.Context, instance string, scopes []scope, change func(*config.BGP) error) error {
	err := b.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		c := bgpOf(cfg, instance)
		if c == nil {
			return fail(codes.FailedPrecondition, "network_instance", "BGP is not configured in %q", instance)
		}
		return change(c)
	})
	return configError(err, scopes...)
}

func bgpNeighborScope(instance string, a netip.Addr) []scope {
	return []scope{{
		path: "network-instances[" + instance + "].bgp.neighbors[" + a.WithZone("").String() + "]", field: "config",
		rename: map[string]string{
			"remote-as": "peer_as", "multihop": "ebgp_multihop_ttl", "ttl-security": "ttl_security_hops", "keepalive": "keepalive_time",
			"connect-retry": "connect_retry_time",
		},
	}}
}

func (b *bgpService) AddBgpNeighbor(ctx context.Context, req *vnfv1.AddBgpNeighborRequest) (*vnfv1.BgpNeighbor, error) {
	var c checks
	want := bgpNeighborIn(&c, "config", req.GetConfig())
	if err := c.err(); err != nil {
		return nil, err
	}
	name := instanceName(req.GetNetworkInstance())
	err := b.edit(ctx, name, bgpNeighborScope(name, want.Address), func(cfg *config.BGP) error {
		if neighborIndex(cfg, want.Address) >= 0 {
			return fail(codes.AlreadyExists, "config.address", "%s is a neighbour already", want.Address)
		}
		cfg.Neighbors = append(cfg.Neighbors, want)
		return nil
	})
	if err != nil {
		return nil, err
	}
	i, err := b.instance(name)
	if err != nil {
		return nil, err
	}
	return i.one(ctx, sessionAddr(want), false)
}

func (b *bgpService) DeleteBgpNeighbor(ctx context.Context, req *vnfv1.DeleteBgpNeighborRequest) (*vnfv1.DeleteBgpNeighborResponse, error) {
	a, err := neighborAddr(req.GetAddress())
	if err != nil {
		return nil, err
	}
	err = b.edit(ctx, instanceName(req.GetNetworkInstance()), nil, func(cfg *config.BGP) error {
		n := neighborIndex(cfg, a)
		if n < 0 {
			return notFound("address", "%s is not a neighbour in the configuration", a)
		}
		cfg.Neighbors = slices.Delete(cfg.Neighbors, n, n+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &vnfv1.DeleteBgpNeighborResponse{}, nil
}

func (b *bgpService) SetBgpNeighborEnabled(ctx context.Context, req *vnfv1.SetBgpNeighborEnabledRequest) (*vnfv1.BgpNeighbor, error) {
	a, err := neighborAddr(req.GetAddress())
	if err != nil {
		return nil, err
	}
	if err := checkCommunication(req.GetCommunication()); err != nil {
		return nil, err
	}
	i, err := b.instance(req.GetNetworkInstance())
	if err != nil {
		return nil, err
	}
	n := neighborIndex(i.config, a)
	if n < 0 {
		return nil, notFound("address", "%s is not a neighbour in the configuration", a)
	}
	key := sessionAddr(i.config.Neighbors[n])
	told := !req.GetEnabled() && req.GetCommunication() != ""
	if told {
		// First, since the change of the configuration ends the session without a word.
		if err := i.speaker.Disable(ctx, key, req.GetCommunication()); err != nil {
			return nil, bgpError(err)
		}
	}
	err = b.edit(ctx, i.name, bgpNeighborScope(i.name, a), func(cfg *config.BGP) error {
		n := neighborIndex(cfg, a)
		if n < 0 {
			return notFound("address", "%s is not a neighbour in the configuration", a)
		}
		on := req.GetEnabled()
		cfg.Neighbors[n].Enabled = &on
		return nil
	})
	if err != nil {
		if told {
			err = errors.Join(err, i.speaker.Enable(context.WithoutCancel(ctx), key))
		}
		return nil, bgpError(err)
	}
	if req.GetEnabled() {
		// It may be down for its prefix limit, of which the configuration knows nothing.
		if err := i.speaker.Enable(ctx, key); err != nil {
			b.s.log.Debug("enable BGP neighbour", "neighbor", key, "error", err)
		}
	}
	if i, err = b.instance(i.name); err != nil {
		return nil, err
	}
	return i.one(ctx, key, false)
}

func checkCommunication(s string) error {
	if len(s) > 128 {
		return invalid("communication", "is %d bytes long, at most 128 are allowed", len(s))
	}
	return nil
}

func (b *bgpService) ResetBgpNeighbor(ctx context.Context, req *vnfv1.ResetBgpNeighborRequest) (*vnfv1.ResetBgpNeighborResponse, error) {
	var c checks
	enumField(&c, "kind", req.GetKind())
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := checkCommunication(req.GetCommunication()); err != nil {
		return nil, err
	}
	i, err := b.instance(req.GetNetworkInstance())
	if err != nil {
		return nil, err
	}
	var which []netip.Addr
	if s := req.GetAddress(); s != "" && s != "*" {
		a, err := neighborAddr(s)
		if err != nil {
			return nil, err
		}
		which = []netip.Addr{i.resolve(a)}
	} else {
		states, err := i.speaker.Neighbors(ctx, netip.Addr{}, false)
		if err != nil {
			return nil, bgpError(err)
		}
		for _, st := range states {
			which = append(which, st.Address)
		}
	}
	for _, a := range which {
		switch req.GetKind() {
		case vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_IN:
			err = i.speaker.SoftReset(ctx, a, bgp.In)
		case vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_OUT:
			err = i.speaker.SoftReset(ctx, a, bgp.Out)
		case vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_BOTH:
			err = i.speaker.SoftReset(ctx, a, bgp.Both)
		default:
			err = i.speaker.Reset(ctx, a, req.GetCommunication())
		}
		if err != nil {
			return nil, bgpError(err)
		}
	}
	return &vnfv1.ResetBgpNeighborResponse{Reset_: uint32(len(which))}, nil
}
