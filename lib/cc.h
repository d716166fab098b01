/* cc: the only attributes and builtins of the project.  Floor 0.
 *
 * Two builds of one source.  HAK_ROOMS: separate objects, internal functions have (hidden) external linkage,
 * so that headers and floors are proved and unit tests can call them.  Otherwise one.c includes every room and
 * each internal function is static. */
#ifndef HAK_CC_H
#define HAK_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef HAK_ROOMS
#define HAK_FN                 /* an internal function: its declaration and its definition */
#define HAK_VAR extern         /* an internal variable, in a header */
#define HAK_DEF                /* the same, where it is defined */
#else
#define HAK_FN static __attribute__((unused))
#define HAK_VAR static __attribute__((unused))
#define HAK_DEF static
#endif

#define HAK_HOT static inline __attribute__((always_inline))
#define HAK_COLD __attribute__((noinline, cold))
#define HAK_NOINLINE __attribute__((noinline))
#define HAK_NORETURN __attribute__((noreturn))
#define HAK_API __attribute__((visibility("default")))
#define HAK_ALIGNED(n) __attribute__((aligned(n)))
#define HAK_SECTION(name) __attribute__((section(name)))
#define HAK_SPARSE HAK_SECTION(".bss.sparse") /* large and mostly never touched: apart, so that what is touched shares pages */
#define HAK_WEAK __attribute__((weak))
#define HAK_TLS __thread __attribute__((tls_model("initial-exec")))
#if defined(__has_attribute) && __has_attribute(nonstring)
#define HAK_NONSTRING __attribute__((nonstring)) /* bytes without a NUL behind them */
#else
#define HAK_NONSTRING
#endif
#define HAK_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HAK_RACY __attribute__((no_sanitize("thread"))) /* looks at what another thread may be writing, on purpose */

#define hak_likely(x) __builtin_expect(!!(x), 1)
#define hak_unlikely(x) __builtin_expect(!!(x), 0)
#define hak_prefetch(p) __builtin_prefetch(p)
#define hak_prefetch_write(p) __builtin_prefetch((p), 1)
#define hak_mul_overflow(a, b, r) __builtin_mul_overflow((a), (b), (r))
#define hak_add_overflow(a, b, r) __builtin_add_overflow((a), (b), (r))

/* Makes the compiler forget what it knows of x, so that x++ is done in memory: one instruction less on some machines. */
#define hak_forget(x) __asm__("" : "+m"(x))

/* Makes the compiler forget how x came about, so that it does not keep a sum in a register where an address will do. */
#define hak_opaque(x) __asm__("" : "+r"(x))
/* p is what the function returns: have it where it will be wanted, at once. */
#if defined(__x86_64__)
#define hak_in_return_register(p) __asm__("" : "+a"(p))
#else
#define hak_in_return_register(p) ((void)0)
#endif

/* All registers that a caller may rely on are stored in this function's frame, and its unwind table says where. */
#define hak_save_registers() __builtin_unwind_init()
/* What an unwinder begins with: here.  pc 0: not known for this machine. */
#if defined(__x86_64__) && defined(__LP64__)
#define hak_read_registers(pc, sp, fp) \
	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2" : "=&r"(pc), "=&r"(sp), "=&r"(fp))
#elif defined(__aarch64__) && defined(__LP64__)
#define hak_read_registers(pc, sp, fp) \
	__asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29" : "=&r"(pc), "=&r"(sp), "=&r"(fp))
#else
#define hak_read_registers(pc, sp, fp) ((pc) = 0, (sp) = (fp) = (uintptr_t)__builtin_frame_address(0))
#endif

#if defined(__x86_64__) || defined(__i386__)
#define hak_pause() __builtin_ia32_pause()
#elif defined(__aarch64__) || defined(__arm__)
#define hak_pause() __asm__ volatile("yield" ::: "memory")
#else
#define hak_pause() __asm__ volatile("" ::: "memory")
#endif

/* Cheap checks of our own invariants, compiled out of the release. */
#ifdef HAK_ASSERT
#define hak_assert(x) ((x) ? (void)0 : __builtin_trap())
#else
#define hak_assert(x) ((void)sizeof(x))
#endif

/* A size or a rate, and what it is with --enable-hard, for tests: every cache holds one block, what is seldom is often. */
#ifndef HAK_HARD
#define HAK_HARD 0
#endif
#define HAK_HARD_OR(usual, hard) (HAK_HARD ? (hard) : (usual))

/* ThreadSanitizer is on: it allows mappings at few addresses, and wants atomics to be seen as such. */
#if defined(__SANITIZE_THREAD__)
#define HAK_TSAN 1
#elif defined(__has_feature)
#define HAK_TSAN __has_feature(thread_sanitizer)
#else
#define HAK_TSAN 0
#endif

/* Where the stack is, the low half. */
#define hak_frame() ((uint32_t)(uintptr_t)__builtin_frame_address(0))

#define HAK_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#endif
