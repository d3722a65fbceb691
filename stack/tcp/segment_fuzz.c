/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments in every state. The input is a script: segments whose numbers are given relative to what
 * the engine last sent, so that the fuzzer gets past the handshake, with options and flags as it
 * likes; time that passes; what a service does. After each step the engine's invariants are
 * checked, at the end that no buffer is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "tcp.h"

#define PORTS	  3
#define REMOTES	  3
#define STEPS_MAX 256

static struct rte_mempool *pool;

/* What the peer of a connection has learnt from the engine's segments. */
struct peer {
	uint32_t seq, ack, tsval;
	bool seen;
	uint16_t lport, rport;
};

static struct {
	struct tcp_engine *e;
	struct tcp_conn *conn[REMOTES * PORTS];
	unsigned int n_conns;
	struct peer peer[PORTS][REMOTES];
	uint64_t now, rng;
	bool v6;
} w;

static void fail(const char *what)
{
	fprintf(stderr, "segment: %s\n", what);
	abort();
}

static uint64_t random64(void *ctx)
{
	(void)ctx;
	return w.rng = w.rng * 6364136223846793005u + 1442695040888963407u;
}

static void route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	(void)ctx;
	*out = (struct tcp_route){.mtu = ntohs(t->rport) % 3 == 2 ? 9000 : 1500,
				  .tx_checksum = true,
				  .tso_max = ntohs(t->rport) % 3 == 1 ? 65000 : 0};
}

static void tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	(void)ctx;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		const unsigned int l3 = tcp_tx_family(m) == 4 ? 20 : 40;
		const struct rte_tcp_hdr *th;
		struct peer *p;

		rte_mbuf_sanity_check(m, 1);
		if (m->data_len < l3 + 20 || m->l3_len != l3)
			fail("a packet without headers was sent");
		th = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, l3);
		p = &w.peer[ntohs(th->src_port) % PORTS][ntohs(th->dst_port) % REMOTES];
		p->seen = true;
		p->lport = th->src_port;
		p->rport = th->dst_port;
		p->seq = ntohl(th->sent_seq) + m->pkt_len - l3 - (th->data_off >> 4) * 4 +
			 ((th->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG)) != 0);
		p->ack = ntohl(th->recv_ack);
		rte_pktmbuf_free(m);
	}
}

static void *table_alloc(void *ctx, size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	(void)ctx;
	return p != NULL ? memset(p, 0, bytes) : NULL;
}

static void table_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(p);
}

/* ---- A service that the script plays ---- */

static bool accepted(struct tcp_conn *c, void *ctx)
{
	(void)ctx;
	if (w.n_conns == RTE_DIM(w.conn))
		return false;
	w.conn[w.n_conns++] = c;
	return true;
}

static void forget(struct tcp_conn *c)
{
	for (unsigned int i = 0; i < w.n_conns; i++)
		if (w.conn[i] == c)
			w.conn[i] = w.conn[--w.n_conns];
}

static void closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)why;
	forget(c);
}

static const struct tcp_ops ops = {.accept = accepted, .closed = closed};

/* Echoes and ends by itself. */
static void echo_readable(struct tcp_conn *c)
{
	struct rte_mbuf *m = tcp_read(c, UINT32_MAX);

	if (m != NULL && tcp_write(c, m) != 0)
		rte_pktmbuf_free(m);
	if (tcp_at_eof(c))
		tcp_shutdown(c);
}

static bool echo_accepted(struct tcp_conn *c, void *ctx)
{
	(void)c;
	(void)ctx;
	return true;
}

static void echo_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)c;
	(void)why;
}

static const struct tcp_ops echo = {
	.accept = echo_accepted, .readable = echo_readable, .closed = echo_closed};

/* ---- The script ---- */

struct script {
	const uint8_t *p;
	size_t left;
};

static uint8_t next8(struct script *s)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->p++;
}

static uint16_t next16(struct script *s)
{
	const uint16_t hi = next8(s);

	return hi << 8 | next8(s);
}

/* Offsets that matter: none, a little either way, far away, anything. */
static uint32_t offset(struct script *s)
{
	const uint8_t kind = next8(s);

	switch (kind % 6) {
	case 0:
	case 1:
		return 0;
	case 2:
		return (uint32_t)(int8_t)next8(s);
	case 3:
		return next16(s);
	case 4:
		return -(uint32_t)next16(s);
	default:
		return (uint32_t)next16(s) << 16 | next16(s);
	}
}

static void put_addresses(struct rte_mbuf *m, unsigned int l4, uint8_t ecn)
{
	if (!w.v6) {
		struct rte_ipv4_hdr *ip =
			(struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip));

		memset(ip, 0, sizeof(*ip));
		ip->version_ihl = 0x45;
		ip->type_of_service = ecn & 3;
		ip->total_length = htons(sizeof(*ip) + l4);
		ip->time_to_live = 64;
		ip->next_proto_id = IPPROTO_TCP;
		ip->src_addr = htonl(0x0a000002);
		ip->dst_addr = htonl(0x0a000001);
		m->l3_len = sizeof(*ip);
	} else {
		struct rte_ipv6_hdr *ip =
			(struct rte_ipv6_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip));

		memset(ip, 0, sizeof(*ip));
		ip->vtc_flow = htonl(6u << 28 | (uint32_t)(ecn & 3) << 20);
		ip->payload_len = htons(l4);
		ip->proto = IPPROTO_TCP;
		ip->src_addr[0] = ip->dst_addr[0] = 0xfd;
		ip->src_addr[15] = 2;
		ip->dst_addr[15] = 1;
		m->l3_len = sizeof(*ip);
	}
}

static void segment(struct script *s)
{
	const unsigned int to = next8(s) % PORTS, from = next8(s) % REMOTES;
	struct peer *p = &w.peer[to][from];
	const uint8_t flags = next8(s), ecn = next8(s), n_opts = next8(s) % 11 * 4;
	const uint16_t len = next16(s) % 1461;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	const uint16_t vrf = 0;
	struct rte_tcp_hdr *th;
	uint8_t verdict, *opts;

	if (m == NULL)
		return;
	th = (struct rte_tcp_hdr *)rte_pktmbuf_append(m, 20 + n_opts + len);
	if (th == NULL)
		fail("no room");
	memset(th, 0, 20);
	th->src_port = p->seen ? p->rport : htons(30000 + from);
	th->dst_port = p->seen ? p->lport : htons(900 + to);
	th->sent_seq = htonl(p->ack + offset(s));
	th->recv_ack = htonl(p->seq + offset(s));
	th->data_off = (20 + n_opts) << 2;
	th->tcp_flags = flags;
	th->rx_win = htons(next16(s));
	th->tcp_urp = htons(next8(s));
	opts = (uint8_t *)(th + 1);
	for (unsigned int i = 0; i < n_opts; i++)
		opts[i] = next8(s);
	memset(opts + n_opts, (int)w.now, len);
	put_addresses(m, 20 + n_opts + len, ecn);
	if (flags & RTE_TCP_SYN_FLAG && !p->seen)
		p->ack++;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (tcp_input(w.e, &m, &vrf, &verdict, 1, w.now) != 0)
		tcp_refuse(w.e, m, vrf);
}

static void service(struct script *s)
{
	static const char data[4096];
	const uint8_t what = next8(s);
	struct tcp_conn *c;

	if (w.n_conns == 0)
		return;
	c = w.conn[next8(s) % w.n_conns];
	switch (what % 10) {
	case 0:
	case 1:
		(void)tcp_write_copy(c, data, next16(s) % sizeof(data));
		break;
	case 2:
		rte_pktmbuf_free(tcp_read(c, next16(s)));
		break;
	case 3:
		(void)tcp_discard(c, next16(s));
		break;
	case 4:
		tcp_shutdown(c);
		break;
	case 5:
		forget(c);
		tcp_close(c);
		break;
	case 6:
		forget(c);
		tcp_abort(c);
		break;
	case 7:
		tcp_kill(c);
		break;
	case 8:
		tcp_cork(c, next8(s) & 1);
		break;
	default:
		tcp_set_timer(c, next16(s));
		break;
	}
}

static void dial(struct script *s)
{
	struct tcp_connect_params p = {.ops = &ops, .opt = {.cc = next8(s) % TCP_CC_MAX}};
	struct tcp_conn *c;

	if (w.n_conns == RTE_DIM(w.conn))
		return;
	p.tuple.family = w.v6 ? 6 : 4;
	if (w.v6) {
		p.tuple.laddr.b[0] = p.tuple.raddr.b[0] = 0xfd;
		p.tuple.laddr.b[15] = 1;
		p.tuple.raddr.b[15] = 2;
	} else {
		tcp_addr4(&p.tuple.laddr, htonl(0x0a000001));
		tcp_addr4(&p.tuple.raddr, htonl(0x0a000002));
	}
	p.tuple.lport = htons(40000 + next8(s) % 8);
	p.tuple.rport = htons(50000 + next8(s) % 8);
	c = tcp_connect(w.e, &p);
	if (c != NULL)
		w.conn[w.n_conns++] = c;
}

static void icmp(struct script *s)
{
	struct tcp_tuple t;
	const uint8_t what = next8(s);

	if (w.n_conns == 0)
		return;
	t = *tcp_tuple(w.conn[next8(s) % w.n_conns]);
	tcp_icmp(w.e, &t, w.peer[ntohs(t.lport) % PORTS][ntohs(t.rport) % REMOTES].seq + offset(s),
		 (enum tcp_icmp)(what % 3), next16(s), w.now);
}

static void listen_on(uint16_t port, const struct tcp_ops *o, uint8_t bits)
{
	const struct tcp_listener_params p = {
		.id = port,
		.port = htons(port),
		.ops = o,
		.backlog = bits & 1 ? 2 : 0,
		.max_per_source = bits & 2 ? 2 : 0,
		.opt = {.cc = (bits >> 2) % TCP_CC_MAX,
			.fast_open = (bits & 16) != 0,
			.cookies_always = (bits & 32) != 0,
			.no_sack = (bits & 64) != 0,
			.no_timestamps = (bits & 128) != 0,
			.keepalive_idle_s = bits & 1 ? 30 : 0,
			.user_timeout_ms = bits & 2 ? 20000 : 0},
	};

	if (tcp_listen(w.e, &p) == NULL)
		fail("tcp_listen");
}

/* To see what a script does. */
static void counters(void)
{
	const uint64_t *v = (const uint64_t *)tcp_mib(w.e);
	struct tcp_usage u;

	tcp_usage(w.e, &u);
	fprintf(stderr, "connections %u, TIME-WAIT %u, memory %lu, buffers %u\n", u.conns,
		u.time_wait, u.mem_bytes, rte_mempool_in_use_count(pool));
	for (unsigned int i = 0; i < TCP_MIB_COUNT; i++)
		if (v[i] != 0)
			fprintf(stderr, "%s %lu\n", tcp_mib_name(i), v[i]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char prefix[32];
	char *eal[] = {"segment-fuzz",
		       "--no-huge",
		       "-m",
		       "64",
		       "--no-pci",
		       "--no-telemetry",
		       "--file-prefix",
		       prefix,
		       "--log-level",
		       "lib.eal:3",
		       "-l",
		       "0",
		       NULL};

	(void)argc;
	(void)argv;
	snprintf(prefix, sizeof(prefix), "segfuzz-%d", getpid());
	if (rte_eal_init(RTE_DIM(eal) - 1, eal) < 0)
		fail("EAL");
	pool = rte_pktmbuf_pool_create("fuzz", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		fail("pool");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_config cfg = {.max_conns = 16,
				 .max_time_wait = 4,
				 .max_segs = 256,
				 .mem_limit = 2 << 20,
				 .pool = pool,
				 .start_ns = 1000000000};
	const struct tcp_env env = {.random = random64,
				    .route = route,
				    .tx = tx,
				    .alloc = table_alloc,
				    .free = table_free};
	struct script s = {data, size};
	const uint8_t bits = next8(&s), more = next8(&s);
	const char *bad;

	memset(&w, 0, sizeof(w));
	w.now = cfg.start_ns;
	w.v6 = more & 1;
	/* So little that pressure comes quickly. */
	if (more & 2)
		cfg.mem_limit = 64 << 10;
	w.e = tcp_engine_create(&cfg, &env);
	if (w.e == NULL)
		fail("no engine");
	listen_on(900, &ops, bits);
	listen_on(901, &echo, bits);
	for (int i = 0; i < STEPS_MAX && s.left != 0; i++) {
		const uint8_t op = next8(&s);

		switch (op % 8) {
		case 0:
		case 1:
		case 2:
		case 3:
			segment(&s);
			break;
		case 4:
			service(&s);
			break;
		case 5:
			w.now += (uint64_t)next16(&s) * (op & 8 ? 10000000 : 100000);
			tcp_poll(w.e, w.now);
			break;
		case 6:
			dial(&s);
			break;
		default:
			icmp(&s);
			break;
		}
		if (!(op & 64))
			tcp_flush(w.e);
		bad = tcp_check(w.e, NULL);
		if (bad != NULL)
			fail(bad);
	}
	tcp_flush(w.e);
	/* Until everything that ends by itself has ended. */
	for (int i = 0; i < 200; i++) {
		const uint64_t next = tcp_next_timer(w.e);

		if (next == UINT64_MAX)
			break;
		w.now = RTE_MAX(next, w.now + 1000);
		tcp_poll(w.e, w.now);
		tcp_flush(w.e);
		bad = tcp_check(w.e, NULL);
		if (bad != NULL)
			fail(bad);
	}
	if (getenv("SEGMENT_FUZZ_VERBOSE") != NULL)
		counters();
	tcp_engine_destroy(w.e);
	if (rte_mempool_in_use_count(pool) != 0)
		fail("buffers are lost");
	return 0;
}
