/* SPDX-License-Identifier: MIT */
/* mallinfo, malloc_info, malloc_stats, malloc_trim and mallopt: true numbers, glibc's errors.
 *
 * t-malloc-info xml prints what malloc_info writes and nothing else. */
#include <features.h>
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
/* Their declarations under other names, to compare the structures. */
#define mallinfo libc_mallinfo
#define mallinfo2 libc_mallinfo2
#define malloc_info libc_malloc_info
#define malloc_stats libc_malloc_stats
#define malloc_trim libc_malloc_trim
#define mallopt libc_mallopt
#include <malloc.h>
#undef mallinfo
#undef mallinfo2
#undef malloc_info
#undef malloc_stats
#undef malloc_trim
#undef mallopt
#define HAS_LIBC
#endif
#endif

#include "malloc_info.h"

#include <errno.h>
#include <hakmem.h>
#include <limits.h>
#include <string.h>

#include "blocks.h"
#include "capture.h"
#include "tap.h"

static char text[1 << 16];

/* ---- the layout is the C library's ---- */

#ifdef HAS_LIBC
#define SAME_PLACE(field)                                                                                  \
	_Static_assert(offsetof(struct hak_mallinfo, field) == offsetof(struct libc_mallinfo, field), ""); \
	_Static_assert(offsetof(struct hak_mallinfo2, field) == offsetof(struct libc_mallinfo2, field), "");
HAK_MALLINFO_FIELDS(SAME_PLACE)
_Static_assert(sizeof(struct hak_mallinfo) == sizeof(struct libc_mallinfo), "");
_Static_assert(sizeof(struct hak_mallinfo2) == sizeof(struct libc_mallinfo2), "");
_Static_assert((int)HAK_M_MXFAST == M_MXFAST && (int)HAK_M_TRIM_THRESHOLD == M_TRIM_THRESHOLD, "");
_Static_assert((int)HAK_M_TOP_PAD == M_TOP_PAD && (int)HAK_M_MMAP_THRESHOLD == M_MMAP_THRESHOLD, "");
_Static_assert((int)HAK_M_MMAP_MAX == M_MMAP_MAX && (int)HAK_M_CHECK_ACTION == M_CHECK_ACTION, "");
_Static_assert((int)HAK_M_PERTURB == M_PERTURB && (int)HAK_M_ARENA_TEST == M_ARENA_TEST, "");
_Static_assert((int)HAK_M_ARENA_MAX == M_ARENA_MAX, "");
#endif

/* ---- mallinfo ---- */

static void check_sums(const char *when)
{
	struct hak_mallinfo2 info = HAK_ABI(mallinfo2)();
	struct hakmem_stats stats;

	need(hakmem_stats(&stats, sizeof(stats)) == 0);
	ok(info.arena == info.uordblks + info.fordblks, "arena = uordblks + fordblks, %s", when);
	ok(info.uordblks + info.hblkhd == stats.live_bytes, "uordblks + hblkhd is what lives, %s", when);
	ok(info.arena + info.hblkhd + stats.metadata_bytes == stats.mapped_bytes, "all is mapped, %s", when);
	ok(info.fsmblks <= info.fordblks && info.keepcost <= info.fordblks, "free is free, %s", when);
}

static void check_amounts(void)
{
	struct hak_mallinfo2 before = HAK_ABI(mallinfo2)(), after;
	void *large;

	take(500);
	after = HAK_ABI(mallinfo2)();
	is(after.uordblks - before.uordblks, MANY * 512);
	is(after.hblks, before.hblks);
	check_sums("with small blocks");
	give();
	is(HAK_ABI(mallinfo2)().uordblks, before.uordblks);
	large = HAK_ABI(malloc)((size_t)9 << 20);
	after = HAK_ABI(mallinfo2)();
	is(after.hblks - before.hblks, 1);
	is(after.hblkhd - before.hblkhd, 9 << 20);
	is(after.uordblks, before.uordblks);
	check_sums("with a large block");
	HAK_ABI(free)(large);
	is(HAK_ABI(mallinfo2)().hblks, before.hblks);
	check_sums("after its end");
}

static void check_narrow(void)
{
	struct hak_mallinfo2 wide = HAK_ABI(mallinfo2)();
	struct hak_mallinfo narrow = HAK_ABI(mallinfo)();
	void *a = NULL;

#define SAME_VALUE(field) hold((size_t)narrow.field == wide.field);
	HAK_MALLINFO_FIELDS(SAME_VALUE)
	if (sizeof(size_t) > sizeof(int))
		a = HAK_ABI(malloc)((size_t)INT_MAX + 4096);
	if (a)
		is(HAK_ABI(mallinfo)().hblkhd, INT_MAX);
	else
		skip("no room for a block above INT_MAX");
	HAK_ABI(free)(a);
}

/* ---- malloc_trim ---- */

static void check_trim(void)
{
	HAK_ABI(malloc_trim)(0);
	take(5000);
	give();
	ok(HAK_ABI(mallinfo2)().keepcost > 0, "there is something to give back");
	is(HAK_ABI(malloc_trim)(0), 1);
	is(HAK_ABI(mallinfo2)().keepcost, 0);
	is(HAK_ABI(malloc_trim)(1 << 20), 0);
}

/* ---- malloc_info, malloc_stats ---- */

static void check_xml(void)
{
	FILE *to = fmemopen(text, sizeof(text), "w");
	char want[100];

	need(to != NULL);
	is(HAK_ABI(malloc_info)(0, to), 0);
	fclose(to);
	ok(strncmp(text, "<malloc version=\"1\">\n", 21) == 0, "the root is glibc's");
	ok(strstr(text, "\n</malloc>\n") != NULL, "it is closed");
	ok(strstr(text, "<total type=\"mmap\" count=\"0\" size=\"0\"/>\n") != NULL, "no large blocks are there");
	snprintf(want, sizeof(want), "<system type=\"current\" size=\"%zu\"/>", HAK_ABI(mallinfo2)().arena);
	ok(strstr(text, want) != NULL, "the arena is there");
	ok(strstr(text, "<figure name=\"live_bytes\" value=\"") != NULL, "our own figures are there");
}

static void check_info_errors(void)
{
	FILE *full = fopen("/dev/full", "w");

	is(HAK_ABI(malloc_info)(1, stdout), EINVAL);
	is(HAK_ABI(malloc_info)(-1, NULL), EINVAL);
	if (!full) {
		skip("no /dev/full");
		return;
	}
	setvbuf(full, NULL, _IONBF, 0);
	errno = 0;
	is(HAK_ABI(malloc_info)(0, full), -1);
	is(errno, ENOSPC);
	fclose(full);
}

/* The report needs some memory of its own, which the kernel does not give any more. */
static void info_without_memory(const void *with)
{
	struct rlimit none = { 0, 0 };

	need(setrlimit(RLIMIT_AS, &none) == 0);
	errno = 0;
	hold(HAK_ABI(malloc_info)(0, (FILE *)(uintptr_t)with) == -1 && errno == ENOMEM);
}

static void check_no_memory(void)
{
	FILE *out = fopen("/dev/full", "w"); /* nothing gets that far */

	if (is_emulated()) {
		skip("malloc_info without memory: the emulator does not limit addresses");
		return;
	}
	need(out);
	capture_silent("malloc_info without memory", info_without_memory, out);
	fclose(out);
}

static void say_stats(const void *with)
{
	(void)with;
	HAK_ABI(malloc_stats)();
}

static void check_stats(void)
{
	struct capture child;

	capture(&child, say_stats, NULL);
	is(child.status, 0);
	ok(strstr(child.words, " live_bytes ") != NULL, "malloc_stats writes to standard error");
}

/* ---- mallopt ---- */

static uint64_t dirty_min(void)
{
	struct hakmem_option option;

	for (unsigned i = 0; hakmem_option_list(i, &option, sizeof(option)) == 0; i++)
		if (strcmp(option.name, "HAKMEM_DIRTY_MIN") == 0)
			return option.value;
	return 0;
}

static void check_mallopt(void)
{
	errno = 77;
	is(HAK_ABI(mallopt)(HAK_M_TRIM_THRESHOLD, 300000), 1);
	is(dirty_min(), 300000);
	is(HAK_ABI(mallopt)(HAK_M_TRIM_THRESHOLD, -1), 1);
	ok(dirty_min() == SIZE_MAX, "a negative threshold is none");
	is(HAK_ABI(mallopt)(HAK_M_TRIM_THRESHOLD, 4 << 20), 1);
	for (int i = HAK_M_ARENA_MAX; i <= HAK_M_TOP_PAD; i++)
		is(HAK_ABI(mallopt)(i, 1), 1);
	is(HAK_ABI(mallopt)(HAK_M_MXFAST, 64), 1);
	is(HAK_ABI(mallopt)(HAK_M_MXFAST, 100000), 0);
	is(HAK_ABI(mallopt)(HAK_M_MXFAST, -1), 0);
	is(HAK_ABI(mallopt)(0, 1), 0);
	is(HAK_ABI(mallopt)(-9, 1), 0);
	is(HAK_ABI(mallopt)(4711, 1), 0);
	is(errno, 77);
}

/* What the user of a program says counts more than what its author says. */
static int obey_user(void)
{
	hold(HAK_ABI(mallopt)(HAK_M_TRIM_THRESHOLD, 300000) == 1);
	hold(dirty_min() == 5 << 20);
	return failures();
}

static void start_with_setting(const void *with)
{
	(void)with;
	emulator_exec_again((char[]){ "user" }, "HAKMEM_DIRTY_MIN", "5M");
}

int main(int count, char **words)
{
	HAK_ABI(free)(HAK_ABI(malloc)(1));
	if (count > 1)
		return strcmp(words[1], "user") == 0 ? obey_user() : HAK_ABI(malloc_info)(0, stdout) != 0;
	check_sums("at start");
	check_amounts();
	check_narrow();
	check_trim();
	check_xml();
	check_info_errors();
	check_no_memory();
	check_stats();
	check_mallopt();
	capture_silent("mallopt does not change what the environment says", start_with_setting, NULL);
	return done();
}
