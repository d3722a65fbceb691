/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen from outside: connections, use of memory, counters. */
#include "conn.h"

const char *tcp_state_name(enum tcp_state s)
{
	static const char *const names[TCP_STATES] = {
		[TCP_CLOSED] = "CLOSED",	   [TCP_LISTEN] = "LISTEN",
		[TCP_SYN_SENT] = "SYN-SENT",	   [TCP_SYN_RECEIVED] = "SYN-RECEIVED",
		[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT_1] = "FIN-WAIT-1",
		[TCP_FIN_WAIT_2] = "FIN-WAIT-2",   [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
		[TCP_CLOSING] = "CLOSING",	   [TCP_LAST_ACK] = "LAST-ACK",
		[TCP_TIME_WAIT] = "TIME-WAIT",
	};

	return (unsigned int)s < TCP_STATES ? names[s] : "";
}

const char *tcp_close_reason_name(enum tcp_close_reason r)
{
	static const char *const names[TCP_CLOSE_REASONS] = {
		[TCP_CLOSE_DONE] = "done",	     [TCP_CLOSE_RESET] = "reset",
		[TCP_CLOSE_REFUSED] = "refused",     [TCP_CLOSE_TIMEOUT] = "timeout",
		[TCP_CLOSE_KEEPALIVE] = "keepalive", [TCP_CLOSE_UNREACHABLE] = "unreachable",
		[TCP_CLOSE_ABORTED] = "aborted",
	};

	return (unsigned int)r < TCP_CLOSE_REASONS ? names[r] : "";
}

static const char *timer_name(const struct tcp_conn *c, enum tcp_timer t)
{
	static const char *const rtx[] = {"rto", "reordering", "probe", "persist"};

	switch (t) {
	case T_RTX:
		return c->state <= TCP_SYN_RECEIVED ? "syn" : rtx[c->rtx_kind];
	case T_DELACK:
		return "delayed-ack";
	case T_KEEP:
		return c->state == TCP_FIN_WAIT_2 ? "fin-wait-2" : "keepalive";
	case T_PACE:
		return "pacing";
	case T_USER:
		return "service";
	default:
		return "";
	}
}

void tcp_info(const struct tcp_conn *c, struct tcp_info *out)
{
	const struct tcp_engine *e = c->e;
	const struct tcp_ext *x = c->x;
	const uint32_t now = (uint32_t)(e->now_ns >> TICK_SHIFT);
	uint32_t first = 0;

	*out = (struct tcp_info){
		.tuple = c->tuple,
		.state = (enum tcp_state)c->state,
		.cc = (enum tcp_cc_algorithm)c->cc_algo,
		.ca_state = c->ca_state,
		.passive = (c->flags & F_PASSIVE) != 0,
		.sack = (c->flags & F_SACK) != 0,
		.timestamps = (c->flags & F_TS) != 0,
		.ecn = (c->flags & F_ECN) != 0,
		.fast_open = (c->flags & F_FAST_OPEN) != 0,
		.snd_wscale = c->snd_wscale,
		.rcv_wscale = c->rcv_wscale,
		.listener_id = c->listener != NULL ? c->listener->p.id : UINT32_MAX,
		.rto_us = c->rto_us << RTE_MIN(c->backoff, 6),
		.srtt_us = c->cc.srtt_us,
		.rttvar_us = c->rttvar_us,
		.min_rtt_us = c->cc.min_rtt_us,
		.cwnd = c->cc.cwnd,
		.ssthresh = c->cc.ssthresh,
		.mss = c->mss,
		.advmss = c->adv_mss,
		.pmtu = c->pmtu,
		.snd_wnd = c->snd_wnd,
		.rcv_wnd = c->rcv_adv - c->rcv_nxt,
		.rcvbuf = c->rcvbuf,
		.sndbuf = sndbuf_limit(c),
		.recv_queue = c->rcv_bytes,
		.send_queue = c->snd_nxt - c->snd_una + c->unsent,
		.unsent = c->unsent,
		.unacked = x->packets_out,
		.sacked = x->sacked_out,
		.lost = x->lost_out,
		.retrans = x->retrans_out,
		.reordering = c->reordering,
		.delivered = c->cc.delivered,
		.backoff = c->rtx_kind == RTX_PERSIST ? 0 : c->backoff,
		.probes = c->rtx_kind == RTX_PERSIST ? c->backoff : c->keep_probes,
		.last_data_recv_ms = e->now_ms - c->last_recv_ms,
		.bytes_sent = c->bytes_sent,
		.bytes_received = c->bytes_in,
		.bytes_retrans = c->bytes_retrans,
		.segs_out = c->segs_out,
		.segs_in = c->segs_in,
		.total_retrans = c->total_retrans,
		.rto_count = c->rtos,
		.dsack_dups = c->dsacks,
		.pacing_rate = c->flags & F_PACED && c->cc.pacing_rate != 0 ? c->cc.pacing_rate
									    : UINT64_MAX,
		.delivery_rate = tcp_rate_octets(&x->rate, c->mss),
		.age_ms = e->now_ms - c->born_ms,
		.idle_ms = conn_idle_ms(c),
		.timer = "",
	};
	const uint64_t in_air = c->snd_nxt - c->snd_una;

	out->bytes_acked = c->bytes_sent > in_air ? c->bytes_sent - in_air : 0;
	for (unsigned int i = 0; i < T_MAX; i++) {
		if (c->timer[i] == 0 || (first != 0 && (int32_t)(c->timer[i] - first) >= 0))
			continue;
		first = c->timer[i];
		out->timer = timer_name(c, (enum tcp_timer)i);
	}
	if (first != 0 && (int32_t)(first - now) > 0)
		out->timer_ms = (uint32_t)(((uint64_t)(first - now) << TICK_SHIFT) / 1000000);
}

static void tw_info(const struct tcp_engine *e, const struct tcp_tw *t, struct tcp_info *out)
{
	*out = (struct tcp_info){
		.tuple = t->tuple,
		.state = TCP_TIME_WAIT,
		.listener_id = t->listener_id,
		.passive = t->listener_id != UINT32_MAX,
		.timestamps = t->ts,
		.pacing_rate = UINT64_MAX,
		.timer = "time-wait",
		.timer_ms = t->expire_ms - e->now_ms,
	};
}

void tcp_walk(struct tcp_engine *e, uint32_t *cursor, uint32_t max_slots,
	      void (*fn)(void *arg, struct tcp_conn *c, const struct tcp_info *info), void *arg)
{
	const uint32_t conns = e->cfg.max_conns;
	struct tcp_info info;
	uint32_t at = *cursor;

	for (uint32_t n = 0; n < max_slots; n++, at++) {
		if (at >= e->conns.fresh && at < conns)
			at = conns;
		if (at < conns) {
			struct tcp_conn *c = conn_at(e, at);

			if (c->e != e || c->state == TCP_CLOSED || c->flags2 & F2_FINISHED)
				continue;
			tcp_info(c, &info);
			fn(arg, c, &info);
			continue;
		}
		if (at - conns >= e->tws.fresh) {
			*cursor = UINT32_MAX;
			return;
		}
		const struct tcp_tw *t = tw_at(e, at - conns);
		const uint32_t i = at - conns;

		/* A freed slot is out of the list. */
		if (!(e->tw_head == i || (t->prev != TCP_NIL && t->prev < e->tws.fresh &&
					  tw_at(e, t->prev)->next == i)))
			continue;
		tw_info(e, t, &info);
		fn(arg, NULL, &info);
	}
	*cursor = at;
}

void tcp_usage(const struct tcp_engine *e, struct tcp_usage *out)
{
	*out = (struct tcp_usage){
		.conns = e->conns.used,
		.time_wait = e->tws.used,
		.half_open = e->half_open,
		.segs = e->segs.used,
		.mem_bytes = e->mem,
		.mem_limit = e->cfg.mem_limit,
		.pressure = e->pressure,
		.conn_bytes = sizeof(struct tcp_conn) +
			      tcp_lookup_bytes(e->cfg.max_conns + e->cfg.max_time_wait) /
				      (e->cfg.max_conns + e->cfg.max_time_wait),
	};
}

const struct tcp_mib *tcp_mib(const struct tcp_engine *e)
{
	return &e->mib;
}

static const struct {
	const char *name, *text;
} mib_names[] = {
#define TCP_MIB_NAME(f, t) {#f, t},
	TCP_MIB(TCP_MIB_NAME)
#undef TCP_MIB_NAME
};

const char *tcp_mib_name(unsigned int i)
{
	return i < RTE_DIM(mib_names) ? mib_names[i].name : "";
}

const char *tcp_mib_text(unsigned int i)
{
	return i < RTE_DIM(mib_names) ? mib_names[i].text : "";
}
