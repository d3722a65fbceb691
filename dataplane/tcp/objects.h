/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners and pools as the control thread knows them: by name, with their owner, and with the
 * message that wrote them, so that what is written again unchanged changes nothing.
 */
#ifndef MILLRACE_TCP_OBJECTS_H
#define MILLRACE_TCP_OBJECTS_H

#include "host.h"
#include "service/pool.h"

#define TERM_LISTENERS_MAX 4096
#define TERM_POOLS_MAX	   1024

/* The message an object was written by, packed; its own from malloc(). */
struct term_msg {
	void *data;
	size_t len;
};

struct term_listener {
	uint32_t id;
	struct owner_tag owner;
	struct svc_listener_cfg *cfg;
	struct term_msg msg;
	/* For a sweep. */
	uint32_t drain_ms;
	/* Deleted: connections that were left when they were last counted. */
	uint32_t left;
	struct term_listener *next;
};

struct term_pool_obj {
	uint32_t id;
	struct owner_tag owner;
	struct svc_pool_cfg *cfg;
	struct term_msg msg;
	/* Listeners that refer to it. */
	unsigned int refs;
	/* What the subscribers were last told. */
	bool told, healthy;
	uint8_t *backends_told;
	/* Wall clock of the last change of `healthy`, nanoseconds. */
	uint64_t changed_ns;
};

struct term_listener *term_listener_find(const char *name);
struct term_listener *term_listener_by_id(uint32_t id);
/* In the order of their places; *pos starts at 0, NULL at the end. */
struct term_listener *term_listener_next(uint32_t *pos);

/*
 * Puts a checked configuration in force in all workers: of a new listener (have NULL; its id is
 * chosen here), or of one there is. Takes the reference to cfg and the message in any case. On
 * failure everything is as before.
 */
int term_listener_set(struct term_listener *have, struct svc_listener_cfg *cfg,
		      struct owner_tag owner, uint32_t drain_ms, struct term_msg msg,
		      struct dp_error *err);
void term_listener_delete(struct term_listener *l, uint32_t drain_ms);
/* The first of those that are deleted and still had connections lately; they go by themselves. */
struct term_listener *term_listener_draining(void);
/* From a tick: forgets those that have none any more. */
void term_listener_tick(void);

struct term_pool_obj *term_pool_find(const char *name);
struct term_pool_obj *term_pool_by_id(uint32_t id);
struct term_pool_obj *term_pool_next(uint32_t *pos);
/* As term_listener_set(); seals the configuration. */
int term_pool_set(struct term_pool_obj *have, struct svc_pool_cfg *cfg, struct owner_tag owner,
		  struct term_msg msg, struct dp_error *err);
/* DP_IN_USE while a listener refers to it. */
int term_pool_delete(struct term_pool_obj *p, struct dp_error *err);

/* Tells the subscribers of changes of health; from a tick. */
void term_health_tick(uint64_t now_ns, void *arg);

#endif
