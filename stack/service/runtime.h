/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the runtime share. */
#ifndef MILLRACE_SVC_RUNTIME_H
#define MILLRACE_SVC_RUNTIME_H

#include "../tcp/slab.h"
#include "service.h"

/* What a listener is in: `l` is what services see. */
struct svc_entry {
	struct svc_listener l;
	struct tcp_listener *tl;
	struct svc_entry *next;
	enum svc_drain {
		/* Replaced: connections go on until they end. */
		SVC_DRAIN_NONE,
		/* The walk that asks connections to end; what is left at the deadline is reset. */
		SVC_DRAIN_ASK,
		SVC_DRAIN_WAIT,
		SVC_DRAIN_RESET,
	} drain;
	uint32_t cursor;
	uint64_t deadline;
};

struct svc {
	struct tcp_engine *e;
	struct svc_env env;
	uint64_t now;
	/* In force, and deleted or replaced with connections left. */
	struct svc_entry *live, *old;
	uint32_t n_live, n_old;
	struct {
		void *shared;
		struct tcp_slab slab;
	} types[SVC_KINDS];
	/* Wall clock: when it is asked again, what it said, as a Date. */
	uint64_t wall_at, wall_s;
	char date[32];
};

extern const struct svc_type *const svc_types[SVC_KINDS];

/* RFC 9110 section 5.6.7, IMF-fixdate: 29 octets and a 0. */
void svc_date_format(uint64_t wall_s, char out[30]);

void svc_listener_poll(struct svc *s);
uint64_t svc_listener_next(const struct svc *s);
/* After all connections ended. */
void svc_listener_free_all(struct svc *s);

int svc_http_check(const struct svc_listener_cfg *cfg, struct svc_fault *fault);
void svc_http_free(struct svc_listener_cfg *cfg);

#endif
