/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread's event loop: file descriptors, periodic work, and what is to be done before
 * sleeping. */
#ifndef MILLRACE_CORE_LOOP_H
#define MILLRACE_CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef void (*loop_fd_fn)(int fd, uint32_t events, void *arg);
typedef void (*loop_tick_fn)(uint64_t now_ns, void *arg);
/* Returns true if there is more to do at once. */
typedef bool (*loop_poll_fn)(void *arg);

/* Events are EPOLLIN etc. The handler may remove itself or others. Returns 0 or a negative errno.
 */
int loop_fd_add(int fd, uint32_t events, loop_fd_fn fn, void *arg);
int loop_fd_mod(int fd, uint32_t events);
void loop_fd_del(int fd);

/* Calls fn each period_ms (10 at least) until loop_tick_del. */
int loop_tick_add(unsigned int period_ms, loop_tick_fn fn, void *arg);
void loop_tick_del(loop_tick_fn fn, void *arg);

/* Calls fn each time round the loop (rings from the workers are read this way). */
int loop_poll_add(loop_poll_fn fn, void *arg);
void loop_poll_del(loop_poll_fn fn, void *arg);

/* Monotonic and wall clock, nanoseconds. */
uint64_t now_mono_ns(void);
uint64_t now_wall_ns(void);

int loop_init(void);
/* Until loop_stop(), which may be called from a signal handler. */
void loop_run(void);
/* For tests: handles what waits now, but for the ticks, without sleeping. True if there may be
 * more. */
bool loop_once(void);
/* For tests: calls the ticks that are due. */
void loop_ticks(void);
void loop_stop(void);
/* Wakes the loop from another thread if it sleeps. */
void loop_kick(void);

#endif
