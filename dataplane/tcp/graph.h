/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes for which the engine works, and how its packets leave them. */
#ifndef MILLRACE_TCP_GRAPH_H
#define MILLRACE_TCP_GRAPH_H

#include "host.h"

/* The first edges of all of them. */
enum {
	TERM_EDGE_OUTPUT4,
	TERM_EDGE_OUTPUT6,
	TERM_EDGE_OWN,
};

#define TERM_NEXT_NODES [TERM_EDGE_OUTPUT4] = "ip4-output", [TERM_EDGE_OUTPUT6] = "ip6-output"

/* meta.arg0 of what was handed over: 0 for a segment that is the worker's; how many workers were
 * asked about an ICMP error; or, with this bit, about a segment in transit. */
#define TERM_HANDED_TRANSIT 0x80

/* To the ring of a worker, which may be this one: then it is handled in the next walk. False if it
 * is full. */
bool term_hand_over(struct term_worker *t, unsigned int to, struct rte_mbuf *m);
/* Gives what the engine sent to the graph, as from t->node. */
void term_drain(struct term_worker *t);

#endif
