/* SPDX-License-Identifier: Apache-2.0 */
#include "cc_common.h"

/* RFC 9406 section 4.3. */
#define HYSTART_MIN_THRESH_US 4000u
#define HYSTART_MAX_THRESH_US 16000u
#define HYSTART_RTT_DIVISOR   8
#define HYSTART_SAMPLES	      8
#define HYSTART_CSS_ROUNDS    5
/* Below this, RTTs vary for reasons of scheduling, not of queues. */
#define HYSTART_NOISE_US 50u

#define INIT_CWND 10

const struct tcp_cc_ops *tcp_cc_ops(unsigned int algorithm)
{
	/* In the order of enum tcp_cc_algorithm. */
	static const struct tcp_cc_ops *const table[] = {&tcp_cc_cubic, &tcp_cc_newreno,
							 &tcp_cc_bbr};

	return algorithm < sizeof(table) / sizeof(table[0]) ? table[algorithm] : NULL;
}

uint32_t cc_slow_start(struct tcp_cc *cc, uint32_t delivered, uint32_t divisor)
{
	uint32_t room = cc->ssthresh - cc->cwnd, grow;

	if (divisor > 1) {
		cc->cwnd_cnt += delivered;
		grow = cc->cwnd_cnt / divisor;
		cc->cwnd_cnt %= divisor;
		cc->cwnd = cc_min(cc->cwnd + cc_min(grow, room), CC_CWND_MAX);
		return 0;
	}
	grow = cc_min(delivered, room);
	cc->cwnd = cc_min(cc->cwnd + grow, CC_CWND_MAX);
	return delivered - grow;
}

void cc_additive_increase(struct tcp_cc *cc, uint32_t delivered)
{
	uint32_t n;

	cc->cwnd_cnt += delivered;
	if (cc->cwnd_cnt < cc->cwnd)
		return;
	n = cc->cwnd_cnt / cc->cwnd;
	cc->cwnd_cnt -= n * cc->cwnd;
	cc->cwnd = cc_min(cc->cwnd + n, CC_CWND_MAX);
}

uint32_t cc_scaled(uint32_t cwnd, uint32_t num, uint32_t den)
{
	return cc_max((uint32_t)((uint64_t)cwnd * num / den), CC_CWND_MIN);
}

void cc_idle_restart(struct tcp_cc *cc)
{
	uint32_t iw = cc->init_cwnd != 0 ? cc->init_cwnd : INIT_CWND;
	uint32_t shift = cc->idle_rtos == 0 ? 31 : cc_min(cc->idle_rtos, 31);
	uint32_t floor = cc_min(iw, cc->cwnd);

	/* The path could carry this not long ago (RFC 7661 section 4.4.3 keeps as much). */
	if (cc->ssthresh != TCP_INFINITE_SSTHRESH)
		cc->ssthresh = cc_max(cc->ssthresh, cc->cwnd / 4 * 3);
	cc->cwnd = cc_max(cc->cwnd >> shift, floor);
	cc->cwnd_cnt = 0;
}

void cc_hystart_init(struct cc_hystart *h, const struct tcp_cc *cc)
{
	h->window_end = cc->snd_nxt;
	h->last_min_rtt_us = h->round_min_rtt_us = h->css_baseline_us = CC_RTT_INFINITE;
	h->samples = h->css_rounds = 0;
}

/*
 * How much the RTT may grow from round to round. RFC 9406 has an eighth of it, between 4 and 16 ms.
 * On paths whose RTT is itself below 4 ms, a queue of 4 ms is many windows and overflows first:
 * there the lower bound is the RTT itself, a queue as long as the path.
 */
static uint32_t hystart_threshold(const struct tcp_cc *cc, uint32_t rtt_us)
{
	uint32_t base = cc->min_rtt_us != 0 ? cc->min_rtt_us : rtt_us;
	uint32_t low = cc_min(cc_max(base, HYSTART_NOISE_US), HYSTART_MIN_THRESH_US);

	return cc_max(low, cc_min(rtt_us / HYSTART_RTT_DIVISOR, HYSTART_MAX_THRESH_US));
}

bool cc_hystart_ack(struct cc_hystart *h, struct tcp_cc *cc, uint32_t rtt_us)
{
	bool css = h->css_baseline_us != CC_RTT_INFINITE;

	if (rtt_us != 0) {
		h->round_min_rtt_us = cc_min(h->round_min_rtt_us, rtt_us);
		if (h->samples < UINT16_MAX)
			h->samples++;
	}
	if (h->samples >= HYSTART_SAMPLES && h->last_min_rtt_us != CC_RTT_INFINITE) {
		if (css && h->round_min_rtt_us < h->css_baseline_us) {
			/* It was a spike: back to slow start. */
			h->css_baseline_us = CC_RTT_INFINITE;
			h->css_rounds = 0;
		} else if (!css &&
			   h->round_min_rtt_us >=
				   h->last_min_rtt_us + hystart_threshold(cc, h->last_min_rtt_us)) {
			h->css_baseline_us = h->round_min_rtt_us;
			h->css_rounds = 0;
			cc->cwnd_cnt = 0;
		}
	}
	if (!cc_seq_after(cc->snd_una, h->window_end))
		return false;
	/* A round has ended. */
	h->window_end = cc->snd_nxt;
	h->last_min_rtt_us = h->round_min_rtt_us;
	h->round_min_rtt_us = CC_RTT_INFINITE;
	h->samples = 0;
	if (h->css_baseline_us == CC_RTT_INFINITE || ++h->css_rounds < HYSTART_CSS_ROUNDS)
		return false;
	cc->ssthresh = cc->cwnd;
	cc->cwnd_cnt = 0;
	return true;
}
