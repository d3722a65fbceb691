/* SPDX-License-Identifier: Apache-2.0 */
#include "maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int svc_is_prime(uint32_t n)
{
	if (n < 4)
		return n >= 2;
	if (n % 2 == 0)
		return 0;
	for (uint32_t d = 3; (uint64_t)d * d <= n; d += 2)
		if (n % d == 0)
			return 0;
	return 1;
}

uint64_t svc_hash(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t h = svc_mix(seed + 0x9e3779b97f4a7c15ull * (len + 1));

	for (; len >= 8; len -= 8, p += 8) {
		/* Put together octet by octet, so that the result is the same on any machine. */
		uint64_t w = 0;

		for (int i = 0; i < 8; i++)
			w |= (uint64_t)p[i] << (8 * i);
		h = svc_mix(h ^ w) + 0x9e3779b97f4a7c15ull;
	}
	if (len > 0) {
		uint64_t w = 0;

		for (size_t i = 0; i < len; i++)
			w |= (uint64_t)p[i] << (8 * i);
		h = svc_mix(h ^ w) + 0x9e3779b97f4a7c15ull;
	}
	return svc_mix(h);
}

struct filler {
	uint64_t id;
	/* Where its permutation is, and how far it goes on each time. */
	uint32_t pos, skip;
	uint32_t weight, credit;
	uint16_t index;
};

/* Members take turns in the order of their identities, not in that of the configuration. */
static int by_id(const void *a, const void *b)
{
	const struct filler *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void take_next_free(struct filler *f, uint16_t *table, uint32_t size)
{
	/* The skip is prime to the size, so every entry comes up once before the first again. */
	while (table[f->pos] != SVC_MAGLEV_NONE)
		f->pos = (f->pos + f->skip) % size;
	table[f->pos] = f->index;
}

int svc_maglev_fill(uint16_t *table, uint32_t size, const struct svc_maglev_member *m, uint32_t n)
{
	struct filler *f;
	uint32_t used = 0, max_weight = 0, left = size;

	if (size <= n || n >= SVC_MAGLEV_NONE || !svc_is_prime(size))
		return -EINVAL;
	memset(table, 0xff, (size_t)size * sizeof(*table));
	if (n == 0)
		return 0;
	f = calloc(n, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t h = svc_mix(m[i].id ^ 0x6d61676c65760001ull);

		if (m[i].weight == 0)
			continue;
		if (m[i].weight > max_weight)
			max_weight = m[i].weight;
		f[used++] = (struct filler){
			.id = m[i].id,
			.pos = (uint32_t)(h % size),
			.skip = (uint32_t)(svc_mix(h) % (size - 1)) + 1,
			.weight = m[i].weight,
			.index = (uint16_t)i,
		};
	}
	qsort(f, used, sizeof(*f), by_id);
	while (used > 0 && left > 0) {
		/* One round: who has the largest weight takes an entry each time, the others as
		 * often as their credit allows. */
		for (uint32_t i = 0; i < used && left > 0; i++) {
			f[i].credit += f[i].weight;
			if (f[i].credit < max_weight)
				continue;
			f[i].credit -= max_weight;
			take_next_free(&f[i], table, size);
			left--;
		}
	}
	free(f);
	return 0;
}
