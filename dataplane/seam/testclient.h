/* SPDX-License-Identifier: Apache-2.0 */
/* A blocking client of the seam for its tests. It ends the process on anything unexpected. */
#ifndef MILLRACE_SEAM_TESTCLIENT_H
#define MILLRACE_SEAM_TESTCLIENT_H

#include <stdio.h>
#include <stdlib.h>

#include "pb.h"

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, "\n");                                                     \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

typedef PB(Request) req_t;
typedef PB(Response) resp_t;
typedef PB(Op) op_t;

int client_connect(const char *path);
void client_send_raw(int fd, const void *p, size_t len);
void client_send_frame(int fd, const void *p, size_t len);
void client_send(int fd, const req_t *q);
/* The next frame; NULL if the connection was closed. Free with resp_free(). */
resp_t *client_recv(int fd);
void resp_free(resp_t *r);
/* Sends, and waits for the answer with the id of the request. */
resp_t *client_call(int fd, req_t *q);
void client_hello(int fd, const char *owner, uint64_t epoch);
resp_t *client_try_hello(int fd, const char *owner, uint64_t epoch);
resp_t *client_batch(int fd, op_t **ops, size_t n);
/* One operation that must be carried out. */
void client_apply(int fd, op_t *op);
/* One operation that must be refused. */
void client_refused(int fd, op_t *op, int code, const char *field);
resp_t *client_list(int fd, int table, uint32_t limit, ProtobufCBinaryData cursor,
		    const char *interface, const char *vrf, bool ipv6);
void expect_error(const resp_t *r, int code, const char *field);

#endif
