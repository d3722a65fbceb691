/* SPDX-License-Identifier: Apache-2.0 */
/* The far side of a proxy in tests: a server that does what the test says, connection by
 * connection; and short ways to configure pools and proxies. */
#ifndef MILLRACE_SVC_TEST_BACKEND_H
#define MILLRACE_SVC_TEST_BACKEND_H

#include "pool.h"
#include "proxy.h"
#include "test_world.h"

#define SERVER_CONNS 4096

/* A connection that a server took. */
struct taken {
	struct tcp_conn *c;
	struct server *s;
	bool eof, closed, shut;
	enum tcp_close_reason why;
	struct tcp_tuple tuple;
	/* The first octets that came. */
	char in[8192];
	uint32_t in_len;
	uint64_t in_total;
	/* Of all that came: order matters. */
	uint64_t hash;
	/* Octets that wait to be sent, of the pattern. */
	uint64_t out_left, out_at;
};

struct server {
	struct host *h;
	struct tcp_listener *l;
	/* Answers octet for octet. */
	bool echo;
	/* Closes when the client has. */
	bool polite;
	/* Does not read. */
	bool paused;
	/* Sent to who connects. */
	const char *banner;
	struct taken *taken[SERVER_CONNS];
	uint32_t n;
};

/* A host with one address and a server on a port of it. */
struct server *server_new(struct world *w, const char *addr, uint16_t port);
/* On a host that is there. */
struct server *server_on(struct host *h, uint16_t port);
/* Stops listening, so that who connects is refused, and listens again. */
void server_stop(struct server *s);
void server_start(struct server *s, uint16_t port);
/* After world_free() or before. */
void server_free(struct server *s);
/* Connections that have not ended. */
uint32_t server_active(const struct server *s);
void server_resume(struct server *s);
void taken_puts(struct taken *t, const char *text);
/* So many octets of the pattern. */
void taken_pour(struct taken *t, uint64_t octets);
void taken_shutdown(struct taken *t);
void taken_abort(struct taken *t);

/* Octet i of the pattern, and the hash of its first n octets. */
uint8_t pattern(uint64_t i);
uint64_t pattern_hash(uint64_t n);
uint64_t hash_more(uint64_t hash, const void *data, size_t n);

/* Room for n backends, named b0, b1, …, on 10.0.1.1:80, 10.0.1.2:80, …; id 1. */
struct svc_pool_cfg *pool_cfg(uint32_t n);
/* Checks and seals cfg, after prev, and puts it in force; keeps the caller's reference. */
void pool_use(struct host *h, struct svc_pool_cfg *cfg, const struct svc_pool_cfg *prev);
/* A proxy on this port to pool 1. */
struct svc_listener_cfg *proxy_cfg(uint16_t port);
struct svc_stats proxy_stats(struct host *h, uint16_t port);
struct svc_pool_stats pool_stats(struct host *h);
bool proxy_ready(struct host *h, uint16_t port);

#endif
