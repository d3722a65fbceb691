/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip4-broadcast: subnet broadcast and network addresses of connected prefixes. For the box if it
 * came by the link itself; sent on the link if the box made it; never routed from one link to
 * another (RFC 2644).
 */
#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "../iface/iface.h"
#include "each.h"
#include "l2cast.h"
#include "parse.h"

enum {
	EDGE_PUNT,
	EDGE_TX,
	EDGE_DIRECTED,
	EDGE_DOWN,
	EDGE_MAX,
};

static bool is_broadcast_of(const struct iface *i, uint32_t dst)
{
	const struct iface_addr_view *v = i->view;

	for (unsigned int k = 0; v != NULL && k < v->n4; k++)
		/* /31 and /32 have no broadcast address (RFC 3021). */
		if (rte_be_to_cpu_32(~v->v4[k].mask) > 1 && dst == (v->v4[k].addr | ~v->v4[k].mask))
			return true;
	return false;
}

static uint16_t broadcast_edge(struct rte_mbuf *m)
{
	static const struct rte_ether_addr all = {
		.addr_bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct mb_meta *meta = mb_meta(m);
	const uint16_t link = nexthops[meta->nh].iface;
	const struct iface *i = ifaces[link % IFACE_MAX];

	if (i == NULL || !is_broadcast_of(i, ip->dst_addr))
		return EDGE_DIRECTED;
	if (meta->flags & MB_HOST)
		return l2cast_push(m, i, &all, RTE_ETHER_TYPE_IPV4) ? EDGE_TX : EDGE_DOWN;
	return link == meta->iface ? EDGE_PUNT : EDGE_DIRECTED;
}

static uint16_t ip4_broadcast(struct rte_graph *graph, struct rte_node *node, void **objs,
			      uint16_t n)
{
	return node_each(graph, node, objs, n, broadcast_edge);
}

static struct rte_node_register ip4_broadcast_node = {
	.name = "ip4-broadcast",
	.process = ip4_broadcast,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_PUNT] = "kernel-punt",
			[EDGE_TX] = "port-tx",
			[EDGE_DIRECTED] = "drop-ip4-directed-broadcast",
			[EDGE_DOWN] = "drop-ip4-broadcast-down",
		},
};
RTE_NODE_REGISTER(ip4_broadcast_node);

DROP_NODE(directed_broadcast, "ip4-directed-broadcast",
	  "broadcast or network address of another link (RFC 2644)");
DROP_NODE(broadcast_down, "ip4-broadcast-down", "the box's own broadcast, but the link is down");
