/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer harness of the reassembly queue: the input is a script for reass_model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mempool.h>

#include "reass_model.h"

/* Each operation is followed by a walk over everything. */
#define LEN_MAX 1024

static struct rte_mempool *pool;
static struct reass_model *model;

/* Leaks of buffers are seen by the pool; ASan cannot see into DPDK's memory. */
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char prefix[64], *args[] = {"reass-fuzz", "--no-huge",	    "-m",	"64",
				    "--no-pci",	  "--no-telemetry", "--lcores", "0@0",
				    prefix,	  "--log-level=4",  NULL};

	(void)argc;
	(void)argv;
	snprintf(prefix, sizeof(prefix), "--file-prefix=reass-fuzz-%d", (int)getpid());
	if (rte_eal_init(RTE_DIM(args) - 1, args) < 0)
		abort();
	pool = rte_pktmbuf_pool_create("pool", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	model = pool != NULL ? reass_model_create(pool) : NULL;
	if (model == NULL)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *error = reass_model_run(model, data, size < LEN_MAX ? size : LEN_MAX);

	if (error != NULL) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	if (rte_mempool_in_use_count(pool) != 0)
		abort();
	return 0;
}
