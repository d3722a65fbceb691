/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consistent hashing with a lookup table, as Google's Maglev does it (Eisenbud et al., "Maglev: A
 * Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4): each member has its
 * own permutation of the table's entries, and members in turn take the next free entry of theirs.
 * A lookup costs one load, members get their share almost exactly, and when one comes or goes
 * hardly any entry changes between the others.
 *
 * The table depends on the members' identities and weights only, neither on the order they are
 * given in nor on the machine: boxes that share clients by ECMP agree about who serves whom.
 */
#ifndef MILLRACE_SVC_MAGLEV_H
#define MILLRACE_SVC_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

/* Entries of a table unless told otherwise; a prime, far above the number of members times 100. */
#define SVC_MAGLEV_SIZE 65537u
/* What an entry holds if there is no member with a weight. */
#define SVC_MAGLEV_NONE UINT16_MAX

struct svc_maglev_member {
	/* Hash of what identifies the member; equal ones are told apart by their index. */
	uint64_t id;
	/* Share of the table; 0: none. */
	uint32_t weight;
};

/*
 * Fills table[0..size-1] with indices into m[0..n-1]. size is a prime above n; n < 65535. Returns
 * 0, or a negative errno: -EINVAL, -ENOMEM. Allocates: not for a packet's path.
 */
int svc_maglev_fill(uint16_t *table, uint32_t size, const struct svc_maglev_member *m, uint32_t n);

/* Whether n is a prime; of use for checking a configured size. */
int svc_is_prime(uint32_t n);

/* A fixed mixing of len octets, good in all its bits; not meant to resist an adversary who knows
 * the seed. */
uint64_t svc_hash(const void *data, size_t len, uint64_t seed);

/* All bits of x spread over all bits of the result; one to one. */
static inline uint64_t svc_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

#endif
