/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_SIM_ATTACKER_H
#define MILLRACE_SIM_ATTACKER_H

#include "app.h"

struct attacker {
	struct world *w;
	struct rng rng;
	uint32_t left;
	uint64_t pause_ns;
	/* Share of SYNs and ACKs at listeners; the rest is at connections. */
	uint32_t flood_percent;
};

void attacker_start(struct attacker *a, struct world *w, uint32_t strikes, uint64_t pause_ns,
		    uint32_t flood_percent);
/* Changes a segment in some way, with good checksums; returns its length. */
uint32_t lie(struct rng *r, uint8_t *p, uint32_t len);

#endif
