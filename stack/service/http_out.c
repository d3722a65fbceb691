/* SPDX-License-Identifier: Apache-2.0 */
#include "http_out.h"

#include <stdio.h>

static bool append(struct http_out *o, struct rte_mbuf *m)
{
	if (m == NULL) {
		o->failed = true;
		return false;
	}
	if (o->head == NULL) {
		o->head = m;
	} else {
		o->tail->next = m;
		o->head->nb_segs++;
		o->head->pkt_len += m->data_len;
	}
	o->tail = m;
	return true;
}

void http_out_copy_slow(struct http_out *o, const void *data, uint32_t len)
{
	struct rte_mempool *pool = tcp_pool(tcp_engine_of(o->c));

	while (len > 0 && !o->failed) {
		struct rte_mbuf *m = o->tail;
		uint32_t room = 0;

		if (m != NULL && RTE_MBUF_DIRECT(m) && m->data_len < o->mss)
			room = RTE_MIN(rte_pktmbuf_tailroom(m), o->mss - m->data_len);
		if (room == 0) {
			m = rte_pktmbuf_alloc(pool);
			if (!append(o, m))
				return;
			room = RTE_MIN(rte_pktmbuf_tailroom(m), o->mss);
		}
		room = RTE_MIN(room, len);
		memcpy(rte_pktmbuf_mtod_offset(m, char *, m->data_len), data, room);
		m->data_len = (uint16_t)(m->data_len + room);
		o->head->pkt_len += room;
		o->len += room;
		data = (const char *)data + room;
		len -= room;
	}
}

void http_out_drop(struct http_out *o)
{
	rte_pktmbuf_free(o->head);
	o->head = o->tail = NULL;
	o->len = 0;
}

void http_out_flush(struct http_out *o)
{
	if (o->head == NULL)
		return;
	if (o->failed || tcp_write(o->c, o->head) < 0) {
		o->failed = true;
		http_out_drop(o);
	}
	o->head = o->tail = NULL;
	o->len = 0;
}

uint32_t http_out_body(struct http_out *o, struct http_body *b, uint32_t off, uint32_t len)
{
	struct rte_mempool *pool = tcp_pool(tcp_engine_of(o->c));
	uint32_t done = 0;

	if (b->iova == 0) {
		uint32_t before = o->len;

		http_out_copy(o, b->data + off, len);
		return o->len - before;
	}
	while (done < len) {
		uint32_t n = RTE_MIN(len - done, (uint32_t)o->mss);
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		if (!append(o, m))
			break;
		http_body_hold(b);
		rte_pktmbuf_attach_extbuf(m, b->data + off + done, b->iova + off + done,
					  (uint16_t)n, &b->shinfo);
		m->data_off = 0;
		m->data_len = (uint16_t)n;
		o->head->pkt_len += n;
		o->len += n;
		done += n;
	}
	return done;
}

void http_out_error(struct http_out *o, uint16_t status, const char *date, bool head)
{
	const char *reason = http_reason(status);
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: text/plain\r\n"
			 "Content-Length: %zu\r\nConnection: close\r\n\r\n",
			 status, reason, date, strlen(reason) + 5);

	if (!head)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%u %s\n", status, reason);
	http_out_copy(o, text, (uint32_t)n);
}
