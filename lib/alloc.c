#include "alloc.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "background.h"
#include "batch.h"
#include "check.h"
#include "guard.h"
#include "large.h"
#include "libc.h"
#include "limit.h"
#include "lock.h"
#include "mid.h"
#include "misuse.h"
#include "numa.h"
#include "os.h"
#include "probe.h"
#include "record.h"
#include "refill.h"
#include "remote.h"
#include "sample.h"
#include "say.h"
#include "secure.h"
#include "superslab.h"
#include "tunables.h"
#include "view.h"

HAK_DEF bool hak_alloc_has_key;
HAK_DEF unsigned hak_alloc_key;

static struct hak_lock alloc_start_lock = HAK_LOCK_INIT(HAK_RANK_INIT);
static _Atomic uint32_t alloc_started;

/* ---- which block is it ---- */

static uint32_t alloc_tag(const void *p)
{
	size_t number = hak_registry_number(p);

	return number < hak_registry_slabs() ? hak_registry_tag(number) : 0;
}

static unsigned alloc_class(uint32_t tag) { return tag % (1u << HAK_TAG_SHIFT) / HAK_CACHE_SIZE; }

/* Our own memory, but no block of ours begins there: say what it is and die. */
static HAK_COLD HAK_NORETURN void alloc_die(const char *entry, const void *p, uint32_t tag)
{
	size_t number = hak_registry_number(p);

	if (tag == HAK_TAG_INNER || tag == HAK_TAG_MID)
		hak_say_fatal(HAK_FATAL_INTERIOR, entry, p, (size_t)hak_slab_head(number)->free << HAK_SLAB_SHIFT);
	if (tag == HAK_TAG_LARGE)
		hak_say_fatal(HAK_FATAL_INTERIOR, entry, p, hak_large_size(hak_registry_address(number)));
	if (hak_libc_is_excluded(p))
		hak_say_fatal(HAK_FATAL_NO_BLOCK, entry, p, 0);
	hak_say_fatal(HAK_FATAL_NOT_OURS, entry, p, 0);
}

static bool alloc_is_mine(const struct hak_heap *heap, uint32_t tag) { return (tag ^ heap->tag) < HAK_TAG_CLASSES; }
static bool alloc_is_ours(uint32_t tag) { return tag >> HAK_TAG_SHIFT >= HAK_OWNER_FIRST; }

/* Whose caches this call may look at: the thread's, though it be starved, but not half-written ones. */
static struct hak_heap *alloc_own(void) { return hak_thread.inside ? &hak_empty_heap : hak_thread.own; }

/* A mid or large block must be named by its start. */
static bool alloc_is_start(const void *p, uint32_t tag)
{
	return (tag == HAK_TAG_MID || tag == HAK_TAG_LARGE) && (uintptr_t)p % HAK_SLAB_SIZE == 0;
}

/* Bytes of the block; *foreign: it is the C library's. */
static size_t alloc_size(const char *entry, const void *p, uint32_t tag, bool *foreign)
{
	*foreign = false;
	if (alloc_is_ours(tag)) {
		if (hak_unlikely(hak_setting(secure)))
			return hak_secure_size(entry, p);
		if (alloc_is_mine(alloc_own(), tag))
			hak_misuse_check(alloc_own(), alloc_class(tag), entry, p, HAK_MISUSE_NEAR);
		else
			hak_misuse_check_slab(entry, p);
		return hak_classes[alloc_class(tag)].size;
	}
	if (alloc_is_start(p, tag))
		return tag == HAK_TAG_MID ? hak_mid_size(p) : hak_large_size(p);
	if (tag == HAK_TAG_GUARD)
		return hak_guard_size(entry, p);
	*foreign = tag == 0 && hak_libc_is_block(p);
	if (!*foreign)
		alloc_die(entry, p, tag);
	return hak_libc_usable_size(p);
}

/* ---- the thread's heap ---- */

HAK_FN void hak_alloc_lock(void) { hak_lock_take(&alloc_start_lock); }
HAK_FN void hak_alloc_unlock(void) { hak_lock_release(&alloc_start_lock); }

static HAK_COLD bool alloc_start_slow(void)
{
	bool ok = true;

	if (!hak_lock_take(&alloc_start_lock))
		return false;
	if (!hak_load(&alloc_started, relaxed)) {
		ok = hak_registry_start();
		hak_starve_follow();
		hak_store(&alloc_started, ok, release); /* partner: hak_alloc_start */
	}
	hak_lock_release(&alloc_start_lock);
	return ok;
}

HAK_FN bool hak_alloc_start(void)
{
	return hak_load(&alloc_started, acquire) || alloc_start_slow(); /* partner: alloc_start_slow */
}

/* Not a thread that has announced its end, and none of a process that allocates elsewhere: each call borrows a heap. */
static bool alloc_keeps_heap(void) { return !hak_thread.gone && !hak_libc_passes(); }

/* An idle heap or a new one, entered; NULL: no memory.  A handler that forks between here makes it an idle one of the child. */
static HAK_COLD struct hak_heap *alloc_take(void)
{
	for (;;) {
		uint32_t forks = hak_load(&hak_heap_forks, relaxed);
		struct hak_heap *heap = hak_heap_acquire();

		if (!heap)
			return NULL;
		if (!hak_heap_enter_last(heap))
			continue;
		heap->borrowed = true;
		if (hak_load(&hak_heap_forks, relaxed) == forks)
			return heap;
		hak_heap_exit(heap);
	}
}

/* A thread that has none gets a heap of its own; a handler that comes between borrows. */
static HAK_COLD bool alloc_attach(void)
{
	struct hak_heap *heap;

	if (!hak_alloc_start() || !alloc_keeps_heap())
		return false;
	hak_heap_hide(&hak_empty_heap);
	heap = hak_thread.own == &hak_empty_heap ? alloc_take() : NULL; /* else a handler came before, and has got one */
	if (heap) {
		heap->borrowed = false;
		hak_thread.own = heap;
	}
	hak_signal_fence();
	hak_thread.inside = hak_thread.own;
	hak_heap_show();
	if (heap)
		hak_heap_exit(heap);
	if (heap && hak_alloc_has_key)
		pthread_setspecific(hak_alloc_key, &hak_thread); /* may allocate: the heap is there */
	return hak_thread.own != &hak_empty_heap;
}

HAK_FN struct hak_heap *hak_alloc_heap(void)
{
	struct hak_heap *heap = hak_thread.own;

	if (hak_unlikely(hak_thread.inside)) /* a handler that interrupted the allocator: all is left as it was found */
		return alloc_take();
	if (hak_unlikely(heap == &hak_empty_heap)) {
		if (!alloc_attach())
			return hak_alloc_start() ? alloc_take() : NULL; /* of a thread that is gone: for one call */
		heap = hak_thread.own;
	}
	if (hak_unlikely(!hak_heap_enter(heap))) /* a visitor is inside; or a handler, right before the heap was hidden */
		return alloc_take();
	hak_heap_hide(heap);
	return heap;
}

/* Back, if it was borrowed. */
HAK_FN void hak_alloc_leave(struct hak_heap *heap)
{
	if (HAK_HARD)
		hak_check_now(heap);
	if (hak_unlikely(heap != hak_thread.inside)) {
		hak_remote_leave(heap);
		return;
	}
	hak_heap_show();
	hak_heap_exit(heap);
}

/* ---- reclaim ---- */

#define ALLOC_PATIENCE 64u /* tries, the second half of them a millisecond apart */

static HAK_COLD void alloc_reclaim(struct hak_heap *heap)
{
	hak_registry_return_begin();
	if (heap) {
		hak_remote_send_all(heap);
		hak_remote_settle(heap);
	}
	hak_remote_visit_all();
	hak_large_trim(hak_os_now(), 0);
	hak_batch_purge_all();
	hak_superslab_shrink(0);
	hak_registry_return_end();
}

HAK_FN size_t hak_alloc_trim(void)
{
	struct hak_heap *heap;
	size_t bytes;

	hak_registry_return_begin(); /* who is visited borrows another heap; whose that is does not find his slabs */
	heap = hak_alloc_heap();
	if (heap) {
		hak_remote_settle(heap);
		hak_alloc_leave(heap);
	}
	hak_remote_visit_all();
	bytes = hak_remote_purge_all();
	bytes += hak_large_trim(hak_os_now(), 0) + hak_batch_purge_all();
	hak_superslab_shrink(0); /* the kernel may have promised them: overcommit_memory=2 */
	hak_registry_return_end();
	return bytes;
}

/* ---- malloc ---- */

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
		if (!hak_superslab_grow(node, true))
			return hak_mid_alloc(HAK_NODE_ANY, size, align, zero);
	return p;
}

/* One try at any size.  class: of a cached size, else HAK_CLASS_COUNT; with align 1 one that serves it will do. */
static void *alloc_once(struct hak_heap *heap, size_t size, size_t align, unsigned class, bool *zero)
{
	if (class < HAK_CLASS_COUNT)
		return heap ? hak_refill(heap, align == 1 ? hak_heap_serving(heap, class) : class) : NULL;
	if (size <= HAK_MID_MAX && align <= HAK_SS_SIZE)
		return alloc_mid(size, align, zero);
	return hak_large_alloc(size, align, zero);
}

/* Is the program's function among the callers?  It may have been left by longjmp or an exception: then some call comes from
 * where the stack is no deeper. */
static bool alloc_is_limiting(uint32_t frame)
{
	return hak_thread.limiting && (int32_t)(frame - hak_thread.limiting) < 0;
}

/* HAKMEM_LIMIT and HAKMEM_LIMIT_HARD: may `size` more bytes be taken?  Outside of any heap, since it calls the program. */
static HAK_COLD bool alloc_within_limit(size_t size)
{
	enum hak_limit beyond = hak_limit_check(size);

	if (beyond == HAK_LIMIT_NONE)
		return true;
	if (alloc_is_limiting(hak_frame()))
		return beyond != HAK_LIMIT_HARD;
	if (hak_limit_is_due() || beyond == HAK_LIMIT_HARD) {
		hak_thread.limiting = hak_frame();
		hak_alloc_trim();
		if (hak_limit_tell() && hak_limit_check(size) == HAK_LIMIT_HARD)
			hak_alloc_trim(); /* what the program freed may have been kept */
		hak_thread.limiting = 0;
		beyond = hak_limit_check(size);
	}
	return beyond != HAK_LIMIT_HARD;
}

/* A free block in a slab of an idle heap, which nobody else reaches while there is memory. */
static HAK_COLD void *alloc_from_idle(unsigned class)
{
	void *p = NULL;

	for (uint32_t i = 0; i < hak_heap_count() && !p; i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (!heap || !hak_heap_try_visit(heap) || !hak_heap_enter_last(heap))
			continue; /* with a visitor inside, who makes it idle again */
		heap->borrowed = true;
		p = hak_refill(heap, class);
		hak_remote_leave(heap);
	}
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
		hak_alloc_leave(*heap);
	*heap = hak_alloc_heap();
	if (*heap && *heap == hak_thread.inside)
		alloc_reclaim(*heap); /* what it has cached, and what it has not sent yet */
}

/* After the first failure.  While other threads purge and unmap there is another try, and after some a short sleep: what they
 * have taken out of sight comes back.  Bounded, as in a process made without fork's handlers they may not be there. */
static HAK_COLD void *alloc_retry(struct hak_heap **heap, size_t size, size_t align, unsigned class, bool *zero)
{
	void *p = NULL;

	alloc_reclaim(*heap);
	for (unsigned i = 0; i < ALLOC_PATIENCE; i++) {
		uint32_t returned = hak_registry_returned();

		alloc_take_own(heap);
		p = alloc_once(*heap, size, align, class, zero);
		if (!p && class < HAK_CLASS_COUNT)
			p = alloc_from_idle(class);
		if (p || hak_registry_is_settled(returned))
			break;
		if (i >= ALLOC_PATIENCE / 2)
			hak_os_rest();
	}
	if (hak_thread.own != &hak_empty_heap)
		hak_store(&hak_thread.own->wanted, 0, relaxed);
	return p;
}

static HAK_COLD void alloc_obey_trim(void)
{
	uint32_t wish;

	if (hak_thread.inside || hak_thread.limiting || !hak_view_take_trim(&wish))
		return;
	hak_alloc_trim();
	hak_view_end_trim(wish);
}

/* The end of a cold call: no heap is entered, no lock held. */
static void alloc_pass_by(void)
{
	if (hak_unlikely(hak_view_is_trim_asked()))
		alloc_obey_trim();
	if (hak_probe_is_watched() && !hak_starve_is_for(HAK_STARVE_PROFILE)) {
		hak_sample_begin();
		hak_alloc_follow();
	}
}

static void *alloc_any(size_t size, size_t align, unsigned class, bool *zero)
{
	struct hak_heap *heap;
	void *p;

	if (align > PTRDIFF_MAX || size > PTRDIFF_MAX - align || !hak_alloc_start())
		return alloc_fail();
	/* for a cached size the hard limit is looked at when it needs slabs: refill */
	if (hak_unlikely(hak_limit_is_set()) && !alloc_within_limit(size) && class == HAK_CLASS_COUNT)
		return alloc_fail();
	heap = hak_alloc_heap();
	*zero = false;
	p = alloc_once(heap, size, align, class, zero);
	if (hak_unlikely(!p))
		p = alloc_retry(&heap, size, align, class, zero);
	if (hak_likely(heap != NULL))
		hak_alloc_leave(heap);
	hak_background_poke();
	alloc_pass_by();
	return p ? p : alloc_fail();
}

static unsigned alloc_class_of(size_t size)
{
	return size <= HAK_CLASS_MAX ? hak_class_of(size ? size : 1) : HAK_CLASS_COUNT;
}

static bool alloc_is_passed(size_t size)
{
	return hak_setting(disable) || (!hak_setting(tiny_use_superslab) && size <= HAK_TINY_MAX);
}

/* ---- starved: what hits would do, done here (starve.h), and what HAKMEM_SECURE adds ---- */

static bool alloc_is_starved(void) { return hak_starve_is_on() || hak_setting(secure); }

/* The thread shows what the flag says, and frees of all threads find what it says. */
HAK_FN HAK_COLD void hak_alloc_follow(void)
{
	if (hak_starve_follow())
		hak_sample_end();
	if (hak_thread.inside || hak_thread.own == &hak_empty_heap)
		return;
	hak_heap_hide_parcels(hak_thread.own);
	if (hak_thread.inside == hak_thread.own) /* no handler has changed it since it was read */
		hak_thread.heap = hak_heap_shown(hak_thread.own);
	hak_heap_show_parcels();
}

/* HAKMEM_TRACE: a realloc is one event, not those of which it is made. */
static bool alloc_is_recorded(void) { return hak_unlikely(hak_record_is_on()) && !hak_thread.resizing; }

/* While the caches are starved, each free comes by. */
static HAK_COLD void alloc_watch_free(void *p)
{
	hak_alloc_follow();
	if (alloc_is_recorded())
		hak_record_free(p);
	if (hak_sample_is_on())
		hak_sample_free(p);
}

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
static void *alloc_exchange_secured(unsigned class, void *p)
{
	struct hak_heap *heap = hak_thread.own;

	if (hak_thread.inside || !alloc_is_mine(heap, alloc_tag(p)))
		return p;
	hak_heap_hide_parcels(heap);
	p = hak_secure_exchange(heap, class, p);
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
		p = alloc_exchange_secured(class, p);
	*zero = p && hak_setting(secure) && hak_secure_hand_out(p, size);
	return p;
}

/* Each request.  align 1: as malloc; zero: the memory must be. */
static HAK_NOINLINE void *alloc_starved(size_t size, size_t align, bool zero)
{
	size_t room = hak_secure_room(size);
	unsigned class = align > 1 ? hak_class_of_aligned(room, align) : alloc_class_of(room);
	bool is_zero = false;
	void *p = alloc_guarded(size, class, align);

	hak_alloc_follow();
	if (!p && class < HAK_CLASS_COUNT)
		p = alloc_class_starved(size, class, &is_zero);
	else if (!p)
		p = alloc_any(size ? size : 1, align, class, &is_zero);
	if (alloc_is_recorded())
		hak_record_alloc(zero ? HAK_RECORD_CALLOC : align > 1 ? HAK_RECORD_ALIGNED : HAK_RECORD_MALLOC, size, align, p);
	if (hak_sample_is_on())
		hak_sample_alloc(p, size);
	return p && zero && !is_zero ? memset(p, 0, size) : p;
}

HAK_FN HAK_NOINLINE void *hak_alloc_cold(size_t size)
{
	bool zero;
	void *p;

	if (hak_unlikely(alloc_is_passed(size)) && hak_libc_is_there())
		return hak_libc_malloc(size);
	if (hak_unlikely(alloc_is_starved()))
		return alloc_starved(size, 1, false);
	if ((p = alloc_guarded(size, alloc_class_of(size), 1)) != NULL)
		return p;
	return alloc_any(size, 1, alloc_class_of(size), &zero);
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
	if (hak_unlikely(alloc_is_starved()))
		return alloc_starved(size, align, false);
	if ((p = alloc_guarded(size, class, align)) != NULL)
		return p;
	return alloc_any(size ? size : 1, align, class, &zero);
}

/* ---- calloc ---- */

#define ALLOC_ZERO_ASK HAK_HARD_OR(16384u, 4097u) /* from here on it pays to ask whether the memory is zero already */

/* A block of a cached class; its memory may be known to be zero. */
static void *alloc_zeroed_class(size_t size, bool *zero)
{
	struct hak_heap *heap;
	void *p;

	if (hak_unlikely(hak_limit_is_set()))
		alloc_within_limit(size);
	heap = hak_alloc_heap();
	*zero = false;
	p = heap ? hak_refill_zeroed(heap, hak_class_of(size), zero) : NULL;
	if (heap)
		hak_alloc_leave(heap);
	return p ? p : hak_alloc_cold(size);
}

HAK_FN void *hak_alloc_zeroed(size_t count, size_t size)
{
	bool zero = false;
	void *p;

	if (hak_unlikely(hak_mul_overflow(count, size, &size)))
		return alloc_fail();
	if (size < ALLOC_ZERO_ASK && !alloc_is_starved())
		return (p = hak_hot_malloc(size)) ? memset(p, 0, size) : p;
	if (hak_unlikely(hak_libc_passes()))
		return hak_libc_zeroed(size);
	if (hak_unlikely(alloc_is_starved()))
		return alloc_starved(size, 1, true);
	if (size <= HAK_CLASS_MAX)
		p = alloc_zeroed_class(size, &zero);
	else
		p = alloc_any(size, 1, HAK_CLASS_COUNT, &zero);
	return p && !zero ? memset(p, 0, size) : p;
}

/* ---- free ---- */

static HAK_COLD void alloc_free_span(void *p, uint32_t tag)
{
	if (hak_unlikely(hak_setting(secure)) && alloc_is_start(p, tag))
		hak_secure_wipe(p, tag == HAK_TAG_MID ? hak_mid_size(p) : hak_large_size(p));
	if (tag == HAK_TAG_MID && alloc_is_start(p, tag))
		hak_mid_free(p);
	else if (tag == HAK_TAG_LARGE && alloc_is_start(p, tag))
		hak_large_free(p);
	else if (tag == HAK_TAG_GUARD)
		hak_guard_free("free", p);
	else if (tag == 0 && hak_libc_is_block(p))
		hak_libc_free(p);
	else
		alloc_die("free", p, tag);
}

static HAK_NOINLINE void alloc_free_entered(void *p, uint32_t tag)
{
	struct hak_heap *heap = hak_alloc_heap();

	if (hak_unlikely(!heap))
		return; /* no memory for a heap: the block is lost, the program is not */
	if (alloc_is_mine(heap, tag))
		hak_refill_flush(heap, alloc_class(tag), p);
	else
		hak_remote_send(heap, p, tag);
	hak_alloc_leave(heap);
	alloc_pass_by();
}

/* A block of the heap's own: its cache is full, or the hit was not sure that it is one.  False: there is no room. */
static bool alloc_free_own(struct hak_heap *heap, void *p, unsigned class)
{
	struct hak_cache *cache = &heap->caches[class];

	hak_misuse_check(heap, class, "free", p, UINT_MAX);
	if (hak_cache_is_full(cache))
		return false;
	cache->top[1] = p;
	hak_signal_fence();
	cache->top++;
	return true;
}

/* As a hit would do, or as a miss.  False: the cache is full. */
static bool alloc_free_starved_own(struct hak_heap *heap, void *p, uint32_t tag)
{
	struct hak_cache *cache = &heap->caches[alloc_class(tag)];

	if (!alloc_is_mine(heap, tag)) {
		hak_remote_send(heap, p, tag);
		return true;
	}
	if (!hak_setting(secure)) /* which has looked already */
		hak_misuse_check(heap, alloc_class(tag), "free", p, HAK_MISUSE_NEAR);
	if (hak_cache_is_full(cache))
		return false;
	*++cache->top = p;
	hak_count(&heap->bins[alloc_class(tag)].counts.direct_free, 1);
	return true;
}

static HAK_NOINLINE void alloc_free_starved(void *p, uint32_t tag)
{
	struct hak_heap *heap = hak_thread.own;
	bool is_done = true;

	if (hak_setting(secure))
		hak_secure_take_back("free", p);
	if (heap == &hak_empty_heap || hak_thread.inside) {
		alloc_free_entered(p, tag);
		return;
	}
	hak_heap_hide_parcels(heap);
	p = hak_secure_delay(heap, p);
	tag = p ? alloc_tag(p) : tag;
	if (p)
		is_done = alloc_free_starved_own(heap, p, tag);
	hak_heap_show_parcels();
	if (!is_done)
		alloc_free_entered(p, tag);
}

static HAK_NOINLINE void alloc_free_miss(struct hak_heap *heap, void *p, uint32_t tag)
{
	if (hak_unlikely(alloc_is_starved())) {
		alloc_free_starved(p, tag);
	} else if (hak_likely(heap != &hak_empty_heap && !hak_thread.inside && !alloc_is_mine(heap, tag))) {
		hak_heap_hide_parcels(heap);
		hak_remote_send(heap, p, tag);
		hak_heap_show_parcels();
	} else if (!alloc_is_mine(heap, tag) || !alloc_free_own(heap, p, alloc_class(tag))) {
		alloc_free_entered(p, tag);
	}
}

HAK_FN HAK_NOINLINE void hak_alloc_free_cold(void *p)
{
	uint32_t tag = alloc_tag(p);
	struct hak_heap *heap;
	bool sent;

	if (hak_unlikely(hak_starve_is_news()))
		alloc_watch_free(p);
	if (hak_unlikely(!alloc_is_ours(tag))) {
		if (p)
			alloc_free_span(p, tag);
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
	alloc_free_miss(heap, p, tag);
}

/* A block of `have` bytes may stay for a request of `size`. */
static bool alloc_is_fit(size_t have, size_t size) { return size <= have && size >= have / 2; }

/* Could a block of this class have been asked for with that size: by malloc, or by a realloc that let it stay? */
static bool alloc_is_size(unsigned class, size_t align, size_t size)
{
	return alloc_is_fit(hak_classes[class].size, size) ||
	       (align ? hak_class_of_aligned(size, align) : alloc_class_of(size)) == class;
}

static bool alloc_is_right_size(uint32_t tag, size_t have, size_t align, size_t size)
{
	if (size == have)
		return true;
	if (!alloc_is_ours(tag)) /* one that could not be moved to a smaller place may be longer than what was asked for */
		return size < have;
	/* HAKMEM_SECURE=3 knows what was asked for, but of blocks from before the start */
	return (hak_setting(secure) < HAK_SECURE_CANARY || have == hak_classes[alloc_class(tag)].size) &&
	       alloc_is_size(alloc_class(tag), align, size);
}

static void alloc_check_size(const char *entry, const void *p, size_t align, size_t size)
{
	uint32_t tag = alloc_tag(p);
	bool foreign;
	size_t have = alloc_size(entry, p, tag, &foreign);

	if (align && (uintptr_t)p % align != 0)
		hak_say_fatal(HAK_FATAL_ALIGN_MISMATCH, entry, p, align);
	if (hak_unlikely(tag == HAK_TAG_GUARD && size != have))
		hak_guard_die(HAK_FATAL_SIZE_MISMATCH, entry, p, have);
	if (!foreign && !alloc_is_right_size(tag, have, align, size))
		hak_say_fatal(HAK_FATAL_SIZE_MISMATCH, entry, p, have);
}

HAK_FN void hak_alloc_free_sized(void *p, size_t align, size_t size)
{
	if (!p)
		return;
	alloc_check_size(align ? "free_aligned_sized" : "free_sized", p, align, size);
	hak_hot_free(p);
}

/* C++ programs delete objects by pointers to other types, which many get away with: only HAKMEM_SECURE looks at the size. */
HAK_FN HAK_NOINLINE void hak_alloc_delete_cold(void *p, size_t align, size_t size)
{
	if (hak_unlikely(hak_setting(secure)) && p)
		alloc_check_size("operator delete", p, align, size);
	hak_alloc_free_cold(p);
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
	if (alloc_class_of(hak_secure_room(size)) != alloc_class(tag))
		return NULL;
	hak_secure_set_size(p, size);
	return p;
}

static void *alloc_resize_any(void *p, uint32_t tag, size_t have, size_t size)
{
	if (!alloc_is_ours(tag))
		return alloc_resize_span(p, tag, size);
	if (hak_unlikely(hak_setting(secure)))
		return alloc_resize_secured(p, tag, size);
	return alloc_is_fit(have, size) ? p : NULL;
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
	uint32_t tag = alloc_tag(p);
	size_t have;
	bool foreign;
	void *to;

	have = alloc_size("realloc", p, tag, &foreign);
	if (hak_unlikely(foreign))
		return hak_libc_resize(p, size);
	if (hak_unlikely(hak_limit_is_set()) && !alloc_is_ours(tag) && size > have && !alloc_within_limit(size - have))
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
	return alloc_is_recorded() ? alloc_resize_recorded(p, size) : alloc_resize(p, size);
}

/* Sure as free's hit is of a pointer; of what is left, alloc_size tells. */
static bool alloc_is_sure(const void *p, uint32_t tag)
{
	struct hak_heap *heap = alloc_own();
	const struct hak_cache *cache;

	if (!alloc_is_mine(heap, tag) || hak_setting(secure))
		return false;
	cache = hak_heap_cache(heap, tag ^ heap->tag);
	return hak_class_is_start(cache->shape, p) && cache->top[0] != p && cache->top[-1] != p;
}

/* Programs that count what they hold ask at each malloc and at each free. */
HAK_FN size_t hak_alloc_usable_size(const void *p)
{
	uint32_t tag = p ? alloc_tag(p) : 0;
	bool foreign;

	if (hak_likely(p && alloc_is_sure(p, tag)))
		return hak_classes[alloc_class(tag)].size;
	return p ? alloc_size("malloc_usable_size", p, tag, &foreign) : 0;
}
