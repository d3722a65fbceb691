/* SPDX-License-Identifier: Apache-2.0 */
/* Reproducible randomness (SplitMix64): everything a run does follows from its seed. */
#ifndef MILLRACE_SIM_RNG_H
#define MILLRACE_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s;
};

static inline uint64_t rng_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint64_t rng_next(struct rng *r)
{
	return rng_mix(r->s += 0x9e3779b97f4a7c15u);
}

/* 0 to n - 1. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return n == 0 ? 0 : rng_next(r) % n;
}

/* lo to hi, both included. */
static inline uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

/* As rng_range(), each power of two as likely as the next: many small values, few large ones. */
static inline uint64_t rng_log(struct rng *r, uint64_t lo, uint64_t hi)
{
	unsigned int bits = 0;
	uint64_t span;

	while (bits < 63 && (lo << bits) < hi && (lo << bits) != 0)
		bits++;
	span = lo << rng_below(r, bits + 1);
	if (span > hi)
		span = hi;
	return rng_range(r, span, span * 2 > hi ? hi : span * 2);
}

/* True in ppm of a million cases. */
static inline bool rng_chance(struct rng *r, uint32_t ppm)
{
	return rng_below(r, 1000000) < ppm;
}

static inline bool rng_percent(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

/* An independent stream. */
static inline struct rng rng_fork(struct rng *r)
{
	return (struct rng){rng_next(r)};
}

#endif
