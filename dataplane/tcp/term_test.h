/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_TCP_TERM_TEST_H
#define MILLRACE_TCP_TERM_TEST_H

/* parse_test.c, run by term_test.c. */
void test_parse(void);

#endif
