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

// PrefixMatch is a prefix and the lengths, between Min and Max, that match below it; both default to the prefix's own length.
type PrefixMatch struct {
	Prefix netip.Prefix `cfg:"prefix,key"`
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
	ASPathSet      string    `cfg:"as-path-set"`
	// ASPathMatch is any (default), all or invert.
	ASPathMatch MatchKind `cfg:"as-path-match"`
	NeighborSet string    `cfg:"neighbor-set"`
	// NeighborMatch is any (default) or invert.
	NeighborMatch MatchKind `cfg:"neighbor-match"`
	// MinASPathLength and MaxASPathLength bound the number of AS in the path; only one of them may be set.
	MinASPathLength uint32 `cfg:"min-as-path-length"`
	MaxASPathLength uint32 `cfg:"max-as-path-length"`
	// Origin is the ORIGIN attribute.
	Origin Origin `cfg:"origin"`
}

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
	// SetOrigin is ORIGIN.
	SetOrigin Origin `cfg:"set-origin"`
	// SetNextHop is an address, "self" or "unchanged".
	SetNextHop string `cfg:"set-next-hop"`
	// Prepend puts PrependAS (default: our own AS) this many times before the path, up to 32.
	Prepend   uint8  `cfg:"prepend"`
	PrependAS uint32 `cfg:"prepend-as"`
	// Only one of the three may be set: communities taken away (values or regular expressions), replaced as a whole, or added.
	RemoveCommunities []string `cfg:"remove-communities"`
	SetCommunities    []string `cfg:"set-communities"`
	AddCommunities    []string `cfg:"add-communities"`
}
