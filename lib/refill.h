/* refill: the cold half of the unified caches, and remote frees.  Floor 12.
 *
 * Refill has two sources: what the heap has (its inbox, then its slabs with free blocks) and the shared pool.
 * The caller has entered the heap (heap.h), but for hak_refill_send.  None takes a lock, but for a tick once in 256 calls that
 * lets old large blocks go. */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "heap.h"

HAK_FN void *hak_refill(struct hak_heap *heap, unsigned class);                 /* a block; NULL: the kernel refuses */
HAK_FN void *hak_refill_zeroed(struct hak_heap *heap, unsigned class, bool *zero); /* the same, of known contents */
HAK_FN void hak_refill_flush(struct hak_heap *heap, unsigned class, void *p);   /* free into a full cache */
HAK_FN void hak_refill_send(struct hak_heap *heap, void *p, uint32_t tag);      /* free of another heap's block */
HAK_FN void hak_refill_drain(struct hak_heap *heap);                            /* empties the inbox */
HAK_FN void hak_refill_send_all(struct hak_heap *heap); /* parcels that are not full too */
HAK_FN void hak_refill_settle(struct hak_heap *heap); /* gives back all that the caches and the inbox hold */
HAK_FN void hak_refill_leave(struct hak_heap *heap);  /* settles, sends, and makes the heap idle */
HAK_FN void hak_refill_visit_all(void);   /* empties the inboxes of all heaps that nobody is inside */
HAK_FN size_t hak_refill_purge_all(void); /* purges free pages inside the slabs of those heaps and idle ones; bytes */

#endif
