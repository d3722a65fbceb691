/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer harness for what comes in by the wire: a whole data plane with ports, a sub-interface,
 * two VRFs, addresses, neighbours and routes of every kind. The graph is walked on this thread, and
 * the control thread's part (ARP, ND, the kernel's TAP, answers to pings, trace and capture) runs
 * between the walks. After each input every packet buffer must be back in its pool.
 *
 * The input: a byte of flags (INPUT_*), then records of a lead byte (enum kind and REC_*), a length
 * in two bytes, high first, and as many bytes. fuzz/seed/packet.py writes such files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include <rte_graph_worker.h>
#include <rte_ip.h>

#include "../exception/exception.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../ip4/icmp.h"
#include "../neigh/internal.h"
#include "../seam/testbed.h"
#include "../trace/trace.h"
#include "../vrf/vrf.h"
#include "loop.h"
#include "worker.h"

/* Last: a header of the kernel in it has macros of the names of enum nud. */
#include "../exception/tap.h"

/* Look at the packets of this input with a trace and a capture. */
#define INPUT_WATCHED 0x01

enum kind {
	/* A frame as it comes from the wire. */
	KIND_ETH1,
	KIND_ETH2,
	/* On eth1, the tag of VLAN 10 taken off by the device. */
	KIND_STRIPPED,
	/* An IP packet; the harness puts the Ethernet header before it. */
	KIND_IP_ETH1,
	KIND_IP_ETH2,
	KIND_IP_VLAN,
	/* A frame the kernel sends by eth1's TAP. */
	KIND_KERNEL,
	/* Time goes by: the first byte tells how many tenths of a second. */
	KIND_TIME,
};
#define REC_KIND 0x07
/* Makes the checksums of the IP header and of ICMP right: a fuzzer does not find them. */
#define REC_CHECKSUMS 0x08
/* The frame comes in segments, see seg_size[]. */
#define REC_SEGS_SHIFT 4
#define REC_SEGS       0x03

#define VLAN_ID	 10
#define SEG_ROOM 1900
#define SNAPLEN	 300
#define PING_ID	 0x1234
/* Walks until nothing is on its way any more; a packet that went round for ever would not get
 * there. */
#define TURNS_MAX 1000

static const uint16_t seg_size[] = {SEG_ROOM, 128, 54, 20};
static const struct owner_tag owner = {.owner = 1, .epoch = 1};

static struct iface *eth1, *eth2, *vlan10, *lo1;
static struct rte_mempool *rx_pool;
static unsigned int dp_pool_base;
static struct tap tap1;
static int kernel_fd;
static uint32_t trace_handle, capture_handle;

/* What a report is about is in the input, not in leaks of DPDK's memory that ASan cannot see into.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void must(bool ok, const char *what, const struct dp_error *err)
{
	if (ok)
		return;
	fprintf(stderr, "packet-fuzz: %s: %s\n", what, err != NULL ? err->message : "");
	abort();
}

/* ---- the box ---- */

static struct iface *add_iface(const struct iface_config *base, const char *name, uint16_t vrf)
{
	struct iface_config c = *base;
	struct dp_error err = {0};

	snprintf(c.name, sizeof(c.name), "%s", name);
	c.vrf = vrf;
	c.admin_up = true;
	c.owner = owner;
	must(iface_set(&c, &err) == 0, name, &err);
	return iface_find(name);
}

static void add_addr(struct iface *i, const char *text, uint8_t plen)
{
	const struct ip_addr a = testbed_ip(text);
	struct dp_error err = {0};

	must(iface_addr_set(i, &a, plen, owner, &err) == 0, text, &err);
}

static void add_neigh(struct iface *i, const char *text, uint8_t last)
{
	const struct rte_ether_addr mac = {{2, 0, 0, 0, 9, last}};
	const struct ip_addr a = testbed_ip(text);
	struct dp_error err = {0};

	must(neigh_static_set(i, &a, &mac, owner, &err) == 0, text, &err);
}

static uint64_t add_nh(enum nh_kind kind, const struct iface *i, const char *gateway, uint16_t vrf)
{
	static uint64_t last;
	struct nh_obj o = {.id = ++last, .kind = kind, .vrf = vrf, .owner = owner};
	struct dp_error err = {0};

	if (i != NULL)
		o.iface = i->id;
	if (gateway != NULL)
		o.gateway = testbed_ip(gateway);
	must(nh_obj_set(&o, &err) == 0, "next hop", &err);
	return o.id;
}

/* A route to one next hop, or to two. */
static void add_route(uint16_t vrf, const char *prefix, uint8_t plen, uint64_t a, uint64_t b)
{
	static uint64_t last;
	struct group_obj g = {.id = ++last, .n = 1, .owner = owner};
	const struct ip_addr p = testbed_ip(prefix);
	struct dp_error err = {0};

	g.member[0].nh_id = a;
	g.member[0].weight = 1;
	if (b != 0) {
		g.member[g.n].nh_id = b;
		g.member[g.n++].weight = 3;
	}
	must(group_obj_set(&g, &err) == 0, "group", &err);
	must(fib_route_set(vrf, &p, plen, group_obj_find(g.id)->index, owner, &err) == 0, prefix,
	     &err);
}

static void add_ifaces(uint16_t red)
{
	struct iface_config port = {.kind = IFACE_PORT, .has_mac = true};
	struct iface_config vlan = {.kind = IFACE_VLAN, .vlan = VLAN_ID};
	struct iface_config lo = {.kind = IFACE_LOOPBACK};

	snprintf(port.device, sizeof(port.device), "net_null0,no-rx=1");
	port.mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, 1}};
	eth1 = add_iface(&port, "eth1", VRF_DEFAULT);
	snprintf(port.device, sizeof(port.device), "net_null1,no-rx=1");
	port.mac.addr_bytes[5] = 2;
	/* Smaller than eth1's: fragmentation, and "packet too big". */
	port.mtu = 1280;
	port.urpf = URPF_STRICT;
	eth2 = add_iface(&port, "eth2", VRF_DEFAULT);
	snprintf(vlan.parent, sizeof(vlan.parent), "eth1");
	vlan.urpf = URPF_LOOSE;
	vlan10 = add_iface(&vlan, "eth1.10", red);
	lo1 = add_iface(&lo, "lo1", VRF_DEFAULT);
	add_addr(eth1, "10.0.1.1", 24);
	add_addr(eth1, "2001:db8:1::1", 64);
	add_addr(eth2, "10.0.2.1", 24);
	add_addr(eth2, "2001:db8:2::1", 64);
	add_addr(vlan10, "10.0.3.1", 24);
	add_addr(vlan10, "2001:db8:3::1", 64);
	add_addr(lo1, "192.0.2.1", 32);
	add_addr(lo1, "2001:db8::1", 128);
}

static void add_routes(uint16_t red)
{
	uint64_t hole = add_nh(NHK_BLACKHOLE, NULL, NULL, 0);
	uint64_t reject = add_nh(NHK_REJECT, NULL, NULL, 0);
	uint64_t punt = add_nh(NHK_PUNT, NULL, NULL, 0);
	uint64_t to_red = add_nh(NHK_VRF, NULL, NULL, red);
	uint64_t to_default = add_nh(NHK_VRF, NULL, NULL, VRF_DEFAULT);

	add_neigh(eth1, "10.0.1.2", 1);
	add_neigh(eth2, "10.0.2.2", 2);
	add_neigh(eth1, "2001:db8:1::2", 1);
	add_neigh(eth2, "2001:db8:2::2", 2);
	add_neigh(vlan10, "10.0.3.2", 3);
	add_route(VRF_DEFAULT, "198.51.100.0", 24, add_nh(NHK_GATEWAY, eth1, "10.0.1.2", 0),
		  add_nh(NHK_GATEWAY, eth2, "10.0.2.2", 0));
	add_route(VRF_DEFAULT, "2001:db8:100::", 40, add_nh(NHK_GATEWAY, eth1, "2001:db8:1::2", 0),
		  add_nh(NHK_GATEWAY, eth2, "2001:db8:2::2", 0));
	/* Gateways that are resolved only if the input says so. */
	add_route(VRF_DEFAULT, "203.0.113.0", 24, add_nh(NHK_GATEWAY, eth2, "10.0.2.9", 0), 0);
	add_route(VRF_DEFAULT, "2001:db8:113::", 48, add_nh(NHK_GATEWAY, eth2, "fe80::9", 0), 0);
	add_route(VRF_DEFAULT, "203.0.112.0", 24, add_nh(NHK_INTERFACE, eth2, NULL, 0), 0);
	add_route(VRF_DEFAULT, "198.18.0.0", 24, hole, 0);
	add_route(VRF_DEFAULT, "198.18.1.0", 24, reject, 0);
	add_route(VRF_DEFAULT, "198.18.2.0", 24, punt, 0);
	add_route(VRF_DEFAULT, "198.18.3.0", 24, to_red, 0);
	add_route(VRF_DEFAULT, "2001:db8:18::", 64, hole, 0);
	add_route(VRF_DEFAULT, "2001:db8:18:1::", 64, reject, 0);
	add_route(VRF_DEFAULT, "2001:db8:18:2::", 64, punt, 0);
	add_route(VRF_DEFAULT, "2001:db8:18:3::", 64, to_red, 0);
	/* A loop between the VRFs for what is not 10.0.3/24. */
	add_route(red, "0.0.0.0", 0, to_default, 0);
	add_route(red, "::", 0, to_default, 0);
}

/* eth1 gets a TAP whose kernel is the other end of a socket. */
static void add_tap(void)
{
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd) == 0, "socketpair", NULL);
	tap1 = (struct tap){
		.iface = eth1, .fd = fd[0], .mac = eth1->mac, .mtu = eth1->mtu, .name = "eth1"};
	kernel_fd = fd[1];
	eth1->tap = &tap1;
	must(tap_io_start(&tap1) == 0, "tap_io_start", NULL);
	must(loop_poll_add(tap_io_poll, NULL) == 0, "loop_poll_add", NULL);
	punt_enabled = true;
}

/* ---- turns ---- */

static void trace_told(void *arg, const struct trace_record *r, const char *end)
{
	if (r != NULL)
		must(r->n_steps > 0 && r->captured <= sizeof(r->packet), "trace record", NULL);
	if (end != NULL)
		trace_handle = 0;
}

static void capture_told(void *arg, const struct captured_packet *p, unsigned int n,
			 uint64_t dropped, const char *end)
{
	uint8_t copy[SNAPLEN];

	for (unsigned int i = 0; i < n; i++) {
		must(p[i].captured <= p[i].length && p[i].captured <= SNAPLEN, "capture", NULL);
		memcpy(copy, p[i].data, p[i].captured);
	}
}

static void watch(void)
{
	const struct trace_config t = {.count = 64, .timeout_s = 1000000};
	const struct capture_config c = {.snaplen = SNAPLEN, .in = true, .out = true};
	struct dp_error err = {0};

	if (trace_handle == 0)
		must(trace_start(&t, trace_told, NULL, &trace_handle, &err) == 0, "trace", &err);
	if (capture_handle == 0)
		must(capture_start(&c, capture_told, NULL, &capture_handle, &err) == 0, "capture",
		     &err);
}

static void ping_told(void *arg, const struct ping_result *r)
{
	(void)arg;
	(void)r;
}

static void ping(void)
{
	struct ping_config c = {.dst = testbed_ip("10.0.1.2"),
				.ttl = 64,
				.size = 56,
				.identifier = PING_ID,
				.sequence = 1,
				.timeout_ms = 3600000};
	struct dp_error err = {0};

	must(ping_start(&c, ping_told, NULL, &err) == 0, "ping", &err);
	c.dst = testbed_ip("2001:db8:2::2");
	must(ping_start(&c, ping_told, NULL, &err) == 0, "ping", &err);
}

/* Until no ring holds anything. */
static void settle(bool watched)
{
	struct worker *w = workers[0];
	char buf[2048];

	for (unsigned int turn = 0; turn < TURNS_MAX; turn++) {
		bool more;

		if (watched && w->trace != NULL)
			trace_walk(w);
		else
			rte_graph_walk(w->graph);
		more = loop_once();
		while (read(kernel_fd, buf, sizeof(buf)) > 0)
			more = true;
		if (!more && rte_ring_empty(w->inject) && rte_ring_empty(w->dispatch) &&
		    rte_ring_empty(w->tx_in))
			return;
	}
	must(false, "packets go round without end", NULL);
}

static void pass(uint64_t ms)
{
	neigh_clock_skew += ms * 1000000;
	neigh_run_timers(neigh_now());
	dad_tick(neigh_now());
	ra_tick(neigh_now());
}

static void check_pools(void)
{
	unsigned int rx = rte_mempool_in_use_count(rx_pool);
	unsigned int dp = rte_mempool_in_use_count(dp_pool);

	if (rx == 0 && dp == dp_pool_base)
		return;
	fprintf(stderr, "packet-fuzz: %u received packets and %d others are lost\n", rx,
		(int)(dp - dp_pool_base));
	abort();
}

/* Back to the state after the start: what was learnt is forgotten, what waits is answered. */
static void forget(void)
{
	ping_cancel(NULL);
	neigh_flush(NULL, NULL);
	settle(false);
	for (int k = 0;
	     k < 20 &&
	     rte_mempool_in_use_count(rx_pool) + rte_mempool_in_use_count(dp_pool) != dp_pool_base;
	     k++) {
		pass(1000);
		settle(false);
	}
	check_pools();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct ra_config ra = {.max_interval = 600,
				     .min_interval = 200,
				     .router_lifetime = 1800,
				     .send_mtu = true,
				     .valid_lifetime = 2592000,
				     .preferred_lifetime = 604800,
				     .owner = owner};
	struct dp_error err = {0};
	uint16_t red;

	(void)argc;
	(void)argv;
	/* Nothing is policed: each input finds the same box. */
	neigh_settings.rate = 100000000;
	punt_settings.rate = punt_settings.icmp_rate = 100000000;
	icmp_settings.echo_rate = icmp_settings.echo_burst = 100000000;
	testbed_start("packet-fuzz", NULL, 0);
	worker_self = workers[0];
	bucket_init(&workers[0]->icmp_error, 100000000, 100000000);
	rx_pool = rte_pktmbuf_pool_create("received", 511, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					  SOCKET_ID_ANY);
	must(rx_pool != NULL, "pool", NULL);
	must(vrf_set("red", 4096, 4096, owner, &err) == 0, "red", &err);
	red = vrf_find("red")->id;
	add_ifaces(red);
	/* Duplicate address detection. */
	for (int k = 0; k < 50; k++)
		pass(100);
	add_routes(red);
	must(ra_set(eth1, &ra, &err) == 0, "router advertisements", &err);
	add_tap();
	watch();
	/* The TAP's reader keeps a buffer from its first packet on. */
	must(write(kernel_fd, "x", 1) == 1, "write", NULL);
	settle(false);
	neigh_flush(NULL, NULL);
	for (int k = 0; k < 20; k++) {
		pass(1000);
		settle(false);
	}
	dp_pool_base = rte_mempool_in_use_count(dp_pool);
	must(dp_pool_base <= 1 && rte_mempool_in_use_count(rx_pool) == 0, "pools at start", NULL);
	return 0;
}

/* ---- packets ---- */

static uint16_t sum_of(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t k = 0; k + 1 < n; k += 2)
		sum += get16(p + k);
	if (n & 1)
		sum += (uint32_t)p[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void fix_checksums(uint8_t *p, size_t n)
{
	if (n >= 20 && p[0] >> 4 == 4) {
		size_t hlen = (p[0] & 0xfu) * 4u, total = get16(p + 2);

		if (hlen < 20 || hlen > n)
			return;
		put16(p + 10, 0);
		put16(p + 10, sum_of(p, hlen, 0));
		if (p[9] != IPPROTO_ICMP || total < hlen + 4 || total > n)
			return;
		put16(p + hlen + 2, 0);
		put16(p + hlen + 2, sum_of(p + hlen, total - hlen, 0));
	} else if (n >= 44 && p[0] >> 4 == 6 && p[6] == IPPROTO_ICMPV6) {
		size_t len = get16(p + 4);
		uint32_t sum = (uint32_t)len + IPPROTO_ICMPV6;

		if (len < 4 || len > n - 40)
			return;
		put16(p + 42, 0);
		for (size_t k = 8; k < 40; k += 2)
			sum += get16(p + k);
		put16(p + 42, sum_of(p + 40, len, sum));
	}
}

/* A buffer whose bytes behind the data trap whoever reads them. */
static struct rte_mbuf *segment(const uint8_t *p, uint16_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rx_pool);
	uint8_t *data;

	if (m == NULL)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(m->buf_addr, m->buf_len);
	data = (uint8_t *)rte_pktmbuf_append(m, n);
	memcpy(data, p, n);
	ASAN_POISON_MEMORY_REGION(data + n, rte_pktmbuf_tailroom(m));
	return m;
}

static struct rte_mbuf *frame(const uint8_t *p, size_t n, uint16_t seg)
{
	struct rte_mbuf *head = NULL;

	do {
		uint16_t part = (uint16_t)RTE_MIN(n, (size_t)seg);
		struct rte_mbuf *m = segment(p, part);

		if (m == NULL || (head != NULL && rte_pktmbuf_chain(head, m) != 0)) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(head);
			return NULL;
		}
		if (head == NULL)
			head = m;
		p += part;
		n -= part;
	} while (n > 0);
	return head;
}

static void receive(enum kind kind, const uint8_t *p, size_t n, uint16_t seg)
{
	struct rte_mbuf *m = frame(p, n, seg);

	if (m == NULL)
		return;
	m->port = kind == KIND_ETH2 || kind == KIND_IP_ETH2 ? eth2->port : eth1->port;
	if (kind == KIND_STRIPPED) {
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = VLAN_ID;
	}
	if (rte_ring_enqueue(workers[0]->dispatch, m) != 0)
		rte_pktmbuf_free(m);
}

/* Writes the Ethernet header of an IP packet; returns its length. */
static size_t ether(uint8_t *h, enum kind kind, uint8_t version)
{
	const struct iface *i = kind == KIND_IP_ETH2 ? eth2 : eth1;
	size_t n = 12;

	memcpy(h, i->mac.addr_bytes, 6);
	memcpy(h + 6, (const uint8_t[]){2, 0, 0, 0, 9, 1}, 6);
	if (kind == KIND_IP_VLAN) {
		put16(h + n, ETHERTYPE_VLAN);
		put16(h + n + 2, VLAN_ID);
		n += 4;
	}
	put16(h + n, version == 6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4);
	return n + 2;
}

static void record(uint8_t lead, const uint8_t *p, size_t n)
{
	const enum kind kind = lead & REC_KIND;
	const uint16_t seg = seg_size[(lead >> REC_SEGS_SHIFT) & REC_SEGS];
	const bool ip_only = kind == KIND_IP_ETH1 || kind == KIND_IP_ETH2 || kind == KIND_IP_VLAN;
	size_t l2 = 0;
	uint8_t *b;

	if (kind == KIND_TIME) {
		pass(n > 0 ? p[0] * 100u : 100u);
		return;
	}
	b = malloc(n + 18);
	must(b != NULL, "memory", NULL);
	if (ip_only)
		l2 = ether(b, kind, n > 0 ? p[0] >> 4 : 4);
	if (n > 0)
		memcpy(b + l2, p, n);
	n += l2;
	if ((lead & REC_CHECKSUMS) && n > 14) {
		size_t off = l2 != 0 ? l2 : get16(b + 12) == ETHERTYPE_VLAN && n > 18 ? 18 : 14;

		fix_checksums(b + off, n - off);
	}
	if (kind != KIND_KERNEL)
		receive(kind, b, n, seg);
	else if (n > 0 && write(kernel_fd, b, n) < 0)
		must(false, "write", NULL);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool watched;

	if (size < 1)
		return 0;
	watched = data[0] & INPUT_WATCHED;
	data++;
	size--;
	if (watched)
		watch();
	ping();
	while (size >= 3) {
		size_t n = RTE_MIN((size_t)get16(data + 1), size - 3);

		record(data[0], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
		settle(watched);
	}
	forget();
	return 0;
}
