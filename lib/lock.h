/* lock: a futex mutex with a rank.  Floor 2.
 *
 * Locks are few: start, idle heaps, large blocks, ELO's ratings, growth of the registry's tables.  None is taken on a
 * refill, flush or remote free, but for the last, once per doubling of the heap, and for idle heaps, once per parcel to
 * one of them.  A thread takes them in rising rank only (checked with HAK_ASSERT).  Fork takes all of them in its prepare
 * handler. */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include "atomic.h"
#include "cc.h"

enum hak_lock_rank { HAK_RANK_INIT = 1, HAK_RANK_IDLE, HAK_RANK_LARGE, HAK_RANK_POLICY, HAK_RANK_MAP };

struct hak_lock {
	_Atomic uint32_t word; /* 0 free, 1 taken, 2 taken and perhaps waited for */
	uint32_t rank;
};

#define HAK_LOCK_INIT(r) { 0, (r) }

/* Set in a thread that forks, from prepare's end to the handler after: it holds all locks already, and other libraries'
 * handlers may allocate meanwhile. */
HAK_VAR HAK_TLS bool hak_lock_forking;

HAK_FN void hak_lock_take(struct hak_lock *lock);
HAK_FN void hak_lock_release(struct hak_lock *lock);

#endif
