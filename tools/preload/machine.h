/* SPDX-License-Identifier: MIT */
/* machine: where this system keeps its libraries, and what $LIB in a name becomes. */
#ifndef HAK_PRELOAD_MACHINE_H
#define HAK_PRELOAD_MACHINE_H

#include <limits.h>
#include <stdbool.h>

#include "entries.h"

enum { MACHINE_SMALL = 3 };

struct machine {
	const char *lib;                      /* what $LIB becomes, as lib64 */
	const char *small[MACHINE_SMALL + 1]; /* and what it may become in a 32-bit program; ends with NULL */
	char library[PATH_MAX];               /* the installed library */
};

/* False, and a word about it, if this is no glibc system or HAKMEM is not installed. */
bool machine_find(struct machine *machine);

/* Every place where $LIB may ever have led to, ends with NULL. */
extern const char *const machine_places[];

/* The file that an entry names for programs of this machine; false if it cannot be known. */
bool machine_expand(const struct machine *machine, const struct entry *entry, char path[PATH_MAX]);

#endif
