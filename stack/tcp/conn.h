/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the engine: what its files share. */
#ifndef MILLRACE_TCP_CONN_H
#define MILLRACE_TCP_CONN_H

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_tcp.h>

#include "cc.h"
#include "cookie.h"
#include "hash.h"
#include "lookup.h"
#include "options.h"
#include "rate.h"
#include "reass.h"
#include "slab.h"
#include "tcp.h"
#include "wheel.h"

/* Sequence numbers are compared modulo 2^32 (RFC 9293 section 3.4). */
static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

/* Timers of a connection: deadlines in ticks of the wheel, 0 when not set. */
enum tcp_timer {
	/* Retransmission, RACK reordering, tail loss probe, persist: never two at once (enum
	   rtx_kind). */
	T_RTX,
	T_DELACK,
	/* Keepalive, FIN-WAIT-2, handshake. */
	T_KEEP,
	T_PACE,
	/* The service's. */
	T_USER,
	T_MAX,
};

enum rtx_kind { RTX_RTO, RTX_REO, RTX_TLP, RTX_PERSIST };

#define TICK_SHIFT 17
#define TICK_NS	   (1u << TICK_SHIFT)

/* RFC 6298, with Linux's floor of 200 ms instead of one second. */
#define RTO_MIN_US    200000u
#define RTO_INIT_US   1000000u
#define RTO_MAX_US    120000000u
#define DELACK_MIN_US 40000u
/* RFC 8985: floor of the probe timeout. */
#define TLP_MIN_US    2000u
#define TLP_DELACK_US 200000u
#define QUICKACKS     16
#define MSS_DEFAULT4  536
#define MSS_DEFAULT6  1220
#define MSS_MIN	      88
#define DUP_THRESH    3
#define INIT_CWND     10
/* Octets of payload in a packet that the port cuts: with headers it has to fit the length of IP. */
#define TSO_MAX		 64000
#define CHALLENGE_OOW_MS 500
/* What the window field of a SYN can say. */
#define RCVBUF_INIT (64u << 10)
#define SNDBUF_INIT (64u << 10)
#define RCVBUF_MAX  (6u << 20)
#define SNDBUF_MAX  (4u << 20)
/* Payload up to this is copied behind the header rather than chained: cheaper than a second buffer.
 */
/* Segments a connection sends at most per flush. */
#define SEND_BURST 64
#define COPY_MAX   208
/* What lies before a segment's payload at most: Ethernet, VLAN, IPv6, TCP with options. */
#define HEADROOM 128

enum seg_flags {
	SEG_SACKED = 1 << 0,
	SEG_LOST = 1 << 1,
	/* Retransmitted, and the retransmission is in flight. */
	SEG_RETRANS = 1 << 2,
	SEG_EVER_RETRANS = 1 << 3,
	SEG_FIN = 1 << 4,
	SEG_PSH = 1 << 5,
	/* A probe of a larger path MTU. */
	SEG_PROBE = 1 << 6,
	/* Sent with the buffer itself as packet: its fields were changed since. */
	SEG_IN_PLACE = 1 << 7,
};

/* A segment that was sent and not acknowledged cumulatively. */
struct tcp_seg {
	/* In order of sequence numbers. */
	uint32_t next, prev;
	/* In order of the last transmission (RFC 8985); not there when SACKed or lost. */
	uint32_t tnext, tprev;
	/* Exactly its payload; NULL for a bare FIN. */
	struct rte_mbuf *m;
	uint32_t seq, end;
	/* Where the payload starts in m, which a transmission in place forgets. */
	uint16_t off;
	uint16_t len;
	uint8_t flags;
	uint8_t xmits;
	uint32_t mem;
	uint32_t sent_us;
	struct tcp_rate_snap snap;
};
_Static_assert(sizeof(struct tcp_seg) == 64, "one cache line");

enum conn_flags {
	F_SACK = 1u << 0,
	F_TS = 1u << 1,
	F_ECN = 1u << 2,
	F_WSCALE = 1u << 3,
	/* An acknowledgement is due at once / within the delayed-ACK time. */
	F_ACK_NOW = 1u << 4,
	F_ACK_LATER = 1u << 5,
	/* FIN after what is queued; FIN is in flight or acknowledged. */
	F_FIN_QUEUED = 1u << 6,
	F_FIN_SENT = 1u << 7,
	F_FIN_RCVD = 1u << 8,
	/* The service let go: no callbacks. */
	F_DETACHED = 1u << 9,
	F_NODELAY = 1u << 10,
	F_CORK = 1u << 11,
	F_PASSIVE = 1u << 12,
	F_DIRTY = 1u << 13,
	F_EV_ACCEPT = 1u << 14,
	F_EV_CONNECTED = 1u << 15,
	F_EV_READABLE = 1u << 16,
	F_EV_WRITABLE = 1u << 17,
	F_EV_TIMER = 1u << 18,
	F_EV_DRAIN = 1u << 20,
	/* RFC 3168: echo CE until CWR; send CWR with the next new data. */
	F_ECN_ECHO = 1u << 22,
	F_ECN_CWR = 1u << 23,
	F_FAST_OPEN = 1u << 24,
	F_NO_DELACK = 1u << 25,
	/* In the connection table. */
	F_HASHED = 1u << 26,
	F_NO_MTUP = 1u << 27,
	F_PACED = 1u << 28,
	F_HALF_OPEN = 1u << 30,
	/* FIN received behind a hole: at fin_seq. */
	F_FIN_OOO = 1u << 31,
};

enum ca_state { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS };

enum conn_flags2 {
	/* F-RTO (RFC 5682): waiting for the acknowledgement that decides. */
	F2_FRTO = 1 << 0,
	F2_RACK_REORDER_SEEN = 1 << 1,
	F2_TLP_RETRANS = 1 << 3,
	/* tlp_end is valid. */
	F2_TLP_OUT = 1 << 4,
	/* Answers went out in time to carry acknowledgements: those may wait. */
	F2_PINGPONG = 1 << 5,
	F2_CWND_LIMITED = 1 << 6,
	/* undo_* are valid. */
	F2_UNDO = 1 << 7,
	F2_EVER_SENT = 1 << 9,
	F2_UNREACHABLE = 1 << 10,
	/* The service asked for `writable`. */
	F2_WANT_WRITE = 1 << 11,
	/* The egress port computes checksums, and cuts large packets. */
	F2_TX_CKSUM = 1 << 13,
	F2_TSO = 1 << 14,
	/* A path MTU probe is in flight. */
	F2_PROBE_OUT = 1 << 15,
	/* The SYN-ACK hands out a Fast Open cookie, as experimental option. */
	F2_TFO_COOKIE = 1 << 16,
	F2_TFO_EXP = 1 << 17,
	/* DSACK widened the reordering window in this round trip already. */
	F2_REO_WIDENED = 1 << 19,
	/* F-RTO sent new data (step 2b). */
	F2_FRTO_NEW = 1 << 20,
	F2_EVER_RTO = 1 << 21,
	/* Counted in the engine's table of sources. */
	F2_SOURCE = 1 << 22,
	/* Over on the wire; the service has yet to read the rest. */
	F2_FINISHED = 1 << 23,
	/* Sent its share of this flush and has more. */
	F2_MORE = 1 << 24,
	/* The persist timer fired with some window open: the next segment may be as small as that.
	 */
	F2_SMALL = 1 << 25,
	/* The next transmission ends a burst: PSH, once. */
	F2_PUSH = 1 << 26,
	/* What was written last goes without PSH: tcp_set_more(). */
	F2_MSG_MORE = 1 << 27,
};

/*
 * What a connection needs only while segments are in flight or out of order; idle ones share the
 * engine's empty one, so that reading it needs no check. ext_need() before writing.
 */
struct tcp_ext {
	/* Sent segments by sequence and by time. */
	uint32_t seg_head, seg_tail;
	uint32_t tx_head, tx_tail;
	/* Segments: in the list, of these SACKed (or duplicate ACKs without SACK), lost,
	 * retransmitted. */
	uint32_t packets_out, sacked_out, lost_out, retrans_out;
	uint32_t undo_cwnd, undo_ssthresh;
	int32_t undo_retrans;
	uint32_t retrans_stamp_ts;
	uint32_t prr_delivered, prr_out, prior_cwnd;
	/* RFC 8985. */
	uint32_t rack_sent_us, rack_end, rack_rtt_us;
	uint32_t tlp_end;
	uint32_t highest_sacked;
	uint32_t fin_seq;
	/* Path MTU that the probe in flight tries. */
	uint32_t probe_mtu;
	/* Where the last SACK block was found: the next one is near. */
	uint32_t sack_hint;
	/* Where retransmitting goes on; TCP_NIL: from the head. */
	uint32_t rtx_hint;
	/* Blocks dealt with already: the next acknowledgement mostly repeats them. */
	struct tcp_sack sacked[TCP_OPT_SACK_MAX];
	uint64_t pace_next_ns;
	/* Segments in flight at most since the time that usage_seq was sent next. */
	uint32_t max_out, usage_seq;
	/* End of the last segment sent that was not full (Nagle's algorithm as Minshall changed
	 * it). */
	uint32_t snd_sml;
	struct tcp_rate_state rate;
	struct tcp_reass reass;
	/* Block to report first, as a duplicate (RFC 2883); empty if start == end. */
	struct tcp_sack dsack;
};

struct tcp_conn {
	struct tcp_tuple tuple;
	struct tcp_engine *e;
	struct tcp_ext *x;
	uint32_t flags;
	uint32_t dirty_next;

	/* What each segment needs. */
	uint8_t state;
	uint8_t ca_state;
	uint8_t snd_wscale, rcv_wscale;
	uint32_t rcv_nxt;
	/* Acknowledgement and right edge of the window that were sent last. */
	uint32_t rcv_acked;
	uint32_t rcv_adv;
	uint32_t snd_una;
	uint32_t snd_nxt;
	uint32_t snd_wnd;
	uint32_t snd_wl1;
	uint32_t max_wnd;
	uint32_t ts_recent;
	uint32_t ts_recent_ms;
	uint32_t ts_offset;
	/* Recovery ends here. */
	uint32_t high_seq;
	uint32_t flags2;
	/* Payload per segment with the usual options; the peer's MSS option and ours; octets of IP
	 * packet. */
	uint16_t mss;
	uint16_t peer_mss, adv_mss;
	uint16_t pmtu;

	/* To be read: chain of buffers. */
	struct rte_mbuf *rcv_head, *rcv_tail;
	uint32_t rcv_bytes;
	uint32_t rcv_mem;
	uint32_t rcvbuf;
	/* KiB. */
	uint16_t rcvbuf_max, sndbuf_max;

	/* Written, not sent. */
	struct rte_mbuf *unsent_head, *unsent_tail;
	uint32_t unsent;
	uint32_t snd_mem;
	uint32_t want_room;

	uint32_t rttvar_us;
	uint32_t rto_us;
	struct tcp_cc cc;

	uint8_t reo_wnd_mult, reo_persist;
	uint8_t reordering;
	uint8_t backoff;
	uint8_t dupacks;
	uint8_t rtx_kind;
	uint8_t cc_algo;
	uint8_t keep_probes;
	uint8_t syn_retries;
	uint8_t quickacks;
	uint8_t ttl, tos;
	uint8_t ack_segs;
	uint8_t close_reason;
	uint8_t mtup_fails;
	uint8_t keep_count;
	uint32_t min_burst : 8;
	/* When octets came in order, or some of ours were acknowledged: conn_progress(). */
	uint32_t last_data : 24;

	uint32_t last_send_ms, last_recv_ms;
	/* Since when there is unacknowledged data without progress; 0: there is none. */
	uint32_t stall_ms;
	uint32_t born_ms;
	uint32_t oow_ack_ms;
	uint32_t user_timeout_ms, fin_wait2_ms;
	/* Seconds. */
	uint16_t keep_idle_s, keep_intvl_s;
	/* Path MTU probing: what works, what does not, when next. */
	uint16_t mtup_low, mtup_high;
	uint32_t mtup_at_ms;

	uint32_t timer[T_MAX];
	struct tcp_wheel_node wheel;

	/* Receive buffer tuning: octets taken by the service in this round, which began at. */
	uint32_t drs_copied, drs_us, rcv_rtt_us;

	uint32_t bytes_retrans;
	uint32_t total_retrans;
	uint32_t segs_in, segs_out;
	uint16_t rtos, dsacks;
	uint64_t bytes_sent, bytes_in;

	const struct tcp_ops *ops;
	void *user;
	struct tcp_listener *listener;
} __attribute__((aligned(32)));

/* A connection that is over but for late segments: RFC 9293 section 3.10.7.4, RFC 6191. */
struct tcp_tw {
	struct tcp_tuple tuple;
	/* First in, first out: all stay equally long. */
	uint32_t next, prev;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent, ts_recent_ms, ts_offset;
	uint32_t expire_ms;
	uint32_t listener_id;
	uint32_t oow_ack_ms;
	uint16_t wnd;
	uint8_t ttl, ts;
};

#define TW_BIT	 (1u << 31)
#define TXQ_SIZE 64

#define LISTEN_BUCKETS 256

/* Connections of a source with a listener that limits them. */
struct tcp_source {
	struct tcp_addr addr;
	uint32_t listener_id;
	uint32_t count;
};

struct tcp_listener {
	struct tcp_engine *e;
	struct tcp_listener *next;
	struct tcp_listener_params p;
	struct tcp_listener_stats stats;
	/* Token bucket of new connections, in microtokens. */
	uint64_t tokens, tokens_us;
	uint64_t syn_flood_us;
	bool dead;
};

struct tcp_engine {
	struct tcp_config cfg;
	struct tcp_env env;
	uint64_t now_ns, now_us;
	uint32_t now_ms, now_us32;
	struct tcp_key key, tfo_key, tfo_old_key;
	struct tcp_lookup table;
	struct tcp_slab conns, segs, exts, tws;
	struct tcp_ext idle_ext;
	struct tcp_wheel wheel;
	uint32_t dirty_head, dirty_tail;
	uint32_t tw_head, tw_tail;
	uint32_t half_open;
	uint64_t mem;
	uint8_t pressure;
	uint16_t n_tx;
	struct rte_mbuf *tx[TXQ_SIZE];
	uint32_t challenge_sec, challenge_left;
	uint32_t reset_sec, reset_left;
	uint32_t port_hint;
	uint32_t shed_at;
	uint16_t ip_id;
	/* The least that a port cuts of those that do. */
	uint32_t tso_max;
	uint64_t tfo_rotate_ms;
	struct tcp_listener *listeners[LISTEN_BUCKETS];
	/* Connections per listener and source, for max_per_source. */
	struct tcp_lookup sources;
	struct tcp_slab srcs;
	void *mem_block;
	size_t mem_size;
	struct tcp_mib mib;
};

/* A received segment, parsed. */
struct tcp_pkt {
	struct rte_mbuf *m;
	const struct rte_tcp_hdr *th;
	struct tcp_tuple tuple;
	uint32_t hash;
	uint32_t seq, ack, wnd;
	/* Octets of payload; of IP header; of IP and TCP header. */
	uint32_t len;
	uint16_t l3, hdr;
	uint8_t flags;
	/* ECN field of the IP header. */
	uint8_t ecn;
	struct tcp_opts o;
};

static inline struct tcp_conn *conn_at(const struct tcp_engine *e, uint32_t idx)
{
	return tcp_slab_at(&e->conns, idx);
}

static inline uint32_t conn_idx(const struct tcp_conn *c)
{
	return (uint32_t)(((const uint8_t *)c - c->e->conns.mem) / sizeof(*c));
}

static inline struct tcp_seg *seg_at(const struct tcp_engine *e, uint32_t idx)
{
	return tcp_slab_at(&e->segs, idx);
}

static inline struct tcp_tw *tw_at(const struct tcp_engine *e, uint32_t idx)
{
	return tcp_slab_at(&e->tws, idx);
}

/* In units of 64 ms, modulo twelve days. */
static inline void conn_progress(struct tcp_conn *c)
{
	c->last_data = c->e->now_ms >> 6;
}

/* Never more than it was. */
static inline uint32_t conn_idle_ms(const struct tcp_conn *c)
{
	const uint32_t units = ((c->e->now_ms >> 6) - c->last_data) & 0xffffff;

	return units > 1 ? (units - 1) << 6 : 0;
}

static inline bool conn_is_sync(const struct tcp_conn *c)
{
	return c->state >= TCP_ESTABLISHED;
}

/* Octets per packet of IP and TCP header without options. */
static inline unsigned int base_hdr(const struct tcp_conn *c)
{
	return (c->tuple.family == 4 ? 20 : 40) + 20;
}

static inline uint32_t in_flight(const struct tcp_ext *x)
{
	return x->packets_out - x->sacked_out - x->lost_out + x->retrans_out;
}

static inline uint32_t ts_now(const struct tcp_conn *c)
{
	return c->e->now_ms + c->ts_offset;
}

static inline uint32_t sndbuf_limit(const struct tcp_conn *c)
{
	uint64_t want = 2ull * c->cc.cwnd * c->mss;
	const uint64_t max = (uint64_t)c->sndbuf_max << 10;

	if (want < SNDBUF_INIT)
		want = SNDBUF_INIT;
	if (c->e->pressure >= 1 && want > SNDBUF_INIT)
		want = SNDBUF_INIT;
	if (c->e->pressure >= 2)
		want = 4u * c->mss;
	return (uint32_t)(want < max ? want : max);
}

/* engine.c: takes the time, which never goes back. */
void engine_set_now(struct tcp_engine *e, uint64_t now_ns);

/* demux.c: slot of the connection, or of the TIME-WAIT entry with TW_BIT; TCP_NIL. */
uint32_t conn_lookup(const struct tcp_engine *e, const struct tcp_tuple *t, uint32_t hash);

/* tune.c: what may change during a connection's life. */
void conn_set_options(struct tcp_conn *c, const struct tcp_options *o);

/* conn.c */
struct tcp_conn *conn_new(struct tcp_engine *e, const struct tcp_tuple *t, uint32_t hash,
			  const struct tcp_options *opt);
bool ext_need(struct tcp_conn *c);
void ext_drop(struct tcp_conn *c);
void conn_dirty(struct tcp_conn *c);
/* Out of the table, state CLOSED; the service is told at the flush. */
void conn_end(struct tcp_conn *c, enum tcp_close_reason why);
/* conn_end() with a RST. */
void conn_reset(struct tcp_conn *c, enum tcp_close_reason why);
void conn_established(struct tcp_conn *c);
/* Both FINs are acknowledged: the service reads what is left, and is told. With TIME-WAIT or
 * without. */
void conn_finish(struct tcp_conn *c, bool time_wait);
void conn_release(struct tcp_conn *c);
void conn_set_mss(struct tcp_conn *c);
/* What our MSS option says: what the route takes, or less (limit, 0: none). */
void conn_set_adv_mss(struct tcp_conn *c, uint16_t limit);
void conn_half_open_done(struct tcp_conn *c);
void mem_charge(struct tcp_engine *e, int64_t bytes);

/* timer.c */
void timer_set_us(struct tcp_conn *c, enum tcp_timer t, uint64_t us);
void timer_stop(struct tcp_conn *c, enum tcp_timer t);
void timer_fired(struct tcp_conn *c);
void rtx_arm(struct tcp_conn *c, enum rtx_kind kind, uint64_t us);
void rto_restart(struct tcp_conn *c);
void keep_restart(struct tcp_conn *c);

/* timewait.c */
/* Puts an entry in the connection's place in the table. */
void tw_enter(struct tcp_conn *c);
void tw_expire(struct tcp_engine *e);
/* True if the segment is done with; false: a SYN that may open a new connection (the entry is gone
 * then). */
bool tw_input(struct tcp_engine *e, uint32_t idx, struct tcp_pkt *p, uint32_t *new_iss);
void tw_remove(struct tcp_engine *e, uint32_t idx);

/* input.c */
void seg_input(struct tcp_conn *c, struct tcp_pkt *p);
void challenge_ack(struct tcp_conn *c);

/* input.c: options and window of a SYN; flags F_* that we offer are set. */
void conn_from_syn(struct tcp_conn *c, const struct tcp_pkt *p);

/* listen.c */
struct tcp_listener *listener_find(struct tcp_engine *e, const struct tcp_tuple *t);
/* Takes the packet. iss_min: the new ISN must be beyond it, 0 does not matter. */
void listen_input(struct tcp_listener *l, struct tcp_pkt *p, uint32_t iss_min);
void listener_conn_gone(struct tcp_conn *c);

/* source.c */
bool source_take(struct tcp_listener *l, struct tcp_conn *c);
void source_give(struct tcp_conn *c);

/* ack.c */
/* Handles acknowledgement, SACK and window of a segment; false if the segment must not be looked at
 * further. */
bool ack_input(struct tcp_conn *c, struct tcp_pkt *p);
void rtt_sample(struct tcp_conn *c, uint32_t us);

/* recovery.c */
/* What an acknowledgement brought. */
struct ack_state {
	struct tcp_rate rate;
	/* End of what was SACKed before; the lowest sequence number delivered below it and sent
	 * once. */
	uint32_t prior_fack, reord_seq;
	/* Segments. */
	uint32_t newly_acked, newly_sacked, newly_lost;
	/* Since the oldest and the newest segment that was acknowledged and sent once only; 0:
	 * none. */
	uint32_t rtt_first_us, rtt_last_us;
	uint32_t tsecr;
	/* Duplicate SACK blocks. */
	uint32_t dsacks;
	bool has_ts, una_moved, is_dup, retrans_acked;
	/* A segment that was sent once was delivered. */
	bool orig_delivered;
	bool reordered, ece;
};
void recovery_ack(struct tcp_conn *c, struct ack_state *a, const struct tcp_pkt *p);
void recovery_rto(struct tcp_conn *c);
void recovery_reo_timeout(struct tcp_conn *c);
void recovery_tlp_timeout(struct tcp_conn *c);
/* r: the acknowledgement that showed it, or NULL. */
void seg_mark_lost(struct tcp_conn *c, uint32_t i, struct tcp_rate *r);

/* sacked.c */
void sack_input(struct tcp_conn *c, const struct tcp_pkt *p, struct ack_state *a);
/* It was sent once and comes after what was SACKed before it. */
void note_reordered(struct ack_state *a, uint32_t seq);
/* s was delivered, cumulatively or by SACK. */
void seg_delivered(struct tcp_conn *c, const struct tcp_seg *s, struct ack_state *a);

/* rack.c: RFC 8985 */
void rack_delivered(struct tcp_conn *c, const struct tcp_seg *s, const struct ack_state *a);
/* Marks what is lost. Returns how many; *timeout_us is when to look again, 0: not needed. */
uint32_t rack_detect(struct tcp_conn *c, struct ack_state *a, uint32_t *timeout_us);
void rack_dsack(struct tcp_conn *c);
void rack_recovered(struct tcp_conn *c);

/* sendq.c: segments in flight */
uint32_t seg_from_unsent(struct tcp_conn *c, uint32_t len);
bool seg_split(struct tcp_conn *c, uint32_t i, uint32_t len);
void seg_unlink_free(struct tcp_conn *c, uint32_t i);
void seg_tx_unlink(struct tcp_conn *c, uint32_t i);
void seg_tx_append(struct tcp_conn *c, uint32_t i);
void segs_purge(struct tcp_conn *c);

/* output.c */
void tcp_output(struct tcp_conn *c);
/* xmit.c */
bool seg_xmit(struct tcp_conn *c, uint32_t i, bool rtx);
/*
 * Sends n consecutive new segments, as one packet if the port cuts (TSO). What cannot go now counts
 * as sent and lost, and goes with the retransmissions; false if that happened.
 */
bool segs_xmit(struct tcp_conn *c, uint32_t first, unsigned int n);
void send_ack(struct tcp_conn *c);
/* Probe of a window or of a peer: an old sequence number. */
void send_probe(struct tcp_conn *c);
/* Starts the timer that what is in flight needs: tail loss probe or retransmission timeout. */
void rtx_schedule(struct tcp_conn *c);
void send_syn(struct tcp_conn *c);
void send_synack(struct tcp_conn *c);
void send_rst(struct tcp_conn *c);
void send_cookie(struct tcp_listener *l, const struct tcp_pkt *p, uint32_t iss);
/* Answers a segment without a connection (RFC 9293 section 3.10.7.1). */
void send_rst_reply(struct tcp_engine *e, const struct tcp_pkt *p);
void send_tw_ack(struct tcp_engine *e, const struct tcp_tw *tw);
void tx_flush(struct tcp_engine *e);
uint32_t rcv_window(const struct tcp_conn *c);
void rcv_window_update(struct tcp_conn *c);

/* pmtu.c */
void pmtu_set(struct tcp_conn *c, uint32_t mtu);
/* Sends a probe if it is time; returns the segments sent. */
unsigned int pmtu_probe(struct tcp_conn *c);
void pmtu_probe_lost(struct tcp_conn *c);
void pmtu_probe_ok(struct tcp_conn *c);
void pmtu_black_hole(struct tcp_conn *c);

/* buffer.c */
void rcv_append(struct tcp_conn *c, struct rte_mbuf *m, uint32_t len);
void rcv_tune(struct tcp_conn *c);
void rcv_purge(struct tcp_conn *c);
void unsent_purge(struct tcp_conn *c);
void buffers_shed(struct tcp_engine *e);

#endif
