/* SPDX-License-Identifier: Apache-2.0 */
#include "valid.h"

#include <inttypes.h>
#include <stdio.h>

#include "../iface/iface.h"
#include "../vrf/vrf.h"
#include "arena.h"

int valid_known(const ProtobufCMessage *m, struct dp_error *err)
{
	char field[16];

	if (m->n_unknown_fields == 0)
		return 0;
	snprintf(field, sizeof(field), "%" PRIu32, m->unknown_fields[0].tag);
	return dp_fail(err, DP_INVALID, field, "this version knows no field of that number in %s",
		       m->descriptor->short_name);
}

/* The length, or SIZE_MAX if there is a NUL inside. */
static size_t text_len(const char *s)
{
	size_t n = strlen(s);

	if (s != protobuf_c_empty_string && arena_size(s) != n + 1)
		return SIZE_MAX;
	return n;
}

int valid_name(const char *s, size_t max, const char *extra, const char *field,
	       struct dp_error *err)
{
	size_t n = text_len(s);

	if (n == 0)
		return dp_fail(err, DP_INVALID, field, "must not be empty");
	if (n == SIZE_MAX)
		return dp_fail(err, DP_INVALID, field, "has a NUL inside");
	if (n > max)
		return dp_fail(err, DP_INVALID, field, "must have %zu characters at most", max);
	for (; *s != '\0'; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    (*s >= '0' && *s <= '9') || strchr(extra, *s) != NULL)
			continue;
		return dp_fail(err, DP_INVALID, field, "may have only letters, digits and %s",
			       extra);
	}
	return 0;
}

int valid_iface_name(const char *s, const char *field, struct dp_error *err)
{
	if (valid_name(s, IFACE_NAME_LEN - 1, "._-", field, err) < 0)
		return -1;
	/* The kernel takes neither for a device. */
	if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return dp_fail(err, DP_INVALID, field, "is not a name for a device");
	return 0;
}

int valid_vrf_name(const char *s, const char *field, struct dp_error *err)
{
	return valid_name(s, VRF_NAME_LEN - 1, "_-", field, err);
}

/* Length of the UTF-8 sequence at s, 0 if it is none (RFC 3629: no overlong forms, surrogates, or
 * beyond U+10FFFF). */
static size_t utf8_len(const char *str)
{
	const uint8_t *s = (const uint8_t *)str;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

int valid_text(const char *s, size_t max, const char *field, struct dp_error *err)
{
	size_t n = text_len(s), len;

	if (n == SIZE_MAX)
		return dp_fail(err, DP_INVALID, field, "has a NUL inside");
	if (n > max)
		return dp_fail(err, DP_INVALID, field, "must have %zu bytes at most", max);
	for (; *s != '\0'; s += len) {
		len = utf8_len(s);
		if (len == 0)
			return dp_fail(err, DP_INVALID, field, "is not UTF-8");
		if ((uint8_t)*s < 0x20 || *s == 0x7f)
			return dp_fail(err, DP_INVALID, field, "has control characters");
	}
	return 0;
}

void make_printable(char *s)
{
	size_t len;

	for (; *s != '\0'; s += len) {
		len = utf8_len(s);
		if (len == 0 || (uint8_t)*s < 0x20 || *s == 0x7f) {
			*s = '?';
			len = 1;
		}
	}
}

int valid_empty(bool empty, const char *field, const char *why, struct dp_error *err)
{
	return empty ? 0 : dp_fail(err, DP_INVALID, field, "must not be set %s", why);
}

int valid_range(uint64_t v, uint64_t min, uint64_t max, const char *field, struct dp_error *err)
{
	if (v >= min && v <= max)
		return 0;
	return dp_fail(err, DP_INVALID, field,
		       "must be from %" PRIu64 " to %" PRIu64 ", not %" PRIu64, min, max, v);
}

int valid_addr(const ProtobufCBinaryData *b, struct ip_addr *out, const char *field,
	       struct dp_error *err)
{
	if (b->len != 4 && b->len != 16)
		return dp_fail(err, DP_INVALID, field, "must have 4 or 16 bytes, not %zu", b->len);
	*out = (struct ip_addr){.len = (uint8_t)b->len};
	memcpy(out->b, b->data, b->len);
	return 0;
}

bool ip_addr_is_multicast(const struct ip_addr *a)
{
	return a->len == 4 ? (a->b[0] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool ip_addr_is_loopback(const struct ip_addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	return a->len == 4 ? a->b[0] == 127 : memcmp(a->b, one, 16) == 0;
}

int valid_host(const struct ip_addr *a, const char *field, struct dp_error *err)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t none[16];

	if (a->len == 4 ? a->b[0] == 0 : memcmp(a->b, none, 16) == 0)
		return dp_fail(err, DP_INVALID, field, "is an unspecified address");
	if (ip_addr_is_multicast(a))
		return dp_fail(err, DP_INVALID, field, "is a multicast address");
	if (a->len == 4 && a->b[0] >= 240)
		return dp_fail(err, DP_INVALID, field, "is a reserved or broadcast address");
	if (ip_addr_is_loopback(a))
		return dp_fail(err, DP_INVALID, field, "is a loopback address");
	if (a->len == 16 && memcmp(a->b, mapped, 12) == 0)
		return dp_fail(err, DP_INVALID, field, "is an IPv4-mapped address");
	return 0;
}

int valid_prefix(const ProtobufCBinaryData *b, uint32_t len, struct ip_addr *out,
		 struct dp_error *err)
{
	unsigned int i;

	if (valid_addr(b, out, "prefix", err) < 0 ||
	    valid_range(len, 0, out->len * 8u, "prefix_len", err) < 0)
		return -1;
	i = len / 8;
	if (i < out->len && (out->b[i] & (0xff >> (len % 8))) != 0)
		return dp_fail(err, DP_INVALID, "prefix", "has bits set past prefix_len %" PRIu32,
			       len);
	for (i++; i < out->len; i++)
		if (out->b[i] != 0)
			return dp_fail(err, DP_INVALID, "prefix",
				       "has bits set past prefix_len %" PRIu32, len);
	return 0;
}

int valid_mac(const ProtobufCBinaryData *b, struct rte_ether_addr *out, const char *field,
	      struct dp_error *err)
{
	if (b->len != RTE_ETHER_ADDR_LEN)
		return dp_fail(err, DP_INVALID, field, "must have 6 bytes, not %zu", b->len);
	memcpy(out->addr_bytes, b->data, RTE_ETHER_ADDR_LEN);
	if (!rte_is_valid_assigned_ether_addr(out))
		return dp_fail(err, DP_INVALID, field, "is a multicast address or zero");
	return 0;
}

struct iface *valid_iface(const char *name, const char *field, struct dp_error *err)
{
	struct iface *i;

	if (valid_iface_name(name, field, err) < 0)
		return NULL;
	i = iface_find(name);
	if (i == NULL)
		dp_fail(err, DP_NOT_FOUND, field, "there is no interface %s", name);
	return i;
}

struct vrf *valid_vrf(const char *name, const char *field, struct dp_error *err)
{
	struct vrf *v;

	if (*name != '\0' || text_len(name) != 0)
		if (valid_vrf_name(name, field, err) < 0)
			return NULL;
	v = vrf_find(name);
	if (v == NULL)
		dp_fail(err, DP_NOT_FOUND, field, "there is no network instance %s", name);
	return v;
}
