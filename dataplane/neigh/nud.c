/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a neighbour: the states of RFC 4861 section 7.3.2, for ARP as well (unicast probes
 * before an entry is forgotten: RFC 1122 section 2.3.2.1), its next hop and its host route.
 */
#include <rte_random.h>

#include "internal.h"
#include "../core/log.h"
#include "../core/node.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../seam/seam.h"

struct neigh_settings neigh_settings = {
	.limit = 4096,
	.queue = 16,
	.reachable_s = 30,
	.stale_s = 1200,
	.rate = 2000,
};

uint64_t neigh_clock_skew;

/* Timers that may run out in one turn of the loop: 65,536 at once would hold up everything else. */
#define TIMERS_PER_TICK 2048

/* All host routes are looked at once in this many ticks: ten seconds. */
#define ROUTE_CHECK_TICKS 100

static const struct rte_ether_addr no_mac;

bool neigh_on_link(const struct iface *i, const struct ip_addr *addr)
{
	if (ip_addr_is_link_local(addr))
		return true;
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		const struct iface_addr *a = &i->addrs[k];

		if (a->addr.len == addr->len && ip_prefix_match(&a->addr, addr, a->plen))
			return true;
	}
	return false;
}

/* ---- next hop and route ---- */

static enum nh_action action_of(const struct neigh_ent *e)
{
	if (!iface_is_up(e->n.iface))
		return NH_DOWN;
	if (neigh_usable(&e->n))
		return NH_REWRITE;
	return e->n.nud == NUD_INCOMPLETE ? NH_UNRESOLVED : NH_DOWN;
}

void neigh_write_nh(struct neigh_ent *e, bool force)
{
	const struct iface *i = e->n.iface;
	enum nh_action action = action_of(e);
	struct nexthop v;

	if (!force && action == e->nh_action)
		return;
	/* The old rewrite stays where there is no new one: a change of the action alone needs no
	 * grace period. */
	v = nexthops[e->n.nh];
	v.port = i->port;
	v.iface = i->id;
	v.mtu = i->mtu;
	v.vrf = i->vrf;
	v.addr = e->n.addr;
	v.neigh = &e->n;
	if (neigh_usable(&e->n))
		nexthop_set_l2(&v, i, &e->n.mac);
	v.action = action;
	e->nh_action = action;
	nexthop_write(e->n.nh, &v);
}

/* Longest prefix of the interface that addr lies in, or -1. */
static int connected_plen(const struct iface *i, const struct ip_addr *addr)
{
	int best = -1;

	for (unsigned int k = 0; k < i->n_addrs; k++) {
		const struct iface_addr *a = &i->addrs[k];

		if (a->addr.len == addr->len && a->dad != DAD_DUPLICATE && a->plen > best &&
		    ip_prefix_match(&a->addr, addr, a->plen))
			best = a->plen;
	}
	return best;
}

static void route_del(struct neigh_ent *e)
{
	if (!e->has_route)
		return;
	fib_own_delete(e->route_vrf, &e->n.addr, e->n.addr.len * 8, ROUTE_NEIGHBOR);
	e->has_route = false;
}

/* Without a host route, would packets to it come to this neighbour by way of neigh-hold? */
static bool route_wanted(struct neigh_ent *e)
{
	const struct iface *i = e->n.iface;
	const unsigned int full = e->n.addr.len * 8;
	struct route_info r;
	int plen;

	if (ip_addr_is_link_local(&e->n.addr))
		return false;
	plen = connected_plen(i, &e->n.addr);
	if (plen < 0 && !e->interface_route)
		return false;
	if (fib_lookup_route(i->vrf, &e->n.addr, &r) && r.plen == full &&
	    r.origin != ROUTE_NEIGHBOR && r.origin != ROUTE_CLIENT)
		return false;
	if (!fib_lookup_covering(i->vrf, &e->n.addr, &r))
		return plen >= 0;
	if (plen >= 0)
		return !(r.origin == ROUTE_CLIENT && r.plen > plen);
	if (r.group < groups_max && groups[r.group].mask == 0) {
		const struct nexthop *nh = &nexthops[groups[r.group].nh];

		return nh->action == NH_GLEAN && nh->iface == i->id;
	}
	return false;
}

void neigh_sync_route(struct neigh_ent *e)
{
	const struct iface *i = e->n.iface;
	uint32_t gid;

	if (e->nh_action != NH_REWRITE || !route_wanted(e)) {
		route_del(e);
		return;
	}
	if (e->has_route)
		return;
	gid = group_of_nexthop(e->n.nh);
	if (gid == 0)
		return;
	/* Without a route packets still reach it, by way of neigh-hold; the full table has been
	 * reported by the FIB. */
	group_ref(gid);
	if (fib_own_set(i->vrf, &e->n.addr, e->n.addr.len * 8, gid, ROUTE_NEIGHBOR, NULL) == 0) {
		e->has_route = true;
		e->route_vrf = i->vrf;
	}
	group_unref(gid);
}

void neigh_sync_routes(struct iface *i)
{
	struct neigh_ent *e;

	for (e = neigh_table_iface_first(i); e != NULL; e = neigh_table_iface_after(e))
		neigh_sync_route(e);
}

/* ---- states ---- */

static uint64_t reachable_ns(void)
{
	uint64_t base = (uint64_t)RTE_MAX(neigh_settings.reachable_s, 1u) * NS_PER_SEC;

	/* 0.5 to 1.5 times the base (RFC 4861 section 6.3.2), so that neighbours learnt together
	 * are not probed together. */
	return base / 2 + rte_rand_max(base);
}

static bool take_used(struct neigh_ent *e)
{
	struct nh_stats s;
	bool used;

	worker_nh_stats(e->n.nh, &s);
	used = s.packets != e->n.last_packets;
	e->n.last_packets = s.packets;
	return used;
}

static void solicit(struct neigh_ent *e, bool unicast)
{
	const struct rte_ether_addr *mac = unicast ? &e->n.mac : NULL;

	if (e->n.addr.len == 4)
		arp_request(e->n.iface, ip_addr_v4(&e->n.addr), mac);
	else
		nd_solicit(e->n.iface, e->n.addr.b, mac);
}

enum neigh_class neigh_class_of(const struct neigh_ent *e)
{
	if (e->n.pins > 0)
		return NEIGH_CLASS_KEEP;
	switch (e->n.nud) {
	case NUD_INCOMPLETE:
	case NUD_FAILED:
		return NEIGH_CLASS_PENDING;
	case NUD_STALE:
		return NEIGH_CLASS_STALE;
	default:
		return NEIGH_CLASS_KEEP;
	}
}

/* Everything that follows from a new state but packets that wait. */
void neigh_set_state(struct neigh_ent *e, enum nud nud, uint64_t now, bool new_mac)
{
	enum nud old = e->n.nud;
	uint64_t timer = TIMER_NEVER;

	e->n.nud = nud;
	e->n.probes = 0;
	switch (nud) {
	case NUD_INCOMPLETE:
	case NUD_PROBE:
		timer = now;
		break;
	case NUD_REACHABLE:
		e->n.confirmed_ns = now;
		e->backoff = 0;
		timer = now + reachable_ns();
		break;
	case NUD_STALE:
		take_used(e);
		e->used_ns = now;
		/* Gateways are not left in doubt. */
		timer = e->n.pins > 0 ? now : now + STALE_CHECK_NS;
		break;
	case NUD_DELAY:
		timer = now + DELAY_FIRST_PROBE_NS;
		break;
	case NUD_FAILED:
		if (e->n.pins == 0)
			timer = now + FAILED_HOLD_NS;
		else if (iface_is_up(e->n.iface))
			timer = now;
		e->n.mac = no_mac;
		break;
	case NUD_STATIC:
		break;
	}
	neigh_table_timer(e, timer);
	neigh_table_reclass(e, neigh_class_of(e));
	neigh_write_nh(e, new_mac || old == 0);
	neigh_sync_route(e);
	if (old != nud || new_mac)
		seam_event_neighbor(&e->n);
}

/* One attempt of the timer's; at once for the first. */
static void ask(struct neigh_ent *e, uint64_t now, bool unicast)
{
	solicit(e, unicast);
	e->n.probes++;
	neigh_table_timer(e, now + RETRANS_NS);
}

void neigh_fail(struct neigh_ent *e, uint64_t now)
{
	neigh_set_state(e, NUD_FAILED, now, false);
	neigh_queue_fail(e);
}

void neigh_start(struct neigh_ent *e, uint64_t now)
{
	if (!iface_is_up(e->n.iface)) {
		neigh_fail(e, now);
		return;
	}
	neigh_set_state(e, NUD_INCOMPLETE, now, false);
	ask(e, now, false);
}

void neigh_remove(struct neigh_ent *e)
{
	struct iface *i = e->n.iface;
	struct ip_addr addr = e->n.addr;
	struct nexthop v = {.action = NH_DOWN, .port = i->port, .iface = i->id, .addr = addr};

	/* Packets on their way to the control thread must not find a freed entry by the next hop's
	 * index. */
	route_del(e);
	nexthop_write(e->n.nh, &v);
	neigh_queue_fail(e);
	neigh_table_del(e);
	seam_event_neighbor_gone(i, &addr);
}

static void expire_probe(struct neigh_ent *e, uint64_t now)
{
	char buf[IP_ADDR_STRLEN];

	if (e->n.probes < MAX_UNICAST_SOLICIT) {
		ask(e, now, true);
		return;
	}
	e->used |= take_used(e);
	if (e->n.pins > 0) {
		LOG_WARN("gateway does not answer any more iface=%s address=%s", e->n.iface->name,
			 ip_addr_str(&e->n.addr, buf));
		neigh_fail(e, now);
	} else if (e->used) {
		/* Its MAC may have changed: ask everybody before giving up (RFC 7048). */
		neigh_start(e, now);
	} else {
		neigh_remove(e);
	}
}

static void expire_failed(struct neigh_ent *e, uint64_t now)
{
	uint64_t pause;

	if (e->n.pins == 0) {
		neigh_remove(e);
		return;
	}
	if (!iface_is_up(e->n.iface)) {
		neigh_table_timer(e, TIMER_NEVER);
		return;
	}
	solicit(e, false);
	pause = RTE_MIN(RETRANS_NS << e->backoff, PINNED_BACKOFF_MAX_NS);
	if (e->backoff < 5)
		e->backoff++;
	neigh_table_timer(e, now + pause);
}

static void begin_probing(struct neigh_ent *e, uint64_t now, bool used)
{
	neigh_set_state(e, NUD_PROBE, now, false);
	e->used = used;
	take_used(e);
	ask(e, now, true);
}

static void expire(struct neigh_ent *e, uint64_t now)
{
	switch (e->n.nud) {
	case NUD_INCOMPLETE:
		if (e->n.probes < MAX_MULTICAST_SOLICIT)
			ask(e, now, false);
		else
			neigh_fail(e, now);
		break;
	case NUD_REACHABLE:
		if (e->n.pins > 0)
			begin_probing(e, now, true);
		else
			neigh_set_state(e, NUD_STALE, now, false);
		break;
	case NUD_STALE:
		if (e->n.pins > 0) {
			begin_probing(e, now, true);
		} else if (take_used(e)) {
			neigh_set_state(e, NUD_DELAY, now, false);
		} else if (now - e->used_ns >= (uint64_t)neigh_settings.stale_s * NS_PER_SEC) {
			begin_probing(e, now, false);
		} else {
			neigh_table_timer(e, now + STALE_CHECK_NS);
		}
		break;
	case NUD_DELAY:
		begin_probing(e, now, true);
		break;
	case NUD_PROBE:
		expire_probe(e, now);
		break;
	case NUD_FAILED:
		expire_failed(e, now);
		break;
	case NUD_STATIC:
		neigh_table_timer(e, TIMER_NEVER);
		break;
	}
}

void neigh_run_timers(uint64_t now)
{
	neigh_table_expire(now, TIMERS_PER_TICK, expire);
	/* A client's route may have come between a connected prefix and a host route, or gone. */
	neigh_table_sweep(ROUTE_CHECK_TICKS, neigh_sync_route);
}

void neigh_set_mac(struct neigh_ent *e, const struct rte_ether_addr *mac, enum nud state)
{
	const uint64_t now = neigh_now();
	const bool usable = neigh_usable(&e->n);
	const bool changed = !usable || !rte_is_same_ether_addr(mac, &e->n.mac);
	char buf[IP_ADDR_STRLEN];

	if (e->n.nud == NUD_STATIC)
		return;
	/* Hearing from it is no proof that it hears us. */
	if (state == NUD_STALE && !changed)
		return;
	if (e->n.nud == NUD_FAILED && e->n.pins > 0)
		LOG_INFO("gateway answers iface=%s address=%s", e->n.iface->name,
			 ip_addr_str(&e->n.addr, buf));
	e->n.mac = *mac;
	if (!usable)
		e->n.confirmed_ns = now;
	neigh_set_state(e, state, now, changed);
	neigh_queue_flush(e);
}

void neigh_confirm(struct neigh_ent *e)
{
	if (e->n.nud != NUD_STATIC && neigh_usable(&e->n))
		neigh_set_state(e, NUD_REACHABLE, neigh_now(), false);
}

void neigh_doubt(struct neigh_ent *e)
{
	if (e->n.nud == NUD_REACHABLE)
		neigh_set_state(e, NUD_STALE, neigh_now(), false);
}
