/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor hears, over a socket of a path and an abstract one; and when of the workers.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../ip4/check_test.h"
#include "loop.h"
#include "sdnotify.h"
#include "watchdog.h"

static int listen_at(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0 && len < sizeof(addr.sun_path), "socket");
	memcpy(addr.sun_path, name, len);
	if (*name == '@')
		addr.sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name == '/'))) == 0,
	      "bind: %s", strerror(errno));
	return fd;
}

static const char *heard(int fd)
{
	static char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return "";
	text[n] = '\0';
	return text;
}

static void expect(int fd, const char *want)
{
	const char *got = heard(fd);

	CHECK(strcmp(got, want) == 0, "heard \"%s\", want \"%s\"", got, want);
}

static void test_address(const char *name)
{
	int fd = listen_at(name);
	struct sdnotify n;

	CHECK(sdnotify_open(&n, name, NULL, NULL) == 0, "open %s", name);
	CHECK(n.watchdog_us == 0, "a watchdog that nobody asked for");
	CHECK(sdnotify_send(&n, "READY=1\nSTATUS=%s", "up") == 0, "send");
	expect(fd, "READY=1\nSTATUS=up");
	expect(fd, "");
	sdnotify_close(&n);
	CHECK(n.fd == -1, "closed");
	close(fd);
}

static void test_bad_addresses(void)
{
	static const char *const bad[] = {"/", "@", "run/notify", "vsock:2:1234", " "};
	struct sdnotify n;
	char name[256];

	CHECK(sdnotify_open(&n, NULL, "1000000", NULL) == 0 && n.fd == -1 && n.watchdog_us == 0,
	      "no supervisor");
	CHECK(sdnotify_open(&n, "", "1000000", NULL) == 0 && n.fd == -1, "an empty one");
	CHECK(sdnotify_send(&n, "READY=1") == 0, "to nobody");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(sdnotify_open(&n, bad[i], NULL, NULL) == -EINVAL && n.fd == -1, "%s", bad[i]);
	CHECK(sdnotify_open(&n, "/no/such/socket", NULL, NULL) == -ENOENT && n.fd == -1, "none");
	/* 108 bytes are all of sun_path: an abstract name may have them, a path may not. */
	memset(name, 'a', sizeof(name));
	name[0] = '/';
	name[108] = '\0';
	CHECK(sdnotify_open(&n, name, NULL, NULL) == -ENAMETOOLONG, "a path too long");
	name[107] = '\0';
	CHECK(sdnotify_open(&n, name, NULL, NULL) == -ENOENT, "a path that fits");
	name[0] = '@';
	name[107] = 'a';
	CHECK(sdnotify_open(&n, name, NULL, NULL) == -ECONNREFUSED, "an abstract name that fits");
	name[108] = 'a';
	name[109] = '\0';
	CHECK(sdnotify_open(&n, name, NULL, NULL) == -ENAMETOOLONG, "one too long");
}

static uint64_t asked(const char *name, const char *us, const char *pid)
{
	struct sdnotify n;
	uint64_t got;

	CHECK(sdnotify_open(&n, name, us, pid) == 0, "open");
	got = n.watchdog_us;
	sdnotify_close(&n);
	return got;
}

static void test_watchdog_asked(const char *name)
{
	int fd = listen_at(name);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	CHECK(asked(name, "30000000", NULL) == 30000000, "of anyone");
	CHECK(asked(name, "30000000", pid) == 30000000, "of us");
	CHECK(asked(name, "30000000", "1") == 0, "of another");
	CHECK(asked(name, "30000000", "") == 0, "of nobody");
	CHECK(asked(name, NULL, pid) == 0, "not");
	CHECK(asked(name, "", pid) == 0, "empty");
	CHECK(asked(name, "-5", pid) == 0, "negative");
	CHECK(asked(name, "5s", pid) == 0, "with a unit");
	CHECK(asked(name, "99999999999999999999", pid) == 0, "too large");
	close(fd);
	CHECK(watchdog_period_ms(30000000) == 5000, "30 s");
	CHECK(watchdog_period_ms(8000000) == 2000, "8 s");
	CHECK(watchdog_period_ms(1) == 1000, "less than a worker sleeps");
	CHECK(watchdog_period_ms(UINT64_MAX) == 5000, "for ever");
}

static void test_too_long(const char *name)
{
	int fd = listen_at(name);
	struct sdnotify n;
	char text[600];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	CHECK(sdnotify_open(&n, name, NULL, NULL) == 0, "open");
	CHECK(sdnotify_send(&n, "STATUS=%s", text) == -EMSGSIZE, "cut off without a word");
	expect(fd, "");
	close(fd);
	CHECK(sdnotify_send(&n, "READY=1") < 0, "a supervisor that has gone");
	sdnotify_close(&n);
}

static void test_progress(void)
{
	struct worker a = {.loops = 0}, b = {.loops = 7};
	struct worker *const all[] = {&a, &b};
	struct progress p;

	memset(&p, 0xff, sizeof(p));
	CHECK(progress_look(&p, all, 2) == -1, "the first look");
	CHECK(progress_look(&p, all, 2) == 1, "neither moved");
	a.loops++;
	CHECK(progress_look(&p, all, 2) == 1, "one moved");
	b.loops++;
	CHECK(progress_look(&p, all, 2) == 0, "the other moved");
	a.loops += 100;
	b.loops++;
	CHECK(progress_look(&p, all, 2) == -1, "both moved");
}

/* The ticks of the loop, which come each second. */
static void ticks(unsigned int n)
{
	while (n-- > 0) {
		usleep(1010000);
		loop_ticks();
	}
}

static void test_watchdog(const char *name)
{
	struct worker w = {.loops = 1};
	int fd = listen_at(name);
	struct sdnotify n;

	workers[0] = &w;
	n_workers = 1;
	CHECK(loop_init() == 0, "loop");
	CHECK(sdnotify_open(&n, name, "1000000", NULL) == 0, "open");
	CHECK(watchdog_start(&n) == 0, "start");
	expect(fd, "READY=1\nSTATUS=forwarding on 1 workers");
	ticks(1);
	expect(fd, "WATCHDOG=1");
	ticks(2);
	expect(fd, "STATUS=worker 0 makes no progress");
	expect(fd, "");
	w.loops++;
	ticks(1);
	expect(fd, "WATCHDOG=1");
	expect(fd, "STATUS=forwarding on 1 workers");
	watchdog_stop();
	expect(fd, "STOPPING=1\nSTATUS=stopping");
	w.loops++;
	ticks(1);
	expect(fd, "");
	sdnotify_close(&n);
	close(fd);
	n_workers = 0;
}

int main(void)
{
	char dir[] = "/tmp/sdnotify-test-XXXXXX", path[64], abstract[64];

	CHECK(mkdtemp(dir) != NULL, "mkdtemp");
	snprintf(path, sizeof(path), "%s/notify", dir);
	snprintf(abstract, sizeof(abstract), "@millrace-sdnotify-test-%d", (int)getpid());
	test_address(path);
	unlink(path);
	test_address(abstract);
	test_bad_addresses();
	test_watchdog_asked(abstract);
	test_too_long(abstract);
	test_progress();
	test_watchdog(abstract);
	rmdir(dir);
	return 0;
}
