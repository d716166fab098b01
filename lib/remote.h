/* remote: blocks of other heaps on their way home, and heaps that are visited or left.  Floor 12.
 *
 * The caller has entered the heap (heap.h), but for hak_remote_send.  None takes a lock, but for a tick once in 256 calls that
 * lets old large blocks go. */
#ifndef HAK_REMOTE_H
#define HAK_REMOTE_H

#include "class.h"
#include "heap.h"

#define HAK_REMOTE_SMALL 3584u /* bytes of the largest blocks that take one place of a parcel */

/* Free of another heap's block, from where no signal handler can come between (hak_heap_hide_parcels). */
HAK_FN void hak_remote_send(struct hak_heap *heap, void *p, uint32_t tag);
/* The same if a parcel is there that does not become full.  False: nothing was done. */
HAK_HOT bool hak_remote_hit(struct hak_heap *heap, void *p, uint32_t tag)
{
	struct hak_parcel *parcel = heap->outgoing[(tag >> HAK_TAG_SHIFT) % HAK_OUTGOING];
	uintptr_t x;

	if (hak_unlikely(!parcel))
		return false;
	x = parcel->tag ^ tag;
	if (hak_unlikely(x >= hak_class_of(HAK_REMOTE_SMALL + 1) * HAK_CACHE_SIZE)) /* another heap's, or large */
		return false;
	if (hak_unlikely(!hak_class_is_start(hak_heap_cache(heap, x)->shape, p) || hak_parcel_is_last(parcel, p) ||
			 parcel->count + 1u >= parcel->limit))
		return false;
	hak_parcel_add(parcel, p);
	hak_count(&heap->bins[x / HAK_CACHE_SIZE].counts.sent, 1);
	return true;
}
HAK_FN void hak_remote_send_all(struct hak_heap *heap); /* parcels that are not full too */
HAK_FN bool hak_remote_receive(struct hak_heap *heap);  /* unpacks one parcel into the caches; false if there is none */
HAK_FN void hak_remote_drain(struct hak_heap *heap);    /* empties the inbox */
HAK_FN void hak_remote_tick(struct hak_heap *heap);     /* of a cold call */
HAK_FN void hak_remote_settle(struct hak_heap *heap);   /* gives back all that the caches and the inbox hold */
HAK_FN void hak_remote_leave(struct hak_heap *heap);    /* settles, sends, and makes the heap idle */
HAK_FN void hak_remote_visit_all(void);                 /* empties the inboxes of all heaps that nobody is inside */
HAK_FN size_t hak_remote_purge_all(void); /* purges free pages inside the slabs of those heaps and idle ones; bytes */

#endif
