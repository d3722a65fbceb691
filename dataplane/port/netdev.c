// SPDX-License-Identifier: Apache-2.0
/* Kernel netdevs behind ports: state, changes, and the sockets of their PMDs. */
#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "netdev.h"
#include "netlink.h"

/* Links known, so that one that vanished while messages were lost is told about too. */
struct link {
	int ifindex;
	char name[IF_NAMESIZE];
	bool oper_up;
	bool seen;
	/* Not yet told about. */
	bool changed;
};

static struct nl requests;
static struct nl monitor;
static struct link *links;
static unsigned int n_links, links_cap;

struct link_info {
	int ifindex;
	unsigned int flags;
	uint64_t mtu;
	uint8_t mac[6];
	bool has_mac;
	char name[IF_NAMESIZE];
};

static bool link_parse(const struct nlmsghdr *h, struct link_info *li)
{
	const struct ifinfomsg *ifi;
	const struct nlattr *attr;

	memset(li, 0, sizeof(*li));
	if (h->nlmsg_len < mnl_nlmsg_size(sizeof(*ifi)))
		return false;
	ifi = mnl_nlmsg_get_payload(h);
	/* A bridge tells of its members with the same messages; a DELLINK of those is no deletion.
	 */
	if (ifi->ifi_family != AF_UNSPEC)
		return false;
	li->ifindex = ifi->ifi_index;
	li->flags = ifi->ifi_flags;
	mnl_attr_for_each(attr, h, sizeof(*ifi))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 &&
			    strlen(mnl_attr_get_str(attr)) < sizeof(li->name))
				strcpy(li->name, mnl_attr_get_str(attr));
			break;
		case IFLA_MTU:
			if (mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
				li->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == 6) {
				memcpy(li->mac, mnl_attr_get_payload(attr), 6);
				li->has_mac = true;
			}
			break;
		}
	}
	return li->name[0] != '\0';
}

static bool flags_up(unsigned int flags)
{
	/* IFF_RUNNING is RFC 2863 up, or unknown. */
	return (flags & IFF_UP) && (flags & IFF_RUNNING);
}

static void link_tell(struct link *l)
{
	struct link copy = *l;

	l->changed = false;
	port_netdev_event(copy.ifindex, copy.name, true, copy.oper_up);
}

/* Notes what is new about a link; NULL if nothing is (most messages are about what nobody here
 * cares for). */
static struct link *link_note(const struct link_info *li)
{
	struct link *l = NULL;
	unsigned int i;

	for (i = 0; i < n_links && l == NULL; i++)
		if (links[i].ifindex == li->ifindex)
			l = &links[i];
	if (l == NULL) {
		if (n_links == links_cap) {
			unsigned int cap = links_cap ? links_cap * 2 : 32;
			struct link *grown = realloc(links, cap * sizeof(*links));

			if (grown == NULL)
				return NULL;
			links = grown;
			links_cap = cap;
		}
		l = &links[n_links++];
		memset(l, 0, sizeof(*l));
		l->ifindex = li->ifindex;
	} else if (strcmp(l->name, li->name) == 0 && l->oper_up == flags_up(li->flags)) {
		l->seen = true;
		return NULL;
	}
	strcpy(l->name, li->name);
	l->oper_up = flags_up(li->flags);
	l->seen = true;
	l->changed = true;
	return l;
}

static void link_gone(int ifindex)
{
	struct link gone;
	unsigned int i;

	for (i = 0; i < n_links; i++) {
		if (links[i].ifindex != ifindex)
			continue;
		gone = links[i];
		links[i] = links[--n_links];
		port_netdev_event(gone.ifindex, gone.name, false, false);
		return;
	}
}

static int dump_cb(const struct nlmsghdr *h, void *arg)
{
	struct link_info li;

	/* Told about when the dump is over: whoever is told may ask the kernel in turn. */
	if (h->nlmsg_type == RTM_NEWLINK && link_parse(h, &li))
		link_note(&li);
	return MNL_CB_OK;
}

/* Reads all links anew: at the start and after messages were lost. */
static int resync(void)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = nl_start(buf, RTM_GETLINK, NLM_F_DUMP);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	unsigned int i;
	int rc;

	ifi->ifi_family = AF_UNSPEC;
	for (i = 0; i < n_links; i++)
		links[i].seen = false;
	rc = nl_query(&requests, h, dump_cb, NULL);
	if (rc < 0)
		return rc;
	for (i = 0; i < n_links;) {
		if (!links[i].seen) {
			link_gone(links[i].ifindex);
			continue;
		}
		if (links[i].changed)
			link_tell(&links[i]);
		i++;
	}
	return 0;
}

static void monitor_event(int fd, uint32_t events, void *arg)
{
	static char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *h;
	struct link_info li;
	unsigned int turns;
	ssize_t len;
	int left;

	/* Bounded, so that a storm of changes leaves time for others. */
	for (turns = 0; turns < 64; turns++) {
		len = mnl_socket_recvfrom(monitor.sock, buf, sizeof(buf));
		if (len < 0) {
			if (errno == EINTR)
				continue;
			if (errno == ENOBUFS) {
				LOG_WARN(
					"link monitor: messages were lost, reading all links anew");
				if (resync() < 0)
					LOG_ERR("link monitor: %s", requests.message);
				continue;
			}
			if (errno != EAGAIN)
				LOG_ERR("link monitor: %s", strerror(errno));
			return;
		}
		left = (int)len;
		for (h = (void *)buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (!link_parse(h, &li))
				continue;
			if (h->nlmsg_type == RTM_NEWLINK) {
				struct link *l = link_note(&li);

				if (l != NULL)
					link_tell(l);
			} else if (h->nlmsg_type == RTM_DELLINK) {
				link_gone(li.ifindex);
			}
		}
	}
}

int netdev_init(void)
{
	int rc;

	rc = nl_open(&requests, 0);
	if (rc < 0)
		return rc;
	rc = nl_open(&monitor, RTMGRP_LINK);
	if (rc == 0)
		rc = loop_fd_add(mnl_socket_get_fd(monitor.sock), EPOLLIN, monitor_event, NULL);
	if (rc == 0)
		rc = resync();
	if (rc < 0)
		netdev_fini();
	return rc;
}

void netdev_fini(void)
{
	if (monitor.sock != NULL)
		loop_fd_del(mnl_socket_get_fd(monitor.sock));
	nl_close(&monitor);
	nl_close(&requests);
	free(links);
	links = NULL;
	n_links = links_cap = 0;
}

static int state_cb(const struct nlmsghdr *h, void *arg)
{
	struct link_info li;

	if (h->nlmsg_type == RTM_NEWLINK && link_parse(h, &li))
		*(struct link_info *)arg = li;
	return MNL_CB_OK;
}

static struct nlmsghdr *link_request(void *buf, uint16_t type, const char *name, unsigned int flags,
				     unsigned int change)
{
	struct nlmsghdr *h = nl_start(buf, type, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_flags = flags;
	ifi->ifi_change = change;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return h;
}

bool netdev_state(const char *name, int *ifindex, bool *oper_up, uint64_t *mtu, uint8_t mac[6])
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct link_info li = {0};

	if (name[0] == '\0' || strlen(name) >= IF_NAMESIZE || requests.sock == NULL)
		return false;
	if (nl_query(&requests, link_request(buf, RTM_GETLINK, name, 0, 0), state_cb, &li) < 0 ||
	    li.ifindex == 0)
		return false;
	if (ifindex != NULL)
		*ifindex = li.ifindex;
	if (oper_up != NULL)
		*oper_up = flags_up(li.flags);
	if (mtu != NULL)
		*mtu = li.mtu;
	if (mac != NULL)
		memcpy(mac, li.mac, 6);
	return true;
}

static int set_link(const char *name, unsigned int flags, unsigned int change, uint64_t mtu,
		    const uint8_t *mac)
{
	char buf[NL_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h;

	if (name[0] == '\0' || strlen(name) >= IF_NAMESIZE || mtu > UINT32_MAX)
		return -EINVAL;
	h = link_request(buf, RTM_SETLINK, name, flags, change);
	if (mtu != 0)
		mnl_attr_put_u32(h, IFLA_MTU, (uint32_t)mtu);
	if (mac != NULL)
		mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	return nl_ack(&requests, h);
}

int netdev_up(const char *name)
{
	return set_link(name, IFF_UP, IFF_UP, 0, NULL);
}

int netdev_down(const char *name)
{
	return set_link(name, 0, IFF_UP, 0, NULL);
}

int netdev_set_promisc(const char *name, bool on)
{
	return set_link(name, on ? IFF_PROMISC : 0, IFF_PROMISC, 0, NULL);
}

int netdev_set_mtu(const char *name, uint64_t mtu)
{
	return set_link(name, 0, 0, mtu, NULL);
}

int netdev_set_mac(const char *name, const uint8_t mac[6])
{
	return set_link(name, 0, 0, 0, mac);
}

const char *netdev_error(void)
{
	return requests.message;
}

int netdev_fds_read(struct netdev_fds *s)
{
	struct dirent *e;
	char *end;
	long fd;
	DIR *d;

	memset(s, 0, sizeof(*s));
	d = opendir("/proc/self/fd");
	if (d == NULL)
		return -errno;
	while ((e = readdir(d)) != NULL) {
		fd = strtol(e->d_name, &end, 10);
		if (*end != '\0' || end == e->d_name || fd < 0 || fd >= NETDEV_FD_MAX ||
		    fd == dirfd(d))
			continue;
		s->open[fd / 64] |= UINT64_C(1) << (fd % 64);
	}
	closedir(d);
	return 0;
}

static bool is_socket_of(int fd, int domain, int ifindex)
{
	struct sockaddr_ll sll;
	socklen_t len;
	int d = -1;

	len = sizeof(d);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &d, &len) < 0 || d != domain)
		return false;
	if (domain != AF_PACKET || ifindex == 0)
		return true;
	memset(&sll, 0, sizeof(sll));
	len = sizeof(sll);
	return getsockname(fd, (struct sockaddr *)&sll, &len) == 0 && sll.sll_ifindex == ifindex;
}

int netdev_find_socket_fds(const struct netdev_fds *before, int domain, int ifindex, int *fds,
			   unsigned int max)
{
	struct netdev_fds now;
	unsigned int i, n = 0;
	uint64_t bits;
	int fd, rc;

	rc = netdev_fds_read(&now);
	if (rc < 0)
		return rc;
	for (i = 0; i < NETDEV_FD_MAX / 64; i++) {
		for (bits = now.open[i] & ~before->open[i]; bits != 0; bits &= bits - 1) {
			fd = (int)(i * 64) + __builtin_ctzll(bits);
			if (!is_socket_of(fd, domain, ifindex))
				continue;
			if (n < max)
				fds[n] = fd;
			n++;
		}
	}
	return (int)n;
}
