/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP engine: IP packets, time and randomness go in; IP packets, timer deadlines and events
 * come out. It has no clock, no randomness, no I/O and no globals of its own, so that one piece of
 * code serves the workers, the simulator, the fuzzers and the benchmarks. One engine belongs to one
 * thread; any number of engines may exist in a process, and they share nothing.
 *
 * How it is driven:
 *
 *   tcp_input(e, packets, n, now)   received segments, as a vector
 *   tcp_poll(e, now)                expired timers
 *   tcp_flush(e)                    tell services what happened, send what may be sent
 *   tcp_next_timer(e)               when tcp_poll() is due next
 *
 * tcp_input() changes connections and remembers which; tcp_flush() calls the services' callbacks
 * for them and then lets each send once. So a vector of segments of one connection costs one
 * callback and one acknowledgement.
 *
 * Addresses and ports are in network byte order; an IPv4 address is held as ::ffff:a.b.c.d.
 * Times are in nanoseconds of any monotonic clock that starts above 0. Sequence numbers are host
 * order. Names follow RFC 9293.
 */
#ifndef MILLRACE_TCP_H
#define MILLRACE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_mbuf.h>

#include "mib.h"

struct tcp_engine;
struct tcp_conn;
struct tcp_listener;

/* ---- Addresses ---- */

struct tcp_addr {
	uint8_t b[16];
};

/* Local and remote side of a connection. No padding: compared and hashed as bytes. */
struct tcp_tuple {
	struct tcp_addr laddr, raddr;
	/* Network byte order. */
	uint16_t lport, rport;
	/* Network instance. */
	uint16_t vrf;
	/* 4 or 6. */
	uint16_t family;
};
_Static_assert(sizeof(struct tcp_tuple) == 40, "hashed as five words");

static inline void tcp_addr4(struct tcp_addr *a, uint32_t be)
{
	memset(a->b, 0, 10);
	a->b[10] = a->b[11] = 0xff;
	memcpy(a->b + 12, &be, 4);
}

static inline void tcp_addr6(struct tcp_addr *a, const void *be)
{
	memcpy(a->b, be, 16);
}

static inline bool tcp_addr_is4(const struct tcp_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->b, mapped, 12) == 0;
}

/* ---- The engine ---- */

/* What the way to a destination is like; filled in by the `route` callback. */
struct tcp_route {
	/* Octets of IP packet that fit the egress; 0: no route, the packet or attempt is given up.
	 */
	uint16_t mtu;
	/* The port computes the TCP (and IPv4 header) checksum … */
	bool tx_checksum;
	/* … and cuts large segments (TSO) of up to tso_max octets of payload; 0: it does not. */
	uint32_t tso_max;
};

/*
 * The world of an engine. Callbacks run in the engine's thread, must not block and must not call
 * back into the engine.
 */
struct tcp_env {
	void *ctx;
	/* 64 unpredictable bits. Also the source of the keys, at tcp_engine_create(). */
	uint64_t (*random)(void *ctx);
	/* Asked when a connection is made, and again after ICMP or a route change. */
	void (*route)(void *ctx, const struct tcp_tuple *t, struct tcp_route *out);
	/*
	 * Takes the packets (data pointer at the IP header; l2_len 0, l3_len, l4_len, ol_flags and
	 * tso_segsz set for what tcp_route promised). tcp_tx_vrf() and tcp_tx_family() tell where
	 * to.
	 */
	void (*tx)(void *ctx, struct rte_mbuf **pkts, uint16_t n);
	/* Memory for the tables: called by tcp_engine_create() and _destroy() only. Zeroed, aligned
	 * to 64 bytes; touched only as far as it is used. */
	void *(*alloc)(void *ctx, size_t bytes);
	void (*free)(void *ctx, void *p, size_t bytes);
};

static inline uint16_t tcp_tx_vrf(const struct rte_mbuf *m)
{
	return (uint16_t)m->hash.usr;
}

/* 4 or 6. */
static inline uint8_t tcp_tx_family(const struct rte_mbuf *m)
{
	return (uint8_t)(m->hash.usr >> 16);
}

struct tcp_config {
	/* Connections at most, TIME-WAIT not counted; 1 to 2^24. */
	uint32_t max_conns;
	/* TIME-WAIT entries at most; when full, the oldest goes (RFC 9293 asks for 2 MSL, memory
	 * comes first). 0: as many as max_conns. */
	uint32_t max_time_wait;
	/* Segments in flight or waiting, all connections together (64 bytes each); 0: a default. */
	uint32_t max_segs;
	/* Octets of packet buffers that all connections together may hold. */
	uint64_t mem_limit;
	/* TIME-WAIT, milliseconds; 0: 60,000. */
	uint32_t time_wait_ms;
	/* Ephemeral ports for connections made from here, host order; 0: 32768 to 60999. */
	uint16_t port_min, port_max;
	/* Ephemeral ports p with p % port_stride == port_phase are used: so workers share an
	 * address. 0: all. */
	uint16_t port_stride, port_phase;
	/* Header and copy buffers; at least 256 octets of room beside the headroom. */
	struct rte_mempool *pool;
	/* Challenge ACKs per second (RFC 5961 section 7); 0: 1,000. */
	uint32_t challenge_ack_rate;
	/* RSTs per second for segments without a connection; 0: 1,000. */
	uint32_t reset_rate;
	/* Nanoseconds the vector of packets is old at most: TCP timestamps are derived from `now`.
	 */
	uint64_t start_ns;
};

#define TCP_FAST_OPEN_KEY 16

/*
 * The key of Fast Open cookies (RFC 7413 section 4.1.2), in place of the engine's own random ones:
 * so that servers that share an address honour each other's. Cookies of the key before stay valid.
 * They are what Linux makes of the same key (tcp_fastopen_key, octets in the order of
 * TCP_FASTOPEN_KEY).
 */
void tcp_set_fast_open_key(struct tcp_engine *e, const uint8_t key[TCP_FAST_OPEN_KEY]);

/* NULL with errno set (EINVAL, ENOMEM). */
struct tcp_engine *tcp_engine_create(const struct tcp_config *cfg, const struct tcp_env *env);
/* Frees everything; services are not told, nothing is sent. */
void tcp_engine_destroy(struct tcp_engine *e);

/* Where a packet given to tcp_input() went. */
enum tcp_verdict {
	/* The engine has it (processed, queued or dropped and counted). */
	TCP_TAKEN = 0,
	/* No connection and no listener matches: not freed, the caller's again. */
	TCP_NOT_MINE = 1,
};

/*
 * Received IP packets: data pointer at the IP header, the header in the first segment, lengths
 * already checked against the buffer (trailing padding is allowed), l3_len the IP header with
 * extension headers, no fragments, vrf[i] the network instance. RTE_MBUF_F_RX_L4_CKSUM_GOOD spares
 * the checksum. Fills verdict[i]; returns how many are TCP_NOT_MINE.
 */
uint16_t tcp_input(struct tcp_engine *e, struct rte_mbuf **pkts, const uint16_t *vrf,
		   uint8_t *verdict, uint16_t n, uint64_t now_ns);

/*
 * A segment nobody wants (TCP_NOT_MINE): answers with a RST as RFC 9293 section 3.10.7.1 says and
 * frees it. For worlds without a kernel behind the engine.
 */
void tcp_refuse(struct tcp_engine *e, struct rte_mbuf *m, uint16_t vrf);

enum tcp_icmp {
	/* Packet too big / fragmentation needed; mtu as reported, 0 if the router told none. */
	TCP_ICMP_TOO_BIG,
	/* Unreachable for reasons that may pass: network, host, TTL exceeded. */
	TCP_ICMP_SOFT,
	/* Protocol or port unreachable, administratively prohibited. */
	TCP_ICMP_HARD,
};
/*
 * An ICMP error about a segment sent from here: t as the connection has it (local side = source of
 * the quoted packet), seq its sequence number. Believed only if seq is within what is in flight
 * (RFC 5927). True if a connection matched.
 */
bool tcp_icmp(struct tcp_engine *e, const struct tcp_tuple *t, uint32_t seq, enum tcp_icmp what,
	      uint32_t mtu, uint64_t now_ns);

/* Expires timers up to now. Returns how many fired. */
unsigned int tcp_poll(struct tcp_engine *e, uint64_t now_ns);
/* Runs the callbacks of the connections that something happened to, then sends. */
void tcp_flush(struct tcp_engine *e);
/* Absolute time at which tcp_poll() has something to do (it may be early, never late); UINT64_MAX:
 * never. */
uint64_t tcp_next_timer(const struct tcp_engine *e);
uint64_t tcp_now(const struct tcp_engine *e);

/* ---- Connections, as a service sees them ---- */

enum tcp_state {
	TCP_CLOSED,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
	TCP_STATES,
};
/* "ESTABLISHED", "FIN-WAIT-1", … as RFC 9293 writes them. */
const char *tcp_state_name(enum tcp_state s);

enum tcp_close_reason {
	/* Both sides sent FIN, all was acknowledged. */
	TCP_CLOSE_DONE,
	/* The peer reset it. */
	TCP_CLOSE_RESET,
	/* A connection made from here was refused by RST. */
	TCP_CLOSE_REFUSED,
	/* The user timeout passed without acknowledgement (RFC 5482), or SYNs were not answered. */
	TCP_CLOSE_TIMEOUT,
	/* Keepalive probes were not answered. */
	TCP_CLOSE_KEEPALIVE,
	/* ICMP said the peer cannot be reached (while connecting), or there is no route. */
	TCP_CLOSE_UNREACHABLE,
	/* Ended from here: killed by the operator, listener deleted, memory. */
	TCP_CLOSE_ABORTED,
	TCP_CLOSE_REASONS,
};
const char *tcp_close_reason_name(enum tcp_close_reason r);

/*
 * What a service implements. All but `closed` may be NULL. A callback may call any function of this
 * section on any connection of the same engine; a connection stays valid until its `closed` returns
 * or the service itself ends it by tcp_close() or tcp_abort(), after which no callback comes for
 * it.
 */
struct tcp_ops {
	/* A listener's new connection is established; set its user pointer. False refuses it by
	 * RST. */
	bool (*accept)(struct tcp_conn *c, void *listener_ctx);
	/* A connection made by tcp_connect() is established. */
	void (*connected)(struct tcp_conn *c);
	/* There are new octets to read, or the peer sent FIN (tcp_at_eof() once all is read). */
	void (*readable)(struct tcp_conn *c);
	/* There is room again after tcp_write() found too little or tcp_want_write() was called;
	 * all sent data acknowledged counts too. */
	void (*writable)(struct tcp_conn *c);
	/* The deadline set by tcp_set_timer() passed. */
	void (*timer)(struct tcp_conn *c);
	/* The last callback. */
	void (*closed)(struct tcp_conn *c, enum tcp_close_reason why);
	/* The operator or a shutdown asks for an orderly end (drain); NULL: tcp_shutdown(). */
	void (*drain)(struct tcp_conn *c);
};

enum tcp_cc_algorithm {
	TCP_CC_CUBIC,
	TCP_CC_NEWRENO,
	TCP_CC_BBR,
	TCP_CC_MAX,
};

/* Per listener, or per connection made from here. Zero means the default everywhere. */
struct tcp_options {
	enum tcp_cc_algorithm cc;
	/* Switches are negative so that zero is the usual stack. */
	bool no_sack, no_timestamps, no_window_scale, no_ecn, no_delayed_ack;
	/* Nagle's algorithm is off (TCP_NODELAY). */
	bool no_nagle;
	/* Server side of Fast Open (RFC 7413). */
	bool fast_open;
	/* … and data in a SYN is taken without a cookie: only where source addresses cannot be
	 * forged (section 5.1 there). */
	bool fast_open_no_cookie;
	/* Answer with SYN cookies always, not only when the backlog is full; for tests. */
	bool cookies_always;
	/* Never probe for a larger path MTU (RFC 4821). */
	bool no_mtu_probing;
	/* Also offer accurate pacing where the congestion control does not ask for it. */
	bool pacing;
	/* Segments that may go out at once however slow the path is; 0: 2. */
	uint8_t min_burst;
	uint8_t ttl;
	uint8_t dscp;
	/* Largest MSS to announce and use, 0: what the MTU allows; at least 88. */
	uint16_t mss;
	/* Seconds of silence before probes, 0: no keepalive; between probes (75); probes (9). */
	uint32_t keepalive_idle_s, keepalive_interval_s, keepalive_count;
	/* Milliseconds of unacknowledged data after which the connection ends (RFC 9293
	 * section 3.9.1), 0: 15 minutes. */
	uint32_t user_timeout_ms;
	/* Milliseconds a closed connection may stay in FIN-WAIT-2; 0: 60,000. */
	uint32_t fin_wait2_ms;
	/* Milliseconds for the handshake, 0: 63,000 (SYN), and SYN-ACK retransmissions, 0: 5. */
	uint32_t connect_timeout_ms;
	uint8_t synack_retries;
	/* Octets of receive and send buffer at most; 0: 6 MiB and 4 MiB. They start small and grow
	 * as needed. */
	uint32_t rcvbuf_max, sndbuf_max;
};

struct tcp_conn_stats;

/*
 * Changes a connection's options while it lives: Nagle, delayed ACKs, DSCP and TTL, keepalive, user
 * and FIN-WAIT-2 timeouts, buffer limits, and the MSS if it is smaller than now. Others only count
 * at the start.
 */
void tcp_set_options(struct tcp_conn *c, const struct tcp_options *o);

/* The service's pointer and callbacks; may be changed at any time. */
void *tcp_user(const struct tcp_conn *c);
void tcp_set_user(struct tcp_conn *c, void *user);
void tcp_set_ops(struct tcp_conn *c, const struct tcp_ops *ops);

struct tcp_engine *tcp_engine_of(const struct tcp_conn *c);
const struct tcp_tuple *tcp_tuple(const struct tcp_conn *c);
enum tcp_state tcp_conn_state(const struct tcp_conn *c);
/* NULL for connections made from here. */
struct tcp_listener *tcp_conn_listener(const struct tcp_conn *c);
/* The buffers new data is best made in. */
struct rte_mempool *tcp_pool(const struct tcp_engine *e);
/* Octets of payload per segment now: data in buffers of this size is sent without splitting. */
uint16_t tcp_conn_mss(const struct tcp_conn *c);

/* Octets that wait to be read. */
uint32_t tcp_readable(const struct tcp_conn *c);
/* The peer's FIN was received and everything before it has been read. */
bool tcp_at_eof(const struct tcp_conn *c);
/*
 * Takes up to max octets out, as a chain of buffers that is the caller's, payload only; NULL if
 * there are none (or if max cuts the first buffer and the pool has none for the cut: try again
 * later, or take all). A buffer may be shared: write into it only if rte_mbuf_refcnt_read() is 1
 * and it is direct. Reading opens the receive window: a service that does not read slows its peer
 * down.
 */
struct rte_mbuf *tcp_read(struct tcp_conn *c, uint32_t max);
/* The first buffer of what tcp_read() would return, left in place: to look before taking. */
const struct rte_mbuf *tcp_peek(const struct tcp_conn *c);
/* Copies up to len octets from offset on, which stay unread. Returns how many. */
uint32_t tcp_peek_copy(const struct tcp_conn *c, uint32_t offset, void *buf, uint32_t len);
/* Reads and frees up to max octets. Returns how many. */
uint32_t tcp_discard(struct tcp_conn *c, uint32_t max);

/* Octets that tcp_write() would take now. */
uint32_t tcp_writable(const struct tcp_conn *c);
/*
 * Queues a chain of buffers, which the engine then owns; it is not copied, and freed when
 * acknowledged. Shared and indirect buffers and buffers with external memory are fine. All or
 * nothing: 0, or a negative errno with the chain still the caller's: -EAGAIN no room (`writable`
 * will come), -EPIPE after tcp_shutdown() or when closed. A chain is taken if any room is left, so
 * it may overshoot the buffer by its own length once.
 */
int tcp_write(struct tcp_conn *c, struct rte_mbuf *chain);
/* Copies; returns the octets taken, which may be fewer than len, or a negative errno as above
 * (-ENOBUFS: no buffers). */
int tcp_write_copy(struct tcp_conn *c, const void *data, uint32_t len);
/* Asks for `writable` as soon as there are `room` octets of room (0: any). */
void tcp_want_write(struct tcp_conn *c, uint32_t room);
/* More will follow at once: no short segment is sent meanwhile (MSG_MORE). False lets it go. */
void tcp_cork(struct tcp_conn *c, bool on);
/* What was written last does not end a message: unless more is written before, it goes without
 * PSH (RFC 9293 section 3.9.1.2). */
void tcp_set_more(struct tcp_conn *c, bool more);
/* Octets written that are not acknowledged yet. */
uint32_t tcp_unacked(const struct tcp_conn *c);

/* One timer per connection for its service: `timer` is called once, ms from now (granularity about
 * 1 ms); 0 cancels. */
void tcp_set_timer(struct tcp_conn *c, uint32_t ms);

/* FIN after what was written. Reading goes on. */
void tcp_shutdown(struct tcp_conn *c);
/* The service is done: FIN after what was written, or RST if there is unread data (RFC 2525
 * section 2.17). No callback comes any more. */
void tcp_close(struct tcp_conn *c);
/* RST and gone; no callback comes any more. */
void tcp_abort(struct tcp_conn *c);
/* As tcp_abort(), and `closed` is called with TCP_CLOSE_ABORTED at the next flush: for whoever is
 * not the service. */
void tcp_kill(struct tcp_conn *c);
/* Asks for an orderly end: ops.drain, or tcp_shutdown() where there is none. Nothing if the service
 * has ended the connection already. For whoever is not the service. */
void tcp_drain(struct tcp_conn *c);

struct tcp_connect_params {
	/* lport 0: an ephemeral port (RFC 6056). laddr must be given. */
	struct tcp_tuple tuple;
	const struct tcp_ops *ops;
	void *user;
	struct tcp_options opt;
};
/* Starts a connection. NULL with errno: EADDRINUSE (no port left), ENOBUFS (limits), ENETUNREACH.
 */
struct tcp_conn *tcp_connect(struct tcp_engine *e, const struct tcp_connect_params *p);

/* ---- Listeners ---- */

struct tcp_prefix {
	struct tcp_addr addr;
	/* 0 to 128; IPv4 prefixes are 96 longer. */
	uint8_t len;
};

/* Whether a lies in p. */
bool tcp_prefix_has(const struct tcp_prefix *p, const struct tcp_addr *a);

/*
 * Changed as a whole by tcp_listener_update(), which affects new connections only. The arrays are
 * the caller's and must live until the listener is updated or gone.
 */
struct tcp_listener_params {
	/* Number in stats and listings; the caller's. */
	uint32_t id;
	uint16_t vrf;
	/* 4, 6, or 0: any address of either family. */
	uint16_t family;
	/* All zeroes: any address that packets are delivered for. */
	struct tcp_addr addr;
	/* Network byte order. */
	uint16_t port;
	const struct tcp_ops *ops;
	void *ctx;
	struct tcp_options opt;
	/* Half-open connections before SYN cookies are used; 0: 1,024. */
	uint32_t backlog;
	/* Connections at most, 0: no limit but the engine's. */
	uint32_t max_conns;
	/* New connections per second and burst; 0: no limit. */
	uint32_t rate, burst;
	/* Connections at most per source address (IPv6: per /64); 0: no limit. */
	uint32_t max_per_source;
	/* If allow is not empty, only these may connect; deny wins. Others' SYNs are dropped, or
	 * reset if reset_denied. */
	const struct tcp_prefix *allow, *deny;
	uint32_t n_allow, n_deny;
	bool reset_denied;
};

struct tcp_listener_stats {
	uint64_t accepted;
	uint64_t active;
	uint64_t half_open;
	uint64_t closed;
	uint64_t cookies_sent, cookies_valid, cookies_invalid;
	uint64_t refused_limit, refused_rate, refused_source, refused_acl, refused_memory,
		refused_service;
	uint64_t fast_open_accepted, fast_open_cookie_invalid;
	uint64_t bytes_in, bytes_out;
};

/* NULL with errno: EADDRINUSE, ENOMEM, EINVAL. Allocates: not from within callbacks. */
struct tcp_listener *tcp_listen(struct tcp_engine *e, const struct tcp_listener_params *p);
/* Address, port, vrf and family must be as before (EINVAL). */
int tcp_listener_update(struct tcp_listener *l, const struct tcp_listener_params *p);
/* No new connections from now on; segments for the port without a connection are not ours any more.
 * The listener goes away with its last connection. */
void tcp_unlisten(struct tcp_listener *l);
void tcp_listener_stats(const struct tcp_listener *l, struct tcp_listener_stats *out);
void *tcp_listener_ctx(const struct tcp_listener *l);
uint32_t tcp_listener_id(const struct tcp_listener *l);

/* ---- Inspection ---- */

/* What `ss -ti` tells, and more. */
struct tcp_info {
	struct tcp_tuple tuple;
	enum tcp_state state;
	enum tcp_cc_algorithm cc;
	/* Disorder, Recovery, Loss: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss. */
	uint8_t ca_state;
	bool passive, sack, timestamps, ecn, fast_open;
	uint8_t snd_wscale, rcv_wscale;
	uint32_t listener_id;
	uint32_t rto_us, srtt_us, rttvar_us, min_rtt_us;
	/* Segments; ssthresh UINT32_MAX: infinite. */
	uint32_t cwnd, ssthresh;
	uint32_t mss, advmss, pmtu;
	/* Octets. */
	uint32_t snd_wnd, rcv_wnd, rcvbuf, sndbuf;
	uint32_t recv_queue, send_queue;
	/* Of the send queue, not sent yet. */
	uint32_t unsent;
	/* Segments. */
	uint32_t unacked, sacked, lost, retrans, reordering;
	/* Segments delivered so far, each once. */
	uint32_t delivered;
	/* Doublings of the retransmission timeout, and window or keepalive probes, unanswered. */
	uint8_t backoff, probes;
	uint32_t last_data_recv_ms;
	uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retrans;
	uint64_t segs_out, segs_in;
	uint32_t total_retrans, rto_count, dsack_dups;
	/* Octets per second; UINT64_MAX: unlimited. */
	uint64_t pacing_rate, delivery_rate;
	/* Since it was made; since octets came in order or some of ours were acknowledged (up to
	 * 128 ms less than that). */
	uint64_t age_ms, idle_ms;
	/* Deadline of the running timer in ms from now and its name, "" if none. */
	uint32_t timer_ms;
	const char *timer;
};
void tcp_info(const struct tcp_conn *c, struct tcp_info *out);

/*
 * Walks the connections, TIME-WAIT included, in the order of a slot number that never changes
 * during a connection's life: from *cursor on (0 at first), at most max_slots slots; fn gets each.
 * Sets *cursor to where to go on, UINT32_MAX at the end. c is NULL for TIME-WAIT.
 */
void tcp_walk(struct tcp_engine *e, uint32_t *cursor, uint32_t max_slots,
	      void (*fn)(void *arg, struct tcp_conn *c, const struct tcp_info *info), void *arg);

/* The connection with this tuple, or NULL. */
struct tcp_conn *tcp_find(struct tcp_engine *e, const struct tcp_tuple *t);

struct tcp_usage {
	uint32_t conns, time_wait, half_open, segs;
	uint64_t mem_bytes, mem_limit;
	/* 0 none, 1 no more growth, 2 buffers shrink and new connections are refused. */
	uint8_t pressure;
	/* Octets of tables per connection at most, payload not counted. */
	uint32_t conn_bytes;
};
void tcp_usage(const struct tcp_engine *e, struct tcp_usage *out);
const struct tcp_mib *tcp_mib(const struct tcp_engine *e);

/*
 * Checks what must always hold, of one connection or of all (c NULL). NULL, or what is wrong. For
 * the simulator and fuzzers; slow.
 */
const char *tcp_check(struct tcp_engine *e, struct tcp_conn *c);

#endif
