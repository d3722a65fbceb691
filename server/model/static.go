package model

import (
	"cmp"
	"slices"
	"strconv"

	"millrace/server/config"
	"millrace/yang/tree"
)

// The next hops that are no address.
var localActions = map[string]config.RouteAction{"DROP": config.Blackhole, "REJECT": config.Reject, "PUNT": config.Punt}

const maxWeight = 255

func (x *reader) staticRoute(at tree.Path, n *tree.Node) config.StaticRoute {
	r := config.StaticRoute{Prefix: x.prefix(n, at, "prefix"), Description: n.Text("config/description")}
	hops := sortedHops(n)
	var weights []uint64
	r.Distance = distance(hops)
	for _, h := range hops {
		hat := below(at, "next-hops").With(h.Elem())
		d := pos[uint8](x, h, hat, "config/preference")
		if w, ok := x.weight(hat, h); ok {
			weights = append(weights, w)
		}
		if action, ok := localActions[h.Text("config/next-hop")]; ok {
			r.Action = action
			switch {
			case len(hops) > 1:
				x.failAt(hat, "config/next-hop", "%s excludes other next hops", h.Text("config/next-hop"))
			case h.Has("interface-ref") || h.Has("config/network-instance") || len(weights) > 0:
				x.fail(hat, "%s goes with no interface, network instance or weight", h.Text("config/next-hop"))
			}
			continue
		}
		hop := x.nextHop(hat, h)
		if d != r.Distance {
			hop.Distance = d
		}
		r.NextHops = append(r.NextHops, hop)
	}
	x.weights(at, &r, weights)
	return r
}

// distance is that of the route: the one of the first next hop, or none where a next hop has none.
func distance(hops []*tree.Node) uint8 {
	var first uint8
	for i, h := range hops {
		d, ok := h.Uint("config/preference")
		if !ok {
			return 0
		}
		if i == 0 {
			first = uint8(d)
		}
	}
	return first
}

// sortedHops are the next hops in the order of their indices.
func sortedHops(n *tree.Node) []*tree.Node {
	hops := slices.Collect(n.List("next-hops/next-hop"))
	if len(hops) > 1 {
		slices.SortFunc(hops, func(a, b *tree.Node) int { return byNumber(a.Key("index"), b.Key("index")) })
	}
	return hops
}

func (x *reader) nextHop(at tree.Path, h *tree.Node) config.NextHop {
	hop := config.NextHop{NetworkInstance: h.Text("config/network-instance")}
	if h.Text("config/next-hop") == "LOCAL_LINK" {
		x.failAt(at, "config/next-hop", "LOCAL_LINK is not supported: give the interface alone")
	} else {
		hop.Address = x.addr(h, at, "config/next-hop")
	}
	if name := h.Text("interface-ref/config/interface"); name != "" {
		hop.Interface = subinterfaceName(name, h.Text("interface-ref/config/subinterface"))
	} else if h.Has("interface-ref/config/subinterface") {
		x.failAt(at, "interface-ref/config/interface", "is missing")
	}
	if !hop.Address.IsValid() && hop.Interface == "" {
		x.fail(at, "needs a next-hop or an interface-ref")
	}
	return hop
}

func (x *reader) weight(at tree.Path, h *tree.Node) (uint64, bool) {
	const leaf = "config/wecmp-weight"
	if !h.Has(leaf) {
		return 0, false
	}
	w, ok := h.Uint(leaf)
	switch {
	case !ok:
		x.failAt(at, leaf, "%s is not supported: give a number", h.Text(leaf))
	case w == 0:
		x.failAt(at, leaf, "0 is no weight")
	}
	return w, true
}

// weights gives the next hops their weights. Those beyond what the appliance can take, such as bits a second, are scaled down
// together.
func (x *reader) weights(at tree.Path, r *config.StaticRoute, weights []uint64) {
	if len(weights) == 0 {
		return
	}
	if len(weights) != len(r.NextHops) {
		x.fail(below(at, "next-hops"), "some next hops have a weight and others do not")
		return
	}
	most := slices.Max(weights)
	for i, w := range weights {
		if most > maxWeight {
			w = max(1, uint64(float64(w)/float64(most)*maxWeight+0.5))
		}
		r.NextHops[i].Weight = uint8(w)
	}
}

func (w *writer) staticRoutes(at tree.Path, c *config.NetworkInstance) {
	w.protocol(at)
	var hint *tree.Node
	if w.Hint != nil {
		hint = w.Hint.At(instancesTop+"/"+instanceList).Entry(c.Name).At(protocolList).
			Entry(protoStatic, at[len(at)-1].Keys[1].Value).At("static-routes/static")
	}
	for i := range c.StaticRoutes {
		r := &c.StaticRoutes[i]
		w.staticRoute(entry(at, "static-routes/static", "prefix", r.Prefix.String()), r, hint.Entry(r.Prefix.String()))
	}
}

func (w *writer) staticRoute(at tree.Path, r *config.StaticRoute, hint *tree.Node) {
	w.set(at, "config/prefix", r.Prefix)
	w.opt(at, "config/description", r.Description)
	for name, action := range localActions {
		if r.Action == action {
			index := "0"
			for h := range hint.List("next-hops/next-hop") {
				index = h.Key("index")
				break
			}
			hat := entry(at, "next-hops/next-hop", "index", index)
			w.set(hat, "config/next-hop", name)
			w.opt(hat, "config/preference", r.Distance)
			return
		}
	}
	weighted := slices.ContainsFunc(r.NextHops, func(h config.NextHop) bool { return h.Weight != 0 })
	indices := hopIndices(r, hint)
	for i, h := range r.NextHops {
		hat := entry(at, "next-hops/next-hop", "index", indices[i])
		w.opt(hat, "config/next-hop", h.Address)
		w.opt(hat, "config/network-instance", h.NetworkInstance)
		w.opt(hat, "config/preference", cmp.Or(h.Distance, r.Distance))
		if weighted {
			w.set(hat, "config/wecmp-weight", max(1, h.Weight))
		}
		if h.Interface != "" {
			name, index := splitInterface(w.C, h.Interface)
			w.set(hat, "interface-ref/config/interface", name)
			w.opt(hat, "interface-ref/config/subinterface", index)
		}
		w.set(hat, "config/index", indices[i])
	}
}

// hopIndices are the indices of the next hops: those of the tree in force where they are the same, and else the lowest that are free.
func hopIndices(r *config.StaticRoute, hint *tree.Node) []string {
	out := make([]string, len(r.NextHops))
	used := map[string]bool{}
	for _, h := range sortedHops(hint) {
		for i, have := range r.NextHops {
			if out[i] == "" && sameHop(h, r, have) {
				out[i] = h.Key("index")
				used[out[i]] = true
				break
			}
		}
	}
	next := 0
	for i := range out {
		for ; out[i] == ""; next++ {
			if s := strconv.Itoa(next); !used[s] {
				out[i] = s
			}
		}
	}
	return out
}

func sameHop(n *tree.Node, r *config.StaticRoute, h config.NextHop) bool {
	addr := n.Text("config/next-hop")
	distance, _ := n.Uint("config/preference")
	return (addr == "" && !h.Address.IsValid() || addr == h.Address.String()) && n.Text("config/network-instance") == h.NetworkInstance &&
		hopInterface(n) == h.Interface && uint8(distance) == cmp.Or(h.Distance, r.Distance)
}

func hopInterface(n *tree.Node) string {
	return subinterfaceName(n.Text("interface-ref/config/interface"), n.Text("interface-ref/config/subinterface"))
}

// static finds the places of static-routes[PREFIX]….
func (l *locator) static(at tree.Path, hint *tree.Node, s []step) tree.Path {
	if s[0].Key == "" {
		return below(at, "static-routes/static")
	}
	route := entry(at, "static-routes/static", "prefix", s[0].Key)
	node := hint.At(protocolList).Entry(protoStatic, at[len(at)-1].Keys[1].Value).At("static-routes/static").Entry(s[0].Key)
	hops := sortedHops(node)
	hop := func(i int) tree.Path {
		index := strconv.Itoa(max(i, 0))
		if i >= 0 && i < len(hops) {
			index = hops[i].Key("index")
		}
		return entry(route, "next-hops/next-hop", "index", index)
	}
	switch f := stepAt(s, 1); f.Name {
	case "prefix", "description":
		return below(route, "config/"+f.Name)
	case "distance":
		return below(hop(0), "config/preference")
	case "action":
		return below(hop(0), "config/next-hop")
	case "next-hops":
		if f.Key == "" {
			return below(route, "next-hops")
		}
		switch g := stepAt(s, 2); g.Name {
		case "address":
			return below(hop(f.index()), "config/next-hop")
		case "interface":
			return below(hop(f.index()), "interface-ref/config/interface")
		case "network-instance":
			return below(hop(f.index()), "config/network-instance")
		case "weight":
			return below(hop(f.index()), "config/wecmp-weight")
		case "distance":
			return below(hop(f.index()), "config/preference")
		}
		return hop(f.index())
	}
	return route
}
