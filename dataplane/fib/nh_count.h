/* SPDX-License-Identifier: Apache-2.0 */
/* What the rewrite nodes of both families count. */
#ifndef MILLRACE_FIB_NH_COUNT_H
#define MILLRACE_FIB_NH_COUNT_H

#include "../core/worker.h"
#include "nexthop.h"

/* Packets sent to a next hop, with its interface's. Octets are of whole frames. */
static inline void nh_count_tx(struct worker *w, uint32_t nh, uint64_t packets, uint64_t octets)
{
	struct iface_stats *s = &w->iface_stats[nexthops[nh].iface];

	w->nh_stats[nh].packets += packets;
	w->nh_stats[nh].octets += octets;
	s->tx_packets += packets;
	s->tx_octets += octets;
}

#endif
