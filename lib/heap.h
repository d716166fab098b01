/* heap: what one thread owns: birth, death, adoption.  Floor 10.
 *
 * H1  A heap has at most one owner: the thread whose hak_thread.own it is, or who took it off the idle list.
 * H2  Only the owner touches anything but `inbox`, `state` and `use`, and what H5 says.
 * H3  Heaps are never freed; an id names the same heap for ever.
 * H5  The cold half of a heap (bins, slabs, received) is touched only by who has entered it: mostly its owner, whose
 *     caches are his alone; sometimes a visitor, who empties a full inbox while the owner sleeps.  Nobody waits: an owner
 *     who finds a visitor inside borrows another heap for that call, and at his end leaves the heap to the visitor.  Not
 *     before: a signal handler may have interrupted a hit, which goes on in the caches.
 * H6  The idle heaps are found through stacks, one for each node.  A heap that is taken by a visitor stays in its stack, so that
 *     being idle and being listed are two things: who takes a heap off the stack owns it only if its state changes from IDLE to
 *     LIVE by him, and who makes one idle pushes it only if it is not listed.  No step is one that another thread has to end.
 * H7  What interrupts a hit and allocates (a handler, against the rules) makes its one store count from another place: `top`
 *     is then off by one for each, at most HAK_CACHE_SPARE in either direction, where an array has places that are NULL.  The
 *     next cold call of the class puts it right (hak_heap_mend).
 * H4  An idle heap's inbox is empty as soon as all senders and visitors have gone on: who pushes looks at the state
 *     after the push, who makes a heap idle looks at the inbox after that (both sequentially consistent).
 * H8  The first blocks of neighbouring sizes come from one class, so that they share pages: a small process would have a page,
 *     and a slab's head, for each size that it ever asked for.  Of two doublings when 8 KiB of it are in use or cached each has
 *     one of its own; of one, when 16 KiB are, they part for good.
 * H9  What stands above `top` was popped since those places were last cleared, and no put has happened since then if the bin
 *     still counts as many as then: such a block is not free in its slab (refill_check_popped).
 * H10 Young: the first blocks of a class that come back go home to their slabs, each by itself, and no cache takes them; the
 *     first of others' that a heap frees leave at once, each in a parcel of its own.  So who frees them again is found.  A block
 *     that left is under way as long as its heap has received no parcel since.
 *
 * use:   NONE -> OWNER (enter) -> NONE (exit);  NONE -> VISITOR -> NONE;  VISITOR -> LEFT (owner's end) -> the visitor's.
 * state: LIVE -> IDLE (owner, thread exit) -> LIVE (adopter or visitor);  LIVE -> IDLE or LOST (fork's child);
 *        LIVE -> LOST (the owner was cancelled inside). */
#ifndef HAK_HEAP_H
#define HAK_HEAP_H

#include "parcel.h"
#include "slab.h"
#include "starve.h"
#include "stats.h"
#include "tunables.h"

struct hak_cache {
	void **top; /* the newest free block; *top is NULL if there is none */
	uint32_t end; /* low half of the last place's address: no array lies across a multiple of 4 GiB */
	uint32_t shape; /* of the class: hak_class_is_start */
} HAK_ALIGNED(HAK_CACHE_SIZE);

/* The cold part of a class. */
struct hak_bin {
	struct hak_slab *first, *last; /* slabs with free blocks: the warm pool */
	void **array;                  /* the cache's places; array[0] is NULL */
	void **seen;                   /* top of the cache when it was last looked at */
	uint16_t capacity;             /* places behind that; 0 while starved or never used */
	uint16_t empty;                /* slabs in the list that are wholly free */
	uint16_t prefill;              /* slabs to take at once next time; 0: one */
	bool flushing;                 /* the last cold call was a flush */
	uint8_t freed;                 /* steps to HAK_YOUNG: H10 */
	size_t put_then;               /* counts.put when the places above top were last cleared: H9 */
	struct hak_bin_counts counts;
};

#define HAK_YOUNG HAK_HARD_OR(32u, 4u) /* H10 */

#define HAK_OUT_SHIFT 6 /* places of an out-cache */

/* HAKMEM_GUARD_SAMPLE: malloc takes tiny blocks from these, while free puts them into the heap's caches.  So each is emptied by
 * just as many calls as there were blocks in it, and a refill knows how many go by: guard. */
struct hak_outs {
	struct hak_cache cache[HAK_TINY_CLASSES];
	void **array[HAK_TINY_CLASSES]; /* NULL: never filled */
	uint32_t seed;
};

#define HAK_DELAY_SMALL 255u /* blocks to 4 KiB */
#define HAK_DELAY_LARGE 15u  /* to 64 KiB */

/* HAKMEM_SECURE=2: freed blocks of any heap, in two rings. */
struct hak_delay {
	unsigned small, large; /* the oldest, from the start of its ring */
	void *blocks[HAK_DELAY_SMALL + HAK_DELAY_LARGE];
};

/* A block that went home by itself, and how many parcels its heap had received before that. */
struct hak_sent {
	const void *p;
	uint32_t owner;
	size_t received;
};

enum hak_heap_use { HAK_USE_NONE, HAK_USE_OWNER, HAK_USE_VISITOR, HAK_USE_LEFT };
enum hak_heap_state { HAK_HEAP_LIVE, HAK_HEAP_IDLE, HAK_HEAP_LOST };

struct hak_heap {
	struct hak_cache caches[HAK_CLASS_COUNT]; /* at offset 0: a tag's low bits lead here */
	uint32_t tag;
	struct hak_cache *direct[HAK_DIRECT_MAX / HAK_ALIGN + 1]; /* (size + 15) / 16 -> its cache */
	struct hak_parcel *outgoing[HAK_OUTGOING];
	struct hak_parcel *spare;    /* one empty parcel */
	struct hak_sent sent[2];     /* by themselves, the last ones: H10 */
	struct hak_parcel *received; /* taken from the inbox, not yet unpacked */
	uint32_t id;
	_Atomic uint32_t use;     /* enum hak_heap_use */
	_Atomic uint32_t wanted;  /* the owner waits for a visitor to go: no other comes */
	uint32_t ticks;           /* cold calls */
	uint32_t sent_ticks;      /* ticks when outgoing parcels were last sent */
	uint32_t node;            /* of memory: of its newest slabs */
	uint32_t idle_ticks;      /* ticks when caches were last searched for those that nobody uses */
	size_t cache_bytes;       /* what the caches may hold, by capacity */
	uint32_t inside_stamp;    /* hak_os_now() of the last purge inside slabs in use */
	uint32_t inside_pause;    /* milliseconds until the next may be */
	size_t inside_purged;     /* bytes free inside the heap's slabs then */
	size_t inside_used;       /* and those in use */
	size_t fresh;             /* bytes taken that had no memory, since pages inside slabs went back for their sake */
	size_t fresh_seen;        /* the same at the last look, .. */
	size_t used_seen;         /* .. and bytes in use */
	_Atomic size_t visit_received; /* parcels received when the last visitor left */
	bool borrowed;            /* for one call, by a thread that it is not: nothing is cached for the next */
	struct hak_delay *delay;  /* HAKMEM_SECURE=2: freed blocks that wait */
	_Atomic size_t sample_left, sample_distance; /* bytes to the next sample, and how many there are on average: sample.h */
	struct hak_outs *outs;    /* HAKMEM_GUARD_SAMPLE, else NULL */
	void **arrays[13];        /* unused cache arrays by size, linked through their first place */
	uint32_t room;            /* bytes behind the bins that are not yet part of an array */
	struct hak_heap_counts counts;

	hak_inbox inbox HAK_ALIGNED(HAK_LINE); /* written by everybody */
	_Atomic uint32_t state;
	_Atomic uint32_t listed;    /* in the stack of idle heaps, or about to be: H6 */
	_Atomic uint32_t next_idle; /* id of the next one in it, 0 = none */

	struct hak_bin bins[] HAK_ALIGNED(HAK_LINE); /* of each class; the empty heap has none */
};

#define HAK_HEAP_SIZE (sizeof(struct hak_heap) + HAK_CLASS_COUNT * sizeof(struct hak_bin))
#define HAK_HEAP_ROOM 2560u /* behind it, for its first cache arrays: a small process touches no other page for them */

_Static_assert(sizeof(struct hak_cache) == HAK_CACHE_SIZE, "a class's offset leads to its cache");

struct hak_thread {
	struct hak_heap *heap;   /* what a hit uses: its own, or the empty one */
	struct hak_heap *own;    /* the empty one if it has none */
	struct hak_heap *inside; /* its heap, while the thread is in the cold half of it or of its parcels */
	bool gone;               /* its end has been announced: it keeps no heap any more */
	bool resizing;           /* HAKMEM_TRACE: it is in realloc */
	uint32_t limiting;       /* it is giving memory back for HAKMEM_LIMIT's sake: hak_frame() of who does; 0: it is not */
	uint32_t until_guarded;  /* allocations, the one that will be guarded included; 0: not drawn yet */
};

HAK_VAR HAK_TLS struct hak_thread hak_thread;
HAK_VAR struct hak_heap hak_empty_heap; /* of threads without one: every cache is empty and full at once */
HAK_VAR void *hak_null_places[2];
#define hak_null_place (hak_null_places + 1) /* the top of an empty cache without an array; never written, nor what is below */

/* All heaps, by id, in parts that are made as they are needed: each has as many places as all before it. */
#define HAK_HEAP_PART_SHIFT 4 /* places of the first: few programs have more threads */
#define HAK_HEAP_PARTS 19u
typedef _Atomic(struct hak_heap *) hak_heap_entry;
HAK_VAR _Atomic(hak_heap_entry *) hak_heap_directory[HAK_HEAP_PARTS];
HAK_VAR _Atomic uint32_t hak_heap_made;
HAK_VAR _Atomic uint32_t hak_heap_forks; /* that led to this process: who was taking a heap looks whether it is still his */

#define HAK_CACHE_SPARE (HAK_ALIGN / sizeof(void *)) /* places before and behind those of a cache: H7 */

HAK_HOT struct hak_cache *hak_heap_cache(struct hak_heap *heap, uintptr_t offset)
{
	return (struct hak_cache *)(void *)((char *)heap + offset);
}

/* Of a pointer that the tags cover: where in the heap the cache of its class is; at least HAK_TAG_CLASSES if it is not the heap's. */
HAK_HOT uint32_t hak_heap_offset(const struct hak_heap *heap, const void *p)
{
	return hak_registry_tag(hak_registry_number(p)) ^ heap->tag;
}

HAK_HOT uint32_t hak_cache_place(void *const *place) { return (uint32_t)(uintptr_t)place; }
HAK_HOT bool hak_cache_is_full(const struct hak_cache *cache) { return hak_cache_place(cache->top) >= cache->end; }

/* Is p the newest block of a cache, or the one before? */
HAK_HOT bool hak_cache_is_newest(void *const *top, const void *p) { return top[0] == p || top[-1] == p; }

/* Into a cache that has room.  In this order, so that a child that another thread forks meanwhile finds no old address there. */
HAK_HOT void hak_cache_push(struct hak_cache *cache, void *p)
{
	cache->top[1] = p;
	hak_signal_fence();
	cache->top++;
}

/* Blocks that are in use, or wait in caches and parcels. */
HAK_HOT size_t hak_bin_used(const struct hak_bin *bin)
{
	return hak_load(&bin->counts.carved, relaxed) - hak_load(&bin->counts.put, relaxed);
}

/* H10: is each of its blocks that comes back looked at still? */
HAK_HOT bool hak_bin_is_young(const struct hak_bin *bin) { return bin->freed < HAK_YOUNG; }

/* Behind which place the cache of a bin is full. */
HAK_HOT uint32_t hak_bin_cache_end(const struct hak_bin *bin)
{
	return hak_cache_place(bin->array + (hak_bin_is_young(bin) ? 0 : bin->capacity));
}

HAK_HOT uint32_t hak_heap_cached(const struct hak_heap *heap, unsigned class) /* blocks */
{
	const struct hak_bin *bin = &heap->bins[class];

	return bin->capacity && heap->caches[class].top > bin->array ? (uint32_t)(heap->caches[class].top - bin->array) : 0;
}

/* The class whose blocks a request for this one gets: itself, or in a young heap one that it shares (H8). */
HAK_HOT unsigned hak_heap_serving(const struct hak_heap *heap, unsigned class)
{
	if (class >= HAK_CLASSES_JOINT || heap->outs)
		return class;
	return (unsigned)(heap->direct[hak_classes[class].size / HAK_ALIGN] - heap->caches);
}

/* Does it serve others too? */
HAK_HOT bool hak_heap_is_joint(const struct hak_heap *heap, unsigned class)
{
	return class > 0 && hak_heap_serving(heap, class - 1) == class;
}

/* Those of the doubling below too? */
HAK_HOT bool hak_heap_is_wide(const struct hak_heap *heap, unsigned class)
{
	return class >= 4 && hak_heap_serving(heap, class - 4) == class;
}

/* With HAKMEM_SECURE, and while the caches are starved, hits find the empty heap: every call is a cold one. */
HAK_HOT struct hak_heap *hak_heap_shown(struct hak_heap *own)
{
	return hak_unlikely(hak_starve_is_on() || hak_setting(secure)) ? &hak_empty_heap : own;
}

/* From here to the end a signal handler finds that the thread has no heap: it would meet caches that are half-written.  What
 * it allocates and frees borrows another. */
HAK_HOT void hak_heap_hide(struct hak_heap *heap)
{
	hak_thread.inside = heap;
	hak_signal_fence();
	hak_thread.heap = &hak_empty_heap;
	hak_signal_fence();
}

HAK_HOT void hak_heap_show(void)
{
	hak_signal_fence();
	hak_thread.heap = hak_heap_shown(hak_thread.inside);
	hak_signal_fence();
	hak_thread.inside = NULL;
	hak_signal_fence();
}

/* The same for what a hit does not touch: outgoing parcels. */
HAK_HOT void hak_heap_hide_parcels(struct hak_heap *heap)
{
	hak_thread.inside = heap;
	hak_signal_fence();
}

HAK_HOT void hak_heap_show_parcels(void)
{
	hak_signal_fence();
	hak_thread.inside = NULL;
}

/* False: a visitor is inside, or the caller is already (a signal handler). */
HAK_FN bool hak_heap_enter(struct hak_heap *heap);
/* For the last time, before it is released.  False: a visitor is inside, and the heap is his now. */
HAK_FN bool hak_heap_enter_last(struct hak_heap *heap);
HAK_HOT void hak_heap_exit(struct hak_heap *heap)
{
	hak_store(&heap->use, HAK_USE_NONE, release); /* partner: the acquires of enter and visit */
}
HAK_FN bool hak_heap_visit(struct hak_heap *heap);       /* as a visitor, if nobody is inside */
HAK_FN bool hak_heap_visit_end(struct hak_heap *heap);   /* false: the owner has left; the heap is the caller's */

HAK_FN struct hak_heap *hak_heap_acquire(void);           /* an idle one of the thread's node or a new one; NULL: no memory */
HAK_FN void hak_heap_release(struct hak_heap *heap);      /* exits, and to the idle list */
HAK_FN bool hak_heap_try_visit(struct hak_heap *heap);    /* takes this one off the idle list, if it is there */
HAK_FN struct hak_heap *hak_heap_find(uint32_t id);       /* NULL if there is none yet */
HAK_FN uint32_t hak_heap_count(void);                     /* ids run from HAK_OWNER_FIRST to that + count - 1 */
HAK_FN void **hak_heap_array_get(struct hak_heap *heap, unsigned shift); /* 1 << shift places, the first NULL */
HAK_FN void hak_heap_array_put(struct hak_heap *heap, void **array, unsigned shift);
HAK_FN void hak_heap_mend(struct hak_heap *heap, unsigned class);        /* H7 */
HAK_FN void hak_heap_clear_above(struct hak_heap *heap, unsigned class); /* H7, H9: after top was lowered */
HAK_FN void hak_heap_part(struct hak_heap *heap, unsigned joint);        /* H8: its classes by doublings, or each for itself */
HAK_FN bool hak_heap_split(struct hak_heap *heap);        /* gives it out-caches; its caches are empty; false: no memory */
HAK_FN unsigned hak_heap_outs(const struct hak_heap *heap, unsigned class); /* blocks in its out-cache */
/* Is p among the newest `most` blocks of the cache, or in the out-cache? */
HAK_FN bool hak_heap_is_cached(const struct hak_heap *heap, unsigned class, const void *p, unsigned most);
HAK_FN void hak_heap_lose(struct hak_heap *heap);         /* its owner will never leave it */
HAK_FN void hak_heap_after_fork(const struct hak_heap *mine); /* in the child: other threads' heaps are idle, or lost */

#endif
