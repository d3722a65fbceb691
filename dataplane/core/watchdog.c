/* SPDX-License-Identifier: Apache-2.0 */
#include "watchdog.h"

#include <string.h>

#include "log.h"
#include "loop.h"

/* Twice the longest sleep of a worker. */
#define PERIOD_MIN_MS 1000
#define PERIOD_MAX_MS 5000

static struct sdnotify supervisor = {.fd = -1};
static struct progress progress;
static int stuck = -1;

int progress_look(struct progress *p, struct worker *const *all, unsigned int n)
{
	int still = -1;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t loops = __atomic_load_n(&all[i]->loops, __ATOMIC_RELAXED);

		if (loops == p->loops[i])
			still = (int)i;
		p->loops[i] = loops;
	}
	return still;
}

unsigned int watchdog_period_ms(uint64_t watchdog_us)
{
	const uint64_t ms = watchdog_us / 4000;

	if (ms < PERIOD_MIN_MS)
		return PERIOD_MIN_MS;
	return ms > PERIOD_MAX_MS ? PERIOD_MAX_MS : (unsigned int)ms;
}

static void tick(uint64_t now_ns, void *arg)
{
	int still = progress_look(&progress, workers, n_workers);

	(void)now_ns;
	(void)arg;
	if (still < 0)
		sdnotify_send(&supervisor, "WATCHDOG=1");
	if (still == stuck)
		return;
	if (still >= 0) {
		LOG_ERR("worker %d makes no progress", still);
		sdnotify_send(&supervisor, "STATUS=worker %d makes no progress", still);
	} else {
		LOG_WARN("all workers make progress again");
		sdnotify_send(&supervisor, "STATUS=forwarding on %u workers", n_workers);
	}
	stuck = still;
}

int watchdog_start(const struct sdnotify *n)
{
	int rc;

	supervisor = *n;
	stuck = -1;
	/* What they had before they began would look like no progress only after a look. */
	memset(&progress, 0xff, sizeof(progress));
	if (n->watchdog_us != 0) {
		rc = loop_tick_add(watchdog_period_ms(n->watchdog_us), tick, NULL);
		if (rc < 0)
			return rc;
	}
	return sdnotify_send(n, "READY=1\nSTATUS=forwarding on %u workers", n_workers);
}

void watchdog_stop(void)
{
	loop_tick_del(tick, NULL);
	sdnotify_send(&supervisor, "STOPPING=1\nSTATUS=stopping");
}
