// Package config is the intended state of the appliance: plain types, their defaults and the rules they have to obey.
//
// The types know nothing of where they come from. Their `cfg` tags name each leaf, for the paths of errors and for the codecs:
// the YAML and JSON file (Parse, Config.YAML) and the gRPC services. A Config is a value that nobody changes once it is in
// force; Clone makes one to be edited.
//
// A field with its zero value is not set and has the default that its comment names.
package config

import (
	"net"
	"net/netip"
)

// DefaultInstance is the network instance that always exists.
const DefaultInstance = "default"

// Config is the whole intended state.
type Config struct {
	System           System            `cfg:"system"`
	NetworkInstances []NetworkInstance `cfg:"network-instances"`
	Interfaces       []Interface       `cfg:"interfaces"`
	RoutingPolicy    RoutingPolicy     `cfg:"routing-policy"`
	Settings         Settings          `cfg:"settings"`
	TCP              TCP               `cfg:"tcp"`
	AAA              AAA               `cfg:"aaa"`
	GRIBI            GRIBI             `cfg:"gribi"`
}

// System is what belongs to the box and its two processes. Changes of Dataplane and PKIDirectory take effect when the
// process concerned starts again.
type System struct {
	// Hostname is the name in logs and in BGP's FQDN capability; default: the kernel's.
	Hostname string `cfg:"hostname"`
	// LogLevel is debug, info, warn or error; default info.
	LogLevel LogLevel `cfg:"log-level"`
	// MetricsListen is the address of /metrics, host:port; default 127.0.0.1:9273; "none" for no listener.
	MetricsListen string `cfg:"metrics-listen"`
	// GRPCListen is the address of the gRPC services, host:port; default [::]:9339; "none" for
	// the unix socket only.
	GRPCListen string `cfg:"grpc-listen"`
	// PKIDirectory holds ca.pem, server.pem and server-key.pem; default: "pki" in the state directory, where the first start makes
	// an authority of its own.
	PKIDirectory string    `cfg:"pki-directory"`
	Dataplane    Dataplane `cfg:"dataplane"`
}

// LogLevel is how much is logged.
type LogLevel string

// Values are the levels.
func (LogLevel) Values() []string { return []string{"debug", "info", "warn", "error"} }

// Dataplane is the start of vnf-dataplane.
type Dataplane struct {
	// Workers is the number of forwarding threads, 1 to 32; default 1.
	Workers uint32 `cfg:"workers"`
	// CPUs pins the threads: the first for control, the others for the workers. Empty: not pinned.
	CPUs []uint32 `cfg:"cpus"`
	// Hugepages says whether to use them; default: if the machine has free ones.
	Hugepages *bool `cfg:"hugepages"`
	// Memory for packets and tables in MiB; default: sized by the tables.
	Memory uint32 `cfg:"memory"`
	// Mbufs is the number of packet buffers, 1,024 to 16,777,216; default 16,384.
	Mbufs uint32 `cfg:"mbufs"`
	// MbufSize is the data room of a buffer in bytes, headroom included, 1,664 to 65,535; default 2,176.
	MbufSize uint32 `cfg:"mbuf-size"`
	// IPv4Routes and IPv6Routes are the sizes of the default instance's tables; default 1,048,576 and
	// 262,144.
	IPv4Routes uint32 `cfg:"ipv4-routes"`
	IPv6Routes uint32 `cfg:"ipv6-routes"`
	// IPv4TBL8 and IPv6TBL8 are the numbers of second-level tables of 1 KiB: one for each /24 (IPv4) that has longer prefixes;
	// default a sixteenth and half of the routes.
	IPv4TBL8 uint32 `cfg:"ipv4-tbl8"`
	IPv6TBL8 uint32 `cfg:"ipv6-tbl8"`
	// NextHops and Groups bound those tables, 1,024 to 1,048,576; default 131,072 and 262,144.
	NextHops uint32 `cfg:"next-hops"`
	Groups   uint32 `cfg:"groups"`
	// ExceptionNetns is the network namespace of the TAPs and of BGP's sockets, as `ip netns` names it; default "millrace";
	// "none": no exception path, nothing goes to the kernel or comes from it.
	ExceptionNetns string `cfg:"exception-netns"`
	// Poll keeps the workers awake: the lowest latency for all of their CPUs.
	Poll bool `cfg:"poll"`
	// EAL is handed to DPDK as it is.
	EAL string `cfg:"eal"`
}

// NetworkInstance is a VRF: tables and routing protocols of its own.
type NetworkInstance struct {
	Name string `cfg:"name,key"`
	// Description is for people, at most 255 bytes.
	Description string `cfg:"description"`
	// IPv4Routes and IPv6Routes are the sizes of its tables; default 65,536 and 16,384. Not for "default", whose sizes are in
	// system.dataplane.
	IPv4Routes   uint32        `cfg:"ipv4-routes"`
	IPv6Routes   uint32        `cfg:"ipv6-routes"`
	StaticRoutes []StaticRoute `cfg:"static-routes"`
	BGP          *BGP          `cfg:"bgp"`
}

// InterfaceType is the kind of an interface.
type InterfaceType string

// The kinds of interfaces.
const (
	Port     InterfaceType = "port"
	VLAN     InterfaceType = "vlan"
	Loopback InterfaceType = "loopback"
)

// Values are the kinds.
func (InterfaceType) Values() []string { return []string{string(Port), string(VLAN), string(Loopback)} }

// Interface is a port, an 802.1Q sub-interface or a loopback. The name of a vlan interface is its parent's, a point and its index.
type Interface struct {
	Name string        `cfg:"name,key"`
	Type InterfaceType `cfg:"type"`
	// Description is for people, at most 255 bytes.
	Description string `cfg:"description"`
	// Enabled is the admin state; default true.
	Enabled *bool `cfg:"enabled"`
	// Device is DPDK devargs or a PCI address (port).
	Device string `cfg:"device"`
	// Iface is a kernel network device to be taken over with Driver (port), instead of Device.
	Iface string `cfg:"iface"`
	// Driver is af_packet (default) or af_xdp, with Iface.
	Driver IfaceDriver `cfg:"driver"`
	// Parent and VLANID belong to a vlan interface.
	Parent string `cfg:"parent"`
	VLANID uint32 `cfg:"vlan-id"`
	// NetworkInstance defaults to "default".
	NetworkInstance string `cfg:"network-instance"`
	// MTU is bytes of IP packet, 68 to 9,000, at least 1,280 with IPv6; default: the device's or the parent's.
	MTU uint32 `cfg:"mtu"`
	// MAC defaults to the device's.
	MAC         MAC  `cfg:"mac"`
	Promiscuous bool `cfg:"promiscuous"`
	// Queues defaults to one per worker, descriptors to 1,024 a queue.
	RxQueues      uint32 `cfg:"rx-queues"`
	TxQueues      uint32 `cfg:"tx-queues"`
	RxDescriptors uint32 `cfg:"rx-descriptors"`
	TxDescriptors uint32 `cfg:"tx-descriptors"`
	// URPF is the reverse path check of sources (RFC 3704); default off.
	URPF      URPF           `cfg:"urpf"`
	Addresses []netip.Prefix `cfg:"addresses"`
	Neighbors []StaticNbr    `cfg:"neighbors"`
	// RouterAdvertisements are sent if this is set and enabled.
	RouterAdvertisements *RouterAdvertisements `cfg:"router-advertisements"`
}

// IfaceDriver is how a kernel network device is taken over.
type IfaceDriver string

// Values are the drivers.
func (IfaceDriver) Values() []string { return []string{"af_packet", "af_xdp"} }

// URPF is a mode of the reverse path check.
type URPF string

// Values are the modes.
func (URPF) Values() []string { return []string{"off", "loose", "strict"} }

// MAC is an Ethernet address; the zero value is none.
type MAC [6]byte

// IsZero says that there is none.
func (m MAC) IsZero() bool { return m == MAC{} }

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// ParseMAC reads six pairs of hexadecimal digits.
func ParseMAC(s string) (MAC, error) {
	h, err := net.ParseMAC(s)
	if err != nil || len(h) != 6 {
		return MAC{}, errText("is not a MAC address such as 02:00:00:00:00:01")
	}
	return MAC(h), nil
}

// StaticNbr is a neighbour that is not asked for.
type StaticNbr struct {
	Address netip.Addr `cfg:"address,key"`
	MAC     MAC        `cfg:"mac"`
}

// RouterAdvertisements is RFC 4861 section 6.2.
type RouterAdvertisements struct {
	// Enabled is false where they are set up but not sent; default true.
	Enabled *bool `cfg:"enabled"`
	// MaxInterval in seconds, 4 to 1,800; default 600. MinInterval at most 0.75 of it; default a third.
	MaxInterval uint32 `cfg:"max-interval"`
	MinInterval uint32 `cfg:"min-interval"`
	// RouterLifetime in seconds, up to 9,000; 0 means not a default router; default three times MaxInterval.
	RouterLifetime *uint32 `cfg:"router-lifetime"`
	Managed        bool    `cfg:"managed"`
	OtherConfig    bool    `cfg:"other-config"`
	// Lifetimes of the prefixes in seconds; default 2,592,000 and 604,800.
	ValidLifetime     uint32 `cfg:"valid-lifetime"`
	PreferredLifetime uint32 `cfg:"preferred-lifetime"`
	SuppressPrefixes  bool   `cfg:"suppress-prefixes"`
	SendMTU           bool   `cfg:"send-mtu"`
}

// RouteAction is what a static route does.
type RouteAction string

// The actions of static routes.
const (
	Forward   RouteAction = "forward"
	Blackhole RouteAction = "blackhole"
	Reject    RouteAction = "reject"
	Punt      RouteAction = "punt"
)

// Values are the actions.
func (RouteAction) Values() []string {
	return []string{string(Forward), string(Blackhole), string(Reject), string(Punt)}
}

// StaticRoute is a route of an operator.
type StaticRoute struct {
	Prefix netip.Prefix `cfg:"prefix,key"`
	// Action defaults to forward, which needs NextHops; the others have none.
	Action   RouteAction `cfg:"action"`
	NextHops []NextHop   `cfg:"next-hops"`
	// Distance is the administrative distance, 1 to 254; default 1.
	Distance    uint8  `cfg:"distance"`
	Description string `cfg:"description"`
}

// NextHop of a static route: an address, an interface, or both. An address without an interface is resolved over the other routes.
type NextHop struct {
	Address   netip.Addr `cfg:"address"`
	Interface string     `cfg:"interface"`
	// NetworkInstance is where the address is resolved, or the interface is; default: the route's own.
	NetworkInstance string `cfg:"network-instance"`
	// Weight of the flows it gets, 1 to 255; default 1.
	Weight uint8 `cfg:"weight"`
	// Distance of this next hop, 1 to 254; default: the route's. Of next hops with different distances, those with the lowest are used
	// that can be resolved.
	Distance uint8 `cfg:"distance"`
}

// Settings of the whole data plane.
type Settings struct {
	// NeighborLimit is the number of neighbours an interface may have, 1 to 65,536; default 4,096.
	NeighborLimit uint32 `cfg:"neighbor-limit"`
	// NeighborQueue is the number of packets kept for one that is being resolved, 1 to 256; default 16.
	NeighborQueue uint32 `cfg:"neighbor-queue"`
	// NeighborReachableTime in seconds, 1 to 3,600; default 30 (RFC 4861 REACHABLE_TIME).
	NeighborReachableTime uint32 `cfg:"neighbor-reachable-time"`
	// NeighborStaleTime in seconds, 1 to 86,400; default 1,200.
	NeighborStaleTime uint32 `cfg:"neighbor-stale-time"`
	// ICMPErrorRate is ICMP errors a second and worker, 1 to 1,000,000; default 1,000.
	ICMPErrorRate uint32 `cfg:"icmp-error-rate"`
	// PuntRate is packets a second to the kernel, per interface and class, 1 to 10,000,000; default 20,000.
	PuntRate uint32 `cfg:"punt-rate"`
	// NeighborRate is ARP and ND packets a second and port, 1 to 1,000,000; default 2,000.
	NeighborRate uint32 `cfg:"neighbor-rate"`
}
