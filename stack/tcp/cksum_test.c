/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "cksum.h"

#define PARTS  6
#define OCTETS 9000

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static uint32_t random_below(uint32_t n)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)(s >> 24) % n;
}

/* One 16-bit word after the other, as RFC 1071 says. */
static uint16_t reference(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;
	uint16_t w;

	for (uint32_t i = 0; i < len; i += 2) {
		uint8_t two[2] = {p[i], i + 1 < len ? p[i + 1] : 0};

		memcpy(&w, two, 2);
		sum += w;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The octets as a chain cut anywhere, with empty buffers in it. */
static struct rte_mbuf *chain(struct rte_mbuf *m, uint8_t *p, uint32_t len)
{
	memset(m, 0, PARTS * sizeof(*m));
	for (int i = 0; i < PARTS; i++) {
		uint32_t n = i == PARTS - 1 ? len : random_below(len + 1) / (1 + random_below(3));

		m[i].buf_addr = p;
		m[i].data_len = (uint16_t)n;
		m[i].next = i == PARTS - 1 ? NULL : &m[i + 1];
		p += n;
		len -= n;
	}
	m[0].nb_segs = PARTS;
	return m;
}

static void test_chains(void)
{
	static uint8_t p[OCTETS];
	struct rte_mbuf m[PARTS];
	uint16_t got, want;

	for (int i = 0; i < 20000; i++) {
		uint32_t len = 1 + random_below(OCTETS), off = random_below(len), n;

		n = random_below(len - off + 1);
		/* High octets make carries. */
		for (uint32_t k = 0; k < len; k += 1 + random_below(8))
			p[k] = (uint8_t)(255 - random_below(i % 2 ? 256 : 4));
		chain(m, p, len);
		CHECK(tcp_raw_cksum(m, off, n, &got), "%u of %u from %u", n, len, off);
		want = reference(p + off, n);
		/* Zero has two forms. */
		CHECK(got == want || (got % 0xffff == 0 && want % 0xffff == 0),
		      "%04x, not %04x: %u of %u from %u, first buffer %u", got, want, n, len, off,
		      m[0].data_len);
		CHECK(!tcp_raw_cksum(m, off, len - off + 1, &got), "more than there is");
	}
}

static void test_tcp(void)
{
	static uint8_t p[2000];
	struct rte_mbuf m[PARTS];

	for (int i = 0; i < 4000; i++) {
		uint32_t l3 = i % 2 ? 20 : 40, len = 20 + random_below(1460), at;
		uint16_t sum;

		for (uint32_t k = 0; k < sizeof(p); k++)
			p[k] = (uint8_t)random_below(256);
		if (l3 == 20) {
			struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)p;

			h->version_ihl = 0x45;
			h->total_length = rte_cpu_to_be_16((uint16_t)(l3 + len));
			h->next_proto_id = IPPROTO_TCP;
		} else {
			struct rte_ipv6_hdr *h = (struct rte_ipv6_hdr *)p;

			h->vtc_flow = rte_cpu_to_be_32(6u << 28);
			h->payload_len = rte_cpu_to_be_16((uint16_t)len);
			h->proto = IPPROTO_TCP;
		}
		memset(p + l3 + 16, 0, 2);
		/* Headers in the first buffer, cut at an odd place behind them. */
		at = l3 + 20 + random_below(len - 19);
		memset(m, 0, sizeof(m));
		m[0].buf_addr = p;
		m[0].data_len = (uint16_t)at;
		m[0].next = &m[1];
		m[1].buf_addr = p + at;
		m[1].data_len = (uint16_t)(l3 + len - at);
		sum = tcp_cksum(m, l3);
		memcpy(p + l3 + 16, &sum, 2);
		CHECK(l3 == 20 ? rte_ipv4_udptcp_cksum_verify((void *)p, p + l3) == 0
			       : rte_ipv6_udptcp_cksum_verify((void *)p, p + l3) == 0,
		      "IPv%d, %u octets cut at %u: %04x", l3 == 20 ? 4 : 6, len, at, sum);
	}
}

int main(void)
{
	test_chains();
	test_tcp();
	return 0;
}
