/* SPDX-License-Identifier: Apache-2.0 */
/* Clients and plain servers for tests of services. */
#include "test_world.h"

static void keep(struct peer *p, const struct rte_mbuf *m)
{
	p->in_total += m->pkt_len;
	if (p->no_keep)
		return;
	if (p->in_len + m->pkt_len + 1 > p->in_cap) {
		p->in_cap = 2 * (p->in_len + m->pkt_len + 1);
		p->in = realloc(p->in, p->in_cap);
		CHECK(p->in != NULL);
	}
	for (; m != NULL; m = m->next) {
		memcpy(p->in + p->in_len, rte_pktmbuf_mtod(m, const void *), m->data_len);
		p->in_len += m->data_len;
	}
}

static void take(struct tcp_conn *c)
{
	struct peer *p = tcp_user(c);
	struct rte_mbuf *m;

	if (p->paused)
		return;
	while ((m = tcp_read(c, UINT32_MAX)) != NULL) {
		keep(p, m);
		rte_pktmbuf_free(m);
	}
	if (tcp_at_eof(c))
		p->eof = true;
}

static void give(struct tcp_conn *c)
{
	struct peer *p = tcp_user(c);

	if (!p->connected)
		return;
	while (p->out_at < p->out_len) {
		size_t left = p->out_len - p->out_at;
		int n = tcp_write_copy(c, p->out + p->out_at,
				       left < 1u << 20 ? (uint32_t)left : 1u << 20);

		if (n <= 0) {
			tcp_want_write(c, 0);
			return;
		}
		p->out_at += (size_t)n;
	}
	if (p->shut)
		tcp_shutdown(c);
}

static void connected(struct tcp_conn *c)
{
	struct peer *p = tcp_user(c);

	p->connected = true;
	give(c);
}

static void closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct peer *p = tcp_user(c);

	/* What came before the end and was not looked at yet. */
	take(c);
	p->closed = true;
	p->why = why;
	p->c = NULL;
}

static const struct tcp_ops peer_ops = {
	.connected = connected,
	.readable = take,
	.writable = give,
	.closed = closed,
};

struct peer *peer_connect_opt(struct host *h, const char *to, uint16_t port,
			      const struct tcp_options *opt)
{
	struct tcp_connect_params params = {.ops = &peer_ops, .opt = *opt};
	struct peer *p = calloc(1, sizeof(*p));
	uint32_t i;

	CHECK(p != NULL);
	p->h = h;
	params.user = p;
	params.tuple.raddr = world_addr(to);
	params.tuple.rport = rte_cpu_to_be_16(port);
	params.tuple.family = tcp_addr_is4(&params.tuple.raddr) ? 4 : 6;
	for (i = 0; i < h->n_addrs; i++)
		if (tcp_addr_is4(&h->addrs[i]) == (params.tuple.family == 4))
			break;
	CHECK(i < h->n_addrs);
	params.tuple.laddr = h->addrs[i];
	p->c = tcp_connect(h->e, &params);
	CHECK(p->c != NULL);
	return p;
}

struct peer *peer_connect(struct host *h, const char *to, uint16_t port)
{
	static const struct tcp_options opt = {.no_nagle = true};

	return peer_connect_opt(h, to, port, &opt);
}

void peer_send(struct peer *p, const void *data, size_t len)
{
	if (p->out_len > p->out_at)
		memmove(p->out, p->out + p->out_at, p->out_len - p->out_at);
	p->out_len -= p->out_at;
	p->out_at = 0;
	p->out = realloc(p->out, p->out_len + len + 1);
	CHECK(p->out != NULL);
	memcpy(p->out + p->out_len, data, len);
	p->out_len += len;
	if (p->c != NULL)
		give(p->c);
}

void peer_puts(struct peer *p, const char *text)
{
	peer_send(p, text, strlen(text));
}

void peer_shutdown(struct peer *p)
{
	p->shut = true;
	if (p->c != NULL)
		give(p->c);
}

void peer_resume(struct peer *p)
{
	p->paused = false;
	if (p->c != NULL)
		take(p->c);
}

void peer_abort(struct peer *p)
{
	if (p->c != NULL)
		tcp_abort(p->c);
	p->c = NULL;
}

void peer_free(struct peer *p)
{
	if (p->c != NULL)
		tcp_close(p->c);
	free(p->in);
	free(p->out);
	free(p);
}

const char *peer_text(struct peer *p)
{
	if (p->in == NULL)
		return "";
	p->in[p->in_len] = 0;
	p->in_len = 0;
	return (const char *)p->in;
}
