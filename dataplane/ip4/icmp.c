/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp4-input: unfragmented ICMP for an address of the box. Echo is answered here, so that a ping
 * works while everything else is down; what may be about our own segments and pings goes to
 * tcp-icmp and on to ping-input, the rest to the kernel.
 */
#include <netinet/in.h>

#include <rte_cycles.h>

#include "tcp/cksum.h"

#include "../core/worker.h"
#include "../iface/iface.h"
#include "each.h"
#include "icmp.h"
#include "parse.h"

enum {
	EDGE_OUTPUT,
	EDGE_PING,
	EDGE_PUNT,
	EDGE_TRUNCATED,
	EDGE_CHECKSUM,
	EDGE_SOURCE,
	EDGE_RATE,
	EDGE_REDIRECT,
	EDGE_MAX,
};

struct icmp_settings icmp_settings = {.echo_rate = 10000, .echo_burst = 1000};

/* A worker only touches its own row. */
static struct bucket echo_bucket[WORKER_MAX][IFACE_MAX];

bool icmp_echo_allow(uint16_t iface, uint64_t now)
{
	struct bucket *b = &echo_bucket[worker_self->id][iface % IFACE_MAX];

	if (unlikely(b->depth == 0))
		bucket_init(b, icmp_settings.echo_rate, icmp_settings.echo_burst);
	return bucket_take(b, now);
}

/* RFC 1122 section 3.2.2.6, RFC 1812 section 4.3.3.6: turns the request into the reply. */
static uint16_t echo_reply(struct rte_mbuf *m, struct rte_ipv4_hdr *ip, uint8_t *icmp)
{
	struct mb_meta *meta = mb_meta(m);
	const struct iface *in = ifaces[meta->iface];
	const uint32_t src = ip->src_addr;
	uint16_t cksum;

	if (meta->flags & (MB_L2_BCAST | MB_L2_MCAST) || !ip4_is_unicast_source(src))
		return EDGE_SOURCE;
	if (in != NULL && in->view != NULL) {
		const struct iface_addr_view *v = in->view;

		for (unsigned int i = 0; i < v->n4; i++)
			if (v->v4[i].mask != UINT32_MAX && src == (v->v4[i].addr | ~v->v4[i].mask))
				return EDGE_SOURCE;
	}
	if (!icmp_echo_allow(meta->iface, rte_rdtsc()))
		return EDGE_RATE;

	memcpy(&cksum, icmp + 2, sizeof(cksum));
	cksum = cksum_update16(cksum, rte_cpu_to_be_16(ICMP4_ECHO << 8), 0);
	icmp[0] = ICMP4_ECHO_REPLY;
	memcpy(icmp + 2, &cksum, sizeof(cksum));
	ip->src_addr = ip->dst_addr;
	ip->dst_addr = src;
	ip->time_to_live = ICMP_TTL;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);

	/* Padding of short frames is not sent back. */
	if (m->pkt_len > rte_be_to_cpu_16(ip->total_length))
		rte_pktmbuf_trim(m, m->pkt_len - rte_be_to_cpu_16(ip->total_length));
	m->ol_flags &= ~(RTE_MBUF_F_TX_OFFLOAD_MASK);
	/* The way back starts where the request came from, also if it was looked up in another VRF
	 * on its way here. */
	if (in != NULL)
		meta->vrf = in->vrf;
	meta->flags = (meta->flags & MB_TRACED) | MB_HOST;
	return EDGE_OUTPUT;
}

static uint16_t classify(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	const uint32_t hlen = rte_ipv4_hdr_len(ip);
	const uint32_t total = rte_be_to_cpu_16(ip->total_length);
	uint8_t *icmp = (uint8_t *)ip + hlen;
	uint16_t sum;

	/* ip4-local has seen to it that the header is whole and the packet as long as it says. */
	if (total < hlen + ICMP4_HDR_LEN || m->data_len < hlen + ICMP4_HDR_LEN)
		return EDGE_TRUNCATED;
	if (!tcp_raw_cksum(m, hlen, total - hlen, &sum) || sum != 0xffff)
		return EDGE_CHECKSUM;
	switch (icmp[0]) {
	case ICMP4_ECHO:
		/* The kernel knows how to answer one with options. */
		if (icmp[1] != 0 || hlen != sizeof(*ip))
			return EDGE_PUNT;
		return echo_reply(m, ip, icmp);
	case ICMP4_ECHO_REPLY:
	case ICMP4_UNREACHABLE:
	case ICMP4_SOURCE_QUENCH:
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAM_PROBLEM:
		return EDGE_PING;
	case ICMP4_REDIRECT:
		/* RFC 1812 section 5.2.7.2: a router does not take its routes from redirects; nor
		 * is the kernel to. */
		return EDGE_REDIRECT;
	default:
		return EDGE_PUNT;
	}
}

static uint16_t icmp4_input(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return node_each(graph, node, objs, n, classify);
}

static struct rte_node_register icmp4_input_node = {
	.name = "icmp4-input",
	.process = icmp4_input,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_OUTPUT] = "ip4-output",
			[EDGE_PING] = "tcp-icmp",
			[EDGE_PUNT] = "kernel-punt",
			[EDGE_TRUNCATED] = "drop-ip4-icmp-truncated",
			[EDGE_CHECKSUM] = "drop-ip4-icmp-bad-checksum",
			[EDGE_SOURCE] = "drop-ip4-echo-bad-source",
			[EDGE_RATE] = "drop-ip4-echo-rate",
			[EDGE_REDIRECT] = "drop-ip4-icmp-redirect",
		},
};
RTE_NODE_REGISTER(icmp4_input_node);

DROP_NODE(icmp_truncated, "ip4-icmp-truncated", "ICMP message for the box shorter than its header");
DROP_NODE(icmp_bad_checksum, "ip4-icmp-bad-checksum", "ICMP checksum is wrong");
DROP_NODE(echo_bad_source, "ip4-echo-bad-source",
	  "echo request from, or sent to, a broadcast or multicast address");
DROP_NODE(echo_rate, "ip4-echo-rate", "more echo requests than the interface's share");
DROP_NODE(icmp_redirect, "ip4-icmp-redirect", "ICMP redirect: a router ignores them (RFC 1812)");
