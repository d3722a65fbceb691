package control

import (
	"cmp"
	"fmt"
	"net/netip"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
)

// rank is the order in which kinds of objects are made; they go in the reverse order.
type rank int

const (
	rankSettings rank = iota
	rankVRF
	rankPort
	rankVLAN
	rankLoopback
	rankAddress
	rankNeighbor
	rankRA
	rankPool
	rankListener
)

// object is one thing that the data plane has to have.
type object struct {
	key  string
	rank rank
	// path is where in the configuration it comes from.
	path string
	// parent is the key of the object that it goes away with.
	parent string
	// iface is the interface it belongs to; empty for settings and instances.
	iface string
	add   *pb.Op
	// del is nil for what cannot be deleted.
	del *pb.Op
	// found says that it was read back from the data plane.
	found bool
	// fault is why it cannot be asked of the data plane at all.
	fault error
}

// desired lists what the data plane has to have by a configuration, in the order in which it is made.
func desired(c *config.Config) []object {
	objects := []object{{
		key: "settings", rank: rankSettings, path: "settings",
		add: &pb.Op{Op: &pb.Op_Settings{Settings: tcpSettings(settings(&c.Settings), &c.TCP)}},
	}}
	for _, n := range c.NetworkInstances {
		if n.Name == config.DefaultInstance {
			continue
		}
		objects = append(objects, object{
			key: vrfKey(n.Name), rank: rankVRF, path: fmt.Sprintf("network-instances[%s]", n.Name),
			add: &pb.Op{Op: &pb.Op_Vrf{Vrf: &pb.Vrf{Name: n.Name, Ip4Routes: n.IPv4Routes, Ip6Routes: n.IPv6Routes}}},
			del: &pb.Op{Op: &pb.Op_VrfDelete{VrfDelete: &pb.VrfKey{Name: n.Name}}},
		})
	}
	for _, r := range []rank{rankPort, rankVLAN, rankLoopback} {
		for i := range c.Interfaces {
			if f := &c.Interfaces[i]; rankOf(f.Type) == r {
				objects = append(objects, ifaceObject(f))
			}
		}
	}
	for i := range c.Interfaces {
		objects = append(objects, onInterface(&c.Interfaces[i])...)
	}
	objects = append(objects, tcpObjects(c)...)
	sortObjects(objects)
	return objects
}

func rankOf(t config.InterfaceType) rank {
	switch t {
	case config.VLAN:
		return rankVLAN
	case config.Loopback:
		return rankLoopback
	}
	return rankPort
}

func vrfKey(name string) string   { return "vrf " + name }
func ifaceKey(name string) string { return "interface " + name }

func ifaceObject(f *config.Interface) object {
	m := &pb.Interface{
		Name: f.Name, Device: f.Device, Parent: f.Parent, VlanId: f.VLANID, Vrf: f.Instance(), Mtu: f.MTU, AdminUp: f.Up(),
		Promiscuous: f.Promiscuous, RxQueues: f.RxQueues, TxQueues: f.TxQueues, RxDescriptors: f.RxDescriptors,
		TxDescriptors: f.TxDescriptors, Description: f.Description,
	}
	switch f.Type {
	case config.Port:
		m.Kind = pb.InterfaceKind_INTERFACE_KIND_PORT
	case config.VLAN:
		m.Kind = pb.InterfaceKind_INTERFACE_KIND_VLAN
	case config.Loopback:
		m.Kind = pb.InterfaceKind_INTERFACE_KIND_LOOPBACK
	}
	if f.Iface != "" {
		m.Device = fmt.Sprintf("iface=%s,driver=%s", f.Iface, cmp.Or(f.Driver, "af_packet"))
	}
	if !f.MAC.IsZero() {
		m.Mac = f.MAC[:]
	}
	switch f.URPF {
	case "loose":
		m.Urpf = pb.Urpf_URPF_LOOSE
	case "strict":
		m.Urpf = pb.Urpf_URPF_STRICT
	}
	o := object{
		key: ifaceKey(f.Name), rank: rankOf(f.Type), path: fmt.Sprintf("interfaces[%s]", f.Name), iface: f.Name,
		add: &pb.Op{Op: &pb.Op_Interface{Interface: m}},
		del: &pb.Op{Op: &pb.Op_InterfaceDelete{InterfaceDelete: &pb.InterfaceKey{Name: f.Name}}},
	}
	if f.Type == config.VLAN {
		o.parent = ifaceKey(f.Parent)
	}
	return o
}

// onInterface lists what belongs to an interface.
func onInterface(f *config.Interface) []object {
	var objects []object
	at := fmt.Sprintf("interfaces[%s]", f.Name)
	for i, a := range f.Addresses {
		objects = append(objects, object{
			key: fmt.Sprintf("address %s %s", f.Name, a.Addr()), rank: rankAddress, path: fmt.Sprintf("%s.addresses[%d]", at, i),
			add: &pb.Op{Op: &pb.Op_Address{Address: &pb.Address{
				Interface: f.Name, Address: a.Addr().AsSlice(), PrefixLen: uint32(a.Bits()),
			}}},
			del: &pb.Op{Op: &pb.Op_AddressDelete{AddressDelete: &pb.AddressKey{Interface: f.Name, Address: a.Addr().AsSlice()}}},
		})
	}
	for _, n := range f.Neighbors {
		objects = append(objects, object{
			key: fmt.Sprintf("neighbor %s %s", f.Name, n.Address), rank: rankNeighbor, path: fmt.Sprintf("%s.neighbors[%s]", at, n.Address),
			add: &pb.Op{Op: &pb.Op_Neighbor{Neighbor: &pb.Neighbor{
				Interface: f.Name, Address: n.Address.AsSlice(), Mac: n.MAC[:],
			}}},
			del: &pb.Op{Op: &pb.Op_NeighborDelete{NeighborDelete: &pb.NeighborKey{Interface: f.Name, Address: n.Address.AsSlice()}}},
		})
	}
	if r := f.RouterAdvertisements; r.On() {
		objects = append(objects, object{
			key: "ra " + f.Name, rank: rankRA, path: at + ".router-advertisements",
			add: &pb.Op{Op: &pb.Op_RouterAdvertisement{RouterAdvertisement: routerAdvertisement(f.Name, r)}},
			del: &pb.Op{Op: &pb.Op_RouterAdvertisementDelete{RouterAdvertisementDelete: &pb.InterfaceKey{Name: f.Name}}},
		})
	}
	for i := range objects {
		objects[i].parent, objects[i].iface = ifaceKey(f.Name), f.Name
	}
	return objects
}

func routerAdvertisement(iface string, r *config.RouterAdvertisements) *pb.RouterAdvertisement {
	lifetime := 3 * cmp.Or(r.MaxInterval, 600)
	if r.RouterLifetime != nil {
		lifetime = *r.RouterLifetime
	}
	return &pb.RouterAdvertisement{
		Interface: iface, MaxInterval: r.MaxInterval, MinInterval: r.MinInterval, RouterLifetime: lifetime, Managed: r.Managed,
		OtherConfig: r.OtherConfig, ValidLifetime: r.ValidLifetime, PreferredLifetime: r.PreferredLifetime,
		SuppressPrefixes: r.SuppressPrefixes, SendMtu: r.SendMTU,
	}
}

func settings(s *config.Settings) *pb.Settings {
	return &pb.Settings{
		NeighborLimit: s.NeighborLimit, NeighborQueue: s.NeighborQueue, NeighborReachableTime: s.NeighborReachableTime,
		NeighborStaleTime: s.NeighborStaleTime, IcmpErrorRate: s.ICMPErrorRate, PuntRate: s.PuntRate, NeighborRate: s.NeighborRate,
	}
}

// same says whether two objects of one key need no write.
func (o object) same(p object) bool { return proto.Equal(o.add, p.add) }

// remake says whether the data plane cannot turn o into p by a write, so that o has to go first.
func (o object) remake(p object) bool {
	switch {
	case o.rank == rankVRF:
		return true // its sizes
	case o.add.GetInterface() != nil:
		a, b := o.add.GetInterface(), p.add.GetInterface()
		return a.GetKind() != b.GetKind() || a.GetDevice() != b.GetDevice() || a.GetParent() != b.GetParent() || a.GetVlanId() != b.GetVlanId() ||
			// A device is told when it is started.
			o.other(a.GetRxQueues(), b.GetRxQueues()) || o.other(a.GetTxQueues(), b.GetTxQueues()) ||
			!o.found && (a.GetRxDescriptors() != b.GetRxDescriptors() || a.GetTxDescriptors() != b.GetTxDescriptors())
	case o.rank == rankAddress:
		return true // its prefix length or kind
	case o.rank == rankListener:
		return remakeListener(o.add.GetTcpListener(), p.add.GetTcpListener())
	}
	return false
}

// other says that a port has other queues than are wanted. What was read back is what the default came to, where there is nothing else
// wanted, and numbers of descriptors are what the device made of those it was told: a port is not made anew for that, which would be a
// hole in forwarding each time vnf starts.
func (o object) other(have, want uint32) bool { return have != want && (want != 0 || !o.found) }

// moves says whether writing p over o takes from the interface what is on it.
func (o object) moves(p object) bool {
	a, b := o.add.GetInterface(), p.add.GetInterface()
	return a != nil && b != nil && a.GetVrf() != b.GetVrf()
}

// vrf is the instance that an interface or listener is in.
func (o object) vrf() string {
	switch op := o.add.GetOp().(type) {
	case *pb.Op_Interface:
		return op.Interface.GetVrf()
	case *pb.Op_TcpListener:
		return op.TcpListener.GetVrf()
	}
	return ""
}

// connected is a route that an interface address makes.
type connected struct {
	vrf    string
	prefix netip.Prefix
	iface  string
}

// connectedRoutes lists them, each prefix of an instance once. Link-local prefixes belong to their links and are not routed.
func connectedRoutes(c *config.Config) []connected {
	var all []connected
	seen := map[connected]bool{}
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		for _, a := range f.Addresses {
			r := connected{f.Instance(), a.Masked(), f.Name}
			if a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() || seen[r] {
				continue
			}
			seen[r] = true
			all = append(all, r)
		}
	}
	return all
}
