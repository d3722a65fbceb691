/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of vnf-dataplane. */
#ifndef MILLRACE_CORE_OPTIONS_H
#define MILLRACE_CORE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "../fib/fib.h"
#include "worker.h"

struct options {
	const char *socket;
	/* Group that may open the socket; NULL: nobody but our user. */
	const char *socket_group;
	unsigned int workers;
	/* cpus[0] is the control thread's; -1: not pinned. */
	int cpus[WORKER_MAX + 1];
	unsigned int n_cpus;
	bool no_huge;
	/* MB; 0: chosen. */
	unsigned int memory;
	unsigned int mbufs;
	unsigned int mbuf_size;
	struct fib_sizes fib;
	uint32_t next_hops;
	uint32_t groups;
	const char *file_prefix;
	/* NULL: exception path off. */
	const char *exception_netns;
	const char *log_level;
	bool poll;
	const char *eal;
};

/* Fills *o. Prints usage or an error and exits for --help, --version and mistakes. */
void options_parse(int argc, char **argv, struct options *o);

#endif
