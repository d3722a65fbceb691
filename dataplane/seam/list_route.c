/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of next hops, groups and routes. */
#include <string.h>

#include "../core/worker.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../vrf/vrf.h"
#include "list.h"
#include "owner.h"
#include "state.h"
#include "valid.h"

int list_next_hops(struct page *p, struct dp_error *err)
{
	const struct nh_obj *o;
	uint32_t at, unused, before;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->next_hops = arena_alloc(p->arena, p->limit * sizeof(*p->out->next_hops));
	if (p->out->next_hops == NULL)
		return list_no_memory(err);
	for (before = at; (o = nh_obj_next(&at)) != NULL; before = at) {
		struct nh_stats sum;
		PB(NextHopState) *m;
		PB(NextHop) *c;

		if (p->out->n_next_hops == p->limit) {
			cursor_set(p, before, 0);
			break;
		}
		m = PB_NEW(p->arena, NextHopState, next_hop_state);
		c = PB_NEW(p->arena, NextHop, next_hop);
		if (m == NULL || c == NULL)
			return list_no_memory(err);
		c->id = o->id;
		c->kind = (PB(NextHopKind))o->kind;
		c->interface = pb_str(state_iface_name(o->iface));
		c->gateway = state_addr(&o->gateway);
		if (o->kind == NHK_VRF)
			c->vrf = pb_str(state_vrf_name(o->vrf));
		worker_nh_stats(o->nh, &sum);
		m->config = c;
		m->up = nexthop_is_up(o->nh);
		m->reason = pb_str(state_nh_reason(o->nh));
		m->tx_packets = sum.packets;
		m->tx_octets = sum.octets;
		m->index = o->nh;
		m->owner = pb_str(owner_name(o->owner.owner));
		p->out->next_hops[p->out->n_next_hops++] = m;
	}
	return 0;
}

static PB(GroupState) *group_state(struct arena *a, const struct group_obj *o)
{
	PB(GroupState) *m = PB_NEW(a, GroupState, group_state);
	PB(Group) *c = PB_NEW(a, Group, group);

	if (m == NULL || c == NULL)
		return NULL;
	c->id = o->id;
	c->members = arena_alloc(a, o->n * sizeof(*c->members));
	if (c->members == NULL)
		return NULL;
	for (unsigned int k = 0; k < o->n; k++) {
		PB(Member) *mem = PB_NEW(a, Member, member);

		if (mem == NULL)
			return NULL;
		mem->next_hop_id = o->member[k].nh_id;
		mem->weight = o->member[k].weight;
		mem->backup = o->member[k].backup;
		c->members[c->n_members++] = mem;
	}
	m->config = c;
	m->index = o->index;
	m->members_up = o->members_up;
	m->owner = pb_str(owner_name(o->owner.owner));
	m->routes = o->routes;
	return m;
}

int list_groups(struct page *p, struct dp_error *err)
{
	const struct group_obj *o;
	uint32_t at, unused, before;
	size_t bytes = 0;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->groups = arena_alloc(p->arena, p->limit * sizeof(*p->out->groups));
	if (p->out->groups == NULL)
		return list_no_memory(err);
	for (before = at; (o = group_obj_next(&at)) != NULL; before = at) {
		PB(GroupState) *m;

		if (p->out->n_groups == p->limit || bytes > PAGE_BYTES) {
			cursor_set(p, before, 0);
			break;
		}
		m = group_state(p->arena, o);
		if (m == NULL)
			return list_no_memory(err);
		p->out->groups[p->out->n_groups++] = m;
		/* Of a member at most: tag and length, id, weight, backup. */
		bytes += 64 + o->n * 18u;
	}
	return 0;
}

/* ---- routes ---------------------------------------------------------------------------------- */

/* The family, the length and the bits of the last prefix. */
#define ROUTE_CURSOR 18

static int route_cursor(const struct page *p, struct route_info *after,
			const struct route_info **use, struct dp_error *err)
{
	const uint8_t *c;
	ProtobufCBinaryData b;
	struct dp_error ignore;

	*use = NULL;
	if (cursor_get_bytes(p, ROUTE_CURSOR, &c, err) < 0)
		return -1;
	if (c == NULL)
		return 0;
	b = pb_bytes(c + 2, c[0] == 16 ? 16 : 4);
	if (c[0] != (p->q->ipv6 ? 16 : 4) || valid_prefix(&b, c[1], &after->prefix, &ignore) < 0)
		return dp_fail(err, DP_INVALID, "cursor", "is none of this table");
	after->plen = c[1];
	*use = after;
	return 0;
}

static void route_cursor_set(struct page *p, const struct route_info *r)
{
	uint8_t c[ROUTE_CURSOR];

	c[0] = r->prefix.len;
	c[1] = r->plen;
	memcpy(c + 2, r->prefix.b, 16);
	cursor_set_bytes(p, c, sizeof(c));
}

/* A prefix may have a client's route and one of the data plane itself: both are told, the one in
 * force first. */
int list_routes(struct page *p, struct dp_error *err)
{
	const struct vrf *v = valid_vrf(p->q->vrf, "vrf", err);
	const struct route_info *after;
	struct route_info at = {0}, *r;
	unsigned int n;

	if (v == NULL || route_cursor(p, &at, &after, err) < 0)
		return -1;
	r = arena_alloc(p->arena, (p->limit + 1) * sizeof(*r));
	p->out->routes = arena_alloc(p->arena, (p->limit + 1) * sizeof(*p->out->routes));
	if (r == NULL || p->out->routes == NULL)
		return list_no_memory(err);
	n = fib_walk(v->id, p->q->ipv6, after, r, p->limit + 1);
	for (unsigned int k = 0; k < n; k++) {
		const bool client = r[k].client_group != 0, own = r[k].own_group != 0;
		const size_t rows = (size_t)client + own;

		/* The first prefix is given whole even if that is a row too many: the walk has to
		 * get on. */
		if (k > 0 && p->out->n_routes + rows > p->limit) {
			route_cursor_set(p, &r[k - 1]);
			return 0;
		}
		for (size_t i = 0; i < rows; i++) {
			PB(RouteState) *m = arena_alloc(p->arena, sizeof(*m));

			if (m == NULL)
				return list_no_memory(err);
			state_route(m, &r[k],
				    rows == 1 ? client : (r[k].origin == ROUTE_CLIENT) == (i == 0));
			p->out->routes[p->out->n_routes++] = m;
		}
	}
	return 0;
}
