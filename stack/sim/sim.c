/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdlib.h>

const struct scenario *scenario_named(const char *name)
{
	for (const struct scenario *c = scenarios; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

const struct scenario *scenario_drawn(uint64_t seed)
{
	struct rng r = {rng_mix(seed)};
	uint64_t all = 0, n;

	for (const struct scenario *c = scenarios; c->name != NULL; c++)
		all += c->weight;
	n = rng_below(&r, all);
	for (const struct scenario *c = scenarios;; c++) {
		if (n < c->weight)
			return c;
		n -= c->weight;
	}
}

static void cut(void *arg)
{
	struct sim *s = arg;

	s->w.stopped = true;
}

int sim_run(struct sim *s, const struct scenario *scenario, uint64_t seed, bool verbose, FILE *pcap)
{
	memset(s, 0, sizeof(*s));
	world_init(&s->w, seed);
	s->w.verbose = verbose;
	s->w.pcap = pcap;
	s->scenario = scenario;
	s->rng = rng_fork(&s->w.rng);
	net_init(&s->net, &s->w);
	scenario->make(s);
	sim_start(s);
	if (s->cut_at != 0)
		world_at(&s->w, s->cut_at, cut, s);
	world_run(&s->w);
	if (!s->w.failed && s->cut_at == 0)
		sim_check_flows(s);
	while (s->hoarded > 0)
		rte_pktmbuf_free(s->hoard[--s->hoarded]);
	free(s->hoard);
	world_free(&s->w);
	flows_free(&s->flows);
	net_free(&s->net);
	sim_check_memory(s);
	return s->w.failed ? -1 : 0;
}
