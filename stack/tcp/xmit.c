/* SPDX-License-Identifier: Apache-2.0 */
/* Segments with data become packets: in place, copied, chained, cloned, or several as one that the
 * port cuts. */
#include "build.h"

/* Whether no transmit queue holds the buffers any more, so that they may be handed out once more as
 * they are. */
static bool chain_ours(const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (rte_mbuf_refcnt_read(m) != 1)
			return false;
	return true;
}

/* Of the first buffer the segment knows where its payload is, which a packet in place has changed.
 */
static struct rte_mbuf *clones(struct tcp_engine *e, const struct tcp_seg *s)
{
	struct rte_mbuf *head, *rest = s->m->next;

	head = tcp_mbuf_clone(e->cfg.pool, s->m, s->off, rest == NULL ? s->len : s->m->data_len);
	if (head != NULL && rest != NULL) {
		head->next = tcp_chain_clone(e->cfg.pool, rest);
		if (head->next == NULL) {
			rte_pktmbuf_free(head);
			head = NULL;
		}
	}
	if (head == NULL)
		e->mib.no_mbuf++;
	return head;
}

/* The packet's payload with `opts` in front of it; headers are still missing. NULL: no buffers now.
 */
static struct rte_mbuf *seg_packet(struct tcp_conn *c, struct tcp_seg *s, uint8_t *opts,
				   uint8_t optlen)
{
	struct tcp_engine *e = c->e;
	struct rte_mbuf *m = s->m, *h;
	uint16_t n = 0;

	if (m != NULL && s->len > COPY_MAX && m->next == NULL && tcp_mbuf_writable(m) &&
	    s->off >= HEADROOM) {
		/* The buffer itself is the packet: nothing to copy, nothing to allocate. */
		s->flags |= SEG_IN_PLACE;
		m->data_off = s->off;
		m->data_len = m->pkt_len = s->len;
		m->nb_segs = 1;
		m->tx_offload = 0;
		rte_mbuf_refcnt_set(m, 2);
		memcpy(rte_pktmbuf_prepend(m, optlen), opts, optlen);
		return m;
	}
	h = tx_alloc(e);
	if (unlikely(h == NULL))
		return NULL;
	memcpy(rte_pktmbuf_mtod(h, uint8_t *), opts, optlen);
	h->data_len = h->pkt_len = optlen;
	if (m == NULL)
		return h;
	if (s->len <= COPY_MAX) {
		uint8_t *to = rte_pktmbuf_mtod_offset(h, uint8_t *, optlen);

		if (likely(m->next == NULL)) {
			memcpy(to, (const uint8_t *)m->buf_addr + s->off, s->len);
		} else {
			uint16_t at = 0;

			for (; m != NULL; m = m->next) {
				const uint16_t off = m == s->m ? s->off : m->data_off;

				memcpy(to + at, (const uint8_t *)m->buf_addr + off, m->data_len);
				at += m->data_len;
			}
		}
		h->data_len = h->pkt_len = optlen + s->len;
		return h;
	}
	if (chain_ours(m)) {
		m->data_off = s->off;
		if (m->next == NULL)
			m->data_len = s->len;
		for (struct rte_mbuf *b = m; b != NULL; b = b->next) {
			rte_mbuf_refcnt_set(b, 2);
			n++;
		}
		h->next = m;
	} else {
		h->next = clones(e, s);
		if (h->next == NULL) {
			rte_pktmbuf_free(h);
			return NULL;
		}
		for (struct rte_mbuf *b = h->next; b != NULL; b = b->next)
			n++;
	}
	h->nb_segs = n + 1;
	h->pkt_len = optlen + s->len;
	return h;
}

/* What every transmission leaves behind. */
static void note_sent(struct tcp_conn *c, uint32_t i, bool rtx, uint32_t flight)
{
	struct tcp_engine *e = c->e;
	struct tcp_seg *s = seg_at(e, i);

	tcp_rate_on_send(&c->x->rate, &s->snap, flight, e->now_us);
	s->sent_us = e->now_us32;
	if (s->xmits < UINT8_MAX)
		s->xmits++;
	c->last_send_ms = e->now_ms;
	if (rtx) {
		e->mib.retrans_segs++;
		c->total_retrans++;
		c->bytes_retrans += s->len;
	} else {
		e->mib.out_segs++;
		e->mib.out_octets += s->len;
		c->bytes_sent += s->len;
	}
	seg_tx_append(c, i);
}

/* RFC 3168: ECT on new data, and CWR once. */
static uint8_t new_data_ecn(struct tcp_conn *c, uint8_t *flags)
{
	if (!(c->flags & F_ECN))
		return 0;
	if (c->flags & F_ECN_CWR) {
		c->flags &= ~F_ECN_CWR;
		*flags |= RTE_TCP_CWR_FLAG;
	}
	return 2;
}

bool seg_xmit(struct tcp_conn *c, uint32_t i, bool rtx)
{
	struct tcp_engine *e = c->e;
	struct tcp_ext *x = c->x;
	struct tcp_seg *s = seg_at(e, i);
	uint8_t opts[TCP_OPT_MAX], optlen, flags = RTE_TCP_ACK_FLAG, ect = 0;
	const uint32_t fit = c->pmtu - base_hdr(c) - (c->flags & F_TS ? 12 : 0);
	struct rte_mbuf *m;

	optlen = conn_options(c, opts, s->len < fit ? fit - s->len : 0);
	m = seg_packet(c, s, opts, optlen);
	if (unlikely(m == NULL))
		return false;
	if (s->flags & SEG_PSH || c->flags2 & F2_PUSH) {
		flags |= RTE_TCP_PSH_FLAG;
		c->flags2 &= ~F2_PUSH;
	}
	if (s->flags & SEG_FIN)
		flags |= RTE_TCP_FIN_FLAG;
	flags |= conn_ecn_flags(c);
	if (!rtx && s->len != 0)
		ect = new_data_ecn(c, &flags);
	note_sent(c, i, rtx, in_flight(x) - (rtx ? 0 : 1));
	conn_headers(c, m, s->seq, flags, optlen, ect);
	return true;
}

/*
 * n consecutive new segments as one packet for the port to cut (TSO). Each keeps its own record, so
 * that acknowledgements and retransmissions do not know the difference; the packet has indirect
 * buffers, because the segments' own must not be linked.
 */
static bool tso_xmit(struct tcp_conn *c, uint32_t first, unsigned int n)
{
	struct tcp_engine *e = c->e;
	uint8_t opts[TCP_OPT_MAX], optlen, flags = RTE_TCP_ACK_FLAG | conn_ecn_flags(c), ect;
	const uint32_t flight = in_flight(c->x);
	struct rte_mbuf *h = tx_alloc(e), *last = h, *part;
	uint32_t i = first, len = 0;

	if (h == NULL)
		return false;
	optlen = conn_options(c, opts, 0);
	memcpy(rte_pktmbuf_mtod(h, uint8_t *), opts, optlen);
	h->data_len = optlen;
	for (unsigned int k = 0; k < n; k++, i = seg_at(e, i)->next) {
		const struct tcp_seg *s = seg_at(e, i);

		part = clones(e, s);
		if (part == NULL) {
			rte_pktmbuf_free(h);
			return false;
		}
		last->next = part;
		for (last = part; last->next != NULL; last = last->next)
			h->nb_segs++;
		h->nb_segs++;
		len += s->len;
		if (s->flags & SEG_PSH)
			flags |= RTE_TCP_PSH_FLAG;
		if (s->flags & SEG_FIN)
			flags |= RTE_TCP_FIN_FLAG;
	}
	if (c->flags2 & F2_PUSH) {
		flags |= RTE_TCP_PSH_FLAG;
		c->flags2 &= ~F2_PUSH;
	}
	h->pkt_len = optlen + len;
	ect = new_data_ecn(c, &flags);
	i = first;
	for (unsigned int k = 0; k < n; k++, i = seg_at(e, i)->next)
		note_sent(c, i, false, flight - n + k);
	h->tso_segsz = c->mss;
	conn_headers(c, h, seg_at(e, first)->seq, flags, optlen, ect);
	return true;
}

bool segs_xmit(struct tcp_conn *c, uint32_t first, unsigned int n)
{
	struct tcp_engine *e = c->e;
	bool all = true;
	uint32_t push;

	if (n > 1 && tso_xmit(c, first, n))
		return true;
	/* Meant for the last. */
	push = c->flags2 & F2_PUSH;
	c->flags2 &= ~F2_PUSH;
	for (uint32_t i = first; n != 0; n--, i = seg_at(e, i)->next) {
		if (n == 1)
			c->flags2 |= push;
		if (likely(all && seg_xmit(c, i, false)))
			continue;
		all = false;
		seg_at(e, i)->sent_us = e->now_us32;
		seg_mark_lost(c, i, NULL);
	}
	if (unlikely(!all))
		timer_set_us(c, T_PACE, 1000);
	return all;
}
