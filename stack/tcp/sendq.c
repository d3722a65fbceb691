/* SPDX-License-Identifier: Apache-2.0 */
/* Segments in flight: made of what is unsent, kept until acknowledged. */
#include "conn.h"

void seg_tx_unlink(struct tcp_conn *c, uint32_t i)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(e, i);

	if (s->tnext == i)
		return;
	if (s->tprev == TCP_NIL)
		x->tx_head = s->tnext;
	else
		seg_at(e, s->tprev)->tnext = s->tnext;
	if (s->tnext == TCP_NIL)
		x->tx_tail = s->tprev;
	else
		seg_at(e, s->tnext)->tprev = s->tprev;
	/* Itself: not in the list. */
	s->tnext = s->tprev = i;
}

void seg_tx_append(struct tcp_conn *c, uint32_t i)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(e, i);

	seg_tx_unlink(c, i);
	s->tprev = x->tx_tail;
	s->tnext = TCP_NIL;
	if (x->tx_tail == TCP_NIL)
		x->tx_head = i;
	else
		seg_at(e, x->tx_tail)->tnext = i;
	x->tx_tail = i;
}

/* Takes len octets off the unsent chain; NULL if a buffer for the cut is missing. */
static struct rte_mbuf *unsent_take(struct tcp_conn *c, uint32_t len)
{
	struct rte_mbuf *head = c->unsent_head, *m = head, *prev = NULL, *part;
	uint32_t left = len;
	uint16_t segs = 0;

	while (left != 0 && m->data_len <= left) {
		left -= m->data_len;
		prev = m;
		m = m->next;
		segs++;
	}
	if (left != 0) {
		part = tcp_mbuf_clone(c->e->cfg.pool, m, m->data_off, left);
		if (part == NULL) {
			c->e->mib.no_mbuf++;
			return NULL;
		}
		m->data_off += left;
		m->data_len -= left;
		c->snd_mem += tcp_mbuf_truesize(part);
		mem_charge(c->e, tcp_mbuf_truesize(part));
		if (prev == NULL)
			head = part;
		else
			prev->next = part;
		segs++;
	} else {
		prev->next = NULL;
	}
	c->unsent_head = m;
	if (m == NULL)
		c->unsent_tail = NULL;
	c->unsent -= len;
	head->pkt_len = len;
	head->nb_segs = segs;
	return head;
}

uint32_t seg_from_unsent(struct tcp_conn *c, uint32_t len)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x;
	struct tcp_seg *s;
	uint32_t i, mem = 0;

	if (!ext_need(c))
		return TCP_NIL;
	x = c->x;
	i = tcp_slab_alloc(&e->segs);
	if (unlikely(i == TCP_NIL)) {
		e->mib.no_mbuf++;
		return TCP_NIL;
	}
	s = seg_at(e, i);
	s->m = NULL;
	if (len != 0) {
		s->m = unsent_take(c, len);
		if (unlikely(s->m == NULL)) {
			tcp_slab_free(&e->segs, i);
			return TCP_NIL;
		}
		mem = tcp_chain_truesize(s->m);
		s->off = s->m->data_off;
	}
	s->seq = c->snd_nxt;
	s->end = c->snd_nxt + len;
	s->len = len;
	s->flags = c->unsent == 0 && !(c->flags2 & F2_MSG_MORE) ? SEG_PSH : 0;
	s->xmits = 0;
	s->mem = mem;
	s->tnext = s->tprev = i;
	s->next = TCP_NIL;
	s->prev = x->seg_tail;
	if (x->seg_tail == TCP_NIL)
		x->seg_head = i;
	else
		seg_at(e, x->seg_tail)->next = i;
	x->seg_tail = i;
	x->packets_out++;
	c->snd_nxt = s->end;
	return i;
}

/* The counters follow the flags. */
static void uncount(struct tcp_ext *x, const struct tcp_seg *s)
{
	x->packets_out--;
	if (s->flags & SEG_SACKED)
		x->sacked_out--;
	if (s->flags & SEG_LOST)
		x->lost_out--;
	if (s->flags & SEG_RETRANS)
		x->retrans_out--;
}

void seg_unlink_free(struct tcp_conn *c, uint32_t i)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(e, i);

	seg_tx_unlink(c, i);
	if (s->prev == TCP_NIL)
		x->seg_head = s->next;
	else
		seg_at(e, s->prev)->next = s->next;
	if (s->next == TCP_NIL)
		x->seg_tail = s->prev;
	else
		seg_at(e, s->next)->prev = s->prev;
	if (x->sack_hint == i)
		x->sack_hint = TCP_NIL;
	if (x->rtx_hint == i)
		x->rtx_hint = s->next;
	uncount(x, s);
	c->snd_mem -= s->mem;
	mem_charge(e, -(int64_t)s->mem);
	if (s->m != NULL)
		rte_pktmbuf_free(s->m);
	tcp_slab_free(&e->segs, i);
}

/*
 * Cuts a segment after len octets of payload, for a smaller path MTU or a SACK block that covers a
 * part. The buffers may be in a transmit queue, so they are not touched: both halves become
 * indirect.
 */
bool seg_split(struct tcp_conn *c, uint32_t i, uint32_t len)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(e, i), *n;
	struct rte_mbuf *half[2] = {NULL, NULL}, *last[2] = {NULL, NULL}, *m, *p;
	uint32_t j, at = 0;

	if (len == 0 || len >= s->len)
		return false;
	j = tcp_slab_alloc(&e->segs);
	if (j == TCP_NIL)
		return false;
	for (m = s->m; m != NULL && at < s->len; m = m->next) {
		const uint16_t off = m == s->m ? s->off : m->data_off;
		const uint32_t room = m == s->m && m->next == NULL ? s->len : m->data_len;

		for (uint32_t from = 0; from < room;) {
			const int h = at >= len;
			uint32_t part = room - from;

			if (!h)
				part = RTE_MIN(part, len - at);
			p = tcp_mbuf_clone(e->cfg.pool, m, off + from, part);
			if (p == NULL)
				goto no_memory;
			if (last[h] == NULL)
				half[h] = p;
			else
				last[h]->next = p;
			last[h] = p;
			if (p != half[h]) {
				half[h]->nb_segs++;
				half[h]->pkt_len += part;
			}
			from += part;
			at += part;
		}
	}
	n = seg_at(e, j);
	*n = *s;
	n->m = half[1];
	n->off = half[1]->data_off;
	n->seq = s->seq + len;
	n->len = s->len - len;
	n->mem = 0;
	s->end = s->seq + len;
	s->len = len;
	n->flags &= ~SEG_IN_PLACE;
	s->flags &= ~(SEG_FIN | SEG_PSH | SEG_IN_PLACE);
	rte_pktmbuf_free(s->m);
	s->m = half[0];
	s->off = half[0]->data_off;
	n->prev = i;
	if (s->next == TCP_NIL)
		x->seg_tail = j;
	else
		seg_at(e, s->next)->prev = j;
	s->next = j;
	n->tnext = n->tprev = j;
	if (s->tnext != i) {
		n->tprev = i;
		n->tnext = s->tnext;
		if (s->tnext == TCP_NIL)
			x->tx_tail = j;
		else
			seg_at(e, s->tnext)->tprev = j;
		s->tnext = j;
	}
	x->packets_out++;
	if (n->flags & SEG_SACKED)
		x->sacked_out++;
	if (n->flags & SEG_LOST)
		x->lost_out++;
	if (n->flags & SEG_RETRANS)
		x->retrans_out++;
	return true;
no_memory:
	rte_pktmbuf_free(half[0]);
	rte_pktmbuf_free(half[1]);
	tcp_slab_free(&e->segs, j);
	e->mib.no_mbuf++;
	return false;
}

void segs_purge(struct tcp_conn *c)
{
	struct tcp_ext *x = c->x;

	while (x->seg_head != TCP_NIL)
		seg_unlink_free(c, x->seg_head);
}
