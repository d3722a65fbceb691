/* SPDX-License-Identifier: Apache-2.0 */
#include "owner.h"

#include <inttypes.h>
#include <stdio.h>

static struct owner owners[OWNERS_MAX];
static unsigned int n_owners;

int owner_hello(const char *name, uint64_t epoch, struct owner_claim *claim, uint64_t *previous,
		struct dp_error *err)
{
	struct owner *o = NULL;
	unsigned int i;

	if (epoch == 0)
		return dp_fail(err, DP_INVALID, "epoch", "must not be 0");
	for (i = 0; i < n_owners; i++) {
		if (strcmp(owners[i].name, name) == 0) {
			o = &owners[i];
			break;
		}
	}
	if (o == NULL) {
		if (n_owners == OWNERS_MAX)
			return dp_fail(err, DP_TABLE_FULL, "owner",
				       "there are already %d owners, as many as there may be",
				       OWNERS_MAX);
		o = &owners[n_owners++];
		*o = (struct owner){0};
		snprintf(o->name, sizeof(o->name), "%s", name);
	} else if (epoch < o->epoch) {
		return dp_fail(err, DP_STALE_EPOCH, "epoch",
			       "is older than %" PRIu64 ", the epoch in force", o->epoch);
	}
	*previous = o->epoch;
	o->epoch = epoch;
	o->generation++;
	*claim = (struct owner_claim){
		.owner = (uint8_t)(o - owners + 1),
		.epoch = epoch,
		.generation = o->generation,
	};
	return 0;
}

int owner_check(const struct owner_claim *claim, struct dp_error *err)
{
	const struct owner *o;

	if (claim->owner == 0)
		return dp_fail(err, DP_STALE_EPOCH, "", "a Hello has to come first");
	o = &owners[claim->owner - 1];
	if (o->generation != claim->generation)
		return dp_fail(err, DP_STALE_EPOCH, "",
			       "another connection said Hello for %s, with epoch %" PRIu64, o->name,
			       o->epoch);
	return 0;
}

int owner_may_write(const struct owner_tag *have, uint8_t owner, struct dp_error *err)
{
	if (have->owner == 0 || have->owner == owner)
		return 0;
	return dp_fail(err, DP_PERMISSION, "", "belongs to %s", owner_name(have->owner));
}

const char *owner_name(uint8_t owner)
{
	return owner == 0 || owner > n_owners ? "" : owners[owner - 1].name;
}

const struct owner *owner_get(unsigned int i)
{
	return i == 0 || i > n_owners ? NULL : &owners[i - 1];
}

void owner_reset(void)
{
	n_owners = 0;
}
