/* SPDX-License-Identifier: Apache-2.0 */
#include "../service/service.h"
#include "side.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_memcpy.h>

#define BURST	  64
#define RING_SIZE 16384

uint64_t bench_now_ns(void)
{
	static double ns_per_cycle;

	if (ns_per_cycle == 0)
		ns_per_cycle = 1e9 / (double)rte_get_tsc_hz();
	return (uint64_t)((double)rte_rdtsc() * ns_per_cycle);
}

static uint64_t random64(void *ctx)
{
	struct side *s = ctx;

	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return s->rng * 0x2545f4914f6cdd1d;
}

static void route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	const struct side *s = ctx;

	*out = (struct tcp_route){.mtu = s->mtu, .tx_checksum = true};
}

/* Packets under way on a path with a delay: first in, first out. */
struct delayed {
	uint32_t head, tail, size;
	struct {
		struct rte_mbuf *m;
		uint64_t at_ns;
	} q[];
};

static void to_ring(struct side *s, struct rte_mbuf **m, unsigned int n)
{
	const unsigned int put = rte_ring_sp_enqueue_burst(s->peer->in, (void **)m, n, NULL);

	if (put < n) {
		s->overruns += n - put;
		rte_pktmbuf_free_bulk(m + put, n - put);
	}
}

static void delay_one(struct side *s, struct delayed *d, struct rte_mbuf *m)
{
	const uint64_t now = tcp_now(s->e);
	uint64_t leaves = now;

	if (s->ps_per_octet != 0) {
		/* Ethernet's preamble, header, FCS and gap take their time too. */
		const uint64_t takes = (m->pkt_len + 38) * s->ps_per_octet / 1000;

		if (s->free_at_ns < now)
			s->free_at_ns = now;
		if (s->free_at_ns - now > 2 * s->delay_ns) {
			s->queue_drops++;
			rte_pktmbuf_free(m);
			return;
		}
		s->free_at_ns += takes;
		leaves = s->free_at_ns;
	}
	if ((s->loss_ppm != 0 && random64(s) % 1000000 < s->loss_ppm) ||
	    d->tail - d->head == d->size) {
		rte_pktmbuf_free(m);
		return;
	}
	d->q[d->tail % d->size].m = m;
	d->q[d->tail % d->size].at_ns = leaves + s->delay_ns;
	d->tail++;
}

static void tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct side *s = ctx;
	struct delayed *d = s->delayed;

	if (d == NULL) {
		to_ring(s, pkts, n);
		return;
	}
	for (uint16_t i = 0; i < n; i++)
		delay_one(s, d, pkts[i]);
}

static void release_delayed(struct side *s, uint64_t now_ns)
{
	struct delayed *d = s->delayed;

	while (d->head != d->tail && d->q[d->head % d->size].at_ns <= now_ns) {
		to_ring(s, &d->q[d->head % d->size].m, 1);
		d->head++;
	}
}

static void *table_alloc(void *ctx, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)ctx;
	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static void table_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	munmap(p, bytes);
}

struct side *side_new(const char *name, struct rte_mempool *pool, const struct side_config *cfg,
		      bool server)
{
	struct side *s = calloc(1, sizeof(*s));
	struct tcp_config c = {
		.max_conns = cfg->max_conns,
		.max_time_wait = cfg->max_conns,
		.mem_limit = cfg->mem_limit,
		.time_wait_ms = cfg->time_wait_ms,
		.pool = pool,
		.port_min = 1024,
		.port_max = 65535,
		.start_ns = bench_now_ns(),
	};
	struct tcp_env env = {
		.ctx = s,
		.random = random64,
		.route = route,
		.tx = tx,
		.alloc = table_alloc,
		.free = table_free,
	};

	if (s == NULL)
		return NULL;
	s->pool = pool;
	s->mtu = cfg->mtu;
	s->server = server;
	s->rng = server ? 0x9e3779b97f4a7c15 : 0xbf58476d1ce4e5b9;
	s->in = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	s->e = tcp_engine_create(&c, &env);
	if (s->in == NULL || s->e == NULL)
		return NULL;
	return s;
}

void side_path(struct side *s, uint64_t delay_ns, uint32_t loss_ppm, double mbit)
{
	const uint32_t size = 1u << 17;

	s->delayed = calloc(1, sizeof(*s->delayed) + size * sizeof(s->delayed->q[0]));
	if (s->delayed == NULL)
		abort();
	s->delayed->size = size;
	s->delay_ns = delay_ns;
	s->loss_ppm = loss_ppm;
	s->ps_per_octet = mbit != 0 ? (uint64_t)(8e6 / mbit) : 0;
}

void side_free(struct side *s)
{
	struct rte_mbuf *m;

	if (s == NULL)
		return;
	svc_destroy(s->svc);
	tcp_engine_destroy(s->e);
	while (rte_ring_sc_dequeue(s->in, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	while (s->back != NULL && rte_ring_sc_dequeue(s->back, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(s->back);
	if (s->delayed != NULL)
		for (; s->delayed->head != s->delayed->tail; s->delayed->head++)
			rte_pktmbuf_free(s->delayed->q[s->delayed->head % s->delayed->size].m);
	free(s->delayed);
	rte_ring_free(s->in);
	free(s->app);
	free(s);
}

int side_copy(struct side *s, const char *name)
{
	s->back =
		rte_ring_create(name, 2 * RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return s->back != NULL ? 0 : -1;
}

/* Frees what the other side has copied. */
static void reclaim(struct side *s)
{
	struct rte_mbuf *m[BURST];
	unsigned int n;

	while ((n = rte_ring_sc_dequeue_burst(s->peer->back, (void **)m, BURST, NULL)) != 0)
		rte_pktmbuf_free_bulk(m, n);
}

static struct rte_mbuf *copy_of(struct side *s, struct rte_mbuf *m)
{
	struct rte_mbuf *n = rte_pktmbuf_alloc(s->pool);
	char *to;

	if (n == NULL)
		return NULL;
	to = rte_pktmbuf_append(n, m->pkt_len);
	if (to == NULL) {
		rte_pktmbuf_free(n);
		return NULL;
	}
	n->l3_len = m->l3_len;
	for (const struct rte_mbuf *p = m; p != NULL; p = p->next) {
		rte_memcpy(to, rte_pktmbuf_mtod(p, const char *), p->data_len);
		to += p->data_len;
	}
	return n;
}

/* The copies take the packets' place, which go back. Returns how many there are. */
static unsigned int copy_in(struct side *s, struct rte_mbuf **m, unsigned int n)
{
	struct rte_mbuf *copy[BURST];
	unsigned int got = 0;

	for (unsigned int i = 0; i < n; i++) {
		copy[got] = copy_of(s, m[i]);
		got += copy[got] != NULL;
	}
	while (rte_ring_sp_enqueue_bulk(s->back, (void **)m, n, NULL) == 0)
		rte_pause();
	memcpy(m, copy, got * sizeof(*m));
	return got;
}

static unsigned int take(struct side *s, uint64_t now_ns)
{
	static const uint16_t vrf[BURST];
	struct rte_mbuf *m[BURST];
	uint8_t verdict[BURST];
	unsigned int n;

	n = rte_ring_sc_dequeue_burst(s->in, (void **)m, BURST, NULL);
	for (unsigned int i = 0; i < n; i++)
		rte_prefetch0(m[i]);
	if (s->back != NULL && n != 0)
		n = copy_in(s, m, n);
	if (s->peer->back != NULL)
		reclaim(s);
	for (unsigned int i = 0; i < n; i++) {
		/* As a port with checksum offload marks them, and as veth does. */
		m[i]->ol_flags = (m[i]->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) |
				 RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	}
	if (n != 0 && tcp_input(s->e, m, vrf, verdict, n, now_ns) != 0)
		for (unsigned int i = 0; i < n; i++)
			if (verdict[i] == TCP_NOT_MINE)
				tcp_refuse(s->e, m[i], 0);
	tcp_poll(s->e, now_ns);
	if (s->svc != NULL)
		svc_poll(s->svc, now_ns);
	if (s->load != NULL && s->load->tick != NULL && !s->server)
		s->load->tick(s);
	tcp_flush(s->e);
	if (s->delayed != NULL)
		release_delayed(s, now_ns);
	return n;
}

unsigned int side_run(struct side *s, uint64_t now_ns)
{
	unsigned int n, total = 0;

	/* In one thread the other side has sent all it could: all of it is taken, for a ring that
	 * never empties is no memory but a queue. */
	do {
		n = take(s, now_ns);
		total += n;
	} while (n == BURST && s->server && total < RING_SIZE);
	s->packets += total;
	s->loops++;
	return total;
}
