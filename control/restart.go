package control

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"millrace/dataplane/client"
	"millrace/routing/bgp"
)

// restart holds back the sweep of what an earlier run of vnf left in the data plane, until this run has written all it wants:
// the configuration is in, every speaker of BGP has converged, and the FIB has acknowledged its routes.
type restart struct {
	log *slog.Logger

	mu sync.Mutex
	// known is set when the data plane has told whether there is anything of an earlier run; old says that there is.
	known, old bool
	configured bool
	finished   bool
	waiting    map[string]bool
	deadline   time.Time
	// endOfRIB is what may come still though the speakers have converged: a peer that restarts itself is not waited for by BGP
	// (RFC 4724 section 4.1), lest both wait for each other, but its routes shall not be swept just before they come.
	endOfRIB map[string]bool
	settled  time.Time // when that is waited for no longer
	wake     chan struct{}
}

// How long the sweep waits for end-of-RIBs that BGP itself does not wait for.
const settlePatience = 30 * time.Second

func newRestart(log *slog.Logger) *restart {
	return &restart{log: log, waiting: map[string]bool{}, endOfRIB: map[string]bool{}, wake: make(chan struct{}, 1)}
}

func (r *restart) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// session takes note of a session with the data plane.
func (r *restart) session(s client.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.known:
		r.known, r.old = true, s.PreviousEpoch != 0
		if r.old {
			r.log.Info("the data plane goes on from an earlier run", "previous_epoch", s.PreviousEpoch, "epoch", s.Epoch)
		}
	case r.finished:
	case s.NewBoot:
		r.old = false // it has nothing but what this run writes
	}
	r.poke()
}

// restarting says whether forwarding goes on by what an earlier run has written.
func (r *restart) restarting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.old
}

// expect names a speaker whose convergence is waited for.
func (r *restart) expect(instance string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.configured {
		r.waiting[instance] = true
	}
}

func (r *restart) converged(instance string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, instance)
	r.poke()
}

// expectEndOfRIB names families of a neighbour whose end-of-RIB is worth waiting for.
func (r *restart) expectEndOfRIB(instance string, neighbor netip.Addr, families ...bgp.Family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range families {
		r.endOfRIB[eorKey(instance, neighbor, f)] = true
	}
}

func eorKey(instance string, neighbor netip.Addr, f bgp.Family) string {
	return fmt.Sprintf("%s %s %s", instance, neighbor.WithZone(""), f)
}

func (r *restart) gotEndOfRIB(instance string, neighbor netip.Addr, f bgp.Family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.endOfRIB, eorKey(instance, neighbor, f))
	r.poke()
}

// configurationDone says that the configuration is in and all speakers are started. They are waited for no longer than patience.
func (r *restart) configurationDone(patience time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.configured {
		r.configured, r.deadline = true, time.Now().Add(patience)
	}
	r.poke()
}

// due says whether it is time to sweep, and if not, when to look again at the latest.
func (r *restart) due() (now bool, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.configured {
		return false, time.Hour
	}
	if len(r.waiting) > 0 {
		left := time.Until(r.deadline)
		return left <= 0, left
	}
	if !r.old || len(r.endOfRIB) == 0 {
		return true, 0
	}
	if r.settled.IsZero() {
		r.settled = time.Now().Add(settlePatience)
	}
	left := time.Until(r.settled)
	return left <= 0, left
}

// run lets the sweep go ahead when it is time. It ends with ctx.
func (r *restart) run(ctx context.Context, c *Controller) {
	for ctx.Err() == nil {
		now, left := r.due()
		if now {
			c.fib.converged()
			r.mu.Lock()
			r.old, r.finished = false, true
			r.mu.Unlock()
			return
		}
		t := time.NewTimer(max(left, 10*time.Millisecond))
		select {
		case <-r.wake:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}
