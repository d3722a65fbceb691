package model

import (
	"net/netip"
	"strconv"
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

// etherHeader is what OpenConfig's mtu of an Ethernet interface counts beside the IP packet.
const etherHeader = 14

// Types of interfaces, as iana-if-type names them.
const (
	typeEthernet = "ethernetCsmacd"
	typeLoopback = "softwareLoopback"
)

// interfacesSection is /interfaces without membership in network instances, which is theirs.
func interfacesSection() section {
	return section{
		read:   readInterfaces,
		write:  writeInterfaces,
		names:  []string{"interfaces"},
		locate: locateInterface,
	}
}

func readInterfaces(x *reader) {
	at := top("interfaces/interface")
	for _, group := range entries(x, x.Root.At("interfaces/interface"), at, x.interfaceGroup) {
		x.C.Interfaces = append(x.C.Interfaces, group...)
	}
}

// interfaceGroup reads an interface and its VLAN sub-interfaces, which follow it.
func (x *reader) interfaceGroup(at tree.Path, n *tree.Node) []config.Interface {
	f := config.Interface{
		Name: n.Key("name"), Description: n.Text("config/description"), Enabled: flag(n, "config/enabled"),
		Device: n.Text("port/config/devargs"), Iface: n.Text("port/config/iface"),
		Driver:   config.IfaceDriver(strings.ToLower(n.Text("port/config/driver"))),
		RxQueues: num[uint32](x, n, at, "port/config/rx-queues"), TxQueues: num[uint32](x, n, at, "port/config/tx-queues"),
		RxDescriptors: num[uint32](x, n, at, "port/config/rx-descriptors"),
		TxDescriptors: num[uint32](x, n, at, "port/config/tx-descriptors"), Promiscuous: isTrue(n, "port/config/promiscuous"),
	}
	switch t := n.Text("config/type"); t {
	case typeEthernet:
		f.Type = config.Port
	case typeLoopback:
		f.Type = config.Loopback
	case "":
		x.failAt(at, "config/type", "is missing: %s or %s", typeEthernet, typeLoopback)
	default:
		x.failAt(at, "config/type", "%s is neither %s nor %s", t, typeEthernet, typeLoopback)
	}
	f.MTU = x.interfaceMTU(at, n, f.Type)
	if s := n.Text("ethernet/config/mac-address"); s != "" {
		mac, err := config.ParseMAC(s)
		if err != nil {
			x.failAt(at, "ethernet/config/mac-address", "%s %v", s, err)
		}
		f.MAC = mac
	}
	group := []config.Interface{f}
	for s := range n.List("subinterfaces/subinterface") {
		sub := at.Name("subinterfaces").With(s.Elem())
		if s.Key("index") == "0" {
			x.subinterfaceZero(sub, s, &group[0])
			continue
		}
		v := config.Interface{
			Name: f.Name + "." + s.Key("index"), Type: config.VLAN, Parent: f.Name, Description: s.Text("config/description"),
			Enabled: flag(s, "config/enabled"), MTU: num[uint32](x, s, sub, "config/mtu"),
			VLANID: num[uint32](x, s, sub, "vlan/match/single-tagged/config/vlan-id"),
		}
		if v.VLANID == 0 {
			x.failAt(sub, "vlan/match/single-tagged/config/vlan-id", "is missing: only subinterface 0 has no tag")
		}
		x.subinterface(sub, s, &v)
		group = append(group, v)
	}
	return group
}

// interfaceMTU is the size of an IP packet: OpenConfig's leaf of a physical interface counts the link header as well, but not the FCS.
func (x *reader) interfaceMTU(at tree.Path, n *tree.Node, t config.InterfaceType) uint32 {
	mtu, ok := n.Uint("config/mtu")
	header := uint64(0)
	if t == config.Port {
		header = etherHeader
	}
	if ok && (mtu < 68+header || mtu > 9000+header) {
		x.failAt(at, "config/mtu", "%d is not from %d to %d (the IP packet and a link header of %d)", mtu, 68+header, 9000+header, header)
		return 0
	}
	if !ok {
		return 0
	}
	return uint32(mtu - header)
}

// subinterfaceZero reads subinterface 0, which is the interface itself.
func (x *reader) subinterfaceZero(at tree.Path, n *tree.Node, f *config.Interface) {
	if on := flag(n, "config/enabled"); on != nil && !*on {
		x.failAt(at, "config/enabled", "subinterface 0 is the interface itself: disable that")
	}
	for _, leaf := range []string{"config/description", "config/mtu", "vlan/match/single-tagged/config/vlan-id"} {
		if n.Has(leaf) {
			x.failAt(at, leaf, "subinterface 0 is the interface itself and has none of its own")
		}
	}
	x.subinterface(at, n, f)
}

// subinterface reads what subinterface 0 and VLAN sub-interfaces have alike.
func (x *reader) subinterface(at tree.Path, n *tree.Node, f *config.Interface) {
	f.URPF = config.URPF(strings.ToLower(n.Text("config/urpf")))
	for _, family := range []string{"ipv4", "ipv6"} {
		ip, at := n.Child(family), at.Name(family)
		if on := flag(ip, "config/enabled"); on != nil && !*on {
			x.failAt(at, "config/enabled", "cannot be false: an interface without addresses of the family takes no packets for itself")
		}
		for a := range ip.List("addresses/address") {
			where := at.Name("addresses").With(a.Elem())
			bits, ok := a.Uint("config/prefix-length")
			if !ok {
				x.failAt(where, "config/prefix-length", "is missing")
			}
			addr := x.keyAddr(where, a)
			f.Addresses = append(f.Addresses, netip.PrefixFrom(addr, int(bits)))
		}
		for nb := range ip.List("neighbors/neighbor") {
			where := at.Name("neighbors").With(nb.Elem())
			s := nb.Text("config/link-layer-address")
			mac, err := config.ParseMAC(s)
			switch {
			case s == "":
				x.failAt(where, "config/link-layer-address", "is missing")
			case err != nil:
				x.failAt(where, "config/link-layer-address", "%s %v", s, err)
			}
			f.Neighbors = append(f.Neighbors, config.StaticNbr{Address: x.keyAddr(where, nb), MAC: mac})
		}
	}
	f.RouterAdvertisements = x.routerAdvertisements(at, n)
}

// keyAddr is the address that is the key of an entry.
func (x *reader) keyAddr(at tree.Path, n *tree.Node) netip.Addr {
	a, err := netip.ParseAddr(n.Key("ip"))
	switch {
	case err != nil:
		x.fail(at, "%s is not an address", n.Key("ip"))
	case a.Zone() != "":
		x.fail(at, "%s has a zone", a)
	}
	return a
}

const raPath = "ipv6/router-advertisement/config"

// routerAdvertisements reads when and how they are sent: if any leaf is set, unless enable is false.
func (x *reader) routerAdvertisements(at tree.Path, n *tree.Node) *config.RouterAdvertisements {
	r := n.At(raPath)
	if r == nil {
		return nil
	}
	at = below(at, raPath)
	o := &config.RouterAdvertisements{
		MaxInterval: num[uint32](x, r, at, "interval"), MinInterval: num[uint32](x, r, at, "min-interval"),
		Managed: isTrue(r, "managed"), OtherConfig: isTrue(r, "other-config"), ValidLifetime: num[uint32](x, r, at, "valid-lifetime"),
		PreferredLifetime: num[uint32](x, r, at, "preferred-lifetime"), SuppressPrefixes: isTrue(r, "suppress-prefixes"),
		SendMTU: isTrue(r, "send-mtu"),
	}
	if on := flag(r, "enable"); on != nil && !*on {
		o.Enabled = on
	}
	if r.Has("lifetime") {
		l := num[uint32](x, r, at, "lifetime")
		o.RouterLifetime = &l
	}
	for _, leaf := range []string{"interval", "min-interval"} {
		if u, ok := r.Uint(leaf); ok && u == 0 {
			x.failAt(at, leaf, "0 is no interval")
		}
	}
	return o
}

func writeInterfaces(w *writer) {
	for i := range w.C.Interfaces {
		f := &w.C.Interfaces[i]
		if f.Type == config.VLAN {
			w.vlan(f)
		} else {
			w.iface(f)
		}
	}
}

func interfacePath(name string) tree.Path { return entry(nil, "interfaces/interface", "name", name) }

// subinterfacePath is where an interface has its addresses.
func subinterfacePath(f *config.Interface) tree.Path {
	name := f.Name
	if f.Type == config.VLAN {
		name = f.Parent
	}
	return entry(interfacePath(name), "subinterfaces/subinterface", "index", strconv.FormatUint(uint64(f.Index()), 10))
}

func (w *writer) iface(f *config.Interface) {
	at := interfacePath(f.Name)
	kind, header := typeLoopback, uint32(0)
	if f.Type == config.Port {
		kind, header = typeEthernet, etherHeader
	}
	w.set(at, "config/type", kind)
	w.opt(at, "config/description", f.Description)
	w.opt(at, "config/enabled", f.Enabled)
	if f.MTU != 0 {
		w.set(at, "config/mtu", f.MTU+header)
	}
	if !f.MAC.IsZero() {
		w.set(at, "ethernet/config/mac-address", f.MAC)
	}
	w.opt(at, "port/config/devargs", f.Device)
	w.opt(at, "port/config/iface", f.Iface)
	w.opt(at, "port/config/driver", strings.ToUpper(string(f.Driver)))
	w.opt(at, "port/config/rx-queues", f.RxQueues)
	w.opt(at, "port/config/tx-queues", f.TxQueues)
	w.opt(at, "port/config/rx-descriptors", f.RxDescriptors)
	w.opt(at, "port/config/tx-descriptors", f.TxDescriptors)
	w.opt(at, "port/config/promiscuous", f.Promiscuous)
	w.onSubinterface(subinterfacePath(f), f)
}

func (w *writer) vlan(f *config.Interface) {
	at := subinterfacePath(f)
	w.set(at, "vlan/match/single-tagged/config/vlan-id", f.VLANID)
	w.opt(at, "config/description", f.Description)
	w.opt(at, "config/enabled", f.Enabled)
	w.opt(at, "config/mtu", f.MTU)
	w.onSubinterface(at, f)
}

func (w *writer) onSubinterface(at tree.Path, f *config.Interface) {
	w.opt(at, "config/urpf", strings.ToUpper(string(f.URPF)))
	hint := w.hintAt(at)
	for _, p := range f.Addresses {
		w.set(entry(at, family(p.Addr())+"/addresses/address", "ip", spelled(hint, "addresses/address", p.Addr())),
			"config/prefix-length", p.Bits())
	}
	for _, nb := range f.Neighbors {
		w.set(entry(at, family(nb.Address)+"/neighbors/neighbor", "ip", spelled(hint, "neighbors/neighbor", nb.Address)),
			"config/link-layer-address", nb.MAC)
	}
	r := f.RouterAdvertisements
	if r == nil {
		return
	}
	ra := below(at, raPath)
	w.set(ra, "enable", r.On())
	w.opt(ra, "interval", r.MaxInterval)
	w.opt(ra, "min-interval", r.MinInterval)
	w.opt(ra, "lifetime", r.RouterLifetime)
	w.opt(ra, "managed", r.Managed)
	w.opt(ra, "other-config", r.OtherConfig)
	w.opt(ra, "valid-lifetime", r.ValidLifetime)
	w.opt(ra, "preferred-lifetime", r.PreferredLifetime)
	w.opt(ra, "suppress-prefixes", r.SuppressPrefixes)
	w.opt(ra, "send-mtu", r.SendMTU)
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// hintAt is the node of the tree in force at a path of entries; nil if there is none.
func (w *writer) hintAt(at tree.Path) *tree.Node {
	n := w.Hint
	for _, e := range at {
		n = n.Child(e.Name)
		if len(e.Keys) > 0 {
			keys := make([]string, len(e.Keys))
			for i, k := range e.Keys {
				keys[i] = k.Value
			}
			n = n.Entry(keys...)
		}
	}
	return n
}

// spelled is an address as the tree in force writes it, which need not be the shortest way.
func spelled(hint *tree.Node, list string, a netip.Addr) string {
	s := a.String()
	l := hint.At(family(a) + "/" + list)
	if a.Is4() || l.Entry(s) != nil {
		return s
	}
	for x := range l.Entries() {
		if b, err := netip.ParseAddr(x.Key("ip")); err == nil && a == b {
			return x.Key("ip")
		}
	}
	return s
}

var interfaceLeaves = map[string]string{
	"type": "config/type", "description": "config/description", "enabled": "config/enabled", "mtu": "config/mtu",
	"device": "port/config/devargs", "iface": "port/config/iface", "driver": "port/config/driver", "mac": "ethernet/config/mac-address",
	"promiscuous": "port/config/promiscuous", "rx-queues": "port/config/rx-queues", "tx-queues": "port/config/tx-queues",
	"rx-descriptors": "port/config/rx-descriptors", "tx-descriptors": "port/config/tx-descriptors",
}

var vlanLeaves = map[string]string{
	"description": "config/description", "enabled": "config/enabled", "mtu": "config/mtu", "name": "config/index",
	"vlan-id": "vlan/match/single-tagged/config/vlan-id", "urpf": "config/urpf",
}

var raLeaves = map[string]string{
	"enabled": "enable", "max-interval": "interval", "router-lifetime": "lifetime",
}

func locateInterface(l *locator, steps []step) tree.Path {
	var f *config.Interface
	for i := range l.C.Interfaces {
		if l.C.Interfaces[i].Name == steps[0].Key || i == steps[0].index() && f == nil {
			f = &l.C.Interfaces[i]
		}
	}
	if steps[0].Key == "" || f == nil {
		return top("interfaces")
	}
	own, sub := interfacePath(f.Name), subinterfacePath(f)
	if f.Type == config.VLAN {
		own = sub
	}
	s := stepAt(steps, 1)
	switch s.Name {
	case "":
		return own
	case "network-instance":
		return entry(entry(nil, "network-instances/network-instance", "name", f.Instance()), "interfaces/interface", "id", f.Name)
	case "addresses":
		if i := s.index(); i >= 0 && i < len(f.Addresses) {
			a := f.Addresses[i].Addr()
			return entry(sub, family(a)+"/addresses/address", "ip", l.spelled(sub, "addresses/address", a))
		}
		return sub
	case "neighbors":
		a, err := netip.ParseAddr(s.Key)
		if err != nil {
			return sub
		}
		at := entry(sub, family(a)+"/neighbors/neighbor", "ip", l.spelled(sub, "neighbors/neighbor", a))
		if stepAt(steps, 2).Name == "mac" {
			return below(at, "config/link-layer-address")
		}
		return at
	case "router-advertisements":
		leaf := stepAt(steps, 2).Name
		if own, ok := raLeaves[leaf]; ok {
			leaf = own
		}
		if leaf == "" {
			return below(sub, raPath)
		}
		return below(sub, raPath+"/"+leaf)
	case "urpf":
		return below(sub, "config/urpf")
	}
	leaves := interfaceLeaves
	if f.Type == config.VLAN {
		leaves = vlanLeaves
	}
	if leaf, ok := leaves[s.Name]; ok {
		return below(own, leaf)
	}
	return own
}

func (l *locator) spelled(sub tree.Path, list string, a netip.Addr) string {
	w := writer{Hint: l.Tree}
	return spelled(w.hintAt(sub), list, a)
}
