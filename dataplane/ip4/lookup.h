/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes that look up IPv4 destinations share. */
#ifndef MILLRACE_IP4_LOOKUP_H
#define MILLRACE_IP4_LOOKUP_H

#include <rte_ip.h>

#include "../core/flow.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "parse.h"

/* The edges after those of enum nh_action. */
enum ip4_edge {
	IP4_EDGE_L2_BROADCAST = NH_ACTION_MAX,
	IP4_EDGE_VRF_LOOP,
	IP4_EDGE_LOOKUP_MAX,
};

/* The names of the edges up to IP4_EDGE_LOOKUP_MAX, for next_nodes. */
#define IP4_LOOKUP_NEXT_NODES                                                                      \
	[NH_NO_ROUTE] = "ip4-error", [NH_REWRITE] = "ip4-rewrite", [NH_LOCAL] = "ip4-local",       \
	[NH_GLEAN] = "neigh-hold", [NH_UNRESOLVED] = "neigh-hold",                                 \
	[NH_BLACKHOLE] = "drop-ip4-blackhole", [NH_REJECT] = "ip4-error",                          \
	[NH_PUNT] = "kernel-punt", [NH_BROADCAST] = "ip4-broadcast",                               \
	[NH_VRF] = "drop-ip4-vrf-loop", [NH_DOWN] = "ip4-error",                                   \
	[IP4_EDGE_L2_BROADCAST] = "drop-ip4-l2-broadcast",                                         \
	[IP4_EDGE_VRF_LOOP] = "drop-ip4-vrf-loop"

/* Everything that is not plain forwarding. */
uint16_t ip4_lookup_special(struct rte_mbuf *m, struct mb_meta *meta, uint16_t action);

/* Looks up n packets of one network instance: fills meta.nh and edge. dst is in host order. */
static __rte_always_inline void ip4_lookup_vec(struct rte_mbuf **pkts, const uint32_t *dst,
					       uint16_t *edge, uint16_t n, uint16_t vrf)
{
	uint64_t gid[RTE_GRAPH_BURST_SIZE];
	struct rte_fib *fib = __atomic_load_n(&fib4_tables[vrf], __ATOMIC_CONSUME);

	if (unlikely(fib == NULL))
		memset(gid, 0, n * sizeof(gid[0]));
	else
		rte_fib_lookup_bulk(fib, (uint32_t *)(uintptr_t)dst, gid, n);
	for (uint16_t i = 0; i < n; i++) {
		const union group g = {
			.u64 = __atomic_load_n(&groups[gid[i]].u64, __ATOMIC_RELAXED)};
		struct mb_meta *meta = mb_meta(pkts[i]);
		uint16_t action = g.action;
		uint32_t nh = g.nh;

		if (unlikely(g.mask != 0)) {
			nh = group_select(
				(uint32_t)gid[i],
				flow_hash4(rte_pktmbuf_mtod(pkts[i], struct rte_ipv4_hdr *),
					   pkts[i]));
			action = nexthops[nh].action;
		}
		meta->nh = nh;
		if (unlikely(action != NH_REWRITE ||
			     (meta->flags & (MB_L2_BCAST | MB_L2_MCAST)) != 0))
			action = ip4_lookup_special(pkts[i], meta, action);
		edge[i] = action;
	}
}

/* The same for packets of several instances. */
void ip4_lookup_mixed(struct rte_mbuf **pkts, const uint32_t *dst, uint16_t *edge, uint16_t n);

#endif
