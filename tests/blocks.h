/* SPDX-License-Identifier: MIT */
/* blocks: a thousand blocks, for tests of figures. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <string.h>

#include "malloc_abi.h"
#include "tap.h"

#define MANY 1000

static void *blocks[MANY];

static inline void take(size_t size)
{
	for (unsigned i = 0; i < MANY; i++) {
		blocks[i] = HAK_ABI(malloc)(size);
		hold(blocks[i] != NULL);
		memset(blocks[i], 1, size);
	}
}

static inline void give(void)
{
	for (unsigned i = 0; i < MANY; i++)
		HAK_ABI(free)(blocks[i]);
}

#endif
