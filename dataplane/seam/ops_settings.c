/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the whole data plane. */
#include <inttypes.h>

#include "../core/worker.h"
#include "../exception/exception.h"
#include "../neigh/neigh.h"
#include "../tcp/term.h"
#include "ops.h"
#include "valid.h"

#define RATE_MAX 10000000u

/* Fields that are 0 take the default, so that what is in force is what the last Settings said. */
static uint32_t or_default(uint32_t v, uint32_t preset)
{
	return v != 0 ? v : preset;
}

/* Of the TCP engines; they take force when these are made. */
static int tcp_settings(const PB(Settings) *m, struct term_settings *t, struct dp_error *err)
{
	const uint64_t most_memory =
		(uint64_t)dp_pool->size / 4 * 3 * rte_pktmbuf_data_room_size(dp_pool);
	const uint32_t most = 1u << 24;

	if ((m->tcp_max_connections != 0 &&
	     valid_range(m->tcp_max_connections, 1024, most, "tcp_max_connections", err) < 0) ||
	    (m->tcp_max_time_wait != 0 &&
	     valid_range(m->tcp_max_time_wait, 1024, most, "tcp_max_time_wait", err) < 0) ||
	    (m->tcp_memory_limit != 0 &&
	     valid_range(m->tcp_memory_limit, 1u << 20, UINT64_MAX, "tcp_memory_limit", err) < 0) ||
	    (m->tcp_time_wait != 0 &&
	     valid_range(m->tcp_time_wait, 1000, 240000, "tcp_time_wait", err) < 0) ||
	    (m->tcp_port_min != 0 &&
	     valid_range(m->tcp_port_min, 1024, 65535, "tcp_port_min", err) < 0) ||
	    (m->tcp_port_max != 0 &&
	     valid_range(m->tcp_port_max, 1024, 65535, "tcp_port_max", err) < 0) ||
	    valid_range(m->tcp_challenge_ack_rate, 0, RATE_MAX, "tcp_challenge_ack_rate", err) <
		    0 ||
	    valid_range(m->tcp_reset_rate, 0, RATE_MAX, "tcp_reset_rate", err) < 0)
		return -1;
	/* Some are always left for what is forwarded. */
	if (m->tcp_memory_limit > most_memory)
		return dp_fail(err, DP_INVALID, "tcp_memory_limit",
			       "must be %" PRIu64 " at most, three quarters of the packet buffers; "
			       "--mbufs makes more",
			       most_memory);
	t->max_connections = or_default(m->tcp_max_connections, 262144);
	t->max_time_wait = or_default(m->tcp_max_time_wait, t->max_connections);
	t->memory_limit = m->tcp_memory_limit;
	t->time_wait_ms = or_default(m->tcp_time_wait, 60000);
	t->port_min = (uint16_t)or_default(m->tcp_port_min, 32768);
	t->port_max = (uint16_t)or_default(m->tcp_port_max, 60999);
	t->challenge_ack_rate = or_default(m->tcp_challenge_ack_rate, 1000);
	t->reset_rate = or_default(m->tcp_reset_rate, 1000);
	if (t->port_max < t->port_min || t->port_max - t->port_min < 1023)
		return dp_fail(err, DP_INVALID, "tcp_port_max",
			       "must leave 1,024 ports from tcp_port_min %u on", t->port_min);
	return 0;
}

int op_settings(const PB(Settings) *m, struct owner_tag tag, struct dp_error *err)
{
	struct term_settings tcp;
	uint32_t rate;

	(void)tag;
	if (valid_known(&m->base, err) < 0 ||
	    valid_range(m->neighbor_limit, 0, 65536, "neighbor_limit", err) < 0 ||
	    valid_range(m->neighbor_queue, 0, 256, "neighbor_queue", err) < 0 ||
	    valid_range(m->neighbor_reachable_time, 0, 3600, "neighbor_reachable_time", err) < 0 ||
	    valid_range(m->neighbor_stale_time, 0, 604800, "neighbor_stale_time", err) < 0 ||
	    valid_range(m->icmp_error_rate, 0, RATE_MAX, "icmp_error_rate", err) < 0 ||
	    valid_range(m->punt_rate, 0, RATE_MAX, "punt_rate", err) < 0 ||
	    valid_range(m->neighbor_rate, 0, RATE_MAX, "neighbor_rate", err) < 0 ||
	    tcp_settings(m, &tcp, err) < 0)
		return -1;
	term_settings = tcp;
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
