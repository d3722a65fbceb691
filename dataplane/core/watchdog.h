/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's watchdog: it is told that we are alive by the control thread, and only while
 * every worker goes round its loop. One that sleeps does too, since it sleeps half a second at most
 * (worker.c).
 */
#ifndef MILLRACE_CORE_WATCHDOG_H
#define MILLRACE_CORE_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#include "sdnotify.h"
#include "worker.h"

/* Counts of loops when they were last looked at. */
struct progress {
	uint64_t loops[WORKER_MAX];
};

/* Looks at the workers. Returns one that has not moved since the last look, or -1. */
int progress_look(struct progress *p, struct worker *const *all, unsigned int n);

/* Milliseconds between two looks: several within the supervisor's patience, none that a worker
 * asleep could miss. */
unsigned int watchdog_period_ms(uint64_t watchdog_us);

/* Says that we are ready, and from then on that we are alive. The workers have been launched.
 * Returns 0 or a negative errno. */
int watchdog_start(const struct sdnotify *n);
/* Says that we end. */
void watchdog_stop(void);

#endif
