/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery rate sampling (draft-cheng-iccrg-delivery-rate-estimation, section 3), in segments and
 * microseconds, as pure functions on what a connection and a segment in flight hold.
 *
 * Order of calls:
 *   each (re)transmission of a segment with data    tcp_rate_on_send()
 *   the application has nothing more to send        tcp_rate_check_app_limited()
 *   per ACK, with a zeroed struct tcp_rate:
 *     each segment newly acknowledged or SACKed     tcp_rate_on_delivered()
 *     each segment newly marked lost                tcp_rate_on_lost()
 *     then, once, before the algorithm's ack()      tcp_rate_on_ack_done()
 *
 * Times are the low 32 bits of microseconds: comparisons hold for 35 minutes, and a flight starts
 * anew whenever nothing was in flight, so that no older time is ever compared.
 */
#ifndef MILLRACE_TCP_RATE_H
#define MILLRACE_TCP_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_rate;

#define TCP_RATE_MAX_FLIGHT ((1u << 17) - 1)
#define TCP_RATE_LOST_MASK  ((1u << 14) - 1)

/* What a segment in flight remembers of the moment of its last transmission. */
struct tcp_rate_snap {
	/* The connection's count, time of last delivery and start of the sending interval. */
	uint32_t delivered;
	uint32_t delivered_time_us;
	uint32_t first_tx_time_us;
	/* Low bits of the count of losses. */
	uint32_t lost : 14;
	/* Segments in flight, this one included; at most TCP_RATE_MAX_FLIGHT. */
	uint32_t in_flight : 17;
	uint32_t app_limited : 1;
};
_Static_assert(sizeof(struct tcp_rate_snap) == 16, "part of every segment in flight");

/* Per connection; zero at first. */
struct tcp_rate_state {
	/* Segments delivered and marked lost so far. */
	uint32_t delivered;
	uint32_t lost;
	uint32_t delivered_time_us;
	uint32_t first_tx_time_us;
	/* `delivered` at which the samples stop being limited by the application; 0: they are not.
	 */
	uint32_t app_limited;
	/* The last sample, for tcp_info: segments over interval; interval 0: none yet. */
	uint32_t rate_delivered;
	uint32_t rate_interval_us;
};

/*
 * A segment is sent, first or again, at now_us (which the caller also keeps with the segment, low
 * 32 bits). in_flight: segments in flight before it.
 */
void tcp_rate_on_send(struct tcp_rate_state *s, struct tcp_rate_snap *snap, uint32_t in_flight,
		      uint64_t now_us);

/* A segment last sent at sent_us was delivered. Adds to out->delivered. */
void tcp_rate_on_delivered(struct tcp_rate_state *s, const struct tcp_rate_snap *snap,
			   uint32_t sent_us, struct tcp_rate *out, uint64_t now_us);

/* A segment was marked lost. Adds to out->losses. out may be NULL if there is no ACK (timeout). */
void tcp_rate_on_lost(struct tcp_rate_state *s, const struct tcp_rate_snap *snap,
		      struct tcp_rate *out);

/*
 * Completes the sample: out->interval_us stays 0 if there is none, or if it is shorter than
 * min_rtt_us (0: unknown), which means a segment was taken for delivered that was not (section
 * 3.3 of the draft).
 */
void tcp_rate_on_ack_done(struct tcp_rate_state *s, struct tcp_rate *out, uint32_t min_rtt_us,
			  uint64_t now_us);

/*
 * After sending what may be sent: if less than a segment waits, cwnd has room, and no lost segment
 * waits for its retransmission, then what follows is limited by the application.
 */
void tcp_rate_check_app_limited(struct tcp_rate_state *s, uint32_t unsent_octets, uint32_t mss,
				uint32_t in_flight, uint32_t cwnd, uint32_t lost_not_retransmitted);

/* Octets per second of the last sample, 0: none yet. */
uint64_t tcp_rate_octets(const struct tcp_rate_state *s, uint32_t mss);

#endif
