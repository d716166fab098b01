#include "heap.h"

#include "lock.h"
#include "meta.h"

#define HEAP_DIRECTORY_SHIFT 10
#define HEAP_DIRECTORY ((size_t)1 << HEAP_DIRECTORY_SHIFT)

HAK_DEF void *hak_null_place[1];

#define NOWHERE { hak_null_place, hak_null_place }
#define NOWHERE_4 NOWHERE, NOWHERE, NOWHERE, NOWHERE

HAK_DEF struct hak_heap hak_empty_heap = {
	.caches = { NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4,
	            NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4, NOWHERE_4 },
	.direct = { [0 ... HAK_TINY_MAX / HAK_ALIGN] = &hak_empty_heap.caches[0] },
	.tag = HAK_TAG_EMPTY,
};

HAK_DEF HAK_TLS struct hak_thread hak_thread = { .heap = &hak_empty_heap };

typedef _Atomic(struct hak_heap *) heap_entry;

static _Atomic(heap_entry *) heap_directory[(HAK_OWNER_MAX >> HEAP_DIRECTORY_SHIFT) + 1];
static _Atomic uint32_t heap_made;
static struct hak_lock heap_idle_lock = HAK_LOCK_INIT(HAK_RANK_IDLE);
static struct hak_heap *heap_idle; /* under the lock */

HAK_FN void hak_heap_lock(void) { hak_lock_take(&heap_idle_lock); }
HAK_FN void hak_heap_unlock(void) { hak_lock_release(&heap_idle_lock); }
HAK_FN uint32_t hak_heap_count(void) { return hak_load(&heap_made, relaxed); }

HAK_FN struct hak_heap *hak_heap_find(uint32_t id)
{
	heap_entry *part = hak_load(&heap_directory[id >> HEAP_DIRECTORY_SHIFT], acquire); /* partner: heap_enter */

	return part ? hak_load(&part[id % HEAP_DIRECTORY], acquire) : NULL;
}

static bool heap_enter(struct hak_heap *heap)
{
	_Atomic(heap_entry *) *place = &heap_directory[heap->id >> HEAP_DIRECTORY_SHIFT];
	heap_entry *part = hak_load(place, acquire), *none = NULL;

	if (!part) {
		part = hak_meta_alloc(HEAP_DIRECTORY * sizeof(*part), HAK_LINE);
		if (!part)
			return false;
		if (!hak_cas_acquire_both(place, &none, part, acq_rel)) /* partner: hak_heap_find */
			part = none;                                    /* another thread was first */
	}
	hak_store(&part[heap->id % HEAP_DIRECTORY], heap, release); /* partner: hak_heap_find */
	return true;
}

static void heap_init(struct hak_heap *heap, uint32_t id)
{
	heap->id = id;
	heap->tag = id << HAK_TAG_SHIFT;
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		heap->caches[c] = (struct hak_cache)NOWHERE;
		heap->bins[c].prefill = 1;
	}
	for (size_t i = 0; i < HAK_COUNT_OF(heap->direct); i++)
		heap->direct[i] = &heap->caches[hak_class_of(i ? i * HAK_ALIGN : 1)];
}

static struct hak_heap *heap_make(void)
{
	struct hak_heap *heap = hak_meta_alloc(sizeof(*heap), HAK_LINE);
	uint32_t n;

	if (!heap)
		return NULL;
	n = hak_fetch_add(&heap_made, 1, relaxed);
	if (n > HAK_OWNER_MAX - HAK_OWNER_FIRST) {
		hak_fetch_sub(&heap_made, 1, relaxed);
		return NULL;
	}
	heap_init(heap, HAK_OWNER_FIRST + n);
	return heap_enter(heap) ? heap : NULL;
}

static void heap_unlink_locked(struct hak_heap *heap)
{
	if (heap->idle_prev)
		heap->idle_prev->idle_next = heap->idle_next;
	else
		heap_idle = heap->idle_next;
	if (heap->idle_next)
		heap->idle_next->idle_prev = heap->idle_prev;
	heap->idle_next = heap->idle_prev = NULL;
	hak_store(&heap->state, HAK_HEAP_LIVE, relaxed);
}

HAK_FN enum hak_heap_enter hak_heap_enter(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_NONE;

	/* acquire: what the last one inside did; partner: the releases of exit and visit_end */
	while (!hak_cas(&heap->use, &use, HAK_USE_OWNER, acquire)) {
		if (use == HAK_USE_OWNER || use == HAK_USE_LEFT)
			return HAK_ENTER_AGAIN;
		/* release: the caches, which are the visitor's from now on; partner: visit_end */
		if (use == HAK_USE_VISITOR && hak_cas(&heap->use, &use, HAK_USE_LEFT, release))
			return HAK_ENTER_LEFT;
		use = HAK_USE_NONE;
	}
	return HAK_ENTER_OK;
}

HAK_FN bool hak_heap_visit(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_NONE;

	return hak_cas(&heap->use, &use, HAK_USE_VISITOR, acquire); /* partner: hak_heap_exit */
}

HAK_FN bool hak_heap_visit_end(struct hak_heap *heap)
{
	uint32_t use = HAK_USE_VISITOR;

	if (hak_cas_acquire_both(&heap->use, &use, HAK_USE_NONE, release)) /* partner: hak_heap_enter */
		return true;
	hak_store(&heap->use, HAK_USE_OWNER, relaxed);
	return false;
}

HAK_FN struct hak_heap *hak_heap_acquire(void)
{
	struct hak_heap *heap;

	hak_lock_take(&heap_idle_lock);
	heap = heap_idle;
	if (heap) {
		heap_unlink_locked(heap);
		hak_count(&heap->counts.adopted, 1);
	}
	hak_lock_release(&heap_idle_lock);
	return heap ? heap : heap_make();
}

static void heap_link_locked(struct hak_heap *heap)
{
	heap->idle_prev = NULL;
	heap->idle_next = heap_idle;
	if (heap_idle)
		heap_idle->idle_prev = heap;
	heap_idle = heap;
	hak_store(&heap->state, HAK_HEAP_IDLE, seq_cst); /* H4; partner: the sender's load of state */
}

HAK_FN void hak_heap_release(struct hak_heap *heap)
{
	hak_lock_take(&heap_idle_lock);
	hak_heap_exit(heap);
	heap_link_locked(heap);
	hak_lock_release(&heap_idle_lock);
}

HAK_FN bool hak_heap_try_visit(struct hak_heap *heap)
{
	bool mine;

	hak_lock_take(&heap_idle_lock);
	mine = hak_load(&heap->state, relaxed) == HAK_HEAP_IDLE;
	if (mine)
		heap_unlink_locked(heap);
	hak_lock_release(&heap_idle_lock);
	return mine;
}

HAK_FN void **hak_heap_array_get(struct hak_heap *heap, unsigned shift)
{
	void **array = heap->arrays[shift];

	if (array)
		heap->arrays[shift] = array[0];
	else
		array = hak_meta_alloc(sizeof(void *) << shift, HAK_ALIGN);
	if (array)
		array[0] = NULL;
	return array;
}

HAK_FN void hak_heap_array_put(struct hak_heap *heap, void **array, unsigned shift)
{
	array[0] = (void *)heap->arrays[shift];
	heap->arrays[shift] = array;
}

static void heap_after_fork(struct hak_heap *heap, bool is_mine)
{
	bool is_whole = hak_load(&heap->use, acquire) == HAK_USE_NONE; /* partner: hak_heap_exit */
	bool is_idle = hak_load(&heap->state, relaxed) == HAK_HEAP_IDLE;

	if (is_whole && !is_idle && !is_mine)
		heap_link_locked(heap);
	if (is_whole)
		return;
	if (is_idle)
		heap_unlink_locked(heap);
	hak_store(&heap->state, HAK_HEAP_LOST, relaxed); /* mine too, to a visitor: its owner finds him inside and leaves */
}

/* Nobody was inside a heap whose use is NONE: it is whole, since a hit changes a cache by one store that counts.  It waits
 * for a new thread of the child.  A heap that somebody was inside is lost. */
HAK_FN void hak_heap_after_fork(const struct hak_heap *mine)
{
	for (uint32_t i = 0; i < hak_heap_count(); i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (heap)
			heap_after_fork(heap, heap == mine);
	}
}
