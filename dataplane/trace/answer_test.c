/* SPDX-License-Identifier: Apache-2.0 */
/* What ICMP answers to, from every length of every kind of answer. */
#include "answer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "trace_test.h"

#define ID  0x1234
#define SEQ 7

static size_t put4(uint8_t *p, const char *src, const char *dst, uint8_t proto, size_t payload,
		   unsigned int options)
{
	const size_t hlen = 20 + options, total = hlen + payload;

	memset(p, 0, hlen);
	p[0] = (uint8_t)(0x40 | hlen / 4);
	p[2] = (uint8_t)(total >> 8);
	p[3] = (uint8_t)total;
	p[8] = 61;
	p[9] = proto;
	inet_pton(AF_INET, src, p + 12);
	inet_pton(AF_INET, dst, p + 16);
	return hlen;
}

static size_t put6(uint8_t *p, const char *src, const char *dst, uint8_t proto, size_t payload)
{
	memset(p, 0, 40);
	p[0] = 0x60;
	p[4] = (uint8_t)(payload >> 8);
	p[5] = (uint8_t)payload;
	p[6] = proto;
	p[7] = 61;
	inet_pton(AF_INET6, src, p + 8);
	inet_pton(AF_INET6, dst, p + 24);
	return 40;
}

static size_t put_icmp(uint8_t *p, uint8_t type, uint8_t code, uint16_t high, uint16_t low)
{
	const uint8_t b[8] = {type,	  code,		  0,	    0, high >> 8 & 255,
			      high & 255, low >> 8 & 255, low & 255};

	memcpy(p, b, sizeof(b));
	return sizeof(b);
}

static size_t put_udp(uint8_t *p, uint16_t seq)
{
	const uint16_t port = TRACEROUTE_PORT + seq;
	const uint8_t b[8] = {ID >> 8, ID & 255, (uint8_t)(port >> 8), (uint8_t)port, 0, 8, 0, 0};

	memcpy(p, b, sizeof(b));
	return sizeof(b);
}

static void check_answer(const struct ping_answer *a, bool v6, bool reply, bool udp, uint8_t type,
			 const char *what)
{
	const struct ip_addr from = testbed_ip(v6 ? "2001:db8::9" : "10.0.0.9");
	const struct ip_addr dst = testbed_ip(v6 ? "2001:db8::5" : "10.0.0.5");

	CHECK(a->ipv6 == v6 && a->reply == reply && a->udp == udp && a->type == type, "%s", what);
	CHECK(a->id == ID && a->seq == SEQ && a->ttl == 61, "%s: %x %u %u", what, a->id, a->seq,
	      a->ttl);
	CHECK(ip_addr_eq(&a->from, &from) && ip_addr_eq(&a->dst, reply ? &from : &dst), "%s: who",
	      what);
}

/* Parses p on exact copies of all lengths; from `enough` on it must be understood, below it must
 * not be. */
static void all_lengths(const uint8_t *p, size_t len, size_t enough, bool v6, bool reply, bool udp,
			uint8_t type, const char *what)
{
	for (size_t n = 0; n <= len; n++) {
		uint8_t *copy = malloc(n != 0 ? n : 1);
		struct ping_answer a;
		bool ok;

		CHECK(copy != NULL, "memory");
		memcpy(copy, p, n);
		ok = ping_parse_answer(copy, n, &a);
		CHECK(ok == (n >= enough), "%s, %zu bytes", what, n);
		if (ok)
			check_answer(&a, v6, reply, udp, type, what);
		free(copy);
	}
}

static void test4(unsigned int options)
{
	uint8_t b[256];
	struct ping_answer a;
	size_t n, inner;

	n = put4(b, "10.0.0.9", "10.0.0.1", IPPROTO_ICMP, 20, options);
	n += put_icmp(b + n, ECHO4_REPLY, 0, ID, SEQ);
	memset(b + n, 0, 12);
	all_lengths(b, n + 12, n, false, true, false, ECHO4_REPLY, "IPv4 reply");

	for (int udp = 0; udp < 2; udp++) {
		n = put4(b, "10.0.0.9", "10.0.0.1", IPPROTO_ICMP, 8 + 20 + options + 8, options);
		n += put_icmp(b + n, TIME_EXCEEDED4, 0, 0, 0);
		inner = n;
		n += put4(b + n, "10.0.0.1", "10.0.0.5", udp ? IPPROTO_UDP : IPPROTO_ICMP, 8,
			  options);
		n += udp ? put_udp(b + n, SEQ) : put_icmp(b + n, ECHO4, 0, ID, SEQ);
		all_lengths(b, n, n, false, false, udp, TIME_EXCEEDED4, "IPv4 time exceeded");
	}
	/* About something else than a probe. */
	b[inner + 9] = IPPROTO_TCP;
	CHECK(!ping_parse_answer(b, n, &a), "TCP quoted");
	b[inner + 9] = IPPROTO_ICMP;
	b[n - 8] = ECHO4_REPLY;
	CHECK(!ping_parse_answer(b, n, &a), "a reply quoted");
	b[inner] = 0x44;
	CHECK(!ping_parse_answer(b, n, &a), "quoted header shorter than its fixed part");
	b[inner] = 0x65;
	CHECK(!ping_parse_answer(b, n, &a), "IPv6 quoted in IPv4");
	b[9] = IPPROTO_UDP;
	CHECK(!ping_parse_answer(b, n, &a), "no ICMP");
	/* MTU of "fragmentation needed". */
	n = put4(b, "10.0.0.9", "10.0.0.1", IPPROTO_ICMP, 36, options);
	n += put_icmp(b + n, UNREACHABLE4, 4, 0, 1400);
	n += put4(b + n, "10.0.0.1", "10.0.0.5", IPPROTO_UDP, 8, 0);
	n += put_udp(b + n, SEQ);
	CHECK(ping_parse_answer(b, n, &a) && a.mtu == 1400 && a.code == 4 && a.length == n,
	      "MTU %u", a.mtu);
}

static void test6(void)
{
	uint8_t b[256];
	struct ping_answer a;
	size_t n;

	n = put6(b, "2001:db8::9", "2001:db8::1", IPPROTO_ICMPV6, 20);
	n += put_icmp(b + n, ECHO6_REPLY, 0, ID, SEQ);
	memset(b + n, 0, 12);
	all_lengths(b, n + 12, n, true, true, false, ECHO6_REPLY, "IPv6 reply");
	for (int udp = 0; udp < 2; udp++) {
		n = put6(b, "2001:db8::9", "2001:db8::1", IPPROTO_ICMPV6, 56);
		n += put_icmp(b + n, TOO_BIG6, 0, 0, 1280);
		n += put6(b + n, "2001:db8::1", "2001:db8::5", udp ? IPPROTO_UDP : IPPROTO_ICMPV6,
			  8);
		n += udp ? put_udp(b + n, SEQ) : put_icmp(b + n, ECHO6, 0, ID, SEQ);
		all_lengths(b, n, n, true, false, udp, TOO_BIG6, "IPv6 too big");
		CHECK(ping_parse_answer(b, n, &a) && a.mtu == 1280, "MTU %u", a.mtu);
	}
	b[48] = 0x45;
	CHECK(!ping_parse_answer(b, n, &a), "IPv4 quoted in IPv6");
	b[6] = IPPROTO_HOPOPTS;
	CHECK(!ping_parse_answer(b, n, &a), "extension headers");
}

void test_answers(void)
{
	test4(0);
	test4(40);
	test6();
}
