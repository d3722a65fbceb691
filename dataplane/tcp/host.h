/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of TCP termination share: a worker's engine and the world it lives in. */
#ifndef MILLRACE_TCP_HOST_H
#define MILLRACE_TCP_HOST_H

#include <rte_cycles.h>
#include <rte_graph_worker.h>

#include "service/service.h"
#include "tcp/tcp.h"

#include "../core/addr.h"
#include "../core/error.h"
#include "random.h"
#include "term.h"

/* Packets of the engine that wait to enter the graph: one vector of a node. */
#define TERM_TX_MAX 256
/* Between two walks, while a call of the control thread runs: what it may make the engine send. */
#define TERM_TX_ROOM 1024
#define TERM_RING    4096

/* The most slots of connections one call may look at: about 100 ns each where they are not cached.
 */
#define TERM_WALK_SLOTS 2048

struct term_worker {
	struct worker *w;
	struct tcp_engine *engine;
	struct svc *svc;
	/* When tcp_poll() or svc_poll() is due; 0: at once. */
	uint64_t next_ns;
	/* The node that the engine is working for; NULL between walks. */
	struct rte_graph *graph;
	struct rte_node *node;
	/* Segments, and ICMP errors about them, from other workers and from this one's own
	 * services. */
	struct rte_ring *in;
	struct term_random random;
	/* The last answer of the route callback: most connections of a box go one way. */
	uint64_t wall_s;
	uint16_t n_tx;
	struct rte_mbuf *tx[TERM_TX_ROOM];
};

/* Nanoseconds since the machine started, as all engines count time. */
extern uint64_t term_ns_mult;

static inline uint64_t term_now(void)
{
	return (uint64_t)(((unsigned __int128)rte_rdtsc() * term_ns_mult) >> 32);
}

/* After anything that may have started a timer. */
static inline void term_rearm(struct term_worker *t)
{
	uint64_t a = tcp_next_timer(t->engine), b = svc_next(t->svc);

	t->next_ns = RTE_MIN(a, b);
}

/* Bit per port (network order) with a listener, whatever its address. Read by the workers. */
extern uint64_t term_listen_ports[65536 / 64];

static inline bool term_port_listened(uint16_t be)
{
	return (__atomic_load_n(&term_listen_ports[be >> 6], __ATOMIC_RELAXED) >> (be & 63)) & 1;
}

/* The range of ports of connections made from here, host order; fixed when the engines are made. */
extern uint16_t term_port_min, term_port_max;

/*
 * The worker that has all connections made from this local port (network order), or n_workers if
 * any of them may have them: connections that were accepted are where RSS put them.
 */
static inline unsigned int term_port_owner(uint16_t be)
{
	uint16_t p = rte_be_to_cpu_16(be);

	if (p < term_port_min || p > term_port_max || term_port_listened(be))
		return n_workers;
	return p % n_workers;
}

/* Of the workers' engines. */
extern struct rte_mempool *term_pool;
/* True once the engines exist, and then what each of them holds at most. */
extern bool term_started;
extern uint32_t term_max_connections, term_max_time_wait;

/* Makes the engines of all workers if that has not been done. Control thread. */
int term_start(struct dp_error *err);

/* The engine's names as operators see them. */
static inline void term_dashes(char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '_')
			*s = '-';
}

/* ---- env.c ---- */

/* The callbacks of the engine and of the services; ctx is the struct term_worker. */
void term_env_fill(struct term_worker *t, struct tcp_env *env, struct svc_env *senv);
/* What the way of a connection is like. */
void term_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out);

static inline struct ip_addr term_addr(const struct tcp_addr *a)
{
	return tcp_addr_is4(a)
		       ? (struct ip_addr){.len = 4, .b = {a->b[12], a->b[13], a->b[14], a->b[15]}}
		       : ip_addr6(a->b);
}

/* ---- icmp.c ---- */

/* An ICMP error about a segment sent from here, in the words of the engine. */
struct term_error {
	/* Without the network instance. */
	struct tcp_tuple tuple;
	uint32_t seq;
	enum tcp_icmp what;
	uint32_t mtu;
};

/* pkt: an IPv4 or IPv6 packet of which len octets can be read. False if it is no such error, or too
 * much of it is missing. */
bool term_icmp_parse(const uint8_t *pkt, uint32_t len, struct term_error *e);

#endif
