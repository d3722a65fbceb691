/* SPDX-License-Identifier: Apache-2.0 */
/* Routes: whose is in force, walks and sweeps while routes go, full tables, and tables that routes
 * come to and go from for a long time. */
#include <rte_common.h>

#include "../core/worker.h"
#include "../ip4/check_test.h"
#include "../seam/testbed.h"
#include "../vrf/vrf.h"
#include "fib_test.h"
#include "group.h"

static const struct owner_tag one = {.owner = 1, .epoch = 1}, two = {.owner = 2, .epoch = 1};
static struct dp_error err;
/* Groups of one next hop. */
static uint32_t gid[4];

static uint32_t lookup(uint16_t vrf, const char *dst)
{
	const struct ip_addr a = testbed_ip(dst);

	return fib_lookup(vrf, &a);
}

static int set(uint16_t vrf, const char *prefix, uint8_t plen, uint32_t group)
{
	const struct ip_addr p = testbed_ip(prefix);

	err = (struct dp_error){0};
	return fib_route_set(vrf, &p, plen, group, one, &err);
}

static int del(uint16_t vrf, const char *prefix, uint8_t plen)
{
	const struct ip_addr p = testbed_ip(prefix);

	err = (struct dp_error){0};
	return fib_route_delete(vrf, &p, plen, 1, &err);
}

static uint32_t used(uint16_t vrf, bool v6)
{
	struct fib_usage u;

	fib_usage(vrf, v6, &u);
	return u.routes;
}

static uint32_t tbl8(uint16_t vrf, bool v6)
{
	struct fib_usage u;

	fib_usage(vrf, v6, &u);
	return u.tbl8_used;
}

static void test_precedence(const char *prefix, uint8_t plen)
{
	const struct ip_addr p = testbed_ip(prefix);
	const bool v6 = p.len == 16;
	const uint32_t before = used(0, v6), groups_before = groups_used();
	struct route_info r;

	CHECK(lookup(0, prefix) == 0, "not empty");
	CHECK(set(0, prefix, plen, gid[0]) == 0, "%s", err.message);
	CHECK(used(0, v6) == before + 1 && lookup(0, prefix) == gid[0], "client's route");
	/* A neighbour's route is there, but not in force. */
	CHECK(fib_own_set(0, &p, plen, gid[1], ROUTE_NEIGHBOR, &err) == 0, "%s", err.message);
	CHECK(used(0, v6) == before + 1 && lookup(0, prefix) == gid[0], "client over neighbour");
	CHECK(fib_lookup_route(0, &p, &r) && r.origin == ROUTE_CLIENT && r.plen == plen &&
		      r.group == gid[0] && r.client_group == gid[0] && r.own_group == gid[1] &&
		      r.owner.owner == 1 && r.owner.epoch == 1,
	      "what is told of it");
	/* A connected one is. */
	CHECK(fib_own_set(0, &p, plen, gid[2], ROUTE_CONNECTED, &err) == 0, "%s", err.message);
	CHECK(lookup(0, prefix) == gid[2], "connected over client");
	CHECK(fib_lookup_route(0, &p, &r) && r.origin == ROUTE_CONNECTED, "origin %d", r.origin);
	/* The client's comes back when it goes; deleting what is not there is nothing. */
	fib_own_delete(0, &p, plen, ROUTE_NEIGHBOR);
	CHECK(lookup(0, prefix) == gid[2], "another origin");
	fib_own_delete(0, &p, plen, ROUTE_CONNECTED);
	CHECK(lookup(0, prefix) == gid[0], "client again");
	/* A local address is not hidden. */
	CHECK(fib_own_set(0, &p, plen, gid[2], ROUTE_LOCAL, &err) == 0, "%s", err.message);
	CHECK(fib_own_set(0, &p, plen, gid[1], ROUTE_NEIGHBOR, &err) < 0 && err.code == DP_IN_USE,
	      "local hidden");
	CHECK(lookup(0, prefix) == gid[2], "local");
	/* The client's goes first, then the own. */
	CHECK(del(0, prefix, plen) == 0, "%s", err.message);
	CHECK(lookup(0, prefix) == gid[2] && used(0, v6) == before + 1, "own alone");
	CHECK(del(0, prefix, plen) < 0 && err.code == DP_NOT_FOUND, "deleted twice");
	fib_own_delete(0, &p, plen, ROUTE_LOCAL);
	CHECK(lookup(0, prefix) == 0 && used(0, v6) == before, "gone");
	CHECK(groups_used() == groups_before, "groups");
}

static void test_replace(void)
{
	const struct ip_addr p = testbed_ip("192.0.2.0");
	struct route_info r;

	CHECK(set(0, "192.0.2.0", 24, gid[0]) == 0, "%s", err.message);
	CHECK(fib_route_set(0, &p, 24, gid[1], two, &err) < 0 && err.code == DP_PERMISSION,
	      "another's");
	CHECK(fib_route_delete(0, &p, 24, 2, &err) < 0 && err.code == DP_PERMISSION, "another's");
	CHECK(set(0, "192.0.2.0", 24, gid[1]) == 0 && lookup(0, "192.0.2.9") == gid[1], "replace");
	CHECK(fib_route_set(0, &p, 24, gid[1], (struct owner_tag){.owner = 1, .epoch = 7}, &err) ==
		      0,
	      "%s", err.message);
	CHECK(fib_lookup_route(0, &p, &r) && r.owner.epoch == 7, "epoch");
	CHECK(set(9, "192.0.2.0", 24, gid[1]) < 0 && err.code == DP_NOT_FOUND &&
		      strcmp(err.field, "vrf") == 0,
	      "no such VRF");
	CHECK(lookup(9, "192.0.2.1") == 0, "lookup in no VRF");
	CHECK(del(0, "192.0.2.0", 24) == 0, "%s", err.message);
}

/* The default route, longer ones put in before and after it, and what covers what. */
static void test_longest(void)
{
	const struct ip_addr host = testbed_ip("10.1.2.3"), host6 = testbed_ip("2001:db8::3");
	struct route_info r;

	CHECK(set(0, "10.1.2.0", 24, gid[1]) == 0, "%s", err.message);
	CHECK(set(0, "0.0.0.0", 0, gid[0]) == 0, "%s", err.message);
	CHECK(set(0, "10.1.2.3", 32, gid[2]) == 0, "%s", err.message);
	CHECK(lookup(0, "9.9.9.9") == gid[0] && lookup(0, "255.255.255.255") == gid[0], "default");
	CHECK(lookup(0, "10.1.2.1") == gid[1] && lookup(0, "10.1.2.3") == gid[2], "longer");
	CHECK(fib_lookup_covering(0, &host, &r) && r.plen == 24, "covers /%u", r.plen);
	CHECK(del(0, "10.1.2.0", 24) == 0, "%s", err.message);
	CHECK(fib_lookup_covering(0, &host, &r) && r.plen == 0, "covers /%u", r.plen);
	CHECK(lookup(0, "10.1.2.1") == gid[0] && lookup(0, "10.1.2.3") == gid[2], "after");
	CHECK(del(0, "0.0.0.0", 0) == 0, "%s", err.message);
	CHECK(lookup(0, "10.1.2.1") == 0 && lookup(0, "10.1.2.3") == gid[2], "no default");
	CHECK(!fib_lookup_covering(0, &host, &r), "covered by nothing");
	CHECK(del(0, "10.1.2.3", 32) == 0, "%s", err.message);

	CHECK(set(0, "2001:db8::", 48, gid[1]) == 0, "%s", err.message);
	CHECK(set(0, "::", 0, gid[0]) == 0, "%s", err.message);
	CHECK(set(0, "2001:db8::3", 128, gid[2]) == 0, "%s", err.message);
	CHECK(lookup(0, "2001:db9::") == gid[0] && lookup(0, "2001:db8::1") == gid[1] &&
		      lookup(0, "2001:db8::3") == gid[2],
	      "IPv6");
	CHECK(fib_lookup_covering(0, &host6, &r) && r.plen == 48, "covers /%u", r.plen);
	CHECK(del(0, "::", 0) == 0 && lookup(0, "2001:db9::") == 0, "%s", err.message);
	CHECK(del(0, "2001:db8::", 48) == 0 && lookup(0, "2001:db8::1") == 0, "%s", err.message);
	CHECK(del(0, "2001:db8::3", 128) == 0 && lookup(0, "2001:db8::3") == 0, "%s", err.message);
	CHECK(tbl8(0, false) == 0 && tbl8(0, true) == 0, "second-level tables: %u and %u",
	      tbl8(0, false), tbl8(0, true));
}

/* ---- walks ---- */

static struct ip_addr nth(bool v6, uint32_t n)
{
	struct ip_addr a = testbed_ip(v6 ? "2001:db8::" : "10.0.0.0");

	a.b[v6 ? 4 : 1] = (uint8_t)(n >> 8);
	a.b[v6 ? 5 : 2] = (uint8_t)n;
	return a;
}

static void fill(bool v6, uint32_t n, uint64_t epoch)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ip_addr p = nth(v6, i);

		CHECK(fib_route_set(0, &p, v6 ? 48 : 24, gid[i % 3],
				    (struct owner_tag){.owner = 1, .epoch = epoch}, &err) == 0,
		      "%u: %s", i, err.message);
	}
}

/* Pages of all sizes; every route once, in order, although the last of each page is deleted before
 * the next is asked for. */
static void test_walk(bool v6)
{
	const struct ip_addr any = testbed_ip(v6 ? "::" : "0.0.0.0");
	const uint32_t n = 500;

	for (unsigned int page = 1; page <= 64; page += 9) {
		struct route_info r[64], last = {0};
		unsigned int got, seen = 0;
		bool first = true;

		fill(v6, n, 1);
		CHECK(fib_route_set(0, &any, 0, gid[3], one, &err) == 0, "%s", err.message);
		while ((got = fib_walk(0, v6, first ? NULL : &last, r, page)) > 0) {
			for (unsigned int i = 0; i < got; i++, seen++) {
				const struct ip_addr want = seen == 0 ? any : nth(v6, seen - 1);

				CHECK(ip_addr_eq(&r[i].prefix, &want), "route %u of pages of %u",
				      seen, page);
			}
			first = false;
			last = r[got - 1];
			CHECK(fib_route_delete(0, &last.prefix, last.plen, 1, &err) == 0, "%s",
			      err.message);
		}
		CHECK(seen == n + 1, "%u routes in pages of %u", seen, page);
		/* The rest. */
		while (fib_walk(0, v6, NULL, r, 1) == 1)
			CHECK(fib_route_delete(0, &r[0].prefix, r[0].plen, 1, &err) == 0, "%s",
			      err.message);
		CHECK(used(0, v6) == 0, "%u are left", used(0, v6));
	}
}

static void test_sweep(bool v6)
{
	const struct ip_addr theirs = testbed_ip(v6 ? "2001:db9::" : "11.0.0.0");
	struct fib_sweep s = {.vrf = 0, .ipv6 = v6};
	unsigned int deleted = 0, steps = 0;
	bool done = false;

	fill(v6, 1000, 1);
	/* Told again in the new epoch: these stay. */
	fill(v6, 300, 2);
	CHECK(fib_route_set(0, &theirs, 32, gid[0], two, &err) == 0, "%s", err.message);
	while (!done) {
		deleted += fib_sweep_step(&s, 1, 2, 100, &done);
		CHECK(++steps < 100, "no end");
	}
	CHECK(deleted == 700 && steps > 5, "%u deleted in %u steps", deleted, steps);
	CHECK(used(0, v6) == 301 && fib_lookup(0, &theirs) == gid[0], "%u stay", used(0, v6));
	s = (struct fib_sweep){.vrf = 0, .ipv6 = v6};
	for (done = false; !done;)
		fib_sweep_step(&s, 1, UINT64_MAX, 100, &done);
	CHECK(fib_route_delete(0, &theirs, 32, 2, &err) == 0, "%s", err.message);
	CHECK(used(0, v6) == 0, "%u are left", used(0, v6));
}

/* ---- full ---- */

static void test_full(void)
{
	const uint16_t v = vrf_find("small")->id;
	struct fib_usage u;
	uint32_t i;

	fib_usage(v, false, &u);
	CHECK(u.routes_max == 3000 && u.tbl8_max == 1024, "%u routes, %u tables", u.routes_max,
	      u.tbl8_max);
	for (i = 0; i < 3000; i++) {
		struct ip_addr p = nth(false, i);

		CHECK(fib_route_set(v, &p, 24, gid[0], one, &err) == 0, "%u: %s", i, err.message);
	}
	CHECK(set(v, "172.16.0.0", 16, gid[0]) < 0 && err.code == DP_TABLE_FULL &&
		      strcmp(err.field, "prefix") == 0 && strstr(err.message, "small") != NULL,
	      "%s", err.message);
	/* What is there can still change. */
	CHECK(set(v, "10.0.0.0", 24, gid[1]) == 0 && lookup(v, "10.0.0.1") == gid[1], "%s",
	      err.message);
	for (i = 0; i < 3000; i++) {
		struct ip_addr p = nth(false, i);

		CHECK(fib_route_delete(v, &p, 24, 1, &err) == 0, "%u: %s", i, err.message);
	}
	/* A host route in each /24 takes a second-level table. */
	for (i = 0; i < 1024; i++) {
		struct ip_addr p = nth(false, i);

		CHECK(fib_route_set(v, &p, 32, gid[0], one, &err) == 0, "%u: %s", i, err.message);
	}
	CHECK(tbl8(v, false) == 1024, "%u", tbl8(v, false));
	CHECK(set(v, "172.16.0.1", 32, gid[0]) < 0 && err.code == DP_TABLE_FULL &&
		      strstr(err.message, "1024 of 1024") != NULL,
	      "%s", err.message);
	CHECK(lookup(v, "172.16.0.1") == 0, "half of it");
	CHECK(set(v, "10.0.0.1", 32, gid[0]) == 0 && set(v, "172.16.0.0", 16, gid[0]) == 0,
	      "another in the same, and a short one: %s", err.message);
	CHECK(del(v, "10.0.0.1", 32) == 0 && del(v, "10.0.0.0", 32) == 0, "%s", err.message);
	CHECK(set(v, "172.16.0.1", 32, gid[0]) == 0, "one is free again: %s", err.message);
	CHECK(del(v, "172.16.0.1", 32) == 0 && del(v, "172.16.0.0", 16) == 0, "%s", err.message);
	for (i = 1; i < 1024; i++) {
		struct ip_addr p = nth(false, i);

		CHECK(fib_route_delete(v, &p, 32, 1, &err) == 0, "%u: %s", i, err.message);
	}
	CHECK(tbl8(v, false) == 0 && used(v, false) == 0, "%u tables", tbl8(v, false));
}

/* 2001:db8:N::/48 to /128 take up to 13 levels each. */
static void test_full6(void)
{
	const uint16_t v = vrf_find("small")->id;
	struct fib_usage u;
	uint32_t i;

	fib_usage(v, true, &u);
	for (i = 0; i < u.routes_max; i++) {
		struct ip_addr p = nth(true, i);

		if (fib_route_set(v, &p, 128, gid[0], one, &err) < 0)
			break;
		CHECK(fib_lookup(v, &p) == gid[0], "%u", i);
	}
	/* Past the first, those that share /32 share two levels, those that share /40 three. */
	CHECK(err.code == DP_TABLE_FULL && i == (u.tbl8_max - 1 - 1) / 10, "%u routes: %s", i,
	      err.message);
	for (; i > 0; i--) {
		struct ip_addr p = nth(true, i - 1);

		CHECK(fib_route_delete(v, &p, 128, 1, &err) == 0, "%u: %s", i, err.message);
	}
	CHECK(tbl8(v, true) == 0 && used(v, true) == 0, "%u tables", tbl8(v, true));
}

/*
 * Routes coming and going for long, with the next hop of the route above or another, short ones
 * going before their longer ones: the tables do not fill up with what is not there.
 */
static void test_churn(void)
{
	const uint16_t v = vrf_find("small")->id;
	static const struct {
		const char *prefix;
		uint8_t plen;
	} r4[] = {{"10.0.0.0", 16},   {"10.0.0.0", 24}, {"10.0.0.0", 25},
		  {"10.0.0.128", 26}, {"10.0.0.1", 32}, {"10.0.1.4", 30}},
	  r6[] = {{"2001:db8::", 29},	{"2001:db8::", 32},	{"2001:db8::", 44},
		  {"2001:db8:8::", 45}, {"2001:db8:8::", 48},	{"2001:db8:9::", 48},
		  {"2001:db8:9::", 64}, {"2001:db8:9::1", 128}, {"2001:db8:9:1::", 57}};
	uint32_t in4 = 0, in6 = 0, x = 1;

	for (unsigned int k = 0; k < 40000; k++) {
		unsigned int i;
		uint32_t g;

		x = x * 1664525u + 1013904223u;
		g = gid[(x >> 8) % 2];
		i = (x >> 16) % RTE_DIM(r4);
		if (in4 & (1u << i) && x >> 31)
			CHECK(del(v, r4[i].prefix, r4[i].plen) == 0, "%s", err.message);
		else
			CHECK(set(v, r4[i].prefix, r4[i].plen, g) == 0, "turn %u, %s/%u: %s", k,
			      r4[i].prefix, r4[i].plen, err.message);
		in4 = in4 & (1u << i) && x >> 31 ? in4 & ~(1u << i) : in4 | 1u << i;
		i = (x >> 20) % RTE_DIM(r6);
		if (in6 & (1u << i) && x >> 31)
			CHECK(del(v, r6[i].prefix, r6[i].plen) == 0, "%s", err.message);
		else
			CHECK(set(v, r6[i].prefix, r6[i].plen, g) == 0, "turn %u, %s/%u: %s", k,
			      r6[i].prefix, r6[i].plen, err.message);
		in6 = in6 & (1u << i) && x >> 31 ? in6 & ~(1u << i) : in6 | 1u << i;
	}
	for (unsigned int i = 0; i < RTE_DIM(r4); i++)
		if (in4 & (1u << i))
			CHECK(del(v, r4[i].prefix, r4[i].plen) == 0, "%s", err.message);
	for (unsigned int i = 0; i < RTE_DIM(r6); i++)
		if (in6 & (1u << i))
			CHECK(del(v, r6[i].prefix, r6[i].plen) == 0, "%s", err.message);
	CHECK(tbl8(v, false) == 0 && tbl8(v, true) == 0, "second-level tables: %u and %u",
	      tbl8(v, false), tbl8(v, true));
	for (unsigned int i = 0; i < RTE_DIM(r6); i++)
		CHECK(lookup(v, r6[i].prefix) == 0, "%s", r6[i].prefix);
}

/* Routes of a VRF that goes let go of their groups. */
static void test_vrf(void)
{
	const uint32_t before = groups_used();
	const struct ip_addr p = testbed_ip("192.0.2.0"), p6 = testbed_ip("2001:db8::");
	uint32_t nh = nexthop_alloc();
	const struct nexthop n = {.action = NH_BLACKHOLE};
	struct vrf *v;

	nexthop_write(nh, &n);
	CHECK(vrf_set("gone", 1024, 1024, one, &err) == 0, "%s", err.message);
	v = vrf_find("gone");
	CHECK(fib_own_set(v->id, &p, 24, group_of_nexthop(nh), ROUTE_CONNECTED, &err) == 0, "%s",
	      err.message);
	CHECK(fib_own_set(v->id, &p6, 32, group_of_nexthop(nh), ROUTE_CONNECTED, &err) == 0, "%s",
	      err.message);
	CHECK(set(v->id, "192.0.2.0", 24, gid[0]) == 0, "%s", err.message);
	CHECK(groups_used() == before + 1, "%u groups", groups_used());
	CHECK(vrf_delete(v, &err) == 0, "%s", err.message);
	CHECK(groups_used() == before, "%u groups are left", groups_used());
	nexthop_free(nh);
}

int main(void)
{
	testbed_start("fib-test", NULL, 0);
	for (unsigned int i = 0; i < RTE_DIM(gid); i++) {
		const struct nexthop n = {.action = NH_BLACKHOLE};
		uint32_t nh = nexthop_alloc();

		nexthop_write(nh, &n);
		gid[i] = group_of_nexthop(nh);
		group_ref(gid[i]);
	}
	test_precedence("198.51.100.7", 32);
	test_precedence("198.51.100.0", 24);
	test_precedence("0.0.0.0", 0);
	test_precedence("2001:db8:5::", 48);
	test_precedence("2001:db8:5::7", 128);
	test_replace();
	test_longest();
	for (int v6 = 0; v6 < 2; v6++) {
		test_walk(v6);
		test_sweep(v6);
	}
	CHECK(vrf_set("small", 3000, 2000, one, &err) == 0, "%s", err.message);
	test_full();
	test_full6();
	test_churn();
	test_vrf();
	test_groups();
	testbed_stop();
	return 0;
}
