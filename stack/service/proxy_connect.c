/* SPDX-License-Identifier: Apache-2.0 */
/* From a client's connection to one to a backend: choosing, trying, trying another. */
#include <errno.h>

#include "proxy_private.h"

void pair_detach(struct pair *p)
{
	if (p->backend == NULL)
		return;
	LIST_REMOVE(p, link);
	backend_drop(p->backend);
	p->backend = NULL;
	p->server = NULL;
	LIST_INSERT_HEAD(&p->pool->waiting, p, link);
}

static void attach(struct pair *p, struct backend *b)
{
	LIST_REMOVE(p, link);
	p->backend = b;
	LIST_INSERT_HEAD(&b->pairs, p, link);
	backend_take(b);
}

/* The pool a connection is in may change while it has no backend. */
static void move_to_pool(struct pair *p, struct pool *pool)
{
	if (p->pool == pool)
		return;
	LIST_REMOVE(p, link);
	p->pool = pool;
	LIST_INSERT_HEAD(&pool->waiting, p, link);
	/* Serials are of one pool, and so is the key. */
	p->n_tried = 0;
	p->key = header_key(p);
}

static struct backend *pick(struct pair *p, enum pick_fail *why)
{
	const struct proxy_listener *pl = p->l->priv;
	uint64_t now = svc_now(p->l->svc);
	struct backend *b;

	if (pl->backup == NULL || pl->pool->healthy || !pl->backup->healthy)
		move_to_pool(p, pl->pool);
	else
		move_to_pool(p, pl->backup);
	b = pool_pick(p->pool, p->key, p->tried, p->n_tried, now, why);
	if (b == NULL && pl->backup != NULL && p->pool == pl->pool) {
		move_to_pool(p, pl->backup);
		b = pool_pick(p->pool, p->key, p->tried, p->n_tried, now, why);
	}
	return b;
}

/* The client's address and port where the source is transparent. */
static void client_of(const struct pair *p, struct svc_pp *pp)
{
	uint8_t buf[SVC_PP_MAX];
	const uint8_t *tlvs;

	header_identity(p, pp, buf, &tlvs);
}

/* NULL with errno. */
static struct tcp_conn *connect_to(struct pair *p, struct backend *b)
{
	const struct svc_pool_cfg *cfg = p->pool->cfg;
	struct tcp_connect_params params = {
		.ops = &proxy_server_ops,
		.user = pair_tag(p),
		.opt = cfg->tcp,
		.tuple = {.raddr = b->cfg.addr,
			  .rport = b->cfg.port,
			  .vrf = b->cfg.vrf,
			  .family = tcp_addr_is4(&b->cfg.addr) ? 4 : 6},
	};
	struct tcp_conn *c = NULL;
	struct svc_pp pp;
	bool transparent = cfg->source_mode == SVC_SOURCE_TRANSPARENT;

	if (transparent)
		client_of(p, &pp);
	/* The sender has waited already if it wanted to. */
	params.opt.no_nagle = true;
	params.opt.connect_timeout_ms = p->l->cfg->proxy.connect_timeout_ms;
	errno = EADDRNOTAVAIL;
	for (uint32_t i = 0; c == NULL && i < SVC_POOL_SOURCES_MAX; i++) {
		if (pool_source(p->pool, b, transparent ? &pp.src : NULL, pp.sport, i,
				&params.tuple) != 0)
			break;
		c = tcp_connect(svc_engine(p->l->svc), &params);
		/* Its ports are taken: another address may have some left. */
		if (c == NULL && errno != EADDRINUSE)
			break;
	}
	return c;
}

static void remember(struct pair *p, const struct backend *b)
{
	if (p->n_tried < PROXY_RETRIES_MAX)
		p->tried[p->n_tried++] = b->serial;
}

bool pair_go(struct pair *p)
{
	struct svc_stats *s = &p->l->stats;

	for (;;) {
		enum pick_fail why;
		struct backend *b = pick(p, &why);

		if (b == NULL) {
			if (p->attempts != 0) {
				p->pool->stats.exhausted++;
			} else if (why == PICK_FULL) {
				p->pool->stats.full++;
			} else {
				p->pool->stats.no_backend++;
			}
			return false;
		}
		if (p->attempts > p->l->cfg->proxy.retries) {
			p->pool->stats.exhausted++;
			return false;
		}
		if (p->attempts != 0) {
			s->proxy_retries++;
			p->pool->stats.retries++;
		}
		p->attempts++;
		s->proxy_connects++;
		p->server = connect_to(p, b);
		if (p->server != NULL) {
			attach(p, b);
			p->state = PAIR_CONNECT;
			p->phase_ms = pair_now_ms(p);
			pair_arm(p);
			return true;
		}
		if (errno == ENETUNREACH)
			backend_failed(b, svc_now(p->l->svc));
		else
			s->proxy_no_source++;
		remember(p, b);
	}
}

void pair_attempt_failed(struct pair *p, bool backends_fault)
{
	struct backend *b = p->backend;

	p->l->stats.proxy_connect_fails++;
	if (backends_fault)
		backend_failed(b, svc_now(p->l->svc));
	remember(p, b);
	pair_detach(p);
	if (!pair_go(p))
		pair_refuse(p);
}
