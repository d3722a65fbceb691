/* SPDX-License-Identifier: Apache-2.0 */
/* Connections for operators: found, shown, ended. */
#include "runtime.h"

bool svc_filter_match(const struct svc_filter *f, const struct tcp_info *i)
{
	if (f->listener_id != 0 && f->listener_id != i->listener_id)
		return false;
	if (f->only_outgoing && i->passive)
		return false;
	if (f->by_vrf && f->vrf != i->tuple.vrf)
		return false;
	if ((f->lport != 0 && f->lport != i->tuple.lport) ||
	    (f->rport != 0 && f->rport != i->tuple.rport))
		return false;
	if (f->states != 0 && (f->states >> i->state & 1) == 0)
		return false;
	if (i->age_ms < f->min_age_ms || i->idle_ms < f->min_idle_ms)
		return false;
	return tcp_prefix_has(&f->local, &i->tuple.laddr) &&
	       tcp_prefix_has(&f->remote, &i->tuple.raddr);
}

struct walk {
	const struct svc_filter *f;
	void (*fn)(void *arg, const struct tcp_info *info);
	void *arg;
	uint32_t killed;
};

static void show(void *arg, struct tcp_conn *c, const struct tcp_info *info)
{
	struct walk *w = arg;

	(void)c;
	if (svc_filter_match(w->f, info))
		w->fn(w->arg, info);
}

static void end(void *arg, struct tcp_conn *c, const struct tcp_info *info)
{
	struct walk *w = arg;

	if (c != NULL && svc_filter_match(w->f, info)) {
		tcp_kill(c);
		w->killed++;
	}
}

void svc_walk(struct svc *s, const struct svc_filter *f, uint32_t *cursor, uint32_t max_slots,
	      void (*fn)(void *arg, const struct tcp_info *info), void *arg)
{
	struct walk w = {.f = f, .fn = fn, .arg = arg};

	tcp_walk(s->e, cursor, max_slots, show, &w);
}

uint32_t svc_kill(struct svc *s, const struct svc_filter *f, uint32_t *cursor, uint32_t max_slots)
{
	struct walk w = {.f = f};

	tcp_walk(s->e, cursor, max_slots, end, &w);
	return w.killed;
}
