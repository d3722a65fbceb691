/* SPDX-License-Identifier: Apache-2.0 */
#include "test_backend.h"

#include <errno.h>

uint8_t pattern(uint64_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13 ^ i >> 3);
}

uint64_t hash_more(uint64_t hash, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * 0x100000001b3;
	return hash;
}

uint64_t pattern_hash(uint64_t n)
{
	uint64_t hash = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint8_t o = pattern(i);

		hash = hash_more(hash, &o, 1);
	}
	return hash;
}

static void keep(struct taken *t, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		uint32_t room = sizeof(t->in) - 1 - t->in_len;
		uint32_t n = m->data_len < room ? m->data_len : room;

		memcpy(t->in + t->in_len, rte_pktmbuf_mtod(m, const void *), n);
		t->in_len += n;
		t->in[t->in_len] = 0;
		t->hash = hash_more(t->hash, rte_pktmbuf_mtod(m, const void *), m->data_len);
		t->in_total += m->data_len;
	}
}

static void pour(struct taken *t)
{
	while (t->out_left != 0) {
		uint8_t buf[4096];
		uint32_t n = t->out_left < sizeof(buf) ? (uint32_t)t->out_left : sizeof(buf);
		int rc;

		for (uint32_t i = 0; i < n; i++)
			buf[i] = pattern(t->out_at + i);
		rc = tcp_write_copy(t->c, buf, n);
		if (rc <= 0) {
			tcp_want_write(t->c, 0);
			return;
		}
		t->out_left -= (uint32_t)rc;
		t->out_at += (uint32_t)rc;
	}
	if (t->shut)
		tcp_shutdown(t->c);
}

static void take(struct tcp_conn *c)
{
	struct taken *t = tcp_user(c);
	struct rte_mbuf *m;

	if (t->s->paused)
		return;
	while (!(t->s->echo && tcp_writable(c) == 0) && (m = tcp_read(c, 65536)) != NULL) {
		keep(t, m);
		if (!t->s->echo || tcp_write(c, m) != 0)
			rte_pktmbuf_free(m);
	}
	if (tcp_readable(c) != 0)
		tcp_want_write(c, 0);
	if (tcp_at_eof(c)) {
		t->eof = true;
		if (t->s->polite)
			taken_shutdown(t);
	}
}

static void writable(struct tcp_conn *c)
{
	struct taken *t = tcp_user(c);

	if (t->s->echo)
		take(c);
	pour(t);
}

static void closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct taken *t = tcp_user(c);

	t->closed = true;
	t->why = why;
	t->c = NULL;
}

static bool accept_conn(struct tcp_conn *c, void *ctx)
{
	struct server *s = ctx;
	struct taken *t = calloc(1, sizeof(*t));

	CHECK(t != NULL && s->n < SERVER_CONNS);
	t->c = c;
	t->s = s;
	t->tuple = *tcp_tuple(c);
	s->taken[s->n++] = t;
	tcp_set_user(c, t);
	if (s->banner != NULL)
		taken_puts(t, s->banner);
	return true;
}

static const struct tcp_ops server_ops = {
	.accept = accept_conn,
	.readable = take,
	.writable = writable,
	.closed = closed,
};

void server_start(struct server *s, uint16_t port)
{
	struct tcp_listener_params p = {
		.id = port, .port = rte_cpu_to_be_16(port), .ops = &server_ops, .ctx = s};

	p.opt.no_nagle = true;
	s->l = tcp_listen(s->h->e, &p);
	CHECK(s->l != NULL);
}

void server_stop(struct server *s)
{
	tcp_unlisten(s->l);
	s->l = NULL;
}

struct server *server_on(struct host *h, uint16_t port)
{
	struct server *s = calloc(1, sizeof(*s));

	CHECK(s != NULL);
	s->h = h;
	s->polite = true;
	server_start(s, port);
	return s;
}

struct server *server_new(struct world *w, const char *addr, uint16_t port)
{
	return server_on(world_host(w, addr, false), port);
}

void server_free(struct server *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->taken[i]);
	free(s);
}

uint32_t server_active(const struct server *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++)
		n += !s->taken[i]->closed;
	return n;
}

void server_resume(struct server *s)
{
	s->paused = false;
	for (uint32_t i = 0; i < s->n; i++)
		if (s->taken[i]->c != NULL)
			take(s->taken[i]->c);
}

void taken_puts(struct taken *t, const char *text)
{
	int n = (int)strlen(text);

	CHECK_EQ(tcp_write_copy(t->c, text, (uint32_t)n), n);
}

void taken_pour(struct taken *t, uint64_t octets)
{
	t->out_left += octets;
	pour(t);
}

void taken_shutdown(struct taken *t)
{
	t->shut = true;
	if (t->c != NULL && t->out_left == 0)
		tcp_shutdown(t->c);
}

void taken_abort(struct taken *t)
{
	tcp_abort(t->c);
	t->c = NULL;
	t->closed = true;
}

/* ---- Configurations ---- */

struct svc_pool_cfg *pool_cfg(uint32_t n)
{
	struct svc_pool_cfg *cfg = svc_pool_cfg_new(n, 0);

	CHECK(cfg != NULL);
	cfg->id = 1;
	for (uint32_t i = 0; i < n; i++) {
		struct svc_backend_cfg *b = &cfg->backends[i];

		snprintf(b->name, sizeof(b->name), "b%u", i);
		tcp_addr4(&b->addr, rte_cpu_to_be_32(0x0a000101 + i));
		b->port = rte_cpu_to_be_16(80);
	}
	return cfg;
}

void pool_use(struct host *h, struct svc_pool_cfg *cfg, const struct svc_pool_cfg *prev)
{
	struct svc_fault f;

	if (svc_pool_cfg_check(cfg, &f) != 0) {
		fprintf(stderr, "%s: %s\n", f.field, f.msg);
		exit(1);
	}
	CHECK_EQ(svc_pool_cfg_seal(cfg, prev), 0);
	CHECK_EQ(svc_pool_set(h->svc, cfg), 0);
}

struct svc_listener_cfg *proxy_cfg(uint16_t port)
{
	struct svc_listener_cfg *cfg = world_cfg(SVC_PROXY, port);

	cfg->proxy.pool_id = 1;
	return cfg;
}

struct svc_stats proxy_stats(struct host *h, uint16_t port)
{
	struct svc_listener_stats s;

	CHECK_EQ(svc_listener_stats(h->svc, port, &s), 0);
	return s.svc;
}

struct svc_pool_stats pool_stats(struct host *h)
{
	struct svc_pool_stats s;

	CHECK_EQ(svc_pool_stats(h->svc, 1, &s), 0);
	return s;
}

bool proxy_ready(struct host *h, uint16_t port)
{
	struct svc_listener_stats s;

	CHECK_EQ(svc_listener_stats(h->svc, port, &s), 0);
	return s.ready;
}
