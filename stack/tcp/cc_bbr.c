/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BBR's state machine and controls (draft-ietf-ccwg-bbr-06 sections 5.3, 5.4, 5.6). ECN-Echo, of
 * which the draft says nothing for RFC 3168, counts as a loss of more than the threshold: it ends
 * Startup and probes, and lowers the short-term bounds.
 */
#include "cc_bbr.h"

#define INIT_CWND 10

/* 4 ln 2 = 2.77. */
#define BBR_STARTUP_GAIN     709u
#define BBR_CWND_GAIN	     512u
#define BBR_CWND_GAIN_UP     576u
#define BBR_STARTUP_LOSSES   6
#define BBR_DRAIN_ROUNDS     3
#define BBR_RENO_ROUNDS	     63u
#define BBR_PROBE_WAIT_US    2000000u
#define BBR_PACING_PER_MILLE 990u

static uint32_t bbr_pacing_gain(const struct bbr *b)
{
	static const uint16_t gain[] = {
		[BBR_STARTUP] = BBR_STARTUP_GAIN,
		[BBR_DRAIN] = 128,
		[BBR_PROBE_DOWN] = 230,
		[BBR_PROBE_CRUISE] = 256,
		[BBR_PROBE_REFILL] = 256,
		[BBR_PROBE_UP] = 320,
		[BBR_PROBE_RTT] = 256,
	};

	return gain[b->mode];
}

static void bbr_set_pacing(const struct bbr *b, struct tcp_cc *cc, uint32_t gain)
{
	uint64_t bw = bbr_bw(b), rate;

	if (bw == 0)
		return;
	rate = (uint64_t)(((unsigned __int128)bw * cc->mss * gain *
			   (1000 * BBR_PACING_PER_MILLE)) >>
			  (BBR_BW_SHIFT + 8));
	/* A flow that has not filled the pipe must not be slowed down by its own small samples. */
	if (rate != 0 && (b->full_reached || rate > cc->pacing_rate))
		cc->pacing_rate = rate;
}

static void bbr_init_pacing(struct tcp_cc *cc)
{
	uint32_t iw = cc->init_cwnd != 0 ? cc->init_cwnd : INIT_CWND;
	uint32_t rtt = cc->srtt_us != 0 ? cc->srtt_us : 1000;

	cc->pacing_rate = (uint64_t)cc_max(iw, cc->cwnd) * cc->mss * 1000000 / BBR_UNIT *
			  BBR_STARTUP_GAIN / rtt;
}

/* ---- Transitions ---- */

static void bbr_start_round(struct bbr *b, const struct tcp_cc *cc)
{
	b->next_round = cc->delivered;
}

static void bbr_start_down(struct bbr *b, struct tcp_cc *cc, uint64_t now_us)
{
	/* The draft asks for randomness, so that flows do not probe at the same time; the initial
	 * sequence number and the time differ from flow to flow. */
	uint32_t h = (cc->snd_nxt ^ (uint32_t)now_us ^ cc->delivered) * 2654435761u;

	bbr_reset_congestion(b);
	b->rounds_since_up = h >> 31;
	b->probe_wait_ms = (h >> 8) % 1000;
	b->cycle_us = (uint32_t)now_us;
	b->acks = BBR_ACKS_STOPPING;
	bbr_start_round(b, cc);
	b->mode = BBR_PROBE_DOWN;
}

static void bbr_start_refill(struct bbr *b, struct tcp_cc *cc)
{
	bbr_reset_short_term(b);
	b->up_rounds = 0;
	cc->cwnd_cnt = 0;
	b->precautionary = false;
	b->acks = BBR_ACKS_REFILLING;
	bbr_start_round(b, cc);
	b->mode = BBR_PROBE_REFILL;
}

static void bbr_start_up(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	b->acks = BBR_ACKS_STARTING;
	bbr_start_round(b, cc);
	bbr_reset_full_bw(b);
	b->full_bw = bbr_pack(a->bw);
	b->up_rounds = 1;
	b->mode = BBR_PROBE_UP;
}

static void bbr_start_probe_rtt(struct bbr *b, struct tcp_cc *cc)
{
	uint16_t cwnd = bbr_pack(cc->cwnd);

	if (!b->in_recovery || cwnd > b->prior_cwnd)
		b->prior_cwnd = cwnd;
	b->mode = BBR_PROBE_RTT;
	b->probe_rtt_timed = false;
	b->probe_rtt_round = false;
	b->acks = BBR_ACKS_STOPPING;
	bbr_start_round(b, cc);
}

static void bbr_restore_cwnd(struct bbr *b, struct tcp_cc *cc)
{
	cc->cwnd = cc_max(cc->cwnd, (uint32_t)bbr_unpack(b->prior_cwnd));
}

static void bbr_end_probe_rtt(struct bbr *b, struct tcp_cc *cc, uint64_t now_us)
{
	/* Next ProbeRTT: an interval from now. */
	b->probe_rtt_stamp = bbr_stamp(now_us);
	bbr_restore_cwnd(b, cc);
	bbr_reset_short_term(b);
	if (!b->full_reached) {
		b->mode = BBR_STARTUP;
		return;
	}
	bbr_start_down(b, cc, now_us);
	/* This round's samples are of ProbeRTT's small window: no reason to forget a cycle. */
	b->acks = BBR_ACKS_INIT;
	b->mode = BBR_PROBE_CRUISE;
}

/* ---- Per ACK ---- */

/* What we want in flight unless congestion took cwnd below. */
static uint32_t bbr_target_inflight(const struct bbr *b, const struct tcp_cc *cc)
{
	return cc_min(bbr_bdp(b, cc, bbr_bw(b), BBR_UNIT), cc->cwnd);
}

static void bbr_set_inflight_long(struct bbr *b, uint32_t v)
{
	b->inflight_long = cc_min(v, BBR_INFLIGHT_INFINITE - 1);
}

static void bbr_inflight_too_high(struct bbr *b, struct tcp_cc *cc, const struct tcp_rate *r,
				  uint32_t in_flight)
{
	b->prev_too_high = true;
	/* One reaction per probe. */
	b->probe_sample = false;
	if (!r->app_limited)
		bbr_set_inflight_long(
			b, cc_max(in_flight, (uint32_t)((uint64_t)bbr_target_inflight(b, cc) *
							BBR_BETA / BBR_UNIT)));
	if (b->mode == BBR_PROBE_UP) {
		b->undo = BBR_UNDO_UP;
		bbr_start_down(b, cc, r->now_us);
	}
}

static void bbr_check_startup(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	bool high;

	if (b->mode != BBR_STARTUP)
		return;
	high = a->loss_round_start && b->in_recovery && b->loss_events >= BBR_STARTUP_LOSSES &&
	       bbr_loss_too_high(a->r);
	if (!b->full_reached && (high || a->r->ece)) {
		b->undo = BBR_UNDO_STARTUP;
		b->full_reached = true;
		bbr_set_inflight_long(b, cc_max(bbr_bdp(b, cc, bbr_max_bw(b), BBR_UNIT),
						(uint32_t)bbr_unpack(b->inflight_latest)));
	}
	if (b->full_reached) {
		b->mode = BBR_DRAIN;
		b->drain_rounds = 0;
	}
}

static void bbr_check_drain(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	if (b->mode != BBR_DRAIN)
		return;
	if (a->round_start)
		b->drain_rounds++;
	if (b->drain_rounds > BBR_DRAIN_ROUNDS ||
	    a->r->in_flight <= bbr_inflight(b, cc, bbr_max_bw(b), BBR_UNIT))
		bbr_start_down(b, cc, a->r->now_us);
}

static void bbr_raise_inflight_long(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	uint32_t per, n;

	if (!a->r->cwnd_limited || cc->cwnd < b->inflight_long)
		return;
	/* One segment more per round, then two, four, … */
	per = cc_max(cc->cwnd >> (b->up_rounds - 1), 1);
	cc->cwnd_cnt += a->r->delivered;
	if (cc->cwnd_cnt >= per) {
		n = cc->cwnd_cnt / per;
		cc->cwnd_cnt -= n * per;
		bbr_set_inflight_long(b, b->inflight_long + n);
	}
	if (a->round_start && b->up_rounds < 24)
		b->up_rounds++;
}

/* True if it changed the state. */
static bool bbr_adapt_long_term(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	if (b->acks == BBR_ACKS_STARTING && a->round_start)
		b->acks = BBR_ACKS_FEEDBACK;
	if (b->acks == BBR_ACKS_STOPPING && a->round_start) {
		b->probe_sample = false;
		b->acks = BBR_ACKS_INIT;
		if (bbr_in_probe_bw(b) && !a->r->app_limited)
			bbr_advance_max_bw(b);
		/* The careful probe went well: now a whole one. */
		if (bbr_in_probe_bw(b) && b->precautionary && !b->prev_too_high) {
			bbr_start_refill(b, cc);
			return true;
		}
	}
	if (bbr_loss_too_high(a->r) || b->inflight_long == BBR_INFLIGHT_INFINITE)
		return false;
	if (a->r->tx_in_flight > b->inflight_long)
		bbr_set_inflight_long(b, a->r->tx_in_flight);
	if (b->mode == BBR_PROBE_UP)
		bbr_raise_inflight_long(b, cc, a);
	return false;
}

static bool bbr_time_to_probe(const struct bbr *b, const struct tcp_cc *cc, uint64_t now_us)
{
	uint32_t wait = BBR_PROBE_WAIT_US + (uint32_t)b->probe_wait_ms * 1000;

	if ((uint32_t)now_us - b->cycle_us > wait)
		return true;
	/* As often as Reno would fill the pipe, if that is soon. */
	return b->rounds_since_up >= cc_min(bbr_target_inflight(b, cc), BBR_RENO_ROUNDS);
}

static bool bbr_time_to_go_down(struct bbr *b, const struct tcp_cc *cc, const struct bbr_ack *a)
{
	if (b->prev_too_high && a->r->in_flight >= b->inflight_long) {
		b->precautionary = true;
		return true;
	}
	if (a->r->cwnd_limited && cc->cwnd >= b->inflight_long) {
		/* The bound holds bandwidth down, not the path. */
		bbr_reset_full_bw(b);
		b->full_bw = bbr_pack(a->bw);
		return false;
	}
	return b->full_now;
}

static void bbr_update_cycle(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	uint64_t now_us = a->r->now_us;

	if (!b->full_reached || bbr_adapt_long_term(b, cc, a))
		return;
	switch (b->mode) {
	case BBR_PROBE_DOWN:
	case BBR_PROBE_CRUISE:
		if (bbr_time_to_probe(b, cc, now_us))
			bbr_start_refill(b, cc);
		else if (b->mode == BBR_PROBE_DOWN &&
			 a->r->in_flight <= bbr_inflight_with_headroom(b) &&
			 a->r->in_flight <= bbr_inflight(b, cc, bbr_max_bw(b), BBR_UNIT))
			b->mode = BBR_PROBE_CRUISE;
		break;
	case BBR_PROBE_REFILL:
		if (a->round_start) {
			b->probe_sample = true;
			bbr_start_up(b, cc, a);
		}
		break;
	case BBR_PROBE_UP:
		if (bbr_time_to_go_down(b, cc, a)) {
			b->prev_too_high = false;
			bbr_start_down(b, cc, now_us);
		}
		break;
	default:
		break;
	}
}

static uint32_t bbr_probe_rtt_cwnd(const struct bbr *b, const struct tcp_cc *cc)
{
	return cc_max(bbr_bdp(b, cc, bbr_bw(b), BBR_UNIT / 2), BBR_MIN_CWND);
}

static void bbr_check_probe_rtt(struct bbr *b, struct tcp_cc *cc, const struct bbr_ack *a)
{
	uint64_t now_us = a->r->now_us;

	if (b->mode != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart)
		bbr_start_probe_rtt(b, cc);
	if (a->r->delivered != 0)
		b->idle_restart = false;
	if (b->mode != BBR_PROBE_RTT)
		return;
	if (!b->probe_rtt_timed) {
		if (a->r->in_flight > bbr_probe_rtt_cwnd(b, cc))
			return;
		b->cycle_us = (uint32_t)now_us + BBR_PROBE_RTT_US;
		b->probe_rtt_timed = true;
		b->probe_rtt_round = false;
		bbr_start_round(b, cc);
		return;
	}
	if (a->round_start)
		b->probe_rtt_round = true;
	if (b->probe_rtt_round && cc_seq_after((uint32_t)now_us, b->cycle_us))
		bbr_end_probe_rtt(b, cc, now_us);
}

static void bbr_set_cwnd(struct bbr *b, struct tcp_cc *cc, const struct tcp_rate *r)
{
	uint32_t iw = cc->init_cwnd != 0 ? cc->init_cwnd : INIT_CWND;
	uint32_t gain = b->mode == BBR_PROBE_UP ? BBR_CWND_GAIN_UP : BBR_CWND_GAIN;
	uint32_t max, cap = UINT32_MAX;

	if (b->mode == BBR_PROBE_RTT)
		gain = BBR_UNIT / 2;
	max = bbr_quantization(b, cc, bbr_bdp(b, cc, bbr_bw(b), gain) + bbr_extra_acked(b));
	if (b->full_reached)
		cc->cwnd = cc_min(cc->cwnd + r->delivered, max);
	else if (cc->cwnd < max || cc->delivered < iw)
		cc->cwnd += r->delivered;
	cc->cwnd = cc_max(cc->cwnd, BBR_MIN_CWND);
	if (b->mode == BBR_PROBE_RTT)
		cc->cwnd = cc_min(cc->cwnd, bbr_probe_rtt_cwnd(b, cc));
	if (b->mode == BBR_PROBE_CRUISE || b->mode == BBR_PROBE_RTT)
		cap = bbr_inflight_with_headroom(b);
	else if (bbr_in_probe_bw(b) && b->inflight_long != BBR_INFLIGHT_INFINITE)
		cap = b->inflight_long;
	if (bbr_unpack(b->inflight_short) < cap)
		cap = (uint32_t)bbr_unpack(b->inflight_short);
	cc->cwnd = cc_min(cc->cwnd, cc_max(cap, BBR_MIN_CWND));
	cc->cwnd = cc_min(cc->cwnd, CC_CWND_MAX);
}

static void bbr_ack(struct tcp_cc *cc, const struct tcp_rate *r)
{
	struct bbr *b = bbr_of(cc);
	struct bbr_ack a = {.r = r};

	if (r->interval_us != 0)
		a.bw = ((uint64_t)r->sample_delivered << BBR_BW_SHIFT) / r->interval_us;
	if (!b->seen_rtt && cc->srtt_us != 0) {
		b->seen_rtt = true;
		bbr_init_pacing(cc);
	}
	if (b->probe_sample) {
		if (r->loss_in_flight != 0)
			bbr_inflight_too_high(b, cc, r, r->loss_in_flight);
		else if (r->ece)
			bbr_inflight_too_high(b, cc, r, r->tx_in_flight);
	}
	bbr_update_signals(b, cc, &a);
	bbr_update_aggregation(b, cc, &a);
	bbr_check_full_bw(b, &a);
	bbr_check_startup(b, cc, &a);
	bbr_check_drain(b, cc, &a);
	bbr_update_cycle(b, cc, &a);
	bbr_update_min_rtt(b, r);
	bbr_check_probe_rtt(b, cc, &a);
	bbr_advance_signals(b, &a);
	bbr_set_pacing(b, cc, bbr_pacing_gain(b));
	bbr_set_cwnd(b, cc, r);
}

/* ---- Events ---- */

static uint32_t bbr_ssthresh(struct tcp_cc *cc, uint64_t now_us)
{
	struct bbr *b = bbr_of(cc);
	uint16_t cwnd = bbr_pack(cc->cwnd);

	(void)now_us;
	if (!b->in_recovery && b->mode != BBR_PROBE_RTT)
		b->prior_cwnd = cwnd;
	else if (cwnd > b->prior_cwnd)
		b->prior_cwnd = cwnd;
	if (!b->in_recovery) {
		b->undo = BBR_UNDO_NONE;
		b->undo_bw_short = b->bw_short;
		b->undo_inflight_short = b->inflight_short;
		b->undo_inflight_long = b->inflight_long == BBR_INFLIGHT_INFINITE
						? BBR_FLOAT_INFINITE
						: bbr_pack(b->inflight_long);
	}
	/* The model reduces cwnd, by what the loss shows of the path. */
	return cc_max(cc->cwnd, CC_CWND_MIN);
}

static void bbr_undo(struct bbr *b, struct tcp_cc *cc)
{
	bbr_restore_cwnd(b, cc);
	b->congested = false;
	bbr_reset_full_bw(b);
	if (b->undo_bw_short > b->bw_short)
		b->bw_short = b->undo_bw_short;
	if (b->undo_inflight_short > b->inflight_short)
		b->inflight_short = b->undo_inflight_short;
	if (b->undo_inflight_long == BBR_FLOAT_INFINITE)
		b->inflight_long = BBR_INFLIGHT_INFINITE;
	else if (bbr_unpack(b->undo_inflight_long) > b->inflight_long)
		bbr_set_inflight_long(b, (uint32_t)bbr_unpack(b->undo_inflight_long));
	if (b->undo == BBR_UNDO_STARTUP && b->mode != BBR_STARTUP) {
		b->full_reached = false;
		if (b->mode != BBR_PROBE_RTT)
			b->mode = BBR_STARTUP;
	} else if (b->undo == BBR_UNDO_UP && b->mode != BBR_PROBE_UP && b->mode != BBR_PROBE_RTT) {
		bbr_start_refill(b, cc);
	}
	b->undo = BBR_UNDO_NONE;
}

static void bbr_event(struct tcp_cc *cc, enum tcp_cc_event ev, uint64_t now_us)
{
	struct bbr *b = bbr_of(cc);

	switch (ev) {
	case TCP_CC_ENTER_RECOVERY:
		b->in_recovery = true;
		break;
	case TCP_CC_RTO:
		/* Everything in flight was taken for lost. */
		b->in_recovery = true;
		cc->cwnd = 1;
		break;
	case TCP_CC_EXIT:
		b->in_recovery = false;
		bbr_restore_cwnd(b, cc);
		break;
	case TCP_CC_UNDO:
		b->in_recovery = false;
		bbr_undo(b, cc);
		break;
	case TCP_CC_IDLE_RESTART:
		b->idle_restart = true;
		b->extra_start_us = (uint32_t)now_us;
		b->extra_acked = 0;
		if (bbr_in_probe_bw(b))
			bbr_set_pacing(b, cc, BBR_UNIT);
		else if (b->mode == BBR_PROBE_RTT && b->probe_rtt_timed &&
			 cc_seq_after((uint32_t)now_us, b->cycle_us))
			bbr_end_probe_rtt(b, cc, now_us);
		break;
	case TCP_CC_ECN:
		break;
	}
}

static void bbr_init(struct tcp_cc *cc, uint64_t now_us)
{
	struct bbr *b = bbr_of(cc);
	uint32_t rtt = cc->min_rtt_us != 0 ? cc->min_rtt_us : cc->srtt_us;

	*b = (struct bbr){0};
	cc->cwnd_cnt = 0;
	b->min_rtt_us = b->probe_rtt_min_us =
		rtt != 0 && rtt < BBR_RTT_INFINITE ? rtt : BBR_RTT_INFINITE;
	b->min_stamp = b->probe_rtt_stamp = bbr_stamp(now_us);
	b->extra_start_us = b->cycle_us = (uint32_t)now_us;
	b->inflight_long = BBR_INFLIGHT_INFINITE;
	b->next_round = b->loss_round = cc->delivered;
	bbr_reset_short_term(b);
	b->seen_rtt = cc->srtt_us != 0;
	bbr_init_pacing(cc);
}

const struct tcp_cc_ops tcp_cc_bbr = {
	.name = "bbr",
	.paces = true,
	.owns_recovery = true,
	.ssthresh = bbr_ssthresh,
	.init = bbr_init,
	.ack = bbr_ack,
	.event = bbr_event,
};
