/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of workers, graph nodes and drop reasons. */
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_graph_worker.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../port/port.h"
#include "../tcp/term.h"
#include "list.h"
#include "state.h"

/* "eth1:0" per queue the worker polls. */
static int worker_queues(struct page *p, PB(WorkerState) *m, const struct worker *w)
{
	/* The control thread is the only one that replaces it. */
	const struct worker_rxqs *qs = w->rxqs;

	m->rx_queues = arena_alloc(p->arena, (qs->n + 1u) * sizeof(*m->rx_queues));
	if (m->rx_queues == NULL)
		return -1;
	for (unsigned int k = 0; k < qs->n; k++) {
		const struct port *port =
			qs->q[k].port < RTE_MAX_ETHPORTS ? ports[qs->q[k].port] : NULL;
		char name[IFACE_NAME_LEN + 8];

		snprintf(name, sizeof(name), "%s:%u",
			 port != NULL ? state_iface_name(port->iface) : "", qs->q[k].queue);
		m->rx_queues[k] = arena_strdup(p->arena, name);
		if (m->rx_queues[k] == NULL)
			return -1;
		m->n_rx_queues++;
	}
	return 0;
}

int list_workers(struct page *p, struct dp_error *err)
{
	uint32_t at, unused;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->workers = arena_alloc(p->arena, p->limit * sizeof(*p->out->workers));
	if (p->out->workers == NULL)
		return list_no_memory(err);
	for (; at < n_workers; at++) {
		const struct worker *w = workers[at];
		PB(WorkerState) *m;

		if (p->out->n_workers == p->limit) {
			cursor_set(p, at, 0);
			break;
		}
		m = PB_NEW(p->arena, WorkerState, worker_state);
		if (m == NULL || worker_queues(p, m, w) < 0)
			return list_no_memory(err);
		m->id = w->id;
		m->lcore = w->lcore;
		m->cpu = w->cpu;
		m->busy_cycles = w->busy_cycles;
		m->idle_cycles = w->idle_cycles;
		m->sleep_cycles = w->sleep_cycles;
		m->loops = w->loops;
		m->sleeps = w->sleeps;
		m->rx_packets = w->rx_packets;
		m->dispatched = w->dispatched;
		m->dispatch_drops = w->dispatch_drops;
		m->tsc_hz = rte_get_tsc_hz();
		p->out->workers[p->out->n_workers++] = m;
	}
	return 0;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The graphs of all workers have the same nodes: the first one's tells the edges. */
static int node_edges(struct page *p, PB(NodeState) *m, const struct rte_node *node)
{
	m->edges = arena_alloc(p->arena, (node->nb_edges + 1u) * sizeof(*m->edges));
	if (m->edges == NULL)
		return -1;
	for (unsigned int e = 0; e < node->nb_edges; e++)
		m->edges[m->n_edges++] = node->nodes[e]->name;
	return 0;
}

int list_nodes(struct page *p, struct dp_error *err)
{
	const uint32_t n = rte_node_max_count();
	const struct node_sum *sums;
	struct rte_node *node, **by_id;
	uint32_t at, unused;
	rte_graph_off_t off;
	rte_node_t count;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	if (n_workers == 0)
		return 0;
	p->out->nodes = arena_alloc(p->arena, p->limit * sizeof(*p->out->nodes));
	sums = node_sums(p->arena);
	by_id = arena_zalloc(p->arena, (n + 1) * sizeof(*by_id));
	if (p->out->nodes == NULL || sums == NULL || by_id == NULL)
		return list_no_memory(err);
	rte_graph_foreach_node(count, off, workers[0]->graph, node) if (node->id < n)
		by_id[node->id] = node;
	for (; at < n; at++) {
		PB(NodeState) *m;

		node = by_id[at];
		if (node == NULL)
			continue;
		if (p->out->n_nodes == p->limit) {
			cursor_set(p, at, 0);
			break;
		}
		m = PB_NEW(p->arena, NodeState, node_state);
		if (m == NULL || node_edges(p, m, node) < 0)
			return list_no_memory(err);
		m->name = node->name;
		m->calls = sums[at].calls;
		m->packets = sums[at].packets;
		m->cycles = sums[at].cycles;
		m->source = strcmp(node->name, "port-rx") == 0 ||
			    strcmp(node->name, "control-input") == 0 ||
			    strcmp(node->name, "tcp-timer") == 0;
		m->drop = drop_reason_find(node->name) != NULL;
		p->out->nodes[p->out->n_nodes++] = m;
	}
	return 0;
}

/* ---- drops ----------------------------------------------------------------------------------- */

static int add_drop(struct page *p, const struct drop_reason *r, uint64_t packets)
{
	PB(DropState) *m = PB_NEW(p->arena, DropState, drop_state);

	if (m == NULL)
		return -1;
	m->reason = pb_str(r->name);
	m->description = pb_str(r->description);
	m->packets = packets;
	p->out->drops[p->out->n_drops++] = m;
	return 0;
}

int list_drops(struct page *p, struct dp_error *err)
{
	const struct node_sum *sums;
	const struct drop_reason *r;
	const struct drop_counter *c;
	uint32_t at, unused, k = 0;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	term_drops_update();
	p->out->drops = arena_alloc(p->arena, p->limit * sizeof(*p->out->drops));
	sums = node_sums(p->arena);
	if (p->out->drops == NULL || sums == NULL)
		return list_no_memory(err);
	/* Reasons with a node, then those counted on the control thread. Neither list changes after
	 * the start. */
	for (r = drop_reason_first(); r != NULL; r = r->next, k++) {
		char name[RTE_NODE_NAMESIZE + 8];
		rte_node_t node;

		if (k < at)
			continue;
		if (p->out->n_drops == p->limit) {
			cursor_set(p, k, 0);
			return 0;
		}
		snprintf(name, sizeof(name), "drop-%s", r->name);
		node = rte_node_from_name(name);
		if (add_drop(p, r, node < rte_node_max_count() ? sums[node].packets : 0) < 0)
			return list_no_memory(err);
	}
	unused = 0;
	for (c = drop_counter_first(); c != NULL; c = c->next, k++, unused++) {
		if (k < at)
			continue;
		if (p->out->n_drops == p->limit) {
			cursor_set(p, k, 0);
			return 0;
		}
		if (add_drop(p, &c->reason, drop_counter_since(unused, c->packets)) < 0)
			return list_no_memory(err);
	}
	return 0;
}
