package bgp

import "net/netip"

// Result is what a statement or a default decides about a route.
type Result uint8

// The results. With Next, the following statement and then the following policy is asked.
const (
	Next Result = iota
	Accept
	Reject
)

// PolicyDefs are the policies and the sets they match on.
type PolicyDefs struct {
	PrefixSets    []PrefixSet
	NeighborSets  []NeighborSet
	ASPathSets    []ASPathSet
	CommunitySets []CommunitySet
	Policies      []Policy
}

// PrefixSet matches prefixes. All prefixes of a set are of one family.
type PrefixSet struct {
	Name     string
	Prefixes []PrefixRange
}

// PrefixRange matches prefixes inside Prefix whose length is Min..Max.
type PrefixRange struct {
	Prefix   netip.Prefix
	Min, Max uint8
}

// NeighborSet matches the neighbour a route comes from or goes to.
type NeighborSet struct {
	Name      string
	Addresses []netip.Prefix
}

// ASPathSet matches AS paths by regular expressions over the path as text ("65001 65002"), where "_" stands for a
// border between numbers, as in "^65001_" or "_65010$".
type ASPathSet struct {
	Name     string
	Patterns []string
}

// CommunityType is the kind of communities in a set.
type CommunityType uint8

// The kinds: RFC 1997, RFC 4360 and RFC 8092.
const (
	StandardCommunity CommunityType = iota
	ExtendedCommunity
	LargeCommunity
)

// CommunitySet matches communities. Members are values as [ParseCommunity] takes them or regular expressions over
// that text. Those of extended communities begin with "rt:" (route target) or "soo:" (site of origin).
type CommunitySet struct {
	Name    string
	Type    CommunityType
	Members []string
}

// Policy is a list of statements, evaluated in order.
type Policy struct {
	Name       string
	Statements []Statement
}

// Statement applies its actions to routes that fulfil all its conditions.
type Statement struct {
	Name    string // its number if empty
	Match   Match
	Actions Actions
}

// MatchOption says how the members of a set count.
type MatchOption uint8

// The options. MatchAll is for communities only.
const (
	MatchAny MatchOption = iota
	MatchAll
	MatchInvert
)

// SetMatch refers to a set.
type SetMatch struct {
	Set    string
	Option MatchOption
}

// RouteType is where a route came from.
type RouteType uint8

// The types of routes.
const (
	AnyRoute RouteType = iota
	InternalRoute
	ExternalRoute
	LocalRoute
)

// Compare is a comparison with a number.
type Compare struct {
	Op    string // "eq", "ge" or "le"
	Value uint32
}

// Match holds the conditions of a statement. An unset one is fulfilled.
type Match struct {
	PrefixSet         *SetMatch
	NeighborSet       *SetMatch
	ASPathSet         *SetMatch
	CommunitySet      *SetMatch
	ExtCommunitySet   *SetMatch
	LargeCommunitySet *SetMatch
	ASPathLength      *Compare
	CommunityCount    *Compare
	NextHops          []netip.Prefix
	RouteType         RouteType
	Origin            string // "igp", "egp", "incomplete"
	Families          []Family
}

// CommunityOp changes the communities of one kind.
type CommunityOp struct {
	Op          string // "add", "remove" or "replace"
	Communities []string
}

// MEDOp changes the MED.
type MEDOp struct {
	Op    string // "set", "add" or "sub"
	Value uint32
}

// PrependOp puts an AS number in front of the AS path.
type PrependOp struct {
	ASN    uint32 // 0: the leftmost AS of the path again
	Repeat uint8  // 1..
}

// NextHopOp sets the next hop; one of its fields is set.
type NextHopOp struct {
	Address   netip.Addr
	Self      bool
	Unchanged bool
	Peer      bool
}

// Actions of a statement, and its result.
type Actions struct {
	Result         Result
	LocalPref      *uint32
	MED            *MEDOp
	Community      *CommunityOp
	ExtCommunity   *CommunityOp
	LargeCommunity *CommunityOp
	Prepend        *PrependOp
	NextHop        *NextHopOp
	Origin         string
}
