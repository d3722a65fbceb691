/* SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_hash.h>
#include <rte_malloc.h>

#include "../core/worker.h"
#include "../seam/seam.h"
#include "nexthop_private.h"

union group *groups;
uint32_t **group_buckets;
uint32_t groups_max;

/* Control side of a group. */
struct group_ctl {
	/* Routes that point here. */
	unsigned int refs;
	/* The next hop of a group of group_of_nexthop(); 0 for those of clients. */
	uint32_t own_nh;
	struct group_obj *obj;
	/* Per bucket the member (index into obj->member) it belongs to while all of the first level
	 * are alive. */
	uint8_t *base;
	uint16_t n_buckets;
};

/* Groups a next hop is in. */
struct membership {
	uint32_t n, cap;
	uint32_t *gid;
	/* group_of_nexthop() of it, or 0. */
	uint32_t own;
};

static struct group_ctl *ctl;
static struct membership *member_of;
static uint32_t *free_list;
static uint32_t n_free;
static struct rte_hash *by_id;

int group_init(uint32_t max)
{
	groups_max = max;
	groups = rte_zmalloc("groups", (size_t)max * sizeof(*groups), RTE_CACHE_LINE_SIZE);
	group_buckets =
		rte_zmalloc("buckets", (size_t)max * sizeof(*group_buckets), RTE_CACHE_LINE_SIZE);
	ctl = calloc(max, sizeof(*ctl));
	member_of = calloc(nexthops_max, sizeof(*member_of));
	free_list = calloc(max, sizeof(*free_list));
	by_id = id_hash_create("group-ids", max);
	if (groups == NULL || group_buckets == NULL || ctl == NULL || member_of == NULL ||
	    free_list == NULL || by_id == NULL)
		return -ENOMEM;
	for (uint32_t i = max - 1; i >= 1; i--)
		free_list[n_free++] = i;
	return 0;
}

uint32_t groups_used(void)
{
	return groups_max - 1 - n_free;
}

static uint32_t gid_alloc(void)
{
	if (n_free == 0) {
		seam_event_table_full("groups", "", groups_max);
		return 0;
	}
	return free_list[--n_free];
}

static void publish(uint32_t gid, uint32_t nh, uint16_t mask)
{
	const union group g = {
		.nh = nh,
		.mask = mask,
		.action = mask == 0 ? nexthops[nh].action : 0,
	};

	__atomic_store_n(&groups[gid].u64, g.u64, __ATOMIC_RELEASE);
}

static bool membership_add(uint32_t nh, uint32_t gid)
{
	struct membership *m = &member_of[nh];

	for (uint32_t i = 0; i < m->n; i++)
		if (m->gid[i] == gid)
			return true;
	if (m->n == m->cap) {
		uint32_t cap = m->cap == 0 ? 4 : m->cap * 2;
		uint32_t *p = realloc(m->gid, cap * sizeof(*p));

		if (p == NULL)
			return false;
		m->gid = p;
		m->cap = cap;
	}
	m->gid[m->n++] = gid;
	return true;
}

static void membership_del(uint32_t nh, uint32_t gid)
{
	struct membership *m = &member_of[nh];

	for (uint32_t i = 0; i < m->n; i++) {
		if (m->gid[i] == gid) {
			m->gid[i] = m->gid[--m->n];
			break;
		}
	}
	if (m->n == 0) {
		free(m->gid);
		m->gid = NULL;
		m->cap = 0;
	}
}

static void gid_free(uint32_t gid)
{
	publish(gid, 0, 0);
	if (dp_rcu != NULL)
		dp_rcu_synchronize();
	rte_free(group_buckets[gid]);
	group_buckets[gid] = NULL;
	free(ctl[gid].base);
	ctl[gid] = (struct group_ctl){0};
	free_list[n_free++] = gid;
}

uint32_t group_of_nexthop(uint32_t nh)
{
	uint32_t gid = member_of[nh].own;

	if (gid != 0)
		return gid;
	gid = gid_alloc();
	if (gid == 0)
		return 0;
	ctl[gid].own_nh = nh;
	member_of[nh].own = gid;
	publish(gid, nh, 0);
	return gid;
}

void group_ref(uint32_t gid)
{
	ctl[gid].refs++;
	if (ctl[gid].obj != NULL)
		ctl[gid].obj->routes = ctl[gid].refs;
}

void group_unref(uint32_t gid)
{
	struct group_ctl *c = &ctl[gid];

	c->refs--;
	if (c->obj != NULL) {
		c->obj->routes = c->refs;
	} else if (c->refs == 0 && c->own_nh != 0) {
		member_of[c->own_nh].own = 0;
		gid_free(gid);
	}
}

/* 2: carries traffic; 1: might, once resolved; 0: dead. */
static int usability(uint32_t nh)
{
	switch (nexthops[nh].action) {
	case NH_NO_ROUTE:
	case NH_DOWN:
		return 0;
	case NH_UNRESOLVED:
		return 1;
	default:
		return 2;
	}
}

/* The lowest level that has a member as usable as this; GROUP_BACKUP_MAX + 1 if none has. */
static uint8_t level_of(const struct group_obj *o, const uint32_t *nh, int usable)
{
	uint8_t level = GROUP_BACKUP_MAX + 1;

	for (unsigned int i = 0; i < o->n; i++)
		if (usability(nh[i]) >= usable)
			level = RTE_MIN(level, o->member[i].backup);
	return level;
}

static uint8_t first_level(const struct group_obj *o)
{
	uint8_t level = GROUP_BACKUP_MAX;

	for (unsigned int i = 0; i < o->n; i++)
		level = RTE_MIN(level, o->member[i].backup);
	return level;
}

/* Shares n buckets among the weights of a level: each gets its integral part, the largest
 * remainders one more. */
static void targets(const struct group_obj *o, uint8_t level, uint16_t n, uint16_t *target)
{
	uint32_t sum = 0, given = 0;
	uint32_t rem[GROUP_MEMBERS_MAX];

	for (unsigned int i = 0; i < o->n; i++)
		if (o->member[i].backup == level)
			sum += o->member[i].weight;
	for (unsigned int i = 0; i < o->n; i++) {
		uint32_t share = (uint32_t)n * o->member[i].weight;

		if (o->member[i].backup != level)
			share = 0;
		target[i] = (uint16_t)(share / sum);
		rem[i] = share % sum;
		given += target[i];
	}
	while (given < n) {
		unsigned int best = 0;

		for (unsigned int i = 1; i < o->n; i++)
			if (rem[i] > rem[best])
				best = i;
		target[best]++;
		rem[best] = 0;
		given++;
	}
}

static uint16_t bucket_count(const struct group_obj *o)
{
	uint32_t sum = 0, n = 64;

	for (unsigned int i = 0; i < o->n; i++)
		sum += o->member[i].weight;
	/* At least eight buckets per unit of weight, so that shares are within an eighth; fewer for
	 * very uneven weights. */
	while (n < sum * 8 && n < GROUP_BUCKETS_MAX)
		n *= 2;
	return (uint16_t)n;
}

/*
 * Gives each bucket a member. Buckets of members that stay keep them as far as their share allows
 * (RFC 2992's concern: flows should not move without need). Others than those of the level get
 * none.
 */
static void share_out(const struct group_obj *o, uint8_t level, uint8_t *base, uint16_t n,
		      const uint8_t *prev)
{
	uint16_t target[GROUP_MEMBERS_MAX];
	unsigned int next = 0;

	targets(o, level, n, target);
	for (uint16_t b = 0; b < n; b++) {
		base[b] = UINT8_MAX;
		if (prev != NULL && prev[b] != UINT8_MAX && target[prev[b]] > 0) {
			base[b] = prev[b];
			target[prev[b]]--;
		}
	}
	/* The rest round robin, so that the buckets of one member do not lie together. */
	for (uint16_t b = 0; b < n; b++) {
		if (base[b] != UINT8_MAX)
			continue;
		while (target[next % o->n] == 0)
			next++;
		base[b] = (uint8_t)(next % o->n);
		target[next % o->n]--;
		next++;
	}
}

static uint32_t member_nh(const struct group_obj *o, unsigned int i)
{
	return nh_obj_find(o->member[i].nh_id)->nh;
}

/* Buckets that are not to be used any more, but may be by a worker that has just read the mask. */
struct retired {
	uint32_t gid;
	uint32_t *buckets;
};

static struct retired publish_direct(uint32_t gid, uint32_t nh)
{
	publish(gid, nh, 0);
	return (struct retired){.gid = gid, .buckets = group_buckets[gid]};
}

/* Writes what the workers see, by the members' state now. Returns the buckets that were replaced,
 * to be freed after a grace period. */
static struct retired group_write(uint32_t gid)
{
	struct group_ctl *c = &ctl[gid];
	struct group_obj *o = c->obj;
	uint32_t nh[GROUP_MEMBERS_MAX];
	uint8_t live[GROUP_MEMBERS_MAX], of_level[GROUP_BUCKETS_MAX];
	const uint8_t *base = c->base;
	uint8_t level;
	unsigned int n_live = 0, k = 0;
	struct retired old;
	uint32_t *b;
	int best = 0;

	for (unsigned int i = 0; i < o->n; i++) {
		nh[i] = member_nh(o, i);
		best = RTE_MAX(best, usability(nh[i]));
	}
	level = level_of(o, nh, best);
	o->members_up = 0;
	for (unsigned int i = 0; i < o->n; i++) {
		o->members_up += usability(nh[i]) == 2;
		if (usability(nh[i]) == best && best > 0 && o->member[i].backup == level)
			live[n_live++] = (uint8_t)i;
	}
	if (n_live == 0 || n_live == 1)
		return publish_direct(gid, n_live == 1 ? nh[live[0]] : nh_down);
	b = rte_malloc("buckets", c->n_buckets * sizeof(*b), RTE_CACHE_LINE_SIZE);
	/* Degraded but forwarding: all on the first live member. */
	if (b == NULL)
		return publish_direct(gid, nh[live[0]]);
	if (level != first_level(o)) {
		share_out(o, level, of_level, c->n_buckets, NULL);
		base = of_level;
	}
	for (uint16_t i = 0; i < c->n_buckets; i++) {
		uint32_t of = nh[base[i]];

		if (usability(of) != best)
			of = nh[live[k++ % n_live]];
		b[i] = of;
	}
	/* A worker with the mask of more buckets must not find fewer. */
	if (groups[gid].mask >= c->n_buckets) {
		publish(gid, 0, (uint16_t)(c->n_buckets - 1));
		if (dp_rcu != NULL)
			dp_rcu_synchronize();
	}
	old = (struct retired){.gid = gid, .buckets = group_buckets[gid]};
	__atomic_store_n(&group_buckets[gid], b, __ATOMIC_RELEASE);
	publish(gid, 0, (uint16_t)(c->n_buckets - 1));
	return old;
}

static void grace_free(const struct retired *r, unsigned int n)
{
	bool any = false;

	for (unsigned int i = 0; i < n; i++)
		any |= r[i].buckets != NULL;
	if (!any)
		return;
	if (dp_rcu != NULL)
		dp_rcu_synchronize();
	for (unsigned int i = 0; i < n; i++) {
		if (group_buckets[r[i].gid] == r[i].buckets)
			group_buckets[r[i].gid] = NULL;
		rte_free(r[i].buckets);
	}
}

void group_nexthop_changed(uint32_t nh)
{
	struct membership *m;
	struct retired old[256];
	unsigned int n = 0;

	if (member_of == NULL)
		return;
	m = &member_of[nh];
	if (m->own != 0)
		publish(m->own, nh, 0);
	/* All groups first, one grace period for many. */
	for (uint32_t i = 0; i < m->n; i++) {
		old[n++] = group_write(m->gid[i]);
		if (n == RTE_DIM(old)) {
			grace_free(old, n);
			n = 0;
		}
	}
	grace_free(old, n);
}

struct group_obj *group_obj_find(uint64_t id)
{
	int pos = rte_hash_lookup(by_id, &id);
	void *data;

	if (pos < 0)
		return NULL;
	rte_hash_lookup_data(by_id, &id, &data);
	return ctl[(uintptr_t)data].obj;
}

struct group_obj *group_obj_by_index(uint32_t gid)
{
	return gid < groups_max ? ctl[gid].obj : NULL;
}

struct group_obj *group_obj_next(uint32_t *pos)
{
	while (*pos < groups_max) {
		struct group_obj *o = ctl[(*pos)++].obj;

		if (o != NULL)
			return o;
	}
	return NULL;
}

static int check_members(const struct group_obj *want, struct dp_error *err)
{
	char field[32];

	if (want->n == 0 || want->n > GROUP_MEMBERS_MAX)
		return dp_fail(err, DP_INVALID, "members", "%u members; 1 to %d are allowed",
			       want->n, GROUP_MEMBERS_MAX);
	for (unsigned int i = 0; i < want->n; i++) {
		const struct nh_obj *o = nh_obj_find(want->member[i].nh_id);

		snprintf(field, sizeof(field), "members[%u].next_hop_id", i);
		if (o == NULL)
			return dp_fail(err, DP_NOT_FOUND, field, "no next hop with this id");
		if (o->owner.owner != want->owner.owner)
			return dp_fail(err, DP_PERMISSION, field,
				       "the next hop belongs to another owner");
		for (unsigned int k = 0; k < i; k++)
			if (want->member[k].nh_id == want->member[i].nh_id)
				return dp_fail(err, DP_INVALID, field,
					       "it is in the group twice; use weight");
	}
	return 0;
}

static bool same_members(const struct group_obj *a, const struct group_obj *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned int i = 0; i < a->n; i++)
		if (a->member[i].nh_id != b->member[i].nh_id ||
		    a->member[i].weight != b->member[i].weight ||
		    a->member[i].backup != b->member[i].backup)
			return false;
	return true;
}

/* Which of the new members (by position) a bucket belonged to in the old group, which has n buckets
 * or a power of two fewer. */
static void carry_over(const struct group_obj *was, const struct group_obj *now, uint8_t *base,
		       uint16_t n)
{
	const struct group_ctl *c = &ctl[was->index];
	uint8_t map[GROUP_MEMBERS_MAX];

	for (unsigned int i = 0; i < was->n; i++) {
		map[i] = UINT8_MAX;
		for (unsigned int k = 0; k < now->n; k++)
			if (now->member[k].nh_id == was->member[i].nh_id)
				map[i] = (uint8_t)k;
	}
	for (uint16_t b = 0; b < n; b++)
		base[b] = map[c->base[b & (c->n_buckets - 1)]];
}

int group_obj_set(const struct group_obj *want, struct dp_error *err)
{
	struct group_obj *o = group_obj_find(want->id), *from, *fresh;
	uint8_t *base = NULL;
	struct group_ctl *c;
	uint16_t n_buckets;
	struct retired old;
	uint32_t gid;

	if (check_members(want, err) < 0)
		return -1;
	if (o != NULL && o->owner.owner != want->owner.owner)
		return dp_fail(err, DP_PERMISSION, "id", "the group belongs to another owner");
	if (o != NULL && same_members(o, want)) {
		o->owner = want->owner;
		return 0;
	}
	from = o != NULL ? o : group_obj_find(want->like);
	if (from != NULL && from->owner.owner != want->owner.owner)
		from = NULL;
	n_buckets = bucket_count(want);
	/* Never fewer than before: half of the flows would have to move. */
	if (from != NULL)
		n_buckets = RTE_MAX(n_buckets, ctl[from->index].n_buckets);
	fresh = malloc(sizeof(*fresh));
	base = malloc(n_buckets);
	if (fresh == NULL || base == NULL)
		goto no_memory;
	*fresh = *want;
	gid = o != NULL ? o->index : gid_alloc();
	if (gid == 0) {
		free(fresh);
		free(base);
		return dp_fail(err, DP_TABLE_FULL, "id", "there are %u groups already",
			       groups_max - 1);
	}
	fresh->index = gid;
	c = &ctl[gid];
	if (from != NULL) {
		uint8_t *prev = malloc(n_buckets);

		if (prev == NULL)
			goto no_memory;
		carry_over(from, fresh, prev, n_buckets);
		share_out(fresh, first_level(fresh), base, n_buckets, prev);
		free(prev);
	} else {
		share_out(fresh, first_level(fresh), base, n_buckets, NULL);
	}
	if (o == NULL && rte_hash_add_key_data(by_id, &want->id, (void *)(uintptr_t)gid) != 0) {
		free_list[n_free++] = gid;
		goto no_memory;
	}
	for (unsigned int i = 0; i < fresh->n; i++) {
		struct nh_obj *h = nh_obj_find(fresh->member[i].nh_id);

		h->refs++;
		membership_add(h->nh, gid);
	}
	if (o != NULL) {
		for (unsigned int i = 0; i < o->n; i++) {
			struct nh_obj *h = nh_obj_find(o->member[i].nh_id);
			bool stays = false;

			h->refs--;
			for (unsigned int k = 0; k < fresh->n; k++)
				stays |= member_nh(fresh, k) == h->nh;
			if (!stays)
				membership_del(h->nh, gid);
		}
	}
	fresh->routes = c->refs;
	free(c->base);
	c->base = base;
	c->n_buckets = n_buckets;
	c->obj = fresh;
	free(o);
	old = group_write(gid);
	grace_free(&old, 1);
	return 0;

no_memory:
	free(fresh);
	free(base);
	return dp_fail(err, DP_NO_MEMORY, "id", "no memory");
}

int group_obj_delete(uint64_t id, uint8_t owner, struct dp_error *err)
{
	struct group_obj *o = group_obj_find(id);

	if (o == NULL)
		return dp_fail(err, DP_NOT_FOUND, "group_delete", "no group with this id");
	if (o->owner.owner != owner)
		return dp_fail(err, DP_PERMISSION, "group_delete",
			       "the group belongs to another owner");
	if (ctl[o->index].refs != 0)
		return dp_fail(err, DP_IN_USE, "group_delete", "%u routes use it",
			       ctl[o->index].refs);
	for (unsigned int i = 0; i < o->n; i++) {
		struct nh_obj *h = nh_obj_find(o->member[i].nh_id);

		h->refs--;
		membership_del(h->nh, o->index);
	}
	rte_hash_del_key(by_id, &id);
	ctl[o->index].obj = NULL;
	gid_free(o->index);
	free(o);
	return 0;
}
