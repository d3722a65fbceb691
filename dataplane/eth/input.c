/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eth-input: which interface, for whom, and which protocol. Strips the Ethernet and 802.1Q headers
 * by moving the data pointer.
 */
#include <rte_ether.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../iface/iface.h"
#include "../port/port.h"

enum {
	EDGE_IP4,
	EDGE_IP6,
	EDGE_ARP,
	EDGE_SHORT,
	EDGE_NOT_FOR_US,
	EDGE_VLAN,
	EDGE_TYPE,
	EDGE_DOWN,
	EDGE_SOURCE,
	EDGE_MAX,
};

DROP_NODE(eth_short, "eth-short", "frame is shorter than its Ethernet or 802.1Q header");
DROP_NODE(eth_other, "eth-not-for-us", "unicast frame to another MAC address");
DROP_NODE(eth_vlan, "eth-unknown-vlan",
	  "no sub-interface has this VLAN id, or the frame is double tagged");
DROP_NODE(eth_type, "eth-unknown-type", "EtherType is none of IPv4, IPv6, ARP");
DROP_NODE(eth_down, "eth-interface-down",
	  "received on an interface that is down or not configured");
DROP_NODE(eth_source, "eth-bad-source", "source MAC address is a group address or all zeroes");

#define MAC_MASK 0x0000ffffffffffffull

static uint16_t slow(struct rte_mbuf *m, struct mb_meta *meta, const struct port *p, uint16_t type,
		     unsigned int l2_len)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint64_t dst;

	meta->l2_len = (uint8_t)l2_len;
	memcpy(&dst, eth, sizeof(dst));
	if (rte_is_multicast_ether_addr(&eth->src_addr) || rte_is_zero_ether_addr(&eth->src_addr))
		return EDGE_SOURCE;
	if (eth->dst_addr.addr_bytes[0] & 1)
		meta->flags |=
			rte_is_broadcast_ether_addr(&eth->dst_addr) ? MB_L2_BCAST : MB_L2_MCAST;
	else if ((dst & MAC_MASK) != p->mac64)
		return EDGE_NOT_FOR_US;
	m->data_off += (uint16_t)l2_len;
	m->data_len -= (uint16_t)l2_len;
	m->pkt_len -= l2_len;
	switch (type) {
	case RTE_BE16(RTE_ETHER_TYPE_IPV4):
		return EDGE_IP4;
	case RTE_BE16(RTE_ETHER_TYPE_IPV6):
		return EDGE_IP6;
	case RTE_BE16(RTE_ETHER_TYPE_ARP):
		return EDGE_ARP;
	default:
		/* Drop nodes get the frame whole, for the trace. */
		mb_l2_restore(m);
		meta->l2_len = 0;
		return EDGE_TYPE;
	}
}

/* A frame with an 802.1Q tag, in its bytes or stripped by the device. */
static uint16_t tagged(struct rte_mbuf *m, struct mb_meta *meta, const struct port *p,
		       uint16_t type)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned int l2_len = sizeof(struct rte_ether_hdr);
	uint16_t tci, id = p->iface;
	const struct iface *i;

	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		tci = m->vlan_tci;
	} else {
		if (m->data_len < sizeof(struct rte_ether_hdr) + sizeof(struct rte_vlan_hdr))
			return EDGE_SHORT;
		if (type != RTE_BE16(RTE_ETHER_TYPE_VLAN))
			return EDGE_VLAN;
		memcpy(&tci, h + 14, sizeof(tci));
		tci = rte_be_to_cpu_16(tci);
		memcpy(&type, h + 16, sizeof(type));
		l2_len += sizeof(struct rte_vlan_hdr);
	}
	/* VLAN id 0 is a priority tag: the frame belongs to the port itself (802.1Q 6.9). */
	if ((tci & 0xfff) != 0)
		id = p->vlan_iface[tci & 0xfff];
	meta->iface = id;
	i = ifaces[id];
	if (id == IFACE_NONE || i == NULL)
		return EDGE_VLAN;
	if (!(i->flags & IFACE_F_UP))
		return EDGE_DOWN;
	meta->vrf = i->vrf;
	return slow(m, meta, p, type, l2_len);
}

/* What all frames of a port have in common; looked up once per run of frames of one port. */
struct run {
	uint16_t port;
	uint16_t iface;
	uint16_t vrf;
	bool up;
	const struct port *p;
};

static void run_begin(struct run *r, uint16_t port)
{
	const struct iface *i;

	r->port = port;
	r->p = ports[port];
	r->iface = r->p->iface;
	i = ifaces[r->iface];
	r->up = i != NULL && (i->flags & IFACE_F_UP);
	r->vrf = i != NULL ? i->vrf : 0;
}

static __rte_always_inline uint16_t classify(struct rte_mbuf *m, struct mb_meta *meta,
					     const struct run *r)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct port *p = r->p;
	uint64_t dst, src;
	uint16_t type;

	*meta = (struct mb_meta){
		.iface = r->iface, .vrf = r->vrf, .l2_len = sizeof(struct rte_ether_hdr)};
	if (unlikely(m->data_len < sizeof(struct rte_ether_hdr))) {
		meta->l2_len = 0;
		return EDGE_SHORT;
	}
	memcpy(&dst, h, sizeof(dst));
	memcpy(&src, h + 6, sizeof(src));
	memcpy(&type, h + 12, sizeof(type));
	if (unlikely(type == RTE_BE16(RTE_ETHER_TYPE_VLAN) ||
		     type == RTE_BE16(RTE_ETHER_TYPE_QINQ) ||
		     (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))) {
		meta->l2_len = 0;
		return tagged(m, meta, p, type);
	}
	if (unlikely(!r->up)) {
		meta->l2_len = 0;
		return EDGE_DOWN;
	}
	if (unlikely((dst & MAC_MASK) != p->mac64 || (src & 1) != 0 || (src & MAC_MASK) == 0 ||
		     (type != RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
		      type != RTE_BE16(RTE_ETHER_TYPE_IPV6))))
		return slow(m, meta, p, type, sizeof(struct rte_ether_hdr));
	m->data_off += sizeof(struct rte_ether_hdr);
	m->data_len -= sizeof(struct rte_ether_hdr);
	m->pkt_len -= sizeof(struct rte_ether_hdr);
	return type == RTE_BE16(RTE_ETHER_TYPE_IPV4) ? EDGE_IP4 : EDGE_IP6;
}

static void count(struct worker *w, uint16_t id, uint64_t packets, uint64_t octets)
{
	w->iface_stats[id].rx_packets += packets;
	w->iface_stats[id].rx_octets += octets;
}

static void eth_input_part(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf **pkts,
			   uint16_t n)
{
	struct worker *w = worker_self;
	uint16_t edge[RTE_GRAPH_BURST_SIZE];
	uint64_t packets = 0, octets = 0;
	struct run port = {.port = UINT16_MAX};
	uint16_t run = IFACE_NONE;

	for (uint16_t i = 0; i < n && i < 4; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct mb_meta *meta = mb_meta(m);
		uint32_t len = m->pkt_len;

		if (likely(i + 4 < n))
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 4], void *));
		if (unlikely(m->port != port.port))
			run_begin(&port, m->port);
		edge[i] = classify(m, meta, &port);
		if (unlikely(meta->iface != run)) {
			count(w, run, packets, octets);
			run = meta->iface;
			packets = octets = 0;
		}
		packets++;
		octets += len;
		if (unlikely(meta->flags & (MB_L2_BCAST | MB_L2_MCAST))) {
			w->iface_stats[run].rx_broadcast += (meta->flags & MB_L2_BCAST) != 0;
			w->iface_stats[run].rx_multicast += (meta->flags & MB_L2_MCAST) != 0;
		}
	}
	count(w, run, packets, octets);
	node_dispatch(graph, node, (void **)pkts, edge, n);
}

static uint16_t eth_input(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;

	for (uint16_t done = 0; done < n; done += RTE_GRAPH_BURST_SIZE)
		eth_input_part(graph, node, &pkts[done], RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE));
	return n;
}

static struct rte_node_register eth_input_node = {
	.name = "eth-input",
	.process = eth_input,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_IP4] = "ip4-input",
			[EDGE_IP6] = "ip6-input",
			[EDGE_ARP] = "arp-input",
			[EDGE_SHORT] = "drop-eth-short",
			[EDGE_NOT_FOR_US] = "drop-eth-not-for-us",
			[EDGE_VLAN] = "drop-eth-unknown-vlan",
			[EDGE_TYPE] = "drop-eth-unknown-type",
			[EDGE_DOWN] = "drop-eth-interface-down",
			[EDGE_SOURCE] = "drop-eth-bad-source",
		},
};
RTE_NODE_REGISTER(eth_input_node);
