/* SPDX-License-Identifier: MIT */
/* Promise 24: at most 2 KiB of stack in any entry point, called first in a thread; and threads with PTHREAD_STACK_MIN work.
 *
 * The stack of each thread is ours, and painted: what has lost its paint was used. */
#include <limits.h>
#include <stdio.h>

#include "promise.h"

#define PAINT 0xa5

enum { stack_size = 256 * 1024 };

#ifdef __OPTIMIZE__
enum { most = 2048 };
#else
enum { most = 3072 }; /* no variable shares its place with another */
#endif

static unsigned char *stack;
static unsigned char *lowest; /* where the call under test began */
static void *volatile kept;

static __attribute__((noinline)) void paint(unsigned char *from, unsigned char *to)
{
	for (volatile unsigned char *at = from; at < to; at++)
		*at = PAINT;
}

static void do_malloc(void) { kept = malloc(100); }
static void do_malloc_mid(void) { kept = malloc(100000); }
static void do_malloc_large(void) { kept = malloc(5 * MIB); }
static void do_malloc_huge(void) { kept = malloc(SIZE_MAX / 4); }
static void do_calloc(void) { kept = calloc(10, 10); }
static void do_calloc_large(void) { kept = calloc(10, MIB); }
static void do_realloc(void) { kept = realloc(NULL, 300); }
static void do_regrow(void) { kept = realloc(kept, 3 * MIB); }
static void do_regrow_large(void) { kept = realloc(kept, 300 * MIB); }
static void do_free(void) { free(kept); kept = NULL; }
static void do_aligned(void) { kept = aligned_alloc(64, 640); }
static void do_aligned_large(void) { kept = aligned_alloc(16 * MIB, 16 * MIB); }
static void do_memalign(void) { kept = memalign(4096, 10); }
static void do_posix(void) { void *p = NULL; hold(posix_memalign(&p, 128, 100) == 0); kept = p; }
static void do_valloc(void) { kept = valloc(10); }
static void do_pvalloc(void) { kept = pvalloc(10); }
static void do_usable(void) { hold(malloc_usable_size(kept) >= 1); }
static void do_trim(void) { malloc_trim(0); }
#ifdef __GLIBC__
static void do_mallinfo(void) { (void)mallinfo2(); }
static void do_mallopt(void) { mallopt(M_ARENA_MAX, 1); }
static void do_stats(void) { malloc_stats(); }
#endif

struct call { const char *name; void (*run)(void); };

static void *measure(void *with)
{
	const struct call *call = with;
	unsigned char here;
	uintptr_t below = (uintptr_t)&here - 256;

	lowest = &here;
	paint(stack, (unsigned char *)below);
	call->run();
	return NULL;
}

static size_t used(void)
{
	unsigned char *at = stack;

	while (*at == PAINT)
		at++;
	return (size_t)(lowest - at);
}

static void check(const struct call *call)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	need(pthread_attr_setstack(&attr, stack, stack_size) == 0);
	need(pthread_create(&thread, &attr, measure, (void *)(uintptr_t)call) == 0);
	need(pthread_join(thread, NULL) == 0);
	ok(used() <= most, "%s: %zu bytes of stack", call->name, used());
	pthread_attr_destroy(&attr);
}

/* Every entry point, each first in a thread with the least stack there may be. */
static void *with_little(void *with)
{
	((const struct call *)with)->run();
	return NULL;
}

static void check_least(const struct call *call)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	need(pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
	need(pthread_create(&thread, &attr, with_little, (void *)(uintptr_t)call) == 0);
	need(pthread_join(thread, NULL) == 0);
	pthread_attr_destroy(&attr);
}

int main(void)
{
	static const struct call calls[] = {
		{ "malloc", do_malloc }, { "malloc_usable_size", do_usable }, { "free", do_free },
		{ "malloc, mid", do_malloc_mid }, { "free, mid", do_free },
		{ "malloc, large", do_malloc_large }, { "realloc, large", do_regrow_large }, { "free, large", do_free },
		{ "malloc, refused", do_malloc_huge },
		{ "calloc", do_calloc }, { "realloc, to large", do_regrow }, { "free, again", do_free },
		{ "calloc, large", do_calloc_large }, { "free, of calloc", do_free },
		{ "realloc, NULL", do_realloc }, { "free, of realloc", do_free },
		{ "aligned_alloc", do_aligned }, { "aligned_alloc, large", do_aligned_large },
		{ "memalign", do_memalign }, { "posix_memalign", do_posix },
		{ "valloc", do_valloc }, { "pvalloc", do_pvalloc },
		{ "malloc_trim", do_trim },
#ifdef __GLIBC__
		{ "mallinfo2", do_mallinfo }, { "mallopt", do_mallopt }, { "malloc_stats", do_stats },
#endif
	};

	stack = map_table(stack_size);
	need(freopen("/dev/null", "w", stderr) != NULL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		check(&calls[i]);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		check_least(&calls[i]);
	ok(true, "all of them in threads with PTHREAD_STACK_MIN");
	return done();
}
