/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of Linux's socket interface. Its headers cannot be included together with the engine's:
 * both have a struct tcp_info and constants TCP_ESTABLISHED and so on.
 */
#ifndef MILLRACE_PACKETDRILL_LINUX_H
#define MILLRACE_PACKETDRILL_LINUX_H

#include <stdint.h>

enum linux_tcp_option {
	LINUX_TCP_NODELAY = 1,
	LINUX_TCP_MAXSEG = 2,
	LINUX_TCP_CORK = 3,
	LINUX_TCP_KEEPIDLE = 4,
	LINUX_TCP_KEEPINTVL = 5,
	LINUX_TCP_KEEPCNT = 6,
	LINUX_TCP_LINGER2 = 8,
	LINUX_TCP_INFO = 11,
	LINUX_TCP_CONGESTION = 13,
	LINUX_TCP_USER_TIMEOUT = 18,
	LINUX_TCP_FASTOPEN = 23,
	LINUX_TCP_CC_INFO = 26,
	LINUX_TCP_FASTOPEN_KEY = 33,
	LINUX_TCP_INQ = 36,
};

enum linux_socket_option {
	LINUX_SO_MEMINFO = 55,
};

/* Words of SO_MEMINFO. */
#define LINUX_MEMINFO_VARS 9

enum linux_tcp_state {
	LINUX_ESTABLISHED = 1,
	LINUX_SYN_SENT,
	LINUX_SYN_RECV,
	LINUX_FIN_WAIT1,
	LINUX_FIN_WAIT2,
	LINUX_TIME_WAIT,
	LINUX_CLOSE,
	LINUX_CLOSE_WAIT,
	LINUX_LAST_ACK,
	LINUX_LISTEN,
	LINUX_CLOSING,
};

enum linux_tcp_info_options {
	LINUX_OPT_TIMESTAMPS = 1,
	LINUX_OPT_SACK = 2,
	LINUX_OPT_WSCALE = 4,
	LINUX_OPT_ECN = 8,
	LINUX_OPT_SYN_DATA = 32,
};

/* What TCP_INFO returns, up to the fields of Linux 5.4; times in µs, "last" ones in ms. */
struct linux_tcp_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options;
	uint8_t snd_wscale : 4, rcv_wscale : 4;
	uint8_t app_limited : 1;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt, rcv_space;
	uint32_t total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in;
	uint32_t notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd;
};

#endif
