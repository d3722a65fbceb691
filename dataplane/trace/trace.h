/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet trace and capture. They cost nothing when none runs: a worker with w->trace set walks its
 * graph with trace_walk(), which looks at every vector before the node gets it; others use
 * rte_graph_walk().
 *
 * The filter is a pcap-filter(7) expression, compiled on the control thread and run by the worker
 * (libpcap's bpf_filter).
 */
#ifndef MILLRACE_TRACE_H
#define MILLRACE_TRACE_H

#include "../core/addr.h"
#include "../core/error.h"
#include "../core/worker.h"

/* One walk of the graph with trace and capture. Worker. */
void trace_walk(struct worker *w);

struct trace_config {
	uint32_t count;
	const char *filter;
	/* Port or VLAN interface, NULL for all. */
	struct iface *iface;
	uint32_t timeout_s;
};

struct trace_step {
	const char *node;
	uint64_t ns;
	char detail[96];
};

#define TRACE_STEPS_MAX 48
struct trace_record {
	uint32_t sequence;
	uint16_t worker;
	uint16_t iface;
	uint16_t out_iface;
	uint16_t n_steps;
	struct trace_step steps[TRACE_STEPS_MAX];
	uint8_t packet[128];
	uint16_t captured;
	uint32_t length;
	const char *drop_reason;
	uint64_t time_ns;
};

/* Called on the control thread for each finished record, and once with NULL and the reason when the
 * trace ends. */
typedef void (*trace_fn)(void *arg, const struct trace_record *r, const char *end);
/* DP_INVALID with field "filter" and libpcap's words if it does not compile. *handle is for
 * trace_stop(). */
int trace_start(const struct trace_config *c, trace_fn fn, void *arg, uint32_t *handle,
		struct dp_error *err);
void trace_stop(uint32_t handle);

struct capture_config {
	struct iface *iface;
	const char *filter;
	uint32_t snaplen;
	uint64_t count;
	bool in, out;
};

struct captured_packet {
	uint64_t time_ns;
	uint16_t iface;
	bool outbound;
	uint32_t length;
	uint32_t captured;
	const uint8_t *data;
};

/* Called with up to n packets at a time, with the number lost so far; with n = 0 and the reason at
 * the end. */
typedef void (*capture_fn)(void *arg, const struct captured_packet *p, unsigned int n,
			   uint64_t dropped, const char *end);
int capture_start(const struct capture_config *c, capture_fn fn, void *arg, uint32_t *handle,
		  struct dp_error *err);
void capture_stop(uint32_t handle);

/* ---- ping and traceroute probes of the control thread (ping.c) ---- */

/* The same numbers as millrace.dataplane.v1.PingOutcome. */
enum ping_outcome {
	PING_REPLY = 1,
	PING_TIMEOUT = 2,
	PING_TIME_EXCEEDED = 3,
	PING_UNREACHABLE = 4,
	PING_NO_ROUTE = 5,
	PING_TOO_BIG = 6,
};

struct ping_config {
	uint16_t vrf;
	struct ip_addr dst, src;
	struct iface *iface;
	uint8_t ttl;
	uint16_t size;
	uint16_t identifier, sequence;
	uint32_t timeout_ms;
	bool df, udp;
};

struct ping_result {
	enum ping_outcome outcome;
	struct ip_addr from;
	uint64_t rtt_ns;
	uint8_t ttl, icmp_type, icmp_code;
	uint16_t mtu, length;
};

typedef void (*ping_fn)(void *arg, const struct ping_result *r);
/* Calls fn once, later, on the control thread; never from within ping_start. */
int ping_start(const struct ping_config *c, ping_fn fn, void *arg, struct dp_error *err);
/* Forgets all probes with this arg (the client went away). */
void ping_cancel(void *arg);
int ping_init(void);

#endif
