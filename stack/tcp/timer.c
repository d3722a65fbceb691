/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers. A connection has several deadlines and one place in the wheel, at the earliest of them; a
 * deadline that moves back is found out when the wheel fires, so that restarting the retransmission
 * timer with every acknowledgement costs a store.
 */
#include "conn.h"

static uint32_t tick_now(const struct tcp_engine *e)
{
	return (uint32_t)(e->now_ns >> TICK_SHIFT);
}

static bool due(uint32_t tick, uint32_t now)
{
	return tick != 0 && (int32_t)(tick - now) <= 0;
}

static void wheel_at(struct tcp_conn *c, uint32_t tick)
{
	struct tcp_engine *e = c->e;
	const uint64_t now = e->now_ns >> TICK_SHIFT;

	tcp_wheel_add(&e->wheel, conn_idx(c),
		      (now + (uint64_t)(int64_t)(int32_t)(tick - (uint32_t)now)) << TICK_SHIFT);
}

void timer_set_us(struct tcp_conn *c, enum tcp_timer t, uint64_t us)
{
	const uint64_t at = (c->e->now_ns + us * 1000 + TICK_NS - 1) >> TICK_SHIFT;
	const uint32_t tick = (uint32_t)at | ((uint32_t)at == 0);

	c->timer[t] = tick;
	if (!tcp_wheel_pending(&c->wheel) || (int32_t)(tick - c->wheel.tick) < 0)
		wheel_at(c, tick);
}

void timer_stop(struct tcp_conn *c, enum tcp_timer t)
{
	c->timer[t] = 0;
}

void rtx_arm(struct tcp_conn *c, enum rtx_kind kind, uint64_t us)
{
	c->rtx_kind = kind;
	timer_set_us(c, T_RTX, us);
}

static uint64_t backed_off(const struct tcp_conn *c)
{
	const uint64_t us = (uint64_t)c->rto_us << RTE_MIN(c->backoff, 16);

	return RTE_MIN(us, (uint64_t)RTO_MAX_US);
}

void rto_restart(struct tcp_conn *c)
{
	rtx_arm(c, RTX_RTO, backed_off(c));
}

void keep_restart(struct tcp_conn *c)
{
	c->keep_probes = 0;
	/* In FIN-WAIT-2 the timer is that of the state once the service is gone. */
	if (c->keep_idle_s != 0 && c->state >= TCP_ESTABLISHED &&
	    !(c->state == TCP_FIN_WAIT_2 && c->flags & F_DETACHED))
		timer_set_us(c, T_KEEP, (uint64_t)c->keep_idle_s * 1000000);
}

/* Milliseconds without progress for which the connection has been waiting on its peer. */
static bool user_timeout(const struct tcp_conn *c)
{
	return c->stall_ms != 0 && c->e->now_ms - c->stall_ms >= c->user_timeout_ms;
}

static void syn_timeout(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	const uint8_t max = c->flags & F_PASSIVE ? c->keep_probes : 6;

	if (c->syn_retries >= max) {
		conn_end(c, c->flags2 & F2_UNREACHABLE ? TCP_CLOSE_UNREACHABLE : TCP_CLOSE_TIMEOUT);
		return;
	}
	c->syn_retries++;
	c->backoff++;
	c->total_retrans++;
	e->mib.retrans_syn++;
	e->mib.retrans_segs++;
	if (c->state == TCP_SYN_SENT) {
		/* RFC 3168 section 6.1.1.1: without ECN if that is what is in the way. */
		if (c->syn_retries >= 3)
			c->flags &= ~F_ECN;
		send_syn(c);
	} else {
		send_synack(c);
	}
	rtx_arm(c, RTX_RTO, backed_off(c));
}

static void persist_timeout(struct tcp_conn *c)
{
	/* As long as the peer answers probes it may keep its window closed (RFC 9293
	 * section 3.8.6.1); memory pressure ends that for those who hold most (buffers_shed). A
	 * connection without a service has nobody else to lose patience. */
	if (user_timeout(c) || (c->flags & F_DETACHED && conn_idle_ms(c) >= c->user_timeout_ms)) {
		c->e->mib.timeout_drops++;
		conn_reset(c, TCP_CLOSE_TIMEOUT);
		return;
	}
	if (c->unsent != 0 && (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt) > 0) {
		/* A small window that stays small is used after all (RFC 9293 section 3.8.6.2.1,
		 * the override timeout). */
		c->flags2 |= F2_SMALL;
		conn_dirty(c);
	} else {
		c->e->mib.zero_window_probes++;
		send_probe(c);
	}
	if (c->backoff < 16)
		c->backoff++;
	rtx_arm(c, RTX_PERSIST, backed_off(c));
}

static void rto_timeout(struct tcp_conn *c)
{
	if (c->state == TCP_SYN_SENT || (c->state == TCP_SYN_RECEIVED && c->x->packets_out == 0)) {
		syn_timeout(c);
		return;
	}
	if (c->x->packets_out == 0)
		return;
	if (user_timeout(c)) {
		c->e->mib.timeout_drops++;
		conn_reset(c, TCP_CLOSE_TIMEOUT);
		return;
	}
	if (c->state == TCP_SYN_RECEIVED) {
		syn_timeout(c);
		return;
	}
	recovery_rto(c);
}

static void keep_timeout(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	uint32_t idle_ms;

	switch (c->state) {
	case TCP_SYN_SENT:
		conn_end(c, c->flags2 & F2_UNREACHABLE ? TCP_CLOSE_UNREACHABLE : TCP_CLOSE_TIMEOUT);
		return;
	case TCP_SYN_RECEIVED:
		return;
	case TCP_FIN_WAIT_2:
		if (c->flags & F_DETACHED) {
			/* RFC 1122 section 4.2.2.13 leaves how long to us. */
			conn_end(c, TCP_CLOSE_TIMEOUT);
			return;
		}
		break;
	default:
		break;
	}
	if (c->keep_idle_s == 0)
		return;
	idle_ms = e->now_ms - c->last_recv_ms;
	if (c->x->packets_out != 0 || idle_ms < c->keep_idle_s * 1000u) {
		timer_set_us(c, T_KEEP,
			     (uint64_t)(idle_ms < c->keep_idle_s * 1000u
						? c->keep_idle_s * 1000u - idle_ms
						: c->keep_idle_s * 1000u) *
				     1000);
		return;
	}
	if (c->keep_probes >= c->keep_count) {
		e->mib.keepalive_drops++;
		conn_reset(c, TCP_CLOSE_KEEPALIVE);
		return;
	}
	c->keep_probes++;
	e->mib.keepalive_probes++;
	send_probe(c);
	timer_set_us(c, T_KEEP, (uint64_t)c->keep_intvl_s * 1000000);
}

static void rtx_timeout(struct tcp_conn *c)
{
	switch ((enum rtx_kind)c->rtx_kind) {
	case RTX_RTO:
		rto_timeout(c);
		break;
	case RTX_REO:
		recovery_reo_timeout(c);
		break;
	case RTX_TLP:
		recovery_tlp_timeout(c);
		break;
	case RTX_PERSIST:
		persist_timeout(c);
		break;
	}
}

void timer_fired(struct tcp_conn *c)
{
	const uint32_t now = tick_now(c->e);
	uint32_t next = 0;

	if (due(c->timer[T_DELACK], now)) {
		c->timer[T_DELACK] = 0;
		if (c->flags & F_ACK_LATER) {
			c->e->mib.delayed_acks++;
			c->flags |= F_ACK_NOW;
			/* Nobody answered in time: not a dialogue. */
			c->flags2 &= ~F2_PINGPONG;
			conn_dirty(c);
		}
	}
	if (due(c->timer[T_PACE], now)) {
		c->timer[T_PACE] = 0;
		conn_dirty(c);
	}
	if (due(c->timer[T_USER], now)) {
		c->timer[T_USER] = 0;
		c->flags |= F_EV_TIMER;
		conn_dirty(c);
	}
	if (due(c->timer[T_RTX], now)) {
		c->timer[T_RTX] = 0;
		rtx_timeout(c);
	}
	if (c->state != TCP_CLOSED && due(c->timer[T_KEEP], now)) {
		c->timer[T_KEEP] = 0;
		keep_timeout(c);
	}
	if (c->state == TCP_CLOSED || c->e == NULL)
		return;
	for (unsigned int i = 0; i < T_MAX; i++)
		if (c->timer[i] != 0 && (next == 0 || (int32_t)(c->timer[i] - next) < 0))
			next = c->timer[i];
	if (next != 0 && (!tcp_wheel_pending(&c->wheel) || (int32_t)(next - c->wheel.tick) < 0))
		wheel_at(c, next);
}
