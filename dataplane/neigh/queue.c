/* SPDX-License-Identifier: Apache-2.0 */
/* Packets to and through a neighbour on the control thread: those that wait for its MAC, and those
 * the kernel makes. */
#include <stdlib.h>

#include <rte_mempool.h>

#include "internal.h"
#include "../core/node.h"

#define QUEUE_MAX 256u
/* Packets that wait in all, if the pool has buffers enough. */
#define QUEUED_TOTAL_MAX 8192

DROP_COUNTER(drop_queue_full, "neighbor-queue-full",
	     "more packets waited for a neighbour's MAC than are kept; the oldest was dropped")
DROP_COUNTER(drop_total_full, "neighbor-queues-full",
	     "too many packets waited for neighbours in all")
DROP_COUNTER(drop_no_entry, "neighbor-table-full",
	     "no entry could be made for the packet's destination")
DROP_COUNTER(drop_hold_bad, "neighbor-hold-bad",
	     "the neighbour the packet was for is gone, or its destination is none")
DROP_COUNTER(drop_output_down, "neighbor-interface-down",
	     "a packet of the box was for an interface that is down")

static unsigned int queued_total;

unsigned int neigh_queued_total(void)
{
	return queued_total;
}

static void drop(struct rte_mbuf *m, struct drop_counter *why)
{
	why->packets++;
	rte_pktmbuf_free(m);
}

unsigned int neigh_ip_version(const struct rte_mbuf *m)
{
	uint8_t v;

	if (rte_pktmbuf_data_len(m) < 20)
		return 0;
	v = *rte_pktmbuf_mtod(m, const uint8_t *) >> 4;
	if (v == 4)
		return 4;
	return v == 6 && rte_pktmbuf_data_len(m) >= 40 ? 6 : 0;
}

void neigh_forward(struct rte_mbuf *m, uint32_t nh)
{
	unsigned int v = neigh_ip_version(m);

	if (v == 0) {
		drop(m, &drop_hold_bad);
		return;
	}
	mb_meta(m)->nh = nh;
	worker_inject(m, v == 4 ? INJECT_IP4_REWRITE : INJECT_IP6_REWRITE);
}

void neigh_unreachable(struct rte_mbuf *m)
{
	unsigned int v = neigh_ip_version(m);

	if (v == 4)
		/* RFC 1812 section 5.2.7.1: host unreachable. */
		worker_inject_error(m, false, 3, 1, 0);
	else if (v == 6)
		/* RFC 4443 section 3.1: address unreachable. */
		worker_inject_error(m, true, 1, 3, 0);
	else
		drop(m, &drop_hold_bad);
}

static unsigned int total_max(void)
{
	static unsigned int max;

	/* An eighth of the buffers: resolution must never starve reception. */
	if (max == 0)
		max = RTE_MIN(dp_pool->size / 8, (unsigned int)QUEUED_TOTAL_MAX);
	return max;
}

void neigh_enqueue(struct neigh_ent *e, struct rte_mbuf *m)
{
	if (e->n.queue == NULL) {
		unsigned int cap = RTE_MIN(RTE_MAX(neigh_settings.queue, 1u), QUEUE_MAX);

		e->n.queue = malloc(cap * sizeof(*e->n.queue));
		if (e->n.queue == NULL) {
			drop(m, &drop_no_entry);
			return;
		}
		e->queue_cap = cap;
	}
	if (e->n.n_queue == e->queue_cap) {
		drop(e->n.queue[0], &drop_queue_full);
		memmove(e->n.queue, e->n.queue + 1, (e->n.n_queue - 1) * sizeof(*e->n.queue));
		e->n.n_queue--;
		queued_total--;
	} else if (queued_total >= total_max()) {
		drop(m, &drop_total_full);
		return;
	}
	e->n.queue[e->n.n_queue++] = m;
	queued_total++;
}

static void queue_done(struct neigh_ent *e)
{
	queued_total -= e->n.n_queue;
	e->n.n_queue = 0;
	free(e->n.queue);
	e->n.queue = NULL;
}

void neigh_queue_flush(struct neigh_ent *e)
{
	for (unsigned int k = 0; k < e->n.n_queue; k++)
		neigh_forward(e->n.queue[k], e->n.nh);
	queue_done(e);
}

void neigh_queue_fail(struct neigh_ent *e)
{
	for (unsigned int k = 0; k < e->n.n_queue; k++)
		neigh_unreachable(e->n.queue[k]);
	queue_done(e);
}

void neigh_send(struct neigh_ent *e, struct rte_mbuf *m)
{
	if (e->nh_action == NH_REWRITE)
		neigh_forward(m, e->n.nh);
	else if (e->n.nud == NUD_INCOMPLETE)
		neigh_enqueue(e, m);
	else
		neigh_unreachable(m);
}

static struct ip_addr destination(const struct rte_mbuf *m, unsigned int version)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t be;

	if (version == 6)
		return ip_addr6(p + 24);
	memcpy(&be, p + 16, 4);
	return ip_addr4(be);
}

void neigh_hold_input(struct rte_mbuf *m)
{
	const uint32_t nh = mb_meta(m)->nh;
	const unsigned int version = neigh_ip_version(m);
	struct ip_addr dst;
	struct neigh_ent *e;
	struct iface *i;

	if (version == 0 || nh >= nexthops_max || nexthops[nh].iface >= IFACE_MAX) {
		drop(m, &drop_hold_bad);
		return;
	}
	if (nexthops[nh].neigh != NULL) {
		neigh_send(neigh_ent(nexthops[nh].neigh), m);
		return;
	}
	i = ifaces[nexthops[nh].iface];
	if (i == NULL || nexthops[nh].action != NH_GLEAN) {
		drop(m, &drop_hold_bad);
		return;
	}
	dst = destination(m, version);
	e = neigh_get(i, &dst, NULL);
	if (e == NULL) {
		drop(m, &drop_no_entry);
		return;
	}
	if (!e->interface_route && !neigh_on_link(i, &dst))
		e->interface_route = true;
	neigh_send(e, m);
}

bool neigh_is_broadcast4(const struct iface *i, const struct ip_addr *addr)
{
	uint32_t be = ip_addr_v4(addr);

	if (be == UINT32_MAX)
		return true;
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		const struct iface_addr *a = &i->addrs[k];
		uint32_t mask;

		if (a->addr.len != 4 || a->plen == 0 || a->plen > 30)
			continue;
		mask = rte_cpu_to_be_32(~0u << (32 - a->plen));
		if (((be ^ ip_addr_v4(&a->addr)) & mask) == 0 && (be | mask) == UINT32_MAX)
			return true;
	}
	return false;
}

void neigh_output(struct iface *i, const struct ip_addr *addr, struct rte_mbuf *m)
{
	const uint16_t ethertype = addr->len == 4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6;
	struct rte_ether_addr mac;
	struct neigh_ent *e;

	if (!iface_is_up(i)) {
		drop(m, &drop_output_down);
		return;
	}
	if (addr->len == 4 && neigh_is_broadcast4(i, addr)) {
		neigh_frame_send(i, m, &mac_broadcast, ethertype);
		return;
	}
	if ((addr->len == 4 && (addr->b[0] & 0xf0) == 0xe0) ||
	    (addr->len == 16 && addr->b[0] == 0xff)) {
		mac_of_multicast(addr, &mac);
		neigh_frame_send(i, m, &mac, ethertype);
		return;
	}
	e = neigh_get(i, addr, NULL);
	if (e == NULL)
		drop(m, &drop_no_entry);
	else
		neigh_send(e, m);
}
