/* SPDX-License-Identifier: Apache-2.0 */
/* The states, their timers, the queue, limits and eviction. */
#include "test_util.h"

#include "../fib/fib.h"
#include "../fib/group.h"
#include "../vrf/vrf.h"

static struct neigh *find(struct iface *i, const char *addr)
{
	const struct ip_addr a = ip(addr);

	return neigh_find(i, &a);
}

static bool routed(const char *addr, uint32_t nh)
{
	const struct ip_addr a = ip(addr);
	uint32_t gid = fib_lookup(VRF_DEFAULT, &a);

	return gid != 0 && groups[gid].mask == 0 && groups[gid].nh == nh;
}

/* The next one sent must be an ARP request for target, to dst (NULL: broadcast). */
static void expect_request(const char *target, const struct rte_ether_addr *dst)
{
	const struct ip_addr t = ip(target);
	struct rte_mbuf *m = sent();
	const struct arp_packet *a;
	const uint8_t *p;

	CHECK(m != NULL && mb_meta(m)->arg0 == INJECT_TX);
	p = rte_pktmbuf_mtod(m, const uint8_t *);
	CHECK(rte_pktmbuf_pkt_len(m) == 60);
	CHECK(memcmp(p, dst != NULL ? dst : &mac_broadcast, 6) == 0);
	CHECK(get16(p + 12) == ETHERTYPE_ARP);
	a = (const struct arp_packet *)(p + 14);
	CHECK(get16(a->op) == ARP_REQUEST && memcmp(a->tpa, t.b, 4) == 0);
	rte_pktmbuf_free(m);
}

static void expect_packet(enum inject_to to, uint32_t nh)
{
	struct rte_mbuf *m = sent();

	CHECK(m != NULL && mb_meta(m)->arg0 == to);
	if (to == INJECT_IP4_REWRITE || to == INJECT_IP6_REWRITE)
		CHECK(mb_meta(m)->nh == nh);
	if (to == INJECT_IP4_ERROR)
		CHECK(mb_meta(m)->trace == 3 && mb_meta(m)->arg1 == 1);
	rte_pktmbuf_free(m);
}

static void resolve(struct iface *i, const char *addr, const struct rte_ether_addr *hw)
{
	hold("192.0.2.1", addr, i->nh_glean);
	expect_request(addr, NULL);
	arp_from(i, ARP_REPLY, hw, addr, "10.0.0.1");
	expect_packet(INJECT_IP4_REWRITE, find(i, addr)->nh);
	CHECK(find(i, addr)->nud == NUD_REACHABLE);
}

static void test_resolution(struct iface *i)
{
	const struct rte_ether_addr host = mac(9);
	const struct nexthop *nh;
	struct neigh *n;

	hold("192.0.2.1", "10.0.0.9", i->nh_glean);
	expect_request("10.0.0.9", NULL);
	n = find(i, "10.0.0.9");
	CHECK(n != NULL && n->nud == NUD_INCOMPLETE && n->n_queue == 1);
	nh = &nexthops[n->nh];
	CHECK(nh->action == NH_UNRESOLVED && nh->neigh == n);
	/* More packets wait, and are not asked for. */
	hold("192.0.2.1", "10.0.0.9", i->nh_glean);
	hold("192.0.2.1", "10.0.0.9", n->nh);
	CHECK(sent() == NULL && n->n_queue == 3);
	/* Somebody else's answer changes nothing; that to us does. */
	arp_from(i, ARP_REPLY, &host, "10.0.0.9", "10.0.0.1");
	CHECK(n->nud == NUD_REACHABLE && n->n_queue == 0 && neigh_queued_total() == 0);
	for (int k = 0; k < 3; k++)
		expect_packet(INJECT_IP4_REWRITE, n->nh);
	CHECK(nh->action == NH_REWRITE && nh->l2_len == 14 && nh->mtu == 1500);
	CHECK(memcmp(nh->l2 + 2, &host, 6) == 0 && memcmp(nh->l2 + 8, &i->mac, 6) == 0);
	CHECK(routed("10.0.0.9", n->nh));
	/* Late packets of the glean path go straight on. */
	hold("192.0.2.1", "10.0.0.9", i->nh_glean);
	expect_packet(INJECT_IP4_REWRITE, n->nh);
	neigh_flush(i, NULL);
	CHECK(find(i, "10.0.0.9") == NULL && routed("10.0.0.9", i->nh_glean) && i->n_neigh == 0);
}

static void test_failure(struct iface *i)
{
	unsigned int k;

	hold("192.0.2.1", "10.0.0.8", i->nh_glean);
	for (k = 0; k < 20; k++)
		hold("192.0.2.1", "10.0.0.8", i->nh_glean);
	CHECK(find(i, "10.0.0.8")->n_queue == neigh_settings.queue);
	expect_request("10.0.0.8", NULL);
	pass_ms(900);
	CHECK(sent() == NULL);
	pass_ms(200);
	expect_request("10.0.0.8", NULL);
	pass_ms(1000);
	expect_request("10.0.0.8", NULL);
	CHECK(sent() == NULL);
	pass_ms(1000);
	CHECK(find(i, "10.0.0.8")->nud == NUD_FAILED);
	for (k = 0; k < neigh_settings.queue; k++)
		expect_packet(INJECT_IP4_ERROR, 0);
	/* It is not asked for again while its failure is remembered. */
	hold("192.0.2.1", "10.0.0.8", i->nh_glean);
	expect_packet(INJECT_IP4_ERROR, 0);
	pass_ms(3200);
	CHECK(find(i, "10.0.0.8") == NULL && sent() == NULL && neigh_queued_total() == 0);
}

static void test_ageing(struct iface *i)
{
	const struct rte_ether_addr host = mac(7);
	struct neigh *n;

	/* Unused: stale after 15 to 45 s, probed at its own MAC after stale_s, then forgotten. */
	resolve(i, "10.0.0.7", &host);
	n = find(i, "10.0.0.7");
	pass_ms(46000);
	CHECK(n->nud == NUD_STALE && sent() == NULL && routed("10.0.0.7", n->nh));
	for (unsigned int k = 0; k < neigh_settings.stale_s * 10 && n->nud == NUD_STALE; k++)
		pass_ms(100);
	CHECK(n->nud == NUD_PROBE);
	expect_request("10.0.0.7", &host);
	/* It answers: good for another round. */
	arp_from(i, ARP_REPLY, &host, "10.0.0.7", "10.0.0.1");
	CHECK(n->nud == NUD_REACHABLE);
	drain();
	pass_ms(46000 + neigh_settings.stale_s * 1000 + 4000);
	CHECK(find(i, "10.0.0.7") == NULL && drain() == 3);

	/* In use: STALE, DELAY, PROBE; silent: asked for by broadcast; then failed. */
	resolve(i, "10.0.0.7", &host);
	n = find(i, "10.0.0.7");
	pass_ms(46000);
	CHECK(n->nud == NUD_STALE);
	use(n->nh);
	pass_ms(2100);
	CHECK(n->nud == NUD_DELAY);
	use(n->nh);
	pass_ms(5000);
	CHECK(n->nud == NUD_PROBE && nexthops[n->nh].action == NH_REWRITE);
	expect_request("10.0.0.7", &host);
	pass_ms(3100);
	CHECK(n->nud == NUD_INCOMPLETE && nexthops[n->nh].action == NH_UNRESOLVED);
	CHECK(routed("10.0.0.7", i->nh_glean));
	drain();
	pass_ms(3100);
	CHECK(n->nud == NUD_FAILED && nexthops[n->nh].action == NH_DOWN);
	pass_ms(3200);
	CHECK(find(i, "10.0.0.7") == NULL);
	drain();
}

/* A client's more specific route goes before the host route of a neighbour in it, whichever came
 * first. */
static void test_more_specific(struct iface *i)
{
	const struct rte_ether_addr host = mac(200);
	const struct owner_tag tag = {.owner = 1};
	const struct ip_addr half = ip("10.0.0.128"), far = ip("172.20.0.0");
	uint32_t nh;

	resolve(i, "10.0.0.200", &host);
	nh = find(i, "10.0.0.200")->nh;
	CHECK(routed("10.0.0.200", nh));
	CHECK(fib_route_set(VRF_DEFAULT, &half, 25, group_of_nexthop(nh_blackhole), tag, NULL) ==
	      0);
	pass_ms(10000);
	CHECK(find(i, "10.0.0.200")->nh == nh && routed("10.0.0.200", nh_blackhole));
	CHECK(fib_route_delete(VRF_DEFAULT, &half, 25, 1, NULL) == 0);
	pass_ms(10000);
	CHECK(routed("10.0.0.200", nh));
	/* A route straight onto the interface: each destination gets a host route, as long as the
	 * route is there. */
	CHECK(fib_route_set(VRF_DEFAULT, &far, 16, group_of_nexthop(i->nh_glean), tag, NULL) == 0);
	resolve(i, "172.20.3.4", &host);
	nh = find(i, "172.20.3.4")->nh;
	CHECK(routed("172.20.3.4", nh));
	CHECK(fib_route_delete(VRF_DEFAULT, &far, 16, 1, NULL) == 0);
	pass_ms(10000);
	CHECK(!routed("172.20.3.4", nh));
	neigh_flush(i, NULL);
	drain();
}

static void test_pins(struct iface *i)
{
	const struct rte_ether_addr gw = mac(2), other = mac(3);
	const struct ip_addr a = ip("10.0.0.2");
	struct dp_error err;
	struct neigh *n = neigh_pin(i, &a, &err);
	unsigned int asked;

	CHECK(n != NULL && n->nud == NUD_INCOMPLETE && n->pins == 1);
	expect_request("10.0.0.2", NULL);
	CHECK(neigh_pin(i, &a, &err) == n && n->pins == 2);
	neigh_unpin(n);
	arp_from(i, ARP_REPLY, &gw, "10.0.0.2", "10.0.0.1");
	CHECK(n->nud == NUD_REACHABLE);
	/* Without any traffic it is probed when its time is over, and found dead within seconds. */
	pass_ms(46000 + 3200);
	CHECK(n->nud == NUD_FAILED && nexthops[n->nh].action == NH_DOWN);
	drain();
	/* Asked for for ever, ever more seldom. */
	pass_ms(60000);
	asked = drain();
	CHECK(asked >= 11 && asked <= 15);
	pass_ms(300000);
	asked = drain();
	CHECK(asked >= 58 && asked <= 62 && find(i, "10.0.0.2") == n);
	/* It comes back with another MAC. */
	arp_from(i, ARP_REPLY, &other, "10.0.0.2", "10.0.0.1");
	CHECK(n->nud == NUD_REACHABLE && nexthops[n->nh].action == NH_REWRITE);
	CHECK(memcmp(nexthops[n->nh].l2 + 2, &other, 6) == 0);
	/* Link down and up: DOWN until it answers. */
	box_link(i, false);
	CHECK(n->nud == NUD_FAILED && nexthops[n->nh].action == NH_DOWN);
	pass_ms(40000);
	CHECK(drain() == 0);
	box_link(i, true);
	pass_ms(200);
	CHECK(nexthops[n->nh].action == NH_DOWN);
	expect_request("10.0.0.2", NULL);
	arp_from(i, ARP_REPLY, &gw, "10.0.0.2", "10.0.0.1");
	CHECK(n->nud == NUD_REACHABLE && nexthops[n->nh].action == NH_REWRITE);
	/* A flush makes it start again. */
	CHECK(neigh_flush(NULL, NULL) == 1 && n->nud == NUD_INCOMPLETE);
	drain();
	pass_ms(3200);
	CHECK(n->nud == NUD_FAILED);
	neigh_unpin(n);
	pass_ms(3200);
	CHECK(find(i, "10.0.0.2") == NULL);
	drain();
}

static void test_static(struct iface *i)
{
	const struct rte_ether_addr hw = mac(5), group = {{0x01, 0, 0x5e, 0, 0, 1}};
	const struct owner_tag tag = {.owner = 3, .epoch = 1};
	const struct ip_addr a = ip("10.0.0.5"), own = ip("10.0.0.1"), all = ip("10.0.0.255");
	struct dp_error err;
	struct neigh *n;

	CHECK(neigh_static_set(i, &a, &group, tag, &err) < 0 && strcmp(err.field, "mac") == 0);
	CHECK(neigh_static_set(i, &own, &hw, tag, &err) < 0 && strcmp(err.field, "address") == 0);
	CHECK(neigh_static_set(i, &all, &hw, tag, &err) < 0 && strcmp(err.field, "address") == 0);
	CHECK(neigh_static_set(i, &a, &hw, tag, &err) == 0);
	n = find(i, "10.0.0.5");
	CHECK(n->nud == NUD_STATIC && nexthops[n->nh].action == NH_REWRITE);
	CHECK(routed("10.0.0.5", n->nh));
	/* Nothing heard changes it, nothing forgets it. */
	arp_from(i, ARP_REPLY, &group, "10.0.0.5", "10.0.0.1");
	CHECK(neigh_flush(i, NULL) == 0 && rte_is_same_ether_addr(&n->mac, &hw));
	pass_ms(100000);
	CHECK(n->nud == NUD_STATIC);
	box_link(i, false);
	CHECK(nexthops[n->nh].action == NH_DOWN && !routed("10.0.0.5", n->nh));
	hold("192.0.2.1", "10.0.0.5", n->nh);
	expect_packet(INJECT_IP4_ERROR, 0);
	box_link(i, true);
	CHECK(nexthops[n->nh].action == NH_REWRITE && routed("10.0.0.5", n->nh));
	CHECK(neigh_static_delete(i, &a, 4, &err) < 0 && err.code == DP_PERMISSION);
	CHECK(neigh_static_delete(i, &a, 3, &err) == 0 && find(i, "10.0.0.5") == NULL);
	CHECK(neigh_static_delete(i, &a, 3, &err) < 0 && err.code == DP_NOT_FOUND);
	drain();
}

static void test_limit(struct iface *i)
{
	const struct rte_ether_addr hw = mac(20);
	const struct owner_tag tag = {0};
	const struct ip_addr pinned = ip("10.0.0.20"), fixed = ip("10.0.0.21"),
			     more = ip("10.0.0.50");
	struct dp_error err;
	struct neigh *n;
	char buf[32];

	neigh_settings.limit = 8;
	CHECK(neigh_pin(i, &pinned, &err) != NULL);
	CHECK(neigh_static_set(i, &fixed, &hw, tag, &err) == 0);
	drain();
	/* Two that are stale, one of them older; then a scan. */
	arp_from(i, ARP_REQUEST, &hw, "10.0.0.22", "10.0.0.1");
	arp_from(i, ARP_REQUEST, &hw, "10.0.0.23", "10.0.0.1");
	CHECK(find(i, "10.0.0.22")->nud == NUD_STALE);
	for (int k = 30; k < 50; k++) {
		snprintf(buf, sizeof(buf), "10.0.0.%d", k);
		hold("192.0.2.1", buf, i->nh_glean);
	}
	CHECK(i->n_neigh == 8);
	/* The scan evicts only itself, the oldest first. */
	CHECK(find(i, "10.0.0.22") != NULL && find(i, "10.0.0.23") != NULL);
	CHECK(find(i, "10.0.0.45") == NULL && find(i, "10.0.0.46") != NULL);
	/* Without unresolved ones, the one that has been stale for longest. */
	for (int k = 46; k < 50; k++) {
		snprintf(buf, sizeof(buf), "10.0.0.%d", k);
		arp_from(i, ARP_REPLY, &hw, buf, "10.0.0.1");
		CHECK(find(i, buf)->nud == NUD_REACHABLE);
	}
	hold("192.0.2.1", "10.0.0.50", i->nh_glean);
	CHECK(find(i, "10.0.0.22") == NULL && find(i, "10.0.0.23") != NULL);
	CHECK(find(i, "10.0.0.20") != NULL && find(i, "10.0.0.21") != NULL);
	/* All in use. */
	neigh_static_set(i, &more, &hw, tag, &err);
	arp_from(i, ARP_REPLY, &hw, "10.0.0.23", "10.0.0.1");
	n = find(i, "10.0.0.23");
	neigh_confirm(neigh_ent(n));
	CHECK(n->nud == NUD_REACHABLE);
	n = neigh_pin(i, &(struct ip_addr){.len = 4, .b = {10, 0, 0, 60}}, &err);
	CHECK(n == NULL && err.code == DP_TABLE_FULL && i->n_neigh == 8);
	neigh_unpin(find(i, "10.0.0.20"));
	neigh_iface_deleted(i);
	CHECK(i->n_neigh == 0 && neigh_count() == 0 && neigh_queued_total() == 0);
	neigh_settings.limit = 4096;
	drain();
}

static void test_whole_table(struct iface *i)
{
	uint32_t pos = 0, before = nexthops_used(), n = 0;
	struct neigh *e;
	char buf[32];

	neigh_settings.limit = NEIGH_MAX * 2;
	for (unsigned int k = 0; k < NEIGH_MAX + 5000; k++) {
		struct ip_addr a = {.len = 4, .b = {20, k >> 16, k >> 8, k}};

		neigh_get(i, &a, NULL);
		if (k % 1024 == 0)
			drain();
	}
	CHECK(neigh_count() == NEIGH_MAX && i->n_neigh == NEIGH_MAX);
	while ((e = neigh_next(&pos)) != NULL)
		n++;
	CHECK(n == NEIGH_MAX);
	CHECK(find(i, "20.0.0.9") == NULL &&
	      find(i, ip_addr_str(&(struct ip_addr){.len = 4, .b = {20, 1, 0, 1}}, buf)) != NULL);
	/* All fail, in slices, and are forgotten. */
	pass_ms(25000);
	CHECK(neigh_count() == 0 && nexthops_used() == before);
	neigh_settings.limit = 4096;
	drain();
}

static void test_outputs(struct iface *i)
{
	static const struct {
		const char *dst;
		uint8_t mac[6];
	} to[] = {
		{"224.0.0.5", {0x01, 0, 0x5e, 0, 0, 5}},
		{"239.129.2.3", {0x01, 0, 0x5e, 1, 2, 3}},
		{"255.255.255.255", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"10.0.0.255", {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"ff02::1:ff00:12", {0x33, 0x33, 0xff, 0, 0, 0x12}},
	};

	for (unsigned int k = 0; k < RTE_DIM(to); k++) {
		struct ip_addr a = ip(to[k].dst);
		struct rte_mbuf *m = neigh_frame(i, 64);

		neigh_output(i, &a, m);
		m = sent();
		CHECK(m != NULL && memcmp(rte_pktmbuf_mtod(m, void *), to[k].mac, 6) == 0);
		rte_pktmbuf_free(m);
	}
}

void test_tables(void)
{
	struct iface *i = box_iface(1, 0);

	box_addr(i, "10.0.0.1", 24);
	pass_ms(5000);
	/* Two announcements. */
	CHECK(drain() == 2);
	test_resolution(i);
	test_failure(i);
	test_ageing(i);
	test_static(i);
	test_more_specific(i);
	test_pins(i);
	test_limit(i);
	test_outputs(i);
	test_whole_table(i);
	box_iface_free(i);
	CHECK(rte_mempool_avail_count(dp_pool) == dp_pool->size);
}
