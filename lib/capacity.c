#include "capacity.h"

#include "journal.h"

#define CAPACITY_MOST HAK_HARD_OR(255u, 1u)    /* places of a cache */
#define CAPACITY_ONE_WAY HAK_HARD_OR(31u, 1u)  /* places of a cache that only overflows, or only underflows, .. */
#define CAPACITY_ONE_WAY_LARGE HAK_HARD_OR(7u, 1u) /* .. and of blocks above 8 KiB */
#define CAPACITY_YOUNG_BYTES 2048u             /* that a young class hands its cache at once: frees do not fill it, H10 */
#define CAPACITY_CLASS_BYTES ((size_t)4 << 20) /* that one cache may hold */
#define CAPACITY_HEAP_BYTES ((size_t)6 << 20)  /* that all caches of a heap may hold */

static unsigned capacity_start(unsigned class)
{
	size_t size = hak_classes[class].size;
	unsigned start = size <= HAK_TINY_MAX ? 15 : size <= 8192 ? 7 : 3;

	return start < CAPACITY_MOST ? start : CAPACITY_MOST;
}

static unsigned capacity_most(unsigned class)
{
	size_t most = CAPACITY_CLASS_BYTES / hak_classes[class].size;

	return most >= CAPACITY_MOST ? CAPACITY_MOST : (1u << hak_highest_bit(most + 1)) - 1;
}

/* Gives the bin an array of that many places, one less than a power of two; keeps what is cached. */
static bool capacity_set(struct hak_heap *heap, unsigned class, unsigned capacity)
{
	struct hak_cache *cache = &heap->caches[class];
	struct hak_bin *bin = &heap->bins[class];
	unsigned cached = hak_heap_cached(heap, class), shift = hak_highest_bit(capacity) + 1;
	void **array = hak_heap_array_get(heap, shift);

	if (!array)
		return false;
	for (unsigned i = 1; i <= cached; i++)
		array[i] = bin->array[i];
	if (bin->capacity)
		hak_heap_array_put(heap, bin->array, hak_highest_bit(bin->capacity) + 1);
	heap->cache_bytes += (size_t)capacity * hak_classes[class].size;
	heap->cache_bytes -= (size_t)bin->capacity * hak_classes[class].size;
	bin->array = array;
	bin->capacity = (uint16_t)capacity;
	cache->top = array + cached;
	cache->end = hak_bin_cache_end(bin);
	return true;
}

/* HAKMEM_GUARD_SAMPLE sees every call for sizes that may be guarded and have no out-cache. */
static bool capacity_is_starved(unsigned class)
{
	return hak_unlikely(hak_setting(guard_sample)) && class >= HAK_TINY_CLASSES && hak_classes[class].size <= hak_registry.page;
}

/* A cold call of this class: its cache may be too small.  It is if overflow and underflow take turns; of what only
 * flows in or only out, a larger cache would just hold more. */
HAK_FN void hak_capacity_adapt(struct hak_heap *heap, unsigned class, bool flushing)
{
	struct hak_bin *bin = &heap->bins[class];
	unsigned fixed = hak_setting(fc_cap), capacity = bin->capacity * 2u + 1;
	bool turned = bin->flushing != flushing;

	bin->flushing = flushing;
	if (hak_setting(tiny_front_direct) || capacity_is_starved(class))
		return;
	if (bin->capacity == 0)
		capacity = fixed ? fixed : capacity_start(class);
	else if (fixed || !hak_setting(ace_enabled) || bin->capacity >= capacity_most(class))
		return;
	else if (!turned && bin->capacity >= (hak_classes[class].slabs == 1 ? CAPACITY_ONE_WAY : CAPACITY_ONE_WAY_LARGE))
		return;
	else if (heap->cache_bytes + (size_t)bin->capacity * hak_classes[class].size > CAPACITY_HEAP_BYTES)
		return;
	if (bin->capacity >= CAPACITY_ONE_WAY)
		hak_journal_write(HAK_DECISION_cache_grow, class, bin->capacity, capacity, 0, 0);
	capacity_set(heap, class, capacity);
}

HAK_FN void hak_capacity_restart(struct hak_heap *heap, unsigned class)
{
	if (!hak_setting(fc_cap) && heap->bins[class].capacity > capacity_start(class))
		capacity_set(heap, class, capacity_start(class));
}

HAK_FN unsigned hak_capacity_batch(const struct hak_heap *heap, unsigned class)
{
	const struct hak_bin *bin = &heap->bins[class];
	unsigned young = CAPACITY_YOUNG_BYTES / (unsigned)hak_classes[class].size;
	unsigned capacity = bin->capacity, batch = (capacity + 1) / 2, fixed = hak_setting(fc_refill);

	if (hak_setting(tiny_refill_count) && hak_classes[class].size <= HAK_TINY_MAX)
		fixed = hak_setting(tiny_refill_count);
	if (fixed)
		batch = fixed;
	else if (hak_bin_is_young(bin) && hak_load(&bin->counts.carved, relaxed) < HAK_YOUNG && batch > young)
		batch = young;
	return batch < capacity ? batch : capacity;
}
