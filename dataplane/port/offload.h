/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums and segmentation that packets of the box ask their port for (ol_flags). The port was
 * known when they were made, but a route may have changed since: what the port now chosen cannot do
 * is done here.
 */
#ifndef MILLRACE_PORT_OFFLOAD_H
#define MILLRACE_PORT_OFFLOAD_H

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "port.h"

#define OFFLOAD_FLAGS (RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)

/* In software, what m->ol_flags asks for but segmentation. Data pointer at the IP header. */
void offload_checksums(struct rte_mbuf *m);

/* To be called with the data pointer at the IP header, before the next hop's header is put there.
 * False if the packet cannot be sent: it is too large for a port that does not segment. */
static inline bool offload_prepare(struct rte_mbuf *m, const struct nexthop *nh)
{
	const struct port *p;

	if ((m->ol_flags & OFFLOAD_FLAGS) == 0)
		return true;
	p = nh->port < RTE_MAX_ETHPORTS ? ports[nh->port] : NULL;
	if (p == NULL)
		return true;
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		if (p->tso_max == 0)
			return false;
	} else if (!p->tx_checksum) {
		offload_checksums(m);
		return true;
	}
	m->l2_len = nh->l2_len;
	return true;
}

/* The frame is whole: lets the driver do what its device wants to have done (pseudo headers). */
static inline void offload_finish(struct rte_mbuf *m, uint16_t port)
{
	uint16_t q = worker_self->txq[port];

	if ((m->ol_flags & OFFLOAD_FLAGS) != 0)
		rte_eth_tx_prepare(port, q == UINT16_MAX ? 0 : q, &m, 1);
}

#endif
