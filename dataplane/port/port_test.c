/* SPDX-License-Identifier: Apache-2.0 */
/* What users write as the device of a port, wrongly: the error names it, and nothing is left. */
#include "port.h"

#include <errno.h>
#include <sched.h>

#include <rte_common.h>

#include "../ip4/check_test.h"
#include "../seam/testbed.h"

static struct dp_error err;

static int create(const char *device, struct port **p)
{
	struct iface_config c = {.kind = IFACE_PORT};

	snprintf(c.device, sizeof(c.device), "%s", device);
	err = (struct dp_error){0};
	return port_create(&c, p, &err);
}

static void refused(const char *device, enum dp_code code, const char *says)
{
	const uint16_t before = rte_eth_dev_count_total();
	struct port *p = NULL;

	CHECK(create(device, &p) < 0, "\"%s\" was taken", device);
	CHECK(p == NULL && err.code == code && strcmp(err.field, "device") == 0 &&
		      strstr(err.message, says) != NULL,
	      "\"%s\": code %d, field %s: %s", device, err.code, err.field, err.message);
	CHECK(rte_eth_dev_count_total() == before, "\"%s\" left a device", device);
}

static void test_devices(void)
{
	refused("", DP_INVALID, "needs a device");
	/* Netdevs. */
	refused("iface=", DP_INVALID, "name of a network device");
	refused("iface=no-such-dev", DP_NOT_FOUND, "no network device \"no-such-dev\"");
	refused("iface=a-name-that-is-longer-than-any", DP_INVALID, "name of a network device");
	refused("iface=lo,queues=4", DP_INVALID, "\"queues=4\" is not known");
	refused("iface=lo,driver", DP_INVALID, "\"driver\" is not known");
	refused("iface=lo,ifacex=lo", DP_INVALID, "\"ifacex=lo\" is not known");
	refused("iface=lo,,", DP_INVALID, "\"\" is not known");
	refused("driver=af_packet", DP_INVALID, "name of a network device");
	refused("iface=lo,driver=af_unix", DP_INVALID, "driver \"af_unix\"");
	/* PCI. */
	refused("0000:ff:1f.7", DP_NOT_FOUND, "no PCI device 0000:ff:1f.7");
	refused("ffff:ff:1f.7,queues=2", DP_NOT_FOUND, "no PCI device ffff:ff:1f.7");
	refused("0000:ff:1f", DP_DEVICE, "cannot attach");
	/* Devargs. */
	refused("net_nosuch0", DP_DEVICE, "cannot attach \"net_nosuch0\"");
	refused("net_null0,no-such-key=1", DP_DEVICE, "cannot attach");
	refused("=", DP_DEVICE, "cannot attach");
}

static void test_port(void)
{
	struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 5}};
	struct port *p = NULL, *again = NULL;
	struct iface_config c = {.kind = IFACE_PORT, .device = "net_null3", .rxq = 5000};

	CHECK(port_create(&c, &p, &err) < 0 && err.code == DP_UNSUPPORTED &&
		      strcmp(err.field, "rx_queues") == 0,
	      "%s: %s", err.field, err.message);
	CHECK(rte_eth_dev_count_total() == 0, "it is left");
	CHECK(create("net_null3,no-rx=1", &p) == 0, "%s", err.message);
	CHECK(ports[p->id] == p && p->started && strcmp(p->device, "net_null3,no-rx=1") == 0 &&
		      strcmp(p->driver, "net_null") == 0,
	      "port");
	CHECK(create("net_null3", &again) < 0 && err.code == DP_IN_USE &&
		      strcmp(err.field, "device") == 0,
	      "twice: %s", err.message);
	CHECK(port_set_mac(p, &mac, &err) == 0, "%s", err.message);
	CHECK(memcmp(&p->mac64, mac.addr_bytes, 6) == 0 && p->mac64 >> 48 == 0,
	      "MAC for eth-input");
	mac.addr_bytes[0] |= 1;
	CHECK(port_set_mac(p, &mac, &err) < 0 && err.code == DP_INVALID &&
		      strcmp(err.field, "mac") == 0,
	      "group address");
	CHECK(port_set_mtu(p, 9000, &err) < 0 && strcmp(err.field, "mtu") == 0, "MTU of 9000");
	port_destroy(p);
	CHECK(rte_eth_dev_count_total() == 0, "it is left");
}

int main(void)
{
	/* Whatever is taken by mistake is not the machine's. */
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "port-test: a network namespace of its own: %s\n", strerror(errno));
		return 77;
	}
	testbed_start("port-test", NULL, 0);
	test_devices();
	test_port();
	testbed_stop();
	return 0;
}
