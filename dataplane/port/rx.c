/* SPDX-License-Identifier: Apache-2.0 */
/* port-rx: source node, polls the worker's receive queues. */
#include <rte_ethdev.h>

#include "../core/flow.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "port.h"

#define RX_BURST 64

/* The flow's hash (core/flow.h), behind the Ethernet header and a tag; 0, one worker, for what is
 * not IP. */
static uint32_t dispatch_hash(const struct rte_mbuf *m)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned int off = 14;
	uint16_t type;

	if (m->data_len < 18)
		return 0;
	memcpy(&type, h + 12, 2);
	if (type == RTE_BE16(RTE_ETHER_TYPE_VLAN)) {
		memcpy(&type, h + 16, 2);
		off = 18;
	}
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	    m->data_len >= off + sizeof(struct rte_ipv4_hdr))
		return flow_hash4((const struct rte_ipv4_hdr *)(h + off), m);
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6) &&
	    m->data_len >= off + sizeof(struct rte_ipv6_hdr))
		return flow_hash6((const struct rte_ipv6_hdr *)(h + off), m);
	return 0;
}

/* Keeps this worker's packets in pkts and hands the others over. Returns how many stay. */
static uint16_t dispatch(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t to = (uint32_t)(((uint64_t)dispatch_hash(pkts[i]) * n_workers) >> 32);

		if (to == w->id) {
			pkts[kept++] = pkts[i];
		} else if (rte_ring_mp_enqueue(workers[to]->dispatch, pkts[i]) == 0) {
			w->kick_workers |= 1u << to;
			w->dispatched++;
		} else {
			rte_pktmbuf_free(pkts[i]);
			w->dispatch_drops++;
		}
	}
	return kept;
}

static uint16_t port_rx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct worker *w = worker_self;
	const struct worker_rxqs *qs = __atomic_load_n(&w->rxqs, __ATOMIC_ACQUIRE);
	uint16_t n = 0, got;

	(void)objs;
	(void)nb;
	for (uint16_t i = 0; i < qs->n; i++) {
		struct rte_mbuf **pkts = (struct rte_mbuf **)&node->objs[n];

		got = rte_eth_rx_burst(qs->q[i].port, qs->q[i].queue, pkts, RX_BURST);
		if (got == 0)
			continue;
		w->loop_packets += got;
		if (unlikely(qs->q[i].dispatch))
			got = dispatch(w, pkts, got);
		n += got;
		if (unlikely(n > node->size - RX_BURST)) {
			node->idx = n;
			rte_node_next_stream_move(graph, node, 0);
			n = 0;
		}
	}
	if (n > 0) {
		node->idx = n;
		rte_node_next_stream_move(graph, node, 0);
	}
	return n;
}

static struct rte_node_register port_rx_node = {
	.name = "port-rx",
	.flags = RTE_NODE_SOURCE_F,
	.process = port_rx,
	.nb_edges = 1,
	.next_nodes = {[0] = "eth-input"},
};
RTE_NODE_REGISTER(port_rx_node);
