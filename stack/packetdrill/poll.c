/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness, and the small controls. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "shim.h"

static short poll_conn(const struct sock *k)
{
	bool readable = k->conn ? tcp_readable(k->conn) > 0 : k->rest_len > k->rest_off;
	bool eof = k->eof || k->shut_rd || k->gone || (k->conn && tcp_at_eof(k->conn));
	short ev = 0;

	if (k->gone || (k->shut_wr && eof))
		ev |= POLLHUP;
	if (eof)
		ev |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (readable)
		ev |= POLLIN | POLLRDNORM;
	if (!k->connecting && (k->gone || k->shut_wr || sock_room(k)))
		ev |= POLLOUT | POLLWRNORM;
	if (k->so_error)
		ev |= POLLERR;
	return ev;
}

short sock_poll(const struct sock *k)
{
	if (k->role == ROLE_LISTENER)
		return k->queue ? POLLIN | POLLRDNORM : 0;
	if (k->role != ROLE_CONNECTION)
		return POLLOUT | POLLWRNORM | POLLHUP;
	return poll_conn(k);
}

static int poll_all(struct shim *s, struct pollfd *fds, nfds_t n)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++) {
		struct sock *k = sock_get(s, fds[i].fd);

		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		fds[i].revents = k ? sock_poll(k) & (fds[i].events | POLLERR | POLLHUP) : POLLNVAL;
		ready += fds[i].revents != 0;
		if (k && k->conn && !(fds[i].revents & POLLOUT))
			tcp_want_write(k->conn, 0);
	}
	return ready;
}

int shim_poll(void *user, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct shim *s = user;
	uint64_t deadline;
	int ready;

	clock_enter(s);
	clock_settle(s);
	deadline = timeout_ms > 0 ? s->now_ns + (uint64_t)timeout_ms * 1000000 : 0;
	for (;;) {
		ready = poll_all(s, fds, n);
		if (ready || !timeout_ms || (deadline && s->now_ns >= deadline))
			break;
		clock_wait(s, deadline);
	}
	clock_leave(s);
	return ready;
}

int shim_fcntl(void *user, int fd, int cmd, ...)
{
	struct shim *s = user;
	struct sock *k;
	int arg = 0, ret = 0;
	va_list ap;

	if (cmd == F_SETFL) {
		va_start(ap, cmd);
		arg = va_arg(ap, int);
		va_end(ap);
	}
	clock_enter(s);
	k = sock_get(s, fd);
	if (!k) {
		ret = -1;
	} else if (cmd == F_SETFL) {
		k->nonblock = arg & O_NONBLOCK;
	} else if (cmd == F_GETFL) {
		ret = O_RDWR | (k->nonblock ? O_NONBLOCK : 0);
	} else {
		errno = EINVAL;
		ret = -1;
	}
	clock_leave(s);
	return ret;
}

int shim_ioctl(void *user, int fd, unsigned long request, ...)
{
	struct shim *s = user;
	struct sock *k;
	int *out, ret = 0;
	va_list ap;

	va_start(ap, request);
	out = va_arg(ap, int *);
	va_end(ap);
	clock_enter(s);
	k = sock_get(s, fd);
	if (!k) {
		ret = -1;
	} else if (request == FIONREAD && k->role != ROLE_LISTENER) {
		*out = (int)(k->conn ? tcp_readable(k->conn) : k->rest_len - k->rest_off);
	} else if (request == TIOCOUTQ && k->role != ROLE_LISTENER) {
		*out = (int)(k->conn ? tcp_unacked(k->conn) : 0);
	} else {
		errno = EINVAL;
		ret = -1;
	}
	clock_leave(s);
	return ret;
}
