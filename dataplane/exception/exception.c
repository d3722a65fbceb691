// SPDX-License-Identifier: Apache-2.0
/* The exception path: which interface has which TAP in which namespace. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "../vrf/vrf.h"
#include "exception.h"
#include "tap.h"

#define TICK_MS 5000
/* How long a client has, after a start, to claim what a killed run has left. */
#define SWEEP_AFTER_NS (60 * UINT64_C(1000000000))

static char base[NETNS_NAME_LEN];
static struct tap_ns *namespaces;
static uint64_t sweep_ns;

bool punt_enabled;

/* ---- namespaces ---- */

static int ns_name(uint16_t vrf, char *name, size_t len, char *why, size_t why_len)
{
	const struct vrf *v = vrf < VRF_MAX ? vrfs[vrf] : NULL;
	int n;

	if (vrf == VRF_DEFAULT)
		n = snprintf(name, len, "%s", base);
	else
		n = snprintf(name, len, "%s-%s", base, v != NULL ? v->name : "?");
	if (n < (int)len && netns_name_ok(name))
		return 0;
	snprintf(why, why_len, "\"%.100s\" cannot be the name of a network namespace", name);
	return -EINVAL;
}

/* Closes it; removes it if this program made it and nobody has a TCP socket in it. */
static void ns_release(struct tap_ns *ns)
{
	struct tap_ns **p;
	bool in_use = false;
	int rc;

	for (p = &namespaces; *p != ns; p = &(*p)->next)
		;
	*p = ns->next;
	nl_close(&ns->nl);
	if (ns->made && netns_enter(ns->fd) == 0) {
		in_use = netns_has_sockets();
		netns_leave();
	}
	if (ns->fd >= 0)
		close(ns->fd);
	/* A BGP daemon that listens there would be left in a namespace without a name, and the next
	 * run would make another of the same name. So the namespace stays, and the next run takes
	 * it over. */
	if (in_use) {
		LOG_INFO("network namespace %s stays: there are TCP sockets in it", ns->name);
	} else if (ns->made) {
		rc = netns_remove(ns->name);
		if (rc < 0)
			LOG_WARN("removing network namespace %s: %s", ns->name, strerror(-rc));
	}
	free(ns);
}

/* The namespace of a VRF, made if there is none. NULL with the reason in `why`. */
static struct tap_ns *ns_get(uint16_t vrf, char *why, size_t why_len)
{
	char name[NETNS_NAME_LEN];
	struct tap_ns *ns;

	if (ns_name(vrf, name, sizeof(name), why, why_len) < 0)
		return NULL;
	for (ns = namespaces; ns != NULL; ns = ns->next)
		if (strcmp(ns->name, name) == 0)
			return ns;
	ns = calloc(1, sizeof(*ns));
	if (ns == NULL) {
		snprintf(why, why_len, "%s", strerror(ENOMEM));
		return NULL;
	}
	strcpy(ns->name, name);
	ns->vrf = vrf;
	ns->next = namespaces;
	namespaces = ns;
	ns->fd = netns_open(name, &ns->made, why, why_len);
	if (ns->fd >= 0 && tap_ns_setup(ns) == 0)
		return ns;
	if (ns->fd >= 0)
		snprintf(why, why_len, "network namespace %s: %s", name, ns->nl.message);
	ns_release(ns);
	return NULL;
}

/* The smallest MTU of what packets can leave by, for the default routes of all TAPs. */
static void ns_update_mtu(struct tap_ns *ns)
{
	uint32_t mtu = 0;
	struct iface *i;

	iface_foreach (i)
		if (i->tap != NULL && i->tap->ns == ns && i->kind != IFACE_LOOPBACK &&
		    (mtu == 0 || i->mtu < mtu))
			mtu = i->mtu;
	ns->route_mtu = mtu;
	iface_foreach (i)
		if (i->tap != NULL && i->tap->ns == ns && i->tap->fd >= 0 &&
		    i->tap->route_mtu != mtu && tap_dev_routes(i->tap) < 0)
			LOG_ERR("default route of TAP %s: %s", i->tap->name, ns->nl.message);
}

/* ---- TAPs ---- */

static void tap_release(struct tap *t)
{
	struct tap_ns *ns = t->ns;

	if (t->fd >= 0) {
		tap_io_stop(t);
		tap_dev_close(t);
	}
	t->ns = NULL;
	if (ns == NULL)
		return;
	if (--ns->n_taps == 0 && ns->vrf != VRF_DEFAULT)
		ns_release(ns);
	else
		ns_update_mtu(ns);
}

/* Makes the device where it belongs. On failure t has no device, and why says what went wrong. */
static int tap_bring(struct tap *t, char *why, size_t why_len)
{
	int rc;

	if (t->ns == NULL) {
		t->ns = ns_get(t->iface->vrf, why, why_len);
		if (t->ns == NULL)
			return -1;
		t->ns->n_taps++;
	}
	rc = tap_dev_open(t);
	if (rc == 0) {
		/* Before the routes are made, which carry it. */
		ns_update_mtu(t->ns);
		rc = tap_dev_sync(t);
		if (rc == 0) {
			rc = tap_io_start(t);
			if (rc < 0)
				snprintf(t->ns->nl.message, sizeof(t->ns->nl.message), "epoll: %s",
					 strerror(-rc));
		}
		if (rc < 0)
			tap_dev_close(t);
	}
	if (rc < 0)
		snprintf(why, why_len, "TAP %s in network namespace %s: %s", t->name, t->ns->name,
			 t->ns->nl.message);
	return rc;
}

int exception_iface_added(struct iface *i, struct dp_error *err)
{
	char why[200];
	struct tap *t;

	if (base[0] == '\0' || i->tap != NULL)
		return 0;
	/* The kernel would take it for a pattern. */
	if (strchr(i->name, '%') != NULL)
		return dp_fail(err, DP_INVALID, "name", "'%%' cannot be in the name of a TAP");
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return dp_fail(err, DP_NO_MEMORY, "name", "no memory for a TAP");
	t->iface = i;
	t->fd = -1;
	strcpy(t->name, i->name);
	i->tap = t;
	if (tap_bring(t, why, sizeof(why)) == 0)
		return 0;
	exception_iface_deleted(i);
	return dp_fail(err, DP_DEVICE, "name", "%s", why);
}

void exception_iface_deleted(struct iface *i)
{
	struct tap *t = i->tap;

	if (t == NULL)
		return;
	/* First, so that it does not count for the MTU of the others. */
	i->tap = NULL;
	tap_release(t);
	free(t);
}

static bool differs(const struct tap *t)
{
	const struct iface *i = t->iface;

	return t->is_up != (int)i->admin_up || t->mtu != i->mtu ||
	       (rte_is_valid_assigned_ether_addr(&i->mac) &&
		!rte_is_same_ether_addr(&t->mac, &i->mac));
}

void exception_iface_changed(struct iface *i)
{
	struct tap *t = i->tap;
	char why[200];

	if (t == NULL)
		return;
	if (t->ns != NULL && t->ns->vrf != i->vrf)
		tap_release(t);
	if (t->fd < 0) {
		if (tap_bring(t, why, sizeof(why)) < 0)
			LOG_ERR("%s", why);
		return;
	}
	tap_dev_carrier(t);
	if (differs(t) && tap_dev_sync(t) < 0)
		LOG_ERR("TAP %s in network namespace %s: %s", t->name, t->ns->name,
			t->ns->nl.message);
	ns_update_mtu(t->ns);
}

void exception_addr_added(struct iface *i, const struct iface_addr *a)
{
	struct tap *t = i->tap;
	char buf[IP_ADDR_STRLEN];

	/* No IPv6 below its minimal MTU: the address comes with the MTU. */
	if (t == NULL || t->fd < 0 || (a->addr.len == 16 && t->mtu < 1280))
		return;
	/* A tentative address is none yet, and a duplicate is someone else's. */
	if (a->dad != DAD_PREFERRED) {
		if (a->dad == DAD_DUPLICATE)
			exception_addr_deleted(i, &a->addr, a->plen);
		return;
	}
	if (tap_dev_addr(t, &a->addr, a->plen, true) < 0)
		LOG_ERR("address %s/%u of TAP %s: %s", ip_addr_str(&a->addr, buf), a->plen, t->name,
			t->ns->nl.message);
}

void exception_addr_deleted(struct iface *i, const struct ip_addr *addr, uint8_t plen)
{
	struct tap *t = i->tap;
	char buf[IP_ADDR_STRLEN];

	if (t == NULL || t->fd < 0)
		return;
	if (tap_dev_addr(t, addr, plen, false) < 0)
		LOG_ERR("removing address %s/%u from TAP %s: %s", ip_addr_str(addr, buf), plen,
			t->name, t->ns->nl.message);
}

const char *exception_tap_name(const struct iface *i)
{
	return i->tap != NULL && i->tap->fd >= 0 ? i->tap->name : "";
}

const char *exception_netns(void)
{
	return base;
}

/* ---- what others left or took ---- */

/* Namespaces of VRFs that existed when a run was killed and do not now. */
static void sweep_namespaces(void)
{
	size_t len = strlen(base);
	struct dirent *e;
	DIR *d = opendir(NETNS_DIR);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		struct tap_ns *ns;
		char why[200];

		if (strncmp(e->d_name, base, len) != 0 || e->d_name[len] != '-' ||
		    !netns_name_ok(e->d_name))
			continue;
		for (ns = namespaces; ns != NULL && strcmp(ns->name, e->d_name) != 0; ns = ns->next)
			;
		if (ns != NULL)
			continue;
		ns = calloc(1, sizeof(*ns));
		if (ns == NULL)
			break;
		strcpy(ns->name, e->d_name);
		ns->next = namespaces;
		namespaces = ns;
		ns->fd = netns_open(e->d_name, &ns->made, why, sizeof(why));
		/* Says in ns->made whether it bears our mark. */
		if (ns->fd >= 0 && tap_ns_setup(ns) == 0 && ns->made)
			tap_ns_sweep(ns);
		ns_release(ns);
	}
	closedir(d);
}

static void sweep(void)
{
	struct tap_ns *ns;
	struct iface *i;

	sweep_ns = 0;
	for (ns = namespaces; ns != NULL; ns = ns->next)
		tap_ns_sweep(ns);
	iface_foreach (i)
		if (i->tap != NULL && i->tap->fd >= 0)
			tap_dev_sweep_addrs(i->tap);
	sweep_namespaces();
}

static void tick(uint64_t now_ns, void *arg)
{
	struct iface *i;
	char why[200];

	if (sweep_ns != 0 && now_ns >= sweep_ns)
		sweep();
	iface_foreach (i) {
		struct tap *t = i->tap;

		if (t == NULL || t->fd >= 0)
			continue;
		if (tap_bring(t, why, sizeof(why)) == 0) {
			t->complained = false;
			LOG_INFO("TAP %s in %s is there again", t->name, t->ns->name);
		} else if (!t->complained) {
			t->complained = true;
			LOG_ERR("%s; trying again every %d s", why, TICK_MS / 1000);
		}
	}
}

int exception_init(const char *netns, struct dp_error *err)
{
	char why[200];
	int rc;

	if (netns == NULL || netns[0] == '\0')
		return 0;
	/* Room for "-" and the longest name of a VRF. */
	if (!netns_name_ok(netns) || strlen(netns) + VRF_NAME_LEN + 1 >= sizeof(base))
		return dp_fail(err, DP_INVALID, "exception-netns",
			       "\"%.60s\" cannot be the name of a network namespace", netns);
	rc = netns_init();
	if (rc < 0)
		return dp_fail(err, DP_DEVICE, "exception-netns", "own network namespace: %s",
			       strerror(-rc));
	strcpy(base, netns);
	tap_set_mark(netns);
	if (ns_get(VRF_DEFAULT, why, sizeof(why)) == NULL) {
		base[0] = '\0';
		netns_fini();
		return dp_fail(err, DP_DEVICE, "exception-netns", "%s", why);
	}
	sweep_ns = now_mono_ns() + SWEEP_AFTER_NS;
	rc = loop_poll_add(tap_io_poll, NULL);
	if (rc == 0)
		rc = loop_tick_add(TICK_MS, tick, NULL);
	if (rc < 0) {
		exception_fini();
		return dp_fail(err, DP_NO_MEMORY, "exception-netns", "event loop: %s",
			       strerror(-rc));
	}
	punt_enabled = true;
	return 0;
}

void exception_fini(void)
{
	struct iface *i;

	if (base[0] == '\0')
		return;
	punt_enabled = false;
	loop_poll_del(tap_io_poll, NULL);
	loop_tick_del(tick, NULL);
	iface_foreach (i)
		exception_iface_deleted(i);
	if (sweep_ns != 0)
		sweep();
	while (namespaces != NULL)
		ns_release(namespaces);
	base[0] = '\0';
	netns_fini();
}
