/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the whole data plane. */
#include "../core/worker.h"
#include "../exception/exception.h"
#include "../neigh/neigh.h"
#include "ops.h"
#include "valid.h"

#define RATE_MAX 10000000u

/* Fields that are 0 take the default, so that what is in force is what the last Settings said. */
static uint32_t or_default(uint32_t v, uint32_t preset)
{
	return v != 0 ? v : preset;
}

int op_settings(const PB(Settings) *m, struct owner_tag tag, struct dp_error *err)
{
	uint32_t rate;

	(void)tag;
	if (valid_known(&m->base, err) < 0 ||
	    valid_range(m->neighbor_limit, 0, 65536, "neighbor_limit", err) < 0 ||
	    valid_range(m->neighbor_queue, 0, 256, "neighbor_queue", err) < 0 ||
	    valid_range(m->neighbor_reachable_time, 0, 3600, "neighbor_reachable_time", err) < 0 ||
	    valid_range(m->neighbor_stale_time, 0, 604800, "neighbor_stale_time", err) < 0 ||
	    valid_range(m->icmp_error_rate, 0, RATE_MAX, "icmp_error_rate", err) < 0 ||
	    valid_range(m->punt_rate, 0, RATE_MAX, "punt_rate", err) < 0 ||
	    valid_range(m->neighbor_rate, 0, RATE_MAX, "neighbor_rate", err) < 0)
		return -1;
	neigh_settings.limit = or_default(m->neighbor_limit, 4096);
	neigh_settings.queue = or_default(m->neighbor_queue, 16);
	neigh_settings.reachable_s = or_default(m->neighbor_reachable_time, 30);
	neigh_settings.stale_s = or_default(m->neighbor_stale_time, 1200);
	neigh_settings.rate = or_default(m->neighbor_rate, 2000);
	punt_settings.rate = or_default(m->punt_rate, 20000);
	punt_settings.icmp_rate = or_default(m->punt_rate, 1000);
	/* A worker that uses its bucket meanwhile at worst lets one burst more or less pass. */
	rate = or_default(m->icmp_error_rate, 1000);
	for (unsigned int i = 0; i < n_workers; i++)
		bucket_init(&workers[i]->icmp_error, rate, RTE_MAX(rate / 10, 1u));
	return 0;
}
