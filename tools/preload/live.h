/* SPDX-License-Identifier: MIT */
/* live: the staged copies of the library, which no package replaces.
 *
 * A copy is /usr/$LIB/hakmem/live/NAME/libhakmem-preload.so; NAME is the version and a hash of the content.  Beside the
 * one that is in use, the one before it is kept. */
#ifndef HAK_PRELOAD_LIVE_H
#define HAK_PRELOAD_LIVE_H

#include <stdbool.h>

#include "machine.h"

struct live {
	char name[64];
};

/* The line for /etc/ld.so.preload. */
enum { LIVE_LINE = 128 };
void live_line(const struct live *live, char line[LIVE_LINE]);

/* The copy that an entry names; false if it is not of this kind. */
bool live_of_entry(const struct entry *entry, struct live *live);

/* The copy that the installed library would make. */
bool live_of_library(const struct machine *machine, struct live *live);

/* Makes the copy of the installed library, and what 32-bit programs load. */
bool live_stage(const struct machine *machine, struct live *live);

/* Is the copy there, readable by all and unchanged?  NULL, or what is wrong. */
const char *live_fault(const struct machine *machine, const struct live *live);

/* A copy that is not this one; false if there is none. */
bool live_find_other(const struct machine *machine, const struct live *live, struct live *other);

/* Removes all copies but these, which may be NULL. */
void live_prune(const struct live *keep, const struct live *keep_too);

#endif
