/* starve: every call a cold one, from one moment of a running process to another.  Floor 5.
 *
 * Who must see every call (a sampling profile, a recording) starves the caches: a hit costs nothing for it,
 * there just is none.  From the inside it is hak_starve_on and hak_starve_off; from the outside (tools/hakmem/starve.c) a
 * byte of hak_starve.on and then the word hak_registry.shown are written, which no code of the process takes part in.
 *
 * How threads come to know, without an instruction in a hit:
 *   - Hits of free compare with hak_registry.shown, a copy of hak_registry.slabs.  While it is 0 each free of each thread
 *     is a cold one.  Cold paths use the true number.
 *   - A cold call that finds the flag shows its thread the empty heap (hak_heap_shown), so that mallocs are cold too.  A thread
 *     that only allocates comes by at its next refill; before that it takes at most what lies in its caches.
 *   - Blocks stay in the caches, and the cold path takes them from there and puts them there as a hit would (alloc_starved):
 *     starving moves no block, and what adapts itself sees the same program.
 *   - When the flag is gone the first free of anybody copies the number again (hak_starve_follow), and each thread's next
 *     call, which is cold, shows it its own heap.
 *
 * Why nothing breaks:
 * X1  hak_registry.shown is 0 or a value that hak_registry.slabs had.  That number only grows and what it covers stays
 *     mapped (R3), so a hit that has loaded an older or a newer copy looks at tags that are there.  A copy that is too small
 *     only makes calls cold, and the next cold free mends it: growth need not think of it, and takes no part in any race.
 * X2  Whether a hit is allowed is decided by its thread alone: hak_thread.heap is written by its own thread, between two of
 *     its calls.  A signal handler may change it too, in the midst of a hit: that hit goes on with the heap it has loaded,
 *     which is the thread's own, as it would without us.  While the thread is in the cold half of its heap (inside),
 *     a handler leaves it alone.
 * X3  While the flag is set, shown becomes 0 and stays 0.  Who copies the number swaps it against what he saw before he
 *     looked at the flag, and looks at the flag again after it; who sets the flag stores 0 after it (all sequentially
 *     consistent).  Either he sees the flag and takes his number back, or the 0 comes last: tests/t-model-starve.c.
 *     HAKMEM_SECURE begins before there are other threads, and from then on nobody copies.
 * X4  No step is one that a certain thread has to end: whoever comes by mends what he finds.
 *
 * One byte for each reason, so that who writes from outside need not read the others. */
#ifndef HAK_STARVE_H
#define HAK_STARVE_H

#include "registry.h"
#include "tunables.h"

/* The bytes of hak_starve.on, in the order of addresses. */
enum hak_starve_reason { HAK_STARVE_PROFILE, HAK_STARVE_RECORD, HAK_STARVE_TEST };

struct hak_starve {
	_Atomic uint32_t on;
};

HAK_VAR struct hak_starve hak_starve;

/* Is every call a cold one?  Hits that are on their way, and what threads that only allocate have cached, excepted. */
HAK_HOT bool hak_starve_is_on(void) { return hak_load(&hak_starve.on, relaxed) != 0; }
/* The same, or HAKMEM_SECURE has to see each call. */
HAK_HOT bool hak_starve_is_needed(void) { return hak_starve_is_on() || hak_setting(secure); }
HAK_FN bool hak_starve_is_for(enum hak_starve_reason reason);

HAK_FN void hak_starve_on(enum hak_starve_reason reason);
HAK_FN void hak_starve_off(enum hak_starve_reason reason);

/* A cold free looks: does the copy differ?  Then it follows. */
HAK_HOT bool hak_starve_is_news(void)
{
	return hak_load(&hak_registry.shown, relaxed) != hak_load(&hak_registry.slabs, relaxed);
}
HAK_FN bool hak_starve_follow(void); /* true: hits are back, by this call */

/* In a forked child: who asked from outside asked the parent. */
HAK_FN void hak_starve_after_fork(void);

#endif
