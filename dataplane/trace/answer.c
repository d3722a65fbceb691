/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <netinet/in.h>

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The probe quoted in an error: its destination and identifiers. */
static bool parse_quoted(const uint8_t *h, size_t len, struct ping_answer *a)
{
	const uint8_t *l4;
	uint8_t proto;

	if (a->ipv6) {
		if (len < 48 || h[0] >> 4 != 6)
			return false;
		proto = h[6];
		a->dst = ip_addr6(h + 24);
		l4 = h + 40;
	} else {
		size_t hlen = len < 20 ? 0 : (h[0] & 0xfu) * 4u;
		uint32_t dst;

		if (hlen < 20 || h[0] >> 4 != 4 || len < hlen + 8)
			return false;
		proto = h[9];
		memcpy(&dst, h + 16, 4);
		a->dst = ip_addr4(dst);
		l4 = h + hlen;
	}
	if (proto == IPPROTO_UDP) {
		a->udp = true;
		a->id = be16(l4);
		a->seq = (uint16_t)(be16(l4 + 2) - TRACEROUTE_PORT);
		return true;
	}
	if (proto != (a->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
	    l4[0] != (a->ipv6 ? ECHO6 : ECHO4))
		return false;
	a->id = be16(l4 + 4);
	a->seq = be16(l4 + 6);
	return true;
}

bool ping_parse_answer(const uint8_t *h, size_t len, struct ping_answer *a)
{
	const uint8_t *icmp;
	size_t left;

	*a = (struct ping_answer){.length = (uint16_t)len};
	if (len >= 20 && h[0] >> 4 == 4) {
		size_t hlen = (h[0] & 0xfu) * 4u;
		uint32_t src;

		if (hlen < 20 || h[9] != IPPROTO_ICMP || len < hlen + 8)
			return false;
		memcpy(&src, h + 12, 4);
		a->from = ip_addr4(src);
		a->ttl = h[8];
		icmp = h + hlen;
	} else if (len >= 48 && h[0] >> 4 == 6) {
		/* Answers with extension headers are left to the kernel. */
		if (h[6] != IPPROTO_ICMPV6)
			return false;
		a->ipv6 = true;
		a->from = ip_addr6(h + 8);
		a->ttl = h[7];
		icmp = h + 40;
	} else {
		return false;
	}
	left = len - (size_t)(icmp - h);
	a->type = icmp[0];
	a->code = icmp[1];
	if (a->type == (a->ipv6 ? ECHO6_REPLY : ECHO4_REPLY)) {
		a->reply = true;
		a->dst = a->from;
		a->id = be16(icmp + 4);
		a->seq = be16(icmp + 6);
		return true;
	}
	a->mtu = be16(icmp + 6);
	return parse_quoted(icmp + 8, left - 8, a);
}
