/* SPDX-License-Identifier: MIT */
/* The word `use`, the state and the idle list of heaps (H1, H4, H5, H6): what one inside wrote the next one sees; what is pushed
 * to a heap that becomes idle is not stranded.
 * Controls: 1 the exit, 2 the entry are relaxed; 3 nothing is sequentially consistent, so that sender and owner miss each
 * other. */
#include "weak.h"

#include "../../lib/class.h"
#include "../../lib/parcel.h"

#if CONTROL == 3
#define memory_order_seq_cst memory_order_acq_rel
#undef hak_load
#undef hak_store
#define memory_order_load_seq_cst memory_order_acquire
#define memory_order_load_acquire memory_order_acquire
#define memory_order_load_relaxed memory_order_relaxed
#define memory_order_store_seq_cst memory_order_release
#define memory_order_store_release memory_order_release
#define memory_order_store_relaxed memory_order_relaxed
#define hak_load(p, order) atomic_load_explicit((p), memory_order_load_##order)
#define hak_store(p, v, order) atomic_store_explicit((p), (v), memory_order_store_##order)
#endif

/* heap.c wants the settings only for hak_heap_shown. */
#define HAK_TUNABLES_H
#define HAK_STARVE_H
#define HAK_STATS_H
#define hak_setting(name) 0
#define hak_starve_is_on() false
#define hak_count(counter, n) ((void)(*(counter) += (n)))
struct hak_bin_counts {
	size_t nothing;
};
struct hak_heap_counts {
	size_t adopted;
};

#if CONTROL == 1
#define memory_order_release memory_order_relaxed
#elif CONTROL == 2
#define memory_order_acquire memory_order_relaxed
#endif
#include "../../lib/parcel.c"
#include "../../lib/heap.h"
#include "../../lib/heap.c"

unsigned hak_numa_node(void)
{
	return 0;
}

const struct hak_class hak_classes[HAK_CLASS_COUNT];

static struct hak_heap heap;
static hak_heap_entry directory[HEAP_PART_FIRST];
static struct hak_parcel parcel;
static unsigned inside; /* what the cold half of the heap is: a race is found */
static bool is_left;

static void go_in(void)
{
	unsigned before = inside;

	inside = before + 1;
}

static void drain(void)
{
	go_in();
	hak_inbox_take_all(&heap.inbox);
}

/* As remote_visit_idle. */
static void visit_idle(void)
{
	while (hak_load(&heap.inbox, seq_cst) && hak_heap_try_visit(&heap)) {
		if (!hak_heap_enter_last(&heap))
			return;
		drain();
		hak_heap_release(&heap);
	}
}

/* As remote_leave, by who is inside. */
static void leave(void)
{
	drain();
	hak_heap_release(&heap);
	visit_idle();
}

static void *owner_ends(void *with)
{
	if (hak_heap_enter(&heap)) {
		go_in();
		hak_heap_exit(&heap);
	}
	if (hak_heap_enter_last(&heap))
		leave();
	return with;
}

/* As remote_push. */
static void *send(void *with)
{
	hak_parcel_push(&heap.inbox, &parcel);
	if (hak_load(&heap.state, seq_cst) == HAK_HEAP_IDLE)
		visit_idle();
	return with;
}

/* As remote_visit_live. */
static void *visit(void *with)
{
	if (hak_heap_visit(&heap)) {
		drain();
		if (!hak_heap_visit_end(&heap))
			leave();
	}
	return with;
}

static void *adopt(void *with)
{
	struct hak_heap *got = hak_heap_acquire();

	if (got && hak_heap_enter_last(got))
		leave();
	return with;
}

int main(void)
{
	struct hak_heap *found;

	heap.id = HAK_OWNER_FIRST;
	hak_heap_made = 1;
	hak_store(&directory[HAK_OWNER_FIRST], &heap, relaxed);
	hak_store(&hak_heap_directory[0], directory, relaxed);
	begin(0, owner_ends);
	begin(1, send);
#ifdef ADOPTER
	begin(2, adopt);
#else
	begin(2, visit);
#endif
	end(0);
	end(1);
	end(2);
	assert(heap.state == HAK_HEAP_IDLE && heap.use == HAK_USE_NONE && !heap.inbox); /* H4 */
	found = hak_heap_acquire();
	assert(found == &heap);
	return 0;
}
