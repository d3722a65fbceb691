/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Congestion control behind one interface. The engine does loss detection, recovery (PRR, RFC 6937)
 * and undo; an algorithm owns cwnd and ssthresh outside of recovery and says what to reduce to.
 * cwnd counts segments (of mss octets).
 */
#ifndef MILLRACE_TCP_CC_H
#define MILLRACE_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_CC_PRIV	      64
#define TCP_INFINITE_SSTHRESH UINT32_MAX
#define TCP_RATE_LOSS_THRESH  50

/* What an acknowledgement told. */
struct tcp_rate {
	uint64_t now_us;
	/* Segments newly delivered by this ACK, cumulatively or by SACK; and of these,
	 * cumulatively. */
	uint32_t delivered, acked;
	/* Segments newly marked lost. */
	uint32_t losses;
	/* In flight before this ACK and after. */
	uint32_t prior_in_flight, in_flight;
	/* Round-trip time of the newest segment acknowledged that was sent once; 0: none. */
	uint32_t rtt_us;
	/* Delivery rate sample (draft-cheng-iccrg-delivery-rate-estimation): segments over
	 * interval; interval 0: no sample. */
	uint32_t sample_delivered, interval_us;
	/* conn->delivered when the newest segment acknowledged was sent. */
	uint32_t prior_delivered;
	/* Of the same segment, filled in by rate.h: when it was sent (low 32 bits of us) and how
	 * many were in flight then, itself included; the time of the last delivery before that, and
	 * how long that flight took to send. */
	uint32_t newest_sent_us, tx_in_flight, prior_time_us, send_elapsed_us;
	/* Segments marked lost before it was sent (low bits), and since. */
	uint32_t prior_lost, sample_lost;
	/* Segments in flight at which the losses of this ACK passed 1/TCP_RATE_LOSS_THRESH of what
	 * was in flight when they were sent; 0: they did not. */
	uint32_t loss_in_flight;
	bool app_limited;
	/* The ACK carried ECN-Echo that counts. */
	bool ece;
	/* The sender did not fill cwnd: it must not grow (RFC 7661). */
	bool cwnd_limited;
	bool in_recovery;
};

/* The engine's variables that an algorithm reads and writes. Part of the connection. */
struct tcp_cc {
	uint32_t cwnd;
	uint32_t ssthresh;
	/* Segments acknowledged towards the next increase of cwnd (RFC 5681 in segments). */
	uint32_t cwnd_cnt;
	uint32_t mss;
	uint32_t srtt_us;
	uint32_t min_rtt_us;
	/* Segments delivered so far, retransmissions counted once. */
	uint32_t delivered;
	/* Sequence number sent next, and the oldest not acknowledged. */
	uint32_t snd_nxt, snd_una;
	/* Initial window in segments (RFC 6928); 0 is taken for 10. */
	uint16_t init_cwnd;
	/* Set by the engine before TCP_CC_IDLE_RESTART: how many RTOs nothing was sent, at most
	 * 255. 0: unknown, taken for many. */
	uint8_t idle_rtos;
	/* Set by the engine around ssthresh() if it is for ECN-Echo, not for a loss: ECN reduces
	 * less (RFC 8511). */
	bool for_ecn;
	/* Octets per second; 0: not paced. */
	uint64_t pacing_rate;
	uint64_t priv[TCP_CC_PRIV / 8];
};

enum tcp_cc_event {
	/* Loss recovery begins; ssthresh() was taken. */
	TCP_CC_ENTER_RECOVERY,
	/* Retransmission timeout. */
	TCP_CC_RTO,
	/* Left recovery or loss, cwnd is as recovery left it. */
	TCP_CC_EXIT,
	/* The reduction was spurious: cwnd and ssthresh were put back. */
	TCP_CC_UNDO,
	/* Sends again after nothing was in flight for now - last_send longer than an RTO. */
	TCP_CC_IDLE_RESTART,
	/* ECN: window reduced. */
	TCP_CC_ECN,
};

struct tcp_cc_ops {
	const char *name;
	/* The algorithm paces: pacing_rate counts. Others are paced only if asked for by the
	 * listener. */
	bool paces;
	/* The algorithm ignores PRR and sets cwnd itself in recovery (BBR). */
	bool owns_recovery;
	/* Segments (at least 2) to go down to for a loss or ECN. */
	uint32_t (*ssthresh)(struct tcp_cc *cc, uint64_t now_us);
	void (*init)(struct tcp_cc *cc, uint64_t now_us);
	/* Per ACK with something new. Outside of recovery (or if owns_recovery) it may change cwnd.
	 */
	void (*ack)(struct tcp_cc *cc, const struct tcp_rate *r);
	void (*event)(struct tcp_cc *cc, enum tcp_cc_event ev, uint64_t now_us);
};

extern const struct tcp_cc_ops tcp_cc_cubic, tcp_cc_newreno, tcp_cc_bbr;
/* By enum tcp_cc_algorithm. */
const struct tcp_cc_ops *tcp_cc_ops(unsigned int algorithm);

#endif
