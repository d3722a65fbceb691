/* SPDX-License-Identifier: Apache-2.0 */
#include "test_util.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_malloc.h>

#include "../core/ring.h"
#include "../iface/iface_private.h"
#include "../vrf/vrf.h"

static struct worker worker;

void box_init(void)
{
	static const struct fib_sizes sizes = {
		.ip4_routes = 131072, .ip6_routes = 4096, .ip4_tbl8 = 1024, .ip6_tbl8 = 4096};
	char prefix[64], *argv[] = {"neigh-test", "--no-huge",	    "-m",	"600",
				    "--no-pci",	  "--no-telemetry", "--lcores", "0@0",
				    prefix,	  "--log-level=4",  NULL};

	snprintf(prefix, sizeof(prefix), "--file-prefix=neigh-test-%d", (int)getpid());
	CHECK(rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0);
	CHECK(mb_meta_register() == 0);
	dp_pool = rte_pktmbuf_pool_create("pool", 16383, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	CHECK(dp_pool != NULL);
	CHECK(punt_rings_create(0) == 0);
	dp_rcu = rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(WORKER_MAX), RTE_CACHE_LINE_SIZE);
	CHECK(dp_rcu != NULL && rte_rcu_qsbr_init(dp_rcu, WORKER_MAX) == 0);
	worker.inject = rte_ring_create("inject", 8192, SOCKET_ID_ANY, 0);
	worker.nh_stats = calloc(NEIGH_MAX + 1024, sizeof(*worker.nh_stats));
	worker.iface_stats = calloc(IFACE_MAX, sizeof(*worker.iface_stats));
	CHECK(worker.inject != NULL && worker.nh_stats != NULL && worker.iface_stats != NULL);
	workers[0] = &worker;
	n_workers = 1;
	CHECK(nexthop_init(NEIGH_MAX + 1024, NEIGH_MAX + 1024) == 0);
	CHECK(vrf_init(&sizes) == 0);
	CHECK(neigh_table_init() == 0);
}

struct iface *box_iface(uint16_t id, uint16_t vlan)
{
	struct iface *i = rte_zmalloc("iface", sizeof(*i), RTE_CACHE_LINE_SIZE);
	struct nexthop n = {.action = NH_GLEAN, .iface = id, .mtu = 1500};

	CHECK(i != NULL);
	i->id = id;
	i->kind = vlan != 0 ? IFACE_VLAN : IFACE_PORT;
	i->vlan = vlan;
	i->mtu = 1500;
	i->mac = mac(id);
	i->admin_up = i->oper_up = true;
	i->flags = IFACE_F_UP;
	snprintf(i->name, sizeof(i->name), "eth%u", id);
	i->nh_local = nexthop_alloc();
	i->nh_glean = nexthop_alloc();
	i->nh_bcast = nexthop_alloc();
	nexthop_write(i->nh_glean, &n);
	n.action = NH_LOCAL;
	nexthop_write(i->nh_local, &n);
	n.action = NH_BROADCAST;
	nexthop_write(i->nh_bcast, &n);
	ifaces[id] = i;
	return i;
}

void box_iface_free(struct iface *i)
{
	neigh_iface_deleted(i);
	iface_addrs_delete_all(i);
	iface_addrs_free(i);
	ifaces[i->id] = NULL;
	nexthop_free(i->nh_local);
	nexthop_free(i->nh_glean);
	nexthop_free(i->nh_bcast);
	rte_free(i);
	drain();
}

void box_addr(struct iface *i, const char *addr, uint8_t plen)
{
	const struct ip_addr a = ip(addr);
	const struct owner_tag tag = {0};
	struct dp_error err;

	if (iface_addr_set(i, &a, plen, tag, &err) != 0) {
		fprintf(stderr, "%s: %s\n", addr, err.message);
		exit(1);
	}
}

void box_link(struct iface *i, bool up)
{
	i->oper_up = up;
	if (up) {
		i->flags |= IFACE_F_UP;
		neigh_iface_up(i);
	} else {
		i->flags &= ~IFACE_F_UP;
		neigh_iface_down(i);
	}
}

struct ip_addr ip(const char *text)
{
	struct ip_addr a = {.len = strchr(text, ':') != NULL ? 16 : 4};

	CHECK(inet_pton(a.len == 16 ? AF_INET6 : AF_INET, text, a.b) == 1);
	return a;
}

struct rte_ether_addr mac(uint8_t last)
{
	return (struct rte_ether_addr){{2, 0, 0, 0, 0, last}};
}

struct rte_mbuf *sent(void)
{
	void *m;

	return rte_ring_dequeue(worker.inject, &m) == 0 ? m : NULL;
}

unsigned int drain(void)
{
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; (m = sent()) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

void pass_ms(unsigned int ms)
{
	for (unsigned int k = 0; k < ms; k += 100) {
		neigh_clock_skew += 100 * NS_PER_MS;
		neigh_run_timers(neigh_now());
		dad_tick(neigh_now());
		ra_tick(neigh_now());
	}
}

void use(uint32_t nh)
{
	worker.nh_stats[nh].packets++;
}

void hold(const char *src, const char *dst, uint32_t nh)
{
	const struct ip_addr s = ip(src), d = ip(dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
	uint8_t *p;

	CHECK(m != NULL);
	memset(mb_meta(m), 0, sizeof(struct mb_meta));
	mb_meta(m)->nh = nh;
	p = (uint8_t *)rte_pktmbuf_append(m, 64);
	memset(p, 0, 64);
	if (d.len == 4) {
		p[0] = 0x45;
		memcpy(p + 12, s.b, 4);
		memcpy(p + 16, d.b, 4);
	} else {
		p[0] = 0x60;
		memcpy(p + 8, s.b, 16);
		memcpy(p + 24, d.b, 16);
	}
	neigh_hold_input(m);
}

void arp_from(struct iface *i, uint16_t op, const struct rte_ether_addr *sha, const char *spa,
	      const char *tpa)
{
	struct arp_packet p = {.hardware = {0, 1}, .protocol = {8, 0}, .hlen = 6, .plen = 4};

	put16(p.op, op);
	memcpy(p.sha, sha->addr_bytes, 6);
	CHECK(inet_pton(AF_INET, spa, p.spa) == 1 && inet_pton(AF_INET, tpa, p.tpa) == 1);
	arp_input(i, (const uint8_t *)&p, sizeof(p));
}

void nd_from(struct iface *i, const char *src, const char *dst, const uint8_t *msg, uint32_t len)
{
	const struct ip_addr s = ip(src), d = ip(dst);
	struct ip6_header *h = malloc(sizeof(*h) + len);

	memcpy(h + 1, msg, len);
	icmp6_finish(h, s.b, d.b, len);
	nd_input(i, (const uint8_t *)h, sizeof(*h) + len);
	free(h);
}

static void nd_message_from(struct iface *i, const char *src, const char *dst, uint8_t type,
			    uint8_t flags, const char *target, uint8_t opt,
			    const struct rte_ether_addr *lla)
{
	const struct ip_addr t = ip(target);
	uint8_t msg[32] = {type, [4] = flags, [24] = opt, [25] = 1};

	memcpy(msg + 8, t.b, 16);
	if (lla != NULL)
		memcpy(msg + 26, lla->addr_bytes, 6);
	nd_from(i, src, dst, msg, lla != NULL ? 32 : 24);
}

void ns_from(struct iface *i, const char *src, const char *dst, const char *target,
	     const struct rte_ether_addr *sll)
{
	nd_message_from(i, src, dst, ND_NS, 0, target, ND_OPT_SLL, sll);
}

void na_from(struct iface *i, const char *src, const char *dst, const char *target, uint8_t flags,
	     const struct rte_ether_addr *tll)
{
	nd_message_from(i, src, dst, ND_NA, flags, target, ND_OPT_TLL, tll);
}
