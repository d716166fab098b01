/* SPDX-License-Identifier: MIT */
/* What every entry point says at its edges: result and errno of a call each, for tests/promises/p10-edges.sh to compare. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern void *reallocarray(void*,size_t,size_t);
#define SAY(call)                                                                              \
	do {                                                                                   \
		errno = 5;                                                                     \
		void *volatile q = (call);                                                     \
		printf("%s: %s, errno %d\n", #call, q ? "a block" : "NULL", errno);            \
		free(q);                                                                       \
	} while (0)
#define SAY_POSIX(align, size)                                                                 \
	do {                                                                                   \
		errno = 5;                                                                     \
		p = (void *)77;                                                                \
		int error = posix_memalign(&p, align, size);                                   \
		printf("posix_memalign(%s, %s): %d, %s, errno %d\n", #align, #size, error,     \
		       p == (void *)77 ? "untouched" : p ? "a block" : "NULL", errno);         \
		if (error == 0)                                                                \
			free(p);                                                               \
	} while (0)

static const size_t P = PTRDIFF_MAX, S = SIZE_MAX;
static void *p;

static void say_allocations(void)
{
	SAY(malloc(0));
	SAY(malloc(P));
	SAY(malloc(P+1));
	SAY(malloc(S));
	SAY(malloc(S-15));
	SAY(malloc(P-4096));
	SAY(malloc((size_t)1<<47));
	SAY(malloc((size_t)1<<46));
	SAY(malloc((size_t)1<<45));
	SAY(calloc(0,0));
	SAY(calloc(0,S));
	SAY(calloc(S,0));
	SAY(calloc((size_t)1<<40,(size_t)1<<40));
	SAY(calloc((size_t)1<<32,(size_t)1<<32));
	SAY(calloc(S,2));
	SAY(calloc(P,1));
	SAY(calloc(1,P+1));
	SAY(calloc(2,P));
	SAY(calloc(P/2+1, 2));
	SAY(realloc(NULL,0));
	SAY(realloc(NULL,P+1));
	SAY(realloc(NULL,S));
	SAY(reallocarray(NULL,(size_t)1<<40,(size_t)1<<40));
	SAY(reallocarray(NULL, S, 2));
	SAY(reallocarray(NULL,0,5));
	SAY(reallocarray(NULL,5,0));
	SAY(memalign(0,10));
	SAY(memalign(1,10));
	SAY(memalign(3,10));
	SAY(memalign(24,10));
	SAY(memalign(S,10));
	SAY(memalign(P+1,10));
	SAY(memalign(P+2,10));
	SAY(memalign(16,P));
	SAY(memalign(16,S));
	SAY(memalign(4096,P-4096));
	SAY(memalign((size_t)1<<62,(size_t)1<<62));
	SAY(memalign(64,0));
	SAY(memalign((size_t)1<<40, 1));
	SAY(memalign((size_t)1<<46, 1));
	SAY(aligned_alloc(0,10));
	SAY(aligned_alloc(3,10));
	SAY(aligned_alloc(16,10));
	SAY(aligned_alloc(64,65));
	SAY(aligned_alloc(S,10));
	SAY(aligned_alloc(P+1,10));
	SAY(aligned_alloc(64,P));
	SAY(aligned_alloc(64, 0));
	SAY(aligned_alloc(P+2, 0));
	SAY(valloc(0));
	SAY(valloc(P));
	SAY(valloc(P+1));
	SAY(valloc(S));
	SAY(pvalloc(0));
	SAY(pvalloc(P));
	SAY(pvalloc(S));
	SAY(pvalloc(S-4095));
	SAY(pvalloc(P-4095));
	SAY_POSIX(0,10);
	SAY_POSIX(1,10);
	SAY_POSIX(4,10);
	SAY_POSIX(8,10);
	SAY_POSIX(12,10);
	SAY_POSIX(24,10);
	SAY_POSIX(16,P);
	SAY_POSIX(16,S);
	SAY_POSIX(P+1,10);
	SAY_POSIX(S,10);
	SAY_POSIX(64,0);
	SAY_POSIX(P+1,S);
	SAY_POSIX((size_t)1<<62,(size_t)1<<62);
}

/* What fails leaves the block as it is. */
static void say_reallocations(size_t size)
{
	char *block = malloc(size);

	if (!block)
		return;
	memset(block, 9, size);
	for (int i = 0; i < 4; i++) {
		char *moved;

		errno = 5;
		moved = i == 3 ? reallocarray(block, S / 2, 3) : realloc(block, i == 0 ? P + 1 : i == 1 ? S : (size_t)1 << 46);
		printf("realloc of %zu, case %d: %s, errno %d, %d %d\n", size, i, moved ? "a block" : "NULL", errno, block[0],
		       block[size - 1]);
	}
	errno = 5;
	block = realloc(block, 0);
	printf("to 0: %s, errno %d\n", block ? "a block" : "NULL", errno);
}

static void say_frees(void)
{
	for (size_t size = 1; size < (size_t)64 << 20; size *= 33) {
		void *block = malloc(size);

		errno = 5;
		free(block);
		printf("free of %zu: errno %d\n", size, errno);
	}
	errno = 5;
	free(NULL);
	printf("free(NULL): errno %d; malloc_usable_size(NULL): %zu\n", errno, malloc_usable_size(NULL));
	p = malloc(0);
	printf("of malloc(0): %d\n", malloc_usable_size(p) >= 1);
	free(p);
	errno = 5;
	printf("malloc_trim: %d, errno %d\n", malloc_trim(0) >= 0, errno);
}

int main(void)
{
	say_allocations();
	for (size_t size = 10; size < (size_t)10 << 20; size *= 30)
		say_reallocations(size);
	say_frees();
	return 0;
}
