/* SPDX-License-Identifier: Apache-2.0 */
/* The table of neighbours: hash, limits, eviction, timers. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_common.h>

#include "internal.h"
#include "../seam/seam.h"
#include "../vrf/vrf.h"

/* Twice the entries, so that chains stay short. */
#define HASH_SIZE (NEIGH_MAX * 2)

static uint64_t hash_key[2];
static struct neigh_ent **hash_table;
static struct neigh_ent **slots;
/* Per slot, so that looking for what has run out reads one array and not all entries. */
static uint64_t *slot_timer;
static uint32_t *free_slots;
static uint32_t n_free;
/* Slots from here on were never used. */
static uint32_t slots_used;
static uint32_t expire_at;
static uint32_t sweep_at;
static unsigned int n_neighs;

struct iface_lists {
	struct neigh_list cls[NEIGH_CLASSES];
};

static struct iface_lists *lists[IFACE_MAX];
static struct neigh_list all_lists[NEIGH_CLASSES];

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

#define SIP_ROUND(v0, v1, v2, v3)                                                                  \
	do {                                                                                       \
		v0 += v1;                                                                          \
		v1 = rotl(v1, 13) ^ v0;                                                            \
		v0 = rotl(v0, 32);                                                                 \
		v2 += v3;                                                                          \
		v3 = rotl(v3, 16) ^ v2;                                                            \
		v0 += v3;                                                                          \
		v3 = rotl(v3, 21) ^ v0;                                                            \
		v2 += v1;                                                                          \
		v1 = rotl(v1, 17) ^ v2;                                                            \
		v2 = rotl(v2, 32);                                                                 \
	} while (0)

uint64_t neigh_siphash(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t v0 = hash_key[0] ^ 0x736f6d6570736575ull;
	uint64_t v1 = hash_key[1] ^ 0x646f72616e646f6dull;
	uint64_t v2 = hash_key[0] ^ 0x6c7967656e657261ull;
	uint64_t v3 = hash_key[1] ^ 0x7465646279746573ull;
	uint64_t m;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		v3 ^= m;
		SIP_ROUND(v0, v1, v2, v3);
		SIP_ROUND(v0, v1, v2, v3);
		v0 ^= m;
	}
	m = (uint64_t)len << 56;
	for (size_t k = 0; k < left; k++)
		m |= (uint64_t)p[k] << (8 * k);
	v3 ^= m;
	SIP_ROUND(v0, v1, v2, v3);
	SIP_ROUND(v0, v1, v2, v3);
	v0 ^= m;
	v2 ^= 0xff;
	for (int k = 0; k < 4; k++)
		SIP_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

static uint32_t hash_of(const struct iface *i, const struct ip_addr *addr)
{
	uint8_t key[19];

	memcpy(key, &i->id, 2);
	key[2] = addr->len;
	memcpy(key + 3, addr->b, 16);
	return (uint32_t)neigh_siphash(key, sizeof(key)) & (HASH_SIZE - 1);
}

int neigh_table_init(void)
{
	ssize_t n;

	if (hash_table != NULL)
		return 0;
	n = getrandom(hash_key, sizeof(hash_key), 0);
	if (n != (ssize_t)sizeof(hash_key))
		return n < 0 ? -errno : -EIO;
	hash_table = calloc(HASH_SIZE, sizeof(*hash_table));
	slots = calloc(NEIGH_MAX, sizeof(*slots));
	slot_timer = malloc(NEIGH_MAX * sizeof(*slot_timer));
	free_slots = malloc(NEIGH_MAX * sizeof(*free_slots));
	if (hash_table == NULL || slots == NULL || slot_timer == NULL || free_slots == NULL)
		return -ENOMEM;
	for (int k = 0; k < NEIGH_CLASSES; k++)
		TAILQ_INIT(&all_lists[k]);
	return 0;
}

struct neigh_ent *neigh_table_find(const struct iface *i, const struct ip_addr *addr)
{
	struct neigh_ent *e = hash_table[hash_of(i, addr)];

	while (e != NULL && (e->n.iface != i || !ip_addr_eq(&e->n.addr, addr)))
		e = e->hash_next;
	return e;
}

static struct iface_lists *iface_lists(const struct iface *i)
{
	struct iface_lists *l = lists[i->id];

	if (l == NULL) {
		l = malloc(sizeof(*l));
		if (l == NULL)
			return NULL;
		for (int k = 0; k < NEIGH_CLASSES; k++)
			TAILQ_INIT(&l->cls[k]);
		lists[i->id] = l;
	}
	return l;
}

/* The one that has to give way: asked for in vain for longest, or unused for longest. */
static struct neigh_ent *victim(const struct neigh_list *by_class)
{
	struct neigh_ent *e = TAILQ_FIRST(&by_class[NEIGH_CLASS_PENDING]);

	return e != NULL ? e : TAILQ_FIRST(&by_class[NEIGH_CLASS_STALE]);
}

static int make_room(struct iface *i, struct iface_lists *l, struct dp_error *err)
{
	struct neigh_ent *e;
	uint32_t limit = RTE_MAX(neigh_settings.limit, 1u);

	/* The limit may have been lowered: more than one can be too many, but none is thrown out
	 * for nothing. */
	if (i->n_neigh >= limit) {
		e = victim(l->cls);
		if (e == NULL) {
			seam_event_table_full("neighbors", vrfs[i->vrf] ? vrfs[i->vrf]->name : "",
					      limit);
			return dp_fail(err, DP_TABLE_FULL, "address",
				       "interface %s has %u neighbours, and none can be forgotten",
				       i->name, i->n_neigh);
		}
		neigh_remove(e);
	}
	if (n_neighs >= NEIGH_MAX) {
		e = victim(all_lists);
		if (e == NULL) {
			seam_event_table_full("neighbors", "", NEIGH_MAX);
			return dp_fail(err, DP_TABLE_FULL, "address",
				       "there are %u neighbours, and none can be forgotten",
				       n_neighs);
		}
		neigh_remove(e);
	}
	return 0;
}

struct neigh_ent *neigh_table_add(struct iface *i, const struct ip_addr *addr, struct dp_error *err)
{
	struct iface_lists *l = iface_lists(i);
	struct neigh_ent *e;

	if (l == NULL) {
		dp_fail(err, DP_NO_MEMORY, "address", "no memory for the neighbour");
		return NULL;
	}
	if (make_room(i, l, err) < 0)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		dp_fail(err, DP_NO_MEMORY, "address", "no memory for the neighbour");
		return NULL;
	}
	e->n.nh = nexthop_alloc();
	if (e->n.nh == 0) {
		free(e);
		dp_fail(err, DP_TABLE_FULL, "address", "the table of next hops is full");
		return NULL;
	}
	e->n.iface = i;
	e->n.addr = *addr;
	e->slot = n_free > 0 ? free_slots[--n_free] : slots_used++;
	slots[e->slot] = e;
	e->hash = hash_of(i, addr);
	e->hash_next = hash_table[e->hash];
	hash_table[e->hash] = e;
	e->cls = NEIGH_CLASS_KEEP;
	TAILQ_INSERT_TAIL(&l->cls[e->cls], e, by_iface);
	TAILQ_INSERT_TAIL(&all_lists[e->cls], e, by_all);
	neigh_table_timer(e, TIMER_NEVER);
	n_neighs++;
	i->n_neigh++;
	return e;
}

void neigh_table_del(struct neigh_ent *e)
{
	struct neigh_ent **p = &hash_table[e->hash];

	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	TAILQ_REMOVE(&lists[e->n.iface->id]->cls[e->cls], e, by_iface);
	TAILQ_REMOVE(&all_lists[e->cls], e, by_all);
	slots[e->slot] = NULL;
	slot_timer[e->slot] = TIMER_NEVER;
	free_slots[n_free++] = e->slot;
	n_neighs--;
	e->n.iface->n_neigh--;
	nexthop_free(e->n.nh);
	free(e->n.queue);
	free(e);
}

void neigh_table_reclass(struct neigh_ent *e, enum neigh_class cls)
{
	struct iface_lists *l = lists[e->n.iface->id];

	if (e->cls == cls)
		return;
	TAILQ_REMOVE(&l->cls[e->cls], e, by_iface);
	TAILQ_REMOVE(&all_lists[e->cls], e, by_all);
	e->cls = cls;
	TAILQ_INSERT_TAIL(&l->cls[cls], e, by_iface);
	TAILQ_INSERT_TAIL(&all_lists[cls], e, by_all);
}

void neigh_table_timer(struct neigh_ent *e, uint64_t at_ns)
{
	e->n.timer_ns = at_ns;
	slot_timer[e->slot] = at_ns;
}

unsigned int neigh_table_expire(uint64_t now, unsigned int budget,
				void (*fn)(struct neigh_ent *e, uint64_t now))
{
	unsigned int done = 0;

	/* fn may remove this entry and others, but adds none. */
	for (uint32_t k = 0; k < slots_used && done < budget; k++) {
		if (expire_at >= slots_used)
			expire_at = 0;
		if (slot_timer[expire_at] <= now) {
			fn(slots[expire_at], now);
			done++;
		}
		expire_at++;
	}
	return done;
}

void neigh_table_sweep(unsigned int calls, void (*fn)(struct neigh_ent *e))
{
	for (uint32_t k = (slots_used + calls - 1) / calls; k > 0; k--) {
		if (sweep_at >= slots_used)
			sweep_at = 0;
		if (slots[sweep_at] != NULL)
			fn(slots[sweep_at]);
		sweep_at++;
	}
}

struct neigh_ent *neigh_table_iface_first(const struct iface *i)
{
	const struct iface_lists *l = lists[i->id];

	if (l == NULL)
		return NULL;
	for (int k = 0; k < NEIGH_CLASSES; k++)
		if (!TAILQ_EMPTY(&l->cls[k]))
			return TAILQ_FIRST(&l->cls[k]);
	return NULL;
}

struct neigh_ent *neigh_table_iface_after(const struct neigh_ent *e)
{
	const struct iface_lists *l = lists[e->n.iface->id];
	struct neigh_ent *next = TAILQ_NEXT(e, by_iface);

	for (int k = e->cls + 1; next == NULL && k < NEIGH_CLASSES; k++)
		next = TAILQ_FIRST(&l->cls[k]);
	return next;
}

struct neigh *neigh_next(uint32_t *pos)
{
	while (*pos < slots_used) {
		struct neigh_ent *e = slots[(*pos)++];

		if (e != NULL)
			return &e->n;
	}
	return NULL;
}

unsigned int neigh_count(void)
{
	return n_neighs;
}
