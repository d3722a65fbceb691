/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging IPv6 and ICMPv6 bytes: pure functions of a buffer and its length, used by the nodes, the
 * unit tests and the fuzzers. None of them reads past the length it is given, whatever the headers
 * say.
 */
#ifndef MILLRACE_IP6_PARSE_H
#define MILLRACE_IP6_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_ip.h>

#define IP6_HDR_LEN   40
#define ICMP6_HDR_LEN 8
/* RFC 8504 section 5.3 lets a node bound what it parses. */
#define IP6_EXT_HDR_MAX 8
#define IP6_OPTIONS_MAX 32

enum icmp6_msg {
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_EXCEEDED = 3,
	ICMP6_PARAM_PROBLEM = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_ANSWER = 129,
	ICMP6_ND_FIRST = 133,
	ICMP6_ND_LAST = 137,
	ICMP6_ND_REDIRECT_MSG = 137,
};

/* Codes of ICMP6_UNREACHABLE. */
enum icmp6_unreachable {
	ICMP6_NO_ROUTE = 0,
	ICMP6_PROHIBITED = 1,
	ICMP6_BEYOND_SCOPE = 2,
	ICMP6_ADDRESS_UNREACHABLE = 3,
	ICMP6_REJECT_ROUTE = 6,
};

/* Codes of ICMP6_PARAM_PROBLEM. */
enum icmp6_param {
	ICMP6_BAD_FIELD = 0,
	ICMP6_BAD_NEXT_HEADER = 1,
	ICMP6_BAD_OPTION = 2,
};

/* The addresses, whatever type DPDK gives them. */
static __rte_always_inline const uint8_t *ip6_src(const struct rte_ipv6_hdr *ip)
{
	return (const uint8_t *)ip + offsetof(struct rte_ipv6_hdr, src_addr);
}

static __rte_always_inline const uint8_t *ip6_dst(const struct rte_ipv6_hdr *ip)
{
	return (const uint8_t *)ip + offsetof(struct rte_ipv6_hdr, dst_addr);
}

/*
 * True for addresses of which the first byte says that they are plain unicast: neither ::/8
 * (unspecified, loopback, mapped; also 64:ff9b::/96, which the slow way finds good) nor fe00::/7
 * (link-local) nor multicast.
 */
static __rte_always_inline bool ip6_is_plain(const uint8_t *a)
{
	return (uint8_t)(a[0] + 2) > 2;
}

/* ::, ::1, IPv4-compatible and IPv4-mapped: never on a wire (RFC 4291, RFC 6890). */
static inline bool ip6_is_martian(const uint8_t *a)
{
	static const uint8_t zero[10];

	return memcmp(a, zero, 10) == 0 &&
	       ((a[10] == 0 && a[11] == 0) || (a[10] == 0xff && a[11] == 0xff));
}

static inline bool ip6_is_unspecified(const uint8_t *a)
{
	static const uint8_t zero[16];

	return memcmp(a, zero, 16) == 0;
}

/* Multicast groups the box hears: ff02::/120 of the routing protocols and hosts, ff02::1:2 and
 * solicited-node groups. */
bool ip6_multicast_is_ours(const uint8_t *dst);

enum ip6_verdict {
	IP6_OK = 0,
	/* Lengths that lie, or more headers than are looked at. */
	IP6_MALFORMED,
	/* To be dropped in silence. */
	IP6_DISCARD,
	/* To be dropped with a parameter problem; code and pointer say which. */
	IP6_PROBLEM,
	/* As IP6_PROBLEM, but not if the destination is multicast. */
	IP6_PROBLEM_UNICAST,
};

struct ip6_fault {
	uint8_t code;
	uint16_t pointer;
};

/*
 * Parses the options of a hop-by-hop or destination header that starts at off of a packet with len
 * readable bytes (RFC 8200 section 4.2). *next is the offset behind it, *router_alert is set if
 * there is one (RFC 2711).
 */
enum ip6_verdict ip6_options_check(const uint8_t *pkt, uint32_t len, uint32_t off, uint32_t *next,
				   bool *router_alert, struct ip6_fault *fault);

enum ip6_upper_kind {
	/* Transport header at offset. */
	IP6_UPPER,
	/* A fragment that is not the whole packet. */
	IP6_FRAGMENT,
	/* "No next header" (59). */
	IP6_NONE,
};

struct ip6_upper {
	enum ip6_upper_kind kind;
	uint8_t proto;
	uint16_t offset;
	/* Of a fragment: offset 0. */
	bool first_fragment;
};

/*
 * Walks the extension headers of a packet for the box itself, as its destination does (RFC 8200
 * section 4, RFC 5095): len readable bytes from the IPv6 header on. A hop-by-hop header in the
 * first place is taken as already checked.
 */
enum ip6_verdict ip6_walk(const uint8_t *pkt, uint32_t len, struct ip6_upper *up,
			  struct ip6_fault *fault);

/*
 * True if RFC 4443 section 2.4(e) allows an error of this type and code about the packet: not about
 * ICMPv6 errors and redirects, nor about multicasts (with two exceptions), nor towards a source
 * that is not one node.
 */
bool icmp6_error_allowed(const uint8_t *pkt, uint32_t len, uint8_t type, uint8_t code,
			 bool l2_multicast);

#endif
