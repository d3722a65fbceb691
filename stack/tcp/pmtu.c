/* SPDX-License-Identifier: Apache-2.0 */
/* Path MTU: by ICMP (RFC 1191, 8201) that is believed with care (RFC 5927), by probing and by black
 * holes (RFC 4821, 8899). */
#include "conn.h"

/* Never below these, whatever a router says: RFC 879's 576 with some slack for tunnels, RFC 8200's
 * 1280. */
#define PMTU_MIN4 552
#define PMTU_MIN6 1280
/* RFC 4821 section 7.3: a larger one is tried again after ten minutes. */
#define PROBE_AGAIN_MS 600000u
#define PROBE_FAILS    3

static uint32_t pmtu_min(const struct tcp_conn *c)
{
	return c->tuple.family == 4 ? PMTU_MIN4 : PMTU_MIN6;
}

void pmtu_set(struct tcp_conn *c, uint32_t mtu)
{
	c->pmtu = mtu;
	conn_set_mss(c);
}

/* What was too large goes again in pieces; that is no sign of congestion. */
static void resend_large(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;
	bool any = false;

	for (uint32_t i = x->seg_head; i != TCP_NIL; i = seg_at(c->e, i)->next) {
		struct tcp_seg *s = seg_at(c->e, i);

		if (s->len <= c->mss || s->flags & SEG_SACKED)
			continue;
		seg_mark_lost(c, i, NULL);
		any = true;
	}
	if (!any)
		return;
	x->rtx_hint = TCP_NIL;
	if (c->ca_state < CA_RECOVERY) {
		c->high_seq = c->snd_nxt;
		c->cc.ssthresh = RTE_MIN(c->cc.ssthresh, RTE_MAX(c->cc.cwnd, 2u));
		c->flags2 &= ~(F2_UNDO | F2_FRTO);
		c->ca_state = CA_LOSS;
	}
	conn_dirty(c);
}

static void lower(struct tcp_conn *c, uint32_t mtu)
{
	if (c->mtup_high < c->pmtu)
		c->mtup_high = c->pmtu;
	c->mtup_low = mtu;
	c->mtup_fails = 0;
	c->mtup_at_ms = c->e->now_ms + PROBE_AGAIN_MS;
	pmtu_set(c, mtu);
	resend_large(c);
}

/* RFC 1191 section 7.1: what old routers do not tell is guessed from what is common. */
static uint32_t plateau_below(uint32_t mtu)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1280, 1006, 576};

	for (unsigned int i = 0; i < RTE_DIM(plateaus); i++)
		if (plateaus[i] < mtu)
			return plateaus[i];
	return PMTU_MIN4;
}

static void too_big(struct tcp_conn *c, uint32_t mtu)
{
	if (mtu == 0)
		mtu = plateau_below(c->pmtu);
	mtu = RTE_MAX(mtu, pmtu_min(c));
	if (mtu >= c->pmtu) {
		c->e->mib.icmp_ignored++;
		return;
	}
	c->e->mib.pmtu_reductions++;
	lower(c, mtu);
}

bool tcp_icmp(struct tcp_engine *e, const struct tcp_tuple *t, uint32_t seq, enum tcp_icmp what,
	      uint32_t mtu, uint64_t now_ns)
{
	struct tcp_conn *c = tcp_find(e, t);

	(void)now_ns;
	if (c == NULL)
		return false;
	/* SYN and FIN in flight count; what is not in flight cannot have caused an error. */
	if (seq_lt(seq, c->snd_una) || !seq_lt(seq, c->snd_nxt)) {
		e->mib.icmp_ignored++;
		return true;
	}
	e->mib.icmp_in++;
	if (what == TCP_ICMP_TOO_BIG) {
		too_big(c, mtu);
		return true;
	}
	/* RFC 5927 section 5: hard errors are soft once the connection is established. */
	c->flags2 |= F2_UNREACHABLE;
	if (what == TCP_ICMP_HARD && (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED))
		conn_end(c, TCP_CLOSE_UNREACHABLE);
	return true;
}

void pmtu_black_hole(struct tcp_conn *c)
{
	const struct tcp_ext *x = c->x;
	uint32_t size, mtu;

	/* The third timeout in a row of a large segment: perhaps only small ones get through. */
	if (c->backoff < 2 || x->seg_head == TCP_NIL)
		return;
	size = seg_at(c->e, x->seg_head)->len + (c->tuple.family == 4 ? 40 : 60);
	mtu = RTE_MAX(size > 1280 ? 1280u : (uint32_t)PMTU_MIN4, pmtu_min(c));
	if (size <= mtu || mtu >= c->pmtu)
		return;
	c->e->mib.pmtu_black_holes++;
	lower(c, mtu);
}

unsigned int pmtu_probe(struct tcp_conn *c)
{
	struct tcp_ext *x;
	uint32_t mtu, len, i;

	if (c->flags & F_NO_MTUP || c->flags2 & F2_PROBE_OUT ||
	    (int32_t)(c->e->now_ms - c->mtup_at_ms) < 0 || c->ca_state != CA_OPEN)
		return 0;
	mtu = (c->mtup_low + c->mtup_high + 1) / 2;
	if (mtu <= c->pmtu || c->mtup_high - c->mtup_low < 8) {
		c->mtup_high = c->pmtu;
		return 0;
	}
	len = c->mss + (mtu - c->pmtu);
	if (len + c->adv_mss < c->adv_mss || c->unsent < len + 3 * c->mss ||
	    in_flight(c->x) + 2 > c->cc.cwnd || c->snd_una + c->snd_wnd - c->snd_nxt < len ||
	    len > RTE_MIN((uint32_t)c->peer_mss, (uint32_t)UINT16_MAX))
		return 0;
	i = seg_from_unsent(c, len);
	if (i == TCP_NIL)
		return 0;
	x = c->x;
	seg_at(c->e, i)->flags |= SEG_PROBE;
	x->probe_mtu = mtu;
	c->flags2 |= F2_PROBE_OUT;
	c->cc.snd_nxt = c->snd_nxt;
	c->e->mib.pmtu_probes++;
	if (!seg_xmit(c, i, false)) {
		seg_at(c->e, i)->sent_us = c->e->now_us32;
		seg_mark_lost(c, i, NULL);
	}
	return 1;
}

void pmtu_probe_ok(struct tcp_conn *c)
{
	const uint32_t mtu = c->x->probe_mtu;

	if (!(c->flags2 & F2_PROBE_OUT))
		return;
	c->flags2 &= ~F2_PROBE_OUT;
	c->e->mib.pmtu_probes_ok++;
	c->mtup_low = mtu;
	c->mtup_fails = 0;
	if (mtu > c->pmtu)
		pmtu_set(c, mtu);
	/* Go on searching at once. */
	c->mtup_at_ms = c->e->now_ms;
}

void pmtu_probe_lost(struct tcp_conn *c)
{
	if (!(c->flags2 & F2_PROBE_OUT))
		return;
	c->flags2 &= ~F2_PROBE_OUT;
	if (++c->mtup_fails >= PROBE_FAILS) {
		c->mtup_fails = 0;
		c->mtup_high = RTE_MAX(c->x->probe_mtu - 1, (uint32_t)c->pmtu);
		c->mtup_at_ms = c->e->now_ms + PROBE_AGAIN_MS;
	} else {
		c->mtup_at_ms = c->e->now_ms + 1000;
	}
}
