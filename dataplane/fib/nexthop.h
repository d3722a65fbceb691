/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Next hops as the workers see them: one cache line each, in one table. A neighbour owns one (its
 * rewrite), each interface a few (local delivery, glean, broadcast), and there is one each for
 * blackhole, reject, punt and no-route.
 *
 * A client's next hop object (by id) is only a reference to one of these, so that a neighbour that
 * changes its MAC or dies is written in one place.
 */
#ifndef MILLRACE_NEXTHOP_H
#define MILLRACE_NEXTHOP_H

#include <rte_common.h>

#include "../core/addr.h"
#include "../core/error.h"

/*
 * What to do with a packet that was looked up: the edges of ip4-lookup and ip6-lookup, in this
 * order in both, and those of every node that looks up.
 */
enum nh_action {
	NH_NO_ROUTE = 0,
	NH_REWRITE,
	/* An address of the box. */
	NH_LOCAL,
	/* A destination on a connected prefix that has no neighbour entry yet: to the control
	   thread. */
	NH_GLEAN,
	/* The neighbour is not resolved: to the control thread, which queues it. */
	NH_UNRESOLVED,
	NH_BLACKHOLE,
	NH_REJECT,
	NH_PUNT,
	/* Subnet broadcast or network address of a connected prefix. */
	NH_BROADCAST,
	/* Look up again in nexthop.vrf. */
	NH_VRF,
	/* Interface is down, or all members of the group are. */
	NH_DOWN,
	NH_ACTION_MAX,
};

/* The data plane's line. */
struct nexthop {
	/* The last 16 bytes of the L2 header, ending right before the IP header; the first 2 of an
	 * 18-byte one are in l2_head. The EtherType in it is IPv4's; ip6-rewrite writes its own. */
	uint8_t l2[16];
	uint8_t l2_head[2];
	uint8_t l2_len;
	uint8_t action;
	uint16_t port;
	uint16_t iface;
	uint16_t mtu;
	uint16_t vrf;
	/* Gateway or neighbour address, for errors and traces. Not for glean. */
	struct ip_addr addr;
	/* Control thread only: */
	struct neigh *neigh;
} __rte_cache_aligned;

_Static_assert(sizeof(struct nexthop) == 64, "one line");

/* The table; index 0 is no-route. */
extern struct nexthop *nexthops;
extern uint32_t nexthops_max;

/* The fixed ones. */
extern uint32_t nh_blackhole, nh_reject, nh_punt, nh_down;

/* Takes an index (all zero, action NH_NO_ROUTE). 0 when the table is full (TABLE_FULL event
 * raised). */
uint32_t nexthop_alloc(void);
/* Frees it after a grace period. */
void nexthop_free(uint32_t nh);
/* Writes the line so that workers never see a mix that matters: action goes last (or first to
 * NH_UNRESOLVED), and then tells the groups that contain it. */
void nexthop_write(uint32_t nh, const struct nexthop *value);
/* Fills l2, l2_head and l2_len from the interface's MAC, VLAN and the neighbour's MAC. */
struct iface;
struct rte_ether_addr;
void nexthop_set_l2(struct nexthop *n, const struct iface *i, const struct rte_ether_addr *dst);
uint32_t nexthops_used(void);

/* ---- objects of the seam ---- */

/* The same numbers as millrace.dataplane.v1.NextHopKind. */
enum nh_kind {
	NHK_GATEWAY = 1,
	NHK_INTERFACE = 2,
	NHK_BLACKHOLE = 3,
	NHK_REJECT = 4,
	NHK_PUNT = 5,
	NHK_VRF = 6,
};

struct nh_obj {
	uint64_t id;
	enum nh_kind kind;
	uint16_t iface;
	uint16_t vrf;
	struct ip_addr gateway;
	/* Index into nexthops. */
	uint32_t nh;
	unsigned int refs;
	struct owner_tag owner;
};

int nh_obj_set(const struct nh_obj *want, struct dp_error *err);
int nh_obj_delete(uint64_t id, uint8_t owner, struct dp_error *err);
struct nh_obj *nh_obj_find(uint64_t id);
/* In order of their place in the table; *pos starts at 0. NULL at the end. */
struct nh_obj *nh_obj_next(uint32_t *pos);
unsigned int nh_obj_count(void);

int nexthop_init(uint32_t max_nexthops, uint32_t max_groups);
/* True if packets sent to it get somewhere now. */
bool nexthop_is_up(uint32_t nh);

#endif
