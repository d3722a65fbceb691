/* SPDX-License-Identifier: Apache-2.0 */
#include "port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_malloc.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "../core/worker.h"
#include "../seam/seam.h"
#include "device.h"
#include "netdev.h"

#define DESCRIPTORS_DEFAULT 1024
#define LINK_POLL_MS	    100
#define FRAME_OVERHEAD	    18
#define MTU_MAX		    9000
/* Payload of a segment a device cuts: beyond 16 packets little is gained, and devices have limits
 * of their own on the number of buffers. */
#define TSO_MAX (16 * 1448)
/* A device that takes fewer buffers than that is not trusted with large segments. */
#define TSO_SEGS_MIN 20

struct port *ports[RTE_MAX_ETHPORTS];

/* Set by DPDK's interrupt thread; the loop's next turn reads the links. */
static uint32_t link_changed;

static int on_link(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	(void)arg;
	(void)ret;
	if (type == RTE_ETH_EVENT_INTR_RMV && ports[id] != NULL)
		ports[id]->removed = true;
	__atomic_store_n(&link_changed, 1, __ATOMIC_RELAXED);
	loop_kick();
	return 0;
}

static uint16_t queues(uint16_t want, uint16_t max, const char *field, struct dp_error *err)
{
	if (want > max) {
		dp_fail(err, DP_UNSUPPORTED, field, "%u queues asked for, the device has %u", want,
			max);
		return 0;
	}
	if (want != 0)
		return want;
	return RTE_MAX(RTE_MIN(max, (uint16_t)n_workers), 1);
}

/* What the device does for packets the box makes itself; forwarded ones ask for nothing. */
static uint64_t tx_offloads(struct port *p, const struct rte_eth_dev_info *info)
{
	const uint64_t sums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	uint64_t capa = info->tx_offload_capa, use = capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	p->max_segs = use == 0 ? 1 : info->tx_desc_lim.nb_seg_max;
	if (p->max_segs == 0)
		p->max_segs = UINT16_MAX;
	p->tx_checksum = (capa & sums) == sums;
	if (p->tx_checksum)
		use |= sums;
	/* A large segment is several buffers. DPDK's TAP driver holds them, Ethernet header
	 * included, against the MTU and refuses those of a full MSS. */
	if (strcmp(info->driver_name, "net_tap") != 0 && p->tx_checksum &&
	    p->max_segs >= TSO_SEGS_MIN && (capa & RTE_ETH_TX_OFFLOAD_TCP_TSO)) {
		use |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
		p->tso_max = TSO_MAX;
	}
	return use;
}

static int configure(struct port *p, const struct iface_config *c,
		     const struct rte_eth_dev_info *info, struct dp_error *err)
{
	struct rte_eth_conf conf = {0};
	int rc;

	p->n_rxq = queues(c->rxq, info->max_rx_queues, "rx_queues", err);
	p->n_txq = queues(c->txq, info->max_tx_queues, "tx_queues", err);
	if (p->n_rxq == 0 || p->n_txq == 0)
		return -1;
	p->rss = p->n_rxq > 1 && info->flow_type_rss_offloads != 0;
	/* Several queues without RSS would leave all but the first empty. */
	if (p->n_rxq > 1 && !p->rss && c->rxq == 0)
		p->n_rxq = 1;
	if (p->rss) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) &
			info->flow_type_rss_offloads;
	}
	conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER & info->rx_offload_capa;
	conf.txmode.offloads = tx_offloads(p, info);
	conf.intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	conf.intr_conf.rxq = 1;
	rc = rte_eth_dev_configure(p->id, p->n_rxq, p->n_txq, &conf);
	if (rc != 0) {
		/* Not every device has receive interrupts. */
		conf.intr_conf.rxq = 0;
		rc = rte_eth_dev_configure(p->id, p->n_rxq, p->n_txq, &conf);
	}
	if (rc != 0)
		return dp_fail(err, DP_DEVICE, "device", "cannot be configured: %s",
			       rte_strerror(-rc));
	return 0;
}

static int setup_queues(struct port *p, const struct iface_config *c, struct dp_error *err)
{
	int socket = rte_eth_dev_socket_id(p->id), rc;

	p->n_rxd = c->rxd != 0 ? c->rxd : DESCRIPTORS_DEFAULT;
	p->n_txd = c->txd != 0 ? c->txd : DESCRIPTORS_DEFAULT;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &p->n_rxd, &p->n_txd);
	if (rc != 0)
		return dp_fail(err, DP_UNSUPPORTED, "rx_descriptors", "%u and %u descriptors: %s",
			       c->rxd, c->txd, rte_strerror(-rc));
	for (uint16_t q = 0; q < p->n_rxq; q++) {
		rc = rte_eth_rx_queue_setup(p->id, q, p->n_rxd, (unsigned int)socket, NULL,
					    dp_pool);
		if (rc != 0)
			return dp_fail(err, DP_DEVICE, "rx_queues", "receive queue %u: %s", q,
				       rte_strerror(-rc));
	}
	for (uint16_t q = 0; q < p->n_txq; q++) {
		rc = rte_eth_tx_queue_setup(p->id, q, p->n_txd, (unsigned int)socket, NULL);
		if (rc != 0)
			return dp_fail(err, DP_DEVICE, "tx_queues", "transmit queue %u: %s", q,
				       rte_strerror(-rc));
	}
	return 0;
}

static void load_mac(struct port *p)
{
	struct rte_ether_addr mac;
	uint64_t v = 0;

	rte_eth_macaddr_get(p->id, &mac);
	memcpy(&v, mac.addr_bytes, 6);
	p->mac64 = v;
}

static int start(struct port *p, const struct iface_config *c, struct dp_error *err)
{
	uint16_t mtu = 0;
	int rc;

	/* The PMDs of netdevs say 1,500 whatever the netdev has. */
	if (p->netdev[0] == 0) {
		rte_eth_dev_get_mtu(p->id, &mtu);
		p->mtu = mtu;
	}
	p->mtu = RTE_MIN(p->mtu, RTE_MIN(p->max_mtu, MTU_MAX));
	rte_eth_macaddr_get(p->id, &p->own_mac);
	if (c->has_mac && port_set_mac(p, &c->mac, err) < 0)
		return -1;
	if (c->mtu != 0 && c->mtu != p->mtu && port_set_mtu(p, c->mtu, err) < 0)
		return -1;
	rc = rte_eth_dev_start(p->id);
	if (rc != 0)
		return dp_fail(err, DP_DEVICE, "device", "cannot be started: %s",
			       rte_strerror(-rc));
	load_mac(p);
	rc = rte_eth_allmulticast_enable(p->id);
	if (c->promiscuous && port_set_promisc(p, true, err) < 0)
		return -1;
	/* ND and router traffic are multicast: a device that cannot take all of it has to take
	 * everything. */
	if (rc != 0 && !c->promiscuous)
		rte_eth_promiscuous_enable(p->id);
	return 0;
}

/* What a worker can sleep on, per receive queue. */
static void find_wake_fds(struct port *p, const struct netdev_fds *before)
{
	int n = 0;

	for (unsigned int q = 0; q < RTE_DIM(p->wake_fd); q++)
		p->wake_fd[q] = -1;
	if (p->netdev[0] != 0) {
		bool xdp = strcmp(p->driver, "net_af_xdp") == 0;

		n = netdev_find_socket_fds(before, xdp ? AF_XDP : AF_PACKET,
					   xdp ? 0 : p->netdev_index, p->wake_fd,
					   RTE_DIM(p->wake_fd));
		if (n == p->n_rxq)
			return;
		/* Not the picture expected of this driver: then poll. */
		for (unsigned int q = 0; q < RTE_DIM(p->wake_fd); q++)
			p->wake_fd[q] = -1;
	}
}

int port_create(const struct iface_config *c, struct port **out, struct dp_error *err)
{
	struct port *p = rte_zmalloc("port", sizeof(*p), RTE_CACHE_LINE_SIZE);
	struct rte_device *dev = NULL;
	struct rte_eth_dev_info info;
	struct netdev_fds before;

	if (p == NULL)
		return dp_fail(err, DP_NO_MEMORY, "device", "no memory");
	netdev_fds_read(&before);
	snprintf(p->device, sizeof(p->device), "%s", c->device);
	if (device_probe(p, c, err) < 0) {
		rte_free(p);
		return -1;
	}
	if (rte_eth_dev_info_get(p->id, &info) != 0) {
		dp_fail(err, DP_DEVICE, "device", "the device says nothing about itself");
		goto fail;
	}
	dev = info.device;
	snprintf(p->driver, sizeof(p->driver), "%s", info.driver_name);
	p->max_mtu = RTE_MIN(p->max_mtu, info.max_mtu);
	if (configure(p, c, &info, err) < 0 || setup_queues(p, c, err) < 0 || start(p, c, err) < 0)
		goto fail;
	find_wake_fds(p, &before);
	rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_LSC, on_link, NULL);
	rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_RMV, on_link, NULL);
	if (p->netdev[0] != 0)
		netdev_state(p->netdev, NULL, &p->netdev_up, NULL, NULL);
	p->started = true;
	ports[p->id] = p;
	rte_eth_stats_get(p->id, &p->stats_base);
	port_poll_link(p);
	LOG_INFO("port %u: %s, driver %s, %u receive and %u transmit queues%s, %s", p->id,
		 p->device, p->driver, p->n_rxq, p->n_txq, p->rss ? " with RSS" : "",
		 p->wake_fd[0] >= 0 ? "wakes by socket" : "polled or by interrupt");
	*out = p;
	return 0;
fail:
	rte_eth_dev_stop(p->id);
	rte_eth_dev_close(p->id);
	device_remove(dev);
	rte_free(p);
	return -1;
}

void port_destroy(struct port *p)
{
	struct rte_eth_dev_info info;
	struct rte_device *dev = NULL;

	if (rte_eth_dev_info_get(p->id, &info) == 0)
		dev = info.device;
	p->started = false;
	port_assign_queues();
	/* Packets on their way to the port, in a vector or in a ring, find it stopped. */
	dp_rcu_synchronize();
	ports[p->id] = NULL;
	dp_rcu_synchronize();
	rte_eth_dev_callback_unregister(p->id, RTE_ETH_EVENT_INTR_LSC, on_link, NULL);
	rte_eth_dev_callback_unregister(p->id, RTE_ETH_EVENT_INTR_RMV, on_link, NULL);
	/* A netdev would keep it. */
	if (memcmp(&p->mac64, &p->own_mac, sizeof(p->own_mac)) != 0)
		port_set_mac(p, &p->own_mac, NULL);
	rte_eth_dev_stop(p->id);
	rte_eth_dev_close(p->id);
	device_remove(dev);
	rte_free(p);
}

int port_set_mtu(struct port *p, uint16_t mtu, struct dp_error *err)
{
	uint32_t room = rte_pktmbuf_data_room_size(dp_pool) - RTE_PKTMBUF_HEADROOM - FRAME_OVERHEAD;
	struct rte_eth_dev_info info;
	int rc;

	if (mtu > p->max_mtu)
		return dp_fail(err, DP_UNSUPPORTED, "mtu", "%u is more than the device's %u", mtu,
			       p->max_mtu);
	rte_eth_dev_info_get(p->id, &info);
	if (mtu > room && !(info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER))
		return dp_fail(err, DP_UNSUPPORTED, "mtu",
			       "%u does not fit a packet buffer (%u), and the device cannot chain "
			       "them; start with --mbuf-size %u",
			       mtu, room, mtu + RTE_PKTMBUF_HEADROOM + FRAME_OVERHEAD);
	/* DPDK holds af_packet's MTU against 1,514 bytes, and the PMD would do just this. */
	if (strcmp(p->driver, "net_af_packet") == 0 && p->netdev[0] != 0) {
		if (netdev_set_mtu(p->netdev, mtu) < 0)
			return dp_fail(err, DP_DEVICE, "mtu", "%s refuses %u: %s", p->netdev, mtu,
				       netdev_error());
		p->mtu = mtu;
		return 0;
	}
	rc = rte_eth_dev_set_mtu(p->id, mtu);
	if (rc == -EBUSY) {
		/* Some devices want to be stopped for it: the workers see their queues go for a
		 * moment. */
		bool was = p->started;

		p->started = false;
		port_assign_queues();
		dp_rcu_synchronize();
		rte_eth_dev_stop(p->id);
		rc = rte_eth_dev_set_mtu(p->id, mtu);
		rte_eth_dev_start(p->id);
		p->started = was;
		port_assign_queues();
	}
	/* A device without the notion (null, pcap, ring) carries what fits its buffers. */
	if (rc != 0 && rc != -ENOTSUP)
		return dp_fail(err, DP_DEVICE, "mtu", "the device refuses %u: %s", mtu,
			       rte_strerror(-rc));
	p->mtu = mtu;
	return 0;
}

int port_set_mac(struct port *p, const struct rte_ether_addr *mac, struct dp_error *err)
{
	struct rte_ether_addr addr = *mac;
	int rc;

	if (!rte_is_valid_assigned_ether_addr(mac))
		return dp_fail(err, DP_INVALID, "mac", "it is zero or a group address");
	rc = rte_eth_dev_default_mac_addr_set(p->id, &addr);
	if (rc != 0)
		return dp_fail(err, rc == -ENOTSUP ? DP_UNSUPPORTED : DP_DEVICE, "mac",
			       "the device keeps its own: %s", rte_strerror(-rc));
	load_mac(p);
	return 0;
}

int port_set_promisc(struct port *p, bool on, struct dp_error *err)
{
	int rc = on ? rte_eth_promiscuous_enable(p->id) : rte_eth_promiscuous_disable(p->id);

	if (rc != 0)
		return dp_fail(err, rc == -ENOTSUP ? DP_UNSUPPORTED : DP_DEVICE, "promiscuous",
			       "the device refuses: %s", rte_strerror(-rc));
	p->promisc = on;
	return 0;
}

static void add_queue(struct worker_rxqs *qs, const struct port *p, uint16_t q)
{
	struct worker_rxq *r = &qs->q[qs->n++];

	*r = (struct worker_rxq){
		.port = p->id,
		.queue = q,
		.wake_fd = q < RTE_DIM(p->wake_fd) ? p->wake_fd[q] : -1,
		.dispatch = n_workers > 1 && !p->rss,
	};
	if (r->wake_fd < 0) {
		r->wake_fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q);
		r->intr = r->wake_fd >= 0;
	}
}

void port_assign_queues(void)
{
	for (unsigned int w = 0; w < n_workers; w++) {
		struct worker_rxqs *qs =
			rte_zmalloc("rxqs", sizeof(*qs) + WORKER_RXQ_MAX * sizeof(qs->q[0]),
				    RTE_CACHE_LINE_SIZE);

		if (qs == NULL) {
			LOG_ERR("no memory for the receive queues of worker %u", w);
			return;
		}
		for (unsigned int id = 0; id < RTE_MAX_ETHPORTS; id++) {
			const struct port *p = ports[id];

			if (p == NULL || !p->started)
				continue;
			for (uint16_t q = 0; q < p->n_rxq; q++)
				if ((q + id) % n_workers == w && qs->n < WORKER_RXQ_MAX)
					add_queue(qs, p, q);
			/* Before the port's first packet can reach the worker. */
			workers[w]->tx_owner[id] = (uint8_t)(w % p->n_txq);
			workers[w]->txq[id] = w < p->n_txq ? (uint16_t)w : UINT16_MAX;
		}
		worker_set_rxqs(workers[w], qs);
	}
}

void port_poll_link(struct port *p)
{
	struct rte_eth_link link = {0};
	bool up;

	rte_eth_link_get_nowait(p->id, &link);
	up = link.link_status == RTE_ETH_LINK_UP && !p->removed;
	if (p->netdev[0] != 0)
		up = p->netdev_up && !p->removed;
	p->speed = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	p->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	if (up == p->link_up)
		return;
	p->link_up = up;
	if (p->iface != IFACE_NONE && ifaces[p->iface] != NULL)
		iface_update_oper(ifaces[p->iface]);
}

static void poll_links(uint64_t now_ns, void *arg)
{
	(void)now_ns;
	(void)arg;
	for (unsigned int id = 0; id < RTE_MAX_ETHPORTS; id++)
		if (ports[id] != NULL)
			port_poll_link(ports[id]);
}

static bool poll_changed(void *arg)
{
	(void)arg;
	if (__atomic_exchange_n(&link_changed, 0, __ATOMIC_RELAXED))
		poll_links(0, NULL);
	return false;
}

void port_netdev_event(int ifindex, const char *name, bool present, bool oper_up)
{
	for (unsigned int id = 0; id < RTE_MAX_ETHPORTS; id++) {
		struct port *p = ports[id];

		if (p == NULL || p->netdev[0] == 0 || p->netdev_index != ifindex)
			continue;
		p->netdev_up = present && oper_up;
		if (!present && !p->removed) {
			p->removed = true;
			LOG_WARN("network device %s went away", name);
			if (p->iface != IFACE_NONE)
				seam_event_interface_gone(ifaces[p->iface]->name);
		}
		port_poll_link(p);
	}
}

int port_init(void)
{
	int rc = netdev_init();

	if (rc < 0)
		return rc;
	rc = loop_poll_add(poll_changed, NULL);
	return rc < 0 ? rc : loop_tick_add(LINK_POLL_MS, poll_links, NULL);
}
