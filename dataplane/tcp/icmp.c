/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>

#include "../ip4/parse.h"
#include "../ip6/parse.h"
#include "host.h"

/* What is needed of the quoted TCP header: ports and sequence number. RFC 792 has routers quote so
 * much. */
#define QUOTE_MIN 8

static void set_ports(const uint8_t *l4, struct term_error *e)
{
	uint32_t seq;

	memcpy(&e->tuple.lport, l4, 2);
	memcpy(&e->tuple.rport, l4 + 2, 2);
	memcpy(&seq, l4 + 4, 4);
	e->seq = rte_be_to_cpu_32(seq);
}

/* RFC 1122 section 4.2.3.9, RFC 5461. */
static bool what4(const uint8_t *icmp, struct term_error *e)
{
	switch (icmp[0]) {
	case ICMP4_UNREACHABLE:
		switch (icmp[1]) {
		case ICMP4_FRAG_NEEDED:
			e->what = TCP_ICMP_TOO_BIG;
			e->mtu = (uint32_t)(icmp[6] << 8 | icmp[7]);
			return true;
		/* Protocol, port, and prohibited in its three kinds. */
		case 2:
		case 3:
		case 9:
		case 10:
		case ICMP4_ADMIN_PROHIBITED:
			e->what = TCP_ICMP_HARD;
			return true;
		default:
			e->what = TCP_ICMP_SOFT;
			return true;
		}
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAM_PROBLEM:
		e->what = TCP_ICMP_SOFT;
		return true;
	default:
		return false;
	}
}

static bool parse4(const uint8_t *pkt, uint32_t len, struct term_error *e)
{
	const uint32_t hlen = (pkt[0] & 0xfu) * 4;
	const uint8_t *quote;
	uint32_t qlen, src, dst;

	if (hlen < sizeof(struct rte_ipv4_hdr) ||
	    len < hlen + ICMP4_HDR_LEN + sizeof(struct rte_ipv4_hdr) || pkt[9] != IPPROTO_ICMP ||
	    !what4(pkt + hlen, e))
		return false;
	quote = pkt + hlen + ICMP4_HDR_LEN;
	len -= hlen + ICMP4_HDR_LEN;
	qlen = (quote[0] & 0xfu) * 4;
	/* Of a fragment but the first, what follows is no TCP header. */
	if (quote[0] >> 4 != 4 || qlen < sizeof(struct rte_ipv4_hdr) || len < qlen + QUOTE_MIN ||
	    quote[9] != IPPROTO_TCP || ((quote[6] << 8 | quote[7]) & RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	memcpy(&src, quote + 12, 4);
	memcpy(&dst, quote + 16, 4);
	tcp_addr4(&e->tuple.laddr, src);
	tcp_addr4(&e->tuple.raddr, dst);
	e->tuple.family = 4;
	set_ports(quote + qlen, e);
	return true;
}

static bool what6(const uint8_t *icmp, struct term_error *e)
{
	switch (icmp[0]) {
	case ICMP6_TOO_BIG:
		e->what = TCP_ICMP_TOO_BIG;
		e->mtu = (uint32_t)icmp[4] << 24 | (uint32_t)icmp[5] << 16 |
			 (uint32_t)icmp[6] << 8 | icmp[7];
		return true;
	case ICMP6_UNREACHABLE:
		/* Prohibited, port, ingress or egress policy, reject route. */
		e->what =
			icmp[1] == ICMP6_PROHIBITED || icmp[1] >= 4 ? TCP_ICMP_HARD : TCP_ICMP_SOFT;
		return true;
	case ICMP6_EXCEEDED:
		e->what = TCP_ICMP_SOFT;
		return true;
	case ICMP6_PARAM_PROBLEM:
		/* An unknown next header is what "protocol unreachable" is in IPv4. */
		e->what = icmp[1] == ICMP6_BAD_NEXT_HEADER ? TCP_ICMP_HARD : TCP_ICMP_SOFT;
		return true;
	default:
		return false;
	}
}

static bool parse6(const uint8_t *pkt, uint32_t len, struct term_error *e)
{
	struct ip6_upper up, quoted;
	struct ip6_fault fault;
	const uint8_t *quote;

	if (len < IP6_HDR_LEN || ip6_walk(pkt, len, &up, &fault) != IP6_OK ||
	    up.kind != IP6_UPPER || up.proto != IPPROTO_ICMPV6 ||
	    len < (uint32_t)up.offset + ICMP6_HDR_LEN + IP6_HDR_LEN || !what6(pkt + up.offset, e))
		return false;
	quote = pkt + up.offset + ICMP6_HDR_LEN;
	len -= up.offset + ICMP6_HDR_LEN;
	if (quote[0] >> 4 != 6 || ip6_walk(quote, len, &quoted, &fault) != IP6_OK ||
	    quoted.kind != IP6_UPPER || quoted.proto != IPPROTO_TCP ||
	    len < (uint32_t)quoted.offset + QUOTE_MIN)
		return false;
	tcp_addr6(&e->tuple.laddr, quote + 8);
	tcp_addr6(&e->tuple.raddr, quote + 24);
	e->tuple.family = 6;
	set_ports(quote + quoted.offset, e);
	return true;
}

bool term_icmp_parse(const uint8_t *pkt, uint32_t len, struct term_error *e)
{
	*e = (struct term_error){0};
	if (len == 0)
		return false;
	if (pkt[0] >> 4 == 4)
		return parse4(pkt, len, e);
	return pkt[0] >> 4 == 6 && parse6(pkt, len, e);
}
