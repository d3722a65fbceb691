/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life, from the slot it gets to the one it leaves. */
#include <errno.h>
#include <stdlib.h>

#include "build.h"
#include "conn.h"

void conn_dirty(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	uint32_t i;

	if (c->flags & F_DIRTY)
		return;
	c->flags |= F_DIRTY;
	c->dirty_next = TCP_NIL;
	i = conn_idx(c);
	if (e->dirty_tail == TCP_NIL)
		e->dirty_head = i;
	else
		conn_at(e, e->dirty_tail)->dirty_next = i;
	e->dirty_tail = i;
}

bool ext_need(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	uint32_t i;

	if (likely(c->x != &e->idle_ext))
		return true;
	i = tcp_slab_alloc(&e->exts);
	if (unlikely(i == TCP_NIL))
		return false;
	c->x = tcp_slab_at(&e->exts, i);
	*c->x = e->idle_ext;
	c->x->rate.delivered = c->cc.delivered;
	c->x->usage_seq = c->snd_una;
	return true;
}

void ext_drop(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;

	if (x == &e->idle_ext || x->seg_head != TCP_NIL || x->reass.count != 0 ||
	    c->ca_state != CA_OPEN || c->flags & F_FIN_OOO || x->dsack.start != x->dsack.end ||
	    c->unsent != 0)
		return;
	tcp_slab_free(&e->exts, (uint32_t)(((uint8_t *)x - e->exts.mem) / sizeof(*x)));
	c->x = &e->idle_ext;
}

void mem_charge(struct tcp_engine *e, int64_t bytes)
{
	uint8_t was = e->pressure;

	e->mem += bytes;
	if (e->mem > e->cfg.mem_limit)
		e->pressure = 2;
	else if (e->mem > e->cfg.mem_limit - e->cfg.mem_limit / 4)
		e->pressure = was == 2 && e->mem > e->cfg.mem_limit - e->cfg.mem_limit / 8 ? 2 : 1;
	else if (e->mem < e->cfg.mem_limit / 8 * 5)
		e->pressure = 0;
	else if (was == 2)
		e->pressure = 1;
	if (e->pressure > was && was == 0)
		e->mib.mem_pressure++;
}

static void apply_options(struct tcp_conn *c, const struct tcp_options *o)
{
	conn_set_options(c, o);
	c->cc_algo = o->cc < TCP_CC_MAX ? o->cc : TCP_CC_CUBIC;
	c->rcvbuf = RTE_MIN((uint32_t)RCVBUF_INIT, (uint32_t)c->rcvbuf_max << 10);
	c->min_burst = o->min_burst != 0 ? o->min_burst : 2;
	if (o->no_mtu_probing)
		c->flags |= F_NO_MTUP;
	if (o->pacing || tcp_cc_ops(c->cc_algo)->paces)
		c->flags |= F_PACED;
}

struct tcp_conn *conn_new(struct tcp_engine *e, const struct tcp_tuple *t, uint32_t hash,
			  const struct tcp_options *opt)
{
	const uint32_t i = tcp_slab_alloc(&e->conns);
	struct tcp_conn *c;
	struct tcp_route r = {0};

	if (i == TCP_NIL) {
		errno = ENOBUFS;
		return NULL;
	}
	c = conn_at(e, i);
	memset(c, 0, sizeof(*c));
	c->tuple = *t;
	c->e = e;
	c->x = &e->idle_ext;
	c->dirty_next = TCP_NIL;
	c->wheel.slot = TCP_WHEEL_NONE;
	apply_options(c, opt);
	e->env.route(e->env.ctx, t, &r);
	if (r.mtu < (t->family == 4 ? 68 : 1280)) {
		if (r.mtu == 0) {
			tcp_slab_free(&e->conns, i);
			c->e = NULL;
			errno = ENETUNREACH;
			return NULL;
		}
		r.mtu = t->family == 4 ? 68 : 1280;
	}
	c->pmtu = r.mtu;
	if (r.tx_checksum)
		c->flags2 |= F2_TX_CKSUM;
	if (r.tso_max != 0) {
		c->flags2 |= F2_TSO;
		e->tso_max = RTE_MIN(e->tso_max, r.tso_max);
	}
	c->peer_mss = t->family == 4 ? MSS_DEFAULT4 : MSS_DEFAULT6;
	c->rto_us = RTO_INIT_US;
	c->reordering = DUP_THRESH;
	c->reo_wnd_mult = 1;
	c->quickacks = QUICKACKS;
	c->born_ms = c->last_send_ms = c->last_recv_ms = e->now_ms;
	conn_progress(c);
	c->ts_offset = tcp_ts_offset(&e->key, t);
	c->cc.cwnd = INIT_CWND;
	c->cc.ssthresh = TCP_INFINITE_SSTHRESH;
	conn_set_mss(c);
	if (!tcp_lookup_insert(&e->table, hash, i)) {
		tcp_slab_free(&e->conns, i);
		c->e = NULL;
		errno = ENOBUFS;
		return NULL;
	}
	c->flags |= F_HASHED;
	return c;
}

/* Payload per segment: what the peer's MSS and the path MTU leave beside the usual options (RFC
 * 6691). */
void conn_set_mss(struct tcp_conn *c)
{
	const uint32_t fit = c->pmtu - base_hdr(c);
	uint32_t mss = RTE_MIN(fit, (uint32_t)c->peer_mss);

	/* A limit of ours holds both ways. */
	if (c->adv_mss != 0)
		mss = RTE_MIN(mss, (uint32_t)c->adv_mss);

	if (mss < MSS_MIN)
		mss = MSS_MIN;
	if (c->flags & F_TS)
		mss -= 12;
	c->mss = mss;
	c->cc.mss = mss;
}

void conn_set_adv_mss(struct tcp_conn *c, uint16_t limit)
{
	const uint32_t fit = c->pmtu - base_hdr(c);

	c->adv_mss = limit != 0 ? RTE_MAX(RTE_MIN(fit, (uint32_t)limit), (uint32_t)MSS_MIN) : fit;
}

void conn_half_open_done(struct tcp_conn *c)
{
	if (!(c->flags & F_HALF_OPEN))
		return;
	c->flags &= ~F_HALF_OPEN;
	c->e->half_open--;
	c->listener->stats.half_open--;
}

void conn_established(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;

	conn_half_open_done(c);
	c->state = TCP_ESTABLISHED;
	c->syn_retries = 0;
	c->backoff = 0;
	c->last_recv_ms = e->now_ms;
	timer_stop(c, T_RTX);
	timer_stop(c, T_KEEP);
	c->cc.mss = c->mss;
	c->cc.snd_una = c->snd_una;
	c->cc.snd_nxt = c->snd_nxt;
	/* RFC 6928; RFC 5681 section 3.1: a lost SYN says that the path is not so good. */
	c->cc.cwnd = c->total_retrans > 1 ? 1 : INIT_CWND;
	tcp_cc_ops(c->cc_algo)->init(&c->cc, e->now_us);
	c->mtup_low = c->pmtu;
	c->drs_us = e->now_us32;
	if (c->flags & F_PASSIVE) {
		e->mib.passive_opens++;
		c->listener->stats.accepted++;
		c->flags |= F_EV_ACCEPT;
	} else {
		c->flags |= F_EV_CONNECTED;
	}
	keep_restart(c);
	conn_dirty(c);
}

static void unhash(struct tcp_conn *c)
{
	if (!(c->flags & F_HASHED))
		return;
	c->flags &= ~F_HASHED;
	tcp_lookup_remove(&c->e->table, tcp_tuple_hash(&c->e->key, &c->tuple), conn_idx(c));
}

void conn_end(struct tcp_conn *c, enum tcp_close_reason why)
{
	if (c->state == TCP_CLOSED)
		return;
	conn_half_open_done(c);
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
		c->e->mib.attempt_fails++;
	else if (why != TCP_CLOSE_DONE)
		c->e->mib.estab_resets += why == TCP_CLOSE_RESET || why == TCP_CLOSE_ABORTED;
	/* A half-open connection was never the service's, but by Fast Open. */
	if (c->state == TCP_SYN_RECEIVED && c->flags & F_PASSIVE && !(c->flags & F_FAST_OPEN))
		c->flags |= F_DETACHED;
	c->state = TCP_CLOSED;
	c->close_reason = why;
	c->flags &= ~(F_EV_READABLE | F_EV_WRITABLE | F_EV_CONNECTED | F_EV_TIMER | F_EV_DRAIN);
	unhash(c);
	segs_purge(c);
	unsent_purge(c);
	if (c->x != &c->e->idle_ext) {
		mem_charge(c->e, -(int64_t)c->x->reass.mem);
		tcp_reass_purge(&c->e->segs, &c->x->reass);
		c->x->dsack = (struct tcp_sack){0, 0};
	}
	if (c->wheel.slot != TCP_WHEEL_NONE)
		tcp_wheel_del(&c->e->wheel, conn_idx(c));
	memset(c->timer, 0, sizeof(c->timer));
	conn_dirty(c);
}

void conn_reset(struct tcp_conn *c, enum tcp_close_reason why)
{
	if (c->state > TCP_LISTEN && c->state != TCP_SYN_SENT)
		send_rst(c);
	conn_end(c, why);
}

void conn_finish(struct tcp_conn *c, bool time_wait)
{
	if (c->flags & (F_ACK_NOW | F_ACK_LATER))
		send_ack(c);
	segs_purge(c);
	if (time_wait)
		tw_enter(c);
	unhash(c);
	for (unsigned int i = 0; i < T_MAX; i++)
		if (i != T_USER)
			c->timer[i] = 0;
	c->state = TCP_TIME_WAIT;
	c->flags2 |= F2_FINISHED;
	/* Before the end it hears of the end of the stream. */
	c->flags |= F_EV_READABLE;
	conn_dirty(c);
}

void conn_release(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;

	if (c->wheel.slot != TCP_WHEEL_NONE)
		tcp_wheel_del(&e->wheel, conn_idx(c));
	rcv_purge(c);
	c->ca_state = CA_OPEN;
	c->flags &= ~F_FIN_OOO;
	c->unsent = 0;
	ext_drop(c);
	if (c->flags2 & F2_SOURCE)
		source_give(c);
	if (c->listener != NULL)
		listener_conn_gone(c);
	c->e = NULL;
	c->flags = 0;
	tcp_slab_free(&e->conns, (uint32_t)(((uint8_t *)c - e->conns.mem) / sizeof(*c)));
}

/* ---- The service's side ---- */

void *tcp_user(const struct tcp_conn *c)
{
	return c->user;
}

void tcp_set_user(struct tcp_conn *c, void *user)
{
	c->user = user;
}

void tcp_set_ops(struct tcp_conn *c, const struct tcp_ops *ops)
{
	c->ops = ops;
}

struct tcp_engine *tcp_engine_of(const struct tcp_conn *c)
{
	return c->e;
}

const struct tcp_tuple *tcp_tuple(const struct tcp_conn *c)
{
	return &c->tuple;
}

enum tcp_state tcp_conn_state(const struct tcp_conn *c)
{
	return (enum tcp_state)c->state;
}

struct tcp_listener *tcp_conn_listener(const struct tcp_conn *c)
{
	return c->listener;
}

struct rte_mempool *tcp_pool(const struct tcp_engine *e)
{
	return e->cfg.pool;
}

uint16_t tcp_conn_mss(const struct tcp_conn *c)
{
	return c->mss;
}

void tcp_set_timer(struct tcp_conn *c, uint32_t ms)
{
	c->flags &= ~F_EV_TIMER;
	if (ms == 0 || c->state == TCP_CLOSED)
		timer_stop(c, T_USER);
	else
		timer_set_us(c, T_USER, (uint64_t)ms * 1000);
}

void tcp_shutdown(struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_SYN_SENT:
		/* Nothing is there that could end in order. */
		conn_end(c, TCP_CLOSE_ABORTED);
		return;
	case TCP_SYN_RECEIVED:
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		c->flags |= F_FIN_QUEUED;
		conn_dirty(c);
		return;
	default:
		return;
	}
}

void tcp_close(struct tcp_conn *c)
{
	if (c->flags & F_DETACHED)
		return;
	c->flags |= F_DETACHED;
	c->flags &= ~F_EV_TIMER;
	timer_stop(c, T_USER);
	conn_dirty(c);
	if (c->state == TCP_CLOSED || c->flags2 & F2_FINISHED)
		return;
	if (c->rcv_bytes != 0) {
		rcv_purge(c);
		conn_reset(c, TCP_CLOSE_ABORTED);
		return;
	}
	tcp_shutdown(c);
	if (c->state == TCP_FIN_WAIT_2)
		timer_set_us(c, T_KEEP, (uint64_t)c->fin_wait2_ms * 1000);
}

void tcp_abort(struct tcp_conn *c)
{
	c->flags |= F_DETACHED;
	conn_dirty(c);
	if (!(c->flags2 & F2_FINISHED))
		conn_reset(c, TCP_CLOSE_ABORTED);
}

void tcp_kill(struct tcp_conn *c)
{
	if (c->flags2 & F2_FINISHED) {
		/* Only the service was not done with it. */
		rcv_purge(c);
		c->close_reason = TCP_CLOSE_ABORTED;
		c->state = TCP_CLOSED;
		conn_dirty(c);
		return;
	}
	conn_reset(c, TCP_CLOSE_ABORTED);
}

void tcp_drain(struct tcp_conn *c)
{
	if (c->flags & F_DETACHED || c->flags2 & F2_FINISHED || c->state == TCP_CLOSED)
		return;
	if (c->state == TCP_SYN_RECEIVED && !(c->flags & F_FAST_OPEN)) {
		conn_reset(c, TCP_CLOSE_ABORTED);
		return;
	}
	c->flags |= F_EV_DRAIN;
	conn_dirty(c);
}

/* ---- Connections made from here ---- */

/* RFC 6056 algorithm 3: a keyed offset per destination, and a counter shared by all. */
static bool choose_port(struct tcp_engine *e, struct tcp_tuple *t, uint32_t *hash)
{
	const uint32_t stride = e->cfg.port_stride;
	const uint32_t first =
		e->cfg.port_min + (stride + e->cfg.port_phase - e->cfg.port_min % stride) % stride;
	uint32_t n, off;

	if (first > e->cfg.port_max)
		return false;
	n = (e->cfg.port_max - first) / stride + 1;
	t->lport = 0;
	off = tcp_port_offset(&e->key, t);
	for (uint32_t i = 0; i < n; i++) {
		t->lport = rte_cpu_to_be_16(first + (off + e->port_hint++) % n * stride);
		*hash = tcp_tuple_hash(&e->key, t);
		if (conn_lookup(e, t, *hash) == TCP_NIL && listener_find(e, t) == NULL)
			return true;
	}
	return false;
}

struct tcp_conn *tcp_connect(struct tcp_engine *e, const struct tcp_connect_params *p)
{
	struct tcp_tuple t = p->tuple;
	struct tcp_conn *c;
	uint32_t hash, old = TCP_NIL, iss;

	if (e->pressure >= 2) {
		errno = ENOBUFS;
		return NULL;
	}
	if (t.lport != 0) {
		hash = tcp_tuple_hash(&e->key, &t);
		old = conn_lookup(e, &t, hash);
		if (old != TCP_NIL && !(old & TW_BIT)) {
			errno = EADDRINUSE;
			return NULL;
		}
	} else if (!choose_port(e, &t, &hash)) {
		errno = EADDRINUSE;
		return NULL;
	}
	iss = tcp_isn(&e->key, &t, e->now_ns);
	if (old != TCP_NIL) {
		/* The same addresses and ports are in TIME-WAIT. The sequence numbers go on beyond
		 * those used, as for a SYN that comes in (RFC 6191). */
		const uint32_t beyond = tw_at(e, old & ~TW_BIT)->snd_nxt + 65537;

		if (seq_lt(iss, beyond))
			iss = beyond;
		e->mib.time_wait_reused++;
		tw_remove(e, old & ~TW_BIT);
	}
	c = conn_new(e, &t, hash, &p->opt);
	if (c == NULL)
		return NULL;
	c->ops = p->ops;
	c->user = p->user;
	c->snd_una = iss;
	c->snd_nxt = c->snd_una + 1;
	c->state = TCP_SYN_SENT;
	/* Offered; what the peer does not offer is taken back. */
	if (!p->opt.no_sack)
		c->flags |= F_SACK;
	if (!p->opt.no_timestamps)
		c->flags |= F_TS;
	if (!p->opt.no_window_scale)
		c->flags |= F_WSCALE;
	if (!p->opt.no_ecn)
		c->flags |= F_ECN;
	if (p->opt.no_window_scale)
		c->rcv_wscale = 0;
	else
		c->rcv_wscale = rcv_wscale_for(p->opt.rcvbuf_max);
	conn_set_adv_mss(c, p->opt.mss);
	e->mib.active_opens++;
	send_syn(c);
	timer_set_us(
		c, T_KEEP,
		(uint64_t)(p->opt.connect_timeout_ms != 0 ? p->opt.connect_timeout_ms : 63000) *
			1000);
	rtx_arm(c, RTX_RTO, RTO_INIT_US);
	conn_dirty(c);
	return c;
}
