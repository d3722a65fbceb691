/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of a worker that is being watched: rte_graph_walk() with a look at each vector before
 * the node gets it. So the nodes themselves know nothing of traces and captures, and pay nothing
 * for them.
 */
#include <rte_cycles.h>
#include <rte_graph_worker.h>
#include <rte_malloc.h>

#include "../core/node.h"
#include "tap.h"

static struct trace_worker *current;

static void look(struct trace_worker *t, struct worker *w, struct rte_node *node)
{
	bool in = strcmp(node->name, "eth-input") == 0;
	bool out = strcmp(node->name, "port-tx") == 0;

	if (in || out)
		for (unsigned int i = 0; i < t->n_captures; i++)
			capture_vector(t->capture[i], node->objs, node->idx, out);
	if (t->trace != NULL)
		trace_vector(t->trace, w, node, node->objs, node->idx);
}

void trace_walk(struct worker *w)
{
	struct trace_worker *t = __atomic_load_n(&w->trace, __ATOMIC_ACQUIRE);
	struct rte_graph *graph = w->graph;
	const rte_graph_off_t *cir_start = graph->cir_start;
	const rte_node_t mask = graph->cir_mask;
	uint32_t head = graph->head;

	if (t == NULL) {
		rte_graph_walk(graph);
		return;
	}
	while (head != graph->tail) {
		struct rte_node *node =
			(struct rte_node *)RTE_PTR_ADD(graph, cir_start[(int32_t)head++]);
		uint64_t start;

		if (node->idx > 0)
			look(t, w, node);
		start = rte_rdtsc();
		node->total_objs += node->process(graph, node, node->objs, node->idx);
		node->total_cycles += rte_rdtsc() - start;
		node->total_calls++;
		node->idx = 0;
		head = (int32_t)head > 0 ? head & mask : head;
	}
	graph->tail = 0;
	if (t->trace != NULL)
		trace_walk_done(t->trace);
}

static int replace(struct trace_worker *next)
{
	struct trace_worker *old = current;

	if (next != NULL && next->trace == NULL && next->n_captures == 0) {
		rte_free(next);
		next = NULL;
	}
	current = next;
	for (unsigned int i = 0; i < n_workers; i++)
		__atomic_store_n(&workers[i]->trace, next, __ATOMIC_RELEASE);
	dp_rcu_synchronize();
	rte_free(old);
	return 0;
}

static struct trace_worker *copy(void)
{
	struct trace_worker *t = rte_zmalloc("taps", sizeof(*t), RTE_CACHE_LINE_SIZE);

	if (t != NULL && current != NULL)
		*t = *current;
	return t;
}

int taps_set_trace(struct trace_session *s)
{
	struct trace_worker *t = copy();

	if (t == NULL)
		return -1;
	t->trace = s;
	return replace(t);
}

int taps_add_capture(struct capture_session *c)
{
	struct trace_worker *t;

	if (current != NULL && current->n_captures == CAPTURES_MAX)
		return -1;
	t = copy();
	if (t == NULL)
		return -1;
	t->capture[t->n_captures++] = c;
	return replace(t);
}

void taps_del_capture(struct capture_session *c)
{
	struct trace_worker *t = copy();

	if (t == NULL) {
		/* Without memory for a smaller set, the watched walk ends altogether rather than
		 * use what is freed. */
		replace(NULL);
		return;
	}
	for (unsigned int i = 0; i < t->n_captures; i++) {
		if (t->capture[i] == c) {
			t->capture[i] = t->capture[--t->n_captures];
			break;
		}
	}
	replace(t);
}
