/* SPDX-License-Identifier: Apache-2.0 */
/* The process function of nodes that treat each packet by itself. */
#ifndef MILLRACE_IP4_EACH_H
#define MILLRACE_IP4_EACH_H

#include "../core/node.h"

/* fn tells the edge of one packet; it is inlined where it is a constant. */
static __rte_always_inline uint16_t node_each(struct rte_graph *graph, struct rte_node *node,
					      void **objs, uint16_t n,
					      uint16_t (*fn)(struct rte_mbuf *m))
{
	/* A vector may be longer than RTE_GRAPH_BURST_SIZE where several nodes feed this one. */
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t i = 0; i < n; i++)
		edge[i] = fn(objs[i]);
	if (likely(n > 0))
		node_dispatch(graph, node, objs, edge, n);
	return n;
}

#endif
