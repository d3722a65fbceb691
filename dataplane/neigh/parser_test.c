/* SPDX-License-Identifier: Apache-2.0 */
/* Every truncation and length lie, in buffers of exactly the length given so that the sanitizer
 * sees a read beyond. */
#include "test_util.h"

static enum arp_verdict arp_exact(const uint8_t *data, uint32_t len)
{
	uint8_t *p = malloc(len != 0 ? len : 1);
	enum arp_verdict v;

	memcpy(p, data, len);
	v = arp_check(p, len);
	free(p);
	return v;
}

static enum nd_verdict nd_exact(const uint8_t *data, uint32_t len)
{
	uint8_t *p = malloc(len != 0 ? len : 1);
	struct nd_message m;
	enum nd_verdict v;

	memcpy(p, data, len);
	v = nd_parse(p, len, &m);
	free(p);
	return v;
}

static void test_arp_check(void)
{
	const struct arp_packet good = {.hardware = {0, 1},
					.protocol = {8, 0},
					.hlen = 6,
					.plen = 4,
					.op = {0, 1},
					.sha = {2, 0, 0, 0, 0, 9},
					.spa = {10, 0, 0, 9},
					.tpa = {10, 0, 0, 1}};
	static const struct {
		uint8_t at, value;
		enum arp_verdict v;
	} bad[] = {
		{1, 6, ARP_BAD_HARDWARE},  {4, 8, ARP_BAD_HARDWARE},  {2, 0x86, ARP_BAD_PROTOCOL},
		{5, 16, ARP_BAD_PROTOCOL}, {7, 3, ARP_BAD_OPCODE},    {7, 0, ARP_BAD_OPCODE},
		{8, 3, ARP_BAD_SENDER},	   {14, 127, ARP_BAD_SENDER}, {14, 224, ARP_BAD_SENDER},
		{14, 255, ARP_BAD_SENDER}, {14, 0, ARP_BAD_SENDER},
	};
	struct arp_packet p;

	CHECK(arp_exact((const uint8_t *)&good, sizeof(good)) == ARP_OK);
	for (uint32_t len = 0; len < sizeof(good); len++)
		CHECK(arp_exact((const uint8_t *)&good, len) == ARP_TRUNCATED);
	for (unsigned int k = 0; k < RTE_DIM(bad); k++) {
		p = good;
		((uint8_t *)&p)[bad[k].at] = bad[k].value;
		CHECK(arp_exact((const uint8_t *)&p, sizeof(p)) == bad[k].v);
	}
	/* A probe: no sender address. */
	p = good;
	memset(p.spa, 0, 4);
	CHECK(arp_exact((const uint8_t *)&p, sizeof(p)) == ARP_OK);
	p.op[1] = ARP_REPLY;
	CHECK(arp_exact((const uint8_t *)&p, sizeof(p)) == ARP_BAD_SENDER);
	p = good;
	memset(p.sha, 0, 6);
	CHECK(arp_exact((const uint8_t *)&p, sizeof(p)) == ARP_BAD_SENDER);
}

/* Returns the length of the packet. */
static uint32_t nd_packet(uint8_t *out, uint8_t type, const char *src, const char *dst,
			  const char *target, uint8_t opt)
{
	const struct ip_addr s = ip(src), d = ip(dst);
	const uint32_t fixed = type == ND_RS ? 8 : type == ND_RA ? 16 : 24;
	struct ip6_header *h = (struct ip6_header *)out;
	uint8_t *m = out + sizeof(*h);
	uint32_t len = fixed;

	memset(m, 0, 256);
	m[0] = type;
	if (target != NULL) {
		const struct ip_addr t = ip(target);

		memcpy(m + 8, t.b, 16);
	}
	if (opt != 0) {
		const uint8_t o[8] = {opt, 1, 2, 0, 0, 0, 0, 9};

		memcpy(m + len, o, 8);
		len += 8;
	}
	/* A prefix option as well: one of more than eight bytes. */
	if (type == ND_RA) {
		m[len] = ND_OPT_PREFIX;
		m[len + 1] = 4;
		len += 32;
	}
	icmp6_finish(h, s.b, d.b, len);
	return sizeof(*h) + len;
}

static void truncations(uint8_t type, const char *src, const char *dst, const char *target,
			uint8_t opt)
{
	uint8_t good[512], p[512];
	uint32_t len = nd_packet(good, type, src, dst, target, opt);

	CHECK(nd_exact(good, len) == ND_OK);
	CHECK(icmp6_checksum((struct ip6_header *)good, good + 40, len - 40) == 0);
	/* The frame cut short. */
	for (uint32_t k = 0; k < len; k++)
		CHECK(nd_exact(good, k) == ND_TRUNCATED);
	/* The IPv6 header telling each other length, with the bytes there. */
	for (uint32_t k = 0; k <= 0xffff; k += k < 512 ? 1 : 997) {
		enum nd_verdict v;

		memcpy(p, good, len);
		put16(p + 4, k);
		v = nd_exact(p, len);
		if (k + 40 > len)
			CHECK(v == ND_TRUNCATED);
		else if (k % 8 != 0)
			CHECK(v == ND_TRUNCATED || v == ND_BAD_OPTION);
	}
	/* Each length an option can tell. */
	for (unsigned int k = 0; k < 256 && opt != 0; k++) {
		uint32_t at = 40 + (type == ND_RS ? 8 : type == ND_RA ? 16 : 24) + 1;

		memcpy(p, good, len);
		p[at] = k;
		CHECK((nd_exact(p, len) == ND_OK) == (k == 1));
	}
	memcpy(p, good, len);
	p[7] = 254;
	CHECK(nd_exact(p, len) == ND_BAD_HOP_LIMIT);
	memcpy(p, good, len);
	p[41] = 1;
	CHECK(nd_exact(p, len) == ND_BAD_CODE);
	memcpy(p, good, len);
	p[6] = 0;
	CHECK(nd_exact(p, len) == ND_BAD_TYPE);
	memcpy(p, good, len);
	p[8] = 0xff;
	CHECK(nd_exact(p, len) == ND_BAD_SOURCE);
	memcpy(p, good, len);
	p[40] = ND_REDIRECT;
	CHECK(nd_exact(p, len) == ND_REDIRECTED);
}

static enum nd_verdict nd_one(uint8_t type, const char *src, const char *dst, const char *target,
			      uint8_t opt)
{
	uint8_t p[512];
	uint32_t len = nd_packet(p, type, src, dst, target, opt);

	return nd_exact(p, len);
}

static void test_nd_rules(void)
{
	uint8_t p[512];
	uint32_t len;

	/* RFC 4861 section 7.1.1: DAD goes to the solicited-node address and tells no MAC. */
	CHECK(nd_one(ND_NS, "::", "ff02::1:ff00:1", "fe80::1", 0) == ND_OK);
	CHECK(nd_one(ND_NS, "::", "ff02::1", "fe80::1", 0) == ND_BAD_DESTINATION);
	CHECK(nd_one(ND_NS, "::", "ff02::1:ff00:1", "fe80::1", ND_OPT_SLL) == ND_BAD_OPTION);
	CHECK(nd_one(ND_NS, "fe80::2", "fe80::1", "ff02::1", 0) == ND_BAD_TARGET);
	CHECK(nd_one(ND_NA, "fe80::2", "fe80::1", "ff02::1", 0) == ND_BAD_TARGET);
	CHECK(nd_one(ND_NA, "::", "ff02::1", "fe80::2", 0) == ND_BAD_SOURCE);
	CHECK(nd_one(ND_RA, "2001:db8::1", "ff02::1", NULL, 0) == ND_BAD_SOURCE);
	CHECK(nd_one(ND_RS, "::", "ff02::2", NULL, 0) == ND_OK);
	CHECK(nd_one(ND_RS, "::", "ff02::2", NULL, ND_OPT_SLL) == ND_BAD_OPTION);
	/* Solicited, but to everybody. */
	len = nd_packet(p, ND_NA, "fe80::2", "ff02::1", "fe80::2", ND_OPT_TLL);
	p[44] = NA_SOLICITED;
	CHECK(nd_exact(p, len) == ND_BAD_DESTINATION);
	/* A group address as MAC. */
	len = nd_packet(p, ND_NA, "fe80::2", "ff02::1", "fe80::2", ND_OPT_TLL);
	p[40 + 26] = 0x33;
	CHECK(nd_exact(p, len) == ND_BAD_OPTION);
}

static void test_mutations(void)
{
	uint8_t good[512], p[512];
	uint32_t seed = 1;

	for (unsigned int k = 0; k < 300000; k++) {
		static const uint8_t types[] = {ND_RS, ND_RA, ND_NS, ND_NA};
		uint32_t len = nd_packet(good, types[k & 3], "fe80::2", "fe80::1",
					 k & 2 ? "fe80::1" : NULL, ND_OPT_SLL);
		uint32_t cut;

		memcpy(p, good, len);
		for (unsigned int j = 0; j < 1 + (k % 5); j++) {
			seed = seed * 1664525 + 1013904223;
			p[(seed >> 8) % len] = seed >> 24;
		}
		seed = seed * 1664525 + 1013904223;
		cut = seed & 0x100 ? len : (seed >> 12) % (len + 1);
		nd_exact(p, cut);
		arp_exact(p, cut);
	}
}

void test_parsers(void)
{
	test_arp_check();
	truncations(ND_NS, "fe80::2", "ff02::1:ff00:1", "fe80::1", ND_OPT_SLL);
	truncations(ND_NA, "fe80::2", "fe80::1", "fe80::2", ND_OPT_TLL);
	truncations(ND_RA, "fe80::2", "ff02::1", NULL, ND_OPT_SLL);
	truncations(ND_RS, "fe80::2", "ff02::2", NULL, ND_OPT_SLL);
	truncations(ND_NS, "fe80::2", "fe80::1", "fe80::1", ND_OPT_NONCE + 100);
	test_nd_rules();
	test_mutations();
}
