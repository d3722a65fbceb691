/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine tells a connection's socket. */
#include <errno.h>
#include <stdlib.h>

#include "shim.h"

static void happened(struct sock *k)
{
	k->s->events++;
}

static bool on_accept(struct tcp_conn *c, void *listener_ctx)
{
	struct sock *l = listener_ctx, **at;
	struct sock *k = sock_new(l->s, SOCK_TCP, l->family, false);

	if (!k)
		return false;
	k->role = ROLE_CONNECTION;
	k->conn = c;
	k->connected = true;
	k->opt = l->opt;
	k->tuple = *tcp_tuple(c);
	k->syn_data = tcp_readable(c) != 0;
	tcp_set_user(c, k);
	for (at = &l->queue; *at; at = &(*at)->queue_next) {
	}
	*at = k;
	l->queued++;
	l->in_events++;
	happened(l);
	return true;
}

static void on_connected(struct tcp_conn *c)
{
	struct sock *k = tcp_user(c);

	k->connecting = false;
	k->connected = true;
	k->out_events++;
	happened(k);
}

static void on_readable(struct tcp_conn *c)
{
	struct sock *k = tcp_user(c);

	k->in_events++;
	happened(k);
}

static void on_writable(struct tcp_conn *c)
{
	struct sock *k = tcp_user(c);

	k->out_events++;
	happened(k);
}

static int close_errno(const struct sock *k, enum tcp_close_reason why, bool eof)
{
	switch (why) {
	case TCP_CLOSE_DONE:
		return 0;
	case TCP_CLOSE_RESET:
		/* As Linux has it: who has read the peer's FIN can only write. */
		return eof ? EPIPE : ECONNRESET;
	case TCP_CLOSE_REFUSED:
		return ECONNREFUSED;
	case TCP_CLOSE_TIMEOUT:
	case TCP_CLOSE_KEEPALIVE:
		return ETIMEDOUT;
	case TCP_CLOSE_UNREACHABLE:
		return EHOSTUNREACH;
	default:
		return ECONNABORTED;
	}
}

/* The engine forgets the connection: what has not been read is kept here. */
static void on_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct sock *k = tcp_user(c);

	tcp_info(c, &k->last_info);
	k->rest_len = tcp_readable(c);
	k->rest_off = 0;
	k->rest = malloc(k->rest_len + 1);
	if (k->rest)
		k->rest_len = tcp_peek_copy(c, 0, k->rest, k->rest_len);
	else
		k->rest_len = 0;
	k->eof = k->eof || tcp_at_eof(c) || why == TCP_CLOSE_DONE ||
		 tcp_conn_state(c) == TCP_CLOSE_WAIT;
	k->so_error = close_errno(k, why, k->eof);
	k->gone = true;
	k->connecting = false;
	k->conn = NULL;
	k->uncork_ns = 0;
	k->in_events++;
	k->out_events++;
	happened(k);
}

const struct tcp_ops sock_ops = {
	.accept = on_accept,
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_writable,
	.closed = on_closed,
};
