/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux-bench: the loads of stack-bench by way of the kernel's sockets, one thread a side with
 * epoll: the peer to compare with, and the client of our own server over a veth.
 *
 *   linux-bench server echo|discard [--address A] [--port P] [--cpu N]
 *   linux-bench client cps|rps|latency|bulk --address A [--port P] [--cpu N] [--conns N] [--seconds
 * S] [--warmup S]
 *                      [--from A --sources N]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 64
#define EVENTS	256
#define CHUNK	65536
#define FDS	(1 << 20)

enum load { CPS, RPS, LATENCY, BULK };
static const char *const loads[] = {"cps", "rps", "latency", "bulk"};

static struct {
	enum load load;
	bool discard;
	struct in_addr address, from;
	uint32_t sources;
	uint16_t port;
	int cpu;
	uint32_t conns;
	double seconds, warmup;
} opt = {.port = 7, .cpu = -1, .conns = 1, .seconds = 2, .warmup = 0.5, .sources = 1};

static struct {
	uint64_t done, octets, failed;
	uint32_t open, next_source;
	uint64_t *rtts, sent_ns;
	uint32_t n_rtts, size;
} st;

static char chunk[CHUNK];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0)
		die("epoll_ctl");
}

static int new_socket(void)
{
	const int one = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* ---- Server ---- */

static void serve_one(int fd)
{
	for (;;) {
		/* Data that nobody looks at need not be copied either. */
		const ssize_t n = opt.discard ? recv(fd, chunk, 1 << 30, MSG_TRUNC)
					      : recv(fd, chunk, sizeof(chunk), 0);

		if (n <= 0) {
			if (n == 0 || (errno != EAGAIN && errno != EINTR))
				close(fd);
			return;
		}
		if (!opt.discard && send(fd, chunk, n, MSG_NOSIGNAL) != n) {
			close(fd);
			return;
		}
		if (!opt.discard && n < (ssize_t)sizeof(chunk))
			return;
	}
}

static void server(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(opt.port), .sin_addr = opt.address};
	struct epoll_event ev[EVENTS];
	const int l = new_socket(), ep = epoll_create1(0), one = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(l, 65535) != 0)
		die("listen");
	add(ep, l, EPOLLIN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		const int n = epoll_wait(ep, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd;

			if (ev[i].data.fd != l) {
				serve_one(ev[i].data.fd);
				continue;
			}
			while ((fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				add(ep, fd, EPOLLIN);
			}
		}
	}
}

/* ---- Client ---- */

static bool dial(int ep)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(opt.port), .sin_addr = opt.address};
	const int fd = new_socket(), one = 1;

	if (opt.from.s_addr != 0) {
		struct sockaddr_in from = {.sin_family = AF_INET};

		from.sin_addr.s_addr =
			htonl(ntohl(opt.from.s_addr) + st.next_source++ % opt.sources);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
			die("bind");
	}
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) {
		st.failed++;
		close(fd);
		return false;
	}
	st.open++;
	add(ep, fd, EPOLLOUT);
	return true;
}

static void want(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

static void hang_up(int fd, bool failed)
{
	st.failed += failed;
	st.open--;
	close(fd);
}

static void send_message(int fd)
{
	st.sent_ns = opt.load == LATENCY ? now_ns() : 0;
	if (send(fd, chunk, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		hang_up(fd, true);
}

static void push(int fd)
{
	for (int i = 0; i < 16; i++) {
		const ssize_t n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN)
				hang_up(fd, true);
			return;
		}
		st.octets += n;
		if (n < (ssize_t)sizeof(chunk))
			return;
	}
}

static void answered(int fd)
{
	const ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < MESSAGE) {
		hang_up(fd, true);
		return;
	}
	st.done++;
	if (opt.load == CPS) {
		hang_up(fd, false);
		return;
	}
	if (opt.load == LATENCY && st.n_rtts < st.size)
		st.rtts[st.n_rtts++] = now_ns() - st.sent_ns;
	send_message(fd);
}

static void turn(int ep)
{
	struct epoll_event ev[EVENTS];
	int n;

	for (int i = 0; i < 256 && st.open < opt.conns; i++)
		if (!dial(ep))
			break;
	n = epoll_wait(ep, ev, EVENTS, 100);
	for (int i = 0; i < n; i++) {
		const int fd = ev[i].data.fd;

		if (ev[i].events & (EPOLLERR | EPOLLHUP))
			hang_up(fd, true);
		else if (opt.load == BULK)
			push(fd);
		else if (ev[i].events & EPOLLOUT) {
			want(ep, fd, EPOLLIN);
			send_message(fd);
		} else {
			answered(fd);
		}
	}
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void client(void)
{
	const int ep = epoll_create1(0);
	uint64_t end, t0, done, octets;
	double s, cpu;

	st.size = 1 << 22;
	st.rtts = calloc(st.size, sizeof(*st.rtts));
	if (st.rtts == NULL)
		die("calloc");
	end = now_ns() + (uint64_t)(opt.warmup * 1e9);
	while (now_ns() < end)
		turn(ep);
	t0 = now_ns();
	done = st.done;
	octets = st.octets;
	st.n_rtts = 0;
	cpu = cpu_seconds();
	end = t0 + (uint64_t)(opt.seconds * 1e9);
	while (now_ns() < end)
		turn(ep);
	s = (now_ns() - t0) / 1e9;
	cpu = cpu_seconds() - cpu;
	qsort(st.rtts, st.n_rtts, sizeof(*st.rtts), by_value);
	printf("{\"load\":\"%s\",\"connections\":%u,\"seconds\":%.3f,\"rate\":%.0f,\"gbit\":%.3f,"
	       "\"p50_us\":%.3f,"
	       "\"p99_us\":%.3f,\"open\":%u,\"failed\":%lu,\"cpu\":%.3f}\n",
	       loads[opt.load], opt.conns, s, (st.done - done) / s,
	       (st.octets - octets) * 8 / s / 1e9,
	       st.n_rtts != 0 ? st.rtts[st.n_rtts / 2] / 1e3 : 0,
	       st.n_rtts != 0 ? st.rtts[st.n_rtts / 100 * 99] / 1e3 : 0, st.open, st.failed,
	       cpu / s);
}

static void usage(void)
{
	fputs("usage: linux-bench server echo|discard [--address A] [--port P] [--cpu N]\n"
	      "       linux-bench client cps|rps|latency|bulk --address A [--port P] [--cpu N] "
	      "[--conns N]\n"
	      "                          [--seconds S] [--warmup S] [--from A --sources N]\n",
	      stderr);
	exit(2);
}

static void address(struct in_addr *a, const char *s)
{
	if (inet_pton(AF_INET, s, a) != 1)
		usage();
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"address", required_argument, NULL, 'a'},
		{"port", required_argument, NULL, 'p'},
		{"cpu", required_argument, NULL, 'u'},
		{"conns", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"warmup", required_argument, NULL, 'w'},
		{"from", required_argument, NULL, 'f'},
		{"sources", required_argument, NULL, 'n'},
		{NULL, 0, NULL, 0},
	};
	struct rlimit files = {FDS, FDS};
	cpu_set_t set;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'a':
			address(&opt.address, optarg);
			break;
		case 'f':
			address(&opt.from, optarg);
			break;
		case 'n':
			opt.sources = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			opt.port = strtoul(optarg, NULL, 10);
			break;
		case 'u':
			opt.cpu = atoi(optarg);
			break;
		case 'c':
			opt.conns = strtoul(optarg, NULL, 10);
			break;
		case 's':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			opt.warmup = strtod(optarg, NULL);
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 2 || opt.sources == 0 || opt.conns == 0)
		usage();
	setrlimit(RLIMIT_NOFILE, &files);
	if (opt.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(opt.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0)
			die("sched_setaffinity");
	}
	if (strcmp(argv[optind], "server") == 0) {
		opt.discard = strcmp(argv[optind + 1], "discard") == 0;
		server();
	}
	if (strcmp(argv[optind], "client") != 0)
		usage();
	for (c = 0; c < 4; c++)
		if (strcmp(argv[optind + 1], loads[c]) == 0)
			break;
	if (c == 4)
		usage();
	opt.load = (enum load)c;
	client();
	return 0;
}
