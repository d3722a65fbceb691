/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exception path: a TAP per interface in a network namespace of its own (one more per VRF:
 * NAME-VRF), by which the kernel gets what is for the box and not handled here, and by which it
 * sends. Addresses of the interface are mirrored to the TAP; the kernel's only route to anywhere is
 * "out of a TAP": the data plane's FIB decides.
 */
#ifndef MILLRACE_EXCEPTION_H
#define MILLRACE_EXCEPTION_H

#include "../iface/iface.h"

/* netns: name under /run/netns, made if it does not exist; NULL turns the exception path off. */
int exception_init(const char *netns, struct dp_error *err);
/* Deletes the TAPs and the namespaces that were made here. */
void exception_fini(void);

/* From iface.c. All may be called when the exception path is off; then they do nothing. Failures
 * are logged, and counted as alarms. */
int exception_iface_added(struct iface *i, struct dp_error *err);
void exception_iface_deleted(struct iface *i);
void exception_iface_changed(struct iface *i);
void exception_addr_added(struct iface *i, const struct iface_addr *a);
void exception_addr_deleted(struct iface *i, const struct ip_addr *addr, uint8_t plen);
/* Name of the TAP, "" if there is none. */
const char *exception_tap_name(const struct iface *i);
const char *exception_netns(void);

struct punt_settings {
	/* Packets a second per interface and class. */
	uint32_t rate, icmp_rate;
};
extern struct punt_settings punt_settings;

#endif
