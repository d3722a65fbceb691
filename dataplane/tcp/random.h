/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers nobody can guess, without system calls: ChaCha20 (RFC 8439) with a key from the
 * kernel, which each block replaces, so that what was given out cannot be found again in memory.
 */
#ifndef MILLRACE_TCP_RANDOM_H
#define MILLRACE_TCP_RANDOM_H

#include <stdint.h>

#define TERM_RANDOM_BLOCKS 8

struct term_random {
	uint32_t key[8];
	uint64_t counter;
	/* Numbers of out that were not given out yet. */
	uint32_t left;
	uint64_t out[TERM_RANDOM_BLOCKS * 8];
};

/* Seeds from the kernel: 0 or a negative errno. */
int term_random_init(struct term_random *r);
/* Seeds with a key of one's own, for tests. */
void term_random_key(struct term_random *r, const uint32_t key[8]);
uint64_t term_random(struct term_random *r);
/* One block of ChaCha20. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint32_t out[16]);

#endif
