/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of a worker: made, changed in place, drained. */
#include <errno.h>
#include <stdlib.h>

#include "runtime.h"

/* Slots of the connection table that a drain looks at per svc_poll(): some tens of microseconds. */
#define DRAIN_SLOTS 1024

static struct svc_entry *find(const struct svc *s, uint32_t id)
{
	struct svc_entry *x;

	for (x = s->live; x != NULL && x->l.cfg->id != id; x = x->next)
		;
	return x;
}

static void params_of(struct svc_entry *x, struct svc_listener_cfg *cfg,
		      struct tcp_listener_params *p)
{
	const struct svc_type *type = svc_types[cfg->kind];

	*p = (struct tcp_listener_params){
		.id = cfg->id,
		.vrf = cfg->vrf,
		.family = cfg->family,
		.addr = cfg->addr,
		.port = cfg->port,
		.ops = &type->ops,
		.ctx = &x->l,
		.opt = cfg->tcp,
		.backlog = cfg->backlog,
		.max_conns = cfg->max_conns,
		.rate = cfg->rate,
		.burst = cfg->burst,
		.max_per_source = cfg->max_per_source,
		.allow = cfg->allow,
		.deny = cfg->deny,
		.n_allow = cfg->n_allow,
		.n_deny = cfg->n_deny,
		.reset_denied = cfg->reset_denied,
	};
	p->opt.no_nagle |= type->no_nagle;
}

static bool same_place(const struct svc_listener_cfg *a, const struct svc_listener_cfg *b)
{
	return a->vrf == b->vrf && a->family == b->family && a->port == b->port &&
	       memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

static void entry_free(struct svc_entry *x)
{
	if (x->l.type->stop != NULL)
		x->l.type->stop(&x->l, x->l.priv);
	svc_listener_cfg_release(x->l.cfg);
	free(x);
}

/* In place: connections have the new configuration from now on. */
static int update(struct svc_entry *x, struct svc_listener_cfg *cfg)
{
	const struct svc_type *type = x->l.type;
	struct tcp_listener_params p;
	void *priv = NULL, *before = x->l.priv;
	int err;

	if (type->start != NULL) {
		err = type->start(&x->l, cfg, &priv);
		if (err < 0)
			return err;
	}
	params_of(x, cfg, &p);
	err = tcp_listener_update(x->tl, &p);
	if (err < 0) {
		if (type->stop != NULL)
			type->stop(&x->l, priv);
		return err;
	}
	x->l.priv = priv;
	if (type->stop != NULL)
		type->stop(&x->l, before);
	svc_listener_cfg_release(x->l.cfg);
	x->l.cfg = svc_listener_cfg_hold(cfg);
	return 0;
}

/* Everything of a new listener but the listening. */
static int prepare(struct svc *s, struct svc_listener_cfg *cfg, struct svc_entry **out)
{
	struct svc_entry *x = calloc(1, sizeof(*x));
	int err = 0;

	if (x == NULL)
		return -ENOMEM;
	x->l.svc = s;
	x->l.type = svc_types[cfg->kind];
	x->l.cfg = svc_listener_cfg_hold(cfg);
	x->l.ready = cfg->kind != SVC_PROXY;
	if (x->l.type->start != NULL)
		err = x->l.type->start(&x->l, cfg, &x->l.priv);
	if (err < 0) {
		svc_listener_cfg_release(x->l.cfg);
		free(x);
		return err;
	}
	*out = x;
	return 0;
}

static int listen_on(struct svc *s, struct svc_entry *x)
{
	struct tcp_listener_params p;

	params_of(x, x->l.cfg, &p);
	x->tl = tcp_listen(s->e, &p);
	return x->tl != NULL ? 0 : -errno;
}

static void retire(struct svc *s, struct svc_entry *x, enum svc_drain how, uint64_t deadline)
{
	struct svc_entry **at;

	for (at = &s->live; *at != x; at = &(*at)->next)
		;
	*at = x->next;
	s->n_live--;
	x->next = s->old;
	s->old = x;
	s->n_old++;
	x->drain = how;
	x->cursor = 0;
	x->deadline = deadline;
	x->l.draining = how != SVC_DRAIN_NONE;
	tcp_unlisten(x->tl);
}

/* Under the same id, of another kind or elsewhere. */
static int replace(struct svc *s, struct svc_entry *old, struct svc_entry *x)
{
	bool stay = same_place(old->l.cfg, x->l.cfg);
	int err;

	if (!stay) {
		err = listen_on(s, x);
		if (err == 0)
			retire(s, old, SVC_DRAIN_NONE, UINT64_MAX);
		return err;
	}
	/* The place has to be free before it can be taken; if that fails, the old one gets it back.
	 */
	retire(s, old, SVC_DRAIN_NONE, UINT64_MAX);
	err = listen_on(s, x);
	if (err < 0) {
		struct svc_entry *again;

		if (prepare(s, old->l.cfg, &again) == 0) {
			if (listen_on(s, again) == 0) {
				again->next = s->live;
				s->live = again;
				s->n_live++;
			} else {
				entry_free(again);
			}
		}
	}
	return err;
}

int svc_listener_set(struct svc *s, struct svc_listener_cfg *cfg)
{
	struct svc_entry *old = find(s, cfg->id), *x;
	int err;

	if (old != NULL && old->l.cfg->kind == cfg->kind && same_place(old->l.cfg, cfg))
		return update(old, cfg);
	err = prepare(s, cfg, &x);
	if (err < 0)
		return err;
	err = old != NULL ? replace(s, old, x) : listen_on(s, x);
	if (err < 0) {
		entry_free(x);
		return err;
	}
	x->next = s->live;
	s->live = x;
	s->n_live++;
	return 0;
}

int svc_listener_delete(struct svc *s, uint32_t id, uint32_t drain_ms)
{
	struct svc_entry *x = find(s, id);

	if (x == NULL)
		return -ENOENT;
	retire(s, x, drain_ms == 0 ? SVC_DRAIN_RESET : SVC_DRAIN_ASK,
	       s->now + drain_ms * 1000000ull);
	return 0;
}

static void visit(void *arg, struct tcp_conn *c, const struct tcp_info *info)
{
	struct svc_entry *x = arg;

	(void)info;
	if (c == NULL || tcp_conn_listener(c) != x->tl)
		return;
	if (x->drain == SVC_DRAIN_RESET) {
		x->l.stats.aborted++;
		tcp_kill(c);
	} else {
		x->l.stats.drained++;
		tcp_drain(c);
	}
}

/* One slice of a drain. */
static void drain(struct svc *s, struct svc_entry *x)
{
	if (x->drain == SVC_DRAIN_ASK || x->drain == SVC_DRAIN_WAIT) {
		if (s->now >= x->deadline) {
			x->drain = SVC_DRAIN_RESET;
			x->cursor = 0;
		}
	}
	if (x->drain != SVC_DRAIN_ASK && x->drain != SVC_DRAIN_RESET)
		return;
	tcp_walk(s->e, &x->cursor, DRAIN_SLOTS, visit, x);
	if (x->cursor == UINT32_MAX) {
		x->cursor = 0;
		if (x->drain == SVC_DRAIN_ASK)
			x->drain = SVC_DRAIN_WAIT;
	}
}

void svc_listener_poll(struct svc *s)
{
	struct svc_entry **at = &s->old;

	while (*at != NULL) {
		struct svc_entry *x = *at;

		/* Before the engine's listener, which may be gone with the last connection, is
		 * compared with. */
		if (x->l.conns == 0) {
			*at = x->next;
			s->n_old--;
			entry_free(x);
			continue;
		}
		drain(s, x);
		at = &x->next;
	}
}

uint64_t svc_listener_next(const struct svc *s)
{
	const struct svc_entry *x;
	uint64_t next = UINT64_MAX;

	for (x = s->old; x != NULL; x = x->next) {
		if (x->l.conns == 0 || x->drain == SVC_DRAIN_ASK || x->drain == SVC_DRAIN_RESET)
			return s->now;
		if (x->drain == SVC_DRAIN_WAIT && x->deadline < next)
			next = x->deadline;
	}
	return next;
}

void svc_listener_free_all(struct svc *s)
{
	while (s->live != NULL)
		retire(s, s->live, SVC_DRAIN_RESET, 0);
	while (s->old != NULL) {
		struct svc_entry *x = s->old;

		s->old = x->next;
		entry_free(x);
	}
}

int svc_listener_stats(const struct svc *s, uint32_t id, struct svc_listener_stats *out)
{
	const struct svc_entry *x = find(s, id);

	if (x == NULL)
		return -ENOENT;
	tcp_listener_stats(x->tl, &out->tcp);
	out->svc = x->l.stats;
	out->ready = x->l.ready;
	return 0;
}

uint32_t svc_listener_left(const struct svc *s, uint32_t id)
{
	const struct svc_entry *x;
	uint32_t n = 0;

	for (x = s->old; x != NULL; x = x->next)
		if (x->l.cfg->id == id)
			n += x->l.conns;
	return n;
}

uint32_t svc_listeners(const struct svc *s, uint32_t *ids, uint32_t n)
{
	const struct svc_entry *x;
	uint32_t i = 0;

	for (x = s->live; x != NULL && i < n; x = x->next)
		ids[i++] = x->l.cfg->id;
	return s->n_live;
}

uint32_t svc_draining(const struct svc *s)
{
	const struct svc_entry *x;
	uint32_t n = 0;

	for (x = s->old; x != NULL; x = x->next)
		n += x->l.conns > 0;
	return n;
}

struct svc_listener *svc_listener_find(const struct svc *s, uint32_t id)
{
	struct svc_entry *x = find(s, id);

	return x != NULL ? &x->l : NULL;
}

void svc_listener_each(struct svc *s, enum svc_kind kind,
		       void (*fn)(void *arg, struct svc_listener *l), void *arg)
{
	struct svc_entry *x;

	for (x = s->live; x != NULL; x = x->next)
		if (x->l.cfg->kind == kind)
			fn(arg, &x->l);
}

void svc_set_ready(struct svc_listener *l, bool ready)
{
	struct svc *s = l->svc;

	if (l->ready == ready)
		return;
	l->ready = ready;
	if (s->env.listener_ready != NULL)
		s->env.listener_ready(s->env.ctx, l->cfg->id, ready);
}
