/* SPDX-License-Identifier: MIT */
/* HAKMEM_SECURE: what each level adds.  Each point runs in a process of its own that begins with the setting.
 * Links: library. */
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "capture.h"
#include "hard.h"
#include "tap.h"

#define COUNT 500

void free_sized(void *p, size_t size);
#if SIZE_MAX == UINT_MAX
void delete_sized(void *p, size_t size) __asm__("_ZdlPvj");
#else
void delete_sized(void *p, size_t size) __asm__("_ZdlPvm");
#endif

static void *again(void *p)
{
	void *volatile same = p;

	return same;
}

static char *filled(size_t size)
{
	char *p = malloc(size);

	need(p != NULL);
	memset(p, 0x5a, size);
	return p;
}

/* ---- what holds: exit status 0 ---- */

/* Of all entries: contents stay, and memory of calloc is zero. */
static void works(void)
{
	static char *blocks[COUNT];
	static size_t sizes[COUNT];
	uint32_t random = 1;

	for (int i = 0; i < 200000; i++) {
		size_t at = (random = random * 1664525 + 1013904223) >> 8, slot = at % COUNT;
		size_t size = at % 97 == 0 ? at % 300000 : at % 2000;
		bool zero = at & 1024;
		char *p;

		for (size_t k = 0; k < sizes[slot]; k += 61)
			hold(blocks[slot][k] == (char)slot);
		if (at % 3 == 0 && size > 0) {
			p = realloc(blocks[slot], size);
			for (size_t k = 0; k < size && k < sizes[slot]; k += 61)
				hold(p[k] == (char)slot);
		} else {
			free(blocks[slot]);
			p = zero ? calloc(1, size) : at % 5 == 0 ? memalign(64, size) : malloc(size);
			for (size_t k = 0; k < size && zero; k++)
				hold(p[k] == 0);
		}
		hold(malloc_usable_size(p) >= size);
		blocks[slot] = p;
		sizes[slot] = size;
		memset(p, (char)slot, size);
	}
	for (int i = 0; i < COUNT; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
		sizes[i] = 0;
	}
}

static void *thread_works(void *with)
{
	works();
	free(with);
	return NULL;
}

static void works_in_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		void *p = malloc(100);

		need(pthread_create(&thread, NULL, thread_works, p) == 0);
		pthread_join(thread, NULL);
	}
}

/* ---- blocks go from thread to thread, and threads end ---- */

#define PLACES 64

static _Atomic(char *) places[PLACES];

/* Each block is filled with one value, by whoever allocated it; whoever finds it frees it. */
static void exchange(unsigned turns, uint32_t random)
{
	for (unsigned i = 0; i < turns; i++) {
		size_t at = (random = random * 1664525 + 1013904223) >> 8, size = 1 + at % (at % 16 ? 700 : 20000);
		char *p = filled(size);

		p = atomic_exchange(&places[at / 20000 % PLACES], p);
		if (p && at % 7 == 0)
			p = realloc(p, size);
		hold(!p || p[0] == 0x5a);
		free(p);
	}
}

static void *thread_exchanges(void *with)
{
	exchange(3000, (uint32_t)(uintptr_t)with);
	return NULL;
}

static void works_across_threads(void)
{
	pthread_t threads[3];

	for (uintptr_t round = 0; round < 12; round++) { /* the later ones adopt the heaps of those that have ended */
		for (uintptr_t i = 0; i < 3; i++)
			need(pthread_create(&threads[i], NULL, thread_exchanges, (void *)(round * 3 + i)) == 0);
		exchange(3000, (uint32_t)round + 1000);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
	}
	for (int i = 0; i < PLACES; i++)
		free(atomic_exchange(&places[i], NULL));
}

static atomic_bool is_over;

static void *thread_churns(void *with)
{
	char *blocks[64] = { NULL };
	uint32_t random = (uint32_t)(uintptr_t)with, turns = random < 100 ? UINT32_MAX : 3000; /* in a child few */

	for (uint32_t i = 0; i < turns && !is_over; i++) {
		size_t at = (random = random * 1664525 + 1013904223) >> 8;

		free(blocks[at % 64]);
		blocks[at % 64] = filled(16 + at / 64 % 9 * 100);
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
	return NULL;
}

static void run_threads(pthread_t *threads, uintptr_t count, uintptr_t seed)
{
	for (uintptr_t i = 0; i < count; i++)
		need(pthread_create(&threads[i], NULL, thread_churns, (void *)(seed + i)) == 0);
}

/* A child's threads take the heaps of threads that were in the midst of a hit: C6 of secure.h. */
static void works_in_children(void)
{
	pthread_t threads[3], own[5];
	int status = 0;

	if (is_emulated())
		return; /* fork among threads is not for emulators */
	run_threads(threads, 3, 1);
	for (int i = 0; i < 250 && status == 0; i++) {
		pid_t child = fork();

		need(child >= 0);
		if (child == 0) {
			alarm(60);
			run_threads(own, 5, 100);
			for (int k = 0; k < 5; k++)
				pthread_join(own[k], NULL);
			_exit(failures());
		}
		need(waitpid(child, &status, 0) == child);
	}
	hold(status == 0);
	is_over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static char *_Atomic handled[8];

static void handler(int signal)
{
	static unsigned turn;
	char *p = malloc(10 + 90 * (turn % 5));

	(void)signal;
	if (p)
		memset(p, 0x5a, 10);
	p = atomic_exchange(&handled[turn++ % 8], p);
	hold(!p || p[9] == 0x5a);
	free(p);
}

/* Against the rules, and yet right where no hit can be interrupted half-way. */
static void works_in_handlers(void)
{
	struct itimerval timer = { { 0, 200 }, { 0, 200 } };
	char *blocks[32] = { NULL };
	uint32_t random = 7;

	need(signal(SIGPROF, handler) != SIG_ERR && setitimer(ITIMER_PROF, &timer, NULL) == 0);
	for (unsigned i = 0; i < 300000; i++) {
		size_t at = (random = random * 1664525 + 1013904223) >> 8;

		hold(!blocks[at % 32] || blocks[at % 32][0] == 0x5a);
		free(blocks[at % 32]);
		blocks[at % 32] = filled(10 + 90 * (at / 32 % 5));
	}
	timer.it_interval.tv_usec = timer.it_value.tv_usec = 0;
	need(setitimer(ITIMER_PROF, &timer, NULL) == 0);
}

static void is_wiped(void)
{
	char *p = filled(1000);

	free(p);
	p = again(p);
	for (int i = 0; i < 1000; i++)
		hold(p[i] == 0);
}

static void is_wiped_mid(void)
{
	char *p = filled(300000);

	free(p);
	p = again(p);
	for (int i = 0; i < 300000; i++)
		hold(p[i] == 0);
}

static void waits(void)
{
	char *p = malloc(100);

	free(p);
	for (int i = 0; i < 200; i++) {
		char *q = malloc(100);

		hold(q != p);
		free(q);
	}
}

static void has_no_order(void)
{
	char *before = malloc(100);
	int up = 0;

	for (int i = 0; i < COUNT; i++) {
		char *p = malloc(100);

		up += p > before && p < before + 200;
		before = p;
	}
	hold(up < COUNT / 2);
}

static void knows_sizes(void)
{
	for (size_t size = 0; size <= 65536; size += size < 300 ? 1 : 997) {
		char *p = malloc(size);

		hold(malloc_usable_size(p) == size);
		memset(p, 1, size);
		p = realloc(p, size + 3);
		hold(malloc_usable_size(p) == size + 3 || size + 3 > 65528);
		free(p);
	}
}

/* ---- what dies ---- */

static void writes_1_behind(void)
{
	char *volatile p = malloc(100);

	p[100] = 0;
	free(p);
}

static void writes_1_behind_all(void)
{
	char *volatile p = malloc(104); /* 112 bytes with the trailer: nothing between */

	p[104] ^= 1;
	free(p);
}

/* Of the 8 bytes of pattern behind 80. */
static void writes_8_behind(void)
{
	char *volatile p = malloc(80);

	p[87] = 0;
	free(p);
}

static void writes_behind_and_resizes(void)
{
	char *volatile p = malloc(40);

	memset(p, 1, 44);
	p = realloc(p, 1000);
}

static void write_freed_at(size_t at)
{
	char *volatile p = malloc(100);

	free(p);
	p[at] = 1;
	for (int i = 0; i < 10000; i++)
		free(malloc(100));
}

static void writes_freed(void) { write_freed_at(50); }
static void writes_freed_end(void) { write_freed_at(111); }

/* Each where the block before or behind it is one that the program holds. */
static void free_inside(size_t size, size_t at)
{
	char *blocks[3];

	for (int i = 0; i < 3; i++)
		blocks[i] = malloc(size);
	free(again(blocks[1] + at));
}

static void frees_inside_1(void) { free_inside(40, 1); }
static void frees_inside_16(void) { free_inside(40, 16); }
static void frees_inside_large(void) { free_inside(45000, 45000 / 16 * 16); }

static void frees_wrong_size(void) { free_sized(malloc(100), 101); }

static void deletes_wrong_size(void) { delete_sized(malloc(100), 50); }

static void frees_later(void)
{
	void *blocks[20];

	for (int i = 0; i < 20; i++)
		blocks[i] = malloc(100);
	for (int i = 0; i < 20; i++)
		free(blocks[i]);
	free(again(blocks[7]));
}

static void *thread_free(void *p)
{
	free(p);
	return NULL;
}

static void frees_in_thread_and_here(void)
{
	pthread_t thread;
	void *p = malloc(100);

	hold(malloc(100) != NULL); /* their slab stays in use */
	need(pthread_create(&thread, NULL, thread_free, p) == 0);
	pthread_join(thread, NULL);
	free(again(p));
}

static void frees_never_given(void)
{
	char *low = malloc(4000), *high = malloc(4000);

	free(again((low > high ? low : high) + 4096));
}

static const struct point {
	const char *name;
	void (*run)(void);
	int from;         /* the lowest level for which it holds */
	const char *dies; /* of that: entry and words; NULL: it lives */
} points[] = {
	{ "all entries work", works, 0, NULL },
	{ "all entries work in threads", works_in_threads, 0, NULL },
	{ "blocks go from thread to thread", works_across_threads, 0, NULL },
	{ "children of a process with threads", works_in_children, 1, NULL },
	{ "a signal handler allocates", works_in_handlers, 1, NULL },
	{ "freed memory is zero", is_wiped, 2, NULL },
	{ "freed memory of a larger block is zero", is_wiped_mid, 2, NULL },
	{ "a freed block waits", waits, 2, NULL },
	{ "blocks have no order", has_no_order, 2, NULL },
	{ "usable sizes are exact", knows_sizes, 3, NULL },
	{ "a double free later", frees_later, 1, "free: double free of a block of 112 bytes" },
	{ "a double free in two threads", frees_in_thread_and_here, 1, "free: double free of a block of 112 bytes" },
	{ "free of a block that was never given out", frees_never_given, 1, "free: double free of a block of 4096 bytes" },
	{ "free of a block's second byte", frees_inside_1, 1, "free: the pointer leads into a block of 48 bytes, not to its start" },
	{ "free of its second line", frees_inside_16, 1, "free: the pointer leads into a block of 48 bytes, not to its start" },
	{ "free of the end of a long block", frees_inside_large, 1, "free: the pointer leads into a block of 49152 bytes, not to its start" },
	{ "a byte behind", writes_1_behind, 3, "free: the program wrote behind the end of the block of 112 bytes" },
	{ "a byte behind a full block", writes_1_behind_all, 3,
	  "free: the program wrote behind the end of the block of 112 bytes" },
	{ "the eighth byte behind", writes_8_behind, 3, "free: the program wrote behind the end of the block of 96 bytes" },
	{ "bytes behind, and realloc", writes_behind_and_resizes, 3,
	  "realloc: the program wrote behind the end of the block of 48 bytes" },
	{ "a write after free", writes_freed, 3, "malloc: the program wrote to the block of 112 bytes after it was freed" },
	{ "a write to the last byte after free", writes_freed_end, 3,
	  "malloc: the program wrote to the block of 112 bytes after it was freed" },
	{ "a size wrong by one", frees_wrong_size, 3, "free_sized: the size is wrong: the block has 100 bytes" },
	{ "operator delete with a wrong size", deletes_wrong_size, 3,
	  "operator delete: the size is wrong: the block has 100 bytes" },
};

struct job {
	size_t point;
	int level;
};

static void start(const void *with)
{
	const struct job *job = with;
	char text[24], level[2] = { (char)('0' + job->level), '\0' };

	snprintf(text, sizeof(text), "%zu", job->point);
	emulator_exec_again(text, "HAKMEM_SECURE", level);
	_exit(99);
}

/* "hakmem: free(0x123): words" has the entry "free" and these words. */
static bool says(const char *line, const char *expected)
{
	size_t entry = strcspn(expected, ":");
	const char *at = strstr(line, "): ");

	return strncmp(line, "hakmem: ", 8) == 0 && strncmp(line + 8, expected, entry) == 0 && line[8 + entry] == '(' &&
	       at != NULL && strncmp(at + 3, expected + entry + 2, strlen(expected + entry + 2)) == 0 &&
	       strcmp(at + 3 + strlen(expected + entry + 2), "\n") == 0;
}

static void try(size_t i, int level)
{
	const struct point *point = &points[i];
	struct job job = { i, level };
	struct capture child;
	bool is_good;

	if (point->run == has_no_order && is_hard_skipped(point->name)) /* it is drawn among those in the cache */
		return;
	capture(&child, start, &job);
	if (point->dies)
		is_good = WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT && says(child.words, point->dies);
	else
		is_good = child.status == 0 && child.words[0] == '\0';
	if (!ok(is_good, "HAKMEM_SECURE=%d: %s", level, point->name))
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

int main(int argc, char **argv)
{
	if (argc == 2) {
		points[strtoul(argv[1], NULL, 10)].run();
		return failures() != 0;
	}
	for (int level = 0; level <= 3; level++)
		for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
			if (level >= points[i].from)
				try(i, level);
	return done();
}
