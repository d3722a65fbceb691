/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy between clients and backends, each with an engine of its own: what goes through, how
 * ends and resets are passed on, what is held, and what times out.
 */
#include "test_backend.h"

#define CLIENT "10.0.0.1 2001:db8::1"
#define PROXY  "10.0.0.2 10.0.1.254 2001:db8::2 2001:db8:1::fe"

static struct world *w;
static struct host *client, *box;

static void begin(void)
{
	w = world_new(32768);
	client = world_host(w, CLIENT, false);
	box = world_host(w, PROXY, true);
}

/* After the clients closed: nothing of a pair is left on any side. */
static void end(uint32_t n, struct server **servers, struct svc_pool_cfg *cfg)
{
	struct tcp_usage u;

	world_run(w, 3000);
	CHECK_EQ(pool_stats(box).active, 0);
	tcp_usage(box->e, &u);
	CHECK_EQ(u.conns, 0);
	CHECK_EQ(u.mem_bytes, 0);
	for (uint32_t i = 0; i < n; i++)
		CHECK_EQ(server_active(servers[i]), 0);
	world_free(w);
	for (uint32_t i = 0; i < n; i++)
		server_free(servers[i]);
	svc_pool_cfg_release(cfg);
}

static struct svc_pool_cfg *one_pool(uint32_t n)
{
	struct svc_pool_cfg *cfg = pool_cfg(n);

	pool_use(box, cfg, NULL);
	return cfg;
}

static void send_pattern(struct peer *p, size_t n)
{
	uint8_t *data = malloc(n);

	for (size_t i = 0; i < n; i++)
		data[i] = pattern(i);
	peer_send(p, data, n);
	free(data);
}

static void check_echo(const char *to, uint16_t port)
{
	enum { N = 3000000 };
	struct peer *p = peer_connect(client, to, port);

	send_pattern(p, N);
	peer_shutdown(p);
	world_run(w, 4000);
	CHECK_EQ(p->in_total, N);
	CHECK(p->eof && p->closed && p->why == TCP_CLOSE_DONE);
	CHECK_EQ(hash_more(0, p->in, p->in_len), pattern_hash(N));
	peer_free(p);
}

static void test_echo(void)
{
	struct server *s[2];
	struct svc_pool_cfg *cfg;
	struct svc_backend_stats;

	begin();
	s[0] = server_new(w, "10.0.1.1", 80);
	s[1] = server_new(w, "2001:db8:1::1", 80);
	cfg = pool_cfg(2);
	cfg->backends[1].addr = world_addr("2001:db8:1::1");
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	s[0]->echo = s[1]->echo = true;
	/* Either family to either: the turn goes round. */
	for (int i = 0; i < 2; i++) {
		check_echo("10.0.0.2", 8000);
		check_echo("2001:db8::2", 8000);
		if (i == 0)
			peer_free(peer_connect(client, "10.0.0.2", 8000)), world_run(w, 100);
	}
	CHECK(s[0]->n >= 2 && s[1]->n >= 2);
	CHECK_EQ(proxy_stats(box, 8000).proxy_bytes_up, 12000000);
	CHECK_EQ(proxy_stats(box, 8000).proxy_bytes_down, 12000000);
	CHECK_EQ(pool_stats(box).bytes_in, 12000000);
	end(2, s, cfg);
}

/* One side's end is passed on while the other direction goes on. */
static void test_half_close(void)
{
	struct svc_pool_cfg *cfg;
	struct server *s;
	struct peer *p;
	struct taken *t;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	s->polite = false;
	cfg = one_pool(1);
	world_serve(box, proxy_cfg(8000));

	p = peer_connect(client, "10.0.0.2", 8000);
	peer_puts(p, "request");
	peer_shutdown(p);
	world_run(w, 100);
	t = s->taken[0];
	CHECK(t->eof && strcmp(t->in, "request") == 0 && !p->eof);
	/* It takes its time, and answers after. */
	world_run(w, 20000);
	taken_puts(t, "late answer");
	world_run(w, 100);
	CHECK(strcmp(peer_text(p), "late answer") == 0 && !p->eof);
	taken_pour(t, 500000);
	taken_shutdown(t);
	world_run(w, 1000);
	CHECK(p->eof && p->closed && p->in_total == 500011);
	CHECK(t->closed && t->why == TCP_CLOSE_DONE);
	peer_free(p);

	/* The other way round. */
	p = peer_connect(client, "10.0.0.2", 8000);
	world_run(w, 100);
	t = s->taken[1];
	taken_puts(t, "all I have");
	taken_shutdown(t);
	world_run(w, 100);
	CHECK(p->eof && !p->closed && strcmp(peer_text(p), "all I have") == 0 && !t->eof);
	send_pattern(p, 700000);
	peer_shutdown(p);
	world_run(w, 1000);
	CHECK(t->eof && t->in_total == 700000 && t->hash == pattern_hash(700000));
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	end(1, &s, cfg);
}

static void test_server_first(void)
{
	struct svc_pool_cfg *cfg;
	struct server *s;
	struct peer *p;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	s->banner = "220 ready\r\n";
	cfg = one_pool(1);
	world_serve(box, proxy_cfg(8000));
	p = peer_connect(client, "10.0.0.2", 8000);
	world_run(w, 100);
	CHECK(strcmp(peer_text(p), "220 ready\r\n") == 0);
	peer_free(p);
	end(1, &s, cfg);
}

static void test_resets(void)
{
	struct svc_pool_cfg *cfg;
	struct server *s;
	struct peer *p;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	cfg = one_pool(1);
	world_serve(box, proxy_cfg(8000));
	/* Of the client, … */
	p = peer_connect(client, "10.0.0.2", 8000);
	peer_puts(p, "x");
	world_run(w, 100);
	peer_abort(p);
	world_run(w, 100);
	CHECK(s->taken[0]->closed && s->taken[0]->why == TCP_CLOSE_RESET);
	peer_free(p);
	/* … of the backend, … */
	p = peer_connect(client, "10.0.0.2", 8000);
	peer_puts(p, "x");
	world_run(w, 100);
	taken_abort(s->taken[1]);
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	/* … of the client before there is a backend, … */
	s->h->down = true;
	p = peer_connect(client, "10.0.0.2", 8000);
	peer_puts(p, "x");
	world_run(w, 100);
	CHECK_EQ(pool_stats(box).active, 1);
	peer_abort(p);
	world_run(w, 100);
	CHECK_EQ(pool_stats(box).active, 0);
	peer_free(p);
	s->h->down = false;
	/* … and of the operator. */
	p = peer_connect(client, "10.0.0.2", 8000);
	peer_puts(p, "x");
	world_run(w, 100);
	struct svc_filter f = {.listener_id = 8000};
	uint32_t cursor = 0;
	CHECK_EQ(svc_kill(box->svc, &f, &cursor, UINT32_MAX), 1);
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	CHECK(s->taken[s->n - 1]->closed && s->taken[s->n - 1]->why == TCP_CLOSE_RESET);
	peer_free(p);
	p = peer_connect(client, "10.0.0.2", 8000);
	world_run(w, 100);
	f = (struct svc_filter){.only_outgoing = true};
	cursor = 0;
	CHECK_EQ(svc_kill(box->svc, &f, &cursor, UINT32_MAX), 1);
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	end(1, &s, cfg);
}

/* A receiver that does not read stops the sender; what is held stays bounded. */
static void test_back_pressure(void)
{
	enum { N = 8000000 };
	struct svc_listener_cfg *l = proxy_cfg(8000);
	struct svc_pool_cfg *cfg;
	struct tcp_usage u;
	struct server *s;
	struct peer *p;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	cfg = pool_cfg(1);
	cfg->tcp.sndbuf_max = cfg->tcp.rcvbuf_max = 262144;
	l->tcp.sndbuf_max = l->tcp.rcvbuf_max = 262144;
	pool_use(box, cfg, NULL);
	world_serve(box, l);
	/* Up. */
	s->paused = true;
	p = peer_connect(client, "10.0.0.2", 8000);
	send_pattern(p, N);
	peer_shutdown(p);
	world_run(w, 5000);
	tcp_usage(box->e, &u);
	CHECK(u.mem_bytes < 4 * 262144);
	CHECK(p->out_at < N);
	server_resume(s);
	world_run(w, 20000);
	CHECK_EQ(s->taken[0]->in_total, N);
	CHECK_EQ(s->taken[0]->hash, pattern_hash(N));
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	/* Down. */
	p = peer_connect(client, "10.0.0.2", 8000);
	p->paused = true;
	world_run(w, 100);
	taken_pour(s->taken[1], N);
	taken_shutdown(s->taken[1]);
	world_run(w, 5000);
	tcp_usage(box->e, &u);
	CHECK(u.mem_bytes < 4 * 262144);
	CHECK(s->taken[1]->out_left != 0);
	peer_resume(p);
	world_run(w, 20000);
	CHECK_EQ(p->in_total, N);
	CHECK_EQ(hash_more(0, p->in, p->in_len), pattern_hash(N));
	CHECK(p->eof);
	peer_free(p);
	end(1, &s, cfg);
}

/* What the client sends before its backend is there is held, to its receive buffer's bound. */
static void test_early_data(void)
{
	enum { N = 2000000 };
	struct svc_listener_cfg *l = proxy_cfg(8000);
	struct svc_pool_cfg *cfg;
	struct tcp_usage u;
	struct server *s;
	struct peer *p;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	s->h->down = true;
	cfg = one_pool(1);
	l->tcp.rcvbuf_max = 131072;
	l->proxy.connect_timeout_ms = 30000;
	world_serve(box, l);
	p = peer_connect(client, "10.0.0.2", 8000);
	send_pattern(p, N);
	peer_shutdown(p);
	world_run(w, 2000);
	tcp_usage(box->e, &u);
	CHECK(u.mem_bytes < 2 * 131072);
	s->h->down = false;
	world_run(w, 20000);
	CHECK_EQ(s->n, 1);
	CHECK_EQ(s->taken[0]->in_total, N);
	CHECK_EQ(s->taken[0]->hash, pattern_hash(N));
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	end(1, &s, cfg);
}

static void test_timeouts(void)
{
	struct svc_listener_cfg *l = proxy_cfg(8000);
	struct svc_pool_cfg *cfg;
	struct server *s;
	struct peer *p, *q;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	s->polite = false;
	cfg = one_pool(1);
	l->idle_timeout_ms = 2000;
	l->total_timeout_ms = 10000;
	world_serve(box, l);
	/* Idle; the other one is not, and ends by its age. */
	p = peer_connect(client, "10.0.0.2", 8000);
	q = peer_connect(client, "10.0.0.2", 8000);
	for (int i = 0; i < 11; i++) {
		CHECK(!q->closed);
		if (i < 10)
			peer_puts(q, "x");
		world_run(w, 950);
		if (i == 0)
			CHECK(!p->closed);
		/* One direction is enough. */
		if (i == 3)
			CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	}
	CHECK_EQ(proxy_stats(box, 8000).timeouts_idle, 1);
	CHECK_EQ(proxy_stats(box, 8000).timeouts_total, 1);
	CHECK(q->closed && s->taken[0]->closed && s->taken[1]->closed);
	peer_free(p);
	peer_free(q);
	/* Half closed. */
	l = proxy_cfg(8001);
	l->proxy.half_close_timeout_ms = 3000;
	world_serve(box, l);
	p = peer_connect(client, "10.0.0.2", 8001);
	peer_puts(p, "x");
	world_run(w, 5000);
	CHECK(!p->closed);
	peer_shutdown(p);
	world_run(w, 2000);
	taken_puts(s->taken[2], "y");
	world_run(w, 2000);
	CHECK(!p->closed);
	world_run(w, 1500);
	CHECK(p->closed && s->taken[2]->closed && s->taken[2]->why == TCP_CLOSE_RESET);
	CHECK_EQ(proxy_stats(box, 8001).timeouts_half_close, 1);
	peer_free(p);
	end(1, &s, cfg);
}

/* Packet buffers run out in the middle of a transfer, and come back. */
static void test_no_buffers(void)
{
	enum { N = 2000000, MAX = 32768 };
	static struct rte_mbuf *hoard[MAX];
	struct svc_pool_cfg *cfg;
	struct server *s;
	struct peer *p;
	uint32_t n = 0;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	s->echo = true;
	/* So little room that buffers are often taken in part, which needs others. */
	cfg = pool_cfg(1);
	cfg->tcp.sndbuf_max = 5000;
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	p = peer_connect(client, "10.0.0.2", 8000);
	send_pattern(p, N);
	peer_shutdown(p);
	for (int i = 0; i < 40; i++) {
		world_run(w, 2);
		while (n < MAX && (hoard[n] = rte_pktmbuf_alloc(w->pool)) != NULL)
			n++;
		world_run(w, 30);
		while (n > 0)
			rte_pktmbuf_free(hoard[--n]);
	}
	world_run(w, 60000);
	CHECK_EQ(p->in_total, N);
	CHECK_EQ(hash_more(0, p->in, p->in_len), pattern_hash(N));
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	end(1, &s, cfg);
}

/* The wrong order of everything, many at once. */
static void test_many(void)
{
	enum { N = 600 };
	static struct peer *p[N];
	struct svc_pool_cfg *cfg;
	struct server *s[3];
	uint32_t taken = 0;

	begin();
	for (int i = 0; i < 3; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.0.1.%d", i + 1);
		s[i] = server_new(w, addr, 80);
		s[i]->echo = true;
	}
	cfg = one_pool(3);
	world_serve(box, proxy_cfg(8000));
	for (int i = 0; i < N; i++) {
		p[i] = peer_connect(client, "10.0.0.2", 8000);
		send_pattern(p[i], (size_t)(i * 37 % 5000));
		if (i % 3 != 0)
			peer_shutdown(p[i]);
		if (i % 50 == 0)
			world_run(w, 1);
		if (i % 5 == 0 && i > 0) {
			peer_abort(p[i - 1]);
			peer_free(p[i - 1]);
			p[i - 1] = NULL;
		}
	}
	world_run(w, 3000);
	for (int i = 0; i < N; i++) {
		if (p[i] == NULL)
			continue;
		CHECK_EQ(p[i]->in_total, i * 37 % 5000);
		CHECK_EQ(p[i]->closed, i % 3 != 0);
		peer_free(p[i]);
	}
	for (int i = 0; i < 3; i++)
		taken += s[i]->n;
	CHECK_EQ(pool_stats(box).conns, taken);
	end(3, s, cfg);
}

static void test_peer_lookup(void)
{
	struct svc_proxy_peer x;
	struct svc_pool_cfg *cfg;
	struct tcp_tuple t;
	struct server *s;
	struct peer *p;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	cfg = one_pool(1);
	world_serve(box, proxy_cfg(8000));
	p = peer_connect(client, "10.0.0.2", 8000);
	world_run(w, 100);
	t = *tcp_tuple(p->c);
	t = (struct tcp_tuple){.laddr = t.raddr,
			       .raddr = t.laddr,
			       .lport = t.rport,
			       .rport = t.lport,
			       .family = t.family};
	CHECK(svc_proxy_peer(box->svc, &t, &x));
	CHECK(!x.is_backend && x.has_other && x.listener_id == 8000 && x.pool_id == 1);
	CHECK(strcmp(x.backend, "b0") == 0 && x.other.rport == rte_cpu_to_be_16(80));
	t = x.other;
	CHECK(svc_proxy_peer(box->svc, &t, &x));
	CHECK(x.is_backend && x.has_other && x.listener_id == 8000);
	CHECK(x.other.lport == rte_cpu_to_be_16(8000));
	t.rport ^= 1;
	CHECK(!svc_proxy_peer(box->svc, &t, &x));
	peer_free(p);
	end(1, &s, cfg);
}

int main(void)
{
	world_init("proxy-test");
	test_echo();
	test_half_close();
	test_server_first();
	test_resets();
	test_back_pressure();
	test_early_data();
	test_timeouts();
	test_no_buffers();
	test_many();
	test_peer_lookup();
	return 0;
}
