/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <unistd.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "../core/log.h"
#include "../core/worker.h"
#include "netdev.h"

#define L2_MAX	    22
#define MTU_DEFAULT 1500
#define MTU_MAX	    9000

/* Value of key in "a=x,b=y", or NULL. */
static const char *kv(const char *s, const char *key, char *buf, size_t size)
{
	size_t klen = strlen(key);

	while (s != NULL && *s != 0) {
		size_t len = strcspn(s, ",");

		if (len > klen && strncmp(s, key, klen) == 0 && s[klen] == '=') {
			snprintf(buf, size, "%.*s", (int)(len - klen - 1), s + klen + 1);
			return buf;
		}
		s += len + (s[len] == ',');
	}
	return NULL;
}

static bool known_keys(const char *s, struct dp_error *err)
{
	while (*s != 0) {
		size_t len = strcspn(s, ","), key = strcspn(s, "=,");

		if (s[key] != '=' || !((key == 5 && strncmp(s, "iface", 5) == 0) ||
				       (key == 6 && strncmp(s, "driver", 6) == 0))) {
			dp_fail(err, DP_INVALID, "device",
				"\"%.*s\" is not known; give iface=NAME[,driver=af_packet|af_xdp]",
				(int)len, s);
			return false;
		}
		s += len + (s[len] == ',');
	}
	return true;
}

/* What a frame of the af_packet ring begins with: the ring's own header, and what the kernel may
 * leave free behind it. */
#define FRAME_HEAD 128u
/* The PMD takes a ring only if its frames, less so much, fit a packet buffer. */
#define FRAME_SLACK 32u

/*
 * The af_packet ring's frames hold the largest packet. The PMD takes them to lie one after the
 * other, and the kernel makes them of blocks of whole pages: so halves of one, or whole ones.
 */
static unsigned int frame_size(unsigned int mtu)
{
	unsigned int need = mtu + L2_MAX + FRAME_HEAD;

	return need <= 2048 ? 2048 : RTE_ALIGN_CEIL(need, 4096u);
}

/* Chooses the frames of a port's ring, and with them its largest MTU. */
static int ring_frames(struct port *p, uint16_t mtu, unsigned int *frame, struct dp_error *err)
{
	unsigned int room = rte_pktmbuf_data_room_size(dp_pool) - RTE_PKTMBUF_HEADROOM;
	unsigned int netdev_mtu = RTE_MIN(RTE_MAX(p->mtu, MTU_DEFAULT), MTU_MAX);

	*frame = frame_size(mtu != 0 ? RTE_MAX(mtu, MTU_DEFAULT) : netdev_mtu);
	if (*frame - FRAME_SLACK > room) {
		if (mtu != 0)
			return dp_fail(err, DP_UNSUPPORTED, "mtu",
				       "%u does not fit a packet buffer; start with --mbuf-size %u",
				       mtu, *frame - FRAME_SLACK + RTE_PKTMBUF_HEADROOM);
		/* Nobody asked for what the netdev could do. */
		*frame = 2048;
		p->mtu = MTU_DEFAULT;
	}
	p->max_mtu = (uint16_t)(*frame - L2_MAX - FRAME_HEAD);
	return 0;
}

/*
 * The kernel at the other side of the netdev would speak for itself on the wire, with the same MAC
 * and so the same link-local address: IPv6 off, and no answer to ARP.
 */
static void quiet_kernel(const char *name)
{
	static const struct {
		const char *family, *key, *value;
	} vars[] = {{"ipv6", "disable_ipv6", "1"}, {"ipv4", "arp_ignore", "8"}};

	for (unsigned int i = 0; i < RTE_DIM(vars); i++) {
		char path[160];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", vars[i].family, name,
			 vars[i].key);
		f = fopen(path, "w");
		if (f == NULL || fputs(vars[i].value, f) < 0)
			LOG_WARN("%s cannot be set to %s: the kernel may answer for itself on %s",
				 path, vars[i].value, name);
		if (f != NULL)
			fclose(f);
	}
}

/* "iface=NAME[,driver=…]" to devargs. */
static int netdev_devargs(struct port *p, const struct iface_config *c, char *args, size_t size,
			  struct dp_error *err)
{
	char name[64], driver[32] = "af_packet";
	uint64_t mtu;
	unsigned int frame;
	int rc;

	if (!known_keys(c->device, err))
		return -1;
	if (kv(c->device, "iface", name, sizeof(name)) == NULL || name[0] == 0 ||
	    strlen(name) >= sizeof(p->netdev))
		return dp_fail(err, DP_INVALID, "device",
			       "iface= needs the name of a network device");
	kv(c->device, "driver", driver, sizeof(driver));
	if (strcmp(driver, "af_packet") != 0 && strcmp(driver, "af_xdp") != 0)
		return dp_fail(err, DP_INVALID, "device",
			       "driver \"%s\" is not af_packet or af_xdp", driver);
	if (strcmp(driver, "af_xdp") == 0 && !mb_pool_is_packed(dp_pool))
		return dp_fail(err, DP_UNSUPPORTED, "device",
			       "af_xdp needs virtual addresses for devices: start without "
			       "hugepages, or with --eal=--iova-mode=va");
	if (!netdev_state(name, &p->netdev_index, NULL, &mtu, NULL))
		return dp_fail(
			err, DP_NOT_FOUND, "device",
			"no network device \"%s\" in the data plane's namespace (see: ip link)",
			name);
	rc = netdev_up(name);
	if (rc < 0)
		return dp_fail(err, DP_DEVICE, "device", "cannot set %s up: %s", name,
			       netdev_error());
	quiet_kernel(name);
	snprintf(p->netdev, sizeof(p->netdev), "%s", name);
	p->mtu = (uint16_t)RTE_MIN(mtu, (uint64_t)UINT16_MAX);
	if (strcmp(driver, "af_packet") == 0) {
		if (ring_frames(p, c->mtu, &frame, err) < 0)
			return -1;
		snprintf(args, size,
			 "net_af_packet_%s,iface=%s,blocksz=%u,framesz=%u,framecnt=%u,qpairs=1,"
			 "qdisc_bypass=1",
			 name, name, RTE_MAX(frame, 4096u), frame, 1024u);
		return 0;
	}
	snprintf(args, size, "net_af_xdp_%s,iface=%s,start_queue=0,queue_count=1", name, name);
	return 0;
}

/* The name DPDK knows the device by: devargs up to the first comma. */
static void device_name(const char *args, char *name, size_t size)
{
	snprintf(name, size, "%.*s", (int)strcspn(args, ","), args);
}

static bool looks_like_pci(const char *s)
{
	unsigned int dom, bus, dev, fn;
	int n = 0;

	if (sscanf(s, "%4x:%2x:%2x.%1x%n", &dom, &bus, &dev, &fn, &n) == 4)
		return s[n] == 0 || s[n] == ',';
	n = 0;
	return sscanf(s, "%2x:%2x.%1x%n", &bus, &dev, &fn, &n) == 3 && (s[n] == 0 || s[n] == ',');
}

static int explain_pci(const char *name, struct dp_error *err)
{
	char path[128], link[256];
	const char *driver;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", name);
	if (access(path, F_OK) != 0)
		return dp_fail(err, DP_NOT_FOUND, "device",
			       "there is no PCI device %s (see: lspci -D)", name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", name);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	driver = n > 0 ? strrchr(link, '/') : NULL;
	driver = driver != NULL ? driver + 1 : "no driver";
	if (strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "uio_pci_generic") == 0 ||
	    strcmp(driver, "igb_uio") == 0)
		return dp_fail(err, DP_DEVICE, "device",
			       "%s is bound to %s, but no DPDK driver takes it", name, driver);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", name);
	return dp_fail(err, DP_DEVICE, "device",
		       "%s is bound to %s; bind it for DPDK: driverctl set-override %s %s", name,
		       driver, name, access(path, F_OK) == 0 ? "vfio-pci" : "uio_pci_generic");
}

int device_probe(struct port *p, const struct iface_config *c, struct dp_error *err)
{
	char args[512], name[RTE_ETH_NAME_MAX_LEN];
	int rc;

	if (c->device[0] == 0)
		return dp_fail(err, DP_INVALID, "device",
			       "a port needs a device: devargs, a PCI address or iface=NAME");
	p->max_mtu = UINT16_MAX;
	if (strncmp(c->device, "iface=", 6) == 0 || strncmp(c->device, "driver=", 7) == 0) {
		if (netdev_devargs(p, c, args, sizeof(args), err) < 0)
			return -1;
	} else {
		snprintf(args, sizeof(args), "%s", c->device);
	}
	device_name(args, name, sizeof(name));
	if (rte_eth_dev_get_port_by_name(name, &p->id) == 0)
		return dp_fail(err, DP_IN_USE, "device", "another port has the device already");
	rc = rte_dev_probe(args);
	if (rc != 0) {
		if (looks_like_pci(args))
			return explain_pci(name, err);
		return dp_fail(err, DP_DEVICE, "device", "DPDK cannot attach \"%s\": %s", args,
			       rte_strerror(rc < 0 ? -rc : rc));
	}
	if (rte_eth_dev_get_port_by_name(name, &p->id) != 0) {
		uint16_t id;

		/* A short PCI address, or a driver that names its ports by itself. */
		RTE_ETH_FOREACH_DEV (id) {
			if (ports[id] == NULL) {
				p->id = id;
				return 0;
			}
		}
		return dp_fail(err, DP_DEVICE, "device", "\"%s\" has no Ethernet port", args);
	}
	return 0;
}

void device_remove(struct rte_device *dev)
{
	if (dev != NULL && rte_dev_remove(dev) != 0)
		LOG_WARN("device %s cannot be detached", rte_dev_name(dev));
}
