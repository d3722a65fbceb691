/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests: IPv4 packets. */
#ifndef MILLRACE_IP4_PACKET_TEST_H
#define MILLRACE_IP4_PACKET_TEST_H

#include <arpa/inet.h>
#include <netinet/in.h>

#include "check_test.h"

/* Tests of what needs no graph. */
void ip4_parse_tests(void);

#define BUF 65536

struct packet {
	uint8_t b[BUF];
	uint32_t len;
};

/* An IPv4 packet with options of optlen bytes and a payload that counts up. */
static inline void make4(struct packet *p, const char *src, const char *dst, uint8_t proto,
			 const uint8_t *opt, unsigned int optlen, uint32_t payload)
{
	const unsigned int hlen = 20 + optlen;
	uint16_t sum;

	p->len = hlen + payload;
	memset(p->b, 0, hlen);
	p->b[0] = (uint8_t)(0x40 | hlen / 4);
	p->b[2] = (uint8_t)(p->len >> 8);
	p->b[3] = (uint8_t)p->len;
	p->b[4] = 0x12;
	p->b[5] = 0x34;
	p->b[8] = 10;
	p->b[9] = proto;
	inet_pton(AF_INET, src, p->b + 12);
	inet_pton(AF_INET, dst, p->b + 16);
	if (optlen != 0)
		memcpy(p->b + 20, opt, optlen);
	for (uint32_t i = 0; i < payload; i++)
		p->b[hlen + i] = (uint8_t)(i * 7 + (i >> 8));
	sum = plain_cksum(p->b, hlen, 0);
	p->b[10] = (uint8_t)(sum >> 8);
	p->b[11] = (uint8_t)sum;
}

static inline void fix_header(struct packet *p)
{
	uint16_t sum;

	p->b[10] = p->b[11] = 0;
	sum = plain_cksum(p->b, (p->b[0] & 0xf) * 4, 0);
	p->b[10] = (uint8_t)(sum >> 8);
	p->b[11] = (uint8_t)sum;
}

static inline void make_udp(struct packet *p, const char *src, const char *dst, uint32_t payload)
{
	make4(p, src, dst, IPPROTO_UDP, NULL, 0, 8 + payload);
	p->b[20] = 0x30;
	p->b[22] = 0x00;
	p->b[23] = 53;
	p->b[24] = (uint8_t)((8 + payload) >> 8);
	p->b[25] = (uint8_t)(8 + payload);
}

static inline void make_icmp(struct packet *p, const char *src, const char *dst, uint8_t type,
			     uint32_t payload)
{
	uint16_t sum;

	make4(p, src, dst, IPPROTO_ICMP, NULL, 0, 8 + payload);
	p->b[20] = type;
	p->b[21] = 0;
	p->b[22] = p->b[23] = 0;
	sum = plain_cksum(p->b + 20, 8 + payload, 0);
	p->b[22] = (uint8_t)(sum >> 8);
	p->b[23] = (uint8_t)sum;
}

#endif
