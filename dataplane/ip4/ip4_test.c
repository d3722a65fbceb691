/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "error.h"
#include "fragment.h"
#include "graph_test.h"
#include "icmp.h"
#include "packet_test.h"
#include "parse.h"

/* What becomes of one packet: the node, and its first bytes. */
static const char *fate(const char *entry, const struct packet *p, uint16_t iface, uint8_t flags,
			uint32_t seg)
{
	struct rte_mbuf *m = test_packet(p->b, p->len, iface, seg);

	test_clear();
	mb_meta(m)->flags = flags;
	test_push(entry, m);
	test_run();
	CHECK(n_caught > 0, "packet is gone");
	return caught[n_caught - 1].node;
}

static void expect(const struct packet *p, uint16_t iface, const char *node)
{
	fate("ip4-input", p, iface, 0, 0);
	if (test_count(node) != 1)
		test_dump();
	CHECK(test_count(node) == 1, "expected %s", node);
}

/* Puts the fragments together again and compares. */
static void check_fragments(const struct packet *p, uint16_t mtu, struct rte_mbuf **f,
			    unsigned int n)
{
	const unsigned int hlen = (p->b[0] & 0xf) * 4u;
	const uint16_t was = (uint16_t)(p->b[6] << 8 | p->b[7]);
	static uint8_t whole[BUF];
	static uint8_t b[BUF];
	uint32_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = test_bytes(f[i], b, sizeof(b));
		unsigned int fh = (b[0] & 0xf) * 4u;
		uint16_t field = (uint16_t)(b[6] << 8 | b[7]);
		uint32_t off = ((field & 0x1fffu) - (was & 0x1fffu)) * 8;

		CHECK(len <= mtu, "fragment of %u bytes, MTU %u", len, mtu);
		CHECK(len == ((uint32_t)b[2] << 8 | b[3]), "total length");
		CHECK(plain_cksum(b, fh, 0) == 0, "checksum of fragment %u", i);
		CHECK(memcmp(b + 4, p->b + 4, 2) == 0 && memcmp(b + 8, p->b + 8, 2) == 0 &&
			      memcmp(b + 12, p->b + 12, 8) == 0,
		      "header of fragment %u", i);
		CHECK(((field & 0x2000) != 0) == (i + 1 < n || (was & 0x2000) != 0),
		      "MF of fragment %u", i);
		CHECK(i + 1 == n || (len - fh) % 8 == 0, "length of fragment %u", i);
		CHECK(off == sum, "offset of fragment %u", i);
		CHECK(i > 0 || fh == hlen, "options of the first fragment");
		memcpy(whole + off, b + fh, len - fh);
		sum += len - fh;
	}
	CHECK(sum == p->len - hlen, "%u bytes of %u", sum, p->len - hlen);
	CHECK(memcmp(whole, p->b + hlen, sum) == 0, "payload");
}

static void test_fragment(void)
{
	static const uint16_t mtus[] = {68, 576, 1280, 1500, 9000};
	static const uint32_t sizes[] = {9, 1473, 1480, 1481, 3000, 8972, 65000};
	static const uint32_t segs[] = {0, 20, 33, 700};
	/* Router alert is copied, record route not, nops not. */
	static const uint8_t opt[12] = {1, 148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0};
	struct rte_mbuf *f[IP4_FRAGMENTS_MAX];
	static struct packet p;

	for (unsigned int k = 0; k < RTE_DIM(sizes) * RTE_DIM(mtus) * RTE_DIM(segs) * 2; k++) {
		uint32_t size = sizes[k % RTE_DIM(sizes)];
		uint16_t mtu = mtus[k / RTE_DIM(sizes) % RTE_DIM(mtus)];
		uint32_t seg = segs[k / RTE_DIM(sizes) / RTE_DIM(mtus) % RTE_DIM(segs)];
		bool options = k >= RTE_DIM(sizes) * RTE_DIM(mtus) * RTE_DIM(segs);
		struct rte_mbuf *m;
		unsigned int n;

		make4(&p, "10.0.1.2", "203.0.113.1", IPPROTO_UDP, opt, options ? 12 : 0, size);
		/* A middle fragment that is split again. */
		if (k % 2 != 0 && size < 60000) {
			p.b[6] = 0x20;
			p.b[7] = 100;
			fix_header(&p);
		}
		m = test_packet(p.b, p.len, 1, options && seg == 20 ? 32 : seg);
		n = ip4_fragment_packet(m, mtu, dp_pool, f, IP4_FRAGMENTS_MAX);
		rte_pktmbuf_free(m);
		if (size / 40 > IP4_FRAGMENTS_MAX && mtu == 68) {
			CHECK(n == 0, "more fragments than the limit");
			continue;
		}
		CHECK(n > 0, "size %u mtu %u", size, mtu);
		check_fragments(&p, mtu, f, n);
		if (options && n > 1) {
			const uint8_t *b = rte_pktmbuf_mtod(f[1], const uint8_t *);

			CHECK(b[0] == 0x46 && b[20] == 148 && b[21] == 4, "copied options");
		}
		rte_pktmbuf_free_bulk(f, n);
	}
	/* Offsets beyond the longest packet are not made. */
	make4(&p, "10.0.1.2", "203.0.113.1", IPPROTO_UDP, NULL, 0, 3000);
	p.b[6] = 0x1f;
	p.b[7] = 0xff;
	f[0] = test_packet(p.b, p.len, 1, 0);
	CHECK(ip4_fragment_packet(f[0], 1500, dp_pool, f + 1, 8) == 0, "offset");
	CHECK(ip4_fragment_packet(f[0], 27, dp_pool, f + 1, 8) == 0, "MTU of 27");
	rte_pktmbuf_free(f[0]);
	CHECK(rte_mempool_in_use_count(dp_pool) == 0, "leak");
}

/* The error that came out at `node` about p. */
static void check_error(const char *node, const struct packet *p, uint8_t type, uint8_t code,
			const char *src, const char *dst, uint32_t rest)
{
	struct rte_mbuf *m = test_find(node);
	static uint8_t b[BUF];
	uint32_t len, quoted, want;
	const uint8_t *ip = b;
	uint8_t a[4];

	CHECK(m != NULL, "no error about it");
	len = test_bytes(m, b, sizeof(b));
	if (strcmp(node, "port-tx") == 0) {
		CHECK(b[12] == 8 && b[13] == 0, "EtherType");
		ip += 14;
		len -= 14;
	}
	quoted = len - 28;
	want = p->len < 548 ? p->len : 548;
	CHECK(quoted == want, "%u bytes quoted, not %u", quoted, want);
	CHECK(ip[0] == 0x45 && ip[1] == 0xc0 && ip[9] == IPPROTO_ICMP, "header");
	CHECK(((uint32_t)ip[2] << 8 | ip[3]) == len, "total length");
	CHECK(plain_cksum(ip, 20, 0) == 0, "header checksum");
	CHECK(plain_cksum(ip + 20, len - 20, 0) == 0, "ICMP checksum");
	CHECK(ip[20] == type && ip[21] == code, "type %u code %u", ip[20], ip[21]);
	CHECK(((uint32_t)ip[24] << 24 | (uint32_t)ip[25] << 16 | (uint32_t)ip[26] << 8 | ip[27]) ==
		      rest,
	      "rest of header");
	inet_pton(AF_INET, src, a);
	CHECK(memcmp(ip + 12, a, 4) == 0, "source %u.%u.%u.%u", ip[12], ip[13], ip[14], ip[15]);
	inet_pton(AF_INET, dst, a);
	CHECK(memcmp(ip + 16, a, 4) == 0, "destination");
	/* The packet as the sender knows it, but for what routers change. */
	CHECK(memcmp(ip + 28, p->b, 8) == 0 && memcmp(ip + 37, p->b + 9, 1) == 0 &&
		      memcmp(ip + 40, p->b + 12, quoted - 12) == 0,
	      "quote");
}

static void test_graph_echo(void)
{
	static struct packet p;
	struct rte_mbuf *m;
	uint8_t b[2048];
	uint32_t len;

	for (uint32_t size = 0; size < 1400; size += 63) {
		make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO, size);
		expect(&p, 1, "port-tx");
		m = test_find("port-tx");
		CHECK(m->port == 0, "port %u", m->port);
		len = test_bytes(m, b, sizeof(b));
		CHECK(len == 14 + p.len, "length");
		CHECK(b[14 + 20] == 0 && b[14 + 8] == 64, "type and TTL");
		CHECK(plain_cksum(b + 14, 20, 0) == 0 && plain_cksum(b + 34, len - 34, 0) == 0,
		      "checksums");
		CHECK(memcmp(b + 14 + 12, p.b + 16, 4) == 0 &&
			      memcmp(b + 14 + 16, p.b + 12, 4) == 0,
		      "addresses");
		CHECK(memcmp(b + 14 + 24, p.b + 24, 4 + size) == 0, "identifier and payload");
	}
	/* Another address of the box, from afar. */
	make_icmp(&p, "203.0.113.7", "10.0.1.1", ICMP4_ECHO, 56);
	expect(&p, 2, "port-tx");
	CHECK(test_find("port-tx")->port == 1, "port");
	/* In two segments. */
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO, 100);
	CHECK(strcmp(fate("ip4-input", &p, 1, 0, 50), "port-tx") == 0, "segments");
	/* Padding is not sent back. */
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO, 2);
	memset(p.b + p.len, 0xaa, 16);
	p.len += 16;
	expect(&p, 1, "port-tx");
	CHECK(test_find("port-tx")->pkt_len == 14 + 30, "padding");

	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO, 56);
	p.b[40] ^= 1;
	expect(&p, 1, "drop-ip4-icmp-bad-checksum");
	make4(&p, "10.0.1.2", "10.0.1.1", IPPROTO_ICMP, NULL, 0, 7);
	expect(&p, 1, "drop-ip4-icmp-truncated");
	make4(&p, "10.0.1.2", "10.0.1.1", IPPROTO_ICMP, NULL, 0, 3);
	expect(&p, 1, "drop-ip4-bad-transport");
	make_icmp(&p, "10.0.1.255", "10.0.1.1", ICMP4_ECHO, 8);
	expect(&p, 1, "drop-ip4-echo-bad-source");
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_REDIRECT, 28);
	expect(&p, 1, "drop-ip4-icmp-redirect");
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO_REPLY, 28);
	expect(&p, 1, "ping-input");
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_TIME_EXCEEDED, 28);
	expect(&p, 1, "ping-input");
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_TIMESTAMP, 12);
	expect(&p, 1, "kernel-punt");
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO, 28);
	p.b[6] = 0x20;
	fix_header(&p);
	expect(&p, 1, "kernel-punt");
	test_clear();
}

static void test_echo_rate(void)
{
	static struct packet p;
	unsigned int replies;

	test_clear();
	make_icmp(&p, "10.0.1.2", "10.0.1.1", ICMP4_ECHO, 8);
	for (unsigned int i = 0; i < 3000; i++)
		test_push("ip4-input", test_packet(p.b, p.len, 1, 0));
	test_run();
	replies = test_count("port-tx");
	CHECK(n_caught == 3000 && replies + test_count("drop-ip4-echo-rate") == 3000, "%u packets",
	      n_caught);
	CHECK(replies > 0 && replies < 2500, "%u replies", replies);
	test_clear();
}

static void test_graph_local(void)
{
	static struct packet p;

	make_udp(&p, "10.0.1.2", "10.0.1.1", 20);
	expect(&p, 1, "kernel-punt");
	p.b[25] += 1;
	expect(&p, 1, "drop-ip4-bad-transport");
	make4(&p, "10.0.1.2", "10.0.1.1", IPPROTO_TCP, NULL, 0, 19);
	expect(&p, 1, "drop-ip4-bad-transport");
	make4(&p, "10.0.1.2", "10.0.1.1", IPPROTO_TCP, NULL, 0, 20);
	p.b[32] = 0x60;
	expect(&p, 1, "drop-ip4-bad-transport");
	p.b[32] = 0x50;
	expect(&p, 1, "kernel-punt");
	make4(&p, "10.0.1.2", "10.0.1.1", IPPROTO_GRE, NULL, 0, 0);
	expect(&p, 1, "kernel-punt");

	make_udp(&p, "10.0.1.2", "224.0.0.251", 20);
	expect(&p, 1, "kernel-punt");
	make_udp(&p, "10.0.1.2", "239.1.1.1", 20);
	expect(&p, 1, "drop-ip4-multicast-not-forwarded");
	make_udp(&p, "10.0.1.2", "255.255.255.255", 20);
	expect(&p, 1, "kernel-punt");
	make4(&p, "10.0.1.2", "255.255.255.255", IPPROTO_ICMP, NULL, 0, 20);
	expect(&p, 1, "drop-ip4-broadcast-not-udp");

	make_udp(&p, "10.0.1.2", "10.0.1.255", 20);
	expect(&p, 1, "kernel-punt");
	expect(&p, 2, "drop-ip4-directed-broadcast");
	make_udp(&p, "10.0.1.2", "10.0.1.0", 20);
	expect(&p, 1, "drop-ip4-directed-broadcast");
	/* The kernel's own broadcast goes out on the link. */
	make_udp(&p, "10.0.1.1", "10.0.1.255", 20);
	CHECK(strcmp(fate("ip4-output", &p, 1, MB_HOST, 0), "port-tx") == 0,
	      "broadcast of the box");
	CHECK(rte_pktmbuf_mtod(caught[0].m, uint8_t *)[0] == 0xff &&
		      caught[0].m->pkt_len == p.len + 14,
	      "frame");
	test_clear();
}

static void test_graph_options(void)
{
	static const uint8_t alert[4] = {148, 4, 0, 0}, lsrr[8] = {131, 7, 4, 1, 2, 3, 4, 0},
			     bad[4] = {130, 40, 0, 0}, nop[4] = {1, 1, 1, 0};
	static struct packet p;

	make4(&p, "10.0.1.2", "203.0.113.1", IPPROTO_UDP, alert, 4, 30);
	expect(&p, 1, "port-tx");
	make4(&p, "10.0.1.2", "203.0.113.1", IPPROTO_UDP, lsrr, 8, 30);
	expect(&p, 1, "drop-ip4-source-route");
	make4(&p, "10.0.1.2", "203.0.113.1", IPPROTO_UDP, bad, 4, 30);
	expect(&p, 1, "drop-ip4-bad-options");
	check_error("port-tx", &p, 12, 0, "10.0.1.1", "10.0.1.2", 21u << 24);
	make4(&p, "10.0.1.2", "224.0.0.22", IPPROTO_IGMP, alert, 4, 16);
	expect(&p, 1, "kernel-punt");
	/* An echo with options is the kernel's to answer. */
	make4(&p, "10.0.1.2", "10.0.1.1", IPPROTO_ICMP, nop, 4, 8);
	memset(p.b + 24, 0, 8);
	p.b[24] = 8;
	p.b[26] = 0xf7;
	p.b[27] = 0xff;
	expect(&p, 1, "kernel-punt");
	/* Options that end beyond the first segment do not get far. */
	make4(&p, "10.0.1.2", "203.0.113.1", IPPROTO_UDP, alert, 4, 30);
	CHECK(strncmp(fate("ip4-options", &p, 1, 0, 22), "drop-", 5) == 0, "split options");
	test_clear();
}

static void test_graph_errors(void)
{
	static struct packet p;
	unsigned int n;

	make_udp(&p, "10.0.1.2", "9.9.9.9", 20);
	expect(&p, 1, "drop-ip4-no-route");
	check_error("port-tx", &p, 3, 0, "10.0.1.1", "10.0.1.2", 0);
	make_udp(&p, "10.0.1.2", "198.51.100.1", 1200);
	expect(&p, 1, "drop-ip4-prohibited");
	check_error("port-tx", &p, 3, 13, "10.0.1.1", "10.0.1.2", 0);
	make_udp(&p, "10.0.1.2", "100.65.0.1", 20);
	expect(&p, 1, "drop-ip4-interface-down");
	check_error("port-tx", &p, 3, 1, "10.0.1.1", "10.0.1.2", 0);
	make_udp(&p, "10.0.1.2", "203.0.113.1", 20);
	p.b[8] = 1;
	fix_header(&p);
	expect(&p, 1, "drop-ip4-ttl-exceeded");
	check_error("port-tx", &p, 11, 0, "10.0.1.1", "10.0.1.2", 0);
	/* From the address of the way the error takes, not of the way the packet came. */
	make_udp(&p, "203.0.113.9", "9.9.9.9", 20);
	expect(&p, 1, "drop-ip4-no-route");
	check_error("port-tx", &p, 3, 0, "10.0.2.1", "203.0.113.9", 0);
	CHECK(test_find("port-tx")->port == 1, "port");
	/* A source without a route: the ingress interface's, and then there is no way back. */
	make_udp(&p, "8.8.8.8", "9.9.9.9", 20);
	fate("ip4-input", &p, 1, 0, 0);
	CHECK(n_caught == 2 && test_count("drop-ip4-no-route") == 2, "%u", n_caught);

	make_udp(&p, "10.0.1.2", "100.64.0.1", 1200);
	p.b[6] = 0x40;
	fix_header(&p);
	expect(&p, 1, "drop-ip4-frag-needed");
	check_error("port-tx", &p, 3, 4, "10.0.1.1", "10.0.1.2", 1000);
	/* Without DF it is split. */
	p.b[6] = 0;
	fix_header(&p);
	fate("ip4-input", &p, 1, 0, 0);
	CHECK(n_caught == 2 && test_count("port-tx") == 2, "fragments");
	for (unsigned int i = 0; i < n_caught; i++) {
		const uint8_t *b = rte_pktmbuf_mtod(caught[i].m, const uint8_t *);

		CHECK(caught[i].m->pkt_len <= 1014 && b[12] == 8 && b[22] == 9, "fragment %u", i);
		CHECK(plain_cksum(b + 14, 20, 0) == 0, "checksum");
	}
	/* The kernel learns of the MTU on its TAP. */
	make_udp(&p, "10.0.1.1", "100.64.0.1", 1200);
	p.b[6] = 0x40;
	fix_header(&p);
	fate("ip4-output", &p, 1, MB_HOST, 0);
	CHECK(test_count("ping-input") == 1 && test_count("drop-ip4-frag-needed") == 1, "feedback");
	check_error("ping-input", &p, 3, 4, "100.64.0.1", "10.0.1.1", 1000);
	CHECK(mb_meta(test_find("ping-input"))->iface == 1, "TAP");
	/* An error made here is not answered, nor is one that is passing by, nor a group's frame.
	 */
	fate("ip4-output", &p, 1, MB_HOST | MB_ICMP_ERROR, 0);
	CHECK(n_caught == 1, "error about an error");
	make_icmp(&p, "10.0.1.2", "9.9.9.9", ICMP4_TIME_EXCEEDED, 28);
	fate("ip4-input", &p, 1, 0, 0);
	CHECK(n_caught == 1 && test_count("drop-ip4-no-route") == 1, "error about an error");
	make_udp(&p, "10.0.1.2", "9.9.9.9", 20);
	fate("ip4-input", &p, 1, MB_L2_BCAST, 0);
	CHECK(n_caught == 1, "error about a broadcast");
	make_udp(&p, "10.0.1.255", "9.9.9.9", 20);
	fate("ip4-input", &p, 1, 0, 0);
	CHECK(n_caught == 1, "error to a broadcast");

	/* The bucket lets no more pass than it should. */
	test_clear();
	bucket_init(&test_worker.icmp_error, 10, 5);
	make_udp(&p, "10.0.1.2", "9.9.9.9", 20);
	for (unsigned int i = 0; i < 1000; i++)
		test_push("ip4-input", test_packet(p.b, p.len, 1, 0));
	test_run();
	n = test_count("port-tx");
	CHECK(n >= 1 && n < 20 && test_count("drop-ip4-no-route") == 1000, "%u errors", n);
	bucket_init(&test_worker.icmp_error, 1000000, 100000);
	test_clear();
}

/* Random bytes and random changes to good packets: nothing may be read or written where it should
 * not, nor lost. */
static void test_random(void)
{
	unsigned int seed = 4711;
	static struct packet p;

	for (unsigned int round = 0; round < 20000; round++) {
		static const uint8_t opt[40] = {148, 4, 0, 0, 7, 7, 4, 1, 1,   1, 1,
						68,  8, 5, 0, 0, 0, 0, 0, 130, 4};
		unsigned int changes = (unsigned int)rand_r(&seed) % 4;
		uint32_t seg = (unsigned int)rand_r(&seed) % 8 == 0
				       ? 20 + (unsigned int)rand_r(&seed) % 60
				       : 0;

		make4(&p, "10.0.1.2", rand_r(&seed) % 2 ? "10.0.1.1" : "203.0.113.1",
		      rand_r(&seed) % 2 ? IPPROTO_ICMP : (uint8_t)rand_r(&seed), opt,
		      (unsigned int)rand_r(&seed) % 11 * 4, (unsigned int)rand_r(&seed) % 64);
		for (unsigned int i = 0; i < changes; i++)
			p.b[(unsigned int)rand_r(&seed) % p.len] = (uint8_t)rand_r(&seed);
		if (rand_r(&seed) % 8 == 0)
			p.len = (unsigned int)rand_r(&seed) % (p.len + 1);
		if (p.len >= 20 && (p.b[0] & 0xf) * 4u <= p.len)
			fix_header(&p);
		if (p.len == 0)
			continue;
		fate("ip4-input", &p, 1 + (uint16_t)(rand_r(&seed) % 2),
		     (uint8_t)(rand_r(&seed) % 8), seg);
	}
	test_clear();
}

int main(void)
{
	static struct iface_addr_view v1, v2;
	struct ip_addr a;
	uint32_t nh;

	test_init();
	v1 = (struct iface_addr_view){.n4 = 1, .v4 = calloc(1, sizeof(*v1.v4))};
	v1.v4[0].addr = inet_addr("10.0.1.1");
	v1.v4[0].mask = inet_addr("255.255.255.0");
	v2 = (struct iface_addr_view){.n4 = 1, .v4 = calloc(1, sizeof(*v2.v4))};
	v2.v4[0].addr = inet_addr("10.0.2.1");
	v2.v4[0].mask = inet_addr("255.255.255.0");
	test_iface(1, 0, &v1);
	test_iface(2, 0, &v2);

	test_route(0, "10.0.1.1", 32, test_nexthop(NH_LOCAL, 1, 1500, NULL));
	test_route(0, "10.0.1.255", 32, test_nexthop(NH_BROADCAST, 1, 1500, NULL));
	test_route(0, "10.0.1.0", 32, test_nexthop(NH_BROADCAST, 1, 1500, NULL));
	test_route(0, "10.0.1.0", 24, ifaces[1]->nh_glean);
	a = test_addr("10.0.1.2");
	test_route(0, "10.0.1.2", 32, test_nexthop(NH_REWRITE, 1, 1500, &a));
	a = test_addr("10.0.2.2");
	nh = test_nexthop(NH_REWRITE, 2, 1500, &a);
	test_route(0, "203.0.113.0", 24, nh);
	test_route(0, "100.64.0.0", 16, test_nexthop(NH_REWRITE, 2, 1000, &a));
	test_route(0, "100.65.0.0", 16, nh_down);
	test_route(0, "198.51.100.0", 24, nh_reject);

	ip4_parse_tests();
	test_fragment();
	test_graph_echo();
	test_graph_local();
	test_graph_options();
	test_graph_errors();
	test_random();
	test_echo_rate();
	test_fini();
	free(v1.v4);
	free(v2.v4);
	printf("ok\n");
	return 0;
}
