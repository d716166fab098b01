#include "call.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"

#if !defined(SYS_futex) && defined(SYS_futex_time64)
#define SYS_futex SYS_futex_time64
#endif

#if defined(__x86_64__) && defined(__LP64__)
static long call_ask(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
	                 : "+a"(number)
	                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return number;
}
#elif defined(__aarch64__) && defined(__LP64__)
static long call_ask(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
static long call_ask(long number, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(number, a, b, c, d, e, f);

	return result == -1 ? -errno : result;
}
#endif

HAK_FN long hak_call6(long number, long a, long b, long c, long d, long e, long f)
{
	enum hak_fault_call what = number == SYS_futex ? HAK_FAULT_FUTEX : number == SYS_write ? HAK_FAULT_WRITE : HAK_FAULT_FILE;
	int saved = errno;
	long result = hak_fault(what) ? -errno : call_ask(number, a, b, c, d, e, f);

	errno = saved;
	return result;
}

HAK_FN long hak_call(long number, long a, long b, long c, long d) { return hak_call6(number, a, b, c, d, 0, 0); }
