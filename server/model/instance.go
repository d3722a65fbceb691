package model

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

const (
	instancesTop = "network-instances"
	instanceList = "network-instance"
	protocolList = "protocols/protocol"
)

// The protocols of a network instance, and the names they get where the tree in force has none.
const (
	protoStatic    = "STATIC"
	protoBGP       = "BGP"
	protoConnected = "DIRECTLY_CONNECTED"
)

var protocolNames = map[string]string{protoStatic: "static", protoBGP: "bgp", protoConnected: "connected"}

// instanceSection is the network instances, with their static routes and BGP.
func instanceSection() section {
	return section{
		read: readInstances, finish: finishInstances, write: writeInstances,
		names: []string{"network-instances"}, locate: locateInstance,
		secrets: bgpSecrets(),
	}
}

// member is an interface of a network instance.
type member struct {
	iface, instance string
	at              tree.Path
}

func readInstances(x *reader) {
	for n := range x.Root.At(instancesTop).List(instanceList) {
		at := top(instancesTop).With(n.Elem())
		c := config.NetworkInstance{Name: n.Key("name"), Description: n.Text("config/description")}
		want := instanceType(c.Name)
		if t := n.Text("config/type"); t != "" && t != want {
			x.failAt(at, "config/type", "%s: network instance %s is of type %s", t, c.Name, want)
		}
		x.routeLimits(at, n, &c)
		x.readMembers(at, n, c.Name)
		x.protocols(at, n, &c)
		x.tableConnections(at, n, &c)
		if c.Name == config.DefaultInstance && emptyInstance(&c) {
			continue // it is there always
		}
		x.C.NetworkInstances = append(x.C.NetworkInstances, c)
	}
}

func instanceType(name string) string {
	if name == config.DefaultInstance {
		return "DEFAULT_INSTANCE"
	}
	return "L3VRF"
}

func emptyInstance(c *config.NetworkInstance) bool {
	return c.Description == "" && c.IPv4Routes == 0 && c.IPv6Routes == 0 && len(c.StaticRoutes) == 0 && c.BGP == nil
}

func (x *reader) routeLimits(at tree.Path, n *tree.Node, c *config.NetworkInstance) {
	for l := range n.List("route-limits/route-limit") {
		lat := below(at, "route-limits").With(l.Elem())
		size := pos[uint32](x, l, lat, "config/maximum")
		switch l.Key("afi") {
		case "IPV4":
			c.IPv4Routes = size
		case "IPV6":
			c.IPv6Routes = size
		default:
			x.fail(lat, "the appliance has tables for IPV4 and IPV6")
		}
	}
}

func (x *reader) readMembers(at tree.Path, n *tree.Node, instance string) {
	for i := range n.List("interfaces/interface") {
		x.members = append(x.members, member{memberName(i), instance, below(at, "interfaces").With(i.Elem())})
	}
}

// memberName is the name, in the Config, of the interface that an entry of a network instance means.
func memberName(i *tree.Node) string {
	name := i.Text("config/interface")
	if name == "" {
		return i.Key("id")
	}
	return subinterfaceName(name, i.Text("config/subinterface"))
}

// subinterfaceName is the name of a subinterface; index 0, or none, is the interface itself.
func subinterfaceName(name, index string) string {
	if index == "" || index == "0" {
		return name
	}
	return name + "." + index
}

// splitInterface is the interface and the index of its subinterface, empty for the interface itself, that a name in the Config means.
func splitInterface(c *config.Config, name string) (parent, index string) {
	for i := range c.Interfaces {
		if f := &c.Interfaces[i]; f.Name == name && f.Type == config.VLAN && strings.HasPrefix(name, f.Parent+".") {
			return f.Parent, name[len(f.Parent)+1:]
		}
	}
	return name, ""
}

// finishInstances puts the interfaces into their network instances, once the interfaces have been read.
func finishInstances(x *reader) {
	if len(x.members) == 0 {
		return
	}
	x.C.Interfaces = slices.Clone(x.C.Interfaces) // they may be shared with other Configs
	index := make(map[string]int, len(x.C.Interfaces))
	for i := range x.C.Interfaces {
		index[x.C.Interfaces[i].Name] = i
	}
	for _, m := range x.members {
		i, ok := index[m.iface]
		if !ok {
			x.fail(m.at, "there is no interface %s", m.iface)
			continue
		}
		f := &x.C.Interfaces[i]
		if f.NetworkInstance != "" {
			x.fail(m.at, "interface %s is in network instance %s already", m.iface, f.NetworkInstance)
			continue
		}
		f.NetworkInstance = m.instance
	}
}

// protocols reads the static routes and BGP.
func (x *reader) protocols(at tree.Path, n *tree.Node, c *config.NetworkInstance) {
	seen := map[string]bool{}
	for p := range n.List(protocolList) {
		pat := below(at, "protocols").With(p.Elem())
		id := p.Key("identifier")
		if _, ok := protocolNames[id]; !ok {
			x.fail(pat, "the protocols of the appliance are STATIC, BGP and DIRECTLY_CONNECTED")
			continue
		}
		if seen[id] {
			x.fail(pat, "there is one protocol %s already in this network instance", id)
			continue
		}
		seen[id] = true
		if on, ok := p.Bool("config/enabled"); ok && !on && id != protoBGP {
			x.failAt(pat, "config/enabled", "%s cannot be disabled", id)
		}
		if id != protoStatic && p.Has("static-routes") {
			x.failAt(pat, "static-routes", "belong to a protocol with identifier STATIC")
		}
		if id != protoBGP && p.Has("bgp") {
			x.failAt(pat, "bgp", "belongs to a protocol with identifier BGP")
		}
		switch {
		case id == protoStatic:
			list := pat.Name("static-routes").Name("static")
			c.StaticRoutes = entries(x, p.At("static-routes/static"), list, x.staticRoute)
		case id == protoBGP && p.Has("bgp"):
			c.BGP = x.bgp(pat.Name("bgp"), p.Child("bgp"))
			c.BGP.Enabled = flag(p, "config/enabled")
		}
	}
}

func writeInstances(w *writer) {
	names := make([]string, 0, len(w.C.NetworkInstances)+1)
	for i := range w.C.NetworkInstances {
		names = append(names, w.C.NetworkInstances[i].Name)
	}
	if !slices.Contains(names, config.DefaultInstance) {
		w.instance(&config.NetworkInstance{Name: config.DefaultInstance})
	}
	for i := range w.C.NetworkInstances {
		w.instance(&w.C.NetworkInstances[i])
	}
	for i := range w.C.Interfaces {
		if f := &w.C.Interfaces[i]; f.NetworkInstance != "" {
			w.member(f)
		}
	}
}

func instancePath(name string) tree.Path {
	return entry(top(instancesTop), instanceList, "name", name)
}

// hinted is the network instance of that name in the tree in force; nil if there is none.
func hinted(root *tree.Node, name string) *tree.Node {
	return root.At(instancesTop + "/" + instanceList).Entry(name)
}

func (w *writer) instance(c *config.NetworkInstance) {
	at := instancePath(c.Name)
	w.set(at, "config/type", instanceType(c.Name))
	w.opt(at, "config/description", c.Description)
	w.opt(entry(at, "route-limits/route-limit", "afi", "IPV4"), "config/maximum", c.IPv4Routes)
	w.opt(entry(at, "route-limits/route-limit", "afi", "IPV6"), "config/maximum", c.IPv6Routes)
	if len(c.StaticRoutes) > 0 {
		w.staticRoutes(protocolPath(hinted(w.Hint, c.Name), c.Name, protoStatic), c)
	}
	if c.BGP != nil {
		w.bgp(protocolPath(hinted(w.Hint, c.Name), c.Name, protoBGP), c)
	}
}

// protocolPath is the path of a protocol, whose name is that in the tree in force if it has one.
func protocolPath(hint *tree.Node, instance, id string) tree.Path {
	name := protocolNames[id]
	for p := range hint.List(protocolList) {
		if p.Key("identifier") == id {
			name = p.Key("name")
		}
	}
	return entry(instancePath(instance), protocolList, "identifier", id, "name", name)
}

// protocol puts a protocol into the tree.
func (w *writer) protocol(at tree.Path) {
	for _, k := range at[len(at)-1].Keys {
		w.set(at, "config/"+k.Name, k.Value)
	}
}

func (w *writer) member(f *config.Interface) {
	id := f.Name
	for i := range hinted(w.Hint, f.NetworkInstance).List("interfaces/interface") {
		if memberName(i) == f.Name {
			id = i.Key("id")
		}
	}
	at := entry(instancePath(f.NetworkInstance), "interfaces/interface", "id", id)
	name, index := splitInterface(w.C, f.Name)
	w.set(at, "config/interface", name)
	w.opt(at, "config/subinterface", index)
}

// locateInstance finds the places of network-instances[NAME]….
func locateInstance(l *locator, s []step) tree.Path {
	if s[0].Key == "" {
		return top(instancesTop)
	}
	name := s[0].Key
	at := instancePath(name)
	hint := hinted(l.Tree, name)
	switch f := stepAt(s, 1); f.Name {
	case "name", "description":
		return below(at, "config/"+f.Name)
	case "ipv4-routes":
		return below(entry(at, "route-limits/route-limit", "afi", "IPV4"), "config/maximum")
	case "ipv6-routes":
		return below(entry(at, "route-limits/route-limit", "afi", "IPV6"), "config/maximum")
	case "static-routes":
		return l.static(protocolPath(hint, name, protoStatic), hint, s[1:])
	case "bgp":
		return l.bgp(protocolPath(hint, name, protoBGP), name, s[2:])
	}
	return at
}

// instanceOf is an instance of the Config; nil if there is none.
func (l *locator) instance(name string) *config.NetworkInstance {
	for i := range l.C.NetworkInstances {
		if n := &l.C.NetworkInstances[i]; n.Name == name {
			return n
		}
	}
	return nil
}

// byNumber orders keys that are numbers by these, before and among others that are not by their text.
func byNumber(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil && x != y:
		return cmp.Compare(x, y)
	case errX == nil && errY != nil:
		return -1
	case errX != nil && errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}
