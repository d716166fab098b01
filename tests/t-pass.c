/* SPDX-License-Identifier: MIT */
/* Pass-through: with HAKMEM_DISABLE=1 every entry point is the C library's, and blocks of before are still ours.
 *
 * The program starts itself with the variable set.  A block is the C library's if its own functions take it and our
 * figures do not count it. */
#include <hakmem.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 33)
#define CAN_PASS
#endif
#endif

#ifndef CAN_PASS

int main(void)
{
	skip_all("there is no C library here that could be passed to, or it has no mallinfo2");
}

#else

#if __SIZEOF_SIZE_T__ == 4
#define _Znwm _Znwj
#define _ZnwmSt11align_val_t _ZnwjSt11align_val_t
#endif

extern void __libc_free(void *p);
extern void *__libc_malloc(size_t size);
extern void *_Znwm(size_t size); /* operator new */
extern void *_ZnwmSt11align_val_t(size_t size, size_t align);
extern void _ZdlPv(void *p);

static void *early;             /* allocated before the library's constructor */
static size_t early_blocks = 1; /* of ours that there are */

/* In .preinit_array: before any constructor of a library. */
static void take_early(void)
{
	early = malloc(100);
	if (early)
		memset(early, 1, 100);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = take_early;

static size_t counted(void)
{
	struct hakmem_stats stats;

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	return (size_t)stats.live_blocks;
}

static size_t libc_bytes(void) { return mallinfo2().uordblks + mallinfo2().hblkhd; }

/* Written to its usable size, and given back past us. */
static void check_block(const char *name, void *p, size_t size, size_t align)
{
	size_t usable = malloc_usable_size(p);

	ok(p != NULL && (uintptr_t)p % align == 0 && usable >= size && counted() == early_blocks, "%s is the C library's",
	   name);
	if (p)
		memset(p, 5, usable);
	__libc_free(p);
}

static void test_entries(void)
{
	static const size_t sizes[] = { 0, 1, 24, 1024, 5000, 65536, 200000, (size_t)3 << 20 };
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = NULL;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];

		note("%zu bytes", size);
		check_block("malloc", malloc(size), size, 16);
		check_block("calloc", calloc(1, size), size, 16);
		check_block("realloc", realloc(malloc(3), size ? size : 1), size, 16);
		check_block("aligned_alloc", aligned_alloc(256, size), size, 256);
		check_block("memalign", memalign(4096, size), size, 4096);
		hold(posix_memalign(&p, 64, size) == 0);
		check_block("posix_memalign", p, size, 64);
		check_block("valloc", valloc(size), size, page);
		check_block("pvalloc", pvalloc(size), size, page);
		check_block("operator new", _Znwm(size), size, 16);
		check_block("operator new, aligned", _ZnwmSt11align_val_t(size, 128), size, 128);
	}
}

/* Each way of free gets it to the C library, which counts it off. */
static void test_frees(void)
{
	size_t bytes;
	void *p;

	free(malloc(3000)); /* so that it has an arena */
	bytes = libc_bytes();
	p = malloc(3000);
	hold(libc_bytes() > bytes);
	free(p);
	is(libc_bytes(), bytes);
	_ZdlPv(_Znwm(3000));
	is(libc_bytes(), bytes);
	free(__libc_malloc(3000));
	is(libc_bytes(), bytes);
	free(realloc(malloc(3000), 70000));
	is(libc_bytes(), bytes);
	free(NULL);
}

static void test_contents(void)
{
	unsigned char *p = malloc(100), *zero;

	memset(p, 7, 100);
	p = realloc(p, 500000);
	ok(p && p[0] == 7 && p[99] == 7, "realloc keeps what was there");
	ok(realloc(p, 0) == NULL, "realloc to nothing frees");
	p = malloc(50000);
	memset(p, 7, 50000);
	free(p);
	zero = calloc(5, 10000);
	for (int i = 0; i < 50000; i++)
		hold(zero[i] == 0);
	free(zero);
}

static void test_errors(void)
{
	volatile size_t large = (size_t)PTRDIFF_MAX + 1, root = (size_t)1 << (sizeof(size_t) * 5); /* not the compiler's business */

	errno = 0;
	ok(malloc(large) == NULL && errno == ENOMEM, "a size too large");
	errno = 0;
	ok(calloc(root, root) == NULL && errno == ENOMEM, "a product too large");
	errno = 0;
	ok(aligned_alloc(64, large - 1) == NULL && errno == ENOMEM, "aligned, too large");
}

/* The early block is ours: it was there before the setting was known. */
static void test_early(void)
{
	unsigned char *p = early;

	need(p != NULL);
	is(counted(), 1);
	hold(malloc_usable_size(p) >= 100);
	p = realloc(p, 100000);
	ok(p && p[0] == 1 && p[99] == 1, "what moves away keeps its contents");
	is(counted(), early_blocks = 0);
	check_block("where it moves", p, 100000, 16);
	check_block("what follows a free of ours", malloc(100), 100, 16);
}

static void *run_thread(void *with)
{
	void *blocks[100];

	(void)with;
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 100; i++)
			blocks[i] = malloc((size_t)(i * 37 + 1));
		for (int i = 0; i < 100; i++)
			free(blocks[i]);
	}
	return malloc(50);
}

static void test_threads(void)
{
	pthread_t threads[4];
	void *result;

	for (int i = 0; i < 4; i++)
		need(pthread_create(&threads[i], NULL, run_thread, NULL) == 0);
	for (int i = 0; i < 4; i++) {
		need(pthread_join(threads[i], &result) == 0);
		free(result);
	}
	is(counted(), 0);
}

static void test_fork(void)
{
	int status = -1;
	pid_t child = fork();

	need(child >= 0);
	if (child == 0) {
		run_thread(NULL);
		_exit(counted() != 0);
	}
	ok(waitpid(child, &status, 0) == child && status == 0, "a child passes too");
}

/* The API answers, and the C library's own reports are about the C library. */
static void test_api(void)
{
	char value[HAKMEM_VALUE_SIZE];
	char words[4096] = "", *xml = NULL;
	int ends[2], before = dup(STDERR_FILENO);
	size_t length;
	FILE *out;

	need(before >= 0 && pipe(ends) == 0);
	hold(hakmem_option_get("disable", value, sizeof(value)) == 0);
	is_text(value, "1");
	hakmem_trim();
	ok(hakmem_stats_print(HAKMEM_FORMAT_TEXT, NULL, 0) > 0, "statistics can be printed");
	ok(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1, "mallopt");
	malloc_trim(0);
	out = open_memstream(&xml, &length);
	need(out && malloc_info(0, out) == 0 && fclose(out) == 0);
	ok(strstr(xml, "hakmem") == NULL && strstr(xml, "<malloc") != NULL, "malloc_info is the C library's");
	free(xml);
	need(dup2(ends[1], STDERR_FILENO) >= 0);
	malloc_stats();
	length = (size_t)read(ends[0], words, sizeof(words) - 1);
	ok(strstr(words, "Arena 0:") != NULL, "malloc_stats is the C library's");
	need(length < sizeof(words) && dup2(before, STDERR_FILENO) >= 0);
}

static int run_passed(void)
{
	test_early();
	test_entries();
	test_frees();
	test_contents();
	test_errors();
	test_threads();
	test_fork();
	test_api();
	return done();
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return run_passed();
	need(setenv("HAKMEM_DISABLE", "1", 1) == 0);
	execl(argv[0], argv[0], "passed", (char *)NULL);
	need(errno == ENOEXEC);
	skip_all("the emulator does not start programs of its kind");
}

#endif
