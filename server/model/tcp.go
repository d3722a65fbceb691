package model

import (
	"slices"
	"strconv"

	"millrace/server/config"
	"millrace/yang/tree"
)

// tcpSection is the termination of TCP: vnf-tcp-termination.
func tcpSection() section {
	return section{read: readTCP, write: writeTCP, names: []string{"tcp"}, locate: locateTCP}
}

const tcpTop = "tcp-termination"

func readTCP(x *reader) {
	n, at, t := x.Root.Child(tcpTop), top(tcpTop), &x.C.TCP
	x.readLeaves(at.Name("config"), n.Child("config"), t)
	t.VIPs = entries(x, n.At("virtual-addresses/virtual-address"), below(at, "virtual-addresses/virtual-address"), x.readVIP)
	t.Pools = entries(x, n.At("pools/pool"), below(at, "pools/pool"), x.readPool)
	t.Listeners = entries(x, n.At("listeners/listener"), below(at, "listeners/listener"), x.readListener)
}

func (x *reader) readVIP(at tree.Path, n *tree.Node) config.VIP {
	var v config.VIP
	x.readLeaves(at.Name("config"), n.Child("config"), &v)
	v.Interface = n.Text("config/interface")
	if i, ok := n.Uint("config/subinterface"); ok && v.Interface == "" {
		x.failAt(at, "config/subinterface", "goes with interface only")
	} else if i > 0 {
		v.Interface += "." + strconv.FormatUint(i, 10)
	}
	return v
}

func (x *reader) readPool(at tree.Path, n *tree.Node) config.TCPPool {
	var p config.TCPPool
	x.readLeaves(at.Name("config"), n.Child("config"), &p)
	x.readLeaves(below(at, "health-check/config"), n.At("health-check/config"), &p.HealthCheck)
	x.readLeaves(below(at, "passive-check/config"), n.At("passive-check/config"), &p.PassiveCheck)
	x.readLeaves(below(at, "options/config"), n.At("options/config"), &p.Options)
	for b := range n.List("backends/backend") {
		var one config.TCPBackend
		x.readLeaves(at.Name("backends").With(b.Elem()).Name("config"), b.Child("config"), &one)
		p.Backends = append(p.Backends, one)
	}
	return p
}

func (x *reader) readListener(at tree.Path, n *tree.Node) config.TCPListener {
	var l config.TCPListener
	x.readLeaves(at.Name("config"), n.Child("config"), &l)
	x.readLeaves(below(at, "options/config"), n.At("options/config"), &l.Options)
	if h := n.Child("http"); h != nil {
		l.HTTP = x.readHTTP(at.Name("http"), h)
	}
	if p := n.Child("proxy"); p != nil {
		l.Proxy = new(config.TCPProxy)
		x.readLeaves(below(at, "proxy/config"), p.Child("config"), l.Proxy)
	}
	return l
}

func (x *reader) readHTTP(at tree.Path, n *tree.Node) *config.TCPHTTP {
	h := new(config.TCPHTTP)
	x.readLeaves(at.Name("config"), n.Child("config"), h)
	x.readResponse(at.Name("response"), n.Child("response"), &h.Response)
	for r := range n.List("routes/route") {
		var one config.HTTPRoute
		to := at.Name("routes").With(r.Elem())
		x.readLeaves(to.Name("config"), r.Child("config"), &one)
		x.readResponse(to.Name("response"), r.Child("response"), &one.Response)
		h.Routes = append(h.Routes, one)
	}
	return h
}

func (x *reader) readResponse(at tree.Path, n *tree.Node, r *config.HTTPResponse) {
	x.readLeaves(at.Name("config"), n.Child("config"), r)
	for h := range n.List("headers/header") { // in order of index
		var one config.HTTPHeader
		x.readLeaves(at.Name("headers").With(h.Elem()).Name("config"), h.Child("config"), &one)
		r.Headers = append(r.Headers, one)
	}
}

func writeTCP(w *writer) {
	t, at := &w.C.TCP, top(tcpTop)
	w.writeLeaves(at.Name("config"), t)
	for i := range t.VIPs {
		w.writeVIP(&t.VIPs[i])
	}
	for i := range t.Pools {
		w.writePool(&t.Pools[i])
	}
	for i := range t.Listeners {
		w.writeListener(&t.Listeners[i])
	}
}

func (w *writer) writeVIP(v *config.VIP) {
	at := entry(top(tcpTop), "virtual-addresses/virtual-address", "name", v.Name).Name("config")
	w.writeLeaves(at, v)
	i := slices.IndexFunc(w.C.Interfaces, func(f config.Interface) bool { return f.Name == v.Interface })
	if i >= 0 && w.C.Interfaces[i].Type == config.VLAN {
		f := &w.C.Interfaces[i]
		w.opt(at, "interface", f.Parent)
		w.opt(at, "subinterface", f.Index())
		return
	}
	w.opt(at, "interface", v.Interface)
}

func (w *writer) writePool(p *config.TCPPool) {
	at := entry(top(tcpTop), "pools/pool", "name", p.Name)
	w.writeLeaves(at.Name("config"), p)
	w.writeLeaves(below(at, "health-check/config"), &p.HealthCheck)
	w.writeLeaves(below(at, "passive-check/config"), &p.PassiveCheck)
	w.writeLeaves(below(at, "options/config"), &p.Options)
	for i := range p.Backends {
		b := &p.Backends[i]
		w.writeLeaves(entry(at, "backends/backend", "name", b.Name).Name("config"), b)
	}
}

func (w *writer) writeListener(l *config.TCPListener) {
	at := entry(top(tcpTop), "listeners/listener", "name", l.Name)
	hint := w.Hint.At(tcpTop + "/listeners/listener").Entry(l.Name)
	w.writeLeaves(at.Name("config"), l)
	w.writeLeaves(below(at, "options/config"), &l.Options)
	if h := l.HTTP; h != nil {
		to, hint := at.Name("http"), hint.Child("http")
		w.writeLeaves(to.Name("config"), h)
		w.writeResponse(to.Name("response"), hint.Child("response"), &h.Response)
		for i := range h.Routes {
			r := &h.Routes[i]
			to := entry(to, "routes/route", "path", r.Path)
			w.writeLeaves(to.Name("config"), r)
			w.writeResponse(to.Name("response"), hint.At("routes/route").Entry(r.Path).Child("response"), &r.Response)
		}
	}
	if l.Proxy != nil {
		w.writeLeaves(below(at, "proxy/config"), l.Proxy)
	}
}

// writeResponse keeps the indices of the fields that hint, the answer in force, has.
func (w *writer) writeResponse(at tree.Path, hint *tree.Node, r *config.HTTPResponse) {
	w.writeLeaves(at.Name("config"), r)
	index, have := uint64(0), indices(hint)
	for i := range r.Headers {
		if index++; i < len(have) {
			index = have[i]
		}
		to := entry(at, "headers/header", "index", strconv.FormatUint(index, 10)).Name("config")
		w.set(to, "index", index)
		w.writeLeaves(to, &r.Headers[i])
	}
}

// indices of the fields of an answer, in order.
func indices(response *tree.Node) []uint64 {
	var all []uint64
	for h := range response.List("headers/header") {
		n, _ := h.Uint("index")
		all = append(all, n)
	}
	return all
}

// locateTCP finds the place of a path such as `tcp.listeners[web].http.routes[/x].response.headers[2].name`.
func locateTCP(l *locator, steps []step) tree.Path {
	p := top(tcpTop)
	switch s := stepAt(steps, 1); s.Name {
	case "":
	case "vips":
		p = locateLeaf(entry(p, "virtual-addresses/virtual-address", "name", s.Key), steps[2:])
	case "pools":
		p = locatePool(entry(p, "pools/pool", "name", s.Key), steps[2:])
	case "listeners":
		p = locateListener(l, entry(p, "listeners/listener", "name", s.Key), steps[2:])
	default:
		p = locateLeaf(p, steps[1:])
	}
	return unkeyed(p)
}

// unkeyed names a list as a whole where an error is about all of its entries.
func unkeyed(p tree.Path) tree.Path {
	if last := &p[len(p)-1]; len(last.Keys) == 1 && last.Keys[0].Value == "" {
		last.Keys = nil
	}
	return p
}

// locateLeaf finds the leaf of a container that a step names; the container itself if there is none.
func locateLeaf(p tree.Path, steps []step) tree.Path {
	if len(steps) == 0 {
		return p
	}
	name := steps[0].Name
	switch last := p[len(p)-1].Name; {
	case last == "pool" && name == "source-addresses":
		name = "source-address"
	case last == "backend" && name == "admin":
		name = "admin-state"
	case last == "http" && name == "methods":
		name = "method"
	}
	return p.Name("config").Name(name)
}

func locatePool(p tree.Path, steps []step) tree.Path {
	switch s := stepAt(steps, 0); s.Name {
	case "backends":
		return locateLeaf(entry(p, "backends/backend", "name", s.Key), steps[1:])
	case "health-check", "passive-check", "options":
		return locateLeaf(p.Name(s.Name), steps[1:])
	}
	return locateLeaf(p, steps)
}

func locateListener(l *locator, p tree.Path, steps []step) tree.Path {
	switch s := stepAt(steps, 0); s.Name {
	case "options", "proxy":
		return locateLeaf(p.Name(s.Name), steps[1:])
	case "http":
		p, steps = p.Name("http"), steps[1:]
		switch s := stepAt(steps, 0); s.Name {
		case "response":
			return locateResponse(l, p.Name("response"), steps[1:])
		case "routes":
			p, steps = entry(p, "routes/route", "path", l.routePath(p, s)), steps[1:]
			if stepAt(steps, 0).Name == "response" {
				return locateResponse(l, p.Name("response"), steps[1:])
			}
		}
	}
	return locateLeaf(p, steps)
}

// routePath is the path of a route of the listener at p, which the data plane counts.
func (l *locator) routePath(p tree.Path, s step) string {
	i := slices.IndexFunc(l.C.TCP.Listeners, func(x config.TCPListener) bool { return x.Name == p.Key("listener", "name") })
	if i < 0 || s.index() < 0 || l.C.TCP.Listeners[i].HTTP == nil || s.index() >= len(l.C.TCP.Listeners[i].HTTP.Routes) {
		return s.Key
	}
	return l.C.TCP.Listeners[i].HTTP.Routes[s.index()].Path
}

func locateResponse(l *locator, p tree.Path, steps []step) tree.Path {
	s := stepAt(steps, 0)
	if s.Name != "headers" {
		return locateLeaf(p, steps)
	}
	if s.Key == "" {
		return below(p, "headers/header")
	}
	key := strconv.Itoa(s.index() + 1) // as a Config is written
	if have := indices(lookup(l.Tree, p)); s.index() >= 0 && s.index() < len(have) {
		key = strconv.FormatUint(have[s.index()], 10)
	}
	return locateLeaf(entry(p, "headers/header", "index", key), steps[1:])
}

// lookup follows a path with its keys below a node.
func lookup(n *tree.Node, p tree.Path) *tree.Node {
	for _, e := range p {
		if n = n.Child(e.Name); len(e.Keys) > 0 {
			keys := make([]string, len(e.Keys))
			for i, k := range e.Keys {
				keys[i] = k.Value
			}
			n = n.Entry(keys...)
		}
	}
	return n
}
