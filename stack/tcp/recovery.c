/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What loss, timeouts and congestion marks do: the states of RFC 5681 and 6675 with RACK-TLP as
 * detector (RFC 8985), proportional rate reduction (RFC 6937), F-RTO (RFC 5682), and undoing what
 * was spurious (RFC 4015, DSACK).
 */
#include "conn.h"

void seg_mark_lost(struct tcp_conn *c, uint32_t i, struct tcp_rate *r)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(e, i);

	if (s->flags & SEG_SACKED)
		return;
	if (s->flags & SEG_RETRANS) {
		s->flags &= ~SEG_RETRANS;
		x->retrans_out--;
	}
	if (!(s->flags & SEG_LOST)) {
		s->flags |= SEG_LOST;
		x->lost_out++;
	}
	seg_tx_unlink(c, i);
	tcp_rate_on_lost(&x->rate, &s->snap, r);
	if (x->rtx_hint != TCP_NIL && seq_lt(s->seq, seg_at(e, x->rtx_hint)->seq))
		x->rtx_hint = i;
	if (s->flags & SEG_PROBE)
		pmtu_probe_lost(c);
}

static const struct tcp_cc_ops *ops(const struct tcp_conn *c)
{
	return tcp_cc_ops(c->cc_algo);
}

static void reduce(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;

	x->prior_cwnd = c->cc.cwnd;
	x->undo_cwnd = c->cc.cwnd;
	x->undo_ssthresh = c->cc.ssthresh;
	x->undo_retrans = x->retrans_out != 0 ? (int32_t)x->retrans_out : -1;
	/* A retransmission of the recovery before may still be on its way: its echo is no older
	 * than the first of those. */
	if (x->retrans_out == 0)
		x->retrans_stamp_ts = 0;
	x->prr_delivered = x->prr_out = 0;
	c->flags2 |= F2_UNDO;
	c->high_seq = c->snd_nxt;
	c->cc.ssthresh = ops(c)->ssthresh(&c->cc, c->e->now_us);
	if (c->cc.ssthresh < 2)
		c->cc.ssthresh = 2;
	/* Whatever the reason, the peer may stop echoing (RFC 3168 section 6.1.2). */
	if (c->flags & F_ECN)
		c->flags |= F_ECN_CWR;
}

static void enter_recovery(struct tcp_conn *c)
{
	if (c->ca_state < CA_CWR)
		reduce(c);
	else
		c->high_seq = c->snd_nxt;
	c->ca_state = CA_RECOVERY;
	c->flags2 &= ~F2_TLP_OUT;
	c->e->mib.recoveries++;
	ops(c)->event(&c->cc, TCP_CC_ENTER_RECOVERY, c->e->now_us);
}

static void enter_cwr(struct tcp_conn *c)
{
	reduce(c);
	/* Congestion was real, whatever arrives twice. */
	c->flags2 &= ~F2_UNDO;
	c->ca_state = CA_CWR;
	ops(c)->event(&c->cc, TCP_CC_ECN, c->e->now_us);
}

/* Back to normal with cwnd where the reduction meant it to be. */
static void leave(struct tcp_conn *c)
{
	const struct tcp_ext *x = c->x;

	if (c->ca_state != CA_LOSS && !ops(c)->owns_recovery)
		c->cc.cwnd = RTE_MAX(c->cc.ssthresh, 2u);
	c->ca_state = x->sacked_out != 0 ? CA_DISORDER : CA_OPEN;
	c->flags2 &= ~(F2_UNDO | F2_FRTO);
	c->cc.cwnd_cnt = 0;
	rack_recovered(c);
	ops(c)->event(&c->cc, TCP_CC_EXIT, c->e->now_us);
}

static void undo(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;

	if (c->ca_state == CA_LOSS) {
		c->e->mib.undo_rto++;
		for (uint32_t i = x->seg_head; i != TCP_NIL; i = seg_at(c->e, i)->next) {
			struct tcp_seg *s = seg_at(c->e, i);

			if (!(s->flags & SEG_LOST) || s->flags & SEG_RETRANS)
				continue;
			s->flags &= ~SEG_LOST;
			x->lost_out--;
			seg_tx_append(c, i);
		}
	} else {
		c->e->mib.undo_recovery++;
	}
	c->cc.cwnd = RTE_MAX(c->cc.cwnd, x->undo_cwnd);
	if (x->undo_ssthresh > c->cc.ssthresh)
		c->cc.ssthresh = x->undo_ssthresh;
	ops(c)->event(&c->cc, TCP_CC_UNDO, c->e->now_us);
	c->flags2 &= ~(F2_UNDO | F2_FRTO);
	c->ca_state = x->sacked_out != 0 ? CA_DISORDER : CA_OPEN;
	if (x->lost_out != 0 && c->ca_state == CA_OPEN)
		c->ca_state = CA_DISORDER;
}

/* Eifel (RFC 3522): the acknowledgement echoes a timestamp from before the first retransmission. */
static bool echo_is_older(const struct tcp_conn *c, const struct ack_state *a)
{
	return a->has_ts && a->tsecr != 0 && c->x->retrans_stamp_ts != 0 &&
	       (int32_t)(a->tsecr - c->x->retrans_stamp_ts) < 0;
}

static bool spurious(const struct tcp_conn *c, const struct ack_state *a)
{
	if (!(c->flags2 & F2_UNDO))
		return false;
	return c->x->undo_retrans == 0 || (a->una_moved && echo_is_older(c, a));
}

/* RFC 6937 with the reduction bound of slow start. */
static void prr(struct tcp_conn *c, const struct ack_state *a)
{
	struct tcp_ext *x = c->x;
	const uint32_t delivered = a->rate.delivered;
	const int32_t delta = (int32_t)(c->cc.ssthresh - in_flight(x));
	int32_t n;

	if (ops(c)->owns_recovery || delivered == 0)
		return;
	x->prr_delivered += delivered;
	if (delta < 0) {
		const uint64_t due =
			(uint64_t)c->cc.ssthresh * x->prr_delivered + x->prior_cwnd - 1;

		n = (int32_t)(due / RTE_MAX(x->prior_cwnd, 1u)) - (int32_t)x->prr_out;
	} else {
		n = RTE_MAX((int32_t)(x->prr_delivered - x->prr_out), (int32_t)delivered);
		if (a->una_moved && a->newly_lost == 0)
			n++;
		n = RTE_MIN(delta, n);
	}
	/* The first retransmission always goes. */
	if (n < 1 && x->prr_out == 0)
		n = 1;
	c->cc.cwnd = in_flight(x) + (n > 0 ? n : 0);
	if (c->cc.cwnd < 1)
		c->cc.cwnd = 1;
}

/* ---- Duplicate acknowledgements of peers without SACK (RFC 5681, 6582) ---- */

static void reno_dup(struct tcp_conn *c, struct ack_state *a)
{
	struct tcp_ext *x = c->x;

	if (c->flags & F_SACK || !a->is_dup || x->sacked_out + x->lost_out >= x->packets_out)
		return;
	x->sacked_out++;
	a->rate.delivered++;
}

static uint32_t reno_detect(struct tcp_conn *c, struct ack_state *a)
{
	struct tcp_ext *x = c->x;
	const uint32_t i = x->seg_head;
	const bool partial =
		c->ca_state == CA_RECOVERY && a->una_moved && seq_lt(c->snd_una, c->high_seq);

	if (c->flags & F_SACK || i == TCP_NIL || seg_at(c->e, i)->flags & SEG_LOST)
		return 0;
	if (!partial && !(c->ca_state < CA_RECOVERY && c->dupacks >= c->reordering))
		return 0;
	/* RFC 6582 section 4.1: duplicates caused by our own retransmissions after a timeout do not
	 * count. */
	if (!partial && c->flags2 & F2_EVER_RTO && c->snd_una == c->high_seq)
		return 0;
	if (x->sacked_out + x->lost_out + 1 > x->packets_out && x->sacked_out != 0)
		x->sacked_out--;
	seg_mark_lost(c, i, &a->rate);
	return 1;
}

/* ---- F-RTO (RFC 5682 section 3, with SACK) ---- */

/* True: was spurious and is undone. */
static bool frto_ack(struct tcp_conn *c, struct ack_state *a)
{
	if (!(c->flags2 & F2_FRTO))
		return false;
	if (a->orig_delivered && c->flags2 & F2_UNDO && (c->flags & F_SACK || !a->retrans_acked)) {
		/* What was sent before the timeout arrives without having been sent again. */
		undo(c);
		return true;
	}
	if (c->flags2 & F2_FRTO_NEW) {
		if (a->is_dup || a->newly_sacked != 0)
			c->flags2 &= ~(F2_FRTO | F2_FRTO_NEW);
	} else if (a->una_moved && seq_lt(c->snd_una, c->high_seq)) {
		/* Step 2b: new data instead of retransmissions, and the next acknowledgement
		 * decides. */
		if (c->unsent != 0 && (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt) > 0) {
			c->flags2 |= F2_FRTO_NEW;
		} else {
			c->flags2 &= ~F2_FRTO;
		}
	} else if (a->is_dup) {
		c->flags2 &= ~F2_FRTO;
	}
	return false;
}

/* ---- Per acknowledgement ---- */

static void tlp_ack(struct tcp_conn *c, const struct ack_state *a, const struct tcp_pkt *p)
{
	if (!(c->flags2 & F2_TLP_OUT) || seq_lt(p->ack, c->x->tlp_end))
		return;
	if (!(c->flags2 & F2_TLP_RETRANS) || a->dsacks != 0) {
		c->flags2 &= ~F2_TLP_OUT;
	} else if (seq_lt(c->x->tlp_end, p->ack)) {
		/* The probe repaired a loss: congestion control has to hear of it. */
		c->flags2 &= ~F2_TLP_OUT;
		c->e->mib.tlp_recoveries++;
		if (c->ca_state < CA_CWR) {
			enter_cwr(c);
			leave(c);
		}
	} else if (a->is_dup && a->newly_sacked == 0) {
		c->flags2 &= ~F2_TLP_OUT;
	}
}

static void dsack_in(struct tcp_conn *c, const struct ack_state *a)
{
	struct tcp_ext *x = c->x;

	if (a->dsacks == 0)
		return;
	if (c->dsacks < UINT16_MAX)
		c->dsacks++;
	/* A probe that was not needed says nothing of reordering. */
	if (!(c->flags2 & F2_TLP_OUT))
		rack_dsack(c);
	if (c->flags2 & F2_UNDO && x->undo_retrans > 0)
		x->undo_retrans--;
}

static void state_ack(struct tcp_conn *c, struct ack_state *a)
{
	switch ((enum ca_state)c->ca_state) {
	case CA_OPEN:
	case CA_DISORDER:
		c->ca_state = c->x->sacked_out != 0 || c->x->lost_out != 0 ? CA_DISORDER : CA_OPEN;
		break;
	case CA_CWR:
		/* CWR is in the first segment beyond high_seq: until that one is acknowledged,
		 * echoes are of the marks that were reacted to. */
		if (seq_lt(c->high_seq, c->snd_una) || c->x->packets_out == 0)
			leave(c);
		break;
	case CA_RECOVERY:
		if (spurious(c, a)) {
			undo(c);
			break;
		}
		if (!seq_lt(c->snd_una, c->high_seq))
			leave(c);
		break;
	case CA_LOSS:
		if (spurious(c, a)) {
			undo(c);
			break;
		}
		if (frto_ack(c, a))
			break;
		if (!seq_lt(c->snd_una, c->high_seq))
			leave(c);
		break;
	}
}

static void cc_ack(struct tcp_conn *c, struct ack_state *a)
{
	struct tcp_ext *x = c->x;
	struct tcp_rate *r = &a->rate;

	tcp_rate_on_ack_done(&x->rate, r, c->cc.min_rtt_us, r->now_us);
	c->cc.delivered = x->rate.delivered;
	if (r->delivered == 0 && r->losses == 0)
		return;
	r->acked = a->newly_acked;
	r->in_flight = in_flight(x);
	r->rtt_us = a->rtt_last_us;
	r->ece = a->ece;
	/* RFC 3042 section 2: duplicates let segments out, and leave cwnd as it is. */
	r->cwnd_limited =
		a->una_moved && (c->flags2 & F2_CWND_LIMITED ||
				 (c->cc.cwnd < c->cc.ssthresh && c->cc.cwnd < 2 * x->max_out));
	r->in_recovery = c->ca_state == CA_RECOVERY || c->ca_state == CA_CWR;
	ops(c)->ack(&c->cc, r);
	if (c->cc.cwnd < 1)
		c->cc.cwnd = 1;
}

void recovery_ack(struct tcp_conn *c, struct ack_state *a, const struct tcp_pkt *p)
{
	struct tcp_ext *x = c->x;
	const bool old_echo = c->ca_state == CA_CWR && !seq_lt(c->high_seq, c->snd_una);
	uint32_t reo_us = 0;

	if (likely(c->ca_state == CA_OPEN && a->newly_sacked == 0 && !a->is_dup && !a->ece &&
		   a->dsacks == 0 && !(c->flags2 & F2_TLP_OUT))) {
		c->e->mib.fast_path_acks++;
		cc_ack(c, a);
		if (a->una_moved)
			rtx_schedule(c);
		return;
	}
	dsack_in(c, a);
	reno_dup(c, a);
	if (a->reordered) {
		/* How far, in segments (RFC 4653's measure). */
		const uint32_t fack = x->sacked_out != 0 ? x->highest_sacked : a->prior_fack;
		const uint32_t far = (fack - a->reord_seq + c->mss - 1) / c->mss;

		c->flags2 |= F2_RACK_REORDER_SEEN;
		if (far > c->reordering && seq_lt(a->reord_seq, fack))
			c->reordering = (uint8_t)RTE_MIN(far, 255u);
	}
	tlp_ack(c, a, p);
	state_ack(c, a);
	if (c->flags & F_SACK)
		a->newly_lost = rack_detect(c, a, &reo_us);
	else
		a->newly_lost = reno_detect(c, a);
	if (a->ece && !old_echo && c->ca_state < CA_CWR) {
		c->cc.for_ecn = true;
		enter_cwr(c);
		c->cc.for_ecn = false;
		c->e->mib.ecn_reductions++;
	}
	if (a->newly_lost != 0 && c->ca_state < CA_RECOVERY)
		enter_recovery(c);
	if (c->ca_state == CA_RECOVERY || c->ca_state == CA_CWR)
		prr(c, a);
	cc_ack(c, a);
	if (x->packets_out == 0)
		rtx_schedule(c);
	else if (reo_us != 0)
		rtx_arm(c, RTX_REO, reo_us);
	else if (a->una_moved || c->rtx_kind == RTX_REO)
		rtx_schedule(c);
	if (x->lost_out > x->retrans_out || a->newly_sacked != 0 || a->is_dup)
		conn_dirty(c);
}

/* ---- Timeouts ---- */

/* The peer took SACKs back if what is first in line is SACKed (RFC 2018 section 8). */
static void forget_sacks(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;

	c->e->mib.sack_reneged++;
	for (uint32_t i = x->seg_head; i != TCP_NIL; i = seg_at(c->e, i)->next) {
		struct tcp_seg *s = seg_at(c->e, i);

		if (s->flags & SEG_SACKED) {
			s->flags &= ~SEG_SACKED;
			x->sacked_out--;
		}
	}
	memset(x->sacked, 0, sizeof(x->sacked));
}

void recovery_rto(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	const bool again = c->ca_state == CA_LOSS && c->backoff != 0;

	e->mib.rtos++;
	if (c->rtos < UINT16_MAX)
		c->rtos++;
	c->flags2 |= F2_EVER_RTO;
	if (x->seg_head != TCP_NIL && seg_at(e, x->seg_head)->flags & SEG_SACKED)
		forget_sacks(c);
	pmtu_black_hole(c);
	if (!again && (c->ca_state <= CA_DISORDER || !seq_lt(c->snd_una, c->high_seq) ||
		       c->ca_state == CA_LOSS)) {
		reduce(c);
		c->flags2 |= F2_FRTO;
	} else if (!again) {
		/* In recovery: reduced already, and undoing means what it meant. */
		c->flags2 |= F2_FRTO;
		x->undo_retrans = x->retrans_out != 0 ? (int32_t)x->retrans_out : -1;
	}
	c->flags2 &= ~(F2_FRTO_NEW | F2_TLP_OUT);
	/* More than one timeout in a row is no accident of timing. */
	if (again)
		c->flags2 &= ~F2_FRTO;
	c->ca_state = CA_LOSS;
	c->high_seq = c->snd_nxt;
	if (!(c->flags & F_SACK))
		x->sacked_out = 0;
	c->dupacks = 0;
	for (uint32_t i = x->seg_head; i != TCP_NIL; i = seg_at(e, i)->next)
		seg_mark_lost(c, i, NULL);
	x->rtx_hint = TCP_NIL;
	c->cc.cwnd = 1;
	ops(c)->event(&c->cc, TCP_CC_RTO, e->now_us);
	if (c->cc.cwnd < 1)
		c->cc.cwnd = 1;
	if (c->backoff < 16)
		c->backoff++;
	rto_restart(c);
	conn_dirty(c);
}

void recovery_reo_timeout(struct tcp_conn *c)
{
	uint32_t reo_us, lost;

	if (c->x->packets_out == 0)
		return;
	lost = rack_detect(c, NULL, &reo_us);
	if (lost != 0 && c->ca_state < CA_RECOVERY) {
		enter_recovery(c);
		if (!ops(c)->owns_recovery)
			c->cc.cwnd = RTE_MAX(in_flight(c->x) + 1, 1u);
	} else if (lost != 0 && c->ca_state == CA_RECOVERY && in_flight(c->x) >= c->cc.cwnd) {
		c->cc.cwnd = in_flight(c->x) + 1;
	}
	if (reo_us != 0)
		rtx_arm(c, RTX_REO, reo_us);
	else
		rto_restart(c);
	conn_dirty(c);
}

/* RFC 8985 section 7.3. */
void recovery_tlp_timeout(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;
	uint32_t i = TCP_NIL;

	if (x->packets_out == 0)
		return;
	c->flags2 &= ~F2_TLP_RETRANS;
	if (c->unsent != 0 && (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt) >=
				      (int32_t)RTE_MIN(c->unsent, (uint32_t)c->mss)) {
		i = seg_from_unsent(c, RTE_MIN(c->unsent, (uint32_t)c->mss));
		if (i != TCP_NIL) {
			c->cc.snd_nxt = c->snd_nxt;
			if (!seg_xmit(c, i, false)) {
				seg_at(c->e, i)->sent_us = c->e->now_us32;
				seg_mark_lost(c, i, NULL);
			}
		}
	} else {
		i = x->seg_tail;
		if (seg_at(c->e, i)->flags & (SEG_SACKED | SEG_RETRANS)) {
			rto_restart(c);
			return;
		}
		if (seg_xmit(c, i, true)) {
			struct tcp_seg *s = seg_at(c->e, i);

			s->flags |= SEG_EVER_RETRANS;
			c->flags2 |= F2_TLP_RETRANS;
			if (!(s->flags & SEG_RETRANS) && s->flags & SEG_LOST) {
				s->flags |= SEG_RETRANS;
				x->retrans_out++;
			}
		}
	}
	if (i != TCP_NIL) {
		c->flags2 |= F2_TLP_OUT;
		x->tlp_end = c->snd_nxt;
		c->e->mib.retrans_tlp++;
	}
	rto_restart(c);
	conn_dirty(c);
}
