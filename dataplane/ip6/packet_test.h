/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests: IPv6 packets. */
#ifndef MILLRACE_IP6_PACKET_TEST_H
#define MILLRACE_IP6_PACKET_TEST_H

#include <arpa/inet.h>
#include <netinet/in.h>

#include "../ip4/check_test.h"

/* Tests of what needs no graph. */
void ip6_parse_tests(void);

#define BUF 65600

struct packet {
	uint8_t b[BUF];
	uint32_t len;
};

#define HOST1 "2001:db8:1::2"
#define OWN1  "2001:db8:1::1"
#define FAR1  "2001:db8:f::1"

/* An IPv6 packet; ext are extension headers (proto their first), the payload counts up. */
static inline void make6(struct packet *p, const char *src, const char *dst, uint8_t proto,
			 const uint8_t *ext, unsigned int extlen, uint32_t payload)
{
	memset(p->b, 0, 40);
	p->len = 40 + extlen + payload;
	p->b[0] = 0x60;
	p->b[4] = (uint8_t)((extlen + payload) >> 8);
	p->b[5] = (uint8_t)(extlen + payload);
	p->b[6] = proto;
	p->b[7] = 10;
	CHECK(inet_pton(AF_INET6, src, p->b + 8) == 1 && inet_pton(AF_INET6, dst, p->b + 24) == 1,
	      "%s %s", src, dst);
	if (extlen != 0)
		memcpy(p->b + 40, ext, extlen);
	for (uint32_t i = 0; i < payload; i++)
		p->b[40 + extlen + i] = (uint8_t)(i * 7 + (i >> 8));
}

static inline void make_udp(struct packet *p, const char *src, const char *dst, uint32_t payload)
{
	make6(p, src, dst, IPPROTO_UDP, NULL, 0, 8 + payload);
	p->b[44] = (uint8_t)((8 + payload) >> 8);
	p->b[45] = (uint8_t)(8 + payload);
}

/* 0 if the checksum of the ICMPv6 message at off is right, else what to put there. */
static inline uint16_t icmp_sum(const uint8_t *ip, uint32_t off, uint32_t len)
{
	uint32_t sum = len - off + IPPROTO_ICMPV6;

	for (unsigned int i = 8; i < 40; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	return plain_cksum(ip + off, len - off, sum);
}

static inline void make_icmp(struct packet *p, const char *src, const char *dst, uint8_t type,
			     const uint8_t *ext, unsigned int extlen, uint32_t payload)
{
	const unsigned int off = 40 + extlen;
	uint16_t sum;

	make6(p, src, dst, extlen != 0 ? 0 : IPPROTO_ICMPV6, ext, extlen, 8 + payload);
	p->b[off] = type;
	p->b[off + 1] = p->b[off + 2] = p->b[off + 3] = 0;
	sum = icmp_sum(p->b, off, p->len);
	p->b[off + 2] = (uint8_t)(sum >> 8);
	p->b[off + 3] = (uint8_t)sum;
}

#endif
