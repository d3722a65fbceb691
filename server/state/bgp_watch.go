package state

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"millrace/routing/bgp"
	"millrace/server/telemetry"
	"millrace/yang/tree"
)

const (
	// bgpLook is how often is looked, while somebody watches, for changes that no event tells of.
	bgpLook = time.Second
	// bgpGather is how long events are waited for that come with others.
	bgpGather = 30 * time.Millisecond
	// sentAge is how long counts of what is announced are good for, and sentShare how many times longer than it took to count.
	// sentDear is the number of prefixes beyond which they are only counted for who asks for nothing else.
	sentAge   = 10 * time.Second
	sentShare = 20
	sentDear  = 1 << 20
)

// Watch tells changes of the neighbours: those of sessions at once, with the time of the event.
func (b *BGP) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	events := make(chan event, 64)
	follow := followers{events: events, wg: &wg, of: map[string]followed{}}
	known := map[string]map[string]telemetry.Leaf{}
	tick := time.NewTicker(bgpLook)
	defer tick.Stop()
	look := func(times map[string]time.Time, first bool) error {
		b.followSpeakers(ctx, &follow)
		now := time.Now()
		there := map[string]bool{}
		err := b.each(ctx, m, func(instance string, p *peer, leaves []telemetry.Leaf) error {
			id := instance
			if p != nil {
				id = neighborID(instance, p.address)
			}
			t, ok := times[id]
			if !ok {
				t = now
			}
			there[id] = true
			batch := b.compare(known, id, leaves, t)
			if first || len(batch.Leaves)+len(batch.Deleted) == 0 {
				return nil
			}
			return emit(batch)
		})
		if err != nil {
			return err
		}
		for id, leaves := range known {
			if !there[id] {
				delete(known, id)
				gone := telemetry.Batch{Time: now}
				for _, l := range leaves {
					gone.Deleted = append(gone.Deleted, l.Path)
				}
				if err := emit(gone); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := look(nil, true); err != nil {
		return err
	}
	ready()
	for {
		times := map[string]time.Time{}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case e := <-events:
			times[e.id] = e.at
			if err := gather(ctx, events, times); err != nil {
				return err
			}
		}
		if err := look(times, false); err != nil {
			return err
		}
	}
}

// gather takes the events that follow on one: sessions come and go together, and one look is enough for all.
func gather(ctx context.Context, events <-chan event, times map[string]time.Time) error {
	end := time.NewTimer(bgpGather)
	defer end.Stop()
	for {
		select {
		case e := <-events:
			times[e.id] = e.at
		case <-end.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func neighborID(instance string, a netip.Addr) string { return instance + " " + a.String() }

// compare takes note of the leaves of an object, and returns what has changed.
func (b *BGP) compare(known map[string]map[string]telemetry.Leaf, id string, leaves []telemetry.Leaf, t time.Time) telemetry.Batch {
	batch := telemetry.Batch{Time: t}
	old, now := known[id], make(map[string]telemetry.Leaf, len(leaves))
	for _, l := range leaves {
		if b.Sampled(l.Schema) {
			continue
		}
		key := l.Path.String()
		now[key] = l
		if was, ok := old[key]; !ok || !was.Value.Equal(l.Value) {
			batch.Leaves = append(batch.Leaves, l)
		}
	}
	for key, l := range old {
		if _, ok := now[key]; !ok {
			batch.Deleted = append(batch.Deleted, l.Path)
		}
	}
	known[id] = now
	return batch
}

// event is a change of a session.
type event struct {
	id string
	at time.Time
}

// followers hand over the events of speakers.
type followers struct {
	events chan<- event
	wg     *sync.WaitGroup
	of     map[string]followed
}

type followed struct {
	speaker *bgp.Speaker
	stop    context.CancelFunc
}

// followSpeakers begins to follow speakers that are new.
func (b *BGP) followSpeakers(ctx context.Context, f *followers) {
	cfg := b.Config()
	for i := range cfg.NetworkInstances {
		name := cfg.NetworkInstances[i].Name
		s, ok := b.Speaker(name)
		if have := f.of[name]; have.speaker == s {
			continue
		} else if have.stop != nil {
			have.stop()
			delete(f.of, name)
		}
		if !ok {
			continue
		}
		fctx, stop := context.WithCancel(ctx)
		f.of[name] = followed{s, stop}
		ch := s.Events(fctx)
		f.wg.Go(func() {
			for e := range ch {
				select {
				case f.events <- event{neighborID(name, e.Neighbor.WithZone("")), e.Time}:
				case <-fctx.Done():
				}
			}
		})
	}
}

// sentCounts are the numbers of prefixes that neighbours get. To count them, the speaker goes through its export policies for the whole
// table, so that is done rarely.
type sentCounts struct {
	lock chan struct{}
	of   map[string]counts
}

type counts struct {
	at     time.Time
	took   time.Duration
	by     map[netip.Addr][]bgp.FamilyState
	source *bgp.Speaker
}

func newSentCounts() sentCounts {
	return sentCounts{lock: make(chan struct{}, 1), of: map[string]counts{}}
}

// get returns the counts of an instance, by neighbour, nil if there are none. need says that nothing else was asked for.
func (c *sentCounts) get(ctx context.Context, instance string, s *bgp.Speaker, peers []*peer, need bool) map[netip.Addr][]bgp.FamilyState {
	select {
	case c.lock <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-c.lock }()
	have := c.of[instance]
	if have.source == s && time.Since(have.at) < max(sentAge, sentShare*have.took) {
		return have.by
	}
	total := uint64(0)
	for _, p := range peers {
		if p.state != nil {
			for _, f := range p.state.Families {
				total += f.Received
			}
		}
	}
	if !slices.ContainsFunc(peers, func(p *peer) bool { return p.state != nil && p.state.State == bgp.Established }) {
		return nil
	}
	if total*uint64(len(peers)) > sentDear && !need {
		return have.by
	}
	began := time.Now()
	list, err := s.Neighbors(ctx, netip.Addr{}, true)
	if err != nil {
		return nil
	}
	now := counts{at: time.Now(), took: time.Since(began), by: map[netip.Addr][]bgp.FamilyState{}, source: s}
	for _, n := range list {
		now.by[n.Address] = n.Families
	}
	c.of[instance] = now
	return now.by
}
