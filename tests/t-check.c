/* SPDX-License-Identifier: MIT */
/* The room check: each of its checks finds the breach that it is there for, and nothing else does.  Links: rooms.
 *
 * Every point breaks one thing, in a process of its own. */
#include "check.h"

#include <signal.h>
#include <string.h>

#include "capture.h"
#include "hard.h"
#include "pool.h"
#include "refill.h"
#include "superslab.h"
#include "tap.h"

static struct hak_heap *heap;
static unsigned small, wide;  /* a class of single slabs and one of spans */
static struct hak_slab *slab; /* of small: some of its blocks are free, some cached, some handed out */
static struct hak_slot *slot;
static size_t free_number;    /* a slab of the pool that is free */

static struct hak_cache *cache(void) { return &heap->caches[small]; }

static void take_blocks(unsigned class, unsigned n)
{
	while (n-- > 0)
		if (*heap->caches[class].top)
			heap->caches[class].top--;
		else
			need(hak_refill(heap, class) != NULL);
}

static void start(void)
{
	need(hak_registry_start());
	heap = hak_heap_acquire();
	need(heap && hak_heap_enter(heap));
	small = hak_class_of(200);
	wide = hak_class_of(12000);
	take_blocks(small, hak_classes[small].blocks + 1u); /* of the second slab one; the third is begun ahead */
	take_blocks(wide, 1);
	need(hak_superslab_grow(heap->node, false));
	slab = heap->bins[small].first;
	need(slab && !hak_slab_is_empty(slab) && hak_classes[wide].slabs > 1 && heap->bins[wide].first);
	slot = hak_registry_slot(slab->number / HAK_SS_SLABS);
	need((uint32_t)hak_load(&slot->word, relaxed) != 0);
	free_number = slab->number / HAK_SS_SLABS * HAK_SS_SLABS + hak_lowest_bit((uint32_t)hak_load(&slot->word, relaxed));
}

/* ---- the pool ---- */

static void dirty_and_used(void) { hak_fetch_or(&slot->word, UINT64_C(1) << (32 + slab->number % HAK_SS_SLABS), relaxed); }
static void free_and_unmapped(void) { hak_store(&slot->bytes, free_number % HAK_SS_SLABS << HAK_SLAB_SHIFT, relaxed); }
static void free_with_tag(void) { hak_registry_set_tags(free_number, 1, heap->tag); }
static void used_miscounted(void) { hak_fetch_add(&hak_pool_counters, 1, relaxed); }
static void dirty_miscounted(void) { hak_fetch_add(&hak_pool_counters, UINT64_C(1) << 32, relaxed); }

/* ---- bins ---- */

static void prev_is_wrong(void) { slab->prev = slab; }
static void last_is_wrong(void) { heap->bins[small].last = NULL; }
static void tag_is_gone(void) { hak_registry_set_tags(slab->number, 1, 0); }
static void tag_in_span_is_gone(void) { hak_registry_set_tags(heap->bins[wide].first->number + 1, 1, 0); }
static void class_is_wrong(void) { slab->class++; }
static void summary_is_wrong(void) { slab->summary ^= 1; }
static void free_is_wrong(void) { slab->free++; }
static void empty_is_wrong(void) { heap->bins[small].empty++; }

/* Behind the last block, in a word that the summary knows. */
static void bit_is_beyond(void)
{
	unsigned blocks = hak_classes[small].blocks;

	need(blocks % 64 != 0);
	slab->bits[blocks / 64] |= UINT64_C(1) << (blocks % 64);
	slab->summary |= UINT64_C(1) << (blocks / 64);
	slab->free++;
}

/* It would have left the list. */
static void is_full_and_listed(void)
{
	memset(slab->bits, 0, sizeof(slab->bits));
	slab->summary = 0;
	slab->free = 0;
}

/* The wholly free slab goes to the front. */
static void empty_is_first(void)
{
	struct hak_bin *bin = &heap->bins[small];
	struct hak_slab *last = bin->last;

	need(bin->empty == 1 && last != slab && last->prev == slab);
	bin->first = last;
	bin->last = slab;
	last->prev = NULL;
	last->next = slab;
	slab->prev = last;
	slab->next = NULL;
}

/* ---- caches ---- */

static void top_is_above(void) { cache()->top = heap->bins[small].array + heap->bins[small].capacity + 1; }
static void top_is_below(void) { cache()->top = heap->bins[small].array - 1; }
static void end_is_wrong(void) { cache()->end--; }
static void place_0_is_used(void) { heap->bins[small].array[0] = hak_slab_base(slab); }
static void unused_has_top(void) { heap->caches[0].top = heap->bins[small].array; }
static void is_nowhere(void) { *cache()->top = &small; }
static void is_of_another_class(void) { *cache()->top = hak_slab_base(heap->bins[wide].first); }
static void is_interior(void) { *cache()->top = (char *)*cache()->top + HAK_ALIGN; }
static void is_twice(void) { cache()->top[-1] = *cache()->top; }

static void is_free_in_slab_too(void)
{
	need(hak_slab_put(hak_slab_head(hak_registry_number(*cache()->top)), *cache()->top) == HAK_PUT_OK);
}

static const struct breach {
	const char *name;
	void (*make)(void);
	enum hak_check found;
	bool several; /* blocks in a cache, or slabs in a bin */
} breaches[] = {
	{ "a slab is dirty and not free", dirty_and_used, HAK_CHECK_POOL_DIRTY, false },
	{ "a free slab is not mapped", free_and_unmapped, HAK_CHECK_POOL_MAPPED, false },
	{ "a free slab has a tag", free_with_tag, HAK_CHECK_POOL_TAG, false },
	{ "a used slab more is counted", used_miscounted, HAK_CHECK_POOL_COUNT, false },
	{ "a dirty slab more is counted", dirty_miscounted, HAK_CHECK_POOL_COUNT, false },
	{ "a slab leads back to itself", prev_is_wrong, HAK_CHECK_LIST, false },
	{ "a bin's last slab is none", last_is_wrong, HAK_CHECK_LIST, false },
	{ "a listed slab has no tag", tag_is_gone, HAK_CHECK_TAG, false },
	{ "the second slab of a span has no tag", tag_in_span_is_gone, HAK_CHECK_TAG, false },
	{ "a slab of another class", class_is_wrong, HAK_CHECK_BITS, false },
	{ "the summary disagrees with the bits", summary_is_wrong, HAK_CHECK_BITS, false },
	{ "a block more is counted", free_is_wrong, HAK_CHECK_BITS, false },
	{ "a bit behind the last block", bit_is_beyond, HAK_CHECK_BITS, false },
	{ "a listed slab without free blocks", is_full_and_listed, HAK_CHECK_BITS, false },
	{ "an empty slab more is counted", empty_is_wrong, HAK_CHECK_EMPTY, false },
	{ "an empty slab before one in use", empty_is_first, HAK_CHECK_EMPTY, true },
	{ "top is above the places", top_is_above, HAK_CHECK_CACHE_PLACE, false },
	{ "top is below them", top_is_below, HAK_CHECK_CACHE_PLACE, false },
	{ "end is not the last place", end_is_wrong, HAK_CHECK_CACHE_PLACE, false },
	{ "place 0 is not NULL", place_0_is_used, HAK_CHECK_CACHE_PLACE, false },
	{ "a cache without places has blocks", unused_has_top, HAK_CHECK_CACHE_PLACE, false },
	{ "a cached block outside the window", is_nowhere, HAK_CHECK_CACHE_BLOCK, true },
	{ "a cached block of another class", is_of_another_class, HAK_CHECK_CACHE_BLOCK, true },
	{ "a cached pointer into a block", is_interior, HAK_CHECK_CACHE_BLOCK, true },
	{ "a cached block that is free in its slab", is_free_in_slab_too, HAK_CHECK_CACHE_BLOCK, true },
	{ "a block cached twice", is_twice, HAK_CHECK_CACHE_TWICE, true },
};

static enum hak_check find(enum hak_check kind)
{
	return kind <= HAK_CHECK_POOL_COUNT ? hak_check_pool() : hak_check_heap(heap);
}

static void try(const void *with)
{
	const struct breach *breach = with;

	breach->make();
	if (!hold(find(breach->found) == breach->found))
		note("found %d, not %d", (int)find(breach->found), (int)breach->found);
}

/* ---- hak_check_now: the first heap is number 2 ---- */

enum { first = 4096, each = 512 }; /* calls that are walks, and then one in so many */

static void now(const void *with)
{
	const struct breach *breach = with;

	if (breach)
		breach->make();
	hak_check_now(heap);
}

/* While another heap may be taking slabs, nothing is said of the pool. */
static void now_beside_another(const void *with)
{
	need(hak_heap_acquire() != NULL);
	now(with);
}

static void now_and_then(const void *with)
{
	for (int call = 0; call <= first; call++)
		hak_check_now(heap);
	((const struct breach *)with)->make();
	for (int call = first + 1; call < first + each; call++)
		hak_check_now(heap);
	need(write(STDERR_FILENO, "alive\n", 6) == 6);
	hak_check_now(heap);
}

static void check_dies(const char *name, void (*run)(const void *), const struct breach *breach, const char *words)
{
	struct capture child;

	capture(&child, run, breach);
	ok(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT, "%s: it dies", name);
	is_text(child.words, words);
}

static const struct breach *breach_of(void (*make)(void))
{
	const struct breach *breach = breaches;

	while (breach->make != make)
		breach++;
	return breach;
}

static void test_now(void)
{
	capture_silent("hak_check_now: all is well", now, NULL);
	check_dies("a heap", now, breach_of(free_is_wrong), "hakmem: check 7 of heap 2 failed\n");
	check_dies("the pool", now, breach_of(used_miscounted), "hakmem: check 4 of heap 2 failed\n");
	capture_silent("the pool, beside another heap", now_beside_another, breach_of(used_miscounted));
	check_dies("one call in 512", now_and_then, breach_of(free_is_wrong), "alive\nhakmem: check 7 of heap 2 failed\n");
}

int main(void)
{
	start();
	is(hak_check_pool(), HAK_CHECK_OK);
	is(hak_check_heap(heap), HAK_CHECK_OK);
	for (size_t i = 0; i < HAK_COUNT_OF(breaches); i++)
		if (!breaches[i].several || !is_hard_skipped(breaches[i].name))
			capture_silent(breaches[i].name, try, &breaches[i]);
	test_now();
	return done();
}
