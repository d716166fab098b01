/* secure: what HAKMEM_SECURE does at every call.  Floor 13.
 *
 * Hits find the empty heap, so every call is a cold one and comes here.  A block that the program does not hold has a mark
 * (hak_slab_marks), wherever it is: in its slab, a cache, a parcel, or waiting in the delay.
 * C1  A mark is cleared when the block is handed out, and was set then; it is set when the block is freed, and was clear
 *     then; each by one atomic operation, whichever thread it is.  Anything else is misuse, or damage, and the end.
 * C2  WIPE: a block is zero from its free to its reuse.
 * C3  CANARY: the last word of a block that the program holds tells the size that was asked for, and up to
 *     32 bytes behind that size have a pattern.  Both depend on a secret and on the address.
 * Functions that take a heap: it is the thread's own, hidden (hak_heap_hide_parcels). */
#ifndef HAK_SECURE_H
#define HAK_SECURE_H

#include "heap.h"

HAK_FN bool hak_secure_start(void); /* by the constructor; false: another thread has allocated, or there is no memory */
HAK_FN size_t hak_secure_room(size_t size); /* what a block for `size` bytes must hold */

HAK_FN void *hak_secure_pop(struct hak_heap *heap, unsigned class);              /* NULL: the cache is empty */
HAK_FN void *hak_secure_exchange(struct hak_heap *heap, unsigned class, void *p); /* for another one of the cache */
HAK_FN bool hak_secure_hand_out(void *p, size_t size);                           /* C1; its memory is known to be zero */
HAK_FN void hak_secure_set_size(void *p, size_t size);                           /* of a block that the program holds */
HAK_FN size_t hak_secure_size(const char *entry, const void *p); /* that the program may use; dies if it holds no such block */
HAK_FN void hak_secure_take_back(const char *entry, void *p);    /* C1 */
HAK_FN void *hak_secure_delay(struct hak_heap *heap, void *p);   /* WIPE: an older block instead, or NULL */
HAK_FN void hak_secure_wipe(void *p, size_t size);               /* of a mid or large block: WIPE */

#endif
