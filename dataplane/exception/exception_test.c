// SPDX-License-Identifier: Apache-2.0
/*
 * The exception path with real TAPs and sockets, in a network namespace named with the pid. A first
 * process is killed with the TAPs in place; the second has to take them over. Needs root and
 * /dev/net/tun; skipped (77) without.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "../core/loop.h"
#include "../core/node.h"
#include "../core/ring.h"
#include "../core/worker.h"
#include "../vrf/vrf.h"
#include "exception.h"
#include "tap.h"

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			cleanup();                                                                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static char netns[64];
static struct iface eth1, lo1;
static struct iface_addr addrs[3];
static struct vrf v_default, v_red;
static struct worker w0;
static int udp4 = -1, udp6 = -1, listener = -1;

static void cleanup(void)
{
	char red[80];

	exception_fini();
	snprintf(red, sizeof(red), "%s-red", netns);
	netns_remove(netns);
	netns_remove(red);
}

static struct ip_addr addr_of(const char *s)
{
	struct ip_addr a = {.len = strchr(s, ':') != NULL ? 16 : 4};

	inet_pton(a.len == 4 ? AF_INET : AF_INET6, s, a.b);
	return a;
}

/* Runs fn with the thread in the namespace. */
#define IN_NS(fd_, stmt)                                                                           \
	do {                                                                                       \
		CHECK(netns_enter(fd_) == 0, "setns");                                             \
		stmt;                                                                              \
		netns_leave();                                                                     \
	} while (0)

static void setup(const char *eal_name)
{
	char *argv[] = {(char *)eal_name, "--no-huge", "-m", "128",	      "--no-pci",
			"--no-shconf",	  "-l",	       "0",  "--no-telemetry"};
	struct dp_error err = {0};
	const char *text[] = {"10.0.0.1", "2001:db8::1", "fe80::1"};

	CHECK(rte_eal_init(RTE_DIM(argv), argv) >= 0, "rte_eal_init");
	CHECK(mb_meta_register() == 0, "mb_meta_register");
	dp_pool = rte_pktmbuf_pool_create("pool", 2047, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	CHECK(dp_pool != NULL, "pool");
	CHECK(loop_init() == 0, "loop_init");
	CHECK(punt_rings_create(0) == 0, "rings");
	w0.inject = rte_ring_create("inject", 1024, 0, 0);
	w0.iface_stats = calloc(IFACE_MAX, sizeof(*w0.iface_stats));
	w0.wake_fd = -1;
	for (unsigned int p = 0; p < RTE_MAX_ETHPORTS; p++)
		w0.txq[p] = 0;
	workers[0] = worker_self = &w0;

	strcpy(v_default.name, "default");
	strcpy(v_red.name, "red");
	v_red.id = 1;
	vrfs[0] = &v_default;
	vrfs[1] = &v_red;
	for (unsigned int k = 0; k < 3; k++) {
		addrs[k].addr = addr_of(text[k]);
		addrs[k].plen = k == 0 ? 24 : 64;
		addrs[k].dad = DAD_PREFERRED;
	}
	eth1 = (struct iface){.id = 1,
			      .mtu = 1500,
			      .kind = IFACE_PORT,
			      .port = 0,
			      .vlan = 7,
			      .flags = IFACE_F_UP,
			      .mac = {{0x02, 0, 0, 0, 0, 0x11}},
			      .name = "eth1",
			      .admin_up = true,
			      .oper_up = true,
			      .addrs = addrs,
			      .n_addrs = 3};
	lo1 = (struct iface){.id = 2,
			     .mtu = 65535,
			     .kind = IFACE_LOOPBACK,
			     .port = UINT16_MAX,
			     .flags = IFACE_F_UP,
			     .name = "lo1",
			     .admin_up = true,
			     .oper_up = true};
	ifaces[1] = &eth1;
	ifaces[2] = &lo1;
	CHECK(exception_init(netns, &err) == 0, "%s: %s", err.field, err.message);
	CHECK(exception_iface_added(&eth1, &err) == 0, "%s", err.message);
	CHECK(exception_iface_added(&lo1, &err) == 0, "%s", err.message);
	CHECK(strcmp(exception_tap_name(&eth1), "eth1") == 0, "name %s", exception_tap_name(&eth1));
}

/* The first process: makes everything, tells the interface index, and waits to be killed. */
static int crash(void)
{
	int ifindex = 0, pipes[2], status;
	pid_t pid;

	CHECK(pipe(pipes) == 0, "pipe");
	pid = fork();
	CHECK(pid >= 0, "fork");
	if (pid == 0) {
		setup("crash");
		if (write(pipes[1], &eth1.tap->ifindex, sizeof(int)) != sizeof(int))
			_exit(1);
		pause();
		_exit(0);
	}
	close(pipes[1]);
	CHECK(read(pipes[0], &ifindex, sizeof(ifindex)) == sizeof(ifindex), "the child failed");
	close(pipes[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status), "status %d", status);
	return ifindex;
}

/* ---- kernel to wire ---- */

static void send_udp(int fd, const char *dst, uint16_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct ip_addr a = addr_of(dst);
	ssize_t n;

	memcpy(&a4.sin_addr, a.b, 4);
	memcpy(&a6.sin6_addr, a.b, 16);
	n = a.len == 4 ? sendto(fd, dst, strlen(dst), 0, (void *)&a4, sizeof(a4))
		       : sendto(fd, dst, strlen(dst), 0, (void *)&a6, sizeof(a6));
	CHECK(n == (ssize_t)strlen(dst), "sendto %s: %s", dst, strerror(errno));
}

static void open_sockets(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(179)};
	struct in_addr mcast_if;
	int on = 1;

	udp4 = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	udp6 = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(udp4, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	inet_pton(AF_INET, "10.0.0.1", &mcast_if);
	setsockopt(udp4, IPPROTO_IP, IP_MULTICAST_IF, &mcast_if, sizeof(mcast_if));
	inet_pton(AF_INET, "10.0.0.1", &a.sin_addr);
	CHECK(bind(listener, (void *)&a, sizeof(a)) == 0 && listen(listener, 4) == 0, "listen: %s",
	      strerror(errno));
	a.sin_port = htons(5000);
	CHECK(bind(udp4, (void *)&a, sizeof(a)) == 0, "bind: %s", strerror(errno));
}

static void send_all(void)
{
	send_udp(udp4, "192.0.2.9", 9);
	send_udp(udp4, "10.0.0.77", 9);
	send_udp(udp4, "224.1.2.3", 9);
	send_udp(udp4, "10.0.0.255", 9);
	send_udp(udp6, "2001:db8:ffff::9", 9);
}

static void check_mac(const struct rte_mbuf *m, const char *want)
{
	char got[64];
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

	snprintf(got, sizeof(got),
		 "%02x%02x%02x%02x%02x%02x %02x%02x%02x%02x%02x%02x %02x%02x%02x%02x%02x%02x", p[0],
		 p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13],
		 p[14], p[15], p[16], p[17]);
	CHECK(strcmp(got, want) == 0, "header %s, not %s", got, want);
}

/* What the kernel has sent by now, as the worker gets it. Returns a bit per kind seen. */
static unsigned int drain_inject(void)
{
	struct rte_mbuf *m;
	unsigned int seen = 0;

	while (rte_ring_dequeue(w0.inject, (void **)&m) == 0) {
		struct mb_meta *meta = mb_meta(m);
		char dst[INET6_ADDRSTRLEN];

		CHECK(meta->iface == 1 && meta->vrf == 0 && meta->flags == MB_HOST,
		      "meta iface %u vrf %u flags %x", meta->iface, meta->vrf, meta->flags);
		if (meta->arg0 == INJECT_IP4_OUTPUT) {
			struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

			inet_ntop(AF_INET, &ip->dst_addr, dst, sizeof(dst));
			CHECK(rte_ipv4_cksum(ip) == 0xffff || rte_raw_cksum(ip, 20) == 0xffff,
			      "IP checksum to %s", dst);
			CHECK(rte_ipv4_udptcp_cksum_verify(ip, ip + 1) == 0, "checksum to %s", dst);
			if (strcmp(dst, "192.0.2.9") == 0)
				seen |= 1;
			if (strcmp(dst, "10.0.0.77") == 0)
				seen |= 2;
			if (ip->next_proto_id == IPPROTO_TCP && strcmp(dst, "203.0.113.5") == 0)
				seen |= 32;
		} else if (meta->arg0 == INJECT_IP6_OUTPUT) {
			struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);

			inet_ntop(AF_INET6, &ip->dst_addr, dst, sizeof(dst));
			CHECK(rte_ipv6_udptcp_cksum_verify(ip, ip + 1) == 0, "checksum to %s", dst);
			if (strcmp(dst, "2001:db8:ffff::9") == 0)
				seen |= 4;
		} else {
			const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

			CHECK(meta->arg0 == INJECT_TX && m->port == 0, "arg0 %u", meta->arg0);
			if (p[0] == 0x01) {
				check_mac(m, "01005e010203 020000000011 810000070800");
				seen |= 8;
			} else if (p[0] == 0xff) {
				check_mac(m, "ffffffffffff 020000000011 810000070800");
				seen |= 16;
			} else {
				/* MLD reports of the kernel. */
				CHECK(p[0] == 0x33 && p[1] == 0x33, "MAC %02x%02x", p[0], p[1]);
			}
		}
		rte_pktmbuf_free(m);
	}
	return seen;
}

/* ---- wire to kernel ---- */

/* A packet from 203.0.113.5 port 4000 to 10.0.0.1, as it comes to kernel-punt. */
static struct rte_mbuf *packet(uint8_t proto, uint16_t dport, uint8_t tcp_flags, uint16_t iface)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
	uint16_t l4 =
		proto == IPPROTO_TCP ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr) + 5;
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;

	CHECK(m != NULL, "no mbuf");
	eth = (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*eth) + sizeof(*ip) + l4));
	memset(eth, 0, sizeof(*eth) + sizeof(*ip) + l4);
	eth->src_addr.addr_bytes[5] = 0x99;
	ip = (void *)rte_pktmbuf_adj(m, sizeof(*eth));
	ip->version_ihl = 0x45;
	ip->time_to_live = 64;
	ip->next_proto_id = proto;
	ip->total_length = htons((uint16_t)(sizeof(*ip) + l4));
	inet_pton(AF_INET, "203.0.113.5", &ip->src_addr);
	inet_pton(AF_INET, "10.0.0.1", &ip->dst_addr);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (proto == IPPROTO_TCP) {
		struct rte_tcp_hdr *tcp = (void *)(ip + 1);

		tcp->src_port = htons(4000);
		tcp->dst_port = htons(dport);
		tcp->data_off = 5 << 4;
		tcp->tcp_flags = tcp_flags;
		tcp->rx_win = htons(1000);
		tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	} else {
		struct rte_udp_hdr *udp = (void *)(ip + 1);

		udp->src_port = htons(4000);
		udp->dst_port = htons(dport);
		udp->dgram_len = htons(l4);
		memcpy(udp + 1, "hello", 5);
		udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	}
	memset(mb_meta(m), 0, sizeof(struct mb_meta));
	mb_meta(m)->iface = iface;
	mb_meta(m)->l2_len = sizeof(*eth);
	return m;
}

static void punt(struct rte_mbuf *m)
{
	CHECK(worker_punt(&w0, PUNT_KERNEL, (void **)&m, 1) == 1, "ring full");
}

static uint64_t counter(const char *name)
{
	const struct drop_counter *c;

	for (c = drop_counter_first(); c != NULL; c = c->next)
		if (strcmp(c->reason.name, name) == 0)
			return c->packets;
	CHECK(false, "no counter %s", name);
	return 0;
}

/* ---- the node ---- */

static struct rte_mbuf *vector[96];
static unsigned int n_vector;

static uint16_t source_process(struct rte_graph *graph, struct rte_node *node, void **objs,
			       uint16_t n)
{
	uint16_t sent = (uint16_t)n_vector;

	rte_node_enqueue(graph, node, 0, (void **)vector, sent);
	n_vector = 0;
	return sent;
}

static struct rte_node_register source_node = {
	.name = "exception-test-source",
	.process = source_process,
	.flags = RTE_NODE_SOURCE_F,
	.nb_edges = 1,
	.next_nodes = {"kernel-punt"},
};
RTE_NODE_REGISTER(source_node);

static void test_punt_node(void)
{
	static const char *patterns[] = {"exception-test-source", "kernel-punt"};
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY, .nb_node_patterns = 2, .node_patterns = patterns};
	struct rte_mbuf *out[128];
	unsigned int n, control = 0;
	struct rte_graph *graph;
	rte_graph_t id;

	punt_settings.rate = 100;
	id = rte_graph_create("punt", &param);
	CHECK(id != RTE_GRAPH_ID_INVALID, "rte_graph_create");
	graph = rte_graph_lookup("punt");
	memset(w0.iface_stats, 0, IFACE_MAX * sizeof(*w0.iface_stats));
	/* A flood of UDP, of SYNs to BGP's port and, among them, a BGP session. */
	for (unsigned int k = 0; k < 60; k++)
		vector[n_vector++] = packet(IPPROTO_UDP, 53, 0, 1);
	for (unsigned int k = 0; k < 16; k++)
		vector[n_vector++] = packet(IPPROTO_TCP, 179, RTE_TCP_SYN_FLAG, 1);
	for (unsigned int k = 0; k < 20; k++)
		vector[n_vector++] = packet(IPPROTO_TCP, 179, RTE_TCP_ACK_FLAG, 1);
	rte_graph_walk(graph);
	n = punt_dequeue(PUNT_KERNEL, out, RTE_DIM(out));
	for (unsigned int k = 0; k < n; k++) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(out[k], struct rte_ipv4_hdr *);
		struct rte_tcp_hdr *tcp = (void *)(ip + 1);

		control += ip->next_proto_id == IPPROTO_TCP && tcp->tcp_flags == RTE_TCP_ACK_FLAG;
		rte_pktmbuf_free(out[k]);
	}
	/* A quarter of a second's worth of 100 and of 5 a second; BGP's 20 all. */
	CHECK(control == 20, "%u of 20 BGP segments passed", control);
	CHECK(n >= 25 + 1 + 20 && n <= 25 + 1 + 20 + 8, "%u passed", n);
	CHECK(w0.iface_stats[1].punted == n, "punted %lu, not %u", w0.iface_stats[1].punted, n);
	rte_graph_destroy(id);
	punt_settings.rate = 20000;
}

/* ---- the script: a step each 30 ms of the real loop ---- */

static int flags_of(const char *name)
{
	struct ifreq ifr = {0};
	int s = socket(AF_INET, SOCK_DGRAM, 0), rc;

	strcpy(ifr.ifr_name, name);
	rc = ioctl(s, SIOCGIFFLAGS, &ifr);
	close(s);
	return rc < 0 ? -1 : (uint16_t)ifr.ifr_flags;
}

static int mtu_of(const char *name)
{
	struct ifreq ifr = {0};
	int s = socket(AF_INET, SOCK_DGRAM, 0), rc;

	strcpy(ifr.ifr_name, name);
	rc = ioctl(s, SIOCGIFMTU, &ifr);
	close(s);
	return rc < 0 ? -1 : ifr.ifr_mtu;
}

static unsigned int sent;

static void step(uint64_t now, void *arg)
{
	static int n, tries;
	static struct tap_ns *home;
	char path[128], buf[128];
	struct rte_mbuf *m;
	uint64_t refused;
	int value;

	snprintf(path, sizeof(path), NETNS_DIR "/%s-red", netns);
	switch (n++) {
	case 0:
		home = eth1.tap->ns;
		IN_NS(home->fd, open_sockets());
		send_all();
		return;
	case 1:
		sent |= drain_inject();
		CHECK(sent == 31, "packets seen: %x", sent);
		/* By another interface than the address', and a connection. */
		punt(packet(IPPROTO_UDP, 5000, 0, 2));
		punt(packet(IPPROTO_TCP, 179, RTE_TCP_SYN_FLAG, 1));
		/* Without an interface: by that of the address, which another VRF does not have. */
		punt(packet(IPPROTO_UDP, 5000, 0, IFACE_NONE));
		refused = counter("to-kernel-no-tap");
		m = packet(IPPROTO_UDP, 5000, 0, 1);
		mb_meta(m)->vrf = 1;
		punt(m);
		tap_io_poll(NULL);
		CHECK(counter("to-kernel-no-tap") == refused + 1, "not counted");
		return;
	case 2:
		for (int k = 0; k < 2; k++) {
			value = (int)recv(udp4, buf, sizeof(buf), 0);
			CHECK(value == 5 && memcmp(buf, "hello", 5) == 0, "recv %d", value);
		}
		sent = drain_inject();
		CHECK(sent == 32, "no SYN-ACK: %x", sent);
		eth1.mtu = 1400;
		exception_iface_changed(&eth1);
		IN_NS(home->fd, value = mtu_of("eth1"));
		CHECK(value == 1400, "MTU %d", value);
		/* The routes of all TAPs follow the smallest. */
		CHECK(lo1.tap->route_mtu == 1400, "route MTU %u", lo1.tap->route_mtu);
		eth1.oper_up = false;
		exception_iface_changed(&eth1);
		return;
	case 3:
		/* The kernel takes up to a second to notice. */
		IN_NS(home->fd, value = flags_of("eth1"));
		if ((value & IFF_RUNNING) && tries++ < 100) {
			n--;
			return;
		}
		CHECK((value & IFF_UP) && !(value & IFF_RUNNING), "flags %x", value);
		/* Now the loopback's default route is the one in use. */
		send_udp(udp4, "192.0.2.9", 9);
		eth1.admin_up = false;
		exception_iface_changed(&eth1);
		IN_NS(home->fd, value = flags_of("eth1"));
		CHECK(!(value & IFF_UP), "flags %x", value);
		return;
	case 4: {
		bool by_lo1 = false;

		while (rte_ring_dequeue(w0.inject, (void **)&m) == 0) {
			by_lo1 |= mb_meta(m)->iface == 2 && mb_meta(m)->arg0 == INJECT_IP4_OUTPUT;
			rte_pktmbuf_free(m);
		}
		CHECK(by_lo1, "nothing was sent by lo1");
		eth1.admin_up = eth1.oper_up = true;
		exception_iface_changed(&eth1);
		send_all();
		return;
	}
	case 5:
		sent = drain_inject();
		/* On a slow machine the SYN-ACK comes again. */
		CHECK((sent & 31) == 31, "packets seen: %x", sent);
		exception_addr_deleted(&eth1, &addrs[1].addr, 64);
		exception_addr_added(&eth1, &addrs[1]);
		exception_addr_added(&eth1, &addrs[1]);
		/* To the other VRF and back. */
		eth1.vrf = 1;
		exception_iface_changed(&eth1);
		CHECK(access(path, F_OK) == 0, "%s is missing", path);
		IN_NS(eth1.tap->ns->fd, value = flags_of("eth1"));
		CHECK(value & IFF_UP, "flags %x", value);
		IN_NS(home->fd, value = flags_of("eth1"));
		CHECK(value == -1, "still in %s", home->name);
		eth1.vrf = 0;
		exception_iface_changed(&eth1);
		CHECK(access(path, F_OK) < 0, "%s is still there", path);
		/* Somebody deletes the TAP. */
		snprintf(buf, sizeof(buf), "ip netns exec %s ip link del eth1", netns);
		CHECK(system(buf) == 0, "%s", buf);
		return;
	case 6:
		CHECK(eth1.tap->fd < 0 && exception_tap_name(&eth1)[0] == '\0', "fd %d",
		      eth1.tap->fd);
		exception_iface_changed(&eth1);
		CHECK(eth1.tap->fd >= 0, "not made anew");
		test_punt_node();
		loop_stop();
		return;
	}
}

int main(void)
{
	char path[128];
	int before, after;

	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) < 0)
		return 77;
	snprintf(netns, sizeof(netns), "exc-test-%d", (int)getpid());
	before = crash();
	setup("exception-test");
	after = eth1.tap->ifindex;
	CHECK(before == after && eth1.tap->ns->made, "interface index %d, then %d", before, after);
	CHECK(loop_tick_add(30, step, NULL) == 0, "tick");
	loop_run();

	close(udp4);
	close(udp6);
	exception_fini();
	/* The listener keeps the name alive; the next one finds it. */
	snprintf(path, sizeof(path), NETNS_DIR "/%s", netns);
	CHECK(access(path, F_OK) == 0, "removed under a listener");
	close(listener);
	CHECK(exception_init(netns, NULL) == 0, "again");
	exception_fini();
	CHECK(access(path, F_OK) < 0, "%s is still there", path);
	CHECK(rte_mempool_in_use_count(dp_pool) == 0, "%u mbufs leaked",
	      rte_mempool_in_use_count(dp_pool));
	free(w0.iface_stats);
	printf("ok\n");
	return 0;
}
