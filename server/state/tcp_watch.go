package state

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// What is told by no event, such as what the data plane took after it had refused it, is found in this time.
const (
	watchInterval = 5 * time.Second
	// Announcements, and listeners of pools, follow an event of health at once, but not with it.
	watchAgain = 700 * time.Millisecond
	// How soon after one look there may be another: of a thousand backends that go down together there is one.
	watchPause = 100 * time.Millisecond
	// How soon a new configuration is seen that nobody told of.
	watchConfig = 500 * time.Millisecond
)

// tcpSnapshot is how things were at one time; it does not change.
type tcpSnapshot map[string]*tcpObject

type tcpObject struct {
	path   tree.Path
	at     time.Time
	leaves []telemetry.Leaf
}

// Poke has changes of the configuration seen at once.
func (t *TCP) Poke() {
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

// Run follows the data plane's events and the configuration, for Watch. It ends with ctx.
func (t *TCP) Run(ctx context.Context) {
	events := &tcpEvents{wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.follow(ctx, events)
	}()
	defer func() { <-done }()
	tick := time.NewTicker(watchConfig)
	defer tick.Stop()
	var seen *config.Config
	var read time.Time  // when the last look began
	var again time.Time // when to look once more
	look := true
	for {
		if cfg := t.o.Config(); cfg != seen {
			seen, look, again = cfg, true, time.Now().Add(watchAgain)
		}
		now := time.Now()
		if now.Sub(read) > watchInterval || !again.IsZero() && now.After(again) {
			look = true
		}
		if look && now.Sub(read) >= watchPause {
			if !again.IsZero() && now.After(again) {
				again = time.Time{}
			}
			at := events.take()
			if at.IsZero() {
				at = now
			}
			t.look(ctx, at)
			read, look = now, false
		}
		var soon <-chan time.Time
		switch {
		case look:
			soon = time.After(watchPause)
		case !again.IsZero():
			soon = time.After(time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-events.wake:
			look, again = true, time.Now().Add(watchAgain)
		case <-t.poke:
			look, again = true, time.Now().Add(watchAgain)
		case <-tick.C:
		case <-soon:
		}
	}
}

// tcpEvents is the time of the first event that has not been looked after.
type tcpEvents struct {
	wake chan struct{}

	mu sync.Mutex
	at time.Time
}

// tell takes an event; zero is the time of what may have happened and was not told.
func (e *tcpEvents) tell(at time.Time) {
	e.mu.Lock()
	if e.at.IsZero() {
		e.at = at
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *tcpEvents) take() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.at
	e.at = time.Time{}
	return at
}

// follow hands over the data plane's events.
func (t *TCP) follow(ctx context.Context, events *tcpEvents) {
	for ctx.Err() == nil {
		stream, err := t.o.Dataplane.Subscribe(ctx)
		if err == nil {
			events.tell(time.Time{})
		}
		for err == nil {
			var e *dpb.Event
			if e, err = stream.Next(ctx); err != nil {
				break
			}
			switch {
			case e.GetTcpHealth() != nil || e.GetAddress() != nil:
				events.tell(time.Unix(0, int64(e.GetTime())))
			case e.GetOverflow() != nil:
				events.tell(time.Time{})
			}
		}
		if stream != nil {
			stream.Close()
			events.tell(time.Time{})
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// look takes a new snapshot.
func (t *TCP) look(ctx context.Context, at time.Time) {
	s := tcpSnapshot{}
	k := &tcpSink{s: t.o.Schema, m: t.whole(), at: at, status: true, emit: func(b telemetry.Batch) error {
		p := tcpObjectPath(b.Leaves[0].Path)
		s[p.String()] = &tcpObject{path: p, at: b.Time, leaves: b.Leaves}
		return nil
	}}
	if err := t.read(ctx, k); err != nil {
		if ctx.Err() == nil {
			t.o.Logger.Debug("look at TCP termination", "error", err)
		}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.since {
		if s[id] == nil {
			delete(t.since, id)
		}
	}
	// What is as it was is kept, so that Watch sees at a glance what is not.
	same := len(s) == len(t.now)
	for id, o := range s {
		if old := t.now[id]; old != nil && slices.EqualFunc(old.leaves, o.leaves, sameLeaf) {
			s[id] = old
			continue
		} else if old != nil && !o.at.After(old.at) {
			o.at = at // another leaf than the status changed
		}
		same = false
	}
	if same {
		return
	}
	t.now = s
	close(t.next)
	t.next = make(chan struct{})
}

// tcpObjectPath is the entry that a leaf of state is in.
func tcpObjectPath(leaf tree.Path) tree.Path {
	for i := len(leaf) - 1; i >= 0; i-- {
		if leaf[i].Name == "state" {
			return leaf[:i]
		}
	}
	return leaf
}

func sameLeaf(a, b telemetry.Leaf) bool { return a.Schema == b.Schema && a.Value.Equal(b.Value) }

// whole is the pattern for all there is.
func (t *TCP) whole() tree.Pattern {
	return tree.Pattern{Path: tcpRoot(), Schema: t.o.Schema.Find("/" + tcpTop)}
}

func (t *TCP) latest() (tcpSnapshot, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.next
}

// Watch tells the changes of what Sampled does not name. One who is slow is told the latest of each leaf.
func (t *TCP) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	old, next := t.latest()
	ready()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-next:
		}
		var now tcpSnapshot
		now, next = t.latest()
		for _, b := range tcpDifference(old, now, m) {
			if err := emit(b); err != nil {
				return err
			}
		}
		old = now
	}
}

// tcpDifference is the difference between two snapshots, in order of time.
func tcpDifference(old, now tcpSnapshot, m tree.Pattern) []telemetry.Batch {
	var all []telemetry.Batch
	for id, o := range now {
		was := old[id]
		if was == o || !m.Touches(o.path) {
			continue
		}
		b := telemetry.Batch{Time: o.at}
		for _, l := range o.leaves {
			if was == nil || !slices.ContainsFunc(was.leaves, func(x telemetry.Leaf) bool { return sameLeaf(x, l) }) {
				b.Leaves = append(b.Leaves, l)
			}
		}
		if was != nil {
			for _, l := range was.leaves {
				if !slices.ContainsFunc(o.leaves, func(x telemetry.Leaf) bool { return x.Schema == l.Schema }) {
					b.Deleted = append(b.Deleted, l.Path)
				}
			}
		}
		all = append(all, b)
	}
	for id, was := range old {
		if now[id] == nil && m.Touches(was.path) {
			all = append(all, telemetry.Batch{Time: time.Now(), Deleted: []tree.Path{was.path.Name("state")}})
		}
	}
	slices.SortFunc(all, func(a, b telemetry.Batch) int {
		if c := a.Time.Compare(b.Time); c != 0 || len(a.Leaves) == 0 || len(b.Leaves) == 0 {
			return c
		}
		return strings.Compare(a.Leaves[0].Path.String(), b.Leaves[0].Path.String())
	})
	return all
}

// The source tells changes.
var _ interface {
	telemetry.Watcher
	Sampled(*schema.Node) bool
} = (*TCP)(nil)
