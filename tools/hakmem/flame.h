/* SPDX-License-Identifier: MIT */
/* flame: a flame graph of what was allocated, as an SVG picture: each box is a function, what it called lies above it, and
 * the width is its share of the bytes. */
#ifndef FLAME_H
#define FLAME_H

#include "gather.h"

bool flame_write(const struct gather *gather, const char *title, const char *path); /* false: errno */

#endif
