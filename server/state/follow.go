package state

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const (
	// lookAgain is how often is looked, while somebody watches, for what the data plane tells nothing of.
	lookAgain = time.Second
	// reconnect is the pause before the data plane is asked for its events again.
	reconnect = 500 * time.Millisecond
	// watchDepth is how many batches wait for a watcher. One that is slower than that is told all there is now in their place.
	watchDepth = 16384
)

// follower knows what was last told of interfaces, addresses and neighbours, and tells the watchers what has changed.
type follower struct {
	join chan *watcher
	poke chan struct{}

	mu       sync.Mutex
	flaps    map[string]uint64 // interface-transitions by interface
	watchers map[*watcher]bool

	// All below belong to the goroutine of Run.
	known map[string]told
	// rows are what the data plane said of an interface or address when it was last looked at, under the configuration rowsOf.
	rows   map[string]row
	rowsOf *config.Config
	events map[string]time.Time // of interfaces since the last look
	up     map[string]bool
}

// told is what watchers know of an object.
type told struct {
	path   tree.Path
	leaves map[*schema.Node]telemetry.Leaf
	// neighbor objects come and go by events, and are not looked for each time.
	neighbor bool
}

// row is what the data plane said, and the keys of what was made of it in known.
type row struct {
	said proto.Message
	keys []string
}

// watcher is somebody who watches.
type watcher struct {
	m       tree.Pattern
	started chan struct{}

	mu    sync.Mutex
	queue []telemetry.Batch
	lost  bool
	wake  chan struct{}
}

func (f *follower) init() {
	f.join, f.poke = make(chan *watcher), make(chan struct{}, 1)
	f.flaps, f.watchers = map[string]uint64{}, map[*watcher]bool{}
	f.known, f.rows, f.events, f.up = map[string]told{}, map[string]row{}, map[string]time.Time{}, map[string]bool{}
}

// Poke has changes of the configuration seen at once.
func (i *Interfaces) Poke() {
	select {
	case i.poke <- struct{}{}:
	default:
	}
}

// transitions is how often an interface went to or from UP since the process started.
func (f *follower) transitions(name string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flaps[name]
}

// Watch tells changes from when it calls ready. Run has to run.
func (i *Interfaces) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	w := &watcher{m: m, started: make(chan struct{}), wake: make(chan struct{}, 1)}
	select {
	case i.join <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		i.mu.Lock()
		delete(i.watchers, w)
		i.mu.Unlock()
	}()
	select {
	case <-w.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	ready()
	for {
		all, lost := w.take()
		if lost {
			if err := i.Read(ctx, m, emit); err != nil {
				return err
			}
		}
		for _, b := range all {
			if err := emit(b); err != nil {
				return err
			}
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *watcher) push(b telemetry.Batch) {
	w.mu.Lock()
	if len(w.queue) < watchDepth {
		w.queue = append(w.queue, b)
	} else {
		w.queue, w.lost = nil, true
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) take() (all []telemetry.Batch, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, lost = w.queue, w.lost
	w.queue, w.lost = nil, false
	return all, lost
}

// Run follows the data plane until ctx ends.
func (i *Interfaces) Run(ctx context.Context) {
	events := make(chan *dpb.Event, 1024)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { i.subscribe(ctx, events) })
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		look := false
		select {
		case <-ctx.Done():
			return
		case w := <-i.join:
			// What changed before is not told to who comes now, but compared with what it reads.
			i.look(ctx, i.neighborsWatched(w))
			i.mu.Lock()
			i.watchers[w] = true
			i.mu.Unlock()
			close(w.started)
		case e := <-events:
			look = i.event(e)
			for range len(events) {
				look = i.event(<-events) || look
			}
		case <-i.poke:
			look = i.watched()
		case <-tick.C:
			look = i.watched()
		}
		if look {
			i.look(ctx, false)
		}
	}
}

func (f *follower) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.watchers) == 0 {
		clear(f.known)
		clear(f.rows)
	}
	return len(f.watchers) > 0
}

// neighborsWatched says that a watcher, or one of those there are, wants to know of neighbours.
func (i *Interfaces) neighborsWatched(w *watcher) bool {
	if i.at.wants(w.m, "neighbors4") || i.at.wants(w.m, "neighbors6") {
		return true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for w := range i.watchers {
		if i.at.wants(w.m, "neighbors4") || i.at.wants(w.m, "neighbors6") {
			return true
		}
	}
	return false
}

// subscribe hands over the events of the data plane. An Overflow stands for whatever may have been missed.
func (i *Interfaces) subscribe(ctx context.Context, out chan<- *dpb.Event) {
	send := func(e *dpb.Event) {
		select {
		case out <- e:
		case <-ctx.Done():
		}
	}
	missed := &dpb.Event{Event: &dpb.Event_Overflow{Overflow: &dpb.Overflow{}}}
	for ctx.Err() == nil {
		stream, err := i.dp.Subscribe(ctx)
		if err == nil {
			send(missed)
		}
		for err == nil {
			var e *dpb.Event
			if e, err = stream.Next(ctx); err == nil {
				send(e)
			}
		}
		if stream != nil {
			stream.Close()
			send(missed)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnect):
		}
	}
}

// event takes note of an event and says whether the interfaces have to be looked at.
func (i *Interfaces) event(e *dpb.Event) bool {
	at := time.Unix(0, int64(e.GetTime()))
	note := func(name string) bool {
		parent, _ := whereIs(i.config(), name)
		i.events[name], i.events[parent] = at, at
		return i.watched()
	}
	switch v := e.GetEvent().(type) {
	case *dpb.Event_Link:
		i.transition(v.Link.GetInterface(), v.Link.GetOperStatus() == dpb.OperStatus_OPER_STATUS_UP)
		return note(v.Link.GetInterface())
	case *dpb.Event_InterfaceGone:
		i.transition(v.InterfaceGone.GetName(), false)
		return note(v.InterfaceGone.GetName())
	case *dpb.Event_Address:
		return note(v.Address.GetInterface())
	case *dpb.Event_Neighbor:
		if i.watched() {
			i.tellNeighbor(v.Neighbor, at)
		}
	case *dpb.Event_NeighborGone:
		n := v.NeighborGone
		key := neighborPath(logicalPath(whereIs(i.config(), n.GetInterface())), n.GetAddress()).String()
		if o, ok := i.known[key]; ok {
			delete(i.known, key)
			i.tell(telemetry.Batch{Time: at, Deleted: []tree.Path{o.path}})
		}
	case *dpb.Event_Overflow:
		return true
	}
	return false
}

// transition counts changes; what an interface is found as first is none.
func (i *Interfaces) transition(name string, up bool) {
	was, seen := i.up[name]
	i.up[name] = up
	if seen && was != up {
		i.mu.Lock()
		i.flaps[name]++
		i.mu.Unlock()
	}
}

// look reads everything again, but for neighbours only if asked to, and tells what has changed.
func (i *Interfaces) look(ctx context.Context, neighbors bool) {
	states, err := i.present(ctx, "")
	if err != nil {
		return // ctx ended, or the next look finds more
	}
	for _, st := range states {
		i.transition(st.GetConfig().GetName(), st.GetOperStatus() == dpb.OperStatus_OPER_STATUS_UP)
	}
	now, cfg := time.Now(), i.config()
	if cfg != i.rowsOf {
		clear(i.rows)
		i.rowsOf = cfg
	}
	there := map[string]bool{}
	see := func(o *telemetry.Object, path tree.Path, t time.Time, neighbor bool) (keys []string) {
		leaves, err := o.Leaves()
		if err == nil && len(leaves) > 0 {
			key := i.compare(path, leaves, t, neighbor)
			there[key] = true
			keys = append(keys, key)
		}
		return keys
	}
	// same says that there is nothing new in what the data plane says, which most of the time is so.
	same := func(id string, said proto.Message) bool {
		old, ok := i.rows[id]
		if !ok || !proto.Equal(old.said, said) {
			return false
		}
		for _, key := range old.keys {
			there[key] = true
		}
		return true
	}
	for _, d := range devices(cfg, states) {
		for _, l := range d.logicals() {
			if l.state != nil {
				l.state.Counters = nil
			}
			if same(l.name, l.state) {
				continue
			}
			var keys []string
			if l.index == 0 {
				at := devicePath(d.name)
				keys = see(i.deviceObject(d), at, i.when(&l, at, now), false)
			}
			at := logicalPath(d.name, l.index)
			keys = append(keys, see(i.logicalObject(d.name, l), at, i.when(&l, at, now), false)...)
			i.rows[l.name] = row{l.state, keys}
		}
	}
	p := placer{cfg: cfg}
	for a, err := range i.dp.Addresses(ctx, "") {
		if err != nil {
			break
		}
		id := a.GetInterface() + " " + string(a.GetAddress())
		if same(id, a) {
			continue
		}
		o, ip := i.addressObject(p.path(a.GetInterface()), a)
		t, ok := i.events[a.GetInterface()]
		if !ok {
			t = now
		}
		at := entryPath(p.path(a.GetInterface()).Name(familyOf(a.GetAddress())), "addresses", "address", "ip", ip)
		i.rows[id] = row{a, see(o, at, t, false)}
	}
	if neighbors {
		for n, err := range i.dp.Neighbors(ctx, "") {
			if err != nil {
				break
			}
			at := p.path(n.GetInterface())
			see(i.neighborObject(at, n, false), neighborPath(at, n.GetAddress()), now, true)
		}
	}
	if i.forget(there, neighbors || len(states) == 0, now) {
		maps.DeleteFunc(i.rows, func(_ string, r row) bool {
			return slices.ContainsFunc(r.keys, func(key string) bool { return !there[key] })
		})
	}
	clear(i.events)
}

// when is the time of what has changed with an interface: the last change that it tells, if that is new, or that of its event.
func (i *Interfaces) when(l *logical, path tree.Path, now time.Time) time.Time {
	place := "interface"
	if len(path) > 2 {
		place = "sub"
	}
	old, ok := i.known[path.String()].leaves[i.at[place].Child("last-change")]
	if n, _ := old.Value.Uint(); ok && l.state.GetLastChange() > n {
		return time.Unix(0, int64(l.state.GetLastChange()))
	}
	if t, ok := i.events[l.name]; ok {
		return t
	}
	return now
}

// compare tells what of an object is not as it was last told.
func (f *follower) compare(path tree.Path, leaves []telemetry.Leaf, t time.Time, neighbor bool) string {
	key := path.String()
	old, ok := f.known[key]
	now := told{path: path, leaves: make(map[*schema.Node]telemetry.Leaf, len(leaves)), neighbor: neighbor}
	b := telemetry.Batch{Time: t}
	for _, l := range leaves {
		now.leaves[l.Schema] = l
		if was, ok := old.leaves[l.Schema]; !ok || !was.Value.Equal(l.Value) {
			b.Leaves = append(b.Leaves, l)
		}
	}
	if ok {
		for s, l := range old.leaves {
			if _, still := now.leaves[s]; !still {
				b.Deleted = append(b.Deleted, l.Path)
			}
		}
	}
	f.known[key] = now
	if len(b.Leaves) > 0 || len(b.Deleted) > 0 {
		f.tell(b)
	}
	return key
}

// forget tells of objects that are there no longer, and says whether there are any. Parts of one that is gone are not told of each by each.
func (f *follower) forget(there map[string]bool, neighbors bool, now time.Time) bool {
	var gone []tree.Path
	for key, o := range f.known {
		if !there[key] && (neighbors || !o.neighbor) {
			gone = append(gone, o.path)
			delete(f.known, key)
		}
	}
	slices.SortFunc(gone, func(a, b tree.Path) int { return len(a) - len(b) })
	for n, p := range gone {
		if !slices.ContainsFunc(gone[:n], func(q tree.Path) bool { return p.Under(q) }) {
			f.tell(telemetry.Batch{Time: now, Deleted: []tree.Path{p}})
		}
	}
	return len(gone) > 0
}

func (i *Interfaces) tellNeighbor(n *dpb.NeighborState, t time.Time) {
	at := logicalPath(whereIs(i.config(), n.GetInterface()))
	if leaves, err := i.neighborObject(at, n, false).Leaves(); err == nil {
		i.compare(neighborPath(at, n.GetAddress()), leaves, t, true)
	}
}

// tell hands a batch to the watchers whom it concerns.
func (f *follower) tell(b telemetry.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		if slices.ContainsFunc(b.Deleted, w.m.Touches) || slices.ContainsFunc(b.Leaves, func(l telemetry.Leaf) bool { return w.m.Covers(l.Path) }) {
			w.push(b)
		}
	}
}
