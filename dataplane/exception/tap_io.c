// SPDX-License-Identifier: Apache-2.0
/* Packets between the kernel and the data plane, on the control thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_ether.h>
#include <rte_ip.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "../neigh/neigh.h"
#include "tap.h"

/* Packets taken in one go before others have their turn. */
#define BATCH	 64
#define SEGS_MAX 64

DROP_COUNTER(from_no_buffer, "from-kernel-no-buffer",
	     "no packet buffer was free for a packet of the kernel")
DROP_COUNTER(from_malformed, "from-kernel-malformed",
	     "the kernel sent a frame whose IP header and length do not fit")
DROP_COUNTER(from_not_ip, "from-kernel-not-ip",
	     "the kernel sent a frame that is neither IPv4 nor IPv6 (ARP is the data plane's)")
DROP_COUNTER(from_nd, "from-kernel-nd",
	     "the kernel sent IPv6 neighbour discovery, which is the data plane's")
DROP_COUNTER(from_martian, "from-kernel-martian",
	     "the kernel sent a packet with an address that must not be on the wire")
DROP_COUNTER(from_no_link, "from-kernel-no-link",
	     "multicast, broadcast or link-local packet of the kernel on an interface that is down "
	     "or a loopback")
DROP_COUNTER(from_too_big, "from-kernel-too-big",
	     "multicast or broadcast packet of the kernel larger than the interface's MTU")
DROP_COUNTER(to_no_tap, "to-kernel-no-tap", "no TAP belongs to the packet's interface or address")
DROP_COUNTER(to_busy, "to-kernel-busy", "the kernel took no more packets on the TAP")
DROP_COUNTER(to_refused, "to-kernel-refused",
	     "the kernel refused the packet (the TAP is down, or the packet malformed)")

/* Source of frames whose own Ethernet header is gone: locally administered, nobody's. */
static const struct rte_ether_addr anonymous = {{0x02, 0, 0, 0, 0, 0x01}};

/* Buffers for the next frame; what one does not use is kept for the one after. */
static struct rte_mbuf *spare[SEGS_MAX];
static unsigned int n_spare;
static unsigned int n_started;

static void drop(struct rte_mbuf *m, struct drop_counter *c)
{
	c->packets++;
	rte_pktmbuf_free(m);
}

/* ---- kernel to wire ---- */

/* A frame for the link itself: the kernel's Ethernet header goes, ours with the VLAN tag comes.
 * Data pointer at the IP header. */
static void send_on_link(struct iface *i, struct rte_mbuf *m, const struct rte_ether_addr *dst,
			 uint16_t ethertype)
{
	unsigned int len = RTE_ETHER_HDR_LEN + (i->vlan ? RTE_VLAN_HLEN : 0);
	struct rte_ether_hdr *eth;

	if (!(i->flags & IFACE_F_UP) || i->kind == IFACE_LOOPBACK || i->port == UINT16_MAX) {
		drop(m, &from_no_link);
		return;
	}
	if (rte_pktmbuf_pkt_len(m) > i->mtu) {
		drop(m, &from_too_big);
		return;
	}
	eth = (struct rte_ether_hdr *)rte_pktmbuf_prepend(m, (uint16_t)len);
	if (eth == NULL) {
		drop(m, &from_malformed);
		return;
	}
	eth->dst_addr = *dst;
	eth->src_addr = i->mac;
	eth->ether_type = rte_cpu_to_be_16(ethertype);
	if (i->vlan) {
		struct rte_vlan_hdr *tag = (struct rte_vlan_hdr *)(eth + 1);

		tag->vlan_tci = rte_cpu_to_be_16(i->vlan);
		tag->eth_proto = eth->ether_type;
		eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN);
	}
	mb_meta(m)->l2_len = (uint8_t)len;
	worker_inject(m, INJECT_TX);
}

/* True for the broadcast address of one of the interface's subnets. */
static bool is_subnet_broadcast(const struct iface *i, uint32_t dst_be)
{
	for (unsigned int k = 0; k < i->n_addrs; k++) {
		const struct iface_addr *a = &i->addrs[k];
		uint32_t host;

		if (a->addr.len != 4 || a->plen == 0 || a->plen > 30)
			continue;
		host = rte_cpu_to_be_32(UINT32_MAX >> a->plen);
		if (dst_be == (ip_addr_v4(&a->addr) | host))
			return true;
	}
	return false;
}

/* Cuts what is behind the IP packet (the padding of a short frame). */
static bool trim_to(struct rte_mbuf *m, uint32_t len)
{
	uint32_t extra = rte_pktmbuf_pkt_len(m) - len;

	return extra == 0 || (extra <= UINT16_MAX && rte_pktmbuf_trim(m, (uint16_t)extra) == 0);
}

static void ip4_from_kernel(struct tap *t, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct iface *i = t->iface;
	struct rte_ether_addr mac;
	uint32_t dst, src, len;

	if (rte_pktmbuf_data_len(m) < sizeof(*ip) || ip->version_ihl >> 4 != 4) {
		drop(m, &from_malformed);
		return;
	}
	len = rte_be_to_cpu_16(ip->total_length);
	if ((ip->version_ihl & 0xf) < 5 || len < (ip->version_ihl & 0xfu) * 4 ||
	    len > rte_pktmbuf_pkt_len(m) || !trim_to(m, len)) {
		drop(m, &from_malformed);
		return;
	}
	dst = rte_be_to_cpu_32(ip->dst_addr);
	src = rte_be_to_cpu_32(ip->src_addr);
	/* 127/8 and 0/8 never on a wire (RFC 1122 section 3.2.1.3); a source of 0.0.0.0 is a DHCP
	 * client's. */
	if (dst >> 24 == 127 || src >> 24 == 127 || dst >> 24 == 0 || src >> 28 >= 0xe) {
		drop(m, &from_martian);
		return;
	}
	if (dst >> 28 == 0xe) {
		/* RFC 1112 section 6.4 */
		mac = (struct rte_ether_addr){
			{0x01, 0x00, 0x5e, (dst >> 16) & 0x7f, (dst >> 8) & 0xff, dst & 0xff}};
		send_on_link(i, m, &mac, RTE_ETHER_TYPE_IPV4);
	} else if (dst == UINT32_MAX || is_subnet_broadcast(i, ip->dst_addr)) {
		memset(&mac, 0xff, sizeof(mac));
		send_on_link(i, m, &mac, RTE_ETHER_TYPE_IPV4);
	} else if (dst >> 28 == 0xf || src == 0) {
		drop(m, &from_martian);
	} else {
		worker_inject(m, INJECT_IP4_OUTPUT);
	}
}

/* :: or ::1 */
static bool is_special6(const uint8_t *a)
{
	static const uint8_t zero[15];

	return memcmp(a, zero, sizeof(zero)) == 0 && a[15] <= 1;
}

static void ip6_from_kernel(struct tap *t, struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct iface *i = t->iface;
	struct rte_ether_addr mac;
	const uint8_t *dst, *src;
	struct ip_addr a;

	if (rte_pktmbuf_data_len(m) < sizeof(*ip) || rte_be_to_cpu_32(ip->vtc_flow) >> 28 != 6 ||
	    sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len) > rte_pktmbuf_pkt_len(m) ||
	    !trim_to(m, sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len))) {
		drop(m, &from_malformed);
		return;
	}
	dst = (const uint8_t *)ip + offsetof(struct rte_ipv6_hdr, dst_addr);
	src = (const uint8_t *)ip + offsetof(struct rte_ipv6_hdr, src_addr);
	if (ip->proto == IPPROTO_ICMPV6 && rte_pktmbuf_data_len(m) > sizeof(*ip)) {
		uint8_t type = *(const uint8_t *)(ip + 1);

		/* RS, RA, NS, NA, redirect: two speakers on one link would contradict each other.
		 */
		if (type >= 133 && type <= 137) {
			drop(m, &from_nd);
			return;
		}
	}
	/* Multicast sources, :: and ::1 but for :: as the source of multicast, and multicast that
	 * stays in the node (RFC 4291 section 2). */
	if (src[0] == 0xff || is_special6(dst) ||
	    (is_special6(src) && (src[15] == 1 || dst[0] != 0xff)) ||
	    (dst[0] == 0xff && (dst[1] & 0xf) <= 1)) {
		drop(m, &from_martian);
		return;
	}
	if (dst[0] == 0xff) {
		/* RFC 2464 section 7 */
		mac = (struct rte_ether_addr){{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}};
		send_on_link(i, m, &mac, RTE_ETHER_TYPE_IPV6);
	} else if (ip6_is_link_local(dst)) {
		if (!(i->flags & IFACE_F_UP) || i->kind == IFACE_LOOPBACK) {
			drop(m, &from_no_link);
			return;
		}
		a = ip_addr6(dst);
		neigh_output(i, &a, m);
	} else {
		worker_inject(m, INJECT_IP6_OUTPUT);
	}
}

static void from_kernel(struct tap *t, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct mb_meta *meta = mb_meta(m);
	uint16_t ethertype;

	if (rte_pktmbuf_data_len(m) <= sizeof(*eth)) {
		drop(m, &from_malformed);
		return;
	}
	ethertype = rte_be_to_cpu_16(eth->ether_type);
	m->port = t->iface->port;
	memset(meta, 0, sizeof(*meta));
	meta->vrf = t->iface->vrf;
	meta->iface = t->iface->id;
	meta->flags = MB_HOST;
	meta->l2_len = sizeof(*eth);
	rte_pktmbuf_adj(m, sizeof(*eth));
	if (ethertype == RTE_ETHER_TYPE_IPV4)
		ip4_from_kernel(t, m);
	else if (ethertype == RTE_ETHER_TYPE_IPV6)
		ip6_from_kernel(t, m);
	else
		drop(m, &from_not_ip);
}

/* Buffers for a frame of the TAP's MTU. Returns how many segments, 0 if none are free. */
static unsigned int prepare(const struct tap *t, struct iovec *iov)
{
	unsigned int room = rte_pktmbuf_data_room_size(dp_pool) - RTE_PKTMBUF_HEADROOM;
	unsigned int frame = t->mtu + RTE_ETHER_HDR_LEN;
	unsigned int segs = RTE_MIN((frame + room - 1) / room, (unsigned int)SEGS_MAX);

	while (n_spare < segs) {
		spare[n_spare] = rte_pktmbuf_alloc(dp_pool);
		if (spare[n_spare] == NULL)
			return 0;
		n_spare++;
	}
	/* From the end of the array, so that taking them is cheap. */
	for (unsigned int k = 0; k < segs; k++) {
		iov[k].iov_base = rte_pktmbuf_mtod(spare[n_spare - 1 - k], void *);
		iov[k].iov_len = room;
	}
	return segs;
}

/* Makes one packet of the buffers that `len` bytes were read into. */
static struct rte_mbuf *take(uint32_t len)
{
	unsigned int room = rte_pktmbuf_data_room_size(dp_pool) - RTE_PKTMBUF_HEADROOM;
	struct rte_mbuf *head = NULL, *last = NULL, *m;
	uint32_t left = len;

	do {
		m = spare[--n_spare];
		m->data_len = (uint16_t)RTE_MIN(left, room);
		left -= m->data_len;
		if (head == NULL) {
			head = m;
			head->pkt_len = len;
			head->nb_segs = 1;
		} else {
			last->next = m;
			head->nb_segs++;
		}
		last = m;
	} while (left > 0);
	return head;
}

/* The device went away (someone deleted it, or its namespace): the next tick makes it anew. */
static void lost(struct tap *t, int err)
{
	LOG_WARN("TAP %s in %s is gone: %s", t->name, t->ns->name, strerror(err));
	tap_io_stop(t);
	close(t->fd);
	t->fd = -1;
	t->ifindex = 0;
}

static void tap_readable(int fd, uint32_t events, void *arg)
{
	struct tap *t = arg;
	struct iovec iov[SEGS_MAX];
	unsigned int segs;
	char dummy;
	ssize_t n;

	for (unsigned int k = 0; k < BATCH; k++) {
		segs = prepare(t, iov);
		if (segs == 0) {
			/* Reading is the only way to drop; one a turn, since buffers may be free by
			 * the next one. */
			if (read(fd, &dummy, 1) >= 0)
				from_no_buffer.packets++;
			return;
		}
		n = readv(fd, iov, (int)segs);
		if (n > 0) {
			from_kernel(t, take((uint32_t)n));
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			lost(t, errno);
		return;
	}
}

int tap_io_start(struct tap *t)
{
	int rc = loop_fd_add(t->fd, EPOLLIN, tap_readable, t);

	if (rc == 0)
		n_started++;
	return rc;
}

void tap_io_stop(struct tap *t)
{
	if (t->fd < 0)
		return;
	loop_fd_del(t->fd);
	if (--n_started > 0)
		return;
	while (n_spare > 0)
		rte_pktmbuf_free(spare[--n_spare]);
}

/* ---- wire to kernel ---- */

/*
 * The TAP the packet came in by, since link-local addresses and tcpdump want that; the kernel takes
 * packets for any of its addresses on any device (RFC 1122's weak model). Packets that changed VRF
 * on the way, and those of interfaces without a TAP, go to the TAP that has the address.
 */
static struct tap *choose_tap(const struct mb_meta *meta, const struct ip_addr *dst)
{
	struct iface *i = meta->iface < IFACE_MAX ? ifaces[meta->iface] : NULL;

	if (i != NULL && i->vrf == meta->vrf && i->tap != NULL && i->tap->fd >= 0)
		return i->tap;
	if (iface_addr_is_local(meta->vrf, dst, &i) && i->tap != NULL && i->tap->fd >= 0)
		return i->tap;
	return NULL;
}

/* The header the kernel sees: source (and multicast destination) as on the wire if known, without
 * the VLAN tag. */
static void build_header(const struct tap *t, struct rte_mbuf *m, const struct mb_meta *meta,
			 struct rte_ether_hdr *eth, uint16_t ethertype)
{
	const struct rte_ether_hdr *wire = NULL;

	if (meta->l2_len >= RTE_ETHER_HDR_LEN && meta->l2_len <= rte_pktmbuf_headroom(m) &&
	    !(meta->flags & MB_HOST))
		wire = (const void *)(rte_pktmbuf_mtod(m, const char *) - meta->l2_len);
	eth->src_addr = wire != NULL ? wire->src_addr : anonymous;
	if (meta->flags & MB_L2_BCAST)
		memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	else if ((meta->flags & MB_L2_MCAST) && wire != NULL)
		eth->dst_addr = wire->dst_addr;
	else
		eth->dst_addr = t->mac;
	eth->ether_type = rte_cpu_to_be_16(ethertype);
}

static void to_kernel(struct rte_mbuf *m)
{
	const struct mb_meta *meta = mb_meta(m);
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	struct iovec iov[SEGS_MAX + 1];
	struct rte_ether_hdr eth;
	struct rte_mbuf *s;
	struct ip_addr dst;
	struct tap *t;
	int n = 1;
	bool v6;

	v6 = rte_pktmbuf_data_len(m) > 0 && ip[0] >> 4 == 6;
	if (rte_pktmbuf_data_len(m) <
		    (v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)) ||
	    m->nb_segs > SEGS_MAX) {
		drop(m, &to_refused);
		return;
	}
	if (v6) {
		dst = ip_addr6(ip + offsetof(struct rte_ipv6_hdr, dst_addr));
	} else {
		dst = ip_addr4(((const struct rte_ipv4_hdr *)ip)->dst_addr);
	}
	t = choose_tap(meta, &dst);
	if (t == NULL) {
		drop(m, &to_no_tap);
		return;
	}
	build_header(t, m, meta, &eth, v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	iov[0] = (struct iovec){.iov_base = &eth, .iov_len = sizeof(eth)};
	for (s = m; s != NULL; s = s->next)
		iov[n++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(s, void *),
					  .iov_len = s->data_len};
	if (writev(t->fd, iov, n) >= 0) {
		rte_pktmbuf_free(m);
		return;
	}
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
		drop(m, &to_busy);
		return;
	}
	/* EIO is what a TAP that is down says; the rest is worth a line, once. */
	if (errno != EIO && !t->complained) {
		t->complained = true;
		LOG_WARN("TAP %s in %s: write: %s", t->name, t->ns->name, strerror(errno));
	}
	drop(m, &to_refused);
}

bool tap_io_poll(void *arg)
{
	struct rte_mbuf *mbufs[BATCH];
	unsigned int n = punt_dequeue(PUNT_KERNEL, mbufs, BATCH);

	for (unsigned int k = 0; k < n; k++)
		to_kernel(mbufs[k]);
	return n == BATCH;
}
