/* block: which block is it, whose, and how large.  Floor 14. */
#ifndef HAK_BLOCK_H
#define HAK_BLOCK_H

#include "heap.h"

HAK_HOT uint32_t hak_block_tag(const void *p)
{
	size_t number = hak_registry_number(p);

	return number < hak_registry_slabs() ? hak_registry_tag(number) : 0;
}

HAK_HOT unsigned hak_block_class(uint32_t tag) { return tag % (1u << HAK_TAG_SHIFT) / HAK_CACHE_SIZE; }

HAK_HOT bool hak_block_is_mine(const struct hak_heap *heap, uint32_t tag) { return (tag ^ heap->tag) < HAK_TAG_CLASSES; }
HAK_HOT bool hak_block_is_ours(uint32_t tag) { return tag >> HAK_TAG_SHIFT >= HAK_OWNER_FIRST; }

/* Whose caches this call may look at: the thread's, though it be starved, but not half-written ones. */
HAK_HOT struct hak_heap *hak_block_own(void) { return hak_thread.inside ? &hak_empty_heap : hak_thread.own; }

/* A mid or large block must be named by its start. */
HAK_HOT bool hak_block_is_start(const void *p, uint32_t tag)
{
	return (tag == HAK_TAG_MID || tag == HAK_TAG_LARGE) && (uintptr_t)p % HAK_SLAB_SIZE == 0;
}

/* A block of `have` bytes may stay for a request of `size`. */
HAK_HOT bool hak_block_is_fit(size_t have, size_t size) { return size <= have && size >= have / 2; }

/* Our own memory, but no block of ours begins there: says what it is.  entry: the name that a fatal message begins with. */
HAK_FN HAK_NORETURN void hak_block_die(const char *entry, const void *p, uint32_t tag);
/* Bytes; dies if it is no block.  *foreign: it is the C library's. */
HAK_FN size_t hak_block_size(const char *entry, const void *p, uint32_t tag, bool *foreign);

#endif
