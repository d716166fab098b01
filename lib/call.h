/* call: a system call without syscall(), in whose place libraries like torsocks put one that allocates.  Floor 0.
 *
 * Below zero: the error.  errno stays.  Each can be made to fail: fault. */
#ifndef HAK_CALL_H
#define HAK_CALL_H

#include "cc.h"

/* Is what the kernel fills the C library's structure?  Only there calls that fill one are made by number. */
#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
#define HAK_CALL_FILLS 1
#else
#define HAK_CALL_FILLS 0
#endif

HAK_FN long hak_call(long number, long a, long b, long c, long d);
HAK_FN long hak_call6(long number, long a, long b, long c, long d, long e, long f);

#endif
