#include "heap.h"

#include <string.h>

#include "meta.h"
#include "numa.h"

#define HEAP_PART_FIRST (UINT32_C(1) << HAK_HEAP_PART_SHIFT)

_Static_assert(HAK_HEAP_SIZE % HAK_ALIGN == 0 && HAK_HEAP_ROOM % HAK_ALIGN == 0, "the first arrays are aligned");
_Static_assert((HEAP_PART_FIRST << (HAK_HEAP_PARTS - 1)) - 1 >= HAK_OWNER_MAX, "the directory holds all heaps");

HAK_DEF void *hak_null_places[2];

#define NOWHERE { hak_null_place, 0, 0 } /* full and never a start, if a tag led here */
#define NOWHERE_4 NOWHERE, NOWHERE, NOWHERE, NOWHERE

HAK_DEF struct hak_heap hak_empty_heap = {
	.caches = { NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4,
	            NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4 },
	.direct = { [0 ... HAK_DIRECT_MAX / HAK_ALIGN] = &hak_empty_heap.caches[0] },
	.tag = HAK_TAG_EMPTY,
};

HAK_DEF HAK_TLS struct hak_thread hak_thread = { .heap = &hak_empty_heap, .own = &hak_empty_heap };

HAK_DEF _Atomic(hak_heap_entry *) hak_heap_directory[HAK_HEAP_PARTS];
HAK_DEF _Atomic uint32_t hak_heap_made, hak_heap_forks;

/* The stacks of idle heaps (H6): the first one's id in the low bits, a counter above that changes with every push and pop. */
#define IDLE_MASK ((UINT64_C(1) << 32) - 1)
#ifndef IDLE_STEP
#define IDLE_STEP (IDLE_MASK + 1) /* tests/t-model-heap.c shows what happens without */
#endif

static _Atomic uint64_t heap_idle[HAK_NODES];

HAK_FN uint32_t hak_heap_count(void) { return hak_load(&hak_heap_made, relaxed); }

static unsigned heap_part(uint32_t id)
{
	return id < HEAP_PART_FIRST ? 0 : hak_highest_bit(id >> HAK_HEAP_PART_SHIFT) + 1;
}
static uint32_t heap_part_start(unsigned part) { return part == 0 ? 0 : HEAP_PART_FIRST << (part - 1); }
static uint32_t heap_part_size(unsigned part) { return part == 0 ? HEAP_PART_FIRST : heap_part_start(part); }

HAK_FN struct hak_heap *hak_heap_find(uint32_t id)
{
	unsigned number = heap_part(id);
	hak_heap_entry *part = hak_load(&hak_heap_directory[number], acquire); /* partner: heap_enter */

	return part ? hak_load(&part[id - heap_part_start(number)], acquire) : NULL;
}

static bool heap_enter(struct hak_heap *heap)
{
	unsigned number = heap_part(heap->id);
	_Atomic(hak_heap_entry *) *place = &hak_heap_directory[number];
	hak_heap_entry *part = hak_load(place, acquire), *none = NULL;

	if (!part) {
		part = hak_meta_alloc(heap_part_size(number) * sizeof(*part), HAK_LINE);
		if (!part)
			return false;
		if (!hak_cas_acquire_both(place, &none, part, acq_rel)) /* partner: hak_heap_find */
			part = none;                                    /* another thread was first */
	}
	hak_store(&part[heap->id - heap_part_start(number)], heap, release); /* partner: hak_heap_find */
	return true;
}

static unsigned heap_class_of_step(size_t i) { return hak_class_of(i ? i * HAK_ALIGN : 1); }

/* Larger sizes begin anew, as their caches may be starved now. */
static void heap_forget_arrays(struct hak_heap *heap)
{
	for (unsigned c = HAK_TINY_CLASSES; c < HAK_CLASS_COUNT; c++) {
		struct hak_bin *bin = &heap->bins[c];

		if (bin->capacity == 0)
			continue;
		heap->cache_bytes -= (size_t)bin->capacity * hak_classes[c].size;
		hak_heap_array_put(heap, bin->array, hak_highest_bit(bin->capacity) + 1);
		bin->capacity = 0;
		heap->caches[c].top = hak_null_place;
		heap->caches[c].end = hak_cache_place(hak_null_place);
	}
}

HAK_FN bool hak_heap_split(struct hak_heap *heap)
{
	struct hak_outs *outs = hak_meta_alloc(sizeof(*outs), HAK_LINE);

	if (!outs)
		return false;
	heap_forget_arrays(heap);
	outs->seed = heap->id;
	for (unsigned c = 0; c < HAK_TINY_CLASSES; c++)
		outs->cache[c].top = hak_null_place;
	for (size_t i = 0; i < HAK_COUNT_OF(heap->direct); i++) { /* H8 is not for it */
		unsigned class = heap_class_of_step(i);

		heap->direct[i] = class < HAK_TINY_CLASSES ? &outs->cache[class] : &heap->caches[class];
	}
	heap->outs = outs;
	return true;
}

HAK_FN HAK_RACY unsigned hak_heap_outs(const struct hak_heap *heap, unsigned class)
{
	const struct hak_outs *outs = class < HAK_TINY_CLASSES ? heap->outs : NULL;

	return outs && outs->array[class] && outs->cache[class].top > outs->array[class] /* H7 */
	               ? (unsigned)(outs->cache[class].top - outs->array[class])
	               : 0;
}

HAK_FN bool hak_heap_is_cached(const struct hak_heap *heap, unsigned class, const void *p, unsigned most)
{
	unsigned cached = hak_heap_cached(heap, class);
	void *const *top = heap->caches[class].top;

	for (unsigned i = 0; i < cached && i < most; i++)
		if (hak_unlikely(top[-(ptrdiff_t)i] == p))
			return true;
	for (unsigned i = hak_heap_outs(heap, class); i > 0; i--)
		if (hak_unlikely(heap->outs->array[class][i] == p))
			return true;
	return false;
}

static void heap_init(struct hak_heap *heap, uint32_t id)
{
	bool is_joint;

	heap->id = id;
	heap->tag = id << HAK_TAG_SHIFT;
	heap->room = HAK_HEAP_ROOM;
	is_joint = hak_setting(ace_enabled) && hak_setting(tiny_use_superslab) && !hak_setting(secure); /* each size exact */
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		heap->caches[c] = (struct hak_cache){ hak_null_place, hak_cache_place(hak_null_place), hak_classes[c].shape };
		if (hak_setting(secure)) /* which finds more */
			heap->bins[c].freed = HAK_YOUNG;
	}
	for (size_t i = 0; i < HAK_COUNT_OF(heap->direct); i++) {
		unsigned class = heap_class_of_step(i);

		heap->direct[i] = &heap->caches[is_joint ? hak_class_joint_first(class) : class];
	}
	if (hak_setting(guard_sample))
		hak_heap_split(heap);
}

HAK_FN void hak_heap_part(struct hak_heap *heap, unsigned joint)
{
	bool is_wide = hak_heap_is_wide(heap, joint);

	for (size_t i = 0; i < HAK_COUNT_OF(heap->direct); i++) {
		unsigned class = heap_class_of_step(i);

		if (heap->direct[i] == &heap->caches[joint])
			heap->direct[i] = &heap->caches[is_wide ? hak_class_joint(class) : class];
	}
}

static struct hak_heap *heap_make(unsigned node)
{
	struct hak_heap *heap = hak_meta_alloc(HAK_HEAP_SIZE + HAK_HEAP_ROOM, HAK_LINE);
	uint32_t n;

	if (!heap)
		return NULL;
	n = hak_fetch_add(&hak_heap_made, 1, relaxed);
	if (n > HAK_OWNER_MAX - HAK_OWNER_FIRST) {
		hak_fetch_sub(&hak_heap_made, 1, relaxed);
		return NULL;
	}
	heap_init(heap, HAK_OWNER_FIRST + n);
	heap->node = node;
	return heap_enter(heap) ? heap : NULL;
}

static uint64_t heap_idle_head(uint32_t id, uint64_t old) { return id | ((old & ~IDLE_MASK) + IDLE_STEP); }

static void heap_push_idle(struct hak_heap *heap, _Atomic uint64_t *stack)
{
	uint64_t head = hak_load(stack, relaxed);

	do
		hak_store(&heap->next_idle, (uint32_t)(head & IDLE_MASK), relaxed);
	while (!hak_cas(stack, &head, heap_idle_head(heap->id, head), release)); /* partner: heap_pop_idle */
}

static struct hak_heap *heap_pop_idle(unsigned node)
{
	uint64_t head = hak_load(&heap_idle[node], acquire); /* partner: heap_push_idle */
	struct hak_heap *first;
	uint32_t next;

	do {
		if ((head & IDLE_MASK) == 0)
			return NULL;
		first = hak_heap_find((uint32_t)(head & IDLE_MASK));
		next = hak_load(&first->next_idle, relaxed);
	} while (!hak_cas_acquire_both(&heap_idle[node], &head, heap_idle_head(next, head), acquire));
	return first;
}

/* H4, H6: the state first.  Who took the heap off the stack looks at the state after he said that it is not listed (all
 * sequentially consistent): either he finds it idle, or it is pushed here. */
static void heap_make_idle(struct hak_heap *heap)
{
	_Atomic uint64_t *stack = &heap_idle[heap->node]; /* as long as it is ours */

	hak_store(&heap->state, HAK_HEAP_IDLE, seq_cst);
	if (hak_swap(&heap->listed, 1, seq_cst) == 0)
		heap_push_idle(heap, stack);
}

HAK_FN bool hak_heap_enter(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_NONE;

	return hak_cas(&heap->use, &use, HAK_USE_OWNER, acquire); /* partners: hak_heap_exit, hak_heap_visit_end */
}

HAK_FN bool hak_heap_enter_last(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_VISITOR;

	while (!hak_heap_enter(heap)) {
		/* release: the caches, which are the visitor's from now on; partner: hak_heap_visit_end */
		if (hak_cas(&heap->use, &use, HAK_USE_LEFT, release) || use != HAK_USE_NONE)
			return false;
		use = HAK_USE_VISITOR;
	}
	return true;
}

HAK_FN bool hak_heap_visit(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_NONE;

	return !hak_load(&heap->wanted, relaxed) && hak_cas(&heap->use, &use, HAK_USE_VISITOR, acquire); /* partner: hak_heap_exit */
}

HAK_FN bool hak_heap_visit_end(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_VISITOR;

	if (hak_cas_acquire_both(&heap->use, &use, HAK_USE_NONE, release)) /* partner: hak_heap_enter */
		return true;
	hak_store(&heap->use, HAK_USE_OWNER, relaxed);
	return false;
}

static struct hak_heap *heap_adopt(unsigned node)
{
	struct hak_heap *heap;

	while ((heap = heap_pop_idle(node)) != NULL) {
		hak_store(&heap->listed, 0, seq_cst); /* H6; partner: heap_make_idle */
		if (!hak_heap_try_visit(heap))
			continue; /* a visitor has it, and lists it again */
		hak_count(&heap->counts.adopted, 1);
		if (hak_unlikely(hak_setting(guard_sample) && !heap->outs))
			hak_heap_split(heap); /* from before the setting was read */
		return heap;
	}
	return NULL;
}

HAK_FN struct hak_heap *hak_heap_acquire(void)
{
	unsigned node = hak_numa_node();
	struct hak_heap *heap = heap_adopt(node);

	if (!heap)
		heap = heap_make(node);
	for (unsigned other = 0; !heap && other < HAK_NODES; other++) /* no memory for one */
		heap = heap_adopt(other);
	return heap;
}

HAK_FN void hak_heap_release(struct hak_heap *heap)
{
	hak_heap_exit(heap);
	heap_make_idle(heap);
}

HAK_FN bool hak_heap_try_visit(struct hak_heap *heap)
{
	uint32_t state = HAK_HEAP_IDLE;

	return hak_cas(&heap->state, &state, HAK_HEAP_LIVE, seq_cst); /* partner: heap_make_idle */
}

HAK_FN void hak_heap_lose(struct hak_heap *heap) { hak_store(&heap->state, HAK_HEAP_LOST, relaxed); }

static char *heap_array_room(struct hak_heap *heap, size_t size)
{
	size_t bytes = hak_align_up(size, HAK_ALIGN);
	char *end = (char *)heap + HAK_HEAP_SIZE + HAK_HEAP_ROOM;

	if (heap->room < bytes)
		return hak_meta_alloc(bytes, HAK_ALIGN);
	heap->room -= (uint32_t)bytes;
	return end - heap->room - bytes;
}

/* New places, with HAK_CACHE_SPARE before and behind them.  Ends are compared by their low halves, so what lies across a
 * multiple of 4 GiB is not used. */
static void **heap_array_make(struct hak_heap *heap, unsigned shift)
{
	size_t size = sizeof(void *) << shift;
	char *raw;

	do
		raw = heap_array_room(heap, size + (size_t)2 * HAK_ALIGN);
	while (raw && (uint32_t)((uintptr_t)raw + size + HAK_ALIGN) < (uint32_t)(uintptr_t)raw);
	return raw ? (void **)(void *)(raw + HAK_ALIGN) : NULL;
}

HAK_FN void **hak_heap_array_get(struct hak_heap *heap, unsigned shift)
{
	void **array = heap->arrays[shift];

	if (!array)
		return heap_array_make(heap, shift);
	heap->arrays[shift] = array[0];
	/* no block of another class may come to light: H7 */
	memset(array - HAK_CACHE_SPARE, 0, (sizeof(void *) << shift) + (size_t)2 * HAK_ALIGN);
	return array;
}

HAK_FN void hak_heap_array_put(struct hak_heap *heap, void **array, unsigned shift)
{
	array[0] = (void *)heap->arrays[shift];
	heap->arrays[shift] = array;
}

/* The places above `top` hold nothing any more: a hit that was interrupted finds an empty one. */
HAK_FN void hak_heap_clear_above(struct hak_heap *heap, unsigned class)
{
	void **top = heap->caches[class].top;
	struct hak_bin *bin = &heap->bins[class];

	memset(top + 1, 0, (size_t)(bin->array + bin->capacity - top) * sizeof(*top));
	bin->put_then = hak_load(&bin->counts.put, relaxed);
}

HAK_FN void hak_heap_mend(struct hak_heap *heap, unsigned class)
{
	struct hak_cache *cache = &heap->caches[class];
	struct hak_bin *bin = &heap->bins[class];

	if (bin->capacity == 0)
		return;
	bin->array[0] = NULL;
	if (cache->top < bin->array)
		cache->top = bin->array;
	else if (cache->top > bin->array + bin->capacity)
		cache->top = bin->array + bin->capacity;
	while (cache->top > bin->array && !*cache->top) /* never filled */
		cache->top--;
}

static void heap_after_fork(struct hak_heap *heap, bool is_mine)
{
	uint32_t use = hak_load(&heap->use, acquire); /* partner: hak_heap_exit */

	hak_store(&heap->listed, 0, relaxed);
	hak_store(&heap->wanted, 0, relaxed);
	if (is_mine && (use == HAK_USE_NONE || use == HAK_USE_OWNER)) /* OWNER: fork was called in a signal handler */
		return;
	if (use == HAK_USE_NONE)
		heap_make_idle(heap);
	else
		hak_heap_lose(heap); /* mine too, to a visitor: its owner finds him inside and leaves */
}

/* Nobody was inside a heap whose use is NONE: it is whole, since a hit changes a cache by one store that counts.  It waits
 * for a new thread of the child.  A heap that somebody was inside is lost.  The stack is made anew: another thread may have
 * been about to push or had just popped. */
HAK_FN void hak_heap_after_fork(const struct hak_heap *mine)
{
	hak_fetch_add(&hak_heap_forks, 1, relaxed);
	for (unsigned node = 0; node < HAK_NODES; node++)
		hak_store(&heap_idle[node], heap_idle_head(0, hak_load(&heap_idle[node], relaxed)), relaxed);
	for (uint32_t i = 0; i < hak_heap_count(); i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (heap)
			heap_after_fork(heap, heap == mine);
	}
}
