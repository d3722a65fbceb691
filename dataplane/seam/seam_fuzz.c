/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer harness: the input is what a client sends, frames and all; a whole data plane is behind
 * it. After each input everything it made is swept away, so that inputs do not depend on each
 * other.
 */
#include <stdlib.h>
#include <string.h>

#include "../port/port.h"
#include "owner.h"
#include "server.h"
#include "testbed.h"

#define TURNS_MAX 100000

/* What a crash report is about is in the input, not in leaks of DPDK's memory that ASan cannot see
 * into. */
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int __real_port_create(const struct iface_config *c, struct port **out, struct dp_error *err);
int __wrap_port_create(const struct iface_config *c, struct port **out, struct dp_error *err);

/* Devargs can write files and take the machine's own devices: only these may be made here. */
int __wrap_port_create(const struct iface_config *c, struct port **out, struct dp_error *err)
{
	if (strcmp(c->device, "net_null0,no-rx=1") == 0 ||
	    strcmp(c->device, "net_null1,no-rx=1") == 0)
		return __real_port_create(c, out, err);
	return dp_fail(err, DP_DEVICE, "device", "not here");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	testbed_start("seam-fuzz", NULL, 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seam_client *c = client_new(-1);
	struct dp_error err;
	uint64_t previous;

	if (c == NULL)
		return 0;
	/* Most of what there is to find is behind a Hello. */
	if (owner_hello("fuzz", 1, &c->claim, &previous, &err) < 0)
		abort();
	c->buf = malloc(size + 1);
	if (c->buf == NULL)
		abort();
	memcpy(c->buf, data, size);
	c->cap = size + 1;
	c->end = size;
	c->eof = true;
	for (int k = 0; k < TURNS_MAX && seam_turn(NULL); k++)
		;
	testbed_clear();
	return 0;
}
