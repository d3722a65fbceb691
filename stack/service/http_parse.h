/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of HTTP/1.x requests (RFC 9110, 9112): pure, incremental, without memory of its own beyond
 * this struct. It takes octets as they come, in pieces of any size, and the pieces make no
 * difference to the outcome. It keeps what a responder needs to know and passes over the rest,
 * bodies included.
 *
 * It is strict where leniency lets two parsers of one stream disagree (RFC 9112 section 11.2):
 * lines end in CRLF only, no obs-fold, no whitespace before a colon, no Content-Length beside
 * Transfer-Encoding, one Content-Length of digits only.
 */
#ifndef MILLRACE_SVC_HTTP_PARSE_H
#define MILLRACE_SVC_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
	HTTP_CONNECT,
	HTTP_TRACE,
	HTTP_METHODS,
};

/* Octets of a request's path that are kept. */
#define HTTP_PATH_MAX 256
/* Octets of a request line at most (RFC 9112 section 3 asks for 8,000). */
#define HTTP_LINE_MAX	8192
#define HTTP_HEAD_MAX	16384
#define HTTP_FIELDS_MAX 128

enum http_event {
	/* All octets are taken and the request is not complete. */
	HTTP_MORE,
	/* The head is complete and valid, and a body follows. */
	HTTP_BODY,
	/* The request is complete; http_parse_init() before the next. */
	HTTP_DONE,
	/* `status` says what is wrong. What follows in the stream cannot be made sense of. */
	HTTP_ERROR,
};

struct http_parse {
	/* Where in the grammar; 0: before the request. */
	uint8_t state;
	/* Of the field that is being read. */
	uint8_t field, name_len, tok_len;
	bool tok_space;
	/* How the body is framed. */
	bool has_length, has_te, chunked, te_unknown, host, host_bad;
	uint8_t method;
	uint8_t version_pos;
	/* 0 or 1: HTTP/1.0 or 1.1 (or a later minor version). */
	uint8_t minor;
	/* Connection: close and keep-alive were among its options. */
	bool close, keep_alive;
	/* Expect: 100-continue; only where a body follows a 1.1 request. */
	bool expect_continue;
	bool expect_unknown;
	uint8_t size_digits;
	uint8_t blank_lines;
	/* Status for HTTP_ERROR. */
	uint16_t status;
	uint16_t fields;
	/* Octets of the path, which may be more than are kept. */
	uint16_t path_len;
	/* Octets of head, or of chunk headers and trailer, so far, and at most. */
	uint32_t used, max_head;
	/* Of body or chunk that are to come; of body so far, and at most. */
	uint64_t left, body, max_body;
	uint64_t length;
	/* Lower case. */
	char tok[24];
	/* Without query; "*" for OPTIONS *; empty for CONNECT. */
	char path[HTTP_PATH_MAX];
};

/* max_head and max_body in octets. */
void http_parse_init(struct http_parse *p, uint32_t max_head, uint64_t max_body);
/* Takes octets up to the event; *taken says how many. */
enum http_event http_parse(struct http_parse *p, const void *data, size_t len, size_t *taken);

/* Nothing of a request was seen yet. */
static inline bool http_parse_idle(const struct http_parse *p)
{
	return p->state == 0;
}

/* The head is complete and the body is not. */
bool http_parse_in_body(const struct http_parse *p);

/* The client expects the connection to stay open after this request (RFC 9112 section 9.3). */
static inline bool http_parse_persistent(const struct http_parse *p)
{
	return !p->close && (p->minor > 0 || p->keep_alive);
}

/* "GET", …; what `Allow` lists. */
extern const char *const http_method_names[HTTP_METHODS];

#endif
