/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours: ARP (RFC 826, 5227) and IPv6 ND (RFC 4861, 4862). All of it runs on the control
 * thread; workers hand over ARP/ND packets and packets without a resolved neighbour through
 * PUNT_NEIGH, policed per port.
 */
#ifndef MILLRACE_NEIGH_H
#define MILLRACE_NEIGH_H

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "../core/addr.h"
#include "../core/error.h"
#include "../iface/iface.h"

/* The same numbers as millrace.dataplane.v1.NeighborNud. */
enum nud {
	NUD_INCOMPLETE = 1,
	NUD_REACHABLE = 2,
	NUD_STALE = 3,
	NUD_DELAY = 4,
	NUD_PROBE = 5,
	NUD_FAILED = 6,
	NUD_STATIC = 7,
};

struct neigh {
	struct iface *iface;
	struct ip_addr addr;
	struct rte_ether_addr mac;
	enum nud nud;
	bool is_router;
	/* Index of its next hop, its own as long as it exists. */
	uint32_t nh;
	/* Next hops of the seam that refer to it: kept, and probed, while not 0. */
	unsigned int pins;
	/* Time of the last confirmation and of the next timer, monotonic nanoseconds. */
	uint64_t confirmed_ns;
	uint64_t timer_ns;
	uint8_t probes;
	/* Packets sent through it when the timer last looked. */
	uint64_t last_packets;
	struct rte_mbuf **queue;
	unsigned int n_queue;
	struct owner_tag owner;
};

struct neigh_settings {
	/* Neighbours per interface. */
	uint32_t limit;
	uint32_t queue;
	uint32_t reachable_s;
	uint32_t stale_s;
	/* Packets a second and port. */
	uint32_t rate;
};
extern struct neigh_settings neigh_settings;

struct neigh *neigh_find(const struct iface *i, const struct ip_addr *addr);
/* The entry for a gateway, made (INCOMPLETE, resolution started) if there is none; pinned. NULL
 * with *err on a full table. */
struct neigh *neigh_pin(struct iface *i, const struct ip_addr *addr, struct dp_error *err);
void neigh_unpin(struct neigh *n);

int neigh_static_set(struct iface *i, const struct ip_addr *addr, const struct rte_ether_addr *mac,
		     struct owner_tag owner, struct dp_error *err);
int neigh_static_delete(struct iface *i, const struct ip_addr *addr, uint8_t owner,
			struct dp_error *err);
/* Forgets dynamic entries of the interface (NULL: all interfaces; addr NULL: all). Pinned ones
 * start again. */
unsigned int neigh_flush(struct iface *i, const struct ip_addr *addr);

/* In order of their place in the table; *pos starts at 0. */
struct neigh *neigh_next(uint32_t *pos);
unsigned int neigh_count(void);

/* A packet made by the kernel or the box for a destination on the link (link-local, glean): queues
 * or sends it. Takes the mbuf; data pointer at the IP header. */
void neigh_output(struct iface *i, const struct ip_addr *addr, struct rte_mbuf *m);

/* From iface.c: link or admin state, MAC or address changes; the interface is going away. */
void neigh_iface_up(struct iface *i);
void neigh_iface_down(struct iface *i);
void neigh_iface_deleted(struct iface *i);
void neigh_mac_changed(struct iface *i);
/* Starts DAD (RFC 4862) or the announcement (RFC 5227 section 3) of a new address. Loopbacks: done
 * at once. */
void neigh_addr_added(struct iface *i, struct iface_addr *a);
void neigh_addr_deleted(struct iface *i, const struct ip_addr *addr);

struct ra_config {
	uint32_t max_interval, min_interval;
	uint32_t router_lifetime;
	bool managed, other, suppress_prefixes, send_mtu;
	uint32_t valid_lifetime, preferred_lifetime;
	struct owner_tag owner;
};
int ra_set(struct iface *i, const struct ra_config *c, struct dp_error *err);
int ra_delete(struct iface *i, struct dp_error *err);

int neigh_init(void);

#endif
