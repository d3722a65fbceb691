// SPDX-License-Identifier: Apache-2.0
/* Named network namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/magic.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "../core/log.h"
#include "netns.h"

static int own_fd = -1;

int netns_init(void)
{
	if (own_fd < 0)
		own_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return own_fd < 0 ? -errno : 0;
}

void netns_fini(void)
{
	if (own_fd >= 0)
		close(own_fd);
	own_fd = -1;
}

bool netns_name_ok(const char *name)
{
	return name[0] != '\0' && strlen(name) < NETNS_NAME_LEN && strchr(name, '/') == NULL &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_netns(int fd)
{
	struct statfs sfs;

	return fstatfs(fd, &sfs) == 0 && sfs.f_type == NSFS_MAGIC;
}

/* The directory is a shared mount of its own, so that namespaces made later are seen in other mount
 * namespaces too, and can be removed while those hold a copy. */
static int prepare_dir(void)
{
	if (mkdir(NETNS_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* Not yet a mount point. */
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0 ||
	    mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
		return -errno;
	return 0;
}

struct maker {
	const char *path;
	int err;
};

/* In a thread of its own: the mount keeps the namespace when the thread ends. */
static void *make_thread(void *arg)
{
	struct maker *mk = arg;

	if (unshare(CLONE_NEWNET) < 0 ||
	    mount("/proc/thread-self/ns/net", mk->path, "none", MS_BIND, NULL) < 0)
		mk->err = -errno;
	return NULL;
}

static int make(const char *path)
{
	struct maker mk = {.path = path};
	pthread_t thread;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	close(fd);
	rc = -pthread_create(&thread, NULL, make_thread, &mk);
	if (rc == 0) {
		pthread_join(thread, NULL);
		rc = mk.err;
	}
	if (rc < 0)
		unlink(path);
	return rc;
}

static void path_of(const char *name, char *path, size_t len)
{
	snprintf(path, len, NETNS_DIR "/%s", name);
}

int netns_open(const char *name, bool *made, char *what, size_t what_len)
{
	char path[sizeof(NETNS_DIR) + NETNS_NAME_LEN];
	int fd, rc;

	*made = false;
	path_of(name, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && is_netns(fd))
		return fd;
	if (fd >= 0) {
		/* Left by someone who was killed between making the file and mounting on it, or not
		 * for us to touch. */
		struct stat st;
		bool leftover = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;

		close(fd);
		if (!leftover) {
			snprintf(what, what_len, "%s is not a network namespace", path);
			return -EINVAL;
		}
	} else if (errno != ENOENT && errno != EACCES) {
		rc = -errno;
		snprintf(what, what_len, "open %s: %s", path, strerror(-rc));
		return rc;
	}
	rc = prepare_dir();
	if (rc < 0) {
		snprintf(what, what_len, "making %s a shared mount: %s", NETNS_DIR, strerror(-rc));
		return rc;
	}
	rc = make(path);
	if (rc < 0) {
		snprintf(what, what_len, "making network namespace %s: %s", path, strerror(-rc));
		return rc;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		snprintf(what, what_len, "open %s: %s", path, strerror(-rc));
		return rc;
	}
	*made = true;
	return fd;
}

int netns_remove(const char *name)
{
	char path[sizeof(NETNS_DIR) + NETNS_NAME_LEN];

	path_of(name, path, sizeof(path));
	umount2(path, MNT_DETACH);
	return unlink(path) < 0 ? -errno : 0;
}

int netns_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

void netns_leave(void)
{
	if (setns(own_fd, CLONE_NEWNET) == 0)
		return;
	/* Whatever is opened from here on would be in the wrong network. */
	LOG_ERR("cannot return to the own network namespace: %s", strerror(errno));
	abort();
}

int netns_sysctl(const char *path, const char *value)
{
	char full[256];
	ssize_t n;
	int fd, rc = 0;

	if (snprintf(full, sizeof(full), "/proc/sys/net/%s", path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, value, strlen(value));
	if (n < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int count_cb(const struct nlmsghdr *h, void *arg)
{
	if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		(*(unsigned int *)arg)++;
	return MNL_CB_OK;
}

static unsigned int count_tcp(struct mnl_socket *s, uint8_t family)
{
	char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct inet_diag_req_v2 *req;
	struct nlmsghdr *h;
	unsigned int n = 0;
	ssize_t len;

	memset(buf, 0, sizeof(*h) + sizeof(*req));
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req = mnl_nlmsg_put_extra_header(h, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = 1u << TCP_LISTEN | 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT;
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		return 0;
	do {
		len = mnl_socket_recvfrom(s, buf, sizeof(buf));
	} while (len > 0 && mnl_cb_run(buf, (size_t)len, 0, 0, count_cb, &n) > MNL_CB_STOP);
	return n;
}

bool netns_has_sockets(void)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	unsigned int n = 0;

	if (s == NULL)
		return false;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0)
		n = count_tcp(s, AF_INET) + count_tcp(s, AF_INET6);
	mnl_socket_close(s);
	return n > 0;
}
