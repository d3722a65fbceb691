/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN (64u << 10)
#define BLOCK_MAX (1u << 20)

struct arena_block {
	struct arena_block *next;
	size_t size;
	uint8_t data[];
};

static void *pb_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void pb_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){
		.limit = limit,
		.pb = {.alloc = pb_alloc, .free = pb_free, .allocator_data = a},
	};
}

static bool grow(struct arena *a, size_t need)
{
	size_t size = a->head == NULL ? BLOCK_MIN : a->head->size * 2;
	struct arena_block *b;

	if (size > BLOCK_MAX)
		size = BLOCK_MAX;
	if (size < need)
		size = need;
	if (size > a->limit || a->total > a->limit - size) {
		a->exhausted = true;
		return false;
	}
	b = malloc(sizeof(*b) + size);
	if (b == NULL) {
		a->exhausted = true;
		return false;
	}
	b->size = size;
	b->next = a->head;
	a->head = b;
	a->total += size;
	a->at = b->data;
	a->end = b->data + size;
	return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t need;
	uint8_t *p;

	if (size > a->limit) {
		a->exhausted = true;
		return NULL;
	}
	/* The size is kept before each allocation: that is how a string with a NUL inside is found.
	 */
	need = ((size + 7) & ~(size_t)7) + sizeof(size_t);
	if ((size_t)(a->end - a->at) < need && !grow(a, need))
		return NULL;
	p = a->at;
	a->at += need;
	memcpy(p, &size, sizeof(size));
	return p + sizeof(size_t);
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = arena_alloc(a, n);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

size_t arena_size(const void *p)
{
	size_t size;

	memcpy(&size, (const uint8_t *)p - sizeof(size), sizeof(size));
	return size;
}

void arena_reset(struct arena *a)
{
	while (a->head != NULL && a->head->next != NULL) {
		struct arena_block *b = a->head;

		a->head = b->next;
		a->total -= b->size;
		free(b);
	}
	if (a->head != NULL && a->head->size > BLOCK_MAX) {
		a->total -= a->head->size;
		free(a->head);
		a->head = NULL;
	}
	a->at = a->head == NULL ? NULL : a->head->data;
	a->end = a->head == NULL ? NULL : a->head->data + a->head->size;
	a->exhausted = false;
}

void arena_free(struct arena *a)
{
	arena_reset(a);
	free(a->head);
	arena_init(a, a->limit);
}
