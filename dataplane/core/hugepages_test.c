/* SPDX-License-Identifier: Apache-2.0 */
/* What a killed process left is removed, and only that. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "../ip4/check_test.h"
#include "hugepages.h"

static char dir[] = "/tmp/millrace-hugepages-XXXXXX";

static const char *at(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make(const char *name)
{
	int fd = open(at(name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	CHECK(fd >= 0, "make %s", name);
	return fd;
}

static bool is_there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

int main(void)
{
	static const char *const others[] = {"othermap_0", "millrace-2map_0", "millrace",
					     "millracemap"};
	int held;

	CHECK(mkdtemp(dir) != NULL, "mkdtemp");
	CHECK(hugepages_clear_dir(dir, "millrace") == 0, "an empty directory");
	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		close(make(others[i]));
	close(make("millracemap_0"));
	close(make("millracemap_17"));
	held = make("millracemap_1");
	CHECK(flock(held, LOCK_SH) == 0, "lock");
	CHECK(hugepages_clear_dir(dir, "millrace") == 2, "two were left");
	CHECK(!is_there("millracemap_0") && !is_there("millracemap_17"), "they are there still");
	CHECK(is_there("millracemap_1"), "one that is in use was removed");
	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CHECK(is_there(others[i]), "%s was removed", others[i]);
	close(held);
	CHECK(hugepages_clear_dir(dir, "millrace") == 1, "its process ended");
	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unlink(at(others[i]));
	CHECK(rmdir(dir) == 0, "something is left");
	CHECK(hugepages_clear_dir("/nonexistent", "millrace") == 0, "no directory");
	return 0;
}
