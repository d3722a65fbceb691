/* SPDX-License-Identifier: Apache-2.0 */
/* Segmentation offload: what an engine hands to a port that cuts packets itself. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "tcp.h"

#define CHECK(ok, ...)                                                                             \
	do {                                                                                       \
		if (!(ok)) {                                                                       \
			fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                            \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define SENT_MAX 256
#define TOTAL	 50000

static struct {
	struct rte_mbuf *m[SENT_MAX];
	unsigned int n;
	uint32_t tso_max;
	uint64_t rng;
} world;

static uint64_t random64(void *ctx)
{
	(void)ctx;
	return world.rng = world.rng * 6364136223846793005u + 1442695040888963407u;
}

static void route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	(void)ctx;
	*out = (struct tcp_route){.mtu = 1500, .tx_checksum = true, .tso_max = world.tso_max};
}

static void tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	(void)ctx;
	for (uint16_t i = 0; i < n; i++) {
		CHECK(world.n < SENT_MAX, "more than %u packets", SENT_MAX);
		world.m[world.n++] = pkts[i];
	}
}

static void *table_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	return p != NULL ? memset(p, 0, bytes) : NULL;
}

static void table_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(p);
}

static void drop_sent(void)
{
	for (unsigned int i = 0; i < world.n; i++)
		rte_pktmbuf_free(world.m[i]);
	world.n = 0;
}

static const struct rte_tcp_hdr *tcp_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, sizeof(struct rte_ipv4_hdr));
}

/* A segment of the client: flags and numbers as given, no data. */
static struct rte_mbuf *segment(struct rte_mempool *pool, uint8_t flags, uint32_t seq, uint32_t ack)
{
	static const uint8_t syn_opts[8] = {2, 4, 5, 180, 1, 3, 3, 7};
	const unsigned int opts = flags & RTE_TCP_SYN_FLAG ? sizeof(syn_opts) : 0;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_tcp_hdr *th = (struct rte_tcp_hdr *)(ip + 1);

	m->data_len = m->pkt_len = 40 + opts;
	memset(ip, 0, 40);
	ip->version_ihl = 0x45;
	ip->total_length = htons(40 + opts);
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	ip->src_addr = htonl(0x0a000002);
	ip->dst_addr = htonl(0x0a000001);
	th->src_port = htons(40000);
	th->dst_port = htons(80);
	th->sent_seq = htonl(seq);
	th->recv_ack = htonl(ack);
	th->data_off = (20 + opts) << 2;
	th->tcp_flags = flags;
	th->rx_win = htons(65535);
	memcpy(th + 1, syn_opts, opts);
	m->l3_len = 20;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return m;
}

static void input(struct tcp_engine *e, struct rte_mbuf *m, uint64_t now)
{
	const uint16_t vrf = 0;
	uint8_t verdict;

	CHECK(tcp_input(e, &m, &vrf, &verdict, 1, now) == 0, "segment was not taken");
	tcp_flush(e);
}

static uint8_t content(uint32_t at)
{
	return (uint8_t)(at * 131 + (at >> 8));
}

static bool accepted(struct tcp_conn *c, void *ctx)
{
	uint8_t data[TOTAL];

	(void)ctx;
	for (uint32_t i = 0; i < TOTAL; i++)
		data[i] = content(i);
	CHECK(tcp_write_copy(c, data, TOTAL) == TOTAL, "the send buffer took less than %d", TOTAL);
	tcp_shutdown(c);
	return true;
}

static void closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)c;
	(void)why;
}

/* Checks what was sent and returns the octets of payload. */
static uint32_t check_sent(uint32_t first_seq, uint32_t at, unsigned int *large)
{
	const uint32_t from = at;

	for (unsigned int i = 0; i < world.n; i++) {
		struct rte_mbuf *m = world.m[i];
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		const struct rte_tcp_hdr *th = tcp_of(m);
		const uint32_t len = m->pkt_len - m->l3_len - m->l4_len;
		uint8_t octets[65536];
		const uint8_t *p;

		CHECK(ntohs(ip->total_length) == m->pkt_len, "IP length %u, packet %u",
		      ntohs(ip->total_length), m->pkt_len);
		CHECK(ntohl(th->sent_seq) == first_seq + at, "sequence number %u, want %u",
		      ntohl(th->sent_seq), first_seq + at);
		if (len > 1460) {
			CHECK(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG, "too large and not to be cut");
			CHECK(m->tso_segsz == 1460, "cut at %u", m->tso_segsz);
			CHECK(th->cksum == rte_ipv4_phdr_cksum(ip, RTE_MBUF_F_TX_TCP_SEG),
			      "pseudo header's sum is not one for TSO");
			(*large)++;
		} else {
			CHECK(!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG), "small and to be cut");
		}
		p = rte_pktmbuf_read(m, m->l3_len + m->l4_len, len, octets);
		for (uint32_t k = 0; k < len; k++)
			CHECK(p[k] == content(at + k), "octet %u is %u", at + k, p[k]);
		at += len;
	}
	return at - from;
}

static void run(struct rte_mempool *pool, uint32_t tso_max)
{
	const struct tcp_config cfg = {
		.max_conns = 16, .mem_limit = 8 << 20, .pool = pool, .start_ns = 1000000000};
	const struct tcp_env env = {.random = random64,
				    .route = route,
				    .tx = tx,
				    .alloc = table_alloc,
				    .free = table_free};
	static const struct tcp_ops ops = {.accept = accepted, .closed = closed};
	const struct tcp_listener_params lp = {.port = htons(80), .ops = &ops};
	uint64_t now = 1000000000;
	uint32_t iss, sent, done = 0;
	unsigned int large = 0;
	struct tcp_engine *e;

	world.tso_max = tso_max;
	e = tcp_engine_create(&cfg, &env);
	CHECK(e != NULL && tcp_listen(e, &lp) != NULL, "no engine");
	input(e, segment(pool, RTE_TCP_SYN_FLAG, 999, 0), now);
	CHECK(world.n == 1, "%u packets answer the SYN", world.n);
	iss = ntohl(tcp_of(world.m[0])->sent_seq);
	drop_sent();
	input(e, segment(pool, RTE_TCP_ACK_FLAG, 1000, iss + 1), now += 10000000);
	while (done < TOTAL) {
		sent = check_sent(iss + 1, done, &large);
		CHECK(sent != 0, "nothing sent after %u octets", done);
		done += sent;
		drop_sent();
		input(e, segment(pool, RTE_TCP_ACK_FLAG, 1000, iss + 1 + done), now += 10000000);
	}
	CHECK(done == TOTAL, "%u octets sent", done);
	CHECK(tso_max != 0 ? large >= 3 : large == 0, "%u large packets", large);
	drop_sent();
	tcp_engine_destroy(e);
	CHECK(rte_mempool_in_use_count(pool) == 0, "%u buffers lost",
	      rte_mempool_in_use_count(pool));
}

int main(void)
{
	char prefix[32];
	char *argv[] = {"tso-test",
			"--no-huge",
			"-m",
			"64",
			"--no-pci",
			"--no-telemetry",
			"--file-prefix",
			prefix,
			"--log-level",
			"lib.eal:3",
			NULL};
	struct rte_mempool *pool;

	snprintf(prefix, sizeof(prefix), "tso-%d", getpid());
	CHECK(rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0, "EAL");
	pool = rte_pktmbuf_pool_create("tso", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	CHECK(pool != NULL, "pool");
	run(pool, 0);
	run(pool, 65535);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return 0;
}
