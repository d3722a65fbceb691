/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include "../core/loop.h"
#include "../core/worker.h"
#include "../fib/group.h"
#include "../port/port.h"
#include "../vrf/vrf.h"
#include "owner.h"
#include "service/pool.h"

const char *state_iface_name(uint16_t id)
{
	return id != IFACE_NONE && id < IFACE_MAX && ifaces[id] != NULL ? ifaces[id]->name : "";
}

const char *state_vrf_name(uint16_t id)
{
	return id < VRF_MAX && vrfs[id] != NULL ? vrfs[id]->name : "";
}

PB(OperStatus) state_oper(const struct iface *i)
{
	if (i->oper_up)
		return PBC(OPER_STATUS__OPER_STATUS_UP);
	if (!i->admin_up ||
	    (i->kind == IFACE_VLAN &&
	     (i->parent >= IFACE_MAX || ifaces[i->parent] == NULL || !ifaces[i->parent]->oper_up)))
		return PBC(OPER_STATUS__OPER_STATUS_LOWER_LAYER_DOWN);
	return PBC(OPER_STATUS__OPER_STATUS_DOWN);
}

uint64_t state_speed(const struct iface *i)
{
	return i->port < RTE_MAX_ETHPORTS && ports[i->port] != NULL ? ports[i->port]->speed : 0;
}

void state_address(PB(AddressState) *m, const struct iface *i, const struct iface_addr *a)
{
	PB_INIT(address_state)(m);
	m->interface = pb_str(i->name);
	m->address = state_addr(&a->addr);
	m->prefix_len = a->plen;
	m->dad = (PB(DadState))a->dad;
	m->automatic = a->automatic;
	if (a->vip)
		m->kind = PBC(ADDRESS_KIND__ADDRESS_KIND_VIRTUAL);
	m->owner = pb_str(owner_name(a->owner.owner));
	if (!rte_is_zero_ether_addr(&a->conflict_mac))
		m->conflict_mac = pb_bytes(a->conflict_mac.addr_bytes, RTE_ETHER_ADDR_LEN);
}

void state_neighbor(PB(NeighborState) *m, const struct neigh *n)
{
	struct nh_stats sum = {0};
	uint64_t now = now_mono_ns();

	PB_INIT(neighbor_state)(m);
	m->interface = pb_str(n->iface->name);
	m->address = state_addr(&n->addr);
	if (n->nud != NUD_INCOMPLETE && !rte_is_zero_ether_addr(&n->mac))
		m->mac = pb_bytes(n->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	m->nud = (PB(NeighborNud))n->nud;
	if (n->confirmed_ns != 0 && now > n->confirmed_ns)
		m->age = (uint32_t)((now - n->confirmed_ns) / 1000000000u);
	m->is_router = n->is_router;
	m->queued = n->n_queue;
	if (n->nh != 0)
		worker_nh_stats(n->nh, &sum);
	m->tx_packets = sum.packets;
	m->tx_octets = sum.octets;
	m->owner = pb_str(owner_name(n->owner.owner));
}

/* The interface the data plane's own group leads to: such a group has one next hop. */
static const char *group_iface(uint32_t gid)
{
	const union group g = {.u64 = groups[gid].u64};

	return gid < groups_max && g.mask == 0 && g.nh < nexthops_max
		       ? state_iface_name(nexthops[g.nh].iface)
		       : "";
}

void state_route(PB(RouteState) *m, const struct route_info *r, bool client)
{
	const struct group_obj *g;

	PB_INIT(route_state)(m);
	m->prefix = state_addr(&r->prefix);
	m->prefix_len = r->plen;
	if (client) {
		g = group_obj_by_index(r->client_group);
		m->group_id = g != NULL ? g->id : 0;
		m->origin = PBC(ROUTE_ORIGIN__ROUTE_ORIGIN_CLIENT);
		m->owner = pb_str(owner_name(r->owner.owner));
		m->epoch = r->owner.epoch;
	} else {
		/* Only of the route in force the origin is known; one that gives way is a
		 * neighbour's. */
		m->origin =
			(PB(RouteOrigin))(r->origin != ROUTE_CLIENT ? r->origin : ROUTE_NEIGHBOR);
		m->interface = pb_str(group_iface(r->own_group));
	}
}

const char *state_nh_reason(uint32_t nh)
{
	const struct nexthop *n = &nexthops[nh];

	if (nexthop_is_up(nh))
		return "";
	switch (n->action) {
	case NH_UNRESOLVED:
		if (n->iface != IFACE_NONE && ifaces[n->iface] != NULL &&
		    !ifaces[n->iface]->oper_up)
			return "the interface is down";
		return n->neigh != NULL && n->neigh->nud == NUD_FAILED
			       ? "the neighbour does not answer"
			       : "the neighbour is not resolved yet";
	case NH_DOWN:
		if (n->neigh != NULL && n->neigh->nud == NUD_FAILED && n->neigh->iface->oper_up)
			return "the neighbour does not answer";
		return "the interface is down";
	case NH_NO_ROUTE:
		return "there is no next hop";
	default:
		return "not usable";
	}
}

PB(TcpHealth) state_tcp_health(int health)
{
	switch (health) {
	case SVC_HEALTH_UP:
		return PBC(TCP_HEALTH__TCP_HEALTH_UP);
	case SVC_HEALTH_DOWN:
		return PBC(TCP_HEALTH__TCP_HEALTH_DOWN);
	default:
		return PBC(TCP_HEALTH__TCP_HEALTH_UNKNOWN);
	}
}

static uint64_t since(uint64_t now, uint64_t base)
{
	/* A device that was reset counts from 0 again. */
	return now >= base ? now - base : now;
}

void state_counters(PB(InterfaceCounters) *m, const struct iface *i)
{
	static const struct iface_stats zero;
	const struct iface_stats *base = i->stats_base != NULL ? i->stats_base : &zero;
	struct rte_eth_stats dev;
	struct iface_stats s;
	uint64_t multi;

	PB_INIT(interface_counters)(m);
	worker_iface_stats(i->id, &s);
	m->rx_packets = since(s.rx_packets, base->rx_packets);
	m->rx_octets = since(s.rx_octets, base->rx_octets);
	m->rx_multicast = since(s.rx_multicast, base->rx_multicast);
	m->rx_broadcast = since(s.rx_broadcast, base->rx_broadcast);
	multi = m->rx_multicast + m->rx_broadcast;
	m->rx_unicast = m->rx_packets > multi ? m->rx_packets - multi : 0;
	m->tx_packets = since(s.tx_packets, base->tx_packets);
	m->tx_octets = since(s.tx_octets, base->tx_octets);
	m->rx_discards = since(s.rx_discards, base->rx_discards);
	m->tx_discards = since(s.tx_discards, base->tx_discards);
	m->punted = since(s.punted, base->punted);
	if (i->kind != IFACE_PORT || i->port >= RTE_MAX_ETHPORTS || ports[i->port] == NULL ||
	    rte_eth_stats_get(i->port, &dev) != 0)
		return;
	m->rx_errors = since(dev.ierrors, ports[i->port]->stats_base.ierrors);
	m->rx_missed =
		since(dev.imissed + dev.rx_nombuf,
		      ports[i->port]->stats_base.imissed + ports[i->port]->stats_base.rx_nombuf);
	m->tx_errors = since(dev.oerrors, ports[i->port]->stats_base.oerrors);
}
