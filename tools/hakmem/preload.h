/* SPDX-License-Identifier: MIT */
/* preload: the libraries that the loader puts before a program's own, in its order, and what becomes of each. */
#ifndef PRELOAD_H
#define PRELOAD_H

#include "subject.h"

#define PRELOAD_FILE "/etc/ld.so.preload"
#define PRELOAD_MOST 32

struct preload {
	char path[PATH_MAX]; /* as the loader opens it */
	char word[PATH_MAX]; /* as it stands there */
	const char *place;   /* "LD_PRELOAD" or PRELOAD_FILE */
	const char *error;   /* why the loader leaves it out; NULL: it is loaded */
	bool has_malloc;
	bool is_hakmem;
};

/* Fills in up to PRELOAD_MOST; returns how many. */
unsigned preload_list(const struct subject *subject, struct preload *list);

#endif
