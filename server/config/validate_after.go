package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"unsafe"
)

// ValidateAfter is Validate for a configuration that came from another by a change. old is one that Validate found right, and neither of
// both is changed any more: long lists that they have in common are not looked at again. nil: there is none.
func (c *Config) ValidateAfter(old *Config) error {
	v := newValidator(c)
	if old != nil && sameAround(old, c) {
		v.old = map[string][]StaticRoute{}
		for i := range old.NetworkInstances {
			v.old[old.NetworkInstances[i].Name] = old.NetworkInstances[i].StaticRoutes
		}
	}
	return v.all()
}

// sameAround says that all is the same that decides whether a static route is right, apart from the route.
func sameAround(a, b *Config) bool {
	name := func(n, m NetworkInstance) bool { return n.Name == m.Name }
	return slices.EqualFunc(a.NetworkInstances, b.NetworkInstances, name) &&
		slices.EqualFunc(a.Interfaces, b.Interfaces, func(f, g Interface) bool {
			return f.Name == g.Name && f.Type == g.Type && f.NetworkInstance == g.NetworkInstance && slices.Equal(f.Addresses, g.Addresses)
		})
}

// staticRoutes checks the routes of an instance, except those that it had before.
func (v *validator) staticRoutes(n *NetworkInstance, p string) {
	before := v.old[n.Name]
	if len(before) == len(n.StaticRoutes) && unsafe.SliceData(before) == unsafe.SliceData(n.StaticRoutes) {
		return
	}
	old := oldRoutes{all: before}
	seen := make(map[netip.Prefix]struct{}, len(n.StaticRoutes))
	for i := range n.StaticRoutes {
		r := &n.StaticRoutes[i]
		_, twice := seen[r.Prefix]
		seen[r.Prefix] = struct{}{}
		if o := old.find(r.Prefix); o != nil && !twice && sameRoute(o, r) {
			continue
		}
		at := fmt.Sprintf("%s.static-routes[%s]", p, r.Prefix)
		switch {
		case !r.Prefix.IsValid():
			at = fmt.Sprintf("%s.static-routes[%d]", p, i)
			v.errs.addf(at+".prefix", "is missing")
		case twice:
			v.errs.addf(at, "is there twice")
		}
		v.walk(reflect.ValueOf(*r), at)
		v.staticRoute(n, r, p)
	}
}

// oldRoutes finds routes among those of before, quickly if they are asked for in their order.
type oldRoutes struct {
	all  []StaticRoute
	next int
	at   map[netip.Prefix]int
}

func (o *oldRoutes) find(p netip.Prefix) *StaticRoute {
	if o.next >= len(o.all) || o.all[o.next].Prefix != p {
		if len(o.all) == 0 {
			return nil
		}
		if o.at == nil {
			o.at = make(map[netip.Prefix]int, len(o.all))
			for i := range o.all {
				o.at[o.all[i].Prefix] = i
			}
		}
		i, ok := o.at[p]
		if !ok {
			return nil
		}
		o.next = i
	}
	o.next++
	return &o.all[o.next-1]
}

func sameRoute(a, b *StaticRoute) bool {
	return a.Prefix == b.Prefix && a.Action == b.Action && a.Distance == b.Distance && a.Description == b.Description &&
		(unsafe.SliceData(a.NextHops) == unsafe.SliceData(b.NextHops) && len(a.NextHops) == len(b.NextHops) || slices.Equal(a.NextHops, b.NextHops))
}

// WithoutCommon returns copies of two configurations without the static routes that both have, except one of each instance, so that what
// is made of the difference does not take the instance for one without routes.
func WithoutCommon(a, b *Config) (*Config, *Config) {
	x, y := *a, *b
	x.NetworkInstances, y.NetworkInstances = slices.Clone(a.NetworkInstances), slices.Clone(b.NetworkInstances)
	for i := range x.NetworkInstances {
		n := &x.NetworkInstances[i]
		j := slices.IndexFunc(y.NetworkInstances, func(m NetworkInstance) bool { return m.Name == n.Name })
		if j < 0 {
			continue
		}
		m := &y.NetworkInstances[j]
		if l := len(n.StaticRoutes); l == len(m.StaticRoutes) && unsafe.SliceData(n.StaticRoutes) == unsafe.SliceData(m.StaticRoutes) {
			n.StaticRoutes = n.StaticRoutes[:min(l, 1)]
			m.StaticRoutes = n.StaticRoutes
			continue
		}
		had := oldRoutes{all: n.StaticRoutes}
		common := map[netip.Prefix]bool{}
		var anchor netip.Prefix
		var before, after []StaticRoute
		for k := range m.StaticRoutes {
			r := &m.StaticRoutes[k]
			if o := had.find(r.Prefix); o != nil && sameRoute(o, r) {
				common[r.Prefix] = true
				if anchor.IsValid() {
					continue
				}
				anchor = r.Prefix
			}
			after = append(after, *r)
		}
		for k := range n.StaticRoutes {
			if r := &n.StaticRoutes[k]; !common[r.Prefix] || r.Prefix == anchor {
				before = append(before, *r)
			}
		}
		n.StaticRoutes, m.StaticRoutes = before, after
	}
	return &x, &y
}
