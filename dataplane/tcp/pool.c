/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/loop.h"
#include "../seam/seam.h"
#include "objects.h"

static struct term_pool_obj *table[TERM_POOLS_MAX];
static uint32_t last_id;

struct term_pool_obj *term_pool_by_id(uint32_t id)
{
	struct term_pool_obj *p = table[id % TERM_POOLS_MAX];

	return p != NULL && p->id == id ? p : NULL;
}

struct term_pool_obj *term_pool_next(uint32_t *pos)
{
	while (*pos < TERM_POOLS_MAX) {
		struct term_pool_obj *p = table[(*pos)++];

		if (p != NULL)
			return p;
	}
	return NULL;
}

struct term_pool_obj *term_pool_find(const char *name)
{
	struct term_pool_obj *p;
	uint32_t pos = 0;

	while ((p = term_pool_next(&pos)) != NULL)
		if (strcmp(p->cfg->name, name) == 0)
			return p;
	return NULL;
}

static uint32_t new_id(void)
{
	for (unsigned int k = 0; k < TERM_POOLS_MAX; k++) {
		if (++last_id == 0)
			last_id = 1;
		if (table[last_id % TERM_POOLS_MAX] == NULL)
			return last_id;
	}
	return 0;
}

struct set_args {
	struct svc_pool_cfg *cfg;
	int rc;
};

static void worker_set(struct worker *w, void *arg)
{
	struct set_args *a = arg;

	a->rc = svc_pool_set(w->term->svc, a->cfg);
	w->term->next_ns = 0;
}

static void worker_delete(struct worker *w, void *arg)
{
	struct set_args *a = arg;

	a->rc = svc_pool_delete(w->term->svc, a->cfg->id, 0);
	w->term->next_ns = 0;
}

static int put_in_force(struct svc_pool_cfg *cfg, struct svc_pool_cfg *before)
{
	struct set_args a[WORKER_MAX], undo;
	int rc = 0;

	for (unsigned int i = 0; i < n_workers; i++)
		a[i] = (struct set_args){.cfg = cfg};
	workers_call(worker_set, a, sizeof(a[0]));
	for (unsigned int i = 0; i < n_workers; i++)
		if (a[i].rc != 0)
			rc = a[i].rc;
	for (unsigned int i = 0; rc != 0 && i < n_workers; i++) {
		undo.cfg = before != NULL ? before : cfg;
		if (a[i].rc == 0)
			worker_call(workers[i], before != NULL ? worker_set : worker_delete, &undo);
	}
	return rc;
}

int term_pool_set(struct term_pool_obj *have, struct svc_pool_cfg *cfg, struct owner_tag owner,
		  struct term_msg msg, struct dp_error *err)
{
	struct term_pool_obj *p = have;
	uint8_t *told = NULL;
	int rc;

	if (term_start(err) < 0)
		goto fail;
	if (p == NULL)
		p = calloc(1, sizeof(*p));
	told = calloc(cfg->n_backends + 1, 1);
	if (p == NULL || told == NULL) {
		dp_fail(err, DP_NO_MEMORY, "", "no memory for the pool");
		goto fail;
	}
	if (have == NULL) {
		p->id = new_id();
		if (p->id == 0) {
			dp_fail(err, DP_TABLE_FULL, "", "there are %d pools already",
				TERM_POOLS_MAX);
			goto fail;
		}
	}
	cfg->id = p->id;
	rc = svc_pool_cfg_seal(cfg, have != NULL ? have->cfg : NULL);
	if (rc == 0)
		rc = put_in_force(cfg, have != NULL ? have->cfg : NULL);
	if (rc != 0) {
		dp_fail(err, rc == -ENOMEM ? DP_NO_MEMORY : DP_DEVICE, "", "refused: %s",
			strerror(-rc));
		goto fail;
	}
	if (have != NULL) {
		svc_pool_cfg_release(have->cfg);
		free(have->msg.data);
		free(have->backends_told);
	}
	p->cfg = cfg;
	p->msg = msg;
	p->owner = owner;
	p->backends_told = told;
	table[p->id % TERM_POOLS_MAX] = p;
	iface_update_transparent();
	return 0;
fail:
	if (have == NULL)
		free(p);
	free(told);
	svc_pool_cfg_release(cfg);
	free(msg.data);
	return -1;
}

int term_pool_delete(struct term_pool_obj *p, struct dp_error *err)
{
	struct set_args a[WORKER_MAX];
	int rc = 0;

	if (p->refs != 0)
		return dp_fail(err, DP_IN_USE, "name", "%u listeners refer to it", p->refs);
	for (unsigned int i = 0; i < n_workers; i++)
		a[i] = (struct set_args){.cfg = p->cfg};
	workers_call(worker_delete, a, sizeof(a[0]));
	for (unsigned int i = 0; i < n_workers; i++)
		if (a[i].rc != 0 && a[i].rc != -ENOENT)
			rc = a[i].rc;
	if (rc != 0) {
		put_in_force(p->cfg, p->cfg);
		return dp_fail(err, DP_IN_USE, "name", "not deleted: %s", strerror(-rc));
	}
	table[p->id % TERM_POOLS_MAX] = NULL;
	svc_pool_cfg_release(p->cfg);
	free(p->msg.data);
	free(p->backends_told);
	free(p);
	iface_update_transparent();
	return 0;
}

/* ---- health ---- */

/* health + 1, so that 0 is "nothing yet". */
static void tell_backends(struct term_pool_obj *p, const struct svc_pool_health *ph, uint64_t now)
{
	for (uint32_t k = 0; k < p->cfg->n_backends; k++) {
		struct svc_backend_health h;

		svc_backend_health(p->cfg, k, now, &h);
		if (p->backends_told[k] == h.health + 1)
			continue;
		/* That nothing is known yet is no news. */
		if (p->backends_told[k] != 0 || h.health != SVC_HEALTH_UNKNOWN)
			seam_event_tcp_health(p->cfg->name, p->cfg->backends[k].name, (int)h.health,
					      h.reason, ph->up, ph->backends);
		p->backends_told[k] = (uint8_t)(h.health + 1);
	}
}

void term_health_tick(uint64_t now_ns, void *arg)
{
	const uint64_t now = term_now();
	struct term_pool_obj *p;
	uint32_t pos = 0;

	(void)now_ns;
	(void)arg;
	term_listener_tick();
	while ((p = term_pool_next(&pos)) != NULL) {
		struct svc_pool_health h;

		svc_pool_health(p->cfg, now, &h);
		tell_backends(p, &h, now);
		if (p->told && p->healthy == h.healthy)
			continue;
		if (p->told || h.healthy) {
			seam_event_tcp_health(p->cfg->name, "",
					      h.healthy ? SVC_HEALTH_UP : SVC_HEALTH_DOWN, "", h.up,
					      h.backends);
			p->changed_ns = now_wall_ns();
		}
		p->told = true;
		p->healthy = h.healthy;
	}
}
