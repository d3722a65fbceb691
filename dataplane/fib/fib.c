/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FIB keeps what it needs to know of a route (who wrote it, and the data plane's own route for
 * the same prefix) in the extension of rte_fib's own RIB node, so that a million routes are stored
 * once.
 */
#include "fib.h"

#include <errno.h>
#include <stdio.h>

#include <rte_byteorder.h>
#include <rte_malloc.h>
#include <rte_rib.h>
#include <rte_rib6.h>

#include "../core/log.h"
#include "../core/worker.h"
#include "../seam/seam.h"
#include "../vrf/vrf.h"
#include "group.h"

struct route_ext {
	uint32_t client_group;
	uint32_t own_group;
	uint64_t epoch;
	uint8_t owner;
	uint8_t own_origin;
	uint8_t pad[6];
};

_Static_assert(sizeof(struct route_ext) == 24, "a RIB node with it fills one cache line");

struct table {
	uint16_t vrf;
	bool v6;
	uint32_t routes, routes_max;
	/* Second-level tables the routes need: one per byte boundary from /24 on behind which there
	 * is a longer prefix (IPv4 has only the one at /24). DPDK never uses more. */
	uint32_t tbl8_used, tbl8_max;
	/* DPDK's own count of them, see forget_reserved(). */
	uint32_t *reserved;
	union {
		struct rte_fib *fib4;
		struct rte_fib6 *fib6;
	};
	union {
		struct rte_rib *rib4;
		struct rte_rib6 *rib6;
	};
};

/* A node of either RIB. */
typedef void *node_t;

struct rte_fib *fib4_tables[VRF_MAX];
struct rte_fib6 *fib6_tables[VRF_MAX];
static struct table *tables[VRF_MAX][2];

static struct table *table_of(uint16_t vrf, bool v6)
{
	return vrf < VRF_MAX ? tables[vrf][v6] : NULL;
}

static uint32_t host4(const struct ip_addr *a)
{
	return rte_be_to_cpu_32(ip_addr_v4(a));
}

/* IPv6 addresses are arrays of bytes up to DPDK 24.07 and a struct of them from 24.11 on. */
static const void *bytes6(const uint8_t *b)
{
	return b;
}

static node_t node_exact(const struct table *t, const struct ip_addr *p, uint8_t plen)
{
	if (t->v6)
		return rte_rib6_lookup_exact(t->rib6, bytes6(p->b), plen);
	return rte_rib_lookup_exact(t->rib4, host4(p), plen);
}

static node_t node_lookup(const struct table *t, const struct ip_addr *a)
{
	if (t->v6)
		return rte_rib6_lookup(t->rib6, bytes6(a->b));
	return rte_rib_lookup(t->rib4, host4(a));
}

static struct route_ext *node_ext(const struct table *t, node_t n)
{
	return t->v6 ? rte_rib6_get_ext(n) : rte_rib_get_ext(n);
}

static void node_prefix(const struct table *t, node_t n, struct ip_addr *p, uint8_t *plen)
{
	if (t->v6) {
		uint8_t b[16];

		rte_rib6_get_ip(n, (void *)b);
		rte_rib6_get_depth(n, plen);
		*p = ip_addr6(b);
	} else {
		uint32_t ip;

		rte_rib_get_ip(n, &ip);
		rte_rib_get_depth(n, plen);
		*p = ip_addr4(rte_cpu_to_be_32(ip));
	}
}

/* The next node after `last` below 0/0, which itself is not among them. */
static node_t node_next(const struct table *t, node_t last)
{
	if (t->v6) {
		const uint8_t any[16] = {0};

		return rte_rib6_get_nxt(t->rib6, bytes6(any), 0, last, RTE_RIB6_GET_NXT_ALL);
	}
	return rte_rib_get_nxt(t->rib4, 0, 0, last, RTE_RIB_GET_NXT_ALL);
}

/*
 * DPDK counts second-level tables before it takes them, and refuses a route when there are not
 * enough. Up to 26.07 the count drifts: it adds at one moment and takes off at another, by what the
 * neighbourhood of the prefix then is, and a route with its parent's next hop is only taken off.
 * Some time of routes coming and going, and it refuses all. So it is kept at 0, and the counting is
 * done here, by what is in the RIB.
 */
static void forget_reserved(const struct table *t)
{
	if (t->reserved != NULL)
		*t->reserved = 0;
}

/* Where DPDK's table, made for n second-level ones, counts them: behind their number. NULL if it
 * looks otherwise than in the versions known. */
static uint32_t *find_reserved(void *dp, uint32_t n)
{
	uint32_t *p = dp;

	if (p != NULL && p[0] >= n && p[0] < n + 64 && p[1] == 0)
		return &p[1];
	LOG_WARN("this DPDK counts second-level tables in a way of its own: it may refuse routes "
		 "too early");
	return NULL;
}

static int table_add(const struct table *t, const struct ip_addr *p, uint8_t plen, uint32_t group)
{
	forget_reserved(t);
	if (t->v6)
		return rte_fib6_add(t->fib6, bytes6(p->b), plen, group);
	return rte_fib_add(t->fib4, host4(p), plen, group);
}

static void table_delete(const struct table *t, const struct ip_addr *p, uint8_t plen)
{
	int rc = t->v6 ? rte_fib6_delete(t->fib6, bytes6(p->b), plen)
		       : rte_fib_delete(t->fib4, host4(p), plen);

	if (rc != 0) {
		char buf[IP_ADDR_STRLEN];

		LOG_ERR("FIB refuses to delete %s/%u: %s", ip_addr_str(p, buf), plen,
			rte_strerror(-rc));
	}
}

/* True if there is a prefix longer than plen within p's first plen bits. */
static bool has_longer(const struct table *t, const struct ip_addr *p, uint8_t plen)
{
	uint8_t b[16] = {0};

	if (!t->v6)
		return rte_rib_get_nxt(t->rib4, host4(p) & (UINT32_MAX << (32 - plen)), plen, NULL,
				       RTE_RIB_GET_NXT_COVER) != NULL;
	memcpy(b, p->b, plen / 8);
	return rte_rib6_get_nxt(t->rib6, bytes6(b), plen, NULL, RTE_RIB6_GET_NXT_COVER) != NULL;
}

/* How many second-level tables a prefix that is not in the table needs, or needed, alone. */
static uint32_t tbl8_alone(const struct table *t, const struct ip_addr *p, uint8_t plen)
{
	uint32_t n = 0;

	/* What is behind one boundary is behind those before it. */
	for (int at = (plen - 1) / 8 * 8; at >= 24 && !has_longer(t, p, (uint8_t)at); at -= 8)
		n++;
	return n;
}

/* Which of a prefix's two routes is in force. */
static bool own_wins(const struct route_ext *e)
{
	return e->own_group != 0 && (e->client_group == 0 || e->own_origin != ROUTE_NEIGHBOR);
}

static uint32_t effective(const struct route_ext *e)
{
	return own_wins(e) ? e->own_group : e->client_group;
}

static int refuse_full(const struct table *t, int rc, struct dp_error *err)
{
	const struct vrf *v = vrfs[t->vrf];

	seam_event_table_full(t->v6 ? "ip6-routes" : "ip4-routes", v->name, t->routes_max);
	if (rc == -ENOSPC)
		return dp_fail(err, DP_TABLE_FULL, "prefix",
			       "no second-level table is left for prefixes longer than 24 bits: "
			       "%u of %u are used",
			       t->tbl8_used, t->tbl8_max);
	return dp_fail(err, DP_TABLE_FULL, "prefix",
		       "network instance %s holds its %u IPv%c routes", v->name, t->routes_max,
		       t->v6 ? '6' : '4');
}

/* Writes a prefix whose extension is to become *e. Existing or not. */
static int put(struct table *t, const struct ip_addr *p, uint8_t plen, const struct route_ext *e,
	       struct dp_error *err)
{
	node_t n = node_exact(t, p, plen);
	uint32_t tbl8 = n == NULL ? tbl8_alone(t, p, plen) : 0;
	int rc;

	if (n == NULL && t->routes >= t->routes_max)
		return refuse_full(t, 0, err);
	if (t->tbl8_used + tbl8 > t->tbl8_max)
		return refuse_full(t, -ENOSPC, err);
	rc = table_add(t, p, plen, effective(e));
	if (rc != 0) {
		if (rc == -ENOSPC || rc == -ENOMEM)
			return refuse_full(t, rc, err);
		return dp_fail(err, DP_INVALID, "prefix", "the FIB refuses it: %s",
			       rte_strerror(-rc));
	}
	if (n == NULL) {
		n = node_exact(t, p, plen);
		t->routes++;
		t->tbl8_used += tbl8;
	}
	*node_ext(t, n) = *e;
	return 0;
}

static void take(struct table *t, const struct ip_addr *p, uint8_t plen)
{
	table_delete(t, p, plen);
	t->routes--;
	t->tbl8_used -= tbl8_alone(t, p, plen);
}

static struct table *need_table(uint16_t vrf, const struct ip_addr *p, struct dp_error *err)
{
	struct table *t = table_of(vrf, p->len == 16);

	if (t == NULL)
		dp_fail(err, DP_NOT_FOUND, "vrf", "no such network instance");
	return t;
}

int fib_route_set(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen, uint32_t group,
		  struct owner_tag owner, struct dp_error *err)
{
	struct table *t = need_table(vrf, prefix, err);
	struct route_ext e = {0};
	uint32_t old;
	node_t n;

	if (t == NULL)
		return -1;
	n = node_exact(t, prefix, plen);
	if (n != NULL)
		e = *node_ext(t, n);
	old = e.client_group;
	if (old != 0 && e.owner != owner.owner)
		return dp_fail(err, DP_PERMISSION, "prefix", "the route belongs to another owner");
	e.client_group = group;
	e.owner = owner.owner;
	e.epoch = owner.epoch;
	if (old == group) {
		*node_ext(t, n) = e;
		return 0;
	}
	group_ref(group);
	if (put(t, prefix, plen, &e, err) < 0) {
		group_unref(group);
		return -1;
	}
	if (old != 0)
		group_unref(old);
	return 0;
}

int fib_route_delete(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen, uint8_t owner,
		     struct dp_error *err)
{
	struct table *t = need_table(vrf, prefix, err);
	struct route_ext e;
	uint32_t old;
	node_t n;

	if (t == NULL)
		return -1;
	n = node_exact(t, prefix, plen);
	if (n == NULL || node_ext(t, n)->client_group == 0)
		return dp_fail(err, DP_NOT_FOUND, "prefix", "no such route");
	e = *node_ext(t, n);
	if (e.owner != owner)
		return dp_fail(err, DP_PERMISSION, "prefix", "the route belongs to another owner");
	old = e.client_group;
	e.client_group = 0;
	e.owner = 0;
	if (e.own_group == 0)
		take(t, prefix, plen);
	else if (put(t, prefix, plen, &e, err) < 0)
		return -1;
	group_unref(old);
	return 0;
}

int fib_own_set(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen, uint32_t group,
		enum route_origin origin, struct dp_error *err)
{
	struct table *t = need_table(vrf, prefix, err);
	struct route_ext e = {0};
	uint32_t old;
	node_t n;

	if (t == NULL)
		return -1;
	n = node_exact(t, prefix, plen);
	if (n != NULL)
		e = *node_ext(t, n);
	/* A local address is never hidden by a neighbour, a broadcast or a connected prefix of the
	 * same length. */
	if (e.own_group != 0 && e.own_origin == ROUTE_LOCAL && origin != ROUTE_LOCAL)
		return dp_fail(err, DP_IN_USE, "address", "it is an address of the box");
	old = e.own_group;
	e.own_group = group;
	e.own_origin = (uint8_t)origin;
	group_ref(group);
	if (put(t, prefix, plen, &e, err) < 0) {
		group_unref(group);
		return -1;
	}
	if (old != 0)
		group_unref(old);
	return 0;
}

void fib_own_delete(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen,
		    enum route_origin origin)
{
	struct table *t = table_of(vrf, prefix->len == 16);
	struct route_ext e;
	uint32_t old;
	node_t n;

	if (t == NULL)
		return;
	n = node_exact(t, prefix, plen);
	if (n == NULL)
		return;
	e = *node_ext(t, n);
	if (e.own_group == 0 || e.own_origin != origin)
		return;
	old = e.own_group;
	e.own_group = 0;
	e.own_origin = 0;
	if (e.client_group == 0)
		take(t, prefix, plen);
	else
		put(t, prefix, plen, &e, NULL);
	group_unref(old);
}

uint32_t fib_lookup(uint16_t vrf, const struct ip_addr *dst)
{
	const struct table *t = table_of(vrf, dst->len == 16);
	uint64_t nh = 0;

	if (t == NULL)
		return 0;
	if (t->v6) {
		rte_fib6_lookup_bulk(t->fib6, (void *)(uintptr_t)dst->b, &nh, 1);
	} else {
		uint32_t ip = host4(dst);

		rte_fib_lookup_bulk(t->fib4, &ip, &nh, 1);
	}
	return (uint32_t)nh;
}

static void fill(const struct table *t, node_t n, struct route_info *r)
{
	const struct route_ext *e = node_ext(t, n);

	*r = (struct route_info){
		.origin = own_wins(e) ? e->own_origin : ROUTE_CLIENT,
		.group = effective(e),
		.client_group = e->client_group,
		.own_group = e->own_group,
		.owner = {.owner = e->owner, .epoch = e->epoch},
	};
	node_prefix(t, n, &r->prefix, &r->plen);
}

bool fib_lookup_route(uint16_t vrf, const struct ip_addr *dst, struct route_info *out)
{
	const struct table *t = table_of(vrf, dst->len == 16);
	node_t n = t != NULL ? node_lookup(t, dst) : NULL;

	if (n == NULL)
		return false;
	fill(t, n, out);
	return true;
}

bool fib_lookup_covering(uint16_t vrf, const struct ip_addr *dst, struct route_info *out)
{
	const struct table *t = table_of(vrf, dst->len == 16);
	node_t n = t != NULL ? node_lookup(t, dst) : NULL;

	if (n != NULL && n == node_exact(t, dst, (uint8_t)(dst->len * 8)))
		n = t->v6 ? (node_t)rte_rib6_lookup_parent(n) : (node_t)rte_rib_lookup_parent(n);
	if (n == NULL)
		return false;
	fill(t, n, out);
	return true;
}

/*
 * The node the walk goes on from: that of the prefix, or, when the route has been deleted since,
 * one put there for the moment (in the RIB only: the data plane's tables never see it). *temporary
 * tells the caller to take it out again.
 */
static node_t resume_at(const struct table *t, const struct ip_addr *p, uint8_t plen,
			bool *temporary)
{
	node_t n = node_exact(t, p, plen);

	*temporary = false;
	if (n != NULL)
		return n;
	n = t->v6 ? (node_t)rte_rib6_insert(t->rib6, bytes6(p->b), plen)
		  : (node_t)rte_rib_insert(t->rib4, host4(p), plen);
	*temporary = n != NULL;
	return n;
}

static void resume_done(const struct table *t, const struct ip_addr *p, uint8_t plen)
{
	if (t->v6)
		rte_rib6_remove(t->rib6, bytes6(p->b), plen);
	else
		rte_rib_remove(t->rib4, host4(p), plen);
}

unsigned int fib_walk(uint16_t vrf, bool ipv6, const struct route_info *after,
		      struct route_info *out, unsigned int max)
{
	const struct table *t = table_of(vrf, ipv6);
	const struct ip_addr any = {.len = ipv6 ? 16 : 4};
	bool temporary = false;
	node_t n = NULL;
	unsigned int k = 0;

	if (t == NULL || max == 0)
		return 0;
	if (after == NULL) {
		/* rte_rib's walk leaves out the prefix it starts from. */
		n = node_exact(t, &any, 0);
		if (n != NULL)
			fill(t, n, &out[k++]);
		n = NULL;
	} else if (after->plen != 0) {
		n = resume_at(t, &after->prefix, after->plen, &temporary);
		if (n == NULL)
			return 0;
	}
	while (k < max && (n = node_next(t, n)) != NULL)
		fill(t, n, &out[k++]);
	if (temporary)
		resume_done(t, &after->prefix, after->plen);
	return k;
}

unsigned int fib_sweep_step(struct fib_sweep *s, uint8_t owner, uint64_t epoch, unsigned int budget,
			    bool *done)
{
	struct route_info r[64];
	unsigned int deleted = 0;

	*done = false;
	for (unsigned int seen = 0; seen < budget; seen += RTE_DIM(r)) {
		unsigned int n =
			fib_walk(s->vrf, s->ipv6, s->started ? &s->at : NULL, r, RTE_DIM(r));

		if (n == 0) {
			*done = true;
			break;
		}
		s->started = true;
		s->at = r[n - 1];
		for (unsigned int i = 0; i < n; i++) {
			if (r[i].client_group == 0 || r[i].owner.owner != owner ||
			    r[i].owner.epoch >= epoch)
				continue;
			if (fib_route_delete(s->vrf, &r[i].prefix, r[i].plen, owner, NULL) == 0)
				deleted++;
		}
	}
	return deleted;
}

void fib_usage(uint16_t vrf, bool ipv6, struct fib_usage *u)
{
	const struct table *t = table_of(vrf, ipv6);

	*u = (struct fib_usage){0};
	if (t == NULL)
		return;
	*u = (struct fib_usage){
		.routes = t->routes,
		.routes_max = t->routes_max,
		.tbl8_used = t->tbl8_used,
		.tbl8_max = t->tbl8_max,
	};
}

static int create4(struct table *t, const char *name, uint32_t routes, uint32_t tbl8,
		   struct dp_error *err)
{
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.default_nh = 0,
		.max_routes = (int)routes,
		.rib_ext_sz = sizeof(struct route_ext),
		.dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = tbl8},
	};

	t->fib4 = rte_fib_create(name, SOCKET_ID_ANY, &conf);
	if (t->fib4 == NULL)
		return dp_fail(err, DP_NO_MEMORY, "ip4_routes",
			       "no memory for a table of %u IPv4 routes: %s", routes,
			       rte_strerror(rte_errno));
	/* Wide lookups where CPU and EAL (--force-max-simd-bitwidth) allow them. */
	rte_fib_select_lookup(t->fib4, RTE_FIB_LOOKUP_DEFAULT);
	t->rib4 = rte_fib_get_rib(t->fib4);
	t->reserved = find_reserved(rte_fib_get_dp(t->fib4), tbl8);
	return 0;
}

static int create6(struct table *t, const char *name, uint32_t routes, uint32_t tbl8,
		   struct dp_error *err)
{
	struct rte_fib6_conf conf = {
		.type = RTE_FIB6_TRIE,
		.default_nh = 0,
		.max_routes = (int)routes,
		.rib_ext_sz = sizeof(struct route_ext),
		.trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = tbl8},
	};

	t->fib6 = rte_fib6_create(name, SOCKET_ID_ANY, &conf);
	if (t->fib6 == NULL)
		return dp_fail(err, DP_NO_MEMORY, "ip6_routes",
			       "no memory for a table of %u IPv6 routes: %s", routes,
			       rte_strerror(rte_errno));
	rte_fib6_select_lookup(t->fib6, RTE_FIB6_LOOKUP_DEFAULT);
	t->rib6 = rte_fib6_get_rib(t->fib6);
	t->reserved = find_reserved(rte_fib6_get_dp(t->fib6), tbl8);
	return 0;
}

int fib_create(uint16_t vrf, const struct fib_sizes *sizes, struct dp_error *err)
{
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t routes = v6 ? sizes->ip6_routes : sizes->ip4_routes;
		uint32_t tbl8 = v6 ? sizes->ip6_tbl8 : sizes->ip4_tbl8;
		struct table *t = rte_zmalloc("fib", sizeof(*t), 0);
		char name[32];
		int rc;

		if (t == NULL) {
			fib_free(vrf);
			return dp_fail(err, DP_NO_MEMORY, "name", "no memory");
		}
		*t = (struct table){.vrf = vrf, .v6 = v6, .routes_max = routes, .tbl8_max = tbl8};
		snprintf(name, sizeof(name), "fib%c-%u", v6 ? '6' : '4', vrf);
		rc = v6 ? create6(t, name, routes, tbl8, err) : create4(t, name, routes, tbl8, err);
		if (rc < 0) {
			rte_free(t);
			fib_free(vrf);
			return -1;
		}
		tables[vrf][v6] = t;
		if (v6)
			__atomic_store_n(&fib6_tables[vrf], t->fib6, __ATOMIC_RELEASE);
		else
			__atomic_store_n(&fib4_tables[vrf], t->fib4, __ATOMIC_RELEASE);
	}
	return 0;
}

void fib_free(uint16_t vrf)
{
	fib4_tables[vrf] = NULL;
	fib6_tables[vrf] = NULL;
	if (dp_rcu != NULL)
		dp_rcu_synchronize();
	for (int v6 = 0; v6 < 2; v6++) {
		struct table *t = tables[vrf][v6];
		struct route_info r[64];
		unsigned int n;

		if (t == NULL)
			continue;
		for (const struct route_info *at = NULL;
		     (n = fib_walk(vrf, v6, at, r, RTE_DIM(r))) > 0;) {
			static struct route_info last;

			for (unsigned int i = 0; i < n; i++) {
				if (r[i].client_group != 0)
					group_unref(r[i].client_group);
				if (r[i].own_group != 0)
					group_unref(r[i].own_group);
			}
			last = r[n - 1];
			at = &last;
		}
		if (v6)
			rte_fib6_free(t->fib6);
		else
			rte_fib_free(t->fib4);
		rte_free(t);
		tables[vrf][v6] = NULL;
	}
}
