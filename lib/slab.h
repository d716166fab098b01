/* slab: the bitmap of one slab, or of a span of slabs under one class.  Floor 5.
 *
 * A head describes 64 KiB.  The head of the first slab of a span speaks for the span; the others only know its number.
 * S1  Only the owner of the span's heap touches summary, free, bits and the list: nothing here is atomic.
 * S2  bit i of bits is set exactly if block i is free and in no cache; free counts them; bit w of summary is set
 *     exactly if bits[w] != 0.
 * S3  The blocks themselves are never read or written. */
#ifndef HAK_SLAB_H
#define HAK_SLAB_H

#include "class.h"
#include "registry.h"

struct hak_slab {
	struct hak_slab *next, *prev; /* in the heap's list of slabs of this class with free blocks */
	uint64_t summary;
	uint32_t number; /* of the span's first slab */
	uint16_t free;   /* free blocks; in a mid block's head: its slabs */
	uint8_t class;
	uint8_t fresh; /* enum hak_fresh */
	uint64_t bits[HAK_BLOCKS_MAX / 64];
} HAK_ALIGNED(HAK_LINE);

enum hak_fresh {
	HAK_FRESH_CLEAN = 1, /* has no memory: no block was handed out since the kernel took it, and nothing made present */
	HAK_FRESH_ZERO = 2,  /* bits[1] tells which blocks never were: in spans of at most 64 blocks */
	HAK_FRESH_WIPED = 8,  /* HAKMEM_SECURE=3: what is free is zero */
	HAK_FRESH_GUARD = 16, /* the slab behind the span is a guard, and goes with it */
	HAK_FRESH_PURGED = 4, /* no block was put back since its free pages were purged */
};

_Static_assert(sizeof(struct hak_slab) % HAK_LINE == 0, "heads do not share cache lines");

#define HAK_ZERO_WORD 1 /* of bits: HAK_FRESH_ZERO */

HAK_HOT struct hak_slab *hak_slab_head(size_t number)
{
	struct hak_slot *slot = hak_registry_slot(number / HAK_SS_SLABS);
	struct hak_slab *slabs = hak_load(&slot->slabs, relaxed); /* published with the pointer that led here */
	struct hak_slab *slab = &slabs[number % HAK_SS_SLABS];

	return slab->number == number ? slab : &slabs[slab->number % HAK_SS_SLABS];
}

/* Fetches the head of a slab that will be wanted soon, without reading it. */
HAK_HOT void hak_slab_prefetch(size_t number)
{
	hak_prefetch_write(hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->slabs, relaxed) + number % HAK_SS_SLABS);
}

HAK_HOT char *hak_slab_base(const struct hak_slab *slab) { return hak_registry_address(slab->number); }
HAK_HOT bool hak_slab_is_empty(const struct hak_slab *slab) { return slab->free == hak_classes[slab->class].blocks; }

/* Makes slabs[number % 32] and its followers a span whose blocks are all free. */
HAK_FN void hak_slab_open(size_t number, unsigned class, bool zero);
/* Writes the addresses of up to n free blocks to place[0], place[-1], .., the lowest first, and takes them. */
HAK_FN unsigned hak_slab_carve(struct hak_slab *slab, void **place, unsigned n);
/* Takes the lowest block; *zero: its memory is known to be zero. */
HAK_FN void *hak_slab_carve_one(struct hak_slab *slab, bool *zero);

/* Gives whole pages inside the span that hold no block in use back to the kernel; bytes, 0 if that was done before. */
HAK_FN size_t hak_slab_purge(struct hak_slab *slab);

enum hak_put { HAK_PUT_OK, HAK_PUT_TWICE, HAK_PUT_INTERIOR };

/* Gives a block back. */
HAK_HOT enum hak_put hak_slab_put(struct hak_slab *slab, const void *p)
{
	const struct hak_class *c = &hak_classes[slab->class];
	unsigned i = hak_class_index(c, (size_t)((const char *)p - hak_slab_base(slab)));
	uint64_t bit = UINT64_C(1) << (i & 63);

	if (hak_unlikely(i >= c->blocks))
		return HAK_PUT_INTERIOR;
	if (hak_unlikely(slab->bits[i >> 6] & bit))
		return HAK_PUT_TWICE;
	slab->bits[i >> 6] |= bit;
	slab->summary |= UINT64_C(1) << (i >> 6);
	slab->free++;
	slab->fresh &= (uint8_t)~HAK_FRESH_PURGED;
	return HAK_PUT_OK;
}

#endif
