/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_STACK_BENCH_SERVICES_H
#define MILLRACE_STACK_BENCH_SERVICES_H

#include "../service/service.h"
#include "side.h"

/* A listener of that kind; http: with a body of so many octets. */
int bench_serve(struct side *s, enum svc_kind kind, uint32_t body_len);

#endif
