/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>

#include "parse.h"

#define OPT_PAD1	 0
#define OPT_ROUTER_ALERT 5
#define OPT_JUMBO	 0xc2

bool ip6_multicast_is_ours(const uint8_t *dst)
{
	static const uint8_t zero[12];

	if (dst[0] != 0xff || dst[1] != 0x02)
		return false;
	if (memcmp(dst + 2, zero, 11) == 0) {
		/* ff02::1:2, all DHCP relay agents and servers. */
		if (dst[13] == 1)
			return dst[14] == 0 && dst[15] == 2;
		return dst[13] == 0 && dst[14] == 0;
	}
	/* ff02::1:ff00:0/104. Not only those of our addresses: one that is still being tested for
	 * duplicates hears too. */
	return memcmp(dst + 2, zero, 9) == 0 && dst[11] == 1 && dst[12] == 0xff;
}

enum ip6_verdict ip6_options_check(const uint8_t *pkt, uint32_t len, uint32_t off, uint32_t *next,
				   bool *router_alert, struct ip6_fault *fault)
{
	unsigned int n = 0;
	uint32_t end;

	*router_alert = false;
	if (len < 8 || off > len - 8)
		return IP6_MALFORMED;
	end = off + (pkt[off + 1] + 1u) * 8;
	if (end > len)
		return IP6_MALFORMED;
	*next = end;
	off += 2;
	while (off < end) {
		const uint8_t type = pkt[off];
		uint32_t olen;

		if (type == OPT_PAD1) {
			off++;
			continue;
		}
		if (end - off < 2 || pkt[off + 1] > end - off - 2 || ++n > IP6_OPTIONS_MAX)
			return IP6_MALFORMED;
		olen = pkt[off + 1];
		switch (type) {
		case 1: /* PadN */
			break;
		case OPT_ROUTER_ALERT:
			if (olen != 2)
				return IP6_MALFORMED;
			*router_alert = true;
			break;
		default:
			/* Jumbograms (RFC 2675) are among the unknown ones. */
			*fault = (struct ip6_fault){.code = ICMP6_BAD_OPTION,
						    .pointer = (uint16_t)off};
			switch (type >> 6) {
			case 0:
				break;
			case 1:
				return IP6_DISCARD;
			case 2:
				return IP6_PROBLEM;
			default:
				return IP6_PROBLEM_UNICAST;
			}
			break;
		}
		off += 2 + olen;
	}
	return IP6_OK;
}

enum ip6_verdict ip6_walk(const uint8_t *pkt, uint32_t len, struct ip6_upper *up,
			  struct ip6_fault *fault)
{
	uint32_t off = IP6_HDR_LEN;
	/* Where the type of the header at off is written. */
	uint32_t at = offsetof(struct rte_ipv6_hdr, proto);
	enum ip6_verdict v;
	bool alert;

	*up = (struct ip6_upper){0};
	if (len < IP6_HDR_LEN)
		return IP6_MALFORMED;
	for (unsigned int i = 0; i <= IP6_EXT_HDR_MAX; i++) {
		const uint8_t proto = pkt[at];

		up->proto = proto;
		up->offset = (uint16_t)off;
		switch (proto) {
		case IPPROTO_HOPOPTS:
			/* Only right behind the IPv6 header (RFC 8200 section 4.1). */
			if (i != 0) {
				*fault = (struct ip6_fault){.code = ICMP6_BAD_NEXT_HEADER,
							    .pointer = (uint16_t)at};
				return IP6_PROBLEM;
			}
			/* fallthrough */
		case IPPROTO_DSTOPTS:
			at = off;
			v = ip6_options_check(pkt, len, off, &off, &alert, fault);
			if (v != IP6_OK)
				return v;
			break;
		case IPPROTO_ROUTING:
			if (len < 8 || off > len - 8 || off + (pkt[off + 1] + 1u) * 8 > len)
				return IP6_MALFORMED;
			/* No type of it is known here, type 0 least of all (RFC 5095): one with
			 * nothing left is passed over. */
			if (pkt[off + 3] != 0) {
				*fault = (struct ip6_fault){.code = ICMP6_BAD_FIELD,
							    .pointer = (uint16_t)(off + 2)};
				return IP6_PROBLEM;
			}
			at = off;
			off += (pkt[off + 1] + 1u) * 8;
			break;
		case IPPROTO_FRAGMENT:
			if (len < 8 || off > len - 8)
				return IP6_MALFORMED;
			up->kind = IP6_FRAGMENT;
			up->first_fragment = pkt[off + 2] == 0 && (pkt[off + 3] & 0xf8) == 0;
			return IP6_OK;
		case IPPROTO_NONE:
			up->kind = IP6_NONE;
			return IP6_OK;
		default:
			up->kind = IP6_UPPER;
			return IP6_OK;
		}
	}
	return IP6_MALFORMED;
}

/* Where the transport header is, as far as a node on the way can tell. False if it is not in the
 * bytes at hand. */
static bool find_transport(const uint8_t *pkt, uint32_t len, uint8_t *proto, uint32_t *offset)
{
	uint32_t off = IP6_HDR_LEN;
	uint8_t p = pkt[offsetof(struct rte_ipv6_hdr, proto)];

	for (unsigned int i = 0; i <= IP6_EXT_HDR_MAX; i++) {
		switch (p) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_DSTOPTS:
		case IPPROTO_ROUTING:
			if (off + 8 > len)
				return false;
			p = pkt[off];
			off += (pkt[off + 1] + 1u) * 8;
			break;
		case IPPROTO_AH:
			if (off + 8 > len)
				return false;
			p = pkt[off];
			off += (pkt[off + 1] + 2u) * 4;
			break;
		case IPPROTO_FRAGMENT:
			if (off + 8 > len)
				return false;
			/* Without the first one nobody knows whether it is an error. */
			if (pkt[off] == IPPROTO_ICMPV6 &&
			    (pkt[off + 2] != 0 || (pkt[off + 3] & 0xf8) != 0))
				return false;
			if (pkt[off + 2] != 0 || (pkt[off + 3] & 0xf8) != 0) {
				*proto = IPPROTO_NONE;
				*offset = off;
				return true;
			}
			p = pkt[off];
			off += 8;
			break;
		default:
			*proto = p;
			*offset = off;
			return true;
		}
	}
	return false;
}

bool icmp6_error_allowed(const uint8_t *pkt, uint32_t len, uint8_t type, uint8_t code,
			 bool l2_multicast)
{
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)pkt;
	uint32_t off;
	uint8_t proto;

	if (len < IP6_HDR_LEN || pkt[0] >> 4 != 6)
		return false;
	if (ip6_src(ip)[0] == 0xff || ip6_is_martian(ip6_src(ip)))
		return false;
	if ((l2_multicast || ip6_dst(ip)[0] == 0xff) && type != ICMP6_TOO_BIG &&
	    !(type == ICMP6_PARAM_PROBLEM && code == ICMP6_BAD_OPTION))
		return false;
	if (!find_transport(pkt, len, &proto, &off))
		return false;
	if (proto != IPPROTO_ICMPV6)
		return true;
	/* Types below 128 are errors. */
	return off < len && pkt[off] >= 128 && pkt[off] != ICMP6_ND_REDIRECT_MSG;
}
