/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_version.h>

#include "../core/loop.h"
#include "../core/worker.h"
#include "../exception/exception.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../neigh/neigh.h"
#include "seam.h"
#include "server.h"

static void info_memory(PB(Info) *m)
{
	for (int s = 0; s < RTE_MAX_NUMA_NODES; s++) {
		struct rte_malloc_socket_stats st;

		if (rte_malloc_get_socket_stats(s, &st) != 0)
			continue;
		m->memory_total += st.heap_totalsz_bytes;
		m->memory_used += st.heap_allocsz_bytes;
	}
	if (dp_pool != NULL) {
		m->mbufs_total = dp_pool->size;
		m->mbufs_used = rte_mempool_in_use_count(dp_pool);
	}
}

void info(struct seam_client *c, uint64_t id)
{
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(Info) m = PB_VALUE(INFO);
	PB(OwnerEpoch) owners[OWNERS_MAX], *list[OWNERS_MAX];
	const struct owner *o;

	m.version = pb_str(dp_version);
	m.boot_id = dp_boot_id;
	m.uptime_ns = now_mono_ns() - seam_started_ns;
	m.pid = (uint32_t)getpid();
	m.workers = n_workers;
	m.hugepages = rte_eal_has_hugepages() != 0;
	info_memory(&m);
	m.tsc_hz = rte_get_tsc_hz();
	m.dpdk_version = pb_str(rte_version());
	m.neighbors = neigh_count();
	m.next_hops = nexthops_used();
	m.next_hops_max = nexthops_max;
	m.groups = groups_used();
	m.groups_max = groups_max;
	if (exception_netns() != NULL)
		m.exception_netns = pb_str(exception_netns());
	m.owners = list;
	for (unsigned int i = 1; (o = owner_get(i)) != NULL; i++) {
		PB(OwnerEpoch) *e = &owners[m.n_owners];

		PB_INIT(owner_epoch)(e);
		e->owner = pb_str(o->name);
		e->epoch = o->epoch;
		list[m.n_owners++] = e;
	}
	r.id = id;
	r.result_case = PBC(RESPONSE__RESULT_INFO);
	r.info = &m;
	reply(c, &r);
}
