#include "free.h"

#include <limits.h>

#include "attach.h"
#include "block.h"
#include "guard.h"
#include "hot.h"
#include "large.h"
#include "libc.h"
#include "mid.h"
#include "misuse.h"
#include "reclaim.h"
#include "record.h"
#include "refill.h"
#include "remote.h"
#include "sample.h"
#include "say.h"
#include "secure.h"
#include "starve.h"
#include "tunables.h"

/* While the caches are starved, each free comes by. */
static HAK_COLD void free_watch(void *p)
{
	hak_attach_follow();
	if (hak_attach_is_recorded())
		hak_record_free(p);
	if (hak_sample_is_on())
		hak_sample_free(p);
}

static HAK_COLD void free_span(void *p, uint32_t tag)
{
	if (hak_unlikely(hak_setting(secure)) && hak_block_is_start(p, tag))
		hak_secure_wipe(p, tag == HAK_TAG_MID ? hak_mid_size(p) : hak_large_size(p));
	if (tag == HAK_TAG_MID && hak_block_is_start(p, tag))
		hak_mid_free(p);
	else if (tag == HAK_TAG_LARGE && hak_block_is_start(p, tag))
		hak_large_free(p);
	else if (tag == HAK_TAG_GUARD)
		hak_guard_free("free", p);
	else if (tag == 0 && hak_libc_is_block(p))
		hak_libc_free(p);
	else
		hak_block_die("free", p, tag);
}

static HAK_NOINLINE void free_entered(void *p, uint32_t tag)
{
	struct hak_heap *heap = hak_attach_heap();

	if (hak_unlikely(!heap))
		return; /* no memory for a heap: the block is lost, the program is not */
	if (hak_block_is_mine(heap, tag))
		hak_refill_flush(heap, hak_block_class(tag), p);
	else
		hak_remote_send(heap, p, tag);
	hak_attach_leave(heap);
	hak_reclaim_obey();
}

/* A block of the heap's own: its cache is full, or the hit was not sure that it is one.  False: there is no room. */
static bool free_own(struct hak_heap *heap, void *p, unsigned class)
{
	struct hak_cache *cache = &heap->caches[class];

	if (hak_bin_is_young(&heap->bins[class]))
		return false;
	hak_misuse_check(heap, class, "free", p, UINT_MAX);
	if (hak_cache_is_full(cache))
		return false;
	hak_cache_push(cache, p);
	return true;
}

/* As a hit would do, or as a miss.  False: the cache is full. */
static bool free_starved_own(struct hak_heap *heap, void *p, uint32_t tag)
{
	struct hak_cache *cache = &heap->caches[hak_block_class(tag)];

	if (!hak_block_is_mine(heap, tag)) {
		hak_remote_send(heap, p, tag);
		return true;
	}
	if (!hak_setting(secure)) /* which has looked already */
		hak_misuse_check(heap, hak_block_class(tag), "free", p, HAK_MISUSE_NEAR);
	if (hak_cache_is_full(cache))
		return false;
	hak_cache_push(cache, p);
	hak_count(&heap->bins[hak_block_class(tag)].counts.direct_free, 1);
	return true;
}

static HAK_NOINLINE void free_starved(void *p, uint32_t tag)
{
	struct hak_heap *heap = hak_thread.own;
	bool is_done = true;

	if (hak_setting(secure))
		hak_secure_take_back("free", p);
	if (heap == &hak_empty_heap || hak_thread.inside) {
		free_entered(p, tag);
		return;
	}
	hak_heap_hide_parcels(heap);
	p = hak_secure_delay(heap, p);
	tag = p ? hak_block_tag(p) : tag;
	if (p)
		is_done = free_starved_own(heap, p, tag);
	hak_heap_show_parcels();
	if (!is_done)
		free_entered(p, tag);
}

static HAK_NOINLINE void free_miss(struct hak_heap *heap, void *p, uint32_t tag)
{
	if (hak_unlikely(hak_starve_is_needed())) {
		free_starved(p, tag);
	} else if (hak_likely(heap != &hak_empty_heap && !hak_thread.inside && !hak_block_is_mine(heap, tag))) {
		hak_heap_hide_parcels(heap);
		hak_remote_send(heap, p, tag);
		hak_heap_show_parcels();
	} else if (!hak_block_is_mine(heap, tag) || !free_own(heap, p, hak_block_class(tag))) {
		free_entered(p, tag);
	}
}

HAK_HOT void free_no_hit(void *p)
{
	uint32_t tag = hak_block_tag(p);
	struct hak_heap *heap;
	bool sent;

	if (hak_unlikely(!hak_block_is_ours(tag))) {
		if (p)
			free_span(p, tag);
		return;
	}
	heap = hak_thread.heap;
	if (hak_likely(heap != &hak_empty_heap && !hak_thread.inside)) {
		hak_heap_hide_parcels(heap);
		sent = hak_remote_hit(heap, p, tag);
		hak_heap_show_parcels();
		if (hak_likely(sent))
			return;
	}
	free_miss(heap, p, tag);
}

static HAK_NOINLINE void free_watched(void *p)
{
	if (hak_setting(secure) && hak_secure_hit_free(p))
		return;
	if (hak_attach_has_news())
		free_watch(p);
	free_no_hit(p);
}

HAK_FN HAK_NOINLINE void hak_free_cold(void *p)
{
	if (hak_unlikely(hak_starve_is_news()))
		free_watched(p);
	else
		free_no_hit(p);
}

/* Could a block of this class have been asked for with that size: by malloc, or by a realloc that let it stay? */
static bool free_is_size(unsigned class, size_t align, size_t size)
{
	unsigned wanted = align ? hak_class_of_aligned(size, align) : hak_class_or_none(size);

	return hak_block_is_fit(hak_classes[class].size, size) || wanted == class || hak_class_joint_first(wanted) == class;
}

static bool free_is_right_size(uint32_t tag, size_t have, size_t align, size_t size)
{
	if (size == have)
		return true;
	if (!hak_block_is_ours(tag)) /* one that could not be moved to a smaller place may be longer than what was asked for */
		return size < have;
	/* HAKMEM_SECURE=3 knows what was asked for, but of blocks from before the start */
	return (hak_setting(secure) < HAK_SECURE_CANARY || have == hak_classes[hak_block_class(tag)].size) &&
	       free_is_size(hak_block_class(tag), align, size);
}

static void free_check_size(const char *entry, const void *p, size_t align, size_t size)
{
	uint32_t tag = hak_block_tag(p);
	bool foreign;
	size_t have = hak_block_size(entry, p, tag, &foreign);

	if (align && (uintptr_t)p % align != 0)
		hak_say_fatal(HAK_FATAL_ALIGN_MISMATCH, entry, p, align);
	if (hak_unlikely(tag == HAK_TAG_GUARD && size != have))
		hak_guard_die(HAK_FATAL_SIZE_MISMATCH, entry, p, have);
	if (!foreign && !free_is_right_size(tag, have, align, size))
		hak_say_fatal(HAK_FATAL_SIZE_MISMATCH, entry, p, have);
}

HAK_FN void hak_free_sized(void *p, size_t align, size_t size)
{
	if (!p)
		return;
	free_check_size(align ? "free_aligned_sized" : "free_sized", p, align, size);
	hak_hot_free(p);
}

/* C++ programs delete objects by pointers to other types, which many get away with: only HAKMEM_SECURE looks at the size. */
HAK_FN HAK_NOINLINE void hak_free_delete_cold(void *p, size_t align, size_t size)
{
	if (hak_unlikely(hak_setting(secure)) && p)
		free_check_size("operator delete", p, align, size);
	hak_free_cold(p);
}
