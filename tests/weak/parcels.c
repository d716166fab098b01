/* SPDX-License-Identifier: MIT */
/* The stock of parcels and an inbox: what is in a parcel is seen by who gets it, from the inbox or from the stock.
 * Controls: 1 pushes, 2 the taking of the inbox, 3 puts into the stock, 4 gets from it are relaxed. */
#include "weak.h"

#if CONTROL == 1
#define memory_order_seq_cst memory_order_relaxed
#elif CONTROL == 2
#define hak_inbox_take_all weak_unused
#elif CONTROL == 3
#define memory_order_release memory_order_relaxed
#endif
#include "../../lib/parcel.h"
#if CONTROL == 2
#undef hak_inbox_take_all
#define hak_inbox_take_all(inbox) hak_swap((inbox), NULL, relaxed)
#elif CONTROL == 4
#define memory_order_acquire memory_order_relaxed
#endif
#include "../../lib/parcel.c"

static struct {
	struct hak_parcel parcel;
} HAK_ALIGNED(HAK_PARCEL_SIZE) parcels[2];
static hak_inbox inbox;
static unsigned received;

static void *send(void *with)
{
	struct hak_parcel *parcel = hak_parcel_get(7);

	if (parcel) {
		parcel->blocks[parcel->count++] = &inbox;
		hak_parcel_push(&inbox, parcel);
	}
	return with;
}

static void *receive(void *with)
{
	struct hak_parcel *parcel = hak_inbox_take_all(&inbox), *next;

	for (; parcel; parcel = next) {
		next = hak_load(&parcel->next, relaxed);
		assert(parcel->count == 1 && parcel->tag == 7u << HAK_TAG_SHIFT && parcel->blocks[0] == &inbox);
		parcel->count = 0;
		received++;
		hak_parcel_put(parcel);
	}
	return with;
}

int main(void)
{
	hak_parcel_put(&parcels[0].parcel);
	hak_parcel_put(&parcels[1].parcel);
	begin(0, send);
	begin(1, receive);
	begin(2, send);
	end(0);
	end(1);
	end(2);
	receive(NULL);
	assert(received == 2);
	return 0;
}
