/* SPDX-License-Identifier: Apache-2.0 */
/* port-tx: sends whole frames by m->port. */
#include <rte_ethdev.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "port.h"

DROP_NODE(port_tx_full, "port-tx-full", "the port's transmit queue is full");
DROP_NODE(port_tx_down, "port-tx-down", "the port is down or gone");
DROP_NODE(port_tx_handoff, "port-tx-handoff-full",
	  "the worker that owns the port's transmit queue is behind");

DROP_NODE(port_tx_chain, "port-tx-chain",
	  "the packet has more buffers than the device takes, and there were none to copy it to");

enum {
	EDGE_FULL,
	EDGE_DOWN,
	EDGE_HANDOFF,
	EDGE_CHAIN,
	EDGE_MAX,
};

/* A copy in as few buffers as may be; takes the packet if that is few enough. */
static struct rte_mbuf *compact(struct rte_mbuf *m, uint16_t max_segs)
{
	struct rte_mbuf *c = rte_pktmbuf_copy(m, dp_pool, 0, UINT32_MAX);

	if (c == NULL)
		return NULL;
	if (c->nb_segs > max_segs) {
		rte_pktmbuf_free(c);
		return NULL;
	}
	rte_pktmbuf_free(m);
	return c;
}

/* For devices that take only so many buffers a packet. Returns how many are left. */
static uint16_t compact_run(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf **pkts,
			    uint16_t n, uint16_t max_segs)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if (unlikely(m->nb_segs > max_segs))
			m = compact(m, max_segs);
		if (likely(m != NULL))
			pkts[kept++] = m;
		else
			rte_node_enqueue_x1(graph, node, EDGE_CHAIN, pkts[i]);
	}
	return kept;
}

static void send_run(struct rte_graph *graph, struct rte_node *node, struct worker *w,
		     struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t port = pkts[0]->port, sent;
	const struct port *p;

	p = likely(port < RTE_MAX_ETHPORTS) ? ports[port] : NULL;
	if (unlikely(p == NULL || !p->started)) {
		rte_node_enqueue(graph, node, EDGE_DOWN, (void **)pkts, n);
		return;
	}
	if (unlikely(w->txq[port] == UINT16_MAX)) {
		uint8_t owner = w->tx_owner[port];

		sent = (uint16_t)rte_ring_mp_enqueue_burst(workers[owner]->tx_in, (void **)pkts, n,
							   NULL);
		w->kick_workers |= 1u << owner;
		if (sent < n)
			rte_node_enqueue(graph, node, EDGE_HANDOFF, (void **)&pkts[sent], n - sent);
		return;
	}
	if (p->max_segs != UINT16_MAX) {
		n = compact_run(graph, node, pkts, n, p->max_segs);
		if (n == 0)
			return;
	}
	sent = rte_eth_tx_burst(port, w->txq[port], pkts, n);
	/* Once more: many devices free descriptors only when asked to send. */
	if (unlikely(sent < n))
		sent += rte_eth_tx_burst(port, w->txq[port], &pkts[sent], n - sent);
	if (unlikely(sent < n)) {
		w->iface_stats[p->iface].tx_discards += n - sent;
		/* Counted where they were to leave, so not where they came in. */
		for (uint16_t i = sent; i < n; i++)
			mb_meta(pkts[i])->iface = IFACE_NONE;
		rte_node_enqueue(graph, node, EDGE_FULL, (void **)&pkts[sent], n - sent);
	}
}

static uint16_t port_tx(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	struct worker *w = worker_self;
	struct rte_mbuf *sorted[RTE_GRAPH_BURST_SIZE];
	uint16_t diff = 0, left = n;

	for (uint16_t i = 1; i < n; i++)
		diff |= pkts[i]->port ^ pkts[0]->port;
	if (likely(diff == 0)) {
		send_run(graph, node, w, pkts, n);
		return n;
	}
	/* One burst per port: a short burst costs a system call each on kernel-backed ports. */
	while (left > 0) {
		uint16_t port = pkts[0]->port, mine = 0, rest = 0;

		for (uint16_t i = 0; i < left; i++) {
			/* What does not fit takes its turn in the next round. */
			if (pkts[i]->port == port && mine < RTE_DIM(sorted))
				sorted[mine++] = pkts[i];
			else
				pkts[rest++] = pkts[i];
		}
		send_run(graph, node, w, sorted, mine);
		left = rest;
	}
	return n;
}

static struct rte_node_register port_tx_node = {
	.name = "port-tx",
	.process = port_tx,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_FULL] = "drop-port-tx-full",
			[EDGE_DOWN] = "drop-port-tx-down",
			[EDGE_HANDOFF] = "drop-port-tx-handoff-full",
			[EDGE_CHAIN] = "drop-port-tx-chain",
		},
};
RTE_NODE_REGISTER(port_tx_node);
