/* SPDX-License-Identifier: Apache-2.0 */
/* A proxied connection: both sides and what is between them. */
#ifndef MILLRACE_SVC_PROXY_PRIVATE_H
#define MILLRACE_SVC_PROXY_PRIVATE_H

#include "pool_private.h"
#include "proxy.h"
#include "proxy_protocol.h"

#define PROXY_RETRIES_MAX 15

enum pair_state {
	/* The client's PROXY header is not complete yet. */
	PAIR_HEADER,
	/* No backend takes it at the moment. */
	PAIR_WAIT,
	PAIR_CONNECT,
	PAIR_SPLICE,
	/* Accepted only to be closed: what the client sends is thrown away until it closes. */
	PAIR_CLOSING,
};

enum pair_dir {
	/* From the client, and from the backend. */
	PAIR_UP,
	PAIR_DOWN,
};

/*
 * Two cache lines. A side is NULL when it has ended or is not there yet; the user pointer of the
 * backend's has its lowest bit set, which tells it apart from other connections made from here.
 */
struct pair {
	struct tcp_conn *client, *server;
	struct svc_listener *l;
	struct pool *pool;
	/* NULL: the pair is on the pool's list of those waiting, else on the backend's. */
	struct backend *backend;
	LIST_ENTRY(pair) link;
	/* Octets of a side that the other could not take for want of buffers. Before there is a
	 * splice, [PAIR_UP] is the client's PROXY header. */
	struct rte_mbuf *left[2];
	/* What a hash chooses the backend by. */
	uint64_t key;
	/* Milliseconds of the workers' clock: accepted, last payload, begin of the state. */
	uint32_t start_ms, active_ms, phase_ms;
	/* Serials of the backends that did not take it. */
	uint16_t tried[PROXY_RETRIES_MAX];
	uint8_t n_tried;
	uint8_t attempts;
	uint8_t state;
	/* Directions whose end was passed on. */
	bool shut[2];
	/* Something was not moved for want of buffers. */
	bool starved;
};
_Static_assert(sizeof(struct pair) <= 128, "two cache lines");

/* priv of a listener. */
struct proxy_listener {
	struct pool *pool, *backup;
};

extern const struct tcp_ops proxy_server_ops;

static inline void *pair_tag(struct pair *p)
{
	return (uint8_t *)p + 1;
}

static inline struct pair *pair_of_server(const struct tcp_conn *c)
{
	return (struct pair *)((uintptr_t)tcp_user(c) & ~(uintptr_t)1);
}

static inline uint32_t pair_now_ms(const struct pair *p)
{
	return (uint32_t)(svc_now(p->l->svc) / NS_PER_MS);
}

/* ---- proxy.c ---- */

/* Resets both sides; the pair is gone. */
void pair_kill(struct pair *p);
/* Resets the backend's side. */
void pair_drop_server(struct pair *p);
/* Closes the client's side, the only one; the pair is gone. */
void pair_close_client(struct pair *p);
/* Lets go of sides that are NULL or closed; the pair is gone. */
void pair_free(struct pair *p);
/* No backend takes it: what the listener is configured to do then. The pair may be gone. */
void pair_refuse(struct pair *p);

/* ---- proxy_timer.c ---- */

/* Sets the timer to the next deadline of the state. */
void pair_arm(struct pair *p);
/* It went off. */
void pair_timer(struct pair *p);

/* ---- proxy_connect.c ---- */

/* Chooses a backend and begins to connect; false: none took it, and the pair waits. */
bool pair_go(struct pair *p);

/* Takes the backend off the pair, which waits then. */
void pair_detach(struct pair *p);
/* The attempt under way failed: another backend, or the end. The pair may be gone. */
void pair_attempt_failed(struct pair *p, bool backends_fault);

/* ---- splice.c ---- */

/* Moves what can be moved, and the ends of both directions. False: the pair is gone. */
bool pair_splice(struct pair *p, enum pair_dir dir);
/* A side ended in order, after all it sent was read. */
void pair_side_done(struct pair *p, enum pair_dir from);

/* ---- proxy_header.c ---- */

/* Whether the client may send a PROXY header. */
bool header_trusted(const struct svc_proxy_cfg *cfg, const struct tcp_addr *a);

enum header_result {
	HEADER_OK,
	HEADER_MORE,
	HEADER_BAD,
};
/* Takes the header off the client's stream. */
enum header_result header_accept(struct pair *p);
/* Whom the pair speaks for: as the client's header says, else the connection's addresses. tlvs
 * points into buf, of SVC_PP_MAX octets. */
void header_identity(const struct pair *p, struct svc_pp *out, uint8_t *buf, const uint8_t **tlvs);
/* The key of the hash. */
uint64_t header_key(const struct pair *p);
/* Writes the header for the backend. False: no buffers. */
bool header_send(struct pair *p);

#endif
