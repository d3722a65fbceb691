package rib

import (
	"errors"
	"fmt"
	"net/netip"
)

// DefaultVRF is the canonical name of the default network instance. An empty
// VRF name means the same.
const DefaultVRF = "default"

// Limits of the RIB.
const (
	// MaxNextHops is the largest number of next hops of a candidate, and of
	// members of a resolved group.
	MaxNextHops = 64
	// MaxGroupHops is the largest number of next hops of a named group, with
	// its backups.
	MaxGroupHops = 256
	// MaxDepth is the largest number of recursion levels of a next hop.
	MaxDepth = 16
	// MaxWeight is the largest weight of a next hop.
	MaxWeight = 65535
)

// Source says which protocol or client offers a candidate.
type Source uint8

// The sources. On equal distance and metric the lower source wins.
const (
	SourceConnected Source = iota
	SourceStatic
	SourceAPI
	SourceBGP
	SourceGRIBI
	numSources
)

// Administrative distances, 0 to 255; lower is preferred. A candidate of
// distance 255 is held but never used.
const (
	DistanceConnected uint8 = 0
	DistanceStatic    uint8 = 1
	DistanceAPI       uint8 = 5
	DistanceGRIBI     uint8 = 5
	DistanceEBGP      uint8 = 20
	DistanceIBGP      uint8 = 200
	DistanceUnusable  uint8 = 255
)

// DefaultDistance is the distance of a candidate that does not set its own. For
// BGP it is that of eBGP; the BGP glue sets DistanceIBGP itself.
func (s Source) DefaultDistance() uint8 {
	switch s {
	case SourceConnected:
		return DistanceConnected
	case SourceStatic:
		return DistanceStatic
	case SourceAPI:
		return DistanceAPI
	case SourceBGP:
		return DistanceEBGP
	case SourceGRIBI:
		return DistanceGRIBI
	}
	return DistanceUnusable
}

var sourceNames = [...]string{"connected", "static", "api", "bgp", "gribi"}

func (s Source) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return fmt.Sprintf("source(%d)", uint8(s))
}

// ParseSource is the inverse of Source.String.
func ParseSource(s string) (Source, error) {
	for i, n := range sourceNames {
		if n == s {
			return Source(i), nil
		}
	}
	return 0, &FieldError{Field: "source", Reason: fmt.Sprintf("%q is none of connected, static, api, bgp", s)}
}

// Kind says what happens to packets that match a route.
type Kind uint8

// The kinds. Unicast forwards to next hops, the others have none.
const (
	KindUnicast   Kind = iota
	KindBlackhole      // dropped silently
	KindReject         // dropped and answered with ICMP unreachable
	KindPunt           // delivered to the box itself
	KindLookup         // looked up again in another instance; of members only
	numKinds
)

var kindNames = [...]string{"unicast", "blackhole", "reject", "punt", "lookup"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// NextHop is one next hop of a candidate as its source gave it.
type NextHop struct {
	// Addr is the gateway; invalid means that the destination is on the link
	// of Interface. A link-local Addr needs an Interface (or a zone, which is
	// taken as the interface). IPv6 gateways of IPv4 prefixes are allowed
	// (RFC 8950), not the reverse.
	Addr netip.Addr
	// Interface pins the next hop to an interface and ends the recursion.
	Interface string
	// VRF resolves the address in another instance than the route's own (or
	// says in which instance Interface is). Empty means the route's own.
	VRF string
	// Weight is the share among the next hops, 1 to MaxWeight; 0 means 1.
	Weight uint32
	// Backup is 0 for the next hops in use, larger for those that are used only
	// while none of a smaller number resolves.
	Backup uint8
	// Lookup has packets looked up again, by their destination, in VRF, which
	// must be given; Addr and Interface then are empty. The data plane follows
	// one such jump per packet.
	Lookup bool
}

// Route is a candidate for a prefix.
type Route struct {
	VRF    string // empty means DefaultVRF
	Prefix netip.Prefix
	Source Source
	// Origin tells apart several users of one source, such as two BGP
	// instances. At most 65,535 different ones.
	Origin string
	// Distance overrides the source's default distance; 0 means the default.
	Distance uint8
	Metric   uint32
	Kind     Kind
	NextHops []NextHop // 1 to MaxNextHops for KindUnicast, otherwise none
	// Group names a group made by SetGroup that stands for NextHops, which is
	// empty then, and Kind is KindUnicast.
	Group string
}

// Op says whether a Change adds or deletes.
type Op uint8

// The operations of a Change.
const (
	Add    Op = iota // add or replace the candidate
	Delete           // delete it; only VRF, Prefix, Source and Origin are read
)

// Change is one item of Apply.
type Change struct {
	Op    Op
	Route Route
}

// Member is a resolved next hop of a group.
type Member struct {
	Kind      Kind       // a blackhole or reject reached by recursion keeps its kind
	VRF       string     // instance of Interface; of KindLookup, the one to look in
	Interface string     // egress
	Gateway   netip.Addr // invalid: the packet's destination is on the link
	Weight    uint32
	// Backup is not 0 of members that only take over while none of a smaller
	// number is alive. Such are in a Delta alone: elsewhere members are those in
	// use as far as the RIB knows.
	Backup uint8
}

// FieldError is the error for a bad value in a request.
type FieldError struct {
	Field  string // such as "next_hops[2].addr"
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// ErrNotFound is wrapped by errors about a route, candidate or VRF that does not exist.
var ErrNotFound = errors.New("not found")

// ErrInUse is wrapped by the refusal to delete what routes use.
var ErrInUse = errors.New("in use")

func fieldErr(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
