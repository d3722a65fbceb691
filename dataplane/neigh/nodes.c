/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers' side: arp-input and nd-input check what can be checked without tables, neigh-hold takes
 * packets whose next hop has no MAC. All three are policed by the port of arrival, each by buckets
 * of its own: packets to us alone (answers to what we asked), packets to many, packets that wait.
 */
#include <rte_cycles.h>
#include <rte_jhash.h>

#include "internal.h"
#include "../core/node.h"
#include "../core/ring.h"

enum police {
	POLICE_UNICAST,
	POLICE_GROUP,
	/* The first packet for a destination in a window: the one that starts its resolution … */
	POLICE_HOLD_FIRST,
	/* … and those after it, which only wait. */
	POLICE_HOLD,
	POLICE_MAX,
};

struct port_police {
	uint32_t rate;
	struct bucket b[POLICE_MAX];
};

/* What one destination gets of neigh-hold in one window: more than waits for a neighbour would be
 * dropped anyway, and would take the place of packets for others. */
#define HOLD_SLOTS  1024
#define HOLD_WINDOW 10 /* a tenth of a second */

struct hold_slot {
	uint64_t window;
	uint32_t key;
	uint32_t count;
};

/* One line more than ports, for packets of no port. */
static struct port_police police[WORKER_MAX][RTE_MAX_ETHPORTS + 1];
static struct hold_slot hold_slots[WORKER_MAX][HOLD_SLOTS];

static bool police_take(const struct mb_meta *meta, enum police what, uint64_t now)
{
	const struct iface *i = meta->iface < IFACE_MAX ? ifaces[meta->iface] : NULL;
	unsigned int port = i != NULL && i->port < RTE_MAX_ETHPORTS ? i->port : RTE_MAX_ETHPORTS;
	struct port_police *p = &police[worker_self->id][port];
	uint32_t rate = neigh_settings.rate;

	if (unlikely(p->rate != rate)) {
		p->rate = rate;
		for (int k = 0; k < POLICE_MAX; k++)
			bucket_init(&p->b[k], rate, RTE_MAX(rate / 8, 32u));
	}
	return bucket_take(&p->b[what], now);
}

static enum police police_of(const struct mb_meta *meta)
{
	return meta->flags & (MB_L2_BCAST | MB_L2_MCAST) ? POLICE_GROUP : POLICE_UNICAST;
}

/* Sends n packets to the control thread, and those that do not fit to the edge. */
static void punt(struct rte_graph *graph, struct rte_node *node, void **objs, unsigned int n,
		 enum neigh_punt kind, rte_edge_t full)
{
	unsigned int sent;

	if (n == 0)
		return;
	for (unsigned int k = 0; k < n; k++)
		mb_meta(objs[k])->arg0 = kind;
	sent = worker_punt(worker_self, PUNT_NEIGH, objs, n);
	if (sent < n)
		rte_node_enqueue(graph, node, full, objs + sent, n - sent);
}

/* ---- arp-input ---- */

enum {
	/* Up to ARP_VERDICTS: by verdict; that of ARP_OK is used for what has been policed away. */
	ARP_EDGE_RATE = ARP_OK,
	ARP_EDGE_LOOPED = ARP_VERDICTS,
	ARP_EDGE_FULL,
	ARP_EDGES,
};

static uint16_t arp_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	const uint64_t now = rte_rdtsc();
	void *take[RTE_GRAPH_BURST_SIZE];
	unsigned int n_take = 0;

	for (uint16_t k = 0; k < n; k++) {
		struct rte_mbuf *m = objs[k];
		struct mb_meta *meta = mb_meta(m);
		const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
		const struct iface *i = meta->iface < IFACE_MAX ? ifaces[meta->iface] : NULL;
		rte_edge_t edge = arp_check(p, rte_pktmbuf_data_len(m));

		if (edge == ARP_OK) {
			const struct arp_packet *a = (const struct arp_packet *)p;

			if (i != NULL && memcmp(a->sha, i->mac.addr_bytes, 6) == 0) {
				edge = ARP_EDGE_LOOPED;
			} else if (police_take(meta, police_of(meta), now)) {
				take[n_take++] = m;
				if (n_take == RTE_DIM(take)) {
					punt(graph, node, take, n_take, NEIGH_PUNT_ARP,
					     ARP_EDGE_FULL);
					n_take = 0;
				}
				continue;
			} else {
				edge = ARP_EDGE_RATE;
			}
		}
		rte_node_enqueue_x1(graph, node, edge, m);
	}
	punt(graph, node, take, n_take, NEIGH_PUNT_ARP, ARP_EDGE_FULL);
	return n;
}

DROP_NODE(arp_rate, "arp-rate", "more ARP packets came in by the port than are looked at")
DROP_NODE(arp_truncated, "arp-truncated", "ARP packet is shorter than 28 bytes")
DROP_NODE(arp_hardware, "arp-bad-hardware", "ARP hardware type or length is not Ethernet's")
DROP_NODE(arp_protocol, "arp-bad-protocol", "ARP protocol type or length is not IPv4's")
DROP_NODE(arp_opcode, "arp-bad-opcode", "ARP operation is neither request nor reply")
DROP_NODE(arp_sender, "arp-bad-sender", "ARP sender's MAC or IPv4 address is not a host's")
DROP_NODE(arp_looped, "arp-looped", "ARP packet of our own came back")
DROP_NODE(neigh_full, "neighbor-ring-full", "the control thread did not keep up with ARP and ND")

static struct rte_node_register arp_node = {
	.name = "arp-input",
	.process = arp_process,
	.nb_edges = ARP_EDGES,
	.next_nodes =
		{
			[ARP_EDGE_RATE] = "drop-arp-rate",
			[ARP_TRUNCATED] = "drop-arp-truncated",
			[ARP_BAD_HARDWARE] = "drop-arp-bad-hardware",
			[ARP_BAD_PROTOCOL] = "drop-arp-bad-protocol",
			[ARP_BAD_OPCODE] = "drop-arp-bad-opcode",
			[ARP_BAD_SENDER] = "drop-arp-bad-sender",
			[ARP_EDGE_LOOPED] = "drop-arp-looped",
			[ARP_EDGE_FULL] = "drop-neighbor-ring-full",
		},
};
RTE_NODE_REGISTER(arp_node);

/* ---- nd-input ---- */

enum {
	ND_EDGE_RATE = ND_OK,
	ND_EDGE_FULL = ND_VERDICTS,
	ND_EDGES,
};

static uint16_t nd_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	const uint64_t now = rte_rdtsc();
	void *take[RTE_GRAPH_BURST_SIZE];
	unsigned int n_take = 0;

	for (uint16_t k = 0; k < n; k++) {
		struct rte_mbuf *m = objs[k];
		struct mb_meta *meta = mb_meta(m);
		struct nd_message msg;
		rte_edge_t edge = nd_parse(rte_pktmbuf_mtod(m, const uint8_t *),
					   rte_pktmbuf_data_len(m), &msg);

		if (edge == ND_OK && police_take(meta, police_of(meta), now)) {
			take[n_take++] = m;
			if (n_take == RTE_DIM(take)) {
				punt(graph, node, take, n_take, NEIGH_PUNT_ND, ND_EDGE_FULL);
				n_take = 0;
			}
			continue;
		}
		rte_node_enqueue_x1(graph, node, edge, m);
	}
	punt(graph, node, take, n_take, NEIGH_PUNT_ND, ND_EDGE_FULL);
	return n;
}

DROP_NODE(nd_rate, "nd-rate", "more ND packets came in by the port than are looked at")
DROP_NODE(nd_truncated, "nd-truncated", "ND message is shorter than its fixed part")
DROP_NODE(nd_hop_limit, "nd-bad-hop-limit", "ND message has a hop limit other than 255")
DROP_NODE(nd_code, "nd-bad-code", "ND message has a code other than 0")
DROP_NODE(nd_type, "nd-bad-type", "ND message has extension headers, or is none")
DROP_NODE(nd_source, "nd-bad-source", "ND message's source is not allowed")
DROP_NODE(nd_destination, "nd-bad-destination", "ND message's destination is not allowed")
DROP_NODE(nd_target, "nd-bad-target", "ND message's target is not a unicast address")
DROP_NODE(nd_option, "nd-bad-option", "ND message has a malformed or forbidden option")
DROP_NODE(nd_redirect, "nd-redirect", "routers do not follow redirects")

static struct rte_node_register nd_node = {
	.name = "nd-input",
	.process = nd_process,
	.nb_edges = ND_EDGES,
	.next_nodes =
		{
			[ND_EDGE_RATE] = "drop-nd-rate",
			[ND_TRUNCATED] = "drop-nd-truncated",
			[ND_BAD_HOP_LIMIT] = "drop-nd-bad-hop-limit",
			[ND_BAD_CODE] = "drop-nd-bad-code",
			[ND_BAD_TYPE] = "drop-nd-bad-type",
			[ND_BAD_SOURCE] = "drop-nd-bad-source",
			[ND_BAD_DESTINATION] = "drop-nd-bad-destination",
			[ND_BAD_TARGET] = "drop-nd-bad-target",
			[ND_BAD_OPTION] = "drop-nd-bad-option",
			[ND_REDIRECTED] = "drop-nd-redirect",
			[ND_EDGE_FULL] = "drop-neighbor-ring-full",
		},
};
RTE_NODE_REGISTER(nd_node);

/* ---- neigh-hold ---- */

enum {
	HOLD_EDGE_RATE,
	HOLD_EDGE_FLOOD,
	HOLD_EDGE_FULL,
	HOLD_EDGE_BAD,
	HOLD_EDGES,
};

/* Packets for the same destination before this one in the window. */
static uint32_t hold_before(const struct rte_mbuf *m, uint32_t nh, unsigned int version,
			    uint64_t window)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	/* Copied, as the packet is not aligned. */
	uint32_t dst[4] = {0};
	uint32_t key;
	struct hold_slot *s;

	memcpy(dst, version == 4 ? p + 16 : p + 24, version == 4 ? 4 : 16);
	key = rte_jhash_32b(dst, RTE_DIM(dst), nh);
	s = &hold_slots[worker_self->id][key % HOLD_SLOTS];
	if (s->window != window || s->key != key) {
		s->window = window;
		s->key = key;
		s->count = 0;
	}
	return s->count++;
}

static uint16_t hold_process(struct rte_graph *graph, struct rte_node *node, void **objs,
			     uint16_t n)
{
	const uint64_t now = rte_rdtsc();
	const uint64_t window = now / (rte_get_tsc_hz() / HOLD_WINDOW);
	/* The upper half of the ring is for ARP and ND: what resolves gets through what waits. */
	const bool room = punt_ring_count(PUNT_NEIGH) < punt_ring_size(PUNT_NEIGH) / 2;
	void *take[RTE_GRAPH_BURST_SIZE];
	unsigned int n_take = 0;

	for (uint16_t k = 0; k < n; k++) {
		struct rte_mbuf *m = objs[k];
		struct mb_meta *meta = mb_meta(m);
		unsigned int version = neigh_ip_version(m);
		uint32_t before = 0;
		rte_edge_t edge;

		if (version == 0)
			edge = HOLD_EDGE_BAD;
		else if (!room)
			edge = HOLD_EDGE_FULL;
		else if ((before = hold_before(m, meta->nh, version, window)) >=
			 RTE_MAX(neigh_settings.queue, 1u))
			edge = HOLD_EDGE_FLOOD;
		else if (!police_take(meta, before == 0 ? POLICE_HOLD_FIRST : POLICE_HOLD, now))
			edge = HOLD_EDGE_RATE;
		else {
			take[n_take++] = m;
			if (n_take == RTE_DIM(take)) {
				punt(graph, node, take, n_take, NEIGH_PUNT_HOLD, HOLD_EDGE_FULL);
				n_take = 0;
			}
			continue;
		}
		rte_node_enqueue_x1(graph, node, edge, m);
	}
	punt(graph, node, take, n_take, NEIGH_PUNT_HOLD, HOLD_EDGE_FULL);
	return n;
}

DROP_NODE(hold_rate, "neighbor-hold-rate",
	  "more packets without a resolved neighbour came in by the port than are kept")
DROP_NODE(hold_flood, "neighbor-hold-flood",
	  "more packets for one unresolved neighbour came in than wait for it")
DROP_NODE(hold_bad, "neighbor-hold-malformed", "a packet for a neighbour is not an IP packet")

static struct rte_node_register hold_node = {
	.name = "neigh-hold",
	.process = hold_process,
	.nb_edges = HOLD_EDGES,
	.next_nodes =
		{
			[HOLD_EDGE_RATE] = "drop-neighbor-hold-rate",
			[HOLD_EDGE_FLOOD] = "drop-neighbor-hold-flood",
			[HOLD_EDGE_FULL] = "drop-neighbor-ring-full",
			[HOLD_EDGE_BAD] = "drop-neighbor-hold-malformed",
		},
};
RTE_NODE_REGISTER(hold_node);
