/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks: on one worker, a connection per backend and interval, over the same engine as the
 * traffic. What they find is written to the backend's shared state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "pool_private.h"
#include "proxy_protocol.h"

/* Checks started per poll; the others follow in the next. */
#define START_BATCH 64
/* "HTTP/1.1 200" and what follows it. */
#define STATUS_LEN 13

static const struct tcp_ops check_ops;

static uint64_t now_of(const struct backend *b)
{
	return svc_now(b->pool->w->svc);
}

/* ---- What a result means ---- */

static void set_health(struct backend *b, enum svc_health health, uint32_t reason, uint64_t now)
{
	const struct svc_env *env = svc_env(b->pool->w->svc);
	struct svc_backend_state *s = b->cfg.state;
	enum svc_health before = (enum svc_health)load32(&s->health);
	char text[48] = "";

	if (health == SVC_HEALTH_UP) {
		/* A pool that starts has no others that would be spared by a slow start. */
		store64(&s->slow_from_ns, before == SVC_HEALTH_DOWN || s->late ? now : 0);
		store32(&s->passive_fails, 0);
		store64(&s->passive_until_ns, 0);
	} else {
		reason_text(reason, text, sizeof(text));
	}
	store64(&s->changed_ns, now);
	store32(&s->health, health);
	if (env->pool_health != NULL)
		env->pool_health(env->ctx, b->pool->id, b->cfg.name, health == SVC_HEALTH_UP, text);
}

static void judge(struct backend *b, bool ok, uint32_t reason, uint64_t now)
{
	const struct svc_check_cfg *cfg = &b->pool->cfg->check;
	struct svc_backend_state *s = b->cfg.state;
	enum svc_health health = (enum svc_health)load32(&s->health);
	struct check *c = &b->check;

	atomic_fetch_add_explicit(&s->checks, 1, memory_order_relaxed);
	if (ok) {
		c->bad = 0;
		if (c->good < UINT8_MAX)
			c->good++;
		store64(&s->check_ns, now - c->start_ns);
	} else {
		c->good = 0;
		if (c->bad < UINT8_MAX)
			c->bad++;
		atomic_fetch_add_explicit(&s->checks_failed, 1, memory_order_relaxed);
		store32(&s->reason, reason);
	}
	if (ok && health != SVC_HEALTH_UP && (health == SVC_HEALTH_UNKNOWN || c->good >= cfg->rise))
		set_health(b, SVC_HEALTH_UP, 0, now);
	else if (!ok && health != SVC_HEALTH_DOWN &&
		 (health == SVC_HEALTH_UNKNOWN || c->bad >= cfg->fall))
		set_health(b, SVC_HEALTH_DOWN, reason, now);
}

/* The next one an interval after this began, a little spread so that they do not march in step. */
static void schedule(struct backend *b, uint64_t now)
{
	const struct svc_env *env = svc_env(b->pool->w->svc);
	uint64_t interval = b->pool->cfg->check.interval_ms * NS_PER_MS;

	b->check.conn = NULL;
	b->check.phase = CHECK_IDLE;
	b->check.next_ns = b->check.start_ns + interval - interval / 16 +
			   env->random(env->ctx) % (interval / 8);
	if (b->check.next_ns < now)
		b->check.next_ns = now;
	/* The pool's state may have changed with it. */
	b->pool->w->next_ns = now;
}

static void finish(struct backend *b, bool ok, uint32_t reason)
{
	uint64_t now = now_of(b);

	judge(b, ok, reason, now);
	schedule(b, now);
}

/* ---- The connection ---- */

static bool send_header(struct tcp_conn *c, enum svc_proxy_protocol version)
{
	struct svc_pp p = {.version = version == SVC_PROXY_PROTOCOL_V1 ? 1 : 2, .local = true};
	uint8_t buf[SVC_PP_OVERHEAD + SVC_PP_V1_MAX];
	uint32_t n;

	if (version == SVC_PROXY_PROTOCOL_OFF)
		return true;
	n = svc_pp_build(&p, NULL, 0, buf, sizeof(buf));
	return tcp_write_copy(c, buf, n) == (int)n;
}

static bool send_request(struct tcp_conn *c, const struct backend *b)
{
	const struct svc_check_cfg *cfg = &b->pool->cfg->check;
	char buf[768], addr[INET6_ADDRSTRLEN], host[INET6_ADDRSTRLEN + 16];
	bool is4 = tcp_addr_is4(&b->cfg.addr);
	int n;

	inet_ntop(is4 ? AF_INET : AF_INET6, b->cfg.addr.b + (is4 ? 12 : 0), addr, sizeof(addr));
	snprintf(host, sizeof(host), is4 ? "%s:%u" : "[%s]:%u", addr, ntohs(b->cfg.port));
	n = snprintf(buf, sizeof(buf),
		     "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: millrace-health-check\r\n"
		     "Accept: */*\r\nConnection: close\r\n\r\n",
		     cfg->method, cfg->path, cfg->host[0] != '\0' ? cfg->host : host);
	return n > 0 && (size_t)n < sizeof(buf) && tcp_write_copy(c, buf, (uint32_t)n) == n;
}

static void check_connected(struct tcp_conn *c)
{
	struct backend *b = tcp_user(c);
	const struct svc_check_cfg *cfg = &b->pool->cfg->check;

	if (!send_header(c, cfg->send_proxy) ||
	    (cfg->kind == SVC_CHECK_HTTP && !send_request(c, b))) {
		/* No buffers here: that tells nothing about the backend. */
		tcp_abort(c);
		schedule(b, now_of(b));
		return;
	}
	if (cfg->kind == SVC_CHECK_HTTP) {
		b->check.phase = CHECK_ANSWER;
		return;
	}
	finish(b, true, 0);
	tcp_close(c);
}

/* The status of an answer that begins so; 0: it is not HTTP/1. */
static uint32_t parse_status(const char *s)
{
	uint32_t status = 0;

	if (memcmp(s, "HTTP/1.", 7) != 0 || s[7] < '0' || s[7] > '9' || s[8] != ' ')
		return 0;
	for (int i = 9; i < 12; i++) {
		if (s[i] < '0' || s[i] > '9')
			return 0;
		status = status * 10 + (uint32_t)(s[i] - '0');
	}
	return s[12] == ' ' || s[12] == '\r' || s[12] == '\n' ? status : 0;
}

static void check_readable(struct tcp_conn *c)
{
	struct backend *b = tcp_user(c);
	const struct svc_check_cfg *cfg = &b->pool->cfg->check;
	char buf[STATUS_LEN];
	uint32_t n, status;

	if (b->check.phase != CHECK_ANSWER)
		return;
	n = tcp_peek_copy(c, 0, buf, sizeof(buf));
	if (n < sizeof(buf)) {
		if (!tcp_at_eof(c) && tcp_conn_state(c) == TCP_ESTABLISHED)
			return;
		finish(b, false, (n == 0 ? REASON_CLOSED : REASON_NOT_HTTP) << 16);
		tcp_close(c);
		return;
	}
	status = parse_status(buf);
	if (status == 0)
		finish(b, false, REASON_NOT_HTTP << 16);
	else if (status < cfg->status_min || status > cfg->status_max)
		finish(b, false, REASON_STATUS << 16 | status);
	else
		finish(b, true, 0);
	tcp_close(c);
}

static void check_timer(struct tcp_conn *c)
{
	finish(tcp_user(c), false, REASON_TIMEOUT << 16);
	tcp_abort(c);
}

static void check_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	static const enum reason reasons[TCP_CLOSE_REASONS] = {
		[TCP_CLOSE_DONE] = REASON_CLOSED,
		[TCP_CLOSE_RESET] = REASON_RESET,
		[TCP_CLOSE_REFUSED] = REASON_REFUSED,
		[TCP_CLOSE_TIMEOUT] = REASON_TIMEOUT,
		[TCP_CLOSE_KEEPALIVE] = REASON_TIMEOUT,
		[TCP_CLOSE_UNREACHABLE] = REASON_UNREACHABLE,
	};
	struct backend *b = tcp_user(c);

	/* Ended from here, by an operator or for memory: no news of the backend. */
	if (why == TCP_CLOSE_ABORTED)
		schedule(b, now_of(b));
	else
		finish(b, false, (uint32_t)reasons[why] << 16);
}

static const struct tcp_ops check_ops = {
	.connected = check_connected,
	.readable = check_readable,
	.timer = check_timer,
	.closed = check_closed,
};

/* ---- When ---- */

static void start(struct backend *b, uint64_t now)
{
	const struct svc_pool_cfg *cfg = b->pool->cfg;
	struct tcp_connect_params params = {.ops = &check_ops, .user = b, .opt = cfg->tcp};
	struct tcp_tuple *t = &params.tuple;

	b->check.start_ns = now;
	t->raddr = b->cfg.addr;
	t->rport = cfg->check.port != 0 ? cfg->check.port : b->cfg.port;
	t->vrf = b->cfg.vrf;
	t->family = tcp_addr_is4(&b->cfg.addr) ? 4 : 6;
	params.opt.connect_timeout_ms = cfg->check.timeout_ms;
	if (pool_source(b->pool, b, NULL, 0, 0, t) != 0) {
		finish(b, false, REASON_NO_SOURCE << 16);
		return;
	}
	b->check.conn = tcp_connect(svc_engine(b->pool->w->svc), &params);
	if (b->check.conn == NULL) {
		if (errno == ENETUNREACH)
			finish(b, false, REASON_UNREACHABLE << 16);
		else
			schedule(b, now);
		return;
	}
	b->check.phase = CHECK_CONNECTING;
	tcp_set_timer(b->check.conn, cfg->check.timeout_ms);
}

uint64_t check_poll(struct pool *p, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	uint32_t started = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		struct check *c = &p->backends[i]->check;

		if (c->phase == CHECK_IDLE && c->next_ns <= now && started < START_BATCH) {
			start(p->backends[i], now);
			started++;
		}
		if (c->phase == CHECK_IDLE && c->next_ns < next)
			next = c->next_ns;
	}
	return next;
}

void check_stop(struct backend *b)
{
	struct tcp_conn *c = b->check.conn;

	memset(&b->check, 0, sizeof(b->check));
	b->check.next_ns = UINT64_MAX;
	if (c != NULL)
		tcp_abort(c);
}

void check_configure(struct backend *b, uint64_t now)
{
	const struct svc_check_cfg *cfg = &b->pool->cfg->check;

	if (cfg->kind == SVC_CHECK_NONE || b->cfg.admin == SVC_BACKEND_DISABLED) {
		check_stop(b);
		/* What was found out before is old when checks begin again. */
		store32(&b->cfg.state->health, SVC_HEALTH_UNKNOWN);
		return;
	}
	if (b->check.phase != CHECK_IDLE)
		return;
	if (b->check.next_ns == UINT64_MAX || b->check.next_ns > now + cfg->interval_ms * NS_PER_MS)
		b->check.next_ns = now;
}
