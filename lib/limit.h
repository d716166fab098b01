/* limit: HAKMEM_LIMIT and HAKMEM_LIMIT_HARD.  Floor 10.
 *
 * Held is what blocks have and what is kept for them: slabs in use, free slabs with memory, large blocks, the BigCache.
 * Above the soft limit everything that is free goes back to the kernel and the program is told; above the hard one
 * requests are refused.  Off by default: then a refill pays two loads.
 * Concurrency: any threads, lock-free. */
#ifndef HAK_LIMIT_H
#define HAK_LIMIT_H

#include "cc.h"

enum hak_limit { HAK_LIMIT_NONE, HAK_LIMIT_SOFT, HAK_LIMIT_HARD };

typedef void hak_limit_function(void *argument, size_t held, size_t limit);

HAK_FN void hak_limit_start(void); /* HAKMEM_LIMIT_CGROUP: reads the control group's limits */
HAK_FN bool hak_limit_is_set(void);
HAK_FN enum hak_limit hak_limit_check(size_t more); /* which one `more` bytes would go beyond */
HAK_FN bool hak_limit_is_due(void);  /* time to give memory back: not again at once if it brought nothing */
HAK_FN size_t hak_limit_held(void);
HAK_FN void hak_limit_set_function(hak_limit_function *function, void *argument);
HAK_FN bool hak_limit_tell(void);    /* calls the program's function; false: there is none, or it was called just now */

#endif
