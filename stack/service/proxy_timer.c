/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of a proxied connection, on one timer: that of its client's side while there is one. */
#include "proxy_private.h"

/* How often a client that waits for a backend asks again. */
#define WAIT_RETRY_MS 50
/* How soon a write that found no buffers is tried again. */
#define NO_BUFFERS_MS 5
/* How long a client that is closed in order may take to close its side. */
#define CLOSING_MS 2000

static uint32_t or_default(uint32_t v, uint32_t dflt)
{
	return v != 0 ? v : dflt;
}

/* The earlier of *left and what is left until limit_ms after since; a limit of 0 is none. */
static void until(uint32_t *left, uint32_t now, uint32_t since, uint32_t limit_ms)
{
	uint32_t gone = now - since, rest;

	if (limit_ms == 0)
		return;
	rest = gone < limit_ms ? limit_ms - gone : 0;
	if (rest < *left)
		*left = rest;
}

/* How long the phase of the state may go on; 0: its end is none of the timer's. */
static uint32_t phase_limit(const struct pair *p)
{
	const struct svc_proxy_cfg *cfg = &p->l->cfg->proxy;

	switch ((enum pair_state)p->state) {
	case PAIR_HEADER:
		return or_default(cfg->accept_proxy_timeout_ms, 3000);
	case PAIR_WAIT:
		return or_default(cfg->wait_ms, 5000);
	case PAIR_CONNECT:
		return or_default(cfg->connect_timeout_ms, 5000);
	case PAIR_CLOSING:
		return CLOSING_MS;
	default:
		return 0;
	}
}

enum deadline {
	DEADLINE_NONE,
	DEADLINE_TOTAL,
	DEADLINE_PHASE,
	DEADLINE_IDLE,
	DEADLINE_HALF_CLOSE,
};

/* Which comes first, and in how many milliseconds. */
static enum deadline next_deadline(const struct pair *p, uint32_t *left)
{
	const struct svc_listener_cfg *cfg = p->l->cfg;
	uint32_t now = pair_now_ms(p), before;
	enum deadline d = DEADLINE_NONE;

	*left = UINT32_MAX;
#define DEADLINE(which, since, limit)                                                              \
	do {                                                                                       \
		before = *left;                                                                    \
		until(left, now, since, limit);                                                    \
		if (*left < before)                                                                \
			d = which;                                                                 \
	} while (0)
	DEADLINE(DEADLINE_TOTAL, p->start_ms, cfg->total_timeout_ms);
	DEADLINE(DEADLINE_PHASE, p->phase_ms, phase_limit(p));
	if (p->state == PAIR_SPLICE) {
		DEADLINE(DEADLINE_IDLE, p->active_ms, cfg->idle_timeout_ms);
		if (p->shut[PAIR_UP] || p->shut[PAIR_DOWN])
			DEADLINE(DEADLINE_HALF_CLOSE, p->active_ms,
				 cfg->proxy.half_close_timeout_ms);
	}
#undef DEADLINE
	return d;
}

/* The timer is not moved with each packet: when it goes off, it looks how long it has been idle. */
void pair_arm(struct pair *p)
{
	struct tcp_conn *c = p->client != NULL ? p->client : p->server;
	uint32_t left;
	enum deadline d = next_deadline(p, &left);

	if (p->state == PAIR_WAIT && left > WAIT_RETRY_MS)
		left = WAIT_RETRY_MS;
	else if (p->starved && left > NO_BUFFERS_MS)
		left = NO_BUFFERS_MS;
	else if (d == DEADLINE_NONE)
		left = 0;
	else if (left == 0)
		left = 1;
	tcp_set_timer(c, left);
}

static void expire(struct pair *p, enum deadline d)
{
	struct svc_stats *s = &p->l->stats;

	switch (d) {
	case DEADLINE_TOTAL:
		s->timeouts_total++;
		break;
	case DEADLINE_IDLE:
		s->timeouts_idle++;
		break;
	case DEADLINE_HALF_CLOSE:
		s->timeouts_half_close++;
		break;
	default:
		if (p->state == PAIR_HEADER)
			s->proxy_header_bad++;
		else if (p->state == PAIR_WAIT)
			s->proxy_no_backend++;
		else if (p->state == PAIR_CLOSING) {
			pair_close_client(p);
			return;
		}
		break;
	}
	pair_kill(p);
}

void pair_timer(struct pair *p)
{
	uint32_t left;
	enum deadline d = next_deadline(p, &left);

	if (d != DEADLINE_NONE && left == 0) {
		if (d == DEADLINE_PHASE && p->state == PAIR_CONNECT) {
			pair_drop_server(p);
			pair_attempt_failed(p, true);
			return;
		}
		expire(p, d);
		return;
	}
	if (p->state == PAIR_WAIT && p->l->draining) {
		pair_close_client(p);
		return;
	}
	if (p->state == PAIR_WAIT && pair_go(p))
		return;
	/* Attempts failed on the way: nothing more to wait for. */
	if (p->state == PAIR_WAIT && p->attempts != 0) {
		pair_refuse(p);
		return;
	}
	if (p->starved && (!pair_splice(p, PAIR_UP) || !pair_splice(p, PAIR_DOWN)))
		return;
	/* First time out of accept(), where nothing could be sent yet. */
	if (p->state == PAIR_CLOSING)
		tcp_shutdown(p->client);
	pair_arm(p);
}
