/* SPDX-License-Identifier: Apache-2.0 */
/* ip6-hopopts: packets with a hop-by-hop options header, which is parsed before they are looked up
 * (RFC 8200 section 4.2, 4.3). */
#include "../core/worker.h"
#include "../ip4/each.h"
#include "parse.h"

enum {
	EDGE_LOOKUP,
	EDGE_ERROR,
	EDGE_MALFORMED,
	EDGE_OPTION,
	EDGE_MAX,
};

static uint16_t hopopts_edge(struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	const uint32_t total = IP6_HDR_LEN + rte_be_to_cpu_16(ip->payload_len);
	struct mb_meta *meta = mb_meta(m);
	struct ip6_fault fault;
	enum ip6_verdict v;
	uint32_t next;
	bool alert;

	v = ip6_options_check((const uint8_t *)ip, RTE_MIN((uint32_t)m->data_len, total),
			      IP6_HDR_LEN, &next, &alert, &fault);
	switch (v) {
	case IP6_OK:
		return EDGE_LOOKUP;
	case IP6_PROBLEM_UNICAST:
		if (ip6_dst(ip)[0] == 0xff)
			return EDGE_OPTION;
		/* fallthrough */
	case IP6_PROBLEM:
		meta->arg0 = ICMP6_PARAM_PROBLEM;
		meta->arg1 = fault.code;
		meta->arg2 = fault.pointer;
		return EDGE_ERROR;
	case IP6_DISCARD:
		return EDGE_OPTION;
	default:
		return EDGE_MALFORMED;
	}
}

static uint16_t ip6_hopopts(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return node_each(graph, node, objs, n, hopopts_edge);
}

static struct rte_node_register ip6_hopopts_node = {
	.name = "ip6-hopopts",
	.process = ip6_hopopts,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_LOOKUP] = "ip6-lookup",
			[EDGE_ERROR] = "ip6-error",
			[EDGE_MALFORMED] = "drop-ip6-bad-hop-by-hop",
			[EDGE_OPTION] = "drop-ip6-unknown-option",
		},
};
RTE_NODE_REGISTER(ip6_hopopts_node);

DROP_NODE(bad_hop_by_hop, "ip6-bad-hop-by-hop", "malformed hop-by-hop options");
DROP_NODE(unknown_option, "ip6-unknown-option",
	  "unknown option whose type says to drop the packet (RFC 8200 4.2)");
