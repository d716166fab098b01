/* SPDX-License-Identifier: MIT */
/* Promise 27: no misuse makes malloc hand out a block twice, or an address that is not its own.
 *
 * Each misuse runs three times (under an emulator once) in a process of its own, for each value of HAKMEM_SECURE: it dies with a
 * sentence, or goes on and then all that malloc hands out is new.  What the default build promises only for the first blocks of a
 * size that are freed is marked, and is counted where it does not hold.
 * Links: library. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "promise.h"

void free_sized(void *p, size_t size);

#define PROBES 600
#define HELD 700
#define WARM 300 /* blocks of a process whose sizes have parted and whose caches have grown: in all runs but the first */
#define AGED 100 /* .. and so many of each thread that were freed before: in the last */

static char *held[PROBES + HELD];
static size_t held_size[PROBES + HELD], held_count;
static size_t size; /* of the blocks of this run */
static char *a, *b, *c, *d;
static char static_room[65536] __attribute__((aligned(4096)));

/* The compiler must not know that a freed pointer is used. */
static void *again(void *p)
{
	void *volatile same = p;

	return same;
}

static void keep(char *p, size_t bytes)
{
	need(held_count < PROBES + HELD);
	held[held_count] = p;
	held_size[held_count++] = bytes;
}

static char *fresh(void)
{
	char *p = malloc(size);

	need(p != NULL);
	return p;
}

/* ---- misuses ---- */

static void in_thread(void *(*run)(void *), void *with)
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, run, with) == 0);
	pthread_join(thread, NULL);
}

static char *aged[2][AGED]; /* what this thread, and the one that it makes, free before the misuse */

static void age(int who)
{
	for (int i = 0; i < AGED && aged[who][i]; i++)
		free(aged[who][i]);
}

static void *thread_free(void *p)
{
	age(1);
	free(p);
	return NULL;
}

static sem_t freed;

static void *thread_free_and_live(void *p)
{
	thread_free(p);
	sem_post(&freed);
	for (;;)
		pause();
	return NULL;
}

static void free_in_living_thread(void *p)
{
	pthread_t thread;

	need(sem_init(&freed, 0, 0) == 0 && pthread_create(&thread, NULL, thread_free_and_live, p) == 0);
	while (sem_wait(&freed) != 0)
		;
}

static void *thread_free_twice(void *p)
{
	age(1);
	free(p);
	free(again(p));
	return NULL;
}

static void *thread_free_between(void *p)
{
	age(1);
	free(p);
	free(again(b));
	free(again(p));
	return NULL;
}

/* So many blocks freed, or taken, in between. */
static void twice_after(int frees)
{
	char *others[300];

	for (int i = 0; i < frees; i++)
		others[i] = fresh();
	free(a);
	for (int i = 0; i < frees; i++)
		free(others[i]);
	free(again(a));
}

static void twice(void) { free(a); free(again(a)); }
static void twice_after_1(void) { twice_after(1); }
static void twice_after_2(void) { twice_after(2); }
static void twice_after_7(void) { twice_after(7); }
static void twice_after_300(void) { twice_after(300); }
static void thrice(void) { free(a); free(again(a)); free(again(a)); }

static bool is_held(const char *p)
{
	for (size_t i = 0; i < held_count; i++)
		if (held[i] == p)
			return true;
	return false;
}

static bool is_one_of(const char *p, char *const *these, int n)
{
	for (int i = 0; i < n; i++)
		if (these[i] == p)
			return true;
	return false;
}

/* The cache overflowed, and was refilled, since the first free; the block was not handed out again. */
static void twice_across_refill(void)
{
	char *others[300];

	for (int i = 0; i < 300; i++)
		others[i] = fresh();
	for (int i = 0; i < 300; i++)
		free(others[i]);
	for (int i = 0; i < 200; i++)
		keep(fresh(), size);
	for (int i = 0; i < 300; i++)
		if (!is_held(others[i])) {
			free(again(others[i]));
			return;
		}
}

/* A few freed, some of them handed out again: the cache holds the others. */
static void twice_recarved(void)
{
	char *others[8], *last;

	for (int i = 0; i < 8; i++)
		others[i] = fresh();
	for (int i = 0; i < 8; i++)
		free(others[i]);
	do
		keep(last = fresh(), size);
	while (!is_one_of(last, others, 8) && held_count < PROBES);
	for (int i = 8; i-- > 0;)
		if (!is_held(others[i])) {
			free(again(others[i]));
			return;
		}
}

static void twice_other_size(void)
{
	free(a);
	free(malloc(size * 2));
	free(again(a));
}

static void twice_here_and_there(void) { free(a); in_thread(thread_free, again(a)); }
static void twice_there_and_here(void) { in_thread(thread_free, a); free(again(a)); }
static void twice_here_and_beside(void) { free(a); free_in_living_thread(again(a)); }
static void twice_beside_and_here(void) { free_in_living_thread(a); free(again(a)); }
static void twice_beside(void) { free_in_living_thread(a); free_in_living_thread(again(a)); }
static void twice_there(void) { in_thread(thread_free_twice, a); }
static void twice_there_between(void) { in_thread(thread_free_between, a); }
static void resize_freed(void) { free(a); keep(realloc(again(a), size * 3), size * 3); }
static void free_resized(void)
{
	char *moved = realloc(a, size * 4);

	if (moved != a)
		free(again(a));
	keep(moved, size * 4);
}
static void inside_16(void) { free(again(a + 16)); }
static void inside_8(void) { free(again(a + 8)); }
static void inside_1(void) { free(again(a + 1)); }
static void inside_half(void) { free(again(a + size / 2)); }
static void inside_last(void) { free(again(a + size - 1)); }
static void before(void) { free(again(a - 16)); }
static void inside_there(void) { in_thread(thread_free, a + 16); }
static void resize_inside(void) { keep(realloc(again(a + 16), size * 3), size * 3); }
static void stack(void)
{
	char room[4096] __attribute__((aligned(16)));

	keep(room, sizeof(room));
	free(again(room + 1024));
}
/* As a block of the C library begins that is none of its main heap.  On one page: then it is known without futex too. */
static void stack_like_block(void)
{
	size_t room[512] __attribute__((aligned(4096))) = { 0 };

	keep((char *)room, sizeof(room));
	room[127] = 0x105;
	free(again((char *)&room[128]));
}
static void statics(void)
{
	keep(static_room, sizeof(static_room));
	free(again(static_room + size));
}
static void foreign(void)
{
	char *map = map_table(1 << 20);

	keep(map, 1 << 20);
	free(again(map + 65536));
}
static void foreign_start(void)
{
	char *map = map_table(1 << 20);

	keep(map, 1 << 20);
	free(again(map));
}
static void resize_stack(void)
{
	char room[4096] __attribute__((aligned(16)));

	keep(room, sizeof(room));
	keep(realloc(again(room + 1024), 100), 100);
}
static void nowhere(void) { free(again((void *)(uintptr_t)0x1230)); }
static void far_above(void) { free(again((void *)(UINTPTR_MAX / 2 & ~(uintptr_t)15))); }
static void wrong_size(void) { free_sized(a, size * 8 + 64); }
static void aligned_twice(void)
{
	void *p = aligned_alloc(64, (size + 63) / 64 * 64);

	free(p);
	free(again(p));
}
static void zeroed_twice(void)
{
	void *p = calloc(1, size);

	free(p);
	free(again(p));
}

#define YOUNG 1 /* the default build may hand out a block twice if many of this size were freed before */

static const struct misuse {
	const char *name;
	void (*run)(void);
	int small, bigger, mid; /* the same for blocks of 48 and 1000, of 12000, and of 200000 bytes; -1: not run */
} misuses[] = {
	{ "a double free", twice, 0, 0, 0 },
	{ "a double free, one between", twice_after_1, 0, 0, 0 },
	{ "a double free, two between", twice_after_2, YOUNG, 0, 0 },
	{ "a double free, seven between", twice_after_7, YOUNG, 0, 0 },
	{ "a double free, 300 between", twice_after_300, 0, 0, -1 },
	{ "a triple free", thrice, 0, 0, 0 },
	{ "a double free across a refill", twice_across_refill, YOUNG, 0, -1 },
	{ "a double free of what a refill brought", twice_recarved, YOUNG, 0, -1 },
	{ "a double free, another size between", twice_other_size, 0, 0, -1 },
	{ "a double free, here and in a thread", twice_here_and_there, YOUNG, YOUNG, 0 },
	{ "a double free, in a thread and here", twice_there_and_here, YOUNG, YOUNG, 0 },
	{ "a double free, here and in a thread that lives", twice_here_and_beside, YOUNG, YOUNG, 0 },
	{ "a double free, in a thread that lives and here", twice_beside_and_here, YOUNG, YOUNG, 0 },
	{ "a double free in two threads that live", twice_beside, YOUNG, YOUNG, 0 },
	{ "a double free in a thread", twice_there, 0, 0, 0 },
	{ "a double free in a thread, one between", twice_there_between, 0, 0, 0 },
	{ "realloc of a freed block", resize_freed, 0, 0, 0 },
	{ "free of what realloc moved", free_resized, 0, 0, -1 },
	{ "free 16 bytes inside", inside_16, 0, 0, 0 },
	{ "free 8 bytes inside", inside_8, 0, 0, 0 },
	{ "free 1 byte inside", inside_1, 0, 0, 0 },
	{ "free in the middle", inside_half, 0, 0, 0 },
	{ "free of the last byte", inside_last, 0, 0, 0 },
	{ "free before the block", before, 0, 0, -1 },
	{ "free inside, in a thread", inside_there, 0, 0, 0 },
	{ "realloc inside", resize_inside, 0, 0, 0 },
	{ "free of the stack", stack, 0, -1, -1 },
	{ "free of the stack that looks like a block", stack_like_block, 0, -1, -1 },
	{ "free of a static variable", statics, 0, -1, -1 },
	{ "free inside a foreign mapping", foreign, 0, -1, -1 },
	{ "free of a foreign mapping", foreign_start, 0, -1, -1 },
	{ "realloc of the stack", resize_stack, 0, -1, -1 },
	{ "free of an address that is nowhere", nowhere, 0, -1, -1 },
	{ "free of an address far above", far_above, 0, -1, -1 },
	{ "free_sized with a wrong size", wrong_size, 0, 0, 0 },
	{ "a double free of aligned memory", aligned_twice, 0, 0, 0 },
	{ "a double free of zeroed memory", zeroed_twice, 0, 0, 0 },
};

#define KINDS (sizeof(misuses) / sizeof(misuses[0]))

/* ---- one run, in a process of its own ---- */

#define AGED_RUN 3

/* The blocks that are in use overlap nothing. */
static int judge(void)
{
	for (size_t i = 0; i < held_count; i++) {
		if (held[i] == NULL)
			continue;
		if (held_size[i] == size && (uintptr_t)held[i] % 16 != 0)
			return 3;
		for (size_t k = 0; k < i; k++)
			if (held[k] != NULL && held[i] < held[k] + held_size[k] && held[k] < held[i] + held_size[i])
				return 2;
	}
	return 0;
}

static int run_one(const struct misuse *misuse, size_t bytes, int run)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	size = bytes;
	for (int i = 0; i < WARM && run > 0 && size <= 65536; i++)
		keep(fresh(), size);
	for (int i = 0; i < 2 * AGED && run == AGED_RUN && size <= 65536; i++)
		aged[i / AGED][i % AGED] = fresh();
	age(0);
	a = fresh(), b = fresh(), c = fresh(), d = fresh();
	memset(a, 1, size);
	memset(b, 1, size);
	keep(c, size);
	keep(d, size);
	misuse->run();
	for (int i = 0; i < (size > 65536 ? 60 : PROBES); i++)
		keep(fresh(), size);
	return judge();
}

/* ---- all runs ---- */

static int spawn(size_t kind, size_t bytes, int level, int run)
{
	char text[4][24];
	int status = -1;
	pid_t child;

	snprintf(text[0], sizeof(text[0]), "%zu", kind);
	snprintf(text[1], sizeof(text[1]), "%zu", bytes);
	snprintf(text[2], sizeof(text[2]), "%d", level);
	snprintf(text[3], sizeof(text[3]), "%d", run);
	child = fork();
	need(child >= 0);
	if (child == 0) {
		char *arguments[] = { (char[]){ "p27-misuse" }, text[0], text[1], text[3], NULL };

		setenv("HAKMEM_SECURE", text[2], 1);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(98);
		emulator_exec_self(arguments);
		_exit(99);
	}
	need(waitpid(child, &status, 0) == child);
	return status;
}

static unsigned kinds, unkept;

static int first_run(void) { return is_emulated() ? 1 : 0; } /* slow to start: only one */
static int last_run(void) { return is_emulated() ? 1 : AGED_RUN; }

static void try(size_t kind, size_t bytes, int level, int allowance)
{
	if (allowance < 0)
		return;
	for (int run = first_run(); run <= last_run(); run++) {
		int status = spawn(kind, bytes, level, run);
		bool is_sound = status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);

		if (!is_sound && level == 0 && run == AGED_RUN && allowance == YOUNG && WIFEXITED(status) && WEXITSTATUS(status) == 2)
			unkept++, note("%s, %zu bytes", misuses[kind].name, bytes);
		else if (!hold(is_sound))
			note("%s, %zu bytes, HAKMEM_SECURE=%d, run %d: status 0x%x", misuses[kind].name, bytes, level, run, (unsigned)status);
	}
	kinds++;
}

int main(int argc, char **argv)
{
	if (argc == 4)
		return run_one(&misuses[strtoul(argv[1], NULL, 10)], strtoul(argv[2], NULL, 10), atoi(argv[3]));
	for (int level = 0; level <= 3; level++) {
		kinds = unkept = 0;
		for (size_t kind = 0; kind < KINDS; kind++) {
			try(kind, 48, level, misuses[kind].small);
			try(kind, 1000, level, misuses[kind].small);
			try(kind, 12000, level, misuses[kind].bigger);
			try(kind, 200000, level, misuses[kind].mid);
		}
		ok(failures() == 0, "HAKMEM_SECURE=%d: %u kinds of misuse, %d runs each; handed out twice: %u", level,
		   kinds, last_run() - first_run() + 1, unkept);
	}
	return done();
}
