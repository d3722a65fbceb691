/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "node.h"
#include "worker.h"

static struct drop_reason *reasons;
static struct drop_counter *counters;

void drop_reason_register(struct drop_reason *r)
{
	r->next = reasons;
	reasons = r;
}

const struct drop_reason *drop_reason_first(void)
{
	return reasons;
}

const struct drop_reason *drop_reason_find(const char *node_name)
{
	const struct drop_reason *r;

	if (strncmp(node_name, "drop-", 5) != 0)
		return NULL;
	for (r = reasons; r != NULL; r = r->next)
		if (strcmp(r->name, node_name + 5) == 0)
			return r;
	return NULL;
}

void drop_counter_register(struct drop_counter *c)
{
	c->next = counters;
	counters = c;
}

const struct drop_counter *drop_counter_first(void)
{
	return counters;
}

uint16_t drop_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct iface_stats *s = worker_self->iface_stats;

	(void)graph;
	(void)node;
	for (uint16_t i = 0; i < n; i++) {
		const struct mb_meta *meta = mb_meta(objs[i]);

		s[meta->iface].rx_discards += !(meta->flags & MB_HOST);
	}
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}
