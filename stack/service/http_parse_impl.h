/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the request parser share. */
#ifndef MILLRACE_SVC_HTTP_PARSE_IMPL_H
#define MILLRACE_SVC_HTTP_PARSE_IMPL_H

#include <string.h>

#include "http_parse.h"

enum state {
	/* Before the request line, where empty lines are passed over (RFC 9112 section 2.2). */
	S_START,
	S_START_LF,
	S_METHOD,
	S_TARGET,
	/* absolute-form: scheme ":" "//" authority path */
	S_SCHEME,
	S_SLASH1,
	S_SLASH2,
	S_AUTHORITY,
	S_PATH,
	/* Query, and what CONNECT has for a target. */
	S_REST,
	/* After "*". */
	S_ASTERISK,
	S_VERSION,
	S_LINE_LF,
	/* Fields of head or trailer. */
	S_FIELD,
	S_NAME,
	S_OWS,
	S_VALUE,
	S_VALUE_LF,
	S_HEAD_LF,
	S_BODY,
	S_CHUNK_SIZE,
	S_CHUNK_EXT,
	S_CHUNK_LF,
	S_CHUNK_DATA,
	S_CHUNK_END_CR,
	S_CHUNK_END_LF,
	S_TRAILER,
	S_TRAILER_NAME,
	S_TRAILER_VALUE,
	S_TRAILER_VALUE_LF,
	S_TRAILER_LF,
	S_DONE,
	S_ERROR,
};

enum field {
	F_OTHER,
	F_HOST,
	F_LENGTH,
	F_CONNECTION,
	F_TE,
	F_EXPECT,
};

/* tok_len of a token that is none of those we know, however it goes on. */
#define HTTP_TOK_OTHER 255

/* A token's octet in lower case (RFC 9110 section 5.6.2), 0: not allowed in one. */
static inline char http_tchar(uint8_t c)
{
	/* "!#$%&'*+-.^_`|~", digits and letters. */
	static const uint64_t map[4] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe, 0, 0};

	if ((map[c >> 6] >> (c & 63) & 1) == 0)
		return 0;
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* What a field's value may consist of (RFC 9110 section 5.5). */
static inline bool http_is_value(uint8_t c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static inline void http_tok_reset(struct http_parse *p)
{
	p->tok_len = 0;
	p->tok_space = false;
}

static inline void http_tok_add(struct http_parse *p, char c)
{
	if (p->tok_len < sizeof(p->tok))
		p->tok[p->tok_len++] = c;
	else
		p->tok_len = HTTP_TOK_OTHER;
}

static inline enum http_event http_fail(struct http_parse *p, uint16_t status)
{
	p->state = S_ERROR;
	p->status = status;
	return HTTP_ERROR;
}

/* Fields that matter (http_field.c): name complete, an octet of the value, value complete. 0, or
 * the status to answer with. */
uint16_t http_field_begin(struct http_parse *p);
uint16_t http_field_octet(struct http_parse *p, uint8_t c);
uint16_t http_field_end(struct http_parse *p);

/* Takes octets of a body (http_body.c): *d moves on. */
enum http_event http_parse_body(struct http_parse *p, const uint8_t **d, const uint8_t *end);

#endif
