/* SPDX-License-Identifier: Apache-2.0 */
/* The slab, and the lookup table against a plain array. */
#include "check_test.h"
#include "lookup.h"

#include <string.h>

#define MAX 3000

static void *zeroed(size_t bytes)
{
	void *p = aligned_alloc(64, bytes);

	CHECK(p != NULL);
	memset(p, 0, bytes);
	return p;
}

static void test_slab(void)
{
	struct tcp_slab s;
	uint8_t *mem;

	CHECK_EQ(tcp_slab_bytes(3, 20), 64);
	CHECK_EQ(tcp_slab_bytes(UINT32_MAX, 512), (size_t)UINT32_MAX * 512);
	mem = malloc(tcp_slab_bytes(3, 20));
	CHECK(mem != NULL);
	memset(mem, 0x5a, tcp_slab_bytes(3, 20));
	tcp_slab_init(&s, mem, 3, 20);
	for (unsigned int i = 0; i < 64; i++)
		CHECK_EQ(mem[i], 0x5a);
	CHECK_EQ(tcp_slab_alloc(&s), 0);
	CHECK_EQ(tcp_slab_alloc(&s), 1);
	CHECK(tcp_slab_at(&s, 1) == mem + 20);
	tcp_slab_free(&s, 0);
	tcp_slab_free(&s, 1);
	CHECK_EQ(s.used, 0);
	CHECK_EQ(s.fresh, 2);
	/* Last in, first out; what was never used comes last and was never touched. */
	CHECK_EQ(tcp_slab_alloc(&s), 1);
	CHECK_EQ(tcp_slab_alloc(&s), 0);
	for (unsigned int i = 40; i < 64; i++)
		CHECK_EQ(mem[i], 0x5a);
	CHECK_EQ(tcp_slab_alloc(&s), 2);
	CHECK_EQ(tcp_slab_alloc(&s), TCP_NIL);
	CHECK_EQ(s.used, 3);
	tcp_slab_free(&s, 1);
	CHECK_EQ(tcp_slab_alloc(&s), 1);
	free(mem);
}

struct entry {
	uint32_t hash, value;
};

/* All values under a hash, as the table and as the model have them. */
static void compare(const struct tcp_lookup *t, const struct entry *e, uint32_t n, uint32_t hash)
{
	static uint8_t seen[MAX * 2];
	struct tcp_lookup_it it;
	uint32_t want = 0, got = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (e[i].hash == hash) {
			seen[e[i].value]++;
			want++;
		}
	}
	for (uint32_t v = tcp_lookup_first(t, hash, &it); v != TCP_NIL;
	     v = tcp_lookup_next(t, &it)) {
		CHECK(v < MAX * 2 && seen[v] > 0);
		seen[v]--;
		got++;
	}
	CHECK_EQ(got, want);
}

/* spread: how many hashes there are; few make buckets overflow heavily. */
static void test_model(uint32_t max, uint32_t spread, unsigned int rounds, uint64_t seed)
{
	static struct entry e[MAX];
	struct tcp_lookup t;
	uint32_t n = 0, value = 0;
	void *mem = zeroed(tcp_lookup_bytes(max));

	tcp_lookup_init(&t, mem, max);
	for (unsigned int i = 0; i < rounds; i++) {
		/* Tags that differ in what chooses the bucket and tags that do not. */
		const uint32_t pick = (uint32_t)(test_random(&seed) % spread);
		const uint32_t hash = (pick & 1) != 0 ? pick * 0x9e3779b1u : pick << 24;
		/* Fills up, empties, fills up … */
		const bool grow = test_random(&seed) % 100 < ((i / (rounds / 6)) % 2 ? 35 : 65);
		const uint32_t k = n != 0 ? (uint32_t)(test_random(&seed) % n) : 0;

		if (grow) {
			const bool ok = tcp_lookup_insert(&t, hash, value % (MAX * 2));

			CHECK_EQ(ok, n < max);
			if (ok)
				e[n++] = (struct entry){hash, value++ % (MAX * 2)};
		} else if (n != 0 && test_random(&seed) % 8 == 0) {
			CHECK(tcp_lookup_replace(&t, e[k].hash, e[k].value, value % (MAX * 2)));
			e[k].value = value++ % (MAX * 2);
		} else if (n != 0) {
			CHECK(tcp_lookup_remove(&t, e[k].hash, e[k].value));
			e[k] = e[--n];
		}
		CHECK_EQ(t.count, n);
		compare(&t, e, n, hash);
		CHECK(!tcp_lookup_remove(&t, hash, MAX * 2));
		CHECK(!tcp_lookup_replace(&t, hash, MAX * 2, 1));
	}
	while (n != 0) {
		n--;
		CHECK(tcp_lookup_remove(&t, e[n].hash, e[n].value));
	}
	/* Nothing is left behind: no overflow, no use. */
	for (uint32_t b = 0; b <= t.mask; b++) {
		CHECK_EQ(t.buckets[b].overflow, 0);
		CHECK_EQ(t.buckets[b].used, 0);
	}
	free(mem);
}

static void test_small(void)
{
	struct tcp_lookup t;
	struct tcp_lookup_it it;
	void *mem = zeroed(tcp_lookup_bytes(1));

	CHECK_EQ(tcp_lookup_bytes(1), 64);
	tcp_lookup_init(&t, mem, 1);
	/* A tag of 0 is a tag like any other; so is a value of 0. */
	CHECK_EQ(tcp_lookup_first(&t, 0, &it), TCP_NIL);
	CHECK(tcp_lookup_insert(&t, 0, 0));
	CHECK(!tcp_lookup_insert(&t, 0, 1));
	CHECK_EQ(tcp_lookup_first(&t, 0, &it), 0);
	CHECK_EQ(tcp_lookup_next(&t, &it), TCP_NIL);
	CHECK_EQ(tcp_lookup_next(&t, &it), TCP_NIL);
	free(mem);
	/* 60 percent at most. */
	for (uint32_t n = 1; n < 1u << 24; n = n * 3 + 1) {
		const uint64_t slots = tcp_lookup_bytes(n) / 64 * TCP_LOOKUP_WAYS;

		CHECK(n * UINT64_C(10) <= slots * 6);
	}
}

/* A hash whose tag equals the overflow count must not be taken for an entry. */
static void test_overflow_lane(void)
{
	struct tcp_lookup t;
	struct tcp_lookup_it it;
	void *mem = zeroed(tcp_lookup_bytes(60));

	tcp_lookup_init(&t, mem, 60);
	for (uint32_t i = 0; i < 7 + 16; i++)
		CHECK(tcp_lookup_insert(&t, 0x100, i));
	CHECK_EQ(t.buckets[0].overflow, 16);
	CHECK_EQ(tcp_lookup_first(&t, 16, &it), TCP_NIL);
	free(mem);
}

int main(void)
{
	test_slab();
	test_small();
	test_overflow_lane();
	test_model(MAX, UINT32_MAX / 2, 20000, 1);
	test_model(MAX, 500, 20000, 2);
	test_model(400, 3, 20000, 3);
	test_model(9, 40, 20000, 4);
	test_model(4, 2, 20000, 5);
	return 0;
}
