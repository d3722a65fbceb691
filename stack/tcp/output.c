/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection sends, and when: new data, retransmissions, FIN, acknowledgements. */
#include "build.h"
#include "pace.h"

/* ---- Receive window (RFC 9293 section 3.8.6) ---- */

/* Octets from rcv_nxt on that may be offered. */
uint32_t rcv_window(const struct tcp_conn *c)
{
	const uint32_t have = c->rcv_adv - c->rcv_nxt;
	const uint32_t old = (int32_t)have > 0 ? have : 0;
	const uint32_t unit = 1u << c->rcv_wscale;
	uint32_t room = c->rcvbuf > c->rcv_bytes ? c->rcvbuf - c->rcv_bytes : 0;

	room = RTE_MIN(room, 65535u << c->rcv_wscale);
	/* Under pressure what was promised stays, and nothing is added. */
	if (unlikely(c->e->pressure >= 2))
		room = 0;
	/* No silly windows: less than a segment or half of the buffer is not worth telling. */
	if (room < old + RTE_MIN((uint32_t)c->mss, c->rcvbuf / 2))
		room = old;
	if (room <= old)
		return RTE_MIN((old + unit - 1) & ~(unit - 1), 65535u << c->rcv_wscale);
	return room & ~(unit - 1);
}

void rcv_window_update(struct tcp_conn *c)
{
	const uint32_t old = c->rcv_adv - c->rcv_nxt;
	uint32_t now;

	if (c->state < TCP_ESTABLISHED || c->flags & F_FIN_RCVD)
		return;
	now = rcv_window(c);
	/* Told at once if the peer may be waiting for it, with the next acknowledgement else. */
	if ((int32_t)(now - old) >= (int32_t)RTE_MIN(2u * c->mss, c->rcvbuf / 2) &&
	    (old < c->rcvbuf / 2 || now - old >= c->rcvbuf / 4)) {
		c->flags |= F_ACK_NOW;
		conn_dirty(c);
	}
}

/* ---- Packets of a connection ---- */

void conn_headers(struct tcp_conn *c, struct rte_mbuf *m, uint32_t seq, uint8_t flags,
		  uint8_t optlen, uint8_t ect)
{
	struct tcp_engine *e = c->e;
	struct hdr_in h = {
		.tuple = &c->tuple,
		.seq = seq,
		.flags = flags,
		.optlen = optlen,
		.ttl = c->ttl,
		.tos = c->tos | ect,
		.cksum_offload = (c->flags2 & F2_TX_CKSUM) != 0,
		.tso = m->tso_segsz != 0,
	};
	uint32_t wnd;

	if (c->tuple.family == 6)
		h.flow = tcp_tuple_hash(&e->key, &c->tuple);
	if (likely(flags & RTE_TCP_ACK_FLAG)) {
		h.ack = c->rcv_nxt;
		if (flags & RTE_TCP_SYN_FLAG) {
			wnd = RTE_MIN(c->rcvbuf, 65535u);
			h.wnd = wnd;
		} else {
			wnd = rcv_window(c);
			h.wnd = wnd >> c->rcv_wscale;
			wnd = (uint32_t)h.wnd << c->rcv_wscale;
		}
		if (wnd == 0 && c->rcv_adv != c->rcv_acked)
			e->mib.zero_window_out++;
		if (seq_lt(c->rcv_adv, c->rcv_nxt + wnd))
			c->rcv_adv = c->rcv_nxt + wnd;
		c->rcv_acked = c->rcv_nxt;
		c->flags &= ~(F_ACK_NOW | F_ACK_LATER);
		c->ack_segs = 0;
		c->timer[T_DELACK] = 0;
		if (c->quickacks != 0)
			c->quickacks--;
	} else {
		h.wnd = RTE_MIN(c->rcvbuf, 65535u);
	}
	tx_headers(e, m, &h);
	c->segs_out++;
	tx_put(e, m, c->tuple.vrf, c->tuple.family);
}

/* Options of a segment after the handshake; SACK blocks if `room` allows. */
uint8_t conn_options(struct tcp_conn *c, uint8_t *p, uint32_t room)
{
	struct tcp_ext *x = c->x;
	struct tcp_sack sacks[TCP_OPT_SACK_MAX + 1];
	unsigned int n = 0, max;

	if (likely(!(c->flags & F_SACK) || (x->reass.count == 0 && x->dsack.start == x->dsack.end)))
		return tcp_opts_write(p, c->flags & F_TS, ts_now(c), c->ts_recent, NULL, 0);
	max = c->flags & F_TS ? 3 : 4;
	while (max != 0 && 4 + max * 8 > room)
		max--;
	if (max != 0 && x->dsack.start != x->dsack.end) {
		sacks[n++] = x->dsack;
		x->dsack = (struct tcp_sack){0, 0};
		c->e->mib.dsack_out++;
	}
	if (n < max)
		n += tcp_reass_sacks(&c->e->segs, &x->reass, sacks + n, max - n);
	return tcp_opts_write(p, c->flags & F_TS, ts_now(c), c->ts_recent, sacks, n);
}

uint8_t conn_ecn_flags(const struct tcp_conn *c)
{
	return (c->flags & (F_ECN | F_ECN_ECHO)) == (F_ECN | F_ECN_ECHO) ? RTE_TCP_ECE_FLAG : 0;
}

static void send_empty(struct tcp_conn *c, uint32_t seq, uint8_t flags, bool opts)
{
	struct rte_mbuf *m = tx_alloc(c->e);
	uint8_t n = 0;

	if (unlikely(m == NULL)) {
		/* Tried again when the timer fires. */
		if (flags & RTE_TCP_ACK_FLAG && c->state != TCP_CLOSED) {
			c->flags &= ~F_ACK_NOW;
			c->flags |= F_ACK_LATER;
			timer_set_us(c, T_DELACK, 1000);
		}
		return;
	}
	if (opts)
		n = conn_options(c, rte_pktmbuf_mtod(m, uint8_t *),
				 flags & RTE_TCP_RST_FLAG ? 0 : 40);
	m->data_len = m->pkt_len = n;
	c->e->mib.out_segs++;
	conn_headers(c, m, seq, flags, n, 0);
}

void send_ack(struct tcp_conn *c)
{
	send_empty(c, c->snd_nxt, RTE_TCP_ACK_FLAG | conn_ecn_flags(c), true);
}

void send_probe(struct tcp_conn *c)
{
	send_empty(c, c->snd_una - 1, RTE_TCP_ACK_FLAG, true);
}

void send_rst(struct tcp_conn *c)
{
	c->e->mib.out_rsts++;
	send_empty(c, c->snd_nxt, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, true);
}

static void send_syn_common(struct tcp_conn *c, uint8_t flags, const struct tcp_opts_out *out)
{
	struct rte_mbuf *m = tx_alloc(c->e);
	uint8_t n;

	if (m == NULL)
		return;
	n = tcp_opts_write_syn(rte_pktmbuf_mtod(m, uint8_t *), out);
	m->data_len = m->pkt_len = n;
	c->e->mib.out_segs++;
	/* For the round-trip time; receive buffer tuning begins later. */
	c->drs_us = c->e->now_us32;
	c->last_send_ms = c->e->now_ms;
	conn_headers(c, m, c->snd_una, flags, n, 0);
}

void send_syn(struct tcp_conn *c)
{
	struct tcp_opts_out out = {
		.mss = c->adv_mss,
		.wscale = c->flags & F_WSCALE ? (int8_t)c->rcv_wscale : -1,
		.sack_perm = (c->flags & F_SACK) != 0,
		.ts = (c->flags & F_TS) != 0,
		.tsval = ts_now(c),
	};

	send_syn_common(
		c, RTE_TCP_SYN_FLAG | (c->flags & F_ECN ? RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG : 0),
		&out);
}

void send_synack(struct tcp_conn *c)
{
	uint8_t cookie[TCP_TFO_COOKIE_LEN];
	struct tcp_opts_out out = {
		.mss = c->adv_mss,
		.wscale = c->flags & F_WSCALE ? (int8_t)c->rcv_wscale : -1,
		.sack_perm = (c->flags & F_SACK) != 0,
		.ts = (c->flags & F_TS) != 0,
		.tsval = ts_now(c),
		.tsecr = c->ts_recent,
	};

	if (c->flags2 & F2_TFO_COOKIE) {
		tcp_tfo_cookie(&c->e->tfo_key, &c->tuple.raddr, &c->tuple.laddr, cookie);
		out.tfo = true;
		out.tfo_exp = (c->flags2 & F2_TFO_EXP) != 0;
		out.tfo_len = sizeof(cookie);
		out.tfo_cookie = cookie;
		c->e->mib.fast_open_cookie_out++;
	}
	send_syn_common(
		c, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | (c->flags & F_ECN ? RTE_TCP_ECE_FLAG : 0),
		&out);
}

static void fin_sent(struct tcp_conn *c)
{
	c->flags |= F_FIN_SENT;
	c->state = c->state == TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT_1;
	if (c->stall_ms == 0)
		c->stall_ms = c->e->now_ms;
}

void rtx_schedule(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;
	uint64_t rto, pto;

	if (x->packets_out == 0) {
		if (c->rtx_kind != RTX_PERSIST && c->state >= TCP_ESTABLISHED)
			timer_stop(c, T_RTX);
		return;
	}
	/* RFC 8985 section 7.2. */
	if (!(c->flags & F_SACK) || c->ca_state > CA_DISORDER || x->sacked_out != 0 ||
	    c->flags2 & F2_TLP_OUT || c->cc.srtt_us == 0 || c->backoff != 0 ||
	    c->state < TCP_ESTABLISHED) {
		rto_restart(c);
		return;
	}
	pto = 2ull * c->cc.srtt_us;
	pto += x->packets_out == 1 ? TLP_DELACK_US : TLP_MIN_US;
	/* Not later than the timeout, in whose place it comes then. */
	rto = c->rto_us;
	rtx_arm(c, RTX_TLP, RTE_MIN(pto, rto));
}

/* Retransmits what is marked lost, as cwnd allows. */
static void send_lost(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	uint32_t i = x->rtx_hint != TCP_NIL ? x->rtx_hint : x->seg_head;
	bool first = i == x->seg_head;

	if (x->lost_out <= x->retrans_out)
		return;
	for (; i != TCP_NIL && x->lost_out > x->retrans_out; i = seg_at(e, i)->next) {
		struct tcp_seg *s = seg_at(e, i);

		x->rtx_hint = i;
		if (!(s->flags & SEG_LOST) || s->flags & (SEG_SACKED | SEG_RETRANS))
			continue;
		if (in_flight(x) >= c->cc.cwnd && !(first && i == x->seg_head && in_flight(x) == 0))
			return;
		if (s->len > c->mss && s->m != NULL)
			seg_split(c, i, c->mss);
		if (!seg_xmit(c, i, true)) {
			timer_set_us(c, T_PACE, 1000);
			return;
		}
		s->flags |= SEG_RETRANS | SEG_EVER_RETRANS;
		x->retrans_out++;
		x->prr_out++;
		x->undo_retrans = RTE_MAX(x->undo_retrans, 0) + 1;
		if (x->retrans_stamp_ts == 0)
			x->retrans_stamp_ts = ts_now(c) | (ts_now(c) == 0);
		if (c->ca_state == CA_LOSS)
			e->mib.retrans_rto++;
		else
			e->mib.retrans_fast++;
		if (i == x->seg_head || c->timer[T_RTX] == 0 || c->rtx_kind == RTX_TLP)
			rto_restart(c);
	}
	x->rtx_hint = TCP_NIL;
}

/* How much of what is unsent may go as the next segment; 0: nothing now. */
static uint32_t next_len(struct tcp_conn *c)
{
	const struct tcp_ext *x = c->x;
	/* A SYN's window does not count the SYN that answers it. */
	const uint32_t syn = c->state == TCP_SYN_RECEIVED;
	const int32_t room = (int32_t)(c->snd_una + syn + c->snd_wnd - c->snd_nxt);
	uint32_t len;

	if (room <= 0)
		return 0;
	len = RTE_MIN(RTE_MIN(c->unsent, (uint32_t)room), (uint32_t)c->mss);
	if (len == c->mss)
		return len;
	if (len == c->unsent) {
		if (c->flags & F_FIN_QUEUED)
			return len;
		if (c->flags & F_CORK)
			return 0;
		if (!(c->flags & F_NODELAY) && x->packets_out != 0 &&
		    seq_lt(c->snd_una, x->snd_sml))
			return 0;
		return len;
	}
	/* The window cuts it: avoid the silly window syndrome (RFC 9293 section 3.8.6.2.1). */
	return (uint32_t)room >= c->max_wnd / 2 || c->flags2 & F2_SMALL ? len : 0;
}

static bool may_send_new(const struct tcp_conn *c)
{
	return c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
	       (c->state == TCP_SYN_RECEIVED && c->flags & F_FAST_OPEN);
}

static bool paced_out(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;
	const uint64_t now = c->e->now_ns;

	if (likely(!(c->flags & F_PACED)) || c->cc.pacing_rate == 0 || x->pace_next_ns <= now)
		return false;
	/* The initial window may go at once (RFC 6928): a short answer should not wait. */
	if (c->bytes_sent < (uint64_t)INIT_CWND * c->mss) {
		x->pace_next_ns = now;
		return false;
	}
	timer_set_us(c, T_PACE, (x->pace_next_ns - now) / 1000 + 1);
	return true;
}

/*
 * Segments of a burst after which PSH tells receivers that gather them (GRO) to pass them on: what
 * the pace of the connection has room for in a millisecond, and no more than half of cwnd, so that
 * acknowledgements come while the rest is under way.
 */
static unsigned int burst_segs(const struct tcp_conn *c)
{
	const struct tcp_cc *cc = &c->cc;
	const unsigned int half = RTE_MAX(cc->cwnd / 2, 1u);
	const uint32_t ms = cc->cwnd < cc->ssthresh / 2 ? 2000 : 1200;
	uint64_t n = half;

	if (cc->srtt_us != 0)
		n = (uint64_t)cc->cwnd * ms / cc->srtt_us;
	n = RTE_MAX(n, (uint64_t)c->min_burst);
	return (unsigned int)RTE_MIN(n, (uint64_t)half);
}

/* Remembers how much of cwnd a round trip used (RFC 7661): it may grow only if it was used. */
static void note_usage(struct tcp_conn *c, bool limited)
{
	struct tcp_ext *x = c->x;

	if (x == &c->e->idle_ext)
		return;
	if (!limited && seq_lt(c->snd_una, x->usage_seq) &&
	    (c->flags2 & F2_CWND_LIMITED || x->packets_out <= x->max_out))
		return;
	c->flags2 = limited ? c->flags2 | F2_CWND_LIMITED : c->flags2 & ~F2_CWND_LIMITED;
	x->max_out = x->packets_out;
	x->usage_seq = c->snd_nxt;
}

/* Returns the segments sent. */
static unsigned int send_new(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;
	/* Segments that the port is to cut from one packet wait here. */
	const uint32_t max_held = c->flags2 & F2_TSO ? c->e->tso_max : 0;
	uint32_t len, i, first = TCP_NIL, together = 0, held = 0;
	unsigned int n = 0, run = 0, push = 0, octets = 0, burst;
	bool limited = false;

	if (c->flags & F_PACED && !tcp_cc_ops(c->cc_algo)->paces)
		c->cc.pacing_rate = tcp_pace_rate(&c->cc);
	burst = c->flags & F_PACED ? tcp_pace_burst(c->cc.pacing_rate, c->mss) : UINT32_MAX;
	while (c->unsent != 0) {
		/* Limited transmit (RFC 3042): a new segment for each of the first two duplicates.
		 */
		if (in_flight(x) >= c->cc.cwnd) {
			limited = true;
			break;
		}
		/* Each segment in flight holds a buffer, however small it is. */
		if (unlikely(c->e->pressure >= 2) && x->packets_out >= INIT_CWND)
			break;
		len = next_len(c);
		if (len == 0)
			break;
		if (octets >= burst) {
			/* If this is late, the next burst is due as well. */
			x->pace_next_ns = tcp_pace_next_ns(c->cc.pacing_rate, octets,
							   x->pace_next_ns, c->e->now_ns);
			octets = 0;
		}
		if (paced_out(c))
			break;
		if (n >= SEND_BURST) {
			c->flags2 |= F2_MORE;
			break;
		}
		i = seg_from_unsent(c, len);
		if (unlikely(i == TCP_NIL)) {
			timer_set_us(c, T_PACE, 1000);
			break;
		}
		x = c->x;
		c->flags2 &= ~F2_SMALL;
		/* Most bursts are one segment, which needs no division. */
		if (n == 1 || (n == 0 && c->cc.cwnd < 4))
			push = burst_segs(c);
		if (++run == push || in_flight(x) >= c->cc.cwnd || next_len(c) == 0) {
			if (run > 1)
				c->flags2 |= F2_PUSH;
			run = 0;
		}
		if (len < c->mss)
			x->snd_sml = c->snd_nxt;
		if (c->unsent == 0 && c->flags & F_FIN_QUEUED) {
			struct tcp_seg *s = seg_at(c->e, i);

			s->flags |= SEG_FIN;
			s->end++;
			c->snd_nxt++;
			fin_sent(c);
		}
		c->cc.snd_nxt = c->snd_nxt;
		if (c->ca_state == CA_RECOVERY || c->ca_state == CA_CWR)
			x->prr_out++;
		n++;
		octets += len;
		if (together == 0)
			first = i;
		together++;
		held += len;
		if (held + c->mss <= max_held && len == c->mss && !(c->flags2 & F2_PUSH) &&
		    !(seg_at(c->e, i)->flags & SEG_PSH))
			continue;
		if (unlikely(!segs_xmit(c, first, together)))
			return n;
		together = held = 0;
	}
	if (together != 0)
		segs_xmit(c, first, together);
	limited |= in_flight(x) >= c->cc.cwnd;
	if (n != 0 || limited)
		note_usage(c, limited);
	if (octets != 0 && c->flags & F_PACED && c->cc.pacing_rate != 0) {
		x->pace_next_ns =
			tcp_pace_next_ns(c->cc.pacing_rate, octets, x->pace_next_ns, c->e->now_ns);
		if (c->unsent != 0)
			paced_out(c);
	}
	return n;
}

static bool send_fin(struct tcp_conn *c)
{
	uint32_t i;

	if ((c->flags & (F_FIN_QUEUED | F_FIN_SENT)) != F_FIN_QUEUED || c->unsent != 0 ||
	    (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt) <= 0)
		return false;
	i = seg_from_unsent(c, 0);
	if (i == TCP_NIL) {
		timer_set_us(c, T_PACE, 1000);
		return false;
	}
	struct tcp_seg *s = seg_at(c->e, i);

	s->flags = SEG_FIN;
	s->end++;
	c->snd_nxt++;
	c->cc.snd_nxt = c->snd_nxt;
	fin_sent(c);
	if (!seg_xmit(c, i, false)) {
		s->sent_us = c->e->now_us32;
		seg_mark_lost(c, i, NULL);
		timer_set_us(c, T_PACE, 1000);
	}
	return true;
}

static void idle_restart(struct tcp_conn *c)
{
	const uint32_t idle_ms = c->e->now_ms - c->last_send_ms;

	/* RFC 5681 section 4.1, RFC 2861: what was learnt grows old. */
	if (c->flags2 & F2_EVER_SENT && (uint64_t)idle_ms * 1000 > c->rto_us) {
		c->cc.idle_rtos = RTE_MIN((uint64_t)idle_ms * 1000 / c->rto_us, 255u);
		tcp_cc_ops(c->cc_algo)->event(&c->cc, TCP_CC_IDLE_RESTART, c->e->now_us);
	}
	c->flags2 |= F2_EVER_SENT;
}

static void ack_policy(struct tcp_conn *c)
{
	if (c->flags & F_ACK_NOW) {
		send_ack(c);
		return;
	}
	if (!(c->flags & F_ACK_LATER))
		return;
	if (c->ack_segs >= 2 || c->flags & F_NO_DELACK ||
	    (c->quickacks != 0 && !(c->flags2 & F2_PINGPONG))) {
		send_ack(c);
		return;
	}
	if (c->timer[T_DELACK] == 0)
		timer_set_us(c, T_DELACK, DELACK_MIN_US);
}

void tcp_output(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;
	const bool acking = (c->flags & (F_ACK_NOW | F_ACK_LATER)) != 0;
	unsigned int sent = 0;

	if (likely(may_send_new(c) || x->packets_out != 0)) {
		const bool was_empty = x->packets_out == 0;

		if (unlikely(x->lost_out != 0 && !(c->flags2 & F2_FRTO_NEW)))
			send_lost(c);
		if (may_send_new(c) && (c->unsent != 0 || c->flags & F_FIN_QUEUED)) {
			if (was_empty && c->unsent != 0)
				idle_restart(c);
			if (unlikely(c->mtup_high > c->pmtu))
				sent = pmtu_probe(c);
			sent += send_new(c);
			if (c->flags & F_FIN_QUEUED && may_send_new(c))
				sent += send_fin(c);
			x = c->x;
			if (sent != 0) {
				if (acking)
					c->flags2 |= F2_PINGPONG;
				if (was_empty || c->timer[T_RTX] == 0 || c->rtx_kind == RTX_TLP ||
				    c->rtx_kind == RTX_PERSIST)
					rtx_schedule(c);
			} else if (x->packets_out == 0 && c->timer[T_RTX] == 0 &&
				   (c->unsent != 0 || c->flags & F_FIN_QUEUED)) {
				/* Nothing in flight will bring the news of a window: ask for it. */
				const int32_t room =
					(int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt);

				if (room <= 0 || (c->unsent > (uint32_t)room && next_len(c) == 0)) {
					c->backoff = 0;
					rtx_arm(c, RTX_PERSIST, c->rto_us);
				}
			}
			if (x != &c->e->idle_ext)
				tcp_rate_check_app_limited(
					&x->rate, c->unsent, c->mss, in_flight(x), c->cc.cwnd,
					x->lost_out > x->retrans_out ? x->lost_out - x->retrans_out
								     : 0);
		}
	}
	if (c->flags & (F_ACK_NOW | F_ACK_LATER))
		ack_policy(c);
}
