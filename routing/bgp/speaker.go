package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// Options are what a speaker is made with.
type Options struct {
	Log  *slog.Logger // slog.Default() if nil
	Sink Sink
	// ResolveInterface names the interface on which an address is directly connected, "" if it is not. It is asked
	// when a session comes up. If nil, the kernel's interfaces are looked at.
	ResolveInterface func(netip.Addr) string
}

// Speaker is one BGP instance. All methods may be called from any goroutine.
type Speaker struct {
	log     *slog.Logger
	sink    Sink
	resolve func(netip.Addr) string
	srv     *server.BgpServer
	out     *outbox
	tap     *tap
	cancel  context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup

	apply sync.Mutex             // held by what changes the configuration
	cur   atomic.Pointer[Config] // applied, with defaults; nil before the first Apply

	peers    *peerTable
	events   *fanout
	restart  *restart
	lists    *snapshots
	roll     roll
	closed   bool                                // under apply
	external map[netip.Prefix]RedistributedRoute // advertised by Redistribute, under apply
}

// ErrClosed is returned by a speaker after Close.
var ErrClosed = errors.New("bgp speaker is closed")

// New makes a speaker that does nothing yet. It ends with ctx or Close.
func New(ctx context.Context, o Options) (*Speaker, error) {
	if o.Sink == nil {
		return nil, errors.New("bgp: sink: missing")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.ResolveInterface == nil {
		o.ResolveInterface = connectedInterface
	}
	s := &Speaker{
		log: o.Log, sink: o.Sink, resolve: o.ResolveInterface,
		peers: newPeerTable(), events: newFanout(), lists: newSnapshots(),
		external: make(map[netip.Prefix]RedistributedRoute),
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.out = newOutbox(o.Sink, o.Log, s.instance)
	s.restart = newRestart(s)
	s.srv = server.NewBgpServer(server.LoggerOption(&logger{log: o.Log, onPeer: s.peers.note}))
	go s.srv.Serve()

	w := &watcher{s: s, b: newBuilder()}
	err := s.srv.WatchEvent(s.ctx, &api.WatchEventRequest{
		Peer: &api.WatchEventRequest_Peer{},
		Table: &api.WatchEventRequest_Table{Filters: []*api.WatchEventRequest_Table_Filter{
			{Type: api.WatchEventRequest_Table_Filter_BEST},
			{Type: api.WatchEventRequest_Table_Filter_EOR},
		}},
	}, w.event)
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("bgp: watch GoBGP's events: %w", err)
	}
	s.tap = &tap{put: s.out.offer}
	b := newBuilder()
	s.out.build = func(paths []tapped, stale bool) *PathSet {
		c := s.cur.Load()
		if c == nil {
			return nil
		}
		return b.buildFrom(len(paths), func(i int) candidate { return s.tap.read(paths[i]) }, stale, c, s.facts)
	}
	if err := s.tap.attach(s.srv); err != nil {
		s.log.Warn("bgp takes routes the slow way", "reason", err)
	}
	s.wg.Add(2)
	go func() { defer s.wg.Done(); s.out.run(s.ctx) }()
	go func() { defer s.wg.Done(); s.guard() }()
	return s, nil
}

func (s *Speaker) instance() string {
	if c := s.cur.Load(); c != nil {
		return c.Instance
	}
	return "default"
}

// Close ends all sessions with a Cease, so neighbours forget our routes, and frees what the speaker holds. To restart
// gracefully, exit the process without it.
func (s *Speaker) Close() {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.restart.stop()
	s.stopServer()
	s.cancel()
	s.events.close()
	s.wg.Wait()
}

// stopServer takes down sessions and listeners.
func (s *Speaker) stopServer() {
	if s.cur.Load() == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.srv.StopBgp(context.Background(), &api.StopBgpRequest{}); err != nil {
			s.log.Error("bgp stop failed", "error", err)
		}
	}()
	// GoBGP waits for every session's goroutines; a neighbour whose socket is stuck must not hold us.
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		s.log.Warn("bgp sessions are slow to end, not waiting longer")
	}
}
