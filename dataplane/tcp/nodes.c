/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp-input: segments for the box; what no listener and no connection takes is the kernel's.
 * tcp-icmp: ICMP errors, which may be about segments sent from here.
 * tcp-timer: source; deadlines, and what other workers handed over.
 *
 * What the engine sends meanwhile leaves by the node it was called from.
 */
#include "../core/node.h"
#include "graph.h"

DROP_NODE(tcp_handoff, "tcp-handoff-full",
	  "the worker that has the TCP connection, or this one's own services, are behind");

static inline void begin(struct term_worker *t, struct rte_graph *graph, struct rte_node *node)
{
	t->graph = graph;
	t->node = node;
}

/* Lets the services and the engine do what follows, and sends it. */
static inline void end(struct term_worker *t)
{
	tcp_flush(t->engine);
	if (t->n_tx > 0)
		term_drain(t);
	t->node = NULL;
	term_rearm(t);
}

bool term_hand_over(struct term_worker *t, unsigned int to, struct rte_mbuf *m)
{
	const struct term_worker *other = __atomic_load_n(&workers[to]->term, __ATOMIC_ACQUIRE);

	if (other == NULL)
		return false;
	mb_meta(m)->flags |= MB_TCP_HANDED;
	if (rte_ring_mp_enqueue(other->in, m) != 0)
		return false;
	if (to != t->w->id)
		t->w->kick_workers |= 1u << to;
	return true;
}

/* ---- tcp-input ---- */

enum {
	INPUT_KERNEL = TERM_EDGE_OWN,
	INPUT_HANDOFF,
	INPUT_MAX,
};

/* The worker to treat a segment. What the box sends to itself takes another walk, so that a walk
 * ends however much two of its services have to say to each other. */
static inline unsigned int worker_of(const struct term_worker *t, const struct rte_mbuf *m,
				     uint8_t flags)
{
	unsigned int to;
	uint16_t port;

	if (flags & MB_TCP_HANDED)
		return UINT_MAX;
	if (n_workers > 1) {
		/* The header is there: ipX-local has seen to it. */
		port = *rte_pktmbuf_mtod_offset(m, const uint16_t *, m->l3_len + 2);
		to = term_port_owner(port);
		if (to != n_workers && to != t->w->id)
			return to;
	}
	return flags & MB_HOST ? t->w->id : UINT_MAX;
}

static void input_part(struct rte_graph *graph, struct rte_node *node, struct term_worker *t,
		       struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *mine[RTE_GRAPH_BURST_SIZE];
	uint16_t vrf[RTE_GRAPH_BURST_SIZE], k = 0;
	uint8_t verdict[RTE_GRAPH_BURST_SIZE];

	for (uint16_t i = 0; i < n; i++) {
		struct mb_meta *meta = mb_meta(pkts[i]);
		unsigned int to = worker_of(t, pkts[i], meta->flags);

		if (unlikely(to != UINT_MAX)) {
			meta->arg0 = 0;
			if (!term_hand_over(t, to, pkts[i]))
				rte_node_enqueue_x1(graph, node, INPUT_HANDOFF, pkts[i]);
			continue;
		}
		vrf[k] = meta->vrf;
		mine[k++] = pkts[i];
	}
	if (k == 0 || tcp_input(t->engine, mine, vrf, verdict, k, term_now()) == 0)
		return;
	for (uint16_t i = 0; i < k; i++)
		if (verdict[i] == TCP_NOT_MINE)
			rte_node_enqueue_x1(graph, node, INPUT_KERNEL, mine[i]);
}

static uint16_t tcp_input_process(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t n)
{
	struct term_worker *t = worker_self->term;

	if (t == NULL) {
		rte_node_next_stream_move(graph, node, INPUT_KERNEL);
		return n;
	}
	begin(t, graph, node);
	for (uint16_t done = 0; done < n; done += RTE_GRAPH_BURST_SIZE)
		input_part(graph, node, t, (struct rte_mbuf **)&objs[done],
			   RTE_MIN(n - done, RTE_GRAPH_BURST_SIZE));
	end(t);
	return n;
}

static struct rte_node_register tcp_input_node = {
	.name = "tcp-input",
	.process = tcp_input_process,
	.nb_edges = INPUT_MAX,
	.next_nodes =
		{
			TERM_NEXT_NODES,
			[INPUT_KERNEL] = "kernel-punt",
			[INPUT_HANDOFF] = "drop-tcp-handoff-full",
		},
};
RTE_NODE_REGISTER(tcp_input_node);

/* ---- tcp-icmp ---- */

enum {
	ICMP_PING = TERM_EDGE_OWN,
	ICMP_HANDOFF,
	ICMP_MAX,
};

/* The next worker to ask: a connection that was accepted can be with any. meta.arg0 of what was
 * handed over tells how many were asked. n_workers: there is none left. */
static unsigned int next_worker(const struct term_worker *t, const struct term_error *e,
				unsigned int asked)
{
	unsigned int owner = term_port_owner(e->tuple.lport);

	if (owner != n_workers)
		return owner == t->w->id || asked > 1 ? n_workers : owner;
	return asked < n_workers ? (t->w->id + 1) % n_workers : n_workers;
}

static uint16_t tcp_icmp_process(struct rte_graph *graph, struct rte_node *node, void **objs,
				 uint16_t n)
{
	struct term_worker *t = worker_self->term;
	const uint64_t now = term_now();

	if (t == NULL) {
		rte_node_next_stream_move(graph, node, ICMP_PING);
		return n;
	}
	begin(t, graph, node);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		struct mb_meta *meta = mb_meta(m);
		unsigned int asked = (meta->flags & MB_TCP_HANDED ? meta->arg0 : 0u) + 1, to;
		struct term_error e;

		if (!term_icmp_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &e)) {
			rte_node_enqueue_x1(graph, node, ICMP_PING, m);
			continue;
		}
		e.tuple.vrf = meta->vrf;
		to = next_worker(t, &e, asked);
		/* Only the last one that is asked counts it as nobody's. */
		if (to == n_workers || tcp_find(t->engine, &e.tuple) != NULL) {
			if (tcp_icmp(t->engine, &e.tuple, e.seq, e.what, e.mtu, now))
				rte_pktmbuf_free(m);
			else
				rte_node_enqueue_x1(graph, node, ICMP_PING, m);
			continue;
		}
		meta->arg0 = (uint8_t)asked;
		if (!term_hand_over(t, to, m))
			rte_node_enqueue_x1(graph, node, ICMP_HANDOFF, m);
	}
	end(t);
	return n;
}

static struct rte_node_register tcp_icmp_node = {
	.name = "tcp-icmp",
	.process = tcp_icmp_process,
	.nb_edges = ICMP_MAX,
	.next_nodes =
		{
			TERM_NEXT_NODES,
			[ICMP_PING] = "ping-input",
			[ICMP_HANDOFF] = "drop-tcp-handoff-full",
		},
};
RTE_NODE_REGISTER(tcp_icmp_node);

/* ---- tcp-timer ---- */

enum {
	TIMER_INPUT = TERM_EDGE_OWN,
	TIMER_ICMP,
	TIMER_TRANSIT,
	TIMER_MAX,
};

static inline uint16_t handed_edge(uint8_t arg0)
{
	if (arg0 == 0)
		return TIMER_INPUT;
	return arg0 & TERM_HANDED_TRANSIT ? TIMER_TRANSIT : TIMER_ICMP;
}

uint64_t term_idle(const struct term_worker *t)
{
	uint64_t now;

	if (t->n_tx > 0 || !rte_ring_empty(t->in))
		return 0;
	if (t->next_ns == UINT64_MAX)
		return UINT64_MAX;
	now = term_now();
	return t->next_ns > now ? t->next_ns - now : 0;
}

static uint16_t tcp_timer_process(struct rte_graph *graph, struct rte_node *node, void **objs,
				  uint16_t n)
{
	struct worker *w = worker_self;
	struct term_worker *t = w->term;
	uint16_t handed = 0;
	uint64_t now;

	(void)objs;
	(void)n;
	if (t == NULL)
		return 0;
	if (unlikely(!rte_ring_empty(t->in))) {
		uint16_t edge[RTE_GRAPH_BURST_SIZE];
		void *pkts[RTE_GRAPH_BURST_SIZE];

		handed = (uint16_t)rte_ring_sc_dequeue_burst(t->in, pkts, RTE_DIM(pkts), NULL);
		for (uint16_t i = 0; i < handed; i++)
			edge[i] = handed_edge(mb_meta(pkts[i])->arg0);
		if (handed > 0)
			node_dispatch(graph, node, pkts, edge, handed);
		w->loop_packets += handed;
	}
	now = term_now();
	if (likely(now < t->next_ns && t->n_tx == 0))
		return handed;
	begin(t, graph, node);
	tcp_poll(t->engine, now);
	svc_poll(t->svc, now);
	end(t);
	w->loop_worked = true;
	return handed;
}

static struct rte_node_register tcp_timer_node = {
	.name = "tcp-timer",
	.flags = RTE_NODE_SOURCE_F,
	.process = tcp_timer_process,
	.nb_edges = TIMER_MAX,
	.next_nodes =
		{
			TERM_NEXT_NODES,
			[TIMER_INPUT] = "tcp-input",
			[TIMER_ICMP] = "tcp-icmp",
			[TIMER_TRANSIT] = "tcp-intercept",
		},
};
RTE_NODE_REGISTER(tcp_timer_node);
