/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pools, balancing, health checks and the proxy know of each other. Everything in struct pool
 * and below belongs to one worker; the states are shared and touched by atomics only.
 */
#ifndef MILLRACE_SVC_POOL_PRIVATE_H
#define MILLRACE_SVC_POOL_PRIVATE_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "pool.h"

#define NS_PER_MS 1000000ull

/* ---- Shared ---- */

/* Written by its worker alone. */
struct worker_count {
	_Alignas(64) _Atomic uint32_t active;
};

/* Why a check or connection failed; with what in the lower half (an HTTP status). */
enum reason {
	REASON_NONE,
	REASON_REFUSED,
	REASON_TIMEOUT,
	REASON_UNREACHABLE,
	REASON_RESET,
	REASON_STATUS,
	REASON_NOT_HTTP,
	REASON_CLOSED,
	REASON_NO_SOURCE,
	REASON_CONNECTS,
};

struct svc_backend_state {
	_Atomic uint32_t refs;
	/* What it is known by. */
	struct tcp_addr addr;
	uint16_t port, vrf;
	/* Came into a pool that was there already: it starts slowly. */
	bool late;
	/* By the worker that does the health checks: enum svc_health; enum reason << 16 | detail.
	 */
	_Atomic uint32_t health, reason;
	/* slow_from_ns: start of the slow start; 0: none. */
	_Atomic uint64_t changed_ns, slow_from_ns;
	_Atomic uint64_t checks, checks_failed, check_ns;
	/* By any worker: failed connections in a row, and until when that keeps it out. */
	_Atomic uint32_t passive_fails;
	_Atomic uint64_t passive_until_ns;
	struct worker_count w[SVC_WORKERS_MAX];
};

struct svc_pool_state {
	_Atomic uint32_t refs;
	/* By the worker that does the health checks. */
	_Atomic uint64_t changed_ns;
	struct worker_count w[SVC_WORKERS_MAX];
};

static inline uint64_t load64(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline uint32_t load32(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static inline void store64(_Atomic uint64_t *p, uint64_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline void store32(_Atomic uint32_t *p, uint32_t v)
{
	atomic_store_explicit(p, v, memory_order_relaxed);
}

/* Connections that all workers have together. */
uint32_t state_active(const struct worker_count *w);
struct svc_backend_state *backend_state_hold(struct svc_backend_state *s);
void backend_state_release(struct svc_backend_state *s);

/* What is in force of a backend, as new connections see it. */
static inline enum svc_health backend_checked(const struct svc_pool_cfg *cfg,
					      const struct svc_backend_state *s)
{
	return cfg->check.kind == SVC_CHECK_NONE ? SVC_HEALTH_UP
						 : (enum svc_health)load32(&s->health);
}

static inline bool backend_ejected(const struct svc_pool_cfg *cfg,
				   const struct svc_backend_state *s, uint64_t now)
{
	return !cfg->no_passive && load64(&s->passive_until_ns) > now;
}

/* Weight times 1000, or less in a slow start; at least 1. */
uint32_t backend_weight(const struct svc_pool_cfg *cfg, const struct svc_backend_cfg *b,
			uint64_t now);
/* A reason in words. */
void reason_text(uint32_t reason, char *buf, size_t size);

/* ---- Of a worker ---- */

struct pair;
LIST_HEAD(pair_list, pair);

enum check_phase {
	CHECK_IDLE,
	CHECK_CONNECTING,
	CHECK_ANSWER,
};

/* A backend's health check, on the worker that does them. */
struct check {
	struct tcp_conn *conn;
	enum check_phase phase;
	/* When the next one starts, and when this one did. */
	uint64_t next_ns, start_ns;
	/* Results of one kind in a row. */
	uint8_t good, bad;
};

struct backend {
	/* In pool.gone. */
	struct backend *next;
	struct pool *pool;
	/* A copy: what it was when it was in force last. Its state is held. */
	struct svc_backend_cfg cfg;
	/* Tells backends of a pool apart in what a connection remembers of its attempts. */
	uint16_t serial;
	/* Left out of the configuration; of which one it is else. */
	bool gone;
	uint32_t generation;
	/* Of the smooth round robin. */
	int64_t current;
	struct svc_backend_stats stats;
	struct pair_list pairs;
	/* When connections that are left are reset; UINT64_MAX: never. */
	uint64_t abort_ns;
	struct check check;
};

struct pool {
	struct pool *next;
	struct proxy_worker *w;
	uint32_t id;
	struct svc_pool_cfg *cfg;
	/* In the order of cfg; none if the pool is deleted. */
	struct backend **backends;
	uint32_t n;
	/* Left out, and not free of connections yet. */
	struct backend *gone;
	/* Listeners that refer to it, drained ones too. */
	uint32_t users;
	/* Connections that have no backend at the moment. */
	struct pair_list waiting;
	uint32_t active;
	uint32_t generation;
	/* Turns of ties and of source addresses. */
	uint32_t turn, source_turn;
	uint16_t next_serial;
	/* At least min_healthy are up, as of the last look. */
	bool healthy;
	/* To go when its connections have; until then, as backends. */
	bool deleted;
	uint64_t abort_ns;
	struct svc_pool_stats stats;
};

/* svc_shared(SVC_PROXY). */
struct proxy_worker {
	struct svc *svc;
	struct pool *pools;
	/* Of the last poll, and when the next is due. */
	uint64_t next_ns;
};

struct pool *pool_find(const struct proxy_worker *w, uint32_t id);
/* Looks at the backends' health again; tells who wants to know. */
void pool_look(struct pool *p, uint64_t now);
void pools_poll(struct proxy_worker *w, uint64_t now);
void pools_destroy(struct proxy_worker *w);

/* A pair comes to a backend, or leaves it: counts only. */
void backend_take(struct backend *b);
void backend_drop(struct backend *b);
/* A connection of a client was refused, or made. */
void backend_failed(struct backend *b, uint64_t now);
void backend_worked(struct backend *b);

/* ---- Choosing ---- */

enum pick_fail {
	PICK_OK,
	/* None is up, or all were tried. */
	PICK_NONE,
	/* Those that are up have all they may. */
	PICK_FULL,
};

/* A backend for a new connection, none of those in tried; NULL with *why. */
struct backend *pool_pick(struct pool *p, uint64_t key, const uint16_t *tried, uint32_t n_tried,
			  uint64_t now, enum pick_fail *why);

/* The local side of a connection to b in t->laddr (and lport): 0, or REASON_NO_SOURCE. attempt
 * 0 to n: another address each time, as far as there are any. client: of a transparent proxy. */
int pool_source(struct pool *p, const struct backend *b, const struct tcp_addr *client,
		uint16_t client_port, uint32_t attempt, struct tcp_tuple *t);

/* ---- Health checks ---- */

/* Starts what is due; returns when the next is. */
uint64_t check_poll(struct pool *p, uint64_t now);
/* Ends one under way without a result. */
void check_stop(struct backend *b);
/* Gets b's checks going, or ends them. */
void check_configure(struct backend *b, uint64_t now);

/* ---- The proxy ---- */

/* Resets up to max pairs of a list; returns how many. */
uint32_t pairs_abort(struct pair_list *list, uint32_t max);
/* At the end of the worker: frees what pairs hold, without callbacks; the clients' side is the
 * runtime's. */
void pairs_free(struct pair_list *list);

#endif
