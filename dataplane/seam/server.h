/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the seam: clients, what they asked for, and the ways to answer. Control thread only. */
#ifndef MILLRACE_SEAM_SERVER_H
#define MILLRACE_SEAM_SERVER_H

#include <sys/queue.h>

#include "../core/addr.h"
#include "../core/error.h"
#include "arena.h"
#include "owner.h"
#include "pb.h"
#include "sweep.h"

#define SEAM_CLIENTS_MAX 32
#define SEAM_FRAME_MAX	 (4u << 20)
#define SEAM_OPS_MAX	 8192u
/* Answers that may wait for a client before it is disconnected, and events before they are dropped.
 */
#define SEAM_ANSWERS_MAX (64u << 20)
#define SEAM_EVENTS_MAX	 (4u << 20)
/* Memory one request may unfold into, and what its answer may take on top. */
#define SEAM_DECODE_MAX (64u << 20)
#define SEAM_ANSWER_MAX (64u << 20)
/* Subscriptions, traces and captures of one connection; pings of one connection at the same time.
 */
#define SEAM_STREAMS_MAX 16
#define SEAM_PINGS_MAX	 256
/* Operations of a batch, and objects of a sweep, per turn of the loop: what else the control thread
 * does waits no longer. */
#define SEAM_BATCH_SLICE 512
#define SEAM_SWEEP_SLICE 512

/* Frames that wait to be sent. */
struct outq {
	uint8_t *buf;
	size_t start, end, cap;
	/* Bytes of the frame at start that are still to be sent, if it was begun. */
	size_t frame_left;
};

enum stream_kind {
	STREAM_FREE = 0,
	STREAM_SUBSCRIBE,
	STREAM_TRACE,
	STREAM_CAPTURE,
};

struct stream {
	enum stream_kind kind;
	uint64_t id;
	/* Of trace_start() or capture_start(). */
	uint32_t handle;
	struct seam_client *client;
	/* Events (packets, for a capture) that were dropped and not yet told. */
	uint64_t lost;
	/* Packets of a capture that were dropped here since its beginning. */
	uint64_t lost_total;
};

struct seam_ping {
	LIST_ENTRY(seam_ping) next;
	struct seam_client *client;
	uint64_t id;
};

enum job_kind {
	JOB_NONE = 0,
	JOB_BATCH,
	JOB_SWEEP,
	JOB_TCP_KILL,
};

struct term_filter;

struct tcp_kill_job {
	struct term_filter *filter;
	uint32_t worker, slot;
	uint64_t count;
};

/* A request that takes several turns of the loop. */
struct job {
	enum job_kind kind;
	uint64_t id;
	PB(Batch) *batch;
	size_t at;
	PB(OpError) **failed;
	size_t n_failed;
	struct sweep sweep;
	struct tcp_kill_job kill;
};

struct seam_client {
	TAILQ_ENTRY(seam_client) next;
	/* -1: no socket; what is sent is thrown away. */
	int fd;
	uint32_t events;
	/* Freed at the end of the turn. */
	bool dead;
	/* Nothing more is read; closed when all is sent. */
	bool closing;
	bool eof;
	uint64_t closing_since_ns;
	uint8_t *buf;
	size_t start, end, cap;
	struct outq answers, events_out;
	/* Events are being dropped until half of their queue is sent. */
	bool overflow;
	struct arena arena;
	struct job job;
	struct owner_claim claim;
	struct stream stream[SEAM_STREAMS_MAX];
	LIST_HEAD(, seam_ping) pings;
	unsigned int n_pings;
};

/* ---- server.c ---- */

/* fd: a connected socket that is closed with the client, or -1. NULL when there are too many, or no
 * memory. */
struct seam_client *client_new(int fd);
/* Stops its streams and pings and closes the socket. The struct lives until the end of the turn of
 * the loop. */
void client_kill(struct seam_client *c);
/* Nothing more is read; the connection ends when what waits was sent. */
void client_close(struct seam_client *c);
/* One turn of the loop: a slice of work for each client, and what can be sent. True if there is
 * more to do at once. */
bool seam_turn(void *arg);
void client_foreach(void (*fn)(struct seam_client *c, void *arg), void *arg);

/* ---- request.c ---- */

/* Decodes and carries out one request, or begins to. */
void request_begin(struct seam_client *c, const uint8_t *data, size_t len);
/* Goes on with c->job. */
void request_continue(struct seam_client *c);
/* A frame that cannot be followed. */
void request_too_long(struct seam_client *c, uint32_t len);

/* ---- answers ---- */

void reply(struct seam_client *c, PB(Response) *r);
/* The field is path + "." + err->field; either may be empty. */
void reply_error(struct seam_client *c, uint64_t id, const char *path, const struct dp_error *err);
void reply_done(struct seam_client *c, uint64_t id, uint64_t count);
/* False if it was dropped; `always` is for the event that ends a stream. */
bool send_event(struct stream *s, PB(Event) *e, bool always);

/* ---- events.c ---- */

void subscribe_begin(struct seam_client *c, uint64_t id);
void trace_begin(struct seam_client *c, uint64_t id, const PB(Trace) *t);
void capture_begin(struct seam_client *c, uint64_t id, const PB(Capture) *t);
void stream_cancel(struct seam_client *c, uint64_t id, const PB(Cancel) *t);
void streams_stop(struct seam_client *c);
/* Tells what was lost, once there is room again. */
void streams_tell_overflow(struct seam_client *c);

/* ---- probe.c ---- */

void ping_begin(struct seam_client *c, uint64_t id, const PB(Ping) *p);
void pings_cancel(struct seam_client *c);
void lookup(struct seam_client *c, uint64_t id, const PB(Lookup) *l);

/* ---- list_tcp_conns.c ---- */

void tcp_kill_begin(struct seam_client *c, uint64_t id, const PB(TcpKill) *m);
void tcp_kill_continue(struct seam_client *c);

/* ---- list.c, info.c, counters.c ---- */

void list(struct seam_client *c, uint64_t id, const PB(List) *l);
void info(struct seam_client *c, uint64_t id);
int counters_clear(const char *interface, uint64_t *count, struct dp_error *err);
extern uint64_t seam_started_ns;

#endif
