/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"

/* Place of an id: id % TERM_LISTENERS_MAX. */
static struct term_listener *table[TERM_LISTENERS_MAX];
static uint32_t last_id;

struct term_listener *term_listener_by_id(uint32_t id)
{
	struct term_listener *l = table[id % TERM_LISTENERS_MAX];

	return l != NULL && l->id == id ? l : NULL;
}

struct term_listener *term_listener_next(uint32_t *pos)
{
	while (*pos < TERM_LISTENERS_MAX) {
		struct term_listener *l = table[(*pos)++];

		if (l != NULL)
			return l;
	}
	return NULL;
}

struct term_listener *term_listener_find(const char *name)
{
	struct term_listener *l;
	uint32_t pos = 0;

	while ((l = term_listener_next(&pos)) != NULL)
		if (strcmp(l->cfg->name, name) == 0)
			return l;
	return NULL;
}

unsigned int term_vrf_users(uint16_t vrf)
{
	const struct term_listener *l;
	const struct term_pool_obj *p;
	unsigned int n = 0;
	uint32_t pos = 0;

	while ((l = term_listener_next(&pos)) != NULL)
		n += l->cfg->vrf == vrf;
	pos = 0;
	while ((p = term_pool_next(&pos)) != NULL)
		for (uint32_t k = 0; k < p->cfg->n_backends; k++)
			n += p->cfg->backends[k].vrf == vrf;
	return n;
}

/* An id that is in use neither here nor, since it is new, by a listener that is being drained. */
static uint32_t new_id(void)
{
	for (unsigned int k = 0; k < TERM_LISTENERS_MAX; k++) {
		if (++last_id == 0)
			last_id = 1;
		if (table[last_id % TERM_LISTENERS_MAX] == NULL)
			return last_id;
	}
	return 0;
}

static const struct term_listener *same_place(const struct svc_listener_cfg *c, uint32_t id)
{
	const struct term_listener *l;
	uint32_t pos = 0;

	while ((l = term_listener_next(&pos)) != NULL)
		if (l->id != id && l->cfg->vrf == c->vrf && l->cfg->port == c->port &&
		    l->cfg->family == c->family &&
		    memcmp(&l->cfg->addr, &c->addr, sizeof(c->addr)) == 0)
			return l;
	return NULL;
}

/* Which ports are not for handing over by their number. */
static void ports_update(void)
{
	uint64_t bits[RTE_DIM(term_listen_ports)] = {0};
	const struct term_listener *l;
	uint32_t pos = 0;

	while ((l = term_listener_next(&pos)) != NULL)
		bits[l->cfg->port >> 6] |= 1ull << (l->cfg->port & 63);
	for (unsigned int k = 0; k < RTE_DIM(bits); k++)
		__atomic_store_n(&term_listen_ports[k], bits[k], __ATOMIC_RELAXED);
}

static struct term_pool_obj *pool_of(const struct svc_listener_cfg *c, bool backup)
{
	if (c->kind != SVC_PROXY)
		return NULL;
	return term_pool_by_id(backup ? c->proxy.backup_pool_id : c->proxy.pool_id);
}

static void pools_ref(const struct svc_listener_cfg *c, int by)
{
	for (int k = 0; k < 2; k++) {
		struct term_pool_obj *p = pool_of(c, k);

		if (p != NULL)
			p->refs += (unsigned int)by;
	}
}

/* ---- in the workers ---- */

struct set_args {
	struct svc_listener_cfg *cfg;
	int rc;
};

static void worker_set(struct worker *w, void *arg)
{
	struct set_args *a = arg;

	a->rc = svc_listener_set(w->term->svc, a->cfg);
	w->term->next_ns = 0;
}

struct delete_args {
	uint32_t id, drain_ms;
};

static void worker_delete(struct worker *w, void *arg)
{
	const struct delete_args *a = arg;

	svc_listener_delete(w->term->svc, a->id, a->drain_ms);
	w->term->next_ns = 0;
}

/* All workers or none: those that took it go back to what was before. */
static int put_in_force(struct svc_listener_cfg *cfg, struct svc_listener_cfg *before)
{
	struct set_args a[WORKER_MAX], undo;
	int rc = 0;

	for (unsigned int i = 0; i < n_workers; i++)
		a[i] = (struct set_args){.cfg = cfg};
	workers_call(worker_set, a, sizeof(a[0]));
	for (unsigned int i = 0; i < n_workers; i++)
		if (a[i].rc != 0)
			rc = a[i].rc;
	if (rc == 0)
		return 0;
	for (unsigned int i = 0; i < n_workers; i++) {
		struct delete_args d = {.id = cfg->id};

		undo.cfg = before;
		if (a[i].rc == 0 && before != NULL)
			worker_call(workers[i], worker_set, &undo);
		else if (a[i].rc == 0)
			worker_call(workers[i], worker_delete, &d);
	}
	return rc;
}

int term_listener_set(struct term_listener *have, struct svc_listener_cfg *cfg,
		      struct owner_tag owner, uint32_t drain_ms, struct term_msg msg,
		      struct dp_error *err)
{
	const struct term_listener *other;
	struct term_listener *l = have;
	int rc;

	if (term_start(err) < 0)
		goto fail;
	if (l == NULL) {
		l = calloc(1, sizeof(*l));
		if (l == NULL) {
			dp_fail(err, DP_NO_MEMORY, "", "no memory for the listener");
			goto fail;
		}
		l->id = new_id();
		if (l->id == 0) {
			dp_fail(err, DP_TABLE_FULL, "", "there are %d listeners already",
				TERM_LISTENERS_MAX);
			goto fail;
		}
	}
	cfg->id = l->id;
	other = same_place(cfg, cfg->id);
	if (other != NULL) {
		dp_fail(err, DP_IN_USE, "port", "listener %s has this address and port",
			other->cfg->name);
		goto fail;
	}
	/* Before the workers may have connections of it. */
	table[l->id % TERM_LISTENERS_MAX] = have;
	rc = put_in_force(cfg, have != NULL ? have->cfg : NULL);
	if (rc != 0) {
		dp_fail(err, rc == -ENOMEM ? DP_NO_MEMORY : DP_IN_USE, "", "refused: %s",
			strerror(-rc));
		goto fail;
	}
	pools_ref(cfg, 1);
	if (have != NULL) {
		pools_ref(have->cfg, -1);
		svc_listener_cfg_release(have->cfg);
		free(have->msg.data);
	}
	l->cfg = cfg;
	l->msg = msg;
	l->owner = owner;
	l->drain_ms = drain_ms;
	table[l->id % TERM_LISTENERS_MAX] = l;
	ports_update();
	return 0;
fail:
	if (have == NULL)
		free(l);
	svc_listener_cfg_release(cfg);
	free(msg.data);
	return -1;
}

static struct term_listener *draining;

struct left_args {
	uint32_t id, n;
};

static void worker_left(struct worker *w, void *arg)
{
	struct left_args *a = arg;

	a->n = svc_listener_left(w->term->svc, a->id);
}

static uint32_t count_left(uint32_t id)
{
	struct left_args a[WORKER_MAX];
	uint32_t n = 0;

	for (unsigned int i = 0; i < n_workers; i++)
		a[i] = (struct left_args){.id = id};
	workers_call(worker_left, a, sizeof(a[0]));
	for (unsigned int i = 0; i < n_workers; i++)
		n += a[i].n;
	return n;
}

static void listener_free(struct term_listener *l)
{
	svc_listener_cfg_release(l->cfg);
	free(l->msg.data);
	free(l);
}

struct term_listener *term_listener_draining(void)
{
	return draining;
}

void term_listener_tick(void)
{
	for (struct term_listener **p = &draining; *p != NULL;) {
		struct term_listener *l = *p;

		l->left = count_left(l->id);
		if (l->left != 0) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		listener_free(l);
	}
}

void term_listener_delete(struct term_listener *l, uint32_t drain_ms)
{
	struct delete_args a = {.id = l->id, .drain_ms = drain_ms};

	workers_call(worker_delete, &a, 0);
	pools_ref(l->cfg, -1);
	table[l->id % TERM_LISTENERS_MAX] = NULL;
	ports_update();
	l->left = count_left(l->id);
	if (l->left == 0) {
		listener_free(l);
		return;
	}
	l->next = draining;
	draining = l;
}
