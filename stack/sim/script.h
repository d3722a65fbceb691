/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of one engine packet by packet: hand-made segments go in, and what comes out is compared,
 * both written much as tcpdump prints them:
 *
 *   IN("S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,wscale 7>");
 *   OUT("S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 1,wscale *>");
 *
 * Numbers are relative to the initial sequence numbers of both sides. Flags are letters of
 * FSRPU.EW; P, and E and W of SYNs, are compared only if expected. `*` stands for any number; what
 * an expectation leaves out (ack, win, <options>) is not compared; <> means no options; `ecr @` is
 * the newest timestamp that came out. [CE] and the like are the IP header's ECN field. All
 * functions end the process with the place in the test if something is not as it should be.
 */
#ifndef MILLRACE_SIM_SCRIPT_H
#define MILLRACE_SIM_SCRIPT_H

#include "rig.h"

#define USEC 1000ull
#define MSEC 1000000ull
#define SEC  1000000000ull

struct script_packet {
	uint64_t at;
	uint32_t len;
	uint8_t *p;
};

struct script {
	struct tcp_config cfg;
	struct tcp_engine *e;
	struct tcp_listener *l;
	uint64_t now;
	struct rng rng;
	uint16_t family, mtu;
	/* No route at all. */
	bool no_route;
	/* Host order; the engine's own side is l. */
	uint16_t lport, rport;
	uint8_t remote;
	uint32_t isn, peer_isn;
	uint32_t tsval;
	bool has_isn;

	struct script_packet *q;
	uint32_t q_n, q_cap, q_first;

	/* The service: the newest connection, and what it heard. */
	struct tcp_conn *c;
	bool refuse, no_read, close_at_eof;
	uint32_t accepted, connected, readable, writable, timers, drained;
	bool closed, eof;
	enum tcp_close_reason why;
	uint8_t *got;
	uint32_t got_n, got_cap;
	uint64_t written;
	struct tcp_listener_params lp;
	/* Round-trip time of ESTABLISH's handshake. */
	uint32_t rtt_ms;
};

struct script_options {
	uint16_t family, mtu;
	struct tcp_options opt;
	struct tcp_config cfg;
	uint32_t backlog, max_conns, max_per_source, rate, burst;
	bool no_listener;
};

/* Begins and ends a test by that name. At the end nothing may be left, in the engine or of buffers.
 */
struct script *script_new(const char *name, const struct script_options *o);
void script_end(struct script *s);

void script_in(const char *file, int line, struct script *s, int fill, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void script_out(const char *file, int line, struct script *s, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* As script_out(), and it comes from lo to hi ms from now, and nothing before. */
void script_out_ms(const char *file, int line, struct script *s, uint32_t lo, uint32_t hi,
		   const char *format, ...) __attribute__((format(printf, 6, 7)));
void script_none(const char *file, int line, struct script *s);
/* Lets time pass; timers fire when they are due. */
void script_wait(struct script *s, uint64_t ns);
void script_check(const char *file, int line, bool ok, const char *what);
/* A packet as it is. Returns the verdict. */
uint8_t script_raw(struct script *s, const struct seg *g);
/* The next packet that came out, parsed; payload valid until the next call. False: none. */
bool script_take(struct script *s, struct seg *g);
void script_flush(struct script *s);
/* Octets of the service's stream. */
void script_write(const char *file, int line, struct script *s, uint32_t n);
/* The service has read n octets in all, each right. */
void script_got(const char *file, int line, struct script *s, uint32_t n);
void script_read(struct script *s, uint32_t max);
/* The engine connects to rport. */
void script_connect(struct script *s, const struct tcp_options *opt);
/* From the port that the script uses, not one that the engine chooses. */
void script_reconnect(struct script *s, const struct tcp_options *opt);
/* The client's side of a handshake with the usual options; then established. */
void script_establish(const char *file, int line, struct script *s, const char *options);
void script_tuple(const struct script *s, struct tcp_tuple *t);
extern const struct tcp_ops script_ops;

/* All tests name their script `s`. */
#define IN(...)		    script_in(__FILE__, __LINE__, s, -1, __VA_ARGS__)
#define IN_FILL(fill, ...)  script_in(__FILE__, __LINE__, s, fill, __VA_ARGS__)
#define OUT(...)	    script_out(__FILE__, __LINE__, s, __VA_ARGS__)
#define OUT_MS(lo, hi, ...) script_out_ms(__FILE__, __LINE__, s, lo, hi, __VA_ARGS__)
#define NONE()		    script_none(__FILE__, __LINE__, s)
/* Whatever came out so far does not matter. */
#define DROP()		((void)(s->q_first = s->q_n))
#define WAIT_MS(ms)	script_wait(s, (ms)*MSEC)
#define CHECK(x)	script_check(__FILE__, __LINE__, x, #x)
#define WRITE(n)	script_write(__FILE__, __LINE__, s, n)
#define GOT(n)		script_got(__FILE__, __LINE__, s, n)
#define ESTABLISH(opts) script_establish(__FILE__, __LINE__, s, opts)
#define STATE(st)	CHECK(s->c != NULL && tcp_conn_state(s->c) == TCP_##st)
#define CLOSED(reason)	CHECK(s->closed && s->why == TCP_CLOSE_##reason)
#define MIB(field)	(tcp_mib(s->e)->field)
/* Calls a function of the API and lets the engine send. */
#define DO(x)                                                                                      \
	do {                                                                                       \
		x;                                                                                 \
		script_flush(s);                                                                   \
	} while (0)

#endif
