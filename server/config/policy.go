package config

import "net/netip"

// RoutingPolicy is what BGP's import, export and redistribution refer to.
type RoutingPolicy struct {
	PrefixSets    []PrefixSet    `cfg:"prefix-sets"`
	CommunitySets []CommunitySet `cfg:"community-sets"`
	ASPathSets    []ASPathSet    `cfg:"as-path-sets"`
	NeighborSets  []NeighborSet  `cfg:"neighbor-sets"`
	Policies      []Policy       `cfg:"policies"`
}

// PrefixSet is a set of prefixes of one family.
type PrefixSet struct {
	Name     string        `cfg:"name,key"`
	Prefixes []PrefixMatch `cfg:"prefixes"`
}

// PrefixMatch is a prefix and the lengths, between Min and Max, that match below it; both default to the prefix's own length. A
// prefix may be there with several ranges.
type PrefixMatch struct {
	Prefix netip.Prefix `cfg:"prefix"`
	Min    uint8        `cfg:"min"`
	Max    uint8        `cfg:"max"`
}

// CommunitySet is a set of communities.
type CommunitySet struct {
	Name string `cfg:"name,key"`
	// Type is standard (default), extended or large.
	Type CommunityType `cfg:"type"`
	// Communities are "65000:100", a well-known name such as no-export (RFC 1997), or a regular expression over the first form;
	// "rt:65000:100" or "soo:65000:100" for extended ones, "65000:1:2" for large ones.
	Communities []string `cfg:"communities"`
}

// CommunityType is a kind of communities.
type CommunityType string

// Values are the kinds.
func (CommunityType) Values() []string { return []string{"standard", "extended", "large"} }

// ASPathSet is a set of expressions over AS paths.
type ASPathSet struct {
	Name string `cfg:"name,key"`
	// Patterns are regular expressions over the path written as numbers with blanks between; "_" matches a boundary.
	Patterns []string `cfg:"patterns"`
}

// NeighborSet is a set of peers.
type NeighborSet struct {
	Name      string       `cfg:"name,key"`
	Addresses []netip.Addr `cfg:"addresses"`
}

// Policy is a list of statements; the first that matches and accepts or rejects decides.
type Policy struct {
	Name       string      `cfg:"name,key"`
	Statements []Statement `cfg:"statements"`
}

// Statement is conditions, which all have to hold, and what is done then.
type Statement struct {
	Name    string  `cfg:"name,key"`
	Match   Match   `cfg:"match"`
	Actions Actions `cfg:"actions"`
}

// MatchKind is how a set is compared.
type MatchKind string

// The ways to compare a set.
const (
	MatchAny    MatchKind = "any"
	MatchAll    MatchKind = "all"
	MatchInvert MatchKind = "invert"
)

// Values are the ways.
func (MatchKind) Values() []string {
	return []string{string(MatchAny), string(MatchAll), string(MatchInvert)}
}

// Match is the conditions of a statement; what is not set holds.
type Match struct {
	PrefixSet string `cfg:"prefix-set"`
	// PrefixMatch is any (default) or invert.
	PrefixMatch  MatchKind `cfg:"prefix-match"`
	CommunitySet string    `cfg:"community-set"`
	// CommunityMatch is any (default), all or invert.
	CommunityMatch MatchKind `cfg:"community-match"`
	// ExtCommunitySet and LargeCommunitySet are sets of these types, besides a CommunitySet of another.
	ExtCommunitySet     string    `cfg:"ext-community-set"`
	ExtCommunityMatch   MatchKind `cfg:"ext-community-match"`
	LargeCommunitySet   string    `cfg:"large-community-set"`
	LargeCommunityMatch MatchKind `cfg:"large-community-match"`
	ASPathSet           string    `cfg:"as-path-set"`
	// ASPathMatch is any (default), all or invert.
	ASPathMatch MatchKind `cfg:"as-path-match"`
	NeighborSet string    `cfg:"neighbor-set"`
	// NeighborMatch is any (default) or invert.
	NeighborMatch MatchKind `cfg:"neighbor-match"`
	// MinASPathLength and MaxASPathLength bound the number of AS in the path; only one of them and of ASPathLength may be set.
	MinASPathLength uint32 `cfg:"min-as-path-length"`
	MaxASPathLength uint32 `cfg:"max-as-path-length"`
	// ASPathLength and CommunityCount compare the numbers of AS in the path and of communities.
	ASPathLength   *Compare `cfg:"as-path-length"`
	CommunityCount *Compare `cfg:"community-count"`
	// Origin is the ORIGIN attribute.
	Origin Origin `cfg:"origin"`
	// NextHops holds for routes whose next hop is one of these.
	NextHops []netip.Addr `cfg:"next-hops"`
	// RouteType is where the route comes from: a peer in our AS (internal) or another one (external).
	RouteType RouteType `cfg:"route-type"`
	// Families of the routes.
	Families []AddressFamily `cfg:"families"`
}

// Compare compares a number.
type Compare struct {
	// Operator is eq (default), ge or le.
	Operator Operator `cfg:"operator"`
	Value    uint32   `cfg:"value"`
}

// Operator compares two numbers.
type Operator string

// The operators.
const (
	OperatorEQ Operator = "eq"
	OperatorGE Operator = "ge"
	OperatorLE Operator = "le"
)

// Values are the operators.
func (Operator) Values() []string { return []string{"eq", "ge", "le"} }

// RouteType is a kind of peers that routes come from.
type RouteType string

// Values are the kinds.
func (RouteType) Values() []string { return []string{"internal", "external"} }

// Origin is BGP's ORIGIN attribute.
type Origin string

// Values are the origins.
func (Origin) Values() []string { return []string{"igp", "egp", "incomplete"} }

// StatementResult is what a statement decides.
type StatementResult string

// Values are the results.
func (StatementResult) Values() []string { return []string{"accept", "reject", "next"} }

// Actions of a statement.
type Actions struct {
	// Result is accept, reject, or next (default): go on with the next statement, attributes changed.
	Result StatementResult `cfg:"result"`
	// SetLocalPref is LOCAL_PREF.
	SetLocalPref *uint32 `cfg:"set-local-pref"`
	// SetMED is MULTI_EXIT_DISC.
	SetMED *uint32 `cfg:"set-med"`
	// MEDAction says what is done with SetMED: set (default), add or subtract.
	MEDAction MEDAction `cfg:"med-action"`
	// SetOrigin is ORIGIN.
	SetOrigin Origin `cfg:"set-origin"`
	// SetNextHop is an address, "self", "peer-address" or "unchanged".
	SetNextHop string `cfg:"set-next-hop"`
	// Prepend puts PrependAS (default: our own AS) this many times before the path, up to 32.
	Prepend   uint8  `cfg:"prepend"`
	PrependAS uint32 `cfg:"prepend-as"`
	// Only one of the three may be set: communities taken away (values or regular expressions), replaced as a whole, or added.
	RemoveCommunities []string `cfg:"remove-communities"`
	SetCommunities    []string `cfg:"set-communities"`
	AddCommunities    []string `cfg:"add-communities"`
	// The same for extended and for large communities.
	RemoveExtCommunities   []string `cfg:"remove-ext-communities"`
	SetExtCommunities      []string `cfg:"set-ext-communities"`
	AddExtCommunities      []string `cfg:"add-ext-communities"`
	RemoveLargeCommunities []string `cfg:"remove-large-communities"`
	SetLargeCommunities    []string `cfg:"set-large-communities"`
	AddLargeCommunities    []string `cfg:"add-large-communities"`
}

// MEDAction is what is done with a MED.
type MEDAction string

// Values are the actions.
func (MEDAction) Values() []string { return []string{"set", "add", "subtract"} }
