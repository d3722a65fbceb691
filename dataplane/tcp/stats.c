/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All of these are made of counters of 64 bits, and are summed as such. */
static void add64(void *to, const void *from, size_t size)
{
	uint64_t *t = to;
	const uint64_t *f = from;

	for (size_t k = 0; k < size / sizeof(*t); k++)
		t[k] += f[k];
}

_Static_assert(sizeof(struct tcp_listener_stats) % sizeof(uint64_t) == 0, "summed as words");
_Static_assert(sizeof(struct svc_stats) == SVC_STATS_COUNT * sizeof(uint64_t), "summed as words");

/* ---- listeners ---- */

struct listener_args {
	const uint32_t *ids;
	unsigned int n;
	struct svc_listener_stats out[TERM_STATS_BATCH];
	int rc[TERM_STATS_BATCH];
};

static void worker_listeners(struct worker *w, void *arg)
{
	struct listener_args *a = arg;

	for (unsigned int k = 0; k < a->n; k++)
		a->rc[k] = svc_listener_stats(w->term->svc, a->ids[k], &a->out[k]);
}

void term_listener_stats(const uint32_t *ids, unsigned int n, struct svc_listener_stats *out)
{
	struct listener_args *a = calloc(n_workers, sizeof(*a));

	memset(out, 0, n * sizeof(*out));
	if (a == NULL || !term_started) {
		free(a);
		return;
	}
	for (unsigned int i = 0; i < n_workers; i++) {
		a[i].ids = ids;
		a[i].n = n;
	}
	workers_call(worker_listeners, a, sizeof(*a));
	for (unsigned int k = 0; k < n; k++) {
		out[k].ready = true;
		for (unsigned int i = 0; i < n_workers; i++) {
			if (a[i].rc[k] != 0) {
				out[k].ready = false;
				continue;
			}
			add64(&out[k].tcp, &a[i].out[k].tcp, sizeof(out[k].tcp));
			add64(&out[k].svc, &a[i].out[k].svc, sizeof(out[k].svc));
			out[k].ready &= a[i].out[k].ready;
		}
	}
	free(a);
}

/* ---- pools ---- */

struct pool_args {
	const uint32_t *ids;
	unsigned int n;
	struct svc_pool_stats out[TERM_STATS_BATCH];
	int rc[TERM_STATS_BATCH];
};

static void worker_pools(struct worker *w, void *arg)
{
	struct pool_args *a = arg;

	for (unsigned int k = 0; k < a->n; k++)
		a->rc[k] = svc_pool_stats(w->term->svc, a->ids[k], &a->out[k]);
}

void term_pool_stats(const uint32_t *ids, unsigned int n, struct svc_pool_stats *out)
{
	struct pool_args *a = calloc(n_workers, sizeof(*a));

	memset(out, 0, n * sizeof(*out));
	if (a == NULL || !term_started) {
		free(a);
		return;
	}
	for (unsigned int i = 0; i < n_workers; i++) {
		a[i].ids = ids;
		a[i].n = n;
	}
	workers_call(worker_pools, a, sizeof(*a));
	for (unsigned int i = 0; i < n_workers; i++) {
		for (unsigned int k = 0; k < n; k++) {
			const struct svc_pool_stats *s = &a[i].out[k];
			struct svc_pool_stats *o = &out[k];

			if (a[i].rc[k] != 0)
				continue;
			o->active += s->active;
			o->conns += s->conns;
			o->connect_fails += s->connect_fails;
			o->retries += s->retries;
			o->no_backend += s->no_backend;
			o->full += s->full;
			o->exhausted += s->exhausted;
			o->drain_aborts += s->drain_aborts;
			o->bytes_in += s->bytes_in;
			o->bytes_out += s->bytes_out;
		}
	}
	free(a);
}

/* ---- backends ---- */

/* As many may be left out as may be in. */
#define ROWS_MAX (2 * SVC_POOL_BACKENDS_MAX)

struct backend_args {
	uint32_t pool;
	unsigned int n;
	struct term_backend_row *rows;
};

static void one_backend(void *arg, const struct svc_backend_cfg *cfg, bool draining,
			const struct svc_backend_stats *stats)
{
	struct backend_args *a = arg;
	struct term_backend_row *r = &a->rows[a->n];

	if (a->n == ROWS_MAX)
		return;
	*r = (struct term_backend_row){
		.addr = cfg->addr,
		.port = cfg->port,
		.vrf = cfg->vrf,
		.draining = draining,
		.stats = *stats,
	};
	snprintf(r->name, sizeof(r->name), "%s", cfg->name);
	a->n++;
}

static void worker_backends(struct worker *w, void *arg)
{
	struct backend_args *a = arg;

	svc_pool_backends(w->term->svc, a->pool, one_backend, a);
}

static bool same_backend(const struct term_backend_row *a, const struct term_backend_row *b)
{
	return a->port == b->port && a->vrf == b->vrf && a->draining == b->draining &&
	       memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

/* Adds one worker's rows to the sum. The workers mostly list them in the same order, so the place
 * that is looked at first is the right one. */
static unsigned int merge(struct term_backend_row *sum, unsigned int n,
			  const struct backend_args *a)
{
	for (unsigned int k = 0; k < a->n; k++) {
		unsigned int at = n;

		for (unsigned int j = 0; j < n && at == n; j++)
			if (same_backend(&sum[(k + j) % n], &a->rows[k]))
				at = (k + j) % n;
		if (at == n) {
			if (n == ROWS_MAX)
				continue;
			sum[n++] = a->rows[k];
			continue;
		}
		sum[at].stats.active += a->rows[k].stats.active;
		sum[at].stats.conns += a->rows[k].stats.conns;
		sum[at].stats.connect_fails += a->rows[k].stats.connect_fails;
		sum[at].stats.bytes_in += a->rows[k].stats.bytes_in;
		sum[at].stats.bytes_out += a->rows[k].stats.bytes_out;
	}
	return n;
}

int term_backend_stats(uint32_t pool, struct term_backend_row **rows)
{
	struct term_backend_row *sum = calloc(ROWS_MAX, sizeof(*sum));
	struct backend_args a = {
		.pool = pool,
		.rows = calloc(ROWS_MAX, sizeof(*a.rows)),
	};
	unsigned int n = 0;

	if (sum == NULL || a.rows == NULL) {
		free(sum);
		free(a.rows);
		return -ENOMEM;
	}
	for (unsigned int i = 0; term_started && i < n_workers; i++) {
		a.n = 0;
		worker_call(workers[i], worker_backends, &a);
		n = merge(sum, n, &a);
	}
	free(a.rows);
	*rows = sum;
	return (int)n;
}

/* ---- engines ---- */

static void worker_usage(struct worker *w, void *arg)
{
	tcp_usage(w->term->engine, arg);
}

void term_usage(struct tcp_usage *out)
{
	memset(out, 0, n_workers * sizeof(*out));
	if (term_started)
		workers_call(worker_usage, out, sizeof(*out));
}

void term_mib(struct tcp_mib *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned int i = 0; term_started && i < n_workers; i++)
		add64(sum, tcp_mib(workers[i]->term->engine), sizeof(*sum));
}
