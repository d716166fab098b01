/* capacity: how many blocks a cache may hold, and how many a refill brings: ACE's.  Floor 11.
 *
 * The caller has entered the heap (heap.h).  No lock. */
#ifndef HAK_CAPACITY_H
#define HAK_CAPACITY_H

#include "heap.h"

HAK_FN void hak_capacity_adapt(struct hak_heap *heap, unsigned class, bool flushing); /* at a cold call */
HAK_FN void hak_capacity_restart(struct hak_heap *heap, unsigned class); /* as at first; the cache is empty */
HAK_FN unsigned hak_capacity_batch(const struct hak_heap *heap, unsigned class);      /* blocks of a refill */

#endif
