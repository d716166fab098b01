/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <inttypes.h>
#include <stdio.h>

const char *words_bytes(uint64_t bytes, char buffer[WORDS_SIZE])
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(buffer, WORDS_SIZE, "%" PRIu64, bytes);
	else
		snprintf(buffer, WORDS_SIZE, value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
	return buffer;
}

const char *words_percent(uint64_t part, uint64_t whole, char buffer[WORDS_SIZE])
{
	if (whole == 0)
		snprintf(buffer, WORDS_SIZE, "-");
	else
		snprintf(buffer, WORDS_SIZE, "%.1f %%", 100.0 * (double)part / (double)whole);
	return buffer;
}

void words_quote(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text >= ' ' && *text <= '~' ? *text : '?');
	}
	putchar('"');
}
