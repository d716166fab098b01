/* batch: purging of free dirty slabs, by volume and by age.  Floor 8.
 *
 * Volume: free dirty memory above max(HAKMEM_DIRTY_MIN, HAKMEM_DIRTY_PERCENT of what is used) goes back at once, highest
 * addresses first, since the pool takes the lowest first.  What is wanted back within a second is regretted: the budget
 * grows by as much, and shrinks again while nothing is regretted.  Age: what was given back HAKMEM_DECAY_MS ago goes.
 * A purger takes the slabs out of the pool, purges merged ranges and gives them back clean: nobody waits for it.
 * Concurrency: any threads. */
#ifndef HAK_BATCH_H
#define HAK_BATCH_H

#include "pool.h"

HAK_FN void hak_batch_give(size_t slot, uint32_t mask, bool dirty); /* slabs, back to the pool */
HAK_FN void hak_batch_give_purged(size_t slot, uint32_t run); /* a run of them, after it went back to the kernel */
HAK_FN bool hak_batch_purge_part(void *at, size_t bytes); /* pages of slabs in use */
HAK_FN void hak_batch_taken(size_t slot, uint32_t clean); /* clean slabs that were taken: was their purge regretted? */
HAK_FN size_t hak_batch_regret(void);                   /* bytes that regret adds to the budget */
HAK_FN size_t hak_batch_budget(void);                   /* bytes that may stay dirty */
HAK_FN void hak_batch_tick(void);                       /* purges by age, at most ten times a second */
HAK_FN size_t hak_batch_purge_all(void);                /* bytes given back; wholly free SuperSlabs stay mapped */

#endif
