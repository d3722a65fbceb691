/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip4-output looks up packets made here or handed in by the control thread; ip4-lookup is where
 * packets come back to the forwarding path after a detour (options, reverse path check). They do
 * the same, under two names so that an operator sees which is which.
 */
#include "lookup.h"

DROP_NODE(ip4_blackhole, "ip4-blackhole", "the route says to drop silently");
DROP_NODE(ip4_l2_broadcast, "ip4-l2-broadcast",
	  "unicast destination in a frame sent to a broadcast or multicast MAC address (RFC 1812 "
	  "5.3.4)");
DROP_NODE(ip4_vrf_loop, "ip4-vrf-loop", "routes lead from one network instance to another and on");

uint16_t ip4_lookup_special(struct rte_mbuf *m, struct mb_meta *meta, uint16_t action)
{
	if ((meta->flags & (MB_L2_BCAST | MB_L2_MCAST)) != 0 && action != NH_BROADCAST)
		return IP4_EDGE_L2_BROADCAST;
	switch (action) {
	case NH_NO_ROUTE:
		meta->arg0 = ICMP4_UNREACHABLE;
		meta->arg1 = ICMP4_NET_UNREACHABLE;
		break;
	case NH_REJECT:
		meta->arg0 = ICMP4_UNREACHABLE;
		meta->arg1 = ICMP4_ADMIN_PROHIBITED;
		break;
	case NH_DOWN:
		meta->arg0 = ICMP4_UNREACHABLE;
		meta->arg1 = ICMP4_HOST_UNREACHABLE;
		break;
	case NH_VRF: {
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		uint32_t dst = rte_be_to_cpu_32(ip->dst_addr);
		struct rte_mbuf *one[1] = {m};
		uint16_t edge[1];

		if (meta->flags & MB_VRF_JUMP)
			return IP4_EDGE_VRF_LOOP;
		meta->flags |= MB_VRF_JUMP;
		meta->vrf = nexthops[meta->nh].vrf;
		ip4_lookup_vec(one, &dst, edge, 1, meta->vrf);
		return edge[0];
	}
	default:
		break;
	}
	return action;
}

void ip4_lookup_mixed(struct rte_mbuf **pkts, const uint32_t *dst, uint16_t *edge, uint16_t n)
{
	for (uint16_t i = 0; i < n;) {
		uint16_t vrf = mb_meta(pkts[i])->vrf, k = i + 1;

		while (k < n && mb_meta(pkts[k])->vrf == vrf)
			k++;
		ip4_lookup_vec(&pkts[i], &dst[i], &edge[i], k - i, vrf);
		i = k;
	}
}

static uint16_t ip4_lookup(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint32_t dst[RTE_GRAPH_BURST_SIZE];
	uint16_t edge[RTE_GRAPH_BURST_SIZE];

	for (uint16_t done = 0; done < n;) {
		uint16_t part = RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE);

		for (uint16_t i = 0; i < part; i++)
			dst[i] = rte_be_to_cpu_32(
				rte_pktmbuf_mtod(pkts[done + i], struct rte_ipv4_hdr *)->dst_addr);
		ip4_lookup_mixed(&pkts[done], dst, edge, part);
		node_dispatch(graph, node, &objs[done], edge, part);
		done += part;
	}
	return n;
}

static struct rte_node_register ip4_output_node = {
	.name = "ip4-output",
	.process = ip4_lookup,
	.nb_edges = IP4_EDGE_LOOKUP_MAX,
	.next_nodes = {IP4_LOOKUP_NEXT_NODES},
};
RTE_NODE_REGISTER(ip4_output_node);

static struct rte_node_register ip4_lookup_node = {
	.name = "ip4-lookup",
	.process = ip4_lookup,
	.nb_edges = IP4_EDGE_LOOKUP_MAX,
	.next_nodes = {IP4_LOOKUP_NEXT_NODES},
};
RTE_NODE_REGISTER(ip4_lookup_node);
