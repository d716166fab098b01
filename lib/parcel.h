/* parcel: arrays of remote frees, their stock and the inboxes.  Floor 5.
 *
 * A parcel carries up to 61 blocks from one thread to the heap that owns them.
 * P1  A parcel is in exactly one place: the stock, one heap's hands, or one inbox.
 * P2  Parcels are never unmapped: the stock's pop may read `next` of a parcel that another thread took meanwhile;
 *     the tag in the stock's head makes its compare-and-swap fail then.
 *
 *                     | push (inbox)  | take all (inbox) | put (stock) | get (stock)
 *    push (inbox)     | any           | any              | -           | -
 *    take all (inbox) | any           | any              | -           | -
 *    put (stock)      | -             | -                | any         | any
 *    get (stock)      | -             | -                | any         | any
 *  any: needs no exclusion.  An inbox is a Treiber stack without single pop (wfstack of userspace-rcu names the idea). */
#ifndef HAK_PARCEL_H
#define HAK_PARCEL_H

#include "atomic.h"
#include "cc.h"
#include "geometry.h"

#define HAK_PARCEL_LIMIT HAK_HARD_OR(HAK_PARCEL_BLOCKS, 2u)

struct hak_parcel {
	_Atomic(struct hak_parcel *) next;
	uint32_t tag; /* of the heap it is for */
	uint16_t count, limit;
	_Atomic uint32_t depth; /* in an inbox: parcels from this one on, about */
	void *blocks[HAK_PARCEL_BLOCKS];
};

_Static_assert(sizeof(struct hak_parcel) <= HAK_PARCEL_SIZE, "a parcel fits its place");

typedef _Atomic(struct hak_parcel *) hak_inbox;

HAK_FN struct hak_parcel *hak_parcel_get(uint32_t owner); /* an empty one; NULL if the kernel gives no memory */
HAK_FN void hak_parcel_put(struct hak_parcel *parcel);    /* back to the stock */
HAK_FN uint32_t hak_parcel_push(hak_inbox *inbox, struct hak_parcel *parcel); /* parcels there now, about */

HAK_HOT bool hak_inbox_is_empty(hak_inbox *inbox)
{
	return hak_load(inbox, relaxed) == NULL;
}
HAK_HOT struct hak_parcel *hak_inbox_take_all(hak_inbox *inbox)
{
	return hak_swap(inbox, NULL, acquire); /* partner: hak_parcel_push */
}

HAK_HOT void hak_parcel_open(struct hak_parcel *parcel, uint32_t owner)
{
	parcel->tag = owner << HAK_TAG_SHIFT;
	parcel->limit = HAK_PARCEL_LIMIT;
	parcel->count = 0;
}

/* A parcel of large blocks is sent sooner, when it holds about 256 KiB: such a block takes so many places. */
HAK_HOT unsigned hak_parcel_cost(size_t block_size)
{
	return 1 + (unsigned)(block_size >> 12);
}

HAK_HOT bool hak_parcel_is_full(const struct hak_parcel *parcel)
{
	return parcel->count >= parcel->limit;
}

/* Double free of what was freed last, or before that. */
HAK_HOT bool hak_parcel_is_last(const struct hak_parcel *parcel, const void *p)
{
	unsigned n = parcel->count;

	return n > 0 && (parcel->blocks[n - 1] == p || parcel->blocks[n - 1 - (n > 1)] == p);
}

HAK_HOT void hak_parcel_add(struct hak_parcel *parcel, void *p)
{
	parcel->blocks[parcel->count] = p;
	hak_signal_fence(); /* a child that is forked here finds a whole parcel */
	parcel->count++;
}

#endif
