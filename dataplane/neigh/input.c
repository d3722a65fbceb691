/* SPDX-License-Identifier: Apache-2.0 */
/* Control thread's side: takes what the nodes handed over, and drives the timers. */
#include "internal.h"
#include "../core/node.h"

/* Packets taken in one turn of the loop, so that a flood leaves time for everything else. */
#define INPUT_PER_TURN 256
#define INPUT_BURST    32
#define TICK_MS	       100

DROP_COUNTER(drop_iface_gone, "neighbor-interface-gone",
	     "an ARP or ND packet came in by an interface that has gone or is down")

static void input(struct rte_mbuf *m)
{
	const struct mb_meta *meta = mb_meta(m);
	struct iface *i;

	if (meta->arg0 == NEIGH_PUNT_HOLD) {
		neigh_hold_input(m);
		return;
	}
	i = meta->iface < IFACE_MAX ? ifaces[meta->iface] : NULL;
	if (i == NULL || !iface_is_up(i))
		drop_iface_gone.packets++;
	else if (meta->arg0 == NEIGH_PUNT_ARP)
		arp_input(i, rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m));
	else
		nd_input(i, rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m));
	rte_pktmbuf_free(m);
}

static bool take_input(void *arg)
{
	struct rte_mbuf *mbufs[INPUT_BURST];
	unsigned int done = 0, n;

	do {
		n = punt_dequeue(PUNT_NEIGH, mbufs, INPUT_BURST);
		for (unsigned int k = 0; k < n; k++)
			input(mbufs[k]);
		done += n;
	} while (n == INPUT_BURST && done < INPUT_PER_TURN);
	return n == INPUT_BURST;
}

static void tick(uint64_t now_ns, void *arg)
{
	const uint64_t now = now_ns + neigh_clock_skew;

	neigh_run_timers(now);
	dad_tick(now);
	ra_tick(now);
}

int neigh_init(void)
{
	int rc = neigh_table_init();

	if (rc == 0)
		rc = loop_tick_add(TICK_MS, tick, NULL);
	if (rc == 0)
		rc = loop_poll_add(take_input, NULL);
	return rc;
}
