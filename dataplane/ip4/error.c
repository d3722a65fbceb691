/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip4-error: what could not be forwarded. The packet goes to the drop node that names the cause;
 * its sender gets an ICMP error if RFC 1812 section 4.3.2 and the rate limit allow. A packet the
 * kernel sent is answered to the kernel, whose path MTU discovery and connect() depend on it.
 */
#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_random.h>

#include "../core/flow.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../iface/iface.h"
#include "../vrf/vrf.h"
#include "error.h"
#include "icmp.h"
#include "parse.h"

enum {
	EDGE_NO_ROUTE,
	EDGE_HOST_UNREACHABLE,
	EDGE_NET_UNREACHABLE,
	EDGE_TTL_EXCEEDED,
	EDGE_FRAG_NEEDED,
	EDGE_PROHIBITED,
	EDGE_INTERFACE_DOWN,
	EDGE_BAD_OPTIONS,
	EDGE_OTHER,
	/* Of the errors made. */
	EDGE_OUTPUT,
	EDGE_PING,
	EDGE_MAX,
};

bool icmp4_error_make(struct rte_mbuf *m, const struct rte_mbuf *about, const struct icmp4_error *e)
{
	const uint32_t hdrs = sizeof(struct rte_ipv4_hdr) + ICMP4_HDR_LEN;
	const uint32_t quoted = RTE_MIN(about->pkt_len, ICMP4_ERROR_MAX - hdrs);
	struct rte_ipv4_hdr *ip;
	const void *from;
	uint8_t *icmp;
	uint16_t sum;

	ip = (struct rte_ipv4_hdr *)rte_pktmbuf_append(m, hdrs + quoted);
	if (ip == NULL)
		return false;
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		/* Internetwork control (RFC 1812 section 4.3.2.5). */
		.type_of_service = 0xc0,
		.total_length = rte_cpu_to_be_16(hdrs + quoted),
		.packet_id = e->packet_id,
		.time_to_live = ICMP_TTL,
		.next_proto_id = IPPROTO_ICMP,
		.src_addr = e->src,
		.dst_addr = e->dst,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);

	icmp = (uint8_t *)(ip + 1);
	memset(icmp, 0, ICMP4_HDR_LEN);
	icmp[0] = e->type;
	icmp[1] = e->code;
	if (e->type == ICMP4_PARAM_PROBLEM) {
		icmp[4] = (uint8_t)e->arg;
	} else if (e->type == ICMP4_UNREACHABLE && e->code == ICMP4_FRAG_NEEDED) {
		/* RFC 1191 section 4. */
		icmp[6] = (uint8_t)(e->arg >> 8);
		icmp[7] = (uint8_t)e->arg;
	}
	from = rte_pktmbuf_read(about, 0, quoted, icmp + ICMP4_HDR_LEN);
	if (from != icmp + ICMP4_HDR_LEN)
		memcpy(icmp + ICMP4_HDR_LEN, from, quoted);
	sum = ~rte_raw_cksum(icmp, ICMP4_HDR_LEN + quoted);
	memcpy(icmp + 2, &sum, sizeof(sum));
	return true;
}

/* Address of the interface the error leaves by (RFC 1812 section 4.3.2.4), else one that the sender
 * can know. 0 if the box has none. */
static uint32_t error_source(uint16_t vrf, const struct iface *in, uint32_t dst, uint32_t hash)
{
	struct rte_fib *fib = vrf < VRF_MAX ? fib4_tables[vrf] : NULL;
	uint32_t ip = rte_be_to_cpu_32(dst);
	uint64_t gid = 0;
	uint32_t src = 0;

	if (fib != NULL && rte_fib_lookup_bulk(fib, &ip, &gid, 1) == 0 && gid != 0) {
		const struct nexthop *nh = &nexthops[group_select(gid, hash)];
		const struct iface *out = NULL;

		if (nh->action == NH_REWRITE || nh->action == NH_GLEAN ||
		    nh->action == NH_UNRESOLVED)
			out = ifaces[nh->iface % IFACE_MAX];
		if (out != NULL)
			src = iface_source4(out, nh->addr.len == 4 ? ip_addr_v4(&nh->addr) : dst);
	}
	if (src == 0 && in != NULL)
		src = iface_source4(in, dst);
	return src != 0 ? src : vrf_source4(vrf);
}

/* RFC 1812 section 5.3.7, 4.2.2.11: the subnet broadcast of the link is no unicast source either.
 */
static bool source_is_broadcast(const struct iface *in, uint32_t src)
{
	const struct iface_addr_view *v = in != NULL ? in->view : NULL;

	for (unsigned int i = 0; v != NULL && i < v->n4; i++)
		if (rte_be_to_cpu_32(~v->v4[i].mask) > 1 && src == (v->v4[i].addr | ~v->v4[i].mask))
			return true;
	return false;
}

/* An echo reply or another packet made by a node has nobody in the kernel who waits for news of it.
 */
static bool kernel_wants_error(const uint8_t *pkt, uint32_t len)
{
	const uint32_t hlen = (pkt[0] & 0xf) * 4u;

	return pkt[9] != IPPROTO_ICMP || (len > hlen && pkt[hlen] != ICMP4_ECHO_REPLY);
}

static void send_error(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *about,
		       uint64_t now)
{
	const struct mb_meta *am = mb_meta(about);
	const uint8_t *pkt = rte_pktmbuf_mtod(about, const uint8_t *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)pkt;
	const struct iface *in = ifaces[am->iface % IFACE_MAX];
	struct icmp4_error e = {.type = am->arg0, .code = am->arg1, .arg = am->arg2};
	const bool host = am->flags & MB_HOST;
	struct mb_meta *meta;
	struct rte_mbuf *m;
	uint16_t vrf;

	if (am->flags & (MB_L2_BCAST | MB_L2_MCAST | MB_ICMP_ERROR) ||
	    !icmp4_error_allowed(pkt, about->data_len))
		return;
	if (host ? !kernel_wants_error(pkt, about->data_len)
		 : source_is_broadcast(in, ip->src_addr))
		return;
	if (!bucket_take(&worker_self->icmp_error, now))
		return;

	vrf = in != NULL ? in->vrf : am->vrf;
	e.dst = ip->src_addr;
	/* To the kernel it has to come from elsewhere: it takes no packets from its own addresses.
	 */
	e.src = host ? ip->dst_addr : error_source(vrf, in, e.dst, flow_hash4(ip, about));
	if (e.src == 0)
		return;
	e.packet_id = (uint16_t)rte_rand();
	m = rte_pktmbuf_alloc(dp_pool);
	if (m == NULL)
		return;
	if (!icmp4_error_make(m, about, &e)) {
		rte_pktmbuf_free(m);
		return;
	}
	meta = mb_meta(m);
	*meta = (struct mb_meta){
		.iface = am->iface,
		.vrf = vrf,
		.flags = host ? MB_ICMP_ERROR : MB_HOST | MB_ICMP_ERROR,
	};
	rte_node_enqueue_x1(graph, node, host ? EDGE_PING : EDGE_OUTPUT, m);
}

/* Nodes that look up only say that it failed; the next hop says how. */
static void fill_type(struct mb_meta *meta)
{
	if (meta->arg0 != 0)
		return;
	meta->arg0 = ICMP4_UNREACHABLE;
	switch (nexthops[meta->nh].action) {
	case NH_REJECT:
		meta->arg1 = ICMP4_ADMIN_PROHIBITED;
		break;
	case NH_DOWN:
	case NH_GLEAN:
	case NH_UNRESOLVED:
		meta->arg1 = ICMP4_HOST_UNREACHABLE;
		break;
	default:
		meta->arg1 = ICMP4_NET_UNREACHABLE;
		break;
	}
}

static uint16_t cause(const struct mb_meta *meta)
{
	switch (meta->arg0) {
	case ICMP4_TIME_EXCEEDED:
		return EDGE_TTL_EXCEEDED;
	case ICMP4_PARAM_PROBLEM:
		return EDGE_BAD_OPTIONS;
	case ICMP4_UNREACHABLE:
		break;
	default:
		return EDGE_OTHER;
	}
	switch (meta->arg1) {
	case ICMP4_FRAG_NEEDED:
		return EDGE_FRAG_NEEDED;
	case 9:
	case 10:
	case ICMP4_ADMIN_PROHIBITED:
		return EDGE_PROHIBITED;
	default:
		break;
	}
	if (meta->nh != 0 && nexthops[meta->nh].action == NH_DOWN)
		return EDGE_INTERFACE_DOWN;
	if (meta->arg1 == ICMP4_HOST_UNREACHABLE)
		return EDGE_HOST_UNREACHABLE;
	if (meta->arg1 == ICMP4_NET_UNREACHABLE)
		return meta->nh == 0 ? EDGE_NO_ROUTE : EDGE_NET_UNREACHABLE;
	return EDGE_OTHER;
}

static uint16_t ip4_error(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	const uint64_t now = rte_rdtsc();
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct mb_meta *meta = mb_meta(objs[i]);

		fill_type(meta);
		edge[i] = cause(meta);
		send_error(graph, node, objs[i], now);
	}
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip4_error_node = {
	.name = "ip4-error",
	.process = ip4_error,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_NO_ROUTE] = "drop-ip4-no-route",
			[EDGE_HOST_UNREACHABLE] = "drop-ip4-host-unreachable",
			[EDGE_NET_UNREACHABLE] = "drop-ip4-net-unreachable",
			[EDGE_TTL_EXCEEDED] = "drop-ip4-ttl-exceeded",
			[EDGE_FRAG_NEEDED] = "drop-ip4-frag-needed",
			[EDGE_PROHIBITED] = "drop-ip4-prohibited",
			[EDGE_INTERFACE_DOWN] = "drop-ip4-interface-down",
			[EDGE_BAD_OPTIONS] = "drop-ip4-bad-options",
			[EDGE_OTHER] = "drop-ip4-unreachable",
			[EDGE_OUTPUT] = "ip4-output",
			[EDGE_PING] = "tcp-icmp",
		},
};
RTE_NODE_REGISTER(ip4_error_node);

DROP_NODE(no_route, "ip4-no-route", "no route to the destination");
DROP_NODE(host_unreachable, "ip4-host-unreachable", "the next hop does not answer ARP");
DROP_NODE(net_unreachable, "ip4-net-unreachable", "the route leads nowhere");
DROP_NODE(ttl_exceeded, "ip4-ttl-exceeded", "time to live ran out");
DROP_NODE(frag_needed, "ip4-frag-needed", "larger than the MTU and not to be fragmented");
DROP_NODE(prohibited, "ip4-prohibited", "the route rejects");
DROP_NODE(interface_down, "ip4-interface-down", "the way out is down");
DROP_NODE(bad_options, "ip4-bad-options", "malformed IPv4 options");
DROP_NODE(unreachable, "ip4-unreachable", "refused with another ICMP error");
