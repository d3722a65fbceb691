/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP responder, as its clients see it. */
#include <errno.h>
#include <unistd.h>

#include "test_world.h"

#define DATE	     "Date: Thu, 01 Jan 2026 00:00:01 GMT\r\n"
#define HEAD(status) "HTTP/1.1 " status "\r\n" DATE
#define HELLO	     HEAD("200 OK") "Content-Type: text/plain\r\nContent-Length: 6\r\n"
#define GET	     "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static struct world *w;
static struct host *client, *server;

static struct svc_listener_cfg *config(void)
{
	struct svc_listener_cfg *cfg = world_cfg(SVC_HTTP, 80);

	CHECK_EQ(svc_http_set_body(&cfg->http.response, "hello\n", 6), 0);
	return cfg;
}

static void setup(struct svc_listener_cfg *cfg)
{
	w = world_new(16383);
	client = world_host(w, "10.0.0.1", false);
	server = world_host(w, "10.0.0.2", true);
	world_serve(server, cfg);
}

static struct svc_stats stats(void)
{
	struct svc_listener_stats st;

	CHECK_EQ(svc_listener_stats(server->svc, 80, &st), 0);
	return st.svc;
}

static void teardown(void)
{
	world_run(w, 6000);
	CHECK_EQ(svc_listener_find(server->svc, 80)->conns, 0);
	world_free(w);
}

static struct peer *ask(const char *request)
{
	struct peer *p = peer_connect(client, "10.0.0.2", 80);

	peer_puts(p, request);
	world_run(w, 10);
	return p;
}

static void expect_text(struct peer *p, const char *want, int line)
{
	const char *text = peer_text(p);

	if (strcmp(text, want) != 0) {
		fprintf(stderr, "line %d: got\n%s\nnot\n%s\n", line, text, want);
		exit(1);
	}
}
#define EXPECT(p, want) expect_text(p, want, __LINE__)

/* Request, response, and whether the server ends the connection after it. */
static void exchange(const char *request, const char *want, bool ends, int line)
{
	struct peer *p = ask(request);

	expect_text(p, want, line);
	if (p->eof != ends) {
		fprintf(stderr, "line %d: eof is %d\n", line, p->eof);
		exit(1);
	}
	CHECK(!p->closed);
	peer_shutdown(p);
	world_run(w, 10);
	CHECK(p->closed);
	CHECK_EQ(p->why, TCP_CLOSE_DONE);
	peer_free(p);
}
#define EXCHANGE(request, want, ends) exchange(request, want, ends, __LINE__)

#define ERROR(status, reason, length)                                                              \
	HEAD(status " " reason)                                                                    \
	"Content-Type: text/plain\r\nContent-Length: " length                                      \
	"\r\nConnection: close\r\n\r\n" status " " reason "\n"

static void test_exchanges(void)
{
	struct svc_listener_cfg *cfg = config();
	struct svc_http_route *r;

	cfg->http.server = strdup("Millrace");
	cfg->http.methods = SVC_HTTP_GET | SVC_HTTP_HEAD | SVC_HTTP_POST;
	cfg->http.max_body = 100;
	r = svc_http_add_route(&cfg->http, "/a", true);
	r->response.status = 204;
	r = svc_http_add_route(&cfg->http, "/a/b", false);
	r->response.status = 302;
	CHECK_EQ(svc_http_add_header(&r->response, "Location", "/c"), 0);
	setup(cfg);
	/* Within the second of the Date. */
#undef HELLO
#define HELLO HEAD("200 OK") "Server: Millrace\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
	EXCHANGE(GET, HELLO "\r\nhello\n", false);
	EXCHANGE(GET GET, HELLO "\r\nhello\n" HELLO "\r\nhello\n", false);
	EXCHANGE("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HELLO "\r\n", false);
	EXCHANGE("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		 HELLO "Connection: close\r\n\r\nhello\n", true);
	EXCHANGE("GET / HTTP/1.0\r\n\r\n", HELLO "Connection: close\r\n\r\nhello\n", true);
	EXCHANGE("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		 HELLO "Connection: keep-alive\r\n\r\nhello\n", false);
	EXCHANGE("GET / HTTP/1.0\r\n\r\n" GET, HELLO "Connection: close\r\n\r\nhello\n", true);
	EXCHANGE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" GET,
		 HELLO "\r\nhello\n" HELLO "\r\nhello\n", false);
	EXCHANGE("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "3\r\nabc\r\n0\r\nX: y\r\n\r\n" GET,
		 HELLO "\r\nhello\n" HELLO "\r\nhello\n", false);
	/* Routes. */
	EXCHANGE("GET /a/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
		 HEAD("204 No Content") "Server: Millrace\r\n\r\n", false);
	EXCHANGE("GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
		 HEAD("204 No Content") "Server: Millrace\r\n\r\n", false);
	EXCHANGE("GET /a/b?z HTTP/1.1\r\nHost: a\r\n\r\n",
		 HEAD("302 Found") "Server: Millrace\r\nLocation: /c\r\nContent-Length: 0\r\n\r\n",
		 false);
	EXCHANGE("GET /ab HTTP/1.1\r\nHost: a\r\n\r\n", HELLO "\r\nhello\n", false);
	/* A method that is not answered does not end the connection; what breaks the protocol does.
	 */
	EXCHANGE("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" GET,
		 HEAD("405 Method Not Allowed") "Server: Millrace\r\nAllow: GET, HEAD, POST\r\n"
						"Content-Type: text/plain\r\nContent-Length: 23\r\n"
						"\r\n405 Method Not Allowed\n" HELLO "\r\nhello\n",
		 false);
	EXCHANGE("GET / HTTP/1.1\r\n\r\n" GET, ERROR("400", "Bad Request", "16"), true);
	EXCHANGE(GET "GET / HTTP/1.1\nHost: a\n\n",
		 HELLO "\r\nhello\n" ERROR("400", "Bad Request", "16"), true);
	EXCHANGE("GET / HTTP/3.0\r\n\r\n", ERROR("505", "HTTP Version Not Supported", "31"), true);
	EXCHANGE("BREW / HTTP/1.1\r\n\r\n", ERROR("501", "Not Implemented", "20"), true);
	EXCHANGE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\nabc",
		 ERROR("413", "Content Too Large", "22"), true);
	EXCHANGE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n",
		 ERROR("417", "Expectation Failed", "23"), true);
	EXCHANGE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		 ERROR("400", "Bad Request", "16"), true);
	CHECK_EQ(stats().bad_requests, 7);
	CHECK_EQ(stats().responses_4xx, 6);
	CHECK_EQ(stats().responses_5xx, 2);
	CHECK_EQ(stats().responses_3xx, 1);
	CHECK_EQ(stats().requests, 19);
	teardown();
#undef HELLO
#define HELLO HEAD("200 OK") "Content-Type: text/plain\r\nContent-Length: 6\r\n"
}

/* Octet by octet, and with pauses; 100-continue; a client that half-closes at once. */
static void test_pieces(void)
{
	static const char post[] =
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nabcde\r\n0\r\n\r\n" GET;
	const char *c;
	struct peer *p;

	setup(config());
	p = peer_connect(client, "10.0.0.2", 80);
	for (c = post; *c != 0; c++) {
		peer_send(p, c, 1);
		world_run(w, 1);
	}
	EXPECT(p, HELLO "\r\nhello\n" HELLO "\r\nhello\n");
	peer_puts(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
		     "Expect: 100-continue\r\n\r\n");
	world_run(w, 5);
	EXPECT(p, "HTTP/1.1 100 Continue\r\n\r\n");
	peer_puts(p, "abc");
	world_run(w, 5);
	EXPECT(p, "");
	peer_puts(p, "dGET /");
	world_run(w, 5);
	EXPECT(p, HELLO "\r\nhello\n");
	/* Half a request and FIN: nothing to answer. */
	peer_shutdown(p);
	world_run(w, 5);
	EXPECT(p, "");
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	p = peer_connect(client, "10.0.0.2", 80);
	peer_puts(p, GET);
	peer_shutdown(p);
	world_run(w, 10);
	EXPECT(p, HELLO "\r\nhello\n");
	CHECK(p->closed && p->why == TCP_CLOSE_DONE);
	peer_free(p);
	teardown();
}

/* A thousand requests at once, read late: responses wait, in order, and none is lost. */
static void test_pipeline(void)
{
	size_t one = strlen(HELLO "\r\nhello\n"), i;
	char *all = malloc(100000 * sizeof(GET));
	struct peer *p;

	CHECK(all != NULL);
	setup(config());
	p = peer_connect(client, "10.0.0.2", 80);
	p->paused = true;
	for (i = 0; i < 100000; i++)
		memcpy(all + i * (sizeof(GET) - 1), GET, sizeof(GET) - 1);
	peer_send(p, all, 100000 * (sizeof(GET) - 1));
	free(all);
	world_run(w, 3000);
	CHECK(stats().requests < 100000);
	peer_resume(p);
	world_run(w, 5000);
	CHECK_EQ(stats().requests, 100000);
	CHECK_EQ(p->in_len, 100000 * one);
	for (i = 0; i < p->in_len; i += one)
		CHECK(memcmp(p->in + i, "HTTP/1.1 200 OK\r\n", 17) == 0);
	peer_free(p);
	teardown();
}

/* The same in small writes, each a buffer of its own at the client. */
static void test_small_writes(void)
{
	size_t one = strlen(HELLO "\r\nhello\n"), i;
	struct peer *p;

	setup(config());
	p = peer_connect(client, "10.0.0.2", 80);
	p->paused = true;
	for (i = 0; i < 5000; i++)
		peer_puts(p, GET);
	world_run(w, 1000);
	peer_resume(p);
	world_run(w, 5000);
	CHECK_EQ(stats().requests, 5000);
	CHECK_EQ(p->in_len, 5000 * one);
	peer_free(p);
	teardown();
}

static void test_large_body(bool in_place)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nDate: ", type[] = "Content-Type: text/plain";
	struct svc_listener_cfg *cfg = world_cfg(SVC_HTTP, 80);
	uint32_t len = (3 << 20) + 7, i;
	uint8_t *body = malloc(len);
	const uint8_t *at;
	struct peer *p;

	for (i = 0; i < len; i++)
		body[i] = (uint8_t)(i * 2654435761u >> 24);
	CHECK_EQ(svc_http_set_body(&cfg->http.response, body, len), 0);
	if (in_place)
		cfg->http.response.body_iova = (rte_iova_t)cfg->http.response.body;
	setup(cfg);
	p = peer_connect(client, "10.0.0.2", 80);
	p->paused = true;
	peer_puts(p, GET "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
			 "GET / HTTP/1.0\r\n\r\n");
	world_run(w, 1000);
	/* What is being sent belongs to the old configuration until it is sent. */
	world_serve(server, config());
	peer_resume(p);
	world_run(w, 5000);
	at = p->in;
	CHECK(memcmp(at, head, strlen(head)) == 0);
	at = (const uint8_t *)strstr((const char *)at, "\r\n\r\n") + 4;
	CHECK(memcmp(at, body, len) == 0);
	at += len;
	/* The others were answered by the new one. */
	p->in[p->in_len] = 0;
	CHECK(strstr((const char *)at, type) != NULL);
	CHECK(strstr((const char *)at, "Content-Length: 6\r\n\r\nHTTP/1.1 200 OK\r\n") != NULL);
	CHECK(strcmp((const char *)p->in + p->in_len - 10, "\r\n\r\nhello\n") == 0);
	CHECK(p->eof && !p->closed);
	peer_free(p);
	/* A client that goes away in the middle. */
	cfg = world_cfg(SVC_HTTP, 80);
	CHECK_EQ(svc_http_set_body(&cfg->http.response, body, len), 0);
	if (in_place)
		cfg->http.response.body_iova = (rte_iova_t)cfg->http.response.body;
	world_serve(server, cfg);
	p = peer_connect(client, "10.0.0.2", 80);
	p->paused = true;
	peer_puts(p, GET);
	world_run(w, 200);
	peer_abort(p);
	peer_free(p);
	teardown();
	free(body);
}

static void test_timeouts(void)
{
	struct svc_listener_cfg *cfg = config();
	struct peer *p, *slow;
	int i;

	cfg->idle_timeout_ms = 2000;
	cfg->http.header_timeout_ms = 500;
	cfg->http.body_timeout_ms = 700;
	setup(cfg);
	/* A head drop by drop: however many drops, there is one deadline for all of it. */
	slow = ask("GET / HT");
	for (i = 0; i < 4; i++) {
		peer_puts(slow, i == 0 ? "TP/1.1\r\nHost: a\r\n" : "X: y\r\n");
		world_run(w, 100);
	}
	CHECK(!slow->eof);
	world_run(w, 200);
	CHECK(slow->eof);
	CHECK(memcmp(peer_text(slow), "HTTP/1.1 408 Request Timeout\r\n", 30) == 0);
	CHECK_EQ(stats().timeouts_request, 1);
	peer_free(slow);
	/* A body that goes on is fine, one that stops is not. */
	slow = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
	for (i = 0; i < 5; i++) {
		peer_puts(slow, "x");
		world_run(w, 500);
	}
	CHECK(!slow->eof);
	world_run(w, 400);
	CHECK(slow->eof);
	CHECK(memcmp(peer_text(slow), "HTTP/1.1 408 Request Timeout\r\n", 30) == 0);
	CHECK_EQ(stats().timeouts_request, 2);
	peer_free(slow);
	/* Between requests the idle timeout holds, and nothing is said. */
	p = ask(GET);
	peer_text(p);
	world_run(w, 1500);
	CHECK(!p->eof);
	peer_puts(p, GET);
	world_run(w, 1500);
	CHECK(!p->eof);
	peer_text(p);
	world_run(w, 700);
	CHECK(p->eof);
	EXPECT(p, "");
	CHECK_EQ(stats().timeouts_idle, 1);
	peer_free(p);
	teardown();
}

/* A client that never reads is alive as far as TCP can tell: it answers every probe. */
static void test_stuck_reader(void)
{
	struct svc_listener_cfg *cfg = world_cfg(SVC_HTTP, 80);
	uint32_t len = 5 << 20;
	void *body = calloc(1, len);
	struct peer *p;

	CHECK_EQ(svc_http_set_body(&cfg->http.response, body, len), 0);
	cfg->idle_timeout_ms = 3000;
	setup(cfg);
	p = peer_connect(client, "10.0.0.2", 80);
	p->paused = true;
	peer_puts(p, GET);
	world_run(w, 2500);
	CHECK_EQ(svc_listener_find(server->svc, 80)->conns, 1);
	world_run(w, 2000);
	CHECK_EQ(svc_listener_find(server->svc, 80)->conns, 0);
	CHECK_EQ(stats().timeouts_idle, 1);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	teardown();
	free(body);
}

/* Nor does one hold what is left of a connection for ever after the responder is done. */
static void test_stuck_after_close(void)
{
	static const struct tcp_options opt = {.no_nagle = true, .rcvbuf_max = 8192};
	struct svc_listener_cfg *cfg = world_cfg(SVC_HTTP, 80);
	void *body = calloc(1, 30000);
	struct tcp_usage u;
	struct peer *p;

	CHECK_EQ(svc_http_set_body(&cfg->http.response, body, 30000), 0);
	cfg->tcp.user_timeout_ms = 20000;
	setup(cfg);
	p = peer_connect_opt(client, "10.0.0.2", 80, &opt);
	p->paused = true;
	peer_puts(p, "GET / HTTP/1.0\r\n\r\n");
	world_run(w, 15000);
	CHECK_EQ(svc_listener_find(server->svc, 80)->conns, 0);
	tcp_usage(server->e, &u);
	CHECK_EQ(u.conns, 1);
	world_run(w, 20000);
	tcp_usage(server->e, &u);
	CHECK_EQ(u.conns, 0);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	teardown();
	free(body);
}

static void test_limits(void)
{
	struct svc_listener_cfg *cfg = config();
	struct peer *p;

	cfg->http.max_requests = 3;
	setup(cfg);
	p = ask(GET GET);
	EXPECT(p, HELLO "\r\nhello\n" HELLO "\r\nhello\n");
	CHECK(!p->eof);
	peer_puts(p, GET GET);
	world_run(w, 10);
	EXPECT(p, HELLO "Connection: close\r\n\r\nhello\n");
	CHECK(p->eof && !p->closed);
	/* It lingers for the client to read, but not for ever. */
	peer_puts(p, GET);
	world_run(w, 1000);
	CHECK(!p->closed);
	world_run(w, 5000);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	teardown();
}

static bool has_all(void *arg)
{
	return ((struct peer *)arg)->eof;
}

/* A last response that takes long is not cut off while the client takes it. */
static void test_slow_last(void)
{
	/* Eight round trips for what is in the send buffer when the responder is done. */
	static const struct tcp_options opt = {.no_nagle = true, .rcvbuf_max = 8192};
	struct svc_listener_cfg *cfg = world_cfg(SVC_HTTP, 80);
	uint32_t len = 128 << 10;
	void *body = calloc(1, len);
	struct peer *p;

	CHECK_EQ(svc_http_set_body(&cfg->http.response, body, len), 0);
	cfg->http.max_requests = 1;
	setup(cfg);
	w->latency_ns = 1000000000;
	p = peer_connect_opt(client, "10.0.0.2", 80, &opt);
	peer_puts(p, GET);
	CHECK(world_until(w, has_all, p, 100000));
	CHECK(!p->closed);
	CHECK(p->in_len > len);
	peer_free(p);
	w->latency_ns = 100000;
	teardown();
	free(body);
}

static void test_drain(void)
{
	struct peer *idle, *busy, *rude;

	setup(config());
	idle = ask(GET);
	busy = ask(GET "GET / HT");
	rude = ask("GET / HT");
	peer_text(idle);
	peer_text(busy);
	CHECK_EQ(svc_listener_delete(server->svc, 80, 1000), 0);
	world_run(w, 20);
	CHECK(idle->eof);
	CHECK(!busy->eof && !rude->eof);
	peer_puts(busy, "TP/1.1\r\nHost: a\r\n\r\n");
	world_run(w, 20);
	EXPECT(busy, HELLO "Connection: close\r\n\r\nhello\n");
	CHECK(busy->eof);
	world_run(w, 1100);
	CHECK(rude->closed && rude->why == TCP_CLOSE_RESET);
	world_serve(server, config());
	peer_free(idle);
	peer_free(busy);
	peer_free(rude);
	teardown();
}

/* More connections in the middle of a request than there is state for: some end, none breaks. */
static void test_no_state(void)
{
	struct peer *p[1100];
	uint32_t i, ended = 0;

	setup(config());
	for (i = 0; i < 1100; i++)
		p[i] = peer_connect(client, "10.0.0.2", 80);
	world_run(w, 50);
	for (i = 0; i < 1100; i++)
		peer_puts(p[i], "GET / ");
	world_run(w, 50);
	for (i = 0; i < 1100; i++) {
		ended += p[i]->closed;
		if (!p[i]->closed)
			peer_puts(p[i], "HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	CHECK_EQ(ended, 1100 - 1024);
	CHECK_EQ(stats().no_state, 1100 - 1024);
	world_run(w, 50);
	CHECK_EQ(stats().responses_2xx, 1024);
	for (i = 0; i < 1100; i++) {
		peer_abort(p[i]);
		peer_free(p[i]);
	}
	teardown();
}

static void test_file(void)
{
	char path[] = "/tmp/millrace-http-XXXXXX";
	struct svc_http_response r = {0};
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, "from a file", 11) == 11);
	CHECK_EQ(svc_http_body_file(&r, path, 10), -EFBIG);
	CHECK_EQ(svc_http_body_file(&r, "/", 1 << 20), -EINVAL);
	CHECK_EQ(svc_http_body_file(&r, "/nowhere/at/all", 1 << 20), -ENOENT);
	CHECK_EQ(svc_http_body_file(&r, path, 11), 0);
	CHECK_EQ(r.body_len, 11);
	CHECK(memcmp(r.body, "from a file", 11) == 0);
	free(r.body);
	close(fd);
	unlink(path);
}

int main(void)
{
	world_init("stack-http-test");
	test_file();
	test_exchanges();
	test_pieces();
	test_pipeline();
	test_small_writes();
	test_large_body(false);
	test_large_body(true);
	test_timeouts();
	test_stuck_reader();
	test_stuck_after_close();
	test_limits();
	test_slow_last();
	test_drain();
	test_no_state();
	return 0;
}
