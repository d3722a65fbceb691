/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners: checked, set, changed, replaced, drained; their timeouts; walks and kills. */
#include <errno.h>

#include "runtime.h"
#include "test_world.h"

static struct world *w;
static struct host *client, *server;

static void setup(void)
{
	w = world_new(8191);
	client = world_host(w, "10.0.0.1 2001:db8::1", false);
	server = world_host(w, "10.0.0.2 2001:db8::2", true);
}

static struct peer *hello(uint16_t port)
{
	struct peer *p = peer_connect(client, "10.0.0.2", port);

	world_run(w, 5);
	return p;
}

static void echoes(struct peer *p, bool yes)
{
	peer_puts(p, "ping");
	world_run(w, 5);
	CHECK(strcmp(peer_text(p), yes ? "ping" : "") == 0);
}

static void test_set(void)
{
	struct svc_listener_cfg *cfg;
	struct peer *a, *b;
	uint32_t ids[4];

	setup();
	world_serve(server, world_cfg(SVC_ECHO, 7));
	a = hello(7);
	echoes(a, true);
	/* In place. */
	cfg = world_cfg(SVC_ECHO, 7);
	cfg->max_conns = 1;
	world_serve(server, cfg);
	echoes(a, true);
	b = hello(7);
	CHECK(!b->connected);
	peer_abort(b);
	peer_free(b);
	world_serve(server, world_cfg(SVC_ECHO, 7));
	/* Taken by another. */
	cfg = world_cfg(SVC_DISCARD, 7);
	cfg->id = 8;
	CHECK_EQ(svc_listener_set(server->svc, cfg), -EADDRINUSE);
	CHECK_EQ(svc_listeners(server->svc, ids, 4), 1);
	/* Of another kind: the old connection stays what it was. */
	cfg->id = 7;
	CHECK_EQ(svc_listener_set(server->svc, cfg), 0);
	svc_listener_cfg_release(cfg);
	echoes(a, true);
	b = hello(7);
	CHECK(b->connected);
	echoes(b, false);
	CHECK_EQ(svc_draining(server->svc), 1);
	/* Elsewhere. */
	cfg = world_cfg(SVC_DISCARD, 9);
	cfg->id = 7;
	world_serve(server, cfg);
	CHECK_EQ(svc_draining(server->svc), 2);
	echoes(a, true);
	echoes(b, false);
	CHECK(!b->closed);
	peer_free(b);
	b = hello(7);
	CHECK(b->closed && b->why == TCP_CLOSE_REFUSED);
	peer_free(b);
	b = hello(9);
	CHECK(b->connected);
	CHECK_EQ(svc_listeners(server->svc, ids, 4), 1);
	CHECK_EQ(ids[0], 7);
	peer_free(a);
	peer_free(b);
	world_run(w, 100);
	CHECK_EQ(svc_draining(server->svc), 0);
	world_free(w);
}

static void test_delete(void)
{
	struct peer *p[40];
	int i;

	setup();
	CHECK_EQ(svc_listener_delete(server->svc, 7, 0), -ENOENT);
	world_serve(server, world_cfg(SVC_ECHO, 7));
	for (i = 0; i < 40; i++)
		p[i] = hello(7);
	CHECK_EQ(svc_listener_delete(server->svc, 7, 0), 0);
	CHECK_EQ(svc_listener_delete(server->svc, 7, 0), -ENOENT);
	world_run(w, 10);
	for (i = 0; i < 40; i++) {
		CHECK(p[i]->closed && p[i]->why == TCP_CLOSE_RESET);
		peer_free(p[i]);
	}
	CHECK_EQ(svc_draining(server->svc), 0);
	/* The place is free at once, also while the old one drains. */
	world_serve(server, world_cfg(SVC_ECHO, 7));
	p[0] = hello(7);
	p[1] = hello(7);
	echoes(p[0], true);
	CHECK_EQ(svc_listener_delete(server->svc, 7, 1000), 0);
	world_serve(server, world_cfg(SVC_DISCARD, 7));
	world_run(w, 100);
	CHECK_EQ(svc_draining(server->svc), 1);
	CHECK(p[0]->eof && !p[0]->closed && p[1]->eof);
	p[2] = hello(7);
	peer_shutdown(p[0]);
	world_run(w, 100);
	CHECK(p[0]->closed && p[0]->why == TCP_CLOSE_DONE);
	CHECK(!p[1]->closed);
	world_run(w, 1000);
	CHECK(p[1]->closed && p[1]->why == TCP_CLOSE_RESET);
	CHECK(p[2]->connected && !p[2]->closed && !p[2]->eof);
	CHECK_EQ(svc_draining(server->svc), 0);
	for (i = 0; i < 3; i++)
		peer_free(p[i]);
	world_free(w);
}

static void test_timeouts(void)
{
	struct svc_listener_stats st;
	struct svc_listener_cfg *cfg;
	struct peer *quiet, *busy;
	int i;

	setup();
	cfg = world_cfg(SVC_ECHO, 7);
	cfg->idle_timeout_ms = 1000;
	cfg->total_timeout_ms = 3500;
	world_serve(server, cfg);
	quiet = hello(7);
	busy = hello(7);
	for (i = 0; i < 6; i++) {
		CHECK(!busy->eof && !busy->closed);
		CHECK(quiet->eof == (i >= 2));
		echoes(busy, true);
		world_run(w, 570);
	}
	CHECK(!busy->eof);
	world_run(w, 600);
	CHECK(busy->eof || busy->closed);
	CHECK_EQ(svc_listener_stats(server->svc, 7, &st), 0);
	CHECK_EQ(st.svc.timeouts_idle, 1);
	CHECK_EQ(st.svc.timeouts_total, 1);
	CHECK_EQ(svc_listener_find(server->svc, 7)->conns, 0);
	peer_free(quiet);
	peer_free(busy);
	world_free(w);
}

static void count(void *arg, const struct tcp_info *info)
{
	CHECK(info->passive);
	++*(int *)arg;
}

static int walk(const struct svc_filter *f)
{
	uint32_t cursor = 0;
	int n = 0;

	while (cursor != UINT32_MAX)
		svc_walk(server->svc, f, &cursor, 100, count, &n);
	return n;
}

static void test_walk_and_kill(void)
{
	struct svc_filter f = {0};
	struct peer *p[30];
	uint32_t cursor = 0, killed = 0;
	int i;

	setup();
	world_serve(server, world_cfg(SVC_ECHO, 7));
	world_serve(server, world_cfg(SVC_DISCARD, 9));
	for (i = 0; i < 30; i++)
		p[i] = peer_connect(client, i % 3 == 0 ? "2001:db8::2" : "10.0.0.2",
				    i % 2 == 0 ? 7 : 9);
	world_run(w, 50);
	CHECK_EQ(walk(&f), 30);
	f.listener_id = 7;
	CHECK_EQ(walk(&f), 15);
	f.remote = (struct tcp_prefix){.addr = world_addr("2001:db8::"), .len = 32};
	CHECK_EQ(walk(&f), 5);
	f.remote = (struct tcp_prefix){.addr = world_addr("10.0.0.0"), .len = 96 + 31};
	CHECK_EQ(walk(&f), 10);
	f.remote.addr = world_addr("10.0.0.2");
	CHECK_EQ(walk(&f), 0);
	f = (struct svc_filter){.lport = rte_cpu_to_be_16(9), .states = 1 << TCP_ESTABLISHED};
	CHECK_EQ(walk(&f), 15);
	f.states = 1 << TCP_CLOSE_WAIT;
	CHECK_EQ(walk(&f), 0);
	f = (struct svc_filter){.by_vrf = true, .vrf = 1};
	CHECK_EQ(walk(&f), 0);
	f = (struct svc_filter){.only_outgoing = true};
	CHECK_EQ(walk(&f), 0);
	f = (struct svc_filter){.min_age_ms = 1000};
	CHECK_EQ(walk(&f), 0);
	f = (struct svc_filter){.listener_id = 9};
	while (cursor != UINT32_MAX)
		killed += svc_kill(server->svc, &f, &cursor, 7);
	CHECK_EQ(killed, 15);
	world_run(w, 10);
	for (i = 0; i < 30; i++) {
		CHECK(p[i]->closed == (i % 2 == 1));
		peer_free(p[i]);
	}
	CHECK_EQ(svc_listener_find(server->svc, 9)->conns, 0);
	world_free(w);
}

static void expect_fault(struct svc_listener_cfg *cfg, const char *field, int line)
{
	struct svc_fault fault = {0};
	int err = svc_listener_cfg_check(cfg, &fault);

	if (err != -EINVAL || strcmp(fault.field, field) != 0 || fault.msg[0] == 0) {
		fprintf(stderr, "line %d: %d, field \"%s\", not \"%s\": %s\n", line, err,
			fault.field, field, fault.msg);
		exit(1);
	}
}

#define BAD(kind, field, ...)                                                                      \
	do {                                                                                       \
		struct svc_listener_cfg *c = world_cfg(kind, 80);                                  \
		__VA_ARGS__;                                                                       \
		expect_fault(c, field, __LINE__);                                                  \
		svc_listener_cfg_release(c);                                                       \
	} while (0)

static void test_check(void)
{
	BAD(SVC_ECHO, "id", c->id = 0);
	BAD(SVC_ECHO, "kind", c->kind = SVC_KINDS);
	BAD(SVC_ECHO, "family", c->family = 5);
	BAD(SVC_ECHO, "family", c->addr = world_addr("10.0.0.1"));
	BAD(SVC_ECHO, "addr", c->family = 4; c->addr = world_addr("::1"));
	BAD(SVC_ECHO, "addr", c->family = 6; c->addr = world_addr("10.0.0.1"));
	BAD(SVC_ECHO, "addr", c->family = 4; c->addr = world_addr("224.0.0.1"));
	BAD(SVC_ECHO, "port", c->port = 0);
	BAD(SVC_ECHO, "tcp.mss", c->tcp.mss = 40);
	BAD(SVC_ECHO, "tcp.dscp", c->tcp.dscp = 64);
	BAD(SVC_ECHO, "tcp.cc", c->tcp.cc = TCP_CC_MAX);
	BAD(SVC_ECHO, "burst", c->burst = 1);
	BAD(SVC_ECHO, "idle_timeout_ms", c->idle_timeout_ms = UINT32_MAX);
	BAD(SVC_ECHO, "allow[1]", c->allow = calloc(2, sizeof(*c->allow)); c->n_allow = 2;
	    c->allow[1].addr.b[3] = 1);
	BAD(SVC_ECHO, "deny[0]", c->deny = calloc(1, sizeof(*c->deny)); c->n_deny = 1;
	    c->deny->addr = world_addr("10.0.0.0"); c->deny->len = 8);
	BAD(SVC_HTTP, "http.response.status", c->http.response.status = 100);
	BAD(SVC_HTTP, "http.response.body", c->http.response.status = 204;
	    svc_http_set_body(&c->http.response, "x", 1));
	BAD(SVC_HTTP, "http.response.headers[0].name",
	    svc_http_add_header(&c->http.response, "a b", "c"));
	BAD(SVC_HTTP, "http.response.headers[1].name",
	    svc_http_add_header(&c->http.response, "a", "c");
	    svc_http_add_header(&c->http.response, "content-length", "1"));
	BAD(SVC_HTTP, "http.response.headers[0].value",
	    svc_http_add_header(&c->http.response, "a", "b\r\nc: d"));
	BAD(SVC_HTTP, "http.routes[0].path", svc_http_add_route(&c->http, "x", false));
	BAD(SVC_HTTP, "http.routes[0].path", svc_http_add_route(&c->http, "/x?y", false));
	BAD(SVC_HTTP, "http.routes[1].path", svc_http_add_route(&c->http, "/x", false);
	    svc_http_add_route(&c->http, "/x", false));
	BAD(SVC_HTTP, "http.routes[0].response.status",
	    svc_http_add_route(&c->http, "/x", true)->response.status = 600);
	BAD(SVC_HTTP, "http.methods", c->http.methods = 1 << 20);
	BAD(SVC_HTTP, "http.server", c->http.server = strdup("a\nb"));
	BAD(SVC_HTTP, "http.max_head", c->http.max_head = 255);
}

static void test_names(void)
{
	static const struct {
		uint64_t s;
		const char *date;
	} dates[] = {
		{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
		/* RFC 9110 section 5.6.7. */
		{784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
		{951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
		{4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
		{4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
		{1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
	};
	char text[30];
	size_t i;

	for (i = 0; i < RTE_DIM(dates); i++) {
		svc_date_format(dates[i].s, text);
		if (strcmp(text, dates[i].date) != 0) {
			fprintf(stderr, "%s, not %s\n", text, dates[i].date);
			exit(1);
		}
	}
	CHECK_EQ(svc_kind_parse("chargen"), SVC_CHARGEN);
	CHECK_EQ(svc_kind_parse("x"), SVC_KINDS);
	CHECK(strcmp(svc_kind_name(SVC_PROXY), "proxy") == 0);
	CHECK(strcmp(svc_stat_names[0], "requests") == 0);
}

int main(void)
{
	world_init("stack-listener-test");
	test_names();
	test_check();
	test_set();
	test_delete();
	test_timeouts();
	test_walk_and_kill();
	return 0;
}
