/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of TCP connections, the filter that chooses among them, and their end by an operator. */
#include <stdio.h>
#include <string.h>

#include "../tcp/conns.h"
#include "../vrf/vrf.h"
#include "list.h"
#include "server.h"
#include "state.h"
#include "tcp_convert.h"
#include "valid.h"

/* ---- the filter ------------------------------------------------------------------------------ */

static int prefix(const PB(TcpPrefix) *m, struct tcp_prefix *out, const char *field,
		  struct dp_error *err)
{
	struct ip_addr a;

	if (m == NULL)
		return 0;
	if (valid_known(&m->base, err) < 0 || valid_prefix(&m->prefix, m->prefix_len, &a, err) < 0)
		return tcp_within(err, "%s", field);
	tcp_addr_from(&a, &out->addr);
	out->len = (uint8_t)(m->prefix_len + (a.len == 4 ? 96 : 0));
	return 0;
}

static int states(const PB(TcpFilter) *m, uint32_t *out, struct dp_error *err)
{
	for (size_t k = 0; k < m->n_states; k++) {
		if (valid_range((uint64_t)m->states[k], 1, 9, "states", err) < 0)
			return -1;
		/* The enum starts behind CLOSED and LISTEN, which no connection is in. */
		*out |= 1u << (TCP_SYN_SENT + (unsigned int)m->states[k] - 1);
	}
	return 0;
}

static int objects(const PB(TcpFilter) *m, struct term_filter *f, struct dp_error *err)
{
	const struct term_listener *l;
	const struct term_pool_obj *p;

	if (*m->listener != '\0') {
		l = tcp_name(m->listener, "listener", err) < 0 ? NULL
							       : term_listener_find(m->listener);
		if (l == NULL)
			return *err->field != '\0'
				       ? -1
				       : dp_fail(err, DP_NOT_FOUND, "listener",
						 "there is no listener %s", m->listener);
		f->listener_id = l->id;
	}
	if (*m->pool != '\0') {
		p = tcp_name(m->pool, "pool", err) < 0 ? NULL : term_pool_find(m->pool);
		if (p == NULL)
			return *err->field != '\0' ? -1
						   : dp_fail(err, DP_NOT_FOUND, "pool",
							     "there is no pool %s", m->pool);
		f->pool_id = p->id;
	}
	if (*m->backend != '\0') {
		if (tcp_name(m->backend, "backend", err) < 0)
			return -1;
		if (f->pool_id == 0)
			return dp_fail(err, DP_INVALID, "pool", "must be set with a backend");
		snprintf(f->backend, sizeof(f->backend), "%s", m->backend);
	}
	return 0;
}

static int filter(const PB(TcpFilter) *m, struct term_filter *f, struct dp_error *err)
{
	const struct vrf *v;

	*f = (struct term_filter){0};
	if (m == NULL)
		return 0;
	if (valid_known(&m->base, err) < 0)
		return -1;
	if (*m->vrf != '\0') {
		v = valid_vrf(m->vrf, "vrf", err);
		if (v == NULL)
			return -1;
		f->svc.by_vrf = true;
		f->svc.vrf = v->id;
	}
	if (prefix(m->local, &f->svc.local, "local", err) < 0 ||
	    prefix(m->remote, &f->svc.remote, "remote", err) < 0 ||
	    valid_range(m->local_port, 0, 65535, "local_port", err) < 0 ||
	    valid_range(m->remote_port, 0, 65535, "remote_port", err) < 0 ||
	    states(m, &f->svc.states, err) < 0 || objects(m, f, err) < 0)
		return -1;
	if (m->family != 0 && m->family != 4 && m->family != 6)
		return dp_fail(err, DP_INVALID, "family", "must be 4 or 6, not %u", m->family);
	f->family = (uint16_t)m->family;
	f->svc.lport = rte_cpu_to_be_16((uint16_t)m->local_port);
	f->svc.rport = rte_cpu_to_be_16((uint16_t)m->remote_port);
	f->svc.min_age_ms = m->min_age;
	f->svc.min_idle_ms = m->min_idle;
	f->svc.only_outgoing = m->outgoing;
	f->exact = f->svc.by_vrf && f->svc.local.len == 128 && f->svc.remote.len == 128 &&
		   f->svc.lport != 0 && f->svc.rport != 0;
	return 0;
}

/* ---- listing --------------------------------------------------------------------------------- */

static ProtobufCBinaryData addr_bytes(struct arena *a, const struct tcp_addr *t)
{
	const size_t len = tcp_addr_is4(t) ? 4 : 16;
	uint8_t *b = arena_alloc(a, len);

	if (b == NULL)
		return (ProtobufCBinaryData){0};
	memcpy(b, t->b + 16 - len, len);
	return pb_bytes(b, len);
}

static void fill_addresses(PB(TcpConnection) *m, struct arena *a, const struct tcp_tuple *t)
{
	m->vrf = pb_str(state_vrf_name(t->vrf));
	m->local_address = addr_bytes(a, &t->laddr);
	m->local_port = rte_be_to_cpu_16(t->lport);
	m->remote_address = addr_bytes(a, &t->raddr);
	m->remote_port = rte_be_to_cpu_16(t->rport);
}

static void fill_counts(PB(TcpConnection) *m, const struct tcp_info *i)
{
	m->rto = i->rto_us;
	m->srtt = i->srtt_us;
	m->rttvar = i->rttvar_us;
	m->min_rtt = i->min_rtt_us;
	m->cwnd = i->cwnd;
	m->ssthresh = i->ssthresh;
	m->mss = i->mss;
	m->advmss = i->advmss;
	m->pmtu = i->pmtu;
	m->snd_wnd = i->snd_wnd;
	m->rcv_wnd = i->rcv_wnd;
	m->rcvbuf = i->rcvbuf;
	m->sndbuf = i->sndbuf;
	m->recv_queue = i->recv_queue;
	m->send_queue = i->send_queue;
	m->unacked = i->unacked;
	m->sacked = i->sacked;
	m->lost = i->lost;
	m->retrans = i->retrans;
	m->reordering = i->reordering;
	m->bytes_sent = i->bytes_sent;
	m->bytes_acked = i->bytes_acked;
	m->bytes_received = i->bytes_received;
	m->bytes_retrans = i->bytes_retrans;
	m->segs_out = i->segs_out;
	m->segs_in = i->segs_in;
	m->total_retrans = i->total_retrans;
	m->rto_count = i->rto_count;
	m->dsack_dups = i->dsack_dups;
	m->pacing_rate = i->pacing_rate;
	m->delivery_rate = i->delivery_rate;
	m->age = i->age_ms;
	m->idle = i->idle_ms;
}

static PB(TcpConnection) *connection(struct arena *a, const struct term_conn_row *r)
{
	PB(TcpConnection) *m = PB_NEW(a, TcpConnection, tcp_connection);
	const struct tcp_info *i = &r->info;
	const struct term_listener *l;
	const struct term_pool_obj *p;

	if (m == NULL)
		return NULL;
	m->worker = r->worker;
	fill_addresses(m, a, &i->tuple);
	m->state = (PB(TcpState))(i->state - TCP_SYN_SENT + 1);
	m->timer = i->timer_ms;
	m->timer_name = pb_str(i->timer != NULL ? i->timer : "");
	if (i->state == TCP_TIME_WAIT)
		return m;
	l = term_listener_by_id(r->listener_id);
	p = term_pool_by_id(r->pool_id);
	m->listener_id = r->listener_id;
	m->listener = pb_str(l != NULL ? l->cfg->name : "");
	m->pool = pb_str(p != NULL ? p->cfg->name : "");
	m->backend = arena_strdup(a, r->backend);
	if (m->backend == NULL)
		return NULL;
	m->passive = i->passive;
	m->congestion_control = (PB(TcpCongestionControl))i->cc;
	m->ca_state = (PB(TcpCaState))i->ca_state;
	m->sack = i->sack;
	m->timestamps = i->timestamps;
	m->ecn = i->ecn;
	m->fast_open = i->fast_open;
	m->window_scale = i->snd_wscale != 0 || i->rcv_wscale != 0;
	m->snd_wscale = i->snd_wscale;
	m->rcv_wscale = i->rcv_wscale;
	fill_counts(m, i);
	return m;
}

int list_tcp_connections(struct page *p, struct dp_error *err)
{
	struct term_conns_at at = {0};
	struct term_conn_row *rows;
	struct term_filter f;
	unsigned int n;

	if (filter(p->q->tcp, &f, err) < 0)
		return tcp_within(err, "tcp");
	if (cursor_get(p, &at.worker, &at.slot, err) < 0)
		return -1;
	p->out->tcp_connections =
		arena_alloc(p->arena, p->limit * sizeof(*p->out->tcp_connections));
	rows = arena_alloc(p->arena, p->limit * sizeof(*rows));
	if (p->out->tcp_connections == NULL || rows == NULL)
		return list_no_memory(err);
	n = term_conns_list(&f, &at, rows, p->limit);
	for (unsigned int k = 0; k < n; k++) {
		PB(TcpConnection) *m = connection(p->arena, &rows[k]);

		if (m == NULL)
			return list_no_memory(err);
		p->out->tcp_connections[p->out->n_tcp_connections++] = m;
	}
	if (!at.end)
		cursor_set(p, at.worker, at.slot);
	return 0;
}

/* ---- ending ---------------------------------------------------------------------------------- */

static bool matches_all(const struct term_filter *f)
{
	static const struct term_filter all;

	return memcmp(f, &all, sizeof(all)) == 0;
}

void tcp_kill_begin(struct seam_client *c, uint64_t id, const PB(TcpKill) *m)
{
	struct dp_error err = {0};
	struct tcp_kill_job *j = &c->job.kill;

	if (owner_check(&c->claim, &err) < 0 || valid_known(&m->base, &err) < 0) {
		reply_error(c, id, "tcp_kill", &err);
		return;
	}
	*j = (struct tcp_kill_job){0};
	j->filter = arena_zalloc(&c->arena, sizeof(*j->filter));
	if (j->filter == NULL) {
		list_no_memory(&err);
		reply_error(c, id, "tcp_kill", &err);
		return;
	}
	if (filter(m->filter, j->filter, &err) < 0) {
		reply_error(c, id, "tcp_kill.filter", &err);
		return;
	}
	if (matches_all(j->filter) && !m->all) {
		dp_fail(&err, DP_INVALID, "all", "must be set to end all connections");
		reply_error(c, id, "tcp_kill", &err);
		return;
	}
	c->job.kind = JOB_TCP_KILL;
	c->job.id = id;
}

void tcp_kill_continue(struct seam_client *c)
{
	struct tcp_kill_job *j = &c->job.kill;
	struct term_conns_at at = {.worker = j->worker, .slot = j->slot};

	j->count += term_conns_kill(j->filter, &at);
	j->worker = at.worker;
	j->slot = at.slot;
	if (!at.end)
		return;
	c->job.kind = JOB_NONE;
	reply_done(c, c->job.id, j->count);
}
