/* SPDX-License-Identifier: Apache-2.0 */
/* Two engines joined by rings, in one thread or in two: the stack's own cost, memory to memory. */
#ifndef MILLRACE_STACK_BENCH_SIDE_H
#define MILLRACE_STACK_BENCH_SIDE_H

#include <rte_ring.h>

#include "../tcp/tcp.h"

struct side {
	struct tcp_engine *e;
	struct rte_ring *in;
	/* NULL: packets are taken as they are. Else they are copied into buffers of this side, and
	 * go back to the other by this ring, as with memif: no buffer is touched by two cores at a
	 * time. */
	struct rte_ring *back;
	struct side *peer;
	struct rte_mempool *pool;
	uint64_t rng;
	/* Packets that the peer's ring had no room for. */
	uint64_t overruns;
	uint64_t packets, loops, busy_cycles, cycles;
	/* Of what the applications count: connections, requests, octets. */
	uint64_t done, failed, octets;
	/* Octets the route carries. */
	uint16_t mtu;
	bool server;
	const struct load *load;
	void *app;
	/* NULL: the load answers by itself. */
	struct svc *svc;
	/* Simulated path: packets wait here for `delay_ns`, and a share of them is lost. */
	struct delayed *delayed;
	uint32_t loss_ppm;
	uint64_t delay_ns;
	/* Bottleneck: picoseconds an octet takes, 0: none; when the last packet will have left it.
	 */
	uint64_t ps_per_octet, free_at_ns;
	uint64_t queue_drops;
	enum tcp_cc_algorithm cc;
};

/* What runs on top: one side listens, the other connects. */
struct load {
	const char *name, *unit;
	int (*server)(struct side *s);
	int (*client)(struct side *s, uint32_t conns);
	/* Called once per loop of the client, to open what is missing; may be NULL. */
	void (*tick)(struct side *s);
};

struct side_config {
	uint32_t max_conns;
	uint16_t mtu;
	uint64_t mem_limit;
	uint32_t time_wait_ms;
};

struct side *side_new(const char *name, struct rte_mempool *pool, const struct side_config *cfg,
		      bool server);
void side_free(struct side *s);
/* Copies what it takes; see struct side. 0 or -1. */
int side_copy(struct side *s, const char *name);
/* A path with a delay one way, loss, and a bottleneck of so many Mbit/s (0: none) with a queue of
 * one round trip. */
void side_path(struct side *s, uint64_t delay_ns, uint32_t loss_ppm, double mbit);
/* One turn: take what came, timers, send. Returns the packets taken. */
unsigned int side_run(struct side *s, uint64_t now_ns);
uint64_t bench_now_ns(void);

const struct load *load_find(const char *name);
void load_list(void);
/* Round-trip times of requests in nanoseconds, kept by the load `latency`. */
void load_latency(struct side *s, double *p50_us, double *p99_us);

#endif
