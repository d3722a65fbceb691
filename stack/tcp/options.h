/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP options, read and written (RFC 9293 section 3.2): maximum segment size, window scale and
 * timestamps (RFC 7323), SACK (RFC 2018), user timeout (RFC 5482) and Fast Open (RFC 7413).
 */
#ifndef MILLRACE_TCP_OPTIONS_H
#define MILLRACE_TCP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

enum {
	TCP_OPT_HAS_MSS = 1 << 0,
	TCP_OPT_HAS_WSCALE = 1 << 1,
	TCP_OPT_HAS_SACK_PERM = 1 << 2,
	TCP_OPT_HAS_TS = 1 << 3,
	TCP_OPT_HAS_SACK = 1 << 4,
	TCP_OPT_HAS_TFO = 1 << 5,
	TCP_OPT_HAS_UTO = 1 << 6,
	/* With _TFO: it came as experimental option (kind 254), and is answered so. */
	TCP_OPT_TFO_EXP = 1 << 7,
	TCP_OPT_MALFORMED = 1 << 8,
};

#define TCP_OPT_MAX	   40
#define TCP_OPT_SACK_MAX   4
#define TCP_OPT_WSCALE_MAX 14
#define TCP_TFO_COOKIE_MAX 16

/* Host order, end excluded. */
struct tcp_sack {
	uint32_t start, end;
};

struct tcp_opts {
	/* TCP_OPT_*: which of the fields below have a meaning. */
	uint16_t flags;
	uint16_t mss;
	/* 0 to 14. */
	uint8_t wscale;
	uint8_t n_sack;
	/* 0: the client asks for a cookie. */
	uint8_t tfo_len;
	/* Seconds, as far as 15 bits of minutes reach. */
	uint32_t uto_s;
	uint32_t tsval, tsecr;
	struct tcp_sack sack[TCP_OPT_SACK_MAX];
	/* Into the packet. */
	const uint8_t *tfo;
};

/* NOP, NOP, timestamps: as it stands in nearly all segments. */
#define TCP_OPT_TS_ALIGNED 0x0101080a

bool tcp_opts_parse_slow(const uint8_t *p, unsigned int len, bool syn, struct tcp_opts *o);

/*
 * Reads the len octets of options of a segment. False if they are malformed: an option's length is
 * 0 or 1, or goes beyond the end; what came before is filled in. Unknown options are skipped, and
 * known ones with a length they cannot have. Options that belong on a SYN are ignored elsewhere.
 */
static inline bool tcp_opts_parse(const uint8_t *p, unsigned int len, bool syn, struct tcp_opts *o)
{
	uint32_t w[3];

	o->flags = 0;
	o->n_sack = 0;
	if (len == 12) {
		memcpy(w, p, 12);
		if (__builtin_expect(w[0] == RTE_BE32(TCP_OPT_TS_ALIGNED), 1)) {
			o->flags = TCP_OPT_HAS_TS;
			o->tsval = rte_be_to_cpu_32(w[1]);
			o->tsecr = rte_be_to_cpu_32(w[2]);
			return true;
		}
	}
	if (len == 0)
		return true;
	return tcp_opts_parse_slow(p, len, syn, o);
}

/* What goes on a SYN or SYN-ACK. */
struct tcp_opts_out {
	/* 0: none. */
	uint16_t mss;
	/* -1: none. */
	int8_t wscale;
	bool sack_perm, ts;
	/* Fast Open: tfo_len octets of cookie at tfo, or with tfo_len 0 the request for one. */
	bool tfo, tfo_exp;
	uint8_t tfo_len;
	uint32_t tsval, tsecr;
	const uint8_t *tfo_cookie;
};

/* Both return the octets written, a multiple of 4 and at most 40; p has room for 40. */
unsigned int tcp_opts_write_syn(uint8_t *p, const struct tcp_opts_out *o);

unsigned int tcp_opts_write_sacks(uint8_t *p, unsigned int at, const struct tcp_sack *s,
				  unsigned int n_sack);

/* As many SACK blocks as fit: 4 without timestamps, 3 with. */
static inline unsigned int tcp_opts_write(uint8_t *p, bool ts, uint32_t tsval, uint32_t tsecr,
					  const struct tcp_sack *s, unsigned int n_sack)
{
	unsigned int at = 0;

	if (ts) {
		const uint32_t w[3] = {RTE_BE32(TCP_OPT_TS_ALIGNED), rte_cpu_to_be_32(tsval),
				       rte_cpu_to_be_32(tsecr)};

		memcpy(p, w, sizeof(w));
		at = sizeof(w);
	}
	if (__builtin_expect(n_sack != 0, 0))
		return tcp_opts_write_sacks(p, at, s, n_sack);
	return at;
}

#endif
