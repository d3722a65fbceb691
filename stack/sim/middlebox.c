/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdlib.h>

static void strip(uint8_t *o, uint32_t len, uint64_t kinds, uint16_t mss_clamp)
{
	for (uint32_t i = 0; i < len;) {
		uint32_t n;

		if (o[i] == 0)
			return;
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len)
			return;
		n = o[i + 1];
		if (o[i] == 2 && n == 4 && mss_clamp != 0 && be16(o + i + 2) > mss_clamp)
			set16(o + i + 2, mss_clamp);
		if (o[i] < 64 && (kinds >> o[i] & 1))
			memset(o + i, 1, n);
		i += n;
	}
}

static void clear_ecn(uint8_t *p)
{
	if (p[0] >> 4 == 4)
		p[1] &= 0xfc;
	else
		p[1] &= 0xcf;
}

/* The segment's octets from `from` on, `n` of them, as a packet of their own. */
static uint32_t piece(const uint8_t *p, const struct seg *s, uint32_t from, uint32_t n,
		      uint8_t *out)
{
	uint32_t head = s->l3_len + s->l4_len;

	memcpy(out, p, head);
	memcpy(out + head, s->payload + from, n);
	set32(out + s->l3_len + 4, s->seq + from);
	if (from + n < s->len)
		out[s->l3_len + 13] &= (uint8_t) ~(SEG_FIN | SEG_PSH);
	if (from != 0)
		out[s->l3_len + 13] &= (uint8_t)~SEG_CWR;
	seg_fix(out, head + n);
	return head + n;
}

static void split(struct path *path, struct rng *r, uint8_t *p, const struct seg *s,
		  void (*fn)(void *arg, uint8_t *p, uint32_t len), void *arg)
{
	uint8_t out[SEG_MAX];
	uint32_t done = 0;

	for (int i = 0; i < 3 && done < s->len; i++) {
		uint32_t n = i == 2 ? s->len - done : (uint32_t)rng_range(r, 1, s->len - done);

		fn(arg, out, piece(p, s, done, n, out));
		done += n;
	}
	if (done < s->len)
		fn(arg, out, piece(p, s, done, s->len - done, out));
}

/* The packet with the end of the one before it in front, as retransmissions of other sizes look. */
static bool overlap(struct path *path, struct rng *r, const uint8_t *p, uint32_t len,
		    const struct seg *s, void (*fn)(void *arg, uint8_t *p, uint32_t len), void *arg)
{
	uint8_t out[SEG_MAX];
	struct seg b;
	uint32_t n, head = s->l3_len + s->l4_len;

	if (path->before == NULL || seg_parse(path->before, path->before_len, &b) != NULL ||
	    b.sport != s->sport || b.dport != s->dport || b.family != s->family ||
	    memcmp(&b.src, &s->src, sizeof(b.src)) != 0 || b.len == 0 || (b.flags & SEG_SYN) ||
	    b.seq + b.len != s->seq)
		return false;
	n = (uint32_t)rng_range(r, 1, b.len);
	if (len + n > 60000)
		return false;
	memcpy(out, p, head);
	memcpy(out + head, b.payload + b.len - n, n);
	memcpy(out + head + n, s->payload, s->len);
	set32(out + s->l3_len + 4, s->seq - n);
	seg_fix(out, len + n);
	fn(arg, out, len + n);
	return true;
}

void middlebox_pass(struct path *path, struct rng *r, uint64_t now, uint8_t *p, uint32_t len,
		    void (*fn)(void *arg, uint8_t *p, uint32_t len), void *arg)
{
	const struct middlebox *b = &path->box;
	struct seg s;
	uint64_t kinds = b->strip_all;
	uint8_t *t;
	bool plain;

	if (seg_parse(p, len, &s) != NULL)
		return;
	t = p + s.l3_len;
	plain = !(s.flags & (SEG_SYN | SEG_RST)) && s.len > 1 && s.urg == 0;
	if (s.flags & SEG_SYN)
		kinds |= b->strip_syn;
	strip(t + 20, s.l4_len - 20, kinds, s.flags & SEG_SYN ? b->mss_clamp : 0);
	if (b->bleach_ecn)
		clear_ecn(p);
	if (b->window_clamp != 0 && s.win > b->window_clamp)
		set16(t + 14, b->window_clamp);
	if (now >= b->zero_from && now < b->zero_until && !(s.flags & SEG_SYN))
		set16(t + 14, 0);
	seg_fix(p, len);
	if (plain && rng_chance(r, b->split_ppm))
		split(path, r, p, &s, fn, arg);
	else if (!(plain && rng_chance(r, b->overlap_ppm) && overlap(path, r, p, len, &s, fn, arg)))
		fn(arg, p, len);
	if (b->overlap_ppm != 0 && plain) {
		path->before = realloc(path->before, len);
		if (path->before == NULL)
			abort();
		memcpy(path->before, p, len);
		path->before_len = len;
	}
}
