/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "app.h"
#include "script_text.h"

#define KEY_IN	0x1111u
#define KEY_OUT 0x2222u

static const char *test_name;

static void fail(const char *file, int line, struct script *s, const char *format, ...)
	__attribute__((format(printf, 4, 5), noreturn));

static void fail(const char *file, int line, struct script *s, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: %s, at %lu us: ", file, line, test_name,
		(unsigned long)((s->now - s->cfg.start_ns) / USEC));
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	for (uint32_t i = s->q_first; i < s->q_n; i++) {
		char text[512];
		struct seg g;

		seg_parse(s->q[i].p, s->q[i].len, &g);
		seg_text(&g, s->isn, s->peer_isn, text, sizeof(text));
		fprintf(stderr, "  came out at %lu us: %s\n",
			(unsigned long)((s->q[i].at - s->cfg.start_ns) / USEC), text);
	}
	exit(1);
}

/* ---- The engine's world ---- */

static uint64_t env_random(void *ctx)
{
	struct script *s = ctx;

	return rng_next(&s->rng);
}

static void env_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	struct script *s = ctx;

	*out = (struct tcp_route){.mtu = s->no_route ? 0 : s->mtu};
}

static void env_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct script *s = ctx;

	for (uint16_t i = 0; i < n; i++) {
		struct script_packet k = {s->now, pkts[i]->pkt_len, malloc(pkts[i]->pkt_len)};
		const char *wrong;
		struct seg g;

		memcpy(k.p, rte_pktmbuf_read(pkts[i], 0, k.len, k.p), k.len);
		rte_pktmbuf_free(pkts[i]);
		if (s->q_n == s->q_cap) {
			s->q_cap = s->q_cap == 0 ? 64 : 2 * s->q_cap;
			s->q = realloc(s->q, s->q_cap * sizeof(*s->q));
			if (s->q == NULL)
				abort();
		}
		s->q[s->q_n++] = k;
		wrong = seg_parse(k.p, k.len, &g);
		if (wrong != NULL)
			fail(__FILE__, __LINE__, s, "sent: %s", wrong);
		if (k.len > s->mtu)
			fail(__FILE__, __LINE__, s, "sent: %u octets, the MTU is %u", k.len,
			     s->mtu);
		if (g.has_ts && g.dport == s->rport)
			s->tsval = g.tsval;
		if ((g.flags & SEG_SYN) && g.dport == s->rport) {
			s->isn = g.seq;
			s->has_isn = true;
			s->lport = g.sport;
		}
	}
}

/* ---- The service ---- */

static bool on_accept(struct tcp_conn *c, void *ctx)
{
	struct script *s = ctx;

	s->accepted++;
	if (s->refuse)
		return false;
	s->c = c;
	tcp_set_user(c, s);
	return true;
}

static void on_connected(struct tcp_conn *c)
{
	struct script *s = tcp_user(c);

	s->connected++;
}

static void take(struct script *s, struct tcp_conn *c, uint32_t max)
{
	struct rte_mbuf *m = tcp_read(c, max);

	for (struct rte_mbuf *k = m; k != NULL; k = k->next) {
		if (s->got_n + k->data_len > s->got_cap) {
			s->got_cap = 2 * (s->got_n + k->data_len);
			s->got = realloc(s->got, s->got_cap);
			if (s->got == NULL)
				abort();
		}
		memcpy(s->got + s->got_n, rte_pktmbuf_mtod(k, void *), k->data_len);
		s->got_n += k->data_len;
	}
	rte_pktmbuf_free(m);
	s->eof = tcp_at_eof(c);
}

static void on_readable(struct tcp_conn *c)
{
	struct script *s = tcp_user(c);

	s->readable++;
	if (s == NULL || s->no_read || c != s->c)
		return;
	take(s, c, UINT32_MAX);
	if (s->eof && s->close_at_eof) {
		s->c = NULL;
		tcp_close(c);
	}
}

static void on_writable(struct tcp_conn *c)
{
	((struct script *)tcp_user(c))->writable++;
}

static void on_timer(struct tcp_conn *c)
{
	((struct script *)tcp_user(c))->timers++;
}

static void on_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct script *s = tcp_user(c);

	if (s == NULL || c != s->c)
		return;
	if (s->closed)
		fail(__FILE__, __LINE__, s, "closed twice");
	s->closed = true;
	s->why = why;
	s->c = NULL;
}

const struct tcp_ops script_ops = {.accept = on_accept,
				   .connected = on_connected,
				   .readable = on_readable,
				   .writable = on_writable,
				   .timer = on_timer,
				   .closed = on_closed};

/* ---- A test's life ---- */

struct script *script_new(const char *name, const struct script_options *o)
{
	struct script *s = calloc(1, sizeof(*s));
	const struct tcp_env env = {s, env_random, env_route, env_tx, rig_alloc, rig_free};

	if (s == NULL)
		abort();
	test_name = name;
	s->rng.s = 42;
	s->now = 1000 * SEC;
	s->family = o->family != 0 ? o->family : 4;
	s->mtu = o->mtu != 0 ? o->mtu : 1500;
	s->lport = 80;
	s->rport = 40000;
	s->remote = 2;
	s->peer_isn = 0xfffff000u;
	s->cfg = o->cfg;
	s->cfg.start_ns = s->now;
	s->cfg.pool = rig_pool();
	if (s->cfg.max_conns == 0)
		s->cfg.max_conns = 256;
	if (s->cfg.max_segs == 0)
		s->cfg.max_segs = 16384;
	if (s->cfg.mem_limit == 0)
		s->cfg.mem_limit = 64 << 20;
	s->e = tcp_engine_create(&s->cfg, &env);
	if (s->e == NULL)
		fail(__FILE__, __LINE__, s, "tcp_engine_create: %s", strerror(errno));
	if (o->no_listener)
		return s;
	s->lp = (struct tcp_listener_params){.id = 1,
					     .port = rte_cpu_to_be_16(s->lport),
					     .ops = &script_ops,
					     .ctx = s,
					     .opt = o->opt,
					     .backlog = o->backlog,
					     .max_conns = o->max_conns,
					     .max_per_source = o->max_per_source,
					     .rate = o->rate,
					     .burst = o->burst};
	s->l = tcp_listen(s->e, &s->lp);
	if (s->l == NULL)
		fail(__FILE__, __LINE__, s, "tcp_listen: %s", strerror(errno));
	return s;
}

void script_end(struct script *s)
{
	const char *wrong = tcp_check(s->e, NULL);
	struct tcp_usage u;

	if (wrong != NULL)
		fail(__FILE__, __LINE__, s, "tcp_check: %s", wrong);
	if (s->c != NULL)
		tcp_abort(s->c);
	script_flush(s);
	tcp_usage(s->e, &u);
	if (u.segs != 0 || (u.conns == 0 && u.mem_bytes != 0))
		fail(__FILE__, __LINE__, s, "left: %u segments, %lu octets", u.segs,
		     (unsigned long)u.mem_bytes);
	tcp_engine_destroy(s->e);
	for (uint32_t i = 0; i < s->q_n; i++)
		free(s->q[i].p);
	if (rig_in_use() != 0)
		fail(__FILE__, __LINE__, s, "%u buffers were not freed", rig_in_use());
	printf("ok %s\n", test_name);
	free(s->q);
	free(s->got);
	free(s);
}

void script_flush(struct script *s)
{
	const char *wrong;

	tcp_flush(s->e);
	wrong = tcp_check(s->e, NULL);
	if (wrong != NULL)
		fail(__FILE__, __LINE__, s, "tcp_check: %s", wrong);
}

void script_wait(struct script *s, uint64_t ns)
{
	uint64_t until = s->now + ns, next;
	uint32_t same = 0;

	while ((next = tcp_next_timer(s->e)) <= until) {
		if (next > s->now) {
			s->now = next;
			same = 0;
		} else if (++same > 100) {
			fail(__FILE__, __LINE__, s, "tcp_next_timer() stays in the past");
		}
		tcp_poll(s->e, s->now);
		script_flush(s);
	}
	s->now = until;
	tcp_poll(s->e, s->now);
	script_flush(s);
}

void script_check(const char *file, int line, bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: %s: not so: %s\n", file, line, test_name, what);
	exit(1);
}

/* ---- Segments ---- */

static void addresses(const struct script *s, struct tcp_addr *local, struct tcp_addr *remote)
{
	static const uint8_t net[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

	if (s->family == 4) {
		tcp_addr4(local, rte_cpu_to_be_32(0x0a000001));
		tcp_addr4(remote, rte_cpu_to_be_32(0x0a000000u + s->remote));
		return;
	}
	tcp_addr6(local, net);
	tcp_addr6(remote, net);
	remote->b[15] = s->remote;
}

void script_tuple(const struct script *s, struct tcp_tuple *t)
{
	memset(t, 0, sizeof(*t));
	addresses(s, &t->laddr, &t->raddr);
	t->lport = rte_cpu_to_be_16(s->lport);
	t->rport = rte_cpu_to_be_16(s->rport);
	t->family = s->family;
}

uint8_t script_raw(struct script *s, const struct seg *g)
{
	static uint8_t p[SEG_MAX];
	uint32_t len = seg_build(g, p);
	struct rte_mbuf *m = rig_packet(p, len, RIG_EXTERNAL, &s->rng);
	uint16_t vrf = 0;
	uint8_t verdict = 0xff;

	if (m == NULL)
		fail(__FILE__, __LINE__, s, "out of buffers");
	tcp_input(s->e, &m, &vrf, &verdict, 1, s->now);
	if (verdict == TCP_NOT_MINE)
		tcp_refuse(s->e, m, 0);
	return verdict;
}

void script_in(const char *file, int line, struct script *s, int fill, const char *format, ...)
{
	static uint8_t payload[SEG_MAX];
	char text[512];
	struct text t;
	va_list ap;
	const char *wrong;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	wrong = text_parse(text, s, true, &t);
	if (wrong != NULL)
		fail(file, line, s, "%s in: %s", wrong, text);
	addresses(s, &t.seg.dst, &t.seg.src);
	t.seg.family = (uint8_t)s->family;
	t.seg.sport = s->rport;
	t.seg.dport = s->lport;
	t.seg.payload = payload;
	if (fill >= 0)
		memset(payload, fill, t.seg.len);
	else
		content_make(KEY_IN, t.seg.seq - s->peer_isn - (t.seg.flags & SEG_SYN ? 0 : 1),
			     payload, t.seg.len);
	script_raw(s, &t.seg);
	script_flush(s);
}

bool script_take(struct script *s, struct seg *g)
{
	if (s->q_first == s->q_n)
		return false;
	seg_parse(s->q[s->q_first].p, s->q[s->q_first].len, g);
	s->q_first++;
	return true;
}

static void compare(const char *file, int line, struct script *s, const char *want)
{
	char got[512];
	struct text t;
	struct seg g;
	const char *wrong = text_parse(want, s, false, &t);

	if (wrong != NULL)
		fail(file, line, s, "%s in: %s", wrong, want);
	if (!script_take(s, &g))
		fail(file, line, s, "nothing came out; expected: %s", want);
	seg_text(&g, s->isn, s->peer_isn, got, sizeof(got));
	wrong = text_differs(&t, &g);
	if (wrong != NULL)
		fail(file, line, s, "%s\n  expected: %s\n  came out: %s", wrong, want, got);
	if (g.len > 0) {
		uint32_t off = g.seq - s->isn - (g.flags & SEG_SYN ? 0 : 1);

		/* A keepalive's octet may be anything. */
		if (off + g.len <= s->written && content_check(KEY_OUT, off, g.payload, g.len) >= 0)
			fail(file, line, s, "other octets than were written: %s", got);
	}
}

void script_out(const char *file, int line, struct script *s, const char *format, ...)
{
	char want[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(want, sizeof(want), format, ap);
	va_end(ap);
	compare(file, line, s, want);
}

void script_out_ms(const char *file, int line, struct script *s, uint32_t lo, uint32_t hi,
		   const char *format, ...)
{
	uint64_t from = s->now + lo * MSEC, until = s->now + hi * MSEC, next;
	char want[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(want, sizeof(want), format, ap);
	va_end(ap);
	while (s->q_first == s->q_n && (next = tcp_next_timer(s->e)) <= until)
		script_wait(s, next > s->now ? next - s->now : 0);
	if (s->q_first == s->q_n)
		fail(file, line, s, "nothing came out within %u ms; expected: %s", hi, want);
	if (s->q[s->q_first].at < from)
		fail(file, line, s, "came too early; expected %u ms later: %s",
		     (unsigned int)((from - s->q[s->q_first].at) / MSEC), want);
	compare(file, line, s, want);
}

void script_none(const char *file, int line, struct script *s)
{
	if (s->q_first != s->q_n)
		fail(file, line, s, "nothing should have come out");
}

/* ---- What the service does ---- */

void script_write(const char *file, int line, struct script *s, uint32_t n)
{
	uint8_t *p = malloc(n);
	int rc;

	content_make(KEY_OUT, s->written, p, n);
	rc = tcp_write_copy(s->c, p, n);
	free(p);
	if (rc != (int)n)
		fail(file, line, s, "tcp_write_copy() of %u gave %d", n, rc);
	s->written += n;
	script_flush(s);
}

void script_got(const char *file, int line, struct script *s, uint32_t n)
{
	int64_t bad = content_check(KEY_IN, 0, s->got, s->got_n);

	if (s->got_n != n)
		fail(file, line, s, "read %u octets, expected %u", s->got_n, n);
	if (bad >= 0)
		fail(file, line, s, "octet %ld read is wrong", (long)bad);
}

void script_read(struct script *s, uint32_t max)
{
	take(s, s->c, max);
	script_flush(s);
}

static void connect_from(struct script *s, const struct tcp_options *opt, bool same_port)
{
	struct tcp_connect_params p = {.ops = &script_ops, .user = s, .opt = *opt};

	script_tuple(s, &p.tuple);
	if (!same_port)
		p.tuple.lport = 0;
	s->c = tcp_connect(s->e, &p);
	if (s->c == NULL)
		fail(__FILE__, __LINE__, s, "tcp_connect: %s", strerror(errno));
	script_flush(s);
}

void script_connect(struct script *s, const struct tcp_options *opt)
{
	connect_from(s, opt, false);
}

void script_reconnect(struct script *s, const struct tcp_options *opt)
{
	connect_from(s, opt, true);
}

void script_establish(const char *file, int line, struct script *s, const char *options)
{
	bool ts = strstr(options, "TS val 1 ecr 0") != NULL;
	uint32_t before = s->accepted;

	script_in(file, line, s, -1, "S 0:0(0) win 65535 %s", options);
	script_out(file, line, s, "S. 0:0(0) ack 1");
	script_wait(s, s->rtt_ms * MSEC);
	script_in(file, line, s, -1, ". 1:1(0) ack 1 win 65535%s", ts ? " <TS val 1 ecr @>" : "");
	if (s->accepted != before + 1 || tcp_conn_state(s->c) != TCP_ESTABLISHED)
		fail(file, line, s, "not established");
	script_none(file, line, s);
}
