/* SPDX-License-Identifier: Apache-2.0 */
/* The flows of a world: made, found by their packets, and started. */
#include "app.h"

#include <errno.h>
#include <stdlib.h>

void flows_init(struct flows *fs, struct world *w, uint32_t n)
{
	memset(fs, 0, sizeof(*fs));
	fs->w = w;
	fs->n = n;
	fs->rng = rng_fork(&w->rng);
	fs->flow = calloc(n, sizeof(*fs->flow));
	if (fs->flow == NULL)
		abort();
	w->flows = fs;
}

void flows_free(struct flows *fs)
{
	for (uint32_t i = 0; i < fs->n; i++)
		for (int k = 0; k < 2; k++)
			rte_pktmbuf_free(fs->flow[i].end[k].held);
	free(fs->flow);
}

static uint32_t bucket(uint16_t family, const struct host *a, uint16_t aport, const struct host *b,
		       uint16_t bport)
{
	return (uint32_t)(rng_mix((uint64_t)family << 48 | (uint64_t)a->id << 40 |
				  (uint64_t)b->id << 32 | (uint32_t)aport << 16 | bport) %
			  FLOW_HASH);
}

static struct flow *find(struct flows *fs, uint16_t family, const struct host *client,
			 uint16_t cport, const struct host *server, uint16_t sport)
{
	struct flow *f = fs->hash[bucket(family, client, cport, server, sport)];

	while (f != NULL &&
	       (f->end[0].host != client || f->end[1].host != server || f->client_port != cport ||
		f->server_port != sport || f->family != family))
		f = f->next_hash;
	return f;
}

struct flow *flow_find(struct flows *fs, uint16_t family, const struct host *a, uint16_t aport,
		       const struct host *b, uint16_t bport, uint8_t *dir)
{
	struct flow *f = find(fs, family, a, aport, b, bport);

	*dir = 0;
	if (f == NULL) {
		f = find(fs, family, b, bport, a, aport);
		*dir = 1;
	}
	return f;
}

static void enter(struct flow *f)
{
	struct flows *fs = f->w->flows;
	struct flow **at;

	f->older =
		find(fs, f->family, f->end[0].host, f->client_port, f->end[1].host, f->server_port);
	at = &fs->hash[bucket(f->family, f->end[0].host, f->client_port, f->end[1].host,
			      f->server_port)];
	f->next_hash = *at;
	*at = f;
}

struct flow *flow_init(struct flows *fs, uint32_t i, struct host *client, struct host *server)
{
	struct flow *f = &fs->flow[i];

	f->w = fs->w;
	f->id = i;
	f->family = 4;
	f->key[0] = rng_next(&fs->rng);
	f->key[1] = rng_next(&fs->rng);
	f->bound_ns = 2 * 3600 * SEC;
	for (uint8_t k = 0; k < 2; k++) {
		struct end *e = &f->end[k];

		e->flow = f;
		e->side = k;
		e->host = k == 0 ? client : server;
		e->write_max = 65536;
		e->read_max = 65536;
		e->end = END_ORDERLY;
	}
	return f;
}

static bool start_end(struct end *e)
{
	struct flow *f = e->flow;
	struct tcp_connect_params p = {.ops = &app_ops, .user = e, .opt = f->opt};

	p.tuple.family = f->family;
	host_addr(e->host, f->family, &p.tuple.laddr);
	host_addr(f->end[e->side ^ 1].host, f->family, &p.tuple.raddr);
	p.tuple.lport = rte_cpu_to_be_16(e->side == 0 ? f->client_port : f->server_port);
	p.tuple.rport = rte_cpu_to_be_16(e->side == 0 ? f->server_port : f->client_port);
	if (f->outcome == OUTCOME_UNANSWERED)
		p.tuple.raddr.b[15] ^= 0x40;
	/* What is queued goes first, or the SYN might go before it is known whose it is. */
	host_enter(e->host);
	tcp_flush(e->host->engine);
	e->c = tcp_connect(e->host->engine, &p);
	if (e->c == NULL) {
		f->connect_errno = errno;
		world_note(f->w, "flow %u: tcp_connect: %s", f->id, strerror(errno));
		return false;
	}
	return true;
}

static void kill_end(void *arg)
{
	struct end *e = arg;

	if (e->c == NULL)
		return;
	world_note(e->flow->w, "flow %u %c: tcp_kill", e->flow->id, "cs"[e->side]);
	host_enter(e->host);
	tcp_kill(e->c);
}

static void start(void *arg)
{
	struct flow *f = arg;
	struct end *e = &f->end[0];

	f->started = true;
	f->progress_at = f->w->now;
	if (e->host->engine == NULL || !start_end(e)) {
		f->refused = true;
		e->gave_up = true;
		return;
	}
	f->client_port = rte_be_to_cpu_16(tcp_tuple(e->c)->lport);
	enter(f);
	if (f->simultaneous && !start_end(&f->end[1]))
		world_fail(f->w, "flow %u: second tcp_connect: %s", f->id,
			   strerror(f->connect_errno));
	world_note(f->w, "flow %u: h%u:%u connects to h%u:%u, %lu and %lu octets", f->id,
		   e->host->id, f->client_port, f->end[1].host->id, f->server_port,
		   (unsigned long)e->total, (unsigned long)f->end[1].total);
	for (int k = 0; k < 2; k++) {
		if (f->end[k].end_after_ns != 0)
			world_at(f->w, f->w->now + f->end[k].end_after_ns, kill_end, &f->end[k]);
		if (f->kill_after_ns != 0)
			world_at(f->w, f->w->now + f->kill_after_ns, kill_end, &f->end[k]);
	}
}

void flow_schedule(struct flow *f)
{
	world_at(f->w, f->start, start, f);
}

void flows_host_crashed(struct flows *fs, struct host *h)
{
	for (uint32_t i = 0; i < fs->n; i++)
		for (int k = 0; k < 2; k++) {
			struct end *e = &fs->flow[i].end[k];

			if (e->host != h || e->c == NULL)
				continue;
			e->c = NULL;
			e->gave_up = true;
			rte_pktmbuf_free(e->held);
			e->held = NULL;
		}
}
