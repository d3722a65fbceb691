/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "app.h"

void trace_packet(struct world *w, const char *what, const uint8_t *p, uint32_t len)
{
	char text[512];
	uint32_t isn = 0, peer = 0;
	struct host *a, *b;
	struct flow *f = NULL;
	uint8_t dir;
	struct seg s;
	const char *wrong;

	if (!w->verbose)
		return;
	wrong = seg_parse(p, len, &s);
	if (wrong != NULL) {
		printf("%lu.%09lu %s %s\n", (unsigned long)(w->now / SEC),
		       (unsigned long)(w->now % SEC), what, wrong);
		return;
	}
	a = host_of(w, &s.src);
	b = host_of(w, &s.dst);
	if (a != NULL && b != NULL)
		f = flow_find(w->flows, s.family, a, s.sport, b, s.dport, &dir);
	if (f != NULL && f->wire[dir].n_iss > 0)
		isn = f->wire[dir].iss[f->wire[dir].n_iss - 1];
	if (f != NULL && f->wire[dir ^ 1].n_iss > 0)
		peer = f->wire[dir ^ 1].iss[f->wire[dir ^ 1].n_iss - 1];
	seg_text(&s, isn, peer, text, sizeof(text));
	printf("%lu.%09lu %s h%d:%u > h%d:%u %s\n", (unsigned long)(w->now / SEC),
	       (unsigned long)(w->now % SEC), what, a != NULL ? a->id : -1, s.sport,
	       b != NULL ? b->id : -1, s.dport, text);
}

FILE *trace_pcap_open(const char *path)
{
	/* Nanoseconds, raw IP. */
	static const uint32_t header[6] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 101};
	FILE *f = fopen(path, "wb");

	if (f != NULL)
		fwrite(header, sizeof(header), 1, f);
	return f;
}

void trace_pcap(FILE *f, uint64_t now, const uint8_t *p, uint32_t len)
{
	const uint32_t header[4] = {(uint32_t)(now / SEC), (uint32_t)(now % SEC), len, len};

	fwrite(header, sizeof(header), 1, f);
	fwrite(p, len, 1, f);
}
