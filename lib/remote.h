/* remote: blocks of other heaps on their way home, and heaps that are visited or left.  Floor 12.
 *
 * The caller has entered the heap (heap.h), but for hak_remote_send.  None takes a lock, but for a tick once in 256 calls that
 * lets old large blocks go. */
#ifndef HAK_REMOTE_H
#define HAK_REMOTE_H

#include "heap.h"

HAK_FN void hak_remote_send(struct hak_heap *heap, void *p, uint32_t tag); /* free of another heap's block */
HAK_FN void hak_remote_send_all(struct hak_heap *heap);                    /* parcels that are not full too */
HAK_FN bool hak_remote_receive(struct hak_heap *heap); /* unpacks one parcel into the caches; false if there is none */
HAK_FN void hak_remote_drain(struct hak_heap *heap);   /* empties the inbox */
HAK_FN void hak_remote_tick(struct hak_heap *heap);    /* of a cold call */
HAK_FN void hak_remote_settle(struct hak_heap *heap);  /* gives back all that the caches and the inbox hold */
HAK_FN void hak_remote_leave(struct hak_heap *heap);   /* settles, sends, and makes the heap idle */
HAK_FN void hak_remote_visit_all(void);                /* empties the inboxes of all heaps that nobody is inside */
HAK_FN size_t hak_remote_purge_all(void); /* purges free pages inside the slabs of those heaps and idle ones; bytes */

#endif
