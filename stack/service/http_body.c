/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests: passed over, but their framing is checked (RFC 9112 sections 6 and 7). */
#include "http_parse_impl.h"

/* Digits of a chunk's size: it fits 64 bits with room to add. */
#define CHUNK_DIGITS 15

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* A chunk's size line is complete. 0 or a status. */
static uint16_t chunk_begin(struct http_parse *p)
{
	p->size_digits = 0;
	if (p->left == 0) {
		p->state = S_TRAILER;
		return 0;
	}
	if (p->left > p->max_body - p->body)
		return 413;
	p->body += p->left;
	p->state = S_CHUNK_DATA;
	return 0;
}

/* An octet of a chunk's frame or of the trailer (RFC 9112 section 7.1). 0 or a status. */
static uint16_t chunk_octet(struct http_parse *p, uint8_t c)
{
	int digit;

	switch (p->state) {
	case S_CHUNK_SIZE:
		digit = hex(c);
		if (digit >= 0) {
			if (++p->size_digits > CHUNK_DIGITS)
				return 400;
			p->left = p->left << 4 | (unsigned int)digit;
			return 0;
		}
		if (p->size_digits == 0)
			return 400;
		if (c == '\r')
			p->state = S_CHUNK_LF;
		else if (c == ';')
			p->state = S_CHUNK_EXT;
		else
			return 400;
		return 0;
	case S_CHUNK_EXT:
		if (c == '\r')
			p->state = S_CHUNK_LF;
		else if (!http_is_value(c))
			return 400;
		return 0;
	case S_CHUNK_LF:
		return c == '\n' ? chunk_begin(p) : 400;
	case S_CHUNK_END_CR:
		p->state = S_CHUNK_END_LF;
		return c == '\r' ? 0 : 400;
	case S_CHUNK_END_LF:
		p->state = S_CHUNK_SIZE;
		p->left = 0;
		return c == '\n' ? 0 : 400;
	case S_TRAILER:
		if (c == '\r')
			p->state = S_TRAILER_LF;
		else if (http_tchar(c) != 0)
			p->state = S_TRAILER_NAME;
		else
			return 400;
		return 0;
	case S_TRAILER_NAME:
		if (c == ':')
			p->state = S_TRAILER_VALUE;
		else if (http_tchar(c) == 0)
			return 400;
		return 0;
	case S_TRAILER_VALUE:
		if (c == '\r')
			p->state = S_TRAILER_VALUE_LF;
		else if (!http_is_value(c))
			return 400;
		return 0;
	case S_TRAILER_VALUE_LF:
		p->state = S_TRAILER;
		return c == '\n' ? 0 : 400;
	case S_TRAILER_LF:
		p->state = S_DONE;
		return c == '\n' ? 0 : 400;
	}
	return 400;
}

enum http_event http_parse_body(struct http_parse *p, const uint8_t **d, const uint8_t *end)
{
	const uint8_t *s = *d;
	uint16_t err = 0;

	while (s < end && err == 0 && p->state != S_DONE) {
		if (p->state == S_BODY || p->state == S_CHUNK_DATA) {
			uint64_t n = (uint64_t)(end - s) < p->left ? (uint64_t)(end - s) : p->left;

			s += n;
			p->left -= n;
			if (p->left == 0)
				p->state = p->state == S_BODY ? S_DONE : S_CHUNK_END_CR;
			continue;
		}
		/* A size line of plain digits costs nothing, so that bodies may have any number of
		 * chunks; what else there is is bounded. */
		if (p->state == S_CHUNK_EXT || p->state >= S_TRAILER) {
			if (++p->used > p->max_head) {
				err = 431;
				break;
			}
		}
		err = chunk_octet(p, *s++);
	}
	*d = s;
	if (err != 0)
		return http_fail(p, err);
	return p->state == S_DONE ? HTTP_DONE : HTTP_MORE;
}
