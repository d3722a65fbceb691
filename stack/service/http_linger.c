/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the last response: FIN is sent, and what the client still sends is thrown away until it
 * closes too. A reset could take from it the response that it has not read (RFC 9112 section 9.6).
 */
#include "http_out.h"

/* Milliseconds without progress, in which a client has to take the last response and close. */
#define LINGER_MS 5000u

static void linger_readable(struct tcp_conn *c)
{
	tcp_discard(c, UINT32_MAX);
	if (tcp_at_eof(c))
		svc_close(svc_listener_of(c), c);
}

static void linger_timer(struct tcp_conn *c)
{
	struct tcp_info info;

	tcp_info(c, &info);
	if (tcp_unacked(c) > 0 && info.idle_ms < LINGER_MS) {
		tcp_set_timer(c, (uint32_t)(LINGER_MS - info.idle_ms));
		return;
	}
	svc_abort(svc_listener_of(c), c);
}

static void linger_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)why;
	svc_ended(svc_listener_of(c));
}

static void linger_drain(struct tcp_conn *c)
{
	/* It has said its last already. */
	(void)c;
}

static const struct tcp_ops linger_ops = {
	.readable = linger_readable,
	.timer = linger_timer,
	.closed = linger_closed,
	.drain = linger_drain,
};

void http_linger(struct tcp_conn *c)
{
	tcp_shutdown(c);
	tcp_set_ops(c, &linger_ops);
	tcp_set_timer(c, LINGER_MS);
}
