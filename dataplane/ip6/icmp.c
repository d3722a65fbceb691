/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp6-input: unfragmented ICMPv6 for the box. Echo is answered here, neighbour discovery goes to
 * nd-input (meta.arg2: offset of the ICMPv6 header), what may be about our own segments and pings
 * to tcp-icmp and on to ping-input, the rest to the kernel.
 */
#include <netinet/in.h>

#include <rte_cycles.h>

#include "tcp/cksum.h"

#include "../core/worker.h"
#include "../iface/iface.h"
#include "../ip4/each.h"
#include "../ip4/icmp.h"
#include "../ip4/parse.h"
#include "parse.h"

enum {
	EDGE_OUTPUT,
	EDGE_ND,
	EDGE_PING,
	EDGE_PUNT,
	EDGE_TRUNCATED,
	EDGE_CHECKSUM,
	EDGE_SOURCE,
	EDGE_RATE,
	EDGE_MAX,
};

/* RFC 4443 section 4.2: turns the request into the reply. */
static uint16_t echo_reply(struct rte_mbuf *m, struct rte_ipv6_hdr *ip, uint8_t *icmp)
{
	struct mb_meta *meta = mb_meta(m);
	const struct iface *in = ifaces[meta->iface % IFACE_MAX];
	uint8_t *src = (uint8_t *)ip + offsetof(struct rte_ipv6_hdr, src_addr);
	uint8_t *dst = (uint8_t *)ip + offsetof(struct rte_ipv6_hdr, dst_addr);
	uint8_t requester[16];
	uint16_t cksum;

	if (meta->flags & (MB_L2_BCAST | MB_L2_MCAST) || src[0] == 0xff || ip6_is_martian(src))
		return EDGE_SOURCE;
	if (!icmp_echo_allow(meta->iface, rte_rdtsc()))
		return EDGE_RATE;

	/* The sum does not see which of the addresses comes first. */
	memcpy(&cksum, icmp + 2, sizeof(cksum));
	cksum = cksum_update16(cksum, rte_cpu_to_be_16(ICMP6_ECHO << 8),
			       rte_cpu_to_be_16(ICMP6_ECHO_ANSWER << 8));
	icmp[0] = ICMP6_ECHO_ANSWER;
	memcpy(icmp + 2, &cksum, sizeof(cksum));
	memcpy(requester, src, sizeof(requester));
	memcpy(src, dst, sizeof(requester));
	memcpy(dst, requester, sizeof(requester));
	ip->hop_limits = ICMP_TTL;

	m->ol_flags &= ~(RTE_MBUF_F_TX_OFFLOAD_MASK);
	/* The way back starts where the request came from, also if it was looked up in another VRF
	 * on its way here. */
	if (in != NULL)
		meta->vrf = in->vrf;
	meta->flags = (meta->flags & MB_TRACED) | MB_HOST;
	return EDGE_OUTPUT;
}

/* RFC 8200 section 8.1. len: of the ICMPv6 message that starts at off. */
static bool checksum_ok(const struct rte_mbuf *m, const struct rte_ipv6_hdr *ip, uint32_t off,
			uint32_t len)
{
	uint32_t sum;
	uint16_t part;

	if (!tcp_raw_cksum(m, off, len, &part))
		return false;
	sum = part;
	sum += rte_raw_cksum(ip6_src(ip), 32);
	sum += rte_cpu_to_be_16((uint16_t)len);
	sum += rte_cpu_to_be_16(IPPROTO_ICMPV6);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static uint16_t classify(struct rte_mbuf *m)
{
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	/* ip6-local found the header there and the packet as long as it says. */
	const uint32_t off = mb_meta(m)->arg2;
	const uint32_t total = IP6_HDR_LEN + rte_be_to_cpu_16(ip->payload_len);
	uint8_t *icmp = (uint8_t *)ip + off;
	uint8_t type;

	if (total < off + ICMP6_HDR_LEN || m->data_len < off + ICMP6_HDR_LEN)
		return EDGE_TRUNCATED;
	if (!checksum_ok(m, ip, off, total - off))
		return EDGE_CHECKSUM;
	type = icmp[0];
	if (type >= ICMP6_ND_FIRST && type <= ICMP6_ND_LAST)
		return EDGE_ND;
	if (type < 128 || type == ICMP6_ECHO_ANSWER)
		return EDGE_PING;
	/* The kernel answers those to a group, or with extension headers. */
	if (type == ICMP6_ECHO && icmp[1] == 0 && off == IP6_HDR_LEN && ip6_dst(ip)[0] != 0xff)
		return echo_reply(m, ip, icmp);
	return EDGE_PUNT;
}

static uint16_t icmp6_input(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return node_each(graph, node, objs, n, classify);
}

static struct rte_node_register icmp6_input_node = {
	.name = "icmp6-input",
	.process = icmp6_input,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_OUTPUT] = "ip6-output",
			[EDGE_ND] = "nd-input",
			[EDGE_PING] = "tcp-icmp",
			[EDGE_PUNT] = "kernel-punt",
			[EDGE_TRUNCATED] = "drop-ip6-icmp-truncated",
			[EDGE_CHECKSUM] = "drop-ip6-icmp-bad-checksum",
			[EDGE_SOURCE] = "drop-ip6-echo-bad-source",
			[EDGE_RATE] = "drop-ip6-echo-rate",
		},
};
RTE_NODE_REGISTER(icmp6_input_node);

DROP_NODE(icmp_truncated, "ip6-icmp-truncated",
	  "ICMPv6 message for the box shorter than its header");
DROP_NODE(icmp_bad_checksum, "ip6-icmp-bad-checksum", "ICMPv6 checksum is wrong");
DROP_NODE(echo_bad_source, "ip6-echo-bad-source",
	  "echo request from something else than a unicast address, or in a group's frame");
DROP_NODE(echo_rate, "ip6-echo-rate", "more echo requests than the interface's share");
