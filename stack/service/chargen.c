/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chargen (RFC 864): lines of 72 printable characters, each line shifted by one, as fast as the
 * peer takes them. The pattern repeats after 95 lines. It lies in a few buffers of the packet pool,
 * and what is sent are buffers that refer to them: no octet is ever copied.
 *
 * A connection has no state but its position, which is its user pointer.
 */
#include <errno.h>
#include <stdlib.h>

#include "service.h"

#define PRINTABLE 95u
#define LINE	  74u
#define PERIOD	  (PRINTABLE * LINE)
/* Written at once. */
#define BATCH 65536u
/* A segment's payload that a buffer should hold, wherever in it one starts. */
#define PAYLOAD 1460u

struct pattern {
	/* Octets from one buffer's start to the next one's, and how many each has: they overlap, so
	 * that a whole segment fits behind any position. */
	uint32_t step, room;
	uint32_t n;
	struct rte_mbuf *m[];
};

static uint8_t octet_at(uint32_t pos)
{
	uint32_t line = pos / LINE % PRINTABLE, column = pos % LINE;

	if (column == LINE - 2)
		return '\r';
	if (column == LINE - 1)
		return '\n';
	return (uint8_t)(' ' + (line + column) % PRINTABLE);
}

static void pattern_free(struct pattern *p)
{
	uint32_t i;

	for (i = 0; i < p->n; i++)
		rte_pktmbuf_free(p->m[i]);
	free(p);
}

static int chargen_start(struct svc_listener *l, const struct svc_listener_cfg *cfg, void **priv)
{
	struct rte_mempool *pool = tcp_pool(svc_engine(l->svc));
	uint32_t room = rte_pktmbuf_data_room_size(pool);
	uint32_t step = room > PAYLOAD + LINE ? room - PAYLOAD : room / 2;
	uint32_t i, k, n = (PERIOD + step - 1) / step;
	struct pattern *p = calloc(1, sizeof(*p) + n * sizeof(struct rte_mbuf *));

	(void)cfg;
	if (p == NULL)
		return -ENOMEM;
	p->step = step;
	p->room = room;
	for (i = 0; i < n; i++) {
		uint8_t *d;

		p->m[i] = rte_pktmbuf_alloc(pool);
		if (p->m[i] == NULL) {
			pattern_free(p);
			return -ENOMEM;
		}
		p->n++;
		/* These are never sent themselves: all of the buffer is pattern. */
		p->m[i]->data_off = 0;
		d = rte_pktmbuf_mtod(p->m[i], uint8_t *);
		for (k = 0; k < room; k++)
			d[k] = octet_at(i * step + k);
	}
	*priv = p;
	return 0;
}

static void chargen_stop(struct svc_listener *l, void *priv)
{
	(void)l;
	pattern_free(priv);
}

/* Up to max octets of the pattern from position pos on, in pieces of a segment. */
static struct rte_mbuf *make(const struct pattern *p, struct rte_mempool *pool, uint32_t pos,
			     uint32_t max, uint32_t mss)
{
	struct rte_mbuf *head = NULL, *tail = NULL;

	while (max > 0) {
		uint32_t i = pos / p->step, off = pos - i * p->step;
		uint32_t len = RTE_MIN(RTE_MIN(p->room - off, mss), max);
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		if (m == NULL)
			break;
		rte_pktmbuf_attach(m, p->m[i]);
		m->data_off = (uint16_t)off;
		m->data_len = (uint16_t)len;
		m->pkt_len = len;
		if (head == NULL) {
			head = m;
		} else {
			tail->next = m;
			head->nb_segs++;
			head->pkt_len += len;
		}
		tail = m;
		pos = (pos + len) % PERIOD;
		max -= len;
	}
	return head;
}

/* No buffers: what is in flight gives some back, and brings `writable`. */
static void starved(struct svc_listener *l, struct tcp_conn *c, uint32_t room)
{
	if (tcp_unacked(c) > 0) {
		tcp_want_write(c, room + 1);
		return;
	}
	l->stats.no_buffers++;
	svc_abort(l, c);
}

static void pump(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);
	struct rte_mempool *pool = tcp_pool(svc_engine(l->svc));
	uint64_t limit = l->cfg->chargen.limit, sent = (uintptr_t)tcp_user(c);
	uint32_t room, mss = tcp_conn_mss(c);

	while ((room = tcp_writable(c)) > 0 && (limit == 0 || sent < limit)) {
		/* Whole segments: the last may go over the room. */
		uint32_t max = RTE_MIN((room + mss - 1) / mss * mss, BATCH / mss * mss + mss);
		struct rte_mbuf *m;
		uint32_t len;

		if (limit != 0 && max > limit - sent)
			max = (uint32_t)(limit - sent);
		m = make(l->priv, pool, (uint32_t)(sent % PERIOD), max, mss);
		if (m == NULL) {
			starved(l, c, room);
			return;
		}
		len = m->pkt_len;
		if (tcp_write(c, m) < 0) {
			rte_pktmbuf_free(m);
			return;
		}
		sent += len;
		tcp_set_user(c, (void *)(uintptr_t)sent);
	}
	if (limit != 0 && sent >= limit)
		tcp_shutdown(c);
	else
		tcp_want_write(c, 0);
}

static bool chargen_accept(struct tcp_conn *c, void *listener_ctx)
{
	struct svc_listener *l = listener_ctx;

	svc_opened(l);
	tcp_set_user(c, NULL);
	svc_timer_start(l, c);
	/* `writable` comes at once. */
	tcp_want_write(c, 0);
	return true;
}

/* What the peer says is thrown away; its FIN does not end the stream, its reset does. */
static void chargen_readable(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);
	uint64_t limit = l->cfg->chargen.limit;

	tcp_discard(c, UINT32_MAX);
	if (tcp_at_eof(c) && limit != 0 && (uintptr_t)tcp_user(c) >= limit)
		svc_close(l, c);
}

static void chargen_timer(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);

	if (svc_timer_expired(l, c))
		svc_expire(l, c);
}

static void chargen_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)why;
	svc_ended(svc_listener_of(c));
}

const struct svc_type svc_chargen = {
	.name = "chargen",
	.start = chargen_start,
	.stop = chargen_stop,
	.ops = {.accept = chargen_accept,
		.readable = chargen_readable,
		.writable = pump,
		.timer = chargen_timer,
		.closed = chargen_closed},
};
