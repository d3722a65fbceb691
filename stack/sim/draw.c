/* SPDX-License-Identifier: Apache-2.0 */
/* Draws worlds from the seed. */
#include "sim.h"

#define LISTEN_PORT 80

void draw_options(struct rng *r, struct tcp_options *o)
{
	memset(o, 0, sizeof(*o));
	o->cc = (enum tcp_cc_algorithm)rng_below(r, TCP_CC_MAX);
	if (rng_percent(r, 50))
		o->cc = TCP_CC_CUBIC;
	o->no_sack = rng_percent(r, 20);
	o->no_timestamps = rng_percent(r, 25);
	o->no_window_scale = rng_percent(r, 20);
	o->no_ecn = rng_percent(r, 50);
	o->no_delayed_ack = rng_percent(r, 25);
	o->no_nagle = rng_percent(r, 50);
	o->fast_open = rng_percent(r, 20);
	o->no_mtu_probing = rng_percent(r, 50);
	o->pacing = rng_percent(r, 15);
	if (rng_percent(r, 25))
		o->mss = (uint16_t)rng_log(r, 88, 9000);
	if (rng_percent(r, 20))
		o->keepalive_idle_s = (uint32_t)rng_log(r, 1, 600);
	if (rng_percent(r, 30))
		o->rcvbuf_max = (uint32_t)rng_log(r, 2048, 1 << 22);
	if (rng_percent(r, 30))
		o->sndbuf_max = (uint32_t)rng_log(r, 2048, 1 << 22);
	o->ttl = rng_percent(r, 20) ? (uint8_t)rng_range(r, 1, 255) : 0;
	o->dscp = rng_percent(r, 20) ? (uint8_t)rng_below(r, 64) : 0;
}

void draw_path(struct rng *r, struct path *p, enum weather weather)
{
	memset(p, 0, sizeof(*p));
	p->delay_ns = rng_log(r, USEC, 200 * MSEC);
	if (rng_percent(r, 50)) {
		p->bits_per_s = rng_log(r, 500000, 10000000000ull);
		p->queue_bytes = (uint32_t)rng_log(r, 20000, 4000000);
		if (rng_percent(r, 50))
			p->mark_bytes = (uint32_t)rng_log(r, 3000, p->queue_bytes);
	}
	if (weather == CALM)
		return;
	if (rng_percent(r, 50)) {
		p->jitter_ns = rng_log(r, USEC, 50 * MSEC);
		p->unordered = rng_percent(r, 40);
	}
	if (rng_percent(r, 50))
		p->loss_ppm = (uint32_t)rng_log(r, 100, weather == FAIR ? 20000 : 100000);
	if (rng_percent(r, 25)) {
		p->bad_ppm = (uint32_t)rng_log(r, 100, 20000);
		/* A handshake of seven attempts outlives what is fair. */
		p->good_ppm = (uint32_t)rng_log(r, weather == FAIR ? 300000 : 50000, PPM);
		p->bad_loss_ppm = (uint32_t)rng_log(r, 50000, weather == FAIR ? 400000 : PPM);
	}
	if (rng_percent(r, 40)) {
		p->reorder_ppm = (uint32_t)rng_log(r, 100, weather == FAIR ? 50000 : 500000);
		p->reorder_ns = rng_log(r, 10 * USEC, 300 * MSEC);
	}
	if (rng_percent(r, 30))
		p->dup_ppm = (uint32_t)rng_log(r, 100, weather == FAIR ? 20000 : 300000);
	if (rng_percent(r, 20))
		p->corrupt_ppm = (uint32_t)rng_log(r, 100, weather == FAIR ? 10000 : 50000);
}

static void draw_host(struct sim *s, struct host *h)
{
	static const uint16_t mtus[] = {1500, 1500, 1500, 9000, 1280, 1400, 4000};
	struct rng *r = &s->rng;

	h->mtu = mtus[rng_below(r, RTE_DIM(mtus))];
	h->tx_checksum = rng_percent(r, 50);
	if (h->tx_checksum && rng_percent(r, 60))
		h->tso_max = (uint32_t)rng_log(r, 9000, 65000);
	h->gro = rng_percent(r, 40);
	h->vector_max = (uint16_t)rng_log(r, 1, 256);
	if (rng_percent(r, 60))
		h->late_ns = rng_log(r, 100, 2 * MSEC);
}

void draw_world(struct sim *s, uint8_t hosts, enum weather weather)
{
	struct rng *r = &s->rng;
	struct tcp_config cfg = {
		.max_conns = 4096, .max_segs = 65536, .mem_limit = 256 << 20, .pool = rig_pool()};

	for (uint8_t i = 0; i < hosts; i++) {
		cfg.time_wait_ms = rng_percent(r, 50) ? 0 : (uint32_t)rng_range(r, 5000, 60000);
		draw_host(s, host_add(&s->w, &cfg));
	}
	for (uint8_t i = 0; i < hosts; i++)
		for (uint8_t k = 0; k < hosts; k++)
			draw_path(r, &s->net.path[i][k], weather);
	/* Half of all ways are the same both ways, as most are. */
	if (rng_percent(r, 50))
		for (uint8_t i = 0; i < hosts; i++)
			for (uint8_t k = 0; k < i; k++)
				s->net.path[i][k] = s->net.path[k][i];
	draw_options(r, &s->server_opt);
	draw_options(r, &s->client_opt);
	s->family = rng_percent(r, 50) ? 4 : 6;
}

/* Not octet by octet for hours. */
static void bound_writes(struct end *e)
{
	if (e->total / e->write_max > 3000)
		e->write_max = (uint32_t)(e->total / 3000);
}

static void draw_end(struct rng *r, struct end *e, uint64_t octets)
{
	e->total = rng_percent(r, 15) ? 0 : rng_log(r, 1, octets);
	e->write = (enum write_mode)rng_below(r, WRITE_ECHO);
	e->write_max = (uint32_t)rng_log(r, 1, 100000);
	if (e->write == WRITE_TINY) {
		e->write_max = (uint32_t)rng_range(r, 1, 64);
		e->total = RTE_MIN(e->total, 20000u);
	}
	bound_writes(e);
	if (rng_percent(r, 20))
		e->write_pause_ns = rng_log(r, USEC, 100 * MSEC);
	e->read = (enum read_mode)rng_below(r, READ_LATE);
	e->read_max = (uint32_t)rng_log(r, 1 + octets / 3000, 100000 + octets / 3000);
	if (rng_percent(r, 15))
		e->read_pause_ns = rng_log(r, USEC, 50 * MSEC);
}

void draw_plan(struct rng *r, struct flow *f, uint64_t octets)
{
	draw_end(r, &f->end[0], octets);
	draw_end(r, &f->end[1], octets);
	f->end[0].end = (enum end_mode)rng_below(r, END_AFTER_PEER + 1);
	f->end[1].end = (enum end_mode)rng_below(r, END_AFTER_PEER + 1);
	/* One has to be first. */
	if (f->end[0].end == END_AFTER_PEER && f->end[1].end == END_AFTER_PEER)
		f->end[rng_below(r, 2)].end = END_WAIT;
	if (rng_percent(r, 20)) {
		uint64_t rounds;

		f->request = (uint32_t)rng_log(r, 1, 5000);
		f->response = (uint32_t)rng_log(r, 1, 20000);
		rounds = RTE_MAX(1u, RTE_MIN(200u, octets / (f->request + f->response)));
		f->end[0].total = rounds * f->request;
		f->end[1].total = rounds * f->response;
		bound_writes(&f->end[0]);
		bound_writes(&f->end[1]);
		/* The server is done when the client is. */
		if (f->end[0].end == END_AFTER_PEER)
			f->end[0].end = END_WAIT;
	} else if (rng_percent(r, 15)) {
		f->end[1].write = WRITE_ECHO;
		f->key[1] = f->key[0];
		f->end[1].total = 0;
		f->end[1].write_pause_ns = 0;
		if (f->end[0].end == END_AFTER_PEER)
			f->end[0].end = END_ORDERLY;
	}
}

void draw_flows(struct sim *s, uint32_t n, uint64_t octets)
{
	struct rng *r = &s->rng;
	uint64_t slowest = 0;

	flows_init(&s->flows, &s->w, n);
	for (uint8_t i = 0; i < s->w.n_hosts; i++)
		for (uint8_t k = 0; k < s->w.n_hosts; k++)
			if (s->net.path[i][k].bits_per_s != 0)
				slowest = slowest == 0
						  ? s->net.path[i][k].bits_per_s
						  : RTE_MIN(slowest, s->net.path[i][k].bits_per_s);
	/* Two minutes at most on the slowest way. */
	if (slowest != 0)
		octets = RTE_MAX(1000u, RTE_MIN(octets, slowest * 15 / n));
	for (uint32_t i = 0; i < n; i++) {
		uint8_t server = (uint8_t)rng_below(r, s->w.n_hosts), client;
		struct flow *f;

		do {
			client = (uint8_t)rng_below(r, s->w.n_hosts);
		} while (client == server);
		f = flow_init(&s->flows, i, &s->w.hosts[client], &s->w.hosts[server]);
		f->family = rng_percent(r, 80) ? s->family : 10 - s->family;
		f->server_port = LISTEN_PORT;
		f->opt = s->client_opt;
		f->start = s->w.now + (rng_percent(r, 50) ? 0 : rng_below(r, 2 * SEC));
		draw_plan(r, f, octets);
	}
}

void sim_start(struct sim *s)
{
	for (uint8_t i = 0; i < s->w.n_hosts && !s->w.failed; i++) {
		host_boot(&s->w.hosts[i]);
		if (!s->w.failed)
			app_listen(&s->w.hosts[i], 0, LISTEN_PORT, &s->server_opt, s->backlog);
	}
	for (uint32_t i = 0; i < s->flows.n; i++)
		flow_schedule(&s->flows.flow[i]);
}
