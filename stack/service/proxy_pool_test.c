/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies and their pools: who gets a connection, what happens when nobody can, and changes of a
 * pool under way. */
#include <errno.h>

#include "test_backend.h"

#define BACKENDS 3

static struct world *w;
static struct host *client, *box;
static struct server *s[BACKENDS];
static struct svc_pool_cfg *cfg;

static void begin(void)
{
	w = world_new(16384);
	client = world_host(w, "10.0.0.1", false);
	box = world_host(w, "10.0.0.2 10.0.1.253 10.0.1.254", true);
	for (int i = 0; i < BACKENDS; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.0.1.%d", i + 1);
		s[i] = server_new(w, addr, 80);
	}
	cfg = pool_cfg(BACKENDS);
}

static void end(void)
{
	struct tcp_usage u;

	world_run(w, 3000);
	tcp_usage(box->e, &u);
	CHECK_EQ(u.conns, 0);
	CHECK_EQ(u.mem_bytes, 0);
	for (int i = 0; i < BACKENDS; i++)
		CHECK_EQ(server_active(s[i]), 0);
	world_free(w);
	for (int i = 0; i < BACKENDS; i++)
		server_free(s[i]);
	svc_pool_cfg_release(cfg);
}

static struct peer *dial(uint16_t port)
{
	struct peer *p = peer_connect(client, "10.0.0.2", port);

	world_run(w, 20);
	return p;
}

/* The next configuration: a copy of the one in force, changed by fn, put in its place. */
static void change(void (*fn)(struct svc_pool_cfg *c))
{
	struct svc_pool_cfg *next = pool_cfg(cfg->n_backends), *prev = cfg;
	struct svc_pool_cfg fresh = *next;
	struct svc_backend_cfg *b = next->backends;
	struct tcp_addr *sources = next->sources;

	memcpy(b, cfg->backends, cfg->n_backends * sizeof(*b));
	for (uint32_t i = 0; i < cfg->n_backends; i++)
		b[i].state = NULL;
	*next = *cfg;
	next->refs = fresh.refs;
	next->backends = b;
	next->sources = sources;
	next->state = NULL;
	next->maglev = NULL;
	fn(next);
	pool_use(box, next, prev);
	cfg = next;
	svc_pool_cfg_release(prev);
}

static uint64_t backend_count(uint32_t i, const char *what)
{
	struct svc_backend_health h;

	(void)what;
	svc_backend_health(cfg, i, w->now_ns, &h);
	return h.active;
}

/* ---- When backends do not answer ---- */

static void test_retry(void)
{
	struct svc_listener_cfg *l = proxy_cfg(8000);
	struct svc_stats st;
	struct peer *p;

	begin();
	cfg->no_passive = true;
	pool_use(box, cfg, NULL);
	l->proxy.retries = 2;
	l->proxy.connect_timeout_ms = 500;
	world_serve(box, l);
	/* One refuses, one does not answer at all. */
	server_stop(s[0]);
	s[1]->h->down = true;
	for (int i = 0; i < 6; i++) {
		p = dial(8000);
		peer_puts(p, "hello");
		world_run(w, 1000);
		CHECK(!p->closed);
		CHECK_EQ(s[2]->n, i + 1);
		CHECK(strcmp(s[2]->taken[i]->in, "hello") == 0);
		peer_free(p);
	}
	st = proxy_stats(box, 8000);
	CHECK(st.proxy_retries > 0 && st.proxy_connect_fails == st.proxy_retries);
	CHECK_EQ(st.proxy_connects, 6 + st.proxy_retries);
	CHECK_EQ(pool_stats(box).connect_fails, st.proxy_connect_fails);
	CHECK_EQ(pool_stats(box).conns, 6);
	/* All refuse: so is the client, after so many attempts. */
	server_stop(s[2]);
	s[1]->h->down = false;
	server_stop(s[1]);
	p = dial(8000);
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	CHECK_EQ(pool_stats(box).exhausted, 1);
	CHECK_EQ(proxy_stats(box, 8000).proxy_connects, st.proxy_connects + 3);
	peer_free(p);
	for (int i = 0; i < BACKENDS; i++)
		server_start(s[i], 80);
	p = dial(8000);
	CHECK(!p->closed);
	peer_free(p);
	end();
}

/* Without retries the first failure is the client's. */
static void test_no_retry(void)
{
	struct peer *p;

	begin();
	cfg->n_backends = 1;
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	server_stop(s[0]);
	p = dial(8000);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	CHECK_EQ(proxy_stats(box, 8000).proxy_connects, 1);
	peer_free(p);
	server_start(s[0], 80);
	end();
}

static void drain_all(struct svc_pool_cfg *c)
{
	for (uint32_t i = 0; i < c->n_backends; i++)
		c->backends[i].admin = SVC_BACKEND_DRAIN;
}

static void enable_all(struct svc_pool_cfg *c)
{
	for (uint32_t i = 0; i < c->n_backends; i++)
		c->backends[i].admin = SVC_BACKEND_ENABLED;
}

static void test_no_backend(void)
{
	struct svc_listener_cfg *l;
	struct peer *p;

	begin();
	drain_all(cfg);
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	l = proxy_cfg(8001);
	l->proxy.no_backend = SVC_NO_BACKEND_CLOSE;
	world_serve(box, l);
	l = proxy_cfg(8002);
	l->proxy.no_backend = SVC_NO_BACKEND_WAIT;
	l->proxy.wait_ms = 3000;
	world_serve(box, l);
	world_run(w, 300);
	CHECK(!proxy_ready(box, 8000) && !proxy_ready(box, 8002));
	/* Refused. */
	p = dial(8000);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	CHECK_EQ(proxy_stats(box, 8000).proxy_no_backend, 1);
	peer_free(p);
	/* Answered, and closed in order, also if it talks. */
	p = dial(8001);
	CHECK(p->connected && p->eof && !p->closed);
	peer_puts(p, "anybody there?");
	world_run(w, 100);
	CHECK(!p->closed);
	peer_shutdown(p);
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	p = dial(8001);
	world_run(w, 2500);
	peer_free(p);
	CHECK_EQ(proxy_stats(box, 8001).proxy_no_backend, 2);
	/* Held: in vain, … */
	p = dial(8002);
	world_run(w, 2800);
	CHECK(!p->closed);
	world_run(w, 400);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	/* … and not. */
	p = dial(8002);
	peer_puts(p, "patience");
	world_run(w, 1000);
	change(enable_all);
	world_run(w, 300);
	CHECK(proxy_ready(box, 8000));
	CHECK(s[0]->n + s[1]->n + s[2]->n == 1 && !p->closed);
	CHECK(strcmp((s[0]->n ? s[0] : s[1]->n ? s[1] : s[2])->taken[0]->in, "patience") == 0);
	peer_free(p);
	end();
}

static void test_limits(void)
{
	struct svc_pool_cfg *backup = pool_cfg(1);
	struct svc_listener_cfg *l = proxy_cfg(8001);
	struct peer *p[10];

	begin();
	for (int i = 0; i < BACKENDS; i++)
		cfg->backends[i].max_conns = 2;
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	for (int i = 0; i < 7; i++)
		p[i] = dial(8000);
	for (int i = 0; i < BACKENDS; i++)
		CHECK_EQ(server_active(s[i]), 2);
	CHECK(p[6]->closed && p[6]->why == TCP_CLOSE_RESET);
	CHECK_EQ(pool_stats(box).full, 1);
	CHECK_EQ(pool_stats(box).active, 6);
	/* Room again. */
	peer_free(p[0]);
	world_run(w, 100);
	peer_free(p[6]);
	p[6] = dial(8000);
	CHECK(!p[6]->closed);
	/* Full, but there is another pool. */
	backup->id = 2;
	backup->backends[0].max_conns = 0;
	pool_use(box, backup, NULL);
	l->proxy.backup_pool_id = 2;
	world_serve(box, l);
	p[0] = dial(8001);
	CHECK(!p[0]->closed);
	CHECK_EQ(server_active(s[0]), 3);
	for (int i = 0; i < 7; i++)
		peer_free(p[i]);
	world_run(w, 100);
	CHECK_EQ(svc_pool_delete(box->svc, 2, 0), -EBUSY);
	CHECK_EQ(svc_listener_delete(box->svc, 8001, 0), 0);
	CHECK_EQ(svc_pool_delete(box->svc, 2, 0), 0);
	CHECK_EQ(svc_pool_delete(box->svc, 2, 0), -ENOENT);
	end();
	svc_pool_cfg_release(backup);
}

/* ---- Changes ---- */

static void without_first(struct svc_pool_cfg *c)
{
	c->backends[0].drain_ms = 0;
	memmove(c->backends, c->backends + 1, (c->n_backends - 1) * sizeof(*c->backends));
	c->n_backends--;
}

static void short_drain(struct svc_pool_cfg *c)
{
	for (uint32_t i = 0; i < c->n_backends; i++)
		c->backends[i].drain_ms = 2000;
}

static void first_back(struct svc_pool_cfg *c)
{
	struct svc_pool_cfg *full = pool_cfg(3);

	/* In another order than before. */
	free(c->backends);
	c->backends = full->backends;
	c->n_backends = 3;
	struct svc_backend_cfg x = c->backends[0];
	c->backends[0] = c->backends[2];
	c->backends[2] = x;
	full->backends = NULL;
	svc_pool_cfg_release(full);
}

static void disable_last(struct svc_pool_cfg *c)
{
	c->backends[c->n_backends - 1].admin = SVC_BACKEND_DISABLED;
}

struct seen {
	uint32_t total, draining;
	struct svc_backend_stats of_draining;
};

static void see(void *arg, const struct svc_backend_cfg *b, bool draining,
		const struct svc_backend_stats *stats)
{
	struct seen *x = arg;

	(void)b;
	x->total++;
	if (draining) {
		x->draining++;
		x->of_draining = *stats;
	}
}

static void test_update(void)
{
	struct peer *p[6], *q;
	struct seen x = {0};

	begin();
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	for (int i = 0; i < 6; i++)
		p[i] = dial(8000);
	for (int i = 0; i < BACKENDS; i++)
		CHECK_EQ(server_active(s[i]), 2);
	/* One is left out: its connections live on, new ones go elsewhere. */
	change(without_first);
	for (int i = 0; i < 6; i++) {
		peer_puts(p[i], "still here");
		q = dial(8000);
		CHECK(!q->closed);
		peer_free(q);
	}
	world_run(w, 100);
	CHECK_EQ(s[0]->n, 2);
	for (uint32_t i = 0; i < 2; i++)
		CHECK(strcmp(s[0]->taken[i]->in, "still here") == 0);
	CHECK_EQ(svc_pool_backends(box->svc, 1, see, &x), 0);
	CHECK(x.total == 3 && x.draining == 1 && x.of_draining.active == 2);
	CHECK(x.of_draining.bytes_out == 20);
	world_run(w, 20000);
	CHECK_EQ(server_active(s[0]), 2);
	/* It comes back, with its connections. */
	change(first_back);
	CHECK_EQ(backend_count(2, "active"), 2);
	memset(&x, 0, sizeof(x));
	svc_pool_backends(box->svc, 1, see, &x);
	CHECK(x.total == 3 && x.draining == 0);
	for (int i = 0; i < 3; i++)
		peer_free(dial(8000));
	world_run(w, 100);
	CHECK_EQ(s[0]->n, 3);
	/* Disabled: reset at once. */
	change(disable_last);
	world_run(w, 100);
	CHECK_EQ(server_active(s[0]), 0);
	CHECK(s[0]->taken[0]->why == TCP_CLOSE_RESET);
	CHECK_EQ(pool_stats(box).drain_aborts, 2);
	CHECK_EQ(server_active(s[1]) + server_active(s[2]), 4);
	/* Drained for a while, then reset. */
	change(short_drain);
	change(drain_all);
	q = dial(8000);
	CHECK(q->closed);
	peer_free(q);
	world_run(w, 1500);
	CHECK_EQ(server_active(s[1]) + server_active(s[2]), 4);
	world_run(w, 1000);
	CHECK_EQ(server_active(s[1]) + server_active(s[2]), 0);
	for (int i = 0; i < 6; i++) {
		CHECK(p[i]->closed);
		peer_free(p[i]);
	}
	end();
}

/* A listener and its pool go, with connections left. */
static void test_delete(void)
{
	struct peer *p, *q;

	begin();
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	p = dial(8000);
	q = dial(8000);
	CHECK_EQ(svc_pool_delete(box->svc, 1, 1000), -EBUSY);
	CHECK_EQ(svc_listener_delete(box->svc, 8000, 5000), 0);
	CHECK_EQ(svc_pool_delete(box->svc, 1, 3000), 0);
	world_run(w, 100);
	/* A stream is not cut by the wish to drain. */
	CHECK(!p->closed && !q->closed);
	peer_puts(p, "going on");
	world_run(w, 1000);
	CHECK(strcmp(s[0]->taken[0]->in, "going on") == 0);
	peer_free(p);
	world_run(w, 1000);
	CHECK(!q->closed);
	world_run(w, 2000);
	CHECK(q->closed && q->why == TCP_CLOSE_RESET);
	peer_free(q);
	world_run(w, 3000);
	CHECK_EQ(svc_draining(box->svc), 0);
	/* The same ids again. */
	svc_pool_cfg_release(cfg);
	cfg = pool_cfg(BACKENDS);
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	p = dial(8000);
	CHECK(!p->closed);
	peer_free(p);
	end();
}

/* A world that ends with everything under way. */
static void test_destroy(void)
{
	struct svc_listener_cfg *l = proxy_cfg(8001);
	struct peer *p[4];

	begin();
	cfg->check.kind = SVC_CHECK_CONNECT;
	pool_use(box, cfg, NULL);
	l->proxy.accept_proxy = SVC_PROXY_PROTOCOL_ANY;
	world_serve(box, proxy_cfg(8000));
	world_serve(box, l);
	p[0] = dial(8000);
	peer_puts(p[0], "x");
	p[1] = dial(8001);
	for (int i = 0; i < BACKENDS; i++)
		s[i]->h->down = true;
	p[2] = dial(8000);
	peer_puts(p[2], "y");
	p[3] = dial(8001);
	peer_puts(p[3], "PROXY UNKNOWN\r\nz");
	world_run(w, 100);
	CHECK_EQ(pool_stats(box).active, 3);
	for (int i = 0; i < 4; i++)
		peer_free(p[i]);
	world_free(w);
	for (int i = 0; i < BACKENDS; i++)
		server_free(s[i]);
	svc_pool_cfg_release(cfg);
}

/* ---- Addresses ---- */

static void test_sources(void)
{
	struct svc_pool_cfg *from = svc_pool_cfg_new(1, 2);
	struct tcp_addr a = world_addr("10.0.1.253"), b = world_addr("10.0.1.254");
	uint32_t n[2] = {0};
	struct peer *p;

	begin();
	svc_pool_cfg_release(cfg);
	cfg = from;
	cfg->id = 1;
	strcpy(cfg->backends[0].name, "b0");
	cfg->backends[0].addr = world_addr("10.0.1.1");
	cfg->backends[0].port = rte_cpu_to_be_16(80);
	cfg->source_mode = SVC_SOURCE_POOL;
	cfg->sources[0] = a;
	cfg->sources[1] = b;
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	for (int i = 0; i < 10; i++) {
		p = dial(8000);
		CHECK(!p->closed);
		n[0] += memcmp(&s[0]->taken[i]->tuple.raddr, &a, 16) == 0;
		n[1] += memcmp(&s[0]->taken[i]->tuple.raddr, &b, 16) == 0;
		peer_free(p);
	}
	CHECK(n[0] == 5 && n[1] == 5);
	end();
}

static void test_transparent(void)
{
	struct peer *p, *q;
	uint16_t port;

	begin();
	cfg->n_backends = 1;
	cfg->source_mode = SVC_SOURCE_TRANSPARENT;
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	/* Answers to clients come through the box. */
	s[0]->h->via = box;
	s[0]->echo = true;
	p = dial(8000);
	peer_puts(p, "who am I");
	world_run(w, 100);
	port = tcp_tuple(p->c)->lport;
	CHECK(memcmp(&s[0]->taken[0]->tuple.raddr, &client->addrs[0], 16) == 0);
	CHECK_EQ(s[0]->taken[0]->tuple.rport, port);
	CHECK(strcmp(peer_text(p), "who am I") == 0);
	/* The same port again while that is in use: nothing else would be transparent. */
	struct svc_listener_cfg *l = proxy_cfg(8001);
	l->proxy.accept_proxy = SVC_PROXY_PROTOCOL_V1;
	world_serve(box, l);
	q = dial(8001);
	char line[128];
	snprintf(line, sizeof(line), "PROXY TCP4 10.0.0.1 10.0.0.2 %u 8000\r\n",
		 rte_be_to_cpu_16(port));
	peer_puts(q, line);
	world_run(w, 100);
	CHECK(q->closed && q->why == TCP_CLOSE_RESET);
	CHECK_EQ(proxy_stats(box, 8001).proxy_no_source, 1);
	peer_free(q);
	peer_free(p);
	end();
}

/* ---- Workers ---- */

/* Two workers, one of which checks: the other knows what it found, and limits are common. */
static void test_workers(void)
{
	struct host *second;
	struct svc_env env;
	struct peer *p[6];

	begin();
	second = world_host(w, "10.0.0.3", true);
	env = *svc_env(second->svc);
	svc_destroy(second->svc);
	env.worker = 1;
	env.health_checks = false;
	second->svc = svc_create(second->e, &env, w->now_ns);
	CHECK(second->svc != NULL);
	cfg->check.kind = SVC_CHECK_CONNECT;
	cfg->check.interval_ms = 500;
	cfg->check.timeout_ms = 200;
	cfg->check.fall = 2;
	for (int i = 0; i < BACKENDS; i++)
		cfg->backends[i].max_conns = 2;
	pool_use(box, cfg, NULL);
	CHECK_EQ(svc_pool_set(second->svc, cfg), 0);
	world_serve(box, proxy_cfg(8000));
	world_serve(second, proxy_cfg(8000));
	world_run(w, 300);
	CHECK(proxy_ready(box, 8000) && proxy_ready(second, 8000));
	for (int i = 0; i < 6; i++) {
		p[i] = peer_connect(client, i % 2 ? "10.0.0.2" : "10.0.0.3", 8000);
		world_run(w, 50);
		CHECK(!p[i]->closed);
	}
	struct svc_pool_health h;
	svc_pool_health(cfg, w->now_ns, &h);
	CHECK(h.active == 6 && h.up == 3 && h.healthy);
	for (int i = 0; i < 2; i++) {
		struct peer *q = peer_connect(client, i % 2 ? "10.0.0.2" : "10.0.0.3", 8000);

		world_run(w, 50);
		CHECK(q->closed && q->why == TCP_CLOSE_RESET);
		peer_free(q);
	}
	for (int i = 0; i < 6; i++)
		peer_free(p[i]);
	for (int i = 0; i < BACKENDS; i++)
		s[i]->h->down = true;
	world_run(w, 3000);
	CHECK(!proxy_ready(box, 8000) && !proxy_ready(second, 8000));
	for (int i = 0; i < BACKENDS; i++)
		s[i]->h->down = false;
	world_run(w, 3000);
	CHECK(proxy_ready(box, 8000) && proxy_ready(second, 8000));
	CHECK_EQ(svc_listener_delete(second->svc, 8000, 0), 0);
	CHECK_EQ(svc_pool_delete(second->svc, 1, 0), 0);
	CHECK_EQ(svc_listener_delete(box->svc, 8000, 0), 0);
	CHECK_EQ(svc_pool_delete(box->svc, 1, 0), 0);
	end();
}

int main(void)
{
	world_init("proxy-pool-test");
	test_retry();
	test_no_retry();
	test_no_backend();
	test_limits();
	test_update();
	test_delete();
	test_destroy();
	test_sources();
	test_transparent();
	test_workers();
	return 0;
}
