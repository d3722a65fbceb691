/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#define FULL ((1u << TCP_LOOKUP_WAYS) - 1)

static uint32_t bucket_count(uint32_t max_entries)
{
	/* 60 percent of 7 entries are 4.2: 5 buckets for 21 entries. */
	const uint64_t want = ((uint64_t)max_entries * 5 + 20) / 21;
	uint32_t n = 1;

	while (n < want)
		n <<= 1;
	return n;
}

size_t tcp_lookup_bytes(uint32_t max_entries)
{
	return (size_t)bucket_count(max_entries) * sizeof(struct tcp_lookup_bucket);
}

void tcp_lookup_init(struct tcp_lookup *t, void *mem, uint32_t max_entries)
{
	*t = (struct tcp_lookup){
		.buckets = mem, .mask = bucket_count(max_entries) - 1, .max = max_entries};
}

bool tcp_lookup_insert(struct tcp_lookup *t, uint32_t hash, uint32_t value)
{
	struct tcp_lookup_bucket *b;
	uint32_t at = hash & t->mask;
	unsigned int i;

	/* The buckets have room for more than max entries: the walk ends. */
	if (t->count >= t->max)
		return false;
	for (b = &t->buckets[at]; b->used == FULL; b = &t->buckets[at]) {
		b->overflow++;
		at = (at + 1) & t->mask;
	}
	i = (unsigned int)__builtin_ctz(~b->used);
	b->tag[i] = hash;
	b->value[i] = value;
	b->used |= 1u << i;
	t->count++;
	return true;
}

/* The bucket and place of the pair; NULL: not there. */
static struct tcp_lookup_bucket *find(const struct tcp_lookup *t, uint32_t hash, uint32_t value,
				      unsigned int *place)
{
	uint32_t at = hash & t->mask, left = t->mask;

	for (;;) {
		struct tcp_lookup_bucket *b = &t->buckets[at];

		for (uint32_t m = tcp_lookup_match(b, hash); m != 0; m &= m - 1) {
			const unsigned int i = (unsigned int)__builtin_ctz(m);

			if (b->value[i] == value) {
				*place = i;
				return b;
			}
		}
		if (b->overflow == 0 || left-- == 0)
			return NULL;
		at = (at + 1) & t->mask;
	}
}

bool tcp_lookup_remove(struct tcp_lookup *t, uint32_t hash, uint32_t value)
{
	unsigned int i;
	struct tcp_lookup_bucket *b = find(t, hash, value, &i);

	if (b == NULL)
		return false;
	b->used &= ~(1u << i);
	t->count--;
	for (uint32_t at = hash & t->mask; &t->buckets[at] != b; at = (at + 1) & t->mask)
		t->buckets[at].overflow--;
	return true;
}

bool tcp_lookup_replace(struct tcp_lookup *t, uint32_t hash, uint32_t old, uint32_t with)
{
	unsigned int i;
	struct tcp_lookup_bucket *b = find(t, hash, old, &i);

	if (b == NULL)
		return false;
	b->value[i] = with;
	return true;
}
