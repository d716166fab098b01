/* mid: blocks of 64 KiB to 2 MiB: spans straight from the pool.  Floor 9.
 *
 * M1  The first slab's head holds the number of slabs in `free`; its tag is HAK_TAG_MID, those behind it HAK_TAG_INNER.
 * M2  Blocks end where the size says, at a page, not at a slab.  `fresh` of the last slab's head: pages at its end that have
 *     no memory, as far as known; it stays while the slab is free.  `class` of the first: pages before those that have some.
 *     Are these too many in all, they go back to the kernel.
 * Concurrency: any threads; a block is touched only by who holds it. */
#ifndef HAK_MID_H
#define HAK_MID_H

#include "cc.h"

/* align: at most 2 MiB.  *zero: the memory is known to be zero.  NULL if the pool has no such run (then grow it). */
HAK_FN void *hak_mid_alloc(uint32_t node, size_t size, size_t align, bool *zero);
HAK_FN void hak_mid_free(void *p);
HAK_FN size_t hak_mid_size(const void *p);
HAK_FN bool hak_mid_resize(void *p, size_t size); /* in place */

#endif
