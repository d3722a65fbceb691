/* SPDX-License-Identifier: Apache-2.0 */
/* The rings between the control thread and the workers. */
#include <stdio.h>

#include <rte_errno.h>

#include "loop.h"
#include "node.h"
#include "ring.h"

static struct rte_ring *punt_rings[PUNT_RING_MAX];

DROP_COUNTER(drop_inject_full, "inject-ring-full",
	     "a packet of the control thread or the kernel found the worker's ring full")

int punt_rings_create(unsigned int prefix)
{
	static const unsigned int sizes[PUNT_RING_MAX] = {
		[PUNT_NEIGH] = 4096,
		[PUNT_KERNEL] = 4096,
		[PUNT_PING] = 256,
	};

	for (unsigned int i = 0; i < PUNT_RING_MAX; i++) {
		char name[RTE_RING_NAMESIZE];

		snprintf(name, sizeof(name), "punt-%u-%u", prefix, i);
		punt_rings[i] = rte_ring_create(name, sizes[i], SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (punt_rings[i] == NULL)
			return -rte_errno;
	}
	return 0;
}

unsigned int worker_punt(struct worker *w, enum punt_ring ring, void **objs, unsigned int n)
{
	w->kick_control = true;
	return rte_ring_enqueue_burst(punt_rings[ring], objs, n, NULL);
}

unsigned int punt_ring_count(enum punt_ring ring)
{
	return rte_ring_count(punt_rings[ring]);
}

unsigned int punt_ring_size(enum punt_ring ring)
{
	return rte_ring_get_capacity(punt_rings[ring]);
}

unsigned int punt_dequeue(enum punt_ring ring, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_ring_dequeue_burst(punt_rings[ring], (void **)mbufs, n, NULL);
}

void worker_inject(struct rte_mbuf *m, enum inject_to to)
{
	struct worker *w = workers[0];

	if (to == INJECT_TX && m->port < RTE_MAX_ETHPORTS && w->txq[m->port] == UINT16_MAX)
		w = workers[w->tx_owner[m->port]];
	mb_meta(m)->arg0 = to;
	if (rte_ring_enqueue(w->inject, m) != 0) {
		drop_inject_full.packets++;
		rte_pktmbuf_free(m);
		return;
	}
	worker_kick(w);
}

void worker_inject_error(struct rte_mbuf *m, bool ipv6, uint8_t type, uint8_t code, uint16_t mtu)
{
	struct mb_meta *meta = mb_meta(m);

	/* arg0 says where to; the error's type travels in trace, which a packet of the control
	 * thread does not use. */
	meta->trace = type;
	meta->arg1 = code;
	meta->arg2 = mtu;
	worker_inject(m, ipv6 ? INJECT_IP6_ERROR : INJECT_IP4_ERROR);
}
