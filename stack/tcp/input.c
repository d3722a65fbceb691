/* SPDX-License-Identifier: Apache-2.0 */
/* A segment of a connection, step by step as RFC 9293 section 3.10.7 has them. */
#include "build.h"
#include "conn.h"

#define PAWS_MAX_AGE_MS (24u * 24 * 3600 * 1000)

/* Sure answers to what may be an attack are themselves worth attacking: limited (RFC 5961 section
 * 7). */
void challenge_ack(struct tcp_conn *c)
{
	if (!challenge_allowed(c->e))
		return;
	c->e->mib.challenge_acks++;
	send_ack(c);
}

/* Tells where we are; not twice within half a second for segments without data, or two ends could
 * go on like that for ever. */
static void oow_ack(struct tcp_conn *c, const struct tcp_pkt *p)
{
	if (p->len == 0) {
		if (c->oow_ack_ms != 0 && c->e->now_ms - c->oow_ack_ms < CHALLENGE_OOW_MS)
			return;
		c->oow_ack_ms = c->e->now_ms;
	}
	send_ack(c);
}

static void drop(struct tcp_pkt *p, uint64_t *counter)
{
	(*counter)++;
	rte_pktmbuf_free(p->m);
}

/* ---- Options of the handshake ---- */

/* What the peer's SYN says; flags F_* offered or wanted by us are set already. */
static void take_syn_options(struct tcp_conn *c, const struct tcp_pkt *p)
{
	const struct tcp_opts *o = &p->o;

	if (!(o->flags & TCP_OPT_HAS_SACK_PERM))
		c->flags &= ~F_SACK;
	if (!(o->flags & TCP_OPT_HAS_TS)) {
		c->flags &= ~F_TS;
	} else if (c->flags & F_TS) {
		c->ts_recent = o->tsval;
		c->ts_recent_ms = c->e->now_ms;
	}
	if (!(o->flags & TCP_OPT_HAS_WSCALE) || !(c->flags & F_WSCALE)) {
		c->flags &= ~F_WSCALE;
		c->snd_wscale = c->rcv_wscale = 0;
	} else {
		c->snd_wscale = o->wscale;
	}
	if (o->flags & TCP_OPT_HAS_MSS)
		c->peer_mss = RTE_MAX(o->mss, MSS_MIN);
	else
		c->peer_mss = c->tuple.family == 4 ? MSS_DEFAULT4 : MSS_DEFAULT6;
	conn_set_mss(c);
	c->rcv_nxt = p->seq + 1;
	c->rcv_acked = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + RTE_MIN(c->rcvbuf, 65535u);
	c->snd_wnd = p->wnd;
	c->max_wnd = p->wnd;
	c->snd_wl1 = p->seq;
}

void conn_from_syn(struct tcp_conn *c, const struct tcp_pkt *p)
{
	take_syn_options(c, p);
}

static void handshake_rtt(struct tcp_conn *c)
{
	if (c->syn_retries == 0)
		rtt_sample(c, c->e->now_us32 - c->drs_us);
}

static void syn_sent(struct tcp_conn *c, struct tcp_pkt *p)
{
	struct tcp_engine *e = c->e;
	const bool acked = (p->flags & RTE_TCP_ACK_FLAG) != 0;

	if (acked && p->ack != c->snd_nxt) {
		if (!(p->flags & RTE_TCP_RST_FLAG))
			send_rst_reply(e, p);
		drop(p, &e->mib.drop_ack);
		return;
	}
	if (p->flags & RTE_TCP_RST_FLAG) {
		if (!acked) {
			drop(p, &e->mib.drop_rst);
			return;
		}
		e->mib.in_rsts++;
		conn_end(c, TCP_CLOSE_REFUSED);
		rte_pktmbuf_free(p->m);
		return;
	}
	if (!(p->flags & RTE_TCP_SYN_FLAG)) {
		drop(p, &e->mib.drop_flags);
		return;
	}
	if (c->flags & F_TS && acked && p->o.flags & TCP_OPT_HAS_TS && p->o.tsecr != 0 &&
	    (int32_t)(ts_now(c) - p->o.tsecr) < 0) {
		drop(p, &e->mib.drop_paws);
		return;
	}
	take_syn_options(c, p);
	if (acked) {
		/* RFC 3168 section 6.1.1. */
		if ((p->flags & (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG)) != RTE_TCP_ECE_FLAG)
			c->flags &= ~F_ECN;
		c->snd_una = p->ack;
		handshake_rtt(c);
		conn_established(c);
		c->flags |= F_ACK_NOW;
	} else {
		/* Simultaneous open: both send SYN. */
		if ((p->flags & (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG)) !=
		    (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG))
			c->flags &= ~F_ECN;
		c->state = TCP_SYN_RECEIVED;
		c->keep_probes = 6;
		send_synack(c);
		rtx_arm(c, RTX_RTO, RTO_INIT_US);
	}
	rte_pktmbuf_free(p->m);
}

/* ---- Sequence number, RST, SYN ---- */

static bool paws_old(struct tcp_conn *c, const struct tcp_pkt *p)
{
	return c->flags & F_TS && p->o.flags & TCP_OPT_HAS_TS && !(p->flags & RTE_TCP_RST_FLAG) &&
	       (int32_t)(p->o.tsval - c->ts_recent) < 0 &&
	       c->e->now_ms - c->ts_recent_ms < PAWS_MAX_AGE_MS;
}

/* RFC 9293 section 3.10.7.4, first: any octet within the window; at a closed window only what lies
 * at its edge. */
static bool in_window(const struct tcp_conn *c, const struct tcp_pkt *p)
{
	const uint32_t end = p->seq + p->len + ((p->flags & RTE_TCP_FIN_FLAG) != 0) +
			     ((p->flags & RTE_TCP_SYN_FLAG) != 0);

	return seq_leq(c->rcv_acked, end) && seq_leq(p->seq, seq_max(c->rcv_adv, c->rcv_nxt));
}

static void rst_in(struct tcp_conn *c, struct tcp_pkt *p)
{
	struct tcp_engine *e = c->e;

	if (p->seq == c->rcv_nxt) {
		e->mib.in_rsts++;
		conn_end(c, TCP_CLOSE_RESET);
	} else if (seq_leq(c->rcv_nxt, p->seq) && seq_lt(p->seq, c->rcv_adv)) {
		/* RFC 5961 section 3. */
		e->mib.drop_rst++;
		challenge_ack(c);
	} else {
		e->mib.drop_rst++;
	}
	rte_pktmbuf_free(p->m);
}

/* ---- Data and FIN ---- */

static void fin_in(struct tcp_conn *c)
{
	/* What a peer sent beyond its own end is nothing. */
	if (unlikely(c->x->reass.count != 0)) {
		mem_charge(c->e, -(int64_t)c->x->reass.mem);
		tcp_reass_purge(&c->e->segs, &c->x->reass);
	}
	c->rcv_nxt++;
	c->flags |= F_FIN_RCVD | F_ACK_NOW | F_EV_READABLE;
	c->flags &= ~F_FIN_OOO;
	switch (c->state) {
	case TCP_SYN_RECEIVED:
	case TCP_ESTABLISHED:
		c->state = TCP_CLOSE_WAIT;
		break;
	case TCP_FIN_WAIT_1:
		c->state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT_2:
		conn_finish(c, true);
		break;
	default:
		break;
	}
	conn_dirty(c);
}

static void set_dsack(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	if (!(c->flags & F_SACK) || !ext_need(c))
		return;
	c->x->dsack.start = start;
	c->x->dsack.end = end;
}

static void fill_from_reass(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct rte_mbuf *m;
	uint32_t len;

	while (x->reass.count != 0) {
		const uint32_t mem = x->reass.mem;

		m = tcp_reass_pop(&e->segs, &x->reass, c->rcv_nxt, &len);
		mem_charge(e, -(int64_t)(mem - x->reass.mem));
		if (m == NULL)
			break;
		c->rcv_nxt += len;
		rcv_append(c, m, len);
	}
}

static void in_order(struct tcp_conn *c, struct tcp_pkt *p, uint32_t len)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	const bool had_hole = x->reass.count != 0;

	if (unlikely(had_hole && seq_lt(tcp_reass_start(&e->segs, &x->reass), c->rcv_nxt + len))) {
		struct tcp_reass_result r;

		/* It reaches into what is held: what came first stays (the same octets come to the
		 * service whatever a second copy says). */
		tcp_reass_insert(&e->segs, &x->reass, c->rcv_nxt, c->rcv_nxt, p->m, 4096, &r);
		mem_charge(e, r.mem);
		if (r.dup_start != r.dup_end)
			set_dsack(c, r.dup_start, r.dup_end);
	} else {
		c->rcv_nxt += len;
		rcv_append(c, p->m, len);
	}
	if (unlikely(had_hole)) {
		fill_from_reass(c);
		c->flags |= F_ACK_NOW;
	}
	if (c->flags & F_FIN_OOO && c->x->fin_seq == c->rcv_nxt)
		fin_in(c);
	c->flags |= F_EV_READABLE | F_ACK_LATER;
	if (c->ack_segs < UINT8_MAX)
		c->ack_segs++;
	conn_dirty(c);
}

static void out_of_order(struct tcp_conn *c, struct tcp_pkt *p, uint32_t seq)
{
	struct tcp_engine *e = c->e;
	struct tcp_reass_result r;

	if (e->pressure >= 2 || !ext_need(c)) {
		e->mib.ooo_dropped++;
		rte_pktmbuf_free(p->m);
		send_ack(c);
		return;
	}
	e->mib.ooo_segs++;
	tcp_reass_insert(&e->segs, &c->x->reass, c->rcv_nxt, seq, p->m, 4096, &r);
	mem_charge(e, r.mem);
	if (r.no_memory)
		e->mib.ooo_dropped++;
	if (r.dup_start != r.dup_end)
		set_dsack(c, r.dup_start, r.dup_end);
	c->quickacks = QUICKACKS;
	/* One for each, so that the sender can count (RFC 5681 section 4.2). */
	send_ack(c);
}

static void data_in(struct tcp_conn *c, struct tcp_pkt *p)
{
	struct tcp_engine *e = c->e;
	uint32_t seq = p->seq, len = p->len;
	bool fin = (p->flags & RTE_TCP_FIN_FLAG) != 0;
	int32_t room;

	if (unlikely(c->state > TCP_FIN_WAIT_2 || c->flags & F_FIN_RCVD)) {
		/* After its FIN, or it is a repetition: acknowledged again. */
		if (len != 0 || fin)
			c->flags |= F_ACK_NOW;
		conn_dirty(c);
		rte_pktmbuf_free(p->m);
		return;
	}
	if (unlikely(c->flags & F_DETACHED && len != 0 && seq_lt(c->rcv_nxt, seq + len))) {
		/* Nobody is there to read it (RFC 9293 section 3.10.7.4 and RFC 2525 section 2.17).
		 */
		rte_pktmbuf_free(p->m);
		e->mib.drop_after_close++;
		/* With the peer's own idea of the sequence number, in case it has not got our FIN:
		 * another one would only be challenged (RFC 5961). */
		send_rst_reply(e, p);
		conn_end(c, TCP_CLOSE_ABORTED);
		return;
	}
	if (unlikely(seq_lt(seq, c->rcv_nxt))) {
		const uint32_t old = c->rcv_nxt - seq;

		if (old >= len) {
			if (len != 0) {
				e->mib.dup_segs++;
				set_dsack(c, seq, seq + len);
				c->flags |= F_ACK_NOW;
				conn_dirty(c);
			}
			if (!(fin && seq + len == c->rcv_nxt)) {
				rte_pktmbuf_free(p->m);
				return;
			}
			len = 0;
			seq = c->rcv_nxt;
		} else {
			set_dsack(c, seq, c->rcv_nxt);
			p->m = tcp_chain_trim_front(p->m, old, NULL);
			seq = c->rcv_nxt;
			len -= old;
		}
	}
	room = (int32_t)(c->rcv_adv - seq);
	if (unlikely((int32_t)len > room)) {
		fin = false;
		if (room <= 0) {
			e->mib.drop_window++;
			c->flags |= F_ACK_NOW;
			conn_dirty(c);
			rte_pktmbuf_free(p->m);
			return;
		}
		p->m = tcp_chain_trim_tail(p->m, room, NULL);
		len = room;
	}
	if (len == 0) {
		rte_pktmbuf_free(p->m);
	} else if (likely(seq == c->rcv_nxt)) {
		if (unlikely(e->mem > e->cfg.mem_limit + e->cfg.mem_limit / 4)) {
			/* Promised, and yet there is no room at all: it comes again. */
			drop(p, &e->mib.drop_memory);
			return;
		}
		in_order(c, p, len);
	} else {
		out_of_order(c, p, seq);
	}
	if (!fin)
		return;
	if (seq + len == c->rcv_nxt) {
		fin_in(c);
	} else if (seq_lt(c->rcv_nxt, seq + len) && ext_need(c)) {
		c->x->fin_seq = seq + len;
		c->flags |= F_FIN_OOO;
	}
}

/* ---- Acknowledgement ---- */

static bool syn_received_ack(struct tcp_conn *c, struct tcp_pkt *p)
{
	if (seq_leq(p->ack, c->snd_una) || seq_lt(c->snd_nxt, p->ack)) {
		send_rst_reply(c->e, p);
		c->e->mib.drop_ack++;
		return false;
	}
	/* The SYN is ours alone; data sent with Fast Open is in the list of segments. */
	c->snd_una++;
	handshake_rtt(c);
	c->snd_wnd = p->wnd << c->snd_wscale;
	c->max_wnd = c->snd_wnd;
	c->snd_wl1 = p->seq;
	if (c->flags & F_FAST_OPEN) {
		const bool fin = (c->flags & F_FIN_SENT) != 0;

		/* The service has it since the SYN. */
		conn_half_open_done(c);
		if (!fin)
			c->state = TCP_ESTABLISHED;
		c->syn_retries = 0;
		c->backoff = 0;
		if (c->x->packets_out == 0)
			timer_stop(c, T_RTX);
		keep_restart(c);
		conn_dirty(c);
		return true;
	}
	conn_established(c);
	return true;
}

/* Our FIN is acknowledged. False: the connection is over. */
static bool fin_acked(struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		c->state = TCP_FIN_WAIT_2;
		c->stall_ms = 0;
		timer_stop(c, T_RTX);
		timer_stop(c, T_KEEP);
		if (c->flags & F_DETACHED)
			timer_set_us(c, T_KEEP, (uint64_t)c->fin_wait2_ms * 1000);
		else
			keep_restart(c);
		return true;
	case TCP_CLOSING:
		conn_finish(c, true);
		return false;
	case TCP_LAST_ACK:
		conn_finish(c, false);
		return false;
	default:
		return true;
	}
}

void seg_input(struct tcp_conn *c, struct tcp_pkt *p)
{
	struct tcp_engine *e = c->e;

	c->segs_in++;
	if (unlikely(c->state == TCP_SYN_SENT)) {
		syn_sent(c, p);
		return;
	}
	if (unlikely(paws_old(c, p))) {
		e->mib.drop_paws++;
		if (p->len != 0 && seq_leq(p->seq + p->len, c->rcv_nxt))
			set_dsack(c, p->seq, p->seq + p->len);
		oow_ack(c, p);
		rte_pktmbuf_free(p->m);
		return;
	}
	if (unlikely(p->seq != c->rcv_nxt && !in_window(c, p))) {
		if (p->flags & RTE_TCP_RST_FLAG) {
			drop(p, &e->mib.drop_rst);
			return;
		}
		if (c->state == TCP_SYN_RECEIVED && p->flags & RTE_TCP_SYN_FLAG &&
		    !(p->flags & RTE_TCP_ACK_FLAG)) {
			/* Our SYN-ACK was lost, or is late. */
			send_synack(c);
			rte_pktmbuf_free(p->m);
			return;
		}
		if (p->flags & RTE_TCP_SYN_FLAG) {
			e->mib.drop_syn++;
			challenge_ack(c);
			rte_pktmbuf_free(p->m);
			return;
		}
		if (p->len != 0 && seq_leq(p->seq + p->len, c->rcv_nxt)) {
			e->mib.dup_segs++;
			set_dsack(c, p->seq, p->seq + p->len);
		} else {
			e->mib.drop_window++;
		}
		c->last_recv_ms = e->now_ms;
		oow_ack(c, p);
		rte_pktmbuf_free(p->m);
		return;
	}
	if (unlikely(p->flags & RTE_TCP_RST_FLAG)) {
		rst_in(c, p);
		return;
	}
	if (unlikely(p->flags & RTE_TCP_SYN_FLAG)) {
		if (c->state == TCP_SYN_RECEIVED) {
			if (!(p->flags & RTE_TCP_ACK_FLAG)) {
				send_synack(c);
				rte_pktmbuf_free(p->m);
				return;
			}
			/* The SYN-ACK of a simultaneous open: its SYN was seen, its ACK counts. */
			if (c->flags & F_PASSIVE) {
				e->mib.drop_syn++;
				challenge_ack(c);
				rte_pktmbuf_free(p->m);
				return;
			}
		} else {
			/* RFC 5961 section 4. */
			e->mib.drop_syn++;
			challenge_ack(c);
			rte_pktmbuf_free(p->m);
			return;
		}
	}
	if (unlikely(!(p->flags & RTE_TCP_ACK_FLAG))) {
		drop(p, &e->mib.drop_no_ack);
		return;
	}
	c->last_recv_ms = e->now_ms;
	if (unlikely(c->state == TCP_SYN_RECEIVED)) {
		if (!syn_received_ack(c, p)) {
			rte_pktmbuf_free(p->m);
			return;
		}
	}
	if (c->keep_probes != 0)
		keep_restart(c);
	if (c->flags & F_ECN) {
		if (p->flags & RTE_TCP_CWR_FLAG)
			c->flags &= ~F_ECN_ECHO;
		if (p->ecn == 3) {
			e->mib.ecn_ce_in++;
			c->flags |= F_ECN_ECHO | F_ACK_NOW;
			conn_dirty(c);
		}
	}
	if (!ack_input(c, p)) {
		rte_pktmbuf_free(p->m);
		return;
	}
	/* Not before the acknowledgement is found good: whoever guesses the sequence number alone
	 * could make the peer's own timestamps look old (RFC 7323 section 4.3 with RFC 5961 section
	 * 5). */
	if (c->flags & F_TS && p->o.flags & TCP_OPT_HAS_TS && seq_leq(p->seq, c->rcv_acked) &&
	    (int32_t)(p->o.tsval - c->ts_recent) >= 0) {
		c->ts_recent = p->o.tsval;
		c->ts_recent_ms = e->now_ms;
	}
	if (unlikely(c->flags & F_FIN_SENT && c->snd_una == c->snd_nxt)) {
		const bool over = !fin_acked(c);

		if (over) {
			rte_pktmbuf_free(p->m);
			return;
		}
	}
	if (p->len != 0 || p->flags & RTE_TCP_FIN_FLAG) {
		if (p->len >= c->mss && c->flags & F_TS && p->o.tsecr != 0) {
			const uint32_t us = RTE_MAX(ts_now(c) - p->o.tsecr, 1u) * 1000;

			if (us < 10000000 && (c->rcv_rtt_us == 0 || us < c->rcv_rtt_us))
				c->rcv_rtt_us = us;
		}
		data_in(c, p);
		return;
	}
	rte_pktmbuf_free(p->m);
}
