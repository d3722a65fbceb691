/* SPDX-License-Identifier: Apache-2.0 */
/* What may be changed of a connection or an engine while it runs. */
#include "conn.h"

static uint16_t kib(uint32_t bytes, uint32_t otherwise)
{
	uint32_t k = (bytes != 0 ? bytes : otherwise) >> 10;

	return (uint16_t)RTE_MIN(RTE_MAX(k, 4u), 65535u);
}

static void set_flag(struct tcp_conn *c, uint32_t flag, bool on)
{
	c->flags = on ? c->flags | flag : c->flags & ~flag;
}

void conn_set_options(struct tcp_conn *c, const struct tcp_options *o)
{
	c->ttl = o->ttl != 0 ? o->ttl : 64;
	c->tos = (uint8_t)(o->dscp << 2);
	c->rcvbuf_max = kib(o->rcvbuf_max, RCVBUF_MAX);
	c->sndbuf_max = kib(o->sndbuf_max, SNDBUF_MAX);
	c->user_timeout_ms = o->user_timeout_ms != 0 ? o->user_timeout_ms : 15 * 60 * 1000;
	c->fin_wait2_ms = o->fin_wait2_ms != 0 ? o->fin_wait2_ms : 60000;
	c->keep_idle_s = (uint16_t)RTE_MIN(o->keepalive_idle_s, 65535u);
	c->keep_intvl_s =
		(uint16_t)(o->keepalive_interval_s != 0 ? RTE_MIN(o->keepalive_interval_s, 65535u)
							: 75);
	c->keep_count = (uint8_t)(o->keepalive_count != 0 ? RTE_MIN(o->keepalive_count, 255u) : 9);
	set_flag(c, F_NODELAY, o->no_nagle);
	set_flag(c, F_NO_DELACK, o->no_delayed_ack);
}

void tcp_set_options(struct tcp_conn *c, const struct tcp_options *o)
{
	if (c->state == TCP_CLOSED)
		return;
	conn_set_options(c, o);
	if (o->mss != 0 && o->mss < c->peer_mss) {
		c->peer_mss = RTE_MAX(o->mss, (uint16_t)MSS_MIN);
		conn_set_mss(c);
	}
	if (c->state >= TCP_ESTABLISHED)
		keep_restart(c);
	conn_dirty(c);
}

void tcp_set_fast_open_key(struct tcp_engine *e, const uint8_t key[TCP_FAST_OPEN_KEY])
{
	e->tfo_old_key = e->tfo_key;
	memcpy(e->tfo_key.k, key, sizeof(e->tfo_key.k));
	/* Given, not to be changed from here. */
	e->tfo_rotate_ms = UINT64_MAX;
}
