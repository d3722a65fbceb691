/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "../ip4/graph_test.h"
#include "error.h"
#include "own.h"
#include "packet_test.h"
#include "parse.h"

static void fate(const char *entry, const struct packet *p, uint16_t iface, uint8_t flags,
		 uint32_t seg)
{
	struct rte_mbuf *m = test_packet(p->b, p->len, iface, seg);

	test_clear();
	mb_meta(m)->flags = flags;
	test_push(entry, m);
	test_run();
	CHECK(n_caught > 0, "packet is gone");
}

static void expect(const struct packet *p, uint16_t iface, const char *node)
{
	fate("ip6-input", p, iface, 0, 0);
	if (test_count(node) != 1)
		test_dump();
	CHECK(test_count(node) == 1, "expected %s", node);
}

static void expect_from(const char *src, const char *dst, uint16_t iface, const char *node)
{
	static struct packet p;

	make_udp(&p, src, dst, 20);
	expect(&p, iface, node);
}

static void test_graph_input(void)
{
	static struct packet p;
	const uint8_t *b;

	make_udp(&p, HOST1, FAR1, 1000);
	expect(&p, 1, "port-tx");
	b = rte_pktmbuf_mtod(test_find("port-tx"), const uint8_t *);
	CHECK(test_find("port-tx")->port == 1 && test_find("port-tx")->pkt_len == p.len + 14,
	      "port and length");
	CHECK(b[12] == 0x86 && b[13] == 0xdd && b[14 + 7] == 9, "EtherType and hop limit");
	CHECK(b[0] == 2 && b[5] == 9 && b[6] == 2 && b[11] == 2, "MAC addresses");
	CHECK(memcmp(b + 14 + 8, p.b + 8, p.len - 8) == 0, "packet");
	/* To a tagged interface. */
	expect_from(HOST1, "2001:db8:a::1", 1, "port-tx");
	b = rte_pktmbuf_mtod(test_find("port-tx"), const uint8_t *);
	CHECK(b[12] == 0x81 && b[13] == 0 && b[14] == 0 && b[15] == 7 && b[16] == 0x86 &&
		      b[17] == 0xdd,
	      "tag");
	/* Padding goes, more than there is does not. */
	make_udp(&p, HOST1, FAR1, 4);
	p.len += 6;
	expect(&p, 1, "port-tx");
	CHECK(test_find("port-tx")->pkt_len == 14 + 52, "padding");
	p.len = 51;
	expect(&p, 1, "drop-ip6-bad-length");
	p.len = 39;
	expect(&p, 1, "drop-ip6-short");
	make_udp(&p, HOST1, FAR1, 4);
	p.b[0] = 0x40;
	expect(&p, 1, "drop-ip6-bad-version");

	expect_from("::", FAR1, 1, "drop-ip6-martian-source");
	expect_from("::1", FAR1, 1, "drop-ip6-martian-source");
	expect_from("::ffff:1.2.3.4", FAR1, 1, "drop-ip6-martian-source");
	expect_from("ff02::1", FAR1, 1, "drop-ip6-martian-source");
	expect_from("64:ff9b::1", FAR1, 1, "port-tx");
	expect_from(OWN1, FAR1, 1, "drop-ip6-spoofed-source");
	expect_from("2001:db8:2::1", FAR1, 1, "drop-ip6-spoofed-source");
	expect_from("fe80::1:1", "ff02::2", 1, "drop-ip6-spoofed-source");
	expect_from(HOST1, "::", 1, "drop-ip6-martian-destination");
	expect_from(HOST1, "::1", 1, "drop-ip6-martian-destination");
	expect_from(HOST1, "::ffff:1.2.3.4", 1, "drop-ip6-martian-destination");
	expect_from(HOST1, "fe80::99", 1, "drop-ip6-link-local-not-forwarded");
	expect_from("fe80::99", "fe80::1:1", 1, "kernel-punt");
	/* The address of the other link. */
	expect_from("fe80::99", "fe80::1:1", 2, "drop-ip6-link-local-not-forwarded");
	expect_from(HOST1, "ff0e::1", 1, "drop-ip6-multicast-not-forwarded");
	expect_from(HOST1, "ff02::1", 1, "kernel-punt");
	expect_from(HOST1, "2001:db8:1::77", 1, "neigh-hold");
	expect_from(HOST1, "2001:db8:b::1", 1, "drop-ip6-blackhole");

	make_udp(&p, HOST1, FAR1, 4);
	fate("ip6-input", &p, 1, MB_L2_MCAST, 0);
	CHECK(n_caught == 1 && test_count("drop-ip6-l2-broadcast") == 1,
	      "unicast in a group's frame");

	/* One group, two ways: every flow keeps to one, and both are used. */
	{
		unsigned int ports[2] = {0}, n = 0;

		test_clear();
		for (unsigned int i = 0; i < 512; i++) {
			make_udp(&p, HOST1, "2001:db8:c::1", 4);
			p.b[40] = (uint8_t)(i / 2);
			test_push("ip6-input", test_packet(p.b, p.len, 1, 0));
		}
		test_run();
		CHECK(test_count("port-tx") == 512, "all sent");
		for (unsigned int i = 0; i < n_caught; i++)
			ports[caught[i].m->port & 1]++;
		for (unsigned int i = 0; i < 2; i++)
			n += ports[i] > 100;
		CHECK(n == 2, "%u and %u packets", ports[0], ports[1]);
	}
	test_clear();
}

static void test_graph_urpf(void)
{
	static const uint8_t hop[8] = {17, 0, 5, 2, 0, 0, 1, 0};
	static struct packet p;

	test_ifaces[1].flags |= IFACE_F_URPF;
	test_ifaces[1].urpf = URPF_STRICT;
	expect_from(HOST1, FAR1, 1, "port-tx");
	expect_from(FAR1, FAR1, 1, "drop-ip6-urpf");
	expect_from("3fff::1", FAR1, 1, "drop-ip6-urpf");
	expect_from("fe80::99", "fe80::1:1", 1, "kernel-punt");
	make6(&p, HOST1, FAR1, 0, hop, 8, 20);
	expect(&p, 1, "port-tx");
	test_ifaces[1].urpf = URPF_LOOSE;
	expect_from(FAR1, FAR1, 1, "port-tx");
	expect_from("3fff::1", FAR1, 1, "drop-ip6-urpf");
	expect_from("2001:db8:b::1", FAR1, 1, "drop-ip6-urpf");
	test_ifaces[1].flags &= (uint8_t)~IFACE_F_URPF;
	test_ifaces[1].urpf = URPF_OFF;
	test_clear();
}

static void check_error(const char *node, const struct packet *p, uint8_t type, uint8_t code,
			const char *src, const char *dst, uint32_t rest)
{
	struct rte_mbuf *m = test_find(node);
	const struct ip_addr s = test_addr(src), d = test_addr(dst);
	static uint8_t b[BUF];
	uint32_t len, want;
	const uint8_t *ip = b;

	CHECK(m != NULL, "no error about it");
	len = test_bytes(m, b, sizeof(b));
	if (strcmp(node, "port-tx") == 0) {
		CHECK(b[12] == 0x86 && b[13] == 0xdd, "EtherType");
		ip += 14;
		len -= 14;
	}
	want = p->len < 1232 ? p->len : 1232;
	CHECK(len - 48 == want, "%u bytes quoted, not %u", len - 48, want);
	CHECK(ip[0] == 0x60 && ip[6] == IPPROTO_ICMPV6, "header");
	CHECK(((uint32_t)ip[4] << 8 | ip[5]) == len - 40, "payload length");
	CHECK(icmp_sum(ip, 40, len) == 0, "checksum");
	CHECK(ip[40] == type && ip[41] == code, "type %u code %u", ip[40], ip[41]);
	CHECK(((uint32_t)ip[44] << 24 | (uint32_t)ip[45] << 16 | (uint32_t)ip[46] << 8 | ip[47]) ==
		      rest,
	      "rest of header");
	CHECK(memcmp(ip + 8, s.b, 16) == 0, "source %x%02x:...:%x", ip[8], ip[9], ip[23]);
	CHECK(memcmp(ip + 24, d.b, 16) == 0, "destination");
	CHECK(memcmp(ip + 48, p->b, want) == 0, "quote");
}

static void test_graph_errors(void)
{
	static const uint8_t bad[8] = {17, 0, 0x9e, 4, 0, 0, 0, 0},
			     rh0[8] = {17, 0, 0, 1, 0, 0, 0, 0},
			     silent[8] = {17, 0, 0x5e, 4, 0, 0, 0, 0},
			     lie[8] = {17, 0, 1, 9, 0, 0, 0, 0};
	static struct packet p;
	unsigned int n;

	make_udp(&p, HOST1, "3fff::1", 20);
	expect(&p, 1, "drop-ip6-no-route");
	check_error("port-tx", &p, 1, 0, OWN1, HOST1, 0);
	make_udp(&p, HOST1, "2001:db8:e::1", 1400);
	expect(&p, 1, "drop-ip6-prohibited");
	check_error("port-tx", &p, 1, 6, OWN1, HOST1, 0);
	make_udp(&p, HOST1, "2001:db8:d::1", 20);
	expect(&p, 1, "drop-ip6-interface-down");
	check_error("port-tx", &p, 1, 0, OWN1, HOST1, 0);
	make_udp(&p, HOST1, FAR1, 20);
	p.b[7] = 1;
	expect(&p, 1, "drop-ip6-hop-limit-exceeded");
	check_error("port-tx", &p, 3, 0, OWN1, HOST1, 0);
	make_udp(&p, HOST1, "2001:db8:a::1", 1400);
	expect(&p, 1, "drop-ip6-too-big");
	check_error("port-tx", &p, 2, 0, OWN1, HOST1, 1400);
	/* In segments. */
	fate("ip6-input", &p, 1, 0, 100);
	check_error("port-tx", &p, 2, 0, OWN1, HOST1, 1400);
	/* The address of the way back. */
	make_udp(&p, "2001:db8:f::9", "3fff::1", 20);
	expect(&p, 1, "drop-ip6-no-route");
	check_error("port-tx", &p, 1, 0, "2001:db8:2::1", "2001:db8:f::9", 0);
	CHECK(test_find("port-tx")->port == 1, "port");
	/* Beyond the scope of the source; the answer goes to a link-local neighbour. */
	make_udp(&p, "fe80::99", FAR1, 20);
	expect(&p, 1, "drop-ip6-beyond-scope");
	check_error("neigh-hold", &p, 1, 2, "fe80::1:1", "fe80::99", 0);
	CHECK(mb_meta(test_find("neigh-hold"))->nh == ifaces[1]->nh_glean, "glean");

	make6(&p, HOST1, FAR1, 0, bad, 8, 20);
	expect(&p, 1, "drop-ip6-parameter-problem");
	check_error("port-tx", &p, 4, 2, OWN1, HOST1, 42);
	make6(&p, HOST1, FAR1, 0, silent, 8, 20);
	expect(&p, 1, "drop-ip6-unknown-option");
	make6(&p, HOST1, FAR1, 0, lie, 8, 20);
	expect(&p, 1, "drop-ip6-bad-hop-by-hop");
	/* Not looked at on the way (RFC 7045), refused at the end (RFC 5095), from the address it
	 * was for. */
	make6(&p, HOST1, FAR1, 43, rh0, 8, 20);
	expect(&p, 1, "port-tx");
	make6(&p, HOST1, "2001:db8:2::1", 43, rh0, 8, 20);
	expect(&p, 1, "drop-ip6-parameter-problem");
	check_error("port-tx", &p, 4, 0, "2001:db8:2::1", HOST1, 42);

	make_udp(&p, OWN1, "2001:db8:a::1", 1400);
	fate("ip6-output", &p, 1, MB_HOST, 0);
	CHECK(test_count("ping-input") == 1 && test_count("drop-ip6-too-big") == 1, "feedback");
	check_error("ping-input", &p, 2, 0, "2001:db8:a::1", OWN1, 1400);
	make_icmp(&p, HOST1, "3fff::1", 3, NULL, 0, 40);
	fate("ip6-input", &p, 1, 0, 0);
	CHECK(n_caught == 1, "error about an error");

	test_clear();
	bucket_init(&test_worker.icmp_error, 10, 5);
	make_udp(&p, HOST1, "3fff::1", 20);
	for (unsigned int i = 0; i < 1000; i++)
		test_push("ip6-input", test_packet(p.b, p.len, 1, 0));
	test_run();
	n = test_count("port-tx");
	CHECK(n >= 1 && n < 20 && test_count("drop-ip6-no-route") == 1000, "%u errors", n);
	bucket_init(&test_worker.icmp_error, 1000000, 100000);
	test_clear();
}

static void test_graph_local(void)
{
	static const uint8_t alert[8] = {58, 0, 5, 2, 0, 0, 1, 0},
			     frag[8] = {58, 0, 0, 1, 0, 0, 0, 1};
	static struct packet p;
	uint8_t b[2048];
	uint32_t len;

	for (uint32_t size = 0; size < 1400; size += 63) {
		make_icmp(&p, HOST1, OWN1, 128, NULL, 0, size);
		expect(&p, 1, "port-tx");
		len = test_bytes(test_find("port-tx"), b, sizeof(b));
		CHECK(len == 14 + p.len && b[14 + 40] == 129 && b[14 + 7] == 64, "reply");
		CHECK(icmp_sum(b + 14, 40, len - 14) == 0, "checksum");
		CHECK(memcmp(b + 14 + 8, p.b + 24, 16) == 0 &&
			      memcmp(b + 14 + 24, p.b + 8, 16) == 0,
		      "addresses");
		CHECK(memcmp(b + 14 + 44, p.b + 44, 4 + size) == 0, "identifier and payload");
	}
	make_icmp(&p, "fe80::99", "fe80::1:1", 128, NULL, 0, 8);
	expect(&p, 1, "neigh-hold");
	make_icmp(&p, HOST1, "ff02::1", 128, NULL, 0, 8);
	expect(&p, 1, "kernel-punt");
	make_icmp(&p, HOST1, OWN1, 128, NULL, 0, 8);
	p.b[50] ^= 1;
	expect(&p, 1, "drop-ip6-icmp-bad-checksum");
	make6(&p, HOST1, OWN1, IPPROTO_ICMPV6, NULL, 0, 7);
	expect(&p, 1, "drop-ip6-icmp-truncated");
	make6(&p, HOST1, OWN1, IPPROTO_ICMPV6, NULL, 0, 3);
	expect(&p, 1, "drop-ip6-bad-transport");
	for (uint8_t type = 133; type <= 137; type++) {
		make_icmp(&p, "fe80::99", "ff02::1:ff00:1", type, NULL, 0, 16);
		expect(&p, 1, "nd-input");
		CHECK(mb_meta(test_find("nd-input"))->arg2 == 40, "offset");
	}
	/* Duplicate address detection asks from nowhere, and its answer may come from our own
	 * address. */
	make_icmp(&p, "::", "ff02::1:ff00:1", 135, NULL, 0, 16);
	expect(&p, 1, "nd-input");
	make_icmp(&p, OWN1, "ff02::1", 136, NULL, 0, 16);
	p.b[7] = 255;
	expect(&p, 1, "nd-input");
	make_icmp(&p, HOST1, OWN1, 129, NULL, 0, 16);
	expect(&p, 1, "ping-input");
	make_icmp(&p, HOST1, OWN1, 1, NULL, 0, 48);
	expect(&p, 1, "ping-input");
	/* MLDv2 report, with its hop-by-hop header. */
	make_icmp(&p, "fe80::99", "ff02::16", 143, alert, 8, 20);
	expect(&p, 1, "kernel-punt");
	make6(&p, HOST1, OWN1, 44, frag, 8, 20);
	expect(&p, 1, "kernel-punt");
	make6(&p, HOST1, OWN1, 59, NULL, 0, 0);
	expect(&p, 1, "drop-ip6-no-next-header");
	make6(&p, HOST1, OWN1, 60, alert, 7, 0);
	expect(&p, 1, "drop-ip6-bad-extension");
	make6(&p, HOST1, OWN1, IPPROTO_TCP, NULL, 0, 10);
	expect(&p, 1, "drop-ip6-bad-transport");
	/* What the kernel sends to a group goes out on the link. */
	make_udp(&p, "fe80::1:1", "ff02::1:2", 20);
	fate("ip6-output", &p, 1, MB_HOST, 0);
	CHECK(test_count("port-tx") == 1, "multicast of the box");
	CHECK(memcmp(rte_pktmbuf_mtod(caught[0].m, uint8_t *), "\x33\x33\0\x01\0\x02", 6) == 0,
	      "MAC address");
	fate("ip6-output", &p, 0, MB_HOST, 0);
	CHECK(test_count("drop-ip6-output-no-link") == 1, "multicast without a link");
	test_clear();
}

/* Random bytes and random changes to good packets: nothing may be read or written where it should
 * not, nor lost. */
static void test_random(void)
{
	static const uint8_t protos[] = {0, 6, 17, 43, 44, 50, 51, 58, 59, 60};
	static struct packet p;
	unsigned int seed = 4712;

	for (unsigned int round = 0; round < 20000; round++) {
		unsigned int changes = (unsigned int)rand_r(&seed) % 4,
			     ext = (unsigned int)rand_r(&seed) % 5;
		uint32_t seg = (unsigned int)rand_r(&seed) % 8 == 0
				       ? 40 + (unsigned int)rand_r(&seed) % 60
				       : 0;
		uint8_t e[40] = {0};

		for (unsigned int i = 0; i < ext; i++) {
			e[8 * i] = protos[(unsigned int)rand_r(&seed) % sizeof(protos)];
			e[8 * i + 2] = rand_r(&seed) % 4 ? 1 : (uint8_t)rand_r(&seed);
			e[8 * i + 3] = rand_r(&seed) % 4 ? 4 : (uint8_t)rand_r(&seed);
		}
		make6(&p, rand_r(&seed) % 8 ? HOST1 : "fe80::99", rand_r(&seed) % 2 ? OWN1 : FAR1,
		      protos[(unsigned int)rand_r(&seed) % sizeof(protos)], e, ext * 8,
		      (unsigned int)rand_r(&seed) % 64);
		for (unsigned int i = 0; i < changes; i++)
			p.b[(unsigned int)rand_r(&seed) % p.len] = (uint8_t)rand_r(&seed);
		if (rand_r(&seed) % 8 == 0)
			p.len = 1 + (unsigned int)rand_r(&seed) % p.len;
		fate("ip6-input", &p, 1 + (uint16_t)(rand_r(&seed) % 2),
		     (uint8_t)(rand_r(&seed) % 8), seg);
	}
	test_clear();
}

static void set6(struct iface_addr_view *v, unsigned int k, const char *a, uint8_t plen)
{
	const struct ip_addr ip = test_addr(a);

	memcpy(v->v6[k].addr, ip.b, 16);
	v->v6[k].plen = plen;
}

static void route_ecmp(uint32_t nh1, uint32_t nh2)
{
	const struct ip_addr prefix = test_addr("2001:db8:c::");
	const struct owner_tag owner = {.owner = 1, .epoch = 1};
	static uint32_t buckets[64];
	struct dp_error err = {0};
	uint32_t gid = group_of_nexthop(nh_punt);

	/* What group.c publishes for an object of two members. */
	for (unsigned int i = 0; i < RTE_DIM(buckets); i++)
		buckets[i] = i % 2 ? nh1 : nh2;
	CHECK(fib_route_set(0, &prefix, 48, gid, owner, &err) == 0, "%s", err.message);
	group_buckets[gid] = buckets;
	groups[gid] = (union group){.mask = RTE_DIM(buckets) - 1};
}

int main(void)
{
	static struct iface_addr_view v[3];
	static struct iface_addr addrs[3][2];
	struct ip_addr a;
	uint32_t nh, nh1;

	test_init();
	for (uint16_t i = 1; i <= 3; i++) {
		v[i - 1] = (struct iface_addr_view){.n6 = 2, .v6 = calloc(2, sizeof(*v[0].v6))};
		test_iface(i, i == 3 ? 7 : 0, &v[i - 1]);
	}
	set6(&v[0], 0, "fe80::1:1", 64);
	set6(&v[0], 1, OWN1, 64);
	set6(&v[1], 0, "fe80::2:1", 64);
	set6(&v[1], 1, "2001:db8:2::1", 64);
	set6(&v[2], 0, "fe80::3:1", 64);
	set6(&v[2], 1, "2001:db8:3::1", 64);
	for (unsigned int i = 0; i < 3; i++) {
		for (unsigned int k = 0; k < 2; k++)
			addrs[i][k] = (struct iface_addr){.addr = ip_addr6(v[i].v6[k].addr),
							  .dad = DAD_PREFERRED};
		test_ifaces[i + 1].addrs = addrs[i];
		test_ifaces[i + 1].n_addrs = 2;
	}
	ip6_own_rebuild();

	test_route(0, OWN1, 128, test_nexthop(NH_LOCAL, 1, 1500, NULL));
	test_route(0, "2001:db8:2::1", 128, test_nexthop(NH_LOCAL, 2, 1500, NULL));
	test_route(0, "2001:db8:1::", 64, ifaces[1]->nh_glean);
	a = test_addr(HOST1);
	nh1 = test_nexthop(NH_REWRITE, 1, 1500, &a);
	test_route(0, HOST1, 128, nh1);
	a = test_addr("2001:db8:2::2");
	nh = test_nexthop(NH_REWRITE, 2, 1500, &a);
	test_route(0, "2001:db8:f::", 48, nh);
	test_route(0, "2001:db8:a::", 48, test_nexthop(NH_REWRITE, 3, 1400, &a));
	test_route(0, "2001:db8:b::", 48, nh_blackhole);
	route_ecmp(nh, nh1);
	test_route(0, "2001:db8:d::", 48, nh_down);
	test_route(0, "2001:db8:e::", 48, nh_reject);

	ip6_parse_tests();
	test_graph_input();
	test_graph_urpf();
	test_graph_errors();
	test_graph_local();
	test_random();
	test_fini();
	for (unsigned int i = 0; i < 3; i++)
		free(v[i].v6);
	printf("ok\n");
	return 0;
}
