/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_FIB_TEST_H
#define MILLRACE_FIB_TEST_H

/* group_test.c: next-hop objects and groups. */
void test_groups(void);

#endif
