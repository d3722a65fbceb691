/* SPDX-License-Identifier: Apache-2.0 */
/* Pools on a worker: put in force, looked after, drained. */
#include <errno.h>
#include <stdlib.h>

#include "pool_private.h"

/* How often a worker looks at what others found out about backends. */
#define LOOK_NS (200 * NS_PER_MS)
/* Connections of a drained backend reset per poll: the vectors in between must not wait long. */
#define ABORT_BATCH 256

static struct proxy_worker *worker_of(const struct svc *s)
{
	return svc_shared(s, SVC_PROXY);
}

static const struct svc_env *env_of(const struct pool *p)
{
	return svc_env(p->w->svc);
}

struct pool *pool_find(const struct proxy_worker *w, uint32_t id)
{
	for (struct pool *p = w->pools; p != NULL; p = p->next)
		if (p->id == id && !p->deleted)
			return p;
	return NULL;
}

/* ---- Counts ---- */

static void publish_active(struct backend *b)
{
	struct pool *p = b->pool;
	uint16_t worker = env_of(p)->worker;

	store32(&b->cfg.state->w[worker].active, b->stats.active);
	store32(&p->cfg->state->w[worker].active, p->active);
}

void backend_take(struct backend *b)
{
	b->stats.active++;
	b->pool->active++;
	publish_active(b);
}

void backend_drop(struct backend *b)
{
	b->stats.active--;
	b->pool->active--;
	publish_active(b);
}

void backend_worked(struct backend *b)
{
	b->stats.conns++;
	b->pool->stats.conns++;
	/* Mostly it is 0 already: no store that would take the line from other workers. */
	if (load32(&b->cfg.state->passive_fails) != 0)
		store32(&b->cfg.state->passive_fails, 0);
}

void backend_failed(struct backend *b, uint64_t now)
{
	struct svc_backend_state *s = b->cfg.state;
	const struct svc_pool_cfg *cfg = b->pool->cfg;

	b->stats.connect_fails++;
	b->pool->stats.connect_fails++;
	if (cfg->no_passive)
		return;
	/* Past the limit it stays there: the first failure after the pause begins the next. */
	if (load32(&s->passive_fails) < cfg->passive_fall)
		atomic_fetch_add_explicit(&s->passive_fails, 1, memory_order_relaxed);
	if (load32(&s->passive_fails) >= cfg->passive_fall) {
		if (load64(&s->passive_until_ns) <= now)
			store64(&s->changed_ns, now);
		store64(&s->passive_until_ns, now + cfg->passive_ms * NS_PER_MS);
	}
}

/* ---- Health of the pool, readiness of the listeners ---- */

void pool_look(struct pool *p, uint64_t now)
{
	struct svc_pool_health h;

	if (p->deleted)
		return;
	svc_pool_health(p->cfg, now, &h);
	if (h.healthy == p->healthy)
		return;
	p->healthy = h.healthy;
	if (env_of(p)->health_checks) {
		store64(&p->cfg->state->changed_ns, now);
		if (env_of(p)->pool_health != NULL)
			env_of(p)->pool_health(env_of(p)->ctx, p->id, NULL, h.healthy,
					       h.healthy ? "" : "too few backends are up");
	}
}

static void look_listener(void *arg, struct svc_listener *l)
{
	const struct proxy_worker *w = arg;
	const struct svc_proxy_cfg *cfg = &l->cfg->proxy;
	const struct pool *p = pool_find(w, cfg->pool_id);
	const struct pool *backup = pool_find(w, cfg->backup_pool_id);

	svc_set_ready(l, (p != NULL && p->healthy) || (backup != NULL && backup->healthy));
}

static void look_listeners(struct proxy_worker *w)
{
	svc_listener_each(w->svc, SVC_PROXY, look_listener, w);
}

/* ---- Putting a configuration in force ---- */

static struct backend *find_backend(struct pool *p, const struct svc_backend_cfg *cfg,
				    uint32_t *hint)
{
	/* As svc_pool_cfg_seal(): lists mostly stay in order. */
	for (uint32_t k = 0; k < p->n; k++) {
		uint32_t j = (*hint + k) % p->n;
		struct backend *b = p->backends[j];

		if (b->cfg.port == cfg->port && b->cfg.vrf == cfg->vrf &&
		    memcmp(&b->cfg.addr, &cfg->addr, sizeof(cfg->addr)) == 0) {
			*hint = j + 1;
			return b;
		}
	}
	for (struct backend *b = p->gone; b != NULL; b = b->next)
		if (b->cfg.port == cfg->port && b->cfg.vrf == cfg->vrf &&
		    memcmp(&b->cfg.addr, &cfg->addr, sizeof(cfg->addr)) == 0)
			return b;
	return NULL;
}

static void unlink_gone(struct backend *b)
{
	struct backend **pb = &b->pool->gone;

	while (*pb != b)
		pb = &(*pb)->next;
	*pb = b->next;
	b->gone = false;
}

static uint64_t drain_end(const struct backend *b, uint64_t now)
{
	return b->cfg.drain_ms != 0 ? now + b->cfg.drain_ms * NS_PER_MS : UINT64_MAX;
}

static void leave_out(struct backend *b, uint64_t now)
{
	check_stop(b);
	if (b->abort_ns == UINT64_MAX)
		b->abort_ns = drain_end(b, now);
	b->gone = true;
	b->next = b->pool->gone;
	b->pool->gone = b;
}

static void apply_backend(struct backend *b, const struct svc_pool_cfg *cfg,
			  const struct svc_backend_cfg *bc, uint64_t now)
{
	struct svc_backend_state *old = b->cfg.state;
	bool fresh = old == NULL;
	bool same_drain =
		!fresh && !b->gone && b->cfg.admin == bc->admin && b->cfg.drain_ms == bc->drain_ms;

	if (b->gone)
		unlink_gone(b);
	b->cfg = *bc;
	backend_state_hold(b->cfg.state);
	/* It was gone for a while and is known by another state now: what is left is counted
	 * there. */
	if (old != b->cfg.state && old != NULL)
		store32(&old->w[env_of(b->pool)->worker].active, 0);
	backend_state_release(old);
	if (bc->admin == SVC_BACKEND_ENABLED)
		b->abort_ns = UINT64_MAX;
	else if (bc->admin == SVC_BACKEND_DISABLED)
		b->abort_ns = now;
	else if (!same_drain)
		b->abort_ns = drain_end(b, now);
	publish_active(b);
	if (fresh && b->cfg.state->late && cfg->slow_start_ms != 0) {
		uint64_t none = 0;

		/* The first worker to see it starts its clock. */
		atomic_compare_exchange_strong(&b->cfg.state->slow_from_ns, &none, now);
	}
}

static struct backend *new_backend(struct pool *p)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->pool = p;
	b->serial = p->next_serial++;
	b->abort_ns = UINT64_MAX;
	LIST_INIT(&b->pairs);
	return b;
}

static int set_backends(struct pool *p, struct svc_pool_cfg *cfg, uint64_t now)
{
	struct backend **list = calloc(cfg->n_backends + 1, sizeof(*list)), **old = p->backends;
	struct svc_pool_cfg *old_cfg = p->cfg;
	uint32_t n_old = p->n, hint = 0;

	if (list == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < cfg->n_backends; i++) {
		list[i] = find_backend(p, &cfg->backends[i], &hint);
		if (list[i] == NULL)
			list[i] = new_backend(p);
		if (list[i] != NULL)
			continue;
		/* New ones have no state yet. */
		while (i-- > 0)
			if (list[i]->cfg.state == NULL)
				free(list[i]);
		free(list);
		return -ENOMEM;
	}
	p->cfg = svc_pool_cfg_hold(cfg);
	if (old_cfg != NULL && old_cfg->state != cfg->state)
		store32(&old_cfg->state->w[env_of(p)->worker].active, 0);
	p->backends = list;
	p->n = cfg->n_backends;
	p->generation++;
	for (uint32_t i = 0; i < p->n; i++)
		list[i]->generation = p->generation;
	for (uint32_t i = 0; i < n_old; i++)
		if (old[i]->generation != p->generation)
			leave_out(old[i], now);
	for (uint32_t i = 0; i < p->n; i++)
		apply_backend(list[i], cfg, &cfg->backends[i], now);
	free(old);
	svc_pool_cfg_release(old_cfg);
	return 0;
}

static struct pool *pool_new(struct proxy_worker *w, uint32_t id)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->w = w;
	p->id = id;
	LIST_INIT(&p->waiting);
	return p;
}

int svc_pool_set(struct svc *s, struct svc_pool_cfg *cfg)
{
	struct proxy_worker *w = worker_of(s);
	struct pool *p = pool_find(w, cfg->id);
	bool fresh = p == NULL;
	uint64_t now = svc_now(s);
	int rc;

	if (cfg->state == NULL)
		return -EINVAL;
	if (fresh)
		p = pool_new(w, cfg->id);
	if (p == NULL)
		return -ENOMEM;
	rc = set_backends(p, cfg, now);
	if (rc != 0) {
		if (fresh)
			free(p);
		return rc;
	}
	if (fresh) {
		p->next = w->pools;
		w->pools = p;
	}
	for (uint32_t i = 0; env_of(p)->health_checks && i < p->n; i++)
		check_configure(p->backends[i], now);
	pool_look(p, now);
	look_listeners(w);
	w->next_ns = now;
	return 0;
}

struct user_search {
	uint32_t pool_id;
	bool found;
};

static void search_user(void *arg, struct svc_listener *l)
{
	struct user_search *u = arg;

	if (l->cfg->proxy.pool_id == u->pool_id || l->cfg->proxy.backup_pool_id == u->pool_id)
		u->found = true;
}

int svc_pool_delete(struct svc *s, uint32_t id, uint32_t drain_ms)
{
	struct user_search u = {.pool_id = id};
	struct proxy_worker *w = worker_of(s);
	struct pool *p = pool_find(w, id);
	uint64_t now = svc_now(s);

	if (p == NULL)
		return -ENOENT;
	/* Listeners that are drained may still refer to it, but choose from it no more. */
	svc_listener_each(s, SVC_PROXY, search_user, &u);
	if (u.found)
		return -EBUSY;
	p->deleted = true;
	p->healthy = false;
	p->abort_ns = now + drain_ms * NS_PER_MS;
	for (uint32_t i = 0; i < p->n; i++) {
		p->backends[i]->abort_ns = p->abort_ns;
		leave_out(p->backends[i], now);
	}
	for (struct backend *b = p->gone; b != NULL; b = b->next)
		if (b->abort_ns > p->abort_ns)
			b->abort_ns = p->abort_ns;
	p->n = 0;
	w->next_ns = now;
	return 0;
}

/* ---- Looking after them ---- */

static void backend_free(struct backend *b)
{
	store32(&b->cfg.state->w[env_of(b->pool)->worker].active, 0);
	backend_state_release(b->cfg.state);
	free(b);
}

/* Resets what may not go on. Returns false if there is more of it. */
static bool abort_due(struct pool *p, struct backend *b, uint64_t now)
{
	uint32_t n;

	if (b->abort_ns > now)
		return true;
	n = pairs_abort(&b->pairs, ABORT_BATCH);
	p->stats.drain_aborts += n;
	return LIST_EMPTY(&b->pairs);
}

static bool abort_all_due(struct pool *p, uint64_t now)
{
	bool done = true;

	for (uint32_t i = 0; i < p->n; i++)
		done &= abort_due(p, p->backends[i], now);
	for (struct backend **pb = &p->gone, *b; (b = *pb) != NULL;) {
		done &= abort_due(p, b, now);
		if (!LIST_EMPTY(&b->pairs)) {
			pb = &b->next;
			continue;
		}
		*pb = b->next;
		backend_free(b);
	}
	if (p->deleted && p->abort_ns <= now) {
		p->stats.drain_aborts += pairs_abort(&p->waiting, ABORT_BATCH);
		done &= LIST_EMPTY(&p->waiting);
	}
	return done;
}

static void pool_free(struct pool *p)
{
	store32(&p->cfg->state->w[env_of(p)->worker].active, 0);
	svc_pool_cfg_release(p->cfg);
	free(p->backends);
	free(p);
}

void pools_poll(struct proxy_worker *w, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	if (now < w->next_ns)
		return;
	for (struct pool **pp = &w->pools, *p; (p = *pp) != NULL;) {
		bool done = abort_all_due(p, now);

		if (p->deleted && p->users == 0 && p->gone == NULL && LIST_EMPTY(&p->waiting)) {
			*pp = p->next;
			pool_free(p);
			continue;
		}
		if (env_of(p)->health_checks && !p->deleted) {
			uint64_t t = check_poll(p, now);

			if (t < next)
				next = t;
		}
		pool_look(p, now);
		if (!done)
			next = now;
		pp = &p->next;
	}
	if (w->pools != NULL && next > now + LOOK_NS)
		next = now + LOOK_NS;
	w->next_ns = next;
	look_listeners(w);
}

void pools_destroy(struct proxy_worker *w)
{
	struct pool *p;

	while ((p = w->pools) != NULL) {
		struct backend *b;

		for (uint32_t i = 0; i < p->n; i++)
			leave_out(p->backends[i], 0);
		while ((b = p->gone) != NULL) {
			p->gone = b->next;
			pairs_free(&b->pairs);
			backend_free(b);
		}
		pairs_free(&p->waiting);
		w->pools = p->next;
		pool_free(p);
	}
}

/* ---- Counters ---- */

int svc_pool_stats(const struct svc *s, uint32_t id, struct svc_pool_stats *out)
{
	const struct pool *p = pool_find(worker_of(s), id);

	if (p == NULL)
		return -ENOENT;
	*out = p->stats;
	out->active = p->active;
	return 0;
}

int svc_pool_backends(const struct svc *s, uint32_t id,
		      void (*fn)(void *arg, const struct svc_backend_cfg *cfg, bool draining,
				 const struct svc_backend_stats *stats),
		      void *arg)
{
	const struct pool *p = pool_find(worker_of(s), id);

	if (p == NULL)
		return -ENOENT;
	for (uint32_t i = 0; i < p->n; i++)
		fn(arg, &p->backends[i]->cfg, false, &p->backends[i]->stats);
	for (const struct backend *b = p->gone; b != NULL; b = b->next)
		fn(arg, &b->cfg, true, &b->stats);
	return 0;
}

uint32_t svc_pools(const struct svc *s, uint32_t *ids, uint32_t n)
{
	uint32_t total = 0;

	for (const struct pool *p = worker_of(s)->pools; p != NULL; p = p->next) {
		if (p->deleted)
			continue;
		if (total < n)
			ids[total] = p->id;
		total++;
	}
	return total;
}
