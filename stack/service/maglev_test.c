/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the consistent hash: shares, weights, and how little moves when members change. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maglev.h"

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define MAX 1024

static uint16_t before[SVC_MAGLEV_SIZE], after[SVC_MAGLEV_SIZE];
static struct svc_maglev_member m[MAX];

static void members(uint32_t n, uint32_t weight)
{
	for (uint32_t i = 0; i < n; i++)
		m[i] = (struct svc_maglev_member){.id = svc_hash(&i, sizeof(i), 0),
						  .weight = weight};
}

static void fill(uint16_t *t, uint32_t n)
{
	int rc = svc_maglev_fill(t, SVC_MAGLEV_SIZE, m, n);

	CHECK(rc == 0, "%d", rc);
	for (uint32_t i = 0; i < SVC_MAGLEV_SIZE; i++)
		CHECK(t[i] < n, "entry %u is %u", i, t[i]);
}

static uint32_t entries_of(const uint16_t *t, uint32_t who)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SVC_MAGLEV_SIZE; i++)
		n += t[i] == who;
	return n;
}

static void test_shares(void)
{
	static const uint32_t counts[] = {1, 2, 3, 10, 100, 1000};

	for (size_t k = 0; k < sizeof(counts) / sizeof(*counts); k++) {
		uint32_t n = counts[k];

		members(n, 1);
		fill(before, n);
		/* They take turns: nobody is ahead by more than one entry. */
		for (uint32_t i = 0; i < n; i++) {
			uint32_t e = entries_of(before, i);

			CHECK(e == SVC_MAGLEV_SIZE / n || e == SVC_MAGLEV_SIZE / n + 1,
			      "member %u of %u has %u entries", i, n, e);
		}
	}
}

static void test_weights(void)
{
	static const uint32_t weights[] = {0, 1, 2, 5, 10, 100, 255};
	const uint32_t n = sizeof(weights) / sizeof(*weights);
	uint32_t sum = 0;

	members(n, 1);
	for (uint32_t i = 0; i < n; i++)
		sum += m[i].weight = weights[i];
	fill(before, n);
	for (uint32_t i = 0; i < n; i++) {
		double want = (double)SVC_MAGLEV_SIZE * weights[i] / sum;
		double have = entries_of(before, i);

		CHECK(have >= want - 2 && have <= want + 2, "weight %u: %.0f entries, not %.0f",
		      weights[i], have, want);
	}
}

/* Entries that belong to another than before, though who they belonged to is still there. */
static uint32_t moved_needlessly(uint32_t gone)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SVC_MAGLEV_SIZE; i++)
		n += before[i] != after[i] && before[i] != gone;
	return n;
}

static void test_removal(void)
{
	static const struct {
		uint32_t n;
		double bound;
	} cases[] = {{3, 0.01}, {10, 0.02}, {100, 0.03}, {1000, 0.06}};

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		uint32_t n = cases[k].n, gone = n / 2, moved;

		members(n, 1);
		fill(before, n);
		m[gone].weight = 0;
		fill(after, n);
		CHECK(entries_of(after, gone) == 0, "%u entries left", entries_of(after, gone));
		moved = moved_needlessly(gone);
		CHECK(moved <= cases[k].bound * SVC_MAGLEV_SIZE,
		      "%u of %u members: %u entries (%.2f %%) moved between others", gone, n, moved,
		      100.0 * moved / SVC_MAGLEV_SIZE);
	}
}

static void test_addition(void)
{
	const uint32_t n = 101;
	uint32_t moved = 0;

	members(n, 1);
	m[n - 1].weight = 0;
	fill(before, n);
	m[n - 1].weight = 1;
	fill(after, n);
	for (uint32_t i = 0; i < SVC_MAGLEV_SIZE; i++)
		moved += before[i] != after[i] && after[i] != n - 1;
	CHECK(moved <= SVC_MAGLEV_SIZE * 3 / 100, "%u entries moved between others", moved);
}

/* A change of one's weight moves what it gains or loses and little else. */
static void test_weight_change(void)
{
	const uint32_t n = 20;
	uint32_t moved = 0, changed = 0;

	members(n, 100);
	fill(before, n);
	m[3].weight = 50;
	fill(after, n);
	for (uint32_t i = 0; i < SVC_MAGLEV_SIZE; i++) {
		changed += before[i] != after[i];
		moved += before[i] != after[i] && before[i] != 3 && after[i] != 3;
	}
	CHECK(moved <= SVC_MAGLEV_SIZE * 5 / 100, "%u of %u entries moved between others", moved,
	      changed);
}

static void test_order(void)
{
	const uint32_t n = 50;

	members(n, 1);
	for (uint32_t i = 0; i < n; i++)
		m[i].weight = 1 + i % 7;
	fill(before, n);
	for (uint32_t i = 0; i < n / 2; i++) {
		struct svc_maglev_member x = m[i];

		m[i] = m[n - 1 - i];
		m[n - 1 - i] = x;
	}
	fill(after, n);
	for (uint32_t i = 0; i < SVC_MAGLEV_SIZE; i++)
		CHECK(before[i] == n - 1 - after[i], "entry %u: %u and %u", i, before[i], after[i]);
}

static void test_edges(void)
{
	uint16_t small[7];

	members(10, 1);
	CHECK(svc_maglev_fill(before, 65536, m, 10) == -EINVAL, "65536 is no prime");
	CHECK(svc_maglev_fill(small, 7, m, 7) == -EINVAL, "no more members than entries");
	CHECK(svc_maglev_fill(small, 7, m, 6) == 0, "six on seven");
	CHECK(svc_maglev_fill(small, 7, m, 0) == 0, "none");
	for (int i = 0; i < 7; i++)
		CHECK(small[i] == SVC_MAGLEV_NONE, "entry %d is %u", i, small[i]);
	members(2, 0);
	CHECK(svc_maglev_fill(small, 7, m, 2) == 0, "none with a weight");
	CHECK(small[3] == SVC_MAGLEV_NONE, "%u", small[3]);
	/* Two that cannot be told apart still share. */
	members(2, 1);
	m[1].id = m[0].id;
	fill(before, 2);
	CHECK(entries_of(before, 0) - entries_of(before, 1) == 1, "%u", entries_of(before, 0));
	CHECK(svc_is_prime(2) && svc_is_prime(3) && svc_is_prime(65537) && svc_is_prime(1048573),
	      "primes");
	CHECK(!svc_is_prime(0) && !svc_is_prime(1) && !svc_is_prime(4) && !svc_is_prime(65535) &&
		      !svc_is_prime(65521u * 65521u),
	      "not primes");
}

/* Sources that count up spread over the members as chance would have it. */
static void test_keys(void)
{
	const uint32_t n = 16, keys = 160000;
	uint32_t got[16] = {0};
	double chi2 = 0;

	members(n, 1);
	fill(before, n);
	for (uint32_t i = 0; i < keys; i++) {
		uint8_t addr[16] = {[10] = 0xff,       0xff,	  10, (uint8_t)(i >> 16),
				    (uint8_t)(i >> 8), (uint8_t)i};

		got[before[svc_hash(addr, sizeof(addr), 0) % SVC_MAGLEV_SIZE]]++;
	}
	for (uint32_t i = 0; i < n; i++) {
		double d = got[i] - (double)keys / n;

		chi2 += d * d / ((double)keys / n);
	}
	/* 15 degrees of freedom: above 45 once in ten thousand. The keys are fixed. */
	CHECK(chi2 < 45, "chi squared %.1f", chi2);
	CHECK(svc_hash("a", 1, 0) != svc_hash("a", 1, 1), "the seed counts");
	CHECK(svc_hash("a\0", 2, 0) != svc_hash("a", 1, 0), "the length counts");
}

int main(void)
{
	test_shares();
	test_weights();
	test_removal();
	test_addition();
	test_weight_change();
	test_order();
	test_edges();
	test_keys();
	return 0;
}
