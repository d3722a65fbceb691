/* SPDX-License-Identifier: Apache-2.0 */
/* What the responder writes in one turn: gathered in buffers of a segment each, written as one. */
#ifndef MILLRACE_SVC_HTTP_OUT_H
#define MILLRACE_SVC_HTTP_OUT_H

#include "http_reply.h"

struct http_out {
	struct tcp_conn *c;
	struct rte_mbuf *head, *tail;
	/* Octets gathered. */
	uint32_t len;
	/* Payload of a segment. */
	uint16_t mss;
	/* No buffers, or the engine did not take it: the connection has to be aborted. */
	bool failed;
};

static inline void http_out_init(struct http_out *o, struct tcp_conn *c)
{
	*o = (struct http_out){.c = c, .mss = tcp_conn_mss(c)};
}

void http_out_copy_slow(struct http_out *o, const void *data, uint32_t len);

static inline void http_out_copy(struct http_out *o, const void *data, uint32_t len)
{
	struct rte_mbuf *m = o->tail;

	if (m == NULL || !RTE_MBUF_DIRECT(m) || m->data_len + len > o->mss ||
	    rte_pktmbuf_tailroom(m) < len) {
		http_out_copy_slow(o, data, len);
		return;
	}
	memcpy(rte_pktmbuf_mtod_offset(m, char *, m->data_len), data, len);
	m->data_len = (uint16_t)(m->data_len + len);
	o->head->pkt_len += len;
	o->len += len;
}

void http_out_flush(struct http_out *o);
/* Frees what was gathered. */
void http_out_drop(struct http_out *o);
/* Adds octets [off, off + len) of a body, or fewer if buffers run out. Returns how many. */
uint32_t http_out_body(struct http_out *o, struct http_body *b, uint32_t off, uint32_t len);
/* A response to what was no valid request, after which the connection ends. */
void http_out_error(struct http_out *o, uint16_t status, const char *date, bool head);

/* The service is done with a connection that it counts until the client is done, too. */
void http_linger(struct tcp_conn *c);

#endif
