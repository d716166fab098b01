/* secure: what HAKMEM_SECURE does at every call.  Floor 13.
 *
 * Hits find the empty heap and no slab, so every call is a cold one and comes here: to a hit of its own, which changes the block's
 * mark (C1, C4, C5 of mark.h), or to alloc and free.
 * C2  WIPE: a block is zero from its free to its reuse.
 * C3  CANARY: the last word of a block that the program holds tells the size that was asked for, and up to
 *     32 bytes behind that size have a pattern.  Both depend on a secret and on the address.  The size lies in the midst of the
 *     word: what is written from either side meets bytes that are the secret's alone.
 * C6  Other threads may fork at any moment, and the child adopts the heap of a thread that was in a hit.  So a block leaves its
 *     place before its mark says in use, and its mark says free before it has another place: in the child it may be lost, but it
 *     is nowhere twice, and nowhere while it is in use.
 * Functions that take a heap: it is the thread's own, hidden (hak_heap_hide_parcels). */
#ifndef HAK_SECURE_H
#define HAK_SECURE_H

#include "heap.h"

HAK_FN bool hak_secure_start(void); /* by the constructor; false: another thread has allocated, or there is no memory */
HAK_FN size_t hak_secure_room(size_t size); /* what a block for `size` bytes must hold */

/* What hits are.  NULL, false: it is none. */
HAK_FN void *hak_secure_hit(size_t size);
HAK_FN bool hak_secure_hit_free(void *p);

HAK_FN void *hak_secure_pop(struct hak_heap *heap, unsigned class);              /* NULL: the cache is empty */
HAK_FN void *hak_secure_exchange(struct hak_heap *heap, unsigned class, void *p); /* for another one of the cache */
HAK_FN bool hak_secure_hand_out(void *p, size_t size);                           /* marks it; its memory is known to be zero */
HAK_FN void hak_secure_set_size(void *p, size_t size);                           /* of a block that the program holds */
HAK_FN size_t hak_secure_size(const char *entry, const void *p); /* that the program may use; dies if it holds no such block */
HAK_FN void hak_secure_take_back(const char *entry, void *p);    /* marks it */
HAK_FN void *hak_secure_delay(struct hak_heap *heap, void *p);   /* WIPE: an older block instead, or NULL */
HAK_FN void hak_secure_wipe(void *p, size_t size);               /* of a mid or large block: WIPE */

#endif
