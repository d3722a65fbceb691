/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets with TCP segments in them, written and read independently of the engine, so that an
 * error in the engine's own reading or writing shows.
 */
#ifndef MILLRACE_SIM_SEGMENT_H
#define MILLRACE_SIM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../tcp/tcp.h"

enum {
	SEG_FIN = 0x01,
	SEG_SYN = 0x02,
	SEG_RST = 0x04,
	SEG_PSH = 0x08,
	SEG_ACK = 0x10,
	SEG_URG = 0x20,
	SEG_ECE = 0x40,
	SEG_CWR = 0x80,
};

/* ECN field of the IP header. */
enum {
	ECN_NOT = 0,
	ECN_ECT1 = 1,
	ECN_ECT0 = 2,
	ECN_CE = 3,
};

#define SEG_MAX 65535

struct seg {
	struct tcp_addr src, dst;
	/* Host order. */
	uint16_t sport, dport;
	uint8_t family, ttl, dscp, ecn;
	bool dont_fragment;
	uint32_t seq, ack;
	uint16_t win, urg;
	uint8_t flags;
	/* Octets: the IP header, the TCP header with options, payload. */
	uint16_t l3_len, l4_len;
	uint32_t len;
	const uint8_t *payload;

	bool has_mss, has_wscale, sack_ok, has_ts, has_fast_open;
	uint16_t mss;
	uint8_t wscale;
	uint32_t tsval, tsecr;
	uint8_t n_sack;
	uint32_t sack[4][2];
	uint8_t fast_open_len;
	uint8_t fast_open[16];
	/* An option that none of the above is, or a malformed one. */
	bool odd_options;
};

/* What is wrong with the packet's form, or NULL. Checksums are checked too. */
const char *seg_parse(const uint8_t *p, uint32_t len, struct seg *s);
/* Writes it (up to SEG_MAX octets) with good checksums, plain IP header, usual options; returns the
 * length. s->payload may be NULL: zeroes. */
uint32_t seg_build(const struct seg *s, uint8_t *out);
/* Puts checksums right after a change. */
void seg_fix(uint8_t *p, uint32_t len);
/* False if a checksum shows the packet to be damaged. */
bool seg_checksum_ok(const uint8_t *p, uint32_t len);
/* Octets of sequence space. */
static inline uint32_t seg_space(const struct seg *s)
{
	return s->len + ((s->flags & SEG_SYN) != 0) + ((s->flags & SEG_FIN) != 0);
}

/* "S. 0:0(0) ack 1 win 65535 <mss 1460,…>": numbers relative to isn and peer_isn. */
void seg_text(const struct seg *s, uint32_t isn, uint32_t peer_isn, char *out, uint32_t cap);

static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void set16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void set32(uint8_t *p, uint32_t v)
{
	set16(p, (uint16_t)(v >> 16));
	set16(p + 2, (uint16_t)v);
}

#endif
