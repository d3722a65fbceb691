/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces and their addresses: what may change and what not, the routes that come and go with
 * them, and what workers read of them. */
#include "iface.h"

#include <rte_common.h>

#include "../core/worker.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../ip4/check_test.h"
#include "../ip6/own.h"
#include "../neigh/internal.h"
#include "../port/port.h"
#include "../seam/testbed.h"
#include "../vrf/vrf.h"

static const struct owner_tag one = {.owner = 1, .epoch = 1};
static struct dp_error err;

static struct iface_config port_config(const char *name, const char *device)
{
	struct iface_config c = {.kind = IFACE_PORT, .admin_up = true, .owner = one};

	snprintf(c.name, sizeof(c.name), "%s", name);
	snprintf(c.device, sizeof(c.device), "%s", device);
	return c;
}

static struct iface_config vlan_config(const char *name, const char *parent, uint16_t vlan)
{
	struct iface_config c = {.kind = IFACE_VLAN, .vlan = vlan, .admin_up = true, .owner = one};

	snprintf(c.name, sizeof(c.name), "%s", name);
	snprintf(c.parent, sizeof(c.parent), "%s", parent);
	return c;
}

static struct iface *make(const struct iface_config *c)
{
	CHECK(iface_set(c, &err) == 0, "%s: %s", c->name, err.message);
	CHECK(iface_find(c->name) != NULL, "%s is not there", c->name);
	return iface_find(c->name);
}

static void refused(const struct iface_config *c, enum dp_code code, const char *field)
{
	struct iface_config before, after;
	struct iface *i = iface_find(c->name);

	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	if (i != NULL)
		iface_get_config(i, &before);
	err = (struct dp_error){0};
	CHECK(iface_set(c, &err) < 0, "%s: taken although its %s is wrong", c->name, field);
	CHECK(err.code == code && strcmp(err.field, field) == 0, "%s: code %d, field %s: %s",
	      c->name, err.code, err.field, err.message);
	if (i == NULL) {
		CHECK(iface_find(c->name) == NULL, "%s was made", c->name);
		return;
	}
	iface_get_config(i, &after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0, "%s was changed", c->name);
}

static void delete (struct iface *i)
{
	CHECK(iface_delete(i, &err) == 0, "%s: %s", i->name, err.message);
}

static int addr(struct iface *i, const char *text, uint8_t plen)
{
	const struct ip_addr a = testbed_ip(text);

	err = (struct dp_error){0};
	return iface_addr_set(i, &a, plen, one, &err);
}

static void no_addr(struct iface *i, const char *text)
{
	const struct ip_addr a = testbed_ip(text);

	CHECK(iface_addr_delete(i, &a, &err) == 0, "%s: %s", text, err.message);
}

/* What a packet to dst would do. */
static enum nh_action action(uint16_t vrf, const char *dst)
{
	const struct ip_addr a = testbed_ip(dst);

	return nexthops[group_select(fib_lookup(vrf, &a), 0)].action;
}

/* Ends duplicate address detection. */
static void settle(void)
{
	for (int k = 0; k < 50; k++) {
		neigh_clock_skew += 100000000;
		dad_tick(neigh_now());
	}
}

static void test_port(void)
{
	struct iface_config c = port_config("eth1", "net_null0,no-rx=1"), other = c;
	const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 9}}, group = {{1, 0, 0, 0, 0, 9}};
	struct iface *i = make(&c);
	uint32_t lines = nexthops_used();

	CHECK(i->oper_up && (i->flags & IFACE_F_UP) && i->mtu == 1500 &&
		      ports[i->port]->iface == i->id && vrfs[0]->n_ifaces == 1,
	      "a port");
	/* The same again is nothing. */
	CHECK(make(&c) == i && nexthops_used() == lines, "made twice");
	/* What it is made of stays. */
	other.kind = IFACE_LOOPBACK;
	refused(&other, DP_IN_USE, "kind");
	other = port_config("eth1", "net_null1,no-rx=1");
	refused(&other, DP_IN_USE, "device");
	other = c;
	other.rxq = 7;
	refused(&other, DP_IN_USE, "rx_queues");
	other = c;
	other.txq = 7;
	refused(&other, DP_IN_USE, "tx_queues");
	other = c;
	other.vrf = 77;
	refused(&other, DP_NOT_FOUND, "vrf");
	/* The device of another. */
	other = port_config("eth9", "net_null0,no-rx=1");
	refused(&other, DP_IN_USE, "device");
	/* What may change. */
	c.has_mac = true;
	c.mac = group;
	refused(&c, DP_INVALID, "mac");
	c.mac = mac;
	c.mtu = 1400;
	c.urpf = URPF_STRICT;
	snprintf(c.description, sizeof(c.description), "to the left");
	CHECK(make(&c) == i, "changed into another");
	CHECK(i->mtu == 1400 && rte_is_same_ether_addr(&i->mac, &mac) &&
		      (i->flags & IFACE_F_URPF) && strcmp(i->description, "to the left") == 0 &&
		      nexthops[i->nh_glean].mtu == 1400,
	      "changes");
	c.admin_up = false;
	make(&c);
	CHECK(!i->oper_up && !(i->flags & IFACE_F_UP) && nexthops[i->nh_glean].action == NH_DOWN,
	      "down");
	c.admin_up = true;
	c.urpf = URPF_OFF;
	make(&c);
	CHECK(i->oper_up && !(i->flags & IFACE_F_URPF) && nexthops[i->nh_glean].action == NH_GLEAN,
	      "up");
	delete (i);
	CHECK(iface_find("eth1") == NULL && nexthops_used() == lines - 3 && vrfs[0]->n_ifaces == 0,
	      "deleted");
	/* The device is free again. */
	c = port_config("eth1", "net_null0,no-rx=1");
	delete (make(&c));
}

static void test_vlan(void)
{
	struct iface_config c = port_config("eth1", "net_null0,no-rx=1"), v, lo;
	struct iface *p = make(&c), *i, *second;
	struct rte_ether_addr own;

	v = vlan_config("eth1.10", "nothere", 10);
	refused(&v, DP_NOT_FOUND, "parent");
	v = vlan_config("eth1.10", "eth1", 0);
	refused(&v, DP_INVALID, "vlan_id");
	v.vlan = 4095;
	refused(&v, DP_INVALID, "vlan_id");
	v.vlan = 10;
	v.mtu = 1501;
	refused(&v, DP_INVALID, "mtu");
	v.mtu = 0;
	v.has_mac = true;
	refused(&v, DP_INVALID, "mac");
	v.has_mac = false;
	i = make(&v);
	CHECK(i->mtu == 1500 && i->oper_up && i->port == p->port &&
		      ports[p->port]->vlan_iface[10] == i->id &&
		      rte_is_same_ether_addr(&i->mac, &p->mac),
	      "a sub-interface");
	v = vlan_config("eth1.ten", "eth1", 10);
	refused(&v, DP_IN_USE, "vlan_id");
	v = vlan_config("eth1.10.3", "eth1.10", 3);
	refused(&v, DP_INVALID, "parent");
	v = vlan_config("eth1.10", "eth1", 11);
	refused(&v, DP_IN_USE, "vlan_id");
	/* Its MTU follows the port's unless it has its own, which then holds the port's up. */
	v = vlan_config("eth1.20", "eth1", 20);
	v.mtu = 1300;
	second = make(&v);
	c.mtu = 1400;
	make(&c);
	CHECK(p->mtu == 1400 && i->mtu == 1400 && second->mtu == 1300, "%u %u %u", p->mtu, i->mtu,
	      second->mtu);
	c.mtu = 1290;
	refused(&c, DP_INVALID, "mtu");
	v.mtu = 1401;
	refused(&v, DP_INVALID, "mtu");
	/* It goes down with its port, and its port does not go before it. */
	c.mtu = 1400;
	c.admin_up = false;
	make(&c);
	CHECK(!i->oper_up && !second->oper_up, "up on a port that is down");
	c.admin_up = true;
	make(&c);
	CHECK(i->oper_up && second->oper_up, "down on a port that is up");
	/* The port's MAC is theirs. */
	own = p->mac;
	c.has_mac = true;
	c.mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, 0x77}};
	make(&c);
	CHECK(rte_is_same_ether_addr(&i->mac, &c.mac), "MAC");
	c.has_mac = false;
	make(&c);
	CHECK(rte_is_same_ether_addr(&i->mac, &own) && rte_is_same_ether_addr(&p->mac, &own),
	      "the device's own MAC is not back");
	c.has_mac = true;
	make(&c);
	CHECK(iface_delete(p, &err) < 0 && err.code == DP_IN_USE, "deleted under its VLANs");
	delete (i);
	CHECK(ports[p->port]->vlan_iface[10] == IFACE_NONE, "VLAN id");
	delete (second);
	delete (p);
	lo = (struct iface_config){
		.name = "lo1", .kind = IFACE_LOOPBACK, .has_mac = true, .owner = one};
	refused(&lo, DP_INVALID, "mac");
}

static void test_addresses(void)
{
	struct iface_config c = port_config("eth1", "net_null0,no-rx=1");
	struct iface_config d = port_config("eth2", "net_null1,no-rx=1");
	struct iface_config l = {
		.name = "lo1", .kind = IFACE_LOOPBACK, .admin_up = true, .owner = one};
	struct iface *i = make(&c), *k = make(&d), *lo = make(&l), *found;
	const struct ip_addr a = testbed_ip("10.0.1.1");
	struct fib_usage u;
	char text[32];
	int n = 0;

	CHECK(addr(i, "10.0.1.1", 24) == 0, "%s", err.message);
	CHECK(action(0, "10.0.1.1") == NH_LOCAL && action(0, "10.0.1.7") == NH_GLEAN &&
		      action(0, "10.0.1.0") == NH_BROADCAST &&
		      action(0, "10.0.1.255") == NH_BROADCAST && action(0, "10.0.2.0") == 0,
	      "routes of an address");
	CHECK(i->view->n4 == 1 && i->view->v4[0].addr == ip_addr_v4(&a) &&
		      i->view->v4[0].mask == RTE_BE32(0xffffff00) && (i->flags & IFACE_F_IP4),
	      "what workers see");
	CHECK(iface_addr_is_local(0, &a, &found) && found == i && !iface_addr_is_local(1, &a, NULL),
	      "local");
	/* Once in a VRF; not with another length; not the subnet's own. */
	CHECK(addr(i, "10.0.1.1", 24) == 0, "%s", err.message);
	CHECK(addr(i, "10.0.1.1", 25) < 0 && err.code == DP_IN_USE &&
		      strcmp(err.field, "prefix_len") == 0,
	      "another length");
	CHECK(addr(k, "10.0.1.1", 24) < 0 && err.code == DP_IN_USE &&
		      strcmp(err.field, "address") == 0 && strstr(err.message, "eth1") != NULL,
	      "%s", err.message);
	CHECK(addr(k, "10.0.3.0", 24) < 0 && err.code == DP_INVALID, "network address");
	CHECK(addr(k, "10.0.3.255", 24) < 0 && err.code == DP_INVALID, "broadcast address");
	CHECK(addr(k, "10.0.3.0", 31) == 0, "RFC 3021: %s", err.message);
	CHECK(action(0, "10.0.3.0") == NH_LOCAL && action(0, "10.0.3.1") == NH_GLEAN, "a /31");
	/* Two of one subnet: its routes stay until the second goes. */
	CHECK(addr(i, "10.0.1.2", 24) == 0, "%s", err.message);
	CHECK(iface_source4(i, testbed_ip("10.0.1.9").b[0]) != 0, "source");
	no_addr(i, "10.0.1.1");
	CHECK(action(0, "10.0.1.1") == NH_GLEAN && action(0, "10.0.1.2") == NH_LOCAL &&
		      action(0, "10.0.1.255") == NH_BROADCAST,
	      "the other's routes");
	no_addr(i, "10.0.1.2");
	CHECK(action(0, "10.0.1.7") == 0 && action(0, "10.0.1.255") == 0 && i->view->n4 == 0 &&
		      !(i->flags & IFACE_F_IP4),
	      "routes are left");
	CHECK(iface_addr_delete(i, &a, &err) < 0 && err.code == DP_NOT_FOUND, "deleted twice");
	/* Loopbacks have no subnet, and take any address of it. */
	CHECK(addr(lo, "192.0.2.0", 24) == 0, "%s", err.message);
	CHECK(action(0, "192.0.2.0") == NH_LOCAL && action(0, "192.0.2.1") == 0, "loopback");
	CHECK(vrf_source4(0) == ip_addr_v4(&lo->addrs[0].addr), "loopback first");
	/* No more than 256. */
	for (; n < 300; n++) {
		snprintf(text, sizeof(text), "172.16.%d.1", n % 256);
		if (n == 256 || addr(i, text, 24) < 0)
			break;
	}
	CHECK(n == 256 && addr(i, "172.17.0.1", 24) < 0 && err.code == DP_TABLE_FULL, "%d: %s", n,
	      err.message);
	CHECK(action(0, "172.16.200.1") == NH_LOCAL, "one of many");
	delete (i);
	delete (k);
	delete (lo);
	fib_usage(0, false, &u);
	CHECK(u.routes == 0 && u.tbl8_used == 0, "%u routes are left", u.routes);
}

static void test_ip6(void)
{
	struct iface_config c = port_config("eth1", "net_null0,no-rx=1");
	struct ip_addr ll, given = testbed_ip("fe80::77"), a = testbed_ip("2001:db8:1::1");
	struct iface *i;
	struct fib_usage u;

	c.has_mac = true;
	c.mac = (struct rte_ether_addr){{2, 0, 0, 0x12, 0x34, 0x56}};
	ll = testbed_ip("fe80::ff:fe12:3456");
	i = make(&c);
	CHECK(addr(i, "2001:db8:1::1", 64) == 0, "%s", err.message);
	/* With the first comes the link-local one; both are tentative. */
	CHECK(i->n_addrs == 2 && iface_addr_find(i, &ll) != NULL &&
		      iface_addr_find(i, &ll)->automatic &&
		      iface_addr_find(i, &a)->dad == DAD_TENTATIVE && i->view->n6 == 0,
	      "addresses at first");
	CHECK(action(0, "2001:db8:1::1") == NH_GLEAN, "local before its time");
	settle();
	CHECK(iface_addr_find(i, &a)->dad == DAD_PREFERRED && i->view->n6 == 2 &&
		      memcmp(i->view->v6[0].addr, ll.b, 16) == 0 &&
		      action(0, "2001:db8:1::1") == NH_LOCAL,
	      "addresses after");
	CHECK(memcmp(iface_source6(i, testbed_ip("fe80::5").b), ll.b, 16) == 0 &&
		      memcmp(iface_source6(i, testbed_ip("ff02::5").b), ll.b, 16) == 0 &&
		      memcmp(iface_source6(i, testbed_ip("2001:db8:1::5").b), a.b, 16) == 0 &&
		      memcmp(iface_source6(i, testbed_ip("2001:db8:9::5").b), a.b, 16) == 0,
	      "sources");
	/* Given by hand it takes the other's place, and comes back when it goes. */
	CHECK(addr(i, "fe80::77", 64) == 0 && iface_addr_find(i, &ll) == NULL, "%s", err.message);
	no_addr(i, "fe80::77");
	CHECK(iface_addr_find(i, &ll) != NULL && iface_addr_find(i, &given) == NULL, "automatic");
	/* It follows the MAC. */
	c.mac.addr_bytes[5] = 0x57;
	make(&c);
	CHECK(iface_addr_find(i, &ll) == NULL && i->n_addrs == 2, "of the old MAC");
	/* A duplicate is not used. */
	iface_addr_dad_done(i, iface_addr_find(i, &a), DAD_DUPLICATE);
	CHECK(action(0, "2001:db8:1::1") == NH_GLEAN, "a duplicate");
	no_addr(i, "2001:db8:1::1");
	CHECK(i->n_addrs == 0 && action(0, "2001:db8:1::1") == 0, "%u are left", i->n_addrs);
	/* RFC 8200 section 5. */
	c.mtu = 1279;
	make(&c);
	CHECK(addr(i, "2001:db8:1::1", 64) < 0 && err.code == DP_INVALID, "MTU of 1279");
	delete (i);
	fib_usage(0, true, &u);
	CHECK(u.routes == 0 && u.tbl8_used == 0, "%u routes are left", u.routes);
}

static void test_vrf(void)
{
	struct iface_config c = port_config("eth1", "net_null0,no-rx=1");
	struct nh_obj o = {
		.id = 1, .kind = NHK_GATEWAY, .gateway = testbed_ip("10.0.1.9"), .owner = one};
	struct iface *i = make(&c);
	uint16_t red;

	CHECK(vrf_set("red", 1024, 1024, one, &err) == 0, "%s", err.message);
	red = vrf_find("red")->id;
	CHECK(addr(i, "10.0.1.1", 24) == 0, "%s", err.message);
	o.iface = i->id;
	CHECK(nh_obj_set(&o, &err) == 0, "%s", err.message);
	c.vrf = red;
	refused(&c, DP_IN_USE, "vrf");
	CHECK(iface_delete(i, &err) < 0 && err.code == DP_IN_USE, "deleted under a next hop");
	CHECK(nh_obj_delete(1, 1, &err) == 0, "%s", err.message);
	make(&c);
	CHECK(i->vrf == red && i->n_addrs == 0 && action(0, "10.0.1.1") == 0 &&
		      vrf_find("red")->n_ifaces == 1 && vrfs[0]->n_ifaces == 0 &&
		      nexthops[i->nh_local].vrf == red,
	      "moved");
	CHECK(vrf_delete(vrf_find("red"), &err) < 0 && err.code == DP_IN_USE, "VRF in use");
	/* The same address may be in both. */
	CHECK(addr(i, "10.0.1.1", 24) == 0 && action(red, "10.0.1.1") == NH_LOCAL &&
		      action(0, "10.0.1.1") == 0,
	      "%s", err.message);
	delete (i);
	CHECK(vrf_delete(vrf_find("red"), &err) == 0, "%s", err.message);
}

/* A filter never denies an address of the box, whatever came and went. */
static void test_filters(void)
{
	struct iface_config l = {
		.name = "lo1", .kind = IFACE_LOOPBACK, .admin_up = true, .owner = one};
	struct iface *lo = make(&l);
	unsigned int strangers = 0;
	char text[48];

	for (int n = 0; n < 200; n++) {
		snprintf(text, sizeof(text), "10.%d.%d.1", n, n * 7 % 256);
		CHECK(addr(lo, text, 32) == 0, "%s", err.message);
		if (n % 3 == 0)
			no_addr(lo, text);
	}
	for (unsigned int k = 0; k < lo->n_addrs; k++)
		CHECK(iface_local4_maybe(ip_addr_v4(&lo->addrs[k].addr)), "address %u", k);
	for (uint32_t n = 0; n < 10000; n++)
		strangers += iface_local4_maybe(rte_cpu_to_be_32(0xcb007100 + n * 977));
	CHECK(strangers < 200, "%u of 10000 strangers look like ours", strangers);
	for (int n = 0; n < 50; n++) {
		struct ip_addr a;

		snprintf(text, sizeof(text), "2001:db8:%x::%x", n, n * 13 + 1);
		a = testbed_ip(text);
		CHECK(addr(lo, text, 128) == 0, "%s", err.message);
		CHECK(ip6_own_maybe(a.b), "%s", text);
	}
	delete (lo);
	for (uint32_t n = 0; n < 1000; n++)
		CHECK(!iface_local4_maybe(rte_cpu_to_be_32(0x0a000001 + (n << 8))),
		      "%u is still in the filter", n);
}

int main(void)
{
	testbed_start("iface-test", NULL, 0);
	test_port();
	test_vlan();
	test_addresses();
	test_ip6();
	test_vrf();
	test_filters();
	testbed_stop();
	return 0;
}
