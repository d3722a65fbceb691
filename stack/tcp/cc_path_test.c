/* SPDX-License-Identifier: Apache-2.0 */
/* NewReno and CUBIC against the model of a path. */
#include <math.h>

#include "cc_model.h"

static struct model m;

static double goodput(struct model_flow *f, uint64_t ns)
{
	uint64_t from = f->delivered_once;

	model_run(&m, ns);
	return (double)(f->delivered_once - from) / (double)model_capacity(&m, ns);
}

/*
 * HyStart++ leaves slow start before the queue is full, but not before the pipe is. Without pacing
 * it notices when the window is about four times the pipe (each round's first RTTs are of the
 * beginning of the round before), and then grows for five rounds by a quarter: so the buffers here
 * are ten times the pipe.
 */
static void test_hystart(uint64_t bps, uint64_t rtt_ns, uint32_t buffer)
{
	struct model_path p = {.bps = bps, .buffer = buffer, .rtt_ns = rtt_ns};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 3);
	f = model_add(&m, &tcp_cc_cubic);
	for (int i = 0; i < 500 && f->cc.ssthresh == TCP_INFINITE_SSTHRESH; i++)
		model_run(&m, rtt_ns);
	CHECK(f->cc.ssthresh != TCP_INFINITE_SSTHRESH, "rtt %lu us: still slow start, cwnd %u",
	      rtt_ns / 1000, f->cc.cwnd);
	CHECK(f->drops == 0, "rtt %lu us: %lu drops, queue %u", rtt_ns / 1000, f->drops,
	      f->max_queue);
	g = goodput(f, rtt_ns * 10);
	CHECK(g > 0.9, "rtt %lu us: left too early, %.2f of the rate", rtt_ns / 1000, g);
	printf("hystart++ %6lu Mbit/s rtt %7lu us buffer %5u: queue at most %u, ssthresh %u, bdp "
	       "%u\n",
	       bps / 1000000, rtt_ns / 1000, buffer, f->max_queue, f->cc.ssthresh, model_bdp(&m));
	model_free(&m);
}

/* With a buffer of a window or two it loses less than slow start without it. */
static void test_hystart_losses(void)
{
	struct model_path p = {.bps = 100000000, .buffer = 300, .rtt_ns = 20 * MS};
	uint64_t drops[2];

	for (int i = 0; i < 2; i++) {
		struct model_flow *f;

		model_init(&m, &p, 3);
		f = model_add(&m, i == 0 ? &tcp_cc_newreno : &tcp_cc_cubic);
		while (f->recoveries == 0)
			model_run(&m, 20 * MS);
		model_run(&m, 100 * MS);
		drops[i] = f->drops;
		model_free(&m);
	}
	CHECK(drops[1] * 4 < drops[0] * 3, "%lu and %lu without", drops[1], drops[0]);
	printf("hystart++ end of slow start into 300 segments of buffer: %lu drops, %lu without\n",
	       drops[1], drops[0]);
}

struct sawtooth {
	uint32_t peaks, n;
	double ratio;
	bool was;
	uint32_t cwnd;
};

static void note_peak(struct model *mm, struct model_flow *f, const struct tcp_rate *r)
{
	struct sawtooth *s = mm->arg;

	(void)r;
	if (f->in_recovery && !s->was) {
		s->peaks += s->cwnd;
		s->ratio += (double)f->cc.cwnd / s->cwnd;
		s->n++;
	}
	s->was = f->in_recovery;
	s->cwnd = f->cc.cwnd;
}

static void test_sawtooth(const struct tcp_cc_ops *ops, double beta)
{
	struct model_path p = {.bps = 50000000, .buffer = 100, .rtt_ns = 20 * MS};
	struct sawtooth s = {0};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 3);
	f = model_add(&m, ops);
	model_run(&m, 20 * SEC);
	m.arg = &s;
	m.on_ack = note_peak;
	g = goodput(f, 100 * SEC);
	CHECK(s.n >= 5, "%s: %u", ops->name, s.n);
	CHECK(fabs(s.ratio / s.n - beta) < 0.01, "%s: %.3f", ops->name, s.ratio / s.n);
	CHECK(fabs((double)s.peaks / s.n - (model_bdp(&m) + 101)) < 6, "%s: %u", ops->name,
	      s.peaks / s.n);
	CHECK(g > 0.97, "%s: %.3f", ops->name, g);
	CHECK(f->rtos == 0, "%s: %lu timeouts", ops->name, f->rtos);
	printf("%-8s sawtooth: peak %u (bdp %u + buffer 100), %u losses of window in 100 s, %.3f "
	       "of "
	       "the rate\n",
	       ops->name, s.peaks / s.n, model_bdp(&m), s.n, g);
	model_free(&m);
}

/* Mathis: a loss rate of p keeps Reno at sqrt(3 / 2p) segments per RTT. */
static void test_random_loss(void)
{
	struct model_path p = {
		.bps = 1000000000, .buffer = 1000, .rtt_ns = 40 * MS, .loss_ppm = 1000};
	struct model_flow *f;
	double per_rtt;

	model_init(&m, &p, 3);
	f = model_add(&m, &tcp_cc_newreno);
	model_run(&m, 10 * SEC);
	per_rtt = goodput(f, 400 * SEC) * model_bdp(&m);
	CHECK(fabs(per_rtt - sqrt(1.5 / 0.001)) < 6, "%.1f", per_rtt);
	printf("newreno  0.1%% random loss: %.1f segments per RTT, %.1f by formula\n", per_rtt,
	       sqrt(1.5 / 0.001));
	model_free(&m);
}

static void test_fairness(const struct tcp_cc_ops *ops, uint64_t bps, uint32_t buffer,
			  uint64_t rtt_ns, double least)
{
	struct model_path p = {.bps = bps, .buffer = buffer, .rtt_ns = rtt_ns};
	struct model_flow *a, *b;
	double x, y, jain;

	model_init(&m, &p, 5);
	a = model_add(&m, ops);
	model_run(&m, 10 * SEC);
	b = model_add(&m, ops);
	model_run(&m, 60 * SEC);
	x = (double)a->delivered_once;
	y = (double)b->delivered_once;
	model_run(&m, 60 * SEC);
	x = (double)a->delivered_once - x;
	y = (double)b->delivered_once - y;
	jain = (x + y) * (x + y) / (2 * (x * x + y * y));
	printf("%-8s two flows, the second 10 s later, after a minute: %.2f to %.2f, Jain %.3f, "
	       "%.3f "
	       "of the rate\n",
	       ops->name, x / (x + y), y / (x + y), jain,
	       (x + y) / (double)model_capacity(&m, 60 * SEC));
	CHECK(jain > least, "%s: %.3f", ops->name, jain);
	CHECK((x + y) / (double)model_capacity(&m, 60 * SEC) > 0.93, "%s", ops->name);
	model_free(&m);
}

static void test_ecn(const struct tcp_cc_ops *ops)
{
	struct model_path p = {.bps = 100000000, .buffer = 1000, .rtt_ns = 20 * MS, .ecn_from = 60};
	struct model_flow *f;
	double g;

	model_init(&m, &p, 5);
	f = model_add(&m, ops);
	model_run(&m, 3 * SEC);
	f->max_queue = 0;
	g = goodput(f, 20 * SEC);
	printf("%-8s ECN from 60 segments of queue: %.3f of the rate, queue at most %u, %lu "
	       "losses\n",
	       ops->name, g, f->max_queue, f->losses);
	CHECK(f->losses == 0 && f->marks > 3, "%s: %lu %lu", ops->name, f->losses, f->marks);
	CHECK(f->max_queue < 80, "%s: %u", ops->name, f->max_queue);
	CHECK(g > 0.95, "%s: %.3f", ops->name, g);
	model_free(&m);
}

/* Slow start's bursts fill a queue of an eighth of the window long before the pipe is full; paced,
 * they do not. */
static void test_pacing(void)
{
	struct model_path p = {.bps = 1000000000, .buffer = 1000, .rtt_ns = 100 * MS};
	double g[2];

	for (int i = 0; i < 2; i++) {
		struct model_flow *f;

		model_init(&m, &p, 1);
		f = model_add(&m, &tcp_cc_cubic);
		f->pace = i == 1;
		g[i] = goodput(f, 30 * SEC);
		model_free(&m);
	}
	printf("cubic    1 Gbit/s, 100 ms, buffer 1000 of 8632: %.3f of the rate in 30 s, paced "
	       "%.3f\n",
	       g[0], g[1]);
	CHECK(g[1] > 0.85 && g[1] > 1.5 * g[0], "%.3f, paced %.3f", g[0], g[1]);
}

int main(void)
{
	const struct tcp_cc_ops *both[] = {&tcp_cc_newreno, &tcp_cc_cubic};

	test_hystart(100000000, 20 * MS, 2000);
	test_hystart(1000000000, 50 * MS, 50000);
	test_hystart(10000000000, 20000, 1200);
	test_hystart(10000000, 200 * MS, 2000);
	test_hystart_losses();
	test_sawtooth(&tcp_cc_newreno, 0.5);
	test_sawtooth(&tcp_cc_cubic, 0.7);
	test_random_loss();
	test_pacing();
	for (int i = 0; i < 2; i++) {
		test_fairness(both[i], 50000000, 100, 20 * MS, 0.95);
		test_ecn(both[i]);
	}
	return 0;
}
