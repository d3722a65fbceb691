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

/* Gives what the engine sent to the graph, as from t->node. */
void term_drain(struct term_worker *t);

#endif
