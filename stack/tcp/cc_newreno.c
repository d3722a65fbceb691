/* SPDX-License-Identifier: Apache-2.0 */
/* Reno (RFC 5681); with the engine's recovery (RFC 6582, RFC 6675) NewReno. */
#include "cc_common.h"

static uint32_t newreno_ssthresh(struct tcp_cc *cc, uint64_t now_us)
{
	(void)now_us;
	/* RFC 8511: 0.8 for ECN, which means a short queue, not a full one. */
	return cc->for_ecn ? cc_scaled(cc->cwnd, 4, 5) : cc_scaled(cc->cwnd, 1, 2);
}

static void newreno_init(struct tcp_cc *cc, uint64_t now_us)
{
	(void)now_us;
	cc->cwnd_cnt = 0;
}

static void newreno_ack(struct tcp_cc *cc, const struct tcp_rate *r)
{
	uint32_t delivered = r->delivered;

	if (r->in_recovery || !r->cwnd_limited)
		return;
	if (cc_in_slow_start(cc))
		delivered = cc_slow_start(cc, delivered, 1);
	if (delivered != 0 && !cc_in_slow_start(cc))
		cc_additive_increase(cc, delivered);
}

static void newreno_event(struct tcp_cc *cc, enum tcp_cc_event ev, uint64_t now_us)
{
	(void)now_us;
	if (ev == TCP_CC_IDLE_RESTART)
		cc_idle_restart(cc);
	else if (ev != TCP_CC_UNDO)
		cc->cwnd_cnt = 0;
}

const struct tcp_cc_ops tcp_cc_newreno = {
	.name = "newreno",
	.ssthresh = newreno_ssthresh,
	.init = newreno_init,
	.ack = newreno_ack,
	.event = newreno_event,
};
