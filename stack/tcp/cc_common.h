/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What congestion control algorithms share. Growth counts segments delivered, not ACKs (RFC 3465),
 * without its limit of two per ACK: receivers with GRO acknowledge dozens at once, and what is
 * SACKed is counted when it is SACKed, so that a cumulative ACK after a repair is no burst.
 */
#ifndef MILLRACE_TCP_CC_COMMON_H
#define MILLRACE_TCP_CC_COMMON_H

#include <stddef.h>

#include "cc.h"

/* Windows beyond this are of no use: the largest receive window is 2^30 octets. */
#define CC_CWND_MAX	(1u << 23)
#define CC_CWND_MIN	2
#define CC_RTT_INFINITE UINT32_MAX

static inline uint32_t cc_min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t cc_max(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline bool cc_seq_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool cc_in_slow_start(const struct tcp_cc *cc)
{
	return cc->cwnd < cc->ssthresh;
}

/* Slow start (RFC 5681 section 3.1), divisor 1, or slower. Returns the segments left over once
 * ssthresh is reached. */
uint32_t cc_slow_start(struct tcp_cc *cc, uint32_t delivered, uint32_t divisor);
/* Congestion avoidance: one segment per cwnd segments delivered. */
void cc_additive_increase(struct tcp_cc *cc, uint32_t delivered);
/* cwnd x num / den, at least CC_CWND_MIN. */
uint32_t cc_scaled(uint32_t cwnd, uint32_t num, uint32_t den);
/* RFC 5681 section 4.1 with the decay of RFC 2861: cwnd halves per RTO of silence, down to the
 * initial window; ssthresh remembers three quarters of it. */
void cc_idle_restart(struct tcp_cc *cc);

/* HyStart++ (RFC 9406): ends the first slow start when the RTT grows, not when the queue is full.
 */
struct cc_hystart {
	/* The round ends when this is acknowledged. */
	uint32_t window_end;
	uint32_t last_min_rtt_us, round_min_rtt_us;
	/* RTT at which conservative slow start (CSS) began; CC_RTT_INFINITE: not in CSS. */
	uint32_t css_baseline_us;
	uint16_t samples;
	uint16_t css_rounds;
};

void cc_hystart_init(struct cc_hystart *h, const struct tcp_cc *cc);
/* Per ACK in the first slow start. True: slow start is over, ssthresh was set to cwnd. */
bool cc_hystart_ack(struct cc_hystart *h, struct tcp_cc *cc, uint32_t rtt_us);
/* Divisor for cc_slow_start(). */
static inline uint32_t cc_hystart_divisor(const struct cc_hystart *h)
{
	return h->css_baseline_us == CC_RTT_INFINITE ? 1 : 4;
}

#endif
