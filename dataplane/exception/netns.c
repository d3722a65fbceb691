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

static bool path_is_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool yes = fd >= 0 && is_netns(fd);

	if (fd >= 0)
		close(fd);
	return yes;
}

/* Puts the namespace of the calling thread at the path, in the mount namespace the thread is in. */
static int mount_here(const char *path)
{
	char own[64];
	int fd, rc;

	rc = prepare_dir();
	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	close(fd);
	/* By numbers: thread-self is nobody in the /proc of another mount namespace, should that be
	 * another pid's. */
	snprintf(own, sizeof(own), "/proc/%d/task/%d/ns/net", (int)getpid(), (int)gettid());
	return mount(own, path, "none", MS_BIND, NULL) < 0 ? -errno : 0;
}

/* True if the mount that NETNS_DIR is on gets what others mount, but does not give. */
static bool dir_is_slave(void)
{
	FILE *f = fopen("/proc/thread-self/mountinfo", "re");
	char line[1024], point[256];
	size_t best = 0;
	bool slave = false;

	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		size_t len;

		if (sscanf(line, "%*d %*d %*s %*s %255s", point) != 1)
			continue;
		len = strlen(point);
		if (strcmp(point, "/") != 0 && (strncmp(NETNS_DIR, point, len) != 0 ||
						(NETNS_DIR[len] != '/' && NETNS_DIR[len] != '\0')))
			continue;
		/* Later lines of the same place lie on top. */
		if (len >= best) {
			best = len;
			slave = strstr(line, " master:") != NULL;
		}
	}
	fclose(f);
	return slave;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], buf[512], *p;
	pid_t parent = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = '\0';
	/* The name before it can contain anything. */
	p = strrchr(buf, ')');
	return p != NULL && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* The mount namespace of the nearest ancestor that has another than we. -1 if there is none, or
 * none we may look into. */
static int open_outer_mounts(int own)
{
	struct stat a, b;
	char path[64];
	pid_t pid;
	int fd;

	if (fstat(own, &a) < 0)
		return -1;
	for (pid = getppid(); pid > 0; pid = parent_of(pid)) {
		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -1;
		if (fstat(fd, &b) == 0 && a.st_ino != b.st_ino)
			return fd;
		close(fd);
	}
	return -1;
}

/*
 * A process started by `ip netns exec`, or by systemd with mounts of its own, sees the mounts of
 * the rest, but the rest does not see its: nobody else would find the namespace. So it is mounted
 * where the process was started from, and comes from there to us.
 */
static void mount_outside(const char *path)
{
	int own, outer;

	if (!dir_is_slave())
		return;
	own = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return;
	outer = open_outer_mounts(own);
	/* The thread ends soon, so its working directory can be what the other namespace makes it.
	 */
	if (outer >= 0 && unshare(CLONE_FS) == 0 && setns(outer, CLONE_NEWNS) == 0) {
		if (!path_is_netns(path))
			mount_here(path);
		if (setns(own, CLONE_NEWNS) < 0)
			LOG_WARN("returning to the own mount namespace: %s", strerror(errno));
	}
	if (outer >= 0)
		close(outer);
	close(own);
}

/* In a thread of its own: the mount keeps the namespace when the thread ends. */
static void *make_thread(void *arg)
{
	struct maker *mk = arg;

	if (unshare(CLONE_NEWNET) < 0) {
		mk->err = -errno;
		return NULL;
	}
	mount_outside(mk->path);
	if (!path_is_netns(mk->path))
		mk->err = mount_here(mk->path);
	return NULL;
}

static int make(const char *path)
{
	struct maker mk = {.path = path};
	pthread_t thread;
	int rc;

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
