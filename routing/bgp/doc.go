// Package bgp is the BGP speaker of one network instance.
//
// It runs GoBGP as a library and keeps it behind the types of this package: no GoBGP type leaves it. A
// [Speaker] is configured as a whole, and what it learns goes to a [Sink] in coalesced batches:
//
//	s, err := bgp.New(ctx, bgp.Options{Log: log, Sink: sink})
//	err = s.Apply(ctx, bgp.Config{
//		Instance: "default",
//		ASN:      65001,
//		RouterID: netip.MustParseAddr("192.0.2.1"),
//		Neighbors: []bgp.Neighbor{{
//			Address: netip.MustParseAddr("192.0.2.2"),
//			PeerSettings: bgp.PeerSettings{PeerAS: 65002},
//		}},
//		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
//	})
//	...
//	s.Close()
//
// # Routes
//
// The sink gets per prefix the set of next hops that BGP's decision process chose (more than one with
// multipath), and only the newest set: between two calls changes of a prefix are folded into one, so that what
// waits is bounded by the number of prefixes however slow the sink is. Routes that this speaker originates itself
// are not given to the sink. Withdrawals of prefixes the sink never saw are possible and harmless. A next
// hop that is an IPv6 link-local address carries its interface as the zone of the address. IPv4 routes may have IPv6
// next hops (RFC 8950).
//
// # Graceful restart (RFC 4724)
//
// As the helper, routes of a neighbour that restarts stay until its end-of-RIB, its restart time or our
// stale-routes time, and NeighborState.PeerRestarting says so.
//
// As the restarting speaker (Config.GracefulRestart.Restarting, set by the caller when it found routes of an
// earlier run in the forwarding plane) every session is opened with the R and F bits set. Nothing is sent to
// neighbours before all of them have sent their end-of-RIB or the deferral time has passed; then
// Sink.Converged is called, where the caller waits for the FIB to acknowledge and sweeps what is stale, and
// when that returns the routes and the end-of-RIB go out. To stop so that neighbours keep the
// routes, let the process exit without Close: the sockets close without a Cease.
//
// # Limits that come from GoBGP
//
//   - Route selection options and the switch for multipath are variables of GoBGP's package, so all speakers of a
//     process share them; this package always sets the same values and applies the limits of multipath itself.
//   - MED is compared between neighbours of different ASes when sets for multipath are formed.
//   - The F bit is set only while restarting, so a neighbour that lost only the session (not our process) drops
//     our routes until they are sent again.
//   - A changed export policy is applied without touching the session, unless it takes routes back: GoBGP's soft reset
//     does not withdraw them, so then the session is reset.
//   - GoBGP's server has one goroutine that cannot be ended; Close leaves it idle and empty.
package bgp
