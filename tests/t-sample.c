/* SPDX-License-Identifier: MIT */
/* Samples of allocations: as many as chance says, each with what was asked for, where and with which stack; blocks are listed
 * while the program holds them; nothing is left when hits are back.
 * Links: library, rooms. */
#include <hakmem.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "capture.h"
#include "look.h"
#include "names.h"
#include "resident.h"
#include "tap.h"
#ifdef HAK_NO_LIBC_NAMES
#include "sample.h"
#endif

/* musl declares them, and has none. */
#pragma weak getcontext
#pragma weak makecontext
#pragma weak swapcontext

enum { requests = 60000, distance = 1024, kept_count = 200, threads_count = 3 };

static void *kept[kept_count];

/* ---- as the reader outside finds things ---- */

static char *tables(void) { return (char *)look_word(look_place("sample") + look_number("sample_tables")); }

static uint64_t count_now(void)
{
	uint64_t count = 0;

	if (tables())
		memcpy(&count, tables() + look_number("sample_count_at"), sizeof(count));
	return count;
}

static const char *slot_of(uint64_t number)
{
	return tables() + look_number("sample_slots_at") + number % look_number("sample_slots") * look_number("sample_slot_size");
}

static uint64_t field64(uint64_t number, const char *name)
{
	uint64_t value;

	memcpy(&value, slot_of(number) + look_number(name), sizeof(value));
	return value;
}

static uint32_t field32(uint64_t number, const char *name)
{
	uint32_t value;

	memcpy(&value, slot_of(number) + look_number(name), sizeof(value));
	return value;
}

static unsigned listed(const void *p)
{
	const char *live = tables() + look_number("sample_live_at");
	size_t bytes = look_number("sample_live_bytes"), step = look_number("sample_live_size");
	unsigned found = 0;

	look_alive();
	for (size_t i = 0; i < bytes; i += step)
		found += p ? look_word((uintptr_t)live + i) == (uintptr_t)p : look_word((uintptr_t)live + i) != 0;
	return found;
}

/* ---- how many ---- */

static uint64_t samples_of(size_t size)
{
	uint64_t before = count_now();

	for (unsigned i = 0; i < requests; i++) {
		void *p = malloc(size);

		need(p != NULL);
		free(p);
		if (i % 1024 == 0)
			look_alive();
	}
	return count_now() - before;
}

/* expected of a million; four standard deviations of a binomial distribution may be missing, or too many. */
static void check_chance(size_t size, uint64_t expected)
{
	uint64_t got = samples_of(size), want = requests * expected / 1000000, off = got > want ? got - want : want - got;

	ok(off * off <= 16 * want * (1000000 - expected) / 1000000 + 16, "%zu bytes: %lu samples, %lu expected", size,
	   (unsigned long)got, (unsigned long)want);
}

/* 1 - exp(-size / distance) */
static void test_chance(void)
{
	look_sample(distance);
	check_chance(16, 15504);
	check_chance(256, 221199);
	check_chance(1024, 632121);
	check_chance(4096, 981684);
	look_sample(16 * distance);
	check_chance(70000, 986051);
	check_chance(512, 30767);
	look_sample(0);
}

/* ---- what ---- */

static void test_each(void)
{
	uint64_t before;
	bool is_right = true, is_listed = true;

	look_sample(1);
	before = count_now();
	for (unsigned i = 0; i < kept_count; i++)
		need((kept[i] = malloc(i * 100)) != NULL);
	is(count_now() - before, kept_count);
	for (unsigned i = 0; i < kept_count; i++) {
		is_right &= field64(before + i, "sample_number") == before + i + 1;
		is_right &= field64(before + i, "sample_address") == (uintptr_t)kept[i];
		is_right &= field64(before + i, "sample_size") == i * 100 && field64(before + i, "sample_mean") == 1;
		is_right &= field32(before + i, "sample_thread") == (uint32_t)syscall(SYS_gettid);
		is_listed &= listed(kept[i]) == field32(before + i, "sample_is_listed");
	}
	ok(is_right, "what was asked for, where it is, and who asked");
	ok(is_listed, "all of them are listed");
	is(field32(before, "sample_is_listed"), 1);
	for (unsigned i = 0; i < kept_count; i++)
		free(kept[i]);
	is(listed(kept[0]) + listed(kept[kept_count / 2]) + listed(kept[kept_count - 1]), 0);
	is(listed(NULL), 0);
}

/* The stack is there as it was: our variable too, and the end of it. */
static void test_stack(void)
{
	volatile uint64_t here = 0x1234567890abcdef, found = 0;
	uint64_t number = count_now(), sp;
	size_t bytes, at;

	free(malloc(77));
	sp = field64(number, "sample_sp");
	bytes = field32(number, "sample_stack_bytes");
	at = (size_t)((uintptr_t)&here - sp);
	if (bytes == 0) {
		skip("the kernel does not copy here");
		return;
	}
#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__)
	ok(field64(number, "sample_pc") != 0, "where the unwinder starts");
#else
	is(field64(number, "sample_pc"), 0); /* not known there */
#endif
	ok(at + sizeof(here) <= bytes, "%zu bytes, up to %zu here", bytes, at);
	if (at + sizeof(here) <= bytes)
		memcpy((void *)(uintptr_t)&found, slot_of(number) + look_number("sample_stack") + at, sizeof(found));
	ok(found == here, "a variable of this function");
}

static ucontext_t outside_context, inside_context;
static uint64_t coroutine_number;

static void run_coroutine(void)
{
	coroutine_number = count_now();
	free(malloc(99));
}

/* A stack that ends right below a page that nobody may read. */
static void test_short_stack(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 16 * page;
	char *stack = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!getcontext) {
		skip("no contexts here");
		return;
	}
	need(stack != MAP_FAILED && mprotect(stack + size, page, PROT_NONE) == 0);
	need(getcontext(&inside_context) == 0);
	inside_context.uc_stack.ss_sp = stack;
	inside_context.uc_stack.ss_size = size;
	inside_context.uc_link = &outside_context;
	makecontext(&inside_context, run_coroutine, 0);
	need(swapcontext(&outside_context, &inside_context) == 0);
	is(field64(coroutine_number, "sample_number"), coroutine_number + 1);
	ok(field64(coroutine_number, "sample_sp") + field32(coroutine_number, "sample_stack_bytes") <= (uintptr_t)stack + size,
	   "the copy ends with the stack");
	munmap(stack, size + page);
}

static void test_family(void)
{
	uint64_t before = count_now();
	void *p = malloc(1000), *q;

	q = realloc(p, 900); /* stays */
	is(q == p, 1);
	is(count_now() - before, 2);
	is(field64(before + 1, "sample_size"), 900);
	is(listed(q), 1);
	q = realloc(q, 100000);
	is(count_now() - before, 3);
	is(listed(p), 0);
	is(listed(q), 1);
	free(q);
	is(listed(q), 0);
	q = calloc(10, 300);
	is(field64(before + 3, "sample_size"), 3000);
	free(q);
	q = memalign(4096, 5000);
	is(field64(before + 4, "sample_address"), (uintptr_t)q);
	free(q);
	q = malloc((size_t)5 << 20);
	is(field64(before + 5, "sample_size"), (size_t)5 << 20);
	is(listed(q), 1);
	for (unsigned i = 1; i < 8; i++) { /* its pages are moved, or it grows where it is */
		p = q;
		need((q = realloc(p, (size_t)(5 + 20 * i) << 20)) != NULL);
		hold(field64(before + 5 + i, "sample_address") == (uintptr_t)q);
		hold(listed(q) == 1 && (p == q || listed(p) == 0));
	}
	free(q);
	is(listed(q), 0);
	is(count_now() - before, 13);
}

/* ---- many at once, and the end ---- */

static void *churn(void *unused)
{
	void *blocks[64] = { NULL };

	(void)unused;
	for (unsigned i = 0; i < 20000; i++) {
		free(blocks[i % 64]);
		need((blocks[i % 64] = malloc(i % 3000)) != NULL);
	}
	for (unsigned i = 0; i < 64; i++)
		free(blocks[i]);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[threads_count];

	look_sample(3000);
	for (unsigned i = 0; i < threads_count; i++)
		need(pthread_create(&threads[i], NULL, churn, NULL) == 0);
	for (unsigned i = 0; i < threads_count; i++)
		need(pthread_join(threads[i], NULL) == 0);
	ok(listed(NULL) <= 2 * threads_count, "%u are listed: what the C library keeps for its next threads", listed(NULL));
}

static void test_fork(void)
{
	int status = 1;
	pid_t child;

	look_sample(1);
	free(malloc(1));
	free(malloc(1));
	child = fork();
	if (child == 0) {
		free(malloc(1));
		_exit(tables() != NULL || look_word(look_place("sample") + look_number("sample_distance")) != 0);
	}
	need(child > 0 && waitpid(child, &status, 0) == child);
	is(status, 0);
}

static void test_end(void)
{
	size_t during, after;

	look_sample(1);
	for (unsigned i = 0; i < 600; i++) {
		need((kept[i % kept_count] = malloc(100)) != NULL);
		if (i >= kept_count)
			free(kept[i % kept_count]);
	}
	during = resident();
	ok(count_now() > 0, "%lu samples", (unsigned long)count_now());
	look_sample(0);
	free(malloc(1));
	free(malloc(1));
	after = resident();
	if (is_emulated() && sysconf(_SC_PAGESIZE) > 4096) {
		skip("the end: with larger pages the emulator purges no mapping whose length is not a multiple of them");
		return;
	}
	is(count_now(), 0);
	ok(listed(NULL) == 0, "nothing is listed, though some is held");
	ok(after < during || !RESIDENT_MEANS_SOMETHING, "resident: %zu -> %zu KiB", during >> 10, after >> 10);
	need(tables() != NULL);
}

/* There hits never come back; a call that is none sees the end. */
static int secured(void)
{
	static void *all[5000];

	look_sample(1);
	for (unsigned i = 0; i < 600; i++)
		need((kept[i % kept_count] = malloc(100)) != NULL);
	hold(count_now() > 0);
	look_sample(0);
	for (unsigned i = 0; i < 5000; i++)
		all[i] = malloc(500);
	for (unsigned i = 0; i < 5000; i++)
		free(all[i]);
	hold(count_now() == 0 && listed(NULL) == 0);
	return failures() != 0;
}

static void start_secured(const void *with)
{
	char word[] = "secured";

	(void)with;
	emulator_exec_again(word, "HAKMEM_SECURE", "1");
}

static void test_end_secured(void)
{
	struct capture child;

	if (is_emulated() && sysconf(_SC_PAGESIZE) > 4096) {
		skip("the end with HAKMEM_SECURE: as above");
		return;
	}
	capture(&child, start_secured, NULL);
	ok(child.status == 0, "the end with HAKMEM_SECURE: status 0x%x %s", (unsigned)child.status, child.words);
}

/* Who asked was killed. */
static void test_orphan(void)
{
#ifdef HAK_NO_LIBC_NAMES
	look_sample(1);
	free(malloc(1)); /* malloc is a hit still */
	free(malloc(1));
	ok(hak_sample_is_on() && hak_starve_is_on(), "it is on");
	hak_store(&hak_sample.seen_at, hak_load(&hak_sample.seen_at, relaxed) - HAK_SAMPLE_ORPHAN_MS - 1000, relaxed);
	free(malloc(1));
	free(malloc(1));
	ok(!hak_sample_is_on() && !hak_starve_is_on(), "it ends by itself");
#endif
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return secured();
	ok(tables() == NULL, "nothing is there that nobody asked for");
	test_chance();
	test_each();
	for (uint32_t unfiltered = 0; unfiltered <= 1; unfiltered++) {
		memcpy((void *)(look_place("sample") + look_number("sample_unfiltered")), &unfiltered, sizeof(unfiltered));
		test_stack();
		test_short_stack();
	}
	test_family();
	test_threads();
	test_fork();
	test_end();
	test_end_secured();
	test_orphan();
	return done();
}
