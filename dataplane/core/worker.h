/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: one lcore and one graph each, nothing shared. The control thread talks to a worker only
 * through rings and through tables read under RCU.
 */
#ifndef MILLRACE_CORE_WORKER_H
#define MILLRACE_CORE_WORKER_H

#include <rte_graph.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "mbuf.h"

#define WORKER_MAX     32
#define WORKER_RXQ_MAX 256

/* One receive queue a worker polls. */
struct worker_rxq {
	uint16_t port;
	uint16_t queue;
	/* File descriptor that becomes readable when packets wait, or -1. */
	int wake_fd;
	/* The fd is an interrupt of the device, to be armed before sleeping. */
	bool intr;
	/* Spread over the workers by software: the device has fewer queues than there are workers.
	 */
	bool dispatch;
};

struct worker_rxqs {
	uint16_t n;
	bool dispatch;
	struct worker_rxq q[];
};

/* Counters a worker keeps per interface; index by struct iface id. */
struct iface_stats {
	uint64_t rx_packets;
	uint64_t rx_octets;
	uint64_t rx_multicast;
	uint64_t rx_broadcast;
	/* Of those received, what a drop node took; not what a full transmit queue did. */
	uint64_t rx_discards;
	uint64_t tx_packets;
	uint64_t tx_octets;
	uint64_t tx_discards;
	uint64_t punted;
};

struct nh_stats {
	uint64_t packets;
	uint64_t octets;
};

/* A token bucket in TSC cycles; one per worker and use, so no atomics. */
struct bucket {
	/* Cycles a packet costs; 0 lets nothing pass. */
	uint64_t cost;
	/* Most that is saved up, in cycles (burst * cost). */
	uint64_t depth;
	uint64_t tokens;
	uint64_t last;
};

static inline bool bucket_take(struct bucket *b, uint64_t now)
{
	uint64_t t = b->tokens + (now - b->last);

	b->last = now;
	if (t > b->depth)
		t = b->depth;
	if (t < b->cost || b->cost == 0) {
		b->tokens = t;
		return false;
	}
	b->tokens = t - b->cost;
	return true;
}

/* rate: packets a second; burst: packets. */
void bucket_init(struct bucket *b, uint32_t rate, uint32_t burst);

struct trace_worker;
struct term_worker;
struct worker;

/* Work the control thread has done by a worker. */
typedef void (*worker_fn)(struct worker *w, void *arg);
struct worker_call {
	worker_fn fn;
	void *arg;
};

struct worker {
	uint16_t id;
	unsigned int lcore;
	int cpu;
	struct rte_graph *graph;
	rte_graph_t graph_id;
	/* RCU: replaced as a whole by the control thread. */
	struct worker_rxqs *rxqs;
	/* Transmit queue per port, or UINT16_MAX: then the packet goes to the worker in tx_owner.
	 */
	uint16_t txq[RTE_MAX_ETHPORTS];
	uint8_t tx_owner[RTE_MAX_ETHPORTS];
	/* Packets from the control thread (meta.arg0 says where to, enum inject_to). */
	struct rte_ring *inject;
	/* Packets from other workers, to be treated as received (dispatch) … */
	struct rte_ring *dispatch;
	/* … and to be transmitted (the other has no transmit queue). */
	struct rte_ring *tx_in;
	struct iface_stats *iface_stats;
	struct nh_stats *nh_stats;
	struct bucket icmp_error;
	/* Something was put on a ring of the control thread in this loop. */
	bool kick_control;
	/* Bit per worker: something was put on a ring of that worker. */
	uint32_t kick_workers;
	/* Set while asleep: whoever enqueues to this worker's rings then writes to wake_fd. */
	uint32_t asleep;
	int wake_fd;
	int epoll_fd;
	uint32_t rxqs_seq;
	/* Trace and capture; NULL when none runs: the fast walk is used. RCU. */
	struct trace_worker *trace;
	/* What worker_call() asks for; NULL when it is done. */
	const struct worker_call *call;
	/* TCP (tcp/term.h); NULL until the first listener is configured. Set by a call. */
	struct term_worker *term;
	/* Its thread runs, or is about to: what is to be done on the worker is done there. */
	bool running;
	/* Packets received in this loop, to tell busy from idle; and whether timers did something.
	 */
	uint32_t loop_packets;
	bool loop_worked;
	uint64_t busy_cycles;
	uint64_t idle_cycles;
	uint64_t sleep_cycles;
	uint64_t loops;
	uint64_t sleeps;
	uint64_t rx_packets;
	uint64_t dispatched;
	uint64_t dispatch_drops;
} __rte_cache_aligned;

extern struct worker *workers[WORKER_MAX];
extern unsigned int n_workers;
extern __thread struct worker *worker_self;
/* Readers are the workers (thread id = worker id). */
extern struct rte_rcu_qsbr *dp_rcu;

/* Waits until every worker has let go of what was unpublished before the call. Control thread only.
 */
void dp_rcu_synchronize(void);

/* Where control-input sends an injected packet. */
enum inject_to {
	/* A whole frame; m->port is the port to leave by, meta.iface the interface it is counted
	   on. */
	INJECT_TX = 0,
	/* Data pointer at an IPv4/IPv6 header; looked up in meta.vrf. meta.flags has MB_HOST for
	   packets made here. */
	INJECT_IP4_OUTPUT,
	INJECT_IP6_OUTPUT,
	/* Data pointer at the IP header; meta.nh is the next hop. */
	INJECT_IP4_REWRITE,
	INJECT_IP6_REWRITE,
	/* Data pointer at the IP header of the packet an ICMP error is to be made about; arg0 is
	 * overwritten from the upper bits: see inject_icmp_error(). */
	INJECT_IP4_ERROR,
	INJECT_IP6_ERROR,
	INJECT_MAX,
};

/*
 * Hands a packet to a worker. Takes the mbuf in any case; drops and counts it if the ring is full.
 * Control thread only. INJECT_TX packets go to the worker that owns a transmit queue of m->port.
 */
void worker_inject(struct rte_mbuf *m, enum inject_to to);
/* An ICMP or ICMPv6 error about m (data pointer at its IP header, meta as from eth-input). mtu is
 * for "too big". */
void worker_inject_error(struct rte_mbuf *m, bool ipv6, uint8_t type, uint8_t code, uint16_t mtu);

/*
 * Packets for the control thread. A node calls these; they take the mbufs in any case.
 * Kinds are told apart by ring, so that a flood of one does not starve the other.
 */
enum punt_ring {
	/* ARP and ND packets, and packets that wait for a neighbour (meta.nh). */
	PUNT_NEIGH,
	/* For the kernel by the TAP of meta.iface. */
	PUNT_KERNEL,
	/* ICMP answers to the control thread's own pings. */
	PUNT_PING,
	PUNT_RING_MAX,
};
/* Returns how many fitted; the caller sends the rest to a drop node. */
unsigned int worker_punt(struct worker *w, enum punt_ring ring, void **objs, unsigned int n);
/* Control thread: takes up to n packets. */
unsigned int punt_dequeue(enum punt_ring ring, struct rte_mbuf **mbufs, unsigned int n);

/* Sums of all workers. */
void worker_iface_stats(uint16_t iface, struct iface_stats *sum);
void worker_nh_stats(uint32_t nh, struct nh_stats *sum);

/* Makes rings, counters and graphs. cpus[i] is the CPU of worker i or -1. */
int workers_create(unsigned int n, const int *cpus, bool poll);
/* Starts the loop of a worker on an lcore; it ends when workers_stop() was called. 0 or a negative
 * errno. */
int worker_launch(struct worker *w, unsigned int lcore);
void workers_stop(void);
/*
 * Has fn(w, arg) done by the worker between two walks of its graph, and waits for it: as long as a
 * walk and fn take, so fn does a bounded piece of work. Before the worker was launched and after it
 * ended, the caller does it itself. Control thread only.
 */
void worker_call(struct worker *w, worker_fn fn, void *arg);
/* The same by all workers at once; arg of worker i is args + i * stride. */
void workers_call(worker_fn fn, void *args, size_t stride);
/* Puts a new list of receive queues in force on a worker; frees the old one after a grace period.
 */
void worker_set_rxqs(struct worker *w, struct worker_rxqs *qs);
/* The pool all packets come from. */
extern struct rte_mempool *dp_pool;

#endif
