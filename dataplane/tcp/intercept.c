/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-intercept: segments that pass through the box and may belong to connections it made under its
 * clients' addresses (transparent proxy). Such a connection's local address is none of the box's:
 * only the engine knows it. Interfaces send TCP here while IFACE_F_TRANSPARENT is set; what is
 * nobody's here goes its way.
 */
#include <netinet/in.h>

#include "../core/node.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../iface/iface.h"
#include "../ip4/parse.h"
#include "../ip6/parse.h"
#include "graph.h"
#include "objects.h"

enum {
	EDGE_TCP,
	EDGE_LOOKUP4,
	EDGE_URPF4,
	EDGE_OPTIONS4,
	EDGE_LOOKUP6,
	EDGE_URPF6,
	EDGE_HANDOFF,
	EDGE_MAX,
};

/* The tuple as the box's connection would have it, and the length of the IP header; 0 if it is no
 * whole segment. */
static uint32_t parse4(const struct rte_mbuf *m, struct tcp_tuple *t)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const uint16_t frag = RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
	const uint32_t hlen = rte_ipv4_hdr_len(ip), total = rte_be_to_cpu_16(ip->total_length);

	/* ip4-input found the header whole and as long as it says. */
	if (ip->next_proto_id != IPPROTO_TCP || ip->fragment_offset & frag ||
	    ip4_transport_check(IPPROTO_TCP, (const uint8_t *)ip + hlen,
				RTE_MIN((uint32_t)m->data_len, total) - hlen,
				total - hlen) != IP4_L4_OK)
		return 0;
	tcp_addr4(&t->laddr, ip->dst_addr);
	tcp_addr4(&t->raddr, ip->src_addr);
	t->family = 4;
	return hlen;
}

static uint32_t parse6(const struct rte_mbuf *m, struct tcp_tuple *t)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	const uint32_t total = IP6_HDR_LEN + rte_be_to_cpu_16(ip->payload_len);

	/* A segment with extension headers is left to those it is addressed to. */
	if (ip->proto != IPPROTO_TCP ||
	    ip4_transport_check(IPPROTO_TCP, (const uint8_t *)(ip + 1),
				RTE_MIN((uint32_t)m->data_len, total) - IP6_HDR_LEN,
				total - IP6_HDR_LEN) != IP4_L4_OK)
		return 0;
	tcp_addr6(&t->laddr, ip6_dst(ip));
	tcp_addr6(&t->raddr, ip6_src(ip));
	t->family = 6;
	return IP6_HDR_LEN;
}

/* Where it would have gone. */
static uint16_t onward(const struct rte_mbuf *m, const struct mb_meta *meta, bool ipv6)
{
	const struct iface *i = ifaces[meta->iface % IFACE_MAX];
	const bool urpf = i != NULL && (i->flags & IFACE_F_URPF);

	if (ipv6)
		return urpf ? EDGE_URPF6 : EDGE_LOOKUP6;
	if (urpf)
		return EDGE_URPF4;
	return *rte_pktmbuf_mtod(m, const uint8_t *) == 0x45 ? EDGE_LOOKUP4 : EDGE_OPTIONS4;
}

static bool is_local(const struct tcp_tuple *t)
{
	const struct ip_addr dst = term_addr(&t->laddr);

	return nexthops[group_select(fib_lookup(t->vrf, &dst), 0)].action == NH_LOCAL;
}

/* UINT16_MAX: it was handed to another worker. */
static uint16_t one(struct term_worker *t, struct rte_mbuf *m)
{
	struct mb_meta *meta = mb_meta(m);
	const bool ipv6 = *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 == 6;
	struct tcp_tuple tuple = {.vrf = meta->vrf};
	const uint32_t hlen = ipv6 ? parse6(m, &tuple) : parse4(m, &tuple);
	unsigned int asked = 1;
	uint16_t port[2];

	if (meta->flags & MB_TCP_HANDED)
		asked += meta->arg0 & ~TERM_HANDED_TRANSIT;
	meta->flags &= (uint8_t)~MB_TCP_HANDED;
	if (t == NULL || hlen == 0)
		return onward(m, meta, ipv6);
	memcpy(port, rte_pktmbuf_mtod_offset(m, const uint8_t *, hlen), sizeof(port));
	tuple.rport = port[0];
	tuple.lport = port[1];
	if (tcp_find(t->engine, &tuple) != NULL) {
		m->l3_len = hlen;
		/* It is at home, whatever its port says. */
		meta->flags |= MB_TCP_HANDED;
		return EDGE_TCP;
	}
	/* For the box itself ipX-local knows better; what no worker has is none's. */
	if (asked >= n_workers || (asked == 1 && is_local(&tuple)))
		return onward(m, meta, ipv6);
	meta->arg0 = (uint8_t)(TERM_HANDED_TRANSIT | asked);
	return term_hand_over(t, (t->w->id + 1) % n_workers, m) ? UINT16_MAX : EDGE_HANDOFF;
}

static uint16_t intercept_process(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t n)
{
	struct term_worker *t = worker_self->term;

	for (uint16_t i = 0; i < n; i++) {
		uint16_t edge = one(t, objs[i]);

		if (edge != UINT16_MAX)
			rte_node_enqueue_x1(graph, node, edge, objs[i]);
	}
	return n;
}

static struct rte_node_register intercept_node = {
	.name = "tcp-intercept",
	.process = intercept_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TCP] = "tcp-input",
			[EDGE_LOOKUP4] = "ip4-lookup",
			[EDGE_URPF4] = "ip4-urpf",
			[EDGE_OPTIONS4] = "ip4-options",
			[EDGE_LOOKUP6] = "ip6-lookup",
			[EDGE_URPF6] = "ip6-urpf",
			[EDGE_HANDOFF] = "drop-tcp-handoff-full",
		},
};
RTE_NODE_REGISTER(intercept_node);

/* ---- control thread ---- */

bool term_is_transparent(uint16_t vrf)
{
	const struct term_pool_obj *p;
	uint32_t pos = 0;

	while ((p = term_pool_next(&pos)) != NULL) {
		if (p->cfg->source_mode != SVC_SOURCE_TRANSPARENT)
			continue;
		for (uint32_t k = 0; k < p->cfg->n_backends; k++)
			if (p->cfg->backends[k].vrf == vrf)
				return true;
	}
	return false;
}
