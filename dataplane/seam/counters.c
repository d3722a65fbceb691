/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clearing counters. The workers' counters only grow; what they were when they were cleared is kept
 * beside them and taken off by the reader.
 */
#include <stdlib.h>
#include <string.h>

#include <rte_graph_worker.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../iface/iface.h"
#include "../port/port.h"
#include "../tcp/term.h"
#include "list.h"
#include "server.h"
#include "valid.h"

#define DROP_COUNTERS_MAX 256

static struct node_sum *node_base;
static uint32_t n_node_base;
static uint64_t drop_base[DROP_COUNTERS_MAX];

static void sum_nodes(struct node_sum *sums, uint32_t n)
{
	rte_graph_off_t off;
	rte_node_t count;
	struct rte_node *node;

	for (unsigned int i = 0; i < n_workers; i++) {
		rte_graph_foreach_node(count, off, workers[i]->graph, node)
		{
			if (node->id >= n)
				continue;
			sums[node->id].calls += node->total_calls;
			sums[node->id].packets += node->total_objs;
			sums[node->id].cycles += node->total_cycles;
		}
	}
}

struct node_sum *node_sums(struct arena *a)
{
	const uint32_t n = rte_node_max_count();
	struct node_sum *sums = arena_zalloc(a, (n + 1) * sizeof(*sums));

	if (sums == NULL)
		return NULL;
	sum_nodes(sums, n);
	for (uint32_t i = 0; i < n && i < n_node_base; i++) {
		sums[i].calls -= node_base[i].calls;
		sums[i].packets -= node_base[i].packets;
		sums[i].cycles -= node_base[i].cycles;
	}
	return sums;
}

uint64_t drop_counter_since(unsigned int index, uint64_t packets)
{
	return index < DROP_COUNTERS_MAX ? packets - drop_base[index] : packets;
}

static int clear_iface(struct iface *i, struct dp_error *err)
{
	if (i->stats_base == NULL)
		i->stats_base = calloc(1, sizeof(*i->stats_base));
	if (i->stats_base == NULL)
		return list_no_memory(err);
	worker_iface_stats(i->id, i->stats_base);
	if (i->kind == IFACE_PORT && i->port < RTE_MAX_ETHPORTS && ports[i->port] != NULL)
		rte_eth_stats_get(i->port, &ports[i->port]->stats_base);
	return 0;
}

static int clear_graph(struct dp_error *err)
{
	const uint32_t n = rte_node_max_count();
	struct node_sum *base = calloc(n + 1, sizeof(*base));
	const struct drop_counter *c;
	unsigned int k = 0;

	if (base == NULL)
		return list_no_memory(err);
	sum_nodes(base, n);
	free(node_base);
	node_base = base;
	n_node_base = n;
	term_drops_update();
	for (c = drop_counter_first(); c != NULL && k < DROP_COUNTERS_MAX; c = c->next)
		drop_base[k++] = c->packets;
	return 0;
}

/* Of one interface; or of all, of the nodes and of the drop reasons. *count: interfaces. */
int counters_clear(const char *interface, uint64_t *count, struct dp_error *err)
{
	struct iface *i;

	*count = 0;
	if (*interface != '\0') {
		i = valid_iface(interface, "interface", err);
		if (i == NULL || clear_iface(i, err) < 0)
			return -1;
		*count = 1;
		return 0;
	}
	iface_foreach (i) {
		if (clear_iface(i, err) < 0)
			return -1;
		++*count;
	}
	return clear_graph(err);
}
