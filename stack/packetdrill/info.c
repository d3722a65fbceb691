/* SPDX-License-Identifier: Apache-2.0 */
/* TCP_INFO as Linux has it, from the engine's own. */
#include <errno.h>
#include <string.h>

#include "shim.h"

static const uint8_t states[TCP_STATES] = {
	[TCP_CLOSED] = LINUX_CLOSE,
	[TCP_LISTEN] = LINUX_LISTEN,
	[TCP_SYN_SENT] = LINUX_SYN_SENT,
	[TCP_SYN_RECEIVED] = LINUX_SYN_RECV,
	[TCP_ESTABLISHED] = LINUX_ESTABLISHED,
	[TCP_FIN_WAIT_1] = LINUX_FIN_WAIT1,
	[TCP_FIN_WAIT_2] = LINUX_FIN_WAIT2,
	[TCP_CLOSE_WAIT] = LINUX_CLOSE_WAIT,
	[TCP_CLOSING] = LINUX_CLOSING,
	[TCP_LAST_ACK] = LINUX_LAST_ACK,
	[TCP_TIME_WAIT] = LINUX_TIME_WAIT,
};

static uint32_t min32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static uint8_t options(const struct tcp_info *i)
{
	return (uint8_t)((i->timestamps ? LINUX_OPT_TIMESTAMPS : 0) |
			 (i->sack ? LINUX_OPT_SACK : 0) |
			 (i->snd_wscale || i->rcv_wscale ? LINUX_OPT_WSCALE : 0) |
			 (i->ecn ? LINUX_OPT_ECN : 0));
}

static void convert(const struct tcp_info *i, struct linux_tcp_info *o)
{
	memset(o, 0, sizeof(*o));
	o->state = states[i->state];
	o->ca_state = i->ca_state;
	o->probes = i->probes;
	o->backoff = i->backoff;
	o->retransmits = i->backoff;
	o->options = options(i);
	o->snd_wscale = i->snd_wscale & 15;
	o->rcv_wscale = i->rcv_wscale & 15;
	o->rto = i->rto_us;
	o->snd_mss = i->mss;
	o->unacked = i->unacked;
	o->sacked = i->sacked;
	o->lost = i->lost;
	o->retrans = i->retrans;
	o->last_data_recv = min32(i->last_data_recv_ms);
	o->pmtu = i->pmtu;
	o->rcv_ssthresh = i->rcv_wnd;
	o->rtt = i->srtt_us;
	o->rttvar = i->rttvar_us;
	/* Linux's "infinite". */
	o->snd_ssthresh = i->ssthresh > 0x7fffffff ? 0x7fffffff : i->ssthresh;
	o->snd_cwnd = i->cwnd;
	o->advmss = i->advmss;
	o->reordering = i->reordering;
	o->rcv_space = i->rcvbuf;
	o->total_retrans = i->total_retrans;
	o->pacing_rate = i->pacing_rate;
	o->max_pacing_rate = UINT64_MAX;
	o->bytes_acked = i->bytes_acked;
	o->bytes_received = i->bytes_received;
	o->segs_out = min32(i->segs_out);
	o->segs_in = min32(i->segs_in);
	o->notsent_bytes = i->unsent;
	o->min_rtt = i->min_rtt_us;
	o->delivery_rate = i->delivery_rate;
	/* Linux counts the SYN. */
	o->delivered = i->delivered + (i->state != TCP_SYN_RECEIVED && i->state != TCP_SYN_SENT);
	o->bytes_sent = i->bytes_sent;
	o->bytes_retrans = i->bytes_retrans;
	o->dsack_dups = i->dsack_dups;
	o->snd_wnd = i->snd_wnd;
}

int sock_tcp_info(const struct sock *k, void *val, socklen_t *len)
{
	struct linux_tcp_info o;
	struct tcp_info i;

	if (k->role == ROLE_CONNECTION) {
		if (k->conn)
			tcp_info(k->conn, &i);
		else
			i = k->last_info;
		if (!k->conn)
			i.state = TCP_CLOSED;
		convert(&i, &o);
		if (i.fast_open && k->syn_data)
			o.options |= LINUX_OPT_SYN_DATA;
	} else {
		memset(&o, 0, sizeof(o));
		o.state = k->role == ROLE_LISTENER ? LINUX_LISTEN : LINUX_CLOSE;
	}
	/* The tool knows newer fields than these: they stay zero. */
	memset(val, 0, *len);
	memcpy(val, &o, *len < sizeof(o) ? *len : sizeof(o));
	return 0;
}
