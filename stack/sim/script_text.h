/* SPDX-License-Identifier: Apache-2.0 */
/* Segments written as text, for scripts. */
#ifndef MILLRACE_SIM_SCRIPT_TEXT_H
#define MILLRACE_SIM_SCRIPT_TEXT_H

#include "script.h"

struct text {
	struct seg seg;
	/* Which parts count in a comparison. */
	bool ack, win, urg, options, mss_any, wscale_any, tsval_any, tsecr_any, ecn, seq_any,
		fast_open_any;
};

/* What is wrong with the text, or NULL. `in`: numbers are the peer's. */
const char *text_parse(const char *text, const struct script *s, bool in, struct text *out);
/* What differs, or NULL. */
const char *text_differs(const struct text *want, const struct seg *got);

#endif
