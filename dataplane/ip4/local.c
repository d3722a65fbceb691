/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip4-local: packets for an address of the box. ICMP is for us, TCP for the listeners there are;
 * everything else, fragments too, is the kernel's, after a look at the lengths so that no lie gets
 * further than here.
 * ip4-local-multicast: multicasts and limited broadcasts.
 */
#include <netinet/in.h>

#include "../core/worker.h"
#include "each.h"
#include "parse.h"

enum {
	LOCAL_ICMP,
	LOCAL_TCP,
	LOCAL_PUNT,
	LOCAL_HEADER,
	LOCAL_TRANSPORT,
	LOCAL_MAX,
};

static uint16_t local_edge(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const uint16_t frag = rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
	uint32_t hlen, total;

	if (m->data_len < sizeof(*ip))
		return LOCAL_HEADER;
	hlen = rte_ipv4_hdr_len(ip);
	total = rte_be_to_cpu_16(ip->total_length);
	/* Packets of the box itself have not been through ip4-input. */
	if (ip->version_ihl >> 4 != 4 || hlen < sizeof(*ip) || m->data_len < hlen || total < hlen ||
	    m->pkt_len < total)
		return LOCAL_HEADER;
	if (ip->fragment_offset & frag)
		return LOCAL_PUNT;
	if (ip4_transport_check(ip->next_proto_id, (const uint8_t *)ip + hlen,
				RTE_MIN((uint32_t)m->data_len, total) - hlen,
				total - hlen) != IP4_L4_OK)
		return LOCAL_TRANSPORT;
	if (ip->next_proto_id == IPPROTO_TCP) {
		m->l3_len = hlen;
		return LOCAL_TCP;
	}
	return ip->next_proto_id == IPPROTO_ICMP ? LOCAL_ICMP : LOCAL_PUNT;
}

static uint16_t ip4_local(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return node_each(graph, node, objs, n, local_edge);
}

static struct rte_node_register ip4_local_node = {
	.name = "ip4-local",
	.process = ip4_local,
	.nb_edges = LOCAL_MAX,
	.next_nodes =
		{
			[LOCAL_ICMP] = "icmp4-input",
			[LOCAL_TCP] = "tcp-input",
			[LOCAL_PUNT] = "kernel-punt",
			[LOCAL_HEADER] = "drop-ip4-local-bad-header",
			[LOCAL_TRANSPORT] = "drop-ip4-bad-transport",
		},
};
RTE_NODE_REGISTER(ip4_local_node);

DROP_NODE(local_bad_header, "ip4-local-bad-header",
	  "packet for the box whose IPv4 header contradicts its length");
DROP_NODE(bad_transport, "ip4-bad-transport",
	  "packet for the box shorter than its TCP, UDP or ICMP header says");

enum {
	MCAST_PUNT,
	MCAST_DROP,
	MCAST_BROADCAST,
	MCAST_MAX,
};

static uint16_t multicast_edge(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const uint32_t dst = rte_be_to_cpu_32(ip->dst_addr);

	if ((dst & 0xffffff00) == 0xe0000000)
		return MCAST_PUNT;
	if (dst == UINT32_MAX)
		return ip->next_proto_id == IPPROTO_UDP ? MCAST_PUNT : MCAST_BROADCAST;
	return MCAST_DROP;
}

static uint16_t ip4_local_multicast(struct rte_graph *graph, struct rte_node *node, void **objs,
				    uint16_t n)
{
	return node_each(graph, node, objs, n, multicast_edge);
}

static struct rte_node_register ip4_local_multicast_node = {
	.name = "ip4-local-multicast",
	.process = ip4_local_multicast,
	.nb_edges = MCAST_MAX,
	.next_nodes =
		{
			[MCAST_PUNT] = "kernel-punt",
			[MCAST_DROP] = "drop-ip4-multicast-not-forwarded",
			[MCAST_BROADCAST] = "drop-ip4-broadcast-not-udp",
		},
};
RTE_NODE_REGISTER(ip4_local_multicast_node);

DROP_NODE(multicast_not_forwarded, "ip4-multicast-not-forwarded",
	  "multicast beyond 224.0.0.0/24: multicasts are not routed");
DROP_NODE(broadcast_not_udp, "ip4-broadcast-not-udp",
	  "255.255.255.255 with something else than UDP");
