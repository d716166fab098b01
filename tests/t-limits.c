/* SPDX-License-Identifier: MIT */
/* Little address space: NULL and ENOMEM at the end, and all is well again after frees.  Links: library, rooms.
 *
 * Each case runs in a child with a limit of its own (RLIMIT_AS). */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "names.h"

#include "capture.h"
#include "resident.h"
#include "tap.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum { block_most = 200000 };

/* Before the first block, where nothing is known of malloc: mapped by the test, not counted by it. */
struct blocks {
	unsigned char **at;
	size_t count;
	size_t size;
};

struct limits {
	size_t limit; /* above what the process has when it starts */
	size_t size;
};

static void limit_addresses(size_t more)
{
	struct rlimit limit = {0, 0};

	need(getrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = resident_field(0) + more;
	need(setrlimit(RLIMIT_AS, &limit) == 0);
}

static struct blocks open_blocks(size_t size)
{
	void *place =
		mmap(NULL, block_most * sizeof(void *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(place != MAP_FAILED);
	return (struct blocks){place, 0, size};
}

static bool take_one(struct blocks *b)
{
	unsigned char *p = malloc(b->size);

	if (p == NULL)
		return false;
	p[0] = p[b->size - 1] = (unsigned char)b->count;
	b->at[b->count++] = p;
	return true;
}

/* Until there is no more; returns how many there are. */
static size_t take_all(struct blocks *b)
{
	errno = 0;
	while (b->count < block_most && take_one(b))
		continue;
	hold(b->count == block_most || errno == ENOMEM);
	return b->count;
}

/* Half of the limit or more. */
static bool is_most(const struct blocks *b, size_t limit)
{
	if (b->count == block_most || b->count * b->size >= limit / 2)
		return true;
	note("%zu blocks of %zu bytes in %zu MiB", b->count, b->size, limit / MIB);
	return false;
}

static void check_all(const struct blocks *b)
{
	for (size_t i = 0; i < b->count; i++)
		hold(b->at[i][0] == (unsigned char)i && b->at[i][b->size - 1] == (unsigned char)i);
}

static void free_all(struct blocks *b)
{
	check_all(b);
	while (b->count > 0)
		free(b->at[--b->count]);
}

/* ---- what a child does ---- */

/* Most of the limit can be had, again and again. */
static void exhaust(const void *with)
{
	const struct limits *l = with;
	struct blocks b = open_blocks(l->size);
	size_t first;

	limit_addresses(l->limit);
	first = take_all(&b);
	hold(is_most(&b, l->limit));
	free_all(&b);
	for (int round = 0; round < 3; round++) {
		hold(take_all(&b) >= first * 9 / 10);
		free_all(&b);
	}
}

/* What one size had, another can have. */
static void exhaust_in_turns(const void *with)
{
	static const size_t sizes[] = {64, 70000, 1000, 3 * MIB, 30000, 16, 500000, 2 * MIB, 5000};
	const struct limits *l = with;
	struct blocks b = open_blocks(0);

	limit_addresses(l->limit);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		b.size = sizes[i];
		take_all(&b);
		hold(is_most(&b, l->limit));
		free_all(&b);
	}
}

/* In the middle of it all: what fails leaves everything as it was; one free makes room for one block. */
static void fail_midway(const void *with)
{
	const struct limits *l = with;
	struct blocks b = open_blocks(l->size);
	unsigned char *p;

	limit_addresses(l->limit);
	take_all(&b);
	need(b.count > 8);
	errno = 0;
	hold(realloc(b.at[3], 50 * MIB) == NULL && errno == ENOMEM);
	errno = 0;
	hold(calloc(1, 50 * MIB) == NULL && errno == ENOMEM);
	errno = 0;
	hold(memalign(4096, 50 * MIB) == NULL && errno == ENOMEM);
	check_all(&b);
	for (int i = 0; i < 5; i++) {
		b.count--;
		free(b.at[b.count]);
		hold(take_one(&b));
	}
	p = realloc(b.at[3], b.size / 3 + 1); /* to less */
	hold(p != NULL && p[0] == 3);
	if (p != NULL)
		b.at[3] = p;
	b.at[3][b.size / 3] = 3;
	free(b.at[3]);
	b.count--;
	if (b.count > 3)
		b.at[3] = b.at[b.count];
	while (b.count > 0)
		free(b.at[--b.count]);
	hold(take_all(&b) > 8);
	free_all(&b);
}

static atomic_bool all_there; /* threads: they must not take what the next one's stack needs */

static void *take_in_thread(void *with)
{
	struct blocks *b = with;

	while (!all_there)
		sched_yield();
	take_all(b);
	check_all(b);
	free_all(b);
	return NULL;
}

/* Threads that take all there is at once. */
static void exhaust_in_threads(const void *with)
{
	const struct limits *l = with;
	struct blocks b[3] = {open_blocks(l->size), open_blocks(l->size), open_blocks(l->size)};
	pthread_t threads[3];

	limit_addresses(l->limit + 32 * MIB); /* stacks too */
	for (int i = 0; i < 3; i++)
		need(pthread_create(&threads[i], NULL, take_in_thread, &b[i]) == 0);
	all_there = true;
	for (int i = 0; i < 3; i++)
		need(pthread_join(threads[i], NULL) == 0);
	take_all(&b[0]);
	hold(is_most(&b[0], l->limit));
	free_all(&b[0]);
}

/* The first call of the process: there is room, or there is not, but no crash. */
static void begin_with(const void *with)
{
	const struct limits *l = with;
	void *p;

	limit_addresses(l->limit);
	p = malloc(l->size);
	if (p != NULL)
		memset(p, 1, l->size);
	else
		hold(errno == ENOMEM);
	free(p);
}

/* ---- points ---- */

static void in_child(const char *name, void (*run)(const void *), size_t limit, size_t size)
{
	const struct limits l = {limit, size};
	struct capture child;

	capture(&child, run, &l);
	ok(child.status == 0 && child.words[0] == '\0', "%s: %zu KiB, blocks of %zu bytes", name, limit / KIB, size);
	if (child.status != 0 || child.words[0] != '\0')
		note("status 0x%x, words: %s", (unsigned)child.status, child.words);
}

int main(void)
{
	static const size_t sizes[] = {100, 1024, 9000, 60000, 65536, 100000, MIB, 2 * MIB, 2 * MIB + 1, 5 * MIB};

	if (!RESIDENT_MEANS_SOMETHING)
		skip_all("a sanitizer needs address space");
	if (is_emulated())
		skip_all("the emulator sets no limit on addresses");
	for (size_t limit = 0; limit < 4 * MIB; limit = limit * 2 + 64 * KIB)
		in_child("the first call", begin_with, limit, 100);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		in_child("to the end", exhaust, 48 * MIB, sizes[i]);
	for (size_t limit = 16 * MIB; limit <= 256 * MIB; limit *= 2)
		in_child("to the end", exhaust, limit, 20000);
	for (size_t limit = 48 * MIB; limit <= 192 * MIB; limit *= 2)
		in_child("sizes in turns", exhaust_in_turns, limit, 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes) - 1; i++)
		in_child("failure midway", fail_midway, 48 * MIB, sizes[i]);
	in_child("three threads", exhaust_in_threads, 64 * MIB, 5000);
	in_child("three threads", exhaust_in_threads, 64 * MIB, 100000);
	in_child("three threads", exhaust_in_threads, 64 * MIB, 3 * MIB);
	return done();
}
