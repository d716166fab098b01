/* check: walks all invariants.  Floor 12.
 *
 * For tests, and for a look from a debugger.  A result of 0 says that all hold; otherwise it is the number of the check,
 * from the list below, that the first breach failed.  Nothing is changed, and but for hak_check_now nothing printed. */
#ifndef HAK_CHECK_H
#define HAK_CHECK_H

#include "heap.h"

enum hak_check {
	HAK_CHECK_OK,
	HAK_CHECK_POOL_DIRTY,  /* L1: a dirty slab is not free */
	HAK_CHECK_POOL_MAPPED, /* a free slab is not mapped */
	HAK_CHECK_POOL_TAG,    /* L2: a free slab has a tag */
	HAK_CHECK_POOL_COUNT,  /* the counts of used and dirty slabs are wrong */
	HAK_CHECK_LIST,        /* a bin's list is torn */
	HAK_CHECK_TAG,         /* a slab in a bin has another tag */
	HAK_CHECK_BITS,        /* S2: bits, summary and free disagree */
	HAK_CHECK_EMPTY,       /* a bin's number of wholly free slabs is wrong, or they are not at its list's end */
	HAK_CHECK_CACHE_PLACE, /* a cache's top is outside its array, or place 0 is not NULL */
	HAK_CHECK_CACHE_BLOCK, /* a cached block is not one of this class and heap, or is free in its slab too */
	HAK_CHECK_CACHE_TWICE, /* a block is cached twice */
};

HAK_FN enum hak_check hak_check_pool(void);                        /* no other thread may take or give slabs */
HAK_FN enum hak_check hak_check_heap(const struct hak_heap *heap); /* the caller has entered it */
HAK_FN void hak_check_now(const struct hak_heap *heap); /* both, but not at each call of a long run; dies of a breach */

#endif
