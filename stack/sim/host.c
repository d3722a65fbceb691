/* SPDX-License-Identifier: Apache-2.0 */
/* A host: an engine, driven as a worker drives it, with vectors of any size and some delay. */
#include "world.h"

#include <errno.h>
#include <stdlib.h>

#include "net.h"

#define VECTOR_MAX 256
#define SPINS_MAX  64

void host_addr(const struct host *h, uint16_t family, struct tcp_addr *out)
{
	static const uint8_t net6[16] = {0x20, 0x01, 0x0d, 0xb8};

	if (family == 4) {
		tcp_addr4(out, rte_cpu_to_be_32(0x0a000001u + ((uint32_t)h->id << 8)));
		return;
	}
	memcpy(out->b, net6, 16);
	out->b[14] = h->id;
	out->b[15] = 1;
}

struct host *host_of(struct world *w, const struct tcp_addr *a)
{
	for (uint8_t i = 0; i < w->n_hosts; i++) {
		struct tcp_addr own;

		host_addr(&w->hosts[i], tcp_addr_is4(a) ? 4 : 6, &own);
		if (memcmp(&own, a, sizeof(own)) == 0)
			return &w->hosts[i];
	}
	return NULL;
}

static uint64_t env_random(void *ctx)
{
	struct host *h = ctx;

	return rng_next(&h->rng);
}

static void env_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	struct host *h = ctx;

	memset(out, 0, sizeof(*out));
	if (h->no_route)
		return;
	out->mtu = h->mtu;
	out->tx_checksum = h->tx_checksum;
	out->tso_max = h->tso_max;
}

void host_boot(struct host *h)
{
	const struct tcp_env env = {h, env_random, env_route, egress, rig_alloc, rig_free};

	h->cfg.start_ns = h->w->now;
	h->engine = tcp_engine_create(&h->cfg, &env);
	if (h->engine == NULL)
		world_fail(h->w, "host %u: tcp_engine_create: %s", h->id, strerror(errno));
}

struct host *host_add(struct world *w, const struct tcp_config *cfg)
{
	struct host *h = &w->hosts[w->n_hosts];

	memset(h, 0, sizeof(*h));
	h->w = w;
	h->id = w->n_hosts++;
	h->cfg = *cfg;
	h->rng = rng_fork(&w->rng);
	h->rx_tail = &h->rx;
	h->wake_at = NEVER;
	h->mtu = 1500;
	h->vector_max = 32;
	return h;
}

void host_crash(struct host *h)
{
	struct packet *p;

	while ((p = h->rx) != NULL) {
		h->rx = p->next;
		free(p);
	}
	h->rx_tail = &h->rx;
	h->rx_count = 0;
	if (h->engine != NULL)
		tcp_engine_destroy(h->engine);
	h->engine = NULL;
}

static bool follows(const struct seg *a, const struct seg *b)
{
	return a->sport == b->sport && a->dport == b->dport && a->family == b->family &&
	       memcmp(&a->src, &b->src, sizeof(a->src)) == 0 && b->seq == a->seq + a->len &&
	       a->ack == b->ack && a->len != 0 && b->len != 0 && a->win == b->win &&
	       a->l3_len == b->l3_len && a->l4_len == b->l4_len && a->ecn == b->ecn &&
	       (a->flags & ~SEG_PSH) == SEG_ACK && (b->flags & ~(SEG_PSH | SEG_FIN)) == SEG_ACK &&
	       (!a->has_ts || (a->tsval == b->tsval && a->tsecr == b->tsecr)) && a->n_sack == 0 &&
	       b->n_sack == 0 && a->l3_len + a->l4_len + a->len + b->len < 65000;
}

/* The first packet, with those behind it that GRO would merge into it. */
static struct packet *merge(struct host *h, struct packet *p)
{
	struct packet *q, *big;
	struct seg a, b;

	while ((q = h->rx) != NULL && seg_parse(p->data, p->len, &a) == NULL &&
	       seg_parse(q->data, q->len, &b) == NULL && follows(&a, &b)) {
		h->rx = q->next;
		h->rx_count--;
		big = malloc(sizeof(*big) + p->len + b.len);
		if (big == NULL)
			abort();
		*big = (struct packet){.id = p->id, .len = p->len + b.len};
		memcpy(big->data, p->data, p->len);
		memcpy(big->data + p->len, b.payload, b.len);
		big->data[a.l3_len + 13] |= b.flags;
		seg_fix(big->data, big->len);
		free(p);
		free(q);
		p = big;
	}
	if (h->rx == NULL)
		h->rx_tail = &h->rx;
	return p;
}

static struct packet *take(struct host *h)
{
	struct packet *p = h->rx;

	if (p == NULL)
		return NULL;
	h->rx = p->next;
	h->rx_count--;
	if (h->rx == NULL)
		h->rx_tail = &h->rx;
	return h->gro ? merge(h, p) : p;
}

static void host_input(struct host *h)
{
	uint16_t n = 0, max = (uint16_t)rng_range(&h->rng, 1, RTE_MIN(h->vector_max, VECTOR_MAX));
	struct rte_mbuf *pkts[VECTOR_MAX];
	uint16_t vrf[VECTOR_MAX] = {0};
	uint8_t verdict[VECTOR_MAX];
	struct packet *p;

	while (n < max && (p = take(h)) != NULL) {
		enum rig_layout how = (enum rig_layout)rng_below(&h->rng, RIG_LAYOUTS);
		struct rte_mbuf *m = rig_packet(p->data, p->len, how, &h->rng);

		trace_packet(h->w, m != NULL ? "<" : "< (no buffer)", p->data, p->len);
		free(p);
		if (m == NULL)
			continue;
		m->hash.rss = (uint32_t)rng_next(&h->rng);
		pkts[n++] = m;
		h->w->delivered++;
	}
	if (n == 0)
		return;
	tcp_input(h->engine, pkts, vrf, verdict, n, h->w->now);
	for (uint16_t i = 0; i < n; i++)
		if (verdict[i] == TCP_NOT_MINE)
			tcp_refuse(h->engine, pkts[i], 0);
}

static void host_run(void *arg)
{
	struct host *h = arg;
	uint64_t next;

	if (h->w->now < h->wake_at)
		return;
	h->wake_at = NEVER;
	if (h->engine == NULL)
		return;
	h->spins = h->rx != NULL ? 0 : h->spins;
	/* A worker does either first. */
	if (rng_percent(&h->rng, 50)) {
		tcp_poll(h->engine, h->w->now);
		host_input(h);
	} else {
		host_input(h);
		tcp_poll(h->engine, h->w->now);
	}
	tcp_flush(h->engine);
	host_check(h);
	next = tcp_next_timer(h->engine);
	if (next <= h->w->now && h->rx == NULL && ++h->spins > SPINS_MAX)
		world_fail(h->w, "host %u: tcp_next_timer() stays at a time that has passed",
			   h->id);
	else if (next > h->w->now)
		h->spins = 0;
	if (h->rx != NULL)
		host_wake(h, h->w->now + rng_below(&h->rng, h->late_ns + 1));
	else if (next != NEVER)
		host_wake(h, RTE_MAX(next, h->w->now) + rng_below(&h->rng, h->late_ns + 1));
}

void host_enter(struct host *h)
{
	tcp_poll(h->engine, h->w->now);
	host_wake(h, h->w->now);
}

void host_wake(struct host *h, uint64_t at)
{
	if (at >= h->wake_at)
		return;
	h->wake_at = at;
	world_at(h->w, at, host_run, h);
}

void host_receive(struct host *h, struct packet *p)
{
	p->next = NULL;
	*h->rx_tail = p;
	h->rx_tail = &p->next;
	h->rx_count++;
	host_wake(h, h->w->now + rng_below(&h->rng, h->late_ns + 1));
}

struct packet *packet_new(struct world *w, const uint8_t *data, uint32_t len)
{
	struct packet *p = malloc(sizeof(*p) + len);

	if (p == NULL)
		abort();
	*p = (struct packet){.id = w->packets, .len = len};
	memcpy(p->data, data, len);
	return p;
}
