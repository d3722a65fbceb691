/* SPDX-License-Identifier: Apache-2.0 */
/* The next hop objects of the seam: references, by the client's id, to the lines of the next-hop
 * table. */
#include <errno.h>
#include <stdlib.h>

#include <rte_hash.h>
#include <rte_hash_crc.h>

#include "../iface/iface.h"
#include "../neigh/neigh.h"
#include "../seam/seam.h"
#include "../vrf/vrf.h"
#include "nexthop.h"
#include "nexthop_private.h"

static struct rte_hash *by_id;
/* Index by position in the hash. */
static struct nh_obj **objs;
static uint32_t objs_max;
static unsigned int n_objs;
/* How many objects refer to a line: most have none or one, and a change of state must not walk them
 * all. */
static uint16_t *line_objs;

struct rte_hash *id_hash_create(const char *name, uint32_t max)
{
	const struct rte_hash_parameters p = {
		.name = name,
		.entries = max,
		.key_len = sizeof(uint64_t),
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	return rte_hash_create(&p);
}

int nh_obj_init(uint32_t max)
{
	by_id = id_hash_create("next-hop-ids", max);
	objs_max = max + 1;
	objs = calloc(objs_max, sizeof(struct nh_obj *));
	line_objs = calloc(max, sizeof(*line_objs));
	return by_id == NULL || objs == NULL || line_objs == NULL ? -ENOMEM : 0;
}

struct nh_obj *nh_obj_find(uint64_t id)
{
	int pos = rte_hash_lookup(by_id, &id);

	return pos < 0 ? NULL : objs[pos];
}

struct nh_obj *nh_obj_next(uint32_t *pos)
{
	while (*pos < objs_max) {
		struct nh_obj *o = objs[(*pos)++];

		if (o != NULL)
			return o;
	}
	return NULL;
}

unsigned int nh_obj_count(void)
{
	return n_objs;
}

static bool same_target(const struct nh_obj *a, const struct nh_obj *b)
{
	return a->kind == b->kind && a->iface == b->iface && a->vrf == b->vrf &&
	       ip_addr_eq(&a->gateway, &b->gateway);
}

/* Finds or makes the line the object refers to, and holds it. */
static int target_hold(struct nh_obj *o, struct dp_error *err)
{
	struct iface *i = NULL;
	struct neigh *n;

	if (o->kind == NHK_GATEWAY || o->kind == NHK_INTERFACE) {
		i = o->iface < IFACE_MAX ? ifaces[o->iface] : NULL;
		if (i == NULL)
			return dp_fail(err, DP_NOT_FOUND, "interface", "no such interface");
		if (i->kind == IFACE_LOOPBACK)
			return dp_fail(err, DP_INVALID, "interface", "a loopback leads nowhere");
	}
	switch (o->kind) {
	case NHK_GATEWAY:
		if (iface_addr_is_local(i->vrf, &o->gateway, NULL))
			return dp_fail(err, DP_INVALID, "gateway", "it is an address of the box");
		n = neigh_pin(i, &o->gateway, err);
		if (n == NULL)
			return -1;
		o->nh = n->nh;
		break;
	case NHK_INTERFACE:
		o->nh = i->nh_glean;
		break;
	case NHK_BLACKHOLE:
		o->nh = nh_blackhole;
		break;
	case NHK_REJECT:
		o->nh = nh_reject;
		break;
	case NHK_PUNT:
		o->nh = nh_punt;
		break;
	case NHK_VRF:
		if (o->vrf >= VRF_MAX || vrfs[o->vrf] == NULL)
			return dp_fail(err, DP_NOT_FOUND, "vrf", "no such network instance");
		o->nh = vrfs[o->vrf]->nh;
		vrfs[o->vrf]->n_next_hops++;
		break;
	default:
		return dp_fail(err, DP_INVALID, "kind", "unknown kind %d", (int)o->kind);
	}
	line_objs[o->nh]++;
	return 0;
}

static void target_release(struct nh_obj *o)
{
	line_objs[o->nh]--;
	if (o->kind == NHK_GATEWAY)
		neigh_unpin(nexthops[o->nh].neigh);
	else if (o->kind == NHK_VRF)
		vrfs[o->vrf]->n_next_hops--;
}

int nh_obj_set(const struct nh_obj *want, struct dp_error *err)
{
	struct nh_obj *o = nh_obj_find(want->id);
	struct nh_obj fresh = *want;
	int pos;

	fresh.refs = 0;
	if (o != NULL) {
		if (o->owner.owner != want->owner.owner)
			return dp_fail(err, DP_PERMISSION, "id",
				       "the next hop belongs to another owner");
		if (!same_target(o, want)) {
			if (o->refs != 0)
				return dp_fail(err, DP_IN_USE, "id",
					       "a next hop that groups use cannot become another "
					       "one; take a new id");
			if (target_hold(&fresh, err) < 0)
				return -1;
			target_release(o);
			*o = fresh;
		}
		o->owner = want->owner;
		return 0;
	}
	if (target_hold(&fresh, err) < 0)
		return -1;
	pos = rte_hash_add_key(by_id, &want->id);
	o = pos >= 0 ? malloc(sizeof(*o)) : NULL;
	if (o == NULL) {
		if (pos >= 0)
			rte_hash_del_key(by_id, &want->id);
		target_release(&fresh);
		seam_event_table_full("next-hops", "", objs_max - 1);
		return dp_fail(err, DP_TABLE_FULL, "id", "there are %u next hops already", n_objs);
	}
	*o = fresh;
	objs[pos] = o;
	n_objs++;
	return 0;
}

int nh_obj_delete(uint64_t id, uint8_t owner, struct dp_error *err)
{
	struct nh_obj *o = nh_obj_find(id);

	if (o == NULL)
		return dp_fail(err, DP_NOT_FOUND, "next_hop_delete", "no next hop with this id");
	if (o->owner.owner != owner)
		return dp_fail(err, DP_PERMISSION, "next_hop_delete",
			       "the next hop belongs to another owner");
	if (o->refs != 0)
		return dp_fail(err, DP_IN_USE, "next_hop_delete", "%u groups use it", o->refs);
	objs[rte_hash_lookup(by_id, &id)] = NULL;
	rte_hash_del_key(by_id, &id);
	target_release(o);
	n_objs--;
	free(o);
	return 0;
}

void nh_obj_state_changed(uint32_t nh)
{
	bool up = nexthop_is_up(nh);
	uint32_t pos = 0;
	struct nh_obj *o;

	if (line_objs == NULL || line_objs[nh] == 0)
		return;
	while ((o = nh_obj_next(&pos)) != NULL)
		if (o->nh == nh)
			seam_event_next_hop(o, up, up ? "" : "the neighbour or the link is dead");
}
