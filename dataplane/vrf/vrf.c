/* SPDX-License-Identifier: Apache-2.0 */
#include "vrf.h"

#include <stdio.h>
#include <stdlib.h>

#include "../core/log.h"
#include "../fib/nexthop.h"
#include "../tcp/term.h"

#define IP4_ROUTES_DEFAULT 65536
#define IP6_ROUTES_DEFAULT 16384
#define ROUTES_LIMIT	   16777216

struct vrf *vrfs[VRF_MAX];

struct vrf *vrf_find(const char *name)
{
	struct vrf *v;

	if (name == NULL || name[0] == 0)
		return vrfs[VRF_DEFAULT];
	vrf_foreach (v) {
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

static struct vrf *vrf_create(uint16_t id, const char *name, const struct fib_sizes *sizes,
			      struct owner_tag owner, struct dp_error *err)
{
	struct vrf *v = calloc(1, sizeof(*v));
	struct nexthop nh = {.action = NH_VRF, .vrf = id};

	if (v == NULL) {
		dp_fail(err, DP_NO_MEMORY, "name", "no memory");
		return NULL;
	}
	v->id = id;
	v->owner = owner;
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->nh = nexthop_alloc();
	if (v->nh == 0) {
		dp_fail(err, DP_TABLE_FULL, "name", "no next hop is left for the network instance");
		free(v);
		return NULL;
	}
	nexthop_write(v->nh, &nh);
	if (fib_create(id, sizes, err) < 0) {
		nexthop_free(v->nh);
		free(v);
		return NULL;
	}
	vrfs[id] = v;
	return v;
}

int vrf_set(const char *name, uint32_t ip4_routes, uint32_t ip6_routes, struct owner_tag owner,
	    struct dp_error *err)
{
	struct vrf *v = vrf_find(name);
	struct fib_sizes sizes = {
		.ip4_routes = ip4_routes != 0 ? ip4_routes : IP4_ROUTES_DEFAULT,
		.ip6_routes = ip6_routes != 0 ? ip6_routes : IP6_ROUTES_DEFAULT,
	};

	if (sizes.ip4_routes > ROUTES_LIMIT)
		return dp_fail(err, DP_INVALID, "ip4_routes", "%u is more than %u", ip4_routes,
			       ROUTES_LIMIT);
	if (sizes.ip6_routes > ROUTES_LIMIT)
		return dp_fail(err, DP_INVALID, "ip6_routes", "%u is more than %u", ip6_routes,
			       ROUTES_LIMIT);
	if (v != NULL) {
		struct fib_usage u4, u6;

		fib_usage(v->id, false, &u4);
		fib_usage(v->id, true, &u6);
		if (ip4_routes != 0 && ip4_routes != u4.routes_max)
			return dp_fail(err, DP_IN_USE, "ip4_routes",
				       "the size (%u) cannot be changed while the instance exists",
				       u4.routes_max);
		if (ip6_routes != 0 && ip6_routes != u6.routes_max)
			return dp_fail(err, DP_IN_USE, "ip6_routes",
				       "the size (%u) cannot be changed while the instance exists",
				       u6.routes_max);
		if (v->id != VRF_DEFAULT)
			v->owner = owner;
		return 0;
	}
	sizes.ip4_tbl8 = RTE_MAX(1024u, sizes.ip4_routes / 8);
	sizes.ip6_tbl8 = RTE_MAX(4096u, fib_ip6_tbl8(sizes.ip6_routes));
	for (uint16_t id = 1; id < VRF_MAX; id++)
		if (vrfs[id] == NULL)
			return vrf_create(id, name, &sizes, owner, err) != NULL ? 0 : -1;
	return dp_fail(err, DP_TABLE_FULL, "name", "there are %d network instances already",
		       VRF_MAX);
}

int vrf_delete(struct vrf *v, struct dp_error *err)
{
	if (v->id == VRF_DEFAULT)
		return dp_fail(err, DP_INVALID, "name", "the instance default cannot be deleted");
	if (v->n_ifaces != 0)
		return dp_fail(err, DP_IN_USE, "name", "%u interfaces are in it", v->n_ifaces);
	if (v->n_next_hops != 0)
		return dp_fail(err, DP_IN_USE, "name", "%u next hops lead into it", v->n_next_hops);
	if (term_vrf_users(v->id) != 0)
		return dp_fail(err, DP_IN_USE, "name", "%u TCP listeners and backends are in it",
			       term_vrf_users(v->id));
	vrfs[v->id] = NULL;
	fib_free(v->id);
	nexthop_free(v->nh);
	free(v);
	return 0;
}

int vrf_init(const struct fib_sizes *sizes)
{
	struct dp_error err;
	const struct owner_tag self = {0};

	if (vrf_create(VRF_DEFAULT, "default", sizes, self, &err) == NULL) {
		LOG_ERR("%s", err.message);
		return -1;
	}
	return 0;
}
