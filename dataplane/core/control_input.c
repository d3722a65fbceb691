/* SPDX-License-Identifier: Apache-2.0 */
/* Source node: packets from the control thread, and those other workers handed over. */
#include "node.h"
#include "worker.h"

enum {
	EDGE_TX = INJECT_TX,
	EDGE_IP4_OUTPUT = INJECT_IP4_OUTPUT,
	EDGE_IP6_OUTPUT = INJECT_IP6_OUTPUT,
	EDGE_IP4_REWRITE = INJECT_IP4_REWRITE,
	EDGE_IP6_REWRITE = INJECT_IP6_REWRITE,
	EDGE_IP4_ERROR = INJECT_IP4_ERROR,
	EDGE_IP6_ERROR = INJECT_IP6_ERROR,
	EDGE_ETH_INPUT,
	EDGE_MAX,
};

static uint16_t control_input(struct rte_graph *graph, struct rte_node *node, void **objs,
			      uint16_t nb)
{
	struct worker *w = worker_self;
	uint16_t edge[RTE_GRAPH_BURST_SIZE];
	void *pkts[RTE_GRAPH_BURST_SIZE];
	uint16_t n, total = 0;

	(void)objs;
	(void)nb;
	if (likely(rte_ring_empty(w->inject) && rte_ring_empty(w->dispatch) &&
		   rte_ring_empty(w->tx_in)))
		return 0;
	n = rte_ring_sc_dequeue_burst(w->inject, pkts, RTE_DIM(pkts), NULL);
	for (uint16_t i = 0; i < n; i++) {
		struct mb_meta *meta = mb_meta(pkts[i]);

		edge[i] = meta->arg0 < INJECT_MAX ? meta->arg0 : EDGE_TX;
		if (edge[i] >= EDGE_IP4_ERROR) {
			meta->arg0 = (uint8_t)meta->trace;
			meta->trace = 0;
		}
		/* No rewrite node will count it. */
		if (edge[i] == EDGE_TX) {
			struct iface_stats *s = &w->iface_stats[meta->iface];

			s->tx_packets++;
			s->tx_octets += ((struct rte_mbuf *)pkts[i])->pkt_len;
		}
	}
	if (n > 0)
		node_dispatch(graph, node, pkts, edge, n);
	total += n;
	n = rte_ring_sc_dequeue_burst(w->dispatch, pkts, RTE_DIM(pkts), NULL);
	if (n > 0)
		rte_node_enqueue(graph, node, EDGE_ETH_INPUT, pkts, n);
	total += n;
	n = rte_ring_sc_dequeue_burst(w->tx_in, pkts, RTE_DIM(pkts), NULL);
	if (n > 0)
		rte_node_enqueue(graph, node, EDGE_TX, pkts, n);
	total += n;
	w->loop_packets += total;
	return total;
}

static struct rte_node_register control_input_node = {
	.name = "control-input",
	.flags = RTE_NODE_SOURCE_F,
	.process = control_input,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TX] = "port-tx",
			[EDGE_IP4_OUTPUT] = "ip4-output",
			[EDGE_IP6_OUTPUT] = "ip6-output",
			[EDGE_IP4_REWRITE] = "ip4-rewrite",
			[EDGE_IP6_REWRITE] = "ip6-rewrite",
			[EDGE_IP4_ERROR] = "ip4-error",
			[EDGE_IP6_ERROR] = "ip6-error",
			[EDGE_ETH_INPUT] = "eth-input",
		},
};
RTE_NODE_REGISTER(control_input_node);
