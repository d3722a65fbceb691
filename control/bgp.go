package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"millrace/routing/bgp"
	"millrace/routing/rib"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
)

// instanceBGP is the speaker of one instance and what belongs to it.
type instanceBGP struct {
	speaker *bgp.Speaker
	config  bgp.Config
	started bool // config is in force
	redist  *redistributor
	rules   []rule
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	stopRedist context.CancelFunc
	redistDone chan struct{}
}

// sink takes what a speaker learns into the RIB. Each speaker has its own, which it calls from one goroutine.
type sink struct {
	c       *Controller
	changes []rib.Change // of the last call
	hops    map[*bgp.PathSet][]rib.NextHop
}

func bgpOrigin(instance string) string { return "bgp:" + instance }

// Upsert implements bgp.Sink.
func (s *sink) Upsert(_ context.Context, instance string, routes []bgp.Route) error {
	changes, hops := s.changes[:0], s.hops
	clear(hops)
	origin := bgpOrigin(instance)
	for _, r := range routes {
		h, ok := hops[r.PathSet]
		if !ok {
			h = make([]rib.NextHop, len(r.NextHops))
			for j, a := range r.NextHops {
				h[j] = rib.NextHop{Addr: a.WithZone(""), Interface: a.Zone()}
			}
			hops[r.PathSet] = h
		}
		changes = append(changes, rib.Change{Op: rib.Add, Route: rib.Route{
			VRF: instance, Prefix: r.Prefix, Source: rib.SourceBGP, Origin: origin, Distance: r.Distance, Metric: r.MED, NextHops: h,
		}})
	}
	return s.apply(changes)
}

// Withdraw implements bgp.Sink.
func (s *sink) Withdraw(_ context.Context, instance string, prefixes []netip.Prefix) error {
	changes := s.changes[:0]
	origin := bgpOrigin(instance)
	for _, p := range prefixes {
		changes = append(changes, rib.Change{Op: rib.Delete, Route: rib.Route{VRF: instance, Prefix: p, Source: rib.SourceBGP, Origin: origin}})
	}
	return s.apply(changes)
}

func (s *sink) apply(changes []rib.Change) error {
	s.changes = changes
	var first error
	refused := 0
	for i, err := range s.c.rib.Apply(changes) {
		if err == nil || changes[i].Op == rib.Delete && errors.Is(err, rib.ErrNotFound) {
			continue
		}
		if refused++; first == nil {
			first = fmt.Errorf("%s: %w", changes[i].Route.Prefix, err)
		}
	}
	if first != nil {
		// A peer may announce what cannot be routed; that must not hold up the rest.
		s.c.log.Warn("routes of BGP not taken into the RIB", "routes", refused, "first", first)
	}
	return nil
}

// EndOfRIB implements bgp.Sink.
func (s *sink) EndOfRIB(_ context.Context, instance string, neighbor netip.Addr, family bgp.Family) {
	s.c.log.Info("BGP end-of-RIB", "instance", instance, "neighbor", neighbor, "family", family)
	s.c.restart.gotEndOfRIB(instance, neighbor, family)
}

// Converged implements bgp.Sink: when it returns, the FIB has what BGP has.
func (s *sink) Converged(ctx context.Context, instance string) {
	if err := s.c.waitFIB(ctx, fibPatience); err != nil && ctx.Err() == nil {
		s.c.log.Warn("BGP goes on before the FIB has acknowledged its routes", "instance", instance, "error", err)
	}
	s.c.log.Info("BGP converged", "instance", instance)
	s.c.restart.converged(instance)
}

// applyBGP brings the speakers to a configuration. The caller holds the lock. What was changed before an error stays for the
// caller to take back.
func (c *Controller) applyBGP(ctx context.Context, cfg *config.Config) error {
	want := bgpConfigs(cfg)
	var errs []error
	for name := range c.bgp {
		if _, ok := want[name]; !ok {
			c.stopBGP(name, true)
		}
	}
	for i := range cfg.NetworkInstances {
		n := &cfg.NetworkInstances[i]
		if b, ok := want[n.Name]; ok {
			if err := c.applyInstance(ctx, cfg, n, b); err != nil {
				errs = append(errs, fmt.Errorf("network-instances[%s].bgp: %w", n.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Controller) applyInstance(ctx context.Context, cfg *config.Config, n *config.NetworkInstance, b bgp.Config) error {
	c.bgpMu.Lock()
	in := c.bgp[n.Name]
	c.bgpMu.Unlock()
	if in == nil {
		var err error
		if in, err = c.startBGP(n.Name); err != nil {
			return err
		}
	}
	if in.started {
		b.GracefulRestart.Restarting = in.config.GracefulRestart.Restarting // only counts once, and is no change
	} else {
		b.GracefulRestart.Restarting = c.restart.restarting() && b.GracefulRestart.Enabled
	}
	if !reflect.DeepEqual(in.config, b) {
		applyCtx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := in.speaker.Apply(applyCtx, b); err != nil {
			return err
		}
		in.config, in.started = b, true
	}
	known := map[string]bool{}
	for _, nb := range b.Neighbors {
		known[bgpAlarmID(n.Name, nb.Address)] = true
	}
	c.alarms.keep(bgpAlarm+n.Name+" ", known)
	rules := redistributeRules(cfg, n)
	if in.stopRedist == nil || !reflect.DeepEqual(rules, in.rules) {
		in.setRules(c.bgpCtx, rules)
	}
	return nil
}

// setRules starts redistribution anew by other rules; what stays announced is not touched.
func (in *instanceBGP) setRules(ctx context.Context, rules []rule) {
	if in.stopRedist != nil {
		in.stopRedist()
		<-in.redistDone
	}
	rctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	in.rules, in.stopRedist, in.redistDone = rules, cancel, done
	go func() { defer close(done); in.redist.run(rctx, rules) }()
}

func (c *Controller) startBGP(name string) (*instanceBGP, error) {
	ctx, cancel := context.WithCancel(c.bgpCtx)
	log := c.log.With("instance", name)
	s, err := bgp.New(ctx, bgp.Options{
		Log: log, Sink: &sink{c: c, hops: map[*bgp.PathSet][]rib.NextHop{}},
		ResolveInterface: func(a netip.Addr) string { return c.linkOf(name, a) },
	})
	if err != nil {
		cancel()
		return nil, err
	}
	in := &instanceBGP{speaker: s, cancel: cancel, redist: &redistributor{
		log: log, rib: c.rib, speaker: s, instance: name, advertised: map[netip.Prefix]rib.Source{}, sent: map[netip.Prefix]bgp.RedistributedRoute{},
	}}
	events := s.Events(ctx)
	in.wg.Go(func() { c.followBGP(log, name, events) })
	c.bgpMu.Lock()
	c.bgp[name] = in
	c.bgpMu.Unlock()
	c.restart.expect(name)
	c.term.change(func() {})
	return in, nil
}

// stopBGP ends a speaker. With cease the neighbours are told and its routes go; without, everything is left for the next run.
func (c *Controller) stopBGP(name string, cease bool) {
	c.bgpMu.Lock()
	in := c.bgp[name]
	delete(c.bgp, name)
	c.bgpMu.Unlock()
	if in == nil {
		return
	}
	if in.stopRedist != nil {
		in.stopRedist()
		<-in.redistDone
	}
	if cease {
		in.speaker.Close()
	}
	in.cancel()
	in.wg.Wait()
	if cease {
		n := c.rib.DeleteOrigin(rib.SourceBGP, bgpOrigin(name))
		c.alarms.keep(bgpAlarm+name+" ", nil)
		c.log.Info("BGP stopped", "instance", name, "routes", n)
	}
	c.restart.converged(name)
}

// linkOf names the interface whose network an address is in.
func (c *Controller) linkOf(instance string, a netip.Addr) string {
	cfg := c.Config()
	best, bits := "", -1
	for i := range cfg.Interfaces {
		f := &cfg.Interfaces[i]
		for _, p := range f.Addresses {
			if f.Instance() == instance && p.Contains(a.Unmap().WithZone("")) && p.Bits() > bits && !p.IsSingleIP() {
				best, bits = f.Name, p.Bits()
			}
		}
	}
	return best
}

const bgpAlarm = "bgp "

func bgpAlarmID(instance string, neighbor netip.Addr) string {
	return fmt.Sprintf("%s%s %s", bgpAlarm, instance, neighbor)
}

// followBGP makes alarms of sessions that are down. It ends with the speaker's context.
func (c *Controller) followBGP(log *slog.Logger, instance string, events <-chan bgp.NeighborEvent) {
	for e := range events {
		id := bgpAlarmID(instance, e.Neighbor)
		resource := fmt.Sprintf("network-instance %s neighbor %s", instance, e.Neighbor)
		log.Info("BGP session", "neighbor", e.Neighbor, "state", e.State, "admin", e.Admin, "reason", e.Reason)
		switch {
		case e.Admin == bgp.AdminPrefixLimit:
			c.alarms.raise(id, grpcserver.Critical, resource, "the neighbor announced more prefixes than allowed; the session is down")
		case e.Admin == bgp.AdminDown, e.State == bgp.Established:
			c.alarms.clear(id)
		default:
			text := "the session is down"
			if e.Reason != "" {
				text += ": " + e.Reason
			}
			c.alarms.raise(id, grpcserver.Major, resource, text)
		}
	}
}

// Speaker returns the speaker of an instance.
func (c *Controller) Speaker(instance string) (*bgp.Speaker, bool) {
	c.bgpMu.Lock()
	defer c.bgpMu.Unlock()
	if in := c.bgp[instance]; in != nil {
		return in.speaker, true
	}
	return nil, false
}
