/* SPDX-License-Identifier: Apache-2.0 */
/* Ports: DPDK devices, their queues and their assignment to workers. Control thread, except where
 * said. */
#ifndef MILLRACE_PORT_H
#define MILLRACE_PORT_H

#include <net/if.h>
#include <rte_ethdev.h>

#include "../core/error.h"
#include "../iface/iface.h"

struct port {
	/* ---- read by the workers ---- */
	/* Destination MAC of frames for the box in the low 48 bits, as loaded from memory. */
	uint64_t mac64;
	/* Interface of untagged frames. */
	uint16_t iface;
	bool promisc;
	/* Buffers a packet may have (UINT16_MAX: any number); whether it computes TCP and IPv4
	 * header checksums; octets of payload of the TCP segments it cuts (0: does not). */
	uint16_t max_segs;
	bool tx_checksum;
	uint32_t tso_max;
	/* Interface per VLAN id, IFACE_NONE where there is none. */
	uint16_t vlan_iface[4096];
	/* ---- control thread only ---- */
	uint16_t id;
	char device[256];
	char driver[32];
	/* Kernel netdev behind an iface= port, with its index and the namespace-local state seen by
	 * netlink; or empty. */
	char netdev[IF_NAMESIZE];
	int netdev_index;
	bool netdev_up;
	bool started;
	bool link_up;
	bool removed;
	uint64_t speed;
	bool full_duplex;
	uint16_t n_rxq, n_txq, n_rxd, n_txd;
	bool rss;
	uint16_t max_mtu;
	/* In force. */
	uint16_t mtu;
	/* The device's own, before it was given another. */
	struct rte_ether_addr own_mac;
	struct rte_eth_stats stats_base;
	/* File descriptors found behind the queues of an af_packet or af_xdp device. */
	int wake_fd[64];
};

/* Index by DPDK port id. Workers: never NULL for a port they were given a queue of. */
extern struct port *ports[RTE_MAX_ETHPORTS];

/* Probes the device, configures and starts it; the port is given to workers by
 * port_attach_workers(). */
int port_create(const struct iface_config *c, struct port **out, struct dp_error *err);
/* Takes the queues from the workers, waits for them, stops and removes the device. */
void port_destroy(struct port *p);
int port_set_mtu(struct port *p, uint16_t mtu, struct dp_error *err);
int port_set_mac(struct port *p, const struct rte_ether_addr *mac, struct dp_error *err);
int port_set_promisc(struct port *p, bool on, struct dp_error *err);
/* Gives all queues of all ports to the workers anew. */
void port_assign_queues(void);
/* Reads link state; calls iface_update_oper() on a change. */
void port_poll_link(struct port *p);
int port_init(void);

#endif
