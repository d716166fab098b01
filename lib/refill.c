#include "refill.h"

#include <string.h>

#include "batch.h"
#include "journal.h"
#include "large.h"
#include "limit.h"
#include "misuse.h"
#include "os.h"
#include "pages.h"
#include "say.h"
#include "superslab.h"
#include "tunables.h"

#define REFILL_CAPACITY_MOST 255u              /* places of a cache */
#define REFILL_CAPACITY_ONE_WAY 31u            /* places of a cache that only overflows, or only underflows */
#define REFILL_CLASS_BYTES ((size_t)4 << 20)  /* that one cache may hold */
#define REFILL_HEAP_BYTES ((size_t)6 << 20)    /* that all caches of a heap may hold */
#define REFILL_EMPTY_KEPT 1u                   /* wholly free slabs of a class that a heap keeps */
#define REFILL_PREFILL_MOST 4u                 /* slabs taken at once */
#define REFILL_SEND_TICKS 64u                  /* cold calls until parcels that are not full are sent too */
#define REFILL_IDLE_TICKS 256u                 /* cold calls between two looks for caches that nobody uses */
#define REFILL_INBOX_MOST 128u                 /* parcels in an inbox from which its heap is visited */
#define REFILL_INSIDE_TICKS 64u                /* cold calls between looks at what is free inside slabs */
#define REFILL_INSIDE_LEAST ((size_t)8 << 20)  /* free bytes inside slabs from which pages go back */
#define REFILL_INSIDE_MS 1000u                 /* what is wanted back within that time .. */
#define REFILL_INSIDE_PAUSE_MS 10000u          /* .. stops it for that long */
#define REFILL_AHEAD 8u                        /* heads are prefetched that many blocks ahead */

/* ---- the warm pool: a bin's list of slabs with free blocks ---- */

static void refill_link_first(struct hak_bin *bin, struct hak_slab *slab)
{
	slab->prev = NULL;
	slab->next = bin->first;
	if (bin->first)
		bin->first->prev = slab;
	else
		bin->last = slab;
	bin->first = slab;
}

static void refill_link_last(struct hak_bin *bin, struct hak_slab *slab)
{
	slab->next = NULL;
	slab->prev = bin->last;
	if (bin->last)
		bin->last->next = slab;
	else
		bin->first = slab;
	bin->last = slab;
}

static void refill_unlink(struct hak_bin *bin, struct hak_slab *slab)
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

#define REFILL_GUARD_EACH 4u /* one span in so many, with HAKMEM_SECURE=2 */

/* The slab behind the span, if it is free, becomes a guard: no memory and no mapping more. */
static HAK_COLD void refill_guard(struct hak_heap *heap, unsigned class, size_t number)
{
	struct hak_slab *slab = hak_slab_head(number);
	size_t behind = number + hak_classes[class].slabs;
	bool dirty;

	if (number / REFILL_GUARD_EACH % REFILL_GUARD_EACH != (heap->tag >> HAK_TAG_SHIFT) % REFILL_GUARD_EACH ||
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
static unsigned refill_unguard(const struct hak_slab *slab)
{
	size_t behind = slab->number + hak_classes[slab->class].slabs;

	if (hak_likely(!(slab->fresh & HAK_FRESH_GUARD)))
		return 0;
	return hak_os_unguard(hak_registry_address(behind), HAK_SLAB_SIZE);
}

static void refill_give_slab(struct hak_bin *bin, struct hak_slab *slab)
{
	size_t number = slab->number;
	unsigned slabs = hak_classes[slab->class].slabs + refill_unguard(slab);
	bool dirty = !(slab->fresh & HAK_FRESH_CLEAN);

	bin->prefill = 1;
	refill_unlink(bin, slab);
	hak_count(&bin->counts.slabs_given, slabs);
	hak_registry_set_tags(number, slabs, 0);
	hak_batch_give(number / HAK_SS_SLABS, hak_low_mask(slabs) << number % HAK_SS_SLABS, dirty);
}

static HAK_NOINLINE void refill_slab_emptied(struct hak_bin *bin, struct hak_slab *slab)
{
	if (bin->empty >= REFILL_EMPTY_KEPT) {
		refill_give_slab(bin, slab);
		return;
	}
	bin->empty++;
	refill_unlink(bin, slab);
	refill_link_last(bin, slab); /* partly used ones first */
}

static HAK_COLD HAK_NORETURN void refill_die(const struct hak_slab *slab, enum hak_put put, const void *p)
{
	hak_say_fatal(put == HAK_PUT_TWICE ? HAK_FATAL_DOUBLE_FREE : HAK_FATAL_INTERIOR, "free", p,
	              hak_classes[slab->class].size);
}

/* A block goes back to its slab. */
static inline void refill_put(struct hak_bin *bin, void *p)
{
	struct hak_slab *slab = hak_slab_head(hak_registry_number(p));
	enum hak_put put = hak_slab_put(slab, p);

	if (hak_unlikely(put != HAK_PUT_OK))
		refill_die(slab, put, p);
	if (slab->free == 1)
		refill_link_first(bin, slab);
	if (hak_unlikely(hak_slab_is_empty(slab)))
		refill_slab_emptied(bin, slab);
}

/* ---- slabs from the shared pool ---- */

static void refill_open(struct hak_heap *heap, unsigned class, size_t number, bool zero)
{
	struct hak_bin *bin = &heap->bins[class];
	struct hak_slab *slabs = hak_load(&hak_registry_slot(number / HAK_SS_SLABS)->slabs, relaxed);

	if (hak_unlikely(hak_setting(secure) >= HAK_SECURE_CANARY) && !zero)
		memset(hak_registry_address(number), 0, hak_classes[class].slabs * HAK_SLAB_SIZE);
	hak_slab_open(number, class, zero);
	if (hak_unlikely(hak_setting(secure) >= HAK_SECURE_CANARY))
		slabs[number % HAK_SS_SLABS].fresh |= HAK_FRESH_WIPED;
	hak_registry_set_tags(number, hak_classes[class].slabs, heap->tag | class * HAK_CACHE_SIZE);
	refill_link_last(bin, &slabs[number % HAK_SS_SLABS]);
	bin->empty++;
	hak_count(&bin->counts.slabs_taken, hak_classes[class].slabs);
}

struct refill_fill {
	size_t used, held; /* bytes handed out, and of the slabs that they come from */
};

static struct refill_fill refill_fill(const struct hak_heap *heap)
{
	struct refill_fill fill = { 0, 0 };

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		const struct hak_bin_counts *n = &heap->bins[c].counts;

		fill.used += (hak_load(&n->carved, relaxed) - hak_load(&n->put, relaxed)) * hak_classes[c].size;
		fill.held += (hak_load(&n->slabs_taken, relaxed) - hak_load(&n->slabs_given, relaxed)) * HAK_SLAB_SIZE;
	}
	return fill;
}

/* Does the heap fill what it takes?  A small one is not worth a huge page. */
static bool refill_is_dense(const struct hak_heap *heap)
{
	struct refill_fill fill = refill_fill(heap);

	return fill.held >= HAK_SS_SIZE && fill.used >= fill.held / 8 * 5;
}

/* A class that takes slabs though it holds some, which are full: it grows. */
static bool refill_is_growing(const struct hak_bin *bin)
{
	return hak_load(&bin->counts.slabs_taken, relaxed) != hak_load(&bin->counts.slabs_given, relaxed);
}

/* Secondary prefill: the number of slabs taken at once doubles while misses go on. */
static bool refill_take_single(struct hak_heap *heap, unsigned class)
{
	struct hak_bin *bin = &heap->bins[class];
	size_t slot;
	uint32_t dirty, mask = hak_pool_take_many(bin->prefill, &slot, &dirty);

	if (!mask)
		return false;
	hak_batch_taken(slot, mask & ~dirty);
	if (refill_is_growing(bin))
		hak_pages_growing(slot, mask & ~dirty);
	if (bin->prefill < REFILL_PREFILL_MOST)
		bin->prefill = (uint16_t)(bin->prefill * 2);
	for (; mask; mask &= mask - 1) {
		unsigned i = hak_lowest_bit(mask);
		refill_open(heap, class, slot * HAK_SS_SLABS + i, !(dirty >> i & 1));
	}
	return true;
}

static bool refill_take_span(struct hak_heap *heap, unsigned class)
{
	struct hak_run run;

	if (!hak_pool_take(hak_classes[class].slabs, 1, &run))
		return false;
	if (!run.dirty)
		hak_batch_taken(run.number / HAK_SS_SLABS, hak_low_mask(run.slabs) << run.number % HAK_SS_SLABS);
	refill_open(heap, class, run.number, !run.dirty);
	return true;
}

static bool refill_take(struct hak_heap *heap, unsigned class)
{
	bool ok = hak_classes[class].slabs == 1 ? refill_take_single(heap, class) : refill_take_span(heap, class);

	if (hak_unlikely(hak_setting(secure) >= HAK_SECURE_WIPE) && ok)
		refill_guard(heap, class, heap->bins[class].last->number);
	return ok;
}

/* Sees to it that the bin has a slab with free blocks. */
static bool refill_provide(struct hak_heap *heap, unsigned class)
{
	struct hak_bin_counts *counts = &heap->bins[class].counts;

	if (heap->bins[class].first) {
		hak_count(&counts->refill_warm, 1);
		return true;
	}
	if (hak_unlikely(hak_limit_is_set()) &&
	    hak_limit_check(hak_classes[class].slabs * HAK_SLAB_SIZE) == HAK_LIMIT_HARD)
		return false;
	if (refill_take(heap, class)) {
		hak_count(&counts->refill_pool, 1);
		return true;
	}
	while (hak_superslab_grow(refill_is_dense(heap)))
		if (refill_take(heap, class)) {
			hak_count(&counts->refill_map, 1);
			return true;
		}
	return false;
}

/* ---- capacity ---- */

static unsigned refill_capacity_start(unsigned class)
{
	size_t size = hak_classes[class].size;

	return size <= HAK_TINY_MAX ? 15 : size <= 8192 ? 7 : 3;
}

static unsigned refill_capacity_most(unsigned class)
{
	size_t most = REFILL_CLASS_BYTES / hak_classes[class].size;

	return most >= REFILL_CAPACITY_MOST ? REFILL_CAPACITY_MOST : (1u << hak_highest_bit(most + 1)) - 1;
}

/* Gives the bin an array of 1 << shift places, of which `capacity` may be used; keeps what is cached. */
static bool refill_set_capacity(struct hak_heap *heap, unsigned class, unsigned capacity)
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
	cache->end = hak_cache_place(array + capacity);
	return true;
}

/* A cold call of this class: its cache may be too small.  It is if overflow and underflow take turns; of what only
 * flows in or only out, a larger cache would just hold more. */
static void refill_adapt(struct hak_heap *heap, unsigned class, bool flushing)
{
	struct hak_bin *bin = &heap->bins[class];
	unsigned fixed = hak_setting(fc_cap), capacity = bin->capacity * 2u + 1;
	bool turned = bin->flushing != flushing;

	bin->flushing = flushing;
	if (hak_setting(tiny_front_direct))
		return;
	if (bin->capacity == 0)
		capacity = fixed ? fixed : refill_capacity_start(class);
	else if (fixed || !hak_setting(ace_enabled) || bin->capacity >= refill_capacity_most(class))
		return;
	else if (!turned && bin->capacity >= REFILL_CAPACITY_ONE_WAY)
		return;
	else if (heap->cache_bytes + (size_t)bin->capacity * hak_classes[class].size > REFILL_HEAP_BYTES)
		return;
	if (bin->capacity >= REFILL_CAPACITY_ONE_WAY)
		hak_journal_write(HAK_DECISION_cache_grow, class, bin->capacity, capacity, 0, 0);
	refill_set_capacity(heap, class, capacity);
}

static unsigned refill_batch(const struct hak_heap *heap, unsigned class)
{
	unsigned capacity = heap->bins[class].capacity, batch = (capacity + 1) / 2, fixed = hak_setting(fc_refill);

	if (hak_setting(tiny_refill_count) && hak_classes[class].size <= HAK_TINY_MAX)
		fixed = hak_setting(tiny_refill_count);
	if (fixed)
		batch = fixed;
	return batch < capacity ? batch : capacity;
}

/* ---- remote frees ---- */

static struct hak_parcel *refill_get_parcel(struct hak_heap *heap, uint32_t owner)
{
	struct hak_parcel *parcel = heap->spare;

	if (!parcel)
		return hak_parcel_get(owner);
	heap->spare = NULL;
	parcel->owner = owner;
	parcel->room = HAK_PARCEL_BLOCKS;
	parcel->count = 0;
	return parcel;
}

static void refill_put_parcel(struct hak_heap *heap, struct hak_parcel *parcel)
{
	if (heap->spare)
		hak_parcel_put(parcel);
	else
		heap->spare = parcel;
}

/* The class of a block that another thread freed. */
static inline unsigned refill_home_class(struct hak_heap *heap, const void *p)
{
	uint32_t x = hak_registry_tag(hak_registry_number(p)) ^ heap->tag;

	if (hak_unlikely(x >= HAK_TAG_CLASSES)) /* its slab went back to the pool: it was free already */
		hak_say_fatal(HAK_FATAL_NO_BLOCK, "free", p, 0);
	hak_count(&heap->bins[x / HAK_CACHE_SIZE].counts.received, 1);
	return x / HAK_CACHE_SIZE;
}

static HAK_NOINLINE void refill_put_home(struct hak_bin *bin, void *p)
{
	hak_count(&bin->counts.put, 1);
	refill_put(bin, p);
}

/* The blocks of a parcel come home: into their caches while there is room, else into their slabs. */
static void refill_unpack(struct hak_heap *heap, struct hak_parcel *parcel)
{
	for (unsigned i = 0; i < parcel->count; i++) {
		void *p = parcel->blocks[i];
		unsigned class = refill_home_class(heap, p);
		struct hak_cache *cache = &heap->caches[class];

		if (hak_unlikely(*cache->top == p))
			hak_say_fatal(HAK_FATAL_DOUBLE_FREE, "free", p, hak_classes[class].size);
		if (!hak_cache_is_full(cache))
			*++cache->top = p;
		else
			refill_put_home(&heap->bins[class], p);
	}
}

/* A parcel for this heap, or NULL. */
static struct hak_parcel *refill_next_received(struct hak_heap *heap)
{
	struct hak_parcel *parcel = heap->received;

	if (!parcel && !hak_inbox_is_empty(&heap->inbox))
		parcel = hak_inbox_take_all(&heap->inbox);
	if (parcel) {
		heap->received = hak_load(&parcel->next, relaxed);
		hak_count(&heap->counts.parcels_received, 1);
	}
	return parcel;
}

/* Unpacks one received parcel; false if there is none. */
static bool refill_receive(struct hak_heap *heap)
{
	struct hak_parcel *parcel = refill_next_received(heap);

	if (!parcel)
		return false;
	refill_unpack(heap, parcel);
	refill_put_parcel(heap, parcel);
	return true;
}

HAK_FN void hak_refill_drain(struct hak_heap *heap)
{
	while (refill_receive(heap))
		;
}

/* Blocks for a heap that nobody owns: its inbox is emptied by who filled it. */
static HAK_COLD void refill_visit_idle(struct hak_heap *idle)
{
	while (hak_load(&idle->inbox, seq_cst) && hak_heap_try_visit(idle)) { /* H4; partner: hak_parcel_push */
		if (hak_heap_enter(idle) != HAK_ENTER_OK)
			return; /* another visitor is inside, and makes it idle again when he leaves */
		hak_count(&idle->counts.visited, 1);
		hak_refill_settle(idle);
		hak_heap_release(idle); /* then look again: H4 */
	}
}

/* Gives slabs that are wholly free back to the pool. */
static void refill_give_empty(struct hak_bin *bin)
{
	while (bin->last && hak_slab_is_empty(bin->last)) {
		bin->empty--;
		refill_give_slab(bin, bin->last);
	}
}

/* What came home goes to its slabs, past the caches: they are the owner's alone. */
static void refill_unpack_to_slabs(struct hak_heap *heap, struct hak_parcel *parcel)
{
	for (unsigned i = 0; i < parcel->count; i++)
		refill_put_home(&heap->bins[refill_home_class(heap, parcel->blocks[i])], parcel->blocks[i]);
	hak_parcel_put(parcel);
}

/* The owner sleeps, or does not allocate: the inbox is emptied for him. */
static HAK_COLD void refill_visit_live(struct hak_heap *heap)
{
	struct hak_parcel *parcel;

	if (!hak_heap_visit(heap))
		return;
	hak_count(&heap->counts.visited, 1);
	while ((parcel = refill_next_received(heap)) != NULL)
		refill_unpack_to_slabs(heap, parcel);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		refill_give_empty(&heap->bins[c]);
	if (!hak_heap_visit_end(heap))
		hak_refill_leave(heap);
}

HAK_FN void hak_refill_visit_all(void)
{
	for (uint32_t i = 0; i < hak_heap_count(); i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (heap && hak_load(&heap->state, relaxed) == HAK_HEAP_LIVE)
			refill_visit_live(heap);
	}
}

/* Free pages inside the heap's slabs go back. */
static size_t refill_purge_inside(struct hak_heap *heap)
{
	size_t bytes = 0;

	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		for (struct hak_slab *slab = heap->bins[c].first; slab; slab = slab->next)
			bytes += hak_slab_purge(slab);
	hak_count_process(inside_bytes, bytes);
	return bytes;
}

HAK_FN size_t hak_refill_purge_all(void)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < hak_heap_count(); i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (!heap || !hak_heap_visit(heap)) /* an idle heap too: who adopts it meanwhile finds a visitor */
			continue;
		bytes += refill_purge_inside(heap);
		if (!hak_heap_visit_end(heap))
			hak_refill_leave(heap);
	}
	return bytes;
}

static void refill_push(struct hak_heap *heap, unsigned place)
{
	struct hak_parcel *parcel = heap->outgoing[place];
	struct hak_heap *owner = hak_heap_find(parcel->owner);
	uint32_t depth;

	heap->outgoing[place] = NULL;
	if (!owner || hak_load(&owner->state, relaxed) == HAK_HEAP_LOST) {
		hak_count(&heap->counts.parcels_dropped, 1);
		refill_put_parcel(heap, parcel);
		return;
	}
	hak_count(&heap->counts.parcels_sent, 1);
	depth = hak_parcel_push(&owner->inbox, parcel);
	if (hak_load(&owner->state, seq_cst) == HAK_HEAP_IDLE) /* H4; partner: hak_heap_release */
		refill_visit_idle(owner);
	else if (depth >= REFILL_INBOX_MOST)
		refill_visit_live(owner);
}

static void refill_push_all(struct hak_heap *heap)
{
	for (unsigned i = 0; i < HAK_OUTGOING; i++)
		if (heap->outgoing[i])
			refill_push(heap, i);
	heap->sent_ticks = heap->ticks;
}

HAK_FN void hak_refill_send_all(struct hak_heap *heap) { refill_push_all(heap); }

static void refill_tick(struct hak_heap *heap)
{
	heap->ticks++;
	if (heap->ticks - heap->sent_ticks >= REFILL_SEND_TICKS)
		refill_push_all(heap);
	if (heap->ticks % 256 == 0) {
		hak_batch_tick();
		hak_large_tick();
	}
}

static HAK_NOINLINE void refill_push_full(struct hak_heap *heap, unsigned place)
{
	refill_push(heap, place);
	refill_tick(heap); /* a thread that only frees sends its other parcels too */
}

/* The place is empty, or holds a parcel for another heap. */
static HAK_NOINLINE void refill_send_first(struct hak_heap *heap, void *p, uint32_t tag)
{
	unsigned place = (tag >> HAK_TAG_SHIFT) % HAK_OUTGOING;
	struct hak_parcel *parcel;

	if (heap->outgoing[place])
		refill_push(heap, place);
	parcel = refill_get_parcel(heap, tag >> HAK_TAG_SHIFT);
	if (!parcel)
		return; /* no memory for 512 bytes: the block is lost, the program is not */
	heap->outgoing[place] = parcel;
	hak_refill_send(heap, p, tag);
}

HAK_FN void hak_refill_send(struct hak_heap *heap, void *p, uint32_t tag)
{
	uint32_t owner = tag >> HAK_TAG_SHIFT, class = tag % (1u << HAK_TAG_SHIFT) / HAK_CACHE_SIZE;
	struct hak_parcel *parcel = heap->outgoing[owner % HAK_OUTGOING];

	if (hak_unlikely(!hak_class_is_start(hak_classes[class].shape, p)))
		hak_misuse_check_slab("free", p);

	if (hak_unlikely(!parcel || parcel->owner != owner)) {
		refill_send_first(heap, p, tag);
		return;
	}
	hak_count(&heap->bins[class].counts.sent, 1);
	if (hak_unlikely(parcel->count > 0 && parcel->blocks[parcel->count - 1] == p))
		hak_say_fatal(HAK_FATAL_DOUBLE_FREE, "free", p, hak_classes[class].size);
	parcel->blocks[parcel->count] = p;
	hak_signal_fence(); /* a child that is forked here finds a whole parcel */
	parcel->count++;
	parcel->room = (int16_t)(parcel->room - hak_parcel_cost(hak_classes[class].size));
	if (hak_unlikely(parcel->room <= 0))
		refill_push_full(heap, owner % HAK_OUTGOING);
}

/* ---- refill and flush ---- */

/* Carves up to n blocks into places 1..n, the lowest address on top; returns how many. */
static unsigned refill_carve(struct hak_heap *heap, unsigned class, unsigned n)
{
	struct hak_bin *bin = &heap->bins[class];
	void **array = bin->array;
	unsigned done = 0;

	while (done < n && bin->first) {
		struct hak_slab *slab = bin->first;

		bin->empty = (uint16_t)(bin->empty - hak_slab_is_empty(slab));
		done += hak_slab_carve(slab, array + n - done, n - done);
		if (slab->free == 0)
			refill_unlink(bin, slab);
	}
	for (unsigned i = 1; done < n && i <= done; i++) /* they lie at the upper end: move down */
		array[i] = array[n - done + i];
	hak_count(&bin->counts.carved, done);
	return done;
}

static void *refill_carve_one(struct hak_bin *bin, bool *zero)
{
	struct hak_slab *slab = bin->first;
	void *p;

	bin->empty = (uint16_t)(bin->empty - hak_slab_is_empty(slab));
	p = hak_slab_carve_one(slab, zero);
	if (slab->free == 0)
		refill_unlink(bin, slab);
	hak_count(&bin->counts.carved, 1);
	return p;
}

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
	void *p = refill_pop(cache);

	if (p)
		return p;
	while (!*cache->top && refill_receive(heap))
		;
	p = refill_pop(cache);
	if (p)
		hak_count(&heap->bins[class].counts.refill_inbox, 1);
	return p;
}

/* The oldest n cached blocks go back to their slabs. */
static void refill_give_oldest(struct hak_heap *heap, unsigned class, unsigned n)
{
	struct hak_cache *cache = &heap->caches[class];
	struct hak_bin *bin = &heap->bins[class];
	void **array = bin->array;
	unsigned cached = hak_heap_cached(heap, class);

	if (n == 0)
		return;
	for (unsigned i = 1; i <= n; i++) {
		if (i + REFILL_AHEAD <= n)
			hak_slab_prefetch(hak_registry_number(array[i + REFILL_AHEAD]));
		refill_put(bin, array[i]);
	}
	for (unsigned i = 1; i + n <= cached; i++)
		array[i] = array[i + n];
	cache->top = array + (cached - n);
	hak_count(&bin->counts.put, n);
}

/* ---- the heap looks after itself ---- */

/* Its blocks go back, and half of its places. */
static void refill_settle_cache(struct hak_heap *heap, unsigned class)
{
	struct hak_bin *bin = &heap->bins[class];

	if (hak_heap_cached(heap, class) > 0) {
		refill_give_oldest(heap, class, hak_heap_cached(heap, class));
		refill_give_empty(bin);
	}
	if (bin->capacity <= refill_capacity_start(class) || hak_setting(fc_cap) || !hak_setting(ace_enabled))
		return;
	hak_journal_write(HAK_DECISION_cache_shrink, class, bin->capacity, bin->capacity / 2u, 0, 0);
	refill_set_capacity(heap, class, bin->capacity / 2u);
}

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
			refill_settle_cache(heap, c);
		bin->seen = cache->top;
	}
	heap->idle_ticks = heap->ticks;
}

/* More than half of the heap's slabs is free inside them: whole pages of that go back, more each time that an eighth
 * became free, but not for a while if they were wanted back soon. */
static HAK_COLD void refill_tend_inside(struct hak_heap *heap)
{
	uint32_t now = hak_os_now();
	struct refill_fill fill = refill_fill(heap);
	size_t free = fill.held > fill.used ? fill.held - fill.used : 0;

	if (!hak_setting(ace_enabled))
		return;
	if (free < heap->inside_purged / 2) {
		if (hak_elapsed(now, heap->inside_stamp) < REFILL_INSIDE_MS)
			heap->inside_pause = REFILL_INSIDE_PAUSE_MS;
		heap->inside_purged = 0;
	}
	if (free < REFILL_INSIDE_LEAST || free < fill.held / 2 || free < heap->inside_purged + fill.held / 8 ||
	    hak_elapsed(now, heap->inside_stamp) < heap->inside_pause)
		return;
	heap->inside_pause = 0;
	heap->inside_purged = free;
	heap->inside_stamp = now;
	refill_purge_inside(heap);
}

/* The tick of who has entered the heap. */
static void refill_tick_inside(struct hak_heap *heap)
{
	refill_tick(heap);
	if (heap->ticks - heap->idle_ticks >= REFILL_IDLE_TICKS)
		refill_settle_idle(heap);
	if (heap->ticks % REFILL_INSIDE_TICKS == 0)
		refill_tend_inside(heap);
}

HAK_FN void *hak_refill_zeroed(struct hak_heap *heap, unsigned class, bool *zero)
{
	void *p = refill_from_inbox(heap, class);

	*zero = false;
	refill_tick_inside(heap);
	if (p || !refill_provide(heap, class))
		return p;
	hak_count(&heap->bins[class].counts.direct_malloc, hak_setting(tiny_front_direct));
	return refill_carve_one(&heap->bins[class], zero);
}

HAK_FN void *hak_refill(struct hak_heap *heap, unsigned class)
{
	struct hak_bin *bin = &heap->bins[class];
	void *p = refill_from_inbox(heap, class);
	unsigned n;
	bool zero;

	refill_tick_inside(heap);
	if (p)
		return p;
	refill_adapt(heap, class, false);
	if (!refill_provide(heap, class))
		return NULL;
	n = refill_batch(heap, class);
	if (n < 2) {
		hak_count(&bin->counts.direct_malloc, hak_setting(tiny_front_direct));
		return refill_carve_one(bin, &zero);
	}
	n = refill_carve(heap, class, n);
	heap->caches[class].top = bin->array + n - 1;
	return bin->array[n];
}

HAK_FN void hak_refill_flush(struct hak_heap *heap, unsigned class, void *p)
{
	struct hak_cache *cache = &heap->caches[class];
	struct hak_bin *bin = &heap->bins[class];

	refill_tick_inside(heap);
	refill_adapt(heap, class, true);
	if (bin->capacity == 0) {
		hak_count(&bin->counts.direct_free, 1);
		hak_count(&bin->counts.put, 1);
		refill_put(bin, p);
		return;
	}
	if (hak_cache_is_full(cache)) {
		hak_count(&bin->counts.flushes, 1);
		refill_give_oldest(heap, class, (bin->capacity + 1u) / 2);
	}
	*++cache->top = p;
}

/* ---- the end ---- */

/* What waits waits no longer. */
static HAK_COLD void refill_end_delay(struct hak_heap *heap)
{
	for (unsigned i = 0; i < HAK_COUNT_OF(heap->delay->blocks); i++) {
		void *p = heap->delay->blocks[i];
		uint32_t tag = p ? hak_registry_tag(hak_registry_number(p)) : heap->tag;

		heap->delay->blocks[i] = NULL;
		if (p && (tag ^ heap->tag) < HAK_TAG_CLASSES)
			refill_put_home(&heap->bins[(tag ^ heap->tag) / HAK_CACHE_SIZE], p);
		else if (p)
			hak_refill_send(heap, p, tag);
	}
}

HAK_FN void hak_refill_settle(struct hak_heap *heap)
{
	if (hak_unlikely(heap->delay != NULL))
		refill_end_delay(heap);
	hak_refill_drain(heap);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++) {
		struct hak_bin *bin = &heap->bins[c];

		refill_give_oldest(heap, c, hak_heap_cached(heap, c));
		refill_give_empty(bin);
	}
}

HAK_FN void hak_refill_leave(struct hak_heap *heap)
{
	if (hak_unlikely(heap->delay != NULL))
		refill_end_delay(heap);
	refill_push_all(heap);
	hak_refill_settle(heap);
	hak_heap_release(heap);
	refill_visit_idle(heap); /* what came meanwhile: H4 */
}
