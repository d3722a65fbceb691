/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deterministic model for the tests of congestion control: senders with endless or rate-limited
 * data, one bottleneck with a drop-tail queue, receivers that acknowledge every segment
 * selectively. Loss recovery is as simple as it can be (a segment is lost when three sent after it
 * arrived; retransmissions go first; timeouts), so that what is seen is the algorithm.
 */
#ifndef MILLRACE_TCP_CC_MODEL_H
#define MILLRACE_TCP_CC_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "cc.h"
#include "pace.h"
#include "rate.h"

#define MODEL_MSS   1448
#define MODEL_RING  (1u << 17)
#define MODEL_FLOWS 4

#define MS  UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

struct model_path {
	/* Bits per second of segments of MODEL_MSS octets. */
	uint64_t bps;
	/* Segments. */
	uint32_t buffer;
	uint64_t rtt_ns;
	/* Random loss, per million. */
	uint32_t loss_ppm;
	/* ACKs are held and released together at multiples of this; 0: they are not. */
	uint64_t ack_slot_ns;
	/* Segments in the queue from which on they are marked; 0: never. */
	uint32_t ecn_from;
};

struct model_seg {
	uint64_t sent_ns, ack_ns;
	struct tcp_rate_snap snap;
	uint32_t seq;
	bool dropped, marked, again, done;
};

struct model_flow {
	const struct tcp_cc_ops *ops;
	struct tcp_cc cc;
	struct tcp_rate_state rate;
	bool active, pace, in_recovery, in_loss, cwnd_limited;
	/* Segments per second the application writes; 0: no limit. */
	uint64_t app_rate;
	/* When it has written the next one. */
	uint64_t app_credit_ns;
	/* Transmissions in order: [head, tail). */
	struct model_seg *ring;
	uint32_t head, tail, in_flight;
	/* Sequence numbers delivered, by seq % MODEL_RING. */
	uint8_t *have;
	uint32_t *lost;
	uint32_t lost_head, lost_tail;
	uint32_t recover, limited_seq, ecn_seq;
	uint64_t next_send_ns, last_ack_ns, last_send_ns;
	uint32_t rttvar_us;
	/* The latest RTT seen, and counters. */
	uint32_t rtt_us;
	uint64_t delivered_once, losses, rtos, recoveries, marks, drops, first_loss_ns;
	/* Longest queue at the bottleneck this flow saw. */
	uint32_t max_queue;
};

struct model {
	struct model_path path;
	struct model_flow flow[MODEL_FLOWS];
	uint64_t now_ns, busy_until_ns;
	uint64_t seed;
	/* Called after each ACK, if set. */
	void (*on_ack)(struct model *m, struct model_flow *f, const struct tcp_rate *r);
	void *arg;
};

void model_init(struct model *m, const struct model_path *p, uint64_t seed);
struct model_flow *model_add(struct model *m, const struct tcp_cc_ops *ops);
/* Runs for so long. */
void model_run(struct model *m, uint64_t ns);
void model_free(struct model *m);
/* Segments the bottleneck takes in so long. */
uint64_t model_capacity(const struct model *m, uint64_t ns);
uint32_t model_bdp(const struct model *m);

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#endif
