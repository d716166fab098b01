/* call: a system call without syscall(), in whose place libraries like torsocks put one that allocates.  Floor 0.
 *
 * Below zero: the error.  errno stays.  Each can be made to fail: fault. */
#ifndef HAK_CALL_H
#define HAK_CALL_H

#include "cc.h"

HAK_FN long hak_call(long number, long a, long b, long c, long d);
HAK_FN long hak_call6(long number, long a, long b, long c, long d, long e, long f);

#endif
