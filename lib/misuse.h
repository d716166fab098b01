/* misuse: is a pointer the start of a block that the program holds?  Floor 11.
 *
 * What finds out dies with a sentence.  Only small classes; mid and large blocks are known by their tags.  The caller need
 * not have entered the heap: of a slab only the bit of this block is read, which nobody changes while the program holds it. */
#ifndef HAK_MISUSE_H
#define HAK_MISUSE_H

#include "heap.h"

#define HAK_MISUSE_NEAR 16u /* blocks */

/* Dies if no block begins at p, or if it is free in its slab. */
HAK_FN void hak_misuse_check_slab(const char *entry, const void *p);
/* The same, and if p is among the newest `most` blocks of the cache, where the class is of this heap. */
HAK_FN void hak_misuse_check(const struct hak_heap *heap, unsigned class, const char *entry, const void *p, unsigned most);

#endif
