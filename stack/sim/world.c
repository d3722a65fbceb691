/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

void world_init(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->rng.s = rng_mix(seed ^ 0x6d696c6c72616365u);
	/* Not a round number, and not near 0: nothing may count on either. */
	w->now = SEC + rng_below(&w->rng, 1000 * SEC);
	/* Now and then a millisecond clock of 32 bits wraps during the run. */
	if (rng_percent(&w->rng, 10))
		w->now += UINT32_MAX * MSEC - 1001 * SEC;
	w->end = w->now + 24 * 3600 * SEC;
	w->steps_max = 3000000;
}

void world_free(struct world *w)
{
	for (uint8_t i = 0; i < w->n_hosts; i++)
		host_crash(&w->hosts[i]);
	for (uint32_t i = 0; i < w->n_events; i++)
		if (w->events[i].drop != NULL)
			w->events[i].drop(w->events[i].arg);
	free(w->events);
	w->events = NULL;
	w->n_events = 0;
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void world_at(struct world *w, uint64_t at, void (*fn)(void *arg), void *arg)
{
	world_at_owned(w, at, fn, NULL, arg);
}

void world_at_owned(struct world *w, uint64_t at, void (*fn)(void *arg), void (*drop)(void *arg),
		    void *arg)
{
	uint32_t i = w->n_events++;

	if (w->n_events > w->cap_events) {
		w->cap_events = w->cap_events == 0 ? 256 : 2 * w->cap_events;
		w->events = realloc(w->events, w->cap_events * sizeof(*w->events));
		if (w->events == NULL)
			abort();
	}
	w->events[i] = (struct event){RTE_MAX(at, w->now), w->order++, fn, drop, arg};
	while (i > 0 && before(&w->events[i], &w->events[(i - 1) / 2])) {
		struct event e = w->events[i];

		w->events[i] = w->events[(i - 1) / 2];
		w->events[(i - 1) / 2] = e;
		i = (i - 1) / 2;
	}
}

static struct event take_first(struct world *w)
{
	struct event first = w->events[0], last = w->events[--w->n_events];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < w->n_events) {
		if (child + 1 < w->n_events && before(&w->events[child + 1], &w->events[child]))
			child++;
		if (!before(&w->events[child], &last))
			break;
		w->events[i] = w->events[child];
		i = child;
	}
	w->events[i] = last;
	return first;
}

void world_run(struct world *w)
{
	while (!w->failed && !w->stopped && w->n_events > 0) {
		struct event e = take_first(w);

		if (e.at > w->end) {
			world_fail(w, "still busy after its time, with %u events", w->n_events);
			break;
		}
		w->now = e.at;
		if (++w->steps > w->steps_max) {
			world_fail(w, "more than %lu steps, %lu packets sent",
				   (unsigned long)w->steps_max, (unsigned long)w->packets);
			break;
		}
		e.fn(e.arg);
	}
}

void world_fail(struct world *w, const char *format, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, format);
	vsnprintf(w->why, sizeof(w->why), format, ap);
	va_end(ap);
	world_note(w, "FAILED: %s", w->why);
}

void world_note(struct world *w, const char *format, ...)
{
	va_list ap;

	if (!w->verbose)
		return;
	printf("%lu.%09lu -- ", (unsigned long)(w->now / SEC), (unsigned long)(w->now % SEC));
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
}
