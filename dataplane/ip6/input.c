/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip6-input: checks the header (RFC 8200, RFC 4291, RFC 6890) and looks up the destination.
 * Extension headers other than hop-by-hop are not looked at (RFC 7045).
 */
#include <netinet/in.h>

#include "../iface/iface.h"
#include "lookup.h"
#include "own.h"

enum {
	EDGE_SHORT = IP6_EDGE_LOOKUP_MAX,
	EDGE_VERSION,
	EDGE_LENGTH,
	EDGE_SOURCE,
	EDGE_DESTINATION,
	EDGE_SPOOFED,
	EDGE_HOPOPTS,
	EDGE_URPF,
	EDGE_INTERCEPT,
	EDGE_MAX,
};

DROP_NODE(ip6_short, "ip6-short", "packet is shorter than an IPv6 header");
DROP_NODE(ip6_version, "ip6-bad-version", "version is not 6");
DROP_NODE(ip6_length, "ip6-bad-length", "payload length is beyond the frame");
DROP_NODE(ip6_source, "ip6-martian-source",
	  "source is multicast, unspecified, loopback or IPv4-mapped (RFC 6890)");
DROP_NODE(ip6_destination, "ip6-martian-destination",
	  "destination is unspecified, loopback or IPv4-mapped (RFC 6890)");
DROP_NODE(ip6_spoofed, "ip6-spoofed-source", "source is an address of the box itself");
DROP_NODE(ip6_urpf, "ip6-urpf",
	  "no route back to the source (by this interface, in strict mode; RFC 3704)");

/* The address is ours, not only in the same bit of the bitmap. */
static bool is_spoofed(const struct mb_meta *meta, const struct rte_ipv6_hdr *ip)
{
	const uint8_t *src = ip6_src(ip), *dst = ip6_dst(ip);
	const struct nexthop *nh;

	/* Another node's claim to our address, which neighbour discovery has to hear of (RFC 4862
	 * section 5.4). */
	if (ip->proto == IPPROTO_ICMPV6 && ip->hop_limits == 255 &&
	    (dst[0] == 0xff || ip6_is_link_local(dst)))
		return false;
	if (ip6_is_link_local(src))
		return ip6_is_own(meta->iface, src);
	nh = ip6_route(meta->vrf, src, 0);
	return nh != NULL && nh->action == NH_LOCAL;
}

static __rte_noinline uint16_t unusual(struct rte_mbuf *m, struct mb_meta *meta,
				       uint8_t iface_flags)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	const uint8_t *src = ip6_src(ip), *dst = ip6_dst(ip);
	uint32_t total;

	if (m->data_len < sizeof(*ip))
		return EDGE_SHORT;
	if (*(const uint8_t *)ip >> 4 != 6)
		return EDGE_VERSION;
	total = sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len);
	if (total > m->pkt_len)
		return EDGE_LENGTH;
	/* Padding of short frames. More than a segment of it is no padding. */
	if (m->pkt_len - total > UINT16_MAX ||
	    (total < m->pkt_len && rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - total)) != 0))
		return EDGE_LENGTH;
	if (src[0] == 0xff)
		return EDGE_SOURCE;
	/* The unspecified address asks whether an address is free, on the link. */
	if (ip6_is_martian(src) && !(ip6_is_unspecified(src) && dst[0] == 0xff))
		return EDGE_SOURCE;
	if (ip6_is_martian(dst))
		return EDGE_DESTINATION;
	if (ip6_own_maybe(src) && is_spoofed(meta, ip))
		return EDGE_SPOOFED;
	/* On to the reverse path check from there. */
	if ((iface_flags & IFACE_F_TRANSPARENT) && ip->proto == IPPROTO_TCP && dst[0] != 0xff &&
	    !ip6_is_link_local(dst) && !ip6_is_link_local(src))
		return EDGE_INTERCEPT;
	if ((iface_flags & IFACE_F_URPF) && dst[0] != 0xff && !ip6_is_link_local(dst) &&
	    !ip6_is_link_local(src))
		return EDGE_URPF;
	if (ip->proto == IPPROTO_HOPOPTS)
		return EDGE_HOPOPTS;
	return ip6_scope(m, meta, ip);
}

static __rte_always_inline uint16_t validate(struct rte_mbuf *m, struct mb_meta *meta,
					     uint8_t iface_flags, struct ip6_bytes *out)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);

	if (unlikely(m->data_len < sizeof(*ip)))
		return EDGE_SHORT;
	memcpy(out, ip6_dst(ip), sizeof(*out));
	if (unlikely((*(const uint8_t *)ip >> 4) != 6 ||
		     rte_be_to_cpu_16(ip->payload_len) + sizeof(*ip) != m->pkt_len ||
		     ip->proto == IPPROTO_HOPOPTS || !ip6_is_plain(ip6_src(ip)) ||
		     !ip6_is_plain(ip6_dst(ip)) || ip6_own_maybe(ip6_src(ip)) ||
		     (iface_flags & (IFACE_F_URPF | IFACE_F_TRANSPARENT))))
		return unusual(m, meta, iface_flags);
	return IP6_LOOKUP;
}

static uint16_t ip6_input(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	struct ip6_bytes dst[RTE_GRAPH_BURST_SIZE];
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t done = 0; done < n;) {
		const uint16_t part = RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE);
		struct rte_mbuf **p = &pkts[done];
		uint16_t *e = &edge[done];
		uint16_t vrf = mb_meta(p[0])->vrf, odd = 0, iface = IFACE_NONE;
		uint8_t flags = 0;

		for (uint16_t i = 0; i < part; i++) {
			struct mb_meta *meta = mb_meta(p[i]);

			if (likely(i + 4 < part))
				rte_prefetch0(rte_pktmbuf_mtod(p[i + 4], void *));
			if (unlikely(meta->iface != iface)) {
				iface = meta->iface;
				flags = ifaces[iface] != NULL ? ifaces[iface]->flags : 0;
			}
			e[i] = validate(p[i], meta, flags, &dst[i]);
			odd |= e[i] | (meta->vrf ^ vrf);
		}
		if (likely(odd == 0)) {
			ip6_lookup_vec(p, dst, e, part, vrf);
		} else {
			for (uint16_t i = 0; i < part;) {
				uint16_t k = i;

				while (k < part && e[k] == IP6_LOOKUP)
					k++;
				if (k > i)
					ip6_lookup_mixed(&p[i], &dst[i], &e[i], k - i);
				i = k + 1;
			}
		}
		done += part;
	}
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip6_input_node = {
	.name = "ip6-input",
	.process = ip6_input,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			IP6_LOOKUP_NEXT_NODES,
			[EDGE_SHORT] = "drop-ip6-short",
			[EDGE_VERSION] = "drop-ip6-bad-version",
			[EDGE_LENGTH] = "drop-ip6-bad-length",
			[EDGE_SOURCE] = "drop-ip6-martian-source",
			[EDGE_DESTINATION] = "drop-ip6-martian-destination",
			[EDGE_SPOOFED] = "drop-ip6-spoofed-source",
			[EDGE_HOPOPTS] = "ip6-hopopts",
			[EDGE_URPF] = "ip6-urpf",
			[EDGE_INTERCEPT] = "tcp-intercept",
		},
};
RTE_NODE_REGISTER(ip6_input_node);

/* ---- reverse path check, RFC 3704 section 2 ---- */

enum {
	URPF_EDGE_LOOKUP,
	URPF_EDGE_HOPOPTS,
	URPF_EDGE_DROP,
	URPF_EDGE_MAX,
};

/* True if packets to the group's next hops leave by the interface (or, in loose mode, leave at
 * all). */
static bool path_back(uint16_t vrf, const uint8_t *src, const struct iface *i)
{
	struct rte_fib6 *fib = __atomic_load_n(&fib6_tables[vrf], __ATOMIC_CONSUME);
	const uint32_t *b;
	union group g;
	uint64_t gid = 0;

	if (fib == NULL || rte_fib6_lookup_bulk(fib, (void *)(uintptr_t)src, &gid, 1) != 0 ||
	    gid == 0)
		return false;
	g.u64 = __atomic_load_n(&groups[gid].u64, __ATOMIC_ACQUIRE);
	b = g.mask != 0 ? __atomic_load_n(&group_buckets[gid], __ATOMIC_CONSUME) : NULL;
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

static uint16_t ip6_urpf_process(struct rte_graph *graph, struct rte_node *node, void **objs,
				 uint16_t n)
{
	uint16_t edge[n + 1];

	edge[0] = 0;
	for (uint16_t k = 0; k < n; k++) {
		struct rte_mbuf *m = objs[k];
		const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
		const struct mb_meta *meta = mb_meta(m);
		const struct iface *i = ifaces[meta->iface];

		edge[k] = URPF_EDGE_DROP;
		if (i != NULL && path_back(meta->vrf, ip6_src(ip), i))
			edge[k] =
				ip->proto == IPPROTO_HOPOPTS ? URPF_EDGE_HOPOPTS : URPF_EDGE_LOOKUP;
	}
	node_dispatch(graph, node, objs, edge, n);
	return n;
}

static struct rte_node_register ip6_urpf_node = {
	.name = "ip6-urpf",
	.process = ip6_urpf_process,
	.nb_edges = URPF_EDGE_MAX,
	.next_nodes =
		{
			[URPF_EDGE_LOOKUP] = "ip6-lookup",
			[URPF_EDGE_HOPOPTS] = "ip6-hopopts",
			[URPF_EDGE_DROP] = "drop-ip6-urpf",
		},
};
RTE_NODE_REGISTER(ip6_urpf_node);
