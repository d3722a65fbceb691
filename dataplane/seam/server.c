/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "seam.h"
#include "seam/version.h"
#include "valid.h"

#define READ_CHUNK    (256u << 10)
#define BUF_KEEP      (64u << 10)
#define CLOSE_WAIT_NS 5000000000u

const char dp_version[] = MILLRACE_VERSION;
uint64_t dp_boot_id;
uint64_t seam_started_ns;

static TAILQ_HEAD(, seam_client) clients = TAILQ_HEAD_INITIALIZER(clients);
static unsigned int n_clients;
static int listen_fd = -1;
static bool accepting;
/* Within seam_turn(), which sends at its end. */
static bool in_turn;
static struct sockaddr_un listen_addr;
static struct stat listen_stat;

static void client_event(int fd, uint32_t events, void *arg);

/* ---- output ---------------------------------------------------------------------------------- */

static bool outq_room(struct outq *q, size_t need)
{
	size_t cap;
	uint8_t *p;

	if (q->cap - q->end >= need)
		return true;
	if (q->start > 0) {
		memmove(q->buf, q->buf + q->start, q->end - q->start);
		q->end -= q->start;
		q->start = 0;
		if (q->cap - q->end >= need)
			return true;
	}
	for (cap = q->cap == 0 ? BUF_KEEP : q->cap; cap - q->end < need; cap *= 2)
		;
	p = realloc(q->buf, cap);
	if (p == NULL)
		return false;
	q->buf = p;
	q->cap = cap;
	return true;
}

static void outq_free(struct outq *q)
{
	free(q->buf);
	*q = (struct outq){0};
}

static void put_frame(struct outq *q, const ProtobufCMessage *m, size_t size)
{
	rte_be32_t be = rte_cpu_to_be_32((uint32_t)size);

	memcpy(q->buf + q->end, &be, sizeof(be));
	protobuf_c_message_pack(m, q->buf + q->end + sizeof(be));
	q->end += sizeof(be) + size;
	/* The loop might be about to sleep, past its last look at the seam. */
	if (!in_turn)
		loop_kick();
}

void reply(struct seam_client *c, PB(Response) *r)
{
	size_t size = protobuf_c_message_get_packed_size(&r->base);

	if (c->dead)
		return;
	if (size > SEAM_FRAME_MAX) {
		struct dp_error err = {.code = DP_INVALID};

		snprintf(err.message, sizeof(err.message),
			 "the answer would have %zu bytes, more than a frame may", size);
		reply_error(c, r->id, "", &err);
		return;
	}
	if (c->answers.end - c->answers.start + size > SEAM_ANSWERS_MAX) {
		LOG_WARN("client does not read its answers: disconnected");
		client_kill(c);
		return;
	}
	if (!outq_room(&c->answers, size + 4)) {
		LOG_ERR("no memory for an answer: client disconnected");
		client_kill(c);
		return;
	}
	put_frame(&c->answers, &r->base, size);
}

void reply_error(struct seam_client *c, uint64_t id, const char *path, const struct dp_error *err)
{
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(Error) e = PB_VALUE(ERROR);
	char field[128], message[sizeof(err->message)];

	snprintf(field, sizeof(field), "%s%s%s", path, *path && *err->field ? "." : "", err->field);
	snprintf(message, sizeof(message), "%s", err->message);
	make_printable(message);
	e.code = (PB(Code))err->code;
	e.field = field;
	e.message = message;
	r.id = id;
	r.error = &e;
	reply(c, &r);
}

void reply_done(struct seam_client *c, uint64_t id, uint64_t count)
{
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(Done) d = PB_VALUE(DONE);

	d.count = count;
	r.id = id;
	r.result_case = PBC(RESPONSE__RESULT_DONE);
	r.done = &d;
	reply(c, &r);
}

bool send_event(struct stream *s, PB(Event) *e, bool always)
{
	struct seam_client *c = s->client;
	PB(Response) r = PB_VALUE(RESPONSE);
	size_t size, queued = c->events_out.end - c->events_out.start;

	if (c->dead)
		return false;
	r.id = s->id;
	r.result_case = PBC(RESPONSE__RESULT_EVENT);
	r.event = e;
	size = protobuf_c_message_get_packed_size(&r.base);
	if (!always && (c->overflow || queued + size > SEAM_EVENTS_MAX)) {
		c->overflow = true;
		return false;
	}
	if (size > SEAM_FRAME_MAX || !outq_room(&c->events_out, size + 4))
		return false;
	put_frame(&c->events_out, &r.base, size);
	return true;
}

/* Takes n sent bytes off the queue and finds where in a frame they end. */
static void outq_sent(struct outq *q, size_t n)
{
	while (n > 0) {
		size_t k;

		if (q->frame_left == 0) {
			rte_be32_t be;

			memcpy(&be, q->buf + q->start, sizeof(be));
			q->frame_left = sizeof(be) + rte_be_to_cpu_32(be);
		}
		k = n < q->frame_left ? n : q->frame_left;
		q->start += k;
		q->frame_left -= k;
		n -= k;
	}
	if (q->start == q->end) {
		q->start = q->end = 0;
		if (q->cap > 16 * BUF_KEEP)
			outq_free(q);
	}
}

/* A frame that was begun goes first, then answers, then events. */
static struct outq *outq_next(struct seam_client *c)
{
	if (c->events_out.frame_left == 0 && c->answers.start != c->answers.end)
		return &c->answers;
	if (c->events_out.start != c->events_out.end)
		return &c->events_out;
	return NULL;
}

static void client_want(struct seam_client *c, bool blocked)
{
	uint32_t events = blocked ? EPOLLOUT : 0;

	/* One whole frame in the buffer is enough work; what comes then waits in the socket. */
	if (!c->closing && !c->eof && c->end - c->start < SEAM_FRAME_MAX + 4)
		events |= EPOLLIN;
	if (events != c->events && loop_fd_mod(c->fd, events) == 0)
		c->events = events;
}

static void client_flush(struct seam_client *c)
{
	bool blocked = false;
	struct outq *q;

	if (c->fd < 0) {
		c->answers.start = c->answers.end = 0;
		c->events_out.start = c->events_out.end = 0;
		return;
	}
	while (!blocked && (q = outq_next(c)) != NULL) {
		size_t n = q->end - q->start;
		ssize_t sent;

		/* Answers that came meanwhile go before the next event. */
		if (q == &c->events_out && q->frame_left != 0)
			n = q->frame_left;
		sent = send(c->fd, q->buf + q->start, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN) {
				client_kill(c);
				return;
			}
			blocked = true;
		} else {
			outq_sent(q, (size_t)sent);
			if (c->overflow &&
			    c->events_out.end - c->events_out.start < SEAM_EVENTS_MAX / 2) {
				c->overflow = false;
				streams_tell_overflow(c);
			}
		}
	}
	client_want(c, blocked);
}

/* ---- clients --------------------------------------------------------------------------------- */

struct seam_client *client_new(int fd)
{
	struct seam_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->fd = fd;
	c->events = EPOLLIN;
	LIST_INIT(&c->pings);
	arena_init(&c->arena, SEAM_DECODE_MAX);
	if (fd >= 0 && loop_fd_add(fd, EPOLLIN, client_event, c) < 0) {
		free(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&clients, c, next);
	n_clients++;
	return c;
}

void client_kill(struct seam_client *c)
{
	if (c->dead)
		return;
	c->dead = true;
	c->job.kind = JOB_NONE;
	streams_stop(c);
	pings_cancel(c);
	if (c->fd >= 0) {
		loop_fd_del(c->fd);
		close(c->fd);
		c->fd = -1;
	}
}

void client_close(struct seam_client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	c->closing_since_ns = now_mono_ns();
	c->start = c->end = 0;
}

static void client_free(struct seam_client *c)
{
	TAILQ_REMOVE(&clients, c, next);
	n_clients--;
	free(c->buf);
	outq_free(&c->answers);
	outq_free(&c->events_out);
	arena_free(&c->arena);
	free(c);
	if (!accepting && listen_fd >= 0 && loop_fd_mod(listen_fd, EPOLLIN) == 0)
		accepting = true;
}

void client_foreach(void (*fn)(struct seam_client *c, void *arg), void *arg)
{
	struct seam_client *c;

	TAILQ_FOREACH (c, &clients, next)
		if (!c->dead)
			fn(c, arg);
}

/* ---- input ----------------------------------------------------------------------------------- */

/* Makes room for reading, by what has come and not by what a length field claims. */
static bool buf_room(struct seam_client *c)
{
	size_t cap;
	uint8_t *p;

	if (c->start > 0) {
		memmove(c->buf, c->buf + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->cap > c->end)
		return true;
	cap = c->cap == 0 ? BUF_KEEP : c->cap * 2;
	if (cap > SEAM_FRAME_MAX + READ_CHUNK)
		cap = SEAM_FRAME_MAX + READ_CHUNK;
	p = realloc(c->buf, cap);
	if (p == NULL)
		return false;
	c->buf = p;
	c->cap = cap;
	return true;
}

static void client_event(int fd, uint32_t events, void *arg)
{
	struct seam_client *c = arg;
	size_t room;
	ssize_t n;

	if (c->dead)
		return;
	if (events & EPOLLERR) {
		client_kill(c);
		return;
	}
	if ((events & (EPOLLIN | EPOLLHUP)) == 0 || c->closing || c->eof ||
	    c->end - c->start >= SEAM_FRAME_MAX + 4) {
		/* With nobody left to read the answers there is no use in the requests that wait.
		 */
		if (events & EPOLLHUP)
			client_kill(c);
		return;
	}
	if (!buf_room(c)) {
		LOG_ERR("no memory for a request: client disconnected");
		client_kill(c);
		return;
	}
	room = c->cap - c->end;
	n = recv(fd, c->buf + c->end, room < READ_CHUNK ? room : READ_CHUNK, MSG_DONTWAIT);
	if (n > 0)
		c->end += (size_t)n;
	else if (n == 0)
		c->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		client_kill(c);
}

/* The length of the whole frame at the start of the buffer; 0 if there is none yet. */
static size_t frame_ready(const struct seam_client *c, bool *too_long)
{
	size_t have = c->end - c->start;
	rte_be32_t be;
	uint32_t len;

	*too_long = false;
	if (have < sizeof(be))
		return 0;
	memcpy(&be, c->buf + c->start, sizeof(be));
	len = rte_be_to_cpu_32(be);
	if (len > SEAM_FRAME_MAX) {
		*too_long = true;
		return len;
	}
	return have - sizeof(be) < len ? 0 : sizeof(be) + len;
}

/* One slice of work. True if there is more. */
static bool client_work(struct seam_client *c)
{
	bool too_long;
	size_t n;

	if (c->job.kind != JOB_NONE) {
		request_continue(c);
	} else if (!c->closing) {
		n = frame_ready(c, &too_long);
		if (n == 0)
			return false;
		if (too_long) {
			request_too_long(c, (uint32_t)n);
			client_close(c);
			return false;
		}
		request_begin(c, c->buf + c->start + 4, n - 4);
		c->start += n;
		if (c->start == c->end) {
			c->start = c->end = 0;
			if (c->cap > 16 * BUF_KEEP) {
				free(c->buf);
				c->buf = NULL;
				c->cap = 0;
			}
		}
	}
	if (c->dead)
		return false;
	return c->job.kind != JOB_NONE || (!c->closing && frame_ready(c, &too_long) != 0);
}

bool seam_turn(void *arg)
{
	struct seam_client *c, *following;
	bool more = false;

	(void)arg;
	in_turn = true;
	for (c = TAILQ_FIRST(&clients); c != NULL; c = following) {
		bool busy;

		following = TAILQ_NEXT(c, next);
		busy = !c->dead && client_work(c);
		if (!c->dead)
			client_flush(c);
		if (!c->dead && !busy && outq_next(c) == NULL && (c->closing || c->eof))
			client_kill(c);
		if (!c->dead && c->closing && now_mono_ns() - c->closing_since_ns > CLOSE_WAIT_NS)
			client_kill(c);
		if (c->dead) {
			client_free(c);
			continue;
		}
		more |= busy;
	}
	in_turn = false;
	return more;
}

static void accept_event(int fd, uint32_t events, void *arg)
{
	int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	(void)arg;
	if (s < 0)
		return;
	if (client_new(s) == NULL) {
		LOG_ERR("no memory for a client");
		close(s);
		return;
	}
	/* The others wait in the queue of the socket until one goes. */
	if (n_clients >= SEAM_CLIENTS_MAX) {
		LOG_WARN("there are %u clients, as many as there may be", n_clients);
		if (loop_fd_mod(fd, 0) == 0)
			accepting = false;
	}
}

/* ---- the socket ------------------------------------------------------------------------------ */

/* Removes a socket nobody listens on any more. */
static int remove_stale(const char *path, struct dp_error *err)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return dp_fail(err, DP_DEVICE, "", "socket %s: %s", path, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode))
		return dp_fail(err, DP_INVALID, "", "%s exists and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return dp_fail(err, DP_DEVICE, "", "socket: %s", strerror(errno));
	rc = connect(fd, (struct sockaddr *)&listen_addr, sizeof(listen_addr)) < 0 ? errno : 0;
	close(fd);
	if (rc == 0 || rc == EAGAIN)
		return dp_fail(err, DP_IN_USE, "",
			       "another process listens on %s: is vnf-dataplane running already?",
			       path);
	if (rc != ECONNREFUSED)
		return dp_fail(err, DP_DEVICE, "", "socket %s: %s", path, strerror(rc));
	if (unlink(path) < 0 && errno != ENOENT)
		return dp_fail(err, DP_DEVICE, "", "remove stale socket %s: %s", path,
			       strerror(errno));
	return 0;
}

/* Of a group by its name or number. */
static int group_id(const char *group, gid_t *gid, struct dp_error *err)
{
	const struct group *g = getgrnam(group);
	unsigned long n;
	char *end;

	if (g != NULL) {
		*gid = g->gr_gid;
		return 0;
	}
	errno = 0;
	n = strtoul(group, &end, 10);
	if (*group < '0' || *group > '9' || *end != '\0' || errno != 0 || n >= (gid_t)-1)
		return dp_fail(err, DP_NOT_FOUND, "socket-group", "there is no group %s", group);
	*gid = (gid_t)n;
	return 0;
}

static int socket_listen(const char *path, const char *group, struct dp_error *err)
{
	gid_t gid = (gid_t)-1;
	mode_t mask;
	int rc;

	listen_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (*path == '\0' || strlen(path) >= sizeof(listen_addr.sun_path))
		return dp_fail(err, DP_INVALID, "", "socket path must have 1 to %zu bytes: %s",
			       sizeof(listen_addr.sun_path) - 1, path);
	snprintf(listen_addr.sun_path, sizeof(listen_addr.sun_path), "%s", path);
	if (group != NULL && group_id(group, &gid, err) < 0)
		return -1;
	if (remove_stale(path, err) < 0)
		return -1;
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listen_fd < 0)
		return dp_fail(err, DP_DEVICE, "", "socket: %s", strerror(errno));
	/* So that there is no moment in which another user may connect. */
	mask = umask(0177);
	rc = bind(listen_fd, (struct sockaddr *)&listen_addr, sizeof(listen_addr)) < 0 ? errno : 0;
	umask(mask);
	if (rc != 0) {
		close(listen_fd);
		listen_fd = -1;
		return dp_fail(err, DP_DEVICE, "", "bind %s: %s%s", path, strerror(rc),
			       rc == ENOENT ? " (make its directory first)" : "");
	}
	/* In this order, so that a group it was not meant for never has it. */
	if (group != NULL && (lchown(path, (uid_t)-1, gid) < 0 || chmod(path, 0660) < 0)) {
		rc = errno;
		unlink(path);
		close(listen_fd);
		listen_fd = -1;
		return dp_fail(err, DP_PERMISSION, "socket-group", "give %s to %s: %s", path, group,
			       strerror(rc));
	}
	if (lstat(path, &listen_stat) < 0 || listen(listen_fd, SEAM_CLIENTS_MAX) < 0 ||
	    loop_fd_add(listen_fd, EPOLLIN, accept_event, NULL) < 0)
		return dp_fail(err, DP_DEVICE, "", "listen on %s: %s", path, strerror(errno));
	accepting = true;
	return 0;
}

int seam_init(const char *socket_path, const char *group, struct dp_error *err)
{
	int rc;

	/* Any value will do that another start is most unlikely to have; 0 means none. */
	while (dp_boot_id == 0)
		if (getrandom(&dp_boot_id, sizeof(dp_boot_id), 0) != sizeof(dp_boot_id))
			dp_boot_id = now_wall_ns() ^ rte_rdtsc();
	seam_started_ns = now_mono_ns();
	rc = loop_poll_add(seam_turn, NULL);
	if (rc < 0)
		return dp_fail(err, DP_NO_MEMORY, "", "event loop: %s", strerror(-rc));
	if (socket_path != NULL && socket_listen(socket_path, group, err) < 0) {
		seam_fini();
		return -1;
	}
	return 0;
}

void seam_fini(void)
{
	struct seam_client *c;
	struct stat st;

	loop_poll_del(seam_turn, NULL);
	while ((c = TAILQ_FIRST(&clients)) != NULL) {
		client_kill(c);
		client_free(c);
	}
	if (listen_fd < 0)
		return;
	loop_fd_del(listen_fd);
	close(listen_fd);
	listen_fd = -1;
	/* Not that of a successor. */
	if (lstat(listen_addr.sun_path, &st) == 0 && st.st_ino == listen_stat.st_ino &&
	    st.st_dev == listen_stat.st_dev)
		unlink(listen_addr.sun_path);
}
