/* SPDX-License-Identifier: Apache-2.0 */
/* ip4-rewrite: TTL, MTU, and the next hop's Ethernet header. */
#include <rte_ip.h>
#include <rte_vect.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "../fib/nh_count.h"
#include "../port/offload.h"
#include "parse.h"

enum {
	EDGE_TX,
	EDGE_ERROR,
	EDGE_FRAGMENT,
	EDGE_MAX,
};

static __rte_noinline uint16_t too_big(struct mb_meta *meta, const struct rte_ipv4_hdr *ip,
				       const struct nexthop *nh)
{
	if (!(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG)))
		return EDGE_FRAGMENT;
	meta->arg0 = ICMP4_UNREACHABLE;
	meta->arg1 = ICMP4_FRAG_NEEDED;
	meta->arg2 = nh->mtu;
	return EDGE_ERROR;
}

static __rte_always_inline uint16_t rewrite(struct rte_mbuf *m, struct mb_meta *meta,
					    const struct nexthop *nh)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	uint8_t *p = (uint8_t *)ip;
	uint32_t sum;

	if (likely((meta->flags & (MB_HOST | MB_FRAGMENT)) == 0)) {
		if (unlikely(ip->time_to_live <= 1)) {
			meta->arg0 = ICMP4_TIME_EXCEEDED;
			meta->arg1 = 0;
			return EDGE_ERROR;
		}
		if (unlikely(m->pkt_len > nh->mtu &&
			     (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG))))
			return too_big(meta, ip, nh);
		ip->time_to_live--;
		/* RFC 1624: the TTL is the upper byte of its 16-bit word. */
		sum = (uint32_t)ip->hdr_checksum + RTE_BE16(0x0100);
		ip->hdr_checksum = (uint16_t)(sum + (sum >= 0xffff));
	} else if (unlikely(!offload_prepare(m, nh))) {
		return too_big(meta, ip, nh);
	}
	if (unlikely(m->pkt_len > nh->mtu && !(meta->flags & MB_FRAGMENT) &&
		     !(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)))
		return too_big(meta, ip, nh);
	rte_mov16(p - 16, nh->l2);
	if (unlikely(nh->l2_len == 18))
		memcpy(p - 18, nh->l2_head, 2);
	m->data_off -= nh->l2_len;
	m->data_len += nh->l2_len;
	m->pkt_len += nh->l2_len;
	m->port = nh->port;
	if (unlikely(meta->flags & MB_HOST))
		offload_finish(m, nh->port);
	return EDGE_TX;
}

static uint16_t ip4_rewrite(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	struct worker *w = worker_self;
	uint16_t edge[RTE_GRAPH_BURST_SIZE];

	for (uint16_t done = 0; done < n;) {
		uint16_t part = RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE);
		uint64_t packets = 0, octets = 0;
		uint32_t run = 0;

		for (uint16_t i = 0; i < part; i++) {
			struct rte_mbuf *m = pkts[done + i];
			struct mb_meta *meta = mb_meta(m);

			if (unlikely(meta->nh != run)) {
				nh_count_tx(w, run, packets, octets);
				run = meta->nh;
				packets = octets = 0;
			}
			edge[i] = rewrite(m, meta, &nexthops[meta->nh]);
			packets += edge[i] == EDGE_TX;
			octets += edge[i] == EDGE_TX ? m->pkt_len : 0;
		}
		nh_count_tx(w, run, packets, octets);
		node_dispatch(graph, node, &objs[done], edge, part);
		done += part;
	}
	return n;
}

static struct rte_node_register ip4_rewrite_node = {
	.name = "ip4-rewrite",
	.process = ip4_rewrite,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TX] = "port-tx",
			[EDGE_ERROR] = "ip4-error",
			[EDGE_FRAGMENT] = "ip4-fragment",
		},
};
RTE_NODE_REGISTER(ip4_rewrite_node);
