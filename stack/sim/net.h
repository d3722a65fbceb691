/* SPDX-License-Identifier: Apache-2.0 */
/* What lies between the hosts: for each direction of each pair a path with everything that happens
 * to packets on the Internet. */
#ifndef MILLRACE_SIM_NET_H
#define MILLRACE_SIM_NET_H

#include "world.h"

#define OUTAGES_MAX 4
#define MTUS_MAX    3
#define PPM	    1000000u

/* Boxes that change what passes. */
struct middlebox {
	/* Options replaced by NOPs, as bits of their kinds; of SYNs only, or of all. */
	uint64_t strip_syn, strip_all;
	/* MSS of SYNs made no larger than this; 0: left. */
	uint16_t mss_clamp;
	/* Segments cut into up to three. */
	uint32_t split_ppm;
	/* Segments to which a copy of the one before is put in front, overlapping. */
	uint32_t overlap_ppm;
	/* ECN field cleared, or CE set regardless of ECT (both are seen). */
	bool bleach_ecn;
	/* For some time all windows become 0. */
	uint64_t zero_from, zero_until;
	/* Windows made no larger than this (unscaled field); 0: left. */
	uint16_t window_clamp;
};

struct path {
	uint32_t loss_ppm;
	/* Gilbert-Elliott: chances to go to the bad state and back, and of loss there. */
	uint32_t bad_ppm, good_ppm, bad_loss_ppm;
	uint32_t dup_ppm, corrupt_ppm, reorder_ppm;
	/* Changed on purpose, with good checksums. */
	uint32_t lie_ppm;
	uint64_t delay_ns, jitter_ns, reorder_ns;
	/* Jitter may change the order. */
	bool unordered;
	/* 0: any. */
	uint64_t bits_per_s;
	uint32_t queue_bytes;
	/* Marks ECT packets CE above this queue; 0: never. */
	uint32_t mark_bytes;
	struct {
		uint64_t at;
		uint16_t mtu;
	} mtu[MTUS_MAX];
	uint8_t n_mtu;
	/* Tells of packets that are too big; with an MTU, or 0 as routers before RFC 1191. */
	bool icmp, icmp_blank;
	struct {
		uint64_t from, until;
		/* Said by ICMP. */
		bool unreachable;
	} outage[OUTAGES_MAX];
	uint8_t n_outage;
	struct middlebox box;

	bool bad;
	uint64_t free_at, last_at;
	/* The packet before, for overlaps. */
	uint8_t *before;
	uint32_t before_len;
};

struct net {
	struct world *w;
	struct rng rng;
	struct path path[HOSTS_MAX][HOSTS_MAX];
	uint64_t lost, corrupted, duplicated, reordered, marked, too_big, overflows;
};

void net_init(struct net *n, struct world *w);
void net_free(struct net *n);
void net_send(struct host *from, const uint8_t *p, uint32_t len);
uint16_t path_mtu(const struct path *p, uint64_t now);

/* Passes the packet on, changed, in one or more pieces, by fn(arg, …). */
void middlebox_pass(struct path *path, struct rng *r, uint64_t now, uint8_t *p, uint32_t len,
		    void (*fn)(void *arg, uint8_t *p, uint32_t len), void *arg);

#endif
