/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of `iface=NAME` ports: link state by rtnetlink in the data plane's own network
 * namespace, and the sockets a PMD opened, so that a worker can sleep on them. Control thread.
 */
#ifndef MILLRACE_PORT_NETDEV_H
#define MILLRACE_PORT_NETDEV_H

#include <stdbool.h>
#include <stdint.h>

/* Opens the sockets in the calling thread's namespace and watches links from then on. 0 or a
 * negative errno. */
int netdev_init(void);
void netdev_fini(void);

/*
 * Asks the kernel now. False if there is no such device. oper_up: configured up and able to carry
 * packets (RFC 2863 up or unknown, as devices that do not tell have it). Any of the pointers may be
 * NULL.
 */
bool netdev_state(const char *name, int *ifindex, bool *oper_up, uint64_t *mtu, uint8_t mac[6]);

/* These return 0 or a negative errno; netdev_error() has the kernel's words then. */
int netdev_up(const char *name);
int netdev_down(const char *name);
int netdev_set_promisc(const char *name, bool on);
int netdev_set_mtu(const char *name, uint64_t mtu);
int netdev_set_mac(const char *name, const uint8_t mac[6]);
const char *netdev_error(void);

/*
 * Which file descriptors are open: taken before a device is probed (and its queues set up), to find
 * the sockets it opened. Only those below NETDEV_FD_MAX are seen; a process with more open gets no
 * wake-up descriptors, and polls.
 */
#define NETDEV_FD_MAX 4096
struct netdev_fds {
	uint64_t open[NETDEV_FD_MAX / 64];
};
int netdev_fds_read(struct netdev_fds *s);
/*
 * Sockets of the domain (AF_PACKET or AF_XDP) opened since `before`, in ascending order, which is
 * the order the PMDs open them in: one per queue. AF_PACKET ones are only taken if bound to ifindex
 * (0: any). Returns how many there are (fds gets the first max), or a negative errno.
 */
int netdev_find_socket_fds(const struct netdev_fds *before, int domain, int ifindex, int *fds,
			   unsigned int max);

/*
 * In port.c: a device appeared, changed, or went away (present false; name is the last one known).
 * Also called for devices that are no ports.
 */
void port_netdev_event(int ifindex, const char *name, bool present, bool oper_up);

#endif
