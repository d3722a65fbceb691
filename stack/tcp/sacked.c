/* SPDX-License-Identifier: Apache-2.0 */
/* The sender's side of selective acknowledgements (RFC 2018, 2883, 6675). */
#include "conn.h"

void seg_delivered(struct tcp_conn *c, const struct tcp_seg *s, struct ack_state *a)
{
	struct tcp_ext *x = c->x;

	/* After a timeout only what was sent before it tells anything. */
	if (!(s->flags & SEG_EVER_RETRANS) &&
	    (c->ca_state != CA_LOSS || seq_leq(s->end, c->high_seq)))
		a->orig_delivered = true;
	tcp_rate_on_delivered(&x->rate, &s->snap, s->sent_us, &a->rate, a->rate.now_us);
	if (c->flags & F_SACK)
		rack_delivered(c, s, a);
}

void note_reordered(struct ack_state *a, uint32_t seq)
{
	if (!a->reordered || seq_lt(seq, a->reord_seq))
		a->reord_seq = seq;
	a->reordered = true;
}

static void mark(struct tcp_conn *c, uint32_t i, struct ack_state *a)
{
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(c->e, i);

	if (s->flags & SEG_EVER_RETRANS) {
		a->retrans_acked = true;
	} else {
		const uint32_t rtt = c->e->now_us32 - s->sent_us;

		a->rtt_last_us = rtt | (rtt == 0);
		if (seq_lt(s->seq, a->prior_fack))
			note_reordered(a, s->seq);
	}
	seg_delivered(c, s, a);
	seg_tx_unlink(c, i);
	if (s->flags & SEG_RETRANS)
		x->retrans_out--;
	if (s->flags & SEG_LOST)
		x->lost_out--;
	s->flags &= ~(SEG_RETRANS | SEG_LOST);
	s->flags |= SEG_SACKED;
	x->sacked_out++;
	a->newly_sacked++;
	if (seq_lt(x->highest_sacked, s->end))
		x->highest_sacked = s->end;
}

static void block(struct tcp_conn *c, uint32_t start, uint32_t end, struct ack_state *a)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	uint32_t i = x->sack_hint != TCP_NIL ? x->sack_hint : x->seg_head;
	const uint32_t from = start;

	for (unsigned int k = 0; k < TCP_OPT_SACK_MAX; k++) {
		const struct tcp_sack *had = &x->sacked[k];

		if (had->start == had->end || seq_lt(start, had->start) || seq_lt(had->end, start))
			continue;
		/* It begins in what is known. */
		if (seq_leq(end, had->end))
			return;
		start = had->end;
	}
	while (i != TCP_NIL && seq_lt(start, seg_at(e, i)->seq) && seg_at(e, i)->prev != TCP_NIL)
		i = seg_at(e, i)->prev;
	while (i != TCP_NIL && seq_leq(seg_at(e, i)->end, start))
		i = seg_at(e, i)->next;
	for (; i != TCP_NIL; i = seg_at(e, i)->next) {
		struct tcp_seg *s = seg_at(e, i);
		/* Parts do not count, else a peer could have the queue cut to pieces: but for
		 * segments that were made before the MSS fell. */
		const bool whole = s->len <= c->mss;

		if (seq_leq(end, s->seq))
			break;
		if (s->flags & SEG_SACKED)
			continue;
		if (seq_lt(end, s->end)) {
			if (!whole && seq_leq(from, s->seq) && seg_split(c, i, end - s->seq))
				mark(c, i, a);
			break;
		}
		if (seq_lt(s->seq, from)) {
			if (whole || !seg_split(c, i, from - s->seq))
				continue;
			i = seg_at(e, i)->next;
		}
		mark(c, i, a);
		x->sack_hint = i;
	}
}

void sack_input(struct tcp_conn *c, const struct tcp_pkt *p, struct ack_state *a)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	const struct tcp_opts *o = &p->o;
	struct tcp_sack ok[TCP_OPT_SACK_MAX];
	unsigned int n = 0;

	if (x->sacked_out == 0)
		x->highest_sacked = c->snd_una;
	for (unsigned int k = 0; k < o->n_sack; k++) {
		const struct tcp_sack *b = &o->sack[k];

		e->mib.sack_blocks_in++;
		if (k == 0 && seq_lt(b->start, b->end) &&
		    (seq_lt(b->start, p->ack) ||
		     (o->n_sack > 1 && seq_leq(o->sack[1].start, b->start) &&
		      seq_leq(b->end, o->sack[1].end)))) {
			/* RFC 2883: it arrived twice. Only what may have been sent counts. */
			if (seq_leq(b->end, c->snd_nxt) &&
			    seq_lt(c->snd_una - c->max_wnd, b->start)) {
				a->dsacks++;
				e->mib.dsack_in++;
			}
			continue;
		}
		if (!seq_lt(b->start, b->end) || seq_lt(c->snd_nxt, b->end) ||
		    seq_lt(b->start, c->snd_una)) {
			e->mib.sack_blocks_invalid++;
			continue;
		}
		ok[n++] = *b;
	}
	for (unsigned int k = 0; k < n; k++)
		block(c, ok[k].start, ok[k].end, a);
	for (unsigned int k = 0; k < TCP_OPT_SACK_MAX; k++)
		x->sacked[k] = k < n ? ok[k] : (struct tcp_sack){0, 0};
}
