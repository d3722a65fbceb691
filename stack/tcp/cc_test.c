/* SPDX-License-Identifier: Apache-2.0 */
/* NewReno, CUBIC and what they share. */
#include <math.h>
#include <string.h>

#include "cc_common.h"
#include "cc_model.h"

static struct tcp_cc new_cc(const struct tcp_cc_ops *ops, uint32_t rtt_us)
{
	struct tcp_cc cc = {.cwnd = 10,
			    .init_cwnd = 10,
			    .ssthresh = TCP_INFINITE_SSTHRESH,
			    .mss = MODEL_MSS,
			    .srtt_us = rtt_us,
			    .min_rtt_us = rtt_us};

	ops->init(&cc, 1000000);
	return cc;
}

static void ack(const struct tcp_cc_ops *ops, struct tcp_cc *cc, uint64_t now_us, uint32_t n,
		bool limited)
{
	struct tcp_rate r = {.now_us = now_us,
			     .delivered = n,
			     .acked = n,
			     .rtt_us = cc->srtt_us,
			     .prior_in_flight = cc->cwnd,
			     .in_flight = cc->cwnd - cc_min(n, cc->cwnd),
			     .cwnd_limited = limited};

	cc->delivered += n;
	cc->snd_una += n;
	cc->snd_nxt = cc->snd_una + cc->cwnd;
	ops->ack(cc, &r);
}

/* One round trip in ACKs of `stretch` segments each. */
static uint64_t round_trip(const struct tcp_cc_ops *ops, struct tcp_cc *cc, uint64_t now_us,
			   uint32_t stretch)
{
	uint32_t cwnd = cc->cwnd, n;

	for (uint32_t done = 0; done < cwnd; done += n) {
		n = cc_min(stretch, cwnd - done);
		ack(ops, cc, now_us + (uint64_t)cc->srtt_us * done / cwnd, n, true);
	}
	return now_us + cc->srtt_us;
}

static void reduce(const struct tcp_cc_ops *ops, struct tcp_cc *cc, uint64_t now_us)
{
	cc->cwnd = cc->ssthresh = ops->ssthresh(cc, now_us);
	ops->event(cc, TCP_CC_ENTER_RECOVERY, now_us);
	ops->event(cc, TCP_CC_EXIT, now_us);
}

static void test_slow_start(const struct tcp_cc_ops *ops)
{
	static const uint32_t stretch[] = {1, 2, 7, 64};

	for (unsigned int i = 0; i < 4; i++) {
		struct tcp_cc cc = new_cc(ops, 50000);
		uint64_t now = 1000000;

		for (uint32_t want = 10; want < 2000; want *= 2) {
			CHECK(cc.cwnd == want, "%s: %u, not %u", ops->name, cc.cwnd, want);
			now = round_trip(ops, &cc, now, stretch[i]);
		}
		/* What is left of a stretch ACK that reaches ssthresh counts on. */
		cc = new_cc(ops, 50000);
		cc.ssthresh = 16;
		ack(ops, &cc, now, 10, true);
		CHECK(cc.cwnd == 16, "%s: %u", ops->name, cc.cwnd);
		/* A window that is not used does not grow. */
		for (int k = 0; k < 1000; k++)
			ack(ops, &cc, now += 50000, 16, false);
		CHECK(cc.cwnd == 16, "%s: %u", ops->name, cc.cwnd);
		cc = new_cc(ops, 50000);
		for (int k = 0; k < 1000; k++)
			ack(ops, &cc, now += 50000, 10, false);
		CHECK(cc.cwnd == 10, "%s: %u", ops->name, cc.cwnd);
	}
}

static void test_reno_slope(void)
{
	static const uint32_t stretch[] = {1, 2, 64, 1000};

	for (unsigned int i = 0; i < 4; i++) {
		struct tcp_cc cc = new_cc(&tcp_cc_newreno, 50000);
		uint64_t now = 1000000;

		cc.cwnd = 100;
		reduce(&tcp_cc_newreno, &cc, now);
		CHECK(cc.cwnd == 50, "%u", cc.cwnd);
		for (int k = 0; k < 100; k++)
			now = round_trip(&tcp_cc_newreno, &cc, now, stretch[i]);
		CHECK(cc.cwnd >= 149 && cc.cwnd <= 151, "%u with ACKs of %u", cc.cwnd, stretch[i]);
		cc.for_ecn = true;
		CHECK(tcp_cc_newreno.ssthresh(&cc, now) == cc.cwnd * 4 / 5, "ECN");
		cc.cwnd = 1;
		CHECK(tcp_cc_newreno.ssthresh(&cc, now) == 2, "at least two");
	}
}

/* W(t) = C (t - K)^3 + W_max after a loss, within 1 % and a segment. */
static void test_cubic_curve(uint32_t w_max, uint32_t rtt_us, uint32_t stretch)
{
	const struct tcp_cc_ops *ops = &tcp_cc_cubic;
	struct tcp_cc cc = new_cc(ops, rtt_us);
	uint64_t start = 7000000, now = start;
	double k, t, want, est;
	uint32_t from;

	cc.cwnd = w_max;
	reduce(ops, &cc, now);
	from = cc.cwnd;
	CHECK(fabs(from - 0.7 * w_max) <= 1 + 0.0005 * w_max, "%u of %u", from, w_max);
	k = cbrt((w_max - from) / 0.4);
	est = from;
	while (now - start < 1.5 * k * 1e6 && cc.cwnd < 1000000) {
		est += (est < w_max ? 0.5294 : 1.0);
		now = round_trip(ops, &cc, now, stretch);
		t = (double)(now - start) / 1e6;
		want = 0.4 * pow(t - k, 3) + w_max;
		if (want < est)
			want = est;
		/* The target is a round trip ahead, but a window grows by half of itself a round
		 * at most, and reaches what it aims at only by about two thirds. */
		CHECK(fabs(cc.cwnd - want) <= 0.02 * want + 1.5,
		      "W_max %u, RTT %u us, t %.3f s, K %.3f s: %u, not %.1f", w_max, rtt_us, t, k,
		      cc.cwnd, want);
	}
}

/* At short RTTs it is Reno with alpha 0.529 until W_max, then 1. */
static void test_cubic_reno_region(void)
{
	const struct tcp_cc_ops *ops = &tcp_cc_cubic;
	struct tcp_cc cc = new_cc(ops, 20);
	uint64_t now = 7000000;

	cc.cwnd = 1000;
	reduce(ops, &cc, now);
	for (int i = 0; i < 200; i++)
		now = round_trip(ops, &cc, now, 2);
	CHECK(cc.cwnd >= 700 + 104 && cc.cwnd <= 700 + 108, "%u", cc.cwnd);
	while (cc.cwnd < 1000)
		now = round_trip(ops, &cc, now, 2);
	for (int i = 0; i < 100; i++)
		now = round_trip(ops, &cc, now, 2);
	CHECK(cc.cwnd >= 1098 && cc.cwnd <= 1102, "%u", cc.cwnd);
}

static void test_cubic_fast_convergence(void)
{
	const struct tcp_cc_ops *ops = &tcp_cc_cubic;
	struct tcp_cc a = new_cc(ops, 100000), b;
	uint64_t now = 7000000;
	double k;

	a.cwnd = 1000;
	reduce(ops, &a, now);
	/* Again at 700, below W_max: W_max becomes 0.85 x 700 = 595 and not 700. */
	reduce(ops, &a, now);
	CHECK(a.cwnd == 490, "%u", a.cwnd);
	b = new_cc(ops, 100000);
	b.cwnd = 700;
	reduce(ops, &b, now);
	CHECK(b.cwnd == 490, "%u", b.cwnd);
	k = cbrt((595 - 490) / 0.4);
	for (int i = 0; i < (int)(k * 10); i++) {
		round_trip(ops, &a, now, 1);
		now = round_trip(ops, &b, now, 1);
	}
	CHECK(abs((int)a.cwnd - 595) <= 6, "plateau at %u", a.cwnd);
	CHECK(b.cwnd > a.cwnd + 30, "%u and %u", b.cwnd, a.cwnd);
	b.for_ecn = true;
	b.cwnd = 2000;
	CHECK(ops->ssthresh(&b, now) == 2000 * 870 / 1024, "ECN reduces by 0.85");
}

static void test_cubic_undo(void)
{
	const struct tcp_cc_ops *ops = &tcp_cc_cubic;
	struct tcp_cc a = new_cc(ops, 50000), b;
	uint64_t now = 7000000;
	uint32_t cwnd, ssthresh;

	a.cwnd = 500;
	reduce(ops, &a, now);
	for (int i = 0; i < 60; i++)
		now = round_trip(ops, &a, now, 1);
	b = a;
	cwnd = b.cwnd;
	ssthresh = b.ssthresh;
	b.cwnd = b.ssthresh = ops->ssthresh(&b, now);
	ops->event(&b, TCP_CC_ENTER_RECOVERY, now);
	/* The timeout on top of it is of the same episode. */
	b.ssthresh = ops->ssthresh(&b, now);
	b.cwnd = 1;
	ops->event(&b, TCP_CC_RTO, now);
	b.cwnd = cwnd;
	b.ssthresh = ssthresh;
	ops->event(&b, TCP_CC_UNDO, now);
	for (int i = 0; i < 60; i++) {
		round_trip(ops, &a, now, 1);
		now = round_trip(ops, &b, now, 1);
		CHECK(abs((int)a.cwnd - (int)b.cwnd) <= 1, "%u and undone %u", a.cwnd, b.cwnd);
	}
	/* Undo back into the first slow start. */
	a = new_cc(ops, 50000);
	now = round_trip(ops, &a, now, 1);
	ops->ssthresh(&a, now);
	ops->event(&a, TCP_CC_ENTER_RECOVERY, now);
	a.cwnd = 20;
	a.ssthresh = TCP_INFINITE_SSTHRESH;
	ops->event(&a, TCP_CC_UNDO, now);
	round_trip(ops, &a, now, 1);
	CHECK(a.cwnd == 40, "%u", a.cwnd);
}

static void test_cubic_timeout(void)
{
	const struct tcp_cc_ops *ops = &tcp_cc_cubic;
	struct tcp_cc cc = new_cc(ops, 100000);
	uint64_t now = 7000000;

	cc.cwnd = 200;
	cc.ssthresh = ops->ssthresh(&cc, now);
	cc.cwnd = 1;
	ops->event(&cc, TCP_CC_RTO, now);
	ops->event(&cc, TCP_CC_EXIT, now);
	CHECK(cc.ssthresh == 140, "%u", cc.ssthresh);
	for (int i = 0; i < 8; i++)
		now = round_trip(ops, &cc, now, 1);
	/* K = 0: flat at ssthresh at first, then convex; after 5 s 0.4 x 125 = 50 more. */
	CHECK(cc.cwnd >= 140 && cc.cwnd <= 142, "%u", cc.cwnd);
	for (int i = 0; i < 49; i++)
		now = round_trip(ops, &cc, now, 1);
	CHECK(cc.cwnd > 175 && cc.cwnd < 200, "%u", cc.cwnd);
}

/* The curve stands still while the application, or the world, is. */
static void test_cubic_app_limited(void)
{
	const struct tcp_cc_ops *ops = &tcp_cc_cubic;
	struct tcp_cc a = new_cc(ops, 50000), b, c;
	uint64_t now = 7000000, late;

	a.cwnd = 500;
	reduce(ops, &a, now);
	for (int i = 0; i < 40; i++)
		now = round_trip(ops, &a, now, 1);
	b = c = a;
	/* b trickles for 100 s, c is silent for as long. */
	late = now;
	for (int i = 0; i < 2000; i++)
		ack(ops, &b, late += 50000, 1, false);
	CHECK(b.cwnd == a.cwnd, "%u", b.cwnd);
	for (int i = 0; i < 40; i++) {
		round_trip(ops, &a, now, 1);
		now += a.srtt_us;
		round_trip(ops, &b, late, 1);
		round_trip(ops, &c, late, 1);
		late += b.srtt_us;
	}
	CHECK(abs((int)a.cwnd - (int)b.cwnd) <= 2, "%u, after trickling %u", a.cwnd, b.cwnd);
	CHECK(abs((int)a.cwnd - (int)c.cwnd) <= 2, "%u, after silence %u", a.cwnd, c.cwnd);
	/* Restart after idle: down to the initial window, up again by slow start. */
	a.ssthresh = 300;
	a.cwnd = 400;
	a.idle_rtos = 2;
	ops->event(&a, TCP_CC_IDLE_RESTART, now);
	CHECK(a.cwnd == 100 && a.ssthresh == 300, "%u %u", a.cwnd, a.ssthresh);
	a.idle_rtos = 0;
	ops->event(&a, TCP_CC_IDLE_RESTART, now);
	CHECK(a.cwnd == 10 && a.ssthresh == 300, "%u %u", a.cwnd, a.ssthresh);
}

/* Anything may come in: nothing overflows (the tests run under UBSan), windows stay sane. */
static void test_extremes(const struct tcp_cc_ops *ops)
{
	uint64_t seed = 88172645463325252u, now = 1;
	struct tcp_cc cc = new_cc(ops, 1);

#define RND(n)                                                                                     \
	(seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17, (uint32_t)(seed >> 20) % (n))
	for (int i = 0; i < 2000000; i++) {
		static const uint32_t rtts[] = {0, 1, 20, 1000, 100000, 10000000, 0xfffffff0};
		struct tcp_rate r = {0};

		if (RND(1000) == 0)
			cc.cwnd = 1 << 20;
		if (RND(1000) == 0)
			cc.srtt_us = rtts[RND(7)];
		if (RND(1000) == 0)
			now += (uint64_t)RND(4000000) * 1000;
		now += RND(10) == 0 ? RND(100000) : RND(20);
		r.now_us = now;
		r.delivered = RND(3) == 0 ? RND(1 << 20) : RND(4);
		r.losses = RND(20) == 0 ? RND(1000) : 0;
		r.rtt_us = rtts[RND(7)];
		r.sample_delivered = r.delivered;
		r.interval_us = rtts[RND(7)];
		r.tx_in_flight = RND(1 << 17);
		r.sample_lost = RND(100);
		r.loss_in_flight = RND(10) == 0 ? RND(1 << 17) : 0;
		r.app_limited = RND(2);
		r.cwnd_limited = RND(4) != 0;
		r.in_recovery = RND(4) == 0;
		r.ece = RND(50) == 0;
		r.in_flight = RND(1 << 20);
		cc.delivered += r.delivered;
		r.prior_delivered = cc.delivered - r.delivered;
		cc.snd_una += r.delivered;
		cc.snd_nxt = cc.snd_una + cc.cwnd;
		ops->ack(&cc, &r);
		CHECK(cc.cwnd >= 1 && cc.cwnd <= CC_CWND_MAX, "%s: cwnd %u at %d", ops->name,
		      cc.cwnd, i);
		CHECK(!ops->paces || cc.pacing_rate > 0, "%s: not paced at %d", ops->name, i);
		if (RND(300) == 0) {
			uint32_t to = ops->ssthresh(&cc, now);

			CHECK(to >= 2 && to <= CC_CWND_MAX, "%s: ssthresh %u", ops->name, to);
			if (!ops->owns_recovery)
				cc.ssthresh = cc.cwnd = to;
			ops->event(&cc, (enum tcp_cc_event)RND(6), now);
		}
	}
	cc.mss = 1;
	CHECK(tcp_pace_burst(1, cc.mss) >= 2, "burst");
}

int main(void)
{
	const struct tcp_cc_ops *both[] = {&tcp_cc_newreno, &tcp_cc_cubic};

	CHECK(tcp_cc_ops(0) == &tcp_cc_cubic && tcp_cc_ops(1) == &tcp_cc_newreno &&
		      tcp_cc_ops(2) == &tcp_cc_bbr && tcp_cc_ops(3) == NULL,
	      "order of enum tcp_cc_algorithm");
	for (int i = 0; i < 2; i++)
		test_slow_start(both[i]);
	test_reno_slope();
	test_cubic_curve(300, 100000, 1);
	test_cubic_curve(300, 100000, 30);
	test_cubic_curve(10000, 100000, 10);
	test_cubic_curve(100, 10000, 1);
	test_cubic_curve(5000, 1000, 2);
	test_cubic_curve(100000, 50000, 64);
	test_cubic_curve(400000, 500000, 64);
	test_cubic_reno_region();
	test_cubic_fast_convergence();
	test_cubic_undo();
	test_cubic_timeout();
	test_cubic_app_limited();
	for (int i = 0; i < 3; i++)
		test_extremes(tcp_cc_ops((unsigned int)i));
	return 0;
}
