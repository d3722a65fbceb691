/* SPDX-License-Identifier: Apache-2.0 */
#include "sdnotify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Decimal, not 0; 0 if it is anything else. */
static uint64_t number(const char *s)
{
	unsigned long long v;
	char *end;

	if (s == NULL || *s < '0' || *s > '9')
		return 0;
	errno = 0;
	v = strtoull(s, &end, 10);
	return errno == 0 && *end == '\0' ? v : 0;
}

static int connect_to(const char *name)
{
	/* A supervisor that does not read must not stop the control thread for long. */
	const struct timeval patience = {.tv_sec = 1};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd, rc;

	if ((*name != '/' && *name != '@') || len < 2)
		return -EINVAL;
	if (len > sizeof(addr.sun_path) - (*name == '/'))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, name, len);
	if (*name == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* An abstract name ends with its length, a path with a NUL. */
	len += offsetof(struct sockaddr_un, sun_path) + (*name == '/');
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, (socklen_t)len) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int sdnotify_open(struct sdnotify *n, const char *socket, const char *watchdog_us,
		  const char *watchdog_pid)
{
	int fd;

	*n = (struct sdnotify){.fd = -1};
	if (socket == NULL || *socket == '\0')
		return 0;
	fd = connect_to(socket);
	if (fd < 0)
		return fd;
	n->fd = fd;
	/* It may be meant for another process, which gave us its environment. */
	if (watchdog_pid == NULL || number(watchdog_pid) == (uint64_t)getpid())
		n->watchdog_us = number(watchdog_us);
	return 0;
}

int sdnotify_send(const struct sdnotify *n, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int len;

	if (n->fd < 0)
		return 0;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	return send(n->fd, text, (size_t)len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void sdnotify_close(struct sdnotify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	*n = (struct sdnotify){.fd = -1};
}
