/* SPDX-License-Identifier: Apache-2.0 */
/* ip4-input: checks the header (RFC 1812 5.2.2, 5.3.7) and looks up the destination. */
#include <netinet/in.h>

#include "../iface/iface.h"
#include "lookup.h"

enum {
	EDGE_SHORT = IP4_EDGE_LOOKUP_MAX,
	EDGE_VERSION,
	EDGE_LENGTH,
	EDGE_CHECKSUM,
	EDGE_SOURCE,
	EDGE_DESTINATION,
	EDGE_SPOOFED,
	EDGE_OPTIONS,
	EDGE_MULTICAST,
	EDGE_URPF,
	EDGE_INTERCEPT,
	EDGE_MAX,
	/* Not an edge: the packet is to be looked up. */
	LOOKUP = 0,
};

DROP_NODE(ip4_short, "ip4-short", "packet is shorter than an IPv4 header");
DROP_NODE(ip4_version, "ip4-bad-version",
	  "version is not 4, or the header length is under 20 bytes or beyond the packet");
DROP_NODE(ip4_length, "ip4-bad-length", "total length is under the header's, or beyond the frame");
DROP_NODE(ip4_checksum, "ip4-bad-checksum", "header checksum is wrong");
DROP_NODE(ip4_source, "ip4-martian-source",
	  "source is multicast, broadcast, loopback, this-network or reserved");
DROP_NODE(ip4_destination, "ip4-martian-destination",
	  "destination is loopback, this-network or reserved");
DROP_NODE(ip4_spoofed, "ip4-spoofed-source", "source is an address of the box itself");
DROP_NODE(ip4_urpf, "ip4-urpf",
	  "no route back to the source (by this interface, in strict mode; RFC 3704)");

enum {
	BAD_SOURCE = 1 << 0,
	BAD_DESTINATION = 1 << 1,
	NOT_UNICAST = 1 << 2,
};

/* By the first octet of an address (RFC 1812 5.3.7, RFC 6890). */
static const uint8_t octet[256] = {
	[0] = BAD_SOURCE | BAD_DESTINATION,
	[127] = BAD_SOURCE | BAD_DESTINATION,
	[224 ... 239] = BAD_SOURCE | NOT_UNICAST,
	[240 ... 255] = BAD_SOURCE | BAD_DESTINATION,
};

/* The ones' complement sum of a header without options is 0xffff if the checksum is right. */
static __rte_always_inline bool checksum_ok(const void *ip)
{
	uint32_t w[5];
	uint64_t sum;

	memcpy(w, ip, sizeof(w));
	sum = (uint64_t)w[0] + w[1] + w[2] + w[3] + w[4];
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16)) == 0xffff;
}

static bool checksum_ok_options(const void *ip, unsigned int len)
{
	return rte_raw_cksum(ip, len) == 0xffff;
}

static uint16_t unusual(struct rte_mbuf *m, struct mb_meta *meta, const struct rte_ipv4_hdr *ip)
{
	unsigned int hlen = (ip->version_ihl & 0xf) * 4u;
	uint32_t total = rte_be_to_cpu_16(ip->total_length);
	uint32_t src = rte_be_to_cpu_32(ip->src_addr), dst = rte_be_to_cpu_32(ip->dst_addr);
	const struct iface *i = ifaces[meta->iface];

	if ((ip->version_ihl >> 4) != 4 || hlen < sizeof(*ip) || hlen > m->data_len)
		return EDGE_VERSION;
	if (total < hlen || total > m->pkt_len)
		return EDGE_LENGTH;
	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
	    !checksum_ok_options(ip, hlen))
		return EDGE_CHECKSUM;
	if (total < m->pkt_len)
		rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - total));
	/* A host without an address asks for one (RFC 2131). */
	if ((octet[src >> 24] & BAD_SOURCE) && !(src == 0 && dst == UINT32_MAX))
		return EDGE_SOURCE;
	if (dst == UINT32_MAX || (octet[dst >> 24] & NOT_UNICAST))
		return EDGE_MULTICAST;
	if (octet[dst >> 24] & BAD_DESTINATION)
		return EDGE_DESTINATION;
	if (iface_local4_maybe(ip->src_addr)) {
		const struct ip_addr a = ip_addr4(ip->src_addr);

		if (nexthops[groups[fib_lookup(meta->vrf, &a)].nh].action == NH_LOCAL)
			return EDGE_SPOOFED;
	}
	/* On to the reverse path check from there. */
	if (i != NULL && (i->flags & IFACE_F_TRANSPARENT) && ip->next_proto_id == IPPROTO_TCP)
		return EDGE_INTERCEPT;
	if (i != NULL && (i->flags & IFACE_F_URPF))
		return EDGE_URPF;
	return hlen > sizeof(*ip) ? EDGE_OPTIONS : LOOKUP;
}

static __rte_always_inline uint16_t validate(struct rte_mbuf *m, struct mb_meta *meta,
					     uint8_t iface_flags)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const uint8_t *b = (const uint8_t *)ip;

	if (unlikely(m->data_len < sizeof(*ip)))
		return EDGE_SHORT;
	if (unlikely(ip->version_ihl != 0x45 || rte_be_to_cpu_16(ip->total_length) != m->pkt_len ||
		     (octet[b[12]] & BAD_SOURCE) | octet[b[16]] || !checksum_ok(ip) ||
		     iface_local4_maybe(ip->src_addr) ||
		     (iface_flags & (IFACE_F_URPF | IFACE_F_TRANSPARENT))))
		return unusual(m, meta, ip);
	return LOOKUP;
}

static uint16_t ip4_input(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t edge[RTE_GRAPH_BURST_SIZE];
	uint32_t dst[RTE_GRAPH_BURST_SIZE];

	for (uint16_t done = 0; done < n;) {
		uint16_t part = RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE);
		struct rte_mbuf **p = &pkts[done];
		uint16_t vrf = mb_meta(p[0])->vrf, odd = 0, iface = IFACE_NONE;
		uint8_t flags = 0;

		for (uint16_t i = 0; i < part; i++) {
			struct mb_meta *meta = mb_meta(p[i]);

			if (unlikely(meta->iface != iface)) {
				iface = meta->iface;
				flags = ifaces[iface] != NULL ? ifaces[iface]->flags : 0;
			}
			edge[i] = validate(p[i], meta, flags);
			odd |= edge[i] | (meta->vrf ^ vrf);
			/* Only what is looked up is known to have a whole header. */
			dst[i] = 0;
			if (likely(edge[i] == LOOKUP))
				dst[i] = rte_be_to_cpu_32(
					rte_pktmbuf_mtod(p[i], struct rte_ipv4_hdr *)->dst_addr);
		}
		if (likely(odd == 0)) {
			ip4_lookup_vec(p, dst, edge, part, vrf);
		} else {
			for (uint16_t i = 0; i < part;) {
				uint16_t k = i;

				while (k < part && edge[k] == LOOKUP)
					k++;
				if (k > i)
					ip4_lookup_mixed(&p[i], &dst[i], &edge[i], k - i);
				i = k + 1;
			}
		}
		node_dispatch(graph, node, &objs[done], edge, part);
		done += part;
	}
	return n;
}

static struct rte_node_register ip4_input_node = {
	.name = "ip4-input",
	.process = ip4_input,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			IP4_LOOKUP_NEXT_NODES,
			[EDGE_SHORT] = "drop-ip4-short",
			[EDGE_VERSION] = "drop-ip4-bad-version",
			[EDGE_LENGTH] = "drop-ip4-bad-length",
			[EDGE_CHECKSUM] = "drop-ip4-bad-checksum",
			[EDGE_SOURCE] = "drop-ip4-martian-source",
			[EDGE_DESTINATION] = "drop-ip4-martian-destination",
			[EDGE_SPOOFED] = "drop-ip4-spoofed-source",
			[EDGE_OPTIONS] = "ip4-options",
			[EDGE_MULTICAST] = "ip4-local-multicast",
			[EDGE_URPF] = "ip4-urpf",
			[EDGE_INTERCEPT] = "tcp-intercept",
		},
};
RTE_NODE_REGISTER(ip4_input_node);

/* ---- reverse path check, RFC 3704 section 2 ---- */

enum {
	URPF_EDGE_LOOKUP,
	URPF_EDGE_OPTIONS,
	URPF_EDGE_DROP,
	URPF_EDGE_MAX,
};

/* True if packets to the group's next hops leave by the interface (or, in loose mode, leave at
 * all). */
static bool path_back(uint32_t gid, const struct iface *i)
{
	const union group g = {.u64 = __atomic_load_n(&groups[gid].u64, __ATOMIC_ACQUIRE)};
	const uint32_t *b =
		g.mask != 0 ? __atomic_load_n(&group_buckets[gid], __ATOMIC_CONSUME) : NULL;

	for (uint32_t k = 0; k <= g.mask; k++) {
		const struct nexthop *nh = &nexthops[b == NULL ? g.nh : b[k]];

		if (nh->action != NH_REWRITE && nh->action != NH_GLEAN &&
		    nh->action != NH_UNRESOLVED)
			continue;
		if (i->urpf == URPF_LOOSE || nh->iface == i->id)
			return true;
	}
	return false;
}

static uint16_t ip4_urpf_process(struct rte_graph *graph, struct rte_node *node, void **objs,
				 uint16_t n)
{
	for (uint16_t k = 0; k < n; k++) {
		struct rte_mbuf *m = objs[k];
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		const struct mb_meta *meta = mb_meta(m);
		const struct iface *i = ifaces[meta->iface];
		const struct ip_addr src = ip_addr4(ip->src_addr);
		uint16_t edge = URPF_EDGE_DROP;

		if (i != NULL && path_back(fib_lookup(meta->vrf, &src), i))
			edge = ip->version_ihl == 0x45 ? URPF_EDGE_LOOKUP : URPF_EDGE_OPTIONS;
		rte_node_enqueue_x1(graph, node, edge, m);
	}
	return n;
}

static struct rte_node_register ip4_urpf_node = {
	.name = "ip4-urpf",
	.process = ip4_urpf_process,
	.nb_edges = URPF_EDGE_MAX,
	.next_nodes =
		{
			[URPF_EDGE_LOOKUP] = "ip4-lookup",
			[URPF_EDGE_OPTIONS] = "ip4-options",
			[URPF_EDGE_DROP] = "drop-ip4-urpf",
		},
};
RTE_NODE_REGISTER(ip4_urpf_node);
