/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of each packet an engine sends, seen from outside. */
#ifndef MILLRACE_SIM_WIRE_H
#define MILLRACE_SIM_WIRE_H

#include "world.h"

void wire_check(struct host *from, const uint8_t *p, uint32_t len);

#endif
