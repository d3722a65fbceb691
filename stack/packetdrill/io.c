/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing. The order in which errors, ends and data are reported is Linux's. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <netinet/in.h>

#include "shim.h"

static ssize_t fail(struct shim *s, int err)
{
	clock_leave(s);
	errno = err;
	return -1;
}

static uint32_t available(const struct sock *k)
{
	return k->conn ? tcp_readable(k->conn) : k->rest_len - k->rest_off;
}

static uint32_t copy_out(struct sock *k, uint8_t *to, uint32_t n, int flags)
{
	uint32_t have = available(k);

	if (n > have)
		n = have;
	if (!(flags & MSG_TRUNC)) {
		if (k->conn)
			n = tcp_peek_copy(k->conn, 0, to, n);
		else
			memcpy(to, k->rest + k->rest_off, n);
	}
	if (flags & MSG_PEEK)
		return n;
	if (k->conn)
		return tcp_discard(k->conn, n);
	k->rest_off += n;
	return n;
}

/* 0: there is data; else what the call returns at once in *ret, with errno. */
static bool read_ends(struct sock *k, int flags, ssize_t *ret)
{
	int err;

	*ret = 0;
	if (available(k))
		return false;
	if (k->role != ROLE_CONNECTION) {
		errno = ENOTCONN;
		*ret = -1;
		return true;
	}
	if (k->conn && tcp_at_eof(k->conn))
		k->eof = true;
	if (k->eof && !k->so_error)
		return true;
	err = sock_error(k);
	if (err) {
		errno = err;
		*ret = -1;
		return true;
	}
	if (k->eof || k->shut_rd || k->gone)
		return true;
	if (sock_nonblock(k, flags)) {
		errno = EAGAIN;
		*ret = -1;
		return true;
	}
	return false;
}

/* The tool's scripts hand over no other bad pointers. */
static bool bad_pointer(const struct iovec *iov, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!iov[i].iov_base && iov[i].iov_len)
			return true;
	return false;
}

static ssize_t do_recv(struct sock *k, const struct iovec *iov, size_t n, int flags)
{
	size_t want = 0;
	ssize_t got = 0;

	if (flags & MSG_ERRQUEUE) {
		errno = EAGAIN;
		return -1;
	}
	if (k->role == ROLE_LISTENER) {
		errno = ENOTCONN;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		want += iov[i].iov_len;
	if (!want)
		return 0;
	for (;;) {
		ssize_t ret;

		if (read_ends(k, flags, &ret))
			return ret;
		if (available(k))
			break;
		clock_wait(k->s, 0);
	}
	if (bad_pointer(iov, n)) {
		errno = EFAULT;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		got += copy_out(k, iov[i].iov_base, (uint32_t)iov[i].iov_len, flags);
	return got;
}

static ssize_t recv_fd(struct shim *s, int fd, const struct iovec *iov, size_t n, int flags)
{
	struct sock *k;
	ssize_t ret;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	ret = do_recv(k, iov, n, flags);
	if (ret < 0)
		return fail(s, errno);
	clock_leave(s);
	return ret;
}

ssize_t shim_recv(void *user, int fd, void *buf, size_t n, int flags)
{
	struct iovec iov = {buf, n};

	return recv_fd(user, fd, &iov, 1, flags);
}

ssize_t shim_read(void *user, int fd, void *buf, size_t n)
{
	return shim_recv(user, fd, buf, n, 0);
}

ssize_t shim_readv(void *user, int fd, const struct iovec *iov, int n)
{
	return recv_fd(user, fd, iov, (size_t)n, 0);
}

ssize_t shim_recvfrom(void *user, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
		      socklen_t *len)
{
	/* A connection's peer is not told again. */
	if (sa && len)
		*len = 0;
	return shim_recv(user, fd, buf, n, flags);
}

/* TCP_INQ: what is left to read, 1 more if the peer's FIN is next. */
static void put_inq(struct sock *k, struct msghdr *msg, size_t room)
{
	struct cmsghdr *c = (void *)msg->msg_control;
	int inq = (int)available(k);

	msg->msg_controllen = 0;
	if (!k->opt.inq || !c || room < CMSG_SPACE(sizeof(inq)))
		return;
	if (!inq && k->conn && tcp_at_eof(k->conn))
		inq = 1;
	c->cmsg_level = IPPROTO_TCP;
	c->cmsg_type = LINUX_TCP_INQ;
	c->cmsg_len = CMSG_LEN(sizeof(inq));
	memcpy(CMSG_DATA(c), &inq, sizeof(inq));
	msg->msg_controllen = CMSG_SPACE(sizeof(inq));
}

ssize_t shim_recvmsg(void *user, int fd, struct msghdr *msg, int flags)
{
	struct shim *s = user;
	size_t room = msg->msg_controllen;
	struct sock *k;
	ssize_t ret;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	ret = do_recv(k, msg->msg_iov, msg->msg_iovlen, flags);
	if (ret < 0)
		return fail(s, errno);
	msg->msg_namelen = 0;
	msg->msg_flags = 0;
	put_inq(k, msg, room);
	clock_leave(s);
	return ret;
}

/* Whether, and how, a write ends before any octet is taken. */
static int write_error(struct sock *k)
{
	int err;

	if (k->role != ROLE_CONNECTION)
		return EPIPE;
	err = sock_error(k);
	if (err)
		return err;
	if (k->shut_wr || k->gone)
		return EPIPE;
	return 0;
}

/* Octets of [from, from + len) of the vector as one piece. */
static const uint8_t *piece(const struct iovec *iov, size_t n, size_t from, size_t *len)
{
	for (size_t i = 0; i < n; i++) {
		if (from < iov[i].iov_len) {
			*len = iov[i].iov_len - from;
			return (const uint8_t *)iov[i].iov_base + from;
		}
		from -= iov[i].iov_len;
	}
	*len = 0;
	return NULL;
}

/* A send buffer of a given size is there at once, while the engine's grows with cwnd: but it takes
 * a chain of any length. */
static int write_whole(struct sock *k, const uint8_t *p, uint32_t len)
{
	struct rte_mbuf *head = NULL, *m;
	uint32_t at = 0;

	while (at < len) {
		uint32_t part = len - at;

		m = rte_pktmbuf_alloc(k->s->pool);
		if (!m) {
			rte_pktmbuf_free(head);
			return -ENOBUFS;
		}
		if (part > rte_pktmbuf_tailroom(m))
			part = rte_pktmbuf_tailroom(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)part), p + at, part);
		at += part;
		if (!head)
			head = m;
		else if (rte_pktmbuf_chain(head, m)) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(head);
			return -ENOBUFS;
		}
	}
	if (tcp_write(k->conn, head)) {
		rte_pktmbuf_free(head);
		return 0;
	}
	return (int)len;
}

static ssize_t do_send(struct sock *k, const struct iovec *iov, size_t n, int flags)
{
	size_t want = 0, done = 0;

	if (flags & MSG_FASTOPEN) {
		errno = EOPNOTSUPP;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		want += iov[i].iov_len;
	if (bad_pointer(iov, n)) {
		errno = EFAULT;
		return -1;
	}
	if (flags & MSG_MORE && k->conn) {
		k->more = true;
		tcp_cork(k->conn, true);
	}
	do {
		int err = write_error(k);
		const uint8_t *p;
		size_t len;
		uint32_t room;
		int took = 0;

		if (err) {
			if (done)
				break;
			errno = err;
			return -1;
		}
		room = k->connecting ? 0 : sock_room(k);
		p = piece(iov, n, done, &len);
		if (!p)
			break;
		if (room && k->opt.sndbuf && len > room && len <= k->opt.sndbuf)
			took = write_whole(k, p, (uint32_t)len);
		else if (room)
			took = tcp_write_copy(k->conn, p, (uint32_t)(len < room ? len : room));
		if (took > 0) {
			done += (size_t)took;
			continue;
		}
		tcp_want_write(k->conn, 0);
		if (sock_nonblock(k, flags))
			break;
		clock_wait(k->s, 0);
	} while (done < want);
	if (done < want && !done) {
		errno = EAGAIN;
		return -1;
	}
	if (k->conn && flags & MSG_MORE)
		tcp_set_more(k->conn, true);
	if (k->conn && !(flags & MSG_MORE) && k->more) {
		k->more = false;
		tcp_cork(k->conn, k->opt.cork);
	}
	sock_arm_uncork(k);
	return (ssize_t)done;
}

static ssize_t send_fd(struct shim *s, int fd, const struct iovec *iov, size_t n, int flags)
{
	struct sock *k;
	ssize_t ret;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	ret = do_send(k, iov, n, flags);
	if (ret < 0)
		return fail(s, errno);
	clock_leave(s);
	return ret;
}

ssize_t shim_send(void *user, int fd, const void *buf, size_t n, int flags)
{
	struct iovec iov = {(void *)(uintptr_t)buf, n};

	return send_fd(user, fd, &iov, 1, flags);
}

ssize_t shim_write(void *user, int fd, const void *buf, size_t n)
{
	return shim_send(user, fd, buf, n, 0);
}

ssize_t shim_writev(void *user, int fd, const struct iovec *iov, int n)
{
	return send_fd(user, fd, iov, (size_t)n, 0);
}

ssize_t shim_sendto(void *user, int fd, const void *buf, size_t n, int flags,
		    const struct sockaddr *sa, socklen_t len)
{
	return shim_send(user, fd, buf, n, flags);
}

ssize_t shim_sendmsg(void *user, int fd, const struct msghdr *msg, int flags)
{
	return send_fd(user, fd, msg->msg_iov, msg->msg_iovlen, flags);
}
