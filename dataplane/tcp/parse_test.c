/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about segments, and the random numbers. */
#include <netinet/in.h>

#include "../ip4/check_test.h"
#include "host.h"
#include "term_test.h"

/* RFC 8439 section 2.3.2. */
static void test_chacha(void)
{
	static const uint32_t want[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3,
					  0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
					  0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
					  0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
	const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0};
	uint32_t key[8], out[16];

	for (uint32_t i = 0; i < 8; i++)
		key[i] = (4 * i) | (4 * i + 1) << 8 | (4 * i + 2) << 16 | (4 * i + 3) << 24;
	chacha20_block(key, 1, nonce, out);
	for (int i = 0; i < 16; i++)
		CHECK(out[i] == want[i], "word %d is %08x", i, out[i]);
}

static void test_random(void)
{
	const uint32_t key[8] = {1, 2, 3};
	struct term_random a, b, c;
	uint64_t ones = 0, last = 0;

	term_random_key(&a, key);
	term_random_key(&b, key);
	CHECK(term_random_init(&c) == 0, "seed");
	for (int i = 0; i < 1000; i++) {
		uint64_t v = term_random(&a);

		CHECK(v == term_random(&b), "not of the key alone, number %d", i);
		CHECK(v != last && v != term_random(&c), "number %d again", i);
		ones += (uint64_t)__builtin_popcountll(v);
		last = v;
	}
	CHECK(ones > 31000 && ones < 33000, "%llu of 64,000 bits are set",
	      (unsigned long long)ones);
}

/* An ICMP error of `type` and `code` about a segment from 192.0.2.1:80 to 198.51.100.2:1234. */
static uint32_t error4(uint8_t *p, uint8_t type, uint8_t code, uint16_t mtu)
{
	static const uint8_t quote[28] = {0x45, 0,  0,	  100,	0, 0, 0x40, 0,	64,  6,
					  0,	0,  192,  0,	2, 1, 198,  51, 100, 2,
					  0,	80, 0x04, 0xd2, 1, 2, 3,    4};

	memset(p, 0, 28);
	p[0] = 0x45;
	p[9] = IPPROTO_ICMP;
	p[20] = type;
	p[21] = code;
	p[26] = (uint8_t)(mtu >> 8);
	p[27] = (uint8_t)mtu;
	memcpy(p + 28, quote, sizeof(quote));
	return 28 + sizeof(quote);
}

static void expect(const uint8_t *pkt, uint32_t len, enum tcp_icmp what, uint32_t mtu)
{
	struct term_error e;
	uint8_t *copy;

	CHECK(term_icmp_parse(pkt, len, &e), "not understood");
	CHECK(e.what == what && e.mtu == mtu, "what %d, MTU %u", e.what, e.mtu);
	CHECK(e.seq == 0x01020304 && e.tuple.lport == RTE_BE16(80) &&
		      e.tuple.rport == RTE_BE16(1234),
	      "ports %u %u", e.tuple.lport, e.tuple.rport);
	/* Nothing past the end is read, and nothing is made of less than the ports and the number.
	 */
	for (uint32_t n = 0; n < len; n++) {
		copy = malloc(n + 1);
		memcpy(copy, pkt, n);
		CHECK(!term_icmp_parse(copy, n, &e), "understood from %u octets", n);
		free(copy);
	}
}

static void test_icmp4(void)
{
	static const struct {
		uint8_t type, code;
		enum tcp_icmp what;
	} errors[] = {{3, 0, TCP_ICMP_SOFT},  {3, 1, TCP_ICMP_SOFT},  {3, 2, TCP_ICMP_HARD},
		      {3, 3, TCP_ICMP_HARD},  {3, 13, TCP_ICMP_HARD}, {11, 0, TCP_ICMP_SOFT},
		      {12, 0, TCP_ICMP_SOFT}, {3, 6, TCP_ICMP_SOFT}};
	uint8_t p[64];
	struct term_error e;
	uint32_t n;

	for (unsigned int i = 0; i < RTE_DIM(errors); i++) {
		n = error4(p, errors[i].type, errors[i].code, 0);
		expect(p, n, errors[i].what, 0);
	}
	n = error4(p, 3, 4, 1400);
	expect(p, n, TCP_ICMP_TOO_BIG, 1400);
	term_icmp_parse(p, n, &e);
	CHECK(e.tuple.family == 4 && e.tuple.laddr.b[12] == 192 && e.tuple.raddr.b[12] == 198,
	      "addresses");
	/* An echo reply, another protocol, a fragment, another version inside. */
	n = error4(p, 0, 0, 0);
	CHECK(!term_icmp_parse(p, n, &e), "echo reply");
	n = error4(p, 3, 1, 0);
	p[28 + 9] = IPPROTO_UDP;
	CHECK(!term_icmp_parse(p, n, &e), "UDP");
	n = error4(p, 3, 1, 0);
	p[28 + 7] = 1;
	CHECK(!term_icmp_parse(p, n, &e), "fragment");
	n = error4(p, 3, 1, 0);
	p[28] = 0x65;
	CHECK(!term_icmp_parse(p, n, &e), "version");
	n = error4(p, 3, 1, 0);
	p[28] = 0x4f;
	CHECK(!term_icmp_parse(p, n, &e), "options beyond the end");
}

static uint32_t error6(uint8_t *p, uint8_t type, uint8_t code, uint32_t mtu)
{
	uint8_t *q = p + 48, *tcp = q + 40;

	memset(p, 0, 96);
	p[0] = q[0] = 0x60;
	p[5] = 56;
	p[6] = IPPROTO_ICMPV6;
	p[8] = p[24] = q[8] = q[24] = 0x20;
	q[23] = 1;
	q[39] = 2;
	p[40] = type;
	p[41] = code;
	p[44] = (uint8_t)(mtu >> 24);
	p[46] = (uint8_t)(mtu >> 8);
	p[47] = (uint8_t)mtu;
	q[5] = 20;
	q[6] = IPPROTO_TCP;
	tcp[1] = 80;
	tcp[2] = 0x04;
	tcp[3] = 0xd2;
	memcpy(tcp + 4, "\1\2\3\4", 4);
	return 96;
}

static void test_icmp6(void)
{
	static const struct {
		uint8_t type, code;
		enum tcp_icmp what;
	} errors[] = {{1, 0, TCP_ICMP_SOFT}, {1, 1, TCP_ICMP_HARD}, {1, 3, TCP_ICMP_SOFT},
		      {1, 4, TCP_ICMP_HARD}, {1, 6, TCP_ICMP_HARD}, {3, 0, TCP_ICMP_SOFT},
		      {4, 1, TCP_ICMP_HARD}, {4, 0, TCP_ICMP_SOFT}};
	uint8_t p[96];
	struct term_error e;
	uint32_t n;

	for (unsigned int i = 0; i < RTE_DIM(errors); i++) {
		n = error6(p, errors[i].type, errors[i].code, 0);
		expect(p, n, errors[i].what, 0);
	}
	n = error6(p, 2, 0, 0x01000500);
	expect(p, n, TCP_ICMP_TOO_BIG, 0x01000500);
	term_icmp_parse(p, n, &e);
	CHECK(e.tuple.family == 6 && e.tuple.laddr.b[15] == 1 && e.tuple.raddr.b[15] == 2,
	      "addresses");
	n = error6(p, 129, 0, 0);
	CHECK(!term_icmp_parse(p, n, &e), "echo reply");
	n = error6(p, 1, 0, 0);
	p[48 + 6] = IPPROTO_UDP;
	CHECK(!term_icmp_parse(p, n, &e), "UDP");
}

void test_parse(void)
{
	test_chacha();
	test_random();
	test_icmp4();
	test_icmp6();
}
