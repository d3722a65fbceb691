/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime.h"

#include <errno.h>
#include <stdlib.h>

#define STATES_DEFAULT 65536
#define WALL_INTERVAL  500000000ull
#define WALK_SLOTS     4096

/* In the order of enum svc_kind: the place to name a new service. */
const struct svc_type *const svc_types[SVC_KINDS] = {
	[SVC_ECHO] = &svc_echo, [SVC_DISCARD] = &svc_discard, [SVC_CHARGEN] = &svc_chargen,
	[SVC_HTTP] = &svc_http, [SVC_PROXY] = &svc_proxy,
};

#define X(name, help) #name,
const char *const svc_stat_names[SVC_STATS_COUNT] = {SVC_STATS(X)};
#undef X
#define X(name, help) help,
const char *const svc_stat_helps[SVC_STATS_COUNT] = {SVC_STATS(X)};
#undef X

const char *svc_kind_name(enum svc_kind kind)
{
	return kind < SVC_KINDS ? svc_types[kind]->name : "unknown";
}

enum svc_kind svc_kind_parse(const char *name)
{
	enum svc_kind k;

	for (k = 0; k < SVC_KINDS; k++)
		if (strcmp(svc_types[k]->name, name) == 0)
			break;
	return k;
}

static void free_types(struct svc *s)
{
	enum svc_kind k;

	for (k = 0; k < SVC_KINDS; k++) {
		if (svc_types[k]->destroy != NULL && s->types[k].shared != NULL)
			svc_types[k]->destroy(s, s->types[k].shared);
		free(s->types[k].slab.mem);
	}
}

static int create_type(struct svc *s, enum svc_kind k)
{
	const struct svc_type *t = svc_types[k];
	uint32_t max = s->env.max_states != 0 ? s->env.max_states : STATES_DEFAULT;

	if (t->state_size != 0) {
		uint32_t size = (t->state_size + 63) & ~63u;
		void *mem = aligned_alloc(64, tcp_slab_bytes(max, size));

		if (mem == NULL)
			return -ENOMEM;
		tcp_slab_init(&s->types[k].slab, mem, max, size);
	}
	return t->create != NULL ? t->create(s, &s->types[k].shared) : 0;
}

struct svc *svc_create(struct tcp_engine *e, const struct svc_env *env, uint64_t now_ns)
{
	struct svc *s = calloc(1, sizeof(*s));
	enum svc_kind k;

	if (s == NULL)
		return NULL;
	s->e = e;
	s->env = *env;
	s->now = now_ns;
	s->wall_s = env->wall_s(env->ctx);
	s->wall_at = now_ns + WALL_INTERVAL;
	svc_date_format(s->wall_s, s->date);
	for (k = 0; k < SVC_KINDS; k++) {
		int err = create_type(s, k);

		if (err < 0) {
			free_types(s);
			free(s);
			errno = -err;
			return NULL;
		}
	}
	return s;
}

void svc_destroy(struct svc *s)
{
	struct svc_filter any = {0};
	uint32_t cursor = 0;

	if (s == NULL)
		return;
	while (cursor != UINT32_MAX)
		svc_kill(s, &any, &cursor, WALK_SLOTS);
	/* The services hear of it and let go. */
	tcp_flush(s->e);
	svc_listener_free_all(s);
	free_types(s);
	free(s);
}

void svc_poll(struct svc *s, uint64_t now_ns)
{
	enum svc_kind k;

	s->now = now_ns;
	if (now_ns >= s->wall_at) {
		uint64_t wall_s = s->env.wall_s(s->env.ctx);

		s->wall_at = now_ns + WALL_INTERVAL;
		if (wall_s != s->wall_s) {
			s->wall_s = wall_s;
			svc_date_format(wall_s, s->date);
		}
	}
	for (k = 0; k < SVC_KINDS; k++)
		if (svc_types[k]->poll != NULL)
			svc_types[k]->poll(s, s->types[k].shared, now_ns);
	if (s->old != NULL)
		svc_listener_poll(s);
}

uint64_t svc_next(const struct svc *s)
{
	uint64_t next = s->old != NULL ? svc_listener_next(s) : UINT64_MAX;
	enum svc_kind k;

	/* Not for the Date: whoever answers has polled just before. */
	for (k = 0; k < SVC_KINDS; k++) {
		if (svc_types[k]->next != NULL) {
			uint64_t t = svc_types[k]->next(s, s->types[k].shared);

			if (t < next)
				next = t;
		}
	}
	return next;
}

struct tcp_engine *svc_engine(const struct svc *s)
{
	return s->e;
}

const struct svc_env *svc_env(const struct svc *s)
{
	return &s->env;
}

uint64_t svc_now(const struct svc *s)
{
	/* Callbacks of received segments run at the time of the engine, which is ahead. */
	uint64_t engine = tcp_now(s->e);

	return engine > s->now ? engine : s->now;
}

void *svc_shared(const struct svc *s, enum svc_kind kind)
{
	return s->types[kind].shared;
}

const char *svc_date(const struct svc *s)
{
	return s->date;
}

void *svc_state_get(struct svc *s, enum svc_kind kind)
{
	struct tcp_slab *slab = &s->types[kind].slab;
	uint32_t idx = tcp_slab_alloc(slab);

	return idx != TCP_NIL ? tcp_slab_at(slab, idx) : NULL;
}

void svc_state_put(struct svc *s, enum svc_kind kind, void *state)
{
	struct tcp_slab *slab = &s->types[kind].slab;

	tcp_slab_free(slab, (uint32_t)(((uint8_t *)state - slab->mem) / slab->size));
}
