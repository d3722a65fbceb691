/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every graph node is made with: the way packets leave a node, and the drop nodes.
 *
 * A node's process function computes the edge of each packet into an array and hands the whole
 * vector to node_dispatch(), which moves the stream in one go when all packets take the same edge
 * (the usual case) and in runs otherwise.
 */
#ifndef MILLRACE_CORE_NODE_H
#define MILLRACE_CORE_NODE_H

#include <rte_graph.h>
#include <rte_graph_worker.h>

#include "mbuf.h"

static __rte_always_inline void node_dispatch(struct rte_graph *graph, struct rte_node *node,
					      void **objs, const uint16_t *edge, uint16_t n)
{
	uint16_t i, start;
	uint16_t diff = 0;

	for (i = 1; i < n; i++)
		diff |= edge[i] ^ edge[0];
	if (likely(diff == 0)) {
		if (likely(objs == node->objs && n == node->idx))
			rte_node_next_stream_move(graph, node, edge[0]);
		else
			rte_node_enqueue(graph, node, edge[0], objs, n);
		return;
	}
	for (start = 0, i = 1; i <= n; i++) {
		if (i == n || edge[i] != edge[start]) {
			rte_node_enqueue(graph, node, edge[start], &objs[start], i - start);
			start = i;
		}
	}
}

/*
 * A drop node: frees its packets; the graph's own statistics count them. The reason is the node's
 * name without "drop-". Use DROP_NODE(ip4_bad_checksum, "ip4-bad-checksum", "header checksum is
 * wrong") in the feature's file and "drop-ip4-bad-checksum" as the name of an edge.
 */
struct drop_reason {
	const char *name;
	const char *description;
	struct drop_reason *next;
};

void drop_reason_register(struct drop_reason *r);
/* First of the list of all reasons. */
const struct drop_reason *drop_reason_first(void);
/* Description of a reason by its node's name ("drop-…"), or NULL if the node is not a drop node. */
const struct drop_reason *drop_reason_find(const char *node_name);
uint16_t drop_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n);

#define DROP_NODE(sym, reason, text)                                                               \
	static struct drop_reason drop_reason_##sym = {.name = reason, .description = text};       \
	RTE_INIT(drop_reason_init_##sym)                                                           \
	{                                                                                          \
		drop_reason_register(&drop_reason_##sym);                                          \
	}                                                                                          \
	static struct rte_node_register drop_node_##sym = {                                        \
		.name = "drop-" reason,                                                            \
		.process = drop_process,                                                           \
	};                                                                                         \
	RTE_NODE_REGISTER(drop_node_##sym)

/*
 * Counts `n` control-side drops (a neighbour's queue that overflowed, a punted packet nobody took)
 * under a reason that has no node, so that they show up in the same list. Control thread only.
 */
struct drop_counter {
	struct drop_reason reason;
	uint64_t packets;
	struct drop_counter *next;
};
void drop_counter_register(struct drop_counter *c);
const struct drop_counter *drop_counter_first(void);

#define DROP_COUNTER(sym, reason_name, text)                                                       \
	static struct drop_counter sym = {.reason = {.name = reason_name, .description = text}};   \
	RTE_INIT(drop_counter_init_##sym)                                                          \
	{                                                                                          \
		drop_counter_register(&sym);                                                       \
	}

#endif
