/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo (RFC 862): what comes in goes out, in the very buffers it came in. What cannot be written
 * stays unread, so a peer that does not read its echo is slowed down by its own receive window. A
 * connection has no state beside the engine's.
 */
#include "service.h"

/* Taken at once at least, so that a nearly full send buffer does not cut the stream into crumbs. */
#define PIECE_MIN 16384u

static void pump(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);
	uint32_t there, room;

	while ((there = tcp_readable(c)) > 0) {
		struct rte_mbuf *m;

		room = tcp_writable(c);
		if (room == 0) {
			tcp_want_write(c, 0);
			return;
		}
		m = tcp_read(c, RTE_MIN(there, RTE_MAX(room, PIECE_MIN)));
		if (m == NULL)
			return;
		if (tcp_write(c, m) < 0) {
			/* Our side is closed already, or the connection is ending. */
			rte_pktmbuf_free(m);
			tcp_discard(c, UINT32_MAX);
		}
	}
	if (tcp_at_eof(c))
		svc_close(l, c);
}

static bool echo_accept(struct tcp_conn *c, void *listener_ctx)
{
	struct svc_listener *l = listener_ctx;

	svc_opened(l);
	svc_timer_start(l, c);
	return true;
}

static void echo_timer(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);

	if (svc_timer_expired(l, c))
		svc_expire(l, c);
}

static void echo_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	(void)why;
	svc_ended(svc_listener_of(c));
}

const struct svc_type svc_echo = {
	.name = "echo",
	/* Drained by tcp_shutdown(): what was received is echoed, the rest is thrown away. */
	.ops = {.accept = echo_accept,
		.readable = pump,
		.writable = pump,
		.timer = echo_timer,
		.closed = echo_closed},
};
