/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer harness of the request parser. The input's first four octets say where the rest, a
 * stream of requests, is cut into pieces; the pieces must not change what the stream means.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http_parse.h"

#define MAX_BODY 100000

/* What a stream meant: everything a responder acts upon, folded into one number. */
struct meaning {
	uint64_t sum;
	uint32_t requests;
};

static void fold(struct meaning *m, uint64_t v)
{
	m->sum = (m->sum ^ v) * 0x9e3779b97f4a7c15;
	m->sum ^= m->sum >> 29;
}

static void fold_request(struct meaning *m, const struct http_parse *p, enum http_event ev,
			 size_t pos)
{
	size_t i, n = p->path_len < HTTP_PATH_MAX ? p->path_len : HTTP_PATH_MAX;

	fold(m, (uint64_t)ev << 32 | pos);
	if (ev == HTTP_ERROR) {
		if (p->status < 400 || p->status > 599)
			abort();
		fold(m, p->status);
		return;
	}
	fold(m, (uint64_t)p->method << 16 | p->minor << 8 | http_parse_persistent(p));
	fold(m, p->expect_continue);
	for (i = 0; i < n; i++)
		fold(m, (uint8_t)p->path[i]);
	m->requests++;
}

static struct meaning parse(const uint8_t *data, size_t size, uint32_t seed)
{
	struct meaning m = {0};
	struct http_parse p;
	size_t pos = 0, end = seed == 0 ? size : 0;
	uint8_t *piece = NULL;

	http_parse_init(&p, HTTP_HEAD_MAX, MAX_BODY);
	while (pos < size) {
		enum http_event ev;
		size_t taken;

		if (pos == end) {
			seed = seed * 1664525 + 1013904223;
			/* Mostly short pieces. */
			end = pos + 1 + (seed >> 8) % ((seed >> 28) > 12 ? 400 : 7);
			if (end > size)
				end = size;
		}
		/* Of its own, so that reading beyond it is seen. */
		piece = malloc(end - pos);
		if (piece == NULL)
			abort();
		memcpy(piece, data + pos, end - pos);
		ev = http_parse(&p, piece, end - pos, &taken);
		free(piece);
		if (taken > end - pos || (ev == HTTP_MORE && taken != end - pos))
			abort();
		pos += taken;
		if (ev == HTTP_MORE)
			continue;
		fold_request(&m, &p, ev, pos);
		if (ev == HTTP_ERROR)
			break;
		if (ev == HTTP_DONE)
			http_parse_init(&p, HTTP_HEAD_MAX, MAX_BODY);
	}
	return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct meaning whole, pieces;
	uint32_t seed;

	if (size < sizeof(seed))
		return 0;
	memcpy(&seed, data, sizeof(seed));
	data += sizeof(seed);
	size -= sizeof(seed);
	whole = parse(data, size, 0);
	pieces = parse(data, size, seed | 1);
	if (whole.sum != pieces.sum || whole.requests != pieces.requests)
		abort();
	return 0;
}
