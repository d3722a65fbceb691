/* SPDX-License-Identifier: Apache-2.0 */
/* Discard (RFC 863): takes everything, says nothing, closes when the peer does. */
#include "service.h"

static bool discard_accept(struct tcp_conn *c, void *listener_ctx)
{
	struct svc_listener *l = listener_ctx;

	svc_opened(l);
	svc_timer_start(l, c);
	return true;
}

static void discard_readable(struct tcp_conn *c)
{
	tcp_discard(c, UINT32_MAX);
	if (tcp_at_eof(c))
		svc_close(svc_listener_of(c), c);
}

static void discard_timer(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);

	if (svc_timer_expired(l, c))
		svc_expire(l, c);
}

static void discard_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)why;
	svc_ended(svc_listener_of(c));
}

const struct svc_type svc_discard = {
	.name = "discard",
	.ops = {.accept = discard_accept,
		.readable = discard_readable,
		.timer = discard_timer,
		.closed = discard_closed},
};
