/* SPDX-License-Identifier: Apache-2.0 */
#include "test_world.h"
#include "runtime.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#define VECTOR	256
#define STEP_NS 20000

/* Packets under way, in order of arrival. */
struct wire {
	struct flight {
		uint64_t at;
		struct rte_mbuf *m;
		struct host *to;
	} * q;
	size_t head, len, cap;
};

void world_init(const char *name)
{
	char prefix[96], *argv[] = {(char *)(uintptr_t)name,
				    "--no-huge",
				    "-m",
				    "512",
				    "--no-pci",
				    "--no-telemetry",
				    "--lcores",
				    "0@0",
				    prefix,
				    "--log-level=error",
				    NULL};

	snprintf(prefix, sizeof(prefix), "--file-prefix=%s-%d", name, (int)getpid());
	CHECK(rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0);
}

struct world *world_new(uint32_t buffers)
{
	struct world *w = calloc(1, sizeof(*w));
	static unsigned int n;
	char name[32];

	CHECK(w != NULL);
	w->now_ns = 1000000000;
	w->latency_ns = 100000;
	w->wall_s = 1767225600;
	w->seed = 1;
	w->wire = calloc(1, sizeof(*w->wire));
	snprintf(name, sizeof(name), "world%u", n++);
	w->pool = rte_pktmbuf_pool_create(name, buffers, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	CHECK(w->pool != NULL && w->wire != NULL);
	w->pool_free = rte_mempool_avail_count(w->pool);
	return w;
}

static uint64_t world_random(void *ctx)
{
	struct world *w = ((struct host *)ctx)->w;
	uint64_t x = w->seed += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t world_wall(void *ctx)
{
	struct world *w = ((struct host *)ctx)->w;

	return w->wall_s + w->now_ns / 1000000000;
}

static struct host *host_of(struct world *w, const struct tcp_addr *a)
{
	struct host *h;
	uint32_t i;

	for (h = w->hosts; h != NULL; h = h->next)
		for (i = 0; i < h->n_addrs; i++)
			if (memcmp(&h->addrs[i], a, sizeof(*a)) == 0)
				return h;
	return NULL;
}

static void world_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	struct world *w = ((struct host *)ctx)->w;

	*out = (struct tcp_route){.mtu = host_of(w, &t->raddr) != NULL ? 1500 : 0};
}

static bool world_source(void *ctx, uint16_t vrf, const struct tcp_addr *dst, struct tcp_addr *src)
{
	struct host *h = ctx;
	uint32_t i;

	(void)vrf;
	for (i = 0; i < h->n_addrs; i++) {
		if (tcp_addr_is4(&h->addrs[i]) == tcp_addr_is4(dst)) {
			*src = h->addrs[i];
			return true;
		}
	}
	return false;
}

static void world_ready(void *ctx, uint32_t id, bool ready)
{
	struct host *h = ctx;

	(void)id;
	(void)ready;
	h->ready_calls++;
}

static void fly(struct world *w, struct rte_mbuf *m, struct host *to)
{
	struct wire *q = w->wire;

	if (q->head + q->len == q->cap) {
		if (q->head > 0) {
			memmove(q->q, q->q + q->head, q->len * sizeof(*q->q));
			q->head = 0;
		}
		if (q->len == q->cap) {
			q->cap = q->cap != 0 ? 2 * q->cap : 1024;
			q->q = realloc(q->q, q->cap * sizeof(*q->q));
			CHECK(q->q != NULL);
		}
	}
	q->q[q->head + q->len++] =
		(struct flight){.at = w->now_ns + w->latency_ns, .m = m, .to = to};
}

/* A copy arrives, as from a real wire: what was sent stays the sender's. */
static void world_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct host *h = ctx;
	struct world *w = h->w;
	uint16_t i;

	for (i = 0; i < n; i++) {
		uint8_t family = tcp_tx_family(pkts[i]);
		struct rte_mbuf *m = rte_pktmbuf_copy(pkts[i], w->pool, 0, UINT32_MAX);
		struct tcp_addr dst;
		struct host *to;

		rte_pktmbuf_free(pkts[i]);
		if (m == NULL) {
			w->starved++;
			continue;
		}
		CHECK(m->nb_segs == 1 && m->pkt_len <= 1500);
		w->packets++;
		if (family == 4) {
			const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

			CHECK_EQ(rte_be_to_cpu_16(ip->total_length), m->pkt_len);
			CHECK_EQ(rte_ipv4_cksum(ip), 0);
			tcp_addr4(&dst, ip->dst_addr);
			m->l3_len = sizeof(*ip);
		} else {
			const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);

			CHECK_EQ(family, 6);
			CHECK_EQ(rte_be_to_cpu_16(ip->payload_len) + sizeof(*ip), m->pkt_len);
			tcp_addr6(&dst, &ip->dst_addr);
			m->l3_len = sizeof(*ip);
		}
		m->ol_flags = 0;
		to = h->via != NULL ? h->via : host_of(w, &dst);
		if (to == NULL || to->down || h->down ||
		    (w->loss != 0 && world_random(h) % 1000 < w->loss))
			rte_pktmbuf_free(m);
		else
			fly(w, m, to);
	}
}

static void *world_alloc(void *ctx, size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	(void)ctx;
	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

static void world_dealloc(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(p);
}

struct tcp_addr world_addr(const char *text)
{
	struct tcp_addr a;
	struct in6_addr in6;
	struct in_addr in4;

	if (inet_pton(AF_INET, text, &in4) == 1) {
		tcp_addr4(&a, in4.s_addr);
	} else {
		CHECK(inet_pton(AF_INET6, text, &in6) == 1);
		tcp_addr6(&a, &in6);
	}
	return a;
}

struct host *world_host(struct world *w, const char *addresses, bool services)
{
	struct host *h = calloc(1, sizeof(*h));
	char copy[256], *at = copy, *word;
	struct tcp_config cfg = {.max_conns = 4096,
				 .mem_limit = 256u << 20,
				 .pool = w->pool,
				 .time_wait_ms = 1000,
				 .start_ns = w->now_ns};
	struct tcp_env env = {.ctx = h,
			      .random = world_random,
			      .route = world_route,
			      .tx = world_tx,
			      .alloc = world_alloc,
			      .free = world_dealloc};
	struct svc_env senv = {.ctx = h,
			       .random = world_random,
			       .wall_s = world_wall,
			       .source = world_source,
			       .listener_ready = world_ready,
			       .health_checks = true,
			       .max_states = 1024};

	CHECK(h != NULL && strlen(addresses) < sizeof(copy));
	strcpy(copy, addresses);
	while ((word = strsep(&at, " ")) != NULL) {
		CHECK(h->n_addrs < WORLD_ADDRS);
		h->addrs[h->n_addrs++] = world_addr(word);
	}
	h->w = w;
	h->next = w->hosts;
	w->hosts = h;
	h->e = tcp_engine_create(&cfg, &env);
	CHECK(h->e != NULL);
	if (services) {
		h->svc = svc_create(h->e, &senv, w->now_ns);
		CHECK(h->svc != NULL);
	}
	return h;
}

/* What arrived by now, a vector per host. */
static void deliver(struct world *w, struct host *h)
{
	struct rte_mbuf *pkts[VECTOR];
	uint16_t vrf[VECTOR] = {0}, n = 0, i;
	struct wire *q = w->wire;
	uint8_t verdict[VECTOR];
	size_t k;

	for (k = 0; k < q->len && n < VECTOR; k++) {
		struct flight *f = &q->q[q->head + k];

		if (f->at > w->now_ns)
			break;
		if (f->m != NULL && f->to == h) {
			pkts[n++] = f->m;
			f->m = NULL;
		}
	}
	while (q->len > 0 && q->q[q->head].m == NULL) {
		q->head++;
		q->len--;
	}
	if (n == 0)
		return;
	tcp_input(h->e, pkts, vrf, verdict, n, w->now_ns);
	for (i = 0; i < n; i++) {
		if (verdict[i] != TCP_NOT_MINE)
			continue;
		if (h->silent)
			rte_pktmbuf_free(pkts[i]);
		else
			tcp_refuse(h->e, pkts[i], 0);
	}
}

static uint64_t next_event(const struct world *w)
{
	uint64_t next = w->wire->len > 0 ? w->wire->q[w->wire->head].at : UINT64_MAX;
	const struct host *h;

	for (h = w->hosts; h != NULL; h = h->next) {
		next = RTE_MIN(next, tcp_next_timer(h->e));
		if (h->svc != NULL)
			next = RTE_MIN(next, svc_next(h->svc));
	}
	return next;
}

static void turn(struct world *w)
{
	struct host *h;

	for (h = w->hosts; h != NULL; h = h->next) {
		deliver(w, h);
		tcp_poll(h->e, w->now_ns);
		if (h->svc != NULL)
			svc_poll(h->svc, w->now_ns);
		tcp_flush(h->e);
	}
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

bool world_until(struct world *w, bool (*cond)(void *arg), void *arg, uint32_t ms)
{
	uint64_t end = w->now_ns + ms * 1000000ull;

	for (;;) {
		uint64_t next;

		turn(w);
		if (cond(arg))
			return true;
		next = RTE_MAX(next_event(w), w->now_ns + STEP_NS);
		if (next > end)
			break;
		w->now_ns = next;
	}
	w->now_ns = end;
	return false;
}

void world_run(struct world *w, uint32_t ms)
{
	world_until(w, never, NULL, ms);
}

/* Once its connections are gone, no service has state of any. */
static void check_states(struct svc *s)
{
	struct svc_filter any = {0};
	uint32_t cursor = 0;
	enum svc_kind k;

	while (cursor != UINT32_MAX)
		svc_kill(s, &any, &cursor, 4096);
	tcp_flush(s->e);
	for (k = 0; k < SVC_KINDS; k++)
		CHECK_EQ(s->types[k].slab.used, 0);
}

void world_free(struct world *w)
{
	struct host *h;
	size_t k;

	for (h = w->hosts; h != NULL; h = h->next) {
		const char *wrong = tcp_check(h->e, NULL);

		if (wrong != NULL)
			fprintf(stderr, "engine: %s\n", wrong);
		CHECK(wrong == NULL);
		if (h->svc != NULL)
			check_states(h->svc);
		svc_destroy(h->svc);
		h->svc = NULL;
	}
	for (h = w->hosts; h != NULL; h = h->next)
		tcp_engine_destroy(h->e);
	for (k = 0; k < w->wire->len; k++)
		rte_pktmbuf_free(w->wire->q[w->wire->head + k].m);
	CHECK_EQ(rte_mempool_avail_count(w->pool), w->pool_free);
	while ((h = w->hosts) != NULL) {
		w->hosts = h->next;
		free(h);
	}
	rte_mempool_free(w->pool);
	free(w->wire->q);
	free(w->wire);
	free(w);
}

struct svc_listener_cfg *world_cfg(enum svc_kind kind, uint16_t port)
{
	struct svc_listener_cfg *cfg = svc_listener_cfg_new(kind);

	CHECK(cfg != NULL);
	cfg->id = port;
	cfg->port = rte_cpu_to_be_16(port);
	snprintf(cfg->name, sizeof(cfg->name), "%s-%u", svc_kind_name(kind), port);
	return cfg;
}

void world_serve(struct host *h, struct svc_listener_cfg *cfg)
{
	struct svc_fault fault;

	if (svc_listener_cfg_check(cfg, &fault) < 0) {
		fprintf(stderr, "%s: %s\n", fault.field, fault.msg);
		exit(1);
	}
	CHECK_EQ(svc_listener_set(h->svc, cfg), 0);
	svc_listener_cfg_release(cfg);
}
