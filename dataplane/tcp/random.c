/* SPDX-License-Identifier: Apache-2.0 */
#include "random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static inline uint32_t rotl(uint32_t v, int n)
{
	return v << n | v >> (32 - n);
}

#define QUARTER(a, b, c, d)                                                                        \
	do {                                                                                       \
		a += b;                                                                            \
		d = rotl(d ^ a, 16);                                                               \
		c += d;                                                                            \
		b = rotl(b ^ c, 12);                                                               \
		a += b;                                                                            \
		d = rotl(d ^ a, 8);                                                                \
		c += d;                                                                            \
		b = rotl(b ^ c, 7);                                                                \
	} while (0)

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint32_t out[16])
{
	/* "expand 32-byte k" */
	uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, [12] = counter};
	uint32_t x[16];

	memcpy(in + 4, key, 32);
	memcpy(in + 13, nonce, 12);
	memcpy(x, in, sizeof(x));
	for (int i = 0; i < 10; i++) {
		QUARTER(x[0], x[4], x[8], x[12]);
		QUARTER(x[1], x[5], x[9], x[13]);
		QUARTER(x[2], x[6], x[10], x[14]);
		QUARTER(x[3], x[7], x[11], x[15]);
		QUARTER(x[0], x[5], x[10], x[15]);
		QUARTER(x[1], x[6], x[11], x[12]);
		QUARTER(x[2], x[7], x[8], x[13]);
		QUARTER(x[3], x[4], x[9], x[14]);
	}
	for (int i = 0; i < 16; i++)
		out[i] = x[i] + in[i];
}

void term_random_key(struct term_random *r, const uint32_t key[8])
{
	memset(r, 0, sizeof(*r));
	memcpy(r->key, key, sizeof(r->key));
}

int term_random_init(struct term_random *r)
{
	uint32_t key[8];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -errno;
	term_random_key(r, key);
	return 0;
}

static void refill(struct term_random *r)
{
	const uint32_t nonce[3] = {(uint32_t)r->counter, (uint32_t)(r->counter >> 32), 0};
	uint32_t block[16];

	for (uint32_t i = 0; i < TERM_RANDOM_BLOCKS; i++) {
		chacha20_block(r->key, i + 1, nonce, block);
		memcpy(&r->out[i * 8], block, sizeof(block));
	}
	chacha20_block(r->key, 0, nonce, block);
	memcpy(r->key, block, sizeof(r->key));
	r->counter++;
	r->left = TERM_RANDOM_BLOCKS * 8;
}

uint64_t term_random(struct term_random *r)
{
	uint64_t v;

	if (r->left == 0)
		refill(r);
	v = r->out[--r->left];
	r->out[r->left] = 0;
	return v;
}
