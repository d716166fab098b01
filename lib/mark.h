/* mark: which blocks the program does not hold, for HAKMEM_SECURE.  Floor 6.
 *
 * A mark is two bits for each 16 bytes; the block that begins there is free if they differ, wherever it is: in its slab, a
 * cache, a parcel, or waiting.
 * C1  A thread that owns the block's heap changes the first bit, by a load and a store; any other thread changes the second, by
 *     one atomic operation.  Each changes a mark when the block is handed out, and it was free then, and when it is freed, and
 *     it was not; anything else is misuse, or damage, and the end.
 * C4  So legal programs meet no wrong answer: who holds a block got it after it was marked as used, by the program's own order,
 *     and nobody else changes its mark until it is freed.  Of two frees at once by others the second sees the first.  An owner
 *     and another may miss each other; each free has changed the mark all the same, so that of the two times that the block would
 *     be handed out then one finds it in use.
 * C5  Where no block begins the mark is free for ever: a pointer into a block looks like a block that was freed.
 * The words of a slab hold no other slab's marks. */
#ifndef HAK_MARK_H
#define HAK_MARK_H

#include "slab.h"

#define HAK_MARK_WORDS (HAK_SS_SIZE / HAK_ALIGN / 32) /* of a SuperSlab's first bits; as many follow for the second */

struct hak_mark {
	_Atomic uint32_t *own, *others;
	uint32_t bit;
};

HAK_HOT struct hak_mark hak_mark_of(const void *p)
{
	size_t at = (uintptr_t)p - hak_registry.base, granule = at % HAK_SS_SIZE / HAK_ALIGN;
	_Atomic uint32_t *own = hak_registry_slot(at >> HAK_SS_SHIFT)->marks + granule / 32;

	return (struct hak_mark){ own, own + HAK_MARK_WORDS, UINT32_C(1) << granule % 32 };
}

HAK_HOT bool hak_mark_is_free(const struct hak_mark *m)
{
	return ((hak_load(m->own, relaxed) ^ hak_load(m->others, relaxed)) & m->bit) != 0;
}

/* Was the block free?  Each changes that. */
HAK_HOT bool hak_mark_flip_own(const struct hak_mark *m)
{
	uint32_t own = hak_load(m->own, relaxed), others = hak_load(m->others, relaxed);

	hak_store(m->own, own ^ m->bit, relaxed);
	return ((own ^ others) & m->bit) != 0;
}

HAK_HOT bool hak_mark_flip_others(const struct hak_mark *m)
{
	return ((hak_fetch_xor(m->others, m->bit, relaxed) ^ hak_load(m->own, relaxed)) & m->bit) != 0;
}

/* The program holds no block of this span.  By who opens it. */
HAK_FN void hak_mark_span(const struct hak_slab *slab);
/* Only those that are not free in the span.  By who owns the heap, before other threads are. */
HAK_FN void hak_mark_used(const struct hak_slab *slab);

#endif
