/* SPDX-License-Identifier: MIT */
/* entries: the text of /etc/ld.so.preload, as glibc reads it.
 *
 * Names are separated by blanks, tabs, newlines and colons; a # and what follows it in the line is a comment.  Whatever
 * is not ours stays as it is, byte by byte. */
#ifndef HAK_PRELOAD_ENTRIES_H
#define HAK_PRELOAD_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>

#include "file.h"

/* A name in the text; it does not end with a 0. */
struct entry {
	const char *name;
	size_t length;
};

/* Finds the next name from *at on, and moves *at behind it. */
bool entries_next(const struct text *text, size_t *at, struct entry *entry);

/* Any libhakmem counts, also one that somebody wrote there by hand. */
bool entries_is_ours(const struct entry *entry);

/* Takes our names out, and the lines that hold nothing else then. */
void entries_remove(struct text *text);

/* Appends a line; false if there is no memory. */
bool entries_add(struct text *text, const char *line);

/* Is there nothing worth a file? */
bool entries_is_blank(const struct text *text);

#endif
