/* SPDX-License-Identifier: Apache-2.0 */
#include "hugepages.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static uint64_t read_number(const char *path)
{
	unsigned long long v = 0;
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

uint64_t hugepages_free_mb(void)
{
	const char *dir = "/sys/kernel/mm/hugepages";
	DIR *d = opendir(dir);
	struct dirent *e;
	uint64_t kb = 0;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		unsigned int size;
		char path[512];

		if (sscanf(e->d_name, "hugepages-%ukB", &size) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", dir, e->d_name);
		kb += size * read_number(path);
	}
	closedir(d);
	return kb >> 10;
}

/* DPDK's names are the prefix, "map_" and a number. */
static bool is_of(const char *name, const char *file_prefix)
{
	size_t n = strlen(file_prefix);

	return strncmp(name, file_prefix, n) == 0 && strncmp(name + n, "map_", 4) == 0;
}

unsigned int hugepages_clear_dir(const char *dir, const char *file_prefix)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned int removed = 0;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		int fd;

		if (!is_of(e->d_name, file_prefix))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(d), e->d_name, 0) == 0)
			removed++;
		close(fd);
	}
	closedir(d);
	return removed;
}

unsigned int hugepages_clear(const char *file_prefix)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	unsigned int removed = 0;

	if (f == NULL)
		return 0;
	while ((m = getmntent(f)) != NULL)
		if (strcmp(m->mnt_type, "hugetlbfs") == 0)
			removed += hugepages_clear_dir(m->mnt_dir, file_prefix);
	endmntent(f);
	return removed;
}
