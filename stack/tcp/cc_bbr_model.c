/* SPDX-License-Identifier: Apache-2.0 */
/* BBR's model of the path (draft-ietf-ccwg-bbr-06 section 5.5). */
#include "cc_bbr.h"
#include "pace.h"

#define INIT_CWND      10
#define BBR_HEADROOM   38u /* 0.15 in 1/256 */
#define BBR_FULL_COUNT 3
/* Two windows of five rounds make ExtraAckedFilterLen = 10. */
#define BBR_EXTRA_ROUNDS 5
#define BBR_EXTRA_MAX	 ((1u << 18) - 1)

uint64_t bbr_max_bw(const struct bbr *b)
{
	uint64_t bw = bbr_unpack(b->bw[0] > b->bw[1] ? b->bw[0] : b->bw[1]);

	return bw < BBR_BW_MAX ? bw : BBR_BW_MAX;
}

uint64_t bbr_bw(const struct bbr *b)
{
	uint64_t max = bbr_max_bw(b), low = bbr_unpack(b->bw_short);

	return low < max ? low : max;
}

uint32_t bbr_bdp(const struct bbr *b, const struct tcp_cc *cc, uint64_t bw, uint32_t gain)
{
	uint64_t v;

	if (b->min_rtt_us == BBR_RTT_INFINITE || bw == 0)
		return cc->init_cwnd != 0 ? cc->init_cwnd : INIT_CWND;
	/* 38 and 24 bits; 8 bits of fraction stay for the gain. */
	v = ((bw * b->min_rtt_us) >> (BBR_BW_SHIFT - 8)) * gain;
	v = (v + (1u << 16) - 1) >> 16;
	return v < CC_CWND_MAX ? (uint32_t)v : CC_CWND_MAX;
}

uint32_t bbr_quantization(const struct bbr *b, const struct tcp_cc *cc, uint32_t inflight)
{
	/* One burst here, one on its way through the segmentation and one at the receiver. */
	uint32_t budget = 3 * (tcp_pace_burst(cc->pacing_rate, cc->mss) / cc->mss);

	if (cc->pacing_rate == 0)
		budget = 0;
	inflight = cc_max(cc_max(inflight, budget), BBR_MIN_CWND);
	return b->mode == BBR_PROBE_UP ? inflight + 2 : inflight;
}

uint32_t bbr_inflight(const struct bbr *b, const struct tcp_cc *cc, uint64_t bw, uint32_t gain)
{
	return bbr_quantization(b, cc, bbr_bdp(b, cc, bw, gain));
}

uint32_t bbr_inflight_with_headroom(const struct bbr *b)
{
	uint32_t headroom;

	if (b->inflight_long == BBR_INFLIGHT_INFINITE)
		return UINT32_MAX;
	headroom = cc_max(b->inflight_long * BBR_HEADROOM / BBR_UNIT, 1);
	return b->inflight_long > headroom + BBR_MIN_CWND ? b->inflight_long - headroom
							  : BBR_MIN_CWND;
}

uint32_t bbr_extra_acked(const struct bbr *b)
{
	return (uint32_t)bbr_unpack(b->extra[0] > b->extra[1] ? b->extra[0] : b->extra[1]);
}

void bbr_reset_congestion(struct bbr *b)
{
	b->congested = false;
	b->loss_events = 0;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

void bbr_reset_short_term(struct bbr *b)
{
	b->bw_short = BBR_FLOAT_INFINITE;
	b->inflight_short = BBR_FLOAT_INFINITE;
}

void bbr_reset_full_bw(struct bbr *b)
{
	b->full_bw = 0;
	b->full_count = 0;
	b->full_now = false;
}

void bbr_advance_max_bw(struct bbr *b)
{
	/* A cycle without a sample must not push out one that has some. */
	if (b->bw[1] == 0)
		return;
	b->bw[0] = b->bw[1];
	b->bw[1] = 0;
}

bool bbr_loss_too_high(const struct tcp_rate *r)
{
	return r->delivered != 0 &&
	       (uint64_t)r->sample_lost * TCP_RATE_LOSS_THRESH > r->tx_in_flight;
}

/* Once per round with loss or ECN, outside of probes: toward what was delivered in that round. */
static void bbr_adapt_lower_bounds(struct bbr *b, const struct tcp_cc *cc)
{
	uint64_t v;
	uint16_t f;

	if (!b->congested || b->mode == BBR_STARTUP || b->mode == BBR_PROBE_REFILL ||
	    b->mode == BBR_PROBE_UP)
		return;
	v = b->bw_short == BBR_FLOAT_INFINITE ? bbr_max_bw(b) : bbr_unpack(b->bw_short);
	f = bbr_pack(v * BBR_BETA / BBR_UNIT);
	b->bw_short = f > b->bw_latest ? f : b->bw_latest;
	v = b->inflight_short == BBR_FLOAT_INFINITE ? cc->cwnd : bbr_unpack(b->inflight_short);
	f = bbr_pack(v * BBR_BETA / BBR_UNIT);
	b->inflight_short = f > b->inflight_latest ? f : b->inflight_latest;
}

void bbr_update_signals(struct bbr *b, struct tcp_cc *cc, struct bbr_ack *a)
{
	const struct tcp_rate *r = a->r;
	uint16_t f;

	if (r->losses != 0 || r->ece) {
		if (!b->congested)
			b->loss_round = cc->delivered;
		b->congested = true;
		if (b->loss_events < 7)
			b->loss_events++;
	}
	if (r->delivered == 0)
		return;

	f = bbr_pack(a->bw);
	if (f > b->bw_latest)
		b->bw_latest = f;
	f = bbr_pack(r->sample_delivered);
	if (f > b->inflight_latest)
		b->inflight_latest = f;
	if (!cc_seq_after(b->loss_round, r->prior_delivered)) {
		b->loss_round = cc->delivered;
		a->loss_round_start = true;
	}
	if (!cc_seq_after(b->next_round, r->prior_delivered)) {
		b->next_round = cc->delivered;
		a->round_start = true;
		if (b->rounds_since_up < 63)
			b->rounds_since_up++;
	}
	if (a->bw != 0 && (a->bw >= bbr_max_bw(b) || !r->app_limited)) {
		f = bbr_pack(a->bw);
		if (f > b->bw[1])
			b->bw[1] = f;
	}
	if (a->loss_round_start) {
		bbr_adapt_lower_bounds(b, cc);
		b->congested = false;
	}
}

void bbr_update_aggregation(struct bbr *b, const struct tcp_cc *cc, const struct bbr_ack *a)
{
	uint32_t interval = (uint32_t)a->r->now_us - b->extra_start_us;
	uint64_t bw = bbr_bw(b), expected, acked;
	uint16_t f;

	if (a->r->delivered == 0)
		return;
	if (a->round_start) {
		if (b->extra_rounds < 7)
			b->extra_rounds++;
		/* Startup remembers one round: its bandwidth grows too fast for more. */
		if (b->extra_rounds >= (b->full_reached ? BBR_EXTRA_ROUNDS : 1)) {
			b->extra_rounds = 0;
			b->extra_slot ^= 1;
			b->extra[b->extra_slot] = 0;
		}
	}
	/* 38 bits x 26: beyond a minute this episode is over anyway. */
	expected = (bw * (interval < (1u << 26) ? interval : 1u << 26)) >> BBR_BW_SHIFT;
	acked = b->extra_acked;
	if (acked <= expected) {
		acked = 0;
		expected = 0;
		b->extra_start_us = (uint32_t)a->r->now_us;
	}
	acked += a->r->delivered;
	if (acked > BBR_EXTRA_MAX)
		acked = BBR_EXTRA_MAX;
	b->extra_acked = acked;
	if (acked <= expected)
		return;
	f = bbr_pack(cc_min((uint32_t)(acked - expected), cc->cwnd));
	if (f > b->extra[b->extra_slot])
		b->extra[b->extra_slot] = f;
}

void bbr_check_full_bw(struct bbr *b, const struct bbr_ack *a)
{
	/* ProbeRTT's samples are limited by itself. */
	if (b->full_now || a->r->app_limited || a->bw == 0 || b->mode == BBR_PROBE_RTT)
		return;
	if (a->bw * 4 >= bbr_unpack(b->full_bw) * 5) {
		bbr_reset_full_bw(b);
		b->full_bw = bbr_pack(a->bw);
		return;
	}
	if (!a->round_start)
		return;
	if (b->full_count < BBR_FULL_COUNT)
		b->full_count++;
	if (b->full_count >= BBR_FULL_COUNT) {
		b->full_now = true;
		b->full_reached = true;
	}
}

void bbr_update_min_rtt(struct bbr *b, const struct tcp_rate *r)
{
	uint32_t rtt = cc_min(r->rtt_us, BBR_RTT_INFINITE - 1);

	b->probe_rtt_expired = bbr_stamp_older(b->probe_rtt_stamp, r->now_us, BBR_PROBE_RTT_LEN);
	if (rtt != 0 && (rtt < b->probe_rtt_min_us || b->probe_rtt_expired)) {
		b->probe_rtt_min_us = rtt;
		b->probe_rtt_stamp = bbr_stamp(r->now_us);
	}
	if (b->probe_rtt_min_us < b->min_rtt_us ||
	    bbr_stamp_older(b->min_stamp, r->now_us, BBR_MIN_RTT_LEN)) {
		b->min_rtt_us = b->probe_rtt_min_us;
		b->min_stamp = b->probe_rtt_stamp;
	}
}

void bbr_advance_signals(struct bbr *b, const struct bbr_ack *a)
{
	if (!a->loss_round_start)
		return;
	b->bw_latest = bbr_pack(a->bw);
	b->inflight_latest = bbr_pack(a->r->sample_delivered);
	b->loss_events = 0;
}
