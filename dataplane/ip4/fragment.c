/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip4-fragment: packets larger than the MTU of their way out that allow to be split. Fragments go
 * back to ip4-rewrite, which leaves TTL and MTU alone in what is marked MB_FRAGMENT.
 */
#include <string.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "fragment.h"
#include "parse.h"

enum {
	EDGE_REWRITE,
	EDGE_FAILED,
	EDGE_MAX,
};

/* Appends len bytes of src at off to the packet dst, in further segments where one is not enough.
 */
static bool append_copy(struct rte_mbuf *dst, const struct rte_mbuf *src, uint32_t off,
			uint32_t len, struct rte_mempool *pool)
{
	struct rte_mbuf *seg = rte_pktmbuf_lastseg(dst);

	while (len > 0) {
		uint32_t n = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(seg));
		const void *from;
		uint8_t *to;

		if (n == 0) {
			struct rte_mbuf *more = rte_pktmbuf_alloc(pool);

			if (more == NULL)
				return false;
			/* Headroom is only needed before the first byte. */
			more->data_off = 0;
			if (rte_pktmbuf_chain(dst, more) != 0) {
				rte_pktmbuf_free(more);
				return false;
			}
			seg = more;
			continue;
		}
		to = rte_pktmbuf_mtod_offset(seg, uint8_t *, seg->data_len);
		from = rte_pktmbuf_read(src, off, n, to);
		if (from == NULL)
			return false;
		if (from != to)
			memcpy(to, from, n);
		seg->data_len += n;
		dst->pkt_len += n;
		off += n;
		len -= n;
	}
	return true;
}

unsigned int ip4_fragment_packet(const struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool,
				 struct rte_mbuf **out, unsigned int max)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const uint32_t hlen = rte_ipv4_hdr_len(ip);
	const uint32_t total = rte_be_to_cpu_16(ip->total_length);
	const uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);
	const uint32_t first = field & RTE_IPV4_HDR_OFFSET_MASK;
	uint8_t hdr[60];
	uint32_t fhlen = hlen;
	uint32_t done = 0;
	unsigned int n = 0;

	if (hlen < sizeof(*ip) || m->data_len < hlen || total <= hlen || m->pkt_len < total)
		return 0;
	/* A fragment that claims to end beyond the longest packet there can be. */
	if (first * 8 + (total - hlen) > RTE_IPV4_MAX_PKT_LEN)
		return 0;
	memcpy(hdr, ip, hlen);
	while (done < total - hlen) {
		uint32_t len = total - hlen - done;
		struct rte_ipv4_hdr *fip;
		struct rte_mbuf *f;
		bool last = true;

		if (fhlen + len > mtu) {
			if (mtu < fhlen + 8)
				goto fail;
			len = (mtu - fhlen) & ~7u;
			last = false;
		}
		if (n == max)
			goto fail;
		f = rte_pktmbuf_alloc(pool);
		if (f == NULL)
			goto fail;
		out[n++] = f;
		fip = (struct rte_ipv4_hdr *)rte_pktmbuf_append(f, fhlen);
		if (fip == NULL)
			goto fail;
		memcpy(fip, hdr, fhlen);
		fip->version_ihl = 4 << 4 | fhlen / 4;
		fip->total_length = rte_cpu_to_be_16(fhlen + len);
		/* The last one keeps the flag of a fragment that is split further. */
		fip->fragment_offset =
			rte_cpu_to_be_16((first + done / 8) | (last ? field & RTE_IPV4_HDR_MF_FLAG
								    : RTE_IPV4_HDR_MF_FLAG));
		fip->hdr_checksum = 0;
		fip->hdr_checksum = rte_ipv4_cksum(fip);
		if (!append_copy(f, m, hlen + done, len, pool))
			goto fail;
		done += len;
		if (n == 1)
			fhlen = sizeof(*ip) +
				ip4_options_copied((const uint8_t *)ip, hlen, hdr + sizeof(*ip));
	}
	return n;
fail:
	rte_pktmbuf_free_bulk(out, n);
	return 0;
}

static uint16_t ip4_fragment(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t n)
{
	struct rte_mbuf *frags[IP4_FRAGMENTS_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		struct mb_meta meta = *mb_meta(m);
		unsigned int nf = ip4_fragment_packet(m, nexthops[meta.nh].mtu, dp_pool, frags,
						      IP4_FRAGMENTS_MAX);

		if (nf == 0) {
			rte_node_enqueue_x1(graph, node, EDGE_FAILED, m);
			continue;
		}
		meta.flags |= MB_FRAGMENT;
		for (unsigned int k = 0; k < nf; k++) {
			/* A trace follows the first fragment. */
			if (k == 1) {
				meta.flags &= ~MB_TRACED;
				meta.trace = 0;
			}
			frags[k]->port = m->port;
			*mb_meta(frags[k]) = meta;
		}
		rte_node_enqueue(graph, node, EDGE_REWRITE, (void **)frags, nf);
		rte_pktmbuf_free(m);
	}
	return n;
}

static struct rte_node_register ip4_fragment_node = {
	.name = "ip4-fragment",
	.process = ip4_fragment,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_REWRITE] = "ip4-rewrite",
			[EDGE_FAILED] = "drop-ip4-fragment-failed",
		},
};
RTE_NODE_REGISTER(ip4_fragment_node);

DROP_NODE(fragment_failed, "ip4-fragment-failed",
	  "could not be fragmented: no mbufs left, or the MTU is too small");
