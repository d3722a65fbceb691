/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweep: deletes an owner's objects of older epochs in an order in which nothing that is still
 * referred to is deleted. It is done in slices, since a million routes take longer than the
 * neighbours may wait.
 */
#ifndef MILLRACE_SEAM_SWEEP_H
#define MILLRACE_SEAM_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "../fib/fib.h"

enum sweep_stage {
	SWEEP_TCP_LISTENERS = 0,
	SWEEP_TCP_POOLS,
	SWEEP_ROUTES,
	SWEEP_GROUPS,
	SWEEP_NEXT_HOPS,
	SWEEP_NEIGHBORS,
	SWEEP_ADDRESSES,
	SWEEP_RAS,
	SWEEP_VLANS,
	SWEEP_INTERFACES,
	SWEEP_VRFS,
	SWEEP_DONE,
};

struct sweep {
	enum sweep_stage stage;
	uint8_t owner;
	uint64_t epoch;
	uint32_t at;
	struct fib_sweep fib;
	uint64_t deleted[SWEEP_DONE];
};

void sweep_begin(struct sweep *s, uint8_t owner, uint64_t epoch);
/* Looks at or deletes about that many objects; true when all is done. */
bool sweep_step(struct sweep *s, unsigned int budget);

#endif
