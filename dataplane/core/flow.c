/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/random.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "flow.h"

uint32_t flow_seed;
uint32_t flow_multiplier = 0x9e3779b1;

/* In a constructor, since hashes have to be the same from the first packet to the last. */
RTE_INIT(flow_seed_init)
{
	uint32_t r[2];

	if (getrandom(r, sizeof(r), GRND_NONBLOCK) != sizeof(r)) {
		uint64_t t = rte_rdtsc() * 0x9e3779b97f4a7c15ull;

		memcpy(r, &t, sizeof(r));
	}
	flow_seed = r[0];
	flow_multiplier = r[1] | 1;
}
