/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hierarchical timer wheel: a tick is 2^17 ns (131 us), a slot of each of the 4 levels 256 times
 * as long as one of the level below, and 512 slots at the last one reach 13 days. Adding and
 * removing cost the same however many timers there are. A timer never fires before its deadline,
 * and at most two ticks after it (if the wheel is advanced then): farther timers wait in coarse
 * slots and move to finer ones as their time comes, where they are exact again.
 *
 * A level has twice the slots that one of the next level is long. So a slot may be moved down at
 * any time while the one before it passes, which is done in small portions: a slot with 100,000
 * timers does not hold up the packets.
 *
 * Nodes are part of the caller's records, which lie in an array and are named by index.
 */
#ifndef MILLRACE_TCP_WHEEL_H
#define MILLRACE_TCP_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slab.h"

#define TCP_WHEEL_SHIFT	 17
#define TCP_WHEEL_LEVELS 4
#define TCP_WHEEL_SLOTS	 512
#define TCP_WHEEL_NONE	 UINT16_MAX

/* To be set up by tcp_wheel_node_init(). */
struct tcp_wheel_node {
	uint32_t next, prev;
	/* The deadline in ticks, lower bits. */
	uint32_t tick;
	/* Level times 512 and the slot in it; TCP_WHEEL_NONE: not waiting. */
	uint16_t slot;
	/* The deadline's upper bits: one beyond the wheel's reach goes round again. */
	uint16_t tick_high;
};

struct tcp_wheel {
	/* Nothing happens before this tick: neither does a timer expire nor a slot move down. */
	uint64_t next;
	/* When tcp_wheel_advance() has to look closer. */
	uint64_t check;
	/* The first tick not dealt with yet. */
	uint64_t now;
	uint8_t *base;
	size_t stride;
	/* Nodes waiting. */
	uint32_t count;
	/* Bit i of a level: slot i is not empty. */
	uint64_t occupied[TCP_WHEEL_LEVELS][TCP_WHEEL_SLOTS / 64];
	uint32_t head[TCP_WHEEL_LEVELS * TCP_WHEEL_SLOTS];
};

/* The node of record idx is at base + idx * stride + offset. */
void tcp_wheel_init(struct tcp_wheel *w, void *base, size_t stride, size_t offset, uint64_t now_ns);

static inline void tcp_wheel_node_init(struct tcp_wheel_node *n)
{
	n->slot = TCP_WHEEL_NONE;
}

static inline bool tcp_wheel_pending(const struct tcp_wheel_node *n)
{
	return n->slot != TCP_WHEEL_NONE;
}

static inline struct tcp_wheel_node *tcp_wheel_node(const struct tcp_wheel *w, uint32_t idx)
{
	return (struct tcp_wheel_node *)(w->base + (size_t)idx * w->stride);
}

/* Sets the timer, or moves it. A deadline that has passed fires at the next tick. */
void tcp_wheel_add(struct tcp_wheel *w, uint32_t idx, uint64_t deadline_ns);
/* Nothing happens if it does not wait. */
void tcp_wheel_del(struct tcp_wheel *w, uint32_t idx);

/* Out of line part of tcp_wheel_advance(). */
unsigned int tcp_wheel_expire(struct tcp_wheel *w, uint64_t target, uint32_t *out,
			      unsigned int max);

/*
 * Takes out up to max (at least 1) timers that have expired and fills in their indexes. To be
 * called again as long as it returns max. Time that goes backwards is taken as standing still.
 */
static inline unsigned int tcp_wheel_advance(struct tcp_wheel *w, uint64_t now_ns, uint32_t *out,
					     unsigned int max)
{
	const uint64_t target = now_ns >> TCP_WHEEL_SHIFT;

	if (__builtin_expect(target < w->check, 1))
		return 0;
	return tcp_wheel_expire(w, target, out, max);
}

/* When tcp_wheel_advance() has something to do: may be early, never late; UINT64_MAX: never. */
static inline uint64_t tcp_wheel_next(const struct tcp_wheel *w)
{
	return w->count == 0 ? UINT64_MAX : w->next << TCP_WHEEL_SHIFT;
}

#endif
