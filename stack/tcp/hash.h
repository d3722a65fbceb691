/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash (Aumasson and Bernstein) under a secret key: connections cannot be made to collide by
 * whoever does not know it, and cookies, sequence numbers and ports cannot be foretold.
 *
 * The tuple is absorbed as whole words. The first word has the family in it, which tells how many
 * follow, so no input is a prefix of another and SipHash's final length block would add nothing.
 * 1-3 rounds for the lookup table, where an attacker never sees a hash; 2-4 where he does.
 */
#ifndef MILLRACE_TCP_HASH_H
#define MILLRACE_TCP_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tcp.h"

struct tcp_key {
	uint64_t k[2];
};

struct tcp_sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t tcp_sip_rotl(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static inline void tcp_sip_round(struct tcp_sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = tcp_sip_rotl(s->v1, 13) ^ s->v0;
	s->v3 = tcp_sip_rotl(s->v3, 16) ^ s->v2;
	s->v0 = tcp_sip_rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = tcp_sip_rotl(s->v1, 17) ^ s->v2;
	s->v3 = tcp_sip_rotl(s->v3, 21) ^ s->v0;
	s->v2 = tcp_sip_rotl(s->v2, 32);
}

static inline void tcp_sip_start(struct tcp_sip *s, const struct tcp_key *key)
{
	s->v0 = key->k[0] ^ 0x736f6d6570736575;
	s->v1 = key->k[1] ^ 0x646f72616e646f6d;
	s->v2 = key->k[0] ^ 0x6c7967656e657261;
	s->v3 = key->k[1] ^ 0x7465646279746573;
}

static inline void tcp_sip_word(struct tcp_sip *s, uint64_t w, unsigned int rounds)
{
	s->v3 ^= w;
	for (unsigned int i = 0; i < rounds; i++)
		tcp_sip_round(s);
	s->v0 ^= w;
}

static inline uint64_t tcp_sip_end(struct tcp_sip *s, unsigned int rounds)
{
	s->v2 ^= 0xff;
	for (unsigned int i = 0; i < rounds; i++)
		tcp_sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline uint64_t tcp_load64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * Absorbs the tuple: ports, network instance, family (and `purpose`, in the upper half of the
 * family's 16 bits, so that one key serves several uses), then the addresses: 2 words for IPv4, 5
 * for IPv6.
 */
static inline void tcp_sip_tuple(struct tcp_sip *s, const struct tcp_tuple *t, uint8_t purpose,
				 unsigned int rounds)
{
	const uint8_t *ports = (const uint8_t *)t + offsetof(struct tcp_tuple, lport);

	tcp_sip_word(s, tcp_load64(ports) ^ (uint64_t)purpose << 56, rounds);
	if (t->family == 4) {
		/* The last words end in the IPv4 addresses. */
		tcp_sip_word(s,
			     tcp_load64(t->laddr.b + 8) >> 32 |
				     (tcp_load64(t->raddr.b + 8) & 0xffffffff00000000),
			     rounds);
		return;
	}
	tcp_sip_word(s, tcp_load64(t->raddr.b), rounds);
	tcp_sip_word(s, tcp_load64(t->raddr.b + 8), rounds);
	tcp_sip_word(s, tcp_load64(t->laddr.b), rounds);
	tcp_sip_word(s, tcp_load64(t->laddr.b + 8), rounds);
}

/* SipHash-1-3 of a tuple, for the lookup table. */
static inline uint32_t tcp_tuple_hash(const struct tcp_key *key, const struct tcp_tuple *t)
{
	struct tcp_sip s;

	tcp_sip_start(&s, key);
	tcp_sip_tuple(&s, t, 0, 1);
	return (uint32_t)tcp_sip_end(&s, 3);
}

/* SipHash-2-4 as published, of any octets. */
uint64_t tcp_siphash24(const struct tcp_key *key, const void *data, size_t len);

#endif
