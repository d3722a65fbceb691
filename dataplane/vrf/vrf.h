/* SPDX-License-Identifier: Apache-2.0 */
/* Network instances. Id 0 is "default". */
#ifndef MILLRACE_VRF_H
#define MILLRACE_VRF_H

#include "../core/addr.h"
#include "../core/error.h"
#include "../fib/fib.h"

#define VRF_MAX	     256
#define VRF_NAME_LEN 32
#define VRF_DEFAULT  0

struct vrf {
	uint16_t id;
	char name[VRF_NAME_LEN];
	struct owner_tag owner;
	unsigned int n_ifaces;
	unsigned int n_next_hops;
	/* Next hop of kind VRF that leads into this instance; made by nexthop.c. */
	uint32_t nh;
};

extern struct vrf *vrfs[VRF_MAX];

#define vrf_foreach(v)                                                                             \
	for (unsigned int v##_n = 0; v##_n < VRF_MAX; v##_n++)                                     \
		if (((v) = vrfs[v##_n]) != NULL)

/* Empty means default. NULL if there is none. */
struct vrf *vrf_find(const char *name);
int vrf_set(const char *name, uint32_t ip4_routes, uint32_t ip6_routes, struct owner_tag owner,
	    struct dp_error *err);
/* DP_IN_USE while interfaces or next hops refer to it; its routes go with it. */
int vrf_delete(struct vrf *v, struct dp_error *err);
/* Makes "default" with the sizes of the command line. */
int vrf_init(const struct fib_sizes *sizes);

#endif
