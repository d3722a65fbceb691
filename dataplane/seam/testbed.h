/* SPDX-License-Identifier: Apache-2.0 */
/* A whole data plane without hugepages, devices of the machine and TAPs, for the tests and the
 * fuzzer of the seam. */
#ifndef MILLRACE_SEAM_TESTBED_H
#define MILLRACE_SEAM_TESTBED_H

#include "../core/addr.h"

/* Ends the process if it cannot start. socket may be NULL. So many workers forward on threads of
 * their own; 0: there is one that does nothing by itself. */
void testbed_start(const char *name, const char *socket, int run_workers);
/* An address of either family; ends the process if it is none. */
struct ip_addr testbed_ip(const char *text);
/* Deletes everything clients made, and forgets the owners. */
void testbed_clear(void);
void testbed_stop(void);

#endif
