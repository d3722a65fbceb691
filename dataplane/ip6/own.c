/* SPDX-License-Identifier: Apache-2.0 */
#include "../iface/iface.h"
#include "own.h"

uint64_t ip6_own_bloom[1024];

void ip6_own_rebuild(void)
{
	uint64_t fresh[RTE_DIM(ip6_own_bloom)] = {0};
	const struct iface *i;

	iface_foreach (i) {
		for (unsigned int k = 0; k < i->n_addrs; k++) {
			uint32_t h = ip6_own_hash(i->addrs[k].addr.b);

			if (i->addrs[k].addr.len == 16)
				fresh[h >> 6] |= 1ull << (h & 63);
		}
	}
	/* Word by word: workers read it all the time. */
	for (unsigned int k = 0; k < RTE_DIM(fresh); k++)
		__atomic_store_n(&ip6_own_bloom[k], fresh[k], __ATOMIC_RELAXED);
}
