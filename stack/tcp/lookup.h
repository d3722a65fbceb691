/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multimap from 32-bit hashes to 32-bit values in buckets of one cache line, so that a lookup
 * costs one cache miss in the usual case. The hash has to be keyed (hash.h). The caller compares
 * what the values stand for.
 *
 * An entry that does not fit its bucket goes to the next one with room, and each bucket passed
 * counts it: a lookup goes on while buckets have such a count, so that nothing is left behind when
 * entries are removed.
 */
#ifndef MILLRACE_TCP_LOOKUP_H
#define MILLRACE_TCP_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "slab.h"

#define TCP_LOOKUP_WAYS 7

struct tcp_lookup_bucket {
	uint32_t tag[TCP_LOOKUP_WAYS];
	/* Entries that passed this bucket because it was full. */
	uint32_t overflow;
	uint32_t value[TCP_LOOKUP_WAYS];
	/* Bit i: entry i is in use. */
	uint32_t used;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct tcp_lookup_bucket) == 64, "one cache line");

struct tcp_lookup {
	struct tcp_lookup_bucket *buckets;
	/* Buckets less one, a power of two less one. */
	uint32_t mask;
	uint32_t count, max;
};

struct tcp_lookup_it {
	uint32_t hash;
	uint32_t bucket;
	/* Entries of the bucket that match and have not been given yet. */
	uint32_t matches;
	/* Buckets that may still be looked at: ends the walk should all have overflown. */
	uint32_t left;
};

/* For max_entries at a load of at most 60 percent; max_entries at most 2^31. */
size_t tcp_lookup_bytes(uint32_t max_entries);
/* mem: zeroed, aligned to 64; it is not touched before it is used. */
void tcp_lookup_init(struct tcp_lookup *t, void *mem, uint32_t max_entries);

static inline void tcp_lookup_prefetch(const struct tcp_lookup *t, uint32_t hash)
{
	__builtin_prefetch(&t->buckets[hash & t->mask], 0, 3);
}

/* Bits of the entries in use whose tag is hash. */
static inline uint32_t tcp_lookup_match(const struct tcp_lookup_bucket *b, uint32_t hash)
{
#ifdef __SSE2__
	const __m128i h = _mm_set1_epi32((int)hash);
	const __m128i lo = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)b), h);
	/* Its last lane is the overflow count, which `used` masks out. */
	const __m128i hi = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)b + 1), h);
	const __m128i both = _mm_packs_epi16(_mm_packs_epi32(lo, hi), _mm_setzero_si128());

	return (uint32_t)_mm_movemask_epi8(both) & b->used;
#else
	uint32_t m = 0;

	for (unsigned int i = 0; i < TCP_LOOKUP_WAYS; i++)
		m |= (uint32_t)(b->tag[i] == hash) << i;
	return m & b->used;
#endif
}

/* The next value stored under the hash; TCP_NIL: no more. */
static inline uint32_t tcp_lookup_next(const struct tcp_lookup *t, struct tcp_lookup_it *it)
{
	const struct tcp_lookup_bucket *b = &t->buckets[it->bucket];

	while (it->matches == 0) {
		if (__builtin_expect(b->overflow == 0 || it->left == 0, 1))
			return TCP_NIL;
		it->left--;
		it->bucket = (it->bucket + 1) & t->mask;
		b = &t->buckets[it->bucket];
		it->matches = tcp_lookup_match(b, it->hash);
	}
	const unsigned int i = (unsigned int)__builtin_ctz(it->matches);

	it->matches &= it->matches - 1;
	return b->value[i];
}

/* The first value; in no particular order. The table must not change until the walk is over. */
static inline uint32_t tcp_lookup_first(const struct tcp_lookup *t, uint32_t hash,
					struct tcp_lookup_it *it)
{
	it->hash = hash;
	it->bucket = hash & t->mask;
	it->left = t->mask;
	it->matches = tcp_lookup_match(&t->buckets[it->bucket], hash);
	return tcp_lookup_next(t, it);
}

/* False: max_entries are in. The same pair may be there twice. */
bool tcp_lookup_insert(struct tcp_lookup *t, uint32_t hash, uint32_t value);
/* False: not there. */
bool tcp_lookup_remove(struct tcp_lookup *t, uint32_t hash, uint32_t value);
/* Puts `with` where `old` is. False: not there. */
bool tcp_lookup_replace(struct tcp_lookup *t, uint32_t hash, uint32_t old, uint32_t with);

#endif
