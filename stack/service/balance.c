/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend takes a new connection, and from which address. */
#include "maglev.h"
#include "pool_private.h"

/* Other entries of the Maglev table that are looked at before the backends are gone through. */
#define HASH_PROBES 16

/* What one connection may choose from. */
struct choice {
	struct pool *p;
	const uint16_t *tried;
	uint32_t n_tried;
	uint64_t now;
	/* Also those that failed connections took out: better than nobody. */
	bool desperate;
	bool saw_ejected, saw_full;
};

static bool may_take(struct choice *c, const struct backend *b)
{
	const struct svc_pool_cfg *cfg = c->p->cfg;
	const struct svc_backend_state *s = b->cfg.state;

	if (b->cfg.admin != SVC_BACKEND_ENABLED || backend_checked(cfg, s) == SVC_HEALTH_DOWN)
		return false;
	for (uint32_t i = 0; i < c->n_tried; i++)
		if (c->tried[i] == b->serial)
			return false;
	if (!c->desperate && backend_ejected(cfg, s, c->now)) {
		c->saw_ejected = true;
		return false;
	}
	if (b->cfg.max_conns != 0 && state_active(s->w) >= b->cfg.max_conns) {
		c->saw_full = true;
		return false;
	}
	return true;
}

/*
 * Smooth weighted round robin: each gains its weight, the richest is taken and pays the sum of all.
 * Weights 5, 1, 1 give a a b a c a a and not a a a a a b c.
 */
static struct backend *round_robin(struct choice *c)
{
	struct backend *best = NULL;
	int64_t total = 0;

	for (uint32_t i = 0; i < c->p->n; i++) {
		struct backend *b = c->p->backends[i];
		uint32_t weight;

		if (!may_take(c, b))
			continue;
		weight = backend_weight(c->p->cfg, &b->cfg, c->now);
		b->current += weight;
		total += weight;
		if (best == NULL || b->current > best->current)
			best = b;
	}
	if (best != NULL)
		best->current -= total;
	return best;
}

static struct backend *least_conns(struct choice *c)
{
	struct backend *best = NULL;
	uint64_t best_load = 0, best_weight = 1;
	/* Ties go round, so that idle backends share what comes one by one. */
	uint32_t n = c->p->n, start = n != 0 ? c->p->turn++ % n : 0;

	for (uint32_t k = 0; k < n; k++) {
		struct backend *b = c->p->backends[(start + k) % n];
		uint64_t load, weight;

		if (!may_take(c, b))
			continue;
		weight = backend_weight(c->p->cfg, &b->cfg, c->now);
		load = (uint64_t)b->stats.active + 1;
		if (best == NULL || load * best_weight < best_load * weight) {
			best = b;
			best_load = load;
			best_weight = weight;
		}
	}
	return best;
}

/* In a slow start a backend takes only a share of its keys, always the same and more. */
static bool takes_key(const struct choice *c, const struct backend *b, uint64_t key)
{
	uint32_t weight = backend_weight(c->p->cfg, &b->cfg, c->now), full = b->cfg.weight * 1000u;

	return weight == full || svc_mix(key ^ 0x736c6f77ull) % full < weight;
}

static struct backend *by_hash(struct choice *c, uint64_t key)
{
	const struct svc_pool_cfg *cfg = c->p->cfg;
	uint64_t h = key;
	uint32_t n = c->p->n;

	if (n == 0)
		return NULL;
	/* A backend that is out leaves its keys to the others by their shares, while these keep
	 * theirs. */
	for (int i = 0; i < HASH_PROBES; i++, h = svc_mix(h + 0x9e3779b97f4a7c15ull)) {
		struct backend *b = c->p->backends[cfg->maglev[h % cfg->maglev_size]];

		if (may_take(c, b) && takes_key(c, b, h))
			return b;
	}
	for (uint32_t k = 0; k < n; k++) {
		struct backend *b = c->p->backends[(key + k) % n];

		if (may_take(c, b))
			return b;
	}
	return NULL;
}

static struct backend *choose(struct choice *c, uint64_t key)
{
	switch (c->p->cfg->balance) {
	case SVC_BALANCE_LEAST_CONNS:
		return least_conns(c);
	case SVC_BALANCE_HASH:
		return by_hash(c, key);
	default:
		return round_robin(c);
	}
}

struct backend *pool_pick(struct pool *p, uint64_t key, const uint16_t *tried, uint32_t n_tried,
			  uint64_t now, enum pick_fail *why)
{
	struct choice c = {.p = p, .tried = tried, .n_tried = n_tried, .now = now};
	struct backend *b = NULL;

	*why = PICK_OK;
	if (p->deleted) {
		*why = PICK_NONE;
		return NULL;
	}
	if (p->cfg->max_conns != 0 && state_active(p->cfg->state->w) >= p->cfg->max_conns) {
		*why = PICK_FULL;
		return NULL;
	}
	b = choose(&c, key);
	if (b == NULL && c.saw_ejected) {
		c.desperate = true;
		b = choose(&c, key);
	}
	if (b == NULL)
		*why = c.saw_full ? PICK_FULL : PICK_NONE;
	return b;
}

/* ---- The source address ---- */

static bool same_family(const struct tcp_addr *a, const struct tcp_addr *b)
{
	return tcp_addr_is4(a) == tcp_addr_is4(b);
}

static bool source_of_pool(struct pool *p, const struct backend *b, uint32_t attempt,
			   struct tcp_addr *out)
{
	const struct svc_pool_cfg *cfg = p->cfg;
	uint32_t n = 0, want;

	for (uint32_t i = 0; i < cfg->n_sources; i++)
		n += same_family(&cfg->sources[i], &b->cfg.addr);
	if (n == 0 || attempt >= n)
		return false;
	if (attempt == 0)
		p->source_turn++;
	want = (p->source_turn + attempt) % n;
	for (uint32_t i = 0; i < cfg->n_sources; i++) {
		if (!same_family(&cfg->sources[i], &b->cfg.addr) || want-- != 0)
			continue;
		*out = cfg->sources[i];
		return true;
	}
	return false;
}

int pool_source(struct pool *p, const struct backend *b, const struct tcp_addr *client,
		uint16_t client_port, uint32_t attempt, struct tcp_tuple *t)
{
	const struct svc_env *env = svc_env(p->w->svc);

	t->lport = 0;
	if (p->cfg->source_mode == SVC_SOURCE_POOL)
		return source_of_pool(p, b, attempt, &t->laddr) ? 0 : REASON_NO_SOURCE;
	if (attempt != 0)
		return REASON_NO_SOURCE;
	if (p->cfg->source_mode == SVC_SOURCE_TRANSPARENT && client != NULL &&
	    same_family(client, &b->cfg.addr)) {
		t->laddr = *client;
		t->lport = client_port;
		return 0;
	}
	if (env->source == NULL || !env->source(env->ctx, b->cfg.vrf, &b->cfg.addr, &t->laddr))
		return REASON_NO_SOURCE;
	return 0;
}
