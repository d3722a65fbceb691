/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a supervisor in the manner of systemd (sd_notify(3)) how we are. Without one, nothing. */
#ifndef MILLRACE_CORE_SDNOTIFY_H
#define MILLRACE_CORE_SDNOTIFY_H

#include <stdint.h>

struct sdnotify {
	/* Connected to the supervisor's socket; -1: there is none. */
	int fd;
	/* Microseconds within which it wants WATCHDOG=1; 0: it does not. */
	uint64_t watchdog_us;
};

/*
 * socket, watchdog_us and watchdog_pid are the values of NOTIFY_SOCKET (a path, or an abstract name
 * with '@' before it), WATCHDOG_USEC and WATCHDOG_PID; any may be NULL. Returns 0, or a negative
 * errno if there is a supervisor that cannot be talked to: *n is then as without one.
 */
int sdnotify_open(struct sdnotify *n, const char *socket, const char *watchdog_us,
		  const char *watchdog_pid);
/* Sends assignments, such as "READY=1", each on a line of its own. Returns 0 or a negative errno.
 */
int sdnotify_send(const struct sdnotify *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void sdnotify_close(struct sdnotify *n);

#endif
