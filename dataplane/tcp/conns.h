/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of all workers: looked for, listed and ended, a bounded number at a time. */
#ifndef MILLRACE_TCP_CONNS_H
#define MILLRACE_TCP_CONNS_H

#include "objects.h"
#include "service/proxy.h"

/* Which ones; what is 0 or empty matches all. */
struct term_filter {
	/* listener_id here also means the backend's side of the connections it serves. */
	struct svc_filter svc;
	uint16_t family;
	uint32_t listener_id;
	uint32_t pool_id;
	char backend[64];
	/* Addresses and ports are given in full: at most one connection a worker. */
	bool exact;
};

struct term_conn_row {
	uint16_t worker;
	struct tcp_info info;
	/* 0: not a listener's, not a pool's. */
	uint32_t listener_id, pool_id;
	char backend[64];
};

/* Where a walk goes on. */
struct term_conns_at {
	uint32_t worker, slot;
	bool end;
};

/* Fills up to max rows and moves *at on; looks at a bounded number of connections, so that it may
 * find none and not be at the end. Returns how many. */
unsigned int term_conns_list(const struct term_filter *f, struct term_conns_at *at,
			     struct term_conn_row *rows, unsigned int max);
/* Ends those that match among a bounded number of connections. Returns how many. */
unsigned int term_conns_kill(const struct term_filter *f, struct term_conns_at *at);

#endif
