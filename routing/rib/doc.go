// Package rib is Millrace's routing information base: for each prefix of each
// network instance (VRF) the candidates that the sources offer, the best of
// them by administrative distance, recursive next-hop resolution, and a feed
// of what the forwarding table must hold.
//
// # Use
//
//	r := rib.New(rib.Options{})
//	r.SetInterfaceState("eth0", true)
//	errs := r.Apply([]rib.Change{
//		{Route: rib.Route{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Source: rib.SourceConnected,
//			NextHops: []rib.NextHop{{Interface: "eth0"}}}},
//		{Route: rib.Route{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Source: rib.SourceBGP,
//			Origin: "bgp", Distance: rib.DistanceIBGP,
//			NextHops: []rib.NextHop{{Addr: netip.MustParseAddr("192.0.2.1")}}}},
//	})
//
// Apply returns nil when every change was accepted, otherwise one error per
// change (nil for those accepted); a refused change alters nothing and its
// error is a *FieldError or wraps ErrNotFound. When Apply returns, best routes
// and resolution have converged. A candidate is identified by VRF, prefix,
// source and origin: adding it again replaces it.
//
// Readers: Get, List (paged, with a Filter), Lookup (explains which route takes
// an address and why), Resolve, Watch (a bounded stream of best-route changes).
// Graceful restart: MarkStale, then SweepStale for what was not added again.
// The FIB programmer is the one user of Feed.
//
// # Next hops and groups
//
// A next hop with an interface is used on that interface, if it is up; without
// an address the destination itself is on the link. A next hop without an
// interface is resolved by the longest prefix among best routes, through up to
// MaxDepth levels. Equal lists of next hops (with kind and instance) are
// interned as one group, and everything that depends on resolution hangs on the
// group and not on the prefix: when a next hop's resolution changes, one group
// update is emitted, however many prefixes use it. Only if a group loses its last
// resolved member, or gains its first, are its prefixes walked.
//
// A group never resolves through a route that uses the group itself (such a
// route is skipped for the next shorter one), and a member that leads back to
// its group through others is a loop and counts as unresolved. A route that
// would close a loop by being installed is not eligible while that is so; of two
// routes that exclude each other the one installed first stays.
//
// Connected routes are programmed by the data plane itself, from the
// interface addresses; here they take part in best path and resolution, and
// are never part of the feed.
package rib
