/* SPDX-License-Identifier: Apache-2.0 */
/* What waits: to be read by the service, and to be sent. Reading, writing, and how large the
 * buffers may be. */
#include <errno.h>

#include "conn.h"

/* ---- Receiving ---- */

void rcv_append(struct tcp_conn *c, struct rte_mbuf *m, uint32_t len)
{
	uint32_t mem;

	c->rcv_bytes += len;
	c->bytes_in += len;
	conn_progress(c);
	c->e->mib.in_octets += len;
	/* Small ones are put together, or they would each hold a whole buffer. */
	if (c->rcv_tail != NULL && len <= TCP_CHAIN_SMALL && m->nb_segs == 1 &&
	    tcp_mbuf_writable(c->rcv_tail) && rte_pktmbuf_tailroom(c->rcv_tail) >= len) {
		struct rte_mbuf *t = c->rcv_tail;

		memcpy(rte_pktmbuf_mtod_offset(t, char *, t->data_len), rte_pktmbuf_mtod(m, char *),
		       len);
		t->data_len += len;
		rte_pktmbuf_free(m);
		return;
	}
	mem = tcp_chain_truesize(m);
	c->rcv_mem += mem;
	mem_charge(c->e, mem);
	if (c->rcv_tail == NULL)
		c->rcv_head = m;
	else
		c->rcv_tail->next = m;
	c->rcv_tail = m->next == NULL ? m : rte_pktmbuf_lastseg(m);
}

void rcv_purge(struct tcp_conn *c)
{
	rte_pktmbuf_free(c->rcv_head);
	mem_charge(c->e, -(int64_t)c->rcv_mem);
	c->rcv_head = c->rcv_tail = NULL;
	c->rcv_bytes = c->rcv_mem = 0;
}

uint32_t tcp_readable(const struct tcp_conn *c)
{
	return c->rcv_bytes;
}

bool tcp_at_eof(const struct tcp_conn *c)
{
	return c->rcv_bytes == 0 && c->flags & F_FIN_RCVD;
}

/* The service took octets: the window may open, the buffer may grow. */
static void taken(struct tcp_conn *c, uint32_t len, uint32_t mem)
{
	c->rcv_bytes -= len;
	c->rcv_mem -= mem;
	mem_charge(c->e, -(int64_t)mem);
	c->drs_copied += len;
	if (unlikely(c->flags2 & F2_FINISHED)) {
		conn_dirty(c);
		return;
	}
	rcv_tune(c);
	rcv_window_update(c);
}

struct rte_mbuf *tcp_read(struct tcp_conn *c, uint32_t max)
{
	struct rte_mbuf *head = c->rcv_head, *m = head, *last = NULL, *part;
	uint32_t len = 0, mem = 0;
	uint16_t segs = 0;

	if (head == NULL || max == 0)
		return NULL;
	while (m != NULL && len + m->data_len <= max && segs < UINT16_MAX) {
		len += m->data_len;
		mem += tcp_mbuf_truesize(m);
		segs++;
		last = m;
		m = m->next;
	}
	if (m != NULL && len < max && segs < UINT16_MAX) {
		const uint16_t n = max - len;

		/* A part of a buffer: two indirect ones' worth of memory would be charged, so leave
		 * it with what stays. */
		part = tcp_mbuf_clone(c->e->cfg.pool, m, m->data_off, n);
		if (part != NULL) {
			m->data_off += n;
			m->data_len -= n;
			if (last == NULL)
				head = part;
			else
				last->next = part;
			last = part;
			len += n;
			segs++;
		}
	}
	if (last == NULL)
		return NULL;
	last->next = NULL;
	c->rcv_head = m;
	if (m == NULL)
		c->rcv_tail = NULL;
	head->pkt_len = len;
	head->nb_segs = segs;
	taken(c, len, mem);
	return head;
}

const struct rte_mbuf *tcp_peek(const struct tcp_conn *c)
{
	return c->rcv_head;
}

uint32_t tcp_peek_copy(const struct tcp_conn *c, uint32_t offset, void *buf, uint32_t len)
{
	uint32_t done = 0;

	for (const struct rte_mbuf *m = c->rcv_head; m != NULL && done < len; m = m->next) {
		uint32_t n;

		if (offset >= m->data_len) {
			offset -= m->data_len;
			continue;
		}
		n = RTE_MIN(m->data_len - offset, len - done);
		memcpy((char *)buf + done, rte_pktmbuf_mtod_offset(m, const char *, offset), n);
		done += n;
		offset = 0;
	}
	return done;
}

uint32_t tcp_discard(struct tcp_conn *c, uint32_t max)
{
	uint32_t len = 0, mem = 0;

	while (c->rcv_head != NULL && len < max) {
		struct rte_mbuf *m = c->rcv_head;
		const uint32_t n = RTE_MIN((uint32_t)m->data_len, max - len);

		len += n;
		if (n < m->data_len) {
			m->data_off += n;
			m->data_len -= n;
			break;
		}
		mem += tcp_mbuf_truesize(m);
		c->rcv_head = m->next;
		rte_pktmbuf_free_seg(m);
	}
	if (c->rcv_head == NULL)
		c->rcv_tail = NULL;
	if (len != 0)
		taken(c, len, mem);
	return len;
}

/*
 * Dynamic right-sizing (Fisk and Feng): a sender that fills a window per round trip which the
 * service empties wants twice as much.
 */
void rcv_tune(struct tcp_conn *c)
{
	const uint32_t rtt = c->rcv_rtt_us != 0 ? c->rcv_rtt_us : c->cc.srtt_us;
	const uint32_t max = (uint32_t)c->rcvbuf_max << 10;
	uint64_t want;

	if (c->e->now_us32 - c->drs_us < RTE_MAX(rtt, 100u))
		return;
	want = 2ull * c->drs_copied + 16u * c->mss;
	if (want > c->rcvbuf && c->rcvbuf < max && c->e->pressure == 0)
		c->rcvbuf = (uint32_t)RTE_MIN(RTE_MAX(want, 2ull * c->rcvbuf), (uint64_t)max);
	c->drs_copied = 0;
	c->drs_us = c->e->now_us32;
}

/* ---- Sending ---- */

static uint32_t send_queue(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una + c->unsent;
}

uint32_t tcp_writable(const struct tcp_conn *c)
{
	const uint32_t limit = sndbuf_limit(c), have = send_queue(c);

	if (c->flags & F_FIN_QUEUED ||
	    !(c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
	      c->state == TCP_SYN_RECEIVED || c->state == TCP_SYN_SENT))
		return 0;
	/* Few octets in many buffers are much memory. */
	if (unlikely(c->snd_mem > 8ull * limit))
		return 0;
	return have < limit ? limit - have : 0;
}

uint32_t tcp_unacked(const struct tcp_conn *c)
{
	return send_queue(c);
}

void tcp_want_write(struct tcp_conn *c, uint32_t room)
{
	c->want_room = room == 0 ? 1 : room;
	c->flags2 |= F2_WANT_WRITE;
	if (tcp_writable(c) >= c->want_room) {
		c->flags2 &= ~F2_WANT_WRITE;
		c->flags |= F_EV_WRITABLE;
		conn_dirty(c);
	}
}

void tcp_set_more(struct tcp_conn *c, bool more)
{
	c->flags2 = more ? c->flags2 | F2_MSG_MORE : c->flags2 & ~F2_MSG_MORE;
}

void tcp_cork(struct tcp_conn *c, bool on)
{
	if (on) {
		c->flags |= F_CORK;
	} else if (c->flags & F_CORK) {
		c->flags &= ~F_CORK;
		conn_dirty(c);
	}
}

static int may_write(struct tcp_conn *c)
{
	if (c->flags & F_FIN_QUEUED ||
	    !(c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT ||
	      c->state == TCP_SYN_RECEIVED || c->state == TCP_SYN_SENT))
		return -EPIPE;
	c->flags2 &= ~F2_MSG_MORE;
	if (tcp_writable(c) == 0) {
		/* Not for every segment: a quarter of the buffer is worth a call. */
		c->want_room = RTE_MAX(sndbuf_limit(c) / 4, 1u);
		c->flags2 |= F2_WANT_WRITE;
		/* What is held back for more has to make room for it. */
		tcp_cork(c, false);
		return -EAGAIN;
	}
	return 0;
}

static void enqueue(struct tcp_conn *c, struct rte_mbuf *head, struct rte_mbuf *tail, uint32_t len)
{
	const uint32_t mem = tcp_chain_truesize(head);

	if (c->unsent_tail == NULL)
		c->unsent_head = head;
	else
		c->unsent_tail->next = head;
	c->unsent_tail = tail;
	c->unsent += len;
	c->snd_mem += mem;
	mem_charge(c->e, mem);
	if (c->stall_ms == 0)
		c->stall_ms = c->e->now_ms;
	conn_dirty(c);
}

int tcp_write(struct tcp_conn *c, struct rte_mbuf *chain)
{
	struct rte_mbuf *m, *tail = NULL;
	uint32_t len = 0;
	const int rc = may_write(c);
	bool shared = false;

	if (rc != 0)
		return rc;
	for (m = chain; m != NULL; m = m->next) {
		shared |= rte_mbuf_refcnt_read(m) != 1 || m->data_len == 0;
		len += m->data_len;
		tail = m;
	}
	if (len == 0) {
		rte_pktmbuf_free(chain);
		return 0;
	}
	if (likely(!shared)) {
		enqueue(c, chain, tail, len);
		return 0;
	}
	/* Buffers that others hold too are not ours to link and cut. */
	m = tcp_chain_clone(c->e->cfg.pool, chain);
	if (m == NULL) {
		c->e->mib.no_mbuf++;
		c->flags2 |= F2_WANT_WRITE;
		timer_set_us(c, T_PACE, 1000);
		return -EAGAIN;
	}
	rte_pktmbuf_free(chain);
	enqueue(c, m, rte_pktmbuf_lastseg(m), len);
	return 0;
}

int tcp_write_copy(struct tcp_conn *c, const void *data, uint32_t len)
{
	const int rc = may_write(c);
	uint32_t done = 0;
	struct rte_mbuf *m;

	if (rc != 0 || len == 0)
		return rc;
	len = RTE_MIN(len, tcp_writable(c));
	m = c->unsent_tail;
	if (m != NULL && tcp_mbuf_writable(m)) {
		const uint32_t n = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(m));

		memcpy(rte_pktmbuf_mtod_offset(m, char *, m->data_len), data, n);
		m->data_len += n;
		c->unsent += n;
		done = n;
		conn_dirty(c);
	}
	while (done < len) {
		uint32_t n;

		m = rte_pktmbuf_alloc(c->e->cfg.pool);
		if (m == NULL) {
			c->e->mib.no_mbuf++;
			break;
		}
		n = RTE_MIN(len - done, (uint32_t)rte_pktmbuf_tailroom(m));
		/* Segments of just the right size need not be cut. Small ones share a buffer, or a
		 * peer with a tiny MSS would cost many times what it is sent. */
		if (n > c->mss)
			n -= n % c->mss;
		memcpy(rte_pktmbuf_mtod(m, char *), (const char *)data + done, n);
		m->data_len = m->pkt_len = n;
		enqueue(c, m, m, n);
		done += n;
	}
	return done != 0 ? (int)done : -ENOBUFS;
}

void unsent_purge(struct tcp_conn *c)
{
	rte_pktmbuf_free(c->unsent_head);
	/* Segments in flight were purged before. */
	mem_charge(c->e, -(int64_t)c->snd_mem);
	c->snd_mem = 0;
	c->unsent_head = c->unsent_tail = NULL;
	c->unsent = 0;
}

/*
 * Memory pressure. First go octets out of order, which were never acknowledged (the peer sends them
 * again), then connections whose peers keep their window closed or do not acknowledge, and which
 * hold most: what they hold is what an attacker would have us hold (Sockstress). Others are never
 * touched.
 */
void buffers_shed(struct tcp_engine *e)
{
	/* A bounded piece of the table at each call. */
	for (unsigned int n = 0; n < 256 && e->pressure >= 2 && e->conns.fresh != 0; n++) {
		struct tcp_conn *c;

		if (e->shed_at >= e->conns.fresh)
			e->shed_at = 0;
		c = conn_at(e, e->shed_at++);
		if (c->e != e || c->state == TCP_CLOSED)
			continue;
		if (c->x->reass.count != 0) {
			const uint32_t mem = c->x->reass.mem;

			tcp_reass_shed(&e->segs, &c->x->reass, mem);
			e->mib.mem_shed += mem - c->x->reass.mem;
			mem_charge(e, -(int64_t)(mem - c->x->reass.mem));
		}
		if (e->pressure >= 2 && c->stall_ms != 0 && e->now_ms - c->stall_ms > 5000 &&
		    (c->rtx_kind == RTX_PERSIST || c->backoff >= 3) &&
		    c->snd_mem > (uint64_t)e->mem / (e->conns.used + 1)) {
			e->mib.persist_drops++;
			conn_reset(c, TCP_CLOSE_ABORTED);
		}
	}
}
