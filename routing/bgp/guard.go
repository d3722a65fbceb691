package bgp

import (
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
)

// limitState is what has been done about a neighbour's prefix limit.
type limitState struct {
	warned  bool
	tripped time.Time // when the session was ended for it; zero since it is down
	timer   *time.Timer
}

// guardEvery is how often prefix limits are looked at; less often when counting takes long.
const guardEvery = 250 * time.Millisecond

// guard enforces prefix limits and the time stale routes may live, until the speaker ends. GoBGP could do limits itself
// but counts the whole adj-RIB-in of a neighbour at every UPDATE, which takes minutes for a full table.
func (s *Speaker) guard() {
	t := time.NewTimer(guardEvery)
	defer t.Stop()
	stale := make(map[netip.Addr]time.Time)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		begin := time.Now()
		if c := s.cur.Load(); c != nil {
			for _, n := range c.Neighbors {
				if len(n.PrefixLimits) > 0 && !n.Disabled {
					s.checkLimits(c, n)
				}
			}
			if c.GracefulRestart.Enabled {
				s.checkStale(c, stale)
			}
		}
		t.Reset(max(guardEvery, 30*time.Since(begin)))
	}
}

func (s *Speaker) checkLimits(c *Config, n Neighbor) {
	var found *api.Peer
	_ = s.srv.ListPeer(s.ctx, &api.ListPeerRequest{Address: peerKey(n.Address)}, func(p *api.Peer) { found = p })
	if found == nil {
		return
	}
	s.peers.mu.Lock()
	st := s.peers.limit[n.Address]
	s.peers.mu.Unlock()
	defer func() {
		s.peers.mu.Lock()
		s.peers.limit[n.Address] = st
		s.peers.mu.Unlock()
	}()
	if found.GetState().GetSessionState() != api.PeerState_ESTABLISHED {
		if !st.tripped.IsZero() && found.GetState().GetAdminState() == api.PeerState_PFX_CT {
			s.disarm(c, n)
			st.tripped = time.Time{}
		}
		st.warned = false
		return
	}
	for _, l := range n.PrefixLimits {
		count := uint64(0)
		for _, af := range found.GetAfiSafis() {
			if f, ok := familyOfAPI(af.GetConfig().GetFamily()); ok && f == l.Family {
				count = af.GetState().GetReceived()
			}
		}
		over := count > uint64(l.Max)
		warn := over && l.WarnOnly || l.WarnPercent > 0 && count*100 > uint64(l.Max)*uint64(l.WarnPercent)
		if warn && !st.warned {
			st.warned = true
			s.log.Warn("bgp neighbour nears or exceeds its prefix limit", "instance", c.Instance,
				"neighbor", n.Address, "family", l.Family, "prefixes", count, "limit", l.Max)
		}
		if over && !l.WarnOnly && time.Since(st.tripped) > 5*time.Second {
			st.tripped = time.Now()
			s.log.Error("bgp neighbour exceeds its prefix limit, session ends", "instance", c.Instance,
				"neighbor", n.Address, "family", l.Family, "prefixes", count, "limit", l.Max,
				"restart-after", l.RestartAfter)
			s.disarm(c, n) // should it be set from before, GoBGP would see no change
			s.trip(c, n, l)
			if l.RestartAfter > 0 {
				st.timer = time.AfterFunc(l.RestartAfter, func() {
					if s.ctx.Err() == nil {
						if err := s.Enable(s.ctx, n.Address); err != nil {
							s.log.Warn("bgp neighbour not brought up after its prefix limit",
								"neighbor", n.Address, "error", err)
						}
					}
				})
			}
		}
	}
}

// trip gives GoBGP the limit, upon which it ends the session with a Cease / Maximum Number of Prefixes Reached (RFC
// 4486) and keeps it down.
func (s *Speaker) trip(c *Config, n Neighbor, l PrefixLimit) {
	p := c.apiPeer(n, false)
	for _, af := range p.GetAfiSafis() {
		if f, ok := familyOfAPI(af.GetConfig().GetFamily()); ok && f == l.Family {
			af.PrefixLimits = &api.PrefixLimit{Family: apiFamily(f), MaxPrefixes: l.Max}
		}
	}
	if _, err := s.srv.UpdatePeer(s.ctx, &api.UpdatePeerRequest{Peer: p}); err != nil {
		s.log.Error("bgp session over its prefix limit not ended", "neighbor", n.Address, "error", err)
	}
}

// disarm takes the limit from GoBGP again, now that the session is down.
func (s *Speaker) disarm(c *Config, n Neighbor) {
	if _, err := s.srv.UpdatePeer(s.ctx, &api.UpdatePeerRequest{Peer: c.apiPeer(n, false)}); err != nil {
		s.log.Warn("bgp prefix limit not reset", "neighbor", n.Address, "error", err)
	}
}

// checkStale ends the session of a neighbour that came back after a restart but does not send its end-of-RIB: only so
// does GoBGP forget the routes that are stale.
func (s *Speaker) checkStale(c *Config, since map[netip.Addr]time.Time) {
	up := make(map[netip.Addr]bool)
	for _, n := range c.Neighbors {
		if !c.gracefulFor(n) || !s.peers.helped(n.Address) {
			continue
		}
		_ = s.srv.ListPeer(s.ctx, &api.ListPeerRequest{Address: peerKey(n.Address)}, func(p *api.Peer) {
			if p.GetState().GetSessionState() != api.PeerState_ESTABLISHED {
				return
			}
			if !p.GetGracefulRestart().GetPeerRestarting() {
				s.peers.setHelped(n.Address, false)
				return
			}
			up[n.Address] = true
		})
	}
	for a := range since {
		if !up[a] {
			delete(since, a)
		}
	}
	for a := range up {
		if _, ok := since[a]; !ok {
			since[a] = time.Now()
		}
		if time.Since(since[a]) > c.GracefulRestart.StaleRoutesTime {
			delete(since, a)
			s.log.Warn("bgp neighbour sent no end-of-RIB after its restart, session ends", "instance", c.Instance,
				"neighbor", a, "stale-routes-time", c.GracefulRestart.StaleRoutesTime)
			if err := s.Reset(s.ctx, a, "no end-of-RIB in time"); err != nil {
				s.log.Warn("bgp session with stale routes not ended", "neighbor", a, "error", err)
			}
		}
	}
}
