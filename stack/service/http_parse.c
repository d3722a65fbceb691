/* SPDX-License-Identifier: Apache-2.0 */
#include "http_parse_impl.h"

const char *const http_method_names[HTTP_METHODS] = {
	"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
};

/* Empty lines before a request that are passed over. */
#define BLANK_MAX    4
#define PATH_LEN_MAX UINT16_MAX

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* What a request target may consist of: visible ASCII, and no fragment. */
static bool is_target(uint8_t c)
{
	return c > 0x20 && c < 0x7f && c != '#';
}

void http_parse_init(struct http_parse *p, uint32_t max_head, uint64_t max_body)
{
	memset(p, 0, offsetof(struct http_parse, tok));
	p->max_head = max_head;
	p->max_body = max_body;
}

static int method_of(const struct http_parse *p)
{
	int i;

	/* tok is in lower case and methods are case-sensitive: name_len counts upper case letters.
	 */
	if (p->name_len != p->tok_len)
		return -1;
	for (i = 0; i < HTTP_METHODS; i++) {
		const char *name = http_method_names[i];
		size_t k, n = strlen(name);

		if (n != p->tok_len)
			continue;
		for (k = 0; k < n && p->tok[k] == (name[k] | 0x20); k++)
			;
		if (k == n)
			return i;
	}
	return -1;
}

/* The head is complete: how long is the body (RFC 9112 section 6.3)? */
static enum http_event head_end(struct http_parse *p)
{
	if (p->minor > 0 && !p->host)
		return http_fail(p, 400);
	if (p->has_te) {
		if (p->has_length || p->minor == 0)
			return http_fail(p, 400);
		if (p->te_unknown)
			return http_fail(p, 501);
		if (!p->chunked)
			return http_fail(p, 400);
	}
	if (p->length > p->max_body)
		return http_fail(p, 413);
	if (p->expect_unknown && p->minor > 0)
		return http_fail(p, 417);
	if (!p->chunked && p->length == 0) {
		p->expect_continue = false;
		p->state = S_DONE;
		return HTTP_DONE;
	}
	if (p->minor == 0)
		p->expect_continue = false;
	p->left = p->chunked ? 0 : p->length;
	p->state = p->chunked ? S_CHUNK_SIZE : S_BODY;
	/* From here on it bounds chunk extensions and the trailer. */
	p->used = 0;
	return HTTP_BODY;
}

static void path_add(struct http_parse *p, const uint8_t *d, size_t n)
{
	if (p->path_len < HTTP_PATH_MAX) {
		size_t room = HTTP_PATH_MAX - p->path_len;

		memcpy(p->path + p->path_len, d, n < room ? n : room);
	}
	p->path_len = p->path_len + n < PATH_LEN_MAX ? p->path_len + n : PATH_LEN_MAX;
}

/* The target is complete. */
static void version_begin(struct http_parse *p)
{
	if (p->path_len == 0 && p->method != HTTP_CONNECT)
		path_add(p, (const uint8_t *)"/", 1);
	p->state = S_VERSION;
	p->version_pos = 0;
}

static uint16_t method_end(struct http_parse *p)
{
	int m = method_of(p);

	if (m < 0)
		return 501;
	p->method = (uint8_t)m;
	p->state = S_TARGET;
	return 0;
}

/* An octet of the request line but of a path. 0 or a status. */
static uint16_t line_octet(struct http_parse *p, uint8_t c)
{
	static const char version[] = "HTTP/1.";

	switch (p->state) {
	case S_START:
		if (c == '\r') {
			if (++p->blank_lines > BLANK_MAX)
				return 400;
			p->state = S_START_LF;
			return 0;
		}
		http_tok_reset(p);
		p->name_len = 0;
		p->state = S_METHOD;
		/* Fall through. */
	case S_METHOD:
		if (c == ' ')
			return p->tok_len == 0 ? 400 : method_end(p);
		if (http_tchar(c) == 0)
			return 400;
		http_tok_add(p, http_tchar(c));
		if (p->tok_len == HTTP_TOK_OTHER)
			return 501;
		p->name_len += http_tchar(c) != (char)c;
		return 0;
	case S_START_LF:
		p->state = S_START;
		return c == '\n' ? 0 : 400;
	case S_TARGET:
		if (p->method == HTTP_CONNECT) {
			p->state = S_REST;
			return is_target(c) ? 0 : 400;
		}
		if (c == '*' && p->method == HTTP_OPTIONS) {
			path_add(p, &c, 1);
			p->state = S_ASTERISK;
			return 0;
		}
		p->state = S_SCHEME;
		return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? 0 : 400;
	case S_SCHEME:
		if (c == ':')
			p->state = S_SLASH1;
		else if (!is_alnum(c) && c != '+' && c != '-' && c != '.')
			return 400;
		return 0;
	case S_SLASH1:
	case S_SLASH2:
		p->state++;
		return c == '/' ? 0 : 400;
	case S_AUTHORITY:
		if (c == ' ')
			version_begin(p);
		else if (c == '?')
			p->state = S_REST;
		else if (!is_target(c))
			return 400;
		return 0;
	case S_REST:
		if (c == ' ')
			version_begin(p);
		else if (!is_target(c))
			return 400;
		return 0;
	case S_ASTERISK:
		if (c != ' ')
			return 400;
		version_begin(p);
		return 0;
	case S_VERSION:
		if (p->version_pos < 7) {
			uint8_t want = (uint8_t)version[p->version_pos++];

			if (c == want)
				return 0;
			/* Another major version; its digit is the sixth octet. */
			return want == '1' && c >= '0' && c <= '9' ? 505 : 400;
		}
		if (p->version_pos++ == 7) {
			p->minor = c > '0';
			return c >= '0' && c <= '9' ? 0 : 400;
		}
		p->state = S_LINE_LF;
		return c == '\r' ? 0 : 400;
	case S_LINE_LF:
		p->state = S_FIELD;
		return c == '\n' ? 0 : 400;
	}
	return 400;
}

/* Octets from d on that are plain in a field's value. */
static size_t value_run(const uint8_t *d, const uint8_t *end)
{
	const uint8_t *s = d;
	const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;

	/* Eight at a time: none below 0x20 and none 0x7f. */
	while (end - s >= 8) {
		uint64_t w, x;

		memcpy(&w, s, 8);
		x = w ^ (ones * 0x7f);
		if (((w - ones * 0x20) & ~w & high) | ((x - ones) & ~x & high))
			break;
		s += 8;
	}
	while (s < end && http_is_value(*s))
		s++;
	return (size_t)(s - d);
}

static size_t path_run(const uint8_t *d, const uint8_t *end)
{
	const uint8_t *s = d;

	while (s < end && is_target(*s) && *s != '?')
		s++;
	return (size_t)(s - d);
}

/* Adds the octets of a token from s on. */
static const uint8_t *token_run(struct http_parse *p, const uint8_t *s, const uint8_t *end)
{
	unsigned int n = p->tok_len;
	char c;

	for (; s < end && (c = http_tchar(*s)) != 0; s++) {
		if (n < sizeof(p->tok))
			p->tok[n++] = c;
		else
			n = HTTP_TOK_OTHER;
	}
	p->tok_len = (uint8_t)n;
	return s;
}

/* What most request lines begin and end with is taken whole. Returns the octets taken. */
static size_t usual(struct http_parse *p, const uint8_t *s, const uint8_t *end)
{
	static const char get[] = "GET /", version[] = "HTTP/1.1\r\n";

	if (p->state == S_START && (size_t)(end - s) >= sizeof(get) - 1 &&
	    memcmp(s, get, sizeof(get) - 1) == 0) {
		p->method = HTTP_GET;
		p->state = S_PATH;
		/* The slash is the path's. */
		return sizeof(get) - 2;
	}
	if (p->state == S_VERSION && p->version_pos == 0 &&
	    (size_t)(end - s) >= sizeof(version) - 1 &&
	    memcmp(s, version, sizeof(version) - 1) == 0) {
		p->minor = 1;
		p->state = S_FIELD;
		return sizeof(version) - 1;
	}
	return 0;
}

/* Head: *d moves on. HTTP_MORE at end. */
static enum http_event head(struct http_parse *p, const uint8_t **d, const uint8_t *end)
{
	const uint8_t *s = *d;
	uint16_t err = 0;
	size_t n;

	while (s < end && err == 0) {
		uint8_t c = *s;

		switch (p->state) {
		case S_PATH:
			n = path_run(s, end);
			path_add(p, s, n);
			s += n;
			if (s == end)
				break;
			c = *s++;
			if (c == ' ')
				version_begin(p);
			else if (c == '?')
				p->state = S_REST;
			else
				err = 400;
			break;
		case S_FIELD:
			if (c == '\r') {
				p->state = S_HEAD_LF;
				s++;
				break;
			}
			/* Whitespace here would be obs-fold, and is no token. */
			http_tok_reset(p);
			p->state = S_NAME;
			/* Fall through. */
		case S_NAME:
			s = token_run(p, s, end);
			if (s == end)
				break;
			if (*s++ != ':' || p->tok_len == 0) {
				err = 400;
				break;
			}
			err = http_field_begin(p);
			p->state = S_OWS;
			break;
		case S_OWS:
			if (c == ' ' || c == '\t') {
				s++;
				break;
			}
			p->state = S_VALUE;
			/* Fall through. */
		case S_VALUE:
			n = value_run(s, end);
			if (p->field == F_OTHER) {
				s += n;
			} else {
				for (; n > 0 && err == 0; n--)
					err = http_field_octet(p, *s++);
			}
			if (err != 0 || s == end)
				break;
			p->state = S_VALUE_LF;
			err = *s++ == '\r' ? http_field_end(p) : 400;
			break;
		case S_VALUE_LF:
			p->state = S_FIELD;
			s++;
			err = c == '\n' ? 0 : 400;
			break;
		case S_HEAD_LF:
			*d = s + 1;
			return c == '\n' ? head_end(p) : http_fail(p, 400);
		case S_START:
		case S_VERSION:
			n = usual(p, s, end);
			s += n;
			if (n == 0)
				err = line_octet(p, *s++);
			break;
		case S_TARGET:
		case S_AUTHORITY:
			if (c == '/' && p->method != HTTP_CONNECT) {
				p->state = S_PATH;
				break;
			}
			/* Fall through. */
		default:
			err = line_octet(p, c);
			s++;
			break;
		}
	}
	*d = s;
	return err != 0 ? http_fail(p, err) : HTTP_MORE;
}

enum http_event http_parse(struct http_parse *p, const void *data, size_t len, size_t *taken)
{
	const uint8_t *d = data, *end = d + len;
	enum http_event ev = HTTP_MORE;

	while (p->state <= S_HEAD_LF && d < end) {
		/* The request line has a bound of its own within the head's. */
		bool line = p->state < S_FIELD;
		uint32_t max = line && p->max_head > HTTP_LINE_MAX ? HTTP_LINE_MAX : p->max_head;
		size_t room = max > p->used ? max - p->used : 0;
		const uint8_t *from = d, *stop = (size_t)(end - d) > room ? d + room : end;

		if (d == stop) {
			ev = http_fail(p, line && p->state >= S_TARGET && p->state < S_VERSION
						  ? 414
						  : 431);
			break;
		}
		ev = head(p, &d, stop);
		if (ev == HTTP_MORE)
			p->used += (uint32_t)(d - from);
		if (ev != HTTP_MORE)
			break;
	}
	if (ev == HTTP_MORE) {
		if (p->state == S_ERROR)
			ev = HTTP_ERROR;
		else if (p->state == S_DONE)
			ev = HTTP_DONE;
		else if (p->state > S_HEAD_LF)
			ev = http_parse_body(p, &d, end);
	}
	*taken = (size_t)(d - (const uint8_t *)data);
	return ev;
}

bool http_parse_in_body(const struct http_parse *p)
{
	return p->state > S_HEAD_LF && p->state < S_DONE;
}
