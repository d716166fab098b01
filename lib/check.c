#include "check.h"

#include "os.h"
#include "pool.h"
#include "say.h"
#include "superslab.h"

/* ---- the pool ---- */

static enum hak_check check_slot(size_t s, size_t *slabs_free, size_t *dirty)
{
	struct hak_slot *slot = hak_registry_slot(s);
	uint64_t word = hak_load(&slot->word, acquire);
	uint32_t left = (uint32_t)word;

	if ((word >> 32 & ~(uint64_t)left) != 0)
		return HAK_CHECK_POOL_DIRTY;
	*slabs_free += hak_count_bits(left);
	*dirty += hak_count_bits(word >> 32);
	for (; left; left &= left - 1) {
		unsigned i = hak_lowest_bit(left);

		if ((size_t)(i + 1) << HAK_SLAB_SHIFT > hak_load(&slot->bytes, relaxed))
			return HAK_CHECK_POOL_MAPPED;
		if (hak_registry_tag(s * HAK_SS_SLABS + i) != 0)
			return HAK_CHECK_POOL_TAG;
	}
	return HAK_CHECK_OK;
}

HAK_FN enum hak_check hak_check_pool(void)
{
	struct hak_pool_counts counts = hak_pool_counts();
	size_t slabs = 0, slabs_free = 0, dirty = 0, high = hak_load(&hak_registry.high, relaxed);

	for (size_t s = 0; s < high; s++) {
		struct hak_slot *slot = hak_registry_slot(s);
		enum hak_check bad;

		if (hak_load(&slot->state, relaxed) != HAK_SLOT_SLABS)
			continue;
		slabs += hak_load(&slot->bytes, relaxed) >> HAK_SLAB_SHIFT;
		bad = check_slot(s, &slabs_free, &dirty);
		if (bad)
			return bad;
	}
	return slabs - slabs_free == counts.used && dirty == counts.dirty ? HAK_CHECK_OK : HAK_CHECK_POOL_COUNT;
}

/* ---- a heap ---- */

static bool check_is_bits(const struct hak_slab *slab)
{
	unsigned blocks = hak_classes[slab->class].blocks, words = (blocks + 63) / 64, n = 0;

	for (unsigned w = 0; w < words; w++) {
		if ((slab->bits[w] != 0) != (slab->summary >> w & 1))
			return false;
		n += hak_count_bits(slab->bits[w]);
	}
	if (blocks % 64 && slab->bits[words - 1] >> (blocks % 64))
		return false;
	return n == slab->free && n > 0;
}

static enum hak_check check_bin(const struct hak_heap *heap, unsigned class)
{
	const struct hak_bin *bin = &heap->bins[class];
	const struct hak_slab *before = NULL;
	unsigned empty = 0;

	for (const struct hak_slab *slab = bin->first; slab; before = slab, slab = slab->next) {
		if (slab->prev != before)
			return HAK_CHECK_LIST;
		for (unsigned i = 0; i < hak_classes[class].slabs; i++)
			if (hak_registry_tag(slab->number + i) != (heap->tag | class * HAK_CACHE_SIZE))
				return HAK_CHECK_TAG;
		if (slab->class != class || !check_is_bits(slab))
			return HAK_CHECK_BITS;
		if (empty > 0 && !hak_slab_is_empty(slab))
			return HAK_CHECK_EMPTY;
		empty += hak_slab_is_empty(slab);
	}
	if (bin->last != before)
		return HAK_CHECK_LIST;
	return empty == bin->empty ? HAK_CHECK_OK : HAK_CHECK_EMPTY;
}

static bool check_is_cached_block(const struct hak_heap *heap, unsigned class, const void *p)
{
	size_t number = hak_registry_number(p);
	const struct hak_slab *slab;
	unsigned i;

	if (number >= hak_registry_slabs() || hak_registry_tag(number) != (heap->tag | class * HAK_CACHE_SIZE))
		return false;
	slab = hak_slab_head(number);
	i = hak_class_index(&hak_classes[class], (size_t)((const char *)p - hak_slab_base(slab)));
	return i < hak_classes[class].blocks && !(slab->bits[i / 64] >> (i % 64) & 1);
}

static enum hak_check check_cache(const struct hak_heap *heap, unsigned class)
{
	const struct hak_bin *bin = &heap->bins[class];
	const struct hak_cache *cache = &heap->caches[class];

	if (bin->capacity == 0)
		return cache->top == hak_null_place && hak_cache_is_full(cache) ? HAK_CHECK_OK : HAK_CHECK_CACHE_PLACE;
	if (cache->top < bin->array || cache->top > bin->array + bin->capacity ||
	    cache->end != hak_bin_cache_end(bin) || bin->array[0])
		return HAK_CHECK_CACHE_PLACE;
	for (void **at = cache->top; at > bin->array; at--) {
		if (!check_is_cached_block(heap, class, *at))
			return HAK_CHECK_CACHE_BLOCK;
		for (void **other = at - 1; other > bin->array; other--)
			if (*other == *at)
				return HAK_CHECK_CACHE_TWICE;
	}
	return HAK_CHECK_OK;
}

HAK_FN enum hak_check hak_check_heap(const struct hak_heap *heap)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		enum hak_check bad = check_bin(heap, c);

		if (!bad)
			bad = check_cache(heap, c);
		if (bad)
			return bad;
	}
	return HAK_CHECK_OK;
}

/* ---- at cold paths: --enable-hard ---- */

#define CHECK_FIRST 4096u /* cold calls of the process that are all followed by a walk; then it is one in .. */
#define CHECK_EACH 512u
#define CHECK_WALKS 3

/* Nobody else may take slabs meanwhile: as long as there is one heap, a breach that stays is one. */
static enum hak_check check_alone(void)
{
	enum hak_check bad = HAK_CHECK_OK;

	for (int i = 0; i < CHECK_WALKS && hak_heap_count() == 1 && !hak_setting(batch_bg); i++) {
		bad = hak_check_pool();
		if (!bad)
			return bad;
	}
	return hak_heap_count() == 1 ? bad : HAK_CHECK_OK;
}

HAK_FN void hak_check_now(const struct hak_heap *heap)
{
	static _Atomic uint32_t calls;
	uint32_t call = hak_fetch_add(&calls, 1, relaxed);
	enum hak_check bad;

	if (call >= CHECK_FIRST && call % CHECK_EACH != 0)
		return;
	bad = hak_check_heap(heap);
	if (!bad)
		bad = check_alone();
	if (!bad)
		return;
	hak_say_line("check %u of heap %u failed", (unsigned)bad, (unsigned)heap->id);
	hak_os_abort();
}
