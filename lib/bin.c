#include "bin.h"

#include <limits.h>
#include <string.h>

#include "batch.h"
#include "limit.h"
#include "mark.h"
#include "numa.h"
#include "os.h"
#include "pages.h"
#include "say.h"
#include "superslab.h"

#define BIN_EMPTY_KEPT HAK_HARD_OR(1u, 0u)   /* wholly free slabs of a class that a heap keeps */
#define BIN_PREFILL_MOST HAK_HARD_OR(4u, 1u) /* slabs taken at once */
#define BIN_GROWING HAK_HARD_OR(8u, 1u)      /* slabs of a class that wants more, from which it grows */
#define BIN_YOUNG_STEP 4u                    /* to HAK_YOUNG, by a block above 1 KiB: fewer such go home by themselves */
#define BIN_GUARD_EACH HAK_HARD_OR(4u, 1u)   /* one span in so many is followed by a guard, with HAKMEM_SECURE=2 */
#define BIN_INSIDE_LEAST ((size_t)HAK_HARD_OR(8, 1) << 20) /* free bytes inside slabs from which pages go back */
#define BIN_INSIDE_MS 1000u                  /* what is wanted back within that time .. */
#define BIN_INSIDE_PAUSE_MS HAK_HARD_OR(10000u, 10u) /* .. stops it for that long */
#define BIN_FRESH_EACH 32u                   /* part of a heap that is new before pages inside it are in the way again */
#define BIN_AHEAD 8u                         /* heads are prefetched that many blocks ahead */

/* ---- the warm pool: a bin's list of slabs with free blocks ---- */

static void bin_link_first(struct hak_bin *bin, struct hak_slab *slab)
{
	slab->prev = NULL;
	slab->next = bin->first;
	if (bin->first)
		bin->first->prev = slab;
	else
		bin->last = slab;
	bin->first = slab;
}

static void bin_link_last(struct hak_bin *bin, struct hak_slab *slab)
{
	slab->next = NULL;
	slab->prev = bin->last;
	if (bin->last)
		bin->last->next = slab;
	else
		bin->first = slab;
	bin->last = slab;
}

static void bin_unlink(struct hak_bin *bin, struct hak_slab *slab)
{
	if (slab->prev)
		slab->prev->next = slab->next;
	else
		bin->first = slab->next;
	if (slab->next)
		slab->next->prev = slab->prev;
	else
		bin->last = slab->prev;
}

/* The slab behind the span, if it is free, becomes a guard: no memory and no mapping more. */
static HAK_COLD void bin_guard(struct hak_heap *heap, unsigned class, size_t number)
{
	struct hak_slab *slab = hak_slab_head(number);
	size_t behind = number + hak_classes[class].slabs;
	bool dirty;

	if (number / BIN_GUARD_EACH % BIN_GUARD_EACH != (heap->tag >> HAK_TAG_SHIFT) % BIN_GUARD_EACH ||
	    behind / HAK_SS_SLABS != number / HAK_SS_SLABS || !hak_pool_take_at(behind, 1, &dirty))
		return;
	if (hak_os_guard(hak_registry_address(behind), HAK_SLAB_SIZE)) {
		slab->fresh |= HAK_FRESH_GUARD;
		hak_count(&heap->bins[class].counts.slabs_taken, 1);
	} else {
		hak_pool_give(behind / HAK_SS_SLABS, UINT32_C(1) << behind % HAK_SS_SLABS, dirty);
	}
}

/* How many slabs more go with this one. */
static unsigned bin_unguard(const struct hak_slab *slab)
{
	size_t behind = slab->number + hak_classes[slab->class].slabs;

	if (hak_likely(!(slab->fresh & HAK_FRESH_GUARD)))
		return 0;
	return hak_os_unguard(hak_registry_address(behind), HAK_SLAB_SIZE);
}

static void bin_give_slab(struct hak_bin *bin, struct hak_slab *slab)
{
	size_t number = slab->number;
	unsigned slabs = hak_classes[slab->class].slabs + bin_unguard(slab);
	bool dirty = !(slab->fresh & HAK_FRESH_CLEAN);

	slab->fresh = 0; /* M2 */
	bin->prefill = 0;
	bin_unlink(bin, slab);
	hak_count(&bin->counts.slabs_given, slabs);
	hak_registry_set_tags(number, slabs, 0);
	hak_batch_give(number / HAK_SS_SLABS, hak_low_mask(slabs) << number % HAK_SS_SLABS, dirty);
}

static HAK_NOINLINE void bin_slab_emptied(struct hak_bin *bin, struct hak_slab *slab)
{
	if (bin->empty + 1u > BIN_EMPTY_KEPT) {
		bin_give_slab(bin, slab);
		return;
	}
	bin->empty++;
	bin_unlink(bin, slab);
	bin_link_last(bin, slab); /* partly used ones first */
}

static HAK_COLD HAK_NORETURN void bin_die(const struct hak_slab *slab, enum hak_put put, const void *p)
{
	hak_say_fatal(put == HAK_PUT_TWICE ? HAK_FATAL_DOUBLE_FREE : HAK_FATAL_INTERIOR, "free", p,
		      hak_classes[slab->class].size);
}

/* A block goes back to its slab. */
static inline void bin_put(struct hak_bin *bin, void *p)
{
	struct hak_slab *slab = hak_slab_head(hak_registry_number(p));
	enum hak_put put = hak_slab_put(slab, p);

	if (hak_unlikely(put != HAK_PUT_OK))
		bin_die(slab, put, p);
	if (slab->free == 1)
		bin_link_first(bin, slab);
	if (hak_unlikely(hak_slab_is_empty(slab)))
		bin_slab_emptied(bin, slab);
}

/* ---- slabs from the shared pool ---- */

/* present: it is zero, and has memory all the same. */
static void bin_open(struct hak_heap *heap, unsigned class, size_t number, bool zero, bool present)
{
	struct hak_bin *bin = &heap->bins[class];
	struct hak_slab *slabs = hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->slabs, relaxed);

	if (hak_unlikely(hak_setting(secure) >= HAK_SECURE_CANARY) && !zero)
		memset(hak_registry_address(number), 0, hak_classes[class].slabs * HAK_SLAB_SIZE);
	hak_slab_open(number, class, zero);
	if (present)
		slabs[number % HAK_SS_SLABS].fresh &= (uint8_t)~HAK_FRESH_CLEAN;
	if (hak_unlikely(hak_registry_slot(number / HAK_SS_SLABS)->marks != NULL))
		hak_mark_span(&slabs[number % HAK_SS_SLABS]);
	if (hak_unlikely(hak_setting(secure) >= HAK_SECURE_CANARY))
		slabs[number % HAK_SS_SLABS].fresh |= HAK_FRESH_WIPED;
	if (zero)
		heap->fresh += hak_classes[class].slabs * HAK_SLAB_SIZE;
	hak_registry_set_tags(number, hak_classes[class].slabs, heap->tag | class * HAK_CACHE_SIZE);
	bin_link_last(bin, &slabs[number % HAK_SS_SLABS]);
	bin->empty++;
	hak_count(&bin->counts.slabs_taken, hak_classes[class].slabs);
}

/* Bytes of all classes: of the heap's slabs, and of blocks that are in use or wait in caches and parcels, or are free. */
struct bin_fill {
	size_t held, used, free;
	size_t small; /* of `used`, blocks of classes whose spans are one slab: up to 8 KiB */
};

static struct bin_fill bin_fill(const struct hak_heap *heap)
{
	struct bin_fill fill = { .held = 0 };

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		const struct hak_bin_counts *n = &heap->bins[c].counts;
		size_t used = hak_bin_used(&heap->bins[c]) * hak_classes[c].size;

		fill.held += (hak_load(&n->slabs_taken, relaxed) - hak_load(&n->slabs_given, relaxed)) * HAK_SLAB_SIZE;
		fill.used += used;
		fill.small += hak_classes[c].slabs == 1 ? used : 0;
	}
	fill.free = fill.held - fill.used;
	return fill;
}

/* Does the heap fill what it takes, and its program what it gets?  Large blocks are buffers, of which often only the start is
 * written: they have no part in it, as the rest would become resident.  A small heap is not worth a huge page. */
static bool bin_is_dense(const struct hak_heap *heap, unsigned class)
{
	struct bin_fill fill = bin_fill(heap);

	return hak_classes[class].slabs == 1 && fill.held >= HAK_SS_SIZE && fill.small >= fill.held / 8 * 5;
}

/* A class that takes slabs though it holds some, which are full, grows: so many that what it takes ahead is little beside. */
static bool bin_is_growing(const struct hak_bin *bin)
{
	return hak_load(&bin->counts.slabs_taken, relaxed) - hak_load(&bin->counts.slabs_given, relaxed) >= BIN_GROWING;
}

/* Secondary prefill: the number of slabs taken at once doubles while misses go on. */
static bool bin_take_single(struct hak_heap *heap, uint32_t node, unsigned class)
{
	struct hak_bin *bin = &heap->bins[class];
	size_t slot;
	unsigned wanted = bin->prefill ? bin->prefill : 1;
	uint32_t dirty, present = 0, mask = hak_pool_take_many(node, wanted, &slot, &dirty);

	if (!mask)
		return false;
	hak_batch_taken(slot, mask & ~dirty);
	if (bin_is_growing(bin))
		present = hak_pages_growing(slot, mask & ~dirty);
	if (wanted < BIN_PREFILL_MOST)
		bin->prefill = (uint16_t)(wanted * 2);
	for (; mask; mask &= mask - 1) {
		unsigned i = hak_lowest_bit(mask);
		bin_open(heap, class, slot * HAK_SS_SLABS + i, !(dirty >> i & 1), present >> i & 1);
	}
	return true;
}

static bool bin_take_span(struct hak_heap *heap, uint32_t node, unsigned class)
{
	struct hak_run run;

	if (!hak_pool_take(node, hak_classes[class].slabs, 1, &run))
		return false;
	if (!run.dirty)
		hak_batch_taken(run.number / HAK_SS_SLABS, hak_low_mask(run.slabs) << run.number % HAK_SS_SLABS);
	bin_open(heap, class, run.number, !run.dirty, false);
	return true;
}

static bool bin_take(struct hak_heap *heap, uint32_t node, unsigned class)
{
	bool ok = hak_classes[class].slabs == 1 ? bin_take_single(heap, node, class) : bin_take_span(heap, node, class);

	if (hak_unlikely(hak_setting(secure) >= HAK_SECURE_WIPE) && ok)
		bin_guard(heap, class, heap->bins[class].last->number);
	return ok;
}

HAK_FN bool hak_bin_provide(struct hak_heap *heap, unsigned class)
{
	struct hak_bin_counts *counts = &heap->bins[class].counts;
	uint32_t node;

	if (heap->bins[class].first) {
		hak_count(&counts->refill_warm, 1);
		return true;
	}
	if (hak_unlikely(hak_limit_is_set()) &&
	    hak_limit_check(hak_classes[class].slabs * HAK_SLAB_SIZE) == HAK_LIMIT_HARD)
		return false;
	node = heap->node = hak_numa_node();
	if (bin_take(heap, node, class)) {
		hak_count(&counts->refill_pool, 1);
		return true;
	}
	while (hak_superslab_grow(node, bin_is_dense(heap, class)))
		if (bin_take(heap, node, class)) {
			hak_count(&counts->refill_map, 1);
			return true;
		}
	return bin_take(heap, HAK_NODE_ANY, class);
}

/* ---- blocks ---- */

HAK_FN unsigned hak_bin_carve(struct hak_heap *heap, unsigned class, void **array, unsigned n)
{
	struct hak_bin *bin = &heap->bins[class];
	unsigned done = 0;

	while (done < n && bin->first) {
		struct hak_slab *slab = bin->first;

		bin->empty = (uint16_t)(bin->empty - hak_slab_is_empty(slab));
		done += hak_slab_carve(slab, array + n - done, n - done);
		if (slab->free == 0)
			bin_unlink(bin, slab);
	}
	for (unsigned i = 1; done < n && i <= done; i++) /* they lie at the upper end: move down */
		array[i] = array[n - done + i];
	hak_count(&bin->counts.carved, done);
	return done;
}

HAK_FN void *hak_bin_carve_one(struct hak_bin *bin, bool *zero)
{
	struct hak_slab *slab = bin->first;
	void *p;

	bin->empty = (uint16_t)(bin->empty - hak_slab_is_empty(slab));
	p = hak_slab_carve_one(slab, zero);
	if (slab->free == 0)
		bin_unlink(bin, slab);
	hak_count(&bin->counts.carved, 1);
	return p;
}

HAK_FN void hak_bin_give_oldest(struct hak_heap *heap, unsigned class, unsigned n)
{
	struct hak_cache *cache = &heap->caches[class];
	struct hak_bin *bin = &heap->bins[class];
	void **array = bin->array;
	unsigned cached = hak_heap_cached(heap, class), given = 0;

	if (n == 0)
		return;
	for (unsigned i = 1; i <= n; i++) {
		if (i + BIN_AHEAD <= n && hak_likely(array[i + BIN_AHEAD] != NULL))
			hak_slab_prefetch(hak_registry_number(array[i + BIN_AHEAD]));
		if (hak_unlikely(!array[i])) /* H7 */
			continue;
		bin_put(bin, array[i]);
		given++;
	}
	for (unsigned i = 1; i + n <= cached; i++)
		array[i] = array[i + n];
	cache->top = array + (cached - n);
	hak_count(&bin->counts.put, given);
	hak_heap_clear_above(heap, class);
}

HAK_FN HAK_NOINLINE void hak_bin_put(struct hak_bin *bin, void *p)
{
	hak_count(&bin->counts.put, 1);
	bin_put(bin, p);
}

HAK_FN void hak_bin_take_home(struct hak_heap *heap, unsigned class, void *p)
{
	struct hak_bin *bin = &heap->bins[class];

	if (!hak_bin_is_young(bin)) {
		hak_bin_put(bin, p);
		return;
	}
	if (hak_unlikely(hak_heap_is_cached(heap, class, p, UINT_MAX))) /* it went home before, and was carved again since */
		bin_die(hak_slab_head(hak_registry_number(p)), HAK_PUT_TWICE, p);
	hak_bin_put(bin, p);
	bin->freed = (uint8_t)(bin->freed + (class < HAK_TINY_CLASSES ? 1 : BIN_YOUNG_STEP));
	if (!hak_bin_is_young(bin) && bin->capacity)
		heap->caches[class].end = hak_bin_cache_end(bin);
}

HAK_FN void hak_bin_give_empty(struct hak_bin *bin)
{
	while (bin->last && hak_slab_is_empty(bin->last)) {
		bin->empty--;
		bin_give_slab(bin, bin->last);
	}
}

HAK_FN size_t hak_bin_purge(struct hak_heap *heap)
{
	size_t bytes = 0;

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		for (struct hak_slab *slab = heap->bins[c].first; slab; slab = slab->next) {
			size_t back = hak_slab_purge(slab);

			if (back > 0)
				hak_pages_broken(slab->number / HAK_SS_SLABS);
			bytes += back;
		}
	hak_count_process(inside_bytes, bytes);
	return bytes;
}

/* Blocks were handed out of what was free when pages went back last: half of it is not free any more. */
static bool bin_is_wanted_back(const struct hak_heap *heap, struct bin_fill fill)
{
	return fill.free < heap->inside_purged / 2 && fill.used > heap->inside_used;
}

/* More than half of the heap's slabs is free inside them: whole pages of that go back, more each time that an eighth became
 * free or half of what was in use, but not for a while if they were wanted back soon. */
static bool bin_is_left(const struct hak_heap *heap, struct bin_fill fill, uint32_t now)
{
	return fill.free >= fill.held / 2 && hak_elapsed(now, heap->inside_stamp) >= heap->inside_pause &&
	       (heap->inside_purged == 0 || fill.free >= heap->inside_purged + fill.held / 8 || fill.used <= heap->inside_used / 2);
}

/* Was memory taken since the last look, and not much less than what was freed? */
static bool bin_is_rising(struct hak_heap *heap, size_t used)
{
	size_t taken = heap->fresh - heap->fresh_seen;
	bool is_rising = taken > 0 && used + 2 * taken >= heap->used_seen;

	heap->fresh_seen = heap->fresh;
	heap->used_seen = used;
	return is_rising;
}

/* Beside what is taken anew an eighth or more is free inside slabs: that serves other sizes than those that are wanted now. */
static bool bin_is_in_the_way(struct hak_heap *heap, struct bin_fill fill)
{
	if (heap->fresh < BIN_INSIDE_LEAST || heap->fresh < fill.held / BIN_FRESH_EACH || fill.free < fill.held / 8)
		return false;
	heap->fresh = heap->fresh_seen = 0;
	return true;
}

HAK_FN enum hak_tend hak_bin_tend(struct hak_heap *heap)
{
	uint32_t now = hak_os_now();
	struct bin_fill fill = bin_fill(heap);
	bool is_rising = bin_is_rising(heap, fill.used);

	if (!hak_setting(ace_enabled) || fill.held < fill.used)
		return HAK_TEND_NOTHING;
	if (bin_is_wanted_back(heap, fill)) {
		if (hak_elapsed(now, heap->inside_stamp) < BIN_INSIDE_MS)
			heap->inside_pause = BIN_INSIDE_PAUSE_MS;
		heap->inside_purged = 0;
	}
	if (fill.free < BIN_INSIDE_LEAST)
		return HAK_TEND_NOTHING;
	if (!bin_is_left(heap, fill, now))
		return is_rising && bin_is_in_the_way(heap, fill) ? HAK_TEND_PURGE : HAK_TEND_NOTHING;
	heap->inside_pause = 0;
	heap->inside_purged = fill.free;
	heap->inside_used = fill.used;
	heap->inside_stamp = now;
	return HAK_TEND_SHRINK;
}

/* What the out-cache holds.  Its blocks were counted when they went there (hak_guard_passed); these are not handed out. */
static HAK_COLD void bin_give_outs(struct hak_heap *heap, unsigned class, unsigned n)
{
	if (heap == hak_thread.inside && hak_thread.until_guarded > 0)
		hak_thread.until_guarded += n;
	for (; n > 0; n--)
		hak_bin_put(&heap->bins[class], heap->outs->array[class][n]);
	heap->outs->cache[class].top = heap->outs->array[class];
}

HAK_FN void hak_bin_settle(struct hak_heap *heap, unsigned class)
{
	unsigned outs = hak_heap_outs(heap, class);

	hak_heap_mend(heap, class);
	if (hak_unlikely(outs > 0))
		bin_give_outs(heap, class, outs);
	hak_bin_give_oldest(heap, class, hak_heap_cached(heap, class));
	hak_bin_give_empty(&heap->bins[class]);
}
