/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash, SYN and Fast Open cookies, and the other numbers nobody may guess. */
#include <arpa/inet.h>

#include "check_test.h"
#include "cookie.h"

#define SECOND UINT64_C(1000000000)

static const struct tcp_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
static const struct tcp_key other = {{0x0706050403020101, 0x0f0e0d0c0b0a0908}};

static struct tcp_tuple tuple(uint16_t family)
{
	struct tcp_tuple t = {.lport = htons(80), .rport = htons(40000), .family = family};

	if (family == 4) {
		tcp_addr4(&t.laddr, htonl(0xc0000201));
		tcp_addr4(&t.raddr, htonl(0xc6336402));
	} else {
		inet_pton(AF_INET6, "2001:db8::1", t.laddr.b);
		inet_pton(AF_INET6, "2001:db8:1::2", t.raddr.b);
	}
	return t;
}

/* The vectors that its authors publish: the key above, inputs 00, 00 01, 00 01 02, … */
static void test_vectors(void)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} v[] = {
		{0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a},
		{3, 0x85676696d7fb7e2d},  {4, 0xcf2794e0277187b7}, {5, 0x18765564cd99a68d},
		{6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137}, {8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
	};
	uint8_t in[64];

	for (unsigned int i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (unsigned int i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		CHECK(tcp_siphash24(&key, in, v[i].len) == v[i].hash);
}

/* Every bit that names a connection counts; what IPv4 does not use does not. */
static void test_tuple_hash(void)
{
	for (uint16_t family = 4; family <= 6; family += 2) {
		const struct tcp_tuple t = tuple(family);
		const uint32_t h = tcp_tuple_hash(&key, &t);
		unsigned int same = 0;

		CHECK(h != tcp_tuple_hash(&other, &t));
		for (unsigned int bit = 0; bit < 38 * 8; bit++) {
			struct tcp_tuple u = t;
			const unsigned int octet = bit / 8;

			((uint8_t *)&u)[octet] ^= (uint8_t)(1u << bit % 8);
			if (family == 4 && (octet % 16 < 12) && octet < 32)
				CHECK(h == tcp_tuple_hash(&key, &u));
			else
				same += h == tcp_tuple_hash(&key, &u);
			if (family == 6 || octet >= 32 || octet % 16 >= 12) {
				CHECK(tcp_isn(&key, &t, 1) != tcp_isn(&key, &u, 1));
				CHECK(tcp_ts_offset(&key, &t) != tcp_ts_offset(&key, &u));
				CHECK_EQ(tcp_port_offset(&key, &t) == tcp_port_offset(&key, &u),
					 octet == 32 || octet == 33);
				CHECK_EQ(tcp_port_index(&key, &t) == tcp_port_index(&key, &u),
					 octet == 32 || octet == 33);
			}
		}
		CHECK_EQ(same, 0);
	}
}

/* Buckets of the lookup table fill evenly for tuples that differ little. */
static void test_spread(void)
{
	static unsigned int bucket[256];
	struct tcp_tuple t = tuple(4);

	for (unsigned int i = 0; i < 65536; i++) {
		t.rport = (uint16_t)i;
		bucket[tcp_tuple_hash(&key, &t) & 255]++;
	}
	for (unsigned int i = 0; i < 256; i++)
		CHECK(bucket[i] > 256 - 96 && bucket[i] < 256 + 96);
}

static void test_isn(void)
{
	const struct tcp_tuple t = tuple(4);
	const uint32_t a = tcp_isn(&key, &t, SECOND);

	/* 4 microseconds a step. */
	CHECK_EQ(tcp_isn(&key, &t, SECOND + 4096) - a, 1);
	CHECK_EQ((tcp_isn(&key, &t, 2 * SECOND) - a) / 1000, 244);
	CHECK(tcp_isn(&other, &t, SECOND) != a);
}

static void round_trip(uint16_t family, const struct tcp_cookie_info *in, uint64_t now)
{
	const struct tcp_tuple t = tuple(family);
	const uint32_t isn = (uint32_t)now * 77, c = tcp_cookie_make(&key, &t, isn, now, in);
	struct tcp_cookie_info out = {0};

	CHECK(tcp_cookie_check(&key, &t, isn, c, now, &out));
	CHECK(out.mss <= in->mss);
	CHECK(out.wscale <= in->wscale && (out.wscale < 0) == (in->wscale < 0));
	CHECK_EQ(out.sack, in->sack);
	CHECK_EQ(out.ecn, in->ecn);
	if (in->mss == (family == 4 ? 1460 : 1440))
		CHECK_EQ(out.mss, in->mss);
	if (in->wscale >= 5 && in->wscale <= 8)
		CHECK_EQ(out.wscale, in->wscale);
}

static void test_cookie_info(void)
{
	static const uint16_t mss[] = {88,   300,  535,	 536,  1219, 1220, 1300, 1360,
				       1400, 1420, 1440, 1452, 1460, 8940, 8960, 65535};

	for (uint16_t family = 4; family <= 6; family += 2) {
		for (unsigned int m = 0; m < sizeof(mss) / sizeof(mss[0]); m++) {
			for (int8_t scale = -1; scale <= 14; scale++) {
				for (unsigned int b = 0; b < 4; b++) {
					const struct tcp_cookie_info in = {
						mss[m], scale, (b & 1) != 0, (b & 2) != 0};

					round_trip(family, &in, m * 20 * SECOND + 1);
				}
			}
		}
	}
}

static void test_cookie_age(void)
{
	const struct tcp_cookie_info in = {1460, 7, true, false};
	const struct tcp_tuple t = tuple(6);
	struct tcp_cookie_info out;

	for (uint64_t made = 100 * SECOND; made < 500 * SECOND; made += 3 * SECOND) {
		const uint32_t c = tcp_cookie_make(&key, &t, 5, made, &in);

		for (uint64_t age = 0; age < 500 * SECOND; age += SECOND) {
			const bool ok = tcp_cookie_check(&key, &t, 5, c, made + age, &out);

			if (age <= 68 * SECOND)
				CHECK(ok);
			if (age >= 138 * SECOND)
				CHECK(!ok);
		}
	}
}

static void test_cookie_forged(void)
{
	const struct tcp_cookie_info in = {1460, 7, true, false};
	const struct tcp_tuple t = tuple(4);
	const uint64_t now = 1000 * SECOND;
	const uint32_t c = tcp_cookie_make(&key, &t, 5, now, &in);
	struct tcp_cookie_info out;
	struct tcp_tuple u = t;
	unsigned int hits = 0;
	uint64_t seed = 9;

	CHECK(!tcp_cookie_check(&other, &t, 5, c, now, &out));
	CHECK(!tcp_cookie_check(&key, &t, 6, c, now, &out));
	u.rport ^= 1;
	CHECK(!tcp_cookie_check(&key, &u, 5, c, now, &out));
	u = t;
	u.vrf = 1;
	CHECK(!tcp_cookie_check(&key, &u, 5, c, now, &out));
	for (unsigned int bit = 0; bit < 32; bit++)
		CHECK(!tcp_cookie_check(&key, &t, 5, c ^ 1u << bit, now, &out));
	/* 2^-23 each: about one in 4 million tries is 0.5; six would be one run in 10^5. */
	for (unsigned int i = 0; i < 4000000; i++)
		hits += tcp_cookie_check(&key, &t, (uint32_t)i, (uint32_t)test_random(&seed), now,
					 &out);
	CHECK(hits < 6);
}

static void test_tfo(void)
{
	const struct tcp_tuple t = tuple(6);
	uint8_t c[TCP_TFO_COOKIE_LEN];
	bool refresh = true;

	tcp_tfo_cookie(&key, &t.raddr, &t.laddr, c);
	CHECK(tcp_tfo_check(&key, NULL, &t.raddr, &t.laddr, c, sizeof(c), &refresh));
	CHECK(!refresh);
	CHECK(tcp_tfo_check(&other, &key, &t.raddr, &t.laddr, c, sizeof(c), &refresh));
	CHECK(refresh);
	CHECK(!tcp_tfo_check(&other, NULL, &t.raddr, &t.laddr, c, sizeof(c), &refresh));
	CHECK(!refresh);
	CHECK(!tcp_tfo_check(&key, NULL, &t.laddr, &t.raddr, c, sizeof(c), NULL));
	CHECK(!tcp_tfo_check(&key, NULL, &t.raddr, &t.laddr, c, 4, NULL));
	for (unsigned int bit = 0; bit < 64; bit++) {
		c[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(!tcp_tfo_check(&key, &other, &t.raddr, &t.laddr, c, sizeof(c), NULL));
		c[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	test_vectors();
	test_tuple_hash();
	test_spread();
	test_isn();
	test_cookie_info();
	test_cookie_age();
	test_cookie_forged();
	test_tfo();
	return 0;
}
