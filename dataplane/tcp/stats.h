/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of listeners, pools, backends and engines, all workers together. */
#ifndef MILLRACE_TCP_STATS_H
#define MILLRACE_TCP_STATS_H

#include "objects.h"

#define TERM_STATS_BATCH 64

/* Of n listeners, TERM_STATS_BATCH at most. ready: on all workers. */
void term_listener_stats(const uint32_t *ids, unsigned int n, struct svc_listener_stats *out);
void term_pool_stats(const uint32_t *ids, unsigned int n, struct svc_pool_stats *out);

struct term_backend_row {
	char name[64];
	struct tcp_addr addr;
	uint16_t port, vrf;
	bool draining;
	struct svc_backend_stats stats;
};
/* Those of a pool, and those left out of it that still have connections. *rows is from malloc();
 * returns how many, or a negative errno. */
int term_backend_stats(uint32_t pool, struct term_backend_row **rows);

/* Of each worker; n_workers of them. */
void term_usage(struct tcp_usage *out);
void term_mib(struct tcp_mib *sum);

#endif
