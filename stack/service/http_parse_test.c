/* SPDX-License-Identifier: Apache-2.0 */
/* The request parser: what it takes, what it refuses, and that pieces make no difference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_parse.h"

#define MAX_BODY 1000

struct outcome {
	enum http_event ev;
	/* Octets taken until it. */
	size_t taken;
	/* HTTP_BODY came before it. */
	bool body;
	struct http_parse p;
};

static int failures;

/* Feeds the octets in pieces that end at a and b and at the end. */
static void feed(const char *data, size_t len, size_t a, size_t b, struct outcome *o)
{
	size_t cuts[3] = {a < len ? a : len, b < len ? b : len, len};
	int i;

	memset(o, 0, sizeof(*o));
	http_parse_init(&o->p, HTTP_HEAD_MAX, MAX_BODY);
	for (i = 0; i < 3; i++) {
		while (o->ev != HTTP_DONE && o->ev != HTTP_ERROR) {
			size_t taken, before = o->taken;

			o->ev = http_parse(&o->p, data + o->taken, cuts[i] - o->taken, &taken);
			o->taken += taken;
			if (o->ev == HTTP_BODY)
				o->body = true;
			if (o->ev == HTTP_MORE && o->taken != cuts[i]) {
				fprintf(stderr, "%s:%d: left %zu of %zu octets\n", __FILE__,
					__LINE__, cuts[i] - before, cuts[i]);
				failures++;
			}
			if (o->ev == HTTP_MORE)
				break;
		}
	}
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	if (a->ev != b->ev || a->taken != b->taken || a->body != b->body)
		return false;
	if (a->ev == HTTP_ERROR)
		return a->p.status == b->p.status;
	return a->p.method == b->p.method && a->p.minor == b->p.minor &&
	       http_parse_persistent(&a->p) == http_parse_persistent(&b->p) &&
	       a->p.path_len == b->p.path_len &&
	       memcmp(a->p.path, b->p.path,
		      a->p.path_len < HTTP_PATH_MAX ? a->p.path_len : HTTP_PATH_MAX) == 0 &&
	       a->p.expect_continue == b->p.expect_continue;
}

/* One piece, any two pieces, octet by octet. */
static void parse_all_ways(const char *data, size_t len, struct outcome *o)
{
	struct outcome other;
	size_t i;

	feed(data, len, len, len, o);
	for (i = 0; i < len; i++) {
		feed(data, len, i, i + 1, &other);
		if (!same(o, &other)) {
			fprintf(stderr, "%s:%d: cut at %zu: event %d status %u, not %d %u: %.60s\n",
				__FILE__, __LINE__, i, other.ev, other.p.status, o->ev, o->p.status,
				data);
			failures++;
		}
	}
}

#define H "Host: a\r\n"
/* Lines 1.1 with a Host, and the empty line. */
#define GET(fields)  "GET / HTTP/1.1\r\n" H fields "\r\n"
#define POST(fields) "POST / HTTP/1.1\r\n" H fields "\r\n"

static const struct good {
	const char *text;
	enum http_method method;
	const char *path;
	int minor;
	bool persistent, body;
	/* Octets after the request. */
	size_t after;
	bool expect;
} goods[] = {
	{GET(""), HTTP_GET, "/", 1, true},
	{"\r\n\r\n" GET(""), HTTP_GET, "/", 1, true},
	{GET("") GET(""), HTTP_GET, "/", 1, true, .after = sizeof(GET("")) - 1},
	{"HEAD /a/b?c=d/e HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, "/a/b", 1, true},
	{"GET http://x.example:80/p?q HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/p", 1, true},
	{"GET http://x.example?q HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", 1, true},
	{"GET http://x.example HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", 1, true},
	{"OPTIONS * HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "*", 1, true},
	{"CONNECT a:443 HTTP/1.1\r\n" H "\r\n", HTTP_CONNECT, "", 1, true},
	{"PATCH / HTTP/1.9\r\nhOsT:\r\n\r\n", HTTP_PATCH, "/", 1, true},
	{"GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/", 0, false},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HTTP_GET, "/", 0, true},
	{"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n", HTTP_GET, "/", 0, false},
	{GET("Connection: close\r\n"), HTTP_GET, "/", 1, false},
	{GET("connection:\t x , CLOSE \t\r\n"), HTTP_GET, "/", 1, false},
	{GET("Connection: closed, not close\r\n"), HTTP_GET, "/", 1, true},
	{GET("X: \x80\xff \t y\r\nEmpty:\r\n"), HTTP_GET, "/", 1, true},
	{GET("Content-Length: 0\r\n"), HTTP_GET, "/", 1, true},
	{GET("Expect: 100-continue\r\n"), HTTP_GET, "/", 1, true},
	{POST("Content-Length: 3 \r\n") "abcGET", HTTP_POST, "/", 1, true, true, 3},
	{POST("Content-Length: 0003\r\n") "\r\n\r", HTTP_POST, "/", 1, true, true},
	{POST("Expect: 100-Continue\r\nContent-Length: 1\r\n") "x", HTTP_POST, "/", 1, true, true,
	 .expect = true},
	{POST("Transfer-Encoding: chunked\r\n") "0\r\n\r\n", HTTP_POST, "/", 1, true, true},
	{POST("Transfer-Encoding: , Chunked ,\r\n") "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0;"
						    "z\r\n"
						    "T: v\r\nU:\r\n\r\nGET",
	 HTTP_POST, "/", 1, true, true, 3},
};

static const struct bad {
	const char *text;
	uint16_t status;
} bads[] = {
	/* Request line. */
	{"GET /\r\n\r\n", 400},
	{"GET  / HTTP/1.1\r\n", 400},
	{"GET / HTTP/1.1 \r\n", 400},
	{"GET /  HTTP/1.1\r\n", 400},
	{"GET / HTTP/1.1\n", 400},
	{"GET / HTTP/1.1\r\r\n", 400},
	{" GET / HTTP/1.1\r\n", 400},
	{"\nGET / HTTP/1.1\r\n", 400},
	{"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", 400},
	{"GET\t/ HTTP/1.1\r\n", 400},
	{"G\x80T / HTTP/1.1\r\n", 400},
	{"GET /\x80 HTTP/1.1\r\n", 400},
	{"GET /#a HTTP/1.1\r\n", 400},
	{"GET a HTTP/1.1\r\n", 400},
	{"GET * HTTP/1.1\r\n", 400},
	{"OPTIONS *a HTTP/1.1\r\n", 400},
	{"GET http:/a HTTP/1.1\r\n", 400},
	{"GET / http/1.1\r\n", 400},
	{"GET / HTTP/11\r\n", 400},
	{"GET / HTTP/1.x\r\n", 400},
	{"GET / HTTP/1.10\r\n", 400},
	{"GET / HTTP/2.0\r\n", 505},
	{"GET / HTTP/0.9\r\n", 505},
	{"get / HTTP/1.1\r\n", 501},
	{"BREW / HTTP/1.1\r\n", 501},
	{"GETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n", 501},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501},
	{"\x16\x03\x01\x02", 400},
	/* Fields. */
	{"GET / HTTP/1.1\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\n" H H "\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{GET("X : y\r\n"), 400},
	{GET(" X: y\r\n"), 400},
	{GET("X: y\r\n z\r\n"), 400},
	{GET("X: y\r\n\tz\r\n"), 400},
	{GET(": y\r\n"), 400},
	{GET("X\r\n"), 400},
	{GET("X: a\nY: b\r\n"), 400},
	{GET("X: a\rY: b\r\n"), 400},
	{GET("X: a\r\r\n"), 400},
	{GET("X: a\vb\r\n"), 400},
	{GET("X: a\x7f\r\n"), 400},
	{GET("X\x80: a\r\n"), 400},
	{"GET / HTTP/1.1\r\n" H "\r\r\n", 400},
	{"GET / HTTP/1.1\r\n" H "\n", 400},
	{GET("Expect: 200-ok\r\n"), 417},
	/* Framing. */
	{POST("Content-Length: 1\r\nContent-Length: 1\r\n"), 400},
	{POST("Content-Length: 1, 1\r\n"), 400},
	{POST("Content-Length: 1 1\r\n"), 400},
	{POST("Content-Length: +1\r\n"), 400},
	{POST("Content-Length: -1\r\n"), 400},
	{POST("Content-Length: 0x1\r\n"), 400},
	{POST("Content-Length:\r\n"), 400},
	{POST("Content-Length: 1001\r\n"), 413},
	{POST("Content-Length: 18446744073709551616\r\n"), 413},
	{POST("Content-Length: 99999999999999999999999999999\r\n"), 413},
	{POST("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
	{POST("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400},
	{POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
	{POST("Transfer-Encoding: chunked, identity\r\n"), 400},
	{POST("Transfer-Encoding: gzip, chunked\r\n"), 501},
	{POST("Transfer-Encoding: identity\r\n"), 501},
	{POST("Transfer-Encoding: xchunked\r\n"), 501},
	{POST("Transfer-Encoding: chunked x\r\n"), 501},
	{POST("Transfer-Encoding: \"chunked\"\r\n"), 501},
	{POST("Transfer-Encoding:\r\n"), 400},
	{POST("Transfer-Encoding: \vchunked\r\n"), 400},
	{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
/* Chunks. */
#define CHUNKED POST("Transfer-Encoding: chunked\r\n")
	{CHUNKED "\r\n", 400},
	{CHUNKED "g\r\n", 400},
	{CHUNKED "-1\r\n", 400},
	{CHUNKED "0x1\r\n", 400},
	{CHUNKED "1 \r\n", 400},
	{CHUNKED "1\n", 400},
	{CHUNKED "1\r1", 400},
	{CHUNKED "1;a\nb", 400},
	{CHUNKED "1\r\nab", 400},
	{CHUNKED "1\r\na\n", 400},
	{CHUNKED "0000000000000001\r\n", 400},
	{CHUNKED "ffffffffffffffff\r\n", 400},
	{CHUNKED "fffffffffffffff\r\n", 413},
	{CHUNKED "3e9\r\n", 413},
	{CHUNKED "1\r\na\r\n3e8\r\n", 413},
	{CHUNKED "0\r\n X: y\r\n", 400},
	{CHUNKED "0\r\nX : y\r\n", 400},
	{CHUNKED "0\r\nX: y\n", 400},
	{CHUNKED "0\r\n\n", 400},
	{CHUNKED "0\r\n\rG", 400},
};

#define FAIL(text, ...)                                                                            \
	do {                                                                                       \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                    \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fprintf(stderr, ": %.100s\n", text);                                               \
		failures++;                                                                        \
	} while (0)

static void test_good(void)
{
	size_t i;

	for (i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		const struct good *g = &goods[i];
		size_t len = strlen(g->text);
		struct outcome o;

		parse_all_ways(g->text, len, &o);
		if (o.ev != HTTP_DONE) {
			FAIL(g->text, "event %d, status %u", o.ev, o.p.status);
			continue;
		}
		if (o.taken + g->after != len)
			FAIL(g->text, "%zu octets left, not %zu", len - o.taken, g->after);
		if (o.p.method != g->method || o.p.minor != g->minor)
			FAIL(g->text, "method %u minor %u", o.p.method, o.p.minor);
		if (o.p.path_len != strlen(g->path) || memcmp(o.p.path, g->path, o.p.path_len))
			FAIL(g->text, "path %.*s", o.p.path_len, o.p.path);
		if (http_parse_persistent(&o.p) != g->persistent)
			FAIL(g->text, "persistent %d", !g->persistent);
		if (o.body != g->body || o.p.expect_continue != g->expect)
			FAIL(g->text, "body %d, expect %d", o.body, o.p.expect_continue);
	}
}

static void test_bad(void)
{
	size_t i;

	for (i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct outcome o;

		parse_all_ways(bads[i].text, strlen(bads[i].text), &o);
		if (o.ev != HTTP_ERROR || o.p.status != bads[i].status)
			FAIL(bads[i].text, "event %d, status %u, not %u", o.ev, o.p.status,
			     bads[i].status);
	}
}

/* A request made of head, n times unit, and tail. */
static void repeated(const char *head, const char *unit, size_t n, const char *tail,
		     enum http_event ev, uint16_t status)
{
	size_t k, len = strlen(head) + n * strlen(unit) + strlen(tail);
	char *text = malloc(len + 1), *t = text;
	struct outcome o, other;

	if (text == NULL)
		abort();
	t += sprintf(t, "%s", head);
	while (n-- > 0)
		t += sprintf(t, "%s", unit);
	sprintf(t, "%s", tail);
	feed(text, len, len, len, &o);
	if (o.ev != ev || o.p.status != status)
		FAIL(head, "event %d, status %u, not %d, %u", o.ev, o.p.status, ev, status);
	for (k = 0; k < len; k += 61) {
		feed(text, len, k, k + 30, &other);
		if (!same(&o, &other))
			FAIL(head, "cut at %zu: event %d, status %u", k, other.ev, other.p.status);
	}
	free(text);
}

static void test_limits(void)
{
	repeated("GET /", "x", 8000, " HTTP/1.1\r\n" H "\r\n", HTTP_DONE, 0);
	repeated("GET /", "x", HTTP_LINE_MAX, " HTTP/1.1\r\n" H "\r\n", HTTP_ERROR, 414);
	repeated("GET /?", "x", HTTP_LINE_MAX, " HTTP/1.1\r\n" H "\r\n", HTTP_ERROR, 414);
	repeated("GET / HTTP/1.1\r\n" H "X: ", "x", 16000, "\r\n\r\n", HTTP_DONE, 0);
	repeated("GET / HTTP/1.1\r\n" H "X: ", "x", HTTP_HEAD_MAX, "\r\n\r\n", HTTP_ERROR, 431);
	repeated("GET / HTTP/1.1\r\n" H, "X", HTTP_HEAD_MAX, ":\r\n\r\n", HTTP_ERROR, 431);
	repeated("GET / HTTP/1.1\r\n" H, "X:\r\n", HTTP_FIELDS_MAX - 1, "\r\n", HTTP_DONE, 0);
	repeated("GET / HTTP/1.1\r\n" H, "X:\r\n", HTTP_FIELDS_MAX, "\r\n", HTTP_ERROR, 431);
	repeated(CHUNKED, "1\r\nx\r\n", MAX_BODY, "0\r\n\r\n", HTTP_DONE, 0);
	repeated(CHUNKED, "1\r\nx\r\n", MAX_BODY + 1, "0\r\n\r\n", HTTP_ERROR, 413);
	repeated(CHUNKED "1;", "x", HTTP_HEAD_MAX, "\r\n", HTTP_ERROR, 431);
	repeated(CHUNKED "0\r\n", "X: y\r\n", HTTP_HEAD_MAX / 6 + 1, "\r\n", HTTP_ERROR, 431);
}

int main(void)
{
	test_good();
	test_bad();
	test_limits();
	if (failures > 0)
		fprintf(stderr, "%d failures\n", failures);
	return failures > 0;
}
