package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"millrace/routing/bgp"
	"millrace/routing/rib"
	"millrace/server/config"
)

// redistributor announces the best routes of some sources of one instance to its speaker. One goroutine for each source follows
// the RIB; they end with run's context.
type redistributor struct {
	log      *slog.Logger
	rib      *rib.RIB
	speaker  *bgp.Speaker
	instance string

	mu         sync.Mutex
	advertised map[netip.Prefix]rib.Source
	sent       map[netip.Prefix]bgp.RedistributedRoute // of those, with attributes
}

// Pause before the RIB is read as a whole after changes were lost.
const resyncPause = 3 * time.Second

// rule is one source, and the prefixes that pass.
type rule struct {
	source rib.Source
	family int // 4, 6, or 0 for both
	set    *config.PrefixSet
	policy *redistributePolicy // nil: all are accepted as they are
}

// route is what is announced of a prefix, if anything.
func (u rule) route(p netip.Prefix) (bgp.RedistributedRoute, bool) {
	r := bgp.RedistributedRoute{Prefix: p}
	switch {
	case u.family == 4 && !p.Addr().Is4() || u.family == 6 && p.Addr().Is4():
		return r, false
	case u.set != nil && !u.set.Contains(p):
		return r, false
	case u.policy != nil:
		return u.policy.apply(p)
	}
	return r, true
}

func (u rule) passes(p netip.Prefix) bool {
	_, ok := u.route(p)
	return ok
}

// redistributeRules reads them from the configuration of an instance.
func redistributeRules(c *config.Config, n *config.NetworkInstance) []rule {
	var rules []rule
	for _, r := range n.BGP.Redistribute {
		u := rule{source: rib.SourceConnected}
		if r.Source == config.RedistributeStatic {
			u.source = rib.SourceStatic
		}
		if r.PrefixSet != "" {
			i := slices.IndexFunc(c.RoutingPolicy.PrefixSets, func(s config.PrefixSet) bool { return s.Name == r.PrefixSet })
			u.set = &c.RoutingPolicy.PrefixSets[i]
		}
		switch r.Family {
		case config.IPv4Unicast:
			u.family = 4
		case config.IPv6Unicast:
			u.family = 6
		}
		if len(r.Policies) > 0 || r.Default == config.RejectRoute {
			u.policy = newRedistributePolicy(&c.RoutingPolicy, n.BGP.ASN, r)
		}
		rules = append(rules, u)
	}
	return rules
}

// run follows the RIB by the rules until ctx ends. What an earlier run announced and these rules do not is taken back first.
func (r *redistributor) run(ctx context.Context, rules []rule) {
	r.dropOthers(ctx, rules)
	var wg sync.WaitGroup
	for _, u := range rules {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := r.follow(ctx, u); err != nil && ctx.Err() == nil {
					r.log.Error("redistribution to BGP", "instance", r.instance, "source", u.source, "error", err)
					wait(ctx, time.Second)
				}
			}
		})
	}
	wg.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (r *redistributor) dropOthers(ctx context.Context, rules []rule) {
	r.mu.Lock()
	var gone []netip.Prefix
	for p, src := range r.advertised {
		if src != sourceVIP && !slices.ContainsFunc(rules, func(u rule) bool { return u.source == src && u.passes(p) }) {
			gone = append(gone, p)
		}
	}
	r.mu.Unlock()
	if err := r.change(ctx, rule{}, nil, gone, true); err != nil {
		r.log.Error("redistribution to BGP", "instance", r.instance, "error", err)
	}
}

// follow watches one source. It returns nil when it has to begin anew.
func (r *redistributor) follow(ctx context.Context, u rule) error {
	f := rib.Filter{VRF: r.instance, HasSource: true, Source: u.source, BestOnly: true, Family: u.family}
	w, err := r.rib.Watch(ctx, f)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer w.Close()
	if err := r.full(ctx, f, u); err != nil {
		return err
	}
	for {
		events, err := w.Next(ctx, 1024)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		var add, remove []netip.Prefix
		for _, e := range events {
			switch {
			case e.Type == rib.EventResync:
				// Thousands of this source's routes change at once; to read the RIB again and again would slow that down.
				wait(ctx, resyncPause)
				return nil
			case e.Type == rib.EventUpdate && u.passes(e.Prefix):
				add = append(add, e.Prefix)
			default:
				remove = append(remove, e.Prefix)
			}
		}
		if err := r.change(ctx, u, add, remove, false); err != nil {
			return err
		}
	}
}

// full announces all of a source, and takes back what is no longer there.
func (r *redistributor) full(ctx context.Context, f rib.Filter, u rule) error {
	have := map[netip.Prefix]bool{}
	var cur rib.Cursor
	for {
		list, next, err := r.rib.List(f, cur, 4096)
		if err != nil {
			if errors.Is(err, rib.ErrNotFound) {
				break
			}
			return fmt.Errorf("list: %w", err)
		}
		for _, i := range list {
			if u.passes(i.Prefix) {
				have[i.Prefix] = true
			}
		}
		if cur = next; cur == (rib.Cursor{}) {
			break
		}
	}
	var add, gone []netip.Prefix
	for p := range have {
		add = append(add, p)
	}
	r.mu.Lock()
	for p, src := range r.advertised {
		if src == u.source && !have[p] && (u.family == 0 || p.Addr().Is4() == (u.family == 4)) {
			gone = append(gone, p)
		}
	}
	r.mu.Unlock()
	return r.change(ctx, u, add, gone, false)
}

// change tells the speaker what is new, of either source if any is set.
func (r *redistributor) change(ctx context.Context, u rule, add, remove []netip.Prefix, anySource bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var routes []bgp.RedistributedRoute
	for _, p := range add {
		route, _ := u.route(p)
		if _, ok := r.advertised[p]; !ok || !reflect.DeepEqual(r.sent[p], route) {
			routes = append(routes, route)
		}
	}
	// A prefix that went over to another source is that one's now.
	remove = slices.DeleteFunc(remove, func(p netip.Prefix) bool {
		src, ok := r.advertised[p]
		return !ok || !anySource && src != u.source
	})
	if len(routes) > 0 || len(remove) > 0 {
		if err := r.speaker.Redistribute(ctx, routes, remove); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
	}
	for _, p := range remove {
		delete(r.advertised, p)
		delete(r.sent, p)
	}
	for _, route := range routes {
		r.sent[route.Prefix] = route
	}
	for _, p := range add {
		r.advertised[p] = u.source
	}
	return nil
}
