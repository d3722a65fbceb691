/* SPDX-License-Identifier: Apache-2.0 */
/* TAP devices and the namespaces they are in: what the files of this folder share. Control thread.
 */
#ifndef MILLRACE_EXCEPTION_TAP_H
#define MILLRACE_EXCEPTION_TAP_H

#include <net/if.h>

#include "../iface/iface.h"
#include "../port/netlink.h"
#include "netns.h"

/* The namespace of one VRF. */
struct tap_ns {
	char name[NETNS_NAME_LEN];
	uint16_t vrf;
	int fd;
	/* Made by this program, now or before it was killed: to be removed. */
	bool made;
	struct nl nl;
	unsigned int n_taps;
	/* Smallest MTU of the ports and sub-interfaces here. */
	uint32_t route_mtu;
	struct tap_ns *next;
};

struct tap {
	struct iface *iface;
	struct tap_ns *ns;
	/* -1 when the device was taken away behind our back; it is made anew by the next tick. */
	int fd;
	int ifindex;
	char name[IFACE_NAME_LEN];
	/* As they are in the kernel; is_up and carrier -1 when not known. */
	struct rte_ether_addr mac;
	uint32_t mtu;
	uint32_t route_mtu;
	int is_up;
	int carrier;
	/* A write failed with something other than a full queue, and that was logged. */
	bool complained;
};

/* ---- tap_dev.c: the device in the kernel ---- */

/* Alias of what this program made, so that leftovers are told from what others put into the
 * namespace. */
void tap_set_mark(const char *netns);
/* Gives a namespace its netlink socket, brings its lo up, and marks it if ns->made. 0, or a
 * negative errno with ns->nl.message. */
int tap_ns_setup(struct tap_ns *ns);
/* Makes the device or takes over one left by a killed process. 0, or a negative errno with the
 * words in ns->nl.message. */
int tap_dev_open(struct tap *t);
/* Deletes the device. */
void tap_dev_close(struct tap *t);
/* Brings flags, MAC, MTU, addresses and routes in line with the interface. 0 or a negative errno.
 */
int tap_dev_sync(struct tap *t);
/* Carrier as the interface's oper state. */
void tap_dev_carrier(struct tap *t);
/* Default routes with the MTU of the namespace. */
int tap_dev_routes(struct tap *t);
int tap_dev_addr(struct tap *t, const struct ip_addr *addr, uint8_t plen, bool add);
/* Removes addresses that the interface does not have. */
void tap_dev_sweep_addrs(struct tap *t);
/* Deletes marked TAPs that no interface claims. */
void tap_ns_sweep(struct tap_ns *ns);

/* ---- tap_io.c: packets ---- */

int tap_io_start(struct tap *t);
void tap_io_stop(struct tap *t);
/* Drains the ring of the workers, for loop_poll_add(). */
bool tap_io_poll(void *arg);

/* ---- punt.c ---- */

/* Whether there is a kernel to punt to; read by the workers. */
extern bool punt_enabled;

#endif
