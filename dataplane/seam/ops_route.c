/* SPDX-License-Identifier: Apache-2.0 */
/* Next hops, groups and routes. */
#include <inttypes.h>
#include <stdio.h>

#include "../fib/fib.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../iface/iface.h"
#include "../vrf/vrf.h"
#include "ops.h"
#include "valid.h"

/* ---- next hops ------------------------------------------------------------------------------- */

static int next_hop_iface(const PB(NextHop) *m, struct nh_obj *o, struct dp_error *err)
{
	const struct iface *i = valid_iface(m->interface, "interface", err);

	if (i == NULL)
		return -1;
	if (i->kind == IFACE_LOOPBACK)
		return dp_fail(err, DP_INVALID, "interface",
			       "%s is a loopback: nothing is behind it", i->name);
	o->iface = i->id;
	return 0;
}

static int next_hop_gateway(const PB(NextHop) *m, struct nh_obj *o, struct dp_error *err)
{
	struct iface *found;

	if (next_hop_iface(m, o, err) < 0 ||
	    valid_addr(&m->gateway, &o->gateway, "gateway", err) < 0 ||
	    valid_host(&o->gateway, "gateway", err) < 0)
		return -1;
	/* A link-local address may be one's own on another link. */
	if (ip_addr_is_link_local(&o->gateway)
		    ? iface_addr_find(ifaces[o->iface], &o->gateway) != NULL
		    : iface_addr_is_local(ifaces[o->iface]->vrf, &o->gateway, &found))
		return dp_fail(err, DP_INVALID, "gateway", "is an address of the box itself");
	return 0;
}

int op_next_hop(const PB(NextHop) *m, struct owner_tag tag, struct dp_error *err)
{
	struct nh_obj o = {.id = m->id, .iface = IFACE_NONE, .owner = tag};
	const struct nh_obj *have;
	const struct vrf *v;

	if (valid_known(&m->base, err) < 0)
		return -1;
	if (m->id == 0)
		return dp_fail(err, DP_INVALID, "id", "must not be 0");
	if (m->kind != PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_GATEWAY) &&
	    valid_empty(m->gateway.len == 0, "gateway", "for this kind", err) < 0)
		return -1;
	if (m->kind != PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_GATEWAY) &&
	    m->kind != PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_INTERFACE) &&
	    valid_empty(*m->interface == '\0', "interface", "for this kind", err) < 0)
		return -1;
	if (m->kind != PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_VRF) &&
	    valid_empty(*m->vrf == '\0', "vrf", "for this kind", err) < 0)
		return -1;
	switch (m->kind) {
	case PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_GATEWAY):
		if (next_hop_gateway(m, &o, err) < 0)
			return -1;
		break;
	case PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_INTERFACE):
		if (next_hop_iface(m, &o, err) < 0)
			return -1;
		break;
	case PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_BLACKHOLE):
	case PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_REJECT):
	case PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_PUNT):
		break;
	case PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_VRF):
		v = valid_vrf(m->vrf, "vrf", err);
		if (v == NULL)
			return -1;
		o.vrf = v->id;
		break;
	default:
		return dp_fail(err, DP_INVALID, "kind", "%d is not a kind of next hop", m->kind);
	}
	o.kind = (enum nh_kind)m->kind;
	have = nh_obj_find(m->id);
	if (have != NULL && owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	return nh_obj_set(&o, err);
}

/* Deletions name the operation itself: there is no field below it. */
int op_next_hop_delete(uint64_t id, struct owner_tag tag, struct dp_error *err)
{
	const struct nh_obj *have;

	if (id == 0)
		return dp_fail(err, DP_INVALID, "", "must not be 0");
	have = nh_obj_find(id);
	if (have == NULL)
		return dp_fail(err, DP_NOT_FOUND, "", "there is no next hop %" PRIu64, id);
	if (owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	if (nh_obj_delete(id, tag.owner, err) == 0)
		return 0;
	err->field[0] = '\0';
	return -1;
}

/* ---- groups ---------------------------------------------------------------------------------- */

int op_group(const PB(Group) *m, struct owner_tag tag, struct dp_error *err)
{
	struct group_obj o = {.id = m->id, .like = m->like_id, .owner = tag};
	const struct group_obj *have;
	char field[sizeof(err->field)];
	size_t k, j;

	if (valid_known(&m->base, err) < 0)
		return -1;
	if (m->id == 0)
		return dp_fail(err, DP_INVALID, "id", "must not be 0");
	if (m->n_members < 1 || m->n_members > GROUP_MEMBERS_MAX)
		return dp_fail(err, DP_INVALID, "members", "must be 1 to %d, not %zu",
			       GROUP_MEMBERS_MAX, m->n_members);
	for (k = 0; k < m->n_members; k++) {
		const PB(Member) *mem = m->members[k];

		if (valid_known(&mem->base, err) < 0) {
			snprintf(field, sizeof(field), "members[%zu].%.12s", k, err->field);
			memcpy(err->field, field, sizeof(field));
			return -1;
		}
		snprintf(field, sizeof(field), "members[%zu].weight", k);
		if (valid_range(mem->weight, 0, 255, field, err) < 0)
			return -1;
		snprintf(field, sizeof(field), "members[%zu].backup", k);
		if (valid_range(mem->backup, 0, GROUP_BACKUP_MAX, field, err) < 0)
			return -1;
		snprintf(field, sizeof(field), "members[%zu].next_hop_id", k);
		if (nh_obj_find(mem->next_hop_id) == NULL)
			return dp_fail(err, DP_NOT_FOUND, field, "there is no next hop %" PRIu64,
				       mem->next_hop_id);
		for (j = 0; j < k; j++)
			if (o.member[j].nh_id == mem->next_hop_id)
				return dp_fail(err, DP_INVALID, field,
					       "next hop %" PRIu64 " is a member already",
					       mem->next_hop_id);
		o.member[k].nh_id = mem->next_hop_id;
		o.member[k].weight = mem->weight != 0 ? (uint8_t)mem->weight : 1;
		o.member[k].backup = (uint8_t)mem->backup;
	}
	o.n = (uint16_t)m->n_members;
	have = group_obj_find(m->id);
	if (have != NULL && owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	return group_obj_set(&o, err);
}

int op_group_delete(uint64_t id, struct owner_tag tag, struct dp_error *err)
{
	const struct group_obj *have;

	if (id == 0)
		return dp_fail(err, DP_INVALID, "", "must not be 0");
	have = group_obj_find(id);
	if (have == NULL)
		return dp_fail(err, DP_NOT_FOUND, "", "there is no group %" PRIu64, id);
	if (owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	if (group_obj_delete(id, tag.owner, err) == 0)
		return 0;
	err->field[0] = '\0';
	return -1;
}

/* ---- routes ---------------------------------------------------------------------------------- */

int op_route(const PB(Route) *m, struct owner_tag tag, struct dp_error *err)
{
	const struct group_obj *g;
	const struct vrf *v;
	struct ip_addr prefix;

	if (valid_known(&m->base, err) < 0)
		return -1;
	v = valid_vrf(m->vrf, "vrf", err);
	if (v == NULL || valid_prefix(&m->prefix, m->prefix_len, &prefix, err) < 0)
		return -1;
	g = group_obj_find(m->group_id);
	if (g == NULL)
		return dp_fail(err, DP_NOT_FOUND, "group_id", "there is no group %" PRIu64,
			       m->group_id);
	return fib_route_set(v->id, &prefix, (uint8_t)m->prefix_len, g->index, tag, err);
}

int op_route_delete(const PB(RouteKey) *m, struct owner_tag tag, struct dp_error *err)
{
	const struct vrf *v;
	struct ip_addr prefix;

	if (valid_known(&m->base, err) < 0)
		return -1;
	v = valid_vrf(m->vrf, "vrf", err);
	if (v == NULL || valid_prefix(&m->prefix, m->prefix_len, &prefix, err) < 0)
		return -1;
	return fib_route_delete(v->id, &prefix, (uint8_t)m->prefix_len, tag.owner, err);
}
