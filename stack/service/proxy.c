/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy as a service: its listeners, its connections' life and timers. */
#include "proxy.h"

#include <errno.h>
#include <stdlib.h>

#include "proxy_private.h"

/* ---- Ends ---- */

void pair_free(struct pair *p)
{
	struct svc *s = p->l->svc;

	pair_detach(p);
	LIST_REMOVE(p, link);
	rte_pktmbuf_free(p->left[PAIR_UP]);
	rte_pktmbuf_free(p->left[PAIR_DOWN]);
	svc_state_put(s, SVC_PROXY, p);
}

void pair_drop_server(struct pair *p)
{
	if (p->server == NULL)
		return;
	tcp_set_user(p->server, NULL);
	tcp_abort(p->server);
	p->server = NULL;
}

static void drop_client(struct pair *p)
{
	if (p->client == NULL)
		return;
	tcp_set_user(p->client, NULL);
	svc_abort(p->l, p->client);
	p->client = NULL;
}

void pair_kill(struct pair *p)
{
	pair_drop_server(p);
	drop_client(p);
	pair_free(p);
}

void pair_close_client(struct pair *p)
{
	tcp_set_user(p->client, NULL);
	svc_close(p->l, p->client);
	pair_free(p);
}

uint32_t pairs_abort(struct pair_list *list, uint32_t max)
{
	struct pair *p;
	uint32_t n = 0;

	for (; n < max && (p = LIST_FIRST(list)) != NULL; n++) {
		if (p->state == PAIR_CONNECT) {
			/* It has lost nothing yet: another backend may take it, and this one is not
			 * counted as tried. */
			pair_drop_server(p);
			p->attempts--;
			pair_attempt_failed(p, false);
			continue;
		}
		p->l->stats.aborted++;
		pair_kill(p);
	}
	return n;
}

void pairs_free(struct pair_list *list)
{
	struct pair *p;

	while ((p = LIST_FIRST(list)) != NULL) {
		LIST_REMOVE(p, link);
		rte_pktmbuf_free(p->left[PAIR_UP]);
		rte_pktmbuf_free(p->left[PAIR_DOWN]);
	}
}

/* What to do with a client that no backend takes. False: it is to be refused by RST. */
static bool hold_client(struct pair *p)
{
	const struct svc_proxy_cfg *cfg = &p->l->cfg->proxy;

	/* Those that are up refused it: waiting would not make that better. */
	bool wait = cfg->no_backend == SVC_NO_BACKEND_WAIT && p->attempts == 0 && !p->l->draining;

	p->phase_ms = pair_now_ms(p);
	if (wait) {
		p->state = PAIR_WAIT;
	} else if (cfg->no_backend == SVC_NO_BACKEND_CLOSE) {
		p->state = PAIR_CLOSING;
		p->l->stats.proxy_no_backend++;
	} else {
		p->l->stats.proxy_no_backend++;
		return false;
	}
	return true;
}

void pair_refuse(struct pair *p)
{
	if (!hold_client(p)) {
		pair_kill(p);
		return;
	}
	if (p->state == PAIR_CLOSING)
		tcp_shutdown(p->client);
	pair_arm(p);
}

/* ---- The client's side ---- */

static bool client_accept(struct tcp_conn *c, void *listener_ctx)
{
	struct svc_listener *l = listener_ctx;
	const struct svc_proxy_cfg *cfg = &l->cfg->proxy;
	const struct proxy_listener *pl = l->priv;
	struct pair *p;

	if (cfg->accept_proxy != SVC_PROXY_PROTOCOL_OFF &&
	    !header_trusted(cfg, &tcp_tuple(c)->raddr)) {
		l->stats.proxy_untrusted++;
		return false;
	}
	p = svc_state_get(l->svc, SVC_PROXY);
	if (p == NULL) {
		l->stats.no_state++;
		return false;
	}
	memset(p, 0, sizeof(*p));
	p->client = c;
	p->l = l;
	p->pool = pl->pool;
	LIST_INSERT_HEAD(&p->pool->waiting, p, link);
	p->start_ms = p->active_ms = p->phase_ms = pair_now_ms(p);
	tcp_set_user(c, p);
	svc_opened(l);
	if (cfg->accept_proxy != SVC_PROXY_PROTOCOL_OFF) {
		p->state = PAIR_HEADER;
		pair_arm(p);
		return true;
	}
	p->key = header_key(p);
	if (pair_go(p))
		return true;
	if (hold_client(p)) {
		pair_arm(p);
		if (p->state == PAIR_CLOSING)
			tcp_set_timer(c, 1);
		return true;
	}
	/* The engine resets it, and calls nothing more for it. */
	tcp_set_user(c, NULL);
	svc_ended(l);
	pair_free(p);
	return false;
}

static void client_readable(struct tcp_conn *c)
{
	struct pair *p = tcp_user(c);

	switch ((enum pair_state)p->state) {
	case PAIR_HEADER:
		switch (header_accept(p)) {
		case HEADER_MORE:
			return;
		case HEADER_BAD:
			p->l->stats.proxy_header_bad++;
			pair_kill(p);
			return;
		case HEADER_OK:
			break;
		}
		p->key = header_key(p);
		if (!pair_go(p))
			pair_refuse(p);
		return;
	case PAIR_SPLICE:
		pair_splice(p, PAIR_UP);
		return;
	case PAIR_CLOSING:
		tcp_discard(c, UINT32_MAX);
		if (tcp_at_eof(c))
			pair_close_client(p);
		return;
	default:
		/* Until there is a backend, what comes stays in the receive buffer, whose size
		 * bounds it. */
		return;
	}
}

static void client_writable(struct tcp_conn *c)
{
	struct pair *p = tcp_user(c);

	if (p->state == PAIR_SPLICE)
		pair_splice(p, PAIR_DOWN);
}

static void client_timer(struct tcp_conn *c)
{
	pair_timer(tcp_user(c));
}

static void client_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct pair *p = tcp_user(c);

	svc_ended(p->l);
	if (why == TCP_CLOSE_DONE && p->state == PAIR_SPLICE) {
		pair_side_done(p, PAIR_UP);
		return;
	}
	p->client = NULL;
	pair_kill(p);
}

/* Streams are not cut: what runs may end by itself until the drain's deadline. */
static void client_drain(struct tcp_conn *c)
{
	struct pair *p = tcp_user(c);

	if (p->state == PAIR_HEADER || p->state == PAIR_WAIT || p->state == PAIR_CLOSING)
		pair_close_client(p);
}

/* ---- The backend's side ---- */

static void server_connected(struct tcp_conn *c)
{
	struct pair *p = pair_of_server(c);

	backend_worked(p->backend);
	p->state = PAIR_SPLICE;
	p->active_ms = pair_now_ms(p);
	if (!header_send(p)) {
		p->l->stats.no_buffers++;
		pair_kill(p);
		return;
	}
	pair_arm(p);
	if (pair_splice(p, PAIR_UP))
		pair_splice(p, PAIR_DOWN);
}

static void server_readable(struct tcp_conn *c)
{
	struct pair *p = pair_of_server(c);

	if (p->state == PAIR_SPLICE)
		pair_splice(p, PAIR_DOWN);
}

static void server_writable(struct tcp_conn *c)
{
	struct pair *p = pair_of_server(c);

	if (p->state == PAIR_SPLICE)
		pair_splice(p, PAIR_UP);
}

static void server_timer(struct tcp_conn *c)
{
	pair_timer(pair_of_server(c));
}

static void server_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct pair *p = pair_of_server(c);

	if (p->state == PAIR_SPLICE && why == TCP_CLOSE_DONE) {
		pair_side_done(p, PAIR_DOWN);
		return;
	}
	p->server = NULL;
	if (p->state == PAIR_CONNECT && why != TCP_CLOSE_ABORTED)
		pair_attempt_failed(p, true);
	else
		pair_kill(p);
}

/* It goes on for as long as the client's side does. */
static void server_drain(struct tcp_conn *c)
{
	(void)c;
}

const struct tcp_ops proxy_server_ops = {
	.connected = server_connected,
	.readable = server_readable,
	.writable = server_writable,
	.timer = server_timer,
	.closed = server_closed,
	.drain = server_drain,
};

/* ---- Listeners and the worker ---- */

static int proxy_start(struct svc_listener *l, const struct svc_listener_cfg *cfg, void **priv)
{
	const struct proxy_worker *w = svc_shared(l->svc, SVC_PROXY);
	struct pool *pool = pool_find(w, cfg->proxy.pool_id);
	struct pool *backup = pool_find(w, cfg->proxy.backup_pool_id);
	struct proxy_listener *pl;

	if (pool == NULL || (backup == NULL && cfg->proxy.backup_pool_id != 0))
		return -ENOENT;
	pl = calloc(1, sizeof(*pl));
	if (pl == NULL)
		return -ENOMEM;
	pl->pool = pool;
	pl->backup = backup;
	pool->users++;
	if (backup != NULL)
		backup->users++;
	/* The next poll tells whether it is ready. */
	pool->w->next_ns = svc_now(l->svc);
	*priv = pl;
	return 0;
}

static void proxy_stop(struct svc_listener *l, void *priv)
{
	struct proxy_listener *pl = priv;

	pl->pool->users--;
	if (pl->backup != NULL)
		pl->backup->users--;
	free(pl);
}

static int proxy_create(struct svc *s, void **shared)
{
	struct proxy_worker *w;

	if (svc_env(s)->worker >= SVC_WORKERS_MAX)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->svc = s;
	w->next_ns = UINT64_MAX;
	*shared = w;
	return 0;
}

static void proxy_destroy(struct svc *s, void *shared)
{
	pools_destroy(shared);
	free(shared);
}

static void proxy_poll(struct svc *s, void *shared, uint64_t now_ns)
{
	pools_poll(shared, now_ns);
}

static uint64_t proxy_next(const struct svc *s, const void *shared)
{
	return ((const struct proxy_worker *)shared)->next_ns;
}

static int check_ms(struct svc_fault *f, const char *field, uint32_t v, uint32_t max)
{
	return v <= max ? 0 : svc_fault(f, field, "%u ms is above %u", v, max);
}

static int proxy_validate(const struct svc_listener_cfg *cfg, struct svc_fault *f)
{
	const struct svc_proxy_cfg *p = &cfg->proxy;
	char field[48];
	int rc;

	if (p->pool_id == 0)
		return svc_fault(f, "proxy.pool_id", "is 0");
	if (p->backup_pool_id == p->pool_id)
		return svc_fault(f, "proxy.backup_pool_id", "is the pool itself");
	if (p->retries > PROXY_RETRIES_MAX)
		return svc_fault(f, "proxy.retries", "%u is above %u", p->retries,
				 PROXY_RETRIES_MAX);
	if (p->accept_proxy > SVC_PROXY_PROTOCOL_ANY)
		return svc_fault(f, "proxy.accept_proxy", "unknown: %d", (int)p->accept_proxy);
	if (p->send_proxy > SVC_PROXY_PROTOCOL_V2)
		return svc_fault(f, "proxy.send_proxy", "is not off, v1 or v2");
	if (p->no_backend > SVC_NO_BACKEND_WAIT)
		return svc_fault(f, "proxy.no_backend", "unknown: %d", (int)p->no_backend);
	if (p->n_trusted > 256)
		return svc_fault(f, "proxy.trusted", "more than 256");
	for (uint32_t i = 0; i < p->n_trusted; i++) {
		if (p->trusted[i].len <= 128)
			continue;
		snprintf(field, sizeof(field), "proxy.trusted[%u].len", i);
		return svc_fault(f, field, "%u is above 128", p->trusted[i].len);
	}
	if ((rc = check_ms(f, "proxy.connect_timeout_ms", p->connect_timeout_ms, 600000)) != 0 ||
	    (rc = check_ms(f, "proxy.accept_proxy_timeout_ms", p->accept_proxy_timeout_ms,
			   3600000)) != 0 ||
	    (rc = check_ms(f, "proxy.wait_ms", p->wait_ms, 600000)) != 0)
		return rc;
	return 0;
}

static void proxy_cfg_free(struct svc_listener_cfg *cfg)
{
	free(cfg->proxy.trusted);
}

const struct svc_type svc_proxy = {
	.name = "proxy",
	.state_size = sizeof(struct pair),
	.validate = proxy_validate,
	.cfg_free = proxy_cfg_free,
	.start = proxy_start,
	.stop = proxy_stop,
	.create = proxy_create,
	.destroy = proxy_destroy,
	.poll = proxy_poll,
	.next = proxy_next,
	.no_nagle = true,
	.ops =
		{
			.accept = client_accept,
			.readable = client_readable,
			.writable = client_writable,
			.timer = client_timer,
			.closed = client_closed,
			.drain = client_drain,
		},
};

/* ---- For listings ---- */

bool svc_proxy_peer(const struct svc *s, const struct tcp_tuple *t, struct svc_proxy_peer *out)
{
	struct tcp_conn *c = tcp_find(svc_engine(s), t), *other;
	const struct pair *p;

	memset(out, 0, sizeof(*out));
	if (c == NULL || tcp_user(c) == NULL)
		return false;
	if (tcp_conn_listener(c) != NULL) {
		if (svc_listener_of(c)->type != &svc_proxy)
			return false;
		p = tcp_user(c);
	} else {
		if (((uintptr_t)tcp_user(c) & 1) == 0)
			return false;
		p = pair_of_server(c);
		out->is_backend = true;
	}
	other = out->is_backend ? p->client : p->server;
	out->listener_id = p->l->cfg->id;
	out->pool_id = p->pool->id;
	out->backend = p->backend != NULL ? p->backend->cfg.name : "";
	out->has_other = other != NULL;
	if (other != NULL)
		out->other = *tcp_tuple(other);
	return true;
}
