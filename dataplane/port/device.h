/* SPDX-License-Identifier: Apache-2.0 */
/* From what a user writes as the device of a port to a probed DPDK device. */
#ifndef MILLRACE_PORT_DEVICE_H
#define MILLRACE_PORT_DEVICE_H

#include "port.h"

/* Probes; sets p->id, p->max_mtu, and of a netdev p->netdev and p->mtu. Nothing is left behind on
 * failure. */
int device_probe(struct port *p, const struct iface_config *c, struct dp_error *err);
/* Detaches a closed device. */
void device_remove(struct rte_device *dev);

#endif
