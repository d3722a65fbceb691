package bgp

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// NeighborEvent is a change of a session.
type NeighborEvent struct {
	Neighbor netip.Addr
	State    SessionState
	Admin    AdminState
	Reason   string // why the last session ended, if it has
	Time     time.Time
}

// eventBuffer is how many events a slow reader may lag behind before it loses the oldest.
const eventBuffer = 256

type fanout struct {
	mu     sync.Mutex
	subs   map[chan NeighborEvent]struct{}
	closed bool
}

func newFanout() *fanout { return &fanout{subs: make(map[chan NeighborEvent]struct{})} }

func (f *fanout) send(e NeighborEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.subs {
		for {
			select {
			case c <- e:
			default:
				select {
				case <-c:
				default:
				}
				continue
			}
			break
		}
	}
}

func (f *fanout) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.subs {
		close(c)
	}
	clear(f.subs)
}

// Events gives the changes of sessions from now on, until ctx ends or the speaker is closed; then the channel is closed.
// A reader that lags more than 256 events behind loses the oldest ones.
func (s *Speaker) Events(ctx context.Context) <-chan NeighborEvent {
	f := s.events
	c := make(chan NeighborEvent, eventBuffer)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		close(c)
		return c
	}
	f.subs[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, ok := f.subs[c]; ok {
			delete(f.subs, c)
			close(c)
		}
	})
	return c
}
