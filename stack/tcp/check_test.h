/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of the building blocks share. */
#ifndef MILLRACE_TCP_CHECK_TEST_H
#define MILLRACE_TCP_CHECK_TEST_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		const int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                      \
		if (got_ != want_) {                                                               \
			fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", __FILE__,   \
				__LINE__, #got, got_, want_);                                      \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* splitmix64: the tests are the same at each run. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

#endif
