/* SPDX-License-Identifier: MIT */
/* starve: makes every call of another process's allocator a cold one, and lets it have hits again (lib/starve.h). */
#ifndef COMMAND_STARVE_H
#define COMMAND_STARVE_H

#include "view.h"

/* The reason: NUMBER(view, starve_profile) and the like.  NULL, or why not.  Of several tools each has a reason of its own. */
const char *starve_on(const struct view *view, uint32_t reason);
const char *starve_off(const struct view *view, uint32_t reason);
bool starve_is_on(const struct view *view, uint32_t reason);

#endif
