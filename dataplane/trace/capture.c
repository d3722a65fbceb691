/* SPDX-License-Identifier: Apache-2.0 */
/* Capture: copies of matching frames, from the workers to the control thread by a ring each session
 * has. */
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_errno.h>

#include "../core/loop.h"
#include "tap.h"

#define RING_SIZE 4096
#define BATCH	  32

struct capture_session {
	struct packet_filter filter;
	bool in, out;
	uint32_t snaplen;
	/* 0: no end. */
	uint64_t count;
	uint64_t taken;
	uint64_t told;
	uint64_t dropped;
	struct rte_ring *ring;
	uint32_t handle;
	capture_fn fn;
	void *arg;
	struct capture_session *next;
};

/* In front of the bytes of a copy. */
struct copy_hdr {
	uint64_t tsc;
	uint32_t length;
	uint16_t iface;
	uint16_t outbound;
};

static struct capture_session *sessions;
static struct rte_mempool *pool;
static uint32_t last_handle;

static void take(struct capture_session *c, struct rte_mbuf *m, bool outbound)
{
	struct rte_mbuf *copy;
	struct copy_hdr *h;

	if (c->count != 0 && __atomic_fetch_add(&c->taken, 1, __ATOMIC_RELAXED) >= c->count)
		return;
	copy = rte_pktmbuf_copy(m, pool, 0, c->snaplen);
	if (copy == NULL) {
		__atomic_fetch_add(&c->dropped, 1, __ATOMIC_RELAXED);
		return;
	}
	h = (struct copy_hdr *)rte_pktmbuf_prepend(copy, sizeof(*h));
	*h = (struct copy_hdr){
		.tsc = rte_rdtsc(),
		.length = m->pkt_len,
		.iface = frame_iface(m),
		.outbound = outbound,
	};
	if (rte_ring_mp_enqueue(c->ring, copy) != 0) {
		rte_pktmbuf_free(copy);
		__atomic_fetch_add(&c->dropped, 1, __ATOMIC_RELAXED);
	}
	worker_self->kick_control = true;
}

void capture_vector(struct capture_session *c, void **objs, uint16_t n, bool outbound)
{
	if (outbound ? !c->out : !c->in)
		return;
	for (uint16_t i = 0; i < n; i++)
		if (packet_filter_match(&c->filter, objs[i]))
			take(c, objs[i], outbound);
}

static void unlink_session(struct capture_session *c)
{
	for (struct capture_session **p = &sessions; *p != NULL; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			return;
		}
	}
}

static void session_free(struct capture_session *c)
{
	struct rte_mbuf *m;

	unlink_session(c);
	taps_del_capture(c);
	while (rte_ring_dequeue(c->ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(c->ring);
	packet_filter_free(&c->filter);
	free(c);
	if (sessions == NULL) {
		rte_mempool_free(pool);
		pool = NULL;
	}
}

/* Tells the client of up to a batch. Returns true if there may be more. */
static bool drain(struct capture_session *c)
{
	static uint8_t scratch[BATCH][16384];
	struct captured_packet p[BATCH];
	struct rte_mbuf *m[BATCH];
	uint64_t now_tsc = rte_rdtsc(), now_ns = now_wall_ns();
	uint32_t handle = c->handle;
	unsigned int n;

	n = rte_ring_dequeue_burst(c->ring, (void **)m, BATCH, NULL);
	if (n == 0)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		const struct copy_hdr *h = rte_pktmbuf_mtod(m[i], const struct copy_hdr *);
		uint32_t len =
			RTE_MIN(m[i]->pkt_len - (uint32_t)sizeof(*h), (uint32_t)sizeof(scratch[i]));

		p[i] = (struct captured_packet){
			.time_ns = now_ns - (uint64_t)((double)(now_tsc - h->tsc) * 1e9 /
						       (double)rte_get_tsc_hz()),
			.iface = h->iface,
			.outbound = h->outbound,
			.length = h->length,
			.captured = len,
			.data = rte_pktmbuf_read(m[i], sizeof(*h), len, scratch[i]),
		};
	}
	c->told += n;
	c->fn(c->arg, p, n, __atomic_load_n(&c->dropped, __ATOMIC_RELAXED), NULL);
	rte_pktmbuf_free_bulk(m, n);
	/* The callback may have stopped it. */
	for (struct capture_session *s = sessions; s != NULL; s = s->next)
		if (s->handle == handle)
			return n == BATCH;
	return false;
}

static bool drain_all(void *arg)
{
	bool more = false;

	(void)arg;
	for (struct capture_session *c = sessions, *next; c != NULL; c = next) {
		uint32_t handle = c->handle;

		more |= drain(c);
		for (c = sessions; c != NULL && c->handle != handle;)
			c = c->next;
		if (c == NULL)
			return true;
		next = c->next;
		if (c->count != 0 &&
		    c->told + __atomic_load_n(&c->dropped, __ATOMIC_RELAXED) >= c->count) {
			/* Out of the list first: a capture_stop() from within finds nothing. */
			unlink_session(c);
			c->fn(c->arg, NULL, 0, c->dropped, "the number of packets is reached");
			session_free(c);
		}
	}
	return more;
}

int capture_start(const struct capture_config *cfg, capture_fn fn, void *arg, uint32_t *handle,
		  struct dp_error *err)
{
	static bool registered;
	struct capture_session *c;
	char name[RTE_RING_NAMESIZE];

	if (!cfg->in && !cfg->out)
		return dp_fail(err, DP_INVALID, "direction", "neither in nor out");
	if (cfg->snaplen == 0 || cfg->snaplen > 65535)
		return dp_fail(err, DP_INVALID, "snaplen", "%u is not from 1 to 65535",
			       cfg->snaplen);
	if (!registered) {
		if (loop_poll_add(drain_all, NULL) < 0)
			return dp_fail(err, DP_NO_MEMORY, "capture",
				       "the control loop takes no more work");
		registered = true;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return dp_fail(err, DP_NO_MEMORY, "capture", "no memory");
	if (packet_filter_compile(&c->filter, cfg->filter, cfg->iface, err) < 0) {
		free(c);
		return -1;
	}
	c->in = cfg->in;
	c->out = cfg->out;
	c->snaplen = cfg->snaplen;
	c->count = cfg->count;
	c->fn = fn;
	c->arg = arg;
	c->handle = ++last_handle;
	snprintf(name, sizeof(name), "capture-%u", c->handle);
	c->ring = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("capture", 2 * RING_SIZE - 1, 128, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (c->ring == NULL || pool == NULL || taps_add_capture(c) < 0) {
		rte_ring_free(c->ring);
		if (sessions == NULL) {
			rte_mempool_free(pool);
			pool = NULL;
		}
		packet_filter_free(&c->filter);
		free(c);
		return dp_fail(err, DP_NO_MEMORY, "capture",
			       "no memory for its buffers, or %d captures run already",
			       CAPTURES_MAX);
	}
	c->next = sessions;
	sessions = c;
	*handle = c->handle;
	return 0;
}

void capture_stop(uint32_t handle)
{
	for (struct capture_session *c = sessions; c != NULL; c = c->next) {
		if (c->handle == handle) {
			session_free(c);
			return;
		}
	}
}
