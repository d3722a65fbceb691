/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets over the TCP engine for packetdrill: one engine, one clock that only moves when the tool
 * waits, so that a script runs the same way each time however loaded the machine is.
 */
#ifndef MILLRACE_PACKETDRILL_SHIM_H
#define MILLRACE_PACKETDRILL_SHIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcp/tcp.h>

#include "abi.h"
#include "linux.h"

#define SHIM_FDS 256

/* What scripts change by sysctl, ip route, tc and ethtool; see world.c. */
struct world {
	bool sack, timestamps, window_scaling;
	/* 0 no, 1 ask and agree, 2 agree. */
	int ecn;
	/* Bit 1: server; 0x200: no cookie needed; 0x400: every listener. */
	int fastopen;
	uint32_t rmem[3], wmem[3];
	uint32_t synack_retries;
	uint8_t min_burst;
	int mtu_probing;
	uint8_t fastopen_key[16];
	bool fastopen_key_set;
	/* Octets of IP packet on the way to the peer; announced MSS, 0: what fits. */
	uint32_t mtu, advmss;
	/* Large segments may be handed out. */
	bool tso;
	/* The interface's scheduler paces. */
	bool pacing;
	/* The interface drops everything. */
	bool blocked;
};

enum sock_kind { SOCK_FREE, SOCK_TCP, SOCK_EPOLL };
enum sock_role { ROLE_NONE, ROLE_LISTENER, ROLE_CONNECTION };

struct sockopts {
	bool nodelay, cork, keepalive, reuseaddr, linger_on;
	int linger_s;
	uint32_t mss, keep_idle_s, keep_intvl_s, keep_cnt;
	uint32_t user_timeout_ms, fin_wait2_ms;
	/* 0: the default. */
	uint32_t sndbuf, rcvbuf;
	int fastopen;
	bool inq;
	uint8_t fastopen_key[16];
	bool fastopen_key_set;
	uint8_t tos;
	char cc[16];
};

struct epoll_item {
	int fd;
	struct epoll_event ev;
	/* What was reported and, of edge-triggered ones, since which event of the socket. */
	uint64_t seen_in, seen_out;
	bool disabled;
	struct epoll_item *next;
};

struct shim;

struct sock {
	struct shim *s;
	enum sock_kind kind;
	enum sock_role role;
	int fd;
	int family;
	bool nonblock;
	struct sockopts opt;
	struct tcp_addr laddr;
	/* Network byte order. */
	uint16_t lport;
	bool bound;

	struct tcp_conn *conn;
	struct tcp_listener *listener;
	/* Connections to be accepted, the oldest first. */
	struct sock *queue, *queue_next;
	uint32_t queued, backlog;

	bool connecting, connected;
	/* Data came with the SYN. */
	bool syn_data;
	bool shut_rd, shut_wr, eof;
	/* To be reported once, and what ended the connection. */
	int so_error;
	bool gone;
	struct tcp_tuple tuple;
	/* Read out of a connection that ended. */
	uint8_t *rest;
	uint32_t rest_len, rest_off;
	struct tcp_info last_info;
	/* Corked only for MSG_MORE; when to let it go, 0: never. */
	bool more;
	uint64_t uncork_ns;
	/* For edge-triggered polling: counts of events that made it readable and writable. */
	uint64_t in_events, out_events;
	struct epoll_item *items;
};

/* A packet the engine sent. */
struct sent {
	struct sent *next;
	uint64_t at_ns;
	uint32_t len;
	uint8_t data[];
};

struct shim {
	pthread_mutex_t lock;
	/* Something happened, or a sleeper has left. */
	pthread_cond_t cond;
	uint64_t now_ns;
	/* Threads that wait in a blocking call. */
	unsigned int waiting;
	/* Something happened that the blocked call has not looked at. */
	bool owed;
	/* A blocked call has returned: its thread needs the processor before the next step. */
	bool returned;
	/* Counts calls, and events of sockets. */
	uint64_t calls, events;
	uint64_t sleeper_deadline_ns;

	struct rte_mempool *pool;
	struct tcp_engine *engine;
	struct world world;
	off_t world_size;
	uint64_t told;
	struct tcp_addr local4, local6;
	uint32_t flag_mtu;
	uint64_t rng;
	struct sent *head, **tail;
	struct sock *socks[SHIM_FDS];
};

static inline uint64_t shim_us(const struct shim *s)
{
	return s->now_ns / 1000;
}

/* clock.c; all but the ABI's two and clock_enter() with the lock held */
/* Begins and ends a call. */
void clock_enter(struct shim *s);
void clock_leave(struct shim *s);
/* Moves time on, stopping at each deadline on the way. */
void clock_advance(struct shim *s, uint64_t to_ns);
/* To the next deadline, and what is due then happens; false: there is none up to the limit. */
bool clock_step(struct shim *s, uint64_t limit_ns);
/* What was done to the engine reaches sockets and network. */
void clock_settle(struct shim *s);
/* Waits in a blocking call until something happened or the deadline (0: none) passed. */
void clock_wait(struct shim *s, uint64_t deadline_ns);
int shim_usleep(void *user, useconds_t usecs);
int shim_gettimeofday(void *user, struct timeval *tv, struct timezone *tz);

/* world.c */
/* The sysctls; what commands noted, if that is new. */
void world_read(struct shim *s);
void world_check(struct shim *s);
/* Counters that scripts ask nstat for. */
void world_tell(struct shim *s);

/* net.c */
void net_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n);
void net_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out);
int shim_netdev_send(void *user, const void *buf, size_t n);
int shim_netdev_receive(void *user, void *buf, size_t *n, long long *usecs);
void net_free(struct shim *s);

/* socket.c */
struct sock *sock_get(struct shim *s, int fd);
/* With a file descriptor of its own, if it is to have one already; NULL with errno. */
struct sock *sock_new(struct shim *s, enum sock_kind kind, int family, bool with_fd);
void sock_free(struct sock *k);
/* Takes an error that is to be reported; 0: none. */
int sock_error(struct sock *k);
bool sock_nonblock(const struct sock *k, int flags);
int shim_socket(void *user, int domain, int type, int protocol);
int shim_bind(void *user, int fd, const struct sockaddr *sa, socklen_t len);
int shim_listen(void *user, int fd, int backlog);
int shim_accept(void *user, int fd, struct sockaddr *sa, socklen_t *len);
int shim_connect(void *user, int fd, const struct sockaddr *sa, socklen_t len);
int shim_shutdown(void *user, int fd, int how);
int shim_close(void *user, int fd);

/* events.c */
extern const struct tcp_ops sock_ops;

/* io.c */
ssize_t shim_read(void *user, int fd, void *buf, size_t n);
ssize_t shim_readv(void *user, int fd, const struct iovec *iov, int n);
ssize_t shim_recv(void *user, int fd, void *buf, size_t n, int flags);
ssize_t shim_recvfrom(void *user, int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
		      socklen_t *len);
ssize_t shim_recvmsg(void *user, int fd, struct msghdr *msg, int flags);
ssize_t shim_write(void *user, int fd, const void *buf, size_t n);
ssize_t shim_writev(void *user, int fd, const struct iovec *iov, int n);
ssize_t shim_send(void *user, int fd, const void *buf, size_t n, int flags);
ssize_t shim_sendto(void *user, int fd, const void *buf, size_t n, int flags,
		    const struct sockaddr *sa, socklen_t len);
ssize_t shim_sendmsg(void *user, int fd, const struct msghdr *msg, int flags);

/* What listens takes its socket's options again. */
void sock_relisten(struct sock *k);

/* sockopt.c */
int shim_getsockopt(void *user, int fd, int level, int name, void *val, socklen_t *len);
int shim_setsockopt(void *user, int fd, int level, int name, const void *val, socklen_t len);
/* The engine's options for a socket's next listener or connection. */
void sock_options(const struct sock *k, struct tcp_options *o);
/* Brings them to an existing connection. */
void sock_apply(struct sock *k);
/* Sends what a cork holds back, and corks again if that lasts. */
void sock_uncork(struct sock *k);
/* MSG_MORE holds octets back until the next acknowledgement at most. */
void sock_release_more(struct sock *k);
/* A cork that holds octets back is let go in due time. */
void sock_arm_uncork(struct sock *k);
/* Octets that may be written now. */
uint32_t sock_room(const struct sock *k);

/* info.c */
int sock_tcp_info(const struct sock *k, void *val, socklen_t *len);

/* poll.c */
short sock_poll(const struct sock *k);
int shim_poll(void *user, struct pollfd *fds, nfds_t n, int timeout_ms);
int shim_fcntl(void *user, int fd, int cmd, ...);
int shim_ioctl(void *user, int fd, unsigned long request, ...);

/* epoll.c */
int shim_epoll_create(void *user, int size);
int shim_epoll_ctl(void *user, int epfd, int op, int fd, struct epoll_event *ev);
int shim_epoll_wait(void *user, int epfd, struct epoll_event *evs, int n, int timeout_ms);
void epoll_forget(struct shim *s, int fd);

#endif
