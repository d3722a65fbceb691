/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BBR version 3 (draft-ietf-ccwg-bbr-06): what cc_bbr_model.c, which learns the path, and cc_bbr.c,
 * which decides how to probe it, share.
 *
 * The state has 64 bytes. So bandwidths and volumes that are only compared or multiplied are kept
 * as 16-bit floats of 11 significant bits (0.05 %), coarse times in 16 ms, and the count of
 * segments acknowledged on the way up is the connection's cwnd_cnt. Only inflight_long is exact,
 * for it grows by ones.
 */
#ifndef MILLRACE_TCP_CC_BBR_H
#define MILLRACE_TCP_CC_BBR_H

#include "cc_common.h"

/* Bandwidths are in segments per microsecond times 2^24. */
#define BBR_BW_SHIFT 24
#define BBR_BW_MAX   (UINT64_C(1) << 38)
/* Gains are in 1/256. */
#define BBR_UNIT 256u

#define BBR_MIN_CWND	      4u
#define BBR_RTT_INFINITE      ((1u << 24) - 1)
#define BBR_INFLIGHT_INFINITE ((1u << 21) - 1)
/* beta = 0.7. */
#define BBR_BETA 179u

/* Coarse time: units of 2^14 us, modulo 2^18. */
#define BBR_STAMP_SHIFT	  14
#define BBR_STAMP_MASK	  ((1u << 18) - 1)
#define BBR_MIN_RTT_LEN	  (10000000u >> BBR_STAMP_SHIFT)
#define BBR_PROBE_RTT_LEN (5000000u >> BBR_STAMP_SHIFT)
#define BBR_PROBE_RTT_US  200000u

enum bbr_mode {
	BBR_STARTUP,
	BBR_DRAIN,
	BBR_PROBE_DOWN,
	BBR_PROBE_CRUISE,
	BBR_PROBE_REFILL,
	BBR_PROBE_UP,
	BBR_PROBE_RTT,
};

/* Which part of a bandwidth probe the ACKs that arrive tell of. */
enum bbr_acks {
	BBR_ACKS_INIT,
	BBR_ACKS_REFILLING,
	BBR_ACKS_STARTING,
	BBR_ACKS_FEEDBACK,
	BBR_ACKS_STOPPING
};

/* Where to go back to if a loss was none. */
enum bbr_undo { BBR_UNDO_NONE, BBR_UNDO_STARTUP, BBR_UNDO_UP };

/* 16-bit float: 5 bits of exponent, 11 of mantissa. They compare as the values do. */
#define BBR_FLOAT_INFINITE 0xffffu

static inline uint16_t bbr_pack(uint64_t v)
{
	unsigned int e;
	uint64_t m;

	if (v < 2048)
		return (uint16_t)v;
	e = 53 - (unsigned int)__builtin_clzll(v);
	m = (v + (UINT64_C(1) << (e - 1))) >> e;
	if (m >= 2048) {
		m = 1024;
		e++;
	}
	if (e > 31)
		return BBR_FLOAT_INFINITE;
	return (uint16_t)(e << 11 | m);
}

static inline uint64_t bbr_unpack(uint16_t f)
{
	return f == BBR_FLOAT_INFINITE ? UINT64_MAX : (uint64_t)(f & 2047) << (f >> 11);
}

struct bbr {
	/* Floats. Bandwidth: maximum of this cycle and the one before; the short-term bound; of the
	 * last round; the plateau looked for; for an undo. */
	uint16_t bw[2], bw_short, bw_latest, full_bw, undo_bw_short;
	/* Floats. Volumes: likewise; cwnd before recovery or ProbeRTT. */
	uint16_t inflight_short, undo_inflight_short, inflight_latest, undo_inflight_long,
		prior_cwnd;
	/* Floats: ACK aggregation, maximum of two windows of rounds. */
	uint16_t extra[2];

	uint16_t mode : 3;
	uint16_t acks : 3;
	uint16_t undo : 2;
	uint16_t full_count : 2;
	/* ACKs with losses in this round, at most 7. */
	uint16_t loss_events : 3;
	/* The pipe was full once; it is full in this probe. */
	uint16_t full_reached : 1;
	uint16_t full_now : 1;
	/* Loss or ECN in this round. */
	uint16_t congested : 1;

	/* `delivered` at which rounds end. */
	uint32_t next_round, loss_round;
	/* Low bits of us: start of the cycle; in ProbeRTT, when it may end. */
	uint32_t cycle_us;
	uint32_t extra_start_us;

	uint32_t min_rtt_us : 24;
	uint32_t up_rounds : 5;
	uint32_t prev_too_high : 1;
	uint32_t precautionary : 1;
	/* Samples are of a bandwidth probe. */
	uint32_t probe_sample : 1;

	uint32_t probe_rtt_min_us : 24;
	uint32_t rounds_since_up : 6;
	uint32_t idle_restart : 1;
	/* cycle_us holds the end of ProbeRTT. */
	uint32_t probe_rtt_timed : 1;

	uint32_t inflight_long : 21;
	uint32_t extra_rounds : 3;
	uint32_t drain_rounds : 3;
	uint32_t extra_slot : 1;
	uint32_t probe_rtt_round : 1;
	uint32_t in_recovery : 1;
	uint32_t seen_rtt : 1;
	uint32_t probe_rtt_expired : 1;

	uint64_t min_stamp : 18;
	uint64_t probe_rtt_stamp : 18;
	/* Segments acknowledged since extra_start_us. */
	uint64_t extra_acked : 18;
	/* Milliseconds, from 2 s on, until the next probe. */
	uint64_t probe_wait_ms : 10;
};
_Static_assert(sizeof(struct bbr) <= TCP_CC_PRIV, "private state of a connection");

static inline struct bbr *bbr_of(struct tcp_cc *cc)
{
	return (struct bbr *)cc->priv;
}

/* An ACK, with what is derived from it. */
struct bbr_ack {
	const struct tcp_rate *r;
	/* Delivery rate; 0: no sample. */
	uint64_t bw;
	bool round_start, loss_round_start;
};

static inline bool bbr_in_probe_bw(const struct bbr *b)
{
	return b->mode >= BBR_PROBE_DOWN && b->mode <= BBR_PROBE_UP;
}

static inline uint32_t bbr_stamp(uint64_t now_us)
{
	return (uint32_t)(now_us >> BBR_STAMP_SHIFT) & BBR_STAMP_MASK;
}

static inline bool bbr_stamp_older(uint32_t stamp, uint64_t now_us, uint32_t len)
{
	return ((bbr_stamp(now_us) - stamp) & BBR_STAMP_MASK) > len;
}

/* ---- The model: cc_bbr_model.c ---- */

uint64_t bbr_max_bw(const struct bbr *b);
/* The estimate in use: the maximum within the short-term bound. */
uint64_t bbr_bw(const struct bbr *b);
/* gain x bw x min_rtt in segments, rounded up; the initial window without an RTT. */
uint32_t bbr_bdp(const struct bbr *b, const struct tcp_cc *cc, uint64_t bw, uint32_t gain);
/* The same with room for what offloads and bursts hold. */
uint32_t bbr_inflight(const struct bbr *b, const struct tcp_cc *cc, uint64_t bw, uint32_t gain);
uint32_t bbr_quantization(const struct bbr *b, const struct tcp_cc *cc, uint32_t inflight);
/* inflight_long less the room left for others. */
uint32_t bbr_inflight_with_headroom(const struct bbr *b);
uint32_t bbr_extra_acked(const struct bbr *b);

void bbr_reset_congestion(struct bbr *b);
void bbr_reset_short_term(struct bbr *b);
void bbr_reset_full_bw(struct bbr *b);
/* Forgets the older of the two cycles. */
void bbr_advance_max_bw(struct bbr *b);
/* More than LossThresh of what was in flight was lost. */
bool bbr_loss_too_high(const struct tcp_rate *r);

/* Steps per ACK, in this order; the state machine comes between the third and the last two. */
void bbr_update_signals(struct bbr *b, struct tcp_cc *cc, struct bbr_ack *a);
void bbr_update_aggregation(struct bbr *b, const struct tcp_cc *cc, const struct bbr_ack *a);
void bbr_check_full_bw(struct bbr *b, const struct bbr_ack *a);
void bbr_update_min_rtt(struct bbr *b, const struct tcp_rate *r);
void bbr_advance_signals(struct bbr *b, const struct bbr_ack *a);

#endif
