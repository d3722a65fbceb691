/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of interfaces: their routes, their mirror on the TAP, and what workers read of them. */
#include <stdio.h>
#include <stdlib.h>

#include <rte_malloc.h>

#include "../core/log.h"
#include "../core/worker.h"
#include "../exception/exception.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../neigh/neigh.h"
#include "../ip6/own.h"
#include "../seam/seam.h"
#include "iface_private.h"

#define ADDRS_MAX 256

uint64_t iface_local4_bloom[1024];

struct iface_addr *iface_addr_find(struct iface *i, const struct ip_addr *addr)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (ip_addr_eq(&i->addrs[k].addr, addr))
			return &i->addrs[k];
	return NULL;
}

bool iface_addr_is_local(uint16_t vrf, const struct ip_addr *addr, struct iface **found)
{
	struct iface *i;

	iface_foreach (i) {
		if (i->vrf == vrf && iface_addr_find(i, addr) != NULL) {
			if (found != NULL)
				*found = i;
			return true;
		}
	}
	return false;
}

static void bloom_rebuild(void)
{
	uint64_t bits[RTE_DIM(iface_local4_bloom)] = {0};
	struct iface *i;

	iface_foreach (i) {
		for (unsigned int k = 0; k < i->n_addrs; k++) {
			if (i->addrs[k].addr.len == 4) {
				uint32_t h = iface_local4_hash(ip_addr_v4(&i->addrs[k].addr));

				bits[h >> 6] |= 1ull << (h & 63);
			}
		}
	}
	for (unsigned int k = 0; k < RTE_DIM(bits); k++)
		__atomic_store_n(&iface_local4_bloom[k], bits[k], __ATOMIC_RELAXED);
	ip6_own_rebuild();
}

static uint32_t mask4(uint8_t plen)
{
	return plen == 0 ? 0 : rte_cpu_to_be_32(UINT32_MAX << (32 - plen));
}

static void view_publish(struct iface *i)
{
	struct iface_addr_view *v, *old = i->view;
	unsigned int n4 = 0, n6 = 0, flags = 0;
	size_t size;

	for (unsigned int k = 0; k < i->n_addrs; k++) {
		flags |= i->addrs[k].addr.len == 4 ? IFACE_F_IP4 : IFACE_F_IP6;
		if (i->addrs[k].dad != DAD_PREFERRED)
			continue;
		if (i->addrs[k].addr.len == 4)
			n4++;
		else
			n6++;
	}
	size = sizeof(*v) + n4 * sizeof(v->v4[0]) + n6 * sizeof(v->v6[0]);
	v = rte_zmalloc("addrs", size, RTE_CACHE_LINE_SIZE);
	if (v == NULL) {
		LOG_ERR("no memory to publish the addresses of %s", i->name);
		return;
	}
	v->v4 = (void *)(v + 1);
	v->v6 = (void *)(v->v4 + n4);
	/* Link-local first, then in the order they were given, then virtual ones. */
	for (int round = 0; round < 3; round++) {
		for (unsigned int k = 0; k < i->n_addrs; k++) {
			const struct iface_addr *a = &i->addrs[k];
			const int turn = ip_addr_is_link_local(&a->addr) ? 0 : a->vip ? 2 : 1;

			if (a->dad != DAD_PREFERRED || turn != round)
				continue;
			if (a->addr.len == 4) {
				v->v4[v->n4].addr = ip_addr_v4(&a->addr);
				v->v4[v->n4++].mask = mask4(a->plen);
			} else {
				memcpy(v->v6[v->n6].addr, a->addr.b, 16);
				v->v6[v->n6++].plen = a->plen;
			}
		}
	}
	i->flags = (uint8_t)((i->flags & ~(IFACE_F_IP4 | IFACE_F_IP6)) | flags);
	__atomic_store_n(&i->view, v, __ATOMIC_RELEASE);
	if (old != NULL) {
		dp_rcu_synchronize();
		rte_free(old);
	}
}

static struct ip_addr network_of(const struct ip_addr *a, uint8_t plen)
{
	struct ip_addr n = {.len = a->len};

	memcpy(n.b, a->b, plen / 8);
	if (plen % 8 != 0)
		n.b[plen / 8] = (uint8_t)(a->b[plen / 8] & (0xff << (8 - plen % 8)));
	return n;
}

static struct ip_addr broadcast_of(const struct ip_addr *a, uint8_t plen)
{
	return ip_addr4(ip_addr_v4(a) | ~mask4(plen));
}

static bool has_connected(const struct iface *i, const struct ip_addr *a, uint8_t plen)
{
	return i->kind != IFACE_LOOPBACK && plen < a->len * 8 && !ip_addr_is_link_local(a);
}

/* True if another address of the interface has the same prefix. */
static bool prefix_shared(const struct iface *i, const struct iface_addr *a)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (&i->addrs[k] != a && i->addrs[k].plen == a->plen &&
		    ip_prefix_match(&i->addrs[k].addr, &a->addr, a->plen))
			return true;
	return false;
}

static int own(const struct iface *i, const struct ip_addr *p, uint8_t plen, uint32_t nh,
	       enum route_origin origin, struct dp_error *err)
{
	uint32_t gid = group_of_nexthop(nh);

	if (gid == 0)
		return dp_fail(err, DP_TABLE_FULL, "address",
			       "no next-hop group is left for its routes");
	return fib_own_set(i->vrf, p, plen, gid, origin, err);
}

static int routes_add(struct iface *i, const struct iface_addr *a, struct dp_error *err)
{
	const uint8_t host = (uint8_t)(a->addr.len * 8);
	struct ip_addr net = network_of(&a->addr, a->plen);

	if (!has_connected(i, &a->addr, a->plen))
		return 0;
	if (own(i, &net, a->plen, i->nh_glean, ROUTE_CONNECTED, err) < 0)
		return -1;
	if (a->addr.len == 4 && a->plen <= 30) {
		struct ip_addr bcast = broadcast_of(&a->addr, a->plen);

		own(i, &net, host, i->nh_bcast, ROUTE_BROADCAST, NULL);
		own(i, &bcast, host, i->nh_bcast, ROUTE_BROADCAST, NULL);
	}
	return 0;
}

static int local_add(struct iface *i, const struct iface_addr *a, struct dp_error *err)
{
	/* Link-local addresses mean something on their link only: ip6-input looks at the
	 * interface's. */
	if (ip_addr_is_link_local(&a->addr))
		return 0;
	return own(i, &a->addr, (uint8_t)(a->addr.len * 8), i->nh_local, ROUTE_LOCAL, err);
}

static void routes_delete(struct iface *i, const struct iface_addr *a)
{
	const uint8_t host = (uint8_t)(a->addr.len * 8);
	struct ip_addr net = network_of(&a->addr, a->plen);

	fib_own_delete(i->vrf, &a->addr, host, ROUTE_LOCAL);
	if (!has_connected(i, &a->addr, a->plen) || prefix_shared(i, a))
		return;
	if (a->addr.len == 4 && a->plen <= 30) {
		struct ip_addr bcast = broadcast_of(&a->addr, a->plen);

		fib_own_delete(i->vrf, &net, host, ROUTE_BROADCAST);
		fib_own_delete(i->vrf, &bcast, host, ROUTE_BROADCAST);
	}
	fib_own_delete(i->vrf, &net, a->plen, ROUTE_CONNECTED);
}

static struct iface_addr *append(struct iface *i, const struct iface_addr *a)
{
	struct iface_addr *p = realloc(i->addrs, (i->n_addrs + 1) * sizeof(*p));

	if (p == NULL)
		return NULL;
	i->addrs = p;
	p[i->n_addrs] = *a;
	return &p[i->n_addrs++];
}

static void drop_entry(struct iface *i, struct iface_addr *a)
{
	unsigned int at = (unsigned int)(a - i->addrs);

	memmove(a, a + 1, (i->n_addrs - at - 1) * sizeof(*a));
	i->n_addrs--;
}

static int add_one(struct iface *i, const struct iface_addr *want, struct dp_error *err)
{
	struct iface_addr *a = append(i, want);

	if (a == NULL)
		return dp_fail(err, DP_NO_MEMORY, "address", "no memory");
	if (routes_add(i, a, err) < 0 || (a->dad == DAD_PREFERRED && local_add(i, a, err) < 0)) {
		routes_delete(i, a);
		drop_entry(i, a);
		return -1;
	}
	bloom_rebuild();
	view_publish(i);
	if (a->dad == DAD_PREFERRED)
		exception_addr_added(i, a);
	seam_event_address(i, a);
	neigh_addr_added(i, a);
	return 0;
}

static struct ip_addr link_local_of(const struct iface *i)
{
	const uint8_t *m = i->mac.addr_bytes;
	/* Modified EUI-64, RFC 4291 appendix A. */
	const uint8_t b[16] = {0xfe,	 0x80, 0,    0,	   0,	 0,    0,    0,
			       m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};

	return ip_addr6(b);
}

static bool has_ip6(const struct iface *i, bool automatic)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (i->addrs[k].addr.len == 16 && i->addrs[k].automatic == automatic)
			return true;
	return false;
}

static bool has_manual_link_local(const struct iface *i)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (ip_addr_is_link_local(&i->addrs[k].addr) && !i->addrs[k].automatic)
			return true;
	return false;
}

/* An interface with IPv6 has exactly one automatic link-local address unless it was given one. */
static void link_local_update(struct iface *i)
{
	struct iface_addr want = {.plen = 64, .dad = DAD_TENTATIVE, .automatic = true};
	bool need = i->kind != IFACE_LOOPBACK && has_ip6(i, false) && !has_manual_link_local(i);

	if (need == has_ip6(i, true))
		return;
	if (need) {
		want.addr = link_local_of(i);
		add_one(i, &want, NULL);
		return;
	}
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		if (i->addrs[k].automatic) {
			struct ip_addr addr = i->addrs[k].addr;

			iface_addr_delete(i, &addr, NULL);
			return;
		}
	}
}

void iface_link_local_changed(struct iface *i)
{
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		if (i->addrs[k].automatic) {
			struct ip_addr addr = i->addrs[k].addr;

			i->addrs[k].automatic = false;
			iface_addr_delete(i, &addr, NULL);
			break;
		}
	}
	link_local_update(i);
}

static int addr_set(struct iface *i, const struct ip_addr *addr, uint8_t plen, bool vip,
		    struct owner_tag owner, struct dp_error *err)
{
	struct iface_addr want = {.addr = *addr, .plen = plen, .vip = vip, .owner = owner};
	struct iface_addr *a = iface_addr_find(i, addr);
	struct iface *other;

	if (a != NULL) {
		if (a->plen != plen)
			return dp_fail(err, DP_IN_USE, "prefix_len",
				       "the address has prefix length %u; delete it first",
				       a->plen);
		a->owner = owner;
		a->automatic = false;
		if (a->vip != vip) {
			a->vip = vip;
			view_publish(i);
		}
		return 0;
	}
	if (i->n_addrs >= ADDRS_MAX)
		return dp_fail(err, DP_TABLE_FULL, "address",
			       "the interface has %d addresses already", ADDRS_MAX);
	if (!ip_addr_is_link_local(addr) && iface_addr_is_local(i->vrf, addr, &other))
		return dp_fail(err, DP_IN_USE, "address", "interface %s has it", other->name);
	if (addr->len == 16 && i->mtu < 1280)
		return dp_fail(err, DP_INVALID, "address", "IPv6 needs an MTU of 1280; %s has %u",
			       i->name, i->mtu);
	if (addr->len == 4 && i->kind != IFACE_LOOPBACK && plen <= 30) {
		struct ip_addr net = network_of(addr, plen), bcast = broadcast_of(addr, plen);

		if (ip_addr_eq(addr, &net) || ip_addr_eq(addr, &bcast))
			return dp_fail(err, DP_INVALID, "address",
				       "it is the network or broadcast address of its prefix");
	}
	want.dad = addr->len == 4 || i->kind == IFACE_LOOPBACK ? DAD_PREFERRED : DAD_TENTATIVE;
	if (add_one(i, &want, err) < 0)
		return -1;
	if (addr->len == 16)
		link_local_update(i);
	return 0;
}

int iface_addr_set(struct iface *i, const struct ip_addr *addr, uint8_t plen,
		   struct owner_tag owner, struct dp_error *err)
{
	return addr_set(i, addr, plen, false, owner, err);
}

int iface_vip_set(struct iface *i, const struct ip_addr *addr, struct owner_tag owner,
		  struct dp_error *err)
{
	return addr_set(i, addr, (uint8_t)(addr->len * 8), true, owner, err);
}

int iface_addr_delete(struct iface *i, const struct ip_addr *addr, struct dp_error *err)
{
	struct iface_addr *a = iface_addr_find(i, addr), copy;

	if (a == NULL)
		return dp_fail(err, DP_NOT_FOUND, "address", "the interface does not have it");
	copy = *a;
	exception_addr_deleted(i, addr, a->plen);
	routes_delete(i, a);
	drop_entry(i, a);
	view_publish(i);
	bloom_rebuild();
	neigh_addr_deleted(i, &copy.addr);
	if (copy.addr.len == 16 && !copy.automatic)
		link_local_update(i);
	return 0;
}

void iface_addrs_delete_all(struct iface *i)
{
	while (i->n_addrs > 0) {
		struct ip_addr addr = i->addrs[i->n_addrs - 1].addr;

		/* So that the automatic one is not made again in between. */
		i->addrs[i->n_addrs - 1].automatic = true;
		iface_addr_delete(i, &addr, NULL);
	}
}

void iface_addrs_free(struct iface *i)
{
	free(i->addrs);
	rte_free(i->view);
}

void iface_addr_dad_done(struct iface *i, struct iface_addr *a, enum dad_state state)
{
	struct dp_error err;

	if (a->dad == state)
		return;
	if (a->dad == DAD_PREFERRED) {
		exception_addr_deleted(i, &a->addr, a->plen);
		fib_own_delete(i->vrf, &a->addr, (uint8_t)(a->addr.len * 8), ROUTE_LOCAL);
	}
	a->dad = state;
	if (state == DAD_PREFERRED) {
		if (local_add(i, a, &err) < 0)
			LOG_ERR("local route of an address of %s: %s", i->name, err.message);
		exception_addr_added(i, a);
	}
	view_publish(i);
	seam_event_address(i, a);
}

void iface_addrs_restart(struct iface *i)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		neigh_addr_added(i, &i->addrs[k]);
}

const uint8_t *iface_source6(const struct iface *i, const uint8_t *dst)
{
	const struct iface_addr_view *v = i->view;
	bool want_ll = ip6_is_link_local(dst) || (dst[0] == 0xff && (dst[1] & 0xf) <= 2);
	const uint8_t *any = NULL;

	if (v == NULL)
		return NULL;
	for (unsigned int k = 0; k < v->n6; k++) {
		bool ll = ip6_is_link_local(v->v6[k].addr);

		if (ll != want_ll)
			continue;
		if (ll || prefix_bits_match(v->v6[k].addr, dst, v->v6[k].plen))
			return v->v6[k].addr;
		if (any == NULL)
			any = v->v6[k].addr;
	}
	return any;
}

/* Two rounds: loopbacks, then the others. */
uint32_t vrf_source4(uint16_t vrf)
{
	for (int round = 0; round < 2; round++) {
		for (unsigned int id = 1; id < IFACE_MAX; id++) {
			const struct iface *i = ifaces[id];

			if (i == NULL || i->vrf != vrf ||
			    (i->kind == IFACE_LOOPBACK) != (round == 0))
				continue;
			if (i->view != NULL && i->view->n4 > 0)
				return i->view->v4[0].addr;
		}
	}
	return 0;
}

const uint8_t *vrf_source6(uint16_t vrf)
{
	static const uint8_t global[16] = {0x20};

	for (int round = 0; round < 2; round++) {
		for (unsigned int id = 1; id < IFACE_MAX; id++) {
			const struct iface *i = ifaces[id];
			const uint8_t *a;

			if (i == NULL || i->vrf != vrf ||
			    (i->kind == IFACE_LOOPBACK) != (round == 0))
				continue;
			a = iface_source6(i, global);
			if (a != NULL)
				return a;
		}
	}
	return NULL;
}
