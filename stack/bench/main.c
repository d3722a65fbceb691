/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack-bench: a client's and a server's engine joined by rings. One line of JSON on standard
 * output; what the fields mean is in docs/performance.md.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "side.h"

static struct {
	const struct load *load;
	uint32_t conns;
	double seconds, warmup;
	bool two;
	uint16_t mtu;
	uint32_t mbufs;
	double delay_ms, loss, mbit;
	enum tcp_cc_algorithm cc;
	bool verbose, huge, pingpong;
} opt = {.conns = 1, .seconds = 2, .warmup = 0.5, .mtu = 1500, .mbufs = 65535};

static volatile bool stop;
/* The simulated time; 0: real time. */
static uint64_t virtual_ns;

static int run_one(void *arg)
{
	struct side *s = arg;

	while (!stop) {
		const uint64_t t0 = rte_rdtsc();
		const unsigned int n = side_run(s, bench_now_ns());

		if (n != 0)
			s->busy_cycles += rte_rdtsc() - t0;
	}
	return 0;
}

struct reading {
	uint64_t ns, done, octets, server_packets, client_packets;
	uint64_t server_busy, client_busy;
};

static struct reading read_now(const struct side *server, const struct side *client)
{
	return (struct reading){
		.ns = virtual_ns != 0 ? virtual_ns : bench_now_ns(),
		.done = client->done,
		.octets = server->octets,
		.server_packets = server->packets,
		.client_packets = client->packets,
		.server_busy = server->busy_cycles,
		.client_busy = client->busy_cycles,
	};
}

static void turn_both(struct side *server, struct side *client, uint64_t until_ns)
{
	uint64_t now;

	while ((now = bench_now_ns()) < until_ns) {
		uint64_t t0 = rte_rdtsc(), t1;

		if (side_run(client, now) != 0)
			client->busy_cycles += rte_rdtsc() - t0;
		t1 = rte_rdtsc();
		if (side_run(server, bench_now_ns()) != 0)
			server->busy_cycles += rte_rdtsc() - t1;
	}
}

/* A simulated path has a simulated clock: nothing that the machine does meanwhile is part of the
 * figure. */
#define VIRTUAL_STEP_NS 5000

static void turn_virtual(struct side *server, struct side *client, double seconds)
{
	const uint64_t until = virtual_ns + (uint64_t)(seconds * 1e9);

	for (; virtual_ns < until; virtual_ns += VIRTUAL_STEP_NS) {
		side_run(client, virtual_ns);
		side_run(server, virtual_ns);
	}
}

static void wait_or_turn(struct side *server, struct side *client, double seconds)
{
	if (virtual_ns != 0)
		turn_virtual(server, client, seconds);
	else if (opt.two)
		rte_delay_us_sleep((unsigned int)(seconds * 1e6));
	else
		turn_both(server, client, bench_now_ns() + (uint64_t)(seconds * 1e9));
}

/* Octets of memory the process has touched. */
static uint64_t resident(void)
{
	unsigned long total, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &total, &pages) != 2)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * sysconf(_SC_PAGESIZE);
}

static void report(const struct side *server, struct side *client, const struct reading *a,
		   const struct reading *b, uint64_t rss)
{
	const double s = (b->ns - a->ns) / 1e9;
	const struct tcp_mib *mc = tcp_mib(client->e), *ms = tcp_mib(server->e);
	struct tcp_usage u;
	double p50, p99;

	load_latency(client, &p50, &p99);
	tcp_usage(server->e, &u);
	printf("{\"load\":\"%s\",\"cores\":%d,\"connections\":%u,\"seconds\":%.3f,\"rate\":%.0f,"
	       "\"gbit\":%.3f,\"packets\":%.0f,\"server_cycles\":%.1f,\"client_cycles\":%.1f,"
	       "\"p50_us\":%.3f,\"p99_us\":%.3f,\"open\":%u,\"conn_bytes\":%u,\"failed\":%lu,"
	       "\"overruns\":%lu,\"retransmits\":%lu,\"rtos\":%lu,\"rss_per_conn\":%.1f}\n",
	       opt.load->name, opt.two ? 2 : 1, opt.conns, s, (b->done - a->done) / s,
	       (b->octets - a->octets) * 8 / s / 1e9, (b->server_packets - a->server_packets) / s,
	       b->done != a->done ? (double)(b->server_busy - a->server_busy) / (b->done - a->done)
				  : 0,
	       b->done != a->done ? (double)(b->client_busy - a->client_busy) / (b->done - a->done)
				  : 0,
	       p50, p99, u.conns, u.conn_bytes, client->failed + server->failed,
	       client->overruns + server->overruns, mc->retrans_segs + ms->retrans_segs,
	       mc->rtos + ms->rtos, u.conns != 0 ? (double)rss / (2.0 * u.conns) : 0);
}

static void counters(const char *name, const struct side *s)
{
	const uint64_t *v = (const uint64_t *)tcp_mib(s->e);

	for (unsigned int i = 0; i < TCP_MIB_COUNT; i++)
		if (v[i] != 0)
			fprintf(stderr, "%s %s %lu\n", name, tcp_mib_name(i), v[i]);
}

static void run(void)
{
	struct rte_mempool *pool, *second = NULL;
	struct side_config cfg = {
		.max_conns = opt.conns + 1024 > 262144 ? opt.conns + 1024 : 262144,
		.mtu = opt.mtu,
		.mem_limit = (uint64_t)opt.mbufs * 2304,
		.time_wait_ms = 100,
	};
	struct side *server, *client;
	struct reading a, b;
	uint64_t rss;

	/* Buffers that were freed last are taken first: they are in the caches. */
	pool = rte_pktmbuf_pool_create_by_ops("stack-bench", opt.mbufs, 512, 0,
					      RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "stack");
	/* Two cores: each has buffers of its own, and packets are copied from one's to the other's.
	 */
	if (opt.two)
		second = rte_pktmbuf_pool_create_by_ops("stack-bench-2", opt.mbufs, 512, 0,
							RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY,
							"stack");
	server = side_new("server", pool, &cfg, true);
	client = side_new("client", opt.two ? second : pool, &cfg, false);
	if (pool == NULL || (opt.two && second == NULL) || server == NULL || client == NULL) {
		fprintf(stderr, "stack-bench: not enough memory (%s)\n", rte_strerror(rte_errno));
		exit(1);
	}
	if (opt.two &&
	    (side_copy(server, "back-server") != 0 || side_copy(client, "back-client") != 0)) {
		fprintf(stderr, "stack-bench: no rings\n");
		exit(1);
	}
	server->peer = client;
	client->peer = server;
	server->load = client->load = opt.load;
	if (opt.delay_ms != 0 || opt.loss != 0) {
		side_path(client, (uint64_t)(opt.delay_ms * 5e5), (uint32_t)(opt.loss * 1e4),
			  opt.mbit);
		side_path(server, (uint64_t)(opt.delay_ms * 5e5), 0, 0);
		virtual_ns = bench_now_ns();
	}
	client->cc = opt.cc;
	rss = resident();
	if (opt.load->server(server) != 0 || opt.load->client(client, opt.conns) != 0) {
		fprintf(stderr, "stack-bench: cannot start the load\n");
		exit(1);
	}
	if (opt.two) {
		unsigned int lcore = rte_get_next_lcore(-1, 1, 0);

		rte_eal_remote_launch(run_one, server, lcore);
		lcore = rte_get_next_lcore(lcore, 1, 0);
		rte_eal_remote_launch(run_one, client, lcore);
	}
	wait_or_turn(server, client, opt.warmup);
	a = read_now(server, client);
	wait_or_turn(server, client, opt.seconds);
	b = read_now(server, client);
	stop = true;
	rte_eal_mp_wait_lcore();
	report(server, client, &a, &b, resident() - rss);
	if (opt.verbose) {
		counters("server", server);
		counters("client", client);
	}
	/* The server's services end their connections, which the client still hears. */
	side_free(server);
	side_free(client);
	rte_mempool_free(pool);
	rte_mempool_free(second);
}

/* How long a cache line takes from one core to the other and back: on shared hosts it moves, and
 * results with it. */
static volatile uint64_t ball __rte_cache_aligned;

static int pong(void *arg)
{
	const uint64_t rounds = *(uint64_t *)arg;

	for (uint64_t i = 1; i < 2 * rounds; i += 2) {
		while (__atomic_load_n(&ball, __ATOMIC_ACQUIRE) != i)
			;
		__atomic_store_n(&ball, i + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static void pingpong(void)
{
	uint64_t rounds = 1000000, t0;
	const unsigned int a = rte_get_next_lcore(-1, 1, 0);

	/* The main thread shares the first CPU; the second service core answers. */
	rte_eal_remote_launch(pong, &rounds, rte_get_next_lcore(a, 1, 0));
	t0 = bench_now_ns();
	for (uint64_t i = 0; i < 2 * rounds; i += 2) {
		__atomic_store_n(&ball, i + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&ball, __ATOMIC_ACQUIRE) != i + 2)
			;
	}
	printf("{\"load\":\"pingpong\",\"round_trip_ns\":%.1f}\n",
	       (double)(bench_now_ns() - t0) / (double)rounds);
	rte_eal_mp_wait_lcore();
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: stack-bench [--two] [--conns N] [--seconds S] [--warmup S] [--mtu OCTETS]\n"
		"                   [--mbufs N] [--huge] [--cpus A,B] [--verbose]\n"
		"                   [--rtt MS] [--loss PERCENT] [--rate MBIT] [--cc "
		"cubic|newreno|bbr]\n"
		"                   cps|rps|latency|bulk|idle|http|chargen|pingpong\n");
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"two", no_argument, NULL, '2'},
		{"conns", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"warmup", required_argument, NULL, 'w'},
		{"mtu", required_argument, NULL, 'm'},
		{"mbufs", required_argument, NULL, 'b'},
		{"rtt", required_argument, NULL, 'r'},
		{"loss", required_argument, NULL, 'l'},
		{"cpus", required_argument, NULL, 'p'},
		{"rate", required_argument, NULL, 'R'},
		{"cc", required_argument, NULL, 'C'},
		{"huge", no_argument, NULL, 'H'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *cpus = "0,1";
	char lcores[64], prefix[64], mem[16];
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case '2':
			opt.two = true;
			break;
		case 'c':
			opt.conns = strtoul(optarg, NULL, 10);
			break;
		case 's':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'w':
			opt.warmup = strtod(optarg, NULL);
			break;
		case 'm':
			opt.mtu = strtoul(optarg, NULL, 10);
			break;
		case 'b':
			opt.mbufs = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			opt.delay_ms = strtod(optarg, NULL);
			break;
		case 'l':
			opt.loss = strtod(optarg, NULL);
			break;
		case 'p':
			cpus = optarg;
			break;
		case 'R':
			opt.mbit = strtod(optarg, NULL);
			break;
		case 'C':
			opt.cc = strcmp(optarg, "bbr") == 0	  ? TCP_CC_BBR
				 : strcmp(optarg, "newreno") == 0 ? TCP_CC_NEWRENO
								  : TCP_CC_CUBIC;
			break;
		case 'H':
			opt.huge = true;
			break;
		case 'v':
			opt.verbose = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 1 == argc && strcmp(argv[optind], "pingpong") == 0)
		opt.pingpong = opt.two = true;
	else if (optind + 1 != argc || (opt.load = load_find(argv[optind])) == NULL ||
		 opt.conns == 0) {
		usage(stderr);
		return 2;
	}
	/* Service cores are two more threads on the CPUs named; the main one only waits. */
	if (opt.two) {
		char *comma = strchr(cpus, ',');

		snprintf(lcores, sizeof(lcores), "0@%d,1@%d,2@%d", atoi(cpus), atoi(cpus),
			 comma != NULL ? atoi(comma + 1) : 1);
	} else {
		snprintf(lcores, sizeof(lcores), "0@%d", atoi(cpus));
	}
	snprintf(prefix, sizeof(prefix), "stack-bench-%d", getpid());
	snprintf(mem, sizeof(mem), "%u",
		 (unsigned int)((uint64_t)opt.mbufs * 2500 >> 20) * 5 / 4 * (opt.two ? 2 : 1) +
			 128);

	char *eal[16] = {argv[0],	  "-m",	      mem,
			 "--no-pci",	  "--lcores", lcores,
			 "--file-prefix", prefix,     "--no-telemetry",
			 "--log-level",	  "lib.eal:3"};

	/* In memory leaves no files of hugepages behind. */
	eal[11] = opt.huge ? "--in-memory" : "--no-huge";
	if (rte_eal_init(12, eal) < 0)
		return 1;
	if (opt.pingpong) {
		pingpong();
		return 0;
	}
	run();
	rte_eal_cleanup();
	return 0;
}
