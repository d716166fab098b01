/* registry: from any address to its owner.  Floor 4.
 *
 * The window is cut in slots of 2 MiB (a SuperSlab, or a part of a large block).  Each slot has an entry, each of its
 * 32 slabs a tag.  Both tables lie back to back in one mapping that grows at both ends into address space that
 * nobody else uses, so that they cost what is used: entries downward, tags upward.
 *
 *     entry n .. entry 1 entry 0 | tag 0 tag 1 .. tag m | (free) | window base: slot 0, slot 1 ..
 *
 * Where the kernel refuses the address asked for (emulators, 32 bit), the window is laid around what it gives.
 *
 * R1  A slot is claimed (FREE -> CLAIMED) by one compare-and-swap; only the claimer changes it until it is FREE again.
 * R2  A tag is written by the owner of its slab only, while no block of the slab is in a user's hands.
 * R3  hak_registry.slabs only grows, and what it covers is mapped.
 * Concurrency: claim/unclaim any threads; lookups any threads, lock-free; growth of the tables under a lock. */
#ifndef HAK_REGISTRY_H
#define HAK_REGISTRY_H

#include "atomic.h"
#include "bits.h"
#include "geometry.h"

struct hak_slab;

enum hak_slot_state {
	HAK_SLOT_FREE,
	HAK_SLOT_CLAIMED,     /* somebody is mapping or unmapping it */
	HAK_SLOT_TAKEN,       /* another mapping of the process lies there */
	HAK_SLOT_SLABS,       /* a SuperSlab */
	HAK_SLOT_LARGE,       /* a large block begins here */
	HAK_SLOT_LARGE_INNER, /* a large block goes on */
	HAK_SLOT_GUARD,       /* guarded blocks */
};

/* One slot.  `word` is the pool's: free slabs in the low half, dirty ones among them in the high half. */
struct hak_slot {
	_Atomic uint64_t word;
	_Atomic uint32_t *marks;          /* with HAKMEM_SECURE: which blocks the program does not hold */
	_Atomic(struct hak_slab *) slabs; /* 32 heads; their place is kept when the SuperSlab is unmapped */
	_Atomic size_t bytes;             /* from the slot's start: mapped of a SuperSlab, usable of a large block */
	_Atomic size_t mapped;            /* of a large block; the usable ones are the first of them */
	_Atomic uint32_t state;
	_Atomic uint32_t stamp;           /* hak_os_now() of the last slab given back */
	_Atomic uint32_t purged;          /* slabs purged and not taken since */
	_Atomic uint32_t purge_stamp;     /* hak_os_now() of the last purge */
	_Atomic uint32_t huge;            /* a SuperSlab for which huge pages were asked: pages */
	_Atomic uint32_t node;            /* whose memory it has: numa.h */
} HAK_ALIGNED(HAK_LINE);

struct hak_registry {
	uintptr_t base;         /* of the window */
	_Atomic size_t shown;   /* a copy of `slabs` for hits, or 0: starve.h */
	_Atomic size_t slabs;   /* covered by the tags: R3 */
	_Atomic uint32_t *tags;
	struct hak_slot *slots; /* entry i is slots[-1 - i] */
	size_t page;            /* bytes of a page */
	size_t max_slots;
	bool follow;            /* the kernel chooses the addresses */
	_Atomic size_t hint;    /* no free slot lies below, as far as known */
	_Atomic size_t high;    /* slots ever claimed lie below */
};

_Static_assert(sizeof(struct hak_slot) == HAK_LINE, "one cache line each");

HAK_VAR struct hak_registry hak_registry;

#define HAK_NO_SLOT SIZE_MAX

HAK_FN bool hak_registry_start(void); /* once, before any other thread calls */
/* Claims a run of n free slots and maps `bytes` from its start; HAK_NO_SLOT if the kernel refuses. */
HAK_FN size_t hak_registry_map(size_t n, size_t bytes);
/* The same for a block of `have` bytes that is to be moved there.  Where there is no room for both at once, nothing is mapped,
 * but mremap may do: nothing of anybody else's lies there, unless the limit of mappings is reached, where it refuses as well. */
HAK_FN size_t hak_registry_map_to_move(size_t n, size_t bytes, size_t have, bool *is_mapped);
HAK_FN bool hak_registry_claim_at(size_t slot, size_t n); /* just these, for growth in place */
HAK_FN void hak_registry_unclaim(size_t slot, size_t n);  /* their memory is unmapped already */

HAK_FN void hak_registry_lock(void); /* around fork */
HAK_FN void hak_registry_unlock(void);

/* Memory on its way back: a thread has taken it out of sight to purge or unmap it.  Who finds none looks here before he gives
 * up. */
HAK_FN void hak_registry_return_begin(void);
HAK_FN void hak_registry_return_end(void);
HAK_FN uint32_t hak_registry_returned(void);           /* how often that ended */
HAK_FN bool hak_registry_is_settled(uint32_t returned); /* nobody is at it, nor was since `returned` */
HAK_FN void hak_registry_give_up(void); /* as many as are at it now are taken for gone, until one of them ends after all */
HAK_FN void hak_registry_after_fork(void);

HAK_HOT size_t hak_registry_shown(void) { return hak_peek(size_t, &hak_registry.shown); }
HAK_HOT size_t hak_registry_slabs(void) { return hak_peek(size_t, &hak_registry.slabs); }
HAK_HOT bool hak_registry_is_near(const struct hak_slot *slot, uint32_t node)
{
	return node == HAK_NODE_ANY || hak_load(&slot->node, relaxed) == node;
}
/* The number of the slab that holds p; at least hak_registry_slabs() if p lies outside. */
HAK_HOT size_t hak_registry_number(const void *p) { return ((uintptr_t)p - hak_registry.base) >> HAK_SLAB_SHIFT; }
HAK_HOT uint32_t hak_registry_tag(size_t number) { return hak_load(&hak_registry.tags[number], relaxed); }
HAK_HOT struct hak_slot *hak_registry_slot(size_t slot) { return hak_registry.slots - 1 - slot; }
HAK_HOT char *hak_registry_address(size_t number) /* of slab `number` */
{
	return (char *)(hak_registry.base + (number << HAK_SLAB_SHIFT));
}

HAK_HOT void hak_registry_set_tags(size_t number, size_t n, uint32_t tag)
{
	for (size_t i = 0; i < n; i++)
		hak_store(&hak_registry.tags[number + i], tag, relaxed);
}

#endif
