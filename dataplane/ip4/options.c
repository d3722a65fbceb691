/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip4-options: packets with a header longer than 20 bytes, before they are looked up (RFC 1812
 * section 5.2.4, RFC 7126). Every option is parsed; source routes are refused, all others forwarded
 * as they are.
 */
#include "../core/worker.h"
#include "each.h"
#include "parse.h"

enum {
	EDGE_LOOKUP,
	EDGE_MULTICAST,
	EDGE_ERROR,
	EDGE_SOURCE_ROUTE,
	EDGE_TRUNCATED,
	EDGE_MAX,
};

static uint16_t options_edge(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct mb_meta *meta = mb_meta(m);
	const unsigned int hlen = rte_ipv4_hdr_len(ip);
	uint8_t pointer;

	if (hlen < sizeof(*ip) || m->data_len < hlen)
		return EDGE_TRUNCATED;
	switch (ip4_options_check((const uint8_t *)ip, hlen, &pointer)) {
	case IP4_OPTS_MALFORMED:
		/* RFC 1812 section 4.3.3.5 has the sender told. */
		meta->arg0 = ICMP4_PARAM_PROBLEM;
		meta->arg1 = 0;
		meta->arg2 = pointer;
		return EDGE_ERROR;
	case IP4_OPTS_SOURCE_ROUTE:
		return EDGE_SOURCE_ROUTE;
	case IP4_OPTS_OK:
		break;
	}
	/* IGMP comes with a router alert. */
	if (rte_be_to_cpu_32(ip->dst_addr) >= 0xe0000000)
		return EDGE_MULTICAST;
	return EDGE_LOOKUP;
}

static uint16_t ip4_options(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return node_each(graph, node, objs, n, options_edge);
}

static struct rte_node_register ip4_options_node = {
	.name = "ip4-options",
	.process = ip4_options,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_LOOKUP] = "ip4-lookup",
			[EDGE_MULTICAST] = "ip4-local-multicast",
			[EDGE_ERROR] = "ip4-error",
			[EDGE_SOURCE_ROUTE] = "drop-ip4-source-route",
			[EDGE_TRUNCATED] = "drop-ip4-options-truncated",
		},
};
RTE_NODE_REGISTER(ip4_options_node);

DROP_NODE(source_route, "ip4-source-route", "loose or strict source route option (RFC 7126)");
DROP_NODE(options_truncated, "ip4-options-truncated", "IPv4 options do not lie in the packet");
