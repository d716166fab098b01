/* SPDX-License-Identifier: MIT */
/* library: where libhakmem.so.1 is, for LD_PRELOAD. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <stdbool.h>

#define LIBRARY_NAME "libhakmem.so" /* what every file name of the shared library begins with */

/* The named file, made absolute; NULL: the installed one.  NULL, with a complaint, if there is no such file.  The
 * result lives as long as the process. */
const char *library_find(const char *named);

bool library_is_named(const char *path); /* does the last part of the path begin with LIBRARY_NAME, or with its staged name */

#endif
