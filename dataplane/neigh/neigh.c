/* SPDX-License-Identifier: Apache-2.0 */
/* The entries: found, made, pinned, set by hand, flushed, and what becomes of them when their
 * interface changes. */
#include "internal.h"

struct neigh *neigh_find(const struct iface *i, const struct ip_addr *addr)
{
	struct neigh_ent *e = neigh_table_find(i, addr);

	return e == NULL ? NULL : &e->n;
}

static bool addr_is_unicast(const struct ip_addr *a)
{
	static const uint8_t zero[16];

	if (a->len == 4)
		return a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 224;
	if (a->len != 16 || a->b[0] == 0xff || memcmp(a->b, zero, 15) == 0)
		return false;
	return true;
}

/* A duplicate is not ours: it belongs to the other host, who is a neighbour as any. */
static bool is_own(struct iface *i, const struct ip_addr *addr)
{
	const struct iface_addr *a = iface_addr_find(i, addr);

	return a != NULL && a->dad != DAD_DUPLICATE;
}

static int check_addr(struct iface *i, const struct ip_addr *addr, struct dp_error *err)
{
	char buf[IP_ADDR_STRLEN];

	if (addr->len != 4 && addr->len != 16)
		return dp_fail(err, DP_INVALID, "address", "must have 4 or 16 bytes, has %u",
			       addr->len);
	if (!addr_is_unicast(addr) || (addr->len == 4 && neigh_is_broadcast4(i, addr)))
		return dp_fail(err, DP_INVALID, "address", "%s is no unicast address",
			       ip_addr_str(addr, buf));
	if (i->kind == IFACE_LOOPBACK)
		return dp_fail(err, DP_INVALID, "interface", "loopback %s has no neighbours",
			       i->name);
	if (is_own(i, addr))
		return dp_fail(err, DP_INVALID, "address", "%s is an address of %s itself",
			       ip_addr_str(addr, buf), i->name);
	return 0;
}

struct neigh_ent *neigh_get(struct iface *i, const struct ip_addr *addr, struct dp_error *err)
{
	struct neigh_ent *e = neigh_table_find(i, addr);

	if (e != NULL)
		return e;
	if (check_addr(i, addr, err) < 0)
		return NULL;
	e = neigh_table_add(i, addr, err);
	if (e != NULL)
		neigh_start(e, neigh_now());
	return e;
}

struct neigh_ent *neigh_learn(struct iface *i, const struct ip_addr *addr,
			      const struct rte_ether_addr *mac)
{
	struct neigh_ent *e = neigh_table_find(i, addr);

	if (e == NULL) {
		if (!iface_is_up(i) || check_addr(i, addr, NULL) < 0)
			return NULL;
		e = neigh_table_add(i, addr, NULL);
		if (e == NULL)
			return NULL;
	}
	neigh_set_mac(e, mac, NUD_STALE);
	return e;
}

struct neigh *neigh_pin(struct iface *i, const struct ip_addr *addr, struct dp_error *err)
{
	struct neigh_ent *e = neigh_get(i, addr, err);

	if (e == NULL)
		return NULL;
	if (e->n.pins++ == 0) {
		neigh_table_reclass(e, neigh_class_of(e));
		if (e->n.nud == NUD_STALE || (e->n.nud == NUD_FAILED && iface_is_up(i)))
			neigh_table_timer(e, neigh_now());
	}
	return &e->n;
}

void neigh_unpin(struct neigh *n)
{
	struct neigh_ent *e = neigh_ent(n);

	if (n->pins == 0 || --n->pins > 0)
		return;
	neigh_table_reclass(e, neigh_class_of(e));
	if (n->nud == NUD_FAILED)
		neigh_table_timer(e, neigh_now() + FAILED_HOLD_NS);
}

int neigh_static_set(struct iface *i, const struct ip_addr *addr, const struct rte_ether_addr *mac,
		     struct owner_tag owner, struct dp_error *err)
{
	struct neigh_ent *e = neigh_table_find(i, addr);

	if (!rte_is_valid_assigned_ether_addr(mac))
		return dp_fail(err, DP_INVALID, "mac", "must be a unicast address other than zero");
	if (e == NULL) {
		if (check_addr(i, addr, err) < 0)
			return -1;
		e = neigh_table_add(i, addr, err);
		if (e == NULL)
			return -1;
	}
	e->n.owner = owner;
	if (e->n.nud != NUD_STATIC || !rte_is_same_ether_addr(mac, &e->n.mac)) {
		e->n.mac = *mac;
		e->n.confirmed_ns = neigh_now();
		neigh_set_state(e, NUD_STATIC, neigh_now(), true);
		if (iface_is_up(i))
			neigh_queue_flush(e);
		else
			neigh_queue_fail(e);
	}
	return 0;
}

int neigh_static_delete(struct iface *i, const struct ip_addr *addr, uint8_t owner,
			struct dp_error *err)
{
	struct neigh_ent *e = neigh_table_find(i, addr);
	char buf[IP_ADDR_STRLEN];

	if (e == NULL || e->n.nud != NUD_STATIC)
		return dp_fail(err, DP_NOT_FOUND, "address", "%s has no static neighbour %s",
			       i->name, ip_addr_str(addr, buf));
	if (e->n.owner.owner != owner)
		return dp_fail(err, DP_PERMISSION, "address", "%s belongs to another client",
			       ip_addr_str(addr, buf));
	if (e->n.pins == 0) {
		neigh_remove(e);
		return 0;
	}
	memset(&e->n.owner, 0, sizeof(e->n.owner));
	neigh_start(e, neigh_now());
	return 0;
}

static unsigned int flush_one(struct neigh_ent *e)
{
	if (e->n.nud == NUD_STATIC)
		return 0;
	if (e->n.pins == 0)
		neigh_remove(e);
	else
		neigh_start(e, neigh_now());
	return 1;
}

unsigned int neigh_flush(struct iface *i, const struct ip_addr *addr)
{
	struct neigh_ent *e, *next;
	unsigned int n = 0;

	if (i == NULL) {
		iface_foreach (i)
			n += neigh_flush(i, addr);
		return n;
	}
	if (addr != NULL) {
		e = neigh_table_find(i, addr);
		return e == NULL ? 0 : flush_one(e);
	}
	for (e = neigh_table_iface_first(i); e != NULL; e = next) {
		next = neigh_table_iface_after(e);
		n += flush_one(e);
	}
	return n;
}

/* ---- the interface's side ---- */

void neigh_iface_up(struct iface *i)
{
	const uint64_t now = neigh_now();
	struct neigh_ent *e;

	if (!iface_is_up(i))
		return;
	for (e = neigh_table_iface_first(i); e != NULL; e = neigh_table_iface_after(e)) {
		/* Still DOWN until it answers, so that a group does not lose packets to a gateway
		 * that may not be there. */
		if (e->n.nud == NUD_FAILED && e->n.pins > 0) {
			e->backoff = 0;
			neigh_table_timer(e, now);
		}
		neigh_write_nh(e, true);
		neigh_sync_route(e);
	}
	ra_iface_up(i);
}

void neigh_iface_down(struct iface *i)
{
	struct neigh_ent *e, *next;

	ra_iface_down(i);
	for (e = neigh_table_iface_first(i); e != NULL; e = next) {
		next = neigh_table_iface_after(e);
		if (e->n.nud == NUD_STATIC) {
			neigh_write_nh(e, true);
			neigh_sync_route(e);
		} else if (e->n.pins > 0) {
			neigh_fail(e, neigh_now());
		} else {
			neigh_remove(e);
		}
	}
}

void neigh_iface_deleted(struct iface *i)
{
	struct neigh_ent *e;

	ra_iface_deleted(i);
	while ((e = neigh_table_iface_first(i)) != NULL)
		neigh_remove(e);
}

void neigh_mac_changed(struct iface *i)
{
	struct neigh_ent *e;

	for (e = neigh_table_iface_first(i); e != NULL; e = neigh_table_iface_after(e))
		neigh_write_nh(e, true);
	/* The others have the old one in their tables. */
	if (iface_is_up(i))
		for (unsigned int k = 0; k < i->n_addrs; k++)
			neigh_addr_added(i, &i->addrs[k]);
}

void neigh_addr_deleted(struct iface *i, const struct ip_addr *addr)
{
	struct neigh_ent *e, *next;

	for (e = neigh_table_iface_first(i); e != NULL; e = next) {
		next = neigh_table_iface_after(e);
		if (e->n.addr.len != addr->len)
			continue;
		/* The prefix may have gone with it. */
		if (e->n.pins == 0 && e->n.nud != NUD_STATIC && !e->interface_route &&
		    !neigh_on_link(i, &e->n.addr))
			neigh_remove(e);
		else
			neigh_sync_route(e);
	}
	if (addr->len == 16)
		ra_changed(i);
}
