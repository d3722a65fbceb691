/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FD_EVENTS 64
#define TICKS_MAX 64
#define POLLS_MAX 32

struct fd_entry {
	loop_fd_fn fn;
	void *arg;
};

struct tick {
	loop_tick_fn fn;
	void *arg;
	uint64_t period_ns;
	uint64_t next_ns;
};

struct poll {
	loop_poll_fn fn;
	void *arg;
};

static int epfd = -1;
static int kick_fd = -1;
static struct fd_entry *fds;
static int n_fds;
static struct tick ticks[TICKS_MAX];
static unsigned int n_ticks;
static struct poll polls[POLLS_MAX];
static unsigned int n_polls;
static volatile bool stopping;
static uint32_t asleep;

uint64_t now_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t now_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int loop_fd_add(int fd, uint32_t events, loop_fd_fn fn, void *arg)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (fd >= n_fds) {
		int n = fd + 64;
		struct fd_entry *p = realloc(fds, (size_t)n * sizeof(*p));

		if (p == NULL)
			return -ENOMEM;
		for (int i = n_fds; i < n; i++)
			p[i] = (struct fd_entry){0};
		fds = p;
		n_fds = n;
	}
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	fds[fd] = (struct fd_entry){.fn = fn, .arg = arg};
	return 0;
}

int loop_fd_mod(int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev) < 0 ? -errno : 0;
}

void loop_fd_del(int fd)
{
	if (fd < 0 || fd >= n_fds)
		return;
	epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
	fds[fd] = (struct fd_entry){0};
}

int loop_tick_add(unsigned int period_ms, loop_tick_fn fn, void *arg)
{
	if (n_ticks == TICKS_MAX)
		return -ENOSPC;
	ticks[n_ticks++] = (struct tick){
		.fn = fn,
		.arg = arg,
		.period_ns = (uint64_t)(period_ms < 10 ? 10 : period_ms) * 1000000u,
		.next_ns = now_mono_ns() + (uint64_t)period_ms * 1000000u,
	};
	return 0;
}

void loop_tick_del(loop_tick_fn fn, void *arg)
{
	for (unsigned int i = 0; i < n_ticks; i++) {
		if (ticks[i].fn == fn && ticks[i].arg == arg) {
			ticks[i] = ticks[--n_ticks];
			return;
		}
	}
}

int loop_poll_add(loop_poll_fn fn, void *arg)
{
	if (n_polls == POLLS_MAX)
		return -ENOSPC;
	polls[n_polls++] = (struct poll){.fn = fn, .arg = arg};
	return 0;
}

void loop_poll_del(loop_poll_fn fn, void *arg)
{
	for (unsigned int i = 0; i < n_polls; i++) {
		if (polls[i].fn == fn && polls[i].arg == arg) {
			polls[i] = polls[--n_polls];
			return;
		}
	}
}

void loop_kick(void)
{
	const uint64_t one = 1;

	/* The other side of the store and fence before epoll_wait in loop_run(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&asleep, __ATOMIC_RELAXED) && write(kick_fd, &one, sizeof(one)) < 0)
		return;
}

static void kicked(int fd, uint32_t events, void *arg)
{
	uint64_t n;

	(void)events;
	(void)arg;
	while (read(fd, &n, sizeof(n)) > 0)
		;
}

int loop_init(void)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		return -errno;
	kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (kick_fd < 0)
		return -errno;
	return loop_fd_add(kick_fd, EPOLLIN, kicked, NULL);
}

static int run_ticks(void)
{
	uint64_t now = now_mono_ns(), next = now + 1000000000u;

	for (unsigned int i = 0; i < n_ticks; i++) {
		if (ticks[i].next_ns <= now) {
			struct tick t = ticks[i];

			ticks[i].next_ns = now + t.period_ns;
			t.fn(now, t.arg);
		}
		if (i < n_ticks && ticks[i].next_ns < next)
			next = ticks[i].next_ns;
	}
	/* Rounded up, or the loop would spin through the last millisecond. */
	return (int)((next - now + 999999u) / 1000000u);
}

static bool run_polls(void)
{
	bool more = false;

	for (unsigned int i = 0; i < n_polls; i++)
		more |= polls[i].fn(polls[i].arg);
	return more;
}

static int run_events(int timeout)
{
	struct epoll_event ev[FD_EVENTS];
	int n = epoll_wait(epfd, ev, FD_EVENTS, timeout);

	__atomic_store_n(&asleep, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < n; i++) {
		int fd = ev[i].data.fd;

		if (fd < n_fds && fds[fd].fn != NULL)
			fds[fd].fn(fd, ev[i].events, fds[fd].arg);
	}
	return n;
}

void loop_ticks(void)
{
	run_ticks();
}

bool loop_once(void)
{
	bool more = run_polls();

	return run_events(0) > 0 || more;
}

void loop_run(void)
{
	while (!stopping) {
		int timeout = run_ticks();
		bool more = run_polls();

		if (!more) {
			/* A worker that enqueues after this sees asleep; one before it is seen by
			 * the second look. */
			__atomic_store_n(&asleep, 1, __ATOMIC_RELAXED);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			more = run_polls();
		}
		run_events(more || stopping ? 0 : timeout);
	}
}

void loop_stop(void)
{
	const uint64_t one = 1;

	stopping = true;
	if (kick_fd >= 0 && write(kick_fd, &one, sizeof(one)) < 0)
		return;
}
