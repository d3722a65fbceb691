/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_version.h>

#include "../seam/seam.h"

/* One table is the source of the parser and of --help. */
enum opt_kind {
	OPT_STRING,
	OPT_UINT,
	OPT_FLAG,
	OPT_OFF,
	OPT_CPUS,
	OPT_HELP,
	OPT_VERSION,
};

struct opt {
	const char *name;
	enum opt_kind kind;
	const char *arg;
	const char *help;
	size_t offset;
	unsigned long min, max;
};

#define AT(f) offsetof(struct options, f)

static const struct opt opts[] = {
	{"socket", OPT_STRING, "PATH", "unix socket of the seam (/run/millrace/dataplane.sock)",
	 AT(socket), 0, 0},
	{"socket-group", OPT_STRING, "GROUP",
	 "group, by name or number, that may open the socket (none)", AT(socket_group), 0, 0},
	{"workers", OPT_UINT, "N", "forwarding threads, 1 to 32 (1)", AT(workers), 1, WORKER_MAX},
	{"cpus", OPT_CPUS, "LIST",
	 "CPUs, e.g. 0,2-3: the first for control, one for each worker after it (not pinned)", 0, 0,
	 0},
	{"no-huge", OPT_FLAG, NULL, "do without hugepages", AT(no_huge), 0, 0},
	{"memory", OPT_UINT, "MB", "memory for packets and tables (sized by the tables)",
	 AT(memory), 64, 1048576},
	{"mbufs", OPT_UINT, "N", "packet buffers (16384)", AT(mbufs), 1024, 16777216},
	{"mbuf-size", OPT_UINT, "BYTES", "data room of a packet buffer, headroom included (2176)",
	 AT(mbuf_size), 1664, 65535},
	{"ip4-routes", OPT_UINT, "N", "IPv4 routes in the default network instance (1048576)",
	 AT(fib.ip4_routes), 1024, 16777216},
	{"ip6-routes", OPT_UINT, "N", "IPv6 routes in the default network instance (262144)",
	 AT(fib.ip6_routes), 1024, 16777216},
	{"ip4-tbl8", OPT_UINT, "N",
	 "DIR-24-8 second-level tables of 1 KiB (a sixteenth of the routes)", AT(fib.ip4_tbl8), 16,
	 4194304},
	{"ip6-tbl8", OPT_UINT, "N",
	 "trie tables of 1 KiB, one per /24, /32 and /40 with longer prefixes (5/4 of the routes)",
	 AT(fib.ip6_tbl8), 16, 41943040},
	{"next-hops", OPT_UINT, "N", "next hops and neighbours (131072)", AT(next_hops), 1024,
	 1048576},
	{"groups", OPT_UINT, "N", "next-hop groups (262144)", AT(groups), 1024, 1048576},
	{"file-prefix", OPT_STRING, "NAME",
	 "tells this process's hugepage files from others' (millrace)", AT(file_prefix), 0, 0},
	{"exception-netns", OPT_STRING, "NAME", "network namespace of the TAPs (millrace)",
	 AT(exception_netns), 0, 0},
	{"no-exception", OPT_OFF, NULL, "no TAPs: nothing goes to or comes from the kernel",
	 AT(exception_netns), 0, 0},
	{"log-level", OPT_STRING, "LEVEL", "error, warn, info or debug (info)", AT(log_level), 0,
	 0},
	{"poll", OPT_FLAG, NULL, "workers never sleep", AT(poll), 0, 0},
	{"eal", OPT_STRING, "ARGS", "further arguments for DPDK's EAL, separated by blanks",
	 AT(eal), 0, 0},
	{"help", OPT_HELP, NULL, "this text", 0, 0, 0},
	{"version", OPT_VERSION, NULL, "version and DPDK's", 0, 0, 0},
};

static void usage(FILE *f)
{
	fprintf(f, "usage: vnf-dataplane [options]\n\n"
		   "The data plane of Millrace. It is configured through its socket, by vnf.\n\n");
	for (unsigned int i = 0; i < RTE_DIM(opts); i++) {
		char left[48];

		snprintf(left, sizeof(left), "--%s%s%s", opts[i].name, opts[i].arg ? " " : "",
			 opts[i].arg ? opts[i].arg : "");
		fprintf(f, "  %-26s %s\n", left, opts[i].help);
	}
}

__attribute__((noreturn, format(printf, 2, 3))) static void refuse(const char *option,
								   const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "vnf-dataplane: --%s: ", option);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(2);
}

static unsigned long parse_uint(const char *name, const char *s, unsigned long min,
				unsigned long max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno != 0 || end == s || *end != 0 || *s == '-' || v < min || v > max)
		refuse(name, "\"%s\" is not a number from %lu to %lu", s, min, max);
	return v;
}

static void parse_cpus(struct options *o, const char *s)
{
	char *copy = strdup(s), *save = NULL;

	for (char *tok = strtok_r(copy, ",", &save); tok != NULL;
	     tok = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(tok, '-');
		unsigned long a, b;

		if (dash != NULL)
			*dash = 0;
		a = parse_uint("cpus", tok, 0, 4095);
		b = dash != NULL ? parse_uint("cpus", dash + 1, a, 4095) : a;
		for (; a <= b; a++) {
			if (o->n_cpus == RTE_DIM(o->cpus))
				refuse("cpus", "more than %zu CPUs", RTE_DIM(o->cpus));
			o->cpus[o->n_cpus++] = (int)a;
		}
	}
	free(copy);
}

void options_parse(int argc, char **argv, struct options *o)
{
	struct option longopts[RTE_DIM(opts) + 1] = {0};
	int idx, c;

	*o = (struct options){
		.socket = "/run/millrace/dataplane.sock",
		.workers = 1,
		.mbufs = 16384,
		.mbuf_size = 2176,
		.fib = {.ip4_routes = 1048576, .ip6_routes = 262144},
		.next_hops = 131072,
		.groups = 262144,
		.file_prefix = "millrace",
		.exception_netns = "millrace",
		.log_level = "info",
	};
	for (unsigned int i = 0; i < RTE_DIM(opts); i++)
		longopts[i] = (struct option){
			.name = opts[i].name,
			.has_arg = opts[i].arg != NULL ? required_argument : no_argument,
		};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", longopts, &idx)) != -1) {
		const struct opt *opt = &opts[idx];
		char *field = (char *)o + opt->offset;

		if (c != 0) {
			fprintf(stderr,
				"vnf-dataplane: %s: unknown option or missing value; see --help\n",
				argv[optind - 1]);
			exit(2);
		}
		switch (opt->kind) {
		case OPT_STRING:
			*(const char **)field = optarg;
			break;
		case OPT_UINT:
			*(unsigned int *)field =
				(unsigned int)parse_uint(opt->name, optarg, opt->min, opt->max);
			break;
		case OPT_FLAG:
			*(bool *)field = true;
			break;
		case OPT_OFF:
			*(const char **)field = NULL;
			break;
		case OPT_CPUS:
			parse_cpus(o, optarg);
			break;
		case OPT_HELP:
			usage(stdout);
			exit(0);
		case OPT_VERSION:
			printf("vnf-dataplane %s, %s\n", dp_version, rte_version());
			exit(0);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "vnf-dataplane: unexpected argument \"%s\"; see --help\n",
			argv[optind]);
		exit(2);
	}
	if (o->n_cpus != 0 && o->n_cpus != o->workers + 1)
		refuse("cpus", "%u CPUs for one control thread and %u workers; give %u", o->n_cpus,
		       o->workers, o->workers + 1);
	if (o->fib.ip4_tbl8 == 0)
		o->fib.ip4_tbl8 = RTE_MAX(4096u, o->fib.ip4_routes / 16);
	if (o->fib.ip6_tbl8 == 0)
		o->fib.ip6_tbl8 = RTE_MAX(8192u, fib_ip6_tbl8(o->fib.ip6_routes));
}
