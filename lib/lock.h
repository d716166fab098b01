/* lock: a futex mutex with a rank, for which nobody waits for ever.  Floor 2.
 *
 * Locks are few: start, the BigCache, ELO's ratings, growth of the registry's tables.  None is taken on a refill, flush or remote free, but
 * for the last, once per doubling of the heap.  A thread takes them in rising rank only (checked with HAK_ASSERT).  Fork
 * takes all of them in its prepare handler.
 *
 * A lock cannot be had, and the caller does without what it guards,
 * - by a signal handler that interrupted its own thread inside: it would wait for itself;
 * - when its holder lets nobody in for a second: he may be a thread of the parent of a process that was made without fork's
 *   handlers (_Fork, clone).  Then nobody waits again, until he lets go after all. */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include "atomic.h"
#include "cc.h"

enum hak_lock_rank { HAK_RANK_INIT = 1, HAK_RANK_LARGE, HAK_RANK_POLICY, HAK_RANK_MAP };
enum hak_lock_word { HAK_LOCK_FREE, HAK_LOCK_TAKEN, HAK_LOCK_WAITED, HAK_LOCK_GIVEN_UP };

struct hak_lock {
	_Atomic uint32_t word; /* enum hak_lock_word; WAITED: perhaps */
	uint32_t rank;
};

#define HAK_LOCK_INIT(r) { 0, (r) }

#define HAK_LOCK_BIT(rank) (UINT32_C(1) << (rank))

HAK_VAR HAK_TLS uint32_t hak_lock_held; /* HAK_LOCK_BITs: this thread is inside, or about to be */

/* Those of them that fork's prepare handler took: what they guard is whole, and other libraries' handlers may allocate
 * until the handler after. */
HAK_VAR HAK_TLS uint32_t hak_lock_forking;

HAK_FN bool hak_lock_take(struct hak_lock *lock); /* false: not to be had */
HAK_FN void hak_lock_release(struct hak_lock *lock);

#endif
