/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets of one side to the other. Buffers that one connection received are queued on the other as
 * they are. Nothing is read that the other side cannot take, so that a slow receiver closes the
 * sender's window and what is held is bounded by the two connections' own buffers.
 */
#include <errno.h>

#include "proxy_private.h"

/* Segments of room worth a call, where the buffer is that large. */
#define WANT_SEGMENTS 8

static void count(struct pair *p, enum pair_dir dir, uint32_t n)
{
	struct svc_stats *s = &p->l->stats;
	struct backend *b = p->backend;

	p->active_ms = pair_now_ms(p);
	if (dir == PAIR_UP) {
		s->proxy_bytes_up += n;
		b->stats.bytes_out += n;
		b->pool->stats.bytes_out += n;
	} else {
		s->proxy_bytes_down += n;
		b->stats.bytes_in += n;
		b->pool->stats.bytes_in += n;
	}
}

enum moved {
	/* All there was. */
	MOVED_ALL,
	/* The other side is full and will say when it is not. */
	MOVED_SOME,
	/* The other side takes nothing any more. */
	MOVED_NOTHING,
};

/* Buffers are short, and no acknowledgement may come that would call us: the timer does. */
static void starve(struct pair *p)
{
	p->starved = true;
	pair_arm(p);
}

static enum moved give(struct pair *p, enum pair_dir dir, struct tcp_conn *to, struct rte_mbuf *m)
{
	uint32_t n = m->pkt_len;
	int rc = tcp_write(to, m);

	if (rc == 0) {
		count(p, dir, n);
		return MOVED_ALL;
	}
	p->left[dir] = m;
	if (rc != -EAGAIN)
		return MOVED_NOTHING;
	if (tcp_writable(to) != 0)
		starve(p);
	return MOVED_SOME;
}

static enum moved move(struct pair *p, enum pair_dir dir, struct tcp_conn *from,
		       struct tcp_conn *to)
{
	struct rte_mbuf *m = p->left[dir];
	enum moved rc;

	p->starved = false;
	if (m != NULL) {
		p->left[dir] = NULL;
		rc = give(p, dir, to, m);
		if (rc != MOVED_ALL)
			return rc;
	}
	while (from != NULL && tcp_readable(from) != 0) {
		uint32_t room = tcp_writable(to);

		if (room == 0) {
			tcp_want_write(to, WANT_SEGMENTS * tcp_conn_mss(to));
			return MOVED_SOME;
		}
		m = tcp_read(from, room);
		if (m == NULL) {
			starve(p);
			return MOVED_SOME;
		}
		rc = give(p, dir, to, m);
		if (rc != MOVED_ALL)
			return rc;
	}
	return MOVED_ALL;
}

/* Both directions ended: the engine sees the rest through without us. */
static void finish(struct pair *p)
{
	if (p->client != NULL) {
		tcp_set_user(p->client, NULL);
		svc_close(p->l, p->client);
	}
	if (p->server != NULL) {
		tcp_set_user(p->server, NULL);
		tcp_close(p->server);
	}
	pair_free(p);
}

bool pair_splice(struct pair *p, enum pair_dir dir)
{
	struct tcp_conn *from = dir == PAIR_UP ? p->client : p->server;
	struct tcp_conn *to = dir == PAIR_UP ? p->server : p->client;

	if (to == NULL || p->shut[dir])
		return true;
	switch (move(p, dir, from, to)) {
	case MOVED_SOME:
		return true;
	case MOVED_NOTHING:
		pair_kill(p);
		return false;
	case MOVED_ALL:
		break;
	}
	if (from != NULL && !tcp_at_eof(from))
		return true;
	p->shut[dir] = true;
	if (p->shut[!dir]) {
		finish(p);
		return false;
	}
	tcp_shutdown(to);
	p->active_ms = pair_now_ms(p);
	/* The half-close timeout may be earlier than what the timer runs for. */
	pair_arm(p);
	return true;
}

void pair_side_done(struct pair *p, enum pair_dir from)
{
	struct tcp_conn **side = from == PAIR_UP ? &p->client : &p->server;
	struct tcp_conn *to = from == PAIR_UP ? p->server : p->client;
	/* The engine waits until all is read. */
	bool rest = tcp_readable(*side) != 0;

	*side = NULL;
	if (rest || to == NULL) {
		pair_kill(p);
		return;
	}
	/* It ends only when it has got our FIN, which it gets when the other side has ended. */
	p->shut[!from] = true;
	if (pair_splice(p, from))
		pair_arm(p);
}
