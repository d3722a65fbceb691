/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

/* Connections of a host up to which all are looked at each time. */
#define CHECK_ALL 8
/* Memory of the largest chain that the applications here write, and a window of a few segments. */
#define CHAIN_MEMORY 200000u

static void walked(void *arg, struct tcp_conn *c, const struct tcp_info *info)
{
	struct host *h = arg;

	if (info->state == TCP_CLOSED || info->state >= TCP_STATES ||
	    (c == NULL) != (info->state == TCP_TIME_WAIT))
		world_fail(h->w, "tcp_walk() told of a connection in %s",
			   tcp_state_name(info->state));
	if (c != NULL && tcp_find(h->engine, &info->tuple) != c)
		world_fail(h->w, "tcp_find() does not find what tcp_walk() told of");
}

void host_check(struct host *h)
{
	struct world *w = h->w;
	struct flows *fs = w->flows;
	struct tcp_usage u;
	const char *wrong = NULL;

	tcp_usage(h->engine, &u);
	/* Under pressure a connection may still write when its queue is short, and a chain as a
	 * whole. */
	if (u.mem_bytes > u.mem_limit + u.mem_limit / 4 + (u.conns + 1ull) * CHAIN_MEMORY)
		world_fail(w, "host %u: %lu octets of memory, the limit is %lu", h->id,
			   (unsigned long)u.mem_bytes, (unsigned long)u.mem_limit);
	if (u.conns + u.half_open <= CHECK_ALL ? rng_percent(&fs->rng, 25)
					       : rng_chance(&fs->rng, 2000)) {
		wrong = tcp_check(h->engine, NULL);
	} else {
		struct flow *f = &fs->flow[rng_below(&fs->rng, fs->n)];

		for (int k = 0; k < 2 && wrong == NULL; k++)
			if (f->end[k].host == h && f->end[k].c != NULL)
				wrong = tcp_check(h->engine, f->end[k].c);
	}
	if (wrong != NULL)
		world_fail(w, "host %u: tcp_check: %s", h->id, wrong);
	if (rng_chance(&fs->rng, 3000)) {
		uint32_t cursor = 0;

		while (cursor != UINT32_MAX)
			tcp_walk(h->engine, &cursor, (uint32_t)rng_log(&fs->rng, 1, 5000), walked,
				 h);
	}
}

static void check_clean(struct sim *s, const struct flow *f, const struct end *e)
{
	const struct end *peer = &f->end[e->side ^ 1];
	char side = "cs"[e->side];

	if (!e->established || !e->eof || e->got != peer->sent ||
	    (e->write != WRITE_ECHO && e->sent != e->total))
		world_fail(&s->w, "flow %u %c: %s, sent %lu of %lu, got %lu of %lu%s%s%s", f->id,
			   side, e->established ? "established" : "not established",
			   (unsigned long)e->sent, (unsigned long)e->total, (unsigned long)e->got,
			   (unsigned long)peer->sent, e->eof ? ", FIN" : ", no FIN",
			   e->closed ? ", closed: " : "",
			   e->closed ? tcp_close_reason_name(e->why) : "");
	else if (e->closed && e->why != TCP_CLOSE_DONE)
		world_fail(&s->w, "flow %u %c: closed: %s", f->id, side,
			   tcp_close_reason_name(e->why));
}

static void check_flow(struct sim *s, struct flow *f)
{
	if (!flow_over(f)) {
		const struct end *e = end_over(&f->end[0]) ? &f->end[1] : &f->end[0];

		world_fail(&s->w, "flow %u %c: has not ended: %s, sent %lu of %lu, got %lu%s",
			   f->id, "cs"[e->side],
			   e -> c != NULL ? tcp_state_name(tcp_conn_state(e->c)) : "not begun",
			   (unsigned long)e->sent, (unsigned long)e->total, (unsigned long)e->got,
			   e->eof ? ", FIN" : "");
		return;
	}
	if (f->ended > f->start + f->bound_ns)
		world_fail(&s->w, "flow %u: took %lu s", f->id,
			   (unsigned long)((f->ended - f->start) / SEC));
	switch (f->outcome) {
	case OUTCOME_ANY:
		break;
	case OUTCOME_CLEAN:
		check_clean(s, f, &f->end[0]);
		check_clean(s, f, &f->end[1]);
		break;
	case OUTCOME_REFUSED:
	case OUTCOME_UNANSWERED:
		if (f->end[0].established || !f->end[0].closed ||
		    f->end[0].why !=
			    (f->outcome == OUTCOME_REFUSED ? TCP_CLOSE_REFUSED : TCP_CLOSE_TIMEOUT))
			world_fail(&s->w, "flow %u: to nobody, and closed by: %s", f->id,
				   tcp_close_reason_name(f->end[0].why));
	}
}

void sim_check_flows(struct sim *s)
{
	for (uint32_t i = 0; i < s->flows.n && !s->w.failed; i++)
		check_flow(s, &s->flows.flow[i]);
	for (uint8_t i = 0; i < s->w.n_hosts && !s->w.failed; i++) {
		const struct host *h = &s->w.hosts[i];
		const char *wrong;
		struct tcp_usage u;

		if (h->engine == NULL)
			continue;
		wrong = tcp_check(h->engine, NULL);
		if (wrong != NULL)
			world_fail(&s->w, "host %u: tcp_check: %s", h->id, wrong);
		tcp_usage(h->engine, &u);
		if (u.conns != 0 || u.time_wait != 0 || u.half_open != 0 || u.segs != 0 ||
		    u.mem_bytes != 0)
			world_fail(&s->w,
				   "host %u: left at the end: %u connections, %u half open, %u in "
				   "TIME-WAIT, %u segments, %lu octets",
				   h->id, u.conns, u.half_open, u.time_wait, u.segs,
				   (unsigned long)u.mem_bytes);
	}
}

void sim_check_memory(struct sim *s)
{
	if (!s->w.failed && rig_in_use() != 0)
		world_fail(&s->w, "%u packet buffers were not freed", rig_in_use());
}
