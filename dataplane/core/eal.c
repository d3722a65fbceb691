/* SPDX-License-Identifier: Apache-2.0 */
#include "eal.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "hugepages.h"
#include "log.h"
#include "mbuf.h"

#define ARGS_MAX 64

struct args {
	/* What EAL gets, and puts into another order. */
	char *v[ARGS_MAX + 1];
	/* The same, to be freed. */
	char *made[ARGS_MAX];
	int n;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->n == ARGS_MAX) {
		fprintf(stderr, "vnf-dataplane: --eal: too many arguments\n");
		exit(2);
	}
	va_start(ap, fmt);
	if (vasprintf(&a->made[a->n], fmt, ap) < 0)
		abort();
	va_end(ap);
	a->v[a->n] = a->made[a->n];
	a->n++;
}

/* MB the tables and packets take, with room for further VRFs, TAP buffers and the like. */
static unsigned int memory_needed(const struct options *o)
{
	/* First level and, per route, two RIB nodes of a cache line and its header; see fib.c. */
	uint64_t n = 2 * (64ull << 20);

	n += o->fib.ip4_routes * 2ull * 128 + o->fib.ip4_tbl8 * 1024ull;
	n += o->fib.ip6_routes * 2ull * 192 + o->fib.ip6_tbl8 * 1024ull;
	/* TCP has half as many of its own. */
	n += (o->mbufs + o->mbufs / 2) * (o->mbuf_size + 256ull);
	n += o->next_hops * (64ull + 16ull * o->workers) + o->groups * 16ull;
	return (unsigned int)(n >> 20) + 512;
}

static int check_hugepages(unsigned int need)
{
	uint64_t have = hugepages_free_mb();

	if (have >= need)
		return 0;
	fprintf(stderr,
		"vnf-dataplane: %u MB of hugepages are needed, %llu MB are free.\n"
		"  Reserve them:        sysctl vm.nr_hugepages=%u\n"
		"  or do without:       --no-huge (slower under load)\n"
		"  or need less:        --ip4-routes, --ip6-routes, --mbufs\n"
		"  See also: vnf preflight\n",
		need, (unsigned long long)have, need / 2 + 32);
	return -1;
}

static void add_lcores(struct args *a, const struct options *o)
{
	char buf[4096] = "", all[2048] = "";
	size_t n = 0;
	cpu_set_t set;

	if (o->n_cpus == 0) {
		size_t k = 0;

		sched_getaffinity(0, sizeof(set), &set);
		for (int c = 0; c < CPU_SETSIZE && k < sizeof(all) - 8; c++)
			if (CPU_ISSET(c, &set))
				k += (size_t)snprintf(all + k, sizeof(all) - k, "%s%d",
						      k ? "," : "", c);
	}
	for (unsigned int i = 0; i <= o->workers && n < sizeof(buf) - 1; i++) {
		if (o->n_cpus != 0)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%u@%d", i ? "," : "", i,
					      o->cpus[i]);
		else
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%u@(%s)", i ? "," : "",
					      i, all);
	}
	add(a, "--lcores=%s", buf);
}

static int log_level(const char *name)
{
	static const struct {
		const char *name;
		uint32_t level;
	} levels[] = {{"error", RTE_LOG_ERR},
		      {"warn", RTE_LOG_WARNING},
		      {"info", RTE_LOG_INFO},
		      {"debug", RTE_LOG_DEBUG}};

	for (unsigned int i = 0; i < RTE_DIM(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (int)levels[i].level;
	return -1;
}

int eal_start(const struct options *o)
{
	unsigned int memory = o->memory != 0 ? o->memory : memory_needed(o);
	int level = log_level(o->log_level);
	struct args a = {0};
	char *eal = NULL, *save = NULL;
	int rc;

	if (level < 0) {
		fprintf(stderr,
			"vnf-dataplane: --log-level: \"%s\" is not error, warn, info or debug\n",
			o->log_level);
		return -1;
	}
	if (!o->no_huge) {
		/* DPDK would do so itself, but only after we have looked for room. */
		hugepages_clear(o->file_prefix);
		if (check_hugepages(memory) < 0)
			return -1;
	}
	add(&a, "vnf-dataplane");
	add_lcores(&a, o);
	add(&a, "--file-prefix=%s", o->file_prefix);
	if (o->no_huge) {
		add(&a, "--no-huge");
		add(&a, "-m");
		add(&a, "%u", memory);
	} else {
		add(&a, "--single-file-segments");
	}
	/* Devices are attached when they are configured, never by their mere presence. */
	if (access("/sys/bus/pci/devices", R_OK) == 0) {
		add(&a, "-a");
		add(&a, "0000:00:00.0");
	} else {
		add(&a, "--no-pci");
	}
	add(&a, "--no-telemetry");
	/*
	 * Without it DPDK spreads the objects of a pool over four channels by padding, which costs
	 * a line for each of the two million nodes of a RIB.
	 */
	add(&a, "-n");
	add(&a, "1");
	/* Wide FIB lookups where the CPU has AVX-512; DPDK by itself stops at 256 bits. With a
	 * million routes they save a quarter. */
	add(&a, "--force-max-simd-bitwidth=512");
	add(&a, "--log-level=*:warning");
	add(&a, "--log-level=millrace:%d", level);
	if (o->eal != NULL) {
		eal = strdup(o->eal);
		for (char *t = strtok_r(eal, " ", &save); t != NULL; t = strtok_r(NULL, " ", &save))
			add(&a, "%s", t);
	}
	/* By default DPDK tells syslog as well, and a supervisor that keeps both has each line
	 * twice. */
	rte_openlog_stream(stderr);
	rc = rte_eal_init(a.n, a.v);
	/* EAL copies what it keeps. */
	for (int i = 0; i < a.n; i++)
		free(a.made[i]);
	free(eal);
	if (rc < 0) {
		fprintf(stderr, "vnf-dataplane: DPDK cannot start: %s. See also: vnf preflight\n",
			rte_strerror(rte_errno));
		return -1;
	}
	dp_pool = mb_pool_create("packets", o->mbufs, RTE_MIN(512u, o->mbufs / 8),
				 (uint16_t)o->mbuf_size, (int)rte_socket_id());
	if (dp_pool == NULL) {
		fprintf(stderr,
			"vnf-dataplane: no memory for %u packet buffers of %u bytes (%s); raise "
			"--memory or lower --mbufs\n",
			o->mbufs, o->mbuf_size, rte_strerror(rte_errno));
		return -1;
	}
	return 0;
}
