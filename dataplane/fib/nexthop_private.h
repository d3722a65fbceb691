/* SPDX-License-Identifier: Apache-2.0 */
/* What nexthop.c, nexthop_object.c and group.c tell each other. */
#ifndef MILLRACE_FIB_NEXTHOP_PRIVATE_H
#define MILLRACE_FIB_NEXTHOP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct rte_hash;

int group_init(uint32_t max_groups);
int nh_obj_init(uint32_t max);
/* Raises the event of every object that refers to this line. */
void nh_obj_state_changed(uint32_t nh);
/* A hash from object id to position, for up to max objects. */
struct rte_hash *id_hash_create(const char *name, uint32_t max);

#endif
