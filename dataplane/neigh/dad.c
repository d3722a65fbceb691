/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to an address of our own: duplicate address detection (RFC 4862 section 5.4),
 * announcements (RFC 5227 section 2.3), conflicts and defence (section 2.4).
 *
 * An IPv4 address is used at once: a router that waits for probes to go unanswered leaves its hosts
 * without a gateway for seconds. A conflict is found by the announcements and reported.
 */
#include <rte_random.h>

#include "internal.h"
#include "../core/log.h"
#include "../seam/seam.h"

#define DAD_TRANSMITS 1
/* Spreads out the probes of boxes that start together. RFC 4862 section 5.4.2 allows up to a
 * second. */
#define DAD_DELAY_MAX_NS (250 * NS_PER_MS)

void neigh_addr_added(struct iface *i, struct iface_addr *a)
{
	const uint64_t now = neigh_now();
	const bool restarted = a->dad == DAD_DUPLICATE;

	a->dad_sent = 0;
	if (i->kind == IFACE_LOOPBACK) {
		a->dad_next_ns = 0;
		if (a->dad != DAD_PREFERRED)
			iface_addr_dad_done(i, a, DAD_PREFERRED);
		return;
	}
	a->dad_next_ns = now;
	if (a->dad == DAD_PREFERRED) {
		neigh_sync_routes(i);
		return;
	}
	if (a->addr.len == 4) {
		iface_addr_dad_done(i, a, DAD_PREFERRED);
		neigh_sync_routes(i);
		return;
	}
	a->dad = DAD_TENTATIVE;
	a->dad_next_ns = now + rte_rand_max(DAD_DELAY_MAX_NS);
	if (restarted)
		seam_event_address(i, a);
}

static void announce(struct iface *i, struct iface_addr *a, uint64_t now)
{
	if (a->addr.len == 4)
		arp_announce(i, ip_addr_v4(&a->addr));
	else
		nd_announce(i, a->addr.b);
	a->dad_sent++;
	a->dad_next_ns = a->dad_sent < ANNOUNCE_NUM ? now + ANNOUNCE_INTERVAL_NS : 0;
}

/* Returns true if the list of addresses may have changed. */
static bool addr_tick(struct iface *i, struct iface_addr *a, uint64_t now)
{
	if (a->conflict && now - a->defended_ns >= CONFLICT_FORGET_NS) {
		a->conflict = false;
		memset(&a->conflict_mac, 0, sizeof(a->conflict_mac));
		seam_event_address(i, a);
	}
	if (a->dad_next_ns == 0 || a->dad_next_ns > now)
		return false;
	switch (a->dad) {
	case DAD_PREFERRED:
		announce(i, a, now);
		return false;
	case DAD_TENTATIVE:
		if (a->dad_sent < DAD_TRANSMITS) {
			nd_dad_probe(i, a->addr.b);
			a->dad_sent++;
			a->dad_next_ns = now + RETRANS_NS;
			return false;
		}
		a->dad_sent = 0;
		iface_addr_dad_done(i, a, DAD_PREFERRED);
		neigh_sync_routes(i);
		ra_changed(i);
		return true;
	default:
		a->dad_next_ns = 0;
		return false;
	}
}

void dad_tick(uint64_t now)
{
	struct iface *i;

	iface_foreach (i) {
		if (!iface_is_up(i))
			continue;
		for (unsigned int k = 0; k < i->n_addrs; k++)
			if (addr_tick(i, &i->addrs[k], now))
				break;
	}
}

void addr_conflict(struct iface *i, struct iface_addr *a, const struct rte_ether_addr *mac)
{
	const uint64_t now = neigh_now();
	char ip[IP_ADDR_STRLEN], hw[RTE_ETHER_ADDR_FMT_SIZE];

	/* One report and one defence an interval, however many packets the other one sends:
	 * section 2.4 (c), for hosts that must keep their address. */
	if (a->defended_ns != 0 && now - a->defended_ns < DEFEND_INTERVAL_NS)
		return;
	a->defended_ns = now;
	a->conflict = true;
	a->conflict_mac = *mac;
	rte_ether_format_addr(hw, sizeof(hw), mac);
	LOG_WARN("another host uses our address iface=%s address=%s mac=%s", i->name,
		 ip_addr_str(&a->addr, ip), hw);
	if (a->addr.len == 4)
		arp_announce(i, ip_addr_v4(&a->addr));
	else
		nd_announce(i, a->addr.b);
	seam_event_address(i, a);
}
