/* SPDX-License-Identifier: Apache-2.0 */
#include "wheel.h"

/*
 * Invariants: a timer of level 0 is due within 256 ticks from `now` on, so its slot is its tick
 * modulo 256. One of level l is due 256^l ticks or more after the time it was put there, so the
 * slot that `now` is in at level l has been emptied when `now` entered it, and if it is occupied
 * again, for a time a full turn later.
 */

/* Ticks that `now` may lag behind: timers are put into levels by their distance from it. */
#define LAG	 64
#define TICK_MAX ((UINT64_C(1) << (64 - TCP_WHEEL_SHIFT)) - 1)

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void tcp_wheel_init(struct tcp_wheel *w, void *base, size_t stride, size_t offset, uint64_t now_ns)
{
	memset(w, 0, sizeof(*w));
	memset(w->head, 0xff, sizeof(w->head));
	w->base = (uint8_t *)base + offset;
	w->stride = stride;
	w->now = now_ns >> TCP_WHEEL_SHIFT;
	w->next = UINT64_MAX;
	w->check = w->now + LAG;
}

static void unlink_node(struct tcp_wheel *w, struct tcp_wheel_node *n)
{
	if (n->next != TCP_NIL)
		tcp_wheel_node(w, n->next)->prev = n->prev;
	if (n->prev != TCP_NIL) {
		tcp_wheel_node(w, n->prev)->next = n->next;
		return;
	}
	w->head[n->slot] = n->next;
	if (n->next == TCP_NIL)
		w->occupied[n->slot >> 8][(n->slot & 255) >> 6] &= ~(UINT64_C(1) << (n->slot & 63));
}

static void link_node(struct tcp_wheel *w, struct tcp_wheel_node *n, uint32_t idx, uint32_t slot)
{
	n->slot = (uint16_t)slot;
	n->prev = TCP_NIL;
	n->next = w->head[slot];
	if (n->next != TCP_NIL)
		tcp_wheel_node(w, n->next)->prev = idx;
	w->head[slot] = idx;
	w->occupied[slot >> 8][(slot & 255) >> 6] |= UINT64_C(1) << (slot & 63);
}

/* Which slot a tick belongs to as of now, and when something happens there. */
static uint32_t slot_of(const struct tcp_wheel *w, uint64_t tick, uint64_t *event)
{
	uint64_t delta;
	unsigned int shift;

	if (tick < w->now)
		tick = w->now;
	delta = tick - w->now;
	if (delta < TCP_WHEEL_SLOTS) {
		*event = tick;
		return tick & 255;
	}
	if (delta > UINT32_MAX) {
		delta = UINT32_MAX;
		tick = w->now + delta;
	}
	/* A level has 8 bits. */
	shift = (63 - (unsigned int)__builtin_clzll(delta)) & ~7u;
	*event = tick >> shift << shift;
	return shift * (TCP_WHEEL_SLOTS / 8) + (tick >> shift & 255);
}

void tcp_wheel_add(struct tcp_wheel *w, uint32_t idx, uint64_t deadline_ns)
{
	const uint64_t mask = (UINT64_C(1) << TCP_WHEEL_SHIFT) - 1;
	const uint64_t tick =
		min64((deadline_ns >> TCP_WHEEL_SHIFT) + ((deadline_ns & mask) != 0), TICK_MAX);
	struct tcp_wheel_node *n = tcp_wheel_node(w, idx);
	uint64_t event;
	const uint32_t slot = slot_of(w, tick, &event);

	n->tick = (uint32_t)tick;
	n->tick_high = (uint16_t)(tick >> 32);
	/* Moved by a little: its neighbours need not be touched. */
	if (n->slot == slot)
		return;
	if (n->slot != TCP_WHEEL_NONE)
		unlink_node(w, n);
	else
		w->count++;
	link_node(w, n, idx, slot);
	w->next = min64(w->next, event);
	w->check = min64(w->check, event);
}

void tcp_wheel_del(struct tcp_wheel *w, uint32_t idx)
{
	struct tcp_wheel_node *n = tcp_wheel_node(w, idx);

	if (n->slot == TCP_WHEEL_NONE)
		return;
	unlink_node(w, n);
	n->slot = TCP_WHEEL_NONE;
	w->count--;
}

/* How far behind slot `from` the next occupied one is, around the wheel; TCP_WHEEL_SLOTS: none. */
static unsigned int distance(const uint64_t *occupied, unsigned int from)
{
	unsigned int word = from / 64;
	uint64_t bits = occupied[word] & ~UINT64_C(0) << (from & 63);

	/* The first word comes again at the end, for what is before `from`. */
	for (unsigned int i = 0; i <= TCP_WHEEL_SLOTS / 64; i++) {
		if (bits != 0)
			return (word * 64 + (unsigned int)__builtin_ctzll(bits) - from) & 255;
		word = (word + 1) % (TCP_WHEEL_SLOTS / 64);
		bits = occupied[word];
	}
	return TCP_WHEEL_SLOTS;
}

/* The tick at which the next slot expires or moves down. */
static uint64_t next_event(const struct tcp_wheel *w)
{
	uint64_t best = UINT64_MAX;
	unsigned int d;

	if (w->count == 0)
		return best;
	d = distance(w->occupied[0], w->now & 255);
	if (d != TCP_WHEEL_SLOTS)
		best = w->now + d;
	for (unsigned int l = 1; l < TCP_WHEEL_LEVELS; l++) {
		const uint64_t at = w->now >> (8 * l);

		d = distance(w->occupied[l], (at + 1) & 255);
		if (d != TCP_WHEEL_SLOTS)
			best = min64(best, (at + 1 + d) << (8 * l));
	}
	return best;
}

/* Moves the timers of a slot to where they belong now. */
static void cascade(struct tcp_wheel *w, unsigned int level, unsigned int slot)
{
	uint32_t idx = w->head[level * TCP_WHEEL_SLOTS + slot];

	w->head[level * TCP_WHEEL_SLOTS + slot] = TCP_NIL;
	w->occupied[level][slot / 64] &= ~(UINT64_C(1) << (slot & 63));
	while (idx != TCP_NIL) {
		struct tcp_wheel_node *n = tcp_wheel_node(w, idx);
		const uint32_t next = n->next;
		uint64_t event;

		if (next != TCP_NIL)
			__builtin_prefetch(tcp_wheel_node(w, next), 1);
		link_node(w, n, idx, slot_of(w, (uint64_t)n->tick_high << 32 | n->tick, &event));
		idx = next;
	}
}

/* Goes to a tick that is not after the next event. */
static void go_to(struct tcp_wheel *w, uint64_t tick)
{
	w->now = tick;
	for (unsigned int l = TCP_WHEEL_LEVELS - 1; l > 0; l--) {
		const unsigned int slot = tick >> (8 * l) & 255;

		if ((tick & ((UINT64_C(1) << (8 * l)) - 1)) == 0 &&
		    (w->occupied[l][slot / 64] >> (slot & 63) & 1) != 0)
			cascade(w, l, slot);
	}
}

unsigned int tcp_wheel_expire(struct tcp_wheel *w, uint64_t target, uint32_t *out, unsigned int max)
{
	unsigned int n = 0;

	while (w->now <= target) {
		const unsigned int slot = w->now & 255;
		uint32_t idx = w->head[slot];

		while (idx != TCP_NIL && n < max) {
			struct tcp_wheel_node *node = tcp_wheel_node(w, idx);

			out[n++] = idx;
			idx = node->next;
			if (idx != TCP_NIL)
				__builtin_prefetch(tcp_wheel_node(w, idx), 1);
			node->slot = TCP_WHEEL_NONE;
			w->count--;
		}
		w->head[slot] = idx;
		if (idx != TCP_NIL) {
			tcp_wheel_node(w, idx)->prev = TCP_NIL;
			w->next = w->check = w->now;
			return n;
		}
		w->occupied[0][slot / 64] &= ~(UINT64_C(1) << (slot & 63));
		go_to(w, min64(next_event(w), target + 1));
	}
	w->next = next_event(w);
	w->check = min64(w->next, w->now + LAG);
	return n;
}
