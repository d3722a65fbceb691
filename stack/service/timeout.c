/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle and total timeouts of accepted connections. The timer is not moved with each packet: when it
 * goes off it looks at how long the connection has been idle and is set to what is left.
 */
#include "runtime.h"

#define HTTP_IDLE_MS 60000

static uint32_t idle_of(const struct svc_listener_cfg *cfg)
{
	if (cfg->idle_timeout_ms == 0 && cfg->kind == SVC_HTTP)
		return HTTP_IDLE_MS;
	return cfg->idle_timeout_ms;
}

void svc_timer_start(struct svc_listener *l, struct tcp_conn *c)
{
	uint32_t idle = idle_of(l->cfg), total = l->cfg->total_timeout_ms;

	if (idle == 0 || (total != 0 && total < idle))
		idle = total;
	if (idle != 0)
		tcp_set_timer(c, idle);
}

uint32_t svc_timer_left(struct svc_listener *l, struct tcp_conn *c, bool *total)
{
	uint32_t idle = idle_of(l->cfg), life = l->cfg->total_timeout_ms;
	uint64_t left = UINT32_MAX, t;
	struct tcp_info info;

	*total = false;
	if (idle == 0 && life == 0)
		return UINT32_MAX;
	tcp_info(c, &info);
	if (idle != 0)
		left = info.idle_ms < idle ? idle - info.idle_ms : 0;
	if (life != 0) {
		t = info.age_ms < life ? life - info.age_ms : 0;
		if (t < left) {
			left = t;
			*total = true;
		}
	}
	return (uint32_t)left;
}

bool svc_timer_expired(struct svc_listener *l, struct tcp_conn *c)
{
	bool total;
	uint32_t left = svc_timer_left(l, c, &total);

	if (left != 0) {
		if (left != UINT32_MAX)
			tcp_set_timer(c, left);
		return false;
	}
	if (total)
		l->stats.timeouts_total++;
	else
		l->stats.timeouts_idle++;
	return true;
}

void svc_expire(struct svc_listener *l, struct tcp_conn *c)
{
	if (tcp_unacked(c) == 0 && tcp_readable(c) == 0)
		svc_close(l, c);
	else
		svc_abort(l, c);
}
