package bgp

import (
	"net/netip"
	"sync"
	"time"
)

type eorState struct {
	up   bool
	want map[Family]bool // true: still waited for
}

// restart decides when the speaker has heard all that its neighbours have to say after a start (RFC 4724, section
// 4.1): all end-of-RIBs, or the end of the deferral time.
type restart struct {
	s *Speaker

	mu      sync.Mutex
	started bool
	done    bool
	peers   map[netip.Addr]*eorState
	timer   *time.Timer
	gate    *gate // holds back what we send, nil if not restarting
}

func newRestart(s *Speaker) *restart { return &restart{s: s, peers: make(map[netip.Addr]*eorState)} }

// first says, once, that the wait is still to begin.
func (r *restart) first() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.started
}

// begin starts the wait with the first configuration. Which neighbours will send an end-of-RIB is only known when their
// sessions are up, so all enabled ones are waited for.
func (r *restart) begin(c *Config, g *gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started, r.gate = true, g
	for _, n := range c.Neighbors {
		if n.Disabled {
			continue
		}
		st := &eorState{want: make(map[Family]bool)}
		for _, f := range n.families() {
			st.want[f] = true
		}
		r.peers[n.Address] = st
	}
	r.timer = time.AfterFunc(c.GracefulRestart.DeferralTime, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.done {
			r.s.log.Warn("bgp deferral time is over before all neighbours sent their end-of-RIB",
				"instance", c.Instance)
			r.finish()
		}
	})
	r.check()
}

// drop stops waiting for a neighbour that is no longer configured or enabled.
func (r *restart) drop(a netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.peers[a]; ok {
		delete(r.peers, a)
		r.check()
	}
}

func (r *restart) session(a netip.Addr, up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.peers[a]
	if !ok || r.done {
		return
	}
	if up && !p.up {
		// What was negotiated is not in the event; asking GoBGP from here would wait for its main loop.
		go r.s.negotiated(a)
	}
	p.up = up
}

// agreed drops the families for which a session brings no end-of-RIB.
func (r *restart) agreed(a netip.Addr, f []Family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.peers[a]
	if !ok || r.done {
		return
	}
	for w := range p.want {
		waited := false
		for _, x := range f {
			waited = waited || x == w
		}
		if !waited {
			p.want[w] = false
		}
	}
	r.check()
}

func (r *restart) endOfRIB(a netip.Addr, f Family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.peers[a]; ok {
		p.want[f] = false
		r.check()
	}
}

func (r *restart) check() {
	if !r.started || r.done {
		return
	}
	for _, p := range r.peers {
		for _, w := range p.want {
			if w {
				return
			}
		}
	}
	r.finish()
}

func (r *restart) finish() {
	r.done = true
	r.timer.Stop()
	g := r.gate
	r.s.out.converge(func() {
		if g != nil {
			g.open()
		}
	})
}

// restarting says whether sessions are still to be opened with the R bit.
func (r *restart) restarting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gate != nil && !r.gate.isOpen()
}

func (r *restart) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.gate != nil {
		r.gate.close()
	}
}

// gatePassed is called when GoBGP has taken the gate's end-of-RIB.
func (r *restart) gatePassed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate != nil {
		r.gate.passed()
	}
}
