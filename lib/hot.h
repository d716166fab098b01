/* hot: every instruction of a hit, nothing else.  Floor 13.
 *
 * No loop, no lock, no call but a tail call out.  tests/golden/fastpath.* holds the budget: whoever changes this file
 * must edit that one. */
#ifndef HAK_HOT_H
#define HAK_HOT_H

#include "heap.h"

/* Defined by alloc: what a miss does. */
HAK_FN void *hak_alloc_cold(size_t size);
HAK_FN void hak_free_cold(void *p);
HAK_FN void hak_free_delete_cold(void *p, size_t align, size_t size);
HAK_FN void *hak_alloc_medium(size_t size);

/* Pops a block; NULL: a miss. */
HAK_HOT void *hak_hot_pop(struct hak_cache *cache)
{
	void *p = *cache->top;

	hak_in_return_register(p);
	if (hak_likely(p != NULL)) {
		hak_forget(cache->top);
		cache->top--;
	}
	return p;
}

HAK_HOT void *hak_hot_malloc(size_t size)
{
	struct hak_heap *heap = hak_thread.heap;
	void *p;

	if (hak_unlikely(size > HAK_DIRECT_MAX))
		return hak_alloc_medium(size);
	p = hak_hot_pop(heap->direct[(size + HAK_ALIGN - 1) / HAK_ALIGN]);
	return hak_likely(p != NULL) ? p : hak_alloc_cold(size);
}

/* Sizes above 2048 whose class is cached too; the rest is cold. */
HAK_HOT void *hak_hot_medium(size_t size)
{
	void *p;

	if (hak_unlikely(size > HAK_CLASS_MAX))
		return hak_alloc_cold(size);
	p = hak_hot_pop(&hak_thread.heap->caches[hak_class_of(size)]);
	return hak_likely(p != NULL) ? p : hak_alloc_cold(size);
}

/* False: not a hit. */
HAK_HOT bool hak_hot_push(void *p)
{
	struct hak_heap *heap = hak_thread.heap;
	size_t number = hak_registry_number(p);
	void **top;
	uintptr_t x;

	if (hak_unlikely(number >= hak_registry_shown())) /* NULL, foreign, or starved */
		return false;
	x = hak_registry_tag(number) ^ heap->tag;
	if (hak_unlikely(x >= HAK_TAG_CLASSES)) /* another heap's, mid, large, nobody's */
		return false;
	top = hak_heap_cache(heap, x)->top;
	hak_opaque(x);
	if (hak_unlikely(hak_cache_place(top) >= hak_heap_cache(heap, x)->end)) /* full */
		return false;
	hak_opaque(x);
	if (hak_unlikely(!hak_class_is_start(hak_heap_cache(heap, x)->shape, p))) /* not a start, or perhaps not */
		return false;
	if (hak_unlikely(hak_cache_is_newest(top, p))) /* free, or perhaps */
		return false;
	top[1] = p;
	hak_opaque(x);
	hak_heap_cache(heap, x)->top++;
	return true;
}

HAK_HOT void hak_hot_free(void *p)
{
	if (hak_unlikely(!hak_hot_push(p)))
		hak_free_cold(p);
}

/* operator delete: a hit does not look at the size. */
HAK_HOT void hak_hot_delete(void *p, size_t align, size_t size)
{
	if (hak_unlikely(!hak_hot_push(p)))
		hak_free_delete_cold(p, align, size);
}

#endif
