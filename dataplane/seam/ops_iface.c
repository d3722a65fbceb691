/* SPDX-License-Identifier: Apache-2.0 */
/* Network instances, interfaces, and what belongs to an interface. */
#include <stdio.h>

#include "../iface/iface.h"
#include "../neigh/neigh.h"
#include "../vrf/vrf.h"
#include "ops.h"
#include "valid.h"

/* rte_fib's 31-bit values and the memory of a machine that does this. */
#define ROUTES_MAX (16u << 20)

static struct owner_tag ra_owners[IFACE_MAX];

/* ---- network instances ----------------------------------------------------------------------- */

int op_vrf(const PB(Vrf) *m, struct owner_tag tag, struct dp_error *err)
{
	const struct vrf *v;

	if (valid_known(&m->base, err) < 0 || valid_vrf_name(m->name, "name", err) < 0 ||
	    valid_range(m->ip4_routes, 0, ROUTES_MAX, "ip4_routes", err) < 0 ||
	    valid_range(m->ip6_routes, 0, ROUTES_MAX, "ip6_routes", err) < 0)
		return -1;
	v = vrf_find(m->name);
	if (v != NULL && owner_may_write(&v->owner, tag.owner, err) < 0)
		return -1;
	/* It is everybody's, and stays when its writer goes. */
	if (v != NULL && v->id == VRF_DEFAULT)
		tag = v->owner;
	return vrf_set(m->name, m->ip4_routes, m->ip6_routes, tag, err);
}

int op_vrf_delete(const PB(VrfKey) *m, struct owner_tag tag, struct dp_error *err)
{
	struct vrf *v;

	if (valid_known(&m->base, err) < 0 || valid_vrf_name(m->name, "name", err) < 0)
		return -1;
	v = valid_vrf(m->name, "name", err);
	if (v == NULL)
		return -1;
	if (v->id == VRF_DEFAULT)
		return dp_fail(err, DP_INVALID, "name", "the default instance always exists");
	if (owner_may_write(&v->owner, tag.owner, err) < 0)
		return -1;
	return vrf_delete(v, err);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static int interface_port(const PB(Interface) *m, struct iface_config *c, struct dp_error *err)
{
	if (*m->device == '\0')
		return dp_fail(err, DP_INVALID, "device", "must be set for a port");
	if (valid_text(m->device, sizeof(c->device) - 1, "device", err) < 0 ||
	    valid_empty(*m->parent == '\0', "parent", "for a port", err) < 0 ||
	    valid_empty(m->vlan_id == 0, "vlan_id", "for a port", err) < 0)
		return -1;
	for (const char *s = m->device; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return dp_fail(err, DP_INVALID, "device",
				       "may have only printable ASCII without blanks");
	if (m->mac.len != 0) {
		if (valid_mac(&m->mac, &c->mac, "mac", err) < 0)
			return -1;
		c->has_mac = true;
	}
	if (valid_range(m->rx_queues, 0, 256, "rx_queues", err) < 0 ||
	    valid_range(m->tx_queues, 0, 256, "tx_queues", err) < 0 ||
	    valid_range(m->rx_descriptors, 0, 32768, "rx_descriptors", err) < 0 ||
	    valid_range(m->tx_descriptors, 0, 32768, "tx_descriptors", err) < 0)
		return -1;
	snprintf(c->device, sizeof(c->device), "%s", m->device);
	c->promiscuous = m->promiscuous;
	c->rxq = (uint16_t)m->rx_queues;
	c->txq = (uint16_t)m->tx_queues;
	c->rxd = (uint16_t)m->rx_descriptors;
	c->txd = (uint16_t)m->tx_descriptors;
	return 0;
}

/* What only a port has. */
static int interface_no_port(const PB(Interface) *m, const char *why, struct dp_error *err)
{
	if (valid_empty(*m->device == '\0', "device", why, err) < 0 ||
	    valid_empty(m->mac.len == 0, "mac", why, err) < 0 ||
	    valid_empty(!m->promiscuous, "promiscuous", why, err) < 0 ||
	    valid_empty(m->rx_queues == 0, "rx_queues", why, err) < 0 ||
	    valid_empty(m->tx_queues == 0, "tx_queues", why, err) < 0 ||
	    valid_empty(m->rx_descriptors == 0, "rx_descriptors", why, err) < 0 ||
	    valid_empty(m->tx_descriptors == 0, "tx_descriptors", why, err) < 0)
		return -1;
	return 0;
}

static int interface_vlan(const PB(Interface) *m, struct iface_config *c, struct dp_error *err)
{
	const struct iface *parent;

	if (interface_no_port(m, "for a VLAN", err) < 0 ||
	    valid_range(m->vlan_id, 1, 4094, "vlan_id", err) < 0)
		return -1;
	parent = valid_iface(m->parent, "parent", err);
	if (parent == NULL)
		return -1;
	if (parent->kind != IFACE_PORT)
		return dp_fail(err, DP_INVALID, "parent", "%s is not a port", parent->name);
	snprintf(c->parent, sizeof(c->parent), "%s", m->parent);
	c->vlan = (uint16_t)m->vlan_id;
	return 0;
}

static int interface_loopback(const PB(Interface) *m, struct dp_error *err)
{
	if (interface_no_port(m, "for a loopback", err) < 0 ||
	    valid_empty(*m->parent == '\0', "parent", "for a loopback", err) < 0 ||
	    valid_empty(m->vlan_id == 0, "vlan_id", "for a loopback", err) < 0)
		return -1;
	return 0;
}

static bool has_ip6(const struct iface *i)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (i->addrs[k].addr.len == 16)
			return true;
	return false;
}

int op_interface(const PB(Interface) *m, struct owner_tag tag, struct dp_error *err)
{
	struct iface_config c = {.owner = tag};
	const struct iface *have;
	const struct vrf *v;
	int rc;

	if (valid_known(&m->base, err) < 0 || valid_iface_name(m->name, "name", err) < 0 ||
	    valid_text(m->description, sizeof(c.description) - 1, "description", err) < 0)
		return -1;
	have = iface_find(m->name);
	if (have != NULL && owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	v = valid_vrf(m->vrf, "vrf", err);
	if (v == NULL)
		return -1;
	if (m->mtu != 0 &&
	    valid_range(m->mtu, have != NULL && has_ip6(have) ? 1280 : 68, 9000, "mtu", err) < 0)
		return -1;
	if (valid_range((uint64_t)m->urpf, URPF_OFF, URPF_STRICT, "urpf", err) < 0)
		return -1;
	switch (m->kind) {
	case PBC(INTERFACE_KIND__INTERFACE_KIND_PORT):
		rc = interface_port(m, &c, err);
		break;
	case PBC(INTERFACE_KIND__INTERFACE_KIND_VLAN):
		rc = interface_vlan(m, &c, err);
		break;
	case PBC(INTERFACE_KIND__INTERFACE_KIND_LOOPBACK):
		rc = interface_loopback(m, err);
		break;
	default:
		return dp_fail(err, DP_INVALID, "kind", "%d is not a kind of interface", m->kind);
	}
	if (rc < 0)
		return -1;
	c.kind = (enum iface_kind)m->kind;
	c.vrf = v->id;
	c.mtu = (uint16_t)m->mtu;
	c.admin_up = m->admin_up;
	c.urpf = (enum urpf_mode)m->urpf;
	snprintf(c.name, sizeof(c.name), "%s", m->name);
	snprintf(c.description, sizeof(c.description), "%s", m->description);
	return iface_set(&c, err);
}

int op_interface_delete(const PB(InterfaceKey) *m, struct owner_tag tag, struct dp_error *err)
{
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->name, "name", err);
	if (i == NULL || owner_may_write(&i->owner, tag.owner, err) < 0)
		return -1;
	return iface_delete(i, err);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* The network and the broadcast address of an IPv4 prefix are no host's, but in /31 (RFC 3021) and
 * /32. */
static int valid_in_prefix(const struct ip_addr *a, uint32_t plen, struct dp_error *err)
{
	uint32_t addr, host;

	if (a->len != 4 || plen > 30)
		return 0;
	addr = (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 | (uint32_t)a->b[2] << 8 | a->b[3];
	host = UINT32_MAX >> plen;
	if ((addr & host) == 0)
		return dp_fail(err, DP_INVALID, "address", "is the network address of its prefix");
	if ((addr & host) == host)
		return dp_fail(err, DP_INVALID, "address",
			       "is the broadcast address of its prefix");
	return 0;
}

int op_address(const PB(Address) *m, struct owner_tag tag, struct dp_error *err)
{
	const struct iface_addr *have;
	struct ip_addr a;
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->interface, "interface", err);
	if (i == NULL || valid_addr(&m->address, &a, "address", err) < 0 ||
	    valid_range(m->prefix_len, 1, a.len * 8u, "prefix_len", err) < 0)
		return -1;
	/* 127/8 and ::1 may be put on a loopback, which no packet from a link reaches. */
	if (!(i->kind == IFACE_LOOPBACK && ip_addr_is_loopback(&a)) &&
	    valid_host(&a, "address", err) < 0)
		return -1;
	if (valid_range((uint64_t)m->kind, 0, 1, "kind", err) < 0)
		return -1;
	if (m->kind == PBC(ADDRESS_KIND__ADDRESS_KIND_VIRTUAL) && m->prefix_len != a.len * 8u)
		return dp_fail(err, DP_INVALID, "prefix_len", "must be %u for a virtual address",
			       a.len * 8u);
	if (valid_in_prefix(&a, m->prefix_len, err) < 0)
		return -1;
	if (a.len == 16 && i->mtu < 1280)
		return dp_fail(err, DP_INVALID, "address",
			       "IPv6 needs an MTU of 1280, and that of %s is %u", i->name, i->mtu);
	have = iface_addr_find(i, &a);
	if (have != NULL && owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	if (m->kind == PBC(ADDRESS_KIND__ADDRESS_KIND_VIRTUAL))
		return iface_vip_set(i, &a, tag, err);
	return iface_addr_set(i, &a, (uint8_t)m->prefix_len, tag, err);
}

int op_address_delete(const PB(AddressKey) *m, struct owner_tag tag, struct dp_error *err)
{
	const struct iface_addr *have;
	struct ip_addr a;
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->interface, "interface", err);
	if (i == NULL || valid_addr(&m->address, &a, "address", err) < 0)
		return -1;
	have = iface_addr_find(i, &a);
	if (have == NULL)
		return dp_fail(err, DP_NOT_FOUND, "address", "%s has no such address", i->name);
	if (have->automatic)
		return dp_fail(err, DP_PERMISSION, "address",
			       "is the link-local address: it goes with the last IPv6 address");
	if (owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	return iface_addr_delete(i, &a, err);
}

/* ---- neighbours ------------------------------------------------------------------------------ */

int op_neighbor(const PB(Neighbor) *m, struct owner_tag tag, struct dp_error *err)
{
	struct rte_ether_addr mac;
	const struct neigh *have;
	struct ip_addr a;
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->interface, "interface", err);
	if (i == NULL || valid_addr(&m->address, &a, "address", err) < 0 ||
	    valid_host(&a, "address", err) < 0 || valid_mac(&m->mac, &mac, "mac", err) < 0)
		return -1;
	if (i->kind == IFACE_LOOPBACK)
		return dp_fail(err, DP_INVALID, "interface",
			       "%s is a loopback: it has no neighbours", i->name);
	if (iface_addr_find(i, &a) != NULL)
		return dp_fail(err, DP_INVALID, "address", "is one of %s itself", i->name);
	have = neigh_find(i, &a);
	if (have != NULL && have->nud == NUD_STATIC &&
	    owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	return neigh_static_set(i, &a, &mac, tag, err);
}

int op_neighbor_delete(const PB(NeighborKey) *m, struct owner_tag tag, struct dp_error *err)
{
	const struct neigh *have;
	struct ip_addr a;
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->interface, "interface", err);
	if (i == NULL || valid_addr(&m->address, &a, "address", err) < 0)
		return -1;
	have = neigh_find(i, &a);
	if (have == NULL || have->nud != NUD_STATIC)
		return dp_fail(err, DP_NOT_FOUND, "address", "%s has no such static neighbour",
			       i->name);
	if (owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	return neigh_static_delete(i, &a, tag.owner, err);
}

/* ---- router advertisements ------------------------------------------------------------------- */

struct owner_tag ra_owner(const struct iface *i)
{
	return ra_owners[i->id];
}

/* Ranges and relations of RFC 4861 section 6.2.1. */
static int ra_values(const PB(RouterAdvertisement) *m, struct ra_config *c, struct dp_error *err)
{
	c->max_interval = m->max_interval != 0 ? m->max_interval : 600;
	if (valid_range(c->max_interval, 4, 1800, "max_interval", err) < 0)
		return -1;
	c->min_interval = m->min_interval;
	if (c->min_interval == 0)
		c->min_interval = c->max_interval >= 9 ? c->max_interval / 3 : 3;
	if (valid_range(c->min_interval, 3, RTE_MAX(c->max_interval * 3 / 4, 3u), "min_interval",
			err) < 0)
		return -1;
	c->router_lifetime = m->router_lifetime;
	if (c->router_lifetime != 0 &&
	    valid_range(c->router_lifetime, c->max_interval, 9000, "router_lifetime", err) < 0)
		return -1;
	c->valid_lifetime = m->valid_lifetime != 0 ? m->valid_lifetime : 2592000;
	c->preferred_lifetime = m->preferred_lifetime != 0 ? m->preferred_lifetime : 604800;
	/* The default gives way to a shorter valid lifetime that was asked for. */
	if (m->preferred_lifetime == 0 && c->preferred_lifetime > c->valid_lifetime)
		c->preferred_lifetime = c->valid_lifetime;
	if (c->preferred_lifetime > c->valid_lifetime)
		return dp_fail(err, DP_INVALID, "preferred_lifetime",
			       "must not be longer than valid_lifetime");
	c->managed = m->managed;
	c->other = m->other_config;
	c->suppress_prefixes = m->suppress_prefixes;
	c->send_mtu = m->send_mtu;
	return 0;
}

int op_ra(const PB(RouterAdvertisement) *m, struct owner_tag tag, struct dp_error *err)
{
	struct ra_config c = {.owner = tag};
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->interface, "interface", err);
	if (i == NULL || ra_values(m, &c, err) < 0)
		return -1;
	if (i->kind == IFACE_LOOPBACK)
		return dp_fail(err, DP_INVALID, "interface", "%s is a loopback", i->name);
	if (i->ra != NULL && owner_may_write(&ra_owners[i->id], tag.owner, err) < 0)
		return -1;
	if (ra_set(i, &c, err) < 0)
		return -1;
	ra_owners[i->id] = tag;
	return 0;
}

int op_ra_delete(const PB(InterfaceKey) *m, struct owner_tag tag, struct dp_error *err)
{
	struct iface *i;

	if (valid_known(&m->base, err) < 0)
		return -1;
	i = valid_iface(m->name, "name", err);
	if (i == NULL)
		return -1;
	if (i->ra == NULL)
		return dp_fail(err, DP_NOT_FOUND, "name", "%s sends no router advertisements",
			       i->name);
	if (owner_may_write(&ra_owners[i->id], tag.owner, err) < 0)
		return -1;
	return ra_delete(i, err);
}
