/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes that look up IPv6 destinations share. */
#ifndef MILLRACE_IP6_LOOKUP_H
#define MILLRACE_IP6_LOOKUP_H

#include "../core/flow.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "parse.h"

/* The edges after those of enum nh_action. */
enum ip6_edge {
	IP6_EDGE_L2_BROADCAST = NH_ACTION_MAX,
	IP6_EDGE_VRF_LOOP,
	IP6_EDGE_LINK_LOCAL,
	IP6_EDGE_MULTICAST,
	IP6_EDGE_LOOKUP_MAX,
};

/* Not an edge of what has not been looked up yet. */
#define IP6_LOOKUP NH_NO_ROUTE

/* The names of the edges up to IP6_EDGE_LOOKUP_MAX, for next_nodes. */
#define IP6_LOOKUP_NEXT_NODES                                                                      \
	[NH_NO_ROUTE] = "ip6-error", [NH_REWRITE] = "ip6-rewrite", [NH_LOCAL] = "ip6-local",       \
	[NH_GLEAN] = "neigh-hold", [NH_UNRESOLVED] = "neigh-hold",                                 \
	[NH_BLACKHOLE] = "drop-ip6-blackhole", [NH_REJECT] = "ip6-error",                          \
	[NH_PUNT] = "kernel-punt", [NH_BROADCAST] = "drop-ip6-multicast-not-forwarded",            \
	[NH_VRF] = "drop-ip6-vrf-loop", [NH_DOWN] = "ip6-error",                                   \
	[IP6_EDGE_L2_BROADCAST] = "drop-ip6-l2-broadcast",                                         \
	[IP6_EDGE_VRF_LOOP] = "drop-ip6-vrf-loop",                                                 \
	[IP6_EDGE_LINK_LOCAL] = "drop-ip6-link-local-not-forwarded",                               \
	[IP6_EDGE_MULTICAST] = "drop-ip6-multicast-not-forwarded"

/* Everything that is not plain forwarding. */
uint16_t ip6_lookup_special(struct rte_mbuf *m, struct mb_meta *meta, uint16_t action);

/*
 * Where packets go of which the source or destination is not plain (link-local, multicast): an
 * edge, or IP6_LOOKUP if they are forwarded as any other.
 */
uint16_t ip6_scope(struct rte_mbuf *m, struct mb_meta *meta, const struct rte_ipv6_hdr *ip);

struct ip6_bytes {
	uint8_t b[16];
};

/* Looks up n (at most RTE_GRAPH_BURST_SIZE) packets of one network instance: fills meta.nh and
 * edge. */
static __rte_always_inline void ip6_lookup_vec(struct rte_mbuf **pkts, const struct ip6_bytes *dst,
					       uint16_t *edge, uint16_t n, uint16_t vrf)
{
	uint64_t gid[RTE_GRAPH_BURST_SIZE];
	struct rte_fib6 *fib = __atomic_load_n(&fib6_tables[vrf], __ATOMIC_CONSUME);

	if (unlikely(fib == NULL))
		memset(gid, 0, n * sizeof(gid[0]));
	else
		/* The type of the addresses is another one since DPDK 24.11. */
		rte_fib6_lookup_bulk(fib, (void *)(uintptr_t)dst, gid, n);
	for (uint16_t i = 0; i < n; i++) {
		const union group g = {
			.u64 = __atomic_load_n(&groups[gid[i]].u64, __ATOMIC_RELAXED)};
		struct mb_meta *meta = mb_meta(pkts[i]);
		uint16_t action = g.action;
		uint32_t nh = g.nh;

		if (unlikely(g.mask != 0)) {
			nh = group_select(
				(uint32_t)gid[i],
				flow_hash6(rte_pktmbuf_mtod(pkts[i], struct rte_ipv6_hdr *),
					   pkts[i]));
			action = nexthops[nh].action;
		}
		meta->nh = nh;
		if (unlikely(action != NH_REWRITE ||
			     (meta->flags & (MB_L2_BCAST | MB_L2_MCAST)) != 0))
			action = ip6_lookup_special(pkts[i], meta, action);
		edge[i] = action;
	}
}

/* The same for packets of several instances. */
void ip6_lookup_mixed(struct rte_mbuf **pkts, const struct ip6_bytes *dst, uint16_t *edge,
		      uint16_t n);

/* Next hop towards an address for a packet with this flow hash; NULL if there is no route. */
static inline const struct nexthop *ip6_route(uint16_t vrf, const uint8_t *dst, uint32_t hash)
{
	struct rte_fib6 *fib = __atomic_load_n(&fib6_tables[vrf], __ATOMIC_CONSUME);
	uint64_t gid = 0;

	if (fib == NULL || rte_fib6_lookup_bulk(fib, (void *)(uintptr_t)dst, &gid, 1) != 0 ||
	    gid == 0)
		return NULL;
	return &nexthops[group_select((uint32_t)gid, hash)];
}

/* True if dst is a preferred address of the interface. */
bool ip6_is_own(uint16_t iface, const uint8_t *dst);

#endif
