/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "../core/log.h"
#include "../fib/group.h"
#include "../iface/iface.h"
#include "../neigh/neigh.h"
#include "../tcp/objects.h"
#include "../vrf/vrf.h"
#include "ops.h"

void sweep_begin(struct sweep *s, uint8_t owner, uint64_t epoch)
{
	*s = (struct sweep){.owner = owner, .epoch = epoch};
}

static bool stale(const struct sweep *s, const struct owner_tag *tag)
{
	return tag->owner == s->owner && tag->epoch < s->epoch;
}

static void next_stage(struct sweep *s)
{
	s->stage++;
	s->at = 0;
}

/* In all workers, and those that have connections to reset take their time: a few at a time. */
static void sweep_tcp_listeners(struct sweep *s)
{
	struct term_listener *l;

	for (int budget = 16; budget > 0;) {
		l = term_listener_next(&s->at);
		if (l == NULL) {
			next_stage(s);
			return;
		}
		if (!stale(s, &l->owner))
			continue;
		term_listener_delete(l, l->drain_ms);
		s->deleted[SWEEP_TCP_LISTENERS]++;
		budget--;
	}
}

static void sweep_tcp_pools(struct sweep *s)
{
	struct term_pool_obj *p;
	struct dp_error err;

	for (int budget = 16; budget > 0;) {
		p = term_pool_next(&s->at);
		if (p == NULL) {
			next_stage(s);
			return;
		}
		if (!stale(s, &p->owner))
			continue;
		if (term_pool_delete(p, &err) == 0)
			s->deleted[SWEEP_TCP_POOLS]++;
		else
			LOG_WARN("sweep keeps a pool: %s", err.message);
		budget--;
	}
}

/* s->at: twice the instance, plus one for IPv6. */
static void sweep_routes(struct sweep *s, unsigned int budget)
{
	bool done = false;

	while (s->at < 2 * VRF_MAX && vrfs[s->at / 2] == NULL)
		s->at++;
	if (s->at >= 2 * VRF_MAX) {
		next_stage(s);
		return;
	}
	if (s->fib.vrf != s->at / 2 || s->fib.ipv6 != (s->at % 2 == 1))
		s->fib = (struct fib_sweep){.vrf = (uint16_t)(s->at / 2), .ipv6 = s->at % 2};
	s->deleted[SWEEP_ROUTES] += fib_sweep_step(&s->fib, s->owner, s->epoch, budget, &done);
	if (done) {
		s->at++;
		s->fib = (struct fib_sweep){.vrf = (uint16_t)(s->at / 2), .ipv6 = s->at % 2};
	}
}

static void sweep_groups(struct sweep *s, unsigned int budget)
{
	const struct group_obj *g;
	struct dp_error err;

	for (; budget > 0; budget--) {
		g = group_obj_next(&s->at);
		if (g == NULL) {
			next_stage(s);
			return;
		}
		if (!stale(s, &g->owner))
			continue;
		if (group_obj_delete(g->id, s->owner, &err) == 0)
			s->deleted[SWEEP_GROUPS]++;
		else
			LOG_WARN("sweep keeps a group: %s", err.message);
	}
}

static void sweep_next_hops(struct sweep *s, unsigned int budget)
{
	const struct nh_obj *n;
	struct dp_error err;

	for (; budget > 0; budget--) {
		n = nh_obj_next(&s->at);
		if (n == NULL) {
			next_stage(s);
			return;
		}
		if (!stale(s, &n->owner))
			continue;
		if (nh_obj_delete(n->id, s->owner, &err) == 0)
			s->deleted[SWEEP_NEXT_HOPS]++;
		else
			LOG_WARN("sweep keeps a next hop: %s", err.message);
	}
}

static void sweep_neighbors(struct sweep *s, unsigned int budget)
{
	struct ip_addr addr;
	struct neigh *n;

	for (; budget > 0; budget--) {
		n = neigh_next(&s->at);
		if (n == NULL) {
			next_stage(s);
			return;
		}
		if (n->nud != NUD_STATIC || !stale(s, &n->owner))
			continue;
		addr = n->addr;
		if (neigh_static_delete(n->iface, &addr, s->owner, NULL) == 0)
			s->deleted[SWEEP_NEIGHBORS]++;
	}
}

/* A stale address of the interface that was not tried yet: the deletion may move the others. */
static bool sweep_address(struct sweep *s, struct iface *i)
{
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		struct ip_addr addr = i->addrs[k].addr;

		if (!i->addrs[k].automatic && stale(s, &i->addrs[k].owner) &&
		    iface_addr_delete(i, &addr, NULL) == 0) {
			s->deleted[SWEEP_ADDRESSES]++;
			return true;
		}
	}
	return false;
}

static void sweep_addresses(struct sweep *s, unsigned int budget)
{
	for (; budget > 0; budget--) {
		while (s->at < IFACE_MAX && ifaces[s->at] == NULL)
			s->at++;
		if (s->at >= IFACE_MAX) {
			next_stage(s);
			return;
		}
		if (!sweep_address(s, ifaces[s->at]))
			s->at++;
	}
}

static void sweep_ras(struct sweep *s)
{
	struct iface *i;

	iface_foreach (i) {
		struct owner_tag tag = ra_owner(i);

		if (i->ra != NULL && stale(s, &tag) && ra_delete(i, NULL) == 0)
			s->deleted[SWEEP_RAS]++;
	}
	next_stage(s);
}

/* Deleting one may take its time: a device has to be stopped. */
static void sweep_interfaces(struct sweep *s)
{
	struct dp_error err;

	for (; s->at < IFACE_MAX; s->at++) {
		struct iface *i = ifaces[s->at];

		if (i == NULL || !stale(s, &i->owner) ||
		    (i->kind == IFACE_VLAN) != (s->stage == SWEEP_VLANS))
			continue;
		s->at++;
		if (iface_delete(i, &err) == 0)
			s->deleted[s->stage]++;
		else
			LOG_WARN("sweep keeps an interface: %s", err.message);
		return;
	}
	next_stage(s);
}

static void sweep_vrfs(struct sweep *s)
{
	struct dp_error err;

	for (; s->at < VRF_MAX; s->at++) {
		struct vrf *v = vrfs[s->at];

		if (v == NULL || v->id == VRF_DEFAULT || !stale(s, &v->owner))
			continue;
		s->at++;
		if (vrf_delete(v, &err) == 0)
			s->deleted[SWEEP_VRFS]++;
		else
			LOG_WARN("sweep keeps a network instance: %s", err.message);
		return;
	}
	next_stage(s);
}

bool sweep_step(struct sweep *s, unsigned int budget)
{
	switch (s->stage) {
	case SWEEP_TCP_LISTENERS:
		sweep_tcp_listeners(s);
		break;
	case SWEEP_TCP_POOLS:
		sweep_tcp_pools(s);
		break;
	case SWEEP_ROUTES:
		sweep_routes(s, budget);
		break;
	case SWEEP_GROUPS:
		sweep_groups(s, budget);
		break;
	case SWEEP_NEXT_HOPS:
		sweep_next_hops(s, budget);
		break;
	case SWEEP_NEIGHBORS:
		sweep_neighbors(s, budget);
		break;
	case SWEEP_ADDRESSES:
		sweep_addresses(s, budget);
		break;
	case SWEEP_RAS:
		sweep_ras(s);
		break;
	case SWEEP_VLANS:
	case SWEEP_INTERFACES:
		sweep_interfaces(s);
		break;
	case SWEEP_VRFS:
		sweep_vrfs(s);
		break;
	case SWEEP_DONE:
		break;
	}
	return s->stage == SWEEP_DONE;
}
