/* SPDX-License-Identifier: Apache-2.0 */
/* What iface.c and address.c tell each other. */
#ifndef MILLRACE_IFACE_PRIVATE_H
#define MILLRACE_IFACE_PRIVATE_H

#include "iface.h"

/* How many next hops of the seam lead out of the interface. */
unsigned int iface_next_hops(const struct iface *i);
/* Deletes all addresses with their routes and TAP mirror. */
void iface_addrs_delete_all(struct iface *i);
void iface_addrs_free(struct iface *i);
/* The link came up: duplicate detection and announcements anew. */
void iface_addrs_restart(struct iface *i);
/* The MAC changed, so the automatic link-local address does. */
void iface_link_local_changed(struct iface *i);

#endif
