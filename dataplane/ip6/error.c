/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip6-error: what could not be forwarded. The packet goes to the drop node that names the cause;
 * its sender gets an ICMPv6 error if RFC 4443 section 2.4 and the rate limit allow. A packet the
 * kernel sent is answered to the kernel, whose path MTU discovery and connect() depend on it.
 */
#include <netinet/in.h>

#include <rte_cycles.h>

#include "../core/flow.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "../iface/iface.h"
#include "../ip4/icmp.h"
#include "error.h"
#include "lookup.h"
#include "parse.h"

enum {
	EDGE_NO_ROUTE,
	EDGE_HOST_UNREACHABLE,
	EDGE_BEYOND_SCOPE,
	EDGE_PROHIBITED,
	EDGE_INTERFACE_DOWN,
	EDGE_TOO_BIG,
	EDGE_HOP_LIMIT,
	EDGE_PARAMETER,
	EDGE_OTHER,
	/* Of the errors made. */
	EDGE_OUTPUT,
	EDGE_PING,
	EDGE_MAX,
};

bool icmp6_error_make(struct rte_mbuf *m, const struct rte_mbuf *about, const struct icmp6_error *e)
{
	const uint32_t hdrs = IP6_HDR_LEN + ICMP6_HDR_LEN;
	const uint32_t quoted = RTE_MIN(about->pkt_len, ICMP6_ERROR_MAX - hdrs);
	const uint32_t arg = rte_cpu_to_be_32(e->arg);
	struct rte_ipv6_hdr *ip;
	const void *from;
	uint8_t *icmp;
	uint32_t sum;
	uint16_t cksum;

	ip = (struct rte_ipv6_hdr *)rte_pktmbuf_append(m, hdrs + quoted);
	if (ip == NULL)
		return false;
	*ip = (struct rte_ipv6_hdr){
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = rte_cpu_to_be_16((uint16_t)(ICMP6_HDR_LEN + quoted)),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = ICMP_TTL,
	};
	memcpy((uint8_t *)ip + offsetof(struct rte_ipv6_hdr, src_addr), e->src, 16);
	memcpy((uint8_t *)ip + offsetof(struct rte_ipv6_hdr, dst_addr), e->dst, 16);
	icmp = (uint8_t *)(ip + 1);
	icmp[0] = e->type;
	icmp[1] = e->code;
	icmp[2] = icmp[3] = 0;
	memcpy(icmp + 4, &arg, sizeof(arg));
	from = rte_pktmbuf_read(about, 0, quoted, icmp + ICMP6_HDR_LEN);
	if (from != icmp + ICMP6_HDR_LEN)
		memcpy(icmp + ICMP6_HDR_LEN, from, quoted);
	sum = rte_raw_cksum(icmp, ICMP6_HDR_LEN + quoted);
	sum += rte_raw_cksum(ip6_src(ip), 32);
	sum += rte_cpu_to_be_16((uint16_t)(ICMP6_HDR_LEN + quoted));
	sum += rte_cpu_to_be_16(IPPROTO_ICMPV6);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	cksum = (uint16_t)~sum;
	memcpy(icmp + 2, &cksum, sizeof(cksum));
	return true;
}

/* RFC 4443 section 2.2: the address the packet was for if it is ours, else one of the interface the
 * error leaves by. NULL if the box has none. */
static const uint8_t *error_source(uint16_t vrf, const struct iface *in,
				   const struct rte_ipv6_hdr *ip, const struct rte_mbuf *about)
{
	const uint8_t *to = ip6_src(ip), *was = ip6_dst(ip);
	const struct nexthop *nh;
	const uint8_t *src = NULL;

	if (ip6_is_link_local(was) && in != NULL && ip6_is_own(in->id, was))
		return was;
	if (was[0] != 0xff && !ip6_is_link_local(was)) {
		nh = ip6_route(mb_meta((struct rte_mbuf *)(uintptr_t)about)->vrf, was, 0);
		if (nh != NULL && nh->action == NH_LOCAL)
			return was;
	}
	if (!ip6_is_link_local(to)) {
		nh = ip6_route(vrf, to, flow_hash6(ip, about));
		if (nh != NULL && (nh->action == NH_REWRITE || nh->action == NH_GLEAN ||
				   nh->action == NH_UNRESOLVED)) {
			const struct iface *out = ifaces[nh->iface % IFACE_MAX];

			if (out != NULL)
				src = iface_source6(out, to);
		}
	}
	if (src == NULL && in != NULL)
		src = iface_source6(in, to);
	return src != NULL ? src : vrf_source6(vrf);
}

/* An echo reply made by a node has nobody in the kernel who waits for news of it. */
static bool kernel_wants_error(const uint8_t *pkt, uint32_t len)
{
	return pkt[6] != IPPROTO_ICMPV6 ||
	       (len > IP6_HDR_LEN && pkt[IP6_HDR_LEN] != ICMP6_ECHO_ANSWER);
}

static void send_error(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *about,
		       uint64_t now)
{
	const struct mb_meta *am = mb_meta(about);
	const uint8_t *pkt = rte_pktmbuf_mtod(about, const uint8_t *);
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)pkt;
	const struct iface *in = ifaces[am->iface % IFACE_MAX];
	struct icmp6_error e = {.type = am->arg0, .code = am->arg1, .arg = am->arg2};
	const bool host = am->flags & MB_HOST;
	const uint16_t vrf = in != NULL ? in->vrf : am->vrf;
	struct rte_mbuf *m;

	if ((am->flags & MB_ICMP_ERROR) ||
	    !icmp6_error_allowed(pkt, about->data_len, e.type, e.code,
				 am->flags & (MB_L2_BCAST | MB_L2_MCAST)))
		return;
	if (host && !kernel_wants_error(pkt, about->data_len))
		return;
	if (!bucket_take(&worker_self->icmp_error, now))
		return;

	e.dst = ip6_src(ip);
	/* To the kernel it has to come from elsewhere: it takes no packets from its own addresses.
	 */
	e.src = host ? ip6_dst(ip) : error_source(vrf, in, ip, about);
	if (e.src == NULL || e.src[0] == 0xff)
		return;
	m = rte_pktmbuf_alloc(dp_pool);
	if (m == NULL)
		return;
	if (!icmp6_error_make(m, about, &e)) {
		rte_pktmbuf_free(m);
		return;
	}
	*mb_meta(m) = (struct mb_meta){
		.iface = am->iface,
		.vrf = vrf,
		.flags = host ? MB_ICMP_ERROR : MB_HOST | MB_ICMP_ERROR,
	};
	rte_node_enqueue_x1(graph, node, host ? EDGE_PING : EDGE_OUTPUT, m);
}

static uint16_t cause(const struct mb_meta *meta)
{
	switch (meta->arg0) {
	case ICMP6_TOO_BIG:
		return EDGE_TOO_BIG;
	case ICMP6_EXCEEDED:
		return EDGE_HOP_LIMIT;
	case ICMP6_PARAM_PROBLEM:
		return EDGE_PARAMETER;
	case ICMP6_UNREACHABLE:
		break;
	default:
		return EDGE_OTHER;
	}
	switch (meta->arg1) {
	case ICMP6_NO_ROUTE:
		return meta->nh != 0 && nexthops[meta->nh].action == NH_DOWN ? EDGE_INTERFACE_DOWN
									     : EDGE_NO_ROUTE;
	case ICMP6_PROHIBITED:
	case ICMP6_REJECT_ROUTE:
		return EDGE_PROHIBITED;
	case ICMP6_BEYOND_SCOPE:
		return EDGE_BEYOND_SCOPE;
	case ICMP6_ADDRESS_UNREACHABLE:
		return EDGE_HOST_UNREACHABLE;
	default:
		return EDGE_OTHER;
	}
}

static uint16_t ip6_error(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	const uint64_t now = rte_rdtsc();
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t i = 0; i < n; i++) {
		edge[i] = cause(mb_meta(objs[i]));
		send_error(graph, node, objs[i], now);
	}
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip6_error_node = {
	.name = "ip6-error",
	.process = ip6_error,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_NO_ROUTE] = "drop-ip6-no-route",
			[EDGE_HOST_UNREACHABLE] = "drop-ip6-host-unreachable",
			[EDGE_BEYOND_SCOPE] = "drop-ip6-beyond-scope",
			[EDGE_PROHIBITED] = "drop-ip6-prohibited",
			[EDGE_INTERFACE_DOWN] = "drop-ip6-interface-down",
			[EDGE_TOO_BIG] = "drop-ip6-too-big",
			[EDGE_HOP_LIMIT] = "drop-ip6-hop-limit-exceeded",
			[EDGE_PARAMETER] = "drop-ip6-parameter-problem",
			[EDGE_OTHER] = "drop-ip6-unreachable",
			[EDGE_OUTPUT] = "ip6-output",
			[EDGE_PING] = "tcp-icmp",
		},
};
RTE_NODE_REGISTER(ip6_error_node);

DROP_NODE(no_route, "ip6-no-route", "no route to the destination");
DROP_NODE(host_unreachable, "ip6-host-unreachable",
	  "the next hop does not answer neighbour solicitations");
DROP_NODE(beyond_scope, "ip6-beyond-scope", "link-local source, destination off the link");
DROP_NODE(prohibited, "ip6-prohibited", "the route rejects");
DROP_NODE(interface_down, "ip6-interface-down", "the way out is down");
DROP_NODE(too_big, "ip6-too-big", "larger than the MTU of the way out");
DROP_NODE(hop_limit, "ip6-hop-limit-exceeded", "hop limit ran out");
DROP_NODE(parameter, "ip6-parameter-problem", "a header or option the box must refuse");
DROP_NODE(unreachable, "ip6-unreachable", "refused with another ICMPv6 error");
