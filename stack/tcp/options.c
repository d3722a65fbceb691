/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

enum {
	KIND_EOL = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_PERM = 4,
	KIND_SACK = 5,
	KIND_TS = 8,
	KIND_UTO = 28,
	KIND_TFO = 34,
	KIND_EXP = 254,
};

#define EXP_MAGIC_TFO 0xf989

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static void parse_tfo(struct tcp_opts *o, const uint8_t *cookie, unsigned int len, uint16_t flags)
{
	/* RFC 7413 section 4.1.1: 4 to 16 octets, an even number. */
	if (len != 0 && (len < 4 || len > TCP_TFO_COOKIE_MAX || len % 2 != 0))
		return;
	o->flags = (uint16_t)((o->flags & ~TCP_OPT_TFO_EXP) | flags);
	o->tfo = cookie;
	o->tfo_len = (uint8_t)len;
}

static void parse_sack(struct tcp_opts *o, const uint8_t *p, unsigned int len)
{
	const unsigned int n = len / 8;

	if (n == 0 || n > TCP_OPT_SACK_MAX || len % 8 != 0)
		return;
	for (unsigned int i = 0; i < n; i++, p += 8)
		o->sack[i] = (struct tcp_sack){get32(p), get32(p + 4)};
	o->n_sack = (uint8_t)n;
	o->flags |= TCP_OPT_HAS_SACK;
}

/* Those that belong on a SYN; len octets of contents. */
static void parse_syn_option(struct tcp_opts *o, uint8_t kind, const uint8_t *p, unsigned int len)
{
	switch (kind) {
	case KIND_MSS:
		if (len == 2) {
			o->mss = get16(p);
			o->flags |= TCP_OPT_HAS_MSS;
		}
		break;
	case KIND_WSCALE:
		if (len == 1) {
			/* RFC 7323 section 2.3. */
			o->wscale = p[0] > TCP_OPT_WSCALE_MAX ? TCP_OPT_WSCALE_MAX : p[0];
			o->flags |= TCP_OPT_HAS_WSCALE;
		}
		break;
	case KIND_SACK_PERM:
		if (len == 0)
			o->flags |= TCP_OPT_HAS_SACK_PERM;
		break;
	case KIND_TFO:
		parse_tfo(o, p, len, TCP_OPT_HAS_TFO);
		break;
	case KIND_EXP:
		if (len >= 2 && get16(p) == EXP_MAGIC_TFO)
			parse_tfo(o, p + 2, len - 2, TCP_OPT_HAS_TFO | TCP_OPT_TFO_EXP);
		break;
	}
}

static void parse_option(struct tcp_opts *o, bool syn, uint8_t kind, const uint8_t *p,
			 unsigned int len)
{
	switch (kind) {
	case KIND_TS:
		if (len == 8) {
			o->tsval = get32(p);
			o->tsecr = get32(p + 4);
			o->flags |= TCP_OPT_HAS_TS;
		}
		break;
	case KIND_UTO:
		if (len == 2) {
			const uint16_t v = get16(p);

			/* RFC 5482 section 3: the first bit tells minutes from seconds. */
			o->uto_s = (v & 0x7fffu) * ((v & 0x8000) != 0 ? 60 : 1);
			o->flags |= TCP_OPT_HAS_UTO;
		}
		break;
	case KIND_SACK:
		/* On a SYN there is nothing yet that could be acknowledged so. */
		if (!syn)
			parse_sack(o, p, len);
		break;
	default:
		if (syn)
			parse_syn_option(o, kind, p, len);
		break;
	}
}

bool tcp_opts_parse_slow(const uint8_t *p, unsigned int len, bool syn, struct tcp_opts *o)
{
	const uint8_t *end = p + len;

	while (p < end && *p != KIND_EOL) {
		if (*p == KIND_NOP) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p) {
			o->flags |= TCP_OPT_MALFORMED;
			return false;
		}
		parse_option(o, syn, p[0], p + 2, p[1] - 2u);
		p += p[1];
	}
	return true;
}

static unsigned int put_ts(uint8_t *p, uint32_t tsval, uint32_t tsecr)
{
	p[0] = KIND_TS;
	p[1] = 10;
	put32(p + 2, tsval);
	put32(p + 6, tsecr);
	return 10;
}

/* Each group is a multiple of 4 octets, in the order that Linux has, which middleboxes know. */
unsigned int tcp_opts_write_syn(uint8_t *p, const struct tcp_opts_out *o)
{
	unsigned int at = 0;

	if (o->mss != 0) {
		p[at++] = KIND_MSS;
		p[at++] = 4;
		put16(p + at, o->mss);
		at += 2;
	}
	if (o->ts || o->sack_perm) {
		/* SACK permitted takes the place of the two NOPs before the timestamps. */
		p[at++] = o->sack_perm && o->ts ? KIND_SACK_PERM : KIND_NOP;
		p[at++] = o->sack_perm && o->ts ? 2 : KIND_NOP;
		if (o->ts) {
			at += put_ts(p + at, o->tsval, o->tsecr);
		} else {
			p[at++] = KIND_SACK_PERM;
			p[at++] = 2;
		}
	}
	if (o->wscale >= 0) {
		p[at++] = KIND_NOP;
		p[at++] = KIND_WSCALE;
		p[at++] = 3;
		p[at++] = (uint8_t)o->wscale;
	}
	/* At most 20 so far; a cookie of 16 in the experimental form just fits. */
	if (o->tfo && o->tfo_len <= TCP_TFO_COOKIE_MAX) {
		p[at++] = o->tfo_exp ? KIND_EXP : KIND_TFO;
		p[at++] = (uint8_t)(o->tfo_len + (o->tfo_exp ? 4 : 2));
		if (o->tfo_exp) {
			put16(p + at, EXP_MAGIC_TFO);
			at += 2;
		}
		if (o->tfo_len != 0)
			memcpy(p + at, o->tfo_cookie, o->tfo_len);
		at += o->tfo_len;
		while (at % 4 != 0)
			p[at++] = KIND_NOP;
	}
	return at;
}

unsigned int tcp_opts_write_sacks(uint8_t *p, unsigned int at, const struct tcp_sack *s,
				  unsigned int n_sack)
{
	const unsigned int room = (TCP_OPT_MAX - at - 4) / 8, n = n_sack < room ? n_sack : room;

	if (n == 0)
		return at;
	p += at;
	p[0] = p[1] = KIND_NOP;
	p[2] = KIND_SACK;
	p[3] = (uint8_t)(2 + 8 * n);
	for (unsigned int i = 0; i < n; i++) {
		put32(p + 4 + 8 * i, s[i].start);
		put32(p + 8 + 8 * i, s[i].end);
	}
	return at + 4 + 8 * n;
}
