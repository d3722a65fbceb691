/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_graph_worker.h>
#include <rte_launch.h>
#include <rte_malloc.h>

#include "../fib/nexthop.h"
#include "../iface/iface.h"
#include "../tcp/term.h"
#include "../trace/trace.h"
#include "log.h"
#include "loop.h"
#include "ring.h"

/* An idle worker polls this long before it sleeps … */
#define SPIN_NS 20000
/* … and, if it has a queue that cannot wake it, sleeps this long at a time: the longest a packet
 * waits for it. */
#define NAP_NS 80000
/* With file descriptors that wake it, only housekeeping ends the sleep. */
#define SLEEP_MS 500

struct worker *workers[WORKER_MAX];
unsigned int n_workers;
__thread struct worker *worker_self;
struct rte_rcu_qsbr *dp_rcu;
struct rte_mempool *dp_pool;
static bool never_sleep;
static volatile bool stopping;

void dp_rcu_synchronize(void)
{
	rte_rcu_qsbr_synchronize(dp_rcu, RTE_QSBR_THRID_INVALID);
}

void bucket_init(struct bucket *b, uint32_t rate, uint32_t burst)
{
	uint64_t hz = rte_get_tsc_hz();

	b->cost = rate == 0 ? 0 : RTE_MAX(hz / rate, 1u);
	b->depth = b->cost * RTE_MAX(burst, 1u);
	b->tokens = b->depth;
	b->last = rte_rdtsc();
}

void worker_kick(struct worker *w)
{
	const uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&w->asleep, __ATOMIC_RELAXED) &&
	    write(w->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static struct rte_ring *ring(const char *what, unsigned int id, unsigned int size)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u", what, id);
	return rte_ring_create(name, size, SOCKET_ID_ANY, RING_F_SC_DEQ);
}

static int worker_create(unsigned int id, int cpu)
{
	static const char *patterns[] = {"port-rx", "control-input", "tcp-timer"};
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY,
		.nb_node_patterns = RTE_DIM(patterns),
		.node_patterns = patterns,
	};
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
	struct worker *w = rte_zmalloc("worker", sizeof(*w), RTE_CACHE_LINE_SIZE);
	char name[RTE_GRAPH_NAMESIZE];

	if (w == NULL)
		return -ENOMEM;
	w->id = (uint16_t)id;
	w->cpu = cpu;
	w->inject = ring("inject", id, 4096);
	w->dispatch = ring("dispatch", id, 4096);
	w->tx_in = ring("tx-in", id, 4096);
	w->iface_stats = rte_zmalloc("iface_stats", IFACE_MAX * sizeof(*w->iface_stats), 64);
	w->nh_stats = rte_zmalloc("nh_stats", (size_t)nexthops_max * sizeof(*w->nh_stats), 64);
	w->rxqs = rte_zmalloc("rxqs", sizeof(*w->rxqs), 0);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->inject == NULL || w->dispatch == NULL || w->tx_in == NULL ||
	    w->iface_stats == NULL || w->nh_stats == NULL || w->rxqs == NULL || w->wake_fd < 0 ||
	    w->epoll_fd < 0)
		return -ENOMEM;
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &ev) < 0)
		return -errno;
	for (unsigned int p = 0; p < RTE_MAX_ETHPORTS; p++)
		w->txq[p] = UINT16_MAX;
	bucket_init(&w->icmp_error, 1000, 100);

	snprintf(name, sizeof(name), "worker-%u", id);
	w->graph_id = rte_graph_create(name, &param);
	if (w->graph_id == RTE_GRAPH_ID_INVALID) {
		LOG_ERR("graph of worker %u: %s", id, rte_strerror(rte_errno));
		return -rte_errno;
	}
	w->graph = rte_graph_lookup(name);
	workers[id] = w;
	return 0;
}

int workers_create(unsigned int n, const int *cpus, bool poll)
{
	size_t size = rte_rcu_qsbr_get_memsize(WORKER_MAX);
	int rc;

	never_sleep = poll;
	dp_rcu = rte_zmalloc("rcu", size, RTE_CACHE_LINE_SIZE);
	if (dp_rcu == NULL || rte_rcu_qsbr_init(dp_rcu, WORKER_MAX) != 0)
		return -ENOMEM;
	rc = punt_rings_create(0);
	if (rc < 0)
		return rc;
	for (unsigned int i = 0; i < n; i++) {
		rc = worker_create(i, cpus[i]);
		if (rc < 0)
			return rc;
	}
	n_workers = n;
	return 0;
}

void workers_stop(void)
{
	stopping = true;
	for (unsigned int i = 0; i < n_workers; i++)
		worker_kick(workers[i]);
}

void worker_set_rxqs(struct worker *w, struct worker_rxqs *qs)
{
	struct worker_rxqs *old = w->rxqs;

	for (uint16_t i = 0; i < old->n; i++)
		if (old->q[i].wake_fd >= 0)
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, old->q[i].wake_fd, NULL);
	for (uint16_t i = 0; i < qs->n; i++) {
		/* Edge triggered: the queue is polled empty before each sleep, and a device's error
		 * state must not spin. */
		struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = i};

		if (qs->q[i].wake_fd >= 0 &&
		    epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, qs->q[i].wake_fd, &ev) < 0)
			qs->q[i].wake_fd = -1;
	}
	__atomic_store_n(&w->rxqs, qs, __ATOMIC_RELEASE);
	worker_kick(w);
	dp_rcu_synchronize();
	rte_free(old);
}

/* True if something can wake this worker for every queue it polls. */
static bool arm(const struct worker_rxqs *qs)
{
	for (uint16_t i = 0; i < qs->n; i++) {
		if (qs->q[i].wake_fd < 0)
			return false;
		if (qs->q[i].intr && rte_eth_dev_rx_intr_enable(qs->q[i].port, qs->q[i].queue) != 0)
			return false;
	}
	return true;
}

static void disarm(const struct worker_rxqs *qs)
{
	for (uint16_t i = 0; i < qs->n; i++)
		if (qs->q[i].intr)
			rte_eth_dev_rx_intr_disable(qs->q[i].port, qs->q[i].queue);
}

static __rte_noinline void run_call(struct worker *w, const struct worker_call *c)
{
	c->fn(w, c->arg);
	__atomic_store_n(&w->call, NULL, __ATOMIC_RELEASE);
	w->loop_worked = true;
}

static void walk(struct worker *w)
{
	const struct worker_call *call = __atomic_load_n(&w->call, __ATOMIC_ACQUIRE);
	const uint64_t one = 1;

	w->loop_packets = 0;
	w->loop_worked = false;
	if (unlikely(call != NULL))
		run_call(w, call);
	if (unlikely(__atomic_load_n(&w->trace, __ATOMIC_ACQUIRE) != NULL))
		trace_walk(w);
	else
		rte_graph_walk(w->graph);
	w->rx_packets += w->loop_packets;
	if (unlikely(w->kick_control)) {
		w->kick_control = false;
		loop_kick();
	}
	while (unlikely(w->kick_workers != 0)) {
		unsigned int id = (unsigned int)__builtin_ctz(w->kick_workers);

		w->kick_workers &= w->kick_workers - 1;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&workers[id]->asleep, __ATOMIC_RELAXED) &&
		    write(workers[id]->wake_fd, &one, sizeof(one)) < 0)
			continue;
	}
}

/* ns: until the next timer. */
static void nap(struct worker *w, bool can_wake, uint64_t ns)
{
	const uint64_t most = can_wake ? SLEEP_MS * 1000000ull : NAP_NS;
	struct epoll_event ev[16];
	struct timespec ts;
	uint64_t n;

	ns = RTE_MIN(ns, most);
	ts = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
			       .tv_nsec = (long)(ns % 1000000000u)};
	epoll_pwait2(w->epoll_fd, ev, RTE_DIM(ev), &ts, NULL);
	while (read(w->wake_fd, &n, sizeof(n)) > 0)
		;
}

/* Sleeps until a packet comes, or a while. Returns the cycles spent asleep. */
static uint64_t doze(struct worker *w)
{
	struct worker_rxqs *qs = w->rxqs;
	uint64_t t0, t1, timer;
	bool can_wake;

	__atomic_store_n(&w->asleep, 1, __ATOMIC_RELAXED);
	can_wake = arm(qs);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* What came before the queues were armed and asleep was seen. */
	walk(w);
	t0 = rte_rdtsc();
	timer = term_idle_ns(w);
	if (w->loop_packets == 0 && !w->loop_worked && timer != 0 && !stopping) {
		rte_rcu_qsbr_thread_offline(dp_rcu, w->id);
		nap(w, can_wake, timer);
		rte_rcu_qsbr_thread_online(dp_rcu, w->id);
		w->sleeps++;
	}
	t1 = rte_rdtsc();
	/* qs is only looked at while still in force: offline, the control thread may have freed it.
	 */
	if (__atomic_load_n(&w->rxqs, __ATOMIC_ACQUIRE) == qs)
		disarm(qs);
	__atomic_store_n(&w->asleep, 0, __ATOMIC_RELAXED);
	return t1 - t0;
}

static int worker_main(void *arg)
{
	struct worker *w = arg;
	const uint64_t spin = rte_get_tsc_hz() / 1000000000.0 * SPIN_NS;
	uint64_t t0, t1, last_busy;

	worker_self = w;
	/* Naps of tens of microseconds are no use with the default slack of 50. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	rte_rcu_qsbr_thread_register(dp_rcu, w->id);
	rte_rcu_qsbr_thread_online(dp_rcu, w->id);
	t0 = last_busy = rte_rdtsc();
	while (likely(!stopping)) {
		rte_rcu_qsbr_quiescent(dp_rcu, w->id);
		walk(w);
		w->loops++;
		t1 = rte_rdtsc();
		if (w->loop_packets != 0 || w->loop_worked) {
			w->busy_cycles += t1 - t0;
			last_busy = t1;
		} else {
			w->idle_cycles += t1 - t0;
			if (t1 - last_busy > spin && !never_sleep) {
				uint64_t slept = doze(w);

				w->sleep_cycles += slept;
				t0 = rte_rdtsc();
				w->idle_cycles += t0 - t1 - slept;
				continue;
			}
			rte_pause();
		}
		t0 = t1;
	}
	rte_rcu_qsbr_thread_offline(dp_rcu, w->id);
	rte_rcu_qsbr_thread_unregister(dp_rcu, w->id);
	__atomic_store_n(&w->running, false, __ATOMIC_RELEASE);
	return 0;
}

int worker_launch(struct worker *w, unsigned int lcore)
{
	int rc;

	w->lcore = lcore;
	w->running = true;
	rc = rte_eal_remote_launch(worker_main, w, lcore);
	if (rc != 0)
		w->running = false;
	return rc;
}

static void call_begin(struct worker *w, const struct worker_call *c)
{
	__atomic_store_n(&w->call, c, __ATOMIC_RELEASE);
	worker_kick(w);
}

static void call_end(struct worker *w, const struct worker_call *c)
{
	struct worker *self = worker_self;

	while (__atomic_load_n(&w->call, __ATOMIC_ACQUIRE) != NULL) {
		if (!__atomic_load_n(&w->running, __ATOMIC_ACQUIRE)) {
			/* It may have done it as its last deed. */
			if (__atomic_exchange_n(&w->call, NULL, __ATOMIC_ACQUIRE) != NULL) {
				worker_self = w;
				c->fn(w, c->arg);
				worker_self = self;
			}
			return;
		}
		/* They may share a CPU. */
		sched_yield();
	}
}

void worker_call(struct worker *w, worker_fn fn, void *arg)
{
	const struct worker_call c = {.fn = fn, .arg = arg};

	call_begin(w, &c);
	call_end(w, &c);
}

void workers_call(worker_fn fn, void *args, size_t stride)
{
	struct worker_call c[WORKER_MAX];

	for (unsigned int i = 0; i < n_workers; i++) {
		c[i] = (struct worker_call){.fn = fn, .arg = (char *)args + i * stride};
		call_begin(workers[i], &c[i]);
	}
	for (unsigned int i = 0; i < n_workers; i++)
		call_end(workers[i], &c[i]);
}

void worker_iface_stats(uint16_t iface, struct iface_stats *sum)
{
	*sum = (struct iface_stats){0};
	for (unsigned int i = 0; i < n_workers; i++) {
		const struct iface_stats *s = &workers[i]->iface_stats[iface];

		sum->rx_packets += s->rx_packets;
		sum->rx_octets += s->rx_octets;
		sum->rx_multicast += s->rx_multicast;
		sum->rx_broadcast += s->rx_broadcast;
		sum->rx_discards += s->rx_discards;
		sum->tx_packets += s->tx_packets;
		sum->tx_octets += s->tx_octets;
		sum->tx_discards += s->tx_discards;
		sum->punted += s->punted;
	}
}

void worker_nh_stats(uint32_t nh, struct nh_stats *sum)
{
	*sum = (struct nh_stats){0};
	for (unsigned int i = 0; i < n_workers; i++) {
		sum->packets += workers[i]->nh_stats[nh].packets;
		sum->octets += workers[i]->nh_stats[nh].octets;
	}
}
