/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has of hugepages, and what a process of ours left of them. */
#ifndef MILLRACE_CORE_HUGEPAGES_H
#define MILLRACE_CORE_HUGEPAGES_H

#include <stdint.h>

/* MiB of free hugepages of all sizes. */
uint64_t hugepages_free_mb(void);

/* Removes from all mounted hugetlbfs the files of DPDK processes with this prefix that were killed:
 * their pages are not free otherwise. Files that a process holds, by the lock that DPDK takes on
 * each, stay. Returns how many were removed. */
unsigned int hugepages_clear(const char *file_prefix);

/* The same in one directory. */
unsigned int hugepages_clear_dir(const char *dir, const char *file_prefix);

#endif
