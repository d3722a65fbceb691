/* SPDX-License-Identifier: Apache-2.0 */
/* ip6-rewrite: hop limit, MTU, and the next hop's Ethernet header. */
#include <rte_ether.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "../fib/nh_count.h"
#include "../port/offload.h"
#include "parse.h"

enum {
	EDGE_TX,
	EDGE_ERROR,
	EDGE_MAX,
};

static __rte_noinline uint16_t refuse(struct mb_meta *meta, uint8_t type, uint16_t mtu)
{
	meta->arg0 = type;
	meta->arg1 = 0;
	meta->arg2 = mtu;
	return EDGE_ERROR;
}

static __rte_always_inline uint16_t rewrite(struct rte_mbuf *m, struct mb_meta *meta,
					    const struct nexthop *nh)
{
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	const uint16_t type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	uint8_t *p = (uint8_t *)ip;

	if (likely((meta->flags & MB_HOST) == 0)) {
		if (unlikely(ip->hop_limits <= 1))
			return refuse(meta, ICMP6_EXCEEDED, 0);
		if (unlikely(m->pkt_len > nh->mtu))
			return refuse(meta, ICMP6_TOO_BIG, nh->mtu);
		ip->hop_limits--;
	} else if (unlikely(!offload_prepare(m, nh) ||
			    (m->pkt_len > nh->mtu && !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)))) {
		return refuse(meta, ICMP6_TOO_BIG, nh->mtu);
	}
	/*
	 * The template is of both families, its EtherType IPv4's. Nothing before the frame is
	 * written: with the usual headroom it begins with a cache line, and the one before it is
	 * not worth fetching.
	 */
	if (likely(nh->l2_len == RTE_ETHER_HDR_LEN)) {
		memcpy(p - 14, nh->l2 + 2, 8);
		memcpy(p - 8, nh->l2 + 8, 8);
	} else {
		memcpy(p - 16, nh->l2, 16);
		memcpy(p - 18, nh->l2_head, 2);
	}
	memcpy(p - 2, &type, sizeof(type));
	m->data_off -= nh->l2_len;
	m->data_len += nh->l2_len;
	m->pkt_len += nh->l2_len;
	m->port = nh->port;
	if (unlikely(meta->flags & MB_HOST))
		offload_finish(m, nh->port);
	return EDGE_TX;
}

static uint16_t ip6_rewrite(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	struct worker *w = worker_self;
	uint64_t packets = 0, octets = 0;
	uint32_t run = 0;
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct mb_meta *meta = mb_meta(m);

		if (likely(i + 4 < n))
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 4], void *));
		if (likely(i + 2 < n))
			rte_prefetch0(&nexthops[mb_meta(pkts[i + 2])->nh]);
		if (unlikely(meta->nh != run)) {
			nh_count_tx(w, run, packets, octets);
			run = meta->nh;
			packets = octets = 0;
		}
		edge[i] = rewrite(m, meta, &nexthops[meta->nh]);
		if (likely(edge[i] == EDGE_TX)) {
			packets++;
			octets += m->pkt_len;
		}
	}
	nh_count_tx(w, run, packets, octets);
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip6_rewrite_node = {
	.name = "ip6-rewrite",
	.process = ip6_rewrite,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TX] = "port-tx",
			[EDGE_ERROR] = "ip6-error",
		},
};
RTE_NODE_REGISTER(ip6_rewrite_node);
