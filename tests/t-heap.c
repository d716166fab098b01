/* SPDX-License-Identifier: MIT */
/* The room heap: birth, adoption, visits, arrays, and what a fork leaves.  With several threads: t-model-heap.
 * Links: rooms. */
#include "heap.h"

#include "fails.h"
#include "os.h"
#include "tap.h"

static void check_empty(void)
{
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		hold(*hak_empty_heap.caches[c].top == NULL &&
		     hak_empty_heap.caches[c].shape == 0);
	for (size_t i = 0; i <= HAK_DIRECT_MAX / HAK_ALIGN; i++)
		hold(*hak_empty_heap.direct[i]->top == NULL);
	ok(failures() == 0, "the empty heap has nothing and takes nothing");
	ok(hak_thread.heap == &hak_empty_heap, "a thread begins with it");
	for (uint32_t c = 0; c < HAK_CLASS_COUNT; c++)
		hold(((HAK_OWNER_FIRST << HAK_TAG_SHIFT | c * 16) ^ hak_empty_heap.tag) >= HAK_TAG_CLASSES);
	ok(failures() == 0 && (0 ^ hak_empty_heap.tag) >= HAK_TAG_CLASSES, "and owns nothing");
}

static void check_birth(struct hak_heap **heaps, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct hak_heap *heap = heaps[i] = hak_heap_acquire();

		need(heap != NULL);
		hold(heap->id == HAK_OWNER_FIRST + i && heap->tag == heap->id << HAK_TAG_SHIFT);
		hold(hak_heap_find(heap->id) == heap && heap->state == HAK_HEAP_LIVE && heap->use == HAK_USE_NONE);
		for (size_t size = 1; size <= HAK_DIRECT_MAX; size++)
			hold(heap->direct[(size + 15) / 16] == &heap->caches[hak_class_joint_first(hak_class_of(size))]);
		for (uint32_t c = 0; c < HAK_CLASS_COUNT; c++)
			hold(hak_heap_cache(heap, ((heap->tag | c * 16) ^ heap->tag)) == &heap->caches[c] &&
			     hak_heap_cached(heap, c) == 0 && *heap->caches[c].top == NULL);
	}
	is(hak_heap_count(), n);
	ok(failures() == 0, "%u heaps", n);
	ok(hak_heap_find(HAK_OWNER_FIRST + n) == NULL && hak_heap_find(HAK_OWNER_MAX) == NULL, "and no others");
}

static void part_all(struct hak_heap *heap)
{
	for (unsigned c = HAK_CLASSES_JOINT; c-- > 0;)
		while (hak_heap_is_joint(heap, c))
			hak_heap_part(heap, c);
}

/* H8 */
static void check_parting(struct hak_heap *heap)
{
	for (unsigned c = 0; c < HAK_CLASSES_JOINT; c++) {
		unsigned joint = hak_class_joint_first(c);

		hold(joint >= c && hak_classes[c].size > hak_classes[joint].size / 4 - (c == 0));
		hold(hak_heap_serving(heap, c) == joint);
		hold(hak_heap_is_joint(heap, c) == (c == joint) && hak_heap_is_wide(heap, c) == (c == joint && c > 8));
	}
	ok(failures() == 0, "classes of one doubling or two have one in common, which is less than four times as large");
	hak_heap_part(heap, hak_class_of(512));
	is(hak_heap_serving(heap, hak_class_of(200)), hak_class_of(256));
	is(hak_heap_serving(heap, hak_class_of(300)), hak_class_of(512));
	ok(!hak_heap_is_wide(heap, hak_class_of(512)) && hak_heap_is_wide(heap, hak_class_of(2048)), "the doublings part, others do not");
	hak_heap_part(heap, hak_class_of(512));
	is(hak_heap_serving(heap, hak_class_of(200)), hak_class_of(256));
	is(hak_heap_serving(heap, hak_class_of(300)), hak_class_of(300));
	is(hak_heap_serving(heap, hak_class_of(512)), hak_class_of(512));
	ok(!hak_heap_is_joint(heap, hak_class_of(512)) && hak_heap_is_joint(heap, hak_class_of(256)), "one parts, its neighbour does not");
	part_all(heap);
	for (size_t size = 1; size <= HAK_DIRECT_MAX; size++)
		hold(heap->direct[(size + 15) / 16] == &heap->caches[hak_class_of(size)]);
	ok(failures() == 0, "all have parted");
}

static void check_adoption(struct hak_heap **heaps)
{
	for (int i = 0; i < 3; i++) {
		hold(hak_heap_enter(heaps[i]));
		hak_heap_release(heaps[i]);
		hold(heaps[i]->state == HAK_HEAP_IDLE && heaps[i]->use == HAK_USE_NONE);
	}
	ok(hak_heap_acquire() == heaps[2], "the latest is adopted first: it is warm");
	ok(hak_heap_try_visit(heaps[0]) && heaps[0]->state == HAK_HEAP_LIVE, "one can be visited");
	ok(!hak_heap_try_visit(heaps[0]) && !hak_heap_try_visit(heaps[2]), "not one that is not idle");
	ok(hak_heap_acquire() == heaps[1], "the other is still there");
	is(heaps[1]->counts.adopted, 1);
	is(heaps[0]->counts.adopted, 0);
}

static void check_entering(struct hak_heap *heap)
{
	ok(hak_heap_enter(heap), "the owner is inside");
	ok(!hak_heap_enter(heap) && !hak_heap_enter_last(heap), "not a second time: a handler");
	ok(!hak_heap_visit(heap), "no visitor while the owner is inside");
	hak_heap_exit(heap);
	ok(hak_heap_visit(heap), "a visitor");
	ok(!hak_heap_visit(heap), "not two");
	ok(!hak_heap_enter(heap) && heap->use == HAK_USE_VISITOR, "nor the owner");
	ok(hak_heap_visit_end(heap), "who goes");
	ok(hak_heap_enter_last(heap), "the owner's end");
	hak_heap_exit(heap);
	ok(hak_heap_visit(heap), "another visitor");
	ok(!hak_heap_enter_last(heap), "the owner ends");
	ok(!hak_heap_enter(heap) && !hak_heap_enter_last(heap), "nobody else comes");
	ok(!hak_heap_visit_end(heap) && heap->use == HAK_USE_OWNER, "and the visitor has the heap");
	hak_heap_exit(heap);
	ok(hak_heap_enter(heap), "until he lets go");
	hak_heap_exit(heap);
}

/* H7: what hits do that a handler came between. */
static void check_mending(struct hak_heap *heap)
{
	enum { class = 3, places = 15 };
	static char blocks[places + 1];
	struct hak_cache *cache = &heap->caches[class];
	void **array = hak_heap_array_get(heap, 4);

	need(array != NULL);
	heap->bins[class].array = array;
	heap->bins[class].capacity = places;
	cache->top = array;
	cache->end = hak_cache_place(array + places);
	for (size_t off = 1; off <= HAK_CACHE_SPARE; off++) {
		hold(array[-(ptrdiff_t)off] == NULL && array[places + off] == NULL);
		cache->top = array - off;
		hold(!hak_cache_is_full(cache) && hak_heap_cached(heap, class) == 0);
		*++cache->top = blocks; /* a hit, before anybody mends */
		hak_heap_mend(heap, class);
		hold(cache->top == array && array[0] == NULL);
	}
	for (int i = 1; i <= places; i++)
		array[i] = i % 4 ? &blocks[i] : NULL;
	cache->top = array + places + HAK_CACHE_SPARE;
	hold(hak_cache_is_full(cache));
	hak_heap_mend(heap, class);
	hold(cache->top == array + places && hak_cache_is_full(cache));
	cache->top = array + 12;
	hak_heap_mend(heap, class);
	hold(cache->top == array + 11);
	ok(failures() == 0, "a cache whose top is off is put right");
}

static void check_arrays(struct hak_heap *heap)
{
	for (unsigned shift = 1; shift <= 12; shift++) {
		void **a = hak_heap_array_get(heap, shift), **b = hak_heap_array_get(heap, shift);

		hold(a && b && a != b && a[0] == NULL);
		hold(hak_cache_place(a) < hak_cache_place(a + ((size_t)1 << shift) + HAK_CACHE_SPARE));
		memset(a, 1, sizeof(void *) << shift);
		memset(b, 2, sizeof(void *) << shift);
		hak_heap_array_put(heap, a, shift);
		hak_heap_array_put(heap, b, shift);
		hold(hak_heap_array_get(heap, shift) == b && b[0] == NULL && b[((size_t)1 << shift) - 1] == NULL);
		hold(hak_heap_array_get(heap, shift) == a && a[0] == NULL);
	}
	ok(failures() == 0, "arrays of all sizes come back");
	fail_mappings(1, 1000);
	for (int i = 0; i < 1000 && hak_heap_array_get(heap, 12); i++)
		continue;
	ok(hak_heap_array_get(heap, 12) == NULL, "NULL without memory");
	ok(hak_heap_acquire() == NULL || hak_heap_count() > 0, "and no heap, or one that was left");
	fail_none();
}

static void check_fork(struct hak_heap **heaps)
{
	hold(hak_heap_enter(heaps[2])); /* somebody is inside */
	hold(hak_heap_visit(heaps[3]));
	hold(hak_heap_enter(heaps[4]));
	hak_heap_release(heaps[4]); /* idle already */
	hold(hak_heap_enter(heaps[5]));
	hak_heap_release(heaps[5]);
	hold(hak_heap_visit(heaps[5])); /* idle, and looked at */
	hak_heap_after_fork(heaps[0]);
	is(heaps[0]->state, HAK_HEAP_LIVE);
	is(heaps[1]->state, HAK_HEAP_IDLE);
	is(heaps[2]->state, HAK_HEAP_LOST);
	is(heaps[3]->state, HAK_HEAP_LOST);
	is(heaps[4]->state, HAK_HEAP_IDLE);
	is(heaps[5]->state, HAK_HEAP_LOST);
	for (uint32_t n = hak_heap_count(); n > 0; n--) {
		struct hak_heap *heap = hak_heap_acquire();

		if (!heap || hak_heap_count() > 1100)
			break;
		hold(heap != heaps[0] && heap != heaps[2] && heap != heaps[3] && heap != heaps[5]);
		hold(hak_heap_enter(heap));
	}
	ok(failures() == 0, "who was inside is lost; the others wait for new threads");
}

int main(void)
{
	static struct hak_heap *heaps[1030]; /* more than one part of the directory */

	check_empty();
	check_birth(heaps, 1030);
	check_parting(heaps[1029]);
	check_adoption(heaps);
	check_entering(heaps[7]);
	check_mending(heaps[9]);
	check_arrays(heaps[8]);
	check_fork(heaps);
	return done();
}
