/* SPDX-License-Identifier: Apache-2.0 */
#include "reass.h"

#include <string.h>

static inline struct tcp_reass_seg *at(const struct tcp_slab *slab, uint32_t idx)
{
	return tcp_slab_at(slab, idx);
}

static inline bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* ---- The two lists ---- */

static void recent_unlink(const struct tcp_slab *slab, struct tcp_reass *r,
			  const struct tcp_reass_seg *s)
{
	if (s->newer != TCP_NIL)
		at(slab, s->newer)->older = s->older;
	else
		r->recent = s->older;
	if (s->older != TCP_NIL)
		at(slab, s->older)->newer = s->newer;
}

static void recent_link(const struct tcp_slab *slab, struct tcp_reass *r, struct tcp_reass_seg *s,
			uint32_t idx)
{
	s->newer = TCP_NIL;
	s->older = r->recent;
	if (s->older != TCP_NIL)
		at(slab, s->older)->newer = idx;
	r->recent = idx;
}

/* The segment has changed, or was received again. */
static void touch(const struct tcp_slab *slab, struct tcp_reass *r, uint32_t idx)
{
	struct tcp_reass_seg *s = at(slab, idx);

	if (r->recent == idx)
		return;
	recent_unlink(slab, r, s);
	recent_link(slab, r, s, idx);
}

/* Takes the record out; what it held is the caller's. */
static void remove_seg(struct tcp_slab *slab, struct tcp_reass *r, uint32_t idx)
{
	const struct tcp_reass_seg *s = at(slab, idx);

	recent_unlink(slab, r, s);
	if (s->prev != TCP_NIL)
		at(slab, s->prev)->next = s->next;
	else
		r->head = s->next;
	if (s->next != TCP_NIL)
		at(slab, s->next)->prev = s->prev;
	else
		r->tail = s->prev;
	r->count--;
	tcp_slab_free(slab, idx);
}

static void free_seg(struct tcp_slab *slab, struct tcp_reass *r, uint32_t idx)
{
	const struct tcp_reass_seg *s = at(slab, idx);

	r->mem -= s->mem;
	rte_pktmbuf_free(s->first);
	remove_seg(slab, r, idx);
}

/*
 * The last segment that starts at or before seq; TCP_NIL: none. Most segments go to the tail or to
 * where the last one went; else the walk begins at whichever of head, tail and recent is nearest in
 * octets.
 */
static uint32_t find(const struct tcp_slab *slab, const struct tcp_reass *r, uint32_t seq)
{
	uint32_t i = r->tail;

	if (i == TCP_NIL || !before(seq, at(slab, i)->start))
		return i;
	if (before(seq, at(slab, r->head)->start))
		return TCP_NIL;
	const uint32_t from_head = seq - at(slab, r->head)->start;
	const uint32_t from_tail = at(slab, r->tail)->start - seq;
	const int32_t from_recent = (int32_t)(seq - at(slab, r->recent)->start);
	const uint32_t to_recent =
		from_recent < 0 ? 0u - (uint32_t)from_recent : (uint32_t)from_recent;

	if (to_recent <= from_head && to_recent <= from_tail)
		i = r->recent;
	else if (from_head < from_tail)
		i = r->head;
	while (before(seq, at(slab, i)->start))
		i = at(slab, i)->prev;
	while (at(slab, i)->next != TCP_NIL && !before(seq, at(slab, at(slab, i)->next)->start))
		i = at(slab, i)->next;
	return i;
}

/* ---- What is there already ---- */

static void duplicate(struct tcp_reass_result *res, uint32_t start, uint32_t end)
{
	/* RFC 2883 section 4: only the first is reported; one that goes on over a boundary of
	 * segments is still the same. */
	if (res->dup_start == res->dup_end)
		res->dup_start = start;
	else if (res->dup_end != start)
		return;
	res->dup_end = end;
}

/* A place in a chain. */
struct cursor {
	const struct rte_mbuf *m;
	uint32_t at;
};

/* Octets at the place that lie in one buffer; goes to the next one if there are none. */
static uint32_t cursor_room(struct cursor *c)
{
	while (c->at >= c->m->data_len) {
		c->at -= c->m->data_len;
		c->m = c->m->next;
	}
	return c->m->data_len - c->at;
}

static uint8_t *cursor_ptr(const struct cursor *c)
{
	return rte_pktmbuf_mtod_offset(c->m, uint8_t *, c->at);
}

/*
 * Makes the octets of `to` from offset on the same as the whole chain `from`; false if they differ
 * and a buffer of `to` may not be written.
 */
static bool overlay(struct rte_mbuf *to, uint32_t offset, const struct rte_mbuf *from)
{
	bool differ = false, writable = true;

	for (int pass = 0; pass < 2; pass++) {
		struct cursor t = {to, offset}, f = {from, 0};
		uint32_t left = from->pkt_len;

		while (left != 0) {
			uint32_t n = RTE_MIN(cursor_room(&t), cursor_room(&f));

			n = RTE_MIN(n, left);
			if (pass == 0) {
				differ |= memcmp(cursor_ptr(&t), cursor_ptr(&f), n) != 0;
				writable &= tcp_mbuf_writable(t.m);
			} else {
				memcpy(cursor_ptr(&t), cursor_ptr(&f), n);
			}
			t.at += n;
			f.at += n;
			left -= n;
		}
		if (!differ)
			return true;
		if (!writable)
			return false;
	}
	return true;
}

/* ---- Storing ---- */

/* Copies a small m before the first octets of a segment, if its first buffer has room there. */
static bool absorb_front(struct tcp_reass_seg *s, struct rte_mbuf *m)
{
	const uint32_t len = m->pkt_len;
	struct rte_mbuf *first = s->first;
	uint8_t *to;

	if (len > TCP_CHAIN_SMALL || !tcp_mbuf_writable(first) || rte_pktmbuf_headroom(first) < len)
		return false;
	first->data_off = (uint16_t)(first->data_off - len);
	first->data_len = (uint16_t)(first->data_len + len);
	first->pkt_len += len;
	to = rte_pktmbuf_mtod(first, uint8_t *);
	for (const struct rte_mbuf *b = m; b != NULL; b = b->next) {
		memcpy(to, rte_pktmbuf_mtod(b, const void *), b->data_len);
		to += b->data_len;
	}
	rte_pktmbuf_free(m);
	return true;
}

/* Puts m behind segment s, whose end it touches; `mem` its truesize. */
static bool append(struct tcp_reass *r, struct tcp_reass_seg *s, struct rte_mbuf *m, uint32_t mem)
{
	const uint32_t len = m->pkt_len;

	if (!tcp_chain_absorb(s->first, s->last, m)) {
		struct rte_mbuf *last = rte_pktmbuf_lastseg(m);

		if (!tcp_chain_link(s->first, s->last, m))
			return false;
		s->last = last;
		s->mem += mem;
		r->mem += mem;
	}
	s->end += len;
	return true;
}

/* Puts m before segment s, whose start it touches. */
static bool prepend(struct tcp_reass *r, struct tcp_reass_seg *s, struct rte_mbuf *m, uint32_t mem)
{
	const uint32_t len = m->pkt_len;

	if (!absorb_front(s, m)) {
		if (!tcp_chain_link(m, rte_pktmbuf_lastseg(m), s->first))
			return false;
		s->first = m;
		s->mem += mem;
		r->mem += mem;
	}
	s->start -= len;
	return true;
}

/* Makes a segment and the next one, which it touches, one. */
static void join(struct tcp_slab *slab, struct tcp_reass *r, struct tcp_reass_seg *s)
{
	const uint32_t next = s->next;
	const struct tcp_reass_seg *n = at(slab, next);

	/* Copied if small: else a peer that fills every second octet first has a buffer for each.
	 */
	if (tcp_chain_absorb(s->first, s->last, n->first)) {
		r->mem -= n->mem;
	} else if (tcp_chain_link(s->first, s->last, n->first)) {
		s->last = n->last;
		s->mem += n->mem;
	} else {
		return;
	}
	s->end = n->end;
	remove_seg(slab, r, next);
}

/* Stores m, which overlaps nothing, between two neighbours. False: no room, m is freed. */
static bool store(struct tcp_slab *slab, struct tcp_reass *r, uint32_t prev, uint32_t next,
		  uint32_t seq, struct rte_mbuf *m, uint32_t max_segs)
{
	const uint32_t mem = tcp_chain_truesize(m), end = seq + m->pkt_len;
	struct tcp_reass_seg *s;
	uint32_t idx;

	if (prev != TCP_NIL && at(slab, prev)->end == seq && append(r, at(slab, prev), m, mem)) {
		touch(slab, r, prev);
		if (next != TCP_NIL && at(slab, next)->start == end)
			join(slab, r, at(slab, prev));
		return true;
	}
	if (next != TCP_NIL && at(slab, next)->start == end && prepend(r, at(slab, next), m, mem)) {
		touch(slab, r, next);
		return true;
	}
	idx = r->count < max_segs ? tcp_slab_alloc(slab) : TCP_NIL;
	if (idx == TCP_NIL) {
		rte_pktmbuf_free(m);
		return false;
	}
	s = at(slab, idx);
	*s = (struct tcp_reass_seg){.next = next,
				    .prev = prev,
				    .start = seq,
				    .end = end,
				    .mem = mem,
				    .first = m,
				    .last = rte_pktmbuf_lastseg(m)};
	if (prev != TCP_NIL)
		at(slab, prev)->next = idx;
	else
		r->head = idx;
	if (next != TCP_NIL)
		at(slab, next)->prev = idx;
	else
		r->tail = idx;
	recent_link(slab, r, s, idx);
	r->count++;
	r->mem += mem;
	return true;
}

/*
 * Cuts off m what is held from seq on. Returns what is left, NULL if nothing (freed). *prev is the
 * last segment that starts at or before *seq, before and after.
 */
static struct rte_mbuf *cut_front(const struct tcp_slab *slab, struct tcp_reass *r, uint32_t *prev,
				  uint32_t *seq, struct rte_mbuf *m, struct tcp_reass_result *res)
{
	const uint32_t end = *seq + m->pkt_len;

	while (*prev != TCP_NIL && before(*seq, at(slab, *prev)->end)) {
		const struct tcp_reass_seg *p = at(slab, *prev);

		if (!before(p->end, end)) {
			duplicate(res, *seq, end);
			touch(slab, r, *prev);
			rte_pktmbuf_free(m);
			return NULL;
		}
		duplicate(res, *seq, p->end);
		m = tcp_chain_trim_front(m, p->end - *seq, NULL);
		*seq = p->end;
		if (p->next != TCP_NIL && at(slab, p->next)->start == p->end)
			*prev = p->next;
	}
	return m;
}

/*
 * Settles m's conflicts with the segments that start within it: one that goes on beyond its end
 * makes it shorter, others go away after what they held has been copied into it, which costs less
 * than taking it to pieces and leaves one segment instead of three. Returns the segment behind it,
 * and in *held the octets that were there already.
 */
static uint32_t settle(struct tcp_slab *slab, struct tcp_reass *r, uint32_t next, uint32_t seq,
		       struct rte_mbuf *m, uint32_t *held, struct tcp_reass_result *res)
{
	const uint32_t end = seq + m->pkt_len;

	while (next != TCP_NIL && before(at(slab, next)->start, end)) {
		const struct tcp_reass_seg *n = at(slab, next);
		const uint32_t idx = next;

		if (!before(n->end, end)) {
			duplicate(res, n->start, end);
			tcp_chain_trim_tail(m, n->start - seq, NULL);
			break;
		}
		if (!overlay(m, n->start - seq, n->first)) {
			/* What lies behind comes again: it has not been acknowledged. */
			duplicate(res, n->start, n->end);
			tcp_chain_trim_tail(m, n->start - seq, NULL);
			res->no_memory = true;
			break;
		}
		duplicate(res, n->start, n->end);
		*held += n->end - n->start;
		next = n->next;
		free_seg(slab, r, idx);
	}
	return next;
}

void tcp_reass_insert(struct tcp_slab *slab, struct tcp_reass *r, uint32_t rcv_nxt, uint32_t seq,
		      struct rte_mbuf *m, uint32_t max_segs, struct tcp_reass_result *res)
{
	const uint32_t mem = r->mem;
	uint32_t prev, next, len, held = 0;

	memset(res, 0, sizeof(*res));
	if (before(seq, rcv_nxt) && m->pkt_len != 0) {
		const uint32_t old = RTE_MIN(rcv_nxt - seq, m->pkt_len);

		duplicate(res, seq, seq + old);
		if (old == m->pkt_len) {
			rte_pktmbuf_free(m);
			return;
		}
		m = tcp_chain_trim_front(m, old, NULL);
		seq = rcv_nxt;
	}
	if (m->pkt_len == 0 || tcp_chain_truesize(m) > INT32_MAX - r->mem) {
		res->no_memory = m->pkt_len != 0;
		rte_pktmbuf_free(m);
		return;
	}
	prev = find(slab, r, seq);
	m = cut_front(slab, r, &prev, &seq, m, res);
	if (m == NULL)
		return;
	next = prev != TCP_NIL ? at(slab, prev)->next : r->head;
	next = settle(slab, r, next, seq, m, &held, res);
	len = m->pkt_len;
	/* What was held must not be lost: settling it has made a record free. */
	if (store(slab, r, prev, next, seq, m, held != 0 ? UINT32_MAX : max_segs))
		res->stored = len - held;
	else
		res->no_memory = true;
	res->mem = (int32_t)(r->mem - mem);
}

struct rte_mbuf *tcp_reass_pop(struct tcp_slab *slab, struct tcp_reass *r, uint32_t rcv_nxt,
			       uint32_t *len)
{
	while (r->head != TCP_NIL) {
		const uint32_t idx = r->head;
		const struct tcp_reass_seg *s = at(slab, idx);
		struct rte_mbuf *m = s->first;

		if (before(rcv_nxt, s->start))
			return NULL;
		if (!before(rcv_nxt, s->end)) {
			free_seg(slab, r, idx);
			continue;
		}
		if (s->start != rcv_nxt)
			m = tcp_chain_trim_front(m, rcv_nxt - s->start, NULL);
		*len = m->pkt_len;
		r->mem -= s->mem;
		remove_seg(slab, r, idx);
		return m;
	}
	return NULL;
}

unsigned int tcp_reass_sacks(const struct tcp_slab *slab, const struct tcp_reass *r,
			     struct tcp_sack *out, unsigned int max)
{
	unsigned int n = 0;

	for (uint32_t i = r->recent; i != TCP_NIL && n < max; i = at(slab, i)->older) {
		const struct tcp_reass_seg *s = at(slab, i), *p;
		unsigned int k = 0;

		while (k < n && (before(s->start, out[k].start) || !before(s->start, out[k].end)))
			k++;
		if (k < n)
			continue;
		out[n] = (struct tcp_sack){s->start, s->end};
		/* Segments of more buffers than a chain may have touch without being one. */
		for (p = s; p->prev != TCP_NIL && at(slab, p->prev)->end == p->start;) {
			p = at(slab, p->prev);
			out[n].start = p->start;
		}
		for (p = s; p->next != TCP_NIL && at(slab, p->next)->start == p->end;) {
			p = at(slab, p->next);
			out[n].end = p->end;
		}
		n++;
	}
	return n;
}

void tcp_reass_purge(struct tcp_slab *slab, struct tcp_reass *r)
{
	while (r->head != TCP_NIL)
		free_seg(slab, r, r->head);
}

uint32_t tcp_reass_shed(struct tcp_slab *slab, struct tcp_reass *r, uint32_t bytes)
{
	const uint32_t before_mem = r->mem;

	while (r->tail != TCP_NIL && before_mem - r->mem < bytes)
		free_seg(slab, r, r->tail);
	return before_mem - r->mem;
}
