/* SPDX-License-Identifier: MIT */
/* replace: standard output into a file that takes another's place when it is whole. */
#ifndef REPLACE_H
#define REPLACE_H

#include <stdbool.h>

/* Both complain if they fail. */
bool replace_begin(const char *path);
bool replace_end(const char *path, bool is_good); /* not good: the old file stays */

#endif
