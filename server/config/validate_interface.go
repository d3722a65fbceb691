package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NICDevice begins a device that is the network card which the platform calls so.
const NICDevice = "nic="

var nicName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,14}$`)

var reservedNames = []string{".", "..", "lo", "all", "default"}

func (v *validator) interfaces() {
	if len(v.c.Interfaces) > MaxInterfaces {
		v.errs.addf("interfaces", "%d interfaces, at most %d are allowed", len(v.c.Interfaces), MaxInterfaces)
		return
	}
	type tag struct {
		parent string
		id     uint32
	}
	tags, devices := map[tag]string{}, map[string]string{}
	for i := range v.c.Interfaces {
		f := &v.c.Interfaces[i]
		p := fmt.Sprintf("interfaces[%s]", f.Name)
		if f.Name == "" {
			p = fmt.Sprintf("interfaces[%d]", i)
		} else if !interfaceName.MatchString(f.Name) || slices.Contains(reservedNames, f.Name) {
			v.errs.addf(p, "the name is not 1 to 15 characters of [A-Za-z0-9._-], or is one of %s", strings.Join(reservedNames, " "))
		}
		if v.vrfs[f.Instance()] == nil {
			v.errs.addf(p+".network-instance", "there is no network instance %s", show(f.NetworkInstance))
		}
		if len(f.Description) > 255 {
			v.errs.addf(p+".description", "is longer than 255 bytes")
		}
		switch f.Type {
		case Port:
			dev := f.Device + "\x00" + f.Iface
			if other := devices[dev]; other != "" && dev != "\x00" {
				v.errs.addf(p, "uses the device of interface %s", other)
			}
			devices[dev] = f.Name
			v.port(f, p)
		case VLAN:
			t := tag{f.Parent, f.VLANID}
			if other := tags[t]; other != "" && f.VLANID != 0 {
				v.errs.addf(p+".vlan-id", "%d is taken on %s by interface %s", f.VLANID, f.Parent, other)
			}
			tags[t] = f.Name
			v.vlan(f, p)
		case Loopback:
			v.refuse(p, f, "loopback", "device", "iface", "driver", "parent", "vlan-id", "mac", "promiscuous", "queues", "urpf", "neighbors", "ra")
		case "":
			v.errs.addf(p+".type", "is missing: port, vlan or loopback")
		}
		v.mtu(f, p)
		v.addresses(f, p)
		v.neighbors(f, p)
		v.ra(f, p)
	}
}

// refuse reports fields that do not belong to a kind of interface.
func (v *validator) refuse(p string, f *Interface, kind string, names ...string) {
	set := map[string]bool{
		"device": f.Device != "", "iface": f.Iface != "", "driver": f.Driver != "", "parent": f.Parent != "",
		"vlan-id": f.VLANID != 0, "mac": !f.MAC.IsZero(), "promiscuous": f.Promiscuous, "urpf": f.URPF != "" && f.URPF != "off",
		"queues":    f.RxQueues|f.TxQueues|f.RxDescriptors|f.TxDescriptors != 0,
		"neighbors": len(f.Neighbors) > 0, "ra": f.RouterAdvertisements != nil,
	}
	for _, n := range names {
		if !set[n] {
			continue
		}
		switch n {
		case "queues":
			v.errs.addf(p, "queues and descriptors do not belong to a %s interface", kind)
		case "ra":
			v.errs.addf(p+".router-advertisements", "does not belong to a %s interface", kind)
		default:
			v.errs.addf(p+"."+n, "does not belong to a %s interface", kind)
		}
	}
}

func (v *validator) port(f *Interface, p string) {
	v.refuse(p, f, "port", "parent", "vlan-id")
	switch {
	case f.Device == "" && f.Iface == "":
		v.errs.addf(p, "a port needs device (DPDK devargs, PCI address or nic=NAME) or iface (kernel network device)")
	case f.Device != "" && f.Iface != "":
		v.errs.addf(p, "device and iface exclude each other")
	case f.Iface != "" && (!interfaceName.MatchString(f.Iface) || f.Iface == "." || f.Iface == ".."):
		v.errs.addf(p+".iface", "%s is not a name of a network device", show(f.Iface))
	case f.Device != "" && (len(f.Device) > 1023 || strings.ContainsFunc(f.Device, func(r rune) bool { return r <= ' ' || r > '~' })):
		v.errs.addf(p+".device", "%s is not devargs: blanks and control characters are not allowed", show(f.Device))
	case strings.HasPrefix(f.Device, NICDevice) && !nicName.MatchString(f.Device[len(NICDevice):]):
		v.errs.addf(p+".device", "%s does not name a NIC: nic= and 1 to 15 characters of [A-Za-z0-9_-], the first a letter", show(f.Device))
	case f.Driver != "" && f.Iface == "":
		v.errs.addf(p+".driver", "goes with iface only")
	}
	if !f.MAC.IsZero() && f.MAC[0]&1 != 0 {
		v.errs.addf(p+".mac", "%s is a group address", f.MAC)
	}
	limit(v, p+".rx-queues", f.RxQueues, 1, 64)
	limit(v, p+".tx-queues", f.TxQueues, 1, 64)
	limit(v, p+".rx-descriptors", f.RxDescriptors, 32, 32768)
	limit(v, p+".tx-descriptors", f.TxDescriptors, 32, 32768)
}

func (v *validator) vlan(f *Interface, p string) {
	v.refuse(p, f, "vlan", "device", "iface", "driver", "mac", "promiscuous", "queues")
	if f.VLANID == 0 {
		v.errs.addf(p+".vlan-id", "is missing")
	}
	limit(v, p+".vlan-id", f.VLANID, 1, 4094)
	parent := v.ifaces[f.Parent]
	switch {
	case f.Parent == "":
		v.errs.addf(p+".parent", "is missing")
	case parent == nil:
		v.errs.addf(p+".parent", "there is no interface %s", show(f.Parent))
	case parent.Type != Port:
		v.errs.addf(p+".parent", "%s is not a port", f.Parent)
	case f.MTU != 0 && parent.MTU != 0 && f.MTU > parent.MTU:
		v.errs.addf(p+".mtu", "%d is larger than the %d of the parent %s", f.MTU, parent.MTU, f.Parent)
	case interfaceName.MatchString(f.Name) && f.Name != fmt.Sprintf("%s.%d", f.Parent, max(1, f.Index())):
		v.errs.addf(p+".name", "is not the parent's name, a point and an index, such as %s.%d", f.Parent, max(1, f.VLANID))
	}
}

// Index is the number of a vlan interface among those of its parent, the last part of its name: 1 at least. Other interfaces have 0.
func (i *Interface) Index() uint32 {
	if i.Type != VLAN {
		return 0
	}
	n, err := strconv.ParseUint(i.Name[strings.LastIndexByte(i.Name, '.')+1:], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func (v *validator) mtu(f *Interface, p string) {
	limit(v, p+".mtu", f.MTU, 68, 9000)
	if f.MTU >= 68 && f.MTU < 1280 && slices.ContainsFunc(f.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() }) {
		v.errs.addf(p+".mtu", "%d is less than the 1280 that IPv6 needs (RFC 8200 section 5)", f.MTU)
	}
}

func (v *validator) addresses(f *Interface, p string) {
	if len(f.Addresses) > MaxAddresses {
		v.errs.addf(p+".addresses", "%d addresses, at most %d are allowed", len(f.Addresses), MaxAddresses)
		return
	}
	for i, a := range f.Addresses {
		at := fmt.Sprintf("%s.addresses[%d]", p, i)
		if why := HostAddress(a); why != "" {
			v.errs.addf(at, "%s %s", a, why)
		}
		if slices.ContainsFunc(f.Addresses[:i], func(b netip.Prefix) bool { return a.Addr() == b.Addr() }) {
			v.errs.addf(at, "%s is there twice", a.Addr())
		}
	}
}

// HostAddress says why an address with its prefix length cannot be that of an interface; empty if it can.
func HostAddress(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return "is not an address with a prefix length"
	case a.Is4In6():
		return "is an IPv4-mapped address"
	case a.Zone() != "":
		return "has a zone"
	case a.IsUnspecified() || p.Bits() == 0:
		return "is not the address of a host"
	case a.IsMulticast():
		return "is a multicast address"
	case a.IsLoopback():
		return "is a loopback address of the host's own"
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return "is in a reserved range"
	case a.Is4() && p.Bits() < 31 && a == p.Masked().Addr():
		return "is the address of the network, not of a host"
	case a.Is4() && p.Bits() < 31 && a == lastAddr(p):
		return "is the broadcast address of its network"
	}
	return ""
}

// lastAddr is the highest address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// overlaps finds addresses and networks that are on two interfaces of one network instance. A host prefix (/32, /128) may lie in
// the network of another interface, and link-local addresses belong to their link.
func (v *validator) overlaps() {
	type owned struct {
		net        netip.Prefix
		addr       netip.Addr
		path, name string
	}
	byVRF := map[string][]owned{}
	for i := range v.c.Interfaces {
		f := &v.c.Interfaces[i]
		for j, a := range f.Addresses {
			if a.IsValid() && !a.Addr().IsLinkLocalUnicast() {
				byVRF[f.Instance()] = append(byVRF[f.Instance()],
					owned{a.Masked(), a.Addr(), fmt.Sprintf("interfaces[%s].addresses[%d]", f.Name, j), f.Name})
			}
		}
	}
	for _, name := range sortedKeys(byVRF) {
		all := byVRF[name]
		// Sorted by first address, the shorter prefix first: what contains a prefix is on the stack when it comes.
		slices.SortStableFunc(all, func(a, b owned) int {
			if c := a.net.Addr().Compare(b.net.Addr()); c != 0 {
				return c
			}
			return a.net.Bits() - b.net.Bits()
		})
		seen := map[netip.Addr]owned{}
		var stack []owned
		for _, o := range all {
			if other, dup := seen[o.addr]; dup && other.name != o.name {
				v.errs.addf(o.path, "%s is also the address of interface %s in network instance %s", o.addr, other.name, name)
				continue
			}
			seen[o.addr] = o
			for len(stack) > 0 && !stack[len(stack)-1].net.Overlaps(o.net) {
				stack = stack[:len(stack)-1]
			}
			if !o.net.IsSingleIP() {
				for _, outer := range stack {
					if outer.name != o.name {
						v.errs.addf(o.path, "%s overlaps %s of interface %s in network instance %s", o.net, outer.net, outer.name, name)
						break
					}
				}
				stack = append(stack, o)
			}
		}
	}
}

func (v *validator) neighbors(f *Interface, p string) {
	for _, n := range f.Neighbors {
		at := fmt.Sprintf("%s.neighbors[%s]", p, n.Address)
		switch {
		case !n.Address.IsValid():
			continue // told as a missing key
		case n.Address.Zone() != "" || n.Address.IsMulticast() || n.Address.IsUnspecified() || n.Address.IsLoopback():
			v.errs.addf(at+".address", "%s is not the address of a neighbour", n.Address)
		case slices.ContainsFunc(f.Addresses, func(a netip.Prefix) bool { return a.Addr() == n.Address }):
			v.errs.addf(at+".address", "%s is the interface's own address", n.Address)
		case !n.Address.IsLinkLocalUnicast() && !slices.ContainsFunc(f.Addresses, func(a netip.Prefix) bool { return a.Contains(n.Address) }):
			v.errs.addf(at+".address", "%s is in no network of the interface", n.Address)
		}
		if n.MAC.IsZero() || n.MAC[0]&1 != 0 {
			v.errs.addf(at+".mac", "%s is not the address of a host", n.MAC)
		}
	}
}

func (v *validator) ra(f *Interface, p string) {
	r := f.RouterAdvertisements
	if r == nil {
		return
	}
	p += ".router-advertisements"
	limit(v, p+".max-interval", r.MaxInterval, 4, 1800)
	most := r.MaxInterval
	if most == 0 {
		most = 600
	}
	limit(v, p+".min-interval", r.MinInterval, 3, uint64(max(3, most*3/4)))
	if l := r.RouterLifetime; l != nil && *l != 0 && (*l < most || *l > 9000) {
		v.errs.addf(p+".router-lifetime", "%d is neither 0 nor from %d (max-interval) to 9000", *l, most)
	}
	if r.PreferredLifetime > r.ValidLifetime && r.ValidLifetime != 0 {
		v.errs.addf(p+".preferred-lifetime", "%d is longer than the valid lifetime of %d", r.PreferredLifetime, r.ValidLifetime)
	}
	if !slices.ContainsFunc(f.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() }) {
		v.errs.addf(p, "the interface has no IPv6 address")
	}
}
