/* SPDX-License-Identifier: Apache-2.0 */
#include "iface.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_malloc.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "../core/worker.h"
#include "../exception/exception.h"
#include "../fib/group.h"
#include "../neigh/neigh.h"
#include "../port/port.h"
#include "../seam/seam.h"
#include "../tcp/term.h"
#include "../vrf/vrf.h"
#include "iface_private.h"

#define MTU_LOOPBACK 65535
#define MTU_DEFAULT  1500

struct iface *ifaces[IFACE_MAX];

struct iface *iface_find(const char *name)
{
	struct iface *i;

	iface_foreach (i) {
		if (strcmp(i->name, name) == 0)
			return i;
	}
	return NULL;
}

static struct port *iface_port(const struct iface *i)
{
	return i->kind == IFACE_PORT ? ports[i->port] : NULL;
}

static bool oper_now(const struct iface *i)
{
	const struct iface *parent;

	switch (i->kind) {
	case IFACE_PORT:
		return i->admin_up && ports[i->port] != NULL && ports[i->port]->started &&
		       ports[i->port]->link_up;
	case IFACE_VLAN:
		parent = ifaces[i->parent];
		return i->admin_up && parent != NULL && parent->oper_up;
	default:
		return i->admin_up;
	}
}

static void write_specials(struct iface *i)
{
	struct nexthop n = {
		.port = i->port,
		.iface = i->id,
		.mtu = i->mtu,
		.vrf = i->vrf,
	};

	n.action = NH_LOCAL;
	nexthop_write(i->nh_local, &n);
	n.action = NH_BROADCAST;
	nexthop_write(i->nh_bcast, &n);
	n.action = i->oper_up ? NH_GLEAN : NH_DOWN;
	nexthop_write(i->nh_glean, &n);
}

void iface_update_oper(struct iface *i)
{
	bool up = oper_now(i);
	struct iface *child;

	if (up == i->oper_up)
		return;
	i->oper_up = up;
	i->last_change_ns = now_wall_ns();
	if (up)
		i->flags |= IFACE_F_UP;
	else
		i->flags &= (uint8_t)~IFACE_F_UP;
	/* Traffic moves first, the rest is told after. */
	if (!up)
		neigh_iface_down(i);
	write_specials(i);
	LOG_INFO("interface %s is %s", i->name, up ? "up" : "down");
	exception_iface_changed(i);
	if (up) {
		iface_addrs_restart(i);
		neigh_iface_up(i);
	}
	seam_event_link(i);
	iface_foreach (child) {
		if (child->kind == IFACE_VLAN && child->parent == i->id)
			iface_update_oper(child);
	}
}

static uint16_t free_id(void)
{
	for (uint16_t id = 1; id < IFACE_MAX; id++)
		if (ifaces[id] == NULL)
			return id;
	return IFACE_NONE;
}

static int check_vlan(const struct iface_config *c, struct iface **parent, struct dp_error *err)
{
	*parent = iface_find(c->parent);
	if (*parent == NULL)
		return dp_fail(err, DP_NOT_FOUND, "parent", "no interface \"%s\"", c->parent);
	if ((*parent)->kind != IFACE_PORT)
		return dp_fail(err, DP_INVALID, "parent", "%s is not a port", c->parent);
	if (c->vlan == 0 || c->vlan > 4094)
		return dp_fail(err, DP_INVALID, "vlan_id", "%u is not from 1 to 4094", c->vlan);
	if (ports[(*parent)->port]->vlan_iface[c->vlan] != IFACE_NONE)
		return dp_fail(err, DP_IN_USE, "vlan_id", "VLAN %u of %s is %s already", c->vlan,
			       c->parent,
			       ifaces[ports[(*parent)->port]->vlan_iface[c->vlan]]->name);
	if (c->mtu > (*parent)->mtu)
		return dp_fail(err, DP_INVALID, "mtu", "%u is more than the port's %u", c->mtu,
			       (*parent)->mtu);
	if (c->has_mac)
		return dp_fail(err, DP_INVALID, "mac", "a sub-interface has its port's address");
	return 0;
}

static bool alloc_specials(struct iface *i, struct dp_error *err)
{
	i->nh_local = nexthop_alloc();
	i->nh_glean = nexthop_alloc();
	i->nh_bcast = nexthop_alloc();
	if (i->nh_local != 0 && i->nh_glean != 0 && i->nh_bcast != 0)
		return true;
	dp_fail(err, DP_TABLE_FULL, "name", "no next hops are left for the interface");
	return false;
}

static void iface_free(struct iface *i)
{
	nexthop_free(i->nh_local);
	nexthop_free(i->nh_glean);
	nexthop_free(i->nh_bcast);
	iface_addrs_free(i);
	free(i->stats_base);
	rte_free(i);
}

static void clear_stats(uint16_t id)
{
	for (unsigned int k = 0; k < n_workers; k++)
		workers[k]->iface_stats[id] = (struct iface_stats){0};
}

static void set_transparent(struct iface *i)
{
	if (i->kind != IFACE_LOOPBACK && term_is_transparent(i->vrf))
		i->flags |= IFACE_F_TRANSPARENT;
	else
		i->flags &= (uint8_t)~IFACE_F_TRANSPARENT;
}

void iface_update_transparent(void)
{
	struct iface *i;

	iface_foreach (i)
		set_transparent(i);
}

static void apply_plain(struct iface *i, const struct iface_config *c)
{
	i->admin_up = c->admin_up;
	i->urpf = (uint8_t)c->urpf;
	if (c->urpf != URPF_OFF)
		i->flags |= IFACE_F_URPF;
	else
		i->flags &= (uint8_t)~IFACE_F_URPF;
	snprintf(i->description, sizeof(i->description), "%s", c->description);
	i->owner = c->owner;
	set_transparent(i);
}

static int create(const struct iface_config *c, struct dp_error *err)
{
	struct iface *parent = NULL, *i;
	struct port *p = NULL;
	uint16_t id = free_id();

	if (id == IFACE_NONE)
		return dp_fail(err, DP_TABLE_FULL, "name", "there are %d interfaces already",
			       IFACE_MAX - 1);
	if (c->vrf >= VRF_MAX || vrfs[c->vrf] == NULL)
		return dp_fail(err, DP_NOT_FOUND, "vrf", "no such network instance");
	if (c->kind == IFACE_VLAN && check_vlan(c, &parent, err) < 0)
		return -1;
	if (c->kind == IFACE_LOOPBACK && c->has_mac)
		return dp_fail(err, DP_INVALID, "mac", "a loopback has no MAC address of its own");
	i = rte_zmalloc("iface", sizeof(*i), RTE_CACHE_LINE_SIZE);
	if (i == NULL)
		return dp_fail(err, DP_NO_MEMORY, "name", "no memory");
	i->id = id;
	i->kind = (uint8_t)c->kind;
	i->vrf = c->vrf;
	i->port = UINT16_MAX;
	i->mtu_config = c->mtu;
	i->last_change_ns = now_wall_ns();
	snprintf(i->name, sizeof(i->name), "%s", c->name);
	i->stats_base = calloc(1, sizeof(*i->stats_base));
	if (i->stats_base == NULL || !alloc_specials(i, err)) {
		iface_free(i);
		return -1;
	}
	apply_plain(i, c);
	switch (c->kind) {
	case IFACE_PORT:
		if (port_create(c, &p, err) < 0) {
			iface_free(i);
			return -1;
		}
		i->port = p->id;
		rte_eth_macaddr_get(p->id, &i->mac);
		i->mtu = c->mtu != 0 ? c->mtu : p->mtu;
		break;
	case IFACE_VLAN:
		i->port = parent->port;
		i->parent = parent->id;
		i->vlan = c->vlan;
		i->mac = parent->mac;
		i->mtu = c->mtu != 0 ? c->mtu : parent->mtu;
		break;
	case IFACE_LOOPBACK:
		i->mtu = c->mtu != 0 ? c->mtu : MTU_LOOPBACK;
		rte_eth_random_addr(i->mac.addr_bytes);
		break;
	}
	clear_stats(id);
	write_specials(i);
	ifaces[id] = i;
	if (exception_iface_added(i, err) < 0) {
		ifaces[id] = NULL;
		dp_rcu_synchronize();
		if (p != NULL)
			port_destroy(p);
		iface_free(i);
		return -1;
	}
	vrfs[i->vrf]->n_ifaces++;
	if (c->kind == IFACE_PORT) {
		p->iface = id;
		port_assign_queues();
	} else if (c->kind == IFACE_VLAN) {
		ports[i->port]->vlan_iface[i->vlan] = id;
	}
	LOG_INFO("interface %s added", i->name);
	iface_update_oper(i);
	if (!i->oper_up)
		seam_event_link(i);
	return 0;
}

static int check_same(const struct iface *i, const struct iface_config *c, struct dp_error *err)
{
	struct iface_config now;

	iface_get_config(i, &now);
	if (now.kind != c->kind)
		return dp_fail(err, DP_IN_USE, "kind",
			       "it cannot be changed; delete the interface first");
	if (strcmp(now.device, c->device) != 0)
		return dp_fail(err, DP_IN_USE, "device",
			       "it is \"%s\" and cannot be changed; delete the interface first",
			       now.device);
	if (strcmp(now.parent, c->parent) != 0)
		return dp_fail(err, DP_IN_USE, "parent",
			       "it cannot be changed; delete the interface first");
	if (now.vlan != c->vlan)
		return dp_fail(err, DP_IN_USE, "vlan_id",
			       "it cannot be changed; delete the interface first");
	if (c->vrf >= VRF_MAX || vrfs[c->vrf] == NULL)
		return dp_fail(err, DP_NOT_FOUND, "vrf", "no such network instance");
	if (c->rxq != 0 && c->rxq != now.rxq)
		return dp_fail(err, DP_IN_USE, "rx_queues",
			       "it is %u and cannot be changed; delete the interface first",
			       now.rxq);
	if (c->txq != 0 && c->txq != now.txq)
		return dp_fail(err, DP_IN_USE, "tx_queues",
			       "it is %u and cannot be changed; delete the interface first",
			       now.txq);
	if (c->kind != IFACE_PORT && c->has_mac)
		return dp_fail(err, DP_INVALID, "mac", "only a port has a MAC address of its own");
	return 0;
}

static int set_mtu(struct iface *i, uint16_t mtu, struct dp_error *err)
{
	struct iface *child;

	if (mtu == i->mtu)
		return 0;
	if (i->kind == IFACE_VLAN && mtu > ifaces[i->parent]->mtu)
		return dp_fail(err, DP_INVALID, "mtu", "%u is more than the port's %u", mtu,
			       ifaces[i->parent]->mtu);
	iface_foreach (child) {
		if (child->kind == IFACE_VLAN && child->parent == i->id && child->mtu > mtu &&
		    child->mtu_config != 0)
			return dp_fail(err, DP_INVALID, "mtu", "sub-interface %s has %u",
				       child->name, child->mtu);
	}
	if (i->kind == IFACE_PORT && port_set_mtu(ports[i->port], mtu, err) < 0)
		return -1;
	i->mtu = mtu;
	write_specials(i);
	neigh_mac_changed(i);
	iface_foreach (child) {
		if (child->kind == IFACE_VLAN && child->parent == i->id && child->mtu_config == 0)
			set_mtu(child, mtu, NULL);
	}
	return 0;
}

static void mac_changed(struct iface *i)
{
	struct iface *child;

	iface_link_local_changed(i);
	neigh_mac_changed(i);
	exception_iface_changed(i);
	iface_foreach (child) {
		if (child->kind == IFACE_VLAN && child->parent == i->id) {
			child->mac = i->mac;
			mac_changed(child);
		}
	}
}

static void move_vrf(struct iface *i, uint16_t vrf)
{
	iface_addrs_delete_all(i);
	neigh_iface_deleted(i);
	vrfs[i->vrf]->n_ifaces--;
	i->vrf = vrf;
	vrfs[i->vrf]->n_ifaces++;
	write_specials(i);
}

static int change(struct iface *i, const struct iface_config *c, struct dp_error *err)
{
	struct port *p = iface_port(i);
	uint16_t old_mtu = i->mtu, mtu = c->mtu;
	struct rte_ether_addr mac = i->mac;

	if (check_same(i, c, err) < 0)
		return -1;
	if (c->vrf != i->vrf && iface_next_hops(i) != 0)
		return dp_fail(err, DP_IN_USE, "vrf", "%u next hops lead out of the interface",
			       iface_next_hops(i));
	if (mtu == 0 && i->mtu_config != 0)
		mtu = i->kind == IFACE_VLAN	  ? ifaces[i->parent]->mtu
		      : i->kind == IFACE_LOOPBACK ? MTU_LOOPBACK
						  : MTU_DEFAULT;
	if (mtu != 0 && set_mtu(i, mtu, err) < 0)
		return -1;
	if (c->has_mac)
		mac = c->mac;
	else if (p != NULL && rte_is_valid_assigned_ether_addr(&p->own_mac))
		mac = p->own_mac;
	if (p != NULL && !rte_is_same_ether_addr(&mac, &i->mac)) {
		if (port_set_mac(p, &mac, err) < 0) {
			set_mtu(i, old_mtu, NULL);
			return -1;
		}
		i->mac = mac;
		mac_changed(i);
	}
	if (p != NULL && c->promiscuous != p->promisc &&
	    port_set_promisc(p, c->promiscuous, err) < 0) {
		set_mtu(i, old_mtu, NULL);
		return -1;
	}
	if (c->vrf != i->vrf)
		move_vrf(i, c->vrf);
	i->mtu_config = c->mtu;
	apply_plain(i, c);
	exception_iface_changed(i);
	iface_update_oper(i);
	return 0;
}

int iface_set(const struct iface_config *c, struct dp_error *err)
{
	struct iface *i = iface_find(c->name);

	return i != NULL ? change(i, c, err) : create(c, err);
}

unsigned int iface_next_hops(const struct iface *i)
{
	const struct nh_obj *o;
	unsigned int n = 0;
	uint32_t pos = 0;

	while ((o = nh_obj_next(&pos)) != NULL)
		n += (o->kind == NHK_GATEWAY || o->kind == NHK_INTERFACE) && o->iface == i->id;
	return n;
}

int iface_delete(struct iface *i, struct dp_error *err)
{
	struct port *p = iface_port(i);
	struct iface *child;

	iface_foreach (child) {
		if (child->kind == IFACE_VLAN && child->parent == i->id)
			return dp_fail(err, DP_IN_USE, "name", "sub-interface %s is on it",
				       child->name);
	}
	if (iface_next_hops(i) != 0)
		return dp_fail(err, DP_IN_USE, "name", "%u next hops lead out of it",
			       iface_next_hops(i));
	i->admin_up = false;
	iface_update_oper(i);
	if (i->kind == IFACE_VLAN)
		ports[i->port]->vlan_iface[i->vlan] = IFACE_NONE;
	if (p != NULL)
		p->iface = IFACE_NONE;
	ra_delete(i, NULL);
	iface_addrs_delete_all(i);
	neigh_iface_deleted(i);
	exception_iface_deleted(i);
	vrfs[i->vrf]->n_ifaces--;
	ifaces[i->id] = NULL;
	dp_rcu_synchronize();
	if (p != NULL)
		port_destroy(p);
	LOG_INFO("interface %s deleted", i->name);
	iface_free(i);
	return 0;
}

void iface_get_config(const struct iface *i, struct iface_config *c)
{
	const struct port *p = iface_port(i);

	*c = (struct iface_config){
		.kind = i->kind,
		.vlan = i->vlan,
		.vrf = i->vrf,
		.mtu = i->mtu_config,
		.mac = i->mac,
		.admin_up = i->admin_up,
		.urpf = i->urpf,
		.owner = i->owner,
	};
	snprintf(c->name, sizeof(c->name), "%s", i->name);
	snprintf(c->description, sizeof(c->description), "%s", i->description);
	if (i->kind == IFACE_VLAN)
		snprintf(c->parent, sizeof(c->parent), "%s", ifaces[i->parent]->name);
	if (p != NULL) {
		snprintf(c->device, sizeof(c->device), "%s", p->device);
		c->has_mac = true;
		c->promiscuous = p->promisc;
		c->rxq = p->n_rxq;
		c->txq = p->n_txq;
		c->rxd = p->n_rxd;
		c->txd = p->n_txd;
	}
}
