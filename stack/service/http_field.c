/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a request's head that say how it is framed and what the connection does after it. */
#include "http_parse_impl.h"

static bool is_host_mark(uint8_t c)
{
	return strchr("-._~%!$&'()*+,;=:[]", c) != NULL;
}

/* What may be in a Host (RFC 3986 section 3.2.2, with a port). */
static bool is_host(uint8_t c)
{
	bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');

	return alnum || (c > 0x20 && c < 0x7f && is_host_mark(c));
}

static bool is_word(const struct http_parse *p, const char *word, size_t len)
{
	return p->tok_len == len && memcmp(p->tok, word, len) == 0;
}
#define IS(p, word) is_word(p, word, sizeof(word) - 1)

static enum field field_of(const struct http_parse *p)
{
	switch (p->tok_len) {
	case 4:
		return IS(p, "host") ? F_HOST : F_OTHER;
	case 6:
		return IS(p, "expect") ? F_EXPECT : F_OTHER;
	case 10:
		return IS(p, "connection") ? F_CONNECTION : F_OTHER;
	case 14:
		return IS(p, "content-length") ? F_LENGTH : F_OTHER;
	case 17:
		return IS(p, "transfer-encoding") ? F_TE : F_OTHER;
	}
	return F_OTHER;
}

/* A field's name is complete. 0 or a status. */
uint16_t http_field_begin(struct http_parse *p)
{
	p->field = field_of(p);
	http_tok_reset(p);
	if (++p->fields > HTTP_FIELDS_MAX)
		return 431;
	switch (p->field) {
	case F_HOST:
		if (p->host)
			return 400;
		p->host = true;
		break;
	case F_LENGTH:
		/* Equal ones might be merged; nobody sends them in good faith. */
		if (p->has_length)
			return 400;
		p->has_length = true;
		break;
	case F_TE:
		p->has_te = true;
		break;
	}
	return 0;
}

/* A list's element is complete. 0 or a status. */
static uint16_t element(struct http_parse *p)
{
	if (p->tok_len == 0)
		return 0;
	switch (p->field) {
	case F_CONNECTION:
		if (IS(p, "close"))
			p->close = true;
		else if (IS(p, "keep-alive"))
			p->keep_alive = true;
		break;
	case F_TE:
		/* chunked is last and applied once (RFC 9112 section 6.1). */
		if (p->chunked)
			return 400;
		if (IS(p, "chunked"))
			p->chunked = true;
		else
			p->te_unknown = true;
		break;
	case F_EXPECT:
		if (IS(p, "100-continue"))
			p->expect_continue = true;
		else
			p->expect_unknown = true;
		break;
	}
	http_tok_reset(p);
	return 0;
}

/* An octet of the value of a field that matters. 0 or a status. */
uint16_t http_field_octet(struct http_parse *p, uint8_t c)
{
	bool space = c == ' ' || c == '\t';

	switch (p->field) {
	case F_LENGTH:
		if (space) {
			p->tok_space = true;
			return 0;
		}
		if (c < '0' || c > '9' || p->tok_space)
			return 400;
		if (p->length > (UINT64_MAX - 9) / 10)
			return 413;
		p->length = p->length * 10 + (c - '0');
		p->tok_len = 1;
		return 0;
	case F_HOST:
		if (space) {
			p->tok_space = true;
			return 0;
		}
		return p->tok_space || !is_host(c) ? 400 : 0;
	}
	if (c == ',')
		return element(p);
	if (space) {
		p->tok_space = p->tok_len > 0;
		return 0;
	}
	if (p->tok_space)
		p->tok_len = HTTP_TOK_OTHER;
	http_tok_add(p, http_tchar(c) != 0 ? http_tchar(c) : (char)c);
	return 0;
}

/* A field's value is complete. 0 or a status. */
uint16_t http_field_end(struct http_parse *p)
{
	switch (p->field) {
	case F_OTHER:
	case F_HOST:
		return 0;
	case F_LENGTH:
		return p->tok_len == 0 ? 400 : 0;
	}
	return element(p);
}
