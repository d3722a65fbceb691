/* SPDX-License-Identifier: Apache-2.0 */
/* vnf-dataplane: starts the parts in order and runs the control loop on the main thread. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "../exception/exception.h"
#include "../neigh/neigh.h"
#include "../port/port.h"
#include "../seam/seam.h"
#include "../tcp/term.h"
#include "../trace/trace.h"
#include "../vrf/vrf.h"
#include "eal.h"
#include "log.h"
#include "loop.h"
#include "sdnotify.h"
#include "watchdog.h"
#include "worker.h"

static void on_signal(int sig)
{
	(void)sig;
	loop_stop();
}

static int failed(const char *what, int rc)
{
	fprintf(stderr, "vnf-dataplane: %s: %s\n", what, rte_strerror(rc < 0 ? -rc : rc));
	return -1;
}

static int failed_err(const char *what, const struct dp_error *err)
{
	fprintf(stderr, "vnf-dataplane: %s: %s\n", what, err->message);
	return -1;
}

static int init(const struct options *o)
{
	struct dp_error err = {0};
	int cpus[WORKER_MAX];
	int rc;

	for (unsigned int i = 0; i < o->workers; i++)
		cpus[i] = o->n_cpus != 0 ? o->cpus[i + 1] : -1;
	rc = mb_meta_register();
	if (rc < 0)
		return failed("packet metadata", rc);
	rc = loop_init();
	if (rc < 0)
		return failed("event loop", rc);
	rc = nexthop_init(o->next_hops, o->groups);
	if (rc < 0)
		return failed("next-hop tables; raise --memory or lower --next-hops and --groups",
			      rc);
	if (vrf_init(&o->fib) < 0) {
		fprintf(stderr, "vnf-dataplane: no memory for the routing tables: raise --memory, "
				"or lower --ip4-routes and --ip6-routes\n");
		return -1;
	}
	rc = workers_create(o->workers, cpus, o->poll);
	if (rc < 0)
		return failed("workers", rc);
	rc = term_init();
	if (rc < 0)
		return failed("TCP", rc);
	rc = port_init();
	if (rc < 0)
		return failed("watching network devices", rc);
	rc = neigh_init();
	if (rc < 0)
		return failed("neighbour table", rc);
	rc = ping_init();
	if (rc < 0)
		return failed("ping", rc);
	if (exception_init(o->exception_netns, &err) < 0)
		return failed_err("exception path", &err);
	if (seam_init(o->socket, o->socket_group, &err) < 0)
		return failed_err(strcmp(err.field, "socket-group") == 0 ? "--socket-group"
									 : "--socket",
				  &err);
	return 0;
}

static void run(const struct sdnotify *supervisor)
{
	unsigned int lcore, i = 0;
	int rc;

	RTE_LCORE_FOREACH_WORKER (lcore) {
		worker_launch(workers[i++], lcore);
	}
	printf("ready\n");
	fflush(stdout);
	rc = watchdog_start(supervisor);
	if (rc < 0)
		LOG_WARN("telling the supervisor: %s", strerror(-rc));
	loop_run();
}

static void fini(void)
{
	struct iface *i;

	LOG_INFO("stopping");
	watchdog_stop();
	seam_fini();
	exception_fini();
	workers_stop();
	rte_eal_mp_wait_lcore();
	term_fini();
	iface_foreach (i) {
		if (i->kind == IFACE_PORT) {
			rte_eth_dev_stop(i->port);
			rte_eth_dev_close(i->port);
		}
	}
	rte_eal_cleanup();
}

int main(int argc, char **argv)
{
	const struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
	struct sdnotify supervisor;
	struct options o;
	int rc;

	options_parse(argc, argv, &o);
	if (eal_start(&o) < 0 || init(&o) < 0)
		return 1;
	rc = sdnotify_open(&supervisor, getenv("NOTIFY_SOCKET"), getenv("WATCHDOG_USEC"),
			   getenv("WATCHDOG_PID"));
	if (rc < 0)
		LOG_WARN("NOTIFY_SOCKET: %s", strerror(-rc));
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	run(&supervisor);
	fini();
	sdnotify_close(&supervisor);
	return 0;
}
