/* SPDX-License-Identifier: MIT */
/* hard: what is different where the library was configured with --enable-hard: caches that hold one block. */
#ifndef HARD_H
#define HARD_H

#include "tap.h"

static inline bool is_hard(void)
{
#ifdef HAK_HARD
	return HAK_HARD;
#else
	return false;
#endif
}

/* The points that follow are about caches that hold more. */
static inline bool is_hard_skipped(const char *points)
{
	if (is_hard())
		skip("--enable-hard: a cache holds one block: %s", points);
	return is_hard();
}

#endif
