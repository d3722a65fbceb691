/* SPDX-License-Identifier: Apache-2.0 */
/* Owners: names that clients say in Hello, the small number each gets in owner tags, and the epoch
 * in force. */
#ifndef MILLRACE_SEAM_OWNER_H
#define MILLRACE_SEAM_OWNER_H

#include "../core/addr.h"
#include "../core/error.h"

/* Ids are 1 to OWNERS_MAX; 0 is the data plane itself. */
#define OWNERS_MAX     16
#define OWNER_NAME_LEN 32

struct owner {
	char name[OWNER_NAME_LEN];
	uint64_t epoch;
	/* Counts the Hellos: only the connection of the latest one may write. */
	uint64_t generation;
};

/* What a connection holds after its Hello. */
struct owner_claim {
	uint8_t owner;
	uint64_t epoch;
	uint64_t generation;
};

/* Takes the name with that epoch; *previous is the epoch that was in force (0: none). An older
 * epoch is DP_STALE_EPOCH. */
int owner_hello(const char *name, uint64_t epoch, struct owner_claim *claim, uint64_t *previous,
		struct dp_error *err);
/* 0 if the claim is still the latest; else DP_STALE_EPOCH. */
int owner_check(const struct owner_claim *claim, struct dp_error *err);
/* DP_PERMISSION if an object with this tag belongs to another client. What the data plane made
 * itself may be taken over. */
int owner_may_write(const struct owner_tag *have, uint8_t owner, struct dp_error *err);
/* "" for the data plane itself. */
const char *owner_name(uint8_t owner);
/* NULL past the last one; i starts at 1. */
const struct owner *owner_get(unsigned int i);
/* Forgets all owners. */
void owner_reset(void);

#endif
