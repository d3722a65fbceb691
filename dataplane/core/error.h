/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the control side. Every control function that can refuse something takes a
 * struct dp_error to say which field is at fault and why; it returns 0, or -1 after dp_fail().
 */
#ifndef MILLRACE_CORE_ERROR_H
#define MILLRACE_CORE_ERROR_H

/* The same numbers as millrace.dataplane.v1.Code. */
enum dp_code {
	DP_OK = 0,
	DP_MALFORMED = 1,
	DP_INVALID = 2,
	DP_NOT_FOUND = 3,
	DP_TABLE_FULL = 4,
	DP_IN_USE = 5,
	DP_UNSUPPORTED = 6,
	DP_DEVICE = 7,
	DP_NO_MEMORY = 8,
	DP_UNKNOWN_REQUEST = 9,
	DP_STALE_EPOCH = 10,
	DP_PERMISSION = 11,
};

struct dp_error {
	enum dp_code code;
	/* Name of the field within the object, for example "prefix_len"; the seam puts the path
	 * before it. */
	char field[96];
	char message[200];
};

/* Fills *err (which may be NULL) and returns -1. */
int dp_fail(struct dp_error *err, enum dp_code code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
