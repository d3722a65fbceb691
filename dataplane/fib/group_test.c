/* SPDX-License-Identifier: Apache-2.0 */
/* Next-hop objects and groups: shares, what moves when a member dies, comes back or leaves, and
 * what holds what. */
#include <stdlib.h>

#include <rte_common.h>

#include "../iface/iface.h"
#include "../ip4/check_test.h"
#include "../neigh/neigh.h"
#include "../seam/testbed.h"
#include "fib.h"
#include "fib_test.h"
#include "group.h"

#define HASHES 4096

static const struct owner_tag one = {.owner = 1, .epoch = 1}, two = {.owner = 2, .epoch = 1};
static struct dp_error err;
static struct iface *eth;

static struct ip_addr gateway(unsigned int k)
{
	struct ip_addr a = testbed_ip("10.7.0.2");

	a.b[3] = (uint8_t)(2 + k);
	return a;
}

/* Next hop 100 + k: a gateway with a static neighbour. */
static void add_gateway(unsigned int k)
{
	const struct rte_ether_addr mac = {{2, 0, 0, 0, 1, (uint8_t)k}};
	const struct ip_addr a = gateway(k);
	const struct nh_obj o = {
		.id = 100 + k, .kind = NHK_GATEWAY, .iface = eth->id, .gateway = a, .owner = one};

	CHECK(neigh_static_set(eth, &a, &mac, one, &err) == 0, "%s", err.message);
	CHECK(nh_obj_set(&o, &err) == 0, "%s", err.message);
}

static uint32_t line(unsigned int k)
{
	return nh_obj_find(100 + k)->nh;
}

/* Its neighbour dies or comes back. */
static void gateway_up(unsigned int k, bool up)
{
	struct nexthop n = nexthops[line(k)];

	n.action = up ? NH_REWRITE : NH_DOWN;
	nexthop_write(line(k), &n);
}

static int group_set(uint64_t id, unsigned int n, const unsigned int *members,
		     const uint8_t *weights)
{
	struct group_obj g = {.id = id, .n = (uint16_t)n, .owner = one};

	for (unsigned int i = 0; i < n && i < GROUP_MEMBERS_MAX; i++) {
		g.member[i].nh_id = 100 + members[i];
		g.member[i].weight = weights != NULL ? weights[i] : 1;
	}
	err = (struct dp_error){0};
	return group_obj_set(&g, &err);
}

/* Which next hop each hash gets. */
static void select_all(uint64_t id, uint32_t *nh)
{
	const uint32_t gid = group_obj_find(id)->index;

	for (uint32_t h = 0; h < HASHES; h++)
		nh[h] = group_select(gid, h);
}

static unsigned int share(const uint32_t *nh, uint32_t of)
{
	unsigned int n = 0;

	for (uint32_t h = 0; h < HASHES; h++)
		n += nh[h] == of;
	return n;
}

static void test_weights(void)
{
	static const unsigned int m[] = {0, 1, 2};
	static const uint8_t w[] = {1, 2, 5};
	uint32_t nh[HASHES];

	CHECK(group_set(1, 3, m, w) == 0, "%s", err.message);
	CHECK(group_obj_find(1)->members_up == 3, "%u up", group_obj_find(1)->members_up);
	select_all(1, nh);
	for (unsigned int i = 0; i < 3; i++)
		CHECK(share(nh, line(i)) == HASHES / 8 * w[i], "member %u has %u", i,
		      share(nh, line(i)));
	/* Very uneven: none is left out. */
	CHECK(group_set(1, 2, m, (const uint8_t[]){1, 255}) == 0, "%s", err.message);
	select_all(1, nh);
	CHECK(share(nh, line(0)) > 0 && share(nh, line(0)) < HASHES / 128 &&
		      share(nh, line(0)) + share(nh, line(1)) == HASHES,
	      "%u", share(nh, line(0)));
	/* Back to fewer buckets, and to one. */
	CHECK(group_set(1, 2, m, NULL) == 0, "%s", err.message);
	select_all(1, nh);
	CHECK(share(nh, line(0)) == HASHES / 2, "%u", share(nh, line(0)));
	CHECK(group_set(1, 1, m, NULL) == 0, "%s", err.message);
	select_all(1, nh);
	CHECK(share(nh, line(0)) == HASHES, "%u", share(nh, line(0)));
	CHECK(group_obj_delete(1, 1, &err) == 0, "%s", err.message);
}

static void test_backup(void)
{
	struct group_obj g = {.id = 1, .n = 5, .owner = one};
	uint32_t nh[HASHES], before[HASHES];

	/* 0 and 1 in front, 2 (twice the weight) and 3 behind, 4 last. */
	for (unsigned int i = 0; i < 5; i++) {
		g.member[i].nh_id = 100 + i;
		g.member[i].weight = i == 2 ? 2 : 1;
		g.member[i].backup = (uint8_t)(i / 2);
	}
	CHECK(group_obj_set(&g, &err) == 0, "%s", err.message);
	select_all(1, before);
	CHECK(share(before, line(0)) == HASHES / 2 && share(before, line(1)) == HASHES / 2,
	      "%u, %u", share(before, line(0)), share(before, line(1)));
	gateway_up(0, false);
	select_all(1, nh);
	CHECK(share(nh, line(1)) == HASHES, "%u", share(nh, line(1)));
	/* All in front are dead: those behind take over by their weights. */
	gateway_up(1, false);
	select_all(1, nh);
	CHECK(share(nh, line(2)) > HASHES / 2 && share(nh, line(3)) > HASHES / 4 &&
		      share(nh, line(2)) + share(nh, line(3)) == HASHES,
	      "%u, %u", share(nh, line(2)), share(nh, line(3)));
	gateway_up(2, false);
	select_all(1, nh);
	CHECK(share(nh, line(3)) == HASHES, "%u", share(nh, line(3)));
	gateway_up(3, false);
	select_all(1, nh);
	CHECK(share(nh, line(4)) == HASHES, "%u", share(nh, line(4)));
	gateway_up(4, false);
	select_all(1, nh);
	CHECK(share(nh, nh_down) == HASHES, "%u", share(nh, nh_down));
	/* Back, in any order: one in front is enough, and all is as it was. */
	gateway_up(2, true);
	gateway_up(1, true);
	select_all(1, nh);
	CHECK(share(nh, line(1)) == HASHES, "%u", share(nh, line(1)));
	gateway_up(4, true);
	gateway_up(3, true);
	gateway_up(0, true);
	select_all(1, nh);
	CHECK(memcmp(nh, before, sizeof(nh)) == 0, "flows moved");
	/* One that becomes a backup. */
	g.member[1].backup = 1;
	CHECK(group_obj_set(&g, &err) == 0, "%s", err.message);
	select_all(1, nh);
	CHECK(share(nh, line(0)) == HASHES, "%u", share(nh, line(0)));
	CHECK(group_obj_delete(1, 1, &err) == 0, "%s", err.message);
}

static void test_resilience(void)
{
	static const unsigned int m[] = {0, 1, 2, 3};
	uint32_t all[HASHES], now[HASHES];
	unsigned int moved = 0;

	CHECK(group_set(1, 4, m, NULL) == 0, "%s", err.message);
	select_all(1, all);
	/* A member dies: its buckets go to all others, nobody else's do. */
	gateway_up(1, false);
	select_all(1, now);
	for (uint32_t h = 0; h < HASHES; h++)
		CHECK(all[h] == line(1) ? now[h] != line(1) : now[h] == all[h], "hash %u moved", h);
	for (unsigned int i = 0; i < 4; i++)
		CHECK(i == 1 || share(now, line(i)) > HASHES / 4, "member %u got nothing", i);
	CHECK(group_obj_find(1)->members_up == 3, "%u up", group_obj_find(1)->members_up);
	/* All but one, and all: one takes everything, then it is down. */
	gateway_up(0, false);
	gateway_up(2, false);
	select_all(1, now);
	CHECK(share(now, line(3)) == HASHES, "%u", share(now, line(3)));
	gateway_up(3, false);
	select_all(1, now);
	CHECK(share(now, nh_down) == HASHES, "%u", share(now, nh_down));
	/* They come back, in another order: as it was. */
	gateway_up(2, true);
	gateway_up(0, true);
	gateway_up(3, true);
	gateway_up(1, true);
	select_all(1, now);
	CHECK(memcmp(all, now, sizeof(all)) == 0, "not as it was");
	/* One that is not resolved gets nothing while others are. */
	{
		struct nexthop n = nexthops[line(2)];

		n.action = NH_UNRESOLVED;
		nexthop_write(line(2), &n);
		select_all(1, now);
		CHECK(share(now, line(2)) == 0, "unresolved");
		n.action = NH_REWRITE;
		nexthop_write(line(2), &n);
	}
	/* A member leaves for good: again only its buckets. */
	CHECK(group_set(1, 3, (const unsigned int[]){0, 2, 3}, NULL) == 0, "%s", err.message);
	select_all(1, now);
	for (uint32_t h = 0; h < HASHES; h++)
		if (all[h] != line(1))
			CHECK(now[h] == all[h], "hash %u moved", h);
	CHECK(share(now, line(1)) == 0, "it is still there");
	/* One joins: it gets its share, and what it does not get stays. */
	memcpy(all, now, sizeof(all));
	CHECK(group_set(1, 4, (const unsigned int[]){4, 0, 2, 3}, NULL) == 0, "%s", err.message);
	select_all(1, now);
	for (uint32_t h = 0; h < HASHES; h++) {
		moved += now[h] != all[h];
		CHECK(now[h] == all[h] || now[h] == line(4), "hash %u went to another", h);
	}
	CHECK(moved == HASHES / 4 && share(now, line(4)) == moved, "%u moved", moved);
	CHECK(group_obj_delete(1, 1, &err) == 0, "%s", err.message);
}

static void test_many(void)
{
	unsigned int m[GROUP_MEMBERS_MAX + 1];
	uint32_t nh[HASHES];

	for (unsigned int i = 0; i <= GROUP_MEMBERS_MAX; i++)
		m[i] = i;
	CHECK(group_set(1, GROUP_MEMBERS_MAX + 1, m, NULL) < 0 && err.code == DP_INVALID &&
		      strcmp(err.field, "members") == 0,
	      "65 members");
	CHECK(group_set(1, 0, m, NULL) < 0 && err.code == DP_INVALID, "no member");
	CHECK(group_set(1, GROUP_MEMBERS_MAX, m, NULL) == 0, "%s", err.message);
	select_all(1, nh);
	for (unsigned int i = 0; i < GROUP_MEMBERS_MAX; i++)
		CHECK(share(nh, line(i)) == HASHES / 64, "member %u has %u", i, share(nh, line(i)));
	for (unsigned int i = 0; i < GROUP_MEMBERS_MAX; i += 2)
		gateway_up(i, false);
	select_all(1, nh);
	for (unsigned int i = 0; i < GROUP_MEMBERS_MAX; i++)
		CHECK((share(nh, line(i)) == 0) == (i % 2 == 0), "member %u has %u", i,
		      share(nh, line(i)));
	for (unsigned int i = 0; i < GROUP_MEMBERS_MAX; i += 2)
		gateway_up(i, true);
	CHECK(group_obj_delete(1, 1, &err) == 0, "%s", err.message);
}

static void test_references(void)
{
	const struct ip_addr p = testbed_ip("198.51.100.0"), q = testbed_ip("198.51.101.0");
	struct nh_obj hole = {.id = 7, .kind = NHK_BLACKHOLE, .owner = one};
	struct nh_obj changed = *nh_obj_find(100);
	const uint32_t groups_before = groups_used();
	struct group_obj g = {.id = 2, .n = 1, .owner = two, .member = {{.nh_id = 100}}};
	uint32_t gid;

	CHECK(group_set(1, 2, (const unsigned int[]){0, 1}, NULL) == 0, "%s", err.message);
	gid = group_obj_find(1)->index;
	CHECK(group_obj_by_index(gid) == group_obj_find(1), "by index");
	CHECK(nh_obj_find(100)->refs == 1, "%u", nh_obj_find(100)->refs);
	/* What is in use stays what it is. */
	changed.gateway = gateway(5);
	CHECK(nh_obj_set(&changed, &err) < 0 && err.code == DP_IN_USE &&
		      strcmp(err.field, "id") == 0,
	      "changed under a group");
	CHECK(nh_obj_delete(100, 1, &err) < 0 && err.code == DP_IN_USE, "deleted under a group");
	/* The same again is no change. */
	changed = *nh_obj_find(100);
	changed.owner.epoch = 5;
	CHECK(nh_obj_set(&changed, &err) == 0 && nh_obj_find(100)->refs == 1 &&
		      nh_obj_find(100)->owner.epoch == 5,
	      "%s", err.message);
	/* Of another owner, unknown, twice. */
	CHECK(group_obj_set(&g, &err) < 0 && err.code == DP_PERMISSION &&
		      strcmp(err.field, "members[0].next_hop_id") == 0,
	      "another's next hop");
	CHECK(group_set(2, 1, (const unsigned int[]){900}, NULL) < 0 && err.code == DP_NOT_FOUND,
	      "unknown");
	CHECK(group_set(2, 2, (const unsigned int[]){0, 0}, NULL) < 0 && err.code == DP_INVALID &&
		      strcmp(err.field, "members[1].next_hop_id") == 0,
	      "twice");
	CHECK(nh_obj_delete(100, 2, &err) < 0 && err.code == DP_PERMISSION, "another's");
	CHECK(nh_obj_delete(999, 1, &err) < 0 && err.code == DP_NOT_FOUND, "unknown");
	CHECK(group_obj_delete(1, 2, &err) < 0 && err.code == DP_PERMISSION, "another's");
	CHECK(group_obj_delete(999, 1, &err) < 0 && err.code == DP_NOT_FOUND, "unknown");
	CHECK(groups_used() == groups_before + 1, "what was refused left something");
	/* Routes hold the group. */
	CHECK(fib_route_set(0, &p, 24, gid, one, &err) == 0, "%s", err.message);
	CHECK(fib_route_set(0, &p, 24, gid, one, &err) == 0, "%s", err.message);
	CHECK(fib_route_set(0, &q, 24, gid, one, &err) == 0, "%s", err.message);
	CHECK(group_obj_find(1)->routes == 2, "%u routes", group_obj_find(1)->routes);
	CHECK(group_obj_delete(1, 1, &err) < 0 && err.code == DP_IN_USE &&
		      strcmp(err.message, "2 routes use it") == 0,
	      "%s", err.message);
	/* Its members change under them. */
	CHECK(group_set(1, 1, (const unsigned int[]){2}, NULL) == 0, "%s", err.message);
	CHECK(group_select(fib_lookup(0, &p), 17) == line(2) && nh_obj_find(100)->refs == 0,
	      "members");
	CHECK(fib_route_delete(0, &p, 24, 1, &err) == 0, "%s", err.message);
	CHECK(fib_route_delete(0, &q, 24, 1, &err) == 0, "%s", err.message);
	CHECK(group_obj_delete(1, 1, &err) == 0, "%s", err.message);
	CHECK(groups_used() == groups_before, "%u groups", groups_used());
	/* Not in use any more: it can become another. */
	changed.gateway = gateway(5);
	CHECK(nh_obj_set(&changed, &err) == 0 && line(0) == line(5), "%s", err.message);
	changed.gateway = gateway(0);
	CHECK(nh_obj_set(&changed, &err) == 0 && line(0) != line(5), "%s", err.message);
	CHECK(nh_obj_set(&hole, &err) == 0 && nh_obj_find(7)->nh == nh_blackhole, "%s",
	      err.message);
	hole.kind = NHK_REJECT;
	CHECK(nh_obj_set(&hole, &err) == 0 && nh_obj_find(7)->nh == nh_reject, "%s", err.message);
	CHECK(nh_obj_delete(7, 1, &err) == 0 && nh_obj_find(7) == NULL, "%s", err.message);
}

/* A next hop keeps its neighbour, and refuses what leads nowhere. */
static void test_pins(void)
{
	const struct ip_addr a = testbed_ip("10.7.0.200"), own = testbed_ip("10.7.0.1");
	struct nh_obj o = {
		.id = 8, .kind = NHK_GATEWAY, .iface = eth->id, .gateway = a, .owner = one};
	struct nh_obj second = o, bad = o;
	const unsigned int count = nh_obj_count();

	second.id = 9;
	CHECK(neigh_find(eth, &a) == NULL, "already there");
	CHECK(nh_obj_set(&o, &err) == 0 && nh_obj_set(&second, &err) == 0, "%s", err.message);
	CHECK(neigh_find(eth, &a)->pins == 2 && nh_obj_find(8)->nh == nh_obj_find(9)->nh,
	      "one neighbour");
	neigh_flush(eth, NULL);
	CHECK(neigh_find(eth, &a) != NULL, "flushed while pinned");
	CHECK(nh_obj_delete(8, 1, &err) == 0 && neigh_find(eth, &a)->pins == 1, "%s", err.message);
	CHECK(nh_obj_delete(9, 1, &err) == 0, "%s", err.message);
	neigh_flush(eth, NULL);
	CHECK(neigh_find(eth, &a) == NULL, "still there");
	bad.gateway = own;
	CHECK(nh_obj_set(&bad, &err) < 0 && err.code == DP_INVALID &&
		      strcmp(err.field, "gateway") == 0,
	      "own address");
	bad.gateway = a;
	bad.iface = 999;
	CHECK(nh_obj_set(&bad, &err) < 0 && err.code == DP_NOT_FOUND &&
		      strcmp(err.field, "interface") == 0,
	      "no interface");
	bad.kind = NHK_VRF;
	bad.vrf = 99;
	CHECK(nh_obj_set(&bad, &err) < 0 && err.code == DP_NOT_FOUND &&
		      strcmp(err.field, "vrf") == 0,
	      "no VRF");
	CHECK(nh_obj_count() == count, "%u objects", nh_obj_count());
}

void test_groups(void)
{
	struct iface_config c = {.name = "eth7", .kind = IFACE_PORT, .admin_up = true};
	const struct ip_addr own = testbed_ip("10.7.0.1");

	snprintf(c.device, sizeof(c.device), "net_null7,no-rx=1");
	CHECK(iface_set(&c, &err) == 0, "%s", err.message);
	eth = iface_find("eth7");
	CHECK(iface_addr_set(eth, &own, 24, one, &err) == 0, "%s", err.message);
	for (unsigned int k = 0; k < GROUP_MEMBERS_MAX; k++)
		add_gateway(k);
	test_weights();
	test_backup();
	test_resilience();
	test_many();
	test_references();
	test_pins();
	for (unsigned int k = 0; k < GROUP_MEMBERS_MAX; k++)
		CHECK(nh_obj_delete(100 + k, 1, &err) == 0, "%s", err.message);
	CHECK(iface_delete(eth, &err) == 0, "%s", err.message);
}
