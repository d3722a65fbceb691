/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections a source has with a listener that limits them. */
#include "conn.h"

/* An IPv6 host has a /64 to itself. */
static struct tcp_tuple source_key(const struct tcp_conn *c)
{
	struct tcp_tuple t = {.family = 6};
	const uint32_t id = c->listener->p.id;

	t.raddr = c->tuple.raddr;
	if (c->tuple.family == 6)
		memset(t.raddr.b + 8, 0, 8);
	memcpy(t.laddr.b, &id, sizeof(id));
	return t;
}

static uint32_t find(const struct tcp_engine *e, const struct tcp_tuple *key, uint32_t id,
		     uint32_t hash)
{
	struct tcp_lookup_it it;
	uint32_t v;

	for (v = tcp_lookup_first(&e->sources, hash, &it); v != TCP_NIL;
	     v = tcp_lookup_next(&e->sources, &it)) {
		const struct tcp_source *s = tcp_slab_at(&e->srcs, v);

		if (s->listener_id == id && memcmp(&s->addr, &key->raddr, sizeof(s->addr)) == 0)
			break;
	}
	return v;
}

bool source_take(struct tcp_listener *l, struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	const struct tcp_tuple key = source_key(c);
	const uint32_t hash = tcp_tuple_hash(&e->key, &key);
	uint32_t i = find(e, &key, l->p.id, hash);
	struct tcp_source *s;

	if (i == TCP_NIL) {
		i = tcp_slab_alloc(&e->srcs);
		if (i == TCP_NIL)
			return false;
		s = tcp_slab_at(&e->srcs, i);
		*s = (struct tcp_source){.addr = key.raddr, .listener_id = l->p.id};
		if (!tcp_lookup_insert(&e->sources, hash, i)) {
			tcp_slab_free(&e->srcs, i);
			return false;
		}
	}
	s = tcp_slab_at(&e->srcs, i);
	if (s->count >= l->p.max_per_source)
		return false;
	s->count++;
	c->flags2 |= F2_SOURCE;
	return true;
}

void source_give(struct tcp_conn *c)
{
	struct tcp_engine *e = c->e;
	const struct tcp_tuple key = source_key(c);
	const uint32_t hash = tcp_tuple_hash(&e->key, &key);
	const uint32_t i = find(e, &key, c->listener->p.id, hash);
	struct tcp_source *s;

	c->flags2 &= ~F2_SOURCE;
	if (i == TCP_NIL)
		return;
	s = tcp_slab_at(&e->srcs, i);
	if (--s->count != 0)
		return;
	tcp_lookup_remove(&e->sources, hash, i);
	tcp_slab_free(&e->srcs, i);
}
