/* SPDX-License-Identifier: Apache-2.0 */
/* Which IPv6 addresses may be the box's own: what a packet from outside must not have as its
 * source. */
#ifndef MILLRACE_IP6_OWN_H
#define MILLRACE_IP6_OWN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_common.h>

/* Bitmap of hashed addresses: a clear bit proves that an address is not one of ours. */
extern uint64_t ip6_own_bloom[1024];

static __rte_always_inline uint32_t ip6_own_hash(const uint8_t *addr)
{
	uint64_t w[2];

	memcpy(w, addr, sizeof(w));
	return (uint32_t)(((w[0] ^ (w[1] << 1)) + w[1]) * 0x9e3779b97f4a7c15ull >> 48);
}

static __rte_always_inline bool ip6_own_maybe(const uint8_t *addr)
{
	const uint32_t h = ip6_own_hash(addr);

	return (ip6_own_bloom[h >> 6] >> (h & 63)) & 1;
}

/* Fills the bitmap anew from the preferred addresses of all interfaces. Control thread, whenever a
 * view was published. */
void ip6_own_rebuild(void);

#endif
