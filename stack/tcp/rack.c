/* SPDX-License-Identifier: Apache-2.0 */
/* Loss detection by time (RFC 8985 section 6). */
#include "conn.h"

/* Whether (t1, seq1) was sent after (t2, seq2). */
static bool sent_after(uint32_t t1, uint32_t seq1, uint32_t t2, uint32_t seq2)
{
	return (int32_t)(t1 - t2) > 0 || (t1 == t2 && seq_lt(seq2, seq1));
}

void rack_delivered(struct tcp_conn *c, const struct tcp_seg *s, const struct ack_state *a)
{
	struct tcp_ext *x = c->x;
	const uint32_t rtt = c->e->now_us32 - s->sent_us;

	if (s->flags & SEG_EVER_RETRANS) {
		/* Of which transmission is this? Not of the last one if the echo is older, or if it
		 * took less than a round trip. */
		const uint32_t ago_ms = (rtt + 999) / 1000;

		if (a->has_ts && a->tsecr != 0 && (int32_t)(ts_now(c) - ago_ms - a->tsecr) > 0)
			return;
		if (rtt < c->cc.min_rtt_us)
			return;
	}
	if (x->rack_rtt_us == 0 || sent_after(s->sent_us, s->end, x->rack_sent_us, x->rack_end)) {
		x->rack_sent_us = s->sent_us;
		x->rack_end = s->end;
	}
	/* Section 6.2 step 2: of each segment, not only of the one sent last. */
	x->rack_rtt_us = rtt | (rtt == 0);
}

static uint32_t reo_wnd(const struct tcp_conn *c)
{
	const struct tcp_ext *x = c->x;
	uint64_t w;

	if (!(c->flags2 & F2_RACK_REORDER_SEEN) &&
	    (c->ca_state >= CA_RECOVERY || x->sacked_out >= DUP_THRESH))
		return 0;
	w = (uint64_t)c->reo_wnd_mult * c->cc.min_rtt_us / 4;
	return (uint32_t)RTE_MIN(w, (uint64_t)c->cc.srtt_us);
}

uint32_t rack_detect(struct tcp_conn *c, struct ack_state *a, uint32_t *timeout_us)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	const uint32_t wnd = reo_wnd(c);
	uint32_t i = x->tx_head, lost = 0;

	*timeout_us = 0;
	if (x->rack_rtt_us == 0)
		return 0;
	while (i != TCP_NIL) {
		struct tcp_seg *s = seg_at(e, i);
		const uint32_t next = s->tnext;
		int32_t left;

		if (!sent_after(x->rack_sent_us, x->rack_end, s->sent_us, s->end))
			break;
		left = (int32_t)(s->sent_us + x->rack_rtt_us + wnd - e->now_us32);
		if (left <= 0) {
			seg_mark_lost(c, i, a != NULL ? &a->rate : NULL);
			lost++;
		} else if ((uint32_t)left > *timeout_us) {
			*timeout_us = left;
		}
		i = next;
	}
	return lost;
}

/* RFC 8985 section 6.2 step 4: a duplicate says that the window is too small. */
void rack_dsack(struct tcp_conn *c)
{
	c->flags2 |= F2_RACK_REORDER_SEEN;
	if (!(c->flags2 & F2_REO_WIDENED)) {
		c->flags2 |= F2_REO_WIDENED;
		if (c->reo_wnd_mult < 255)
			c->reo_wnd_mult++;
		c->reo_persist = 16;
	}
}

void rack_recovered(struct tcp_conn *c)
{
	c->flags2 &= ~F2_REO_WIDENED;
	if (c->reo_persist != 0 && --c->reo_persist == 0)
		c->reo_wnd_mult = 1;
}
