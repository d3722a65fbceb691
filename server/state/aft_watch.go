package state

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"millrace/routing/rib"
	"millrace/server/telemetry"
	"millrace/yang/tree"
)

func text(n uint64) string { return strconv.FormatUint(n, 10) }

// parsePrefix reads the key of an entry; not valid if it is no prefix of a route.
func parsePrefix(s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() {
		return netip.Prefix{}
	}
	return p
}

// toldGroups is what a watcher has been told of groups and next hops, so that it can be told what has gone.
type toldGroups struct {
	groups map[uint32][]rib.Member
	uses   map[uint64]int // of next hops, by groups
}

// Watch follows the RIB.
func (a *AFT) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	instance := keyOf(m, "network-instance", "name")
	var changes chan []rib.Event
	if f, ok := a.filter(m, instance); ok {
		f.BestOnly = false
		w, err := a.rib.WatchMany(ctx, f, aftWaiting)
		if err != nil {
			return err
		}
		defer w.Close()
		changes = make(chan []rib.Event)
		wg.Go(func() { pump(ctx, w, changes) })
	}
	var groups *rib.GroupWatcher
	var groupsReady <-chan struct{}
	told := &toldGroups{groups: map[uint32][]rib.Member{}, uses: map[uint64]int{}}
	if (instance == "" || instance == rib.DefaultVRF) && (a.at.wants(m, "groups") || a.at.wants(m, "hops")) {
		groups = a.rib.WatchGroups(ctx)
		defer groups.Close()
		groupsReady = groups.Ready()
		for after := uint32(0); ; {
			list, next := a.rib.Groups(after, aftPage)
			for _, g := range list {
				told.put(g)
			}
			if after = next; after == 0 {
				break
			}
		}
	}
	ready()
	b := &batcher{emit: emit}
	for {
		var events []rib.Event
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-groupsReady:
		case events = <-changes:
		}
		if groups != nil { // before the routes that go by them
			if err := a.tellGroups(m, groups.Take(), told, b); err != nil {
				return err
			}
		}
		if err := a.tellRoutes(ctx, m, events, b); err != nil {
			return err
		}
		if err := b.flush(); err != nil {
			return err
		}
	}
}

// pump hands over the changes of routes until ctx ends.
func pump(ctx context.Context, w *rib.Watcher, out chan<- []rib.Event) {
	for {
		events, err := w.Next(ctx, aftPage)
		if err != nil {
			return
		}
		select {
		case out <- events:
		case <-ctx.Done():
			return
		}
	}
}

func (a *AFT) tellRoutes(ctx context.Context, m tree.Pattern, events []rib.Event, b *batcher) error {
	for i := range events {
		e := &events[i]
		if e.Type == rib.EventResync {
			if err := a.tellAll(ctx, m, b); err != nil {
				return err
			}
			continue
		}
		r := rib.Best{VRF: e.VRF, Prefix: e.Prefix}
		if e.Type == rib.EventUpdate && e.Route.Best >= 0 && e.Route.FIB != rib.FIBFailed {
			c := &e.Route.Candidates[e.Route.Best]
			r.Source, r.Group = c.Route.Source, c.Group
			if err := b.add(a.entry(pathsOf(r.VRF), r)); err != nil {
				return err
			}
			continue
		}
		if err := b.flush(); err != nil { // keep the order
			return err
		}
		b.remove(pathsOf(r.VRF).entry(r.Prefix))
		if err := b.flush(); err != nil {
			return err
		}
	}
	return nil
}

// tellAll tells all routes anew, after changes were lost.
func (a *AFT) tellAll(ctx context.Context, m tree.Pattern, b *batcher) error {
	t := time.NewTimer(aftResync)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, name := range a.instances(m) {
		for part, family := range map[string]string{"ipv4": "ipv4-unicast", "ipv6": "ipv6-unicast"} {
			if a.at.wants(m, part) {
				b.remove(aftPath(name).Name(family))
			}
		}
		if err := b.flush(); err != nil {
			return err
		}
		if err := a.readRoutes(ctx, m, name, b); err != nil {
			return err
		}
	}
	return b.flush()
}

// put takes note of a group, and returns the next hops that are new and those that no group has any more.
func (t *toldGroups) put(g rib.GroupUse) (fresh []rib.Member, gone []uint64) {
	for _, h := range g.Members {
		id := hopIndex(h)
		if t.uses[id]++; t.uses[id] == 1 {
			fresh = append(fresh, h)
		}
	}
	for _, h := range t.groups[g.ID] {
		id := hopIndex(h)
		if t.uses[id]--; t.uses[id] == 0 {
			delete(t.uses, id)
			gone = append(gone, id)
		}
	}
	if t.groups[g.ID] = g.Members; g.Members == nil {
		delete(t.groups, g.ID)
	}
	return fresh, gone
}

func (a *AFT) tellGroups(m tree.Pattern, list []rib.GroupUse, t *toldGroups, b *batcher) error {
	groups, hops := a.at.wants(m, "groups"), a.at.wants(m, "hops")
	cfg := a.config()
	var lost []tree.Path
	for _, g := range list {
		before, had := t.groups[g.ID]
		fresh, gone := t.put(g)
		for _, h := range fresh {
			if hops {
				if err := b.add(a.hop(cfg, hopIndex(h), h)); err != nil {
					return err
				}
			}
		}
		switch {
		case groups && g.Members != nil:
			for _, h := range before {
				id := hopIndex(h)
				if !slices.ContainsFunc(g.Members, func(n rib.Member) bool { return hopIndex(n) == id }) {
					lost = append(lost, entryPath(groupPath(g.ID), "next-hops", "next-hop", "index", text(id)))
				}
			}
			if err := b.add(a.group(g)...); err != nil {
				return err
			}
		case groups && had:
			lost = append(lost, groupPath(g.ID))
		}
		for _, id := range gone {
			if hops && t.uses[id] == 0 {
				lost = append(lost, hopPath(id))
			}
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	for _, p := range lost {
		b.remove(p)
	}
	return b.flush()
}
