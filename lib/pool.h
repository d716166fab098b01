/* pool: the free slabs of the process, lock-free.  Floor 6.
 *
 * A SuperSlab's free slabs are the low half of its slot's word, the high half says which of them are dirty (their
 * memory was used and not purged).  Taking a slab, a run, or a batch is one compare-and-swap.  A bitmap with one bit
 * per slot leads to the lowest SuperSlab with free slabs.
 *
 * L1  The high half is a subset of the low half.
 * L2  Who takes a slab owns it; tags and heads of free slabs belong to nobody and their tags are 0.
 * L3  After any set of operations has ended: a slot's bit is set if its word is not 0.  (It may be set for a word that
 *     is 0; a finder clears it.)
 *
 *            | take | give | purge-take | find
 *     take   | any  | any  | any        | any      any: no exclusion needed.
 *     give   | any  | any  | any        | any      Giving a slab that is free already is the caller's bug. */
#ifndef HAK_POOL_H
#define HAK_POOL_H

#include "registry.h"

struct hak_run {
	size_t number;  /* of the first slab */
	unsigned slabs;
	bool dirty;     /* any of them */
};

struct hak_pool_counts {
	uint32_t used;  /* slabs in somebody's hands */
	uint32_t dirty; /* free slabs with memory */
};

/* The lowest run of k slabs of the node, or HAK_NODE_ANY, whose number is a multiple of align (a power of two <= 32); of more
 * than one slab the lowest that is wholly dirty, if there is one. */
HAK_FN bool hak_pool_take(uint32_t node, unsigned k, unsigned align, struct hak_run *run);
/* Up to n single slabs of one SuperSlab: a mask of them, 0 if there is none. */
HAK_FN uint32_t hak_pool_take_many(uint32_t node, unsigned n, size_t *slot, uint32_t *dirty);
/* The k slabs from this one on, if they are free: growth in place. */
HAK_FN bool hak_pool_take_at(size_t number, unsigned k, bool *dirty);
/* All free dirty slabs of a slot, or all free ones, to be purged: they count as used meanwhile. */
HAK_FN uint32_t hak_pool_take_free(size_t slot, bool clean_too);
/* All 32, if all are free. */
HAK_FN bool hak_pool_take_whole(size_t slot, uint32_t *dirty);
/* Gives slabs back; returns true if the whole SuperSlab is free now. */
HAK_FN bool hak_pool_give(size_t slot, uint32_t mask, bool dirty);
HAK_FN void hak_pool_add(size_t slot, uint32_t mask); /* slabs that were nobody's: freshly mapped */
HAK_FN void hak_pool_remove(size_t slot);             /* after take_whole: they are nobody's again */

HAK_VAR _Atomic uint64_t hak_pool_counters; /* dirty << 32 | used */
HAK_FN struct hak_pool_counts hak_pool_counts(void);
HAK_FN void hak_pool_after_fork(void); /* in the child: restores L3 for what other threads had begun */

#endif
