// SPDX-License-Identifier: Apache-2.0
/*
 * The TAP in the kernel: device, addresses, routes.
 *
 * The devices are persistent while the program runs. So when it is killed, they stay, with
 * interface index, addresses, routes and whatever sockets are bound to them (a BGP session to a
 * link-local neighbour, tcpdump), and the next run takes them over by name: all that is done here
 * can be done twice. What nobody has claimed a minute after a start is deleted, told from other
 * people's devices by an alias; an orderly exit deletes all at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_ether.h>

#include "../core/log.h"
#include "tap.h"

/* Largest MTU of the tun driver, and frames the kernel keeps until they are read: a burst of BGP
 * updates. */
#define TAP_MTU_MAX (65535 - RTE_ETHER_HDR_LEN)
#define TAP_QUEUE   2000
/* Default routes: lower than any that an operator would write, the first TAP first and loopbacks
 * last. */
#define METRIC_PORT	20000
#define METRIC_LOOPBACK 1000000

#define SWEEP_MAX 64

static char mark[NETNS_NAME_LEN + 16];

void tap_set_mark(const char *netns)
{
	snprintf(mark, sizeof(mark), "vnf-dataplane %s", netns);
}

/* ---- links ---- */

struct link_seen {
	int ifindex;
	bool marked;
	bool tun;
};

struct link_list {
	struct link_seen l[SWEEP_MAX];
	unsigned int n;
};

static int link_cb(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr, *info;
	struct link_list *list = arg;
	struct link_seen seen = {0};

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < mnl_nlmsg_size(sizeof(*ifi)) ||
	    list->n == SWEEP_MAX)
		return MNL_CB_OK;
	seen.ifindex = ifi->ifi_index;
	mnl_attr_for_each(attr, h, sizeof(*ifi))
	{
		if (mnl_attr_get_type(attr) == IFLA_IFALIAS &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			seen.marked = strcmp(mnl_attr_get_str(attr), mark) == 0;
		if (mnl_attr_get_type(attr) != IFLA_LINKINFO)
			continue;
		mnl_attr_for_each_nested(info, attr)
		{
			if (mnl_attr_get_type(info) == IFLA_INFO_KIND &&
			    mnl_attr_validate(info, MNL_TYPE_NUL_STRING) == 0)
				seen.tun = strcmp(mnl_attr_get_str(info), "tun") == 0;
		}
	}
	if (seen.marked)
		list->l[list->n++] = seen;
	return MNL_CB_OK;
}

/* The links that carry the mark. */
static int marked_links(struct nl *nl, struct link_list *list)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = nl_start(buf, RTM_GETLINK, NLM_F_DUMP);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	list->n = 0;
	return nl_query(nl, h, link_cb, list);
}

static struct nlmsghdr *link_request(void *buf, uint16_t type, int ifindex, unsigned int flags,
				     unsigned int change)
{
	struct nlmsghdr *h = nl_start(buf, type, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	ifi->ifi_flags = flags;
	ifi->ifi_change = change;
	return h;
}

/* Settings for a namespace, and for a device in it ("%s" is its name). A kernel without one of them
 * is no reason to fail. */
static void set_all(const char *name, const char *const (*settings)[2], size_t n)
{
	static bool complained;
	char path[128];
	int rc;

	for (size_t i = 0; i < n; i++) {
		const char *at = strstr(settings[i][0], "%s");

		if (at == NULL)
			snprintf(path, sizeof(path), "%s", settings[i][0]);
		else
			snprintf(path, sizeof(path), "%.*s%s%s", (int)(at - settings[i][0]),
				 settings[i][0], name, at + 2);
		rc = netns_sysctl(path, settings[i][1]);
		if (rc < 0 && rc != -ENOENT && !complained) {
			complained = true;
			LOG_WARN("/proc/sys/net/%s: %s; the kernel may treat packets of the TAPs "
				 "by its own rules",
				 path, strerror(-rc));
		}
	}
}

int tap_ns_setup(struct tap_ns *ns)
{
	/* Answers may come by another interface than the kernel would send by: the data plane has
	 * checked the source. */
	static const char *const any[][2] = {
		{"ipv4/conf/all/rp_filter", "0"},
	};
	/* The kernel shall not be a second router, nor learn routes. */
	static const char *const own[][2] = {
		{"ipv4/conf/all/forwarding", "0"},	 {"ipv6/conf/all/forwarding", "0"},
		{"ipv4/conf/all/accept_redirects", "0"}, {"ipv6/conf/all/accept_redirects", "0"},
		{"ipv6/conf/all/disable_ipv6", "0"},	 {"ipv6/conf/default/disable_ipv6", "0"},
	};
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct link_list list;
	struct nlmsghdr *h;
	int rc;

	rc = netns_enter(ns->fd);
	if (rc < 0) {
		snprintf(ns->nl.message, sizeof(ns->nl.message), "entering %s: %s", ns->name,
			 strerror(-rc));
		return rc;
	}
	rc = nl_open(&ns->nl, 0);
	if (rc == 0) {
		/* The loopback has index 1 in every namespace; its alias says who made the
		 * namespace. */
		if (marked_links(&ns->nl, &list) == 0)
			for (unsigned int i = 0; i < list.n; i++)
				ns->made |= list.l[i].ifindex == 1;
		set_all(NULL, any, RTE_DIM(any));
		if (ns->made)
			set_all(NULL, own, RTE_DIM(own));
	}
	netns_leave();
	if (rc < 0 || !ns->made)
		return rc;
	h = link_request(buf, RTM_SETLINK, 1, IFF_UP, IFF_UP);
	mnl_attr_put_strz(h, IFLA_IFALIAS, mark);
	return nl_ack(&ns->nl, h);
}

void tap_ns_sweep(struct tap_ns *ns)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct link_list list;
	struct iface *i;

	if (marked_links(&ns->nl, &list) < 0)
		return;
	for (unsigned int k = 0; k < list.n; k++) {
		bool claimed = !list.l[k].tun;

		iface_foreach (i)
			claimed |= i->tap != NULL && i->tap->ns == ns &&
				   i->tap->ifindex == list.l[k].ifindex;
		if (claimed)
			continue;
		if (nl_ack(&ns->nl, link_request(buf, RTM_DELLINK, list.l[k].ifindex, 0, 0)) == 0)
			LOG_INFO("deleted a TAP in %s left by a run that was killed", ns->name);
	}
}

/* ---- the device ---- */

static int fail(struct tap *t, const char *what)
{
	int err = errno;
	const char *hint = "";

	if (err == ENOENT)
		hint = " (is the kernel module tun loaded?)";
	else if (err == EBUSY)
		hint = " (another process has it open)";
	else if (err == EINVAL)
		hint = " (is there a device of that name that is no TAP?)";
	snprintf(t->ns->nl.message, sizeof(t->ns->nl.message), "%s: %s%s", what, strerror(err),
		 hint);
	return -err;
}

static int open_here(struct tap *t)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int rc;

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return fail(t, "/dev/net/tun");
	strcpy(ifr.ifr_name, t->name);
	if (ioctl(t->fd, TUNSETIFF, &ifr) < 0) {
		rc = fail(t, "TUNSETIFF");
		goto undo;
	}
	/* All checksums complete and no packet larger than the MTU, whatever somebody set on a
	 * device that was left. */
	if (ioctl(t->fd, TUNSETOFFLOAD, 0) < 0) {
		rc = fail(t, "TUNSETOFFLOAD");
		goto undo;
	}
	if (ioctl(t->fd, TUNSETPERSIST, 1) < 0) {
		rc = fail(t, "TUNSETPERSIST");
		goto undo;
	}
	t->ifindex = (int)if_nametoindex(t->name);
	if (t->ifindex != 0)
		return 0;
	rc = fail(t, "if_nametoindex");
	ioctl(t->fd, TUNSETPERSIST, 0);
undo:
	close(t->fd);
	t->fd = -1;
	return rc;
}

int tap_dev_open(struct tap *t)
{
	static const char *const settings[][2] = {
		{"ipv4/conf/%s/rp_filter", "0"},
		{"ipv4/conf/%s/forwarding", "0"},
		{"ipv4/conf/%s/accept_redirects", "0"},
		{"ipv4/conf/%s/promote_secondaries", "1"},
		/* A default route by a TAP whose interface is down would be a hole. */
		{"ipv4/conf/%s/ignore_routes_with_linkdown", "1"},
		{"ipv6/conf/%s/ignore_routes_with_linkdown", "1"},
		/* Neighbours, router advertisements and link-local addresses are the data plane's.
		 */
		{"ipv6/conf/%s/disable_ipv6", "0"},
		{"ipv6/conf/%s/addr_gen_mode", "1"},
		{"ipv6/conf/%s/accept_ra", "0"},
		{"ipv6/conf/%s/autoconf", "0"},
		{"ipv6/conf/%s/router_solicitations", "0"},
		{"ipv6/conf/%s/accept_dad", "0"},
		{"ipv6/conf/%s/dad_transmits", "0"},
		{"ipv6/conf/%s/forwarding", "0"},
		{"ipv6/conf/%s/accept_redirects", "0"},
		{"ipv6/conf/%s/keep_addr_on_down", "1"},
	};
	int rc;

	t->is_up = t->carrier = -1;
	t->mtu = t->route_mtu = 0;
	memset(&t->mac, 0, sizeof(t->mac));
	rc = netns_enter(t->ns->fd);
	if (rc < 0) {
		errno = -rc;
		return fail(t, "setns");
	}
	rc = open_here(t);
	if (rc == 0)
		set_all(t->name, settings, RTE_DIM(settings));
	netns_leave();
	return rc;
}

void tap_dev_close(struct tap *t)
{
	if (t->fd < 0)
		return;
	ioctl(t->fd, TUNSETPERSIST, 0);
	close(t->fd);
	t->fd = -1;
	t->ifindex = 0;
}

void tap_dev_carrier(struct tap *t)
{
	int on = t->iface->oper_up;

	if (t->fd < 0 || t->carrier == on)
		return;
	/* Kernels before 5.0 have no such request: then the carrier is always there. */
	ioctl(t->fd, TUNSETCARRIER, &on);
	t->carrier = on;
}

/* ---- addresses ---- */

static void put_addr(struct nlmsghdr *h, uint16_t type, const struct ip_addr *a)
{
	mnl_attr_put(h, type, a->len, a->b);
}

int tap_dev_addr(struct tap *t, const struct ip_addr *addr, uint8_t plen, bool add)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = nl_start(buf, add ? RTM_NEWADDR : RTM_DELADDR,
				      add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	int rc;

	ifa->ifa_family = addr->len == 4 ? AF_INET : AF_INET6;
	ifa->ifa_prefixlen = plen;
	ifa->ifa_index = (uint32_t)t->ifindex;
	put_addr(h, IFA_LOCAL, addr);
	put_addr(h, IFA_ADDRESS, addr);
	if (add && addr->len == 4 && plen < 31) {
		uint32_t host = rte_cpu_to_be_32(UINT32_MAX >> plen);

		mnl_attr_put_u32(h, IFA_BROADCAST, ip_addr_v4(addr) | host);
	}
	/* The data plane has done duplicate address detection. */
	if (add && addr->len == 16)
		mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD | IFA_F_PERMANENT);
	rc = nl_ack(&t->ns->nl, h);
	if (rc == -EEXIST || (!add && (rc == -EADDRNOTAVAIL || rc == -ENODEV)))
		rc = 0;
	return rc;
}

struct addr_sweep {
	struct tap *t;
	unsigned int n;
	struct {
		struct ip_addr addr;
		uint8_t plen;
	} stale[SWEEP_MAX];
};

static int addr_cb(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	struct addr_sweep *s = arg;
	const struct iface *i = s->t->iface;
	struct ip_addr a = {0};
	const struct nlattr *attr;
	uint8_t len;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < mnl_nlmsg_size(sizeof(*ifa)) ||
	    (int)ifa->ifa_index != s->t->ifindex || s->n == SWEEP_MAX)
		return MNL_CB_OK;
	len = ifa->ifa_family == AF_INET ? 4 : 16;
	mnl_attr_for_each(attr, h, sizeof(*ifa))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (mnl_attr_get_payload_len(attr) == len &&
		    (type == IFA_LOCAL || (type == IFA_ADDRESS && a.len == 0))) {
			a.len = len;
			memcpy(a.b, mnl_attr_get_payload(attr), len);
		}
	}
	if (a.len == 0)
		return MNL_CB_OK;
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (ip_addr_eq(&i->addrs[k].addr, &a) && i->addrs[k].plen == ifa->ifa_prefixlen)
			return MNL_CB_OK;
	s->stale[s->n].addr = a;
	s->stale[s->n++].plen = ifa->ifa_prefixlen;
	return MNL_CB_OK;
}

void tap_dev_sweep_addrs(struct tap *t)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = nl_start(buf, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	struct addr_sweep s = {.t = t};

	ifa->ifa_family = AF_UNSPEC;
	if (nl_query(&t->ns->nl, h, addr_cb, &s) < 0)
		return;
	for (unsigned int k = 0; k < s.n; k++)
		tap_dev_addr(t, &s.stale[k].addr, s.stale[k].plen, false);
}

/* ---- routes ---- */

/*
 * 0/0 and ::/0 by the TAP itself: wherever a socket wants to go, the packet comes here, and the
 * data plane's FIB decides. Their MTU is the smallest of all interfaces, since the packet may leave
 * by any of them and the data plane sends the box itself no ICMP errors about its own packets.
 */
static int default_route(struct tap *t, uint8_t family)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = nl_start(buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	uint32_t base = t->iface->kind == IFACE_LOOPBACK ? METRIC_LOOPBACK : METRIC_PORT;
	struct nlattr *metrics;

	r->rtm_family = family;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, RTA_OIF, (uint32_t)t->ifindex);
	mnl_attr_put_u32(h, RTA_PRIORITY, base + (uint32_t)t->ifindex);
	if (t->ns->route_mtu != 0) {
		metrics = mnl_attr_nest_start(h, RTA_METRICS);
		mnl_attr_put_u32(h, RTAX_MTU, t->ns->route_mtu);
		mnl_attr_nest_end(h, metrics);
	}
	return nl_ack(&t->ns->nl, h);
}

int tap_dev_routes(struct tap *t)
{
	int rc;

	/* The kernel takes no routes of a device that is down. */
	if (t->is_up != 1 || t->fd < 0)
		return 0;
	t->route_mtu = t->ns->route_mtu;
	rc = default_route(t, AF_INET);
	/* No IPv6 below its minimal MTU, and none in a kernel booted without it. */
	if (rc == 0 && t->mtu >= 1280) {
		rc = default_route(t, AF_INET6);
		if (rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP)
			rc = 0;
	}
	return rc;
}

/* ---- all of it ---- */

static void set_addr_gen_mode(struct tap *t)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = link_request(buf, RTM_SETLINK, t->ifindex, 0, 0);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	nl_ack(&t->ns->nl, h);
}

static int set_link(struct tap *t)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct iface *i = t->iface;
	struct rte_ether_addr mac = i->mac;
	uint32_t mtu = RTE_MIN((uint32_t)i->mtu, (uint32_t)TAP_MTU_MAX);
	struct nlmsghdr *h;
	int rc;

	/* Loopbacks have no MAC of their own; the TAP needs one. */
	if (!rte_is_valid_assigned_ether_addr(&mac)) {
		mac = t->mac;
		if (!rte_is_valid_assigned_ether_addr(&mac))
			rte_eth_random_addr(mac.addr_bytes);
	}
	/* NOARP: the kernel sends without asking who has the address; the destination MAC it writes
	 * is its own. */
	h = link_request(buf, RTM_SETLINK, t->ifindex, IFF_NOARP | (i->admin_up ? IFF_UP : 0),
			 IFF_NOARP | IFF_UP);
	mnl_attr_put(h, IFLA_ADDRESS, RTE_ETHER_ADDR_LEN, mac.addr_bytes);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_TXQLEN, TAP_QUEUE);
	mnl_attr_put_strz(h, IFLA_IFALIAS, mark);
	rc = nl_ack(&t->ns->nl, h);
	if (rc < 0)
		return rc;
	t->mac = mac;
	t->mtu = mtu;
	t->is_up = i->admin_up;
	return 0;
}

int tap_dev_sync(struct tap *t)
{
	const struct iface *i = t->iface;
	int rc;

	if (t->is_up < 0)
		set_addr_gen_mode(t);
	rc = set_link(t);
	if (rc < 0)
		return rc;
	tap_dev_carrier(t);
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		if (i->addrs[k].dad != DAD_PREFERRED ||
		    (i->addrs[k].addr.len == 16 && t->mtu < 1280))
			continue;
		rc = tap_dev_addr(t, &i->addrs[k].addr, i->addrs[k].plen, true);
		if (rc < 0)
			return rc;
	}
	return tap_dev_routes(t);
}
