package bgp

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// rollPatience is how long a reading of the neighbours is waited for if there is an earlier one, no older than rollAge.
	rollPatience = 80 * time.Millisecond
	rollAge      = time.Minute
	// A reading that took longer than rollDear is good for rollShare times as long: GoBGP does nothing else meanwhile.
	rollDear  = 20 * time.Millisecond
	rollShare = 10
)

// roll reads the state of the neighbours. GoBGP's server answers between two events, but the end of a session with a full table is
// one event and takes many seconds; and to answer, it counts all routes of each neighbour. So there is one reading at a
// time, and who asks while it takes long gets the one before.
type roll struct {
	mu      sync.Mutex
	reading *reading
	last    *reading
	age     int // of the configuration: what was begun in an earlier one is not kept
}

// reading is one list of neighbours; what is in it counts from when done is closed.
type reading struct {
	began, ended time.Time
	age          int
	list         []NeighborState
	err          error
	done         chan struct{}
}

// forget drops what was read and what is being read: the configuration is another one.
func (r *roll) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = nil
	r.age++
}

// neighbors gives the caller a list of its own. read is called in a goroutine that may outlive the call.
func (r *roll) neighbors(ctx context.Context, read func() ([]NeighborState, error)) ([]NeighborState, error) {
	asked := time.Now()
	patience := time.NewTimer(rollPatience)
	defer patience.Stop()
	for {
		r.mu.Lock()
		last := r.last
		if last != nil {
			took := last.ended.Sub(last.began)
			if !last.began.Before(asked) || took > rollDear && time.Since(last.ended) < rollShare*took {
				r.mu.Unlock()
				return slices.Clone(last.list), last.err
			}
		}
		now := r.reading
		if now == nil {
			now = &reading{began: time.Now(), age: r.age, done: make(chan struct{})}
			r.reading = now
			go r.read(now, read)
		}
		r.mu.Unlock()
		select {
		case <-now.done:
			if !now.began.Before(asked) {
				return slices.Clone(now.list), now.err
			}
			continue // that was begun before the question
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience.C:
		}
		if last != nil && last.err == nil && time.Since(last.ended) < rollAge {
			return slices.Clone(last.list), nil
		}
	}
}

func (r *roll) read(x *reading, read func() ([]NeighborState, error)) {
	x.list, x.err = read()
	x.ended = time.Now()
	r.mu.Lock()
	r.reading = nil
	if x.age == r.age {
		r.last = x
	}
	r.mu.Unlock()
	close(x.done)
}
