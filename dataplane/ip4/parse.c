/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>

#include "parse.h"

/* Option types, with the copied flag and class in them. */
#define OPT_EOL		 0
#define OPT_NOP		 1
#define OPT_RECORD_ROUTE 7
#define OPT_TIMESTAMP	 68
#define OPT_LSRR	 131
#define OPT_SSRR	 137
#define OPT_ROUTER_ALERT 148
#define OPT_COPIED	 0x80

enum ip4_opts ip4_options_check(const uint8_t *hdr, unsigned int hlen, uint8_t *pointer)
{
	unsigned int off = sizeof(struct rte_ipv4_hdr);
	enum ip4_opts verdict = IP4_OPTS_OK;

	*pointer = 0;
	while (off < hlen) {
		const uint8_t type = hdr[off];
		unsigned int len;

		if (type == OPT_EOL)
			break;
		if (type == OPT_NOP) {
			off++;
			continue;
		}
		/* The length counts the type and itself. */
		if (hlen - off < 2 || hdr[off + 1] < 2 || hdr[off + 1] > hlen - off) {
			*pointer = off + (hlen - off < 2 ? 0 : 1);
			return IP4_OPTS_MALFORMED;
		}
		len = hdr[off + 1];
		switch (type) {
		case OPT_LSRR:
		case OPT_SSRR:
			verdict = IP4_OPTS_SOURCE_ROUTE;
			/* fallthrough */
		case OPT_RECORD_ROUTE:
			/* The pointer counts from 1 and starts behind itself. */
			if (len < 3 || hdr[off + 2] < 4) {
				*pointer = off + (len < 3 ? 1 : 2);
				return IP4_OPTS_MALFORMED;
			}
			break;
		case OPT_TIMESTAMP:
			if (len < 4 || hdr[off + 2] < 5) {
				*pointer = off + (len < 4 ? 1 : 2);
				return IP4_OPTS_MALFORMED;
			}
			break;
		case OPT_ROUTER_ALERT:
			if (len != 4) {
				*pointer = off + 1;
				return IP4_OPTS_MALFORMED;
			}
			break;
		default:
			break;
		}
		off += len;
	}
	return verdict;
}

unsigned int ip4_options_copied(const uint8_t *hdr, unsigned int hlen, uint8_t *out)
{
	unsigned int off = sizeof(struct rte_ipv4_hdr);
	unsigned int n = 0;

	while (off < hlen && hdr[off] != OPT_EOL) {
		unsigned int len = 1;

		if (hdr[off] != OPT_NOP) {
			if (hlen - off < 2 || hdr[off + 1] < 2 || hdr[off + 1] > hlen - off)
				break;
			len = hdr[off + 1];
			if (hdr[off] & OPT_COPIED) {
				memcpy(out + n, hdr + off, len);
				n += len;
			}
		}
		off += len;
	}
	while (n % 4 != 0)
		out[n++] = OPT_EOL;
	return n;
}

enum ip4_l4 ip4_transport_check(uint8_t proto, const uint8_t *l4, uint32_t len, uint32_t total)
{
	uint32_t n;

	switch (proto) {
	case IPPROTO_TCP:
		if (total < 20 || len < 20)
			return IP4_L4_SHORT;
		n = (l4[12] >> 4) * 4u;
		return n < 20 || n > total ? IP4_L4_SHORT : IP4_L4_OK;
	case IPPROTO_UDP:
		if (total < 8 || len < 8)
			return IP4_L4_SHORT;
		n = (uint32_t)l4[4] << 8 | l4[5];
		return n < 8 || n > total ? IP4_L4_SHORT : IP4_L4_OK;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return total < 4 || len < 4 ? IP4_L4_SHORT : IP4_L4_OK;
	default:
		return IP4_L4_OK;
	}
}

bool icmp4_error_allowed(const uint8_t *pkt, uint32_t len)
{
	struct rte_ipv4_hdr ip;
	uint32_t hlen;

	if (len < sizeof(ip))
		return false;
	memcpy(&ip, pkt, sizeof(ip));
	hlen = (ip.version_ihl & 0xf) * 4u;
	if (ip.version_ihl >> 4 != 4 || hlen < sizeof(ip))
		return false;
	if (ip.fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	/* Multicast, class E with the limited broadcast, and "this network". */
	if (rte_be_to_cpu_32(ip.dst_addr) >= 0xe0000000 || ip.dst_addr == 0)
		return false;
	if (!ip4_is_unicast_source(ip.src_addr))
		return false;
	if (ip.next_proto_id != IPPROTO_ICMP)
		return true;
	if (len <= hlen)
		return false;
	/* Only about what is known to be no error. */
	switch (pkt[hlen]) {
	case ICMP4_ECHO_REPLY:
	case ICMP4_ECHO:
	case ICMP4_ROUTER_ADVERT:
	case ICMP4_ROUTER_SOLICIT:
	case ICMP4_TIMESTAMP:
	case ICMP4_TIMESTAMP_REPLY:
	case ICMP4_INFO:
	case ICMP4_INFO_REPLY:
	case ICMP4_MASK:
	case ICMP4_MASK_REPLY:
		return true;
	default:
		return false;
	}
}
