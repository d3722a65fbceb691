// SPDX-License-Identifier: Apache-2.0
/*
 * kernel-punt: what is for the box goes to the control thread and by a TAP to the kernel, policed
 * per interface and class, so that a flood of one kind leaves the others alone: above all BGP
 * sessions that stand, which keep the routes.
 */
#include <netinet/in.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_tcp.h>

#include "../core/node.h"
#include "../core/ring.h"
#include "../core/worker.h"
#include "../iface/iface.h"
#include "exception.h"
#include "tap.h"

/* Defaults as in the API (message Settings). */
struct punt_settings punt_settings = {.rate = 20000, .icmp_rate = 1000};

DROP_NODE(punt_control, "punt-policed-control",
	  "for the kernel: BGP or SSH segments beyond the rate (setting punt-rate)")
DROP_NODE(punt_connect, "punt-policed-connect",
	  "for the kernel: new BGP or SSH connections beyond a twentieth of the rate (setting "
	  "punt-rate)")
DROP_NODE(punt_transport, "punt-policed-transport",
	  "for the kernel: other TCP and UDP beyond the rate (setting punt-rate)")
DROP_NODE(punt_icmp, "punt-policed-icmp", "for the kernel: ICMP beyond its rate")
DROP_NODE(punt_other, "punt-policed-other",
	  "for the kernel: other protocols beyond the rate (setting punt-rate)")
DROP_NODE(punt_full, "punt-ring-full", "for the kernel: the control thread does not keep up")
DROP_NODE(punt_off, "punt-no-kernel", "for the kernel, but the exception path is off")

/* Also the edges; the classes come first. */
enum punt_edge {
	/* Segments of BGP and SSH connections that stand. */
	PUNT_CONTROL,
	/* Those that would open one: without them in a class of their own, a flood of SYNs would be
	   a flood of BGP. */
	PUNT_CONNECT,
	PUNT_TRANSPORT,
	PUNT_ICMP,
	PUNT_OTHER,
	PUNT_CLASSES,
	PUNT_FULL = PUNT_CLASSES,
	PUNT_OFF,
	PUNT_EDGES,
};

#define PORT_BGP 179
#define PORT_SSH 22
/* Extension headers passed over to find TCP; more are nobody's. */
#define EXT_MAX 4

struct punt_ctx {
	/* The settings that cost and depth were made from. */
	struct punt_settings made_from;
	uint64_t cost[PUNT_CLASSES];
	uint64_t depth[PUNT_CLASSES];
	struct bucket buckets[IFACE_MAX][PUNT_CLASSES];
};

static void ctx_update(struct punt_ctx *c)
{
	uint32_t rate = punt_settings.rate, icmp = punt_settings.icmp_rate;
	const uint32_t rates[PUNT_CLASSES] = {
		[PUNT_CONTROL] = rate,	 [PUNT_CONNECT] = rate ? RTE_MAX(rate / 20, 1u) : 0,
		[PUNT_TRANSPORT] = rate, [PUNT_ICMP] = icmp,
		[PUNT_OTHER] = rate,
	};
	struct bucket b;

	for (unsigned int k = 0; k < PUNT_CLASSES; k++) {
		/* A quarter of a second may come at once: a TCP window of small segments. */
		bucket_init(&b, rates[k], RTE_MAX(rates[k] / 4, 1u));
		c->cost[k] = b.cost;
		c->depth[k] = b.depth;
	}
	c->made_from.rate = rate;
	c->made_from.icmp_rate = icmp;
}

static inline bool is_control_port(uint16_t be)
{
	return be == RTE_BE16(PORT_BGP) || be == RTE_BE16(PORT_SSH);
}

/* p..end: transport header, as far as it is in the first segment. */
static inline enum punt_edge classify_transport(uint8_t proto, const uint8_t *p, const uint8_t *end)
{
	const struct rte_tcp_hdr *tcp = (const void *)p;

	switch (proto) {
	case IPPROTO_TCP:
		if (end - p < (ptrdiff_t)sizeof(*tcp))
			return PUNT_TRANSPORT;
		if (!is_control_port(tcp->dst_port) && !is_control_port(tcp->src_port))
			return PUNT_TRANSPORT;
		return (tcp->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG
			       ? PUNT_CONNECT
			       : PUNT_CONTROL;
	case IPPROTO_UDP:
		return PUNT_TRANSPORT;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return PUNT_ICMP;
	default:
		return PUNT_OTHER;
	}
}

static inline enum punt_edge classify4(const uint8_t *p, const uint8_t *end)
{
	const struct rte_ipv4_hdr *ip = (const void *)p;
	uint32_t hlen = (ip->version_ihl & 0xfu) * 4;

	if (end - p < (ptrdiff_t)sizeof(*ip) || hlen < sizeof(*ip) || end - p < (ptrdiff_t)hlen)
		return PUNT_OTHER;
	/* Fragments but the first tell no ports. */
	if (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK))
		return ip->next_proto_id == IPPROTO_ICMP ? PUNT_ICMP : PUNT_TRANSPORT;
	return classify_transport(ip->next_proto_id, p + hlen, end);
}

static inline enum punt_edge classify6(const uint8_t *p, const uint8_t *end)
{
	const struct rte_ipv6_hdr *ip = (const void *)p;
	unsigned int ext = 0;
	uint32_t len;
	uint8_t proto;

	if (end - p < (ptrdiff_t)sizeof(*ip))
		return PUNT_OTHER;
	proto = ip->proto;
	p += sizeof(*ip);
	while (proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT) {
		if (ext++ == EXT_MAX || end - p < 8)
			return PUNT_OTHER;
		if (proto == IPPROTO_FRAGMENT) {
			if ((p[2] << 8 | p[3]) & 0xfff8)
				return p[0] == IPPROTO_ICMPV6 ? PUNT_ICMP : PUNT_TRANSPORT;
			len = 8;
		} else {
			len = (p[1] + 1u) * 8;
		}
		if (end - p < (ptrdiff_t)len)
			return PUNT_OTHER;
		proto = p[0];
		p += len;
	}
	return classify_transport(proto, p, end);
}

static inline enum punt_edge classify(const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *end = p + rte_pktmbuf_data_len(m);

	if (p == end)
		return PUNT_OTHER;
	return p[0] >> 4 == 6 ? classify6(p, end) : classify4(p, end);
}

static inline struct punt_ctx *ctx_of(struct rte_node *node)
{
	struct punt_ctx *c;

	memcpy(&c, node->ctx, sizeof(c));
	return c;
}

static inline bool police(struct punt_ctx *c, uint16_t iface, enum punt_edge class, uint64_t now)
{
	struct bucket *b = &c->buckets[iface][class];

	if (unlikely(b->cost != c->cost[class])) {
		b->cost = c->cost[class];
		b->depth = c->depth[class];
		/* Full at first. */
		if (b->last == 0) {
			b->tokens = b->depth;
			b->last = now;
		}
	}
	return bucket_take(b, now);
}

static uint16_t punt_process(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t n)
{
	struct worker *w = worker_self;
	struct punt_ctx *c = ctx_of(node);
	uint64_t now = rte_rdtsc();
	void *pass[RTE_GRAPH_BURST_SIZE], *drops[RTE_GRAPH_BURST_SIZE];
	uint16_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t n_pass = 0, n_drop = 0, fitted, k;
	bool crowded;

	if (unlikely(!punt_enabled)) {
		rte_node_next_stream_move(graph, node, PUNT_OFF);
		return n;
	}
	if (unlikely(c->made_from.rate != punt_settings.rate ||
		     c->made_from.icmp_rate != punt_settings.icmp_rate))
		ctx_update(c);
	/* The ring is one for all: its last quarter is for sessions that stand. */
	crowded = punt_ring_count(PUNT_KERNEL) > punt_ring_size(PUNT_KERNEL) / 4 * 3;

	/* A vector can be longer than the graph's burst; then it is done in parts. */
	for (uint16_t done = 0; done < n; done += k) {
		uint16_t part = RTE_MIN((uint16_t)(n - done), (uint16_t)RTE_GRAPH_BURST_SIZE);

		n_pass = n_drop = 0;
		for (k = 0; k < part; k++) {
			struct rte_mbuf *m = objs[done + k];
			uint16_t iface = RTE_MIN(mb_meta(m)->iface, (uint16_t)(IFACE_MAX - 1));
			enum punt_edge class = classify(m);

			if (unlikely(!police(c, iface, class, now))) {
				edge[n_drop] = class;
				drops[n_drop++] = m;
			} else if (unlikely(crowded && class != PUNT_CONTROL)) {
				edge[n_drop] = PUNT_FULL;
				drops[n_drop++] = m;
			} else {
				w->iface_stats[iface].punted++;
				pass[n_pass++] = m;
			}
		}
		fitted = n_pass == 0 ? 0 : (uint16_t)worker_punt(w, PUNT_KERNEL, pass, n_pass);
		for (; fitted < n_pass; fitted++) {
			struct rte_mbuf *m = pass[fitted];
			uint16_t iface = RTE_MIN(mb_meta(m)->iface, (uint16_t)(IFACE_MAX - 1));

			w->iface_stats[iface].punted--;
			edge[n_drop] = PUNT_FULL;
			drops[n_drop++] = m;
		}
		if (n_drop > 0)
			node_dispatch(graph, node, drops, edge, n_drop);
	}
	return n;
}

static int punt_init(const struct rte_graph *graph, struct rte_node *node)
{
	struct punt_ctx *c = rte_zmalloc("kernel-punt", sizeof(*c), RTE_CACHE_LINE_SIZE);

	if (c == NULL)
		return -ENOMEM;
	ctx_update(c);
	memcpy(node->ctx, &c, sizeof(c));
	return 0;
}

static void punt_fini(const struct rte_graph *graph, struct rte_node *node)
{
	rte_free(ctx_of(node));
}

static struct rte_node_register punt_node = {
	.name = "kernel-punt",
	.process = punt_process,
	.init = punt_init,
	.fini = punt_fini,
	.nb_edges = PUNT_EDGES,
	.next_nodes =
		{
			[PUNT_CONTROL] = "drop-punt-policed-control",
			[PUNT_CONNECT] = "drop-punt-policed-connect",
			[PUNT_TRANSPORT] = "drop-punt-policed-transport",
			[PUNT_ICMP] = "drop-punt-policed-icmp",
			[PUNT_OTHER] = "drop-punt-policed-other",
			[PUNT_FULL] = "drop-punt-ring-full",
			[PUNT_OFF] = "drop-punt-no-kernel",
		},
};
RTE_NODE_REGISTER(punt_node);
