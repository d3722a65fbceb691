/* SPDX-License-Identifier: Apache-2.0 */
/* An engine's life, its timers, and the flush that lets connections speak. */
#include <errno.h>
#include <stdlib.h>

#include <rte_prefetch.h>

#include "conn.h"

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

void engine_set_now(struct tcp_engine *e, uint64_t now_ns)
{
	if (now_ns < e->now_ns)
		now_ns = e->now_ns;
	e->now_ns = now_ns;
	e->now_us = now_ns / 1000;
	e->now_us32 = (uint32_t)e->now_us;
	/* Never 0, which means "not set" in what is compared with it. */
	e->now_ms = (uint32_t)(now_ns / 1000000) | (now_ns < 1000000);
}

static struct tcp_key new_key(struct tcp_engine *e)
{
	struct tcp_key k;

	k.k[0] = e->env.random(e->env.ctx);
	k.k[1] = e->env.random(e->env.ctx);
	return k;
}

static bool config_ok(struct tcp_config *c, const struct tcp_env *env)
{
	if (c->max_conns == 0 || c->max_conns > 1u << 24 || c->pool == NULL ||
	    env->random == NULL || env->route == NULL || env->tx == NULL || env->alloc == NULL ||
	    env->free == NULL)
		return false;
	if (c->max_time_wait == 0)
		c->max_time_wait = c->max_conns;
	if (c->max_segs == 0)
		c->max_segs = c->max_conns < 4096	     ? 65536
			      : 16 * c->max_conns > 1u << 22 ? 1u << 22
							     : 16 * c->max_conns;
	if (c->time_wait_ms == 0)
		c->time_wait_ms = 60000;
	if (c->port_min == 0)
		c->port_min = 32768;
	if (c->port_max == 0)
		c->port_max = 60999;
	if (c->port_stride == 0)
		c->port_stride = 1;
	if (c->challenge_ack_rate == 0)
		c->challenge_ack_rate = 1000;
	if (c->reset_rate == 0)
		c->reset_rate = 1000;
	return c->port_min <= c->port_max && c->port_phase < c->port_stride && c->mem_limit != 0;
}

struct tcp_engine *tcp_engine_create(const struct tcp_config *cfg, const struct tcp_env *env)
{
	struct tcp_config c = *cfg;
	struct tcp_engine *e;
	size_t size[8], total = 0;
	uint8_t *p;

	if (!config_ok(&c, env)) {
		errno = EINVAL;
		return NULL;
	}
	size[0] = align64(sizeof(*e));
	size[1] = align64(tcp_lookup_bytes(c.max_conns + c.max_time_wait));
	size[2] = align64(tcp_slab_bytes(c.max_conns, sizeof(struct tcp_conn)));
	size[3] = align64(tcp_slab_bytes(c.max_segs, sizeof(struct tcp_seg)));
	size[4] = align64(tcp_slab_bytes(c.max_conns, sizeof(struct tcp_ext)));
	size[5] = align64(tcp_slab_bytes(c.max_time_wait, sizeof(struct tcp_tw)));
	size[6] = align64(tcp_lookup_bytes(c.max_conns));
	size[7] = align64(tcp_slab_bytes(c.max_conns, sizeof(struct tcp_source)));
	for (unsigned int i = 0; i < RTE_DIM(size); i++)
		total += size[i];
	p = env->alloc(env->ctx, total);
	if (p == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	e = (struct tcp_engine *)p;
	e->mem_block = p;
	e->mem_size = total;
	e->cfg = c;
	e->env = *env;
	p += size[0];
	tcp_lookup_init(&e->table, p, c.max_conns + c.max_time_wait);
	p += size[1];
	tcp_slab_init(&e->conns, p, c.max_conns, sizeof(struct tcp_conn));
	p += size[2];
	tcp_slab_init(&e->segs, p, c.max_segs, sizeof(struct tcp_seg));
	p += size[3];
	tcp_slab_init(&e->exts, p, c.max_conns, sizeof(struct tcp_ext));
	p += size[4];
	tcp_slab_init(&e->tws, p, c.max_time_wait, sizeof(struct tcp_tw));
	p += size[5];
	tcp_lookup_init(&e->sources, p, c.max_conns);
	p += size[6];
	tcp_slab_init(&e->srcs, p, c.max_conns, sizeof(struct tcp_source));
	e->dirty_head = e->dirty_tail = TCP_NIL;
	e->tw_head = e->tw_tail = TCP_NIL;
	e->idle_ext.seg_head = e->idle_ext.seg_tail = TCP_NIL;
	e->idle_ext.tx_head = e->idle_ext.tx_tail = TCP_NIL;
	e->idle_ext.sack_hint = e->idle_ext.rtx_hint = TCP_NIL;
	e->idle_ext.reass = (struct tcp_reass){TCP_NIL, TCP_NIL, TCP_NIL, 0, 0};
	engine_set_now(e, c.start_ns);
	tcp_wheel_init(&e->wheel, e->conns.mem, sizeof(struct tcp_conn),
		       offsetof(struct tcp_conn, wheel), e->now_ns);
	e->key = new_key(e);
	e->tfo_key = new_key(e);
	e->tfo_old_key = e->tfo_key;
	e->ip_id = (uint16_t)e->env.random(e->env.ctx);
	e->tso_max = TSO_MAX;
	e->port_hint = (uint32_t)e->env.random(e->env.ctx);
	return e;
}

static void purge(struct tcp_conn *c)
{
	segs_purge(c);
	unsent_purge(c);
	rcv_purge(c);
	if (c->x != &c->e->idle_ext)
		tcp_reass_purge(&c->e->segs, &c->x->reass);
}

void tcp_engine_destroy(struct tcp_engine *e)
{
	struct tcp_env env;

	if (e == NULL)
		return;
	/* Slots never used are zeroes, which is state CLOSED with nothing held. */
	for (uint32_t i = 0; i < e->conns.fresh; i++) {
		struct tcp_conn *c = conn_at(e, i);

		if (c->e == e)
			purge(c);
	}
	for (unsigned int i = 0; i < e->n_tx; i++)
		rte_pktmbuf_free(e->tx[i]);
	for (unsigned int i = 0; i < LISTEN_BUCKETS; i++) {
		struct tcp_listener *l = e->listeners[i], *next;

		for (; l != NULL; l = next) {
			next = l->next;
			free(l);
		}
	}
	env = e->env;
	env.free(env.ctx, e->mem_block, e->mem_size);
}

void tx_flush(struct tcp_engine *e)
{
	const uint16_t n = e->n_tx;

	if (n == 0)
		return;
	e->n_tx = 0;
	e->env.tx(e->env.ctx, e->tx, n);
}

/* ---- Timers and output ---- */

unsigned int tcp_poll(struct tcp_engine *e, uint64_t now_ns)
{
	uint32_t idx[32];
	unsigned int n, total = 0;

	engine_set_now(e, now_ns);
	do {
		n = tcp_wheel_advance(&e->wheel, e->now_ns, idx, RTE_DIM(idx));
		for (unsigned int i = 0; i < n; i++)
			timer_fired(conn_at(e, idx[i]));
		total += n;
	} while (n == RTE_DIM(idx));
	if (e->tw_head != TCP_NIL)
		tw_expire(e);
	if (unlikely(e->pressure >= 2))
		buffers_shed(e);
	return total;
}

static void run_events(struct tcp_conn *c)
{
	const uint32_t ev = c->flags & (F_EV_ACCEPT | F_EV_CONNECTED | F_EV_READABLE |
					F_EV_WRITABLE | F_EV_TIMER | F_EV_DRAIN);

	c->flags &= ~ev;
	/* The listener went away meanwhile, and its service may be gone too. */
	if (ev & F_EV_ACCEPT && !(c->flags & F_DETACHED) && c->listener->dead)
		tcp_abort(c);
	if (ev & F_EV_ACCEPT && !(c->flags & F_DETACHED) && c->ops->accept != NULL &&
	    !c->ops->accept(c, c->listener->p.ctx) && c->state != TCP_CLOSED) {
		c->listener->stats.refused_service++;
		tcp_abort(c);
	}
	if (ev & F_EV_CONNECTED && !(c->flags & F_DETACHED) && c->ops->connected != NULL)
		c->ops->connected(c);
	if (ev & F_EV_READABLE && !(c->flags & F_DETACHED) && c->ops->readable != NULL)
		c->ops->readable(c);
	if (ev & F_EV_WRITABLE && !(c->flags & F_DETACHED) && c->ops->writable != NULL)
		c->ops->writable(c);
	if (ev & F_EV_TIMER && !(c->flags & F_DETACHED) && c->ops->timer != NULL)
		c->ops->timer(c);
	if (ev & F_EV_DRAIN && !(c->flags & F_DETACHED)) {
		if (c->ops->drain != NULL)
			c->ops->drain(c);
		else
			tcp_shutdown(c);
	}
}

#define F_EVENTS                                                                                   \
	(F_EV_ACCEPT | F_EV_CONNECTED | F_EV_READABLE | F_EV_WRITABLE | F_EV_TIMER | F_EV_DRAIN)

/* The service has nothing more to say and reads no more: the slot is free. */
static void run_end(struct tcp_conn *c, enum tcp_close_reason why)
{
	if (!(c->flags & F_DETACHED)) {
		c->flags |= F_DETACHED;
		c->ops->closed(c, why);
	}
	conn_release(c);
}

/* True: there is more to do for it, at the next flush. */
static bool run_conn(struct tcp_conn *c)
{
	/* An accepted connection that ended at once was never the service's. */
	if (c->state == TCP_CLOSED && c->flags & F_EV_ACCEPT)
		c->flags |= F_DETACHED;
	if (c->flags & F_EVENTS)
		run_events(c);
	if (unlikely(c->state == TCP_CLOSED)) {
		run_end(c, (enum tcp_close_reason)c->close_reason);
		return false;
	}
	if (unlikely(c->flags2 & F2_FINISHED)) {
		if (c->rcv_bytes == 0 || c->flags & F_DETACHED) {
			c->state = TCP_CLOSED;
			run_end(c, TCP_CLOSE_DONE);
			return false;
		}
	} else {
		tcp_output(c);
	}
	if (unlikely(c->state == TCP_CLOSED || c->flags & F_EVENTS || c->flags2 & F2_MORE)) {
		c->flags2 &= ~F2_MORE;
		return true;
	}
	c->flags &= ~F_DIRTY;
	ext_drop(c);
	return false;
}

void tcp_flush(struct tcp_engine *e)
{
	/* A service that asks again and again for what it cannot use, and a connection with much to
	 * send, go on next time: others, and the packets that wait, come first. */
	uint32_t i, later_head = TCP_NIL, later_tail = TCP_NIL;

	while ((i = e->dirty_head) != TCP_NIL) {
		struct tcp_conn *c = conn_at(e, i);

		e->dirty_head = c->dirty_next;
		if (e->dirty_head == TCP_NIL)
			e->dirty_tail = TCP_NIL;
		else
			rte_prefetch0(conn_at(e, e->dirty_head));
		c->dirty_next = TCP_NIL;
		if (likely(!run_conn(c)))
			continue;
		if (later_tail == TCP_NIL)
			later_head = i;
		else
			conn_at(e, later_tail)->dirty_next = i;
		later_tail = i;
	}
	e->dirty_head = later_head;
	e->dirty_tail = later_tail;
	tx_flush(e);
}

uint64_t tcp_next_timer(const struct tcp_engine *e)
{
	uint64_t next = tcp_wheel_next(&e->wheel);

	if (e->dirty_head != TCP_NIL)
		return e->now_ns;
	if (e->tw_head != TCP_NIL) {
		const int32_t ms = (int32_t)(tw_at(e, e->tw_head)->expire_ms - e->now_ms);
		const uint64_t tw = e->now_ns + (ms > 0 ? (uint64_t)ms * 1000000 : 0);

		next = RTE_MIN(next, tw);
	}
	return next;
}

uint64_t tcp_now(const struct tcp_engine *e)
{
	return e->now_ns;
}
