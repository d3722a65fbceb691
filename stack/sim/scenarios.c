/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdlib.h>

static void all_flows(struct sim *s, enum outcome o)
{
	for (uint32_t i = 0; i < s->flows.n; i++)
		s->flows.flow[i].outcome = o;
}

static void each_path(struct sim *s, void (*fn)(struct sim *s, struct path *p))
{
	for (uint8_t i = 0; i < s->w.n_hosts; i++)
		for (uint8_t k = 0; k < s->w.n_hosts; k++)
			fn(s, &s->net.path[i][k]);
}

static uint8_t two_or_more(struct sim *s)
{
	return rng_percent(&s->rng, 80) ? 2 : (uint8_t)rng_range(&s->rng, 3, HOSTS_MAX);
}

static void make_mixed(struct sim *s)
{
	draw_world(s, two_or_more(s), (enum weather)rng_below(&s->rng, 2));
	draw_flows(s, (uint32_t)rng_log(&s->rng, 1, 12), 200000);
}

static void make_bulk(struct sim *s)
{
	draw_world(s, 2, (enum weather)rng_below(&s->rng, 2));
	draw_flows(s, (uint32_t)rng_range(&s->rng, 1, 2), 2000000);
}

static void make_rough(struct sim *s)
{
	draw_world(s, 2, ROUGH);
	draw_flows(s, (uint32_t)rng_range(&s->rng, 1, 4), 100000);
	/* Who gives up says so by one reset, which may be lost: the other has to ask. */
	for (uint32_t i = 0; i < s->flows.n; i++)
		s->flows.flow[i].opt.keepalive_idle_s = 30;
	s->server_opt.keepalive_idle_s = 30;
	/* Seven lost SYNs in a row happen. */
	all_flows(s, OUTCOME_ANY);
}

static void make_slow(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, FAIR);
	draw_flows(s, (uint32_t)rng_range(r, 1, 4), 300000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		struct end *e = &s->flows.flow[i].end[rng_below(r, 2)];

		if (rng_percent(r, 50) && e->write != WRITE_ECHO) {
			e->read = READ_LATE;
			e->read_from_ns = rng_log(r, 100 * MSEC, 300 * SEC);
		} else {
			e->read_pause_ns = rng_log(r, MSEC, 200 * MSEC);
			e->read_max = (uint32_t)rng_log(r, 200, 20000);
		}
		if (rng_percent(r, 30))
			e->write_pause_ns = rng_log(r, MSEC, 200 * MSEC);
	}
}

static void shut_window(struct sim *s, struct path *p)
{
	struct rng *r = &s->rng;

	p->box.zero_from = s->w.now + rng_log(r, MSEC, 10 * SEC);
	p->box.zero_until = p->box.zero_from + rng_log(r, 10 * MSEC, 200 * SEC);
	if (rng_percent(r, 30))
		p->box.window_clamp = (uint16_t)rng_log(r, 200, 60000);
}

static void make_zero_window(struct sim *s)
{
	draw_world(s, 2, FAIR);
	draw_flows(s, (uint32_t)rng_range(&s->rng, 1, 4), 200000);
	each_path(s, shut_window);
	s->flows.loose_window = true;
}

static void make_close(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	draw_flows(s, (uint32_t)rng_log(r, 1, 60), 20000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		struct flow *f = &s->flows.flow[i];
		struct end *e = &f->end[rng_below(r, 2)];

		if (rng_percent(r, 40))
			continue;
		f->outcome = OUTCOME_ANY;
		e->end = (enum end_mode)rng_range(r, END_CLOSE, END_KILL);
		e->end_at = rng_below(r, 20000);
		if (e->end == END_KILL)
			e->end_after_ns = rng_log(r, USEC, SEC);
		f->kill_after_ns = 300 * SEC;
		if (rng_percent(r, 20))
			e->read = READ_NEVER;
		/* Whoever is left waits for news of the other's end. */
		f->opt.keepalive_idle_s = 30;
	}
	s->server_opt.keepalive_idle_s = 30;
}

static void make_simultaneous(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	draw_flows(s, (uint32_t)rng_range(r, 1, 5), 50000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		struct flow *f = &s->flows.flow[i];

		f->simultaneous = true;
		f->client_port = (uint16_t)(20000 + i);
		f->server_port = (uint16_t)(30000 + i);
		/* Empty and at once: simultaneous close as well. */
		if (rng_percent(r, 30))
			f->end[0].total = f->end[1].total = f->request = 0;
	}
}

static void make_nobody(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, CALM);
	draw_flows(s, (uint32_t)rng_range(r, 1, 10), 1000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		struct flow *f = &s->flows.flow[i];

		f->outcome = rng_percent(r, 50) ? OUTCOME_REFUSED : OUTCOME_UNANSWERED;
		if (f->outcome == OUTCOME_REFUSED)
			f->server_port = 81;
		if (rng_percent(r, 50))
			f->opt.connect_timeout_ms = (uint32_t)rng_log(r, 1000, 100000);
		f->bound_ns = 110 * SEC;
	}
}

static void make_many(struct sim *s)
{
	draw_world(s, two_or_more(s), (enum weather)rng_below(&s->rng, 2));
	draw_flows(s, (uint32_t)rng_range(&s->rng, 100, 400), 3000);
}

/* The same few ports again and again. */
static void make_churn(struct sim *s)
{
	struct rng *r = &s->rng;
	uint64_t at = s->w.now;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	for (uint8_t i = 0; i < 2; i++) {
		s->w.hosts[i].cfg.port_min = 40000;
		s->w.hosts[i].cfg.port_max = (uint16_t)(40000 + rng_log(r, 1, 20));
		s->w.hosts[i].cfg.time_wait_ms = (uint32_t)rng_log(r, 1000, 60000);
		if (rng_percent(r, 50))
			s->w.hosts[i].cfg.max_time_wait = (uint32_t)rng_log(r, 1, 20);
	}
	draw_flows(s, (uint32_t)rng_range(r, 20, 80), 2000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		at += rng_log(r, MSEC, 10 * SEC);
		s->flows.flow[i].start = at;
	}
	/* An old connection's remains may be in the way. */
	all_flows(s, OUTCOME_ANY);
}

static void change_mtu(struct sim *s, struct path *p)
{
	struct rng *r = &s->rng;
	uint64_t at = 0;

	p->n_mtu = (uint8_t)rng_range(r, 1, MTUS_MAX);
	for (uint8_t i = 0; i < p->n_mtu; i++) {
		p->mtu[i].at = at;
		/* IPv6 has no smaller links; IPv4 has. */
		p->mtu[i].mtu = (uint16_t)rng_range(
			r, s->family == 4 && rng_percent(r, 30) ? 576 : 1280, 2000);
		at = RTE_MAX(at, s->w.now) + rng_log(r, MSEC, 20 * SEC);
	}
	p->icmp = rng_percent(r, 60);
	p->icmp_blank = rng_percent(r, 20);
}

static void make_pmtu(struct sim *s)
{
	draw_world(s, 2, (enum weather)rng_below(&s->rng, 2));
	draw_flows(s, (uint32_t)rng_range(&s->rng, 1, 3), 300000);
	for (uint32_t i = 0; i < s->flows.n; i++)
		s->flows.flow[i].family = s->family;
	each_path(s, change_mtu);
}

static void interrupt(struct sim *s, struct path *p)
{
	struct rng *r = &s->rng;
	uint64_t at = s->w.now;

	p->n_outage = (uint8_t)rng_range(r, 0, OUTAGES_MAX);
	for (uint8_t i = 0; i < p->n_outage; i++) {
		at += rng_log(r, MSEC, 10 * SEC);
		p->outage[i].from = at;
		at += rng_log(r, MSEC, 20 * SEC);
		p->outage[i].until = at;
		p->outage[i].unreachable = rng_percent(r, 30);
	}
}

static void make_outage(struct sim *s)
{
	draw_world(s, two_or_more(s), FAIR);
	draw_flows(s, (uint32_t)rng_range(&s->rng, 1, 6), 200000);
	each_path(s, interrupt);
	/* A handshake does not outlive a minute of it. */
	all_flows(s, OUTCOME_ANY);
}

static void cut_for_good(struct sim *s, struct path *p)
{
	p->n_outage = 1;
	p->outage[0].from = s->w.now + rng_log(&s->rng, 10 * MSEC, 20 * SEC);
	p->outage[0].until = NEVER;
}

static void make_cut(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, FAIR);
	draw_flows(s, (uint32_t)rng_range(r, 1, 6), 200000);
	each_path(s, cut_for_good);
	all_flows(s, OUTCOME_ANY);
	s->server_opt.keepalive_idle_s = (uint32_t)rng_range(r, 1, 300);
	if (rng_percent(r, 50))
		s->server_opt.user_timeout_ms = (uint32_t)rng_log(r, 1000, 100000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		struct flow *f = &s->flows.flow[i];

		f->opt.keepalive_idle_s = (uint32_t)rng_range(r, 1, 300);
		f->opt.keepalive_interval_s = (uint32_t)rng_range(r, 0, 30);
		f->opt.keepalive_count = (uint32_t)rng_range(r, 0, 9);
	}
}

/* Nobody says anything; probes keep them, until the way is cut. */
static void make_idle(struct sim *s)
{
	struct rng *r = &s->rng;

	make_cut(s);
	s->server_opt.keepalive_idle_s = 20;
	for (uint32_t i = 0; i < s->flows.n; i++) {
		s->flows.flow[i].end[0].end = END_NEVER;
		s->flows.flow[i].end[1].end = END_NEVER;
		s->flows.flow[i].start = s->w.now;
	}
	for (int i = 0; i < 2; i++)
		s->net.path[i][1 - i].outage[0].from = s->w.now + rng_range(r, 60, 600) * SEC;
}

static void put_box(struct sim *s, struct path *p)
{
	struct rng *r = &s->rng;
	struct middlebox *b = &p->box;

	/* MSS, window scale, SACK permitted, timestamps; both ways alike (see make_middlebox). */
	if (rng_percent(r, 30))
		b->mss_clamp = (uint16_t)rng_log(r, 100, 1400);
	if (rng_percent(r, 30))
		b->split_ppm = (uint32_t)rng_log(r, 1000, PPM);
	if (rng_percent(r, 30))
		b->overlap_ppm = (uint32_t)rng_log(r, 1000, 300000);
	if (rng_percent(r, 30))
		b->window_clamp = (uint16_t)rng_log(r, 500, 60000);
	b->bleach_ecn = rng_percent(r, 20);
}

static void make_middlebox(struct sim *s)
{
	struct rng *r = &s->rng;
	uint64_t kinds = 0;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	draw_flows(s, (uint32_t)rng_range(r, 1, 4), 200000);
	each_path(s, put_box);
	if (rng_percent(r, 50))
		kinds = rng_next(r) & (1u << 2 | 1u << 3 | 1u << 4 | 1u << 8);
	for (int i = 0; i < 2; i++)
		s->net.path[i][1 - i].box.strip_syn = kinds;
	s->flows.loose_window = kinds != 0;
}

static void make_cookies(struct sim *s)
{
	draw_world(s, 2, FAIR);
	s->server_opt.cookies_always = true;
	s->server_opt.keepalive_idle_s = s->client_opt.keepalive_idle_s = 30;
	draw_flows(s, (uint32_t)rng_range(&s->rng, 1, 20), 50000);
	/* The client's last ACK may be lost and nobody know. */
	all_flows(s, OUTCOME_ANY);
	s->flows.loose_sequence = true;
}

static void make_memory(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	for (uint8_t i = 0; i < s->w.n_hosts; i++) {
		s->w.hosts[i].cfg.mem_limit = rng_log(r, 100000, 4000000);
		if (rng_percent(r, 40))
			s->w.hosts[i].cfg.max_segs = (uint32_t)rng_log(r, 64, 4096);
		if (rng_percent(r, 40))
			s->w.hosts[i].cfg.max_conns = (uint32_t)rng_log(r, 1, 64);
	}
	draw_flows(s, (uint32_t)rng_log(r, 2, 40), 100000);
	for (uint32_t i = 0; i < s->flows.n; i++) {
		struct flow *f = &s->flows.flow[i];

		f->opt.keepalive_idle_s = 60;
		if (rng_percent(r, 20)) {
			f->end[1].read = READ_LATE;
			f->end[1].read_from_ns = rng_log(r, SEC, 100 * SEC);
		}
	}
	s->server_opt.keepalive_idle_s = 60;
	all_flows(s, OUTCOME_ANY);
}

static void hoard_give(void *arg)
{
	struct sim *s = arg;

	while (s->hoarded > 0)
		rte_pktmbuf_free(s->hoard[--s->hoarded]);
}

static void hoard_take(void *arg)
{
	struct sim *s = arg;
	uint32_t leave = (uint32_t)rng_below(&s->rng, 200), room;

	room = rte_mempool_avail_count(rig_pool());
	while (room > leave && (s->hoard[s->hoarded] = rte_pktmbuf_alloc(rig_pool())) != NULL) {
		s->hoarded++;
		room--;
	}
	world_note(&s->w, "buffers: %u left", room);
	world_at(&s->w, s->w.now + rng_log(&s->rng, MSEC, 2 * SEC), hoard_give, s);
}

static void make_famine(struct sim *s)
{
	struct rng *r = &s->rng;
	uint64_t at = s->w.now;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	draw_flows(s, (uint32_t)rng_range(r, 1, 6), 200000);
	s->hoard = calloc(rig_pool()->size, sizeof(*s->hoard));
	if (s->hoard == NULL)
		abort();
	for (int i = 0; i < 4; i++) {
		at += rng_log(r, MSEC, 5 * SEC);
		world_at(&s->w, at, hoard_take, s);
		at += 3 * SEC;
	}
}

static void crash(void *arg)
{
	struct host *h = arg;

	world_note(h->w, "host %u crashes", h->id);
	host_crash(h);
	flows_host_crashed(h->w->flows, h);
}

static void boot(void *arg)
{
	struct host *h = arg;
	static const struct tcp_options plain;

	world_note(h->w, "host %u starts again", h->id);
	host_boot(h);
	app_listen(h, 0, 80, &plain, 0);
}

static void make_restart(struct sim *s)
{
	struct rng *r = &s->rng;
	struct host *h;

	draw_world(s, 2, FAIR);
	draw_flows(s, (uint32_t)rng_range(r, 1, 20), 100000);
	h = &s->w.hosts[rng_below(r, 2)];
	for (uint32_t i = 0; i < s->flows.n; i++)
		s->flows.flow[i].opt.keepalive_idle_s = 30;
	s->server_opt.keepalive_idle_s = 30;
	s->flows.loose_sequence = true;
	all_flows(s, OUTCOME_ANY);
	world_at(&s->w, s->w.now + rng_log(r, MSEC, 5 * SEC), crash, h);
	world_at(&s->w, s->w.now + 6 * SEC, boot, h);
}

static void make_destroy(struct sim *s)
{
	make_mixed(s);
	s->cut_at = s->w.now + rng_log(&s->rng, 10 * USEC, 5 * SEC);
}

static void no_route(void *arg)
{
	struct host *h = arg;

	h->no_route = !h->no_route;
}

static void make_route(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, FAIR);
	draw_flows(s, (uint32_t)rng_range(r, 1, 10), 50000);
	for (int i = 0; i < 4; i++)
		world_at(&s->w, s->w.now + rng_below(r, 4 * SEC), no_route,
			 &s->w.hosts[rng_below(r, 2)]);
	all_flows(s, OUTCOME_ANY);
}

/* Guesses do no harm to anybody. */
static void make_attack(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, (enum weather)rng_below(r, 2));
	draw_flows(s, (uint32_t)rng_range(r, 1, 5), 200000);
	attacker_start(&s->attacker, &s->w, 3000, rng_log(r, USEC, MSEC), 0);
	s->flows.spoofed = true;
}

static void make_flood(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, FAIR);
	s->backlog = (uint32_t)rng_log(r, 1, 64);
	s->server_opt.keepalive_idle_s = s->client_opt.keepalive_idle_s = 30;
	draw_flows(s, (uint32_t)rng_range(r, 1, 10), 50000);
	attacker_start(&s->attacker, &s->w, 5000, rng_log(r, USEC, MSEC), 80);
	/* As with cookies. */
	all_flows(s, OUTCOME_ANY);
	s->flows.loose_sequence = true;
}

static void tell_lies(struct sim *s, struct path *p)
{
	p->lie_ppm = (uint32_t)rng_log(&s->rng, 1000, 500000);
}

/* Peers that do anything at all: nothing is known of the outcome, but that there is one. */
static void make_lies(struct sim *s)
{
	struct rng *r = &s->rng;

	draw_world(s, 2, (enum weather)rng_below(r, 3));
	if (rng_percent(r, 30))
		s->server_opt.cookies_always = true;
	s->server_opt.keepalive_idle_s = s->client_opt.keepalive_idle_s = 30;
	draw_flows(s, (uint32_t)rng_range(r, 1, 8), 100000);
	for (uint32_t i = 0; i < s->flows.n; i++)
		s->flows.flow[i].kill_after_ns = 600 * SEC;
	each_path(s, tell_lies);
	all_flows(s, OUTCOME_ANY);
	s->flows.lies = s->flows.loose_sequence = s->flows.loose_window = true;
}

const struct scenario scenarios[] = {
	{"mixed", "a few flows of all kinds", 20, make_mixed},
	{"bulk", "megabytes", 8, make_bulk},
	{"rough", "much loss, reordering and duplication", 10, make_rough},
	{"slow", "slow and late readers and writers", 8, make_slow},
	{"zero-window", "a box that shuts windows", 4, make_zero_window},
	{"close", "close with unread data, abort, kill", 10, make_close},
	{"simultaneous", "both connect", 5, make_simultaneous},
	{"nobody", "to closed ports and where nobody is", 3, make_nobody},
	{"many", "hundreds of connections", 2, make_many},
	{"churn", "ports used again, TIME-WAIT", 6, make_churn},
	{"pmtu", "path MTUs that change, with ICMP or without", 8, make_pmtu},
	{"outage", "interruptions", 6, make_outage},
	{"cut", "the way is gone for good", 4, make_cut},
	{"idle", "keepalive", 3, make_idle},
	{"middlebox", "options stripped, segments split, windows clamped", 8, make_middlebox},
	{"cookies", "SYN cookies for all", 6, make_cookies},
	{"memory", "little memory, few segments, few connections", 6, make_memory},
	{"famine", "no packet buffers for a while", 4, make_famine},
	{"restart", "one side crashes and comes back", 4, make_restart},
	{"destroy", "the engine goes with everything alive", 3, make_destroy},
	{"attack", "spoofed segments at connections", 6, make_attack},
	{"flood", "SYNs and ACKs from everywhere", 4, make_flood},
	{"lies", "segments changed in flight, with good checksums", 10, make_lies},
	{"route", "no route for a while", 3, make_route},
	{NULL, NULL, 0, NULL},
};
