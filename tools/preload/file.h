/* SPDX-License-Identifier: MIT */
/* file: whole files, read and replaced so that a loss of power leaves the old one or the new one. */
#ifndef HAK_PRELOAD_FILE_H
#define HAK_PRELOAD_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes are followed by a 0, which is not counted. */
struct text {
	char *bytes;
	size_t length;
};

/* Those that fail say on standard error what went wrong. */

/* A file that is missing reads as NULL bytes, and is no error. */
bool file_read(const char *path, struct text *into);

/* Can everybody read it? */
bool file_is_public(const char *path);

/* Mode 0644, owned by root.  A symbolic link stays, what it points to is replaced. */
bool file_replace(const char *path, const struct text *content);

/* Makes what is missing of the path's directories. */
bool file_make_parents(const char *path);

/* Removes a directory of plain files, and of its parents so many as are empty then, but at most `up`. */
void file_remove_directory(const char *path, int up);

/* Makes a rename or a removal in the directory of this file last. */
bool file_sync_parent(const char *path);

#endif
