/* SPDX-License-Identifier: Apache-2.0 */
#include "nexthop.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ether.h>
#include <rte_malloc.h>

#include "../core/log.h"
#include "../core/worker.h"
#include "../iface/iface.h"
#include "../seam/seam.h"
#include "group.h"
#include "nexthop_private.h"

struct nexthop *nexthops;
uint32_t nexthops_max;
uint32_t nh_blackhole, nh_reject, nh_punt, nh_down;

/* Free indices, a stack. */
static uint32_t *free_list;
static uint32_t n_free;

uint32_t nexthop_alloc(void)
{
	uint32_t nh;

	if (n_free == 0) {
		seam_event_table_full("next-hops", "", nexthops_max);
		return 0;
	}
	nh = free_list[--n_free];
	memset(&nexthops[nh], 0, sizeof(nexthops[nh]));
	for (unsigned int i = 0; i < n_workers; i++)
		workers[i]->nh_stats[nh] = (struct nh_stats){0};
	return nh;
}

void nexthop_free(uint32_t nh)
{
	if (nh == 0)
		return;
	__atomic_store_n(&nexthops[nh].action, NH_NO_ROUTE, __ATOMIC_RELEASE);
	group_nexthop_changed(nh);
	if (dp_rcu != NULL)
		dp_rcu_synchronize();
	free_list[n_free++] = nh;
}

uint32_t nexthops_used(void)
{
	return nexthops_max - 1 - n_free;
}

bool nexthop_is_up(uint32_t nh)
{
	switch (nexthops[nh].action) {
	case NH_NO_ROUTE:
	case NH_DOWN:
		return false;
	case NH_UNRESOLVED:
	case NH_GLEAN:
	default:
		return true;
	}
}

void nexthop_write(uint32_t nh, const struct nexthop *value)
{
	struct nexthop *n = &nexthops[nh];
	uint8_t before = n->action;
	bool rewritten = memcmp(n->l2, value->l2, sizeof(n->l2)) != 0 ||
			 n->l2_len != value->l2_len || n->port != value->port ||
			 n->iface != value->iface;

	/*
	 * A worker that is rewriting with this line could see half of a new MAC. Take it out of use
	 * first and wait, unless only the action or nothing of the rewrite changes.
	 */
	if (before == NH_REWRITE && rewritten) {
		__atomic_store_n(&n->action, NH_UNRESOLVED, __ATOMIC_RELEASE);
		group_nexthop_changed(nh);
		dp_rcu_synchronize();
	}
	memcpy(n->l2, value->l2, sizeof(n->l2));
	memcpy(n->l2_head, value->l2_head, sizeof(n->l2_head));
	n->l2_len = value->l2_len;
	n->port = value->port;
	n->iface = value->iface;
	n->mtu = value->mtu;
	n->vrf = value->vrf;
	n->addr = value->addr;
	n->neigh = value->neigh;
	__atomic_store_n(&n->action, value->action, __ATOMIC_RELEASE);
	if (before != value->action || rewritten)
		group_nexthop_changed(nh);
	if ((before == NH_DOWN || before == NH_NO_ROUTE) != (value->action == NH_DOWN))
		nh_obj_state_changed(nh);
}

void nexthop_set_l2(struct nexthop *n, const struct iface *i, const struct rte_ether_addr *dst)
{
	uint8_t h[18];
	unsigned int len = i->vlan != 0 ? 18 : 14;

	memcpy(h, dst->addr_bytes, 6);
	memcpy(h + 6, i->mac.addr_bytes, 6);
	if (i->vlan != 0) {
		h[12] = 0x81;
		h[13] = 0x00;
		h[14] = (uint8_t)(i->vlan >> 8);
		h[15] = (uint8_t)i->vlan;
	}
	h[len - 2] = 0x08;
	h[len - 1] = 0x00;
	memset(n->l2, 0, sizeof(n->l2));
	memset(n->l2_head, 0, sizeof(n->l2_head));
	if (len == 18) {
		memcpy(n->l2_head, h, 2);
		memcpy(n->l2, h + 2, 16);
	} else {
		memcpy(n->l2 + 2, h, 14);
	}
	n->l2_len = (uint8_t)len;
}

static uint32_t special(enum nh_action action)
{
	const struct nexthop n = {.action = (uint8_t)action};
	uint32_t nh = nexthop_alloc();

	nexthop_write(nh, &n);
	return nh;
}

int nexthop_init(uint32_t max_nexthops, uint32_t max_groups)
{
	int rc;

	nexthops_max = max_nexthops;
	nexthops = rte_zmalloc("nexthops", (size_t)max_nexthops * sizeof(*nexthops),
			       RTE_CACHE_LINE_SIZE);
	free_list = calloc(max_nexthops, sizeof(*free_list));
	if (nexthops == NULL || free_list == NULL)
		return -ENOMEM;
	/* Low indices first. */
	for (uint32_t i = max_nexthops - 1; i >= 1; i--)
		free_list[n_free++] = i;
	rc = group_init(max_groups);
	if (rc == 0)
		rc = nh_obj_init(max_nexthops);
	if (rc < 0)
		return rc;
	nh_blackhole = special(NH_BLACKHOLE);
	nh_reject = special(NH_REJECT);
	nh_punt = special(NH_PUNT);
	nh_down = special(NH_DOWN);
	return 0;
}
