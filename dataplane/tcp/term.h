/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP termination: the engines and services of stack/ in the workers. Each worker has an engine and
 * a runtime of services of its own, made when the first listener or pool is configured; until then
 * the only trace of it is a pointer that is NULL.
 *
 * This header is for the rest of the data plane; what the folder's files share is in host.h.
 */
#ifndef MILLRACE_TCP_TERM_H
#define MILLRACE_TCP_TERM_H

#include "../core/worker.h"

struct term_worker;

struct term_settings {
	/* All workers together. */
	uint32_t max_connections, max_time_wait;
	/* Octets of packet buffers; 0: half of them. */
	uint64_t memory_limit;
	uint32_t time_wait_ms;
	/* Of connections made from here, host order. */
	uint16_t port_min, port_max;
	/* A second and worker. */
	uint32_t challenge_ack_rate, reset_rate;
};
extern struct term_settings term_settings;

int term_init(void);
/* After the workers ended. */
void term_fini(void);

/* Nanoseconds until the worker's next timer; 0: there is something to do now, UINT64_MAX: none
 * runs. */
uint64_t term_idle(const struct term_worker *t);

static inline uint64_t term_idle_ns(const struct worker *w)
{
	return w->term == NULL ? UINT64_MAX : term_idle(w->term);
}

/* How many listeners and backends of pools are in a network instance. Control thread. */
unsigned int term_vrf_users(uint16_t vrf);
/* True if a pool has backends in the instance that are reached under the clients' addresses.
 * Control thread. */
bool term_is_transparent(uint16_t vrf);
/* Brings the drop counters of the list of drops up to date. Control thread. */
void term_drops_update(void);

#endif
