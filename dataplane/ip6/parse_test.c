/* SPDX-License-Identifier: Apache-2.0 */
#include "../core/flow.h"
#include "packet_test.h"
#include "parse.h"

static void test_options(void)
{
	static const struct {
		const char *name;
		uint8_t b[16];
		unsigned int len;
		enum ip6_verdict want;
		uint16_t pointer;
	} t[] = {
		{"padding", {59, 0, 1, 4, 0, 0, 0, 0}, 8, IP6_OK, 0},
		{"pad1", {59, 0, 0, 0, 0, 0, 0, 0}, 8, IP6_OK, 0},
		{"router alert", {58, 0, 5, 2, 0, 0, 1, 0}, 8, IP6_OK, 0},
		{"router alert of 3", {58, 0, 5, 3, 0, 0, 0, 0}, 8, IP6_MALFORMED, 0},
		{"option beyond the header", {59, 0, 1, 5, 0, 0, 0, 0}, 8, IP6_MALFORMED, 0},
		{"option without a length", {59, 0, 1, 3, 0, 0, 0, 1}, 8, IP6_MALFORMED, 0},
		{"header beyond the packet", {59, 1, 1, 4, 0, 0, 0, 0}, 8, IP6_MALFORMED, 0},
		{"half a header", {59, 0, 1, 0}, 4, IP6_MALFORMED, 0},
		{"unknown, skip", {59, 0, 0x1e, 4, 0, 0, 0, 0}, 8, IP6_OK, 0},
		{"unknown, discard", {59, 0, 0x5e, 4, 0, 0, 0, 0}, 8, IP6_DISCARD, 0},
		{"unknown, tell", {59, 0, 0x9e, 4, 0, 0, 0, 0}, 8, IP6_PROBLEM, 42},
		{"unknown, tell unless multicast",
		 {59, 0, 0, 0xde, 3, 0, 0, 0},
		 8,
		 IP6_PROBLEM_UNICAST,
		 43},
		{"jumbo payload", {59, 0, 0xc2, 4, 0, 1, 0, 0}, 8, IP6_PROBLEM_UNICAST, 42},
		{"two lines", {59, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 16, IP6_OK, 0},
	};
	uint8_t pkt[40 + 256];

	for (unsigned int i = 0; i < RTE_DIM(t); i++) {
		struct ip6_fault fault = {0};
		enum ip6_verdict v;
		uint32_t next;
		bool alert;

		memset(pkt, 0, sizeof(pkt));
		memcpy(pkt + 40, t[i].b, t[i].len);
		v = ip6_options_check(pkt, 40 + t[i].len, 40, &next, &alert, &fault);
		CHECK(v == t[i].want, "%s: %d", t[i].name, v);
		CHECK(t[i].pointer == 0 || fault.pointer == t[i].pointer, "%s: pointer %u",
		      t[i].name, fault.pointer);
		CHECK(v != IP6_OK || next == 40 + t[i].len, "%s: next %u", t[i].name, next);
	}
	/* More options than anyone needs. */
	memset(pkt + 40, 0, 256);
	pkt[41] = 31;
	for (unsigned int i = 0; i < 127; i++)
		pkt[42 + 2 * i] = 1;
	{
		struct ip6_fault fault;
		uint32_t next;
		bool alert;

		CHECK(ip6_options_check(pkt, sizeof(pkt), 40, &next, &alert, &fault) ==
			      IP6_MALFORMED,
		      "127 options");
	}
}

static void test_walk(void)
{
	static const struct {
		const char *name;
		uint8_t proto;
		uint8_t b[40];
		unsigned int len;
		enum ip6_verdict want;
		enum ip6_upper_kind kind;
		uint8_t upper;
		uint16_t at;
	} t[] = {
		{"TCP", 6, {0}, 20, IP6_OK, IP6_UPPER, 6, 40},
		{"hop-by-hop, UDP", 0, {17, 0, 1, 4, 0, 0, 0, 0}, 16, IP6_OK, IP6_UPPER, 17, 48},
		{"destination twice",
		 60,
		 {60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0},
		 24,
		 IP6_OK,
		 IP6_UPPER,
		 58,
		 56},
		{"hop-by-hop behind destination",
		 60,
		 {0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4},
		 24,
		 IP6_PROBLEM,
		 0,
		 0,
		 40},
		{"routing type 0, 1 left",
		 43,
		 {17, 0, 0, 1, 0, 0, 0, 0},
		 16,
		 IP6_PROBLEM,
		 0,
		 0,
		 42},
		{"routing type 4, 1 left",
		 43,
		 {17, 0, 4, 1, 0, 0, 0, 0},
		 16,
		 IP6_PROBLEM,
		 0,
		 0,
		 42},
		{"routing, none left",
		 43,
		 {17, 0, 0, 0, 0, 0, 0, 0},
		 16,
		 IP6_OK,
		 IP6_UPPER,
		 17,
		 48},
		{"routing beyond the packet",
		 43,
		 {17, 9, 0, 0, 0, 0, 0, 0},
		 16,
		 IP6_MALFORMED,
		 0,
		 0,
		 0},
		{"fragment", 44, {17, 0, 0, 8, 0, 0, 0, 0}, 16, IP6_OK, IP6_FRAGMENT, 44, 40},
		{"half a fragment header", 44, {17, 0, 0, 8}, 4, IP6_MALFORMED, 0, 0, 0},
		{"no next header", 59, {0}, 0, IP6_OK, IP6_NONE, 59, 40},
		{"hop-by-hop of nothing", 0, {0}, 0, IP6_MALFORMED, 0, 0, 0},
		{"unknown destination option",
		 60,
		 {17, 0, 0x9e, 4, 0, 0, 0, 0},
		 16,
		 IP6_PROBLEM,
		 0,
		 0,
		 42},
	};
	static struct packet p;

	for (unsigned int i = 0; i < RTE_DIM(t); i++) {
		struct ip6_fault fault = {0};
		struct ip6_upper up;
		enum ip6_verdict v;

		make6(&p, HOST1, OWN1, t[i].proto, t[i].b, t[i].len, 0);
		v = ip6_walk(p.b, p.len, &up, &fault);
		CHECK(v == t[i].want, "%s: %d", t[i].name, v);
		if (v == IP6_OK)
			CHECK(up.kind == t[i].kind && up.proto == t[i].upper &&
				      up.offset == t[i].at,
			      "%s: %d %u %u", t[i].name, up.kind, up.proto, up.offset);
		if (v == IP6_PROBLEM)
			CHECK(fault.pointer == t[i].at, "%s: pointer %u", t[i].name, fault.pointer);
	}
	/* A chain without end. */
	memset(p.b + 40, 0, 4000);
	for (unsigned int i = 0; i < 100; i++)
		p.b[40 + 8 * i] = 60;
	p.b[6] = 60;
	{
		struct ip6_fault fault;
		struct ip6_upper up;

		CHECK(ip6_walk(p.b, 1000, &up, &fault) == IP6_MALFORMED, "a hundred headers");
	}
}

static void test_error_allowed(void)
{
	static const uint8_t frag_icmp[8] = {58, 0, 0, 8, 0, 0, 0, 1},
			     frag_udp[8] = {17, 0, 0, 8, 0, 0, 0, 1},
			     dst_icmp[8] = {58, 0, 1, 4, 0, 0, 0, 0};
	static struct packet p;

	make_udp(&p, HOST1, FAR1, 20);
	CHECK(icmp6_error_allowed(p.b, p.len, 1, 0, false), "UDP");
	CHECK(!icmp6_error_allowed(p.b, p.len, 1, 0, true), "in a group's frame");
	CHECK(icmp6_error_allowed(p.b, p.len, 2, 0, true), "too big in a group's frame");
	CHECK(icmp6_error_allowed(p.b, p.len, 4, 2, true), "option in a group's frame");
	CHECK(!icmp6_error_allowed(p.b, p.len, 4, 1, true), "header in a group's frame");
	for (uint32_t n = 0; n < 40; n++)
		CHECK(!icmp6_error_allowed(p.b, n, 1, 0, false), "%u bytes", n);
	make_udp(&p, "::", FAR1, 20);
	CHECK(!icmp6_error_allowed(p.b, p.len, 1, 0, false), "unspecified");
	make_udp(&p, "ff02::1", FAR1, 20);
	CHECK(!icmp6_error_allowed(p.b, p.len, 1, 0, false), "multicast source");
	for (unsigned int type = 0; type < 256; type++) {
		make_icmp(&p, HOST1, FAR1, (uint8_t)type, NULL, 0, 8);
		CHECK(icmp6_error_allowed(p.b, p.len, 1, 0, false) == (type >= 128 && type != 137),
		      "type %u", type);
	}
	make6(&p, HOST1, FAR1, 60, dst_icmp, 8, 8);
	p.b[48] = 1;
	CHECK(!icmp6_error_allowed(p.b, p.len, 1, 0, false), "error behind a destination header");
	CHECK(!icmp6_error_allowed(p.b, 48, 1, 0, false), "type out of sight");
	make6(&p, HOST1, FAR1, 44, frag_icmp, 8, 8);
	CHECK(!icmp6_error_allowed(p.b, p.len, 1, 0, false), "later fragment of ICMPv6");
	make6(&p, HOST1, FAR1, 44, frag_udp, 8, 8);
	CHECK(icmp6_error_allowed(p.b, p.len, 1, 0, false), "later fragment of UDP");
}

static void test_multicast(void)
{
	static const struct {
		const char *a;
		bool ours;
	} t[] = {{"ff02::1", true},	   {"ff02::2", true},	      {"ff02::16", true},
		 {"ff02::5", true},	   {"ff02::1:2", true},	      {"ff02::1:3", false},
		 {"ff02::1:ff00:1", true}, {"ff02::1:fe00:1", false}, {"ff02::2:ff00:1", false},
		 {"ff05::2", false},	   {"ff0e::1", false},	      {"ff01::1", false},
		 {"ff02:1::1", false},	   {"ff02::100", false}};

	for (unsigned int i = 0; i < RTE_DIM(t); i++) {
		uint8_t a[16];

		CHECK(inet_pton(AF_INET6, t[i].a, a) == 1 && ip6_multicast_is_ours(a) == t[i].ours,
		      "%s", t[i].a);
	}
}

static void parse_all(const uint8_t *p, uint32_t len)
{
	struct rte_mbuf m = {.buf_addr = (void *)(uintptr_t)p, .data_len = (uint16_t)len};
	struct ip6_fault fault = {0};
	struct ip6_upper up;
	enum ip6_verdict v;
	uint32_t next;
	bool alert;

	icmp6_error_allowed(p, len, 1, 0, false);
	v = ip6_options_check(p, len, 40, &next, &alert, &fault);
	CHECK(v != IP6_OK || (next > 40 && next <= len), "options end at %u of %u", next, len);
	v = ip6_walk(p, len, &up, &fault);
	CHECK(v != IP6_OK || (up.offset >= 40 && up.offset <= len), "header at %u of %u", up.offset,
	      len);
	CHECK((v != IP6_PROBLEM && v != IP6_PROBLEM_UNICAST) || fault.pointer < len,
	      "pointer %u of %u", fault.pointer, len);
	if (len >= 40)
		flow_hash6((const void *)p, &m);
}

static void test_exact(void)
{
	static const uint8_t protos[] = {0, 6, 17, 43, 44, 50, 51, 58, 59, 60, 60, 60};
	static struct packet p;
	unsigned int seed = 99;

	for (unsigned int round = 0; round < 50000; round++) {
		unsigned int changes = (unsigned int)rand_r(&seed) % 4,
			     ext = (unsigned int)rand_r(&seed) % 12;
		uint8_t e[96] = {0};

		for (unsigned int i = 0; i < ext; i++) {
			e[8 * i] = protos[(unsigned int)rand_r(&seed) % sizeof(protos)];
			e[8 * i + 2] = rand_r(&seed) % 4 ? 1 : (uint8_t)rand_r(&seed);
			e[8 * i + 3] = rand_r(&seed) % 4 ? 4 : (uint8_t)rand_r(&seed);
		}
		make6(&p, HOST1, FAR1, protos[(unsigned int)rand_r(&seed) % sizeof(protos)], e,
		      ext * 8, (unsigned int)rand_r(&seed) % 40);
		for (unsigned int i = 0; i < changes; i++)
			p.b[(unsigned int)rand_r(&seed) % p.len] = (uint8_t)rand_r(&seed);
		on_exact_copy(p.b,
			      rand_r(&seed) % 2 ? p.len : (unsigned int)rand_r(&seed) % (p.len + 1),
			      parse_all);
	}
}

void ip6_parse_tests(void)
{
	test_options();
	test_walk();
	test_error_allowed();
	test_multicast();
	test_exact();
}
