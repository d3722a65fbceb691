/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip6-output looks up packets made here or handed in by the control thread; ip6-lookup is where
 * packets come back to the forwarding path after a detour (hop-by-hop options, reverse path check).
 */
#include "../iface/iface.h"
#include "../ip4/l2cast.h"
#include "lookup.h"

DROP_NODE(ip6_blackhole, "ip6-blackhole", "the route says to drop silently");
DROP_NODE(ip6_l2_broadcast, "ip6-l2-broadcast",
	  "unicast destination in a frame sent to a broadcast or multicast MAC address");
DROP_NODE(ip6_vrf_loop, "ip6-vrf-loop", "routes lead from one network instance to another and on");
DROP_NODE(ip6_link_local, "ip6-link-local-not-forwarded",
	  "link-local destination that is not ours (RFC 4291 2.5.6)");
DROP_NODE(ip6_multicast, "ip6-multicast-not-forwarded",
	  "multicast to a group the box does not hear");
DROP_NODE(ip6_no_link, "ip6-output-no-link",
	  "link-local or multicast packet of the box without an interface that could send it");

bool ip6_is_own(uint16_t iface, const uint8_t *dst)
{
	const struct iface *i = ifaces[iface % IFACE_MAX];
	const struct iface_addr_view *v = i != NULL ? i->view : NULL;

	for (unsigned int k = 0; v != NULL && k < v->n6; k++)
		if (memcmp(v->v6[k].addr, dst, 16) == 0)
			return true;
	return false;
}

uint16_t ip6_lookup_special(struct rte_mbuf *m, struct mb_meta *meta, uint16_t action)
{
	if (meta->flags & (MB_L2_BCAST | MB_L2_MCAST))
		return IP6_EDGE_L2_BROADCAST;
	switch (action) {
	case NH_NO_ROUTE:
	case NH_DOWN:
		meta->arg0 = ICMP6_UNREACHABLE;
		meta->arg1 = ICMP6_NO_ROUTE;
		break;
	case NH_REJECT:
		meta->arg0 = ICMP6_UNREACHABLE;
		meta->arg1 = ICMP6_REJECT_ROUTE;
		break;
	case NH_VRF: {
		struct ip6_bytes dst;
		uint16_t edge[1];

		if (meta->flags & MB_VRF_JUMP)
			return IP6_EDGE_VRF_LOOP;
		meta->flags |= MB_VRF_JUMP;
		meta->vrf = nexthops[meta->nh].vrf;
		memcpy(&dst, ip6_dst(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)), 16);
		ip6_lookup_mixed(&m, &dst, edge, 1);
		return edge[0];
	}
	default:
		break;
	}
	return action;
}

uint16_t ip6_scope(struct rte_mbuf *m, struct mb_meta *meta, const struct rte_ipv6_hdr *ip)
{
	const uint8_t *dst = ip6_dst(ip);

	if (dst[0] == 0xff)
		return ip6_multicast_is_ours(dst) ? NH_LOCAL : IP6_EDGE_MULTICAST;
	if (ip6_is_link_local(dst)) {
		if (meta->flags & (MB_L2_BCAST | MB_L2_MCAST))
			return IP6_EDGE_L2_BROADCAST;
		return ip6_is_own(meta->iface, dst) ? NH_LOCAL : IP6_EDGE_LINK_LOCAL;
	}
	if (ip6_is_link_local(ip6_src(ip))) {
		struct ip6_bytes d;
		uint16_t edge[1];

		memcpy(&d, dst, sizeof(d));
		ip6_lookup_mixed(&m, &d, edge, 1);
		if (edge[0] != NH_REWRITE && edge[0] != NH_GLEAN && edge[0] != NH_UNRESOLVED &&
		    edge[0] != NH_PUNT)
			return edge[0];
		/* RFC 4443 section 3.1: beyond the scope of its source address. */
		meta->arg0 = ICMP6_UNREACHABLE;
		meta->arg1 = ICMP6_BEYOND_SCOPE;
		return NH_REJECT;
	}
	return IP6_LOOKUP;
}

void ip6_lookup_mixed(struct rte_mbuf **pkts, const struct ip6_bytes *dst, uint16_t *edge,
		      uint16_t n)
{
	for (uint16_t i = 0; i < n;) {
		uint16_t vrf = mb_meta(pkts[i])->vrf, k = i + 1;

		while (k < n && mb_meta(pkts[k])->vrf == vrf)
			k++;
		ip6_lookup_vec(&pkts[i], &dst[i], &edge[i], k - i, vrf);
		i = k;
	}
}

/* Looks up those of the packets whose edge is IP6_LOOKUP. */
static void lookup_rest(struct rte_mbuf **pkts, const struct ip6_bytes *dst, uint16_t *edge,
			uint16_t n)
{
	for (uint16_t i = 0; i < n;) {
		uint16_t k = i;

		while (k < n && edge[k] == IP6_LOOKUP)
			k++;
		if (k > i)
			ip6_lookup_mixed(&pkts[i], &dst[i], &edge[i], k - i);
		i = k + 1;
	}
}

static uint16_t ip6_lookup(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t done = 0; done < n;) {
		const uint16_t part = RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE);
		struct ip6_bytes dst[RTE_GRAPH_BURST_SIZE];

		for (uint16_t i = 0; i < part; i++) {
			struct rte_mbuf *m = pkts[done + i];
			const struct rte_ipv6_hdr *ip =
				rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);

			memcpy(&dst[i], ip6_dst(ip), sizeof(dst[i]));
			edge[done + i] = IP6_LOOKUP;
			if (!ip6_is_plain(ip6_src(ip)) || !ip6_is_plain(ip6_dst(ip)))
				edge[done + i] = ip6_scope(m, mb_meta(m), ip);
		}
		lookup_rest(&pkts[done], dst, &edge[done], part);
		done += part;
	}
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip6_lookup_node = {
	.name = "ip6-lookup",
	.process = ip6_lookup,
	.nb_edges = IP6_EDGE_LOOKUP_MAX,
	.next_nodes = {IP6_LOOKUP_NEXT_NODES},
};
RTE_NODE_REGISTER(ip6_lookup_node);

enum {
	OUTPUT_TX = IP6_EDGE_LOOKUP_MAX,
	OUTPUT_NO_LINK,
	OUTPUT_MAX,
};

/* The box's own packets for the link of meta.iface. */
static uint16_t output_scope(struct rte_mbuf *m, struct mb_meta *meta, const uint8_t *dst)
{
	const struct iface *i = ifaces[meta->iface % IFACE_MAX];

	if (dst[0] == 0xff) {
		/* RFC 2464 section 7. */
		const struct rte_ether_addr mac = {
			.addr_bytes = {0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}};

		return l2cast_push(m, i, &mac, RTE_ETHER_TYPE_IPV6) ? OUTPUT_TX : OUTPUT_NO_LINK;
	}
	if (!ip6_is_link_local(dst))
		return IP6_LOOKUP;
	/* No table of the workers has link-local neighbours by address: the control thread knows
	 * them. */
	if (i == NULL || i->nh_glean == 0)
		return OUTPUT_NO_LINK;
	meta->nh = i->nh_glean;
	return NH_GLEAN;
}

static uint16_t ip6_output(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t done = 0; done < n;) {
		const uint16_t part = RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE);
		struct ip6_bytes dst[RTE_GRAPH_BURST_SIZE];

		for (uint16_t i = 0; i < part; i++) {
			struct rte_mbuf *m = pkts[done + i];

			memcpy(&dst[i], ip6_dst(rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)),
			       16);
			edge[done + i] = IP6_LOOKUP;
			if (!ip6_is_plain(dst[i].b))
				edge[done + i] = output_scope(m, mb_meta(m), dst[i].b);
		}
		lookup_rest(&pkts[done], dst, &edge[done], part);
		done += part;
	}
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip6_output_node = {
	.name = "ip6-output",
	.process = ip6_output,
	.nb_edges = OUTPUT_MAX,
	.next_nodes =
		{
			IP6_LOOKUP_NEXT_NODES,
			[OUTPUT_TX] = "port-tx",
			[OUTPUT_NO_LINK] = "drop-ip6-output-no-link",
		},
};
RTE_NODE_REGISTER(ip6_output_node);
