/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of TCP listeners, pools and backends, and of the engines' counters. */
#include <stdlib.h>
#include <string.h>

#include "../core/loop.h"
#include "../tcp/stats.h"
#include "list.h"
#include "owner.h"
#include "state.h"
#include "tcp_convert.h"
#include "valid.h"

/* A name the page is restricted to; empty: none. */
static int valid_only(const struct page *p, struct dp_error *err)
{
	return *p->q->name == '\0' ? 0 : tcp_name(p->q->name, "name", err);
}

/* Nanoseconds on the wall clock of a time on the workers' clock; 0 stays 0. */
static uint64_t wall_of(uint64_t ns)
{
	return ns == 0 ? 0 : now_wall_ns() - (term_now() - ns);
}

static int add_counter(struct arena *a, PB(TcpCounter) **to, const char *name, const char *text,
		       uint64_t value, bool gauge)
{
	PB(TcpCounter) *m = PB_NEW(a, TcpCounter, tcp_counter);

	char *dashed = arena_strdup(a, name);

	if (m == NULL || dashed == NULL)
		return -1;
	term_dashes(dashed);
	m->name = dashed;
	m->description = pb_str(text);
	m->value = value;
	m->gauge = gauge;
	*to = m;
	return 0;
}

/* ---- listeners ------------------------------------------------------------------------------- */

static void forget_body(PB(TcpHttpResponse) *r)
{
	if (r != NULL)
		r->body = (ProtobufCBinaryData){0};
}

/* As it was written, but for the bodies: a page of them would be larger than a frame. */
static PB(TcpListener) *listener_config(struct arena *a, const struct term_listener *l)
{
	PB(TcpListener) *m =
		millrace__dataplane__v1__tcp_listener__unpack(&a->pb, l->msg.len, l->msg.data);

	if (m == NULL || m->http == NULL)
		return m;
	forget_body(m->http->response);
	for (size_t k = 0; k < m->http->n_routes; k++)
		forget_body(m->http->routes[k]->response);
	return m;
}

/* Deleted, with connections that are left. */
static PB(TcpListenerState) *draining_state(struct arena *a, const struct term_listener *l)
{
	PB(TcpListenerState) *m = PB_NEW(a, TcpListenerState, tcp_listener_state);

	if (m == NULL)
		return NULL;
	m->config = listener_config(a, l);
	m->id = l->id;
	m->owner = pb_str(owner_name(l->owner.owner));
	m->draining = true;
	m->active = l->left;
	return m->config == NULL ? NULL : m;
}

static PB(TcpListenerState) *listener_state(struct arena *a, const struct term_listener *l,
					    const struct svc_listener_stats *s)
{
	PB(TcpListenerState) *m = PB_NEW(a, TcpListenerState, tcp_listener_state);
	const uint64_t *service = (const uint64_t *)&s->svc;

	if (m == NULL)
		return NULL;
	m->config = listener_config(a, l);
	m->service = arena_alloc(a, SVC_STATS_COUNT * sizeof(*m->service));
	if (m->config == NULL || m->service == NULL)
		return NULL;
	m->id = l->id;
	m->owner = pb_str(owner_name(l->owner.owner));
	m->healthy = s->ready;
	m->active = s->tcp.active;
	m->half_open = s->tcp.half_open;
	m->accepted = s->tcp.accepted;
	m->closed = s->tcp.closed;
	m->cookies_sent = s->tcp.cookies_sent;
	m->cookies_valid = s->tcp.cookies_valid;
	m->cookies_invalid = s->tcp.cookies_invalid;
	m->refused_limit = s->tcp.refused_limit;
	m->refused_rate = s->tcp.refused_rate;
	m->refused_source = s->tcp.refused_source;
	m->refused_acl = s->tcp.refused_acl;
	m->refused_memory = s->tcp.refused_memory;
	m->refused_service = s->tcp.refused_service;
	m->fast_open_accepted = s->tcp.fast_open_accepted;
	m->fast_open_cookie_invalid = s->tcp.fast_open_cookie_invalid;
	m->bytes_in = s->tcp.bytes_in;
	m->bytes_out = s->tcp.bytes_out;
	/* Those that say something. */
	for (unsigned int k = 0; k < SVC_STATS_COUNT; k++) {
		if (service[k] == 0)
			continue;
		if (add_counter(a, &m->service[m->n_service], svc_stat_names[k], svc_stat_helps[k],
				service[k], false) < 0)
			return NULL;
		m->n_service++;
	}
	return m;
}

/* On the last page; those that do not fit it are left out: few are, and not for long. */
static int list_draining(struct page *p, unsigned int limit, struct dp_error *err)
{
	const struct term_listener *l = term_listener_draining();

	for (; l != NULL && p->out->n_tcp_listeners < limit; l = l->next) {
		PB(TcpListenerState) *m;

		if (*p->q->name != '\0' && strcmp(p->q->name, l->cfg->name) != 0)
			continue;
		m = draining_state(p->arena, l);
		if (m == NULL)
			return list_no_memory(err);
		p->out->tcp_listeners[p->out->n_tcp_listeners++] = m;
	}
	return 0;
}

int list_tcp_listeners(struct page *p, struct dp_error *err)
{
	struct svc_listener_stats stats[TERM_STATS_BATCH];
	const struct term_listener *found[TERM_STATS_BATCH];
	uint32_t at, unused, ids[TERM_STATS_BATCH], before;
	const struct term_listener *l;
	const unsigned int limit = RTE_MIN(p->limit, (unsigned int)TERM_STATS_BATCH);
	unsigned int n = 0;
	size_t bytes = 0;

	if (valid_only(p, err) < 0 || cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->tcp_listeners = arena_alloc(p->arena, limit * sizeof(*p->out->tcp_listeners));
	if (p->out->tcp_listeners == NULL)
		return list_no_memory(err);
	for (before = at; (l = term_listener_next(&at)) != NULL; before = at) {
		if (*p->q->name != '\0' && strcmp(p->q->name, l->cfg->name) != 0)
			continue;
		if (n == limit || bytes > PAGE_BYTES) {
			cursor_set(p, before, 0);
			break;
		}
		bytes += l->msg.len;
		ids[n] = l->id;
		found[n++] = l;
	}
	term_listener_stats(ids, n, stats);
	for (unsigned int k = 0; k < n; k++) {
		PB(TcpListenerState) *m = listener_state(p->arena, found[k], &stats[k]);

		if (m == NULL)
			return list_no_memory(err);
		p->out->tcp_listeners[p->out->n_tcp_listeners++] = m;
	}
	return p->out->next_cursor.len != 0 ? 0 : list_draining(p, limit, err);
}

/* ---- pools ----------------------------------------------------------------------------------- */

static PB(TcpPoolState) *pool_state(struct arena *a, const struct term_pool_obj *o,
				    const struct svc_pool_stats *s)
{
	PB(TcpPoolState) *m = PB_NEW(a, TcpPoolState, tcp_pool_state);
	struct svc_pool_health h;

	if (m == NULL)
		return NULL;
	m->config = millrace__dataplane__v1__tcp_pool__unpack(&a->pb, o->msg.len, o->msg.data);
	if (m->config == NULL)
		return NULL;
	m->config->n_backends = 0;
	svc_pool_health(o->cfg, term_now(), &h);
	m->owner = pb_str(owner_name(o->owner.owner));
	m->healthy = h.healthy;
	m->backends = h.backends;
	m->backends_healthy = h.up;
	m->backends_enabled = h.enabled;
	m->last_change = wall_of(h.changed_ns);
	m->active = s->active;
	m->connections = s->conns;
	m->connect_failed = s->connect_fails;
	m->retries = s->retries;
	m->no_backend = s->no_backend;
	m->full = s->full;
	m->exhausted = s->exhausted;
	m->drain_aborts = s->drain_aborts;
	m->bytes_in = s->bytes_in;
	m->bytes_out = s->bytes_out;
	return m;
}

int list_tcp_pools(struct page *p, struct dp_error *err)
{
	const unsigned int limit = RTE_MIN(p->limit, (unsigned int)TERM_STATS_BATCH);
	struct svc_pool_stats stats[TERM_STATS_BATCH];
	const struct term_pool_obj *found[TERM_STATS_BATCH], *o;
	uint32_t at, unused, ids[TERM_STATS_BATCH], before;
	unsigned int n = 0;

	if (valid_only(p, err) < 0 || cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->tcp_pools = arena_alloc(p->arena, limit * sizeof(*p->out->tcp_pools));
	if (p->out->tcp_pools == NULL)
		return list_no_memory(err);
	for (before = at; (o = term_pool_next(&at)) != NULL; before = at) {
		if (*p->q->name != '\0' && strcmp(p->q->name, o->cfg->name) != 0)
			continue;
		if (n == limit) {
			cursor_set(p, before, 0);
			break;
		}
		ids[n] = o->id;
		found[n++] = o;
	}
	term_pool_stats(ids, n, stats);
	for (unsigned int k = 0; k < n; k++) {
		PB(TcpPoolState) *m = pool_state(p->arena, found[k], &stats[k]);

		if (m == NULL)
			return list_no_memory(err);
		p->out->tcp_pools[p->out->n_tcp_pools++] = m;
	}
	return 0;
}

/* ---- backends -------------------------------------------------------------------------------- */

static ProtobufCBinaryData addr_bytes(struct arena *a, const struct tcp_addr *t)
{
	const size_t len = tcp_addr_is4(t) ? 4 : 16;
	uint8_t *b = arena_alloc(a, len);

	if (b == NULL)
		return (ProtobufCBinaryData){0};
	memcpy(b, t->b + 16 - len, len);
	return pb_bytes(b, len);
}

static void backend_health(PB(TcpBackendState) *m, struct arena *a, const struct svc_pool_cfg *cfg,
			   uint32_t i)
{
	struct svc_backend_health h;

	svc_backend_health(cfg, i, term_now(), &h);
	m->health = state_tcp_health((int)h.health);
	/* A backend that is up may still remember why it once was not. */
	m->reason = arena_strdup(a, h.health == SVC_HEALTH_UP ? "" : h.reason);
	if (m->reason == NULL)
		m->reason = pb_str("");
	m->last_change = wall_of(h.changed_ns);
	m->effective_weight = h.weight_permille;
	m->checks = h.checks;
	m->checks_failed = h.checks_failed;
	m->check_time = h.check_ns;
}

static PB(TcpBackendState) *backend_state(struct arena *a, const struct term_pool_obj *o,
					  const PB(TcpPool) *written,
					  const struct term_backend_row *r)
{
	PB(TcpBackendState) *m = PB_NEW(a, TcpBackendState, tcp_backend_state);

	if (m == NULL)
		return NULL;
	m->pool = pb_str(o->cfg->name);
	m->draining = r->draining;
	m->active = r->stats.active;
	m->connections = r->stats.conns;
	m->connect_failed = r->stats.connect_fails;
	m->bytes_in = r->stats.bytes_in;
	m->bytes_out = r->stats.bytes_out;
	for (uint32_t k = 0; !r->draining && k < o->cfg->n_backends; k++) {
		const struct svc_backend_cfg *b = &o->cfg->backends[k];

		if (b->port != r->port || b->vrf != r->vrf ||
		    memcmp(&b->addr, &r->addr, sizeof(b->addr)) != 0)
			continue;
		m->config = k < written->n_backends ? written->backends[k] : NULL;
		backend_health(m, a, o->cfg, k);
		break;
	}
	if (m->config != NULL)
		return m;
	/* Left out since: what it was called, and where it is. */
	m->config = PB_NEW(a, TcpBackend, tcp_backend);
	if (m->config == NULL)
		return NULL;
	m->config->name = arena_strdup(a, r->name);
	m->config->address = addr_bytes(a, &r->addr);
	m->config->port = rte_be_to_cpu_16(r->port);
	m->config->vrf = pb_str(state_vrf_name(r->vrf));
	return m->config->name == NULL ? NULL : m;
}

/* Fills the page with those of one pool from *at on. 1: the page is full; -1: no memory. */
static int pool_backends(struct page *p, const struct term_pool_obj *o, uint32_t *at)
{
	PB(TcpPool) *written =
		millrace__dataplane__v1__tcp_pool__unpack(&p->arena->pb, o->msg.len, o->msg.data);
	struct term_backend_row *rows = NULL;
	int n = term_backend_stats(o->id, &rows), rc = 0;

	if (n < 0 || written == NULL) {
		free(rows);
		return -1;
	}
	for (; *at < (uint32_t)n && rc == 0; ++*at) {
		PB(TcpBackendState) *m;

		if (p->out->n_tcp_backends == p->limit) {
			rc = 1;
			break;
		}
		m = backend_state(p->arena, o, written, &rows[*at]);
		if (m == NULL)
			rc = -1;
		else
			p->out->tcp_backends[p->out->n_tcp_backends++] = m;
	}
	free(rows);
	return rc;
}

int list_tcp_backends(struct page *p, struct dp_error *err)
{
	const struct term_pool_obj *o;
	uint32_t pos, at, before;

	if (valid_only(p, err) < 0 || cursor_get(p, &pos, &at, err) < 0)
		return -1;
	p->out->tcp_backends = arena_alloc(p->arena, p->limit * sizeof(*p->out->tcp_backends));
	if (p->out->tcp_backends == NULL)
		return list_no_memory(err);
	for (before = pos; (o = term_pool_next(&pos)) != NULL; before = pos, at = 0) {
		int rc;

		if (*p->q->name != '\0' && strcmp(p->q->name, o->cfg->name) != 0)
			continue;
		rc = pool_backends(p, o, &at);
		if (rc < 0)
			return list_no_memory(err);
		if (rc > 0) {
			cursor_set(p, before, at);
			break;
		}
	}
	return 0;
}

/* ---- counters -------------------------------------------------------------------------------- */

int list_tcp_counters(struct page *p, struct dp_error *err)
{
	static const char *const gauges[][2] = {
		{"connections", "connections, without TIME-WAIT"},
		{"time-wait", "connections in TIME-WAIT"},
		{"half-open", "connections whose handshake is under way"},
		{"segments", "segments in flight or waiting"},
		{"memory", "octets of packet buffers that connections hold"},
	};
	const unsigned int total = TCP_MIB_COUNT + RTE_DIM(gauges);
	uint64_t now[RTE_DIM(gauges)] = {0};
	struct tcp_usage u[WORKER_MAX];
	struct tcp_mib mib;
	uint32_t at, unused;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->tcp_counters = arena_alloc(p->arena, p->limit * sizeof(*p->out->tcp_counters));
	if (p->out->tcp_counters == NULL)
		return list_no_memory(err);
	term_usage(u);
	term_mib(&mib);
	for (unsigned int i = 0; i < n_workers; i++) {
		now[0] += u[i].conns;
		now[1] += u[i].time_wait;
		now[2] += u[i].half_open;
		now[3] += u[i].segs;
		now[4] += u[i].mem_bytes;
	}
	for (; at < total; at++) {
		PB(TcpCounter) **to = &p->out->tcp_counters[p->out->n_tcp_counters];
		const bool gauge = at >= TCP_MIB_COUNT;
		const unsigned int g = gauge ? at - (unsigned int)TCP_MIB_COUNT : 0;

		if (p->out->n_tcp_counters == p->limit) {
			cursor_set(p, at, 0);
			break;
		}
		if (add_counter(p->arena, to, gauge ? gauges[g][0] : tcp_mib_name(at),
				gauge ? gauges[g][1] : tcp_mib_text(at),
				gauge ? now[g] : ((const uint64_t *)&mib)[at], gauge) < 0)
			return list_no_memory(err);
		p->out->n_tcp_counters++;
	}
	return 0;
}

int list_tcp_workers(struct page *p, struct dp_error *err)
{
	struct tcp_usage u[WORKER_MAX];
	uint32_t at, unused;

	if (cursor_get(p, &at, &unused, err) < 0)
		return -1;
	p->out->tcp_workers = arena_alloc(p->arena, p->limit * sizeof(*p->out->tcp_workers));
	if (p->out->tcp_workers == NULL)
		return list_no_memory(err);
	term_usage(u);
	/* Before the engines exist there is nothing to tell. */
	for (; term_started && at < n_workers; at++) {
		PB(TcpWorkerState) *m;

		if (p->out->n_tcp_workers == p->limit) {
			cursor_set(p, at, 0);
			break;
		}
		m = PB_NEW(p->arena, TcpWorkerState, tcp_worker_state);
		if (m == NULL)
			return list_no_memory(err);
		m->worker = at;
		m->connections = u[at].conns;
		m->connections_max = term_max_connections;
		m->time_wait = u[at].time_wait;
		m->time_wait_max = term_max_time_wait;
		m->half_open = u[at].half_open;
		m->segments = u[at].segs;
		m->memory = u[at].mem_bytes;
		m->memory_limit = u[at].mem_limit;
		m->pressure = u[at].pressure;
		m->connection_bytes = u[at].conn_bytes;
		p->out->tcp_workers[p->out->n_tcp_workers++] = m;
	}
	return 0;
}
