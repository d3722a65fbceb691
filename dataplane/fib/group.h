/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Next-hop groups: what FIB entries point to. A group of one is a direct reference; a larger one
 * has 64 to 256 buckets that the flow hash selects. When a member dies its buckets, and only they,
 * go to the others. Members may be backups, in levels: only those of the lowest level that has one
 * alive are used.
 */
#ifndef MILLRACE_GROUP_H
#define MILLRACE_GROUP_H

#include <rte_branch_prediction.h>

#include "nexthop.h"

#define GROUP_MEMBERS_MAX 64
#define GROUP_BUCKETS_MAX 1024
#define GROUP_BACKUP_MAX  15

/* The data plane's view, 8 bytes, written at once. */
union group {
	struct {
		/* The next hop, when mask is 0. */
		uint32_t nh;
		uint16_t mask;
		/* enum nh_action of nh, when mask is 0. */
		uint16_t action;
	};
	uint64_t u64;
};

extern union group *groups;
/* Buckets of groups with mask > 0: next-hop index by (hash & mask). RCU. */
extern uint32_t **group_buckets;
extern uint32_t groups_max;

/* Group 0 is "no route". */
static __rte_always_inline uint32_t group_select(uint32_t gid, uint32_t hash)
{
	/* Acquire: buckets as many as the mask says are there when the mask is. */
	const union group g = {.u64 = __atomic_load_n(&groups[gid].u64, __ATOMIC_ACQUIRE)};

	if (likely(g.mask == 0))
		return g.nh;
	return __atomic_load_n(&group_buckets[gid], __ATOMIC_CONSUME)[hash & g.mask];
}

/* A group of one next hop for the data plane's own routes (shared: one per next hop). 0 if the
 * table is full. */
uint32_t group_of_nexthop(uint32_t nh);
/* Reference counting by routes. A group of group_of_nexthop() is freed when its count falls to 0.
 */
void group_ref(uint32_t gid);
void group_unref(uint32_t gid);
/* The state of a next hop changed: rewrites the groups it is in. */
void group_nexthop_changed(uint32_t nh);
uint32_t groups_used(void);

struct group_obj {
	uint64_t id;
	uint32_t index;
	uint16_t n;
	struct {
		uint64_t nh_id;
		uint8_t weight;
		/* 0 to GROUP_BACKUP_MAX. */
		uint8_t backup;
	} member[GROUP_MEMBERS_MAX];
	/* Of a new group: the id of one whose flows it takes over; members of both keep theirs. */
	uint64_t like;
	unsigned int routes;
	unsigned int members_up;
	struct owner_tag owner;
};

/* Members of *want are ids of next hops; index is ignored. */
int group_obj_set(const struct group_obj *want, struct dp_error *err);
int group_obj_delete(uint64_t id, uint8_t owner, struct dp_error *err);
struct group_obj *group_obj_find(uint64_t id);
struct group_obj *group_obj_by_index(uint32_t gid);
struct group_obj *group_obj_next(uint32_t *pos);

#endif
