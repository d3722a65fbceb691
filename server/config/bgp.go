package config

import "net/netip"

// BGP is the speaker of a network instance.
type BGP struct {
	// Enabled defaults to true.
	Enabled *bool `cfg:"enabled"`
	// ASN is 1 to 4,294,967,295; 23,456 is reserved (RFC 6793).
	ASN uint32 `cfg:"asn"`
	// RouterID defaults to the highest IPv4 address of a loopback, else of any interface of the instance.
	RouterID netip.Addr `cfg:"router-id"`
	// ListenPort defaults to 179.
	ListenPort uint16 `cfg:"listen-port"`
	// ListenAddresses defaults to all.
	ListenAddresses []netip.Addr `cfg:"listen-addresses"`
	// ClusterID of a route reflector (RFC 4456); default the router id.
	ClusterID netip.Addr `cfg:"cluster-id"`
	// Multipath bounds the equal paths used at the same time.
	Multipath Multipath `cfg:"multipath"`
	// Distance is the administrative distance.
	Distance        BGPDistance     `cfg:"distance"`
	GracefulRestart GracefulRestart `cfg:"graceful-restart"`
	// Families are those of the peers that name none of their own; default: that of the peer's address.
	Families []AddressFamily `cfg:"families"`
	// Networks are announced always.
	Networks []netip.Prefix `cfg:"networks"`
	// Redistribute announces routes of other sources.
	Redistribute []Redistribute `cfg:"redistribute"`
	PeerGroups   []PeerGroup    `cfg:"peer-groups"`
	Neighbors    []BGPNeighbor  `cfg:"neighbors"`
	// DynamicNeighbors are taken as they come.
	DynamicNeighbors []DynamicNeighbor `cfg:"dynamic-neighbors"`
}

// Multipath bounds the equal-cost paths.
type Multipath struct {
	// EBGP and IBGP are 1 to 64; default 1.
	EBGP uint8 `cfg:"ebgp"`
	IBGP uint8 `cfg:"ibgp"`
}

// BGPDistance is the administrative distance of BGP's routes, 1 to 254.
type BGPDistance struct {
	// EBGP defaults to 20.
	EBGP uint8 `cfg:"ebgp"`
	// IBGP defaults to 200.
	IBGP uint8 `cfg:"ibgp"`
}

// GracefulRestart is RFC 4724.
type GracefulRestart struct {
	// Enabled defaults to true.
	Enabled *bool `cfg:"enabled"`
	// HelperOnly keeps the routes of peers that restart, but does not ask them to keep ours.
	HelperOnly bool `cfg:"helper-only"`
	// RestartTime in seconds, 1 to 4,095; default 120: how long the peers keep our routes.
	RestartTime uint16 `cfg:"restart-time"`
	// DeferralTime in seconds, 1 to 3,600; default 120: how long we wait for the peers' end-of-RIB after our own restart.
	DeferralTime uint16 `cfg:"deferral-time"`
	// StaleTime in seconds, 1 to 65,535; default 300: how long we keep the routes of a peer that restarts (helper).
	StaleTime uint32 `cfg:"stale-time"`
}

// RedistributeSource is a source of routes other than BGP.
type RedistributeSource string

// The sources that may be redistributed.
const (
	RedistributeConnected RedistributeSource = "connected"
	RedistributeStatic    RedistributeSource = "static"
)

// Values are the sources.
func (RedistributeSource) Values() []string {
	return []string{string(RedistributeConnected), string(RedistributeStatic)}
}

// Redistribute announces the best routes of a source; BGP's export policies may change their attributes. There is one for a
// source and family.
type Redistribute struct {
	Source RedistributeSource `cfg:"source"`
	// Family of the routes; default: both.
	Family AddressFamily `cfg:"family"`
	// PrefixSet lets only the routes pass that match it; default: all.
	PrefixSet string `cfg:"prefix-set"`
	// Policies are asked in order about what passes; the first that accepts or rejects decides. Routes that are redistributed come
	// from no neighbor, and have no AS path and no communities.
	Policies []string `cfg:"policies"`
	// Default decides when no policy did; default accept.
	Default Disposition `cfg:"default"`
}

// PeerGroup is a set of options for many neighbours.
type PeerGroup struct {
	Name string `cfg:"name,key"`
	PeerOptions
}

// BGPNeighbor is a peer.
type BGPNeighbor struct {
	Address netip.Addr `cfg:"address,key"`
	// Interface is needed for a link-local address.
	Interface string `cfg:"interface"`
	// RemotePort is the peer's TCP port; default 179.
	RemotePort uint16 `cfg:"remote-port"`
	PeerGroup  string `cfg:"peer-group"`
	PeerOptions
}

// DynamicNeighbor accepts sessions from any address of a prefix, with the options of a group.
type DynamicNeighbor struct {
	Prefix    netip.Prefix `cfg:"prefix,key"`
	PeerGroup string       `cfg:"peer-group"`
}

// PeerOptions are set at a neighbour or at its group; the neighbour's own come first.
type PeerOptions struct {
	// Enabled defaults to true.
	Enabled     *bool  `cfg:"enabled"`
	Description string `cfg:"description"`
	// RemoteAS is the peer's AS; equal to the instance's makes it an iBGP peer.
	RemoteAS uint32 `cfg:"remote-as"`
	// LocalAS is shown to this peer instead of the instance's (eBGP).
	LocalAS uint32 `cfg:"local-as"`
	// Password is the key of TCP MD5 signatures (RFC 2385), at most 80 bytes.
	Password string `cfg:"password"`
	// TTLSecurity is the greatest number of hops the peer may be away, 1 to 254 (GTSM, RFC 5082); 0: no check.
	TTLSecurity uint8 `cfg:"ttl-security"`
	// Multihop is the TTL of packets to an eBGP peer that is not on the link, 2 to 255; 0: it is on the link.
	Multihop uint8 `cfg:"multihop"`
	// HoldTime in seconds, 3 to 65,535; default 90. Keepalive defaults to a third of it.
	HoldTime  uint16 `cfg:"hold-time"`
	Keepalive uint16 `cfg:"keepalive"`
	// ConnectRetry in seconds, 1 to 65,535; default 10.
	ConnectRetry uint16 `cfg:"connect-retry"`
	// Passive waits for the peer to connect; default false.
	Passive *bool `cfg:"passive"`
	// LocalAddress is our end of the session; default: what the route to the peer gives.
	LocalAddress netip.Addr `cfg:"local-address"`
	// TCPMSS bounds the segments of the session, 88 to 65,535 bytes; default: what the path allows.
	TCPMSS uint16 `cfg:"tcp-mss"`
	// RouteReflectorClient (iBGP); default false.
	RouteReflectorClient *bool `cfg:"route-reflector-client"`
	// ClusterID of such a client (RFC 4456); default: the instance's.
	ClusterID netip.Addr `cfg:"cluster-id"`
	// NextHopSelf announces our own address as the next hop to an iBGP peer; default false.
	NextHopSelf *bool `cfg:"next-hop-self"`
	// AllowOwnAS is how often our own AS may be in a received path, up to 10; default 0.
	AllowOwnAS uint8 `cfg:"allow-own-as"`
	// ReplacePeerAS puts our AS in the place of the peer's in paths announced to it (eBGP); default false.
	ReplacePeerAS *bool `cfg:"replace-peer-as"`
	// RemovePrivateAS is remove or replace: what becomes of private AS numbers in paths announced (eBGP); default: they stay.
	RemovePrivateAS PrivateAS `cfg:"remove-private-as"`
	// GracefulRestart takes part in it with this peer; default: as the instance.
	GracefulRestart *bool `cfg:"graceful-restart"`
	// Families defaults to the one of the neighbour's address.
	Families []BGPFamily `cfg:"families"`
	// ImportPolicies and ExportPolicies are asked in order; the first that accepts or rejects decides.
	ImportPolicies []string `cfg:"import-policies"`
	ExportPolicies []string `cfg:"export-policies"`
	// DefaultImport and DefaultExport decide when no policy did; default accept.
	DefaultImport Disposition `cfg:"default-import"`
	DefaultExport Disposition `cfg:"default-export"`
}

// AddressFamily is a family of routes.
type AddressFamily string

// The families of BGP.
const (
	IPv4Unicast AddressFamily = "ipv4-unicast"
	IPv6Unicast AddressFamily = "ipv6-unicast"
)

// Values are the families.
func (AddressFamily) Values() []string { return []string{string(IPv4Unicast), string(IPv6Unicast)} }

// BGPFamily is a family exchanged with a peer.
type BGPFamily struct {
	Name AddressFamily `cfg:"name,key"`
	// PrefixLimit is the number of prefixes the peer may announce; the session is closed beyond it. 0: no limit.
	PrefixLimit uint32 `cfg:"prefix-limit"`
	// PrefixWarning is the percentage of the limit at which a warning is logged, 1 to 100; default 75.
	PrefixWarning uint8 `cfg:"prefix-warning"`
	// PrefixWarnOnly leaves the session up beyond the limit.
	PrefixWarnOnly bool `cfg:"prefix-warn-only"`
	// PrefixRestart is the seconds after which a session closed for the limit comes up again; 0: not by itself.
	PrefixRestart uint32 `cfg:"prefix-restart"`
}

// PrivateAS is what becomes of private AS numbers.
type PrivateAS string

// Values are the treatments.
func (PrivateAS) Values() []string { return []string{"remove", "replace"} }

// Disposition accepts or rejects a route.
type Disposition string

// The dispositions.
const (
	Accept      Disposition = "accept"
	RejectRoute Disposition = "reject"
)

// Values are the dispositions that may be a default.
func (Disposition) Values() []string { return []string{string(Accept), string(RejectRoute)} }

// Resolve returns the options of a neighbour with those of its group where it has none of its own.
func (b *BGP) Resolve(n BGPNeighbor) PeerOptions {
	o := n.PeerOptions
	if n.PeerGroup == "" {
		return o
	}
	for _, g := range b.PeerGroups {
		if g.Name == n.PeerGroup {
			inherit(&o, g.PeerOptions)
			break
		}
	}
	return o
}
