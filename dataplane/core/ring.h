/* SPDX-License-Identifier: Apache-2.0 */
/* What only the core needs of the rings. */
#ifndef MILLRACE_CORE_RING_H
#define MILLRACE_CORE_RING_H

#include "worker.h"

/* prefix makes the names unique within the process. */
int punt_rings_create(unsigned int prefix);
unsigned int punt_ring_count(enum punt_ring ring);
unsigned int punt_ring_size(enum punt_ring ring);
/* Wakes a worker that sleeps. Any thread; after the enqueue. */
void worker_kick(struct worker *w);

#endif
