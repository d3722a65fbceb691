/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of backends for the TCP proxy.
 *
 *   control thread    makes configurations (struct svc_pool_cfg), which never change once they are
 *                     handed out: svc_pool_cfg_new(), fill in, _check(), _seal(). Sealing joins a
 *                     new configuration to the one before, so that a backend that is in both (same
 *                     address, port and VRF) keeps its health and its history.
 *   each worker       svc_pool_set() (service.h) puts one in force; connections live on.
 *
 * What the workers share is in objects that configurations refer to: the health of a backend, found
 * out by the one worker whose svc_env says so, and each worker's count of connections. They are
 * read and written with atomics, one cache line per worker.
 */
#ifndef MILLRACE_SVC_POOL_H
#define MILLRACE_SVC_POOL_H

#include "service.h"

#define SVC_POOL_BACKENDS_MAX 1024
#define SVC_POOL_SOURCES_MAX  64
/* Workers that may share a pool; svc_env.worker is below. */
#define SVC_WORKERS_MAX 64

/* ---- Configuration ---- */

enum svc_balance {
	/* Smooth weighted round robin. */
	SVC_BALANCE_ROUND_ROBIN,
	/* Fewest connections per weight, counted by each worker for itself. */
	SVC_BALANCE_LEAST_CONNS,
	/* Consistent hash by Maglev's table: a client stays with its backend while that is there,
	 * on all workers and all boxes of the same configuration. */
	SVC_BALANCE_HASH,
};

enum svc_hash_key {
	/* The client's address. */
	SVC_HASH_SOURCE,
	/* Both addresses and both ports. */
	SVC_HASH_5TUPLE,
};

enum svc_backend_admin {
	SVC_BACKEND_ENABLED,
	/* No new connections; those there are go on, for drain_ms if that is not 0. */
	SVC_BACKEND_DRAIN,
	/* No new connections, those there are are reset, no health checks. */
	SVC_BACKEND_DISABLED,
};

enum svc_health {
	/* Not known yet. Gets connections, but does not make its pool healthy. */
	SVC_HEALTH_UNKNOWN,
	SVC_HEALTH_UP,
	SVC_HEALTH_DOWN,
};

enum svc_check {
	/* Backends are up unless marked down by failed connections. */
	SVC_CHECK_NONE,
	/* A connection can be made. */
	SVC_CHECK_CONNECT,
	/* A request is answered by an expected status. */
	SVC_CHECK_HTTP,
};

enum svc_source_mode {
	/* svc_env.source: the box's address towards the backend. */
	SVC_SOURCE_EGRESS,
	/* Addresses of `sources` in turn. */
	SVC_SOURCE_POOL,
	/* The client's address and port: the backend's answers have to come back through this box.
	 * As SVC_SOURCE_EGRESS where client and backend are not of one family, and for checks. */
	SVC_SOURCE_TRANSPARENT,
};

/* Shared between workers and configurations; pool_private.h. */
struct svc_backend_state;
struct svc_pool_state;

struct svc_backend_cfg {
	/* Unique in the pool, 1 to 63 characters, for people and listings. */
	char name[64];
	/* What it is known by: address, port (network byte order) and VRF are unique in the pool.
	 */
	struct tcp_addr addr;
	uint16_t port, vrf;
	/* Share of new connections, 1 to 255; 0: 1. */
	uint8_t weight;
	enum svc_backend_admin admin;
	/* Connections at most, all workers together (of workers that accept at the same instant,
	 * each may go over by one); 0: no limit. */
	uint32_t max_conns;
	/* Milliseconds that connections may go on when it is drained or left out of the pool, then
	 * they are reset; 0: without end. */
	uint32_t drain_ms;
	/* Of svc_pool_cfg_seal(). */
	struct svc_backend_state *state;
};

/* Values of 0 mean the default. */
struct svc_check_cfg {
	enum svc_check kind;
	/* Milliseconds from check to check, 100 to 3,600,000 (5,000); of each, 10 to 600,000
	 * (2,000). */
	uint32_t interval_ms, timeout_ms;
	/* Successes in a row that bring a backend up, failures that take it down, 1 to 100 (2, 3).
	 * The first result of a backend of unknown health decides at once. */
	uint8_t rise, fall;
	/* Network byte order; 0: the backend's own. */
	uint16_t port;
	/* HTTP: "GET" or "HEAD" ("GET"), 1 to 15 letters; request target ("/"); Host field ("":
	 * the backend's address and port). */
	char method[16], path[256], host[256];
	/* HTTP: statuses that are good (200 to 399). */
	uint16_t status_min, status_max;
	/* Checks begin with a PROXY header (LOCAL, or UNKNOWN of version 1), as backends that
	 * expect one want. */
	enum svc_proxy_protocol send_proxy;
};

struct svc_pool_cfg {
	/* Atomic; svc_pool_cfg_hold() and _release(). */
	uint32_t refs;
	/* Not 0, unique among the pools. */
	uint32_t id;
	char name[64];
	enum svc_balance balance;
	enum svc_hash_key hash_key;
	/* Entries of the Maglev table, a prime up to 1,048,573; 0: 65,537. */
	uint32_t maglev_size;
	/* Boxes that are to agree on the hash have the same. */
	uint64_t hash_seed;
	struct svc_check_cfg check;
	/* Failed connections of clients in a row that take a backend out for passive_ms (0: 5;
	 * 10,000). Backends so taken out are still used when there are no others. */
	uint32_t passive_fall, passive_ms;
	bool no_passive;
	/* Milliseconds in which a backend that came up, or is new in a pool, gets its whole share;
	 * 0: at once. */
	uint32_t slow_start_ms;
	/* Connections to all backends at most, all workers together; 0: no limit. */
	uint32_t max_conns;
	/* Backends that have to be up for the pool to be healthy; 0: 1. */
	uint32_t min_healthy;
	enum svc_source_mode source_mode;
	/* SVC_SOURCE_POOL: local addresses, of the backends' families. */
	struct tcp_addr *sources;
	uint32_t n_sources;
	/* Of the connections to backends. */
	struct tcp_options tcp;
	struct svc_backend_cfg *backends;
	uint32_t n_backends;
	/* Of svc_pool_cfg_seal(). */
	struct svc_pool_state *state;
	uint16_t *maglev;
};

/* Zeroed but for room for so many backends and sources; one reference. NULL: no memory. */
struct svc_pool_cfg *svc_pool_cfg_new(uint32_t n_backends, uint32_t n_sources);
struct svc_pool_cfg *svc_pool_cfg_hold(struct svc_pool_cfg *cfg);
/* Any thread; the last one frees. NULL is fine. */
void svc_pool_cfg_release(struct svc_pool_cfg *cfg);
/* 0, or -EINVAL with *fault filled in, and defaults put in place of zeroes. */
int svc_pool_cfg_check(struct svc_pool_cfg *cfg, struct svc_fault *fault);
/*
 * Makes a checked configuration ready for workers: shares what prev (the one in force; NULL: a new
 * pool) knows of the same backends, and builds the table of the hash. 0 or -ENOMEM.
 */
int svc_pool_cfg_seal(struct svc_pool_cfg *cfg, const struct svc_pool_cfg *prev);

/* ---- State ---- */

/* What is known of a backend's health. Any thread. */
struct svc_backend_health {
	enum svc_health health;
	/* Taken out by failed connections, up to passive_until_ns. Then health is SVC_HEALTH_DOWN
	 * too. */
	bool passive;
	uint64_t passive_until_ns;
	/* On the workers' clock; 0: never. */
	uint64_t changed_ns;
	/* Why it is down, or the last check failed: "connection refused", "status 503", …; "" if
	 * nothing failed yet. */
	char reason[48];
	/* Weight in force in thousandths: 1000 times the configured one when not in slow start, 0
	 * if it gets no new connections. */
	uint32_t weight_permille;
	uint64_t checks, checks_failed;
	/* Nanoseconds that the last good check took. */
	uint64_t check_ns;
	/* Connections now, all workers. */
	uint32_t active;
};
/* i < cfg->n_backends, of a sealed configuration; now on the workers' clock. */
void svc_backend_health(const struct svc_pool_cfg *cfg, uint32_t i, uint64_t now_ns,
			struct svc_backend_health *out);
const char *svc_health_name(enum svc_health h);

struct svc_pool_health {
	/* At least min_healthy enabled backends are up. */
	bool healthy;
	uint32_t up, enabled, backends;
	uint64_t changed_ns;
	/* Connections to backends now, all workers. */
	uint32_t active;
};
/* Any thread. */
void svc_pool_health(const struct svc_pool_cfg *cfg, uint64_t now_ns, struct svc_pool_health *out);

/* Counters of one worker. */
struct svc_backend_stats {
	uint32_t active;
	uint64_t conns, connect_fails;
	/* Octets from the backend, and to it. */
	uint64_t bytes_in, bytes_out;
};

struct svc_pool_stats {
	uint32_t active;
	uint64_t conns, connect_fails, retries;
	/* Clients' connections that got no backend: none is up; all were full; every attempt
	 * failed. */
	uint64_t no_backend, full, exhausted;
	/* Connections reset since their backend's drain took too long or it was disabled. */
	uint64_t drain_aborts;
	uint64_t bytes_in, bytes_out;
};
/* The worker's thread. -ENOENT: no such pool. */
int svc_pool_stats(const struct svc *s, uint32_t id, struct svc_pool_stats *out);
/*
 * Calls fn for each backend of a pool on this worker: with draining set for those left out of the
 * configuration that still have connections. cfg->state leads to its health where it is in force.
 */
int svc_pool_backends(const struct svc *s, uint32_t id,
		      void (*fn)(void *arg, const struct svc_backend_cfg *cfg, bool draining,
				 const struct svc_backend_stats *stats),
		      void *arg);
/* Ids of the pools of this worker. Returns how many there are; fills up to n. */
uint32_t svc_pools(const struct svc *s, uint32_t *ids, uint32_t n);

#endif
