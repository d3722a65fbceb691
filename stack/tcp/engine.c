/* SPDX-License-Identifier: Apache-2.0 */
/* An engine's life, and the vector of packets that goes through it. */
#include <errno.h>
#include <stdlib.h>

#include <rte_ip.h>
#include <rte_prefetch.h>

#include "cksum.h"
#include "conn.h"

#define CHUNK 32

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static void set_now(struct tcp_engine *e, uint64_t now_ns)
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
	set_now(e, c.start_ns);
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

/* ---- Input ---- */

/* Every length has been checked against the first segment of the buffer before it is believed. */
static bool parse(struct rte_mbuf *m, uint16_t vrf, struct tcp_pkt *p, uint64_t *bad)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint32_t l3 = m->l3_len;
	uint32_t total, l4;

	*bad = offsetof(struct tcp_mib, drop_short);
	if (unlikely(m->data_len < l3 + sizeof(struct rte_tcp_hdr)))
		return false;
	if (likely(ip[0] >> 4 == 4)) {
		const struct rte_ipv4_hdr *h = (const struct rte_ipv4_hdr *)ip;

		total = rte_be_to_cpu_16(h->total_length);
		tcp_addr4(&p->tuple.laddr, h->dst_addr);
		tcp_addr4(&p->tuple.raddr, h->src_addr);
		p->ecn = h->type_of_service & 3;
		p->tuple.family = 4;
	} else {
		const struct rte_ipv6_hdr *h = (const struct rte_ipv6_hdr *)ip;

		total = rte_be_to_cpu_16(h->payload_len) + sizeof(*h);
		tcp_addr6(&p->tuple.laddr, h->dst_addr);
		tcp_addr6(&p->tuple.raddr, h->src_addr);
		p->ecn = (rte_be_to_cpu_32(h->vtc_flow) >> 20) & 3;
		p->tuple.family = 6;
	}
	p->th = (const struct rte_tcp_hdr *)(ip + l3);
	l4 = (p->th->data_off >> 4) * 4u;
	if (unlikely(total > m->pkt_len || l4 < sizeof(*p->th) || total < l3 + l4 ||
		     m->data_len < l3 + l4))
		return false;
	p->m = m;
	p->l3 = l3;
	p->hdr = l3 + l4;
	p->len = total - p->hdr;
	p->tuple.lport = p->th->dst_port;
	p->tuple.rport = p->th->src_port;
	p->tuple.vrf = vrf;
	p->flags = p->th->tcp_flags;
	p->seq = rte_be_to_cpu_32(p->th->sent_seq);
	p->ack = rte_be_to_cpu_32(p->th->recv_ack);
	p->wnd = rte_be_to_cpu_16(p->th->rx_win);
	return true;
}

static bool checksum_ok(const struct tcp_pkt *p)
{
	struct rte_mbuf *m = p->m;
	const uint64_t f = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	const uint8_t *ip;
	uint32_t sum;
	uint16_t raw;

	if (f == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (f == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		return false;
	ip = rte_pktmbuf_mtod(m, const uint8_t *);
	if (!tcp_raw_cksum(m, p->l3, p->hdr - p->l3 + p->len, &raw))
		return false;
	if (p->tuple.family == 4) {
		struct rte_ipv4_hdr h = *(const struct rte_ipv4_hdr *)ip;

		/* The pseudo header wants the length without options, which is what phdr takes
		 * away. */
		h.version_ihl = 0x45;
		h.total_length = rte_cpu_to_be_16(20 + p->hdr - p->l3 + p->len);
		h.next_proto_id = IPPROTO_TCP;
		sum = rte_ipv4_phdr_cksum(&h, 0);
	} else {
		struct rte_ipv6_hdr h = *(const struct rte_ipv6_hdr *)ip;

		h.payload_len = rte_cpu_to_be_16(p->hdr - p->l3 + p->len);
		h.proto = IPPROTO_TCP;
		sum = rte_ipv6_phdr_cksum(&h, 0);
	}
	sum += raw;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static bool martian(const struct tcp_pkt *p)
{
	const uint8_t *a = p->tuple.raddr.b;

	if (p->tuple.lport == 0 || p->tuple.rport == 0)
		return true;
	if (p->tuple.family == 4)
		return a[12] >= 224 || a[12] == 0;
	return a[0] == 0xff;
}

static void drop(struct tcp_engine *e, struct rte_mbuf *m, uint64_t *counter)
{
	(void)e;
	(*counter)++;
	rte_pktmbuf_free(m);
}

static uint32_t find(const struct tcp_engine *e, const struct tcp_tuple *t, uint32_t hash)
{
	struct tcp_lookup_it it;
	uint32_t v;

	for (v = tcp_lookup_first(&e->table, hash, &it); v != TCP_NIL;
	     v = tcp_lookup_next(&e->table, &it)) {
		const struct tcp_tuple *have =
			v & TW_BIT ? &tw_at(e, v & ~TW_BIT)->tuple : &conn_at(e, v)->tuple;

		if (likely(memcmp(have, t, sizeof(*t)) == 0))
			return v;
	}
	return TCP_NIL;
}

struct tcp_conn *tcp_find(struct tcp_engine *e, const struct tcp_tuple *t)
{
	const uint32_t v = find(e, t, tcp_tuple_hash(&e->key, t));

	return v == TCP_NIL || v & TW_BIT ? NULL : conn_at(e, v);
}

/*
 * Payload in buffers that a sender in the same process still holds (a connection of the box with
 * itself): indirect ones take their place, because the receive queue links buffers. NULL: none
 * left.
 */
static struct rte_mbuf *own_buffers(struct tcp_engine *e, struct rte_mbuf *m)
{
	struct rte_mbuf *head = NULL, *last = NULL, *n;

	for (struct rte_mbuf *s = m; s != NULL; s = s->next) {
		if (s->data_len == 0)
			continue;
		n = rte_pktmbuf_alloc(e->cfg.pool);
		if (n == NULL) {
			rte_pktmbuf_free(head);
			head = NULL;
			break;
		}
		rte_pktmbuf_attach(n, s);
		n->next = NULL;
		n->nb_segs = 1;
		n->pkt_len = n->data_len;
		if (head == NULL) {
			head = n;
		} else {
			last->next = n;
			head->nb_segs++;
			head->pkt_len += n->data_len;
		}
		last = n;
	}
	rte_pktmbuf_free(m);
	return head;
}

/* The headers go, and whatever padding came after the packet. */
static bool strip(struct tcp_engine *e, struct tcp_pkt *p)
{
	struct rte_mbuf *m = p->m;
	bool shared = false;

	rte_pktmbuf_adj(m, p->hdr);
	while (unlikely(m->pkt_len > p->len)) {
		struct rte_mbuf *last = rte_pktmbuf_lastseg(m);
		const uint32_t over = m->pkt_len - p->len;

		if (over < last->data_len || m->nb_segs == 1) {
			rte_pktmbuf_trim(m, RTE_MIN(over, (uint32_t)last->data_len));
			continue;
		}
		/* A whole buffer of padding. */
		for (struct rte_mbuf *s = m; s != NULL; s = s->next) {
			if (s->next != last)
				continue;
			s->next = NULL;
			m->nb_segs--;
			m->pkt_len -= last->data_len;
			rte_pktmbuf_free_seg(last);
			break;
		}
	}
	if (p->len == 0)
		return true;
	/* Headers in a buffer of their own. */
	while (unlikely(m->data_len == 0)) {
		struct rte_mbuf *next = m->next;

		next->pkt_len = m->pkt_len;
		next->nb_segs = m->nb_segs - 1;
		rte_pktmbuf_free_seg(m);
		p->m = m = next;
	}
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next)
		shared |= rte_mbuf_refcnt_read(s) != 1;
	if (unlikely(shared)) {
		p->m = own_buffers(e, m);
		if (p->m == NULL) {
			e->mib.drop_memory++;
			return false;
		}
	}
	return true;
}

static bool to_listener(struct tcp_engine *e, struct tcp_pkt *p, uint32_t iss_min)
{
	struct tcp_listener *l = listener_find(e, &p->tuple);

	if (l == NULL)
		return false;
	if (!tcp_opts_parse((const uint8_t *)(p->th + 1), p->hdr - p->l3 - 20,
			    (p->flags & RTE_TCP_SYN_FLAG) != 0, &p->o)) {
		drop(e, p->m, &e->mib.drop_options);
		return true;
	}
	if (strip(e, p))
		listen_input(l, p, iss_min);
	return true;
}

/* False: nobody's. */
static bool input_one(struct tcp_engine *e, struct tcp_pkt *p, uint32_t v)
{
	uint32_t iss_min = 0;

	e->mib.in_segs++;
	if (unlikely(!checksum_ok(p))) {
		drop(e, p->m, &e->mib.drop_checksum);
		return true;
	}
	if (unlikely(v == TCP_NIL)) {
		if (unlikely(martian(p))) {
			drop(e, p->m, &e->mib.drop_martian);
			return true;
		}
		if (to_listener(e, p, 0))
			return true;
		e->mib.in_segs--;
		return false;
	}
	if (unlikely(v & TW_BIT)) {
		if (!tcp_opts_parse((const uint8_t *)(p->th + 1), p->hdr - p->l3 - 20,
				    (p->flags & RTE_TCP_SYN_FLAG) != 0, &p->o)) {
			drop(e, p->m, &e->mib.drop_options);
			return true;
		}
		if (tw_input(e, v & ~TW_BIT, p, &iss_min)) {
			rte_pktmbuf_free(p->m);
			return true;
		}
		if (to_listener(e, p, iss_min))
			return true;
		return false;
	}
	if (unlikely(!tcp_opts_parse((const uint8_t *)(p->th + 1), p->hdr - p->l3 - 20,
				     (p->flags & RTE_TCP_SYN_FLAG) != 0, &p->o))) {
		drop(e, p->m, &e->mib.drop_options);
		return true;
	}
	if (likely(strip(e, p)))
		seg_input(conn_at(e, v), p);
	return true;
}

static uint16_t input_chunk(struct tcp_engine *e, struct rte_mbuf **pkts, const uint16_t *vrf,
			    uint8_t *verdict, uint16_t n)
{
	struct tcp_pkt p[CHUNK];
	uint64_t bad[CHUNK];
	bool ok[CHUNK];
	uint16_t i, refused = 0;

	for (i = 0; i < n; i++) {
		ok[i] = parse(pkts[i], vrf[i], &p[i], &bad[i]);
		if (unlikely(!ok[i]))
			continue;
		p[i].hash = tcp_tuple_hash(&e->key, &p[i].tuple);
		tcp_lookup_prefetch(&e->table, p[i].hash);
	}
	for (i = 0; i < n; i++) {
		struct tcp_lookup_it it;
		uint32_t v;

		if (unlikely(!ok[i]))
			continue;
		v = tcp_lookup_first(&e->table, p[i].hash, &it);
		if (likely(v != TCP_NIL && !(v & TW_BIT))) {
			const char *c = (const char *)conn_at(e, v);

			rte_prefetch0(c);
			rte_prefetch0(c + 64);
			rte_prefetch0(c + 128);
			rte_prefetch0(c + 192);
		}
	}
	for (i = 0; i < n; i++) {
		verdict[i] = TCP_TAKEN;
		if (unlikely(!ok[i])) {
			drop(e, pkts[i], (uint64_t *)((char *)&e->mib + bad[i]));
			e->mib.in_segs++;
			continue;
		}
		/* Looked up now: an earlier packet of the vector may have made or ended it. */
		if (unlikely(!input_one(e, &p[i], find(e, &p[i].tuple, p[i].hash)))) {
			verdict[i] = TCP_NOT_MINE;
			refused++;
		}
	}
	return refused;
}

uint16_t tcp_input(struct tcp_engine *e, struct rte_mbuf **pkts, const uint16_t *vrf,
		   uint8_t *verdict, uint16_t n, uint64_t now_ns)
{
	uint16_t refused = 0;

	set_now(e, now_ns);
	for (uint16_t i = 0; i < n; i += CHUNK)
		refused += input_chunk(e, pkts + i, vrf + i, verdict + i, RTE_MIN(n - i, CHUNK));
	return refused;
}

void tcp_refuse(struct tcp_engine *e, struct rte_mbuf *m, uint16_t vrf)
{
	struct tcp_pkt p;
	uint64_t bad;

	if (parse(m, vrf, &p, &bad) && !martian(&p))
		send_rst_reply(e, &p);
	rte_pktmbuf_free(m);
}

/* ---- Timers and output ---- */

unsigned int tcp_poll(struct tcp_engine *e, uint64_t now_ns)
{
	uint32_t idx[32];
	unsigned int n, total = 0;

	set_now(e, now_ns);
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
