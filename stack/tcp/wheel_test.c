/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel against a plain array of deadlines. */
#include "check_test.h"
#include "wheel.h"

#include <string.h>

#define N    600
#define TICK (UINT64_C(1) << TCP_WHEEL_SHIFT)

struct record {
	uint64_t before;
	struct tcp_wheel_node node;
	uint64_t after;
};

static struct record records[N];
/* UINT64_MAX: does not wait. */
static uint64_t deadline[N];
static struct tcp_wheel w;

static void start(uint64_t now)
{
	memset(records, 0, sizeof(records));
	for (unsigned int i = 0; i < N; i++) {
		tcp_wheel_node_init(&records[i].node);
		deadline[i] = UINT64_MAX;
	}
	tcp_wheel_init(&w, records, sizeof(records[0]), offsetof(struct record, node), now);
}

static void set(uint32_t i, uint64_t at)
{
	tcp_wheel_add(&w, i, at);
	deadline[i] = at;
	CHECK(tcp_wheel_pending(&records[i].node));
}

static void unset(uint32_t i)
{
	tcp_wheel_del(&w, i);
	deadline[i] = UINT64_MAX;
	CHECK(!tcp_wheel_pending(&records[i].node));
}

static uint64_t earliest(void)
{
	uint64_t t = UINT64_MAX;

	for (unsigned int i = 0; i < N; i++)
		t = deadline[i] < t ? deadline[i] : t;
	return t;
}

/* Advances, and checks that exactly what has to fire does. Returns how many. */
static unsigned int advance(uint64_t now, unsigned int max)
{
	uint32_t out[N];
	unsigned int n, total = 0, waiting = 0;

	do {
		n = tcp_wheel_advance(&w, now, out, max);
		CHECK(n <= max);
		for (unsigned int i = 0; i < n; i++) {
			CHECK(out[i] < N);
			CHECK(deadline[out[i]] <= now);
			CHECK(!tcp_wheel_pending(&records[out[i]].node));
			deadline[out[i]] = UINT64_MAX;
		}
		total += n;
	} while (n == max);
	for (unsigned int i = 0; i < N; i++) {
		CHECK_EQ(tcp_wheel_pending(&records[i].node), deadline[i] != UINT64_MAX);
		if (deadline[i] == UINT64_MAX)
			continue;
		waiting++;
		/* A deadline in the past when it was set counts from the next tick on. */
		CHECK(deadline[i] > now || now - deadline[i] < 2 * TICK);
	}
	CHECK_EQ(w.count, waiting);
	if (waiting == 0)
		CHECK(tcp_wheel_next(&w) == UINT64_MAX);
	else
		CHECK(tcp_wheel_next(&w) / TICK <= earliest() / TICK + 1);
	return total;
}

static void test_one(uint64_t now, uint64_t delta)
{
	uint64_t t;

	start(now);
	set(7, now + delta);
	/* Follows what the wheel says, as an idle worker does. */
	for (unsigned int i = 0; (t = tcp_wheel_next(&w)) != UINT64_MAX; i++) {
		CHECK(i < 64);
		CHECK(t > now);
		CHECK(t < deadline[7] + TICK);
		CHECK_EQ(advance(t - 1, 4), 0);
		now = t;
		advance(now, 4);
	}
	CHECK(!tcp_wheel_pending(&records[7].node));
}

static void test_distances(void)
{
	for (uint64_t now = 12345; now < UINT64_C(1) << 55; now = now * 5 + 1) {
		for (unsigned int shift = 17; shift < 54; shift++) {
			test_one(now, UINT64_C(1) << shift);
			test_one(now, (UINT64_C(1) << shift) - 1);
			test_one(now, (UINT64_C(1) << shift) + TICK);
		}
	}
}

/* Beyond the reach of the last level, and jumps over years. */
static void test_far(void)
{
	const uint64_t day = UINT64_C(86400) * 1000000000;

	start(1);
	set(1, 30 * day);
	set(2, UINT64_MAX - 1);
	set(3, 0);
	CHECK_EQ(advance(29 * day, 8), 1);
	CHECK_EQ(advance(30 * day - 1, 8), 0);
	CHECK_EQ(advance(30 * day + TICK, 8), 1);
	set(4, 100 * 365 * day);
	CHECK_EQ(advance(99 * 365 * day, 8), 0);
	CHECK_EQ(advance(101 * 365 * day, 8), 1);
	CHECK(tcp_wheel_pending(&records[2].node));
	unset(2);
	unset(2);
	CHECK(tcp_wheel_next(&w) == UINT64_MAX);
	/* Time that stands still or goes back. */
	set(5, 101 * 365 * day + 10 * TICK);
	CHECK_EQ(advance(100 * 365 * day, 8), 0);
	CHECK_EQ(advance(101 * 365 * day + 11 * TICK, 8), 1);
}

/* More expire at once than the caller takes at a time, and one is set meanwhile. */
static void test_bursts(void)
{
	uint32_t out[8];

	start(TICK);
	for (uint32_t i = 0; i < 100; i++)
		set(i, 5 * TICK + i % 3);
	CHECK_EQ(tcp_wheel_advance(&w, 7 * TICK, out, 8), 8);
	for (unsigned int i = 0; i < 8; i++)
		deadline[out[i]] = UINT64_MAX;
	set(200, 6 * TICK);
	set(201, 7 * TICK + 1);
	/* Taken out of the middle and the head of a slot that is being emptied. */
	for (uint32_t i = 0; i < 100; i += 5)
		unset(i);
	advance(7 * TICK, 8);
	CHECK(!tcp_wheel_pending(&records[200].node));
	CHECK(tcp_wheel_pending(&records[201].node));
	CHECK_EQ(advance(8 * TICK, 8), 1);
}

/* A slot with more timers than are moved down at a time; each fires in time all the same. */
static void test_portions(uint64_t start_at, uint64_t delta, uint64_t spread, uint64_t step)
{
	uint64_t seed = 5, now = start_at;

	start(now);
	for (uint32_t i = 0; i < N; i++)
		set(i, now + delta + test_random(&seed) % spread);
	while (w.count != 0) {
		now += step;
		advance(now, 16);
		/* The first of a slot, which may just be being moved, is set anew. */
		for (uint32_t k = TCP_WHEEL_SLOTS; k < 3 * TCP_WHEEL_SLOTS; k++) {
			const uint32_t idx = w.head[k];

			if (idx != TCP_NIL && now < start_at + delta) {
				unset(idx);
				set(idx, start_at + delta + test_random(&seed) % spread);
				break;
			}
		}
	}
	CHECK(now < start_at + delta + spread + 2 * TICK + step);
}

static uint64_t some_delta(uint64_t *seed)
{
	const uint64_t r = test_random(seed);

	return r >> (64 - 10 - (test_random(seed) % 44));
}

static void test_model(uint64_t seed, unsigned int rounds)
{
	uint64_t now = test_random(&seed) >> 20;

	start(now);
	for (unsigned int i = 0; i < rounds; i++) {
		for (unsigned int k = test_random(&seed) % 20; k > 0; k--) {
			const uint32_t idx = test_random(&seed) % N;
			const uint64_t op = test_random(&seed) % 10;

			if (op == 0)
				unset(idx);
			else if (op == 1)
				set(idx, now - test_random(&seed) % (3 * TICK) % now);
			else if (op < 5 && deadline[idx] != UINT64_MAX)
				set(idx, deadline[idx] + test_random(&seed) % (300 * TICK));
			else
				set(idx, now + some_delta(&seed));
		}
		if (test_random(&seed) % 3 == 0 && tcp_wheel_next(&w) != UINT64_MAX)
			now = now > tcp_wheel_next(&w) ? now : tcp_wheel_next(&w);
		else
			now += some_delta(&seed) >> test_random(&seed) % 16;
		/* A deadline in the past fires at the tick after the one it was set in. */
		for (unsigned int k = 0; k < N; k++) {
			if (deadline[k] < now && now - deadline[k] < 4 * TICK)
				now += TICK;
		}
		advance(now, 1 + test_random(&seed) % 20);
		if (now >> 60 != 0)
			return;
	}
}

int main(void)
{
	CHECK_EQ(sizeof(struct tcp_wheel_node), 16);
	test_distances();
	test_far();
	test_bursts();
	test_portions(12345, 1000 * TICK, 200 * TICK, TICK);
	test_portions(12345, 1000 * TICK, 200 * TICK, TICK / 3);
	test_portions(UINT64_C(1) << 44, 140000 * TICK, 65536 * TICK, 7 * TICK);
	test_portions(UINT64_C(99) << 40, 140000 * TICK, 1000 * TICK, 5000 * TICK);
	for (uint64_t seed = 1; seed <= 60; seed++)
		test_model(seed, 1500);
	return 0;
}
