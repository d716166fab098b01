/* policy: is freed memory worth keeping?  Floor 4.
 *
 * Asks ELO for blocks of 512 KiB and more, or follows HAKMEM_ELO_THRESHOLD.
 * Concurrency: any threads; one lock around ELO's arithmetic. */
#ifndef HAK_POLICY_H
#define HAK_POLICY_H

#include "atomic.h"
#include "elo.h"

HAK_VAR _Atomic size_t hak_policy_learned; /* the threshold that ELO rates best */

/* A thread gives back what is old: until then more may be kept. */
HAK_FN void hak_policy_set_tended(bool tended);
HAK_FN bool hak_policy_is_tended(void);
HAK_FN bool hak_policy_keeps(size_t bytes);              /* rather than giving it back at once */
HAK_FN size_t hak_policy_threshold(void);
HAK_FN void hak_policy_freed(size_t bytes, uint32_t now); /* for ELO to learn from */
HAK_FN void hak_policy_wanted(size_t bytes, uint32_t now);
HAK_FN size_t hak_policy_proven(void); /* bytes that were wanted again at once, lately */
HAK_FN void hak_policy_lock(void);     /* around fork */
HAK_FN void hak_policy_unlock(void);

#endif
