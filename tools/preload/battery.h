/* SPDX-License-Identifier: MIT */
/* battery: the machine's own programs, run with a library preloaded; each must succeed and be silent. */
#ifndef HAK_PRELOAD_BATTERY_H
#define HAK_PRELOAD_BATTERY_H

#include <stdbool.h>

#include "file.h"

/* First by LD_PRELOAD with the line, then with the trial file in the place of the real one, in a mount namespace where
 * only the battery sees it.  What fails with the plain file, without HAKMEM, is left out.  Says what it did, and what
 * failed. */
bool battery_run(const char *line, const struct text *plain, const struct text *trial);

#endif
