package control

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/routing/rib"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
)

// Prefixes of the ids of alarms about pools and their backends.
const (
	poolAlarm    = "tcp-pool "
	backendAlarm = "tcp-backend "
)

const (
	// How often the whole is looked at if nothing happens: what a speaker refused is tried again.
	terminationInterval = 10 * time.Second
	// Pause between two readings of the health of all backends, of which many may change at once.
	healthPause = 500 * time.Millisecond
)

// sourceVIP stands for virtual addresses where the sources of redistributed routes are told apart.
const sourceVIP rib.Source = 255

// termination is what is known of the health of pools and listeners, for alarms and the announcement of virtual addresses. It stays
// as it is while the data plane can't be reached: that goes on forwarding.
type termination struct {
	mu sync.Mutex
	// pools that are healthy; moved are those of which an event came while the health is read.
	pools, moved map[string]bool
	// listeners and virtual addresses that the data plane has, by their keys.
	present map[string]bool
	// stale: the health has to be read; known: it has been.
	stale, known bool
	wake         chan struct{}
}

func newTermination() *termination {
	return &termination{pools: map[string]bool{}, moved: map[string]bool{}, present: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// change takes something in and has it looked after.
func (t *termination) change(f func()) {
	t.mu.Lock()
	f()
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// healthy says whether a listener serves.
func (t *termination) healthy(l *config.TCPListener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.present[listenerKey(l.Name)] {
		return false
	}
	return l.Proxy == nil || t.pools[l.Proxy.Pool] || l.Proxy.BackupPool != "" && t.pools[l.Proxy.BackupPool]
}

func (t *termination) has(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.present[key]
}

func (t *termination) state() (stale, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stale, t.known
}

// announcements are the virtual addresses to announce, by network instance.
func announcements(c *config.Config, present func(key string) bool, healthy func(*config.TCPListener) bool) map[string]map[netip.Prefix]bool {
	all := map[string]map[netip.Prefix]bool{}
	for i := range c.TCP.VIPs {
		v := &c.TCP.VIPs[i]
		if !v.Announce || !present(vipObject(c.VIPInterface(v), v.Address, "").key) || !served(c, v, healthy) {
			continue
		}
		if all[v.Instance()] == nil {
			all[v.Instance()] = map[netip.Prefix]bool{}
		}
		all[v.Instance()][hostPrefix(v.Address)] = true
	}
	return all
}

// hostPrefix is a /32 or /128.
func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// served says whether a healthy listener takes connections to a virtual address.
func served(c *config.Config, v *config.VIP, healthy func(*config.TCPListener) bool) bool {
	return slices.ContainsFunc(c.VIPListeners(v), healthy)
}

// followTermination keeps alarms and the announcements of virtual addresses what they should be. It ends with ctx.
func (c *Controller) followTermination(ctx context.Context) {
	t := time.NewTicker(terminationInterval)
	defer t.Stop()
	var read time.Time
	for {
		stale, known := c.term.state()
		due := time.Until(read.Add(healthPause))
		if stale && due <= 0 && c.dp.Connected() {
			read = time.Now()
			if err := c.refreshHealth(ctx); err != nil && ctx.Err() == nil {
				c.log.Debug("read the health of TCP pools", "error", err)
			}
			_, known = c.term.state()
		}
		if known {
			c.announceOnce(ctx)
		}
		var soon <-chan time.Time
		if stale && due > 0 {
			soon = time.After(due)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.term.wake:
		case <-soon:
		case <-t.C:
		}
	}
}

func (c *Controller) announceOnce(ctx context.Context) {
	want := announcements(c.Config(), c.term.has, c.term.healthy)
	c.bgpMu.Lock()
	speakers := map[string]*redistributor{}
	for name, in := range c.bgp {
		speakers[name] = in.redist
	}
	c.bgpMu.Unlock()
	for name, r := range speakers {
		if err := r.setVIPs(ctx, want[name]); err != nil && ctx.Err() == nil {
			c.log.Warn("announce virtual addresses", "instance", name, "error", err)
		}
	}
}

// AnnouncedVIPs are the prefixes of virtual addresses that are announced in an instance.
func (c *Controller) AnnouncedVIPs(instance string) map[netip.Prefix]bool {
	c.bgpMu.Lock()
	in := c.bgp[instance]
	c.bgpMu.Unlock()
	if in == nil {
		return nil
	}
	return in.redist.vips()
}

// notePresent notes which listeners and virtual addresses the data plane has. The caller holds the lock.
func (c *Controller) notePresent() {
	present := map[string]bool{}
	for key, o := range c.objects.have {
		if o.rank == rankListener || o.rank == rankAddress {
			present[key] = true
		}
	}
	c.term.change(func() { c.term.present, c.term.stale = present, true })
}

// refreshHealth reads the health of pools and backends. Changes that come meanwhile make it stale again.
func (c *Controller) refreshHealth(ctx context.Context) error {
	c.term.mu.Lock()
	c.term.stale = false
	clear(c.term.moved)
	c.term.mu.Unlock()
	pools, ids, err := c.readHealth(ctx)
	if err != nil {
		c.term.mu.Lock()
		c.term.stale = true
		c.term.mu.Unlock()
		return err
	}
	c.alarms.keep(poolAlarm, ids)
	c.alarms.keep(backendAlarm, ids)
	c.term.mu.Lock()
	defer c.term.mu.Unlock()
	for name := range c.term.moved {
		pools[name] = c.term.pools[name]
	}
	c.term.pools, c.term.known = pools, true
	return nil
}

// readHealth returns which pools are healthy, and the ids of the alarms that are raised.
func (c *Controller) readHealth(ctx context.Context) (pools, ids map[string]bool, err error) {
	pools, ids = map[string]bool{}, map[string]bool{}
	unknown := map[string]bool{} // pools whose first checks are under way
	for b, err := range c.dp.TCPBackends(ctx, "") {
		if noTCP(err) {
			return pools, ids, nil
		}
		if err != nil {
			return nil, nil, err
		}
		name := b.GetConfig().GetName()
		switch {
		case b.GetDraining() || b.GetConfig().GetAdmin() == pb.TcpBackendAdmin_TCP_BACKEND_ADMIN_DISABLED:
		case b.GetHealth() == pb.TcpHealth_TCP_HEALTH_UNKNOWN:
			unknown[b.GetPool()] = true
		case b.GetHealth() == pb.TcpHealth_TCP_HEALTH_DOWN:
			ids[backendID(b.GetPool(), name)] = true
			c.backendDown(b.GetPool(), name, b.GetReason())
		}
	}
	for p, err := range c.dp.TCPPools(ctx, "") {
		if err != nil {
			return nil, nil, err
		}
		name := p.GetConfig().GetName()
		pools[name] = p.GetHealthy()
		if !p.GetHealthy() && !unknown[name] {
			ids[poolAlarm+name] = true
			c.poolDown(name, p.GetBackendsHealthy(), p.GetBackends())
		}
	}
	return pools, ids, nil
}

// noTCP says that the data plane is of a version that has no such tables.
func noTCP(err error) bool {
	code := client.CodeOf(err)
	return code == pb.Code_CODE_INVALID || code == pb.Code_CODE_UNSUPPORTED || code == pb.Code_CODE_UNKNOWN_REQUEST
}

func backendID(pool, backend string) string { return backendAlarm + pool + " " + backend }

func (c *Controller) poolDown(pool string, up, all uint32) {
	c.alarms.raise(poolAlarm+pool, grpcserver.Major, "tcp-pool "+pool, fmt.Sprintf("the pool is not healthy: %d of %d backends are up", up, all))
}

func (c *Controller) backendDown(pool, backend, why string) {
	text := "the backend is down"
	if why != "" {
		text += ": " + why
	}
	c.alarms.raise(backendID(pool, backend), grpcserver.Minor, fmt.Sprintf("tcp-pool %s backend %s", pool, backend), text)
}

// healthEvent takes a change of health that the data plane tells.
func (c *Controller) healthEvent(e *pb.TcpHealthEvent) {
	up := e.GetHealth() == pb.TcpHealth_TCP_HEALTH_UP
	if e.GetBackend() == "" {
		c.log.Info("TCP pool", "pool", e.GetPool(), "healthy", up, "backends", e.GetBackends(), "up", e.GetBackendsHealthy())
		if up {
			c.alarms.clear(poolAlarm + e.GetPool())
		} else {
			c.poolDown(e.GetPool(), e.GetBackendsHealthy(), e.GetBackends())
		}
		c.term.change(func() {
			c.term.pools[e.GetPool()], c.term.moved[e.GetPool()], c.term.stale = up, true, true
		})
		return
	}
	c.log.Info("TCP backend", "pool", e.GetPool(), "backend", e.GetBackend(), "health", e.GetHealth(), "reason", e.GetReason())
	if e.GetHealth() == pb.TcpHealth_TCP_HEALTH_DOWN {
		c.backendDown(e.GetPool(), e.GetBackend(), e.GetReason())
	} else {
		c.alarms.clear(backendID(e.GetPool(), e.GetBackend()))
	}
	c.term.change(func() { c.term.stale = true })
}

// setVIPs announces these prefixes, and takes back others that were announced as virtual addresses.
func (r *redistributor) setVIPs(ctx context.Context, want map[netip.Prefix]bool) error {
	var add, remove []netip.Prefix
	r.mu.Lock()
	for p := range want {
		if _, ok := r.advertised[p]; !ok { // else another source announces it
			add = append(add, p)
		}
	}
	for p, src := range r.advertised {
		if src == sourceVIP && !want[p] {
			remove = append(remove, p)
		}
	}
	r.mu.Unlock()
	if len(add) == 0 && len(remove) == 0 {
		return nil
	}
	r.log.Info("virtual addresses", "announced", add, "withdrawn", remove)
	return r.change(ctx, rule{source: sourceVIP}, add, remove, false)
}

// vips are the prefixes that are announced as virtual addresses.
func (r *redistributor) vips() map[netip.Prefix]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[netip.Prefix]bool{}
	for p, src := range r.advertised {
		if src == sourceVIP {
			all[p] = true
		}
	}
	return all
}
