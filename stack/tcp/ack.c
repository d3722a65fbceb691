/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgements (RFC 9293 section 3.10.7.4, fifth): what they free, measure and allow. */
#include "conn.h"

/* RFC 6298, in microseconds; the variance's share of the timeout has a floor, not the sum. */
void rtt_sample(struct tcp_conn *c, uint32_t us)
{
	struct tcp_cc *cc = &c->cc;

	if (us == 0)
		us = 1;
	if (cc->min_rtt_us == 0 || us < cc->min_rtt_us)
		cc->min_rtt_us = us;
	if (cc->srtt_us == 0) {
		cc->srtt_us = us;
		c->rttvar_us = us / 2;
	} else {
		const int32_t d = (int32_t)(us - cc->srtt_us);
		const uint32_t ad = d < 0 ? -d : d;

		c->rttvar_us += (int32_t)(ad - c->rttvar_us) / 4;
		cc->srtt_us += d / 8;
		if (cc->srtt_us == 0)
			cc->srtt_us = 1;
	}
	c->rto_us = cc->srtt_us + RTE_MAX(4 * c->rttvar_us, RTO_MIN_US);
	if (c->rto_us > RTO_MAX_US)
		c->rto_us = RTO_MAX_US;
}

/* Frees what is acknowledged. */
static void clean(struct tcp_conn *c, uint32_t ack, struct ack_state *a)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;

	while (x->seg_head != TCP_NIL) {
		const uint32_t i = x->seg_head;
		struct tcp_seg *s = seg_at(e, i);

		if (seq_lt(ack, s->end))
			break;
		if (s->next != TCP_NIL)
			rte_prefetch0(seg_at(e, s->next));
		a->newly_acked++;
		if (!(s->flags & SEG_SACKED)) {
			if (unlikely(s->flags & SEG_EVER_RETRANS)) {
				a->retrans_acked = true;
			} else {
				const uint32_t rtt = e->now_us32 - s->sent_us;

				if (a->rtt_first_us == 0)
					a->rtt_first_us = rtt | (rtt == 0);
				a->rtt_last_us = rtt | (rtt == 0);
				if (unlikely(seq_lt(s->seq, a->prior_fack)))
					note_reordered(a, s->seq);
			}
			seg_delivered(c, s, a);
		}
		if (unlikely(s->flags & SEG_PROBE))
			pmtu_probe_ok(c);
		seg_unlink_free(c, i);
	}
	if (unlikely(!(c->flags & F_SACK) && x->sacked_out != 0)) {
		/* Each duplicate stood for a segment that arrived; what is acknowledged now arrived
		 * before but for one. */
		const uint32_t less = a->newly_acked > 1 ? a->newly_acked - 1 : 0;

		/* The duplicates were counted as delivered when they came. */
		a->rate.delivered -= RTE_MIN(RTE_MIN(x->sacked_out, less), a->rate.delivered);
		x->sacked_out -= RTE_MIN(x->sacked_out, less);
		if (x->sacked_out > x->packets_out)
			x->sacked_out = x->packets_out;
	}
}

static bool window_input(struct tcp_conn *c, const struct tcp_pkt *p)
{
	const uint32_t wnd = p->wnd << c->snd_wscale;
	bool changed = false;

	if (seq_lt(c->snd_una, p->ack) || seq_lt(c->snd_wl1, p->seq) ||
	    (c->snd_wl1 == p->seq && wnd > c->snd_wnd)) {
		c->snd_wl1 = p->seq;
		if (wnd != c->snd_wnd) {
			changed = true;
			if (wnd == 0)
				c->e->mib.zero_window_in++;
			c->snd_wnd = wnd;
			if (wnd > c->max_wnd)
				c->max_wnd = wnd;
		}
	}
	return changed;
}

static void rtt_from_ack(struct tcp_conn *c, struct ack_state *a)
{
	const uint32_t ms = ts_now(c) - a->tsecr;

	if (a->rtt_first_us != 0 && !a->retrans_acked) {
		rtt_sample(c, a->rtt_first_us);
	} else if (a->una_moved && a->has_ts && a->tsecr != 0 && ms < 600000) {
		/* Karn's algorithm leaves timestamps for what was sent again (RFC 7323
		 * section 4.1). */
		rtt_sample(c, ms != 0 ? ms * 1000 : 1000);
	} else if (a->rtt_last_us != 0) {
		rtt_sample(c, a->rtt_last_us);
	} else {
		return;
	}
}

static void window_opened(struct tcp_conn *c)
{
	if (c->rtx_kind == RTX_PERSIST && c->timer[T_RTX] != 0 &&
	    (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt) > 0) {
		timer_stop(c, T_RTX);
		c->backoff = 0;
	}
	conn_dirty(c);
}

static void tell_writable(struct tcp_conn *c)
{
	uint32_t room;

	if (likely(!(c->flags2 & F2_WANT_WRITE)))
		return;
	room = tcp_writable(c);
	if (room >= c->want_room || (room != 0 && c->snd_una == c->snd_nxt && c->unsent == 0)) {
		c->flags2 &= ~F2_WANT_WRITE;
		c->flags |= F_EV_WRITABLE;
		conn_dirty(c);
	}
}

bool ack_input(struct tcp_conn *c, struct tcp_pkt *p)
{
	struct tcp_ext *x = c->x;
	struct ack_state a;
	const uint32_t ack = p->ack;
	bool wnd_changed;

	/* RFC 5961 section 5: what was not sent, or long ago. */
	if (unlikely(seq_lt(c->snd_nxt, ack) ||
		     seq_lt(ack, c->snd_una - RTE_MAX(c->max_wnd, 65535u)))) {
		c->e->mib.drop_ack++;
		challenge_ack(c);
		return false;
	}
	if (unlikely(seq_lt(ack, c->snd_una))) {
		if (!(p->o.flags & TCP_OPT_HAS_SACK) || x->packets_out == 0)
			return true;
	}
	memset(&a, 0, sizeof(a));
	a.prior_fack = x->sacked_out != 0 && c->flags & F_SACK ? x->highest_sacked : c->snd_una;
	a.una_moved = seq_lt(c->snd_una, ack);
	a.has_ts = c->flags & F_TS && p->o.flags & TCP_OPT_HAS_TS;
	a.tsecr = p->o.tsecr;
	a.rate.now_us = c->e->now_us;
	a.rate.prior_in_flight = in_flight(x);
	wnd_changed = !seq_lt(ack, c->snd_una) && window_input(c, p);
	if (wnd_changed)
		window_opened(c);
	if (c->flags & F_ECN && p->flags & RTE_TCP_ECE_FLAG && !(p->flags & RTE_TCP_SYN_FLAG)) {
		a.ece = true;
		c->e->mib.ecn_ece_in++;
	}
	if (x->packets_out == 0) {
		/* Nothing in flight: an answer to a probe, or only news of the window. */
		c->stall_ms =
			c->unsent != 0 || (c->flags & (F_FIN_QUEUED | F_FIN_SENT)) == F_FIN_QUEUED
				? c->e->now_ms
				: 0;
		return true;
	}
	if (unlikely(p->o.flags & TCP_OPT_HAS_SACK && c->flags & F_SACK))
		sack_input(c, p, &a);
	if (likely(a.una_moved)) {
		c->snd_una = ack;
		c->cc.snd_una = ack;
		clean(c, ack, &a);
		conn_progress(c);
		c->backoff = 0;
		c->dupacks = 0;
		c->stall_ms = c->snd_nxt != ack || c->unsent != 0 ? c->e->now_ms : 0;
		if (a.rtt_first_us != 0 || a.has_ts)
			rtt_from_ack(c, &a);
	} else if (ack == c->snd_una) {
		if (a.rtt_last_us != 0)
			rtt_from_ack(c, &a);
		if (p->len == 0 && !wnd_changed &&
		    !(p->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG))) {
			a.is_dup = true;
			c->e->mib.dup_acks_in++;
			if (c->dupacks < UINT8_MAX)
				c->dupacks++;
		}
	}
	recovery_ack(c, &a, p);
	tell_writable(c);
	if (c->unsent != 0 || c->x->lost_out != 0 || c->flags & F_FIN_QUEUED)
		conn_dirty(c);
	return true;
}
