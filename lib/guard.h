/* guard: guarded sampling: now and then a block gets a page of its own.  Floor 11.
 *
 * The pool is a row of pages, every second of which holds at most one block.  Whatever lies beside a block, and the page of a
 * block that was freed, is closed: a touch is a fault there and then (segv.h).  A freed page waits until all others that are
 * free were used again.  After GWP-ASan (Google, in LLVM, Chromium and Android).
 * G1  A page's state is one word, FREE -> BUSY -> USED -> BUSY -> FREE, each step by one compare-and-swap or by who made it
 *     busy.  A thread that vanishes in a fork leaves at most one page busy for ever; nobody waits for it.
 * G2  A page is open exactly while it is USED and its block has bytes.
 * G3  What is known of a block is written while its page is BUSY, and stays until the page is taken again.
 * Any threads, no lock, no heap.  Which allocation is guarded: hak_guard_sample. */
#ifndef HAK_GUARD_H
#define HAK_GUARD_H

#include "heap.h"
#include "backtrace.h"

enum hak_guard_state { HAK_GUARD_FREE, HAK_GUARD_USED, HAK_GUARD_BUSY };
#define HAK_GUARD_STATE 3u /* the bits of a word that tell it, in its low half */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define HAK_GUARD_LOW 4u
#else
#define HAK_GUARD_LOW 0u
#endif

struct hak_guard_block {
	char *start;     /* NULL: the page was never used */
	size_t size;     /* that was asked for */
	uint32_t taker, freer; /* threads, 0: not known */
	struct hak_backtrace taken, freed;
};

/* For those who look from outside, too. */
struct hak_guard {
	char *base;           /* page 0, which is closed; NULL: there is no guarding */
	size_t bytes;         /* of all pages, whole SuperSlabs */
	size_t page;
	uint32_t count;       /* of blocks; block i lies in page 2 i + 1 */
	_Atomic uint64_t *words; /* enum hak_guard_state, above that when the page was freed: G1 */
	struct hak_guard_block *blocks;
};

HAK_VAR struct hak_guard hak_guard;

HAK_FN bool hak_guard_start(void); /* once, by the constructor; false: no memory, or not asked for */

/* Every allocation counts once, here or in the batch that it is part of, and one in N is guarded.  On a cold path, the heap not
 * entered: a guarded block if it is its turn, else NULL. */
HAK_FN void *hak_guard_sample(size_t size, unsigned class, size_t align);
/* How many blocks, beside the one that it returns, a refill may give to the out-cache: not beyond the allocation before the one
 * that is due.  Then how many were passed, that one included. */
HAK_FN unsigned hak_guard_batch(struct hak_heap *heap, unsigned class);
HAK_FN void hak_guard_passed(const struct hak_heap *heap, unsigned blocks);

HAK_FN void *hak_guard_alloc(size_t size, size_t align); /* NULL: too large, or all pages are in use */
HAK_FN void hak_guard_free(const char *entry, void *p);  /* dies if the program holds no such block */
HAK_FN size_t hak_guard_size(const char *entry, const void *p); /* that was asked for; dies likewise */
HAK_FN HAK_COLD HAK_NORETURN void hak_guard_die(enum hak_fatal what, const char *entry, const void *p, size_t number);

/* Which block an address of the pool belongs to: the nearest that is or was there; NULL: none.  count > 0. */
HAK_FN const struct hak_guard_block *hak_guard_find(const void *p, enum hak_guard_state *state);
HAK_HOT bool hak_guard_is_inside(const void *p)
{
	return (uintptr_t)p - (uintptr_t)hak_guard.base < hak_guard.bytes;
}
HAK_FN size_t hak_guard_blocks(size_t *bytes); /* that the program holds, and their sizes */
HAK_FN void hak_guard_say_traces(const struct hak_guard_block *block); /* who took it, and who freed it */

#endif
