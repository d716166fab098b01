#include "remote.h"

#include "batch.h"
#include "bin.h"
#include "large.h"
#include "misuse.h"
#include "say.h"

#define REMOTE_SEND_TICKS HAK_HARD_OR(64u, 2u)  /* cold calls until parcels that are not full are sent too */
#define REMOTE_TICKS HAK_HARD_OR(256u, 2u)      /* cold calls between looks at what is old */
#define REMOTE_INBOX_MOST HAK_HARD_OR(128u, 1u) /* parcels in an inbox from which its heap is visited .. */
#define REMOTE_QUIET_MOST HAK_HARD_OR(8u, 1u)   /* .. and if only visitors emptied it lately */

static struct hak_parcel *remote_get_parcel(struct hak_heap *heap, uint32_t owner)
{
	struct hak_parcel *parcel = heap->spare;

	if (!parcel)
		return hak_parcel_get(owner);
	heap->spare = NULL;
	hak_parcel_open(parcel, owner);
	return parcel;
}

static void remote_put_parcel(struct hak_heap *heap, struct hak_parcel *parcel)
{
	if (heap->spare)
		hak_parcel_put(parcel);
	else
		heap->spare = parcel;
}

/* The class of a block that another thread freed. */
static inline unsigned remote_home_class(struct hak_heap *heap, const void *p)
{
	uint32_t x = hak_heap_offset(heap, p);

	if (hak_unlikely(x >= HAK_TAG_CLASSES)) /* its slab went back to the pool: it was free already */
		hak_say_fatal(HAK_FATAL_NO_BLOCK, "free", p, 0);
	hak_count(&heap->bins[x / HAK_CACHE_SIZE].counts.received, 1);
	return x / HAK_CACHE_SIZE;
}

/* The blocks of a parcel come home: into their caches while there is room, else into their slabs. */
static void remote_unpack(struct hak_heap *heap, struct hak_parcel *parcel)
{
	for (unsigned i = 0; i < parcel->count; i++) {
		void *p = parcel->blocks[i];
		unsigned class = remote_home_class(heap, p);
		struct hak_cache *cache = &heap->caches[class];

		if (parcel->count == 1) /* H10: perhaps it is home already, and the class is not young any more */
			hak_misuse_check_slab("free", p);
		if (hak_unlikely(hak_cache_is_newest(cache->top, p)))
			hak_say_fatal(HAK_FATAL_DOUBLE_FREE, "free", p, hak_classes[class].size);
		if (!hak_cache_is_full(cache))
			hak_cache_push(cache, p);
		else
			hak_bin_take_home(heap, class, p);
	}
}

/* A parcel for this heap, or NULL. */
static struct hak_parcel *remote_next_received(struct hak_heap *heap)
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

HAK_FN bool hak_remote_receive(struct hak_heap *heap)
{
	struct hak_parcel *parcel = remote_next_received(heap);

	if (!parcel)
		return false;
	remote_unpack(heap, parcel);
	remote_put_parcel(heap, parcel);
	return true;
}

HAK_FN void hak_remote_drain(struct hak_heap *heap)
{
	while (hak_remote_receive(heap))
		;
}

static void remote_tend(struct hak_heap *heap)
{
	if (hak_bin_tend(heap) != HAK_TEND_NOTHING)
		hak_bin_purge(heap);
}

/* Blocks for a heap that nobody owns: its inbox is emptied by who filled it. */
static HAK_COLD void remote_visit_idle(struct hak_heap *idle)
{
	while (hak_load(&idle->inbox, seq_cst) && hak_heap_try_visit(idle)) { /* H4; partner: hak_parcel_push */
		if (!hak_heap_enter_last(idle))
			return; /* another visitor is inside, and makes it idle again when he leaves */
		hak_count(&idle->counts.visited, 1);
		hak_remote_settle(idle);
		if (hak_load(&idle->counts.visited, relaxed) % REMOTE_QUIET_MOST == 0)
			remote_tend(idle);
		hak_heap_release(idle); /* then look again: H4 */
	}
}

/* What came home goes to its slabs, past the caches: they are the owner's alone. */
static void remote_unpack_to_slabs(struct hak_heap *heap, struct hak_parcel *parcel)
{
	for (unsigned i = 0; i < parcel->count; i++)
		hak_bin_put(&heap->bins[remote_home_class(heap, parcel->blocks[i])], parcel->blocks[i]);
	hak_parcel_put(parcel);
}

/* The owner sleeps, or does not allocate: the inbox is emptied for him. */
static HAK_COLD void remote_visit_live(struct hak_heap *heap)
{
	struct hak_parcel *parcel;

	if (!hak_heap_visit(heap))
		return;
	hak_count(&heap->counts.visited, 1);
	while ((parcel = remote_next_received(heap)) != NULL)
		remote_unpack_to_slabs(heap, parcel);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		hak_bin_give_empty(&heap->bins[c]);
	remote_tend(heap);
	hak_store(&heap->visit_received, hak_load(&heap->counts.parcels_received, relaxed), relaxed);
	if (!hak_heap_visit_end(heap))
		hak_remote_leave(heap);
}

/* An owner that sleeps, or does not allocate, leaves parcels to visitors; each block in them keeps its slab. */
static bool remote_is_quiet(const struct hak_heap *heap)
{
	return hak_load(&heap->visit_received, relaxed) == hak_load(&heap->counts.parcels_received, relaxed);
}

HAK_FN void hak_remote_visit_all(void)
{
	for (uint32_t i = 0; i < hak_heap_count(); i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (heap && hak_load(&heap->state, relaxed) == HAK_HEAP_LIVE)
			remote_visit_live(heap);
	}
}

HAK_FN size_t hak_remote_purge_all(void)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < hak_heap_count(); i++) {
		struct hak_heap *heap = hak_heap_find(HAK_OWNER_FIRST + i);

		if (!heap || !hak_heap_visit(heap)) /* an idle heap too: who adopts it meanwhile finds a visitor */
			continue;
		bytes += hak_bin_purge(heap);
		if (!hak_heap_visit_end(heap))
			hak_remote_leave(heap);
	}
	return bytes;
}

static void remote_push(struct hak_heap *heap, unsigned place)
{
	struct hak_parcel *parcel = heap->outgoing[place];
	struct hak_heap *owner = hak_heap_find(parcel->tag >> HAK_TAG_SHIFT);
	uint32_t depth;

	heap->outgoing[place] = NULL;
	if (!owner || hak_load(&owner->state, relaxed) == HAK_HEAP_LOST) {
		hak_count(&heap->counts.parcels_dropped, 1);
		remote_put_parcel(heap, parcel);
		return;
	}
	hak_count(&heap->counts.parcels_sent, 1);
	depth = hak_parcel_push(&owner->inbox, parcel);
	if (hak_load(&owner->state, seq_cst) == HAK_HEAP_IDLE) /* H4; partner: hak_heap_release */
		remote_visit_idle(owner);
	else if (depth >= REMOTE_INBOX_MOST || (depth >= REMOTE_QUIET_MOST && remote_is_quiet(owner)))
		remote_visit_live(owner);
}

static void remote_push_all(struct hak_heap *heap)
{
	for (unsigned i = 0; i < HAK_OUTGOING; i++)
		if (heap->outgoing[i])
			remote_push(heap, i);
	heap->sent_ticks = heap->ticks;
}

HAK_FN void hak_remote_send_all(struct hak_heap *heap)
{
	remote_push_all(heap);
}

HAK_FN void hak_remote_tick(struct hak_heap *heap)
{
	heap->ticks++;
	if (heap->ticks - heap->sent_ticks >= REMOTE_SEND_TICKS)
		remote_push_all(heap);
	if (heap->ticks % REMOTE_TICKS == 0) {
		hak_batch_tick();
		hak_large_tick();
	}
}

static HAK_NOINLINE void remote_push_full(struct hak_heap *heap, unsigned place)
{
	remote_push(heap, place);
	hak_remote_tick(heap); /* a thread that only frees sends its other parcels too */
}

/* H10: a block that is free in its slab, or under way, was freed before. */
static void remote_check_first(const struct hak_heap *heap, const struct hak_sent *now, unsigned class)
{
	hak_misuse_check_slab("free", now->p);
	for (unsigned i = 0; i < HAK_COUNT_OF(heap->sent); i++) {
		const struct hak_sent *last = &heap->sent[i];

		if (hak_unlikely(last->p == now->p && last->owner == now->owner && last->received == now->received))
			hak_say_fatal(HAK_FATAL_DOUBLE_FREE, "free", now->p, hak_classes[class].size);
	}
}

/* The place is empty, or holds a parcel for another heap. */
static HAK_NOINLINE void remote_send_first(struct hak_heap *heap, void *p, uint32_t tag)
{
	struct hak_sent now = { .p = p, .owner = tag >> HAK_TAG_SHIFT };
	const struct hak_heap *owner = hak_heap_find(now.owner);
	unsigned place = now.owner % HAK_OUTGOING;
	struct hak_parcel *parcel;

	now.received = owner ? hak_load(&owner->counts.parcels_received, relaxed) : 0;
	remote_check_first(heap, &now, tag % (1u << HAK_TAG_SHIFT) / HAK_CACHE_SIZE);
	if (heap->outgoing[place])
		remote_push(heap, place);
	parcel = remote_get_parcel(heap, now.owner);
	if (!parcel)
		return; /* no memory for 512 bytes: the block is lost, the program is not */
	if (hak_load(&heap->counts.parcels_sent, relaxed) + hak_load(&heap->counts.parcels_dropped, relaxed) < HAK_YOUNG) {
		parcel->limit = 1;
		heap->sent[1] = heap->sent[0];
		heap->sent[0] = now;
	}
	heap->outgoing[place] = parcel;
	hak_remote_send(heap, p, tag);
}

HAK_FN void hak_remote_send(struct hak_heap *heap, void *p, uint32_t tag)
{
	uint32_t owner = tag >> HAK_TAG_SHIFT, class = tag % (1u << HAK_TAG_SHIFT) / HAK_CACHE_SIZE;
	struct hak_parcel *parcel = heap->outgoing[owner % HAK_OUTGOING];
	unsigned cost;

	if (hak_unlikely(!hak_class_is_start(hak_classes[class].shape, p)))
		hak_misuse_check_slab("free", p);
	if (!parcel || (parcel->tag ^ tag) >= HAK_TAG_CLASSES) {
		remote_send_first(heap, p, tag);
		return;
	}
	hak_count(&heap->bins[class].counts.sent, 1);
	if (hak_unlikely(hak_parcel_is_last(parcel, p)))
		hak_say_fatal(HAK_FATAL_DOUBLE_FREE, "free", p, hak_classes[class].size);
	hak_parcel_add(parcel, p);
	cost = hak_parcel_cost(hak_classes[class].size) - 1;
	parcel->limit = parcel->limit > cost ? (uint16_t)(parcel->limit - cost) : 0;
	if (hak_parcel_is_full(parcel))
		remote_push_full(heap, owner % HAK_OUTGOING);
}

/* What waits waits no longer. */
static HAK_COLD void remote_end_delay(struct hak_heap *heap)
{
	for (unsigned i = 0; i < HAK_COUNT_OF(heap->delay->blocks); i++) {
		void *p = heap->delay->blocks[i];
		uint32_t tag = p ? hak_registry_tag(hak_registry_number(p)) : heap->tag;

		heap->delay->blocks[i] = NULL;
		if (p && (tag ^ heap->tag) < HAK_TAG_CLASSES)
			hak_bin_put(&heap->bins[(tag ^ heap->tag) / HAK_CACHE_SIZE], p);
		else if (p)
			hak_remote_send(heap, p, tag);
	}
}

HAK_FN void hak_remote_settle(struct hak_heap *heap)
{
	if (hak_unlikely(heap->delay != NULL))
		remote_end_delay(heap);
	hak_remote_drain(heap);
	for (unsigned c = 0; c < HAK_CLASS_COUNT; c++)
		hak_bin_settle(heap, c);
}

HAK_FN void hak_remote_leave(struct hak_heap *heap)
{
	if (hak_unlikely(heap->delay != NULL))
		remote_end_delay(heap);
	remote_push_all(heap);
	hak_remote_settle(heap);
	hak_heap_release(heap);
	remote_visit_idle(heap); /* what came meanwhile: H4 */
}
