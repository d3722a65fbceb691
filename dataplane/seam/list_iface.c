/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of network instances, interfaces and what is on them. */
#include <stdlib.h>
#include <string.h>

#include "../exception/exception.h"
#include "../fib/fib.h"
#include "../neigh/neigh.h"
#include "../port/port.h"
#include "../vrf/vrf.h"
#include "list.h"
#include "owner.h"
#include "state.h"

int list_vrfs(struct page *p, struct dp_error *err)
{
	uint32_t at, unused;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->vrfs = arena_alloc(p->arena, p->limit * sizeof(*p->out->vrfs));
	if (p->out->vrfs == NULL)
		return list_no_memory(err);
	for (; at < VRF_MAX; at++) {
		const struct vrf *v = vrfs[at];
		struct fib_usage u4, u6;
		PB(VrfState) *m;

		if (v == NULL)
			continue;
		if (p->out->n_vrfs == p->limit) {
			cursor_set(p, at, 0);
			break;
		}
		m = PB_NEW(p->arena, VrfState, vrf_state);
		if (m == NULL)
			return list_no_memory(err);
		fib_usage(v->id, false, &u4);
		fib_usage(v->id, true, &u6);
		m->name = pb_str(v->name);
		m->ip4_routes = u4.routes;
		m->ip4_routes_max = u4.routes_max;
		m->ip4_tbl8_used = u4.tbl8_used;
		m->ip4_tbl8_max = u4.tbl8_max;
		m->ip6_routes = u6.routes;
		m->ip6_routes_max = u6.routes_max;
		m->ip6_tbl8_used = u6.tbl8_used;
		m->ip6_tbl8_max = u6.tbl8_max;
		m->owner = pb_str(owner_name(v->owner.owner));
		p->out->vrfs[p->out->n_vrfs++] = m;
	}
	return 0;
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static PB(Interface) *interface_config(struct arena *a, const struct iface *i)
{
	struct iface_config *c = arena_zalloc(a, sizeof(*c));
	PB(Interface) *m = PB_NEW(a, Interface, interface);

	if (c == NULL || m == NULL)
		return NULL;
	iface_get_config(i, c);
	m->name = c->name;
	m->kind = (PB(InterfaceKind))c->kind;
	m->device = c->device;
	m->parent = c->parent;
	m->vlan_id = c->vlan;
	m->vrf = pb_str(state_vrf_name(c->vrf));
	m->mtu = c->mtu;
	if (c->has_mac)
		m->mac = pb_bytes(c->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	m->admin_up = c->admin_up;
	m->promiscuous = c->promiscuous;
	m->rx_queues = c->rxq;
	m->tx_queues = c->txq;
	m->rx_descriptors = c->rxd;
	m->tx_descriptors = c->txd;
	m->urpf = (PB(Urpf))c->urpf;
	m->description = c->description;
	return m;
}

static PB(InterfaceState) *interface_state(struct arena *a, const struct iface *i)
{
	PB(InterfaceState) *m = PB_NEW(a, InterfaceState, interface_state);
	const struct port *port;

	if (m == NULL)
		return NULL;
	m->config = interface_config(a, i);
	m->counters = PB_NEW(a, InterfaceCounters, interface_counters);
	if (m->config == NULL || m->counters == NULL)
		return NULL;
	state_counters(m->counters, i);
	m->ifindex = i->id;
	m->oper_status = state_oper(i);
	if (i->kind != IFACE_LOOPBACK)
		m->mac = pb_bytes(i->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	m->mtu = i->mtu;
	m->speed = state_speed(i);
	m->last_change = i->last_change_ns;
	m->owner = pb_str(owner_name(i->owner.owner));
	m->tap = pb_str(exception_tap_name(i));
	port = i->port < RTE_MAX_ETHPORTS ? ports[i->port] : NULL;
	if (port == NULL)
		return m;
	m->full_duplex = port->full_duplex;
	m->driver = pb_str(port->driver);
	m->rss = port->rss;
	if (i->kind == IFACE_PORT) {
		m->rx_queues = port->n_rxq;
		m->tx_queues = port->n_txq;
	}
	return m;
}

int list_interfaces(struct page *p, struct dp_error *err)
{
	uint32_t at, unused;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->interfaces = arena_alloc(p->arena, p->limit * sizeof(*p->out->interfaces));
	if (p->out->interfaces == NULL)
		return list_no_memory(err);
	for (; at < IFACE_MAX; at++) {
		const struct iface *i = ifaces[at];
		PB(InterfaceState) *m;

		if (i == NULL || (p->iface != NULL && p->iface != i))
			continue;
		if (p->out->n_interfaces == p->limit) {
			cursor_set(p, at, 0);
			break;
		}
		m = interface_state(p->arena, i);
		if (m == NULL)
			return list_no_memory(err);
		p->out->interfaces[p->out->n_interfaces++] = m;
	}
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static int addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->len != b->len ? a->len - b->len : memcmp(a->b, b->b, 16);
}

static int by_addr(const void *a, const void *b)
{
	const struct iface_addr *const *x = a, *const *y = b;

	return addr_cmp(&(*x)->addr, &(*y)->addr);
}

/*
 * Addresses move in their array when one is deleted: within an interface they are walked in their
 * order. The cursor is the interface's id, the address's length and the address last seen.
 */
#define ADDR_CURSOR 19

int list_addresses(struct page *p, struct dp_error *err)
{
	const uint8_t *cursor;
	struct ip_addr last = {0};
	uint16_t at = 0;

	if (cursor_get_bytes(p, ADDR_CURSOR, &cursor, err) < 0)
		return -1;
	if (cursor != NULL) {
		memcpy(&at, cursor, 2);
		last.len = cursor[2];
		memcpy(last.b, cursor + 3, 16);
		if (last.len != 4 && last.len != 16)
			return dp_fail(err, DP_INVALID, "cursor", "is none of this table");
	}
	p->out->addresses = arena_alloc(p->arena, p->limit * sizeof(*p->out->addresses));
	if (p->out->addresses == NULL)
		return list_no_memory(err);
	for (; at < IFACE_MAX; at++, last.len = 0) {
		const struct iface *i = ifaces[at];
		const struct iface_addr **sorted;

		if (i == NULL || i->n_addrs == 0 || (p->iface != NULL && p->iface != i))
			continue;
		sorted = arena_alloc(p->arena, i->n_addrs * sizeof(*sorted));
		if (sorted == NULL)
			return list_no_memory(err);
		for (unsigned int k = 0; k < i->n_addrs; k++)
			sorted[k] = &i->addrs[k];
		qsort(sorted, i->n_addrs, sizeof(*sorted), by_addr);
		for (unsigned int k = 0; k < i->n_addrs; k++) {
			PB(AddressState) *m;

			if (last.len != 0 && addr_cmp(&sorted[k]->addr, &last) <= 0)
				continue;
			if (p->out->n_addresses == p->limit) {
				/* The last one given may be of an interface before: then this one
				 * starts anew. */
				const struct ip_addr none = {.len = 4};
				const struct ip_addr *seen = k > 0 ? &sorted[k - 1]->addr : &none;
				uint8_t next[ADDR_CURSOR];

				memcpy(next, &at, 2);
				next[2] = seen->len;
				memcpy(next + 3, seen->b, 16);
				cursor_set_bytes(p, next, sizeof(next));
				return 0;
			}
			m = arena_alloc(p->arena, sizeof(*m));
			if (m == NULL)
				return list_no_memory(err);
			state_address(m, i, sorted[k]);
			p->out->addresses[p->out->n_addresses++] = m;
		}
	}
	return 0;
}

/* ---- neighbours ------------------------------------------------------------------------------ */

int list_neighbors(struct page *p, struct dp_error *err)
{
	uint32_t at, unused, before;
	struct neigh *n;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->neighbors = arena_alloc(p->arena, p->limit * sizeof(*p->out->neighbors));
	if (p->out->neighbors == NULL)
		return list_no_memory(err);
	for (before = at; (n = neigh_next(&at)) != NULL; before = at) {
		PB(NeighborState) *m;

		if (p->iface != NULL && p->iface != n->iface)
			continue;
		if (p->out->n_neighbors == p->limit) {
			cursor_set(p, before, 0);
			break;
		}
		m = arena_alloc(p->arena, sizeof(*m));
		if (m == NULL)
			return list_no_memory(err);
		state_neighbor(m, n);
		p->out->neighbors[p->out->n_neighbors++] = m;
	}
	return 0;
}

/* ---- extended statistics --------------------------------------------------------------------- */

/* Both arrays of a port, or 0 if it has none. */
static int xstats_read(struct arena *a, uint16_t port, struct rte_eth_xstat_name **names,
		       struct rte_eth_xstat **values)
{
	int n = rte_eth_xstats_get_names(port, NULL, 0);

	if (n <= 0)
		return 0;
	*names = arena_zalloc(a, (size_t)n * sizeof(**names));
	*values = arena_zalloc(a, (size_t)n * sizeof(**values));
	if (*names == NULL || *values == NULL)
		return -1;
	if (rte_eth_xstats_get_names(port, *names, (unsigned int)n) != n ||
	    rte_eth_xstats_get(port, *values, (unsigned int)n) != n)
		return 0;
	return n;
}

int list_xstats(struct page *p, struct dp_error *err)
{
	uint32_t at, index;

	if (cursor_get(p, &at, &index, err) < 0)
		return -1;
	p->out->xstats = arena_alloc(p->arena, p->limit * sizeof(*p->out->xstats));
	if (p->out->xstats == NULL)
		return list_no_memory(err);
	for (; at < IFACE_MAX; at++, index = 0) {
		const struct iface *i = ifaces[at];
		struct rte_eth_xstat_name *names = NULL;
		struct rte_eth_xstat *values = NULL;
		int n;

		if (i == NULL || i->kind != IFACE_PORT || i->port >= RTE_MAX_ETHPORTS ||
		    (p->iface != NULL && p->iface != i))
			continue;
		n = xstats_read(p->arena, i->port, &names, &values);
		if (n < 0)
			return list_no_memory(err);
		for (; index < (uint32_t)n; index++) {
			PB(XStat) *m;

			if (values[index].id >= (uint64_t)n)
				continue;
			if (p->out->n_xstats == p->limit) {
				cursor_set(p, at, index);
				return 0;
			}
			m = PB_NEW(p->arena, XStat, xstat);
			if (m == NULL)
				return list_no_memory(err);
			m->interface = pb_str(i->name);
			m->name = names[values[index].id].name;
			m->value = values[index].value;
			p->out->xstats[p->out->n_xstats++] = m;
		}
	}
	return 0;
}
