/* SPDX-License-Identifier: Apache-2.0 */
/* Dates of HTTP without the C library's: that one takes a lock and may read files. */
#include "runtime.h"

static char *two(char *p, uint32_t v)
{
	p[0] = (char)('0' + v / 10 % 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

void svc_date_format(uint64_t wall_s, char out[30])
{
	static const char days[] = "ThuFriSatSunMonTueWed", months[] = "MarAprMayJunJulAugSep"
								       "OctNovDecJanFeb";
	uint64_t day = wall_s / 86400, sec = wall_s % 86400;
	/* Days since 1 March 0000, in eras of 400 years; years begin with March, so that a leap day
	 * is the last of its year. */
	uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t month = (5 * doy + 2) / 153;
	uint64_t year = yoe + era * 400 + (month >= 10);
	char *p = out;

	memcpy(p, days + 3 * (day % 7), 3);
	memcpy(p + 3, ", ", 2);
	p = two(p + 5, (uint32_t)(doy - (153 * month + 2) / 5 + 1));
	*p++ = ' ';
	memcpy(p, months + 3 * month, 3);
	p[3] = ' ';
	p = two(p + 4, (uint32_t)(year / 100 % 100));
	p = two(p, (uint32_t)(year % 100));
	*p++ = ' ';
	p = two(p, (uint32_t)(sec / 3600));
	*p++ = ':';
	p = two(p, (uint32_t)(sec / 60 % 60));
	*p++ = ':';
	p = two(p, (uint32_t)(sec % 60));
	memcpy(p, " GMT", 5);
}
