/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer harness of the option parser: the first byte tells whether it is a SYN, the rest are
 * the options. What was read is written again and has to be read the same.
 */
#include <stdlib.h>

#include "options.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check(const struct tcp_opts *o, const uint8_t *p, unsigned int len, bool syn)
{
	const uint16_t on_syn = TCP_OPT_HAS_MSS | TCP_OPT_HAS_WSCALE | TCP_OPT_HAS_SACK_PERM |
				TCP_OPT_HAS_TFO | TCP_OPT_TFO_EXP;

	require(o->n_sack <= TCP_OPT_SACK_MAX);
	require((o->n_sack != 0) == ((o->flags & TCP_OPT_HAS_SACK) != 0));
	require(syn ? (o->flags & TCP_OPT_HAS_SACK) == 0 : (o->flags & on_syn) == 0);
	if ((o->flags & TCP_OPT_HAS_WSCALE) != 0)
		require(o->wscale <= TCP_OPT_WSCALE_MAX);
	if ((o->flags & TCP_OPT_HAS_TFO) != 0) {
		require(o->tfo_len <= TCP_TFO_COOKIE_MAX);
		require(o->tfo >= p && o->tfo + o->tfo_len <= p + len);
	}
}

static unsigned int write_again(const struct tcp_opts *o, bool syn, uint8_t *p)
{
	const struct tcp_opts_out out = {
		.mss = (o->flags & TCP_OPT_HAS_MSS) != 0 ? o->mss : 0,
		.wscale = (int8_t)((o->flags & TCP_OPT_HAS_WSCALE) != 0 ? o->wscale : -1),
		.sack_perm = (o->flags & TCP_OPT_HAS_SACK_PERM) != 0,
		.ts = (o->flags & TCP_OPT_HAS_TS) != 0,
		.tfo = (o->flags & TCP_OPT_HAS_TFO) != 0,
		.tfo_exp = (o->flags & TCP_OPT_TFO_EXP) != 0,
		.tfo_len = (o->flags & TCP_OPT_HAS_TFO) != 0 ? o->tfo_len : 0,
		.tsval = o->tsval,
		.tsecr = o->tsecr,
		.tfo_cookie = o->tfo,
	};

	if (syn)
		return tcp_opts_write_syn(p, &out);
	return tcp_opts_write(p, out.ts, out.tsval, out.tsecr, o->sack, o->n_sack);
}

static void check_same(const struct tcp_opts *a, const struct tcp_opts *b)
{
	/* An MSS of 0 is the same as none; 4 SACK blocks beside timestamps do not fit. */
	const unsigned int fit = (a->flags & TCP_OPT_HAS_TS) != 0 ? 3 : 4;
	uint16_t flags = a->flags & (uint16_t) ~(TCP_OPT_MALFORMED | TCP_OPT_HAS_UTO);

	if ((flags & TCP_OPT_HAS_MSS) != 0 && a->mss == 0)
		flags &= (uint16_t)~TCP_OPT_HAS_MSS;
	require(b->flags == flags);
	require(b->n_sack == (a->n_sack < fit ? a->n_sack : fit));
	require(memcmp(a->sack, b->sack, b->n_sack * sizeof(a->sack[0])) == 0);
	if ((flags & TCP_OPT_HAS_MSS) != 0)
		require(a->mss == b->mss);
	if ((flags & TCP_OPT_HAS_WSCALE) != 0)
		require(a->wscale == b->wscale);
	if ((flags & TCP_OPT_HAS_TS) != 0)
		require(a->tsval == b->tsval && a->tsecr == b->tsecr);
	if ((flags & TCP_OPT_HAS_TFO) != 0)
		require(a->tfo_len == b->tfo_len && memcmp(a->tfo, b->tfo, a->tfo_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_opts o, slow, again;
	uint8_t written[TCP_OPT_MAX];
	unsigned int len;
	bool syn, ok;

	if (size == 0)
		return 0;
	syn = (data[0] & 1) != 0;
	len = size - 1 < TCP_OPT_MAX ? (unsigned int)size - 1 : TCP_OPT_MAX;
	ok = tcp_opts_parse(data + 1, len, syn, &o);
	require(ok == ((o.flags & TCP_OPT_MALFORMED) == 0));
	check(&o, data + 1, len, syn);
	/* The fast way is but a fast way. */
	slow = (struct tcp_opts){0};
	require(tcp_opts_parse_slow(data + 1, len, syn, &slow) == ok);
	require(slow.flags == o.flags && slow.n_sack == o.n_sack);
	if ((o.flags & TCP_OPT_HAS_TS) != 0)
		require(slow.tsval == o.tsval && slow.tsecr == o.tsecr);
	len = write_again(&slow, syn, written);
	require(len <= TCP_OPT_MAX && len % 4 == 0);
	require(tcp_opts_parse(written, len, syn, &again));
	check_same(&slow, &again);
	return 0;
}
