#include "refill.h"

#include "bin.h"
#include "capacity.h"
#include "guard.h"
#include "misuse.h"
#include "os.h"
#include "probe.h"
#include "remote.h"

#define REFILL_IDLE_TICKS HAK_HARD_OR(256u, 3u)   /* cold calls between two looks for caches that nobody uses */
#define REFILL_INSIDE_TICKS HAK_HARD_OR(64u, 16u) /* cold calls between looks at what is free inside slabs */
#define REFILL_INSIDE_AGAIN 16u                   /* .. and since pages inside them went back */
#define REFILL_JOINT_BYTES 16384u                 /* of a joint class, in use or cached, before its neighbours get slabs .. */
#define REFILL_WIDE_BYTES 8192u                   /* .. and before those of another doubling do */

/* ---- the heap looks after itself ---- */

/* What lies in the cache of a size that the program does not use any more keeps each its slab: a cache that did not move since
 * the last look is emptied. */
static HAK_COLD void refill_settle_idle(struct hak_heap *heap)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		struct hak_bin *bin = &heap->bins[c];
		struct hak_cache *cache = &heap->caches[c];

		if (bin->capacity == 0)
			continue;
		if (cache->top == bin->seen)
			hak_bin_settle(heap, c);
		bin->seen = cache->top;
	}
	heap->idle_ticks = heap->ticks;
}

/* What caches hold keeps its pages, and they would hold as much of what is freed next. */
static HAK_COLD void refill_shrink(struct hak_heap *heap)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		if (heap->bins[c].capacity > 0) {
			hak_bin_settle(heap, c);
			hak_capacity_restart(heap, c);
		}
}

static void refill_tend(struct hak_heap *heap)
{
	enum hak_tend what = hak_bin_tend(heap);

	if (what == HAK_TEND_SHRINK)
		refill_shrink(heap);
	if (what != HAK_TEND_NOTHING)
		hak_bin_purge(heap);
}

/* The tick of who has entered the heap. */
static void refill_tick_inside(struct hak_heap *heap)
{
	hak_remote_tick(heap);
	if (heap->ticks - heap->idle_ticks >= REFILL_IDLE_TICKS)
		refill_settle_idle(heap);
	if (heap->ticks % (heap->inside_purged > 0 ? REFILL_INSIDE_AGAIN : REFILL_INSIDE_TICKS) == 0)
		refill_tend(heap);
}

HAK_FN void hak_refill_tick(struct hak_heap *heap, size_t bytes)
{
	size_t slabs = bytes >> HAK_SLAB_SHIFT;

	heap->idle_ticks -= slabs < REFILL_IDLE_TICKS ? (uint32_t)slabs : REFILL_IDLE_TICKS;
	refill_tick_inside(heap);
}

/* ---- refill and flush ---- */

static void *refill_pop(struct hak_cache *cache)
{
	void *p = *cache->top;

	if (p)
		cache->top--;
	return p;
}

/* A block that is in the cache already, or comes from the inbox: parcels are unpacked until one brought some. */
static void *refill_from_inbox(struct hak_heap *heap, unsigned class)
{
	struct hak_cache *cache = &heap->caches[class];
	void *p;

	hak_heap_mend(heap, class);
	p = refill_pop(cache);
	if (p)
		return p;
	while (!*cache->top && hak_remote_receive(heap))
		;
	p = refill_pop(cache);
	if (p)
		hak_count(&heap->bins[class].counts.refill_inbox, 1);
	return p;
}

/* Is every call a cold one, so that each can be counted? */
static bool refill_is_direct(void) { return hak_setting(tiny_front_direct) || hak_starve_is_on(); }

HAK_FN void *hak_refill_zeroed(struct hak_heap *heap, unsigned class, bool *zero)
{
	void *p = refill_from_inbox(heap, class);

	*zero = false;
	refill_tick_inside(heap);
	if (p || !hak_bin_provide(heap, class))
		return p;
	hak_count(&heap->bins[class].counts.direct_malloc, refill_is_direct());
	return hak_bin_carve_one(&heap->bins[class], zero);
}

/* H8: a class that serves its neighbours too has handed out enough: they are worth slabs of their own. */
static void refill_part(struct hak_heap *heap, unsigned class)
{
	size_t most;

	if (!hak_heap_is_joint(heap, class))
		return;
	most = hak_heap_is_wide(heap, class) ? REFILL_WIDE_BYTES : REFILL_JOINT_BYTES;
	if (hak_bin_used(&heap->bins[class]) * hak_classes[class].size >= most)
		hak_heap_part(heap, class);
}

#define REFILL_LOOKED_AT 4u

/* H9: of the blocks that were popped since the places above top were cleared, the newest; one that is free in its slab was freed
 * twice, and would be handed out again. */
static void refill_check_popped(const struct hak_heap *heap, unsigned class)
{
	const struct hak_bin *bin = &heap->bins[class];
	unsigned high = 0;

	if (hak_load(&bin->counts.put, relaxed) != bin->put_then)
		return;
	for (unsigned step = (bin->capacity + 1u) / 2; step; step /= 2)
		high += bin->array[high + step] ? step : 0; /* the capacity is one less than a power of two */
	for (unsigned i = 0; i < REFILL_LOOKED_AT && high > i; i++)
		hak_misuse_check_slab("free", bin->array[high - i]);
}

static void *refill_any(struct hak_heap *heap, unsigned class)
{
	struct hak_bin *bin = &heap->bins[class];
	void *p = refill_from_inbox(heap, class);
	unsigned n;
	bool zero;

	refill_tick_inside(heap);
	if (!p && !heap->borrowed) {
		refill_check_popped(heap, class);
		hak_capacity_adapt(heap, class, false);
		refill_part(heap, class);
	}
	if (!p && !hak_bin_provide(heap, class))
		return NULL;
	hak_count(&bin->counts.direct_malloc, refill_is_direct());
	if (p)
		return p;
	n = heap->borrowed ? 1 : hak_capacity_batch(heap, class);
	if (n < 2)
		return hak_bin_carve_one(bin, &zero);
	n = hak_bin_carve(heap, class, bin->array, n);
	hak_probe_2(hakmem, refill, hak_classes[class].size, n);
	p = bin->array[n];
	heap->caches[class].top = bin->array + n - 1;
	hak_heap_clear_above(heap, class);
	return p;
}

/* Blocks of a cache go behind the first `n` of an out-cache; the number that is there then.  H7: places may hold none. */
static unsigned refill_move(void **to, unsigned n, void *const *from, unsigned places)
{
	for (unsigned i = 0; i < places; i++) {
		if (hak_unlikely(!from[i]))
			continue;
		if (places - i <= REFILL_LOOKED_AT)
			hak_misuse_check_slab("free", from[i]);
		to[++n] = from[i];
	}
	return n;
}

/* The newest n blocks of the cache go to the empty out-cache.  Are there fewer, those at hand are carved, so that the next
 * batch is longer. */
static unsigned refill_fill_out(struct hak_heap *heap, unsigned class, unsigned n)
{
	struct hak_cache *from = &heap->caches[class], *to = &heap->outs->cache[class];
	void ***array = &heap->outs->array[class];
	unsigned cached = hak_heap_cached(heap, class), move = n < cached ? n : cached, filled = 0;

	if (!heap->bins[class].capacity) /* starved, or borrowed and never used */
		return 0;
	if (!*array && (*array = hak_heap_array_get(heap, HAK_OUT_SHIFT)) == NULL)
		return 0;
	if (move < n) {
		hak_capacity_adapt(heap, class, false);
		filled = hak_bin_carve(heap, class, *array, n - move);
	}
	filled = refill_move(*array, filled, from->top - move + 1, move);
	from->top -= move;
	hak_heap_clear_above(heap, class);
	to->top = *array + filled;
	return filled;
}

/* What hits take are blocks of the out-cache, of which H9 does not tell: those that go there are looked at instead. */
static HAK_NOINLINE void *refill_split(struct hak_heap *heap, unsigned class)
{
	struct hak_cache *out = &heap->outs->cache[class];
	void *p;

	if (hak_heap_outs(heap, class) > 0)
		return refill_pop(out); /* hits do not see it at present */
	p = refill_any(heap, class);
	if (!p)
		return NULL;
	hak_misuse_check_slab("free", p);
	hak_guard_passed(heap, 1 + refill_fill_out(heap, class, hak_guard_batch(heap, class)));
	return p;
}

HAK_FN void *hak_refill(struct hak_heap *heap, unsigned class)
{
	if (hak_unlikely(heap->outs && class < HAK_TINY_CLASSES && !hak_starve_is_on()))
		return refill_split(heap, class);
	return refill_any(heap, class);
}

HAK_FN void hak_refill_flush(struct hak_heap *heap, unsigned class, void *p)
{
	struct hak_cache *cache = &heap->caches[class];
	struct hak_bin *bin = &heap->bins[class];

	hak_count(&bin->counts.direct_free, refill_is_direct());
	if (hak_bin_is_young(bin)) {
		hak_bin_take_home(heap, class, p);
		return;
	}
	hak_heap_mend(heap, class);
	refill_tick_inside(heap);
	if (!heap->borrowed)
		hak_capacity_adapt(heap, class, true);
	if (bin->capacity == 0 || heap->borrowed) {
		hak_bin_put(bin, p);
		return;
	}
	if (hak_cache_is_full(cache)) {
		hak_count(&bin->counts.flushes, 1);
		hak_probe_2(hakmem, flush, hak_classes[class].size, (bin->capacity + 1u) / 2);
		hak_bin_give_oldest(heap, class, (bin->capacity + 1u) / 2);
	}
	hak_cache_push(cache, p);
}
