package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
)

// Apply makes the speaker be as c says. The whole of c is validated first; if that fails the error is a
// *FieldError or a join of several, and nothing has changed. Only what differs from the applied configuration is
// touched: neighbours that stay the same keep their sessions, and so do those whose policies or prefix limits
// change. A change of AS number, router ID or listeners restarts all sessions.
func (s *Speaker) Apply(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	next := c.withDefaults()
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.closed {
		return ErrClosed
	}
	defer s.roll.forget()
	old := s.cur.Load()
	if old != nil && !proto.Equal(old.apiGlobal(), next.apiGlobal()) {
		s.log.Info("bgp restarts for a change of its global configuration", "instance", next.Instance)
		// GoBGP keeps peer groups when it stops, and would not have them added again.
		for _, d := range old.DynamicNeighbors {
			if err := s.removeDynamic(ctx, d); err != nil {
				s.log.Warn("bgp dynamic neighbours not removed", "prefix", d.Prefix, "error", err)
			}
		}
		s.stopServer()
		s.cur.Store(nil)
		old = nil
	}
	if old == nil {
		if err := s.start(ctx, &next); err != nil {
			return err
		}
		old = &Config{}
	}
	renew := old.ASN != 0 && (old.Multipath != next.Multipath || old.Distance != next.Distance)
	s.cur.Store(&next)
	err := errors.Join(
		s.applyRemovals(ctx, old, &next),
		s.applyPolicy(ctx, old, &next),
	)
	failed, nerr := s.applyNeighbors(ctx, old, &next)
	err = errors.Join(err, nerr,
		s.applyDynamic(ctx, old, &next),
		s.applyNetworks(ctx, old, &next),
	)
	if len(failed) > 0 {
		// They are not there, so that applying the same configuration again tries again.
		without := next
		without.Neighbors = slices.DeleteFunc(slices.Clone(next.Neighbors), func(n Neighbor) bool {
			return slices.Contains(failed, n.Address)
		})
		s.cur.Store(&without)
	}
	if renew {
		err = errors.Join(err, s.resend(ctx))
	}
	return err
}

// start brings GoBGP up, without neighbours, and the gate with it if we are restarting.
func (s *Speaker) start(ctx context.Context, c *Config) error {
	if err := s.srv.StartBgp(ctx, &api.StartBgpRequest{Global: c.apiGlobal()}); err != nil {
		// Some of the listeners may be open.
		if stop := s.srv.StopBgp(ctx, &api.StopBgpRequest{}); stop != nil {
			s.log.Warn("bgp listeners not closed", "error", stop)
		}
		return fmt.Errorf("start bgp: %w", err)
	}
	s.cur.Store(c)
	if err := s.assignPolicies(ctx); err != nil {
		s.stopServer()
		s.cur.Store(nil)
		return err
	}
	if !s.restart.first() {
		return nil
	}
	var g *gate
	if c.GracefulRestart.Enabled && c.GracefulRestart.Restarting && !c.GracefulRestart.HelperOnly {
		var err error
		if g, err = startGate(ctx, s, c); err != nil {
			// Without it the restart is still a graceful one, only that GoBGP ends the deferral by itself.
			s.log.Warn("bgp restarts gracefully without waiting for the FIB", "instance", c.Instance, "error", err)
		}
	}
	s.restart.begin(c, g)
	return nil
}

func findNeighbor(c *Config, a netip.Addr) *Neighbor {
	for i := range c.Neighbors {
		if c.Neighbors[i].Address == a {
			return &c.Neighbors[i]
		}
	}
	return nil
}

func (s *Speaker) applyRemovals(ctx context.Context, old, next *Config) error {
	var errs []error
	for _, n := range old.Neighbors {
		if findNeighbor(next, n.Address) == nil {
			errs = append(errs, s.removePeer(ctx, old, n))
			s.peers.forget(n.Address)
			s.restart.drop(n.Address)
		}
	}
	for _, d := range old.DynamicNeighbors {
		if !slices.ContainsFunc(next.DynamicNeighbors, d.same) || !proto.Equal(old.apiGroup(d), next.apiGroup(d)) {
			errs = append(errs, s.removeDynamic(ctx, d))
		}
	}
	return errors.Join(errs...)
}

// removePeer deletes a neighbour with a Cease.
func (s *Speaker) removePeer(ctx context.Context, c *Config, n Neighbor) error {
	if n.Password != "" {
		// GoBGP forgets to take the key off the listener when a peer is deleted, but not when its password changes.
		p := c.apiPeer(n, false)
		p.Conf.AuthPassword = ""
		if _, err := s.srv.UpdatePeer(ctx, &api.UpdatePeerRequest{Peer: p}); err != nil {
			s.log.Debug("bgp password not cleared", "neighbor", n.Address, "error", err)
		}
	}
	if err := s.srv.DeletePeer(ctx, &api.DeletePeerRequest{Address: peerKey(n.Address)}); err != nil {
		return fmt.Errorf("remove neighbour %s: %w", n.Address, err)
	}
	return nil
}

func (s *Speaker) addPeer(ctx context.Context, c *Config, n Neighbor) error {
	p := c.apiPeer(n, s.restart.restarting() && c.gracefulFor(n))
	p.Conf.AdminDown = n.Disabled
	if err := s.srv.AddPeer(ctx, &api.AddPeerRequest{Peer: p}); err != nil {
		return fmt.Errorf("add neighbour %s: %w", n.Address, err)
	}
	return nil
}

// applyNeighbors adds and changes neighbours, and names those that could not be added.
func (s *Speaker) applyNeighbors(ctx context.Context, old, next *Config) (failed []netip.Addr, err error) {
	var errs []error
	add := func(n Neighbor) {
		if err := s.addPeer(ctx, next, n); err != nil {
			errs, failed = append(errs, err), append(failed, n.Address)
		}
	}
	for _, n := range next.Neighbors {
		o := findNeighbor(old, n.Address)
		switch {
		case o == nil:
			add(n)
		case !proto.Equal(old.apiPeer(*o, false), next.apiPeer(n, false)):
			errs = append(errs, s.removePeer(ctx, old, *o))
			add(n)
		case o.Disabled != n.Disabled && n.Disabled:
			errs = append(errs, s.Disable(ctx, n.Address, ""))
		case o.Disabled != n.Disabled:
			errs = append(errs, s.Enable(ctx, n.Address))
		}
		if n.Disabled {
			s.restart.drop(n.Address)
		}
	}
	return failed, errors.Join(errs...)
}

// same leaves out what only the export policy is made of.
func (d DynamicNeighbor) same(o DynamicNeighbor) bool {
	return d.Prefix == o.Prefix && d.PeerGroup == o.PeerGroup
}

func (s *Speaker) applyDynamic(ctx context.Context, old, next *Config) error {
	var errs []error
	for _, d := range next.DynamicNeighbors {
		if slices.ContainsFunc(old.DynamicNeighbors, d.same) && proto.Equal(old.apiGroup(d), next.apiGroup(d)) {
			continue
		}
		if err := s.srv.AddPeerGroup(ctx, &api.AddPeerGroupRequest{PeerGroup: next.apiGroup(d)}); err != nil {
			errs = append(errs, fmt.Errorf("add dynamic neighbours %s: %w", d.Prefix, err))
			continue
		}
		err := s.srv.AddDynamicNeighbor(ctx, &api.AddDynamicNeighborRequest{DynamicNeighbor: &api.DynamicNeighbor{
			Prefix: d.Prefix.String(), PeerGroup: dynamicGroup(d),
		}})
		if err != nil {
			errs = append(errs, fmt.Errorf("add dynamic neighbours %s: %w", d.Prefix, err))
		}
	}
	return errors.Join(errs...)
}

// removeDynamic takes a prefix of dynamic neighbours away, and the sessions that came from it.
func (s *Speaker) removeDynamic(ctx context.Context, d DynamicNeighbor) error {
	err := s.srv.DeleteDynamicNeighbor(ctx, &api.DeleteDynamicNeighborRequest{
		Prefix: d.Prefix.String(), PeerGroup: dynamicGroup(d),
	})
	var gone []string
	_ = s.srv.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
		if p.GetConf().GetPeerGroup() == dynamicGroup(d) {
			gone = append(gone, p.GetState().GetNeighborAddress())
		}
	})
	for _, a := range gone {
		err = errors.Join(err, s.srv.DeletePeer(ctx, &api.DeletePeerRequest{Address: a}))
	}
	err = errors.Join(err, s.srv.DeletePeerGroup(ctx, &api.DeletePeerGroupRequest{Name: dynamicGroup(d)}))
	if err != nil {
		return fmt.Errorf("remove dynamic neighbours %s: %w", d.Prefix, err)
	}
	return nil
}

// Applied is the configuration in force, with groups merged into neighbours and defaults filled in.
func (s *Speaker) Applied() (Config, bool) {
	c := s.cur.Load()
	if c == nil {
		return Config{}, false
	}
	return *c, true
}
