package grpcserver

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
)

func poolIndex(c *config.Config, name string) int {
	return slices.IndexFunc(c.TCP.Pools, func(p config.TCPPool) bool { return p.Name == name })
}

func backendIndex(p *config.TCPPool, name string) int {
	return slices.IndexFunc(p.Backends, func(b config.TCPBackend) bool { return b.Name == name })
}

// pools are those of the configuration, in order of name; name limits them to one.
func (t *terminationService) pools(ctx context.Context, name string) ([]*vnfv1.TcpPool, error) {
	cfg := t.s.opt.Config.Config()
	byName := map[string]*vnfv1.TcpPool{}
	var all []*vnfv1.TcpPool
	for i := range cfg.TCP.Pools {
		if p := &cfg.TCP.Pools[i]; name == "" || p.Name == name {
			one := &vnfv1.TcpPool{Config: poolConfigOut(p), State: &vnfv1.TcpPoolState{Backends: uint32(len(p.Backends))}}
			for _, b := range one.Config.Backends {
				one.Backends = append(one.Backends, &vnfv1.TcpBackend{Config: b, State: &vnfv1.TcpBackendState{}})
			}
			byName[p.Name] = one
			all = append(all, one)
		}
	}
	lost, err := t.poolStates(ctx, name, byName)
	if err != nil {
		return nil, err
	}
	why := t.s.reasons()
	for _, one := range all {
		c := one.GetConfig()
		for i := range cfg.TCP.Listeners {
			l := &cfg.TCP.Listeners[i]
			if l.Proxy != nil && (l.Proxy.Pool == c.GetName() || l.Proxy.BackupPool == c.GetName()) {
				one.State.Listeners = append(one.State.Listeners, l.Name)
			}
		}
		if !one.State.Present {
			if one.State.Reason = why["tcp.pools["+c.GetName()+"]"]; one.State.Reason == "" {
				one.State.Reason = lost
			}
		}
		slices.SortStableFunc(one.Backends, func(a, b *vnfv1.TcpBackend) int {
			return strings.Compare(a.GetConfig().GetName(), b.GetConfig().GetName())
		})
	}
	slices.SortFunc(all, func(a, b *vnfv1.TcpPool) int { return strings.Compare(poolID(a), poolID(b)) })
	return all, nil
}

func poolID(p *vnfv1.TcpPool) string { return p.GetConfig().GetName() }

// poolStates fills in what the data plane tells; lost is why it tells nothing.
func (t *terminationService) poolStates(ctx context.Context, name string, pools map[string]*vnfv1.TcpPool) (lost string, err error) {
	for st, err := range t.s.opt.Dataplane.TCPPools(ctx, name) {
		if gone(err) {
			return err.Error(), nil
		}
		if err != nil {
			return "", dataplaneError(err)
		}
		if one := pools[st.GetConfig().GetName()]; one != nil {
			one.State = poolStateOut(st)
		}
	}
	for st, err := range t.s.opt.Dataplane.TCPBackends(ctx, name) {
		if gone(err) {
			return err.Error(), nil
		}
		if err != nil {
			return "", dataplaneError(err)
		}
		one := pools[st.GetPool()]
		if one == nil {
			continue
		}
		at := slices.IndexFunc(one.Backends, func(b *vnfv1.TcpBackend) bool { return b.GetConfig().GetName() == st.GetConfig().GetName() })
		if at < 0 || st.GetDraining() {
			one.Backends = append(one.Backends, &vnfv1.TcpBackend{Config: backendConfigOfState(st.GetConfig()), State: backendStateOut(st)})
			continue
		}
		one.Backends[at].State = backendStateOut(st)
	}
	return "", nil
}

func (t *terminationService) pool(ctx context.Context, field, name string) (*vnfv1.TcpPool, error) {
	if name == "" {
		return nil, invalid(field, "is empty; the name of a pool is needed")
	}
	list, err := t.pools(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFound(field, "there is no pool %q", name)
	}
	return list[0], nil
}

func (t *terminationService) ListTcpPools(ctx context.Context, req *vnfv1.ListTcpPoolsRequest) (*vnfv1.ListTcpPoolsResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	all, err := t.pools(ctx, "")
	if err != nil {
		return nil, err
	}
	items, token := pageByName(p, all, poolID)
	return &vnfv1.ListTcpPoolsResponse{Pools: items, NextPageToken: token}, nil
}

func (t *terminationService) GetTcpPool(ctx context.Context, req *vnfv1.GetTcpPoolRequest) (*vnfv1.TcpPool, error) {
	return t.pool(ctx, "name", req.GetName())
}

func poolScope(name, field string) scope {
	return scope{path: "tcp.pools[" + name + "]", field: field, rename: map[string]string{"type": "kind"}}
}

func (t *terminationService) CreateTcpPool(ctx context.Context, req *vnfv1.CreateTcpPoolRequest) (*vnfv1.TcpPool, error) {
	var c checks
	want := poolConfigIn(&c, "config", req.GetConfig())
	if err := c.err(); err != nil {
		return nil, err
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		if poolIndex(cfg, want.Name) >= 0 {
			return fail(codes.AlreadyExists, "config.name", "there is a pool %q already", want.Name)
		}
		cfg.TCP.Pools = append(cfg.TCP.Pools, want)
		return nil
	})
	if err := configError(err, poolScope(want.Name, "config")); err != nil {
		return nil, err
	}
	return t.pool(ctx, "config.name", want.Name)
}

func (t *terminationService) UpdateTcpPool(ctx context.Context, req *vnfv1.UpdateTcpPoolRequest) (*vnfv1.TcpPool, error) {
	name := req.GetConfig().GetName()
	if name == "" {
		return nil, invalid("config.name", "is empty; the name of a pool is needed")
	}
	return t.editPool(ctx, "config.name", name, "config", func(p *config.TCPPool) error {
		merged := poolConfigOut(p)
		if err := merge(merged, req.GetConfig(), req.GetUpdateMask().GetPaths()); err != nil {
			return err
		}
		var c checks
		want := poolConfigIn(&c, "config", merged)
		if err := c.err(); err != nil {
			return err
		}
		*p = want
		return nil
	})
}

// editPool changes a pool of the configuration. nameField is the field of the request that names it, field the one that holds it.
func (t *terminationService) editPool(ctx context.Context, nameField, name, field string, change func(*config.TCPPool) error) (
	*vnfv1.TcpPool, error) {
	if name == "" {
		return nil, invalid(nameField, "is empty; the name of a pool is needed")
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := poolIndex(cfg, name)
		if at < 0 {
			return notFound(nameField, "there is no pool %q", name)
		}
		return change(&cfg.TCP.Pools[at])
	})
	if err := configError(err, poolScope(name, field)); err != nil {
		return nil, err
	}
	return t.pool(ctx, nameField, name)
}

func (t *terminationService) DeleteTcpPool(ctx context.Context, req *vnfv1.DeleteTcpPoolRequest) (*vnfv1.DeleteTcpPoolResponse, error) {
	if req.GetName() == "" {
		return nil, invalid("name", "is empty; the name of a pool is needed")
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := poolIndex(cfg, req.GetName())
		if at < 0 {
			return notFound("name", "there is no pool %q", req.GetName())
		}
		cfg.TCP.Pools = slices.Delete(cfg.TCP.Pools, at, at+1)
		return nil
	})
	if err := configError(err); err != nil {
		return nil, err
	}
	return &vnfv1.DeleteTcpPoolResponse{}, nil
}

func (t *terminationService) SetTcpBackend(ctx context.Context, req *vnfv1.SetTcpBackendRequest) (*vnfv1.TcpPool, error) {
	var c checks
	want := backendConfigIn(&c, "backend", req.GetBackend())
	if err := c.err(); err != nil {
		return nil, err
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := poolIndex(cfg, req.GetPool())
		if at < 0 {
			return notFound("pool", "there is no pool %q", req.GetPool())
		}
		p := &cfg.TCP.Pools[at]
		if k := backendIndex(p, want.Name); k >= 0 {
			p.Backends[k] = want
		} else {
			p.Backends = append(p.Backends, want)
		}
		return nil
	})
	own := scope{path: "tcp.pools[" + req.GetPool() + "].backends[" + want.Name + "]", field: "backend"}
	if err := configError(err, own, poolScope(req.GetPool(), "pool")); err != nil {
		return nil, err
	}
	return t.pool(ctx, "pool", req.GetPool())
}

func (t *terminationService) DeleteTcpBackend(ctx context.Context, req *vnfv1.DeleteTcpBackendRequest) (*vnfv1.TcpPool, error) {
	return t.editPool(ctx, "pool", req.GetPool(), "pool", func(p *config.TCPPool) error {
		at := backendIndex(p, req.GetBackend())
		if at < 0 {
			return notFound("backend", "pool %s has no backend %q", p.Name, req.GetBackend())
		}
		p.Backends = slices.Delete(p.Backends, at, at+1)
		return nil
	})
}

func (t *terminationService) SetTcpBackendAdmin(ctx context.Context, req *vnfv1.SetTcpBackendAdminRequest) (*vnfv1.TcpPool, error) {
	var c checks
	admin := wordOf[config.BackendAdmin](&c, "admin", req.GetAdmin(), 0)
	if err := c.err(); err != nil {
		return nil, err
	}
	return t.editPool(ctx, "pool", req.GetPool(), "pool", func(p *config.TCPPool) error {
		at := backendIndex(p, req.GetBackend())
		if at < 0 {
			return notFound("backend", "pool %s has no backend %q", p.Name, req.GetBackend())
		}
		p.Backends[at].Admin = admin
		return nil
	})
}
