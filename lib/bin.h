/* bin: the slabs of a heap's class, its warm pool among them.  Floor 11.
 *
 * Blocks come from the slabs at hand, then from the shared pool, then from a new SuperSlab, and go back to their slabs.  The
 * caller has entered the heap (heap.h).  No lock. */
#ifndef HAK_BIN_H
#define HAK_BIN_H

#include "heap.h"

HAK_FN bool hak_bin_provide(struct hak_heap *heap, unsigned class); /* a slab with free blocks; false: no memory */
/* Up to n blocks of the slabs at hand into array[1] .., the lowest address on top; how many. */
HAK_FN unsigned hak_bin_carve(struct hak_heap *heap, unsigned class, void **array, unsigned n);
HAK_FN void *hak_bin_carve_one(struct hak_bin *bin, bool *zero);
HAK_FN void hak_bin_put(struct hak_bin *bin, void *p);                              /* a block goes back to its slab */
HAK_FN void hak_bin_take_home(struct hak_heap *heap, unsigned class, void *p); /* the same, past a cache that has no room: H10 */
HAK_FN void hak_bin_give_oldest(struct hak_heap *heap, unsigned class, unsigned n); /* n cached blocks to their slabs */
HAK_FN void hak_bin_give_empty(struct hak_bin *bin);               /* slabs wholly free go to the pool */
HAK_FN void hak_bin_settle(struct hak_heap *heap, unsigned class); /* both, of all that is cached */
HAK_FN size_t hak_bin_purge(struct hak_heap *heap);                /* free pages inside slabs go back; bytes */
enum hak_tend { HAK_TEND_NOTHING, HAK_TEND_PURGE, HAK_TEND_SHRINK }; /* shrink: less than half is in use */
HAK_FN enum hak_tend hak_bin_tend(struct hak_heap *heap); /* is what is free inside slabs worth a purge? */

#endif
