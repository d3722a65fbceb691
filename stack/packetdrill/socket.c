/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: making, naming, connecting and ending them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>

#include "shim.h"

#define EPHEMERAL_MIN 40000

struct sock *sock_get(struct shim *s, int fd)
{
	struct sock *k = fd >= 0 && fd < SHIM_FDS ? s->socks[fd] : NULL;

	if (!k)
		errno = EBADF;
	return k;
}

/* The tool closes what a script left open by itself: the numbers must be real. */
static int take_fd(struct sock *k)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fd >= SHIM_FDS) {
		close(fd);
		errno = EMFILE;
		return -1;
	}
	k->fd = fd;
	k->s->socks[fd] = k;
	return fd;
}

struct sock *sock_new(struct shim *s, enum sock_kind kind, int family, bool with_fd)
{
	struct sock *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->s = s;
	k->kind = kind;
	k->family = family;
	k->fd = -1;
	if (with_fd && take_fd(k) < 0) {
		free(k);
		return NULL;
	}
	return k;
}

void sock_free(struct sock *k)
{
	if (k->fd >= 0)
		k->s->socks[k->fd] = NULL;
	while (k->items) {
		struct epoll_item *i = k->items;

		k->items = i->next;
		free(i);
	}
	free(k->rest);
	free(k);
}

int sock_error(struct sock *k)
{
	int err = k->so_error;

	k->so_error = 0;
	return err;
}

bool sock_nonblock(const struct sock *k, int flags)
{
	return k->nonblock || flags & MSG_DONTWAIT;
}

static int fail(struct shim *s, int err)
{
	clock_leave(s);
	if (!err)
		return 0;
	errno = err;
	return -1;
}

int shim_socket(void *user, int domain, int type, int protocol)
{
	struct shim *s = user;
	struct sock *k;
	int fd;

	clock_enter(s);
	if (domain != AF_INET && domain != AF_INET6)
		return fail(s, EAFNOSUPPORT);
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM ||
	    (protocol && protocol != IPPROTO_TCP))
		return fail(s, EPROTONOSUPPORT);
	k = sock_new(s, SOCK_TCP, domain, true);
	if (!k)
		return fail(s, errno);
	k->nonblock = type & SOCK_NONBLOCK;
	fd = k->fd;
	clock_leave(s);
	return fd;
}

static int parse_addr(const struct sockaddr *sa, socklen_t len, struct tcp_addr *a, uint16_t *port)
{
	if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		tcp_addr4(a, in->sin_addr.s_addr);
		*port = in->sin_port;
		return 0;
	}
	if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		tcp_addr6(a, &in6->sin6_addr);
		*port = in6->sin6_port;
		return 0;
	}
	return EINVAL;
}

static void put_addr(const struct sock *k, const struct tcp_addr *a, uint16_t port,
		     struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
	const void *from = &in;
	socklen_t size = sizeof(in);

	if (!sa || !len)
		return;
	if (k->family == AF_INET6) {
		memcpy(&in6.sin6_addr, a->b, 16);
		from = &in6;
		size = sizeof(in6);
	} else {
		memcpy(&in.sin_addr, a->b + 12, 4);
	}
	memcpy(sa, from, *len < size ? *len : size);
	*len = size;
}

static bool addr_any(const struct tcp_addr *a)
{
	static const struct tcp_addr zero;
	struct tcp_addr any4;

	tcp_addr4(&any4, 0);
	return !memcmp(a, &zero, sizeof(zero)) || !memcmp(a, &any4, sizeof(any4));
}

int shim_bind(void *user, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct shim *s = user;
	struct sock *k;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	if (k->bound || k->role != ROLE_NONE || parse_addr(sa, len, &k->laddr, &k->lport))
		return fail(s, EINVAL);
	if (!k->lport)
		k->lport = htons((uint16_t)(EPHEMERAL_MIN + fd));
	k->bound = true;
	return fail(s, 0);
}

static void listener_params(struct sock *k, struct tcp_listener_params *p)
{
	const uint8_t *key = NULL;

	memset(p, 0, sizeof(*p));
	p->id = (uint32_t)k->fd;
	p->port = k->lport;
	if (!addr_any(&k->laddr)) {
		p->addr = k->laddr;
		p->family = tcp_addr_is4(&k->laddr) ? 4 : 6;
	}
	p->ops = &sock_ops;
	p->ctx = k;
	sock_options(k, &p->opt);
	if (k->opt.fastopen_key_set)
		key = k->opt.fastopen_key;
	else if (k->s->world.fastopen_key_set)
		key = k->s->world.fastopen_key;
	if (key) {
		/* Twice: Linux keeps none of the keys before. */
		tcp_set_fast_open_key(k->s->engine, key);
		tcp_set_fast_open_key(k->s->engine, key);
	}
}

void sock_relisten(struct sock *k)
{
	struct tcp_listener_params p;

	listener_params(k, &p);
	tcp_listener_update(k->listener, &p);
}

int shim_listen(void *user, int fd, int backlog)
{
	struct shim *s = user;
	struct tcp_listener_params p;
	struct sock *k;

	clock_enter(s);
	world_read(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	if (k->role == ROLE_LISTENER) {
		k->backlog = (uint32_t)backlog;
		return fail(s, 0);
	}
	if (!k->bound || k->role != ROLE_NONE)
		return fail(s, EINVAL);
	listener_params(k, &p);
	k->listener = tcp_listen(s->engine, &p);
	if (!k->listener)
		return fail(s, errno);
	k->role = ROLE_LISTENER;
	k->backlog = (uint32_t)backlog;
	return fail(s, 0);
}

int shim_accept(void *user, int fd, struct sockaddr *sa, socklen_t *len)
{
	struct shim *s = user;
	struct sock *l, *k;

	clock_enter(s);
	clock_settle(s);
	l = sock_get(s, fd);
	if (!l)
		return fail(s, EBADF);
	if (l->role != ROLE_LISTENER)
		return fail(s, EINVAL);
	while (!l->queue) {
		if (l->nonblock)
			return fail(s, EAGAIN);
		clock_wait(s, 0);
	}
	k = l->queue;
	if (take_fd(k) < 0)
		return fail(s, errno);
	l->queue = k->queue_next;
	l->queued--;
	put_addr(k, &k->tuple.raddr, k->tuple.rport, sa, len);
	sock_apply(k);
	fd = k->fd;
	clock_leave(s);
	return fd;
}

/* connect() to AF_UNSPEC: back to a new socket. */
static void disconnect(struct sock *k)
{
	if (k->conn)
		tcp_abort(k->conn);
	k->conn = NULL;
	k->role = ROLE_NONE;
	k->connecting = k->connected = k->gone = k->eof = k->shut_rd = k->shut_wr = false;
	k->so_error = 0;
	k->uncork_ns = 0;
	free(k->rest);
	k->rest = NULL;
	k->rest_len = k->rest_off = 0;
}

static int start_connect(struct shim *s, struct sock *k, const struct sockaddr *sa, socklen_t len)
{
	struct tcp_connect_params p = {0};
	int err = parse_addr(sa, len, &p.tuple.raddr, &p.tuple.rport);

	if (err)
		return err;
	p.tuple.family = tcp_addr_is4(&p.tuple.raddr) ? 4 : 6;
	p.tuple.laddr = p.tuple.family == 4 ? s->local4 : s->local6;
	if (k->bound && !addr_any(&k->laddr))
		p.tuple.laddr = k->laddr;
	p.tuple.lport = k->lport;
	p.ops = &sock_ops;
	p.user = k;
	sock_options(k, &p.opt);
	k->conn = tcp_connect(s->engine, &p);
	if (!k->conn)
		return errno;
	k->tuple = *tcp_tuple(k->conn);
	k->role = ROLE_CONNECTION;
	k->connecting = true;
	k->gone = false;
	return 0;
}

int shim_connect(void *user, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct shim *s = user;
	struct sock *k;
	int err;

	clock_enter(s);
	world_read(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	if (len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC) {
		disconnect(k);
		return fail(s, 0);
	}
	if (k->role == ROLE_LISTENER || k->connected)
		return fail(s, EISCONN);
	if (k->connecting)
		return fail(s, EALREADY);
	if (k->gone) {
		err = sock_error(k);
		disconnect(k);
		return fail(s, err ? err : ECONNABORTED);
	}
	err = start_connect(s, k, sa, len);
	if (err)
		return fail(s, err);
	if (k->nonblock)
		return fail(s, EINPROGRESS);
	while (k->connecting)
		clock_wait(s, 0);
	err = k->connected ? 0 : sock_error(k);
	if (err)
		disconnect(k);
	return fail(s, err);
}

int shim_shutdown(void *user, int fd, int how)
{
	struct shim *s = user;
	struct sock *k;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return fail(s, EINVAL);
	if (k->role != ROLE_CONNECTION || (k->gone && !k->conn))
		return fail(s, ENOTCONN);
	if (how != SHUT_WR)
		k->shut_rd = true;
	if (how != SHUT_RD && !k->shut_wr) {
		k->shut_wr = true;
		k->uncork_ns = 0;
		tcp_shutdown(k->conn);
	}
	s->events++;
	return fail(s, 0);
}

static void close_listener(struct sock *l)
{
	while (l->queue) {
		struct sock *k = l->queue;

		l->queue = k->queue_next;
		if (k->conn)
			tcp_abort(k->conn);
		sock_free(k);
	}
	tcp_unlisten(l->listener);
}

int shim_close(void *user, int fd)
{
	struct shim *s = user;
	struct sock *k;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	epoll_forget(s, fd);
	if (k->role == ROLE_LISTENER)
		close_listener(k);
	else if (k->conn && k->opt.linger_on && !k->opt.linger_s)
		tcp_abort(k->conn);
	else if (k->conn)
		tcp_close(k->conn);
	sock_free(k);
	close(fd);
	return fail(s, 0);
}
