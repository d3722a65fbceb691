/* SPDX-License-Identifier: Apache-2.0 */
/* Broadcasts and multicasts of the box itself: they need no neighbour, only the group's MAC
 * address. */
#ifndef MILLRACE_IP4_L2CAST_H
#define MILLRACE_IP4_L2CAST_H

#include <string.h>

#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "../iface/iface.h"

/* Makes m (data pointer at the IP header) a frame ready for port-tx and counts it. False if the
 * interface cannot send now. */
static inline bool l2cast_push(struct rte_mbuf *m, const struct iface *i,
			       const struct rte_ether_addr *dst, uint16_t ether_type)
{
	const uint16_t type = rte_cpu_to_be_16(ether_type);
	struct iface_stats *st;
	struct nexthop t = {0};
	uint8_t *p;

	if (i == NULL || !(i->flags & IFACE_F_UP) || i->port == UINT16_MAX)
		return false;
	nexthop_set_l2(&t, i, dst);
	p = (uint8_t *)rte_pktmbuf_prepend(m, t.l2_len);
	if (p == NULL)
		return false;
	if (t.l2_len > sizeof(t.l2)) {
		memcpy(p, t.l2_head, sizeof(t.l2_head));
		memcpy(p + sizeof(t.l2_head), t.l2, sizeof(t.l2));
	} else {
		memcpy(p, t.l2 + sizeof(t.l2) - t.l2_len, t.l2_len);
	}
	memcpy(p + t.l2_len - 2, &type, sizeof(type));
	m->port = i->port;
	m->ol_flags &= ~(RTE_MBUF_F_TX_OFFLOAD_MASK);
	st = &worker_self->iface_stats[i->id];
	st->tx_packets++;
	st->tx_octets += m->pkt_len;
	return true;
}

#endif
