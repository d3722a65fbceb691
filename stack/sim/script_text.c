/* SPDX-License-Identifier: Apache-2.0 */
#include "script_text.h"

#include <ctype.h>
#include <stdlib.h>

static const char letters[] = "FSRP.UEW";

static void spaces(const char **t)
{
	while (**t == ' ' || **t == ',')
		(*t)++;
}

static bool word(const char **t, const char *w)
{
	size_t n = strlen(w);

	spaces(t);
	if (strncmp(*t, w, n) != 0)
		return false;
	*t += n;
	return true;
}

/* A number, or * (then *any, if that is allowed). */
static bool number(const char **t, uint32_t *n, bool *any)
{
	char *end;

	spaces(t);
	if (any != NULL)
		*any = **t == '*';
	if (any != NULL && **t == '*') {
		(*t)++;
		*n = 0;
		return true;
	}
	*n = (uint32_t)strtoul(*t, &end, 10);
	if (end == *t)
		return false;
	*t = end;
	return true;
}

static const char *hex(const char **t, struct seg *g)
{
	g->fast_open_len = 0;
	while (isxdigit((unsigned char)(*t)[0]) && isxdigit((unsigned char)(*t)[1])) {
		char two[3] = {(*t)[0], (*t)[1], 0};

		if (g->fast_open_len == sizeof(g->fast_open))
			return "cookie too long";
		g->fast_open[g->fast_open_len++] = (uint8_t)strtoul(two, NULL, 16);
		*t += 2;
	}
	return NULL;
}

static const char *sack(const char **t, uint32_t base, struct seg *g)
{
	while (spaces(t), isdigit((unsigned char)**t)) {
		uint32_t l, r;

		if (g->n_sack == 4 || !number(t, &l, NULL) || !word(t, ":") || !number(t, &r, NULL))
			return "bad SACK";
		g->sack[g->n_sack][0] = base + l;
		g->sack[g->n_sack++][1] = base + r;
	}
	return NULL;
}

static const char *options(const char **t, const struct script *s, bool in, struct text *out)
{
	struct seg *g = &out->seg;
	const char *wrong = NULL;
	uint32_t n;

	out->options = true;
	while (wrong == NULL && !word(t, ">")) {
		if (word(t, "mss")) {
			g->has_mss = number(t, &n, &out->mss_any);
			g->mss = (uint16_t)n;
		} else if (word(t, "wscale")) {
			g->has_wscale = number(t, &n, &out->wscale_any);
			g->wscale = (uint8_t)n;
		} else if (word(t, "sackOK")) {
			g->sack_ok = true;
		} else if (word(t, "sack")) {
			wrong = sack(t, in ? s->isn : s->peer_isn, g);
		} else if (word(t, "TS val")) {
			g->has_ts = number(t, &g->tsval, &out->tsval_any);
			if (!word(t, "ecr"))
				return "TS without ecr";
			if (word(t, "@"))
				g->tsecr = s->tsval;
			else if (!number(t, &g->tsecr, &out->tsecr_any))
				return "bad ecr";
		} else if (word(t, "FO")) {
			g->has_fast_open = true;
			out->fast_open_any = word(t, "*");
			spaces(t);
			wrong = hex(t, g);
		} else {
			return "unknown option";
		}
	}
	return wrong;
}

const char *text_parse(const char *text, const struct script *s, bool in, struct text *out)
{
	struct seg *g = &out->seg;
	const char *t = text, *at;
	uint32_t from, to, n;

	memset(out, 0, sizeof(*out));
	spaces(&t);
	for (; *t != 0 && *t != ' '; t++) {
		at = strchr(letters, *t);
		if (at == NULL)
			return "unknown flag";
		g->flags |= (uint8_t)(1 << (at - letters));
	}
	if (!number(&t, &from, &out->seq_any))
		return "no sequence number";
	if (!out->seq_any) {
		if (!word(&t, ":") || !number(&t, &to, NULL))
			return "no end of sequence";
	} else {
		to = 0;
	}
	if (!word(&t, "(") || !number(&t, &g->len, NULL) || !word(&t, ")"))
		return "no length";
	if (!out->seq_any && to - from != g->len)
		return "length is not the difference";
	g->seq = (in ? s->peer_isn : s->isn) + from;
	g->win = 65535;
	while (spaces(&t), *t != 0) {
		if (word(&t, "ack")) {
			bool any;

			if (!number(&t, &n, &any))
				return "bad ack";
			out->ack = !any;
			g->ack = (in ? s->isn : s->peer_isn) + n;
		} else if (word(&t, "win")) {
			bool any;

			if (!number(&t, &n, &any))
				return "bad win";
			out->win = !any;
			g->win = (uint16_t)n;
		} else if (word(&t, "urg")) {
			out->urg = number(&t, &n, NULL);
			g->urg = (uint16_t)n;
		} else if (word(&t, "[CE]")) {
			g->ecn = ECN_CE;
			out->ecn = true;
		} else if (word(&t, "[ECT0]")) {
			g->ecn = ECN_ECT0;
			out->ecn = true;
		} else if (word(&t, "[none]")) {
			out->ecn = true;
		} else if (word(&t, "<")) {
			const char *wrong = options(&t, s, in, out);

			if (wrong != NULL)
				return wrong;
		} else {
			return "unknown word";
		}
	}
	return NULL;
}

static const char *options_differ(const struct text *w, const struct seg *g)
{
	const struct seg *e = &w->seg;

	if (e->has_mss != g->has_mss || (!w->mss_any && e->mss != g->mss))
		return "MSS";
	if (e->sack_ok != g->sack_ok)
		return "SACK permitted";
	if (e->has_wscale != g->has_wscale || (!w->wscale_any && e->wscale != g->wscale))
		return "window scale";
	if (e->has_ts != g->has_ts || (!w->tsval_any && e->tsval != g->tsval) ||
	    (!w->tsecr_any && e->tsecr != g->tsecr))
		return "timestamps";
	if (e->has_fast_open != g->has_fast_open ||
	    (!w->fast_open_any && (e->fast_open_len != g->fast_open_len ||
				   memcmp(e->fast_open, g->fast_open, e->fast_open_len) != 0)))
		return "Fast Open";
	if (e->n_sack != g->n_sack || memcmp(e->sack, g->sack, e->n_sack * 8u) != 0)
		return "SACK";
	return g->odd_options ? "an option nobody knows" : NULL;
}

const char *text_differs(const struct text *w, const struct seg *g)
{
	const struct seg *e = &w->seg;
	/* PSH, and the offer of ECN in SYNs, count only if they are expected. */
	uint8_t mask = e->flags & SEG_PSH ? 0xff : (uint8_t)~SEG_PSH;

	if ((e->flags & SEG_SYN) && !(e->flags & (SEG_ECE | SEG_CWR)))
		mask &= (uint8_t) ~(SEG_ECE | SEG_CWR);

	if (((e->flags ^ g->flags) & mask) != 0)
		return "flags";
	if (!w->seq_any && e->seq != g->seq)
		return "sequence number";
	if (e->len != g->len)
		return "length";
	if (w->ack && e->ack != g->ack)
		return "acknowledgement";
	if (w->win && e->win != g->win)
		return "window";
	if (w->urg && e->urg != g->urg)
		return "urgent pointer";
	if (w->ecn && e->ecn != g->ecn)
		return "ECN";
	return w->options ? options_differ(w, g) : NULL;
}
