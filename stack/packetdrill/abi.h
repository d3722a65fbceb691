/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the packetdrill test tool asks of a shared object given by --so_filename: it looks up
 * packetdrill_interface_init(), hands it a table and calls what that filled in instead of the
 * system. Only order and types of the members are binary interface; see packetdrill.h there.
 */
#ifndef MILLRACE_PACKETDRILL_ABI_H
#define MILLRACE_PACKETDRILL_ABI_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
	/* First argument of every call. */
	void *user;
	void (*free)(void *user);

	/* As the system calls of that name. */
	int (*socket)(void *user, int domain, int type, int protocol);
	int (*bind)(void *user, int fd, const struct sockaddr *sa, socklen_t len);
	int (*listen)(void *user, int fd, int backlog);
	int (*accept)(void *user, int fd, struct sockaddr *sa, socklen_t *len);
	int (*connect)(void *user, int fd, const struct sockaddr *sa, socklen_t len);
	ssize_t (*read)(void *user, int fd, void *buf, size_t n);
	ssize_t (*readv)(void *user, int fd, const struct iovec *iov, int n);
	ssize_t (*recv)(void *user, int fd, void *buf, size_t n, int flags);
	ssize_t (*recvfrom)(void *user, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
			    socklen_t *len);
	ssize_t (*recvmsg)(void *user, int fd, struct msghdr *msg, int flags);
	ssize_t (*write)(void *user, int fd, const void *buf, size_t n);
	ssize_t (*writev)(void *user, int fd, const struct iovec *iov, int n);
	ssize_t (*send)(void *user, int fd, const void *buf, size_t n, int flags);
	ssize_t (*sendto)(void *user, int fd, const void *buf, size_t n, int flags,
			  const struct sockaddr *sa, socklen_t len);
	ssize_t (*sendmsg)(void *user, int fd, const struct msghdr *msg, int flags);
	int (*fcntl)(void *user, int fd, int cmd, ...);
	int (*ioctl)(void *user, int fd, unsigned long request, ...);
	int (*close)(void *user, int fd);
	int (*shutdown)(void *user, int fd, int how);
	int (*getsockopt)(void *user, int fd, int level, int name, void *val, socklen_t *len);
	int (*setsockopt)(void *user, int fd, int level, int name, const void *val, socklen_t len);
	int (*poll)(void *user, struct pollfd *fds, nfds_t n, int timeout_ms);

	/* An IP packet for the stack. 0, or -1. */
	int (*netdev_send)(void *user, const void *buf, size_t n);
	/* The stack's next IP packet and when it was sent, in microseconds; *n is the room in buf
	 * and then the packet's length, 0 if there is none. 0, or -1 to be called again. */
	int (*netdev_receive)(void *user, void *buf, size_t *n, long long *usecs);
	int (*usleep)(void *user, useconds_t usecs);
	int (*gettimeofday)(void *user, struct timeval *tv, struct timezone *tz);

	int (*epoll_create)(void *user, int size);
	int (*epoll_ctl)(void *user, int epfd, int op, int fd, struct epoll_event *ev);
	int (*epoll_wait)(void *user, int epfd, struct epoll_event *evs, int n, int timeout_ms);
	int (*pipe)(void *user, int fds[2]);
	int (*splice)(void *user, int in, loff_t *off_in, int out, loff_t *off_out, size_t n,
		      unsigned int flags);
};

/* The symbol that is looked up; flags is the argument of --so_flags, or NULL. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc);

#endif
