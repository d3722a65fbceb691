/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for tests of services: hosts with an engine each, and a wire between them that
 * loses nothing, unless told to, and delays everything alike. Time passes in world_run() only. (The
 * simulator in stack/sim is the one with bad networks.)
 */
#ifndef MILLRACE_SVC_TEST_WORLD_H
#define MILLRACE_SVC_TEST_WORLD_H

#include "../tcp/check_test.h"
#include "service.h"

#define WORLD_ADDRS 4

struct host {
	struct world *w;
	struct tcp_addr addrs[WORLD_ADDRS];
	uint32_t n_addrs;
	struct tcp_engine *e;
	/* NULL: none. */
	struct svc *svc;
	/* Of env.listener_ready. */
	uint32_t ready_calls;
	/* Takes no packets and sends none: as if unplugged. */
	bool down;
	/* Segments nobody wants are dropped, not answered by RST. */
	bool silent;
	/* Everything it sends goes to this host, whatever its destination; NULL: to whom it is for.
	 */
	struct host *via;
	struct host *next;
};

struct world {
	uint64_t now_ns;
	/* One way. */
	uint64_t latency_ns;
	/* Packets of a thousand that are lost; none unless a test says so. */
	uint32_t loss;
	/* Seconds since 1970 at now_ns 0. */
	uint64_t wall_s;
	uint64_t seed;
	struct rte_mempool *pool;
	/* Buffers of the pool when the world was empty. */
	uint32_t pool_free;
	struct host *hosts;
	struct wire *wire;
	/* Packets sent, and lost because the pool was empty. */
	uint64_t packets, starved;
};

/* Once per process, before anything else. */
void world_init(const char *name);
/* With a pool of so many buffers. */
struct world *world_new(uint32_t buffers);
/* Checks that every buffer came back. */
void world_free(struct world *w);
/* address: IPv4 or IPv6 text, or several, separated by spaces. */
struct host *world_host(struct world *w, const char *addresses, bool services);
/* Passes time; packets are delivered and timers run. */
void world_run(struct world *w, uint32_t ms);
/* Until cond is true or ms passed. Returns cond. */
bool world_until(struct world *w, bool (*cond)(void *arg), void *arg, uint32_t ms);

/* Parses an address; exits if it is none. */
struct tcp_addr world_addr(const char *text);

/* ---- The other side of a service: a connection and what came through it ---- */

struct peer {
	struct tcp_conn *c;
	struct host *h;
	bool connected, eof, closed;
	enum tcp_close_reason why;
	/* Does not read. */
	bool paused;
	/* Counts only. */
	bool no_keep;
	uint8_t *in;
	size_t in_len, in_cap;
	uint64_t in_total;
	/* Waits to be written. */
	uint8_t *out;
	size_t out_len, out_at;
	bool shut;
};

/* From one of h's addresses of the same family. */
struct peer *peer_connect(struct host *h, const char *to, uint16_t port);
struct peer *peer_connect_opt(struct host *h, const char *to, uint16_t port,
			      const struct tcp_options *opt);
/* Queues a copy. */
void peer_send(struct peer *p, const void *data, size_t len);
void peer_puts(struct peer *p, const char *text);
/* FIN after what was queued. */
void peer_shutdown(struct peer *p);
/* Reads on. */
void peer_resume(struct peer *p);
void peer_abort(struct peer *p);
/* Closes if need be, and frees. */
void peer_free(struct peer *p);
/* What came since the last call as a string; the peer's until then. */
const char *peer_text(struct peer *p);

/* A configuration of a kind on a port of any address; id is the port. */
struct svc_listener_cfg *world_cfg(enum svc_kind kind, uint16_t port);
/* Checks it, sets it and lets go of it. */
void world_serve(struct host *h, struct svc_listener_cfg *cfg);

#endif
