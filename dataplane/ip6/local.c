/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip6-local: packets for an address of the box or a group it hears. The extension headers are
 * walked; ICMPv6 is for us, TCP for the listeners there are, everything else, fragments too, is the
 * kernel's.
 */
#include <netinet/in.h>

#include "../core/worker.h"
#include "../ip4/each.h"
#include "../ip4/parse.h"
#include "parse.h"

/* What m->l3_len can tell. */
#define L3_LEN_MAX 511

enum {
	EDGE_ICMP,
	EDGE_TCP,
	EDGE_PUNT,
	EDGE_ERROR,
	EDGE_HEADER,
	EDGE_EXTENSION,
	EDGE_OPTION,
	EDGE_NO_NEXT,
	EDGE_TRANSPORT,
	EDGE_MAX,
};

static uint16_t local_edge(struct rte_mbuf *m)
{
	const uint8_t *pkt = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)pkt;
	struct mb_meta *meta = mb_meta(m);
	struct ip6_fault fault;
	struct ip6_upper up;
	uint32_t total, len;

	/* Packets of the box itself have not been through ip6-input. */
	if (m->data_len < sizeof(*ip) || pkt[0] >> 4 != 6)
		return EDGE_HEADER;
	total = IP6_HDR_LEN + rte_be_to_cpu_16(ip->payload_len);
	if (total > m->pkt_len)
		return EDGE_HEADER;
	len = RTE_MIN((uint32_t)m->data_len, total);
	switch (ip6_walk(pkt, len, &up, &fault)) {
	case IP6_OK:
		break;
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
		return EDGE_EXTENSION;
	}
	if (up.kind == IP6_NONE)
		return EDGE_NO_NEXT;
	if (up.kind == IP6_FRAGMENT)
		return EDGE_PUNT;
	if (ip4_transport_check(up.proto, pkt + up.offset, len - up.offset, total - up.offset) !=
	    IP4_L4_OK)
		return EDGE_TRANSPORT;
	/* A link-local address names no host without its link, which the engine does not know. */
	if (up.proto == IPPROTO_TCP && up.offset <= L3_LEN_MAX && ip6_is_plain(ip6_dst(ip))) {
		m->l3_len = up.offset;
		return EDGE_TCP;
	}
	if (up.proto != IPPROTO_ICMPV6)
		return EDGE_PUNT;
	meta->arg2 = up.offset;
	return EDGE_ICMP;
}

static uint16_t ip6_local(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return node_each(graph, node, objs, n, local_edge);
}

static struct rte_node_register ip6_local_node = {
	.name = "ip6-local",
	.process = ip6_local,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_ICMP] = "icmp6-input",
			[EDGE_TCP] = "tcp-input",
			[EDGE_PUNT] = "kernel-punt",
			[EDGE_ERROR] = "ip6-error",
			[EDGE_HEADER] = "drop-ip6-local-bad-header",
			[EDGE_EXTENSION] = "drop-ip6-bad-extension",
			[EDGE_OPTION] = "drop-ip6-unknown-option",
			[EDGE_NO_NEXT] = "drop-ip6-no-next-header",
			[EDGE_TRANSPORT] = "drop-ip6-bad-transport",
		},
};
RTE_NODE_REGISTER(ip6_local_node);

DROP_NODE(local_bad_header, "ip6-local-bad-header",
	  "packet for the box whose IPv6 header contradicts its length");
DROP_NODE(bad_extension, "ip6-bad-extension",
	  "packet for the box with malformed, or too many, extension headers");
DROP_NODE(no_next_header, "ip6-no-next-header",
	  "packet for the box without a payload (RFC 8200 4.7)");
DROP_NODE(bad_transport, "ip6-bad-transport",
	  "packet for the box shorter than its TCP, UDP or ICMPv6 header says");
