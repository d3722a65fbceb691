/* SPDX-License-Identifier: Apache-2.0 */
#include "conns.h"

#include <stdio.h>
#include <string.h>

/* Calls of a worker for one page or one slice of a kill. */
#define CALLS_MAX 16
/* Connections one call ends at most: each sends a reset, and all of them wait until the graph goes
 * on. A proxied one ends another one too. */
#define KILL_SLOTS (TERM_TX_ROOM / 4)

struct walk {
	const struct term_filter *f;
	struct term_worker *t;
	uint32_t slot, max_slots;
	/* Listing. */
	struct term_conn_row *rows;
	unsigned int n;
	/* Killing. */
	struct tcp_conn **kill;
};

/* What it is to the proxy; fills the row's last fields. */
static void describe(const struct term_worker *t, const struct tcp_info *info,
		     struct term_conn_row *row)
{
	struct svc_proxy_peer peer;

	row->worker = t->w->id;
	row->info = *info;
	row->listener_id = info->listener_id;
	row->pool_id = 0;
	row->backend[0] = 0;
	if (info->state == TCP_TIME_WAIT || !svc_proxy_peer(t->svc, &info->tuple, &peer))
		return;
	row->listener_id = peer.listener_id;
	if (peer.is_backend) {
		row->pool_id = peer.pool_id;
		snprintf(row->backend, sizeof(row->backend), "%s", peer.backend);
	}
}

static bool matches(const struct walk *w, const struct tcp_info *info, struct term_conn_row *row)
{
	const struct term_filter *f = w->f;

	if (!svc_filter_match(&f->svc, info) || (f->family != 0 && f->family != info->tuple.family))
		return false;
	describe(w->t, info, row);
	return (f->listener_id == 0 || f->listener_id == row->listener_id) &&
	       (f->pool_id == 0 || f->pool_id == row->pool_id) &&
	       (f->backend[0] == 0 || strcmp(f->backend, row->backend) == 0);
}

static void visit(void *arg, struct tcp_conn *c, const struct tcp_info *info)
{
	struct walk *w = arg;
	struct term_conn_row row;

	if (w->kill != NULL) {
		if (c != NULL && matches(w, info, &row))
			w->kill[w->n++] = c;
	} else if (matches(w, info, &w->rows[w->n])) {
		w->n++;
	}
}

static void run(struct worker *worker, void *arg)
{
	struct walk *w = arg;

	w->t = worker->term;
	tcp_walk(w->t->engine, &w->slot, w->max_slots, visit, w);
	for (unsigned int k = 0; w->kill != NULL && k < w->n; k++)
		tcp_kill(w->kill[k]);
	w->t->next_ns = 0;
}

/* Of one worker: the connection itself, without a walk. */
static void run_exact(struct worker *worker, void *arg)
{
	struct walk *w = arg;
	struct tcp_tuple tuple = {
		.laddr = w->f->svc.local.addr,
		.raddr = w->f->svc.remote.addr,
		.lport = w->f->svc.lport,
		.rport = w->f->svc.rport,
		.vrf = w->f->svc.vrf,
	};
	struct tcp_info info;
	struct tcp_conn *c;

	w->t = worker->term;
	w->slot = UINT32_MAX;
	tuple.family = tcp_addr_is4(&tuple.laddr) ? 4 : 6;
	c = tcp_find(w->t->engine, &tuple);
	if (c == NULL)
		return;
	tcp_info(c, &info);
	visit(w, c, &info);
	for (unsigned int k = 0; w->kill != NULL && k < w->n; k++)
		tcp_kill(w->kill[k]);
	w->t->next_ns = 0;
}

/* One call of a worker; at the end of its connections *at goes to the next one. */
static void step(struct walk *w, struct term_conns_at *at, bool exact)
{
	w->slot = at->slot;
	worker_call(workers[at->worker], exact ? run_exact : run, w);
	at->slot = w->slot;
	if (at->slot == UINT32_MAX) {
		at->slot = 0;
		at->worker++;
	}
	at->end = at->worker >= n_workers;
}

unsigned int term_conns_list(const struct term_filter *f, struct term_conns_at *at,
			     struct term_conn_row *rows, unsigned int max)
{
	unsigned int n = 0;

	if (!term_started || at->worker >= n_workers) {
		at->end = true;
		return 0;
	}
	for (int calls = 0; calls < CALLS_MAX && n < max && !at->end; calls++) {
		/* Each slot may fill a row. */
		struct walk w = {
			.f = f,
			.rows = rows + n,
			.max_slots = RTE_MIN(max - n, (unsigned int)TERM_WALK_SLOTS),
		};

		/* Listed by a walk, also if it is one: TIME-WAIT is not found otherwise. */
		step(&w, at, false);
		n += w.n;
	}
	return n;
}

unsigned int term_conns_kill(const struct term_filter *f, struct term_conns_at *at)
{
	struct tcp_conn *found[KILL_SLOTS];
	unsigned int n = 0;

	if (!term_started || at->worker >= n_workers) {
		at->end = true;
		return 0;
	}
	for (int calls = 0; calls < CALLS_MAX && !at->end; calls++) {
		struct walk w = {.f = f, .kill = found, .max_slots = KILL_SLOTS};

		step(&w, at, f->exact);
		n += w.n;
	}
	return n;
}
