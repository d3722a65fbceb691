/* SPDX-License-Identifier: Apache-2.0 */
#include "testbed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "../core/eal.h"
#include "../core/loop.h"
#include "../core/worker.h"
#include "../exception/exception.h"
#include "../fib/nexthop.h"
#include "../neigh/neigh.h"
#include "../port/port.h"
#include "../tcp/term.h"
#include "../trace/trace.h"
#include "../vrf/vrf.h"
#include "owner.h"
#include "seam.h"
#include "sweep.h"

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "testbed: %s failed\n", what);
	exit(1);
}

void testbed_start(const char *name, const char *socket, int run_workers)
{
	const unsigned int n = run_workers > 0 ? (unsigned int)run_workers : 1;
	char prefix[64], workers_arg[8];
	char *argv[] = {(char *)(uintptr_t)name,
			"--no-huge",
			"--memory",
			"700",
			"--mbufs",
			"2048",
			"--ip4-routes",
			"65536",
			"--ip6-routes",
			"16384",
			"--next-hops",
			"8192",
			"--groups",
			"8192",
			"--no-exception",
			"--workers",
			workers_arg,
			"--log-level",
			"error",
			"--file-prefix",
			prefix,
			NULL};
	struct dp_error err = {0};
	struct options o;
	int cpus[WORKER_MAX], lcore = -1;

	snprintf(workers_arg, sizeof(workers_arg), "%u", n);
	for (unsigned int i = 0; i < n; i++)
		cpus[i] = -1;
	snprintf(prefix, sizeof(prefix), "%s-%d", name, getpid());
	options_parse((int)RTE_DIM(argv) - 1, argv, &o);
	must(eal_start(&o) == 0, "eal_start");
	must(mb_meta_register() == 0, "mb_meta_register");
	must(loop_init() == 0, "loop_init");
	must(nexthop_init(o.next_hops, o.groups) == 0, "nexthop_init");
	must(vrf_init(&o.fib) == 0, "vrf_init");
	must(workers_create(n, cpus, false) == 0, "workers_create");
	must(term_init() == 0, "term_init");
	must(port_init() == 0, "port_init");
	must(neigh_init() == 0, "neigh_init");
	must(ping_init() == 0, "ping_init");
	must(exception_init(NULL, &err) == 0, "exception_init");
	if (seam_init(socket, NULL, &err) < 0) {
		fprintf(stderr, "testbed: seam_init: %s\n", err.message);
		exit(1);
	}
	for (int i = 0; i < run_workers; i++) {
		lcore = (int)rte_get_next_lcore((unsigned int)lcore, 1, 0);
		must(worker_launch(workers[i], (unsigned int)lcore) == 0, "worker_launch");
	}
}

struct ip_addr testbed_ip(const char *text)
{
	struct ip_addr a = {.len = strchr(text, ':') != NULL ? 16 : 4};

	must(inet_pton(a.len == 16 ? AF_INET6 : AF_INET, text, a.b) == 1, text);
	return a;
}

void testbed_clear(void)
{
	struct sweep s;

	for (uint8_t owner = 1; owner <= OWNERS_MAX; owner++) {
		sweep_begin(&s, owner, UINT64_MAX);
		while (!sweep_step(&s, 4096))
			;
	}
	owner_reset();
}

void testbed_stop(void)
{
	testbed_clear();
	seam_fini();
	workers_stop();
	rte_eal_mp_wait_lcore();
	term_fini();
	rte_eal_cleanup();
}
