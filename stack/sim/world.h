/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world of hosts, each with an engine, in virtual time. What happens follows from the seed alone,
 * so any failure can be had again.
 */
#ifndef MILLRACE_SIM_WORLD_H
#define MILLRACE_SIM_WORLD_H

#include <stdio.h>

#include "rig.h"

#define HOSTS_MAX 4
#define USEC	  1000ull
#define MSEC	  1000000ull
#define SEC	  1000000000ull
#define NEVER	  UINT64_MAX

struct world;
struct net;
struct flows;

/* A packet on its way. */
struct packet {
	struct packet *next;
	/* Number in the trace. */
	uint64_t id;
	uint32_t len;
	uint8_t data[];
};

struct host {
	struct world *w;
	uint8_t id;
	struct tcp_engine *engine;
	struct tcp_config cfg;
	struct rng rng;
	/* Received, not handed to the engine yet. */
	struct packet *rx, **rx_tail;
	uint32_t rx_count;
	/* When it runs next. */
	uint64_t wake_at;
	/* What its port offers. */
	uint16_t mtu;
	bool tx_checksum;
	uint32_t tso_max;
	/* A worker comes round this late at most, and hands over this many packets at most. */
	uint64_t late_ns;
	uint16_t vector_max;
	/* Merges segments that follow one another, as GRO does. */
	bool gro;
	/* Runs in a row at one instant without a packet. */
	uint32_t spins;
	bool no_route;
};

struct event {
	uint64_t at, order;
	void (*fn)(void *arg);
	/* Frees arg if the world ends before; may be NULL. */
	void (*drop)(void *arg);
	void *arg;
};

struct world {
	uint64_t seed, now;
	struct rng rng;
	struct event *events;
	uint32_t n_events, cap_events;
	uint64_t order;
	struct host hosts[HOSTS_MAX];
	uint8_t n_hosts;
	struct net *net;
	struct flows *flows;
	/* Virtual time and steps it may take. */
	uint64_t end;
	uint64_t steps, steps_max;
	uint64_t packets, delivered;
	/* Of all packets and when they were sent. */
	uint64_t digest;
	bool verbose;
	FILE *pcap;
	/* Ends before all is over. */
	bool stopped;
	bool failed;
	char why[1024];
};

void world_init(struct world *w, uint64_t seed);
void world_free(struct world *w);
/* Calls fn(arg) at that time, or now if that is past. */
void world_at(struct world *w, uint64_t at, void (*fn)(void *arg), void *arg);
/* The same, with what frees arg if it does not come to that. */
void world_at_owned(struct world *w, uint64_t at, void (*fn)(void *arg), void (*drop)(void *arg),
		    void *arg);
/* Until nothing more happens, something is wrong or w->end. */
void world_run(struct world *w);
/* The first failure counts and ends the run. */
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct host *host_add(struct world *w, const struct tcp_config *cfg);
/* The engine dies without a word, as by a power cut; host_boot() makes a new one. */
void host_crash(struct host *h);
void host_boot(struct host *h);
/* Before functions of the engine are called from outside of it: what time it is. The host runs soon
 * after. */
void host_enter(struct host *h);
/* The host has something to do. */
void host_wake(struct host *h, uint64_t at);
/* A packet arrives; takes it over. */
void host_receive(struct host *h, struct packet *p);
/* Called after each run of a host. */
void host_check(struct host *h);

void host_addr(const struct host *h, uint16_t family, struct tcp_addr *out);
/* The host with this address, or NULL. */
struct host *host_of(struct world *w, const struct tcp_addr *a);

struct packet *packet_new(struct world *w, const uint8_t *p, uint32_t len);

/* What engines hand out: tcp_env's tx. */
void egress(void *ctx, struct rte_mbuf **pkts, uint16_t n);

/* "12.345678 a > b: …", if the world is verbose. */
void trace_packet(struct world *w, const char *what, const uint8_t *p, uint32_t len);
FILE *trace_pcap_open(const char *path);
void trace_pcap(FILE *f, uint64_t now, const uint8_t *p, uint32_t len);

#endif
