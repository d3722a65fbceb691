/* SPDX-License-Identifier: Apache-2.0 */
#include "wheel.h"

#include <limits.h>

/*
 * Level l is for timers due within 512 of its slots, of 256^l ticks each, from `now` on. The slot
 * that `now` is in at a level above 0 is empty, or else was occupied again for a full turn later:
 * it was moved down before `now` came to it, from the time on when `now` came to the one before.
 */

/* Ticks that `now` may lag behind: timers are put into levels by their distance from it. */
#define LAG 64
/* Timers that are moved down ahead of time per call. */
#define PORTION	  64
#define WORDS	  (TCP_WHEEL_SLOTS / 64)
#define SLOT_MASK (TCP_WHEEL_SLOTS - 1)
#define TICK_MAX  ((UINT64_C(1) << (64 - TCP_WHEEL_SHIFT)) - 1)
#define REACH	  (((uint64_t)TCP_WHEEL_SLOTS << 8 * (TCP_WHEEL_LEVELS - 1)) - 1)

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

static inline uint64_t *word_of(struct tcp_wheel *w, uint32_t slot)
{
	return &w->occupied[0][0] + slot / 64;
}

static inline uint64_t bit_of(uint32_t slot)
{
	return UINT64_C(1) << (slot & 63);
}

static void unlink_node(struct tcp_wheel *w, const struct tcp_wheel_node *n)
{
	if (n->next != TCP_NIL)
		tcp_wheel_node(w, n->next)->prev = n->prev;
	if (n->prev != TCP_NIL) {
		tcp_wheel_node(w, n->prev)->next = n->next;
		return;
	}
	w->head[n->slot] = n->next;
	if (n->next == TCP_NIL)
		*word_of(w, n->slot) &= ~bit_of(n->slot);
}

static void link_node(struct tcp_wheel *w, struct tcp_wheel_node *n, uint32_t idx, uint32_t slot)
{
	n->slot = (uint16_t)slot;
	n->prev = TCP_NIL;
	n->next = w->head[slot];
	if (n->next != TCP_NIL)
		tcp_wheel_node(w, n->next)->prev = idx;
	w->head[slot] = idx;
	*word_of(w, slot) |= bit_of(slot);
}

/* Which slot a tick belongs to as of now, and when something happens there. */
static uint32_t slot_of(const struct tcp_wheel *w, uint64_t tick, uint64_t *event)
{
	uint64_t delta;
	unsigned int level;

	if (tick < w->now)
		tick = w->now;
	delta = tick - w->now;
	if (delta < TCP_WHEEL_SLOTS) {
		*event = tick;
		return tick & SLOT_MASK;
	}
	if (delta > REACH) {
		delta = REACH;
		tick = w->now + delta;
	}
	/* 2^9 to 2^17 less one belong to level 1, up to 2^25 less one to level 2 … */
	level = (62 - (unsigned int)__builtin_clzll(delta)) / 8;
	tick >>= 8 * level;
	*event = tick << 8 * level;
	return level * TCP_WHEEL_SLOTS + (uint32_t)(tick & SLOT_MASK);
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
	for (unsigned int i = 0; i <= WORDS; i++) {
		if (bits != 0)
			return (word * 64 + (unsigned int)__builtin_ctzll(bits) - from) & SLOT_MASK;
		word = (word + 1) % WORDS;
		bits = occupied[word];
	}
	return TCP_WHEEL_SLOTS;
}

/* The tick at which the next slot expires, or has to be moved down. */
static uint64_t next_event(const struct tcp_wheel *w)
{
	uint64_t best = UINT64_MAX;
	unsigned int d;

	if (w->count == 0)
		return best;
	d = distance(w->occupied[0], w->now & SLOT_MASK);
	if (d != TCP_WHEEL_SLOTS)
		best = w->now + d;
	for (unsigned int l = 1; l < TCP_WHEEL_LEVELS; l++) {
		const uint64_t following = (w->now >> 8 * l) + 1;

		/* Nor does a higher level have anything before that. */
		if (best <= following << 8 * l)
			break;
		d = distance(w->occupied[l], following & SLOT_MASK);
		if (d != TCP_WHEEL_SLOTS)
			best = min64(best, (following + d) << 8 * l);
	}
	return best;
}

/* Moves up to max timers of a slot to where they belong now. Returns how many were moved. */
static unsigned int move_down(struct tcp_wheel *w, uint32_t slot, unsigned int max)
{
	uint32_t idx = w->head[slot];
	unsigned int n = 0;

	/* Empty while its timers are looked at: the farthest ones come back to it. */
	w->head[slot] = TCP_NIL;
	*word_of(w, slot) &= ~bit_of(slot);
	for (; idx != TCP_NIL && n < max; n++) {
		struct tcp_wheel_node *node = tcp_wheel_node(w, idx);
		const uint32_t next = node->next;
		uint64_t event;

		if (next != TCP_NIL)
			__builtin_prefetch(tcp_wheel_node(w, next), 1);
		link_node(w, node, idx,
			  slot_of(w, (uint64_t)node->tick_high << 32 | node->tick, &event));
		idx = next;
	}
	if (idx != TCP_NIL) {
		w->head[slot] = idx;
		tcp_wheel_node(w, idx)->prev = TCP_NIL;
		*word_of(w, slot) |= bit_of(slot);
	}
	return n;
}

/* Goes to a tick that is not after the next event. */
static void go_to(struct tcp_wheel *w, uint64_t tick)
{
	w->now = tick;
	for (unsigned int l = 1; l < TCP_WHEEL_LEVELS; l++) {
		const uint64_t at = tick >> 8 * l;
		const uint32_t slot = l * TCP_WHEEL_SLOTS + (uint32_t)(at & SLOT_MASK);

		if (at << 8 * l != tick)
			return;
		if ((*word_of(w, slot) & bit_of(slot)) != 0)
			move_down(w, slot, UINT_MAX);
	}
}

/* Moves a portion of the slots that come next down ahead of time. True: there is more. */
static bool move_ahead(struct tcp_wheel *w)
{
	unsigned int left = PORTION;

	for (unsigned int l = 1; l < TCP_WHEEL_LEVELS; l++) {
		const uint64_t following = (w->now >> 8 * l) + 1;
		const uint32_t slot = l * TCP_WHEEL_SLOTS + (uint32_t)(following & SLOT_MASK);

		if ((*word_of(w, slot) & bit_of(slot)) == 0)
			continue;
		left -= move_down(w, slot, left);
		if (left == 0)
			return true;
	}
	return false;
}

unsigned int tcp_wheel_expire(struct tcp_wheel *w, uint64_t target, uint32_t *out, unsigned int max)
{
	unsigned int n = 0;
	bool more;

	while (w->now <= target) {
		const uint32_t slot = w->now & SLOT_MASK;
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
		*word_of(w, slot) &= ~bit_of(slot);
		go_to(w, min64(next_event(w), target + 1));
	}
	more = move_ahead(w);
	w->next = next_event(w);
	w->check = more ? w->now : min64(w->next, w->now + LAG);
	return n;
}
