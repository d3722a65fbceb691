/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's world: randomness, routes, memory, and the way of its packets into the graph. */
#include <sys/mman.h>
#include <time.h>

#include "../core/node.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../iface/iface.h"
#include "../port/port.h"
#include "../vrf/vrf.h"
#include "graph.h"
#include "host.h"

/* Of destinations that are the box itself: the largest a buffer is sure to take. */
#define LOCAL_MTU 1500
/* Pages of 2 MiB only for what is worth a few of them. */
#define HUGE_FROM (4u << 20)

DROP_COUNTER(drop_tx_full, "tcp-command-full",
	     "a command of the operator made the TCP engine send more segments than fit at once")

static uint64_t env_random(void *ctx)
{
	struct term_worker *t = ctx;

	return term_random(&t->random);
}

static uint64_t env_wall_s(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	/* From the page the kernel shares with all processes: not a system call. */
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (uint64_t)ts.tv_sec;
}

/* ---- routes ---- */

/* Folds in what one of the group's members can do. */
static void fold(const struct nexthop *nh, struct tcp_route *out)
{
	const struct iface *i = ifaces[nh->iface % IFACE_MAX];
	struct tcp_route r = {0};

	switch (nh->action) {
	case NH_REWRITE:
	case NH_GLEAN:
	case NH_UNRESOLVED: {
		const struct port *p = nh->port < RTE_MAX_ETHPORTS ? ports[nh->port] : NULL;

		r.mtu = nh->action == NH_REWRITE || i == NULL ? nh->mtu : i->mtu;
		if (p != NULL && r.mtu != 0) {
			r.tx_checksum = p->tx_checksum;
			r.tso_max = p->tso_max;
		}
		break;
	}
	case NH_LOCAL:
	case NH_PUNT:
		r.mtu = LOCAL_MTU;
		break;
	default:
		/* Others of the group may do. */
		return;
	}
	if (out->mtu == 0) {
		*out = r;
		return;
	}
	out->mtu = RTE_MIN(out->mtu, r.mtu);
	out->tx_checksum &= r.tx_checksum;
	out->tso_max = RTE_MIN(out->tso_max, r.tso_max);
}

/* The group of a destination, after at most one jump into another instance; 0: none. */
static uint32_t lookup(uint16_t vrf, const struct ip_addr *dst)
{
	uint32_t gid = 0;

	for (int jumps = 0; jumps < 2; jumps++) {
		const struct nexthop *nh;

		if (vrf >= VRF_MAX || fib4_tables[vrf] == NULL)
			return 0;
		gid = fib_lookup(vrf, dst);
		nh = &nexthops[group_select(gid, 0)];
		if (nh->action != NH_VRF)
			return gid;
		vrf = nh->vrf;
	}
	return 0;
}

void term_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	const struct ip_addr dst = term_addr(&t->raddr);
	uint32_t gid = lookup(t->vrf, &dst);
	const uint32_t *b;
	union group g;

	(void)ctx;
	*out = (struct tcp_route){0};
	g.u64 = __atomic_load_n(&groups[gid].u64, __ATOMIC_ACQUIRE);
	if (g.mask == 0) {
		fold(&nexthops[g.nh], out);
		return;
	}
	/* The flow's hash chooses one of them, and later perhaps another: what all can do. */
	b = __atomic_load_n(&group_buckets[gid], __ATOMIC_CONSUME);
	for (uint32_t k = 0; k <= g.mask; k++)
		if (k == 0 || b[k] != b[k - 1])
			fold(&nexthops[b[k]], out);
}

/* The address of the interface that leads to dst, else any of the instance. */
static bool env_source(void *ctx, uint16_t vrf, const struct tcp_addr *to, struct tcp_addr *src)
{
	const struct ip_addr dst = term_addr(to);
	const struct nexthop *nh = &nexthops[group_select(lookup(vrf, &dst), 0)];
	const struct iface *out = NULL;

	(void)ctx;
	if (nh->action == NH_LOCAL) {
		*src = *to;
		return true;
	}
	if (nh->action == NH_REWRITE || nh->action == NH_GLEAN || nh->action == NH_UNRESOLVED)
		out = ifaces[nh->iface % IFACE_MAX];
	if (dst.len == 4) {
		uint32_t a = 0;

		if (out != NULL)
			a = iface_source4(out, nh->addr.len == 4 ? ip_addr_v4(&nh->addr)
								 : ip_addr_v4(&dst));
		if (a == 0)
			a = vrf_source4(vrf);
		tcp_addr4(src, a);
		return a != 0;
	}
	const uint8_t *a = out != NULL ? iface_source6(out, dst.b) : NULL;

	if (a == NULL)
		a = vrf_source6(vrf);
	if (a == NULL)
		return false;
	tcp_addr6(src, a);
	return true;
}

/* ---- packets ---- */

static void env_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct term_worker *t = ctx;
	const uint16_t room = t->node != NULL ? TERM_TX_MAX : TERM_TX_ROOM;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if (unlikely(t->n_tx >= room)) {
			if (t->node == NULL) {
				/* The control thread waits for this call. */
				drop_tx_full.packets++;
				rte_pktmbuf_free(m);
				continue;
			}
			term_drain(t);
		}
		*mb_meta(m) = (struct mb_meta){
			.iface = IFACE_NONE,
			.vrf = tcp_tx_vrf(m),
			.flags = MB_HOST,
			.trace = MB_TRACE_ORIGIN,
		};
		/* Until it is in the graph, the family lies where the next hop will. */
		mb_meta(m)->nh = tcp_tx_family(m);
		t->tx[t->n_tx++] = m;
	}
}

void term_drain(struct term_worker *t)
{
	uint16_t edge[TERM_TX_MAX];

	for (uint16_t done = 0; done < t->n_tx;) {
		uint16_t part = RTE_MIN((uint16_t)(t->n_tx - done), (uint16_t)TERM_TX_MAX);

		for (uint16_t i = 0; i < part; i++) {
			struct mb_meta *meta = mb_meta(t->tx[done + i]);

			edge[i] = meta->nh == 6 ? TERM_EDGE_OUTPUT6 : TERM_EDGE_OUTPUT4;
			meta->nh = 0;
		}
		node_dispatch(t->graph, t->node, (void **)&t->tx[done], edge, part);
		done += part;
	}
	t->n_tx = 0;
}

/* ---- memory ---- */

/* Tables are as large as the most connections would need, and take memory as they are used. */
static void *env_alloc(void *ctx, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)ctx;
	if (p == MAP_FAILED)
		return NULL;
	if (bytes >= HUGE_FROM)
		madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static void env_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	munmap(p, bytes);
}

void term_env_fill(struct term_worker *t, struct tcp_env *env, struct svc_env *senv)
{
	*env = (struct tcp_env){
		.ctx = t,
		.random = env_random,
		.route = term_route,
		.tx = env_tx,
		.alloc = env_alloc,
		.free = env_free,
	};
	*senv = (struct svc_env){
		.ctx = t,
		.random = env_random,
		.wall_s = env_wall_s,
		.source = env_source,
	};
}
