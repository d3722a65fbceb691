/* SPDX-License-Identifier: Apache-2.0 */
/* epoll: level and edge triggered, one-shot. */
#include <errno.h>
#include <stdlib.h>

#include "shim.h"

static int fail(struct shim *s, int err)
{
	clock_leave(s);
	if (!err)
		return 0;
	errno = err;
	return -1;
}

static struct sock *get_epoll(struct shim *s, int fd)
{
	struct sock *k = sock_get(s, fd);

	return k && k->kind == SOCK_EPOLL ? k : NULL;
}

int shim_epoll_create(void *user, int size)
{
	struct shim *s = user;
	struct sock *k;
	int fd;

	clock_enter(s);
	if (size <= 0)
		return fail(s, EINVAL);
	k = sock_new(s, SOCK_EPOLL, 0, true);
	if (!k)
		return fail(s, errno);
	fd = k->fd;
	clock_leave(s);
	return fd;
}

static struct epoll_item **find(struct sock *k, int fd)
{
	struct epoll_item **at = &k->items;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

int shim_epoll_ctl(void *user, int epfd, int op, int fd, struct epoll_event *ev)
{
	struct shim *s = user;
	struct epoll_item **at, *i;
	struct sock *k;

	clock_enter(s);
	k = get_epoll(s, epfd);
	if (!k || !sock_get(s, fd))
		return fail(s, EBADF);
	at = find(k, fd);
	i = *at;
	switch (op) {
	case EPOLL_CTL_ADD:
		if (i)
			return fail(s, EEXIST);
		i = calloc(1, sizeof(*i));
		if (!i)
			return fail(s, ENOMEM);
		i->fd = fd;
		i->ev = *ev;
		*at = i;
		break;
	case EPOLL_CTL_MOD:
		if (!i)
			return fail(s, ENOENT);
		i->ev = *ev;
		i->disabled = false;
		i->seen_in = i->seen_out = 0;
		break;
	case EPOLL_CTL_DEL:
		if (!i)
			return fail(s, ENOENT);
		*at = i->next;
		free(i);
		break;
	default:
		return fail(s, EINVAL);
	}
	return fail(s, 0);
}

void epoll_forget(struct shim *s, int fd)
{
	for (unsigned int n = 0; n < SHIM_FDS; n++) {
		struct epoll_item **at, *i;

		if (!s->socks[n] || s->socks[n]->kind != SOCK_EPOLL)
			continue;
		at = find(s->socks[n], fd);
		i = *at;
		if (i) {
			*at = i->next;
			free(i);
		}
	}
}

/* Events are numbered from 1, 0 being what was the case when the socket was added. */
static uint32_t ready_of(struct shim *s, struct epoll_item *i)
{
	struct sock *k = sock_get(s, i->fd);
	uint32_t ev = k ? (uint32_t)(unsigned short)sock_poll(k) : 0;

	if (!k || i->disabled)
		return 0;
	if (k->conn && !(ev & EPOLLOUT))
		tcp_want_write(k->conn, 0);
	ev &= i->ev.events | EPOLLERR | EPOLLHUP;
	if (i->ev.events & EPOLLET && ev) {
		bool in = k->in_events + 1 > i->seen_in, out = k->out_events + 1 > i->seen_out;

		if (!in && !out)
			return 0;
		i->seen_in = k->in_events + 1;
		i->seen_out = k->out_events + 1;
	}
	if (ev && i->ev.events & EPOLLONESHOT)
		i->disabled = true;
	return ev;
}

static int collect(struct shim *s, struct sock *k, struct epoll_event *evs, int n)
{
	int got = 0;

	for (struct epoll_item *i = k->items; i && got < n; i = i->next) {
		uint32_t ev = ready_of(s, i);

		if (ev) {
			evs[got].events = ev;
			evs[got++].data = i->ev.data;
		}
	}
	return got;
}

int shim_epoll_wait(void *user, int epfd, struct epoll_event *evs, int n, int timeout_ms)
{
	struct shim *s = user;
	uint64_t deadline;
	struct sock *k;
	int got;

	clock_enter(s);
	clock_settle(s);
	k = get_epoll(s, epfd);
	if (!k || n <= 0)
		return fail(s, k ? EINVAL : EBADF);
	deadline = timeout_ms > 0 ? s->now_ns + (uint64_t)timeout_ms * 1000000 : 0;
	for (;;) {
		got = collect(s, k, evs, n);
		if (got || !timeout_ms || (deadline && s->now_ns >= deadline))
			break;
		clock_wait(s, deadline);
	}
	clock_leave(s);
	return got;
}
