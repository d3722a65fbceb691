/* SPDX-License-Identifier: Apache-2.0 */
/* One run: a world drawn from a seed. */
#ifndef MILLRACE_SIM_SIM_H
#define MILLRACE_SIM_SIM_H

#include "app.h"
#include "attacker.h"
#include "net.h"

struct sim {
	struct world w;
	struct net net;
	struct flows flows;
	struct rng rng;
	const struct scenario *scenario;
	/* Options of listeners and connections. */
	struct tcp_options server_opt, client_opt;
	uint16_t family;
	struct attacker attacker;
	uint32_t backlog;
	/* Buffers taken away for a while. */
	struct rte_mbuf **hoard;
	uint32_t hoarded;
	/* The run ends with everything alive. */
	uint64_t cut_at;
};

struct scenario {
	const char *name, *about;
	/* How often it is drawn, relative to the others. */
	uint32_t weight;
	void (*make)(struct sim *s);
};

extern const struct scenario scenarios[];
const struct scenario *scenario_named(const char *name);
const struct scenario *scenario_drawn(uint64_t seed);

/* Parts that scenarios put together (draw.c). */
enum weather { CALM, FAIR, ROUGH };
/* Hosts with engines of all kinds of settings, and paths between them. */
void draw_world(struct sim *s, uint8_t hosts, enum weather weather);
void draw_path(struct rng *r, struct path *p, enum weather weather);
void draw_options(struct rng *r, struct tcp_options *o);
/* n flows, first to listen on the server at port 80, each with what octets it may send at most; all
 * clean. */
void draw_flows(struct sim *s, uint32_t n, uint64_t octets);
void draw_plan(struct rng *r, struct flow *f, uint64_t octets);
/* Makes the engines, the listener, and starts the flows. */
void sim_start(struct sim *s);

/* Runs scenario and seed; 0: all well, else the world's `why` says what not. */
int sim_run(struct sim *s, const struct scenario *scenario, uint64_t seed, bool verbose,
	    FILE *pcap);
/* What must hold when all is over (check.c). */
void sim_check_flows(struct sim *s);
void sim_check_memory(struct sim *s);

#endif
