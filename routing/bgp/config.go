package bgp

import (
	"net/netip"
	"time"
)

// Family is an address family that a session carries (always SAFI unicast).
type Family uint8

// The address families, as IANA's AFI numbers.
const (
	IPv4Unicast Family = 1
	IPv6Unicast Family = 2
)

// String gives the OpenConfig name of the family.
func (f Family) String() string {
	switch f {
	case IPv4Unicast:
		return "ipv4-unicast"
	case IPv6Unicast:
		return "ipv6-unicast"
	}
	return "unknown"
}

// FamilyOf is the family of an address; a 4-in-6 address counts as IPv4.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IPv4Unicast
	}
	return IPv6Unicast
}

// MaxPaths is the largest number of next hops of a route.
const MaxPaths = 64

// Config is the whole intended state of one speaker.
type Config struct {
	Instance string     // name of the network instance, given to the sink; "default" if empty
	ASN      uint32     // own AS number, 1..4294967294
	RouterID netip.Addr // BGP identifier, an IPv4 address other than 0.0.0.0

	ListenPort  int32        // TCP port, 0 means 179, -1 means not to listen
	ListenAddrs []netip.Addr // local addresses to listen on; all of both families if empty
	BindDevice  string       // SO_BINDTODEVICE of listeners, for a network instance that is a VRF device

	Multipath       Multipath
	GracefulRestart GracefulRestart
	Distance        Distance

	Neighbors        []Neighbor
	PeerGroups       []PeerGroup
	DynamicNeighbors []DynamicNeighbor
	Policy           PolicyDefs
	Networks         []netip.Prefix // prefixes originated by this speaker
}

// Multipath limits the next hops of a route by the kind of session its best path came from. 0 means 1.
type Multipath struct {
	EBGP, IBGP int // 1..64
}

// Distance is the administrative distance given to routes. 0 means the default.
type Distance struct {
	EBGP uint8 // default 20
	IBGP uint8 // default 200
}

// GracefulRestart holds the parameters of RFC 4724 for all sessions.
type GracefulRestart struct {
	Enabled    bool
	HelperOnly bool // help neighbours but do not ask them to keep our routes

	RestartTime     time.Duration // how long neighbours shall wait for us: 1 s..4095 s, default 120 s
	StaleRoutesTime time.Duration // how long stale routes of a neighbour live after it came back, default 360 s
	DeferralTime    time.Duration // longest wait for all end-of-RIBs, default 360 s

	// Restarting says that the forwarding plane still holds routes of an earlier run. It only counts in the
	// first configuration a speaker applies.
	Restarting bool
}

// Neighbor is a configured session.
type Neighbor struct {
	Address   netip.Addr // link-local addresses need a zone (the interface)
	PeerGroup string
	Disabled  bool // administratively down
	// NextHop6 is our IPv6 address on the link: the next hop of IPv6 routes that go over a session between IPv4 addresses, which has
	// none to offer.
	NextHop6 netip.Addr
	PeerSettings
}

// PeerGroup gives defaults to its members.
type PeerGroup struct {
	Name string
	PeerSettings
}

// DynamicNeighbor accepts sessions from any address of a prefix with the settings of a group.
type DynamicNeighbor struct {
	Prefix    netip.Prefix
	PeerGroup string
	NextHop6  netip.Addr // as of a neighbour
}

// PeerSettings is what a neighbour takes from its group where its own value is the zero value (nil, 0, empty).
type PeerSettings struct {
	PeerAS      uint32
	LocalAS     uint32 // AS shown to this neighbour instead of Config.ASN
	Description string
	Password    string // TCP MD5 (RFC 2385), at most 80 bytes

	Families []Family // default: the family of the neighbour's address

	LocalAddress netip.Addr // source address of the session
	Interface    string     // device the session is bound to, and the zone of link-local next hops
	RemotePort   uint16     // default 179
	LocalPort    uint16
	Passive      *bool
	TCPMSS       uint16

	HoldTime         time.Duration // 3 s..65535 s, default 90 s
	Keepalive        time.Duration // default a third of the hold time
	ConnectRetry     time.Duration // default 120 s
	IdleHoldAfterRst time.Duration // wait before reconnecting after a reset, default 30 s

	EBGPMultihop    uint8 // TTL of packets to an eBGP neighbour that is not directly connected; 0 means 1
	TTLSecurityHops uint8 // GTSM (RFC 5082): most hops the neighbour may be away, 1..254; 0 is off

	PrefixLimits []PrefixLimit

	RouteReflectorClient *bool
	ClusterID            netip.Addr // default the router ID
	NextHopSelf          *bool      // iBGP: routes from eBGP and own ones are sent with our address as next hop
	AllowOwnAS           uint8      // how often our AS may be in a received AS path
	ReplacePeerAS        *bool      // replace the neighbour's AS by ours in AS paths sent to it
	RemovePrivateAS      PrivateAS

	Import, Export               []string // policies by name, evaluated in order
	DefaultImport, DefaultExport Result   // when no statement decides; unset means Accept

	GracefulRestart *bool // false: none with this neighbour even if it is enabled
}

// PrivateAS says what to do with private AS numbers in AS paths sent to an eBGP neighbour.
type PrivateAS string

// The ways to treat private AS numbers.
const (
	KeepPrivateAS    PrivateAS = ""
	RemovePrivateAS  PrivateAS = "remove"
	ReplacePrivateAS PrivateAS = "replace"
)

// PrefixLimit bounds the prefixes received in one family. Received are all that are in the adj-RIB-in, also those
// that a policy rejects. The count is looked at a few times a second, not at every update.
type PrefixLimit struct {
	Family       Family
	Max          uint32        // 1..
	WarnPercent  uint8         // log and mark the state above this share of Max; 0 is off
	WarnOnly     bool          // do not end the session at Max
	RestartAfter time.Duration // bring the session up again after this time; 0 means only by Enable
}

// Seconds the GoBGP configuration counts in.
func seconds(d time.Duration) uint64 { return uint64((d + time.Second - 1) / time.Second) }

func flag(b *bool) bool { return b != nil && *b }

// families gives the families of a neighbour after its group was merged.
func (n *Neighbor) families() []Family {
	if len(n.Families) > 0 {
		return n.Families
	}
	return []Family{FamilyOf(n.Address)}
}

// merged is the neighbour with what its group gives filled in.
func (c *Config) merged(n Neighbor) Neighbor {
	for i := range c.PeerGroups {
		if c.PeerGroups[i].Name == n.PeerGroup {
			n.PeerSettings = inherit(n.PeerSettings, c.PeerGroups[i].PeerSettings)
		}
	}
	return n
}

func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func orSlice[T any](v, d []T) []T {
	if v == nil {
		return d
	}
	return v
}

func inherit(n, g PeerSettings) PeerSettings {
	return PeerSettings{
		PeerAS:               or(n.PeerAS, g.PeerAS),
		LocalAS:              or(n.LocalAS, g.LocalAS),
		Description:          or(n.Description, g.Description),
		Password:             or(n.Password, g.Password),
		Families:             orSlice(n.Families, g.Families),
		LocalAddress:         or(n.LocalAddress, g.LocalAddress),
		Interface:            or(n.Interface, g.Interface),
		RemotePort:           or(n.RemotePort, g.RemotePort),
		LocalPort:            or(n.LocalPort, g.LocalPort),
		Passive:              or(n.Passive, g.Passive),
		TCPMSS:               or(n.TCPMSS, g.TCPMSS),
		HoldTime:             or(n.HoldTime, g.HoldTime),
		Keepalive:            or(n.Keepalive, g.Keepalive),
		ConnectRetry:         or(n.ConnectRetry, g.ConnectRetry),
		IdleHoldAfterRst:     or(n.IdleHoldAfterRst, g.IdleHoldAfterRst),
		EBGPMultihop:         or(n.EBGPMultihop, g.EBGPMultihop),
		TTLSecurityHops:      or(n.TTLSecurityHops, g.TTLSecurityHops),
		PrefixLimits:         orSlice(n.PrefixLimits, g.PrefixLimits),
		RouteReflectorClient: or(n.RouteReflectorClient, g.RouteReflectorClient),
		ClusterID:            or(n.ClusterID, g.ClusterID),
		NextHopSelf:          or(n.NextHopSelf, g.NextHopSelf),
		AllowOwnAS:           or(n.AllowOwnAS, g.AllowOwnAS),
		ReplacePeerAS:        or(n.ReplacePeerAS, g.ReplacePeerAS),
		RemovePrivateAS:      or(n.RemovePrivateAS, g.RemovePrivateAS),
		Import:               orSlice(n.Import, g.Import),
		Export:               orSlice(n.Export, g.Export),
		DefaultImport:        or(n.DefaultImport, g.DefaultImport),
		DefaultExport:        or(n.DefaultExport, g.DefaultExport),
		GracefulRestart:      or(n.GracefulRestart, g.GracefulRestart),
	}
}

// withDefaults is the configuration with defaults filled in and groups merged into neighbours.
func (c Config) withDefaults() Config {
	c.Instance = or(c.Instance, "default")
	c.ListenPort = or(c.ListenPort, 179)
	c.Multipath.EBGP = or(c.Multipath.EBGP, 1)
	c.Multipath.IBGP = or(c.Multipath.IBGP, 1)
	c.Distance.EBGP = or(c.Distance.EBGP, 20)
	c.Distance.IBGP = or(c.Distance.IBGP, 200)
	g := &c.GracefulRestart
	g.RestartTime = or(g.RestartTime, 120*time.Second)
	g.StaleRoutesTime = or(g.StaleRoutesTime, 360*time.Second)
	g.DeferralTime = or(g.DeferralTime, 360*time.Second)
	if len(c.ListenAddrs) == 0 {
		c.ListenAddrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	nb := make([]Neighbor, len(c.Neighbors))
	for i, n := range c.Neighbors {
		nb[i] = c.merged(n)
	}
	c.Neighbors = nb
	return c
}
