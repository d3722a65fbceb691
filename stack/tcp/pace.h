/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pacing: how fast, how much at once, and when next. The engine keeps one number per connection,
 * the time before which nothing may be sent, and asks here after each burst.
 */
#ifndef MILLRACE_TCP_PACE_H
#define MILLRACE_TCP_PACE_H

#include <stdint.h>

struct tcp_cc;

/* A burst is what the rate allows in this time, but at least two segments, and … */
#define TCP_PACE_QUANTUM_NS 1000000u
/* … at most this many octets, so that a fast flow does not fill a small queue at once. */
#define TCP_PACE_BURST_MAX 65536u

/*
 * Octets per second for algorithms that do not pace themselves: cwnd over srtt, times 2 in slow
 * start, so that pacing does not hold up its doubling, else times 1.2. 0 (not paced) without an
 * RTT.
 */
uint64_t tcp_pace_rate(const struct tcp_cc *cc);

/* Octets that may be sent at once; a multiple of mss. UINT32_MAX at rate 0. */
uint32_t tcp_pace_burst(uint64_t rate, uint32_t mss);

/*
 * When the next burst may be sent, after `octets` were sent at now_ns that were allowed from
 * next_ns on (0: nothing was sent before). A late start is made up for by at most one quantum, so
 * timers that fire late do not lower the rate and idle time is not saved up. now_ns at rate 0.
 */
uint64_t tcp_pace_next_ns(uint64_t rate, uint32_t octets, uint64_t next_ns, uint64_t now_ns);

#endif
