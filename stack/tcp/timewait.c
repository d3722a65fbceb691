/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TIME-WAIT: a small entry in the connection's place answers late segments for some time (RFC 9293
 * section 3.6.1), and makes room for a new connection of the same addresses and ports when it is
 * safe (RFC 6191).
 */
#include "build.h"
#include "conn.h"

static void unlink_tw(struct tcp_engine *e, uint32_t i)
{
	struct tcp_tw *t = tw_at(e, i);

	if (t->prev == TCP_NIL)
		e->tw_head = t->next;
	else
		tw_at(e, t->prev)->next = t->next;
	if (t->next == TCP_NIL)
		e->tw_tail = t->prev;
	else
		tw_at(e, t->next)->prev = t->prev;
}

static void append_tw(struct tcp_engine *e, uint32_t i)
{
	struct tcp_tw *t = tw_at(e, i);

	t->expire_ms = e->now_ms + e->cfg.time_wait_ms;
	t->next = TCP_NIL;
	t->prev = e->tw_tail;
	if (e->tw_tail == TCP_NIL)
		e->tw_head = i;
	else
		tw_at(e, e->tw_tail)->next = i;
	e->tw_tail = i;
}

void tw_remove(struct tcp_engine *e, uint32_t i)
{
	struct tcp_tw *t = tw_at(e, i);

	unlink_tw(e, i);
	tcp_lookup_remove(&e->table, tcp_tuple_hash(&e->key, &t->tuple), i | TW_BIT);
	tcp_slab_free(&e->tws, i);
}

void tw_enter(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	uint32_t i = tcp_slab_alloc(&e->tws);
	struct tcp_tw *t;
	int32_t wnd;

	if (i == TCP_NIL && e->tw_head != TCP_NIL) {
		e->mib.time_wait_recycled++;
		tw_remove(e, e->tw_head);
		i = tcp_slab_alloc(&e->tws);
	}
	if (i == TCP_NIL)
		return;
	t = tw_at(e, i);
	wnd = (int32_t)(c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale;
	*t = (struct tcp_tw){
		.tuple = c->tuple,
		.snd_nxt = c->snd_nxt,
		.rcv_nxt = c->rcv_nxt,
		.ts_recent = c->ts_recent,
		.ts_recent_ms = c->ts_recent_ms,
		.ts_offset = c->ts_offset,
		.listener_id = c->listener != NULL ? c->listener->p.id : UINT32_MAX,
		.oow_ack_ms = e->now_ms - CHALLENGE_OOW_MS,
		.wnd = wnd > 0 ? RTE_MIN(wnd, 65535) : 0,
		.ttl = c->ttl,
		.ts = (c->flags & F_TS) != 0,
	};
	if (!tcp_lookup_replace(&e->table, tcp_tuple_hash(&e->key, &t->tuple), conn_idx(c),
				i | TW_BIT)) {
		tcp_slab_free(&e->tws, i);
		return;
	}
	c->flags &= ~F_HASHED;
	append_tw(e, i);
}

void tw_expire(struct tcp_engine *e)
{
	/* Bounded: what is left goes with the next call. */
	for (unsigned int n = 0; n < 1024 && e->tw_head != TCP_NIL; n++) {
		if ((int32_t)(tw_at(e, e->tw_head)->expire_ms - e->now_ms) > 0)
			break;
		tw_remove(e, e->tw_head);
	}
}

static void answer(struct tcp_engine *e, struct tcp_tw *t, bool pure)
{
	if (pure && e->now_ms - t->oow_ack_ms < CHALLENGE_OOW_MS)
		return;
	t->oow_ack_ms = e->now_ms;
	send_tw_ack(e, t);
}

bool tw_input(struct tcp_engine *e, uint32_t i, struct tcp_pkt *p, uint32_t *new_iss)
{
	struct tcp_tw *t = tw_at(e, i);
	const bool ts = t->ts && p->o.flags & TCP_OPT_HAS_TS;
	const bool old = ts && (int32_t)(p->o.tsval - t->ts_recent) < 0;

	if (p->flags & RTE_TCP_RST_FLAG) {
		/* RFC 1337: only one that is exactly in place ends it early. */
		if (p->seq == t->rcv_nxt && !old) {
			e->mib.time_wait_killed++;
			tw_remove(e, i);
		} else {
			e->mib.drop_rst++;
		}
		return true;
	}
	if ((p->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG)) ==
	    RTE_TCP_SYN_FLAG) {
		/* RFC 6191 section 2; RFC 9293 section 3.10.7.4 (MAY-2). */
		if (ts ? (int32_t)(p->o.tsval - t->ts_recent) > 0 : seq_lt(t->rcv_nxt, p->seq)) {
			*new_iss = t->snd_nxt + 65537;
			if (*new_iss == 0)
				*new_iss = 1;
			e->mib.time_wait_reused++;
			tw_remove(e, i);
			return false;
		}
		answer(e, t, false);
		return true;
	}
	if (old) {
		e->mib.drop_paws++;
		answer(e, t, p->len == 0);
		return true;
	}
	if (ts && seq_leq(p->seq, t->rcv_nxt)) {
		t->ts_recent = p->o.tsval;
		t->ts_recent_ms = e->now_ms;
	}
	if (p->flags & RTE_TCP_FIN_FLAG) {
		/* Our last acknowledgement was lost. */
		unlink_tw(e, i);
		append_tw(e, i);
		answer(e, t, false);
		return true;
	}
	if (p->len != 0 || p->seq != t->rcv_nxt)
		answer(e, t, p->len == 0);
	return true;
}
