/* fault: makes system calls fail, in tests.  Floor 0.
 *
 * os asks at each call whether it is to fail.  In the room-by-room build tests set the variables below; in a library that is
 * configured with --enable-faults the environment does, also for programs that know nothing of it:
 *     HAK_FAULTS=CALLS:ERROR:AFTER:COUNT:PERIOD     decimal numbers, the variables in their order; what is missing stays
 * Any other library has none of this.
 * Concurrency: any threads. */
#ifndef HAK_FAULT_H
#define HAK_FAULT_H

#include "atomic.h"
#include "cc.h"

enum hak_fault_call {
	HAK_FAULT_MAP = 1,
	HAK_FAULT_UNMAP = 2,
	HAK_FAULT_ADVISE = 4,
	HAK_FAULT_MOVE = 8,
	HAK_FAULT_PROTECT = 16,
	HAK_FAULT_MAPPINGS = 31, /* all of these */
	HAK_FAULT_FUTEX = 64,
	HAK_FAULT_FILE = 128, /* and all the rest */
	HAK_FAULT_WRITE = 256,
};

#if (defined(HAK_ROOMS) || defined(HAK_FAULTS)) && !defined(HAK_MODEL)
#define HAK_CAN_FAIL
HAK_VAR _Atomic unsigned hak_os_fail_calls;  /* of what; at first HAK_FAULT_MAPPINGS */
HAK_VAR _Atomic unsigned hak_os_fail_error;  /* errno of a failure; at first ENOMEM */
HAK_VAR _Atomic unsigned hak_os_fail_after;  /* calls until the first failure, this one included; 0: never */
HAK_VAR _Atomic unsigned hak_os_fail_count;  /* how many fail in a row then */
HAK_VAR _Atomic unsigned hak_os_fail_period; /* one call in so many fails; 0: none */

HAK_FN bool hak_fault(enum hak_fault_call call); /* true: it fails; errno says why */
#else
HAK_HOT bool hak_fault(enum hak_fault_call call) { return (void)call, false; }
#endif

#endif
