#include "parcel.h"

#include "meta.h"

/* The stock's head: address / 512 in the low bits, a counter above that changes with every get and put. */
#define STOCK_BITS (HAK_ADDRESS_BITS + 1 - 9)
#define STOCK_MASK ((UINT64_C(1) << STOCK_BITS) - 1)
#ifndef STOCK_STEP
#define STOCK_STEP (STOCK_MASK + 1) /* tests/t-model-parcel.c shows what happens without */
#endif

static _Atomic uint64_t parcel_stock;

static struct hak_parcel *stock_first(uint64_t head)
{
	return (struct hak_parcel *)(uintptr_t)((head & STOCK_MASK) << 9);
}

static uint64_t stock_head(const struct hak_parcel *first, uint64_t old)
{
	return ((uint64_t)(uintptr_t)first >> 9) | ((old & ~STOCK_MASK) + STOCK_STEP);
}

static struct hak_parcel *parcel_pop(void)
{
	uint64_t head = hak_load(&parcel_stock, acquire); /* partner: release in hak_parcel_put */
	struct hak_parcel *first, *next;

	do {
		first = stock_first(head);
		if (!first)
			return NULL;
		next = hak_load(&first->next, relaxed);
	} while (!hak_cas_acquire_both(&parcel_stock, &head, stock_head(next, head), acquire));
	return first;
}

HAK_FN struct hak_parcel *hak_parcel_get(uint32_t owner)
{
	struct hak_parcel *parcel = parcel_pop();

	if (!parcel)
		parcel = hak_meta_alloc(HAK_PARCEL_SIZE, HAK_PARCEL_SIZE);
	if (parcel)
		hak_parcel_open(parcel, owner);
	return parcel;
}

HAK_FN void hak_parcel_put(struct hak_parcel *parcel)
{
	uint64_t head = hak_load(&parcel_stock, relaxed);

	do
		hak_store(&parcel->next, stock_first(head), relaxed);
	while (!hak_cas(&parcel_stock, &head, stock_head(parcel, head), release)); /* partner: parcel_pop */
}

HAK_FN uint32_t hak_parcel_push(hak_inbox *inbox, struct hak_parcel *parcel)
{
	struct hak_parcel *first = hak_load(inbox, relaxed);
	uint32_t depth;

	do {
		/* `first` may be elsewhere already: then the depth is wrong and the compare-and-swap fails, or it is a guess */
		depth = first ? hak_load(&first->depth, relaxed) + 1 : 1;
		hak_store(&parcel->next, first, relaxed);
		hak_store(&parcel->depth, depth, relaxed);
	} while (!hak_cas(inbox, &first, parcel, seq_cst)); /* partner: hak_inbox_take_all; H4 in heap.h */
	return depth;
}
