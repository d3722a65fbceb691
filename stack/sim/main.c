/* SPDX-License-Identifier: Apache-2.0 */
/* stack-sim: runs the TCP engine in worlds drawn from seeds and says which seeds show an error. */
#include <getopt.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define MBUFS 24576
#define JOBS  64

struct options {
	uint64_t first, last;
	const struct scenario *scenario;
	bool verbose, twice, keep_going, times;
	const char *pcap;
	unsigned int jobs;
	uint64_t seconds;
};

/* What is being run, for whoever dies in it. */
static char running[256];

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void usage(void)
{
	printf("usage: stack-sim [options]\n"
	       "  --seed N          one world\n"
	       "  --seeds N..M      all of these (1..1000)\n"
	       "  --scenario NAME   this one instead of the one the seed draws\n"
	       "  --list            the scenarios\n"
	       "  --jobs N          processes (1)\n"
	       "  --seconds N       begin no more worlds after this time\n"
	       "  --keep-going      do not stop at the first failure\n"
	       "  --twice           run each world twice: both must be the same\n"
	       "  --times           print how long each world took\n"
	       "  --verbose         print each packet and event\n"
	       "  --pcap FILE       write what was sent (--seed only)\n");
}

/* Called by the sanitizers' runtime, if the program is built with one. */
void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void died(void)
{
	if (write(STDERR_FILENO, running, strlen(running)) < 0)
		_exit(1);
}

static void set_running(const struct scenario *c, uint64_t seed)
{
	snprintf(running, sizeof(running),
		 "stack-sim: died in scenario %s; again: stack-sim --seed %lu --scenario %s "
		 "--verbose\n",
		 c->name, (unsigned long)seed, c->name);
}

static bool run_seed(const struct options *o, uint64_t seed)
{
	const struct scenario *c = o->scenario != NULL ? o->scenario : scenario_drawn(seed);
	static struct sim s;
	FILE *pcap = NULL;
	double start = now_s();
	uint64_t digest;
	int rc;

	set_running(c, seed);
	if (o->pcap != NULL) {
		pcap = trace_pcap_open(o->pcap);
		if (pcap == NULL) {
			perror(o->pcap);
			exit(1);
		}
	}
	rc = sim_run(&s, c, seed, o->verbose, pcap);
	if (pcap != NULL)
		fclose(pcap);
	if (rc == 0 && o->twice) {
		digest = s.w.digest;
		rc = sim_run(&s, c, seed, false, NULL);
		if (rc == 0 && digest != s.w.digest) {
			world_fail(&s.w, "the second run sent other packets than the first");
			rc = -1;
		}
	}
	if (o->times)
		printf("%lu %s: %.0f ms, %lu packets, %lu steps, %u flows\n", (unsigned long)seed,
		       c->name, (now_s() - start) * 1000, (unsigned long)s.w.packets,
		       (unsigned long)s.w.steps, s.flows.n);
	if (rc == 0)
		return true;
	fflush(stdout);
	fprintf(stderr,
		"FAILED: seed %lu, scenario %s: %s\n  again: stack-sim --seed %lu --scenario %s "
		"--verbose\n",
		(unsigned long)seed, c->name, s.w.why, (unsigned long)seed, c->name);
	return false;
}

/* Every jobs-th seed, from first + job on. Returns 0 if all was well. */
static int run_job(const struct options *o, unsigned int job)
{
	double start = now_s();
	uint64_t done = 0, failed = 0;

	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(died);
	rig_start("stack-sim", MBUFS);
	for (uint64_t seed = o->first + job; seed <= o->last; seed += o->jobs) {
		if (o->seconds != 0 && now_s() - start > (double)o->seconds)
			break;
		done++;
		if (!run_seed(o, seed)) {
			failed++;
			if (!o->keep_going || rig_in_use() != 0)
				break;
		}
	}
	printf("%lu worlds, %lu failed, %.1f s\n", (unsigned long)done, (unsigned long)failed,
	       now_s() - start);
	return failed == 0 ? 0 : 1;
}

static int run_all(const struct options *o)
{
	pid_t pid[JOBS];
	int bad = 0;

	if (o->jobs == 1)
		return run_job(o, 0);
	for (unsigned int i = 0; i < o->jobs; i++) {
		pid[i] = fork();
		if (pid[i] < 0) {
			perror("fork");
			exit(1);
		}
		if (pid[i] == 0)
			exit(run_job(o, i));
	}
	for (unsigned int i = 0; i < o->jobs; i++) {
		int status;

		if (waitpid(pid[i], &status, 0) < 0 || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0)
			bad = 1;
	}
	return bad;
}

static uint64_t number(const char *text, const char *end)
{
	char *stop;
	uint64_t n = strtoull(text, &stop, 10);

	if (stop == text || strncmp(stop, end, strlen(end)) != 0 || (end[0] == 0 && *stop != 0)) {
		fprintf(stderr, "stack-sim: %s is not a number\n", text);
		exit(2);
	}
	return n;
}

static void seeds(struct options *o, const char *text)
{
	const char *dots = strstr(text, "..");

	o->first = number(text, dots != NULL ? ".." : "");
	o->last = dots != NULL ? number(dots + 2, "") : o->first;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"seed", 1, NULL, 's'},
					      {"seeds", 1, NULL, 's'},
					      {"scenario", 1, NULL, 'c'},
					      {"list", 0, NULL, 'l'},
					      {"jobs", 1, NULL, 'j'},
					      {"seconds", 1, NULL, 't'},
					      {"keep-going", 0, NULL, 'k'},
					      {"twice", 0, NULL, '2'},
					      {"times", 0, NULL, 'T'},
					      {"verbose", 0, NULL, 'v'},
					      {"pcap", 1, NULL, 'p'},
					      {"help", 0, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct options o = {.first = 1, .last = 1000, .jobs = 1};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			seeds(&o, optarg);
			break;
		case 'c':
			o.scenario = scenario_named(optarg);
			if (o.scenario == NULL) {
				fprintf(stderr, "stack-sim: no scenario %s (--list)\n", optarg);
				return 2;
			}
			break;
		case 'l':
			for (const struct scenario *c = scenarios; c->name != NULL; c++)
				printf("%-14s %s\n", c->name, c->about);
			return 0;
		case 'j':
			o.jobs = (unsigned int)RTE_MIN(RTE_MAX(number(optarg, ""), 1ul),
						       (uint64_t)JOBS);
			break;
		case 't':
			o.seconds = number(optarg, "");
			break;
		case 'k':
			o.keep_going = true;
			break;
		case '2':
			o.twice = true;
			break;
		case 'T':
			o.times = true;
			break;
		case 'v':
			o.verbose = true;
			break;
		case 'p':
			o.pcap = optarg;
			break;
		default:
			usage();
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind < argc || (o.pcap != NULL && o.first != o.last)) {
		usage();
		return 2;
	}
	return run_all(&o);
}
