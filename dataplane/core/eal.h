/* SPDX-License-Identifier: Apache-2.0 */
/* DPDK's environment from our options. */
#ifndef MILLRACE_CORE_EAL_H
#define MILLRACE_CORE_EAL_H

#include "options.h"

/* Initialises EAL and dp_pool. 0, or -1 after having said on standard error what is missing and
 * what mends it. */
int eal_start(const struct options *o);

#endif
