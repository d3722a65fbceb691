/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks: what brings a backend up and down, why, and who is told. */
#include "proxy_protocol.h"
#include "test_backend.h"

static struct world *w;
static struct host *client, *box;
static struct svc_pool_cfg *cfg;

static struct {
	uint32_t up, down, pool_up, pool_down;
	char backend[64], reason[64];
} told;

static void on_health(void *ctx, uint32_t pool_id, const char *backend, bool up, const char *reason)
{
	(void)ctx;
	CHECK_EQ(pool_id, 1);
	if (backend == NULL) {
		told.pool_up += up;
		told.pool_down += !up;
		return;
	}
	told.up += up;
	told.down += !up;
	snprintf(told.backend, sizeof(told.backend), "%s", backend);
	snprintf(told.reason, sizeof(told.reason), "%s", reason);
}

static void begin(void)
{
	struct svc_env env;

	memset(&told, 0, sizeof(told));
	w = world_new(8192);
	client = world_host(w, "10.0.0.1", false);
	box = world_host(w, "10.0.0.2", true);
	env = *svc_env(box->svc);
	env.pool_health = on_health;
	svc_destroy(box->svc);
	box->svc = svc_create(box->e, &env, w->now_ns);
	CHECK(box->svc != NULL);
}

static void check_cfg(uint32_t n, enum svc_check kind)
{
	cfg = pool_cfg(n);
	cfg->check.kind = kind;
	cfg->check.interval_ms = 1000;
	cfg->check.timeout_ms = 500;
}

static void end(void)
{
	world_free(w);
	svc_pool_cfg_release(cfg);
}

static struct svc_backend_health health(uint32_t i)
{
	struct svc_backend_health h;

	svc_backend_health(cfg, i, w->now_ns, &h);
	return h;
}

static bool pool_is_healthy(void)
{
	struct svc_pool_health h;

	svc_pool_health(cfg, w->now_ns, &h);
	return h.healthy;
}

/* Runs until n more checks of backend 0 are done. */
static void run_checks(uint32_t n)
{
	uint64_t until = health(0).checks + n;

	for (int i = 0; i < 100000 && health(0).checks < until; i++)
		world_run(w, 10);
	CHECK_EQ(health(0).checks, until);
}

static void test_connect(void)
{
	struct server *s;
	uint64_t since;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	check_cfg(1, SVC_CHECK_CONNECT);
	pool_use(box, cfg, NULL);
	world_serve(box, proxy_cfg(8000));
	CHECK_EQ(health(0).health, SVC_HEALTH_UNKNOWN);
	CHECK(!pool_is_healthy() && !proxy_ready(box, 8000));
	/* The first result decides. */
	world_run(w, 50);
	CHECK_EQ(health(0).health, SVC_HEALTH_UP);
	CHECK(pool_is_healthy() && proxy_ready(box, 8000) && box->ready_calls == 1);
	CHECK(told.up == 1 && told.pool_up == 1 && strcmp(told.backend, "b0") == 0);
	CHECK(health(0).check_ns >= 200000 && health(0).check_ns < 2000000);
	since = health(0).changed_ns;
	CHECK(since > 1000000000 && since < w->now_ns);
	/* About once an interval; connections are closed in order. */
	world_run(w, 10000);
	CHECK(health(0).checks >= 10 && health(0).checks <= 12 && health(0).checks_failed == 0);
	CHECK(health(0).changed_ns == since);
	CHECK_EQ(server_active(s), 0);
	for (uint32_t i = 0; i < s->n; i++)
		CHECK(s->taken[i]->why == TCP_CLOSE_DONE);
	/* Down after three failures in a row, not before. */
	server_stop(s);
	run_checks(2);
	server_start(s, 80);
	run_checks(1);
	server_stop(s);
	run_checks(2);
	CHECK_EQ(health(0).health, SVC_HEALTH_UP);
	CHECK_EQ(told.down, 0);
	run_checks(1);
	world_run(w, 10);
	CHECK_EQ(health(0).health, SVC_HEALTH_DOWN);
	CHECK(strcmp(health(0).reason, "connection refused") == 0);
	CHECK(strcmp(told.reason, "connection refused") == 0);
	CHECK(!pool_is_healthy() && !proxy_ready(box, 8000));
	CHECK(told.down == 1 && told.pool_down == 1 && health(0).checks_failed == 5);
	CHECK_EQ(health(0).weight_permille, 0);
	/* Up after two. */
	server_start(s, 80);
	run_checks(1);
	CHECK_EQ(health(0).health, SVC_HEALTH_DOWN);
	run_checks(1);
	world_run(w, 10);
	CHECK_EQ(health(0).health, SVC_HEALTH_UP);
	CHECK(pool_is_healthy() && proxy_ready(box, 8000) && told.up == 2 && told.pool_up == 2);
	/* It does not answer: each check takes its time and no more. */
	s->h->down = true;
	run_checks(3);
	CHECK_EQ(health(0).health, SVC_HEALTH_DOWN);
	CHECK(strcmp(health(0).reason, "timeout") == 0);
	s->h->down = false;
	end();
	server_free(s);
}

/* Backends that fail in all ways at once. */
static void test_reasons(void)
{
	static const char *const want[] = {
		"",	   "status 503",	 "answer is not HTTP", "closed without an answer",
		"timeout", "connection refused", "unreachable",	       "connection reset",
		"",
	};
	enum { N = sizeof(want) / sizeof(*want) };
	struct server *s[N] = {0};
	struct svc_listener_cfg *l;
	struct host *h;

	begin();
	check_cfg(N, SVC_CHECK_HTTP);
	cfg->check.status_max = 299;
	for (int i = 0; i < N; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.0.1.%d", i + 1);
		if (i == 6)
			continue;
		h = world_host(w, addr, i < 2 || i == 8);
		if (i < 2 || i == 8) {
			l = world_cfg(SVC_HTTP, 80);
			l->http.response.status = i == 0 ? 204 : i == 1 ? 503 : 200;
			world_serve(h, l);
		} else if (i != 5) {
			s[i] = server_on(h, 80);
		}
	}
	s[2]->banner = "SSH-2.0-OpenSSH_9.2\r\n";
	s[4]->polite = false;
	pool_use(box, cfg, NULL);
	/* It closes what it accepted, without a word. */
	world_run(w, 2);
	CHECK_EQ(s[3]->n, 1);
	taken_shutdown(s[3]->taken[0]);
	taken_abort(s[7]->taken[0]);
	world_run(w, 800);
	for (int i = 0; i < N; i++) {
		if (strcmp(health(i).reason, want[i]) != 0)
			fprintf(stderr, "%d: %s, not %s\n", i, health(i).reason, want[i]);
		CHECK(strcmp(health(i).reason, want[i]) == 0);
		CHECK_EQ(health(i).health, i == 0 || i == 8 ? SVC_HEALTH_UP : SVC_HEALTH_DOWN);
		CHECK_EQ(health(i).checks, 1);
	}
	end();
	for (int i = 0; i < N; i++)
		if (s[i] != NULL)
			server_free(s[i]);
}

/* What is asked for, and of whom. */
static void test_request(void)
{
	struct server *s, *side;
	struct svc_pp pp;
	const char *why;
	struct taken *t;

	begin();
	s = server_new(w, "10.0.1.1", 80);
	side = server_on(s->h, 9000);
	s->banner = "HTTP/1.0 299 fine\r\n\r\n";
	side->banner = "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n";
	check_cfg(1, SVC_CHECK_HTTP);
	pool_use(box, cfg, NULL);
	world_run(w, 50);
	CHECK_EQ(health(0).health, SVC_HEALTH_UP);
	CHECK(strcmp(s->taken[0]->in, "GET / HTTP/1.1\r\nHost: 10.0.1.1:80\r\n"
				      "User-Agent: millrace-health-check\r\nAccept: */*\r\n"
				      "Connection: close\r\n\r\n") == 0);
	CHECK_EQ(svc_pool_delete(box->svc, 1, 0), 0);
	svc_pool_cfg_release(cfg);
	/* Another port, method, path and host; a PROXY header first. */
	check_cfg(1, SVC_CHECK_HTTP);
	strcpy(cfg->check.method, "HEAD");
	strcpy(cfg->check.path, "/health?deep=1");
	strcpy(cfg->check.host, "app.example");
	cfg->check.port = rte_cpu_to_be_16(9000);
	cfg->check.status_min = cfg->check.status_max = 301;
	cfg->check.send_proxy = SVC_PROXY_PROTOCOL_V2;
	pool_use(box, cfg, NULL);
	world_run(w, 50);
	CHECK_EQ(health(0).health, SVC_HEALTH_UP);
	t = side->taken[0];
	CHECK_EQ(svc_pp_parse((const uint8_t *)t->in, t->in_len, &pp, &why), SVC_PP_OK);
	CHECK(pp.local &&
	      strncmp(t->in + pp.len, "HEAD /health?deep=1 HTTP/1.1\r\nHost: app.example\r\n",
		      47) == 0);
	CHECK_EQ(svc_pool_delete(box->svc, 1, 0), 0);
	svc_pool_cfg_release(cfg);
	check_cfg(1, SVC_CHECK_CONNECT);
	cfg->check.send_proxy = SVC_PROXY_PROTOCOL_V1;
	pool_use(box, cfg, NULL);
	world_run(w, 50);
	CHECK(strcmp(s->taken[s->n - 1]->in, "PROXY UNKNOWN\r\n") == 0);
	end();
	server_free(s);
	server_free(side);
}

/* New configurations keep what is known; the disabled are left alone. */
static void test_update(void)
{
	struct svc_pool_cfg *before;
	struct server *s[2];
	uint64_t checks;

	begin();
	s[0] = server_new(w, "10.0.1.1", 80);
	s[1] = server_new(w, "10.0.1.2", 80);
	server_stop(s[0]);
	check_cfg(2, SVC_CHECK_CONNECT);
	pool_use(box, cfg, NULL);
	world_run(w, 50);
	CHECK_EQ(health(0).health, SVC_HEALTH_DOWN);
	before = cfg;
	check_cfg(2, SVC_CHECK_CONNECT);
	cfg->slow_start_ms = 5000;
	pool_use(box, cfg, before);
	svc_pool_cfg_release(before);
	CHECK_EQ(health(0).health, SVC_HEALTH_DOWN);
	CHECK_EQ(health(1).health, SVC_HEALTH_UP);
	CHECK_EQ(health(1).weight_permille, 1000);
	/* Back, slowly. */
	server_start(s[0], 80);
	world_run(w, 2500);
	CHECK_EQ(health(0).health, SVC_HEALTH_UP);
	CHECK(health(0).weight_permille > 0 && health(0).weight_permille < 500);
	world_run(w, 5000);
	CHECK_EQ(health(0).weight_permille, 1000);
	before = cfg;
	check_cfg(2, SVC_CHECK_CONNECT);
	cfg->backends[0].admin = SVC_BACKEND_DISABLED;
	cfg->backends[1].admin = SVC_BACKEND_DRAIN;
	pool_use(box, cfg, before);
	svc_pool_cfg_release(before);
	checks = health(0).checks;
	world_run(w, 3000);
	CHECK_EQ(health(0).checks, checks);
	CHECK_EQ(health(0).health, SVC_HEALTH_UNKNOWN);
	CHECK_EQ(health(1).health, SVC_HEALTH_UP);
	CHECK(health(1).checks > 5 && !pool_is_healthy());
	end();
	server_free(s[0]);
	server_free(s[1]);
}

/* Without checks, clients' connections tell. */
static void test_passive(void)
{
	struct svc_listener_cfg *l = proxy_cfg(8000);
	struct server *s[2];
	uint64_t fails;

	begin();
	s[0] = server_new(w, "10.0.1.1", 80);
	s[1] = server_new(w, "10.0.1.2", 80);
	check_cfg(2, SVC_CHECK_NONE);
	cfg->min_healthy = 2;
	cfg->passive_fall = 3;
	cfg->passive_ms = 5000;
	pool_use(box, cfg, NULL);
	l->proxy.retries = 1;
	world_serve(box, l);
	CHECK(pool_is_healthy());
	server_stop(s[0]);
	for (int i = 0; i < 20; i++) {
		struct peer *p = peer_connect(client, "10.0.0.2", 8000);

		world_run(w, 20);
		CHECK(!p->closed);
		peer_free(p);
	}
	CHECK_EQ(s[1]->n, 20);
	CHECK_EQ(pool_stats(box).connect_fails, 3);
	CHECK(health(0).passive && health(0).health == SVC_HEALTH_DOWN);
	CHECK(strcmp(health(0).reason, "connections of clients failed") == 0);
	world_run(w, 300);
	CHECK(!proxy_ready(box, 8000) && told.pool_down == 1);
	/* After the pause one failure is enough. */
	world_run(w, 5000);
	CHECK(proxy_ready(box, 8000));
	fails = pool_stats(box).connect_fails;
	for (int i = 0; i < 10; i++) {
		struct peer *p = peer_connect(client, "10.0.0.2", 8000);

		world_run(w, 20);
		peer_free(p);
	}
	CHECK_EQ(pool_stats(box).connect_fails, fails + 1);
	/* And one success clears it. */
	world_run(w, 5500);
	server_start(s[0], 80);
	for (int i = 0; i < 10; i++) {
		struct peer *p = peer_connect(client, "10.0.0.2", 8000);

		world_run(w, 20);
		peer_free(p);
	}
	CHECK_EQ(s[0]->n, 5);
	CHECK(!health(0).passive && health(0).health == SVC_HEALTH_UP);
	end();
	server_free(s[0]);
	server_free(s[1]);
}

int main(void)
{
	world_init("health-test");
	test_connect();
	test_reasons();
	test_request();
	test_update();
	test_passive();
	return 0;
}
