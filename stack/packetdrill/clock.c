/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of a script: virtual. It moves when the tool sleeps, reads it, or waits for a packet,
 * and stops at each deadline on the way. The tool has two threads, one for blocking calls: what
 * ends such a call hands it the processor before time moves on, so that it returns at that time.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

/* Reading the clock takes this long, else the tool's busy waits would not end. */
#define READ_NS 1000
/* Real time without a call of the tool's main thread after which a blocked call moves time itself:
 * the tool then waits for the call. Long enough for a command run by a script, shorter than the
 * second it waits. */
#define IDLE_MS 600
/* Real time for the other thread to run; only a tool that dies exceeds it. */
#define HANDOFF_MS 2000
/* … and for it to tell the tool what a call returned. */
#define HANDOVER_US 5000

/* This thread is in a blocking call that had to wait, or comes from one. */
static __thread bool in_call, left_call;

static bool timed_wait(struct shim *s, unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return pthread_cond_timedwait(&s->cond, &s->lock, &ts) != ETIMEDOUT;
}

/* Lets the blocked call act on what happened. */
static void handoff(struct shim *s)
{
	if (!s->waiting || in_call)
		return;
	s->owed = true;
	pthread_cond_broadcast(&s->cond);
	while (s->owed && timed_wait(s, HANDOFF_MS)) {
	}
	s->owed = false;
}

static void uncork_due(struct shim *s)
{
	for (unsigned int i = 0; i < SHIM_FDS; i++) {
		struct sock *k = s->socks[i];

		if (!k || !k->uncork_ns || k->uncork_ns > s->now_ns)
			continue;
		if (k->conn)
			tcp_set_more(k->conn, false);
		sock_uncork(k);
	}
}

void clock_settle(struct shim *s)
{
	uint64_t events = s->events;

	tcp_flush(s->engine);
	/* What a service does in a callback may leave work for another round. */
	tcp_flush(s->engine);
	if (s->events != events)
		handoff(s);
}

static uint64_t next_deadline(const struct shim *s)
{
	uint64_t at = tcp_next_timer(s->engine);

	if (s->sleeper_deadline_ns && s->sleeper_deadline_ns < at)
		at = s->sleeper_deadline_ns;
	for (unsigned int i = 0; i < SHIM_FDS; i++) {
		const struct sock *k = s->socks[i];

		if (k && k->uncork_ns && k->uncork_ns < at)
			at = k->uncork_ns;
	}
	return at;
}

static void step_to(struct shim *s, uint64_t at)
{
	/* A deadline may be early: then nothing happens, and time must not stand still. */
	s->now_ns = at > s->now_ns ? at : s->now_ns + READ_NS;
	tcp_poll(s->engine, s->now_ns);
	uncork_due(s);
	clock_settle(s);
	if (s->sleeper_deadline_ns && s->sleeper_deadline_ns <= s->now_ns)
		handoff(s);
}

void clock_advance(struct shim *s, uint64_t to_ns)
{
	uint64_t at;

	while ((at = next_deadline(s)) <= to_ns && s->now_ns < to_ns)
		step_to(s, at);
	if (to_ns > s->now_ns)
		s->now_ns = to_ns;
}

bool clock_step(struct shim *s, uint64_t limit_ns)
{
	uint64_t at = next_deadline(s);

	if (at == UINT64_MAX || at > limit_ns)
		return false;
	step_to(s, at);
	return true;
}

void clock_enter(struct shim *s)
{
	pthread_mutex_lock(&s->lock);
	s->calls++;
	world_check(s);
	/* The engine learns the time from this. */
	tcp_poll(s->engine, s->now_ns);
}

void clock_leave(struct shim *s)
{
	clock_settle(s);
	world_tell(s);
	if (in_call) {
		in_call = false;
		left_call = true;
	}
	pthread_mutex_unlock(&s->lock);
}

void clock_wait(struct shim *s, uint64_t deadline_ns)
{
	uint64_t events = s->events;

	in_call = true;
	clock_settle(s);
	if (s->events != events)
		return;
	s->owed = false;
	s->waiting++;
	s->sleeper_deadline_ns = deadline_ns;
	pthread_cond_broadcast(&s->cond);
	while (s->events == events && (!deadline_ns || s->now_ns < deadline_ns)) {
		uint64_t calls = s->calls;

		if (!timed_wait(s, IDLE_MS) && s->calls == calls) {
			while (s->events == events && s->calls == calls &&
			       (!deadline_ns || s->now_ns < deadline_ns) &&
			       clock_step(s, UINT64_MAX - 1)) {
			}
		}
	}
	s->sleeper_deadline_ns = 0;
	s->waiting--;
}

int shim_usleep(void *user, useconds_t usecs)
{
	struct shim *s = user;

	bool yield;

	clock_enter(s);
	clock_advance(s, s->now_ns + (uint64_t)usecs * 1000);
	yield = s->returned;
	s->returned = false;
	clock_leave(s);
	/* The tool has let go of its lock while it is here, and no longer. */
	if (yield)
		usleep(HANDOVER_US);
	return 0;
}

int shim_gettimeofday(void *user, struct timeval *tv, struct timezone *tz)
{
	struct shim *s = user;

	pthread_mutex_lock(&s->lock);
	tv->tv_sec = (time_t)(s->now_ns / 1000000000);
	tv->tv_usec = (suseconds_t)(s->now_ns / 1000 % 1000000);
	if (left_call) {
		/* The call's end is on record. */
		left_call = false;
		s->owed = false;
		s->returned = true;
		pthread_cond_broadcast(&s->cond);
	} else {
		s->calls++;
		clock_advance(s, s->now_ns + READ_NS);
	}
	pthread_mutex_unlock(&s->lock);
	if (tz)
		*tz = (struct timezone){0};
	return 0;
}
