/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUBIC (RFC 9438), in integers: windows in segments, times of the curve in 2^-16 s. Fractions of
 * segments are kept, so that the curve is followed as exactly at 20 us as at seconds of RTT.
 */
#include "cc_common.h"

/* C = 0.4 and beta = 0.7 (section 4.6); after ECN 0.85 (RFC 8511). */
#define CUBIC_C_NUM	2
#define CUBIC_C_DEN	5
#define CUBIC_BETA	717u
#define CUBIC_BETA_ECN	870u
#define CUBIC_BETA_UNIT 1024u
/* alpha = 3 (1 - beta) / (1 + beta) = 0.529 (section 4.3), in 1/512. */
#define CUBIC_ALPHA	 271u
#define CUBIC_ALPHA_ONE	 512u
#define CUBIC_TIME_SHIFT 16
/* 1,024 s from the origin the curve is far beyond any window. */
#define CUBIC_TIME_MAX (1ll << 26)

/* For an undo (section 4.9). */
struct cubic_saved {
	uint64_t epoch_us;
	uint32_t w_max, w_est, cwnd_prior, k;
};

struct cubic {
	/* Start of this stage of congestion avoidance; 0: it begins with the next ACK. */
	uint64_t epoch_us;
	/* Growth below one segment, in 2^-16 segments x cwnd. */
	uint64_t credit;
	/* The window before the last reduction, less after fast convergence; 0: no curve yet. */
	uint32_t w_max;
	/* cwnd at the last reduction: from there on the Reno-friendly window grows by one. */
	uint32_t cwnd_prior;
	/* Reno-friendly window, and its growth below one segment in 1/512 segments x cwnd. */
	uint32_t w_est, w_est_credit;
	/* Low bits of the time of the last ACK of this stage. */
	uint32_t last_us;
	/* When the curve comes back to w_max, in 2^-16 s from the epoch. */
	uint32_t k : 31;
	/* `saved` is of this reduction. */
	uint32_t is_saved : 1;
	/* HyStart++ is for the first slow start only, before anything can be saved. */
	union {
		struct cc_hystart hystart;
		struct cubic_saved saved;
	};
};
_Static_assert(sizeof(struct cubic) <= TCP_CC_PRIV, "private state of a connection");

static struct cubic *cubic_of(struct tcp_cc *cc)
{
	return (struct cubic *)cc->priv;
}

/* Cube root, rounded down. */
static uint32_t cubic_root(uint64_t x)
{
	uint64_t y = 0, b;
	int s;

	for (s = 63; s >= 0; s -= 3) {
		y <<= 1;
		b = 3 * y * (y + 1) + 1;
		if (x >> s >= b) {
			x -= b << s;
			y++;
		}
	}
	return (uint32_t)y;
}

/* K = cbrt((w_max - cwnd) / C) (section 4.2, equation 2), in 2^-16 s. */
static uint32_t cubic_k(uint32_t w_max, uint32_t cwnd)
{
	uint64_t x;

	if (w_max <= cwnd)
		return 0;
	/* A difference of up to 2^23 and 2^39 for the 2^-13 s of the root: within 64 bits. */
	x = (uint64_t)(w_max - cwnd) * CUBIC_C_DEN / CUBIC_C_NUM;
	return cubic_root(x << 39) << (CUBIC_TIME_SHIFT - 13);
}

/* W_cubic(t) (equation 1) in 2^-16 segments; t in us. */
static int64_t cubic_window(const struct cubic *q, uint64_t t_us)
{
	/* 2^16 / 10^6 = 2^10 / 15625. */
	int64_t d = (int64_t)((t_us << 10) / 15625) - (int64_t)q->k;
	int64_t cube;

	if (d > CUBIC_TIME_MAX)
		d = CUBIC_TIME_MAX;
	else if (d < -CUBIC_TIME_MAX)
		d = -CUBIC_TIME_MAX;
	cube = ((d * d) >> CUBIC_TIME_SHIFT) * d / (1 << CUBIC_TIME_SHIFT);
	return ((int64_t)q->w_max << 16) + cube * CUBIC_C_NUM / CUBIC_C_DEN;
}

static void cubic_start_epoch(struct cubic *q, struct tcp_cc *cc, uint64_t now_us)
{
	q->epoch_us = now_us != 0 ? now_us : 1;
	q->last_us = (uint32_t)now_us;
	q->credit = 0;
	q->w_est = cc->cwnd;
	q->w_est_credit = 0;
	/* After a timeout, or slow start that ended without a loss, the curve starts flat here
	 * (section 4.8 and 4.10). */
	if (q->w_max < cc->cwnd)
		q->w_max = cc->cwnd;
	q->k = cubic_k(q->w_max, cc->cwnd);
}

/* What Reno would have by now (section 4.3). */
static void cubic_reno_window(struct cubic *q, const struct tcp_cc *cc, uint32_t delivered)
{
	uint32_t alpha = q->w_est < q->cwnd_prior ? CUBIC_ALPHA : CUBIC_ALPHA_ONE;
	uint64_t unit = (uint64_t)cc->cwnd * CUBIC_ALPHA_ONE;
	uint64_t credit = q->w_est_credit + (uint64_t)delivered * alpha;
	uint64_t n;

	if (credit >= unit) {
		n = credit / unit;
		credit -= n * unit;
		q->w_est = cc_min(q->w_est + (uint32_t)n, CC_CWND_MAX);
	}
	q->w_est_credit = (uint32_t)credit;
}

/*
 * Time since the epoch. Time in which the application did not use the window, or in which there
 * were no ACKs at all, does not count (section 5.8): the curve would run away from the path.
 */
static uint64_t cubic_elapsed(struct cubic *q, const struct tcp_cc *cc, const struct tcp_rate *r)
{
	uint32_t gap = (uint32_t)r->now_us - q->last_us;
	uint64_t expected = cc->srtt_us != 0 ? 2 * (uint64_t)cc->srtt_us : UINT32_MAX;

	q->last_us = (uint32_t)r->now_us;
	if (!r->cwnd_limited)
		q->epoch_us += gap;
	else if (gap > expected)
		q->epoch_us += gap - expected;
	return r->now_us > q->epoch_us ? r->now_us - q->epoch_us : 0;
}

static void cubic_avoid(struct cubic *q, struct tcp_cc *cc, const struct tcp_rate *r,
			uint32_t delivered)
{
	int64_t target, cwnd = (int64_t)cc->cwnd << 16;
	uint64_t t, n;

	if (q->epoch_us == 0)
		cubic_start_epoch(q, cc, r->now_us);
	t = cubic_elapsed(q, cc, r);
	if (!r->cwnd_limited)
		return;
	cubic_reno_window(q, cc, delivered);
	if (cubic_window(q, t) < (int64_t)q->w_est << 16) {
		if (cc->cwnd < q->w_est) {
			cc->cwnd = q->w_est;
			q->credit = 0;
		}
		return;
	}
	/* Concave and convex regions (sections 4.4, 4.5): to where the curve is in an RTT. */
	target = cubic_window(q, t + cc->srtt_us);
	if (target <= cwnd)
		return;
	if (target > cwnd + cwnd / 2)
		target = cwnd + cwnd / 2;
	q->credit += (uint64_t)(target - cwnd) * delivered;
	if (q->credit < (uint64_t)cwnd)
		return;
	n = q->credit / (uint64_t)cwnd;
	q->credit -= n * (uint64_t)cwnd;
	cc->cwnd = cc_min(cc->cwnd + (uint32_t)n, CC_CWND_MAX);
}

static void cubic_ack(struct tcp_cc *cc, const struct tcp_rate *r)
{
	struct cubic *q = cubic_of(cc);
	uint32_t delivered = r->delivered, divisor = 1;

	if (r->in_recovery)
		return;
	if (cc_in_slow_start(cc)) {
		if (cc->ssthresh == TCP_INFINITE_SSTHRESH) {
			/* RTTs count whether or not the window may grow. */
			if (cc_hystart_ack(&q->hystart, cc, r->rtt_us))
				return;
			divisor = cc_hystart_divisor(&q->hystart);
		}
		if (!r->cwnd_limited)
			return;
		delivered = cc_slow_start(cc, delivered, divisor);
		if (delivered == 0 || cc_in_slow_start(cc))
			return;
	}
	cubic_avoid(q, cc, r, delivered);
}

static uint32_t cubic_ssthresh(struct tcp_cc *cc, uint64_t now_us)
{
	struct cubic *q = cubic_of(cc);
	uint32_t beta = cc->for_ecn ? CUBIC_BETA_ECN : CUBIC_BETA;

	(void)now_us;
	/* A timeout within recovery, with no growth in between, is part of the same reduction: undo
	 * goes back before both. */
	if (!q->is_saved || q->epoch_us != 0) {
		struct cubic_saved s = {q->epoch_us, q->w_max, q->w_est, q->cwnd_prior, q->k};

		q->saved = s;
		q->is_saved = true;
	}
	/* Fast convergence (section 4.7): a window smaller than at the last reduction means that
	 * someone else came: leave room. */
	if (cc->cwnd < q->w_max)
		q->w_max = cc_scaled(cc->cwnd, CUBIC_BETA_UNIT + beta, 2 * CUBIC_BETA_UNIT);
	else
		q->w_max = cc->cwnd;
	q->cwnd_prior = cc->cwnd;
	q->epoch_us = 0;
	return cc_scaled(cc->cwnd, beta, CUBIC_BETA_UNIT);
}

static void cubic_init(struct tcp_cc *cc, uint64_t now_us)
{
	struct cubic *q = cubic_of(cc);

	(void)now_us;
	*q = (struct cubic){0};
	cc->cwnd_cnt = 0;
	cc_hystart_init(&q->hystart, cc);
}

static void cubic_undo(struct cubic *q, struct tcp_cc *cc)
{
	struct cubic_saved s = q->saved;

	if (!q->is_saved)
		return;
	q->is_saved = false;
	q->w_max = s.w_max;
	q->w_est = s.w_est;
	q->cwnd_prior = s.cwnd_prior;
	q->epoch_us = s.epoch_us;
	q->credit = q->w_est_credit = 0;
	q->k = s.k;
	if (cc->ssthresh == TCP_INFINITE_SSTHRESH)
		cc_hystart_init(&q->hystart, cc);
}

static void cubic_event(struct tcp_cc *cc, enum tcp_cc_event ev, uint64_t now_us)
{
	struct cubic *q = cubic_of(cc);

	(void)now_us;
	switch (ev) {
	case TCP_CC_RTO:
		/* What comes after slow start has no curve to follow (section 4.8). */
		q->w_max = 0;
		q->epoch_us = 0;
		break;
	case TCP_CC_EXIT:
		q->epoch_us = 0;
		break;
	case TCP_CC_UNDO:
		cubic_undo(q, cc);
		break;
	case TCP_CC_IDLE_RESTART:
		/* The epoch is shifted by the next ACK. */
		cc_idle_restart(cc);
		break;
	case TCP_CC_ENTER_RECOVERY:
	case TCP_CC_ECN:
		break;
	}
}

const struct tcp_cc_ops tcp_cc_cubic = {
	.name = "cubic",
	.ssthresh = cubic_ssthresh,
	.init = cubic_init,
	.ack = cubic_ack,
	.event = cubic_event,
};
