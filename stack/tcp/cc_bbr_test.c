/* SPDX-License-Identifier: Apache-2.0 */
/* BBR against the model of a path. */
#include <math.h>
#include <string.h>

#include "cc_bbr.h"
#include "cc_model.h"

static struct model m;

static double goodput(struct model_flow *f, uint64_t ns)
{
	uint64_t from = f->delivered_once;

	model_run(&m, ns);
	return (double)(f->delivered_once - from) / (double)model_capacity(&m, ns);
}

/* Bits per second BBR believes in. */
static double believed(struct model_flow *f)
{
	return (double)bbr_max_bw(bbr_of(&f->cc)) / (1 << BBR_BW_SHIFT) * 1e6 * MODEL_MSS * 8;
}

static void test_float(void)
{
	uint64_t v;

	for (v = 1; v < BBR_BW_MAX; v += v / 7 + 1) {
		uint64_t u = bbr_unpack(bbr_pack(v));

		CHECK(u * 2000 >= v * 1998 && u * 2000 <= v * 2002, "%lu became %lu", v, u);
		CHECK(v > 2047 || u == v, "%lu became %lu", v, u);
		CHECK(bbr_pack(v + v / 500 + 1) > bbr_pack(v), "%lu: order", v);
	}
	CHECK(bbr_pack(UINT64_MAX) == BBR_FLOAT_INFINITE, "%x", bbr_pack(UINT64_MAX));
	CHECK(bbr_unpack(BBR_FLOAT_INFINITE) == UINT64_MAX, "infinite");
	CHECK(sizeof(struct bbr) == 64, "%zu", sizeof(struct bbr));
}

struct seen {
	uint64_t at[8];
	uint32_t entered[8];
	uint32_t mode;
	uint32_t least_cwnd, least_flight;
	uint64_t since;
};

static void note_mode(struct model *mm, struct model_flow *f, const struct tcp_rate *r)
{
	struct seen *s = mm->arg;
	uint32_t mode = bbr_of(&f->cc)->mode;

	if (mode == BBR_PROBE_RTT) {
		s->least_cwnd = cc_min(s->least_cwnd, f->cc.cwnd);
		s->least_flight = cc_min(s->least_flight, r->in_flight);
	}
	s->at[s->mode] += mm->now_ns - s->since;
	s->since = mm->now_ns;
	if (mode != s->mode)
		s->entered[mode]++;
	s->mode = mode;
}

/* Finds rate and RTT, in O(log) rounds, and goes through all of its states. */
static void test_finds(uint64_t bps, uint64_t rtt_ns, uint32_t buffer)
{
	struct model_path p = {.bps = bps, .rtt_ns = rtt_ns, .buffer = buffer};
	struct seen s = {.least_cwnd = UINT32_MAX, .least_flight = UINT32_MAX};
	struct model_flow *f;
	const struct bbr *b;
	uint64_t rounds = 0;
	double g;

	model_init(&m, &p, 1);
	f = model_add(&m, &tcp_cc_bbr);
	b = bbr_of(&f->cc);
	while (b->mode <= BBR_DRAIN) {
		model_run(&m, rtt_ns);
		CHECK(++rounds < 60, "rtt %lu us: startup does not end", rtt_ns / 1000);
	}
	CHECK(fabs(believed(f) / (double)bps - 1) < 0.1, "after startup %.0f", believed(f));
	s.since = m.now_ns;
	s.mode = b->mode;
	m.arg = &s;
	m.on_ack = note_mode;
	f->max_queue = 0;
	g = goodput(f, 30 * SEC);
	CHECK(fabs(believed(f) / (double)bps - 1) < 0.1, "%.0f", believed(f));
	CHECK(fabs((double)b->min_rtt_us * 1000 / (double)rtt_ns - 1) < 0.1 ||
		      b->min_rtt_us * 1000 - rtt_ns <= 2 * MODEL_MSS * 8 * SEC / bps,
	      "min_rtt %u us of %lu", b->min_rtt_us, rtt_ns / 1000);
	CHECK(g > 0.93, "%.3f of the rate", g);
	CHECK(s.entered[BBR_PROBE_RTT] >= 4 && s.entered[BBR_PROBE_RTT] <= 7,
	      "ProbeRTT %u times in 30 s", s.entered[BBR_PROBE_RTT]);
	CHECK(s.least_cwnd <= cc_max(model_bdp(&m) * 6 / 10 + 1, 4), "ProbeRTT: cwnd %u",
	      s.least_cwnd);
	CHECK(s.at[BBR_PROBE_RTT] >= s.entered[BBR_PROBE_RTT] * 190 * MS &&
		      s.at[BBR_PROBE_RTT] <= s.entered[BBR_PROBE_RTT] * (230 * MS + 4 * rtt_ns),
	      "ProbeRTT took %lu ms", s.at[BBR_PROBE_RTT] / MS);
	CHECK(s.entered[BBR_PROBE_UP] >= 6, "%u probes up", s.entered[BBR_PROBE_UP]);
	CHECK(f->rtos == 0, "%lu timeouts", f->rtos);
	printf("bbr      %5lu Mbit/s rtt %6lu us buffer %4u: startup %2lu RTTs, believes %.3f of "
	       "the "
	       "rate, min_rtt %u us, %.3f of the rate, queue at most %u, drops %lu, cruises %.0f "
	       "%%\n",
	       bps / 1000000, rtt_ns / 1000, buffer, rounds, believed(f) / (double)bps,
	       b->min_rtt_us, g, f->max_queue, f->drops,
	       (double)s.at[BBR_PROBE_CRUISE] / (30.0 * SEC) * 100);
	model_free(&m);
}

static double lossy(const struct tcp_cc_ops *ops, uint32_t ppm, uint64_t *losses)
{
	struct model_path p = {.bps = 100000000, .rtt_ns = 20 * MS, .buffer = 400, .loss_ppm = ppm};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 9);
	f = model_add(&m, ops);
	model_run(&m, 2 * SEC);
	g = goodput(f, 60 * SEC);
	*losses = f->losses;
	model_free(&m);
	return g;
}

static void test_random_loss(void)
{
	static const uint32_t ppm[] = {1000, 5000, 10000, 15000, 30000};
	uint64_t losses;
	double g, c;

	for (int i = 0; i < 5; i++) {
		g = lossy(&tcp_cc_bbr, ppm[i], &losses);
		c = lossy(&tcp_cc_cubic, ppm[i], &losses);
		printf("bbr      random loss %.1f %%: %.3f of the rate; cubic %.3f\n", ppm[i] / 1e4,
		       g, c);
		CHECK(ppm[i] > 10000 || g > 0.75, "%.3f at %u", g, ppm[i]);
		CHECK(g > 3 * c, "%.3f and cubic %.3f at %u", g, c, ppm[i]);
	}
}

/* A buffer of a sixth of a window: the share lost stays near the threshold of 2 %. */
static void test_shallow(void)
{
	struct model_path p = {.bps = 100000000, .rtt_ns = 20 * MS, .buffer = 30};
	struct model_flow *f;
	uint64_t losses, sent;
	double g;

	model_init(&m, &p, 1);
	f = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 2 * SEC);
	losses = f->losses;
	sent = f->rate.delivered;
	g = goodput(f, 60 * SEC);
	losses = f->losses - losses;
	sent = f->rate.delivered - sent;
	printf("bbr      buffer of 30 segments (bdp %u): %.3f of the rate, %.2f %% lost\n",
	       model_bdp(&m), g, (double)losses * 100 / (double)sent);
	CHECK(g > 0.9, "%.3f", g);
	CHECK(losses * 100 < 2 * sent, "%lu of %lu", losses, sent);
	CHECK(bbr_of(&f->cc)->inflight_long < BBR_INFLIGHT_INFINITE, "no bound learnt");
	model_free(&m);
}

static void test_rate_changes(void)
{
	struct model_path p = {.bps = 100000000, .rtt_ns = 20 * MS, .buffer = 400};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 1);
	f = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 10 * SEC);
	m.path.bps = 300000000;
	model_run(&m, 10 * SEC);
	g = goodput(f, 5 * SEC);
	CHECK(g > 0.9, "up: %.3f, believes %.0f", g, believed(f));
	m.path.bps = 50000000;
	model_run(&m, 12 * SEC);
	f->max_queue = 0;
	g = goodput(f, 5 * SEC);
	CHECK(g > 0.9, "down: %.3f", g);
	CHECK(fabs(believed(f) / 50e6 - 1) < 0.1, "believes %.0f", believed(f));
	CHECK(f->max_queue < 2 * model_bdp(&m), "queue of %u, bdp %u", f->max_queue, model_bdp(&m));
	/* A longer path is noticed within the window of the minimum. */
	m.path.rtt_ns = 60 * MS;
	model_run(&m, 16 * SEC);
	CHECK(bbr_of(&f->cc)->min_rtt_us > 54000, "%u us", bbr_of(&f->cc)->min_rtt_us);
	g = goodput(f, 10 * SEC);
	CHECK(g > 0.9, "longer: %.3f", g);
	model_free(&m);
}

/* ACKs in heaps of 10 ms at an RTT of 5: extra_acked makes up for it. */
static void test_aggregation(void)
{
	struct model_path p = {
		.bps = 100000000, .rtt_ns = 5 * MS, .buffer = 800, .ack_slot_ns = 10 * MS};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 1);
	f = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 3 * SEC);
	g = goodput(f, 20 * SEC);
	printf("bbr      ACKs in heaps of 10 ms, rtt 5 ms: %.3f of the rate, extra_acked %u\n", g,
	       bbr_extra_acked(bbr_of(&f->cc)));
	CHECK(g > 0.9, "%.3f", g);
	CHECK(bbr_extra_acked(bbr_of(&f->cc)) > 20, "%u", bbr_extra_acked(bbr_of(&f->cc)));
	CHECK(fabs(believed(f) / 100e6 - 1) < 0.15, "believes %.0f", believed(f));
	model_free(&m);
}

/* Samples limited by the application do not lower the estimate; idling is not slow start. */
static void test_app_limited(void)
{
	struct model_path p = {.bps = 100000000, .rtt_ns = 20 * MS, .buffer = 400};
	struct model_flow *f;
	uint32_t cwnd;
	double was, g;

	model_init(&m, &p, 1);
	f = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 4 * SEC);
	was = believed(f);
	f->app_rate = 500;
	f->app_credit_ns = m.now_ns;
	model_run(&m, 20 * SEC);
	CHECK(believed(f) > 0.95 * was, "%.0f after %.0f", believed(f), was);
	/* Nothing for 10 s. */
	f->active = false;
	model_run(&m, 10 * SEC);
	CHECK(f->in_flight == 0, "%u", f->in_flight);
	cwnd = f->cc.cwnd;
	f->active = true;
	f->app_rate = 0;
	tcp_cc_bbr.event(&f->cc, TCP_CC_IDLE_RESTART, m.now_ns / 1000);
	CHECK(f->cc.cwnd == cwnd, "%u", f->cc.cwnd);
	CHECK((double)f->cc.pacing_rate * 8 > 0.9 * was && (double)f->cc.pacing_rate * 8 < was,
	      "%lu", f->cc.pacing_rate * 8);
	f->max_queue = 0;
	model_run(&m, 22 * MS);
	CHECK(f->max_queue < 20, "restart made a queue of %u", f->max_queue);
	CHECK(bbr_of(&f->cc)->mode != BBR_PROBE_RTT, "idle time was probe enough");
	g = goodput(f, 200 * MS);
	CHECK(g > 0.9, "after restart: %.3f", g);
	model_free(&m);
}

static void test_fairness(void)
{
	struct model_path p = {.bps = 50000000, .buffer = 170, .rtt_ns = 20 * MS};
	struct model_flow *a, *b;
	double x, y, jain;

	model_init(&m, &p, 5);
	a = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 10 * SEC);
	b = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 60 * SEC);
	x = (double)a->delivered_once;
	y = (double)b->delivered_once;
	model_run(&m, 60 * SEC);
	x = (double)a->delivered_once - x;
	y = (double)b->delivered_once - y;
	jain = (x + y) * (x + y) / (2 * (x * x + y * y));
	printf("bbr      two flows, the second 10 s later, after a minute: %.2f to %.2f, Jain "
	       "%.3f, "
	       "%.3f of the rate, min_rtt %u and %u us\n",
	       x / (x + y), y / (x + y), jain, (x + y) / (double)model_capacity(&m, 60 * SEC),
	       bbr_of(&a->cc)->min_rtt_us, bbr_of(&b->cc)->min_rtt_us);
	CHECK(jain > 0.9, "%.3f", jain);
	CHECK((x + y) / (double)model_capacity(&m, 60 * SEC) > 0.93, "rate");
	/* Both probe at the same time and see the path without a queue of their own. */
	CHECK(bbr_of(&a->cc)->min_rtt_us < 24000 && bbr_of(&b->cc)->min_rtt_us < 24000, "min_rtt");
	model_free(&m);
}

/* Neither BBR nor CUBIC starves the other. */
static void test_coexistence(uint32_t buffer)
{
	struct model_path p = {.bps = 50000000, .buffer = buffer, .rtt_ns = 20 * MS};
	struct model_flow *a, *b;
	double x, y;

	model_init(&m, &p, 5);
	a = model_add(&m, &tcp_cc_bbr);
	b = model_add(&m, &tcp_cc_cubic);
	model_run(&m, 20 * SEC);
	x = (double)a->delivered_once;
	y = (double)b->delivered_once;
	model_run(&m, 100 * SEC);
	x = (double)a->delivered_once - x;
	y = (double)b->delivered_once - y;
	printf("bbr      beside cubic, buffer %u (bdp %u): %.2f to %.2f\n", buffer, model_bdp(&m),
	       x / (x + y), y / (x + y));
	CHECK(x / (x + y) > 0.1 && y / (x + y) > 0.1, "%.2f", x / (x + y));
	model_free(&m);
}

static void test_ecn(void)
{
	struct model_path p = {.bps = 100000000, .buffer = 1000, .rtt_ns = 20 * MS, .ecn_from = 60};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 5);
	f = model_add(&m, &tcp_cc_bbr);
	model_run(&m, 3 * SEC);
	f->max_queue = 0;
	g = goodput(f, 20 * SEC);
	printf("bbr      ECN from 60 segments of queue: %.3f of the rate, queue at most %u, %lu "
	       "marks\n",
	       g, f->max_queue, f->marks);
	CHECK(f->losses == 0, "%lu", f->losses);
	CHECK(f->max_queue < 130, "%u", f->max_queue);
	CHECK(g > 0.9, "%.3f", g);
	model_free(&m);
}

/* A recovery that was none gives everything back. */
static void test_undo(void)
{
	struct model_path p = {.bps = 100000000, .rtt_ns = 20 * MS, .buffer = 400};
	struct model_flow *f;
	struct bbr *b;
	uint32_t cwnd;

	model_init(&m, &p, 1);
	f = model_add(&m, &tcp_cc_bbr);
	b = bbr_of(&f->cc);
	model_run(&m, 4 * SEC);
	cwnd = f->cc.cwnd;
	tcp_cc_bbr.ssthresh(&f->cc, m.now_ns / 1000);
	tcp_cc_bbr.event(&f->cc, TCP_CC_ENTER_RECOVERY, m.now_ns / 1000);
	tcp_cc_bbr.ssthresh(&f->cc, m.now_ns / 1000);
	tcp_cc_bbr.event(&f->cc, TCP_CC_RTO, m.now_ns / 1000);
	CHECK(f->cc.cwnd == 1, "%u", f->cc.cwnd);
	b->inflight_long = 20;
	b->inflight_short = bbr_pack(20);
	b->bw_short = 17;
	tcp_cc_bbr.event(&f->cc, TCP_CC_UNDO, m.now_ns / 1000);
	CHECK(f->cc.cwnd >= cwnd - cwnd / 500, "%u, not %u", f->cc.cwnd, cwnd);
	CHECK(b->inflight_long == BBR_INFLIGHT_INFINITE && b->bw_short == BBR_FLOAT_INFINITE &&
		      b->inflight_short == BBR_FLOAT_INFINITE && !b->in_recovery,
	      "bounds");
	model_free(&m);
}

int main(void)
{
	test_float();
	test_finds(100000000, 20 * MS, 400);
	test_finds(1000000000, 5 * MS, 1000);
	test_finds(10000000, 100 * MS, 400);
	test_finds(1000000, 50 * MS, 100);
	test_random_loss();
	test_shallow();
	test_rate_changes();
	test_aggregation();
	test_app_limited();
	test_fairness();
	test_coexistence(86);
	test_coexistence(340);
	test_ecn();
	test_undo();
	return 0;
}
