/* refill: the cold half of the unified caches.  Floor 13.
 *
 * Refill has two sources: what the heap has (its inbox, then its slabs with free blocks) and the shared pool.
 * The caller has entered the heap (heap.h).  None takes a lock, but for the tick of remote.h. */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "heap.h"

HAK_FN void *hak_refill(struct hak_heap *heap, unsigned class); /* a block; NULL: the kernel refuses */
HAK_FN void *hak_refill_zeroed(struct hak_heap *heap, unsigned class, bool *zero); /* the same, of known contents */
HAK_FN void hak_refill_flush(struct hak_heap *heap, unsigned class, void *p);      /* free into a full cache */
/* A block above 64 KiB comes from elsewhere.  It counts as a refill for each slab that it has: what small sizes have cached may
 * be in the way of those that are wanted now. */
HAK_FN void hak_refill_tick(struct hak_heap *heap, size_t bytes);

#endif
