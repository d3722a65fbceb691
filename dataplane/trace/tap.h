/* SPDX-License-Identifier: Apache-2.0 */
/* What trace.c, capture.c and walk.c share: the sessions that workers look at. */
#ifndef MILLRACE_TRACE_TAP_H
#define MILLRACE_TRACE_TAP_H

#include <pcap/pcap.h>

#include "../iface/iface.h"
#include "trace.h"

#define CAPTURES_MAX 8

struct packet_filter {
	/* No instructions: everything matches. */
	struct bpf_program program;
	bool all;
	/* IFACE_NONE: every port. A port's interface takes in its VLANs. */
	uint16_t iface;
	uint16_t port;
	uint16_t vlan;
};

int packet_filter_compile(struct packet_filter *f, const char *expression, const struct iface *i,
			  struct dp_error *err);
void packet_filter_free(struct packet_filter *f);
/* True if the frame (data pointer at its Ethernet header) passes. Worker. */
bool packet_filter_match(const struct packet_filter *f, const struct rte_mbuf *m);
/* Interface of a frame by port and tag. */
uint16_t frame_iface(const struct rte_mbuf *m);

struct trace_session;
struct capture_session;

/* What a worker reads; replaced as a whole. */
struct trace_worker {
	struct trace_session *trace;
	unsigned int n_captures;
	struct capture_session *capture[CAPTURES_MAX];
};

/* Control thread: changes the set and waits until no worker uses the old one. */
int taps_set_trace(struct trace_session *t);
int taps_add_capture(struct capture_session *c);
void taps_del_capture(struct capture_session *c);

/* Worker: from walk.c, for each vector before the node gets it. */
void trace_vector(struct trace_session *t, struct worker *w, struct rte_node *node, void **objs,
		  uint16_t n);
/* At the end of a walk: what is still under way went to a ring. */
void trace_walk_done(struct trace_session *t);
void capture_vector(struct capture_session *c, void **objs, uint16_t n, bool outbound);

#endif
