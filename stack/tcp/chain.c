/* SPDX-License-Identifier: Apache-2.0 */
#include "chain.h"

#include <string.h>

struct rte_mbuf *tcp_chain_trim_front(struct rte_mbuf *m, uint32_t n, uint32_t *freed)
{
	const uint32_t len = m->pkt_len - n;
	uint16_t segs = m->nb_segs;

	while (n >= m->data_len) {
		struct rte_mbuf *next = m->next;

		n -= m->data_len;
		if (freed != NULL)
			*freed += tcp_mbuf_truesize(m);
		rte_pktmbuf_free_seg(m);
		m = next;
		segs--;
	}
	m->data_off = (uint16_t)(m->data_off + n);
	m->data_len = (uint16_t)(m->data_len - n);
	m->pkt_len = len;
	m->nb_segs = segs;
	return m;
}

struct rte_mbuf *tcp_chain_trim_tail(struct rte_mbuf *m, uint32_t len, uint32_t *freed)
{
	struct rte_mbuf *last = m;
	uint32_t left = len;
	uint16_t segs = 1;

	for (; left > last->data_len; last = last->next, segs++)
		left -= last->data_len;
	last->data_len = (uint16_t)left;
	if (freed != NULL)
		*freed += tcp_chain_truesize(last->next);
	rte_pktmbuf_free(last->next);
	last->next = NULL;
	m->pkt_len = len;
	m->nb_segs = segs;
	return m;
}

bool tcp_chain_absorb(struct rte_mbuf *first, struct rte_mbuf *last, struct rte_mbuf *m)
{
	const uint32_t len = m->pkt_len;
	uint8_t *to;

	if (len > TCP_CHAIN_SMALL || !tcp_mbuf_writable(last) || rte_pktmbuf_tailroom(last) < len)
		return false;
	to = rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		memcpy(to, rte_pktmbuf_mtod(s, const void *), s->data_len);
		to += s->data_len;
	}
	last->data_len = (uint16_t)(last->data_len + len);
	first->pkt_len += len;
	rte_pktmbuf_free(m);
	return true;
}

bool tcp_chain_link(struct rte_mbuf *first, struct rte_mbuf *last, struct rte_mbuf *m)
{
	if ((uint32_t)first->nb_segs + m->nb_segs > UINT16_MAX)
		return false;
	last->next = m;
	first->nb_segs = (uint16_t)(first->nb_segs + m->nb_segs);
	first->pkt_len += m->pkt_len;
	return true;
}

struct rte_mbuf *tcp_mbuf_clone(struct rte_mempool *pool, struct rte_mbuf *m, uint16_t off,
				uint16_t len)
{
	struct rte_mbuf *n = rte_pktmbuf_alloc(pool);

	if (n == NULL)
		return NULL;
	rte_pktmbuf_attach(n, m);
	n->data_off = off;
	n->data_len = len;
	n->pkt_len = len;
	n->next = NULL;
	n->nb_segs = 1;
	return n;
}

struct rte_mbuf *tcp_chain_clone(struct rte_mempool *pool, struct rte_mbuf *m)
{
	struct rte_mbuf *head = NULL, *last = NULL, *n;

	for (; m != NULL; m = m->next) {
		if (m->data_len == 0)
			continue;
		n = tcp_mbuf_clone(pool, m, m->data_off, m->data_len);
		if (n == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		if (head == NULL) {
			head = n;
		} else {
			last->next = n;
			head->nb_segs++;
			head->pkt_len += n->data_len;
		}
		last = n;
	}
	return head;
}
