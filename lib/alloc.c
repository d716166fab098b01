#include "alloc.h"

#include <errno.h>
#include <string.h>

#include "attach.h"
#include "background.h"
#include "block.h"
#include "guard.h"
#include "large.h"
#include "libc.h"
#include "limit.h"
#include "mid.h"
#include "numa.h"
#include "os.h"
#include "reclaim.h"
#include "record.h"
#include "refill.h"
#include "sample.h"
#include "secure.h"
#include "superslab.h"
#include "tunables.h"

/* ---- malloc ---- */

#define ALLOC_PATIENCE 1024u /* tries in vain, a millisecond apart; .. */
#define ALLOC_ENDED 4u       /* .. counts as so many if a thread ended meanwhile, and still there is nothing */
#define ALLOC_OWN 2u         /* that many are at most our own */
#define ALLOC_EAGER 32u      /* the first, one behind the other */
#define ALLOC_ZERO_ASK HAK_HARD_OR(16384u, 4097u) /* from here on it pays to ask whether the memory is zero already */

static HAK_COLD void *alloc_fail(void)
{
	errno = ENOMEM;
	return NULL;
}

static void *alloc_mid(size_t size, size_t align, bool *zero)
{
	unsigned node = hak_numa_node();
	void *p;

	while ((p = hak_mid_alloc(node, size, align, zero)) == NULL)
		if (!hak_superslab_grow(node, false))
			return hak_mid_alloc(HAK_NODE_ANY, size, align, zero);
	return p;
}

/* One try at any size.  class: of a cached size, else HAK_CLASS_COUNT; with align 1 one that serves it will do. */
static void *alloc_once(struct hak_heap *heap, size_t size, size_t align, unsigned class, bool *zero)
{
	void *p;

	if (class < HAK_CLASS_COUNT)
		return heap ? hak_refill(heap, align == 1 ? hak_heap_serving(heap, class) : class) : NULL;
	if (heap)
		hak_refill_tick(heap, size);
	p = size <= HAK_MID_MAX && align <= HAK_SS_SIZE ? alloc_mid(size, align, zero) : hak_large_alloc(size, align, zero);
	if (heap && *zero)
		heap->fresh += size;
	return p;
}

/* Instead of a borrowed heap, or none, the thread's own, as soon as its visitor has gone. */
static void alloc_take_own(struct hak_heap **heap)
{
	if (*heap && *heap == hak_thread.inside)
		return;
	if (!hak_thread.inside && hak_thread.own != &hak_empty_heap)
		hak_store(&hak_thread.own->wanted, 1, relaxed);
	if (*heap)
		hak_attach_leave(*heap);
	*heap = hak_attach_heap();
	if (*heap && *heap == hak_thread.inside)
		hak_reclaim_all(*heap); /* what it has cached, and what it has not sent yet */
}

/* After the first failure.  While other threads purge and unmap there is another try, and after some a short sleep: what they
 * have taken out of sight comes back, on a busy machine when they get a processor again.  Bounded, as in a process made without
 * fork's handlers they may not be there: nobody waits for the same ones twice. */
static HAK_COLD void *alloc_retry(struct hak_heap **heap, size_t size, size_t align, unsigned class, bool *zero)
{
	uint32_t returned, before;
	void *p;

	hak_reclaim_all(*heap);
	before = hak_registry_returned();
	for (unsigned i = 0, ended = 0;; i++, before = returned) {
		returned = hak_registry_returned();
		alloc_take_own(heap);
		p = alloc_once(*heap, size, align, class, zero);
		if (!p && class < HAK_CLASS_COUNT)
			p = hak_reclaim_from_idle(class);
		if (p || hak_registry_is_settled(returned))
			break;
		ended += returned != before;
		if (i + ended * ALLOC_ENDED > ALLOC_PATIENCE) {
			if (ended <= ALLOC_OWN)
				hak_registry_give_up();
			break;
		}
		if (i >= ALLOC_EAGER)
			hak_os_rest();
	}
	if (hak_thread.own != &hak_empty_heap)
		hak_store(&hak_thread.own->wanted, 0, relaxed);
	return p;
}

static void *alloc_any(size_t size, size_t align, unsigned class, bool *zero)
{
	struct hak_heap *heap;
	void *p;

	if (align > PTRDIFF_MAX || size > PTRDIFF_MAX - align || !hak_attach_start())
		return alloc_fail();
	/* for a cached size the hard limit is looked at when it needs slabs: refill */
	if (hak_unlikely(hak_limit_is_set()) && !hak_reclaim_within_limit(size) && class == HAK_CLASS_COUNT)
		return alloc_fail();
	heap = hak_attach_heap();
	*zero = false;
	p = alloc_once(heap, size, align, class, zero);
	if (hak_unlikely(!p))
		p = alloc_retry(&heap, size, align, class, zero);
	if (hak_likely(heap != NULL))
		hak_attach_leave(heap);
	hak_background_poke();
	hak_reclaim_obey();
	return p ? p : alloc_fail();
}

static bool alloc_is_passed(size_t size)
{
	return hak_setting(disable) || (!hak_setting(tiny_use_superslab) && size <= HAK_TINY_MAX);
}

/* ---- starved: what hits would do, done here (starve.h), and what HAKMEM_SECURE adds ---- */

/* A block of the thread's own cache; NULL: there is none. */
static void *alloc_pop_starved(unsigned class)
{
	struct hak_heap *heap = hak_thread.own;
	void *p;

	if (hak_thread.inside) /* a signal handler */
		return NULL;
	hak_heap_hide_parcels(heap);
	p = hak_secure_pop(heap, class);
	if (p)
		hak_count(&heap->bins[class].counts.direct_malloc, 1);
	hak_heap_show_parcels();
	return p;
}

/* HAKMEM_SECURE: a block of the cache instead of the one that a refill brought, which is the lowest. */
static void *alloc_exchange_secured(void *p)
{
	struct hak_heap *heap = hak_thread.own;
	uint32_t tag = hak_block_tag(p);

	if (hak_thread.inside || !hak_block_is_mine(heap, tag))
		return p;
	hak_heap_hide_parcels(heap);
	p = hak_secure_exchange(heap, hak_block_class(tag), p);
	hak_heap_show_parcels();
	return p;
}

/* HAKMEM_GUARD_SAMPLE: NULL unless it is this one. */
static void *alloc_guarded(size_t size, unsigned class, size_t align)
{
	return hak_unlikely(hak_setting(guard_sample)) ? hak_guard_sample(size, class, align) : NULL;
}

/* A block of a class. */
static void *alloc_class_starved(size_t size, unsigned class, bool *zero)
{
	void *p = alloc_pop_starved(class);

	if (!p && (p = alloc_any(size, HAK_ALIGN, class, zero)) != NULL && hak_setting(secure))
		p = alloc_exchange_secured(p);
	*zero = p && hak_setting(secure) && hak_secure_hand_out(p, size);
	return p;
}

/* Each request.  align 1: as malloc; zero: the memory must be. */
static HAK_NOINLINE void *alloc_starved(size_t size, size_t align, bool zero)
{
	size_t room = hak_secure_room(size);
	unsigned class = align > 1 ? hak_class_of_aligned(room, align) : hak_class_or_none(room);
	bool is_zero = false;
	void *p = alloc_guarded(size, class, align);

	if (hak_unlikely(hak_attach_has_news()))
		hak_attach_follow();
	if (!p && class < HAK_CLASS_COUNT)
		p = alloc_class_starved(size, class, &is_zero);
	else if (!p)
		p = alloc_any(size ? size : 1, align, class, &is_zero);
	if (hak_attach_is_recorded())
		hak_record_alloc(zero ? HAK_RECORD_CALLOC : align > 1 ? HAK_RECORD_ALIGNED : HAK_RECORD_MALLOC, size, align, p);
	if (hak_sample_is_on())
		hak_sample_alloc(p, size);
	if (!p || !zero || is_zero)
		return p;
	/* what was never written is read only, which gives it no memory */
	return size >= ALLOC_ZERO_ASK && class < HAK_CLASS_COUNT && hak_is_filled(p, size, 0) ? p : memset(p, 0, size);
}

static HAK_NOINLINE void *alloc_miss(size_t size)
{
	bool zero;
	void *p;

	if (hak_unlikely(alloc_is_passed(size)) && hak_libc_is_there())
		return hak_libc_malloc(size);
	if (hak_unlikely(hak_starve_is_needed()))
		return alloc_starved(size, 1, false);
	if ((p = alloc_guarded(size, hak_class_or_none(size), 1)) != NULL)
		return p;
	return alloc_any(size, 1, hak_class_or_none(size), &zero);
}

static HAK_NOINLINE void *alloc_secured(size_t size)
{
	void *p = hak_secure_hit(size);

	return hak_likely(p != NULL) ? p : alloc_miss(size);
}

HAK_FN HAK_NOINLINE void *hak_alloc_cold(size_t size)
{
	return hak_unlikely(hak_setting(secure)) ? alloc_secured(size) : alloc_miss(size);
}

HAK_FN HAK_NOINLINE void *hak_alloc_medium(size_t size) { return hak_hot_medium(size); }

HAK_FN void *hak_alloc_aligned(size_t align, size_t size)
{
	unsigned class = hak_class_of_aligned(size, align);
	bool zero;
	void *p;

	p = class < HAK_CLASS_COUNT && !hak_setting(guard_sample) ? hak_hot_pop(&hak_thread.heap->caches[class]) : NULL;
	if (hak_likely(p != NULL))
		return p;
	if (hak_libc_passes())
		return hak_libc_aligned(align, size);
	if (hak_unlikely(hak_starve_is_needed()))
		return alloc_starved(size, align, false);
	if ((p = alloc_guarded(size, class, align)) != NULL)
		return p;
	return alloc_any(size ? size : 1, align, class, &zero);
}

/* ---- calloc ---- */

/* A block of a cached class; its memory may be known to be zero. */
static void *alloc_zeroed_class(size_t size, bool *zero)
{
	struct hak_heap *heap;
	void *p;

	if (hak_unlikely(hak_limit_is_set()))
		hak_reclaim_within_limit(size);
	heap = hak_attach_heap();
	*zero = false;
	p = heap ? hak_refill_zeroed(heap, hak_class_of(size), zero) : NULL;
	if (heap)
		hak_attach_leave(heap);
	return p ? p : hak_alloc_cold(size);
}

HAK_FN void *hak_alloc_zeroed(size_t count, size_t size)
{
	bool zero = false;
	void *p;

	if (hak_unlikely(hak_mul_overflow(count, size, &size)))
		return alloc_fail();
	if (size < ALLOC_ZERO_ASK && !hak_starve_is_on())
		return (p = hak_hot_malloc(size)) ? memset(p, 0, size) : p;
	if (hak_unlikely(hak_libc_passes()))
		return hak_libc_zeroed(size);
	if (hak_unlikely(hak_starve_is_needed()))
		return alloc_starved(size, 1, true);
	if (size <= HAK_CLASS_MAX)
		p = alloc_zeroed_class(size, &zero);
	else
		p = alloc_any(size, 1, HAK_CLASS_COUNT, &zero);
	return p && !zero ? memset(p, 0, size) : p;
}

/* ---- realloc ---- */

static void *alloc_move(void *p, size_t have, size_t size)
{
	void *to = hak_hot_malloc(size);

	if (!to)
		return size <= have ? p : NULL; /* what shrinks never fails */
	memcpy(to, p, have < size ? have : size);
	hak_hot_free(p);
	return to;
}

/* Without a copy, where it lies or with its pages moved; NULL: that cannot be. */
static void *alloc_resize_span(void *p, uint32_t tag, size_t size)
{
	if (tag == HAK_TAG_MID && size > HAK_CLASS_MAX && size <= HAK_MID_MAX && hak_mid_resize(p, size))
		return p;
	if (tag == HAK_TAG_LARGE && size > HAK_MID_MAX && size <= PTRDIFF_MAX)
		return hak_large_resize(p, size);
	return NULL;
}

static HAK_COLD void *alloc_resize_secured(void *p, uint32_t tag, size_t size)
{
	if (hak_class_or_none(hak_secure_room(size)) != hak_block_class(tag))
		return NULL;
	hak_secure_set_size(p, size);
	return p;
}

/* In a young heap (H8) another block would be as large. */
static bool alloc_is_served(unsigned class, size_t size)
{
	return size <= HAK_DIRECT_MAX && hak_heap_serving(hak_thread.own, hak_class_of(size)) == class;
}

static void *alloc_resize_any(void *p, uint32_t tag, size_t have, size_t size)
{
	if (!hak_block_is_ours(tag))
		return alloc_resize_span(p, tag, size);
	if (hak_unlikely(hak_setting(secure)))
		return alloc_resize_secured(p, tag, size);
	return hak_block_is_fit(have, size) || (size < have && alloc_is_served(hak_block_class(tag), size)) ? p : NULL;
}

/* To those who look a block that gets another size is freed, and is a new one. */
static HAK_COLD void *alloc_resize_sampled(void *p, uint32_t tag, size_t have, size_t size)
{
	void *to;

	hak_sample_free(p); /* while it is the program's still */
	to = alloc_resize_any(p, tag, have, size);
	hak_sample_alloc(to, size);
	return to;
}

static void *alloc_resize(void *p, size_t size)
{
	uint32_t tag = hak_block_tag(p);
	size_t have;
	bool foreign;
	void *to;

	have = hak_block_size("realloc", p, tag, &foreign);
	if (hak_unlikely(foreign))
		return hak_libc_resize(p, size);
	if (hak_unlikely(hak_limit_is_set()) && !hak_block_is_ours(tag) && size > have && !hak_reclaim_within_limit(size - have))
		return alloc_fail();
	if (hak_unlikely(hak_starve_is_on() && hak_sample_is_on()))
		to = alloc_resize_sampled(p, tag, have, size);
	else
		to = alloc_resize_any(p, tag, have, size);
	return to ? to : alloc_move(p, have, size);
}

static HAK_COLD void *alloc_resize_recorded(void *p, size_t size)
{
	uint64_t begun = hak_record_begin();
	void *to;

	hak_thread.resizing = true;
	to = alloc_resize(p, size);
	hak_thread.resizing = false;
	if (to)
		hak_record_resize(begun, p, size, to);
	return to;
}

HAK_FN void *hak_alloc_resize(void *p, size_t size)
{
	if (!p)
		return hak_hot_malloc(size);
	if (size == 0) {
		hak_hot_free(p);
		return NULL;
	}
	return hak_attach_is_recorded() ? alloc_resize_recorded(p, size) : alloc_resize(p, size);
}

/* Sure as free's hit is of a pointer; of the rest hak_block_size tells. */
static bool alloc_is_sure(const void *p, uint32_t tag)
{
	struct hak_heap *heap = hak_block_own();
	const struct hak_cache *cache;

	if (!hak_block_is_mine(heap, tag) || hak_setting(secure))
		return false;
	cache = hak_heap_cache(heap, tag ^ heap->tag);
	return !hak_cache_is_full(cache) && hak_class_is_start(cache->shape, p) && !hak_cache_is_newest(cache->top, p);
}

/* On its own, since what has a variable on the stack is guarded by the compiler, call by call. */
static HAK_NOINLINE size_t alloc_usable_slow(const void *p, uint32_t tag)
{
	bool foreign;

	return p ? hak_block_size("malloc_usable_size", p, tag, &foreign) : 0;
}

/* Programs that count what they hold ask at each malloc and at each free. */
HAK_FN size_t hak_alloc_usable_size(const void *p)
{
	uint32_t tag = p ? hak_block_tag(p) : 0;

	if (hak_likely(p && alloc_is_sure(p, tag)))
		return hak_classes[hak_block_class(tag)].size;
	return alloc_usable_slow(p, tag);
}
