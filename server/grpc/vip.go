package grpcserver

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
)

func vipIndex(c *config.Config, name string) int {
	return slices.IndexFunc(c.TCP.VIPs, func(v config.VIP) bool { return v.Name == name })
}

// vips are the virtual addresses, in order of name.
func (t *terminationService) vips(ctx context.Context) ([]*vnfv1.TcpVip, error) {
	cfg := t.s.opt.Config.Config()
	type place struct {
		iface string
		addr  netip.Addr
	}
	there := map[place]dpb.DadState{}
	for a, err := range t.s.opt.Dataplane.Addresses(ctx, "") {
		if gone(err) {
			break
		}
		if err != nil {
			return nil, dataplaneError(err)
		}
		if addr, ok := netip.AddrFromSlice(a.GetAddress()); ok {
			there[place{a.GetInterface(), addr}] = a.GetDad()
		}
	}
	healthy := map[string]bool{}
	for l, err := range t.s.opt.Dataplane.TCPListeners(ctx, "") {
		if gone(err) {
			break
		}
		if err != nil {
			return nil, dataplaneError(err)
		}
		healthy[l.GetConfig().GetName()] = healthy[l.GetConfig().GetName()] || l.GetHealthy() && !l.GetDraining()
	}
	var all []*vnfv1.TcpVip
	for i := range cfg.TCP.VIPs {
		v := &cfg.TCP.VIPs[i]
		st := &vnfv1.TcpVipState{Interface: cfg.VIPInterface(v)}
		dad, present := there[place{st.Interface, v.Address}]
		st.Present, st.Dad = present, vnfv1.DadState(dad)
		for _, l := range cfg.VIPListeners(v) {
			st.Listeners = append(st.Listeners, l.Name)
			st.Healthy = st.Healthy || healthy[l.Name]
		}
		if t.s.opt.VIPs != nil && v.Announce {
			st.Announced = t.s.opt.VIPs.AnnouncedVIPs(v.Instance())[netip.PrefixFrom(v.Address, v.Address.BitLen())]
		}
		all = append(all, &vnfv1.TcpVip{State: st, Config: &vnfv1.TcpVipConfig{
			Name: v.Name, Address: v.Address.String(), NetworkInstance: v.Instance(), Interface: v.Interface, Announce: v.Announce,
		}})
	}
	slices.SortFunc(all, func(a, b *vnfv1.TcpVip) int { return strings.Compare(vipID(a), vipID(b)) })
	return all, nil
}

func vipID(v *vnfv1.TcpVip) string { return v.GetConfig().GetName() }

func (t *terminationService) ListTcpVips(ctx context.Context, req *vnfv1.ListTcpVipsRequest) (*vnfv1.ListTcpVipsResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	all, err := t.vips(ctx)
	if err != nil {
		return nil, err
	}
	items, token := pageByName(p, all, vipID)
	return &vnfv1.ListTcpVipsResponse{Vips: items, NextPageToken: token}, nil
}

func (t *terminationService) CreateTcpVip(ctx context.Context, req *vnfv1.CreateTcpVipRequest) (*vnfv1.TcpVip, error) {
	m := req.GetConfig()
	var c checks
	if m.GetName() == "" {
		c.addf("config.name", "is empty")
	}
	want := config.VIP{
		Name: m.GetName(), Address: addrField(&c, "config.address", m.GetAddress()), NetworkInstance: instanceIn(m.GetNetworkInstance()),
		Interface: m.GetInterface(), Announce: m.GetAnnounce(),
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		if vipIndex(cfg, want.Name) >= 0 {
			return fail(codes.AlreadyExists, "config.name", "there is a virtual address %q already", want.Name)
		}
		cfg.TCP.VIPs = append(cfg.TCP.VIPs, want)
		return nil
	})
	if err := configError(err, scope{path: "tcp.vips[" + want.Name + "]", field: "config"}); err != nil {
		return nil, err
	}
	all, err := t.vips(ctx)
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(all, func(v *vnfv1.TcpVip) bool { return vipID(v) == want.Name }); at >= 0 {
		return all[at], nil
	}
	return nil, notFound("config.name", "the virtual address %q is gone already", want.Name)
}

func (t *terminationService) DeleteTcpVip(ctx context.Context, req *vnfv1.DeleteTcpVipRequest) (*vnfv1.DeleteTcpVipResponse, error) {
	if req.GetName() == "" {
		return nil, invalid("name", "is empty; the name of a virtual address is needed")
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := vipIndex(cfg, req.GetName())
		if at < 0 {
			return notFound("name", "there is no virtual address %q", req.GetName())
		}
		cfg.TCP.VIPs = slices.Delete(cfg.TCP.VIPs, at, at+1)
		return nil
	})
	if err := configError(err); err != nil {
		return nil, err
	}
	return &vnfv1.DeleteTcpVipResponse{}, nil
}
