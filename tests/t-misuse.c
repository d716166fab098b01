/* SPDX-License-Identifier: MIT */
/* Programs with a fault: each dies, with a sentence that names the pointer and the block.  Links: library, rooms. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include <hakmem.h>

#include "names.h"

#include "capture.h"
#include "tap.h"

#ifdef HAK_NO_LIBC_NAMES
#define free_sized hak_abi_free_sized
#define free_aligned_sized hak_abi_free_aligned_sized
#else
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);
#endif

#define MIB ((size_t)1 << 20)
#define RUNS 3 /* of each fault: what dies by luck does not pass */

/* The compiler must not know that a freed pointer is used. */
static void *again(void *p)
{
	void *volatile same = p;

	return same;
}

static void flush_all(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

/* ---- faults; with: a size ---- */

static void free_twice(const void *with)
{
	void *p = malloc(*(const size_t *)with);

	free(p);
	free(again(p));
}

/* A cache finds it out when it gives the block back. */
static void free_twice_and_on(const void *with)
{
	void *blocks[3000];

	for (int i = 0; i < 3000; i++)
		blocks[i] = malloc(*(const size_t *)with);
	free(blocks[1000]);
	flush_all(blocks, 3000);
}

static void free_inside_and_on(const void *with)
{
	void *blocks[3000];

	for (int i = 0; i < 3000; i++)
		blocks[i] = malloc(*(const size_t *)with);
	blocks[1000] = (char *)blocks[1000] + 16;
	flush_all(blocks, 3000);
}

static void free_inside(const void *with)
{
	size_t size = *(const size_t *)with;
	char *p = malloc(size);

	memset(p, 0x11, size); /* looks like nothing that the C library made */
	free(again(p + size / 2 / 16 * 16));
}

static void free_inside_a_little(const void *with)
{
	free(again((char *)calloc(1, *(const size_t *)with) + 16));
}

/* What a pointer into the middle of a large block leads to may look like a block of the C library's. */
static void free_inside_lookalike(const void *with)
{
	size_t size = *(const size_t *)with, *p = malloc(size), middle = size / sizeof(*p) / 2 / 8 * 8;

	p[middle - 1] = 0x65;
	free(again(&p[middle]));
}

static void free_variable(const void *with)
{
	size_t words[8] __attribute__((aligned(16))) = {0};

	(void)with;
	free(again(&words[2]));
}

static void free_odd(const void *with)
{
	free(again((char *)malloc(*(const size_t *)with) + 1));
}

static void resize_freed(const void *with)
{
	void *p = malloc(*(const size_t *)with);

	free(p);
	p = realloc(again(p), 10);
}

static void ask_freed(const void *with)
{
	void *p = malloc(*(const size_t *)with);

	free(p);
	hold(malloc_usable_size(again(p)) == 0);
}

static void free_wrong_size(const void *with)
{
	free_sized(malloc(*(const size_t *)with), *(const size_t *)with * 2);
}

static void free_wrong_aligned_size(const void *with)
{
	free_aligned_sized(aligned_alloc(64, *(const size_t *)with), 64, *(const size_t *)with * 2);
}

static void free_two_in_turn(const void *with)
{
	void *p = malloc(*(const size_t *)with), *q = malloc(*(const size_t *)with);

	free(p);
	free(q);
	free(again(p));
}

/* The cache gave the block back to its slab before it is freed again, by a hit.  It is handed out once, not twice. */
static void free_twice_after_flush(const void *with)
{
	enum { OTHERS = 600 };
	void *p = malloc(*(const size_t *)with), *others[OTHERS];

	for (int i = 0; i < OTHERS; i++)
		others[i] = malloc(*(const size_t *)with);
	free(p);
	for (int i = 0; i < OTHERS; i += 2) /* no slab becomes free, or it would go */
		free(others[i]);
	free(again(p));
	for (int i = 0; i < OTHERS; i++)
		others[i] = malloc(*(const size_t *)with);
	flush_all(others, 1); /* or the compiler might do without them */
}

static void *thread_free_in_turn(void *with)
{
	void **blocks = with;

	free(blocks[0]);
	free(blocks[1]);
	free(again(blocks[0]));
	return NULL;
}

static void free_in_turn_in_thread(const void *with)
{
	void *blocks[2] = { malloc(*(const size_t *)with), malloc(*(const size_t *)with) };
	pthread_t thread;

	need(malloc(*(const size_t *)with) != NULL); /* their slab stays in use */
	need(pthread_create(&thread, NULL, thread_free_in_turn, blocks) == 0);
	pthread_join(thread, NULL);
}

static void *thread_free_twice(void *p)
{
	free(p);
	free(again(p));
	return NULL;
}

static void free_twice_in_thread(const void *with)
{
	void *p = malloc(*(const size_t *)with);
	pthread_t thread;

	need(pthread_create(&thread, NULL, thread_free_twice, p) == 0);
	pthread_join(thread, NULL);
}

static void resize_inside(const void *with)
{
	char *p = malloc(*(const size_t *)with);

	p = realloc(again(p + 16), 10);
}

static void ask_inside(const void *with)
{
	hold(malloc_usable_size(again((char *)malloc(*(const size_t *)with) + 16)) == 0);
}

static void free_mapping(const void *with)
{
	char *p = mmap(NULL, *(const size_t *)with, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED);
	free(again(p + 4096));
}

static void free_closed(const void *with)
{
	char *p = mmap(NULL, *(const size_t *)with, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED);
	free(again(p + 64));
}

/* Before it lies what the C library writes before a block that is none of its main heap.  with: where in the mapping. */
static void free_like_block(const void *with)
{
	char *p = mmap(NULL, 2 * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED);
	p += *(const size_t *)with;
	((size_t *)(void *)p)[-1] = 0x105;
	free(again(p));
}

static void free_nowhere(const void *with) { free(again((void *)(uintptr_t)*(const size_t *)with)); }
static void resize_variable(const void *with)
{
	size_t words[8] __attribute__((aligned(16))) = {0};
	void *p;

	(void)with;
	p = realloc(again(&words[2]), 10);
	(void)p;
}

static void free_wrong_alignment(const void *with)
{
	char *p = aligned_alloc(16, *(const size_t *)with), *q = aligned_alloc(16, *(const size_t *)with);

	free_aligned_sized((uintptr_t)p % 4096 != 0 ? p : q, 4096, *(const size_t *)with);
}

/* ---- points ---- */

/* It dies by abort() with one line: "hakmem: entry(0x...): words". */
static void dies(const char *name, void (*run)(const void *), size_t size, const char *entry, const char *words)
{
	struct capture child;
	char start[64];
	int aborts = 0, says = 0;

	snprintf(start, sizeof(start), "hakmem: %s(0x", entry);
	for (int i = 0; i < RUNS; i++) {
		const char *at;

		capture(&child, run, &size);
		at = strstr(child.words, "): ");
		aborts += WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT;
		says += strncmp(child.words, start, strlen(start)) == 0 && at != NULL &&
			strncmp(at + 3, words, strlen(words)) == 0 && strcmp(at + 3 + strlen(words), "\n") == 0;
	}
	ok(aborts == RUNS, "%s of %zu bytes: abort", name, size);
	if (!ok(says == RUNS, "%s", words))
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

#define INTERIOR_64 "the pointer leads into a block of 64 bytes, not to its start"
#define NO_BLOCK "the pointer leads into memory that is not handed out"

/* A freed large block stays mapped: where the kernel chooses addresses, what was unmapped might be anybody's. */
static void keep_large(void)
{
	need(hakmem_option_set("HAKMEM_ELO_THRESHOLD", "1G") == 0);
	need(malloc(16 * MIB) != NULL);
}

int main(void)
{
	keep_large();
	dies("double free", free_twice_and_on, 64, "free", "double free of a block of 64 bytes");
	dies("double free", free_twice_and_on, 1000, "free", "double free of a block of 1024 bytes");
	dies("double free", free_twice_and_on, 5000, "free", "double free of a block of 5120 bytes");
	dies("double free", free_twice, 100000, "free", NO_BLOCK);
	dies("double free", free_twice, 2 * MIB, "free", NO_BLOCK);
	dies("double free", free_twice, 4 * MIB, "free", NO_BLOCK);
	dies("interior free", free_inside_and_on, 64, "free",
	     "the pointer leads into a block of 64 bytes, not to its start");
	dies("interior free", free_inside_and_on, 320, "free",
	     "the pointer leads into a block of 320 bytes, not to its start");
	dies("interior free", free_inside_and_on, 2000, "free",
	     "the pointer leads into a block of 2048 bytes, not to its start");
	dies("interior free", free_inside, 200000, "free",
	     "the pointer leads into a block of 262144 bytes, not to its start");
	dies("interior free", free_inside_a_little, 200000, "free",
	     "the pointer leads into a block of 262144 bytes, not to its start");
	dies("interior free", free_inside_a_little, 5 * MIB, "free",
	     "the pointer leads into a block of 5242880 bytes, not to its start");
	dies("interior free", free_inside, 5 * MIB, "free", NO_BLOCK);
	dies("interior free", free_inside, 64 * MIB, "free", NO_BLOCK);
	dies("interior free, a lookalike", free_inside_lookalike, 5 * MIB, "free", NO_BLOCK);
	dies("odd free", free_odd, 200000, "free", "the pointer leads into a block of 262144 bytes, not to its start");
	dies("free of a variable", free_variable, 64, "free", "no allocator gave out this pointer");
	dies("realloc after free", resize_freed, 100000, "realloc", NO_BLOCK);
	dies("realloc after free", resize_freed, 4 * MIB, "realloc", NO_BLOCK);
	dies("malloc_usable_size after free", ask_freed, 4 * MIB, "malloc_usable_size", NO_BLOCK);
	dies("wrong size", free_wrong_size, 128, "free_sized", "the size is wrong: the block has 128 bytes");
	dies("wrong size", free_wrong_aligned_size, 128, "free_aligned_sized",
	     "the size is wrong: the block has 128 bytes");
	dies("double free at once", free_twice, 64, "free", "double free of a block of 64 bytes");
	dies("double free at once", free_twice, 2000, "free", "double free of a block of 2048 bytes");
	dies("double free at once", free_twice, 20000, "free", "double free of a block of 20480 bytes");
	dies("double free, one between", free_two_in_turn, 64, "free", "double free of a block of 64 bytes");
	dies("double free, one between", free_two_in_turn, 3000, "free", "double free of a block of 3072 bytes");
	dies("double free in a thread", free_twice_in_thread, 64, "free", "double free of a block of 64 bytes");
	dies("double free in a thread, one between", free_in_turn_in_thread, 64, "free", "double free of a block of 64 bytes");
	dies("double free in a thread, one between", free_in_turn_in_thread, 20000, "free",
	     "double free of a block of 20480 bytes");
	dies("double free after a flush", free_twice_after_flush, 64, "free", "double free of a block of 64 bytes");
	dies("double free after a flush", free_twice_after_flush, 2000, "free", "double free of a block of 2048 bytes");
	dies("interior free at once", free_inside_a_little, 64, "free", INTERIOR_64);
	dies("interior free at once", free_inside_a_little, 12000, "free",
	     "the pointer leads into a block of 12288 bytes, not to its start");
	dies("odd free", free_odd, 64, "free", INTERIOR_64);
	dies("realloc inside", resize_inside, 64, "realloc", INTERIOR_64);
	dies("malloc_usable_size inside", ask_inside, 64, "malloc_usable_size", INTERIOR_64);
	dies("realloc after free", resize_freed, 64, "realloc", "the block of 64 bytes is free");
	dies("malloc_usable_size after free", ask_freed, 64, "malloc_usable_size", "the block of 64 bytes is free");
	dies("free of a mapping", free_mapping, 65536, "free", "no allocator gave out this pointer");
	dies("free of a mapping that cannot be read", free_closed, 65536, "free", "no allocator gave out this pointer");
	dies("free of what looks like a block", free_like_block, 64, "free", "no allocator gave out this pointer");
	if (getenv("HAK_FAULTS") == NULL) /* whether the second page can be read is asked by futex */
		dies("the same on two pages", free_like_block, 65536, "free", "no allocator gave out this pointer");
	dies("free of nothing", free_nowhere, 0x1230, "free", "no allocator gave out this pointer");
	dies("realloc of a variable", resize_variable, 10, "realloc", "no allocator gave out this pointer");
	dies("wrong size", free_wrong_size, 200000, "free_sized", "the size is wrong: the block has 262144 bytes");
	dies("wrong alignment", free_wrong_alignment, 64, "free_aligned_sized",
	     "the alignment is wrong: the block is not aligned to 4096 bytes");
	return done();
}
