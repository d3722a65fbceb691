/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow hashes: which member of a next-hop group a packet takes, and which worker gets it where the
 * device has no RSS. All packets of a flow hash alike; ports count only where every packet of the
 * flow has them (never in fragments).
 *
 * CRC32C alone is linear: routers in a row that use it agree on which flows belong together, and a
 * seed only renumbers the buckets. The multiplication by a number chosen at each start undoes both.
 */
#ifndef MILLRACE_CORE_FLOW_H
#define MILLRACE_CORE_FLOW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

/* Chosen at random at start; both never change afterwards. The multiplier is odd. */
extern uint32_t flow_seed;
extern uint32_t flow_multiplier;

/* IPv6 extension headers looked at in search of the ports. */
#define FLOW_EXT_HDR_MAX 4

static __rte_always_inline uint32_t flow_crc64(uint64_t data, uint32_t h)
{
#ifdef __SSE4_2__
	return (uint32_t)__builtin_ia32_crc32di(h, data);
#else
	return rte_hash_crc_8byte(data, h);
#endif
}

static __rte_always_inline uint32_t flow_mix(uint32_t h)
{
	h *= flow_multiplier;
	return h ^ (h >> 15);
}

/* True for the protocols that start with two 16-bit ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
static __rte_always_inline bool flow_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

/*
 * ip is the header, wholly in m's first segment; nothing past that segment is read. The header need
 * not have been validated: one whose ports cannot be reached hashes by addresses and protocol.
 */
static __rte_always_inline uint32_t flow_hash4(const struct rte_ipv4_hdr *ip,
					       const struct rte_mbuf *m)
{
	const uint8_t *base = (const uint8_t *)ip;
	const uint8_t *end = rte_pktmbuf_mtod(m, const uint8_t *) + m->data_len;
	const uint32_t hlen = (ip->version_ihl & 0xf) * 4u;
	const uint16_t frag = rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK);
	uint64_t addrs;
	uint64_t rest = ip->next_proto_id;

	/* The addresses are neighbours in the header. */
	memcpy(&addrs, base + offsetof(struct rte_ipv4_hdr, src_addr), sizeof(addrs));
	if (likely(flow_has_ports(ip->next_proto_id) && (ip->fragment_offset & frag) == 0 &&
		   hlen >= sizeof(*ip) && (size_t)(end - base) >= hlen + 4)) {
		uint32_t ports;

		memcpy(&ports, base + hlen, sizeof(ports));
		rest |= (uint64_t)ports << 32;
	}
	return flow_mix(flow_crc64(rest, flow_crc64(addrs, flow_seed)));
}

/*
 * As flow_hash4. The flow label counts (RFC 6437), and so do the ports behind up to
 * FLOW_EXT_HDR_MAX hop-by-hop, destination and routing headers.
 */
static __rte_always_inline uint32_t flow_hash6(const struct rte_ipv6_hdr *ip,
					       const struct rte_mbuf *m)
{
	const uint8_t *base = (const uint8_t *)ip;
	const uint8_t *end = rte_pktmbuf_mtod(m, const uint8_t *) + m->data_len;
	const size_t len = end - base;
	size_t off = sizeof(*ip);
	uint8_t proto = ip->proto;
	uint64_t a[4];
	uint64_t rest;
	uint32_t h;
	int i;

	for (i = 0; unlikely(i < FLOW_EXT_HDR_MAX &&
			     (proto == IPPROTO_HOPOPTS || proto == IPPROTO_DSTOPTS ||
			      proto == IPPROTO_ROUTING));
	     i++) {
		if (off + 8 > len)
			break;
		proto = base[off];
		off += (base[off + 1] + 1u) * 8;
	}
	memcpy(a, base + offsetof(struct rte_ipv6_hdr, src_addr), sizeof(a));
	rest = (ip->vtc_flow & rte_cpu_to_be_32(RTE_IPV6_HDR_FL_MASK)) ^ (uint64_t)proto;
	if (likely(flow_has_ports(proto) && off + 4 <= len)) {
		uint32_t ports;

		memcpy(&ports, base + off, sizeof(ports));
		rest |= (uint64_t)ports << 32;
	}
	h = flow_crc64(a[0], flow_seed);
	h = flow_crc64(a[1], h);
	h = flow_crc64(a[2], h);
	h = flow_crc64(a[3], h);
	return flow_mix(flow_crc64(rest, h));
}

#endif
