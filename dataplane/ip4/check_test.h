/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests: a check that says what it found, and a checksum that owes nothing to the code
 * under test. */
#ifndef MILLRACE_IP4_CHECK_TEST_H
#define MILLRACE_IP4_CHECK_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* The Internet checksum, written down once more the plain way. */
static inline uint16_t plain_cksum(const uint8_t *p, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Runs fn on a copy of exactly len bytes, so that the address sanitizer sees each byte read behind
 * them. */
static inline void on_exact_copy(const uint8_t *p, uint32_t len,
				 void (*fn)(const uint8_t *p, uint32_t len))
{
	uint8_t *copy = malloc(len != 0 ? len : 1);

	CHECK(copy != NULL, "memory");
	memcpy(copy, p, len);
	fn(copy, len);
	free(copy);
}

#endif
