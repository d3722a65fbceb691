/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: a connection each, with the two applications at its ends. What an end sends follows from
 * the flow's key and the offset, so the other end, and the wire, can check each octet.
 */
#ifndef MILLRACE_SIM_APP_H
#define MILLRACE_SIM_APP_H

#include "world.h"

struct flow;

enum write_mode {
	/* Chains of buffers of odd sizes. */
	WRITE_CHAIN,
	WRITE_COPY,
	/* A few octets at a time. */
	WRITE_TINY,
	/* Several pieces under a cork. */
	WRITE_CORK,
	/* What was read, in the same buffers. */
	WRITE_ECHO,
	WRITE_MODES,
};

enum read_mode {
	/* All there is. */
	READ_ALL,
	/* Some. */
	READ_SOME,
	/* Looks, then discards. */
	READ_PEEK,
	/* Nothing until read_from, then all. */
	READ_LATE,
	/* Nothing ever. */
	READ_NEVER,
	READ_MODES,
};

enum end_mode {
	/* FIN when all is written; tcp_close() when the peer is at its end too. */
	END_ORDERLY,
	/* The same but waits for `closed` to be called. */
	END_WAIT,
	/* FIN only after the peer's. */
	END_AFTER_PEER,
	/* tcp_close() when all is written, whatever comes in. */
	END_CLOSE,
	/* tcp_abort() at end_at octets written or read. */
	END_ABORT,
	/* Somebody calls tcp_kill() end_after after the start. */
	END_KILL,
	/* Does nothing; the other side has to. */
	END_NEVER,
	END_MODES,
};

struct end {
	struct flow *flow;
	struct host *host;
	struct tcp_conn *c;
	/* 0: client. */
	uint8_t side;

	/* Plan. */
	uint64_t total;
	enum write_mode write;
	uint32_t write_max;
	uint64_t write_pause_ns;
	enum read_mode read;
	uint32_t read_max;
	uint64_t read_pause_ns, read_from_ns;
	enum end_mode end;
	uint64_t end_at, end_after_ns;

	/* State. */
	uint64_t sent, got;
	bool established, shut, eof, corked;
	/* Ended by itself, or told by `closed`. */
	bool gave_up, closed;
	enum tcp_close_reason why;
	/* Waits for buffers. */
	bool retrying;
	uint64_t next_write, next_read;
	/* Echo: read, not taken by tcp_write() yet. */
	struct rte_mbuf *held;
};

/* What the wire has seen of one direction. */
struct wire {
	uint32_t iss[4];
	uint8_t n_iss;
	bool has_ts, has_edge, has_fin;
	uint8_t wscale;
	bool offered_wscale;
	uint32_t tsval;
	/* Relative to the newest iss. */
	uint32_t sent, acked, fin;
	/* Right edge of the window, absolute. */
	uint32_t edge;
};

/* How a flow may end. */
enum outcome {
	/* All octets both ways, FIN both ways, nobody hears of an error. */
	OUTCOME_CLEAN,
	/* Anything, in time. */
	OUTCOME_ANY,
	/* The connection cannot come to be. */
	OUTCOME_REFUSED,
	OUTCOME_UNANSWERED,
};

struct flow {
	struct world *w;
	uint32_t id;
	uint16_t family;
	/* Host order. */
	uint16_t client_port, server_port;
	uint64_t key[2];
	struct end end[2];
	/* Request/response: octets per request and per response; 0: both stream. */
	uint32_t request, response;
	/* Both ends connect. */
	bool simultaneous;
	/* Some wait for what does not come: then somebody kills both; 0: nobody has to. */
	uint64_t kill_after_ns;
	uint64_t start, bound_ns, ended;
	enum outcome outcome;
	struct tcp_options opt;
	bool started, refused;
	int connect_errno;
	/* Packets since an end got or sent anything new. */
	uint64_t idle_packets, progress_at;
	uint64_t packets;
	struct wire wire[2];
	/* Same ports before this one. */
	struct flow *older;
	struct flow *next_hash;
};

#define FLOW_HASH 1024

struct flows {
	struct world *w;
	struct flow *flow;
	uint32_t n;
	struct flow *hash[FLOW_HASH];
	/* Of the whole scenario. */
	struct rng rng;
	/* What passes on the wire cannot be followed in all detail: cookies, changed options. */
	bool loose_sequence, loose_window;
	/* Neither can octets: somebody changes them. */
	bool lies;
	/* Somebody sends SYNs for connections that are over. */
	bool spoofed;
};

void flows_init(struct flows *fs, struct world *w, uint32_t n);
void flows_free(struct flows *fs);
/* Fills in a flow's fixed parts; the plan is the caller's. */
struct flow *flow_init(struct flows *fs, uint32_t i, struct host *client, struct host *server);
/* At flow->start it connects. */
void flow_schedule(struct flow *f);
/* The flow of a packet from a to b; *dir 0: client to server. Ports in host order. */
struct flow *flow_find(struct flows *fs, uint16_t family, const struct host *a, uint16_t aport,
		       const struct host *b, uint16_t bport, uint8_t *dir);
/* A listener that serves the flows; returns NULL and fails the world if it cannot. */
struct tcp_listener *app_listen(struct host *h, uint16_t family, uint16_t port,
				const struct tcp_options *opt, uint32_t backlog);
extern const struct tcp_ops app_ops;
bool end_over(const struct end *e);
bool flow_over(const struct flow *f);
/* The host's engine went away under the flow. */
void flows_host_crashed(struct flows *fs, struct host *h);

/* Octets of one direction's stream. */
void content_make(uint64_t key, uint64_t offset, uint8_t *p, uint32_t len);
/* Index of the first octet that is wrong, or -1. */
int64_t content_check(uint64_t key, uint64_t offset, const uint8_t *p, uint32_t len);

#endif
