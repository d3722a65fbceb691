/* SPDX-License-Identifier: Apache-2.0 */
/* Named network namespaces as `ip netns` has them: files under /run/netns. Control thread. */
#ifndef MILLRACE_EXCEPTION_NETNS_H
#define MILLRACE_EXCEPTION_NETNS_H

#include <stdbool.h>
#include <stddef.h>

#define NETNS_DIR      "/run/netns"
#define NETNS_NAME_LEN 128

/* Remembers the thread's own namespace. 0, or a negative errno. */
int netns_init(void);
void netns_fini(void);

/* True if the name can be a file's. */
bool netns_name_ok(const char *name);

/*
 * Opens the namespace, making it if it does not exist (then *made is true). Returns a descriptor,
 * or a negative errno with what was tried in `what`.
 */
int netns_open(const char *name, bool *made, char *what, size_t what_len);
/* Unmounts and unlinks it. It lives on while a process or a socket is in it. 0 or a negative errno.
 */
int netns_remove(const char *name);

/* The calling thread works in the namespace until netns_leave(). 0 or a negative errno. */
int netns_enter(int fd);
void netns_leave(void);

/* Writes /proc/sys/net/PATH in the namespace the thread is in. 0 or a negative errno. */
int netns_sysctl(const char *path, const char *value);

/* True if someone listens on, is connected by or connects by TCP in the namespace the thread is in.
 */
bool netns_has_sockets(void);

#endif
