/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paged reads. A table's function fills page->out with up to page->limit rows, starting at the
 * cursor, and puts the cursor of the next page there, or leaves it empty at the end. 0, or -1 with
 * *err.
 *
 * A cursor is a byte for the table and what the table's function needs to go on. It comes back from
 * outside: it is checked, and whatever it holds it can at worst lead to another place of the same
 * table.
 */
#ifndef MILLRACE_SEAM_LIST_H
#define MILLRACE_SEAM_LIST_H

#include "../core/error.h"
#include "../iface/iface.h"
#include "pb.h"

#define CURSOR_MAX 32
/* A page ends early when its rows may have more bytes than this. */
#define PAGE_BYTES (1u << 20)

struct page {
	struct arena *arena;
	const PB(List) *q;
	PB(ListResult) *out;
	unsigned int limit;
	/* The filter, or NULL. */
	const struct iface *iface;
	uint8_t next[CURSOR_MAX];
};

typedef int (*list_fn)(struct page *p, struct dp_error *err);

/* The cursor of tables that are walked by one or two numbers: 0 if there is none. */
int cursor_get(const struct page *p, uint32_t *a, uint32_t *b, struct dp_error *err);
void cursor_set(struct page *p, uint32_t a, uint32_t b);
/* Of tables with keys of their own: len bytes after the table's. NULL if there is none. */
int cursor_get_bytes(const struct page *p, size_t len, const uint8_t **bytes, struct dp_error *err);
void cursor_set_bytes(struct page *p, const void *bytes, size_t len);
int list_no_memory(struct dp_error *err);

int list_vrfs(struct page *p, struct dp_error *err);
int list_interfaces(struct page *p, struct dp_error *err);
int list_addresses(struct page *p, struct dp_error *err);
int list_neighbors(struct page *p, struct dp_error *err);
int list_next_hops(struct page *p, struct dp_error *err);
int list_groups(struct page *p, struct dp_error *err);
int list_routes(struct page *p, struct dp_error *err);
int list_workers(struct page *p, struct dp_error *err);
int list_nodes(struct page *p, struct dp_error *err);
int list_drops(struct page *p, struct dp_error *err);
int list_xstats(struct page *p, struct dp_error *err);
int list_tcp_listeners(struct page *p, struct dp_error *err);
int list_tcp_pools(struct page *p, struct dp_error *err);
int list_tcp_backends(struct page *p, struct dp_error *err);
int list_tcp_connections(struct page *p, struct dp_error *err);
int list_tcp_counters(struct page *p, struct dp_error *err);
int list_tcp_workers(struct page *p, struct dp_error *err);

/* counters.c: what the nodes of all workers counted since it was last cleared, by node id. */
struct node_sum {
	uint64_t calls, packets, cycles;
};
/* Room for rte_node_max_count() of them, in the arena; NULL if there is none. */
struct node_sum *node_sums(struct arena *a);
uint64_t drop_counter_since(unsigned int index, uint64_t packets);

#endif
