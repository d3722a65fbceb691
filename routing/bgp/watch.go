package bgp

import (
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"
)

// watcher takes GoBGP's events. GoBGP queues them without bound, so nothing here waits for anyone: routes go to the
// outbox, which folds them.
type watcher struct {
	s *Speaker
	b *builder
}

func (w *watcher) event(r *api.WatchEventResponse) {
	switch ev := r.GetEvent().(type) {
	case *api.WatchEventResponse_Peer:
		w.peer(ev.Peer)
	case *api.WatchEventResponse_Table:
		w.paths(ev.Table.GetPaths())
	}
}

// paths handles an event: all paths of one prefix, or an end-of-RIB.
func (w *watcher) paths(paths []*api.Path) {
	if len(paths) == 0 {
		return
	}
	c := w.s.cur.Load()
	if c == nil {
		return
	}
	first := paths[0]
	if first.GetNlri() == nil {
		if first.GetNeighborIp() == peerKey(gateAddr) {
			w.s.restart.gatePassed()
			return
		}
		if f, ok := familyOfAPI(first.GetFamily()); ok {
			n := w.s.facts(sourceOf(first))
			w.s.out.endOfRIB(n.addr, f)
			w.s.restart.endOfRIB(n.addr, f)
		}
		return
	}
	p, ok := w.b.prefix(first.GetNlri())
	if !ok {
		return
	}
	w.s.out.put(p, w.b.build(paths, c, w.s.facts))
}

func sourceOf(p *api.Path) pathSource { return pathSource{p.GetNeighborIp(), p.GetSourceId()} }

// facts are those of the neighbour a path came from.
func (s *Speaker) facts(src pathSource) peerFacts {
	f, ok := s.peers.find(src)
	if !ok {
		f = s.identify(s.ctx, src.addr, src.routerID)
	}
	return f
}

func (w *watcher) peer(ev *api.WatchEventResponse_PeerEvent) {
	if ev.GetType() == api.WatchEventResponse_PeerEvent_END_OF_INIT {
		return
	}
	st := ev.GetPeer().GetState()
	addr, err := netip.ParseAddr(st.GetNeighborAddress())
	if err != nil || addr == gateAddr {
		return
	}
	e := NeighborEvent{
		Neighbor: addr, State: sessionState(st.GetSessionState()), Admin: adminState(st.GetAdminState()),
		Time: time.Now(),
	}
	f, ok := w.s.peers.find(pathSource{st.GetNeighborAddress(), st.GetRouterId()})
	if e.State == Established || !ok {
		f = w.s.identify(w.s.ctx, st.GetNeighborAddress(), st.GetRouterId())
	}
	if f.addr.IsValid() {
		e.Neighbor = f.addr
	}
	if e.State != Established {
		w.s.peers.setHelped(e.Neighbor, true)
		e.Reason = w.s.peers.lastNote(peerKey(e.Neighbor)).text
	}
	w.s.restart.session(e.Neighbor, e.State == Established)
	w.s.events.send(e)
}
