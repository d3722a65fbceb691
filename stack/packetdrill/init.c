/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that packetdrill asks for, and the engine behind it. --so_flags takes a list of
 *   mtu=N           octets of IP packet to the peer (1500)
 *   local4=, local6=  address of connections that did not bind() (192.168.0.1, fd3d:a0b:17d6::1)
 *   seed=N          of what is random
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "shim.h"

#define MBUFS	  8192
#define START_NS  1000000000000ull
#define MEM_LIMIT (256ull << 20)

/* The one of this process: for getsockopt() below. */
static struct shim *instance;

static uint64_t env_random(void *ctx)
{
	struct shim *s = ctx;
	uint64_t z;

	/* splitmix64: the same numbers in each run. */
	s->rng += 0x9e3779b97f4a7c15ull;
	z = s->rng;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void *env_alloc(void *ctx, size_t bytes)
{
	void *p = NULL;

	if (posix_memalign(&p, 64, bytes))
		return NULL;
	memset(p, 0, bytes);
	return p;
}

static void env_free(void *ctx, void *p, size_t bytes)
{
	free(p);
}

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "millrace-packetdrill: %s: %s\n", what, why);
	exit(1);
}

static void set_addr(struct tcp_addr *a, const char *text)
{
	uint8_t b[16];

	if (inet_pton(AF_INET6, text, b) == 1) {
		tcp_addr6(a, b);
	} else if (inet_pton(AF_INET, text, b) == 1) {
		uint32_t be;

		memcpy(&be, b, 4);
		tcp_addr4(a, be);
	} else {
		die("--so_flags: not an address", text);
	}
}

static void parse_flags(struct shim *s, const char *flags)
{
	char *copy = strdup(flags ? flags : ""), *at = copy, *f;

	while ((f = strsep(&at, ",")) != NULL) {
		if (!*f)
			continue;
		if (!strncmp(f, "mtu=", 4))
			s->flag_mtu = (uint32_t)atoi(f + 4);
		else if (!strncmp(f, "local4=", 7))
			set_addr(&s->local4, f + 7);
		else if (!strncmp(f, "local6=", 7))
			set_addr(&s->local6, f + 7);
		else if (!strncmp(f, "seed=", 5))
			s->rng = strtoull(f + 5, NULL, 0);
		else
			die("--so_flags: unknown", f);
	}
	free(copy);
}

static void start_eal(void)
{
	char lcores[32], *argv[] = {"packetdrill",
				    "--no-huge",
				    "--no-shconf",
				    "-m",
				    "64",
				    "--no-pci",
				    "--no-telemetry",
				    "--log-level=3",
				    "--file-prefix=packetdrill",
				    lcores,
				    NULL};
	cpu_set_t may;
	int cpu = 0;

	sched_getaffinity(0, sizeof(may), &may);
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &may))
		cpu++;
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu);
	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0)
		die("rte_eal_init", rte_strerror(rte_errno));
	/* EAL has tied the thread to that processor. */
	sched_setaffinity(0, sizeof(may), &may);
}

static void start_engine(struct shim *s)
{
	struct tcp_env env = {
		.ctx = s,
		.random = env_random,
		.route = net_route,
		.tx = net_tx,
		.alloc = env_alloc,
		.free = env_free,
	};
	struct tcp_config cfg = {
		.max_conns = 64,
		.max_segs = 8192,
		.mem_limit = MEM_LIMIT,
		.start_ns = START_NS,
	};

	s->pool = rte_pktmbuf_pool_create("packetdrill", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					  SOCKET_ID_ANY);
	if (!s->pool)
		die("rte_pktmbuf_pool_create", rte_strerror(rte_errno));
	cfg.pool = s->pool;
	s->engine = tcp_engine_create(&cfg, &env);
	if (!s->engine)
		die("tcp_engine_create", strerror(errno));
}

static void shim_free(void *user)
{
	struct shim *s = user;

	for (unsigned int i = 0; i < SHIM_FDS; i++)
		if (s->socks[i])
			sock_free(s->socks[i]);
	tcp_engine_destroy(s->engine);
	net_free(s);
	rte_mempool_free(s->pool);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->cond);
	instance = NULL;
	free(s);
}

/* These are between files: what they move is not in the engine. */
static int shim_pipe(void *user, int fds[2])
{
	errno = ENOSYS;
	return -1;
}

static int shim_splice(void *user, int in, loff_t *off_in, int out, loff_t *off_out, size_t n,
		       unsigned int flags)
{
	errno = ENOSYS;
	return -1;
}

__attribute__((visibility("default"))) void
packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc)
{
	struct shim *s = calloc(1, sizeof(*s));

	if (!s)
		die("calloc", strerror(errno));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	s->tail = &s->head;
	s->now_ns = START_NS;
	s->flag_mtu = 1500;
	s->world.tso = true;
	set_addr(&s->local4, "192.168.0.1");
	set_addr(&s->local6, "fd3d:a0b:17d6::1");
	parse_flags(s, flags);
	start_eal();
	start_engine(s);
	world_read(s);
	*ifc = (struct packetdrill_interface){
		.user = s,
		.free = shim_free,
		.socket = shim_socket,
		.bind = shim_bind,
		.listen = shim_listen,
		.accept = shim_accept,
		.connect = shim_connect,
		.read = shim_read,
		.readv = shim_readv,
		.recv = shim_recv,
		.recvfrom = shim_recvfrom,
		.recvmsg = shim_recvmsg,
		.write = shim_write,
		.writev = shim_writev,
		.send = shim_send,
		.sendto = shim_sendto,
		.sendmsg = shim_sendmsg,
		.fcntl = shim_fcntl,
		.ioctl = shim_ioctl,
		.close = shim_close,
		.shutdown = shim_shutdown,
		.getsockopt = shim_getsockopt,
		.setsockopt = shim_setsockopt,
		.poll = shim_poll,
		.netdev_send = shim_netdev_send,
		.netdev_receive = shim_netdev_receive,
		.usleep = shim_usleep,
		.gettimeofday = shim_gettimeofday,
		.epoll_create = shim_epoll_create,
		.epoll_ctl = shim_epoll_ctl,
		.epoll_wait = shim_epoll_wait,
		.pipe = shim_pipe,
		.splice = shim_splice,
	};
	instance = s;
}

/*
 * For the assertions in scripts packetdrill reads TCP_INFO from the system rather than through the
 * table above. With this object in LD_PRELOAD too, it gets ours.
 */
__attribute__((visibility("default"))) int getsockopt(int fd, int level, int name,
						      void *restrict val, socklen_t *restrict len)
{
	static int (*libc)(int, int, int, void *, socklen_t *);

	if (instance && fd >= 0 && fd < SHIM_FDS && instance->socks[fd])
		return shim_getsockopt(instance, fd, level, name, val, len);
	if (!libc)
		*(void **)&libc = dlsym(RTLD_NEXT, "getsockopt");
	return libc(fd, level, name, val, len);
}
