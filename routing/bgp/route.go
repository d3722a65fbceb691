package bgp

import (
	"context"
	"net/netip"
	"slices"
)

// PathSet is what BGP chose for a prefix. It is shared between routes and must not be changed.
type PathSet struct {
	NextHops  []netip.Addr // sorted; link-local ones with a zone
	EBGP      bool         // of the best path
	Distance  uint8
	MED       uint32
	LocalPref uint32
	Neighbor  netip.Addr // of the best path, with a zone if the session has one
	PeerAS    uint32
	Stale     bool // the neighbour is restarting (as known when the path was chosen)
}

// Equal compares by value.
func (p *PathSet) Equal(q *PathSet) bool {
	return p == q || p != nil && q != nil &&
		p.EBGP == q.EBGP && p.Distance == q.Distance && p.MED == q.MED && p.LocalPref == q.LocalPref &&
		p.Neighbor == q.Neighbor && p.PeerAS == q.PeerAS && p.Stale == q.Stale &&
		slices.Equal(p.NextHops, q.NextHops)
}

// Route is a prefix with its chosen paths.
type Route struct {
	Prefix netip.Prefix
	*PathSet
}

// Sink takes what a speaker learns. Its methods are called from one goroutine of the speaker and may take their time:
// while they do, changes are folded together.
type Sink interface {
	// Upsert adds or replaces routes. The slice is the caller's again afterwards, the PathSets may be kept.
	Upsert(ctx context.Context, instance string, routes []Route) error
	// Withdraw removes routes, also ones it may not have.
	Withdraw(ctx context.Context, instance string, prefixes []netip.Prefix) error
	// EndOfRIB tells that a neighbour has sent its initial routes of a family and that they all were given.
	EndOfRIB(ctx context.Context, instance string, neighbor netip.Addr, family Family)
	// Converged is called once in the life of a speaker, when all neighbours have sent their end-of-RIB or the
	// deferral time is over and all routes were given: what is left of an earlier run can be swept. A
	// restarting speaker sends its routes and end-of-RIB when this returns, so it should wait for the
	// FIB's acknowledgement.
	Converged(ctx context.Context, instance string)
}
