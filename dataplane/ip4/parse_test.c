/* SPDX-License-Identifier: Apache-2.0 */
#include "../core/flow.h"
#include "packet_test.h"
#include "parse.h"

static void test_options_check(void)
{
	static const struct {
		const char *name;
		uint8_t opt[12];
		unsigned int len;
		enum ip4_opts want;
		uint8_t pointer;
	} t[] = {
		{"nop and end", {1, 1, 1, 0}, 4, IP4_OPTS_OK, 0},
		{"router alert", {148, 4, 0, 0}, 4, IP4_OPTS_OK, 0},
		{"router alert of 5", {148, 5, 0, 0, 0, 0, 0, 0}, 8, IP4_OPTS_MALFORMED, 21},
		{"record route", {7, 7, 4, 0, 0, 0, 0, 0}, 8, IP4_OPTS_OK, 0},
		{"record route, pointer 3", {7, 7, 3, 0, 0, 0, 0, 0}, 8, IP4_OPTS_MALFORMED, 22},
		{"record route of 2", {7, 2, 0, 0}, 4, IP4_OPTS_MALFORMED, 21},
		{"timestamp", {68, 8, 5, 0, 0, 0, 0, 0}, 8, IP4_OPTS_OK, 0},
		{"timestamp of 3", {68, 3, 5, 0}, 4, IP4_OPTS_MALFORMED, 21},
		{"loose source route", {131, 7, 4, 1, 2, 3, 4, 0}, 8, IP4_OPTS_SOURCE_ROUTE, 0},
		{"strict source route behind nop",
		 {1, 137, 7, 4, 1, 2, 3, 4},
		 8,
		 IP4_OPTS_SOURCE_ROUTE,
		 0},
		{"length 0", {130, 0, 0, 0}, 4, IP4_OPTS_MALFORMED, 21},
		{"length 1", {130, 1, 0, 0}, 4, IP4_OPTS_MALFORMED, 21},
		{"length beyond the header", {130, 11, 0, 0}, 4, IP4_OPTS_MALFORMED, 21},
		{"no room for a length", {1, 1, 1, 130}, 4, IP4_OPTS_MALFORMED, 23},
		{"garbage behind the end", {0, 130, 99, 1}, 4, IP4_OPTS_OK, 0},
		{"unknown", {222, 4, 9, 9}, 4, IP4_OPTS_OK, 0},
	};
	uint8_t hdr[60];

	for (unsigned int i = 0; i < RTE_DIM(t); i++) {
		uint8_t pointer = 99;
		enum ip4_opts v;

		memset(hdr, 0, sizeof(hdr));
		memcpy(hdr + 20, t[i].opt, t[i].len);
		v = ip4_options_check(hdr, 20 + t[i].len, &pointer);
		CHECK(v == t[i].want, "%s: %d", t[i].name, v);
		CHECK(pointer == t[i].pointer, "%s: pointer %u", t[i].name, pointer);
	}
}

static void test_cksum_update(void)
{
	uint8_t b[32];
	unsigned int seed = 1;

	for (unsigned int round = 0; round < 20000; round++) {
		uint16_t before, after, from, to, got;

		for (unsigned int i = 0; i < sizeof(b); i++)
			b[i] = (uint8_t)rand_r(&seed);
		/* Both forms of zero come up. */
		if (round % 3 == 0)
			memset(b, round % 2 ? 0xff : 0, sizeof(b));
		before = rte_cpu_to_be_16(plain_cksum(b, sizeof(b), 0));
		memcpy(&from, b + 4, 2);
		b[4] = (uint8_t)rand_r(&seed);
		b[5] = (uint8_t)rand_r(&seed);
		memcpy(&to, b + 4, 2);
		after = rte_cpu_to_be_16(plain_cksum(b, sizeof(b), 0));
		got = cksum_update16(before, from, to);
		/* A receiver takes either form of zero. */
		CHECK(got == after || (uint16_t)(got ^ after) == 0xffff, "round %u: %04x, not %04x",
		      round, got, after);
	}
}

static void test_error_allowed(void)
{
	struct packet p;

	make_udp(&p, "10.0.1.2", "203.0.113.1", 20);
	CHECK(icmp4_error_allowed(p.b, p.len), "UDP");
	for (uint32_t n = 0; n < 20; n++)
		CHECK(!icmp4_error_allowed(p.b, n), "%u bytes", n);
	p.b[6] = 0x20;
	CHECK(icmp4_error_allowed(p.b, p.len), "first fragment");
	p.b[7] = 1;
	CHECK(!icmp4_error_allowed(p.b, p.len), "other fragment");
	make_udp(&p, "10.0.1.2", "224.0.0.9", 20);
	CHECK(!icmp4_error_allowed(p.b, p.len), "multicast");
	make_udp(&p, "10.0.1.2", "255.255.255.255", 20);
	CHECK(!icmp4_error_allowed(p.b, p.len), "broadcast");
	make_udp(&p, "0.0.0.0", "203.0.113.1", 20);
	CHECK(!icmp4_error_allowed(p.b, p.len), "no source");
	make_udp(&p, "127.0.0.1", "203.0.113.1", 20);
	CHECK(!icmp4_error_allowed(p.b, p.len), "loopback source");
	make_udp(&p, "240.0.0.1", "203.0.113.1", 20);
	CHECK(!icmp4_error_allowed(p.b, p.len), "class E source");
	for (unsigned int type = 0; type < 256; type++) {
		bool query = type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);

		make_icmp(&p, "10.0.1.2", "203.0.113.1", (uint8_t)type, 0);
		CHECK(icmp4_error_allowed(p.b, p.len) == query, "ICMP type %u", type);
	}
	CHECK(!icmp4_error_allowed(p.b, 20), "ICMP type out of sight");
}

/* The hash as the lookup calls it: a header whole in a segment of len bytes. */
static void hash4(const uint8_t *p, uint32_t len)
{
	struct rte_mbuf m = {.buf_addr = (void *)(uintptr_t)p, .data_len = (uint16_t)len};

	if (len >= sizeof(struct rte_ipv4_hdr))
		flow_hash4((const void *)p, &m);
}

static void parse_all(const uint8_t *p, uint32_t len)
{
	const uint32_t hlen = len > 0 ? (p[0] & 0xf) * 4u : 0;
	uint8_t pointer, out[40];

	icmp4_error_allowed(p, len);
	hash4(p, len);
	ip4_transport_check(len > 9 ? p[9] : 0, p, len, len);
	if (hlen < 20 || hlen > len)
		return;
	if (ip4_options_check(p, hlen, &pointer) == IP4_OPTS_OK)
		CHECK(ip4_options_copied(p, hlen, out) <= 40, "copied options");
	else
		CHECK(pointer < hlen, "pointer %u of %u", pointer, hlen);
	if (len > hlen)
		ip4_transport_check(p[9], p + hlen, len - hlen, len - hlen);
}

static void test_exact(void)
{
	static const uint8_t opt[40] = {148, 4, 0, 0, 7, 7, 4, 1, 1,   1, 1,
					68,  8, 5, 0, 0, 0, 0, 0, 130, 4};
	static const uint8_t protos[] = {IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP,
					 IPPROTO_GRE};
	static struct packet p;
	unsigned int seed = 99;

	for (unsigned int round = 0; round < 50000; round++) {
		unsigned int changes = (unsigned int)rand_r(&seed) % 6;

		make4(&p, "10.0.1.2", "203.0.113.1",
		      protos[(unsigned int)rand_r(&seed) % sizeof(protos)], opt,
		      (unsigned int)rand_r(&seed) % 11 * 4, (unsigned int)rand_r(&seed) % 40);
		for (unsigned int i = 0; i < changes; i++)
			p.b[(unsigned int)rand_r(&seed) % p.len] = (uint8_t)rand_r(&seed);
		on_exact_copy(p.b, (unsigned int)rand_r(&seed) % (p.len + 1), parse_all);
	}
}

/* All packets of a flow alike, fragments by addresses, and neighbours in port space spread over few
 * buckets. */
static void test_hash(void)
{
	unsigned int bucket[16] = {0};
	static struct packet p;
	struct rte_mbuf m = {.buf_addr = p.b};
	uint32_t h;

	make_udp(&p, "10.0.1.2", "203.0.113.1", 20);
	m.data_len = (uint16_t)p.len;
	h = flow_hash4((const void *)p.b, &m);
	p.b[8] = 3;
	p.b[40] ^= 0xff;
	CHECK(flow_hash4((const void *)p.b, &m) == h, "TTL and payload");
	p.b[6] = 0x20;
	h = flow_hash4((const void *)p.b, &m);
	p.b[7] = 9;
	p.b[20] ^= 0xff;
	CHECK(flow_hash4((const void *)p.b, &m) == h, "fragments");
	p.b[6] = p.b[7] = 0;
	for (unsigned int i = 0; i < 16000; i++) {
		p.b[20] = (uint8_t)(i >> 8);
		p.b[21] = (uint8_t)i;
		bucket[flow_hash4((const void *)p.b, &m) % 16]++;
	}
	for (unsigned int i = 0; i < 16; i++)
		CHECK(bucket[i] > 750 && bucket[i] < 1250, "bucket %u has %u of 16000", i,
		      bucket[i]);
}

void ip4_parse_tests(void)
{
	test_options_check();
	test_cksum_update();
	test_error_allowed();
	test_exact();
	test_hash();
}
