/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cc_model.h"

#define INIT_CWND  10
#define RTO_MIN_NS (200 * MS)

static uint32_t model_random(struct model *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (uint32_t)(m->seed >> 32);
}

static uint64_t seg_ns(const struct model *m)
{
	return MODEL_MSS * 8 * SEC / m->path.bps;
}

uint64_t model_capacity(const struct model *m, uint64_t ns)
{
	return ns / seg_ns(m);
}

uint32_t model_bdp(const struct model *m)
{
	return (uint32_t)(m->path.rtt_ns / seg_ns(m));
}

void model_init(struct model *m, const struct model_path *p, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->path = *p;
	m->now_ns = SEC;
	m->seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

struct model_flow *model_add(struct model *m, const struct tcp_cc_ops *ops)
{
	struct model_flow *f = m->flow;

	while (f->ops != NULL)
		f++;
	f->ops = ops;
	f->active = true;
	f->ring = calloc(MODEL_RING, sizeof(*f->ring));
	f->have = calloc(MODEL_RING, 1);
	f->lost = calloc(MODEL_RING, sizeof(*f->lost));
	f->cc.cwnd = f->cc.init_cwnd = INIT_CWND;
	f->cc.ssthresh = TCP_INFINITE_SSTHRESH;
	f->cc.mss = MODEL_MSS;
	f->cc.snd_una = f->cc.snd_nxt = (uint32_t)(f - m->flow) * 7919;
	f->cc.srtt_us = f->cc.min_rtt_us = (uint32_t)(m->path.rtt_ns / 1000);
	f->rttvar_us = f->cc.srtt_us / 2;
	f->last_ack_ns = f->app_credit_ns = m->now_ns;
	ops->init(&f->cc, m->now_ns / 1000);
	return f;
}

void model_free(struct model *m)
{
	for (int i = 0; i < MODEL_FLOWS; i++) {
		free(m->flow[i].ring);
		free(m->flow[i].have);
		free(m->flow[i].lost);
	}
}

static bool paced(const struct model_flow *f)
{
	return f->ops->paces || f->pace;
}

/* One segment onto the wire. */
static void transmit(struct model *m, struct model_flow *f, uint32_t seq, bool again)
{
	struct model_seg *s = &f->ring[f->tail++ % MODEL_RING];
	uint64_t wait = m->busy_until_ns > m->now_ns ? m->busy_until_ns - m->now_ns : 0;
	uint32_t queue = (uint32_t)(wait / seg_ns(m));
	uint64_t slot = m->path.ack_slot_ns;

	CHECK(f->tail - f->head < MODEL_RING, "model's ring is full");
	*s = (struct model_seg){.seq = seq, .sent_ns = m->now_ns, .again = again};
	tcp_rate_on_send(&f->rate, &s->snap, f->in_flight, m->now_ns / 1000);
	f->in_flight++;
	f->last_send_ns = m->now_ns;
	if (queue > f->max_queue)
		f->max_queue = queue;
	if (queue >= m->path.buffer || model_random(m) % 1000000 < m->path.loss_ppm) {
		s->dropped = true;
		f->drops++;
		return;
	}
	s->marked = m->path.ecn_from != 0 && queue >= m->path.ecn_from;
	m->busy_until_ns = m->now_ns + wait + seg_ns(m);
	s->ack_ns = m->busy_until_ns + m->path.rtt_ns;
	if (slot != 0)
		s->ack_ns = (s->ack_ns + slot - 1) / slot * slot;
}

static bool app_has(const struct model *m, const struct model_flow *f)
{
	return f->app_rate == 0 || f->app_credit_ns <= m->now_ns;
}

static void send_all(struct model *m, struct model_flow *f)
{
	uint64_t rate = 0;
	uint32_t burst = UINT32_MAX, sent;

	while (f->active) {
		if (f->in_flight >= f->cc.cwnd) {
			f->cwnd_limited = true;
			f->limited_seq = f->cc.snd_nxt;
			return;
		}
		if (paced(f)) {
			if (f->next_send_ns > m->now_ns)
				return;
			rate = f->ops->paces ? f->cc.pacing_rate : tcp_pace_rate(&f->cc);
			burst = tcp_pace_burst(rate, MODEL_MSS) / MODEL_MSS;
		}
		for (sent = 0; sent < burst && f->in_flight < f->cc.cwnd; sent++) {
			if (f->lost_head != f->lost_tail) {
				transmit(m, f, f->lost[f->lost_head++ % MODEL_RING], true);
			} else if (app_has(m, f)) {
				if (f->app_rate != 0)
					f->app_credit_ns += SEC / f->app_rate;
				f->have[f->cc.snd_nxt % MODEL_RING] = 0;
				transmit(m, f, f->cc.snd_nxt++, false);
			} else {
				break;
			}
		}
		if (paced(f) && sent != 0)
			f->next_send_ns = tcp_pace_next_ns(rate, sent * MODEL_MSS, f->next_send_ns,
							   m->now_ns);
		if (f->lost_head == f->lost_tail && !app_has(m, f)) {
			tcp_rate_check_app_limited(&f->rate, 0, MODEL_MSS, f->in_flight, f->cc.cwnd,
						   0);
			return;
		}
	}
}

static void enter_recovery(struct model *m, struct model_flow *f)
{
	uint32_t ssthresh = f->ops->ssthresh(&f->cc, m->now_ns / 1000);

	f->in_recovery = true;
	f->recoveries++;
	f->recover = f->cc.snd_nxt;
	if (!f->ops->owns_recovery)
		f->cc.cwnd = f->cc.ssthresh = ssthresh;
	f->ops->event(&f->cc, TCP_CC_ENTER_RECOVERY, m->now_ns / 1000);
}

static void mark_lost(struct model *m, struct model_flow *f, struct model_seg *s,
		      struct tcp_rate *r)
{
	s->done = true;
	f->in_flight--;
	if (f->losses++ == 0)
		f->first_loss_ns = m->now_ns;
	f->lost[f->lost_tail++ % MODEL_RING] = s->seq;
	tcp_rate_on_lost(&f->rate, &s->snap, r);
}

static void timeout(struct model *m, struct model_flow *f)
{
	f->rtos++;
	if (!f->in_loss) {
		uint32_t ssthresh = f->ops->ssthresh(&f->cc, m->now_ns / 1000);

		if (!f->ops->owns_recovery)
			f->cc.ssthresh = ssthresh;
	}
	f->cc.cwnd = 1;
	f->in_loss = true;
	f->in_recovery = false;
	f->recover = f->cc.snd_nxt;
	for (uint32_t i = f->head; i != f->tail; i++)
		if (!f->ring[i % MODEL_RING].done)
			mark_lost(m, f, &f->ring[i % MODEL_RING], NULL);
	f->head = f->tail;
	f->ops->event(&f->cc, TCP_CC_RTO, m->now_ns / 1000);
	f->last_ack_ns = m->now_ns;
	send_all(m, f);
}

static void update_rtt(struct model_flow *f, uint32_t rtt)
{
	struct tcp_cc *cc = &f->cc;
	uint32_t err = rtt > cc->srtt_us ? rtt - cc->srtt_us : cc->srtt_us - rtt;

	f->rtt_us = rtt;
	f->rttvar_us = (3 * f->rttvar_us + err) / 4;
	cc->srtt_us = (uint32_t)((7 * (uint64_t)cc->srtt_us + rtt) / 8);
	if (rtt < cc->min_rtt_us)
		cc->min_rtt_us = rtt;
}

/* All that is due now, as one ACK. */
static void acknowledge(struct model *m, struct model_flow *f)
{
	struct tcp_rate r = {.now_us = m->now_ns / 1000, .prior_in_flight = f->in_flight};
	uint32_t prior_una = f->cc.snd_una, newest = f->head, rtt = 0;
	bool marked = false;

	for (uint32_t i = f->head; i != f->tail; i++) {
		struct model_seg *s = &f->ring[i % MODEL_RING];

		if (s->done || s->dropped)
			continue;
		if (s->ack_ns > m->now_ns)
			break;
		s->done = true;
		f->in_flight--;
		newest = i;
		marked |= s->marked;
		if (!f->have[s->seq % MODEL_RING]) {
			f->have[s->seq % MODEL_RING] = 1;
			f->delivered_once++;
		}
		tcp_rate_on_delivered(&f->rate, &s->snap, (uint32_t)(s->sent_ns / 1000), &r,
				      r.now_us);
		if (!s->again)
			rtt = (uint32_t)((m->now_ns - s->sent_ns) / 1000);
	}
	for (; f->head != f->tail && newest - f->head >= 3; f->head++)
		if (!f->ring[f->head % MODEL_RING].done)
			mark_lost(m, f, &f->ring[f->head % MODEL_RING], &r);
	while (f->cc.snd_una != f->cc.snd_nxt && f->have[f->cc.snd_una % MODEL_RING])
		f->cc.snd_una++;
	r.acked = f->cc.snd_una - prior_una;
	r.rtt_us = rtt != 0 || r.delivered == 0 ? rtt : 0;
	if (rtt != 0)
		update_rtt(f, rtt);
	f->cc.delivered = f->rate.delivered;
	f->last_ack_ns = m->now_ns;
	tcp_rate_on_ack_done(&f->rate, &r, f->cc.min_rtt_us, r.now_us);
	if ((f->in_recovery || f->in_loss) && (int32_t)(f->cc.snd_una - f->recover) >= 0) {
		f->in_recovery = f->in_loss = false;
		f->ops->event(&f->cc, TCP_CC_EXIT, r.now_us);
	}
	if (r.losses != 0 && !f->in_recovery && !f->in_loss)
		enter_recovery(m, f);
	if (marked && (int32_t)(f->cc.snd_una - f->ecn_seq) >= 0) {
		f->ecn_seq = f->cc.snd_nxt;
		f->marks++;
		r.ece = true;
		if (!f->in_recovery && !f->in_loss) {
			uint32_t to;

			f->cc.for_ecn = true;
			to = f->ops->ssthresh(&f->cc, r.now_us);
			f->cc.for_ecn = false;
			if (!f->ops->owns_recovery)
				f->cc.cwnd = f->cc.ssthresh = to;
			f->ops->event(&f->cc, TCP_CC_ECN, r.now_us);
		}
	}
	r.in_flight = f->in_flight;
	r.in_recovery = f->in_recovery;
	r.cwnd_limited = f->cwnd_limited;
	f->ops->ack(&f->cc, &r);
	if ((int32_t)(f->cc.snd_una - f->limited_seq) > 0)
		f->cwnd_limited = false;
	if (m->on_ack != NULL)
		m->on_ack(m, f, &r);
	send_all(m, f);
}

static uint64_t flow_ack_ns(const struct model_flow *f)
{
	for (uint32_t i = f->head; i != f->tail; i++) {
		const struct model_seg *s = &f->ring[i % MODEL_RING];

		if (!s->done && !s->dropped)
			return s->ack_ns;
	}
	return UINT64_MAX;
}

static uint64_t flow_rto_ns(const struct model_flow *f)
{
	uint64_t rto = ((uint64_t)f->cc.srtt_us + 4 * (uint64_t)f->rttvar_us) * 1000;
	uint64_t from = f->last_ack_ns > f->last_send_ns ? f->last_ack_ns : f->last_send_ns;

	if (f->in_flight == 0)
		return UINT64_MAX;
	return from + (rto > RTO_MIN_NS ? rto : RTO_MIN_NS);
}

static uint64_t flow_send_ns(const struct model *m, const struct model_flow *f)
{
	uint64_t at = m->now_ns;

	if (!f->active || f->in_flight >= f->cc.cwnd)
		return UINT64_MAX;
	if (f->lost_head == f->lost_tail && f->app_rate != 0 && f->app_credit_ns > at)
		at = f->app_credit_ns;
	if (paced(f) && f->next_send_ns > at)
		at = f->next_send_ns;
	return at;
}

void model_run(struct model *m, uint64_t ns)
{
	uint64_t end = m->now_ns + ns;

	for (;;) {
		struct model_flow *best = NULL;
		uint64_t at = end, t;
		int what = 0;

		for (struct model_flow *f = m->flow; f < m->flow + MODEL_FLOWS; f++) {
			if (f->ops == NULL)
				continue;
			if ((t = flow_ack_ns(f)) < at)
				at = t, best = f, what = 0;
			if ((t = flow_send_ns(m, f)) < at)
				at = t, best = f, what = 1;
			if ((t = flow_rto_ns(f)) < at)
				at = t, best = f, what = 2;
		}
		if (at > m->now_ns)
			m->now_ns = at;
		if (best == NULL)
			return;
		if (what == 0)
			acknowledge(m, best);
		else if (what == 1)
			send_all(m, best);
		else
			timeout(m, best);
	}
}
