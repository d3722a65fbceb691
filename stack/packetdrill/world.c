/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scripts set up outside of sockets. They run in a network namespace of their own: the sysctls
 * are read back from there. Commands that would change an interface there is none of (ip route, tc,
 * ethtool) are replaced by ones that note "key value" lines in the file named by the environment
 * variable MILLRACE_PACKETDRILL_WORLD; see mk/packetdrill.sh.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shim.h"

static bool sysctl_text(const char *name, char *buf, size_t n)
{
	char path[128];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(buf, (int)n, f) != NULL;
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = 0;
	return ok;
}

static long sysctl_long(const char *name, long otherwise)
{
	char buf[64];

	return sysctl_text(name, buf, sizeof(buf)) ? strtol(buf, NULL, 0) : otherwise;
}

static void sysctl_three(const char *name, uint32_t v[3])
{
	char buf[128];

	if (sysctl_text(name, buf, sizeof(buf)))
		sscanf(buf, "%u %u %u", &v[0], &v[1], &v[2]);
}

/* "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4": four words, kept in little-endian order. */
static bool parse_key(const char *text, uint8_t key[16])
{
	unsigned int w[4];

	if (sscanf(text, "%8x-%8x-%8x-%8x", &w[0], &w[1], &w[2], &w[3]) != 4)
		return false;
	for (unsigned int i = 0; i < 16; i++)
		key[i] = (uint8_t)(w[i / 4] >> 8 * (i % 4));
	return true;
}

void world_read(struct shim *s)
{
	struct world *w = &s->world;
	char buf[256];

	w->sack = sysctl_long("tcp_sack", 1) != 0;
	w->timestamps = sysctl_long("tcp_timestamps", 1) != 0;
	w->window_scaling = sysctl_long("tcp_window_scaling", 1) != 0;
	w->ecn = (int)sysctl_long("tcp_ecn", 2);
	w->fastopen = (int)sysctl_long("tcp_fastopen", 0);
	sysctl_three("tcp_rmem", w->rmem);
	sysctl_three("tcp_wmem", w->wmem);
	w->synack_retries = (uint32_t)sysctl_long("tcp_synack_retries", 5);
	w->min_burst = (uint8_t)sysctl_long("tcp_min_tso_segs", 2);
	w->mtu_probing = (int)sysctl_long("tcp_mtu_probing", 0);
	w->fastopen_key_set = sysctl_text("tcp_fastopen_key", buf, sizeof(buf)) &&
			      parse_key(buf, w->fastopen_key);
}

static void note(struct world *w, const char *key, uint32_t val)
{
	if (!strcmp(key, "mtu"))
		w->mtu = val;
	else if (!strcmp(key, "advmss"))
		w->advmss = val;
	else if (!strcmp(key, "tso"))
		w->tso = val != 0;
	else if (!strcmp(key, "pacing"))
		w->pacing = val != 0;
	else if (!strcmp(key, "blocked"))
		w->blocked = val != 0;
}

void world_check(struct shim *s)
{
	const char *path = getenv("MILLRACE_PACKETDRILL_WORLD");
	char key[32];
	unsigned int val;
	struct stat st;
	FILE *f;

	if (!path || stat(path, &st) || st.st_size == s->world_size)
		return;
	f = fopen(path, "re");
	if (!f)
		return;
	s->world_size = st.st_size;
	while (fscanf(f, "%31s %u", key, &val) == 2)
		note(&s->world, key, val);
	fclose(f);
}

void world_tell(struct shim *s)
{
	const char *path = getenv("MILLRACE_PACKETDRILL_WORLD");
	uint64_t ignored = tcp_mib(s->engine)->icmp_ignored;
	char name[512];
	FILE *f;

	if (!path || ignored == s->told)
		return;
	snprintf(name, sizeof(name), "%s.nstat", path);
	f = fopen(name, "we");
	if (!f)
		return;
	fprintf(f, "TcpExtOutOfWindowIcmps %lu\n", ignored);
	fclose(f);
	s->told = ignored;
}
