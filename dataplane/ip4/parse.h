/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging IPv4 and ICMP bytes: pure functions of a buffer and its length, used by the nodes, the
 * unit tests and the fuzzers. None of them reads past the length it is given, whatever the headers
 * say.
 */
#ifndef MILLRACE_IP4_PARSE_H
#define MILLRACE_IP4_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ip.h>

#define ICMP4_HDR_LEN 8

enum icmp4_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_SOURCE_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_ECHO = 8,
	ICMP4_ROUTER_ADVERT = 9,
	ICMP4_ROUTER_SOLICIT = 10,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAM_PROBLEM = 12,
	ICMP4_TIMESTAMP = 13,
	ICMP4_TIMESTAMP_REPLY = 14,
	ICMP4_INFO = 15,
	ICMP4_INFO_REPLY = 16,
	ICMP4_MASK = 17,
	ICMP4_MASK_REPLY = 18,
};

/* Codes of ICMP4_UNREACHABLE. */
enum icmp4_unreachable {
	ICMP4_NET_UNREACHABLE = 0,
	ICMP4_HOST_UNREACHABLE = 1,
	ICMP4_FRAG_NEEDED = 4,
	ICMP4_ADMIN_PROHIBITED = 13,
};

enum ip4_opts {
	IP4_OPTS_OK = 0,
	/* A length that lies, or a pointer outside of its option. */
	IP4_OPTS_MALFORMED,
	/* Loose or strict source and record route (RFC 7126 section 4.3, 4.4). */
	IP4_OPTS_SOURCE_ROUTE,
};

/*
 * Looks at every option of a header of hlen bytes (20 to 60, all of them readable). *pointer is the
 * offset in the header of the byte at fault when it is malformed.
 */
enum ip4_opts ip4_options_check(const uint8_t *hdr, unsigned int hlen, uint8_t *pointer);

/*
 * Writes the options that RFC 791 has copied into every fragment to out (40 bytes), padded to a
 * multiple of 4; returns their length. The options must have been found good by
 * ip4_options_check().
 */
unsigned int ip4_options_copied(const uint8_t *hdr, unsigned int hlen, uint8_t *out);

/* What is the matter with the start of a packet's transport header. */
enum ip4_l4 {
	IP4_L4_OK = 0,
	/* Shorter than the header of its protocol, or a UDP length beyond the packet. */
	IP4_L4_SHORT,
};

/*
 * A light look at the transport header of an unfragmented packet: l4 has `len` readable bytes of
 * the `total` that the IP header speaks of.
 */
enum ip4_l4 ip4_transport_check(uint8_t proto, const uint8_t *l4, uint32_t len, uint32_t total);

/* True if an ICMP error may be sent to this source (RFC 1812 section 4.3.2.7, 5.3.7): a unicast
 * address. Network order. */
static inline bool ip4_is_unicast_source(uint32_t be)
{
	const uint32_t a = rte_be_to_cpu_32(be);

	return (a >> 24) != 0 && (a >> 24) != 127 && a < 0xe0000000;
}

/*
 * True if RFC 1812 section 4.3.2.7 allows an ICMP error about this packet: not about ICMP errors,
 * fragments other than the first, packets to or from anything but a unicast address. len is how
 * many bytes are readable.
 */
bool icmp4_error_allowed(const uint8_t *pkt, uint32_t len);

/* RFC 1624: the checksum (as it lies in the packet) after a 16-bit word of it changed from `from`
 * to `to`, all as they lie in the packet. */
static inline uint16_t cksum_update16(uint16_t cksum, uint16_t from, uint16_t to)
{
	uint32_t sum = (uint16_t)~cksum;

	sum += (uint16_t)~from;
	sum += to;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

#endif
