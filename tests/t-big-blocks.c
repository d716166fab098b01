/* SPDX-License-Identifier: MIT */
/* Blocks of 512 KiB to 40 MiB from three threads, as programs use them: contents, zeroing, no overlap; with huge pages
 * and without, with everything kept and nothing.  Settings are read once in a process: this program runs itself again. */
#include <pthread.h>
#include <time.h>

#include "capture.h"
#include "names.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum { threads = 3, held = 5, milliseconds = 1000, least_steps = 60, stride = 16 << 10 };

struct block {
	unsigned char *at;
	size_t size;
	uint64_t mark;
};

struct worker {
	pthread_t thread;
	uint32_t random;
	uint64_t marks; /* never the same in two threads */
	unsigned long steps;
	struct block block[held];
};

static struct worker worker[threads];
static uint64_t end;

static uint64_t now(void)
{
	struct timespec t = {0, 0};

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t next_random(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	return w->random ^= w->random << 5;
}

/* Small ones are as many as large ones of twice the size. */
static size_t random_size(struct worker *w)
{
	size_t least = (512 * KIB) << next_random(w) % 7, size = least + next_random(w) % least;

	return size < 40 * MIB ? size : 40 * MIB;
}

/* ---- contents: a word each 16 KiB, and the last byte ---- */

static void fill(struct worker *w, struct block *b)
{
	b->mark = w->marks += threads;
	for (size_t i = 0; i + 8 <= b->size; i += stride)
		*(uint64_t *)(void *)(b->at + i) = b->mark << 32 ^ i;
	b->at[b->size - 1] = (unsigned char)b->mark;
}

/* The first `size` bytes are what they were. */
static void check(const struct block *b, size_t size)
{
	size_t i = 0;

	while (i + 8 < size && *(const uint64_t *)(const void *)(b->at + i) == (b->mark << 32 ^ i))
		i += stride;
	hold(i + 8 >= size);
	hold(size < b->size || b->at[size - 1] == (unsigned char)b->mark);
}

/* All of a block that is not too large; else where others may have written. */
static bool is_zero(const unsigned char *p, size_t size)
{
	size_t i = 0;

	if (size < 2 * MIB)
		return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
	while (i + 8 <= size && *(const uint64_t *)(const void *)(p + i) == 0)
		i += stride;
	return i + 8 > size && p[size - 1] == 0;
}

/* ---- steps ---- */

static void take(struct worker *w, struct block *b)
{
	bool zeroed = next_random(w) % 2;

	b->size = random_size(w);
	b->at = zeroed ? calloc(b->size / 16, 16) : malloc(b->size);
	b->size -= zeroed ? b->size % 16 : 0;
	if (!hold(b->at != NULL))
		return;
	hold((uintptr_t)b->at % 16 == 0 && malloc_usable_size(b->at) >= b->size);
	if (zeroed)
		hold(is_zero(b->at, b->size));
	fill(w, b);
}

static void resize(struct worker *w, struct block *b)
{
	size_t size = random_size(w);
	unsigned char *to = realloc(b->at, size);

	if (!hold(to != NULL))
		return;
	b->at = to;
	check(b, size < b->size ? size : b->size);
	b->size = size;
	fill(w, b);
}

static void give(struct block *b)
{
	check(b, b->size);
	free(b->at);
	b->at = NULL;
}

static void *work(void *with)
{
	struct worker *w = with;

	while ((now() < end || w->steps < least_steps) && failures() == 0) {
		struct block *b = &w->block[next_random(w) % held];

		if (!b->at)
			take(w, b);
		else if (next_random(w) % 3 == 0)
			resize(w, b);
		else
			give(b);
		w->steps++;
	}
	for (int i = 0; i < held; i++)
		if (w->block[i].at)
			give(&w->block[i]);
	return NULL;
}

static int run(void)
{
	end = now() + milliseconds;
	for (unsigned i = 0; i < threads; i++) {
		worker[i].random = i + 1;
		worker[i].marks = i + 1;
		need(pthread_create(&worker[i].thread, NULL, work, &worker[i]) == 0);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(worker[i].thread, NULL);
	return failures();
}

/* ---- this program again, with settings ---- */

static char *program;

static void run_again(const void *with)
{
	char *const *settings = with;
	char *words[] = {program, (char[]){"run"}, NULL};

	emulator_exec(words, settings);
	_exit(99);
}

static void with(const char *name, char *first, char *second)
{
	char *settings[] = {first, second, NULL};

	capture_silent(name, run_again, settings);
}

int main(int count, char **words)
{
	program = words[0];
	if (count > 1)
		return run();
	with("as it is", NULL, NULL);
	with("no huge pages", (char[]){"HAKMEM_THP=never"}, NULL);
	with("huge pages everywhere", (char[]){"HAKMEM_THP=always"}, NULL);
	with("no huge pages, all is kept", (char[]){"HAKMEM_THP=never"}, (char[]){"HAKMEM_ELO_THRESHOLD=1G"});
	with("huge pages, all is kept", (char[]){"HAKMEM_THP=always"}, (char[]){"HAKMEM_ELO_THRESHOLD=1G"});
	with("huge pages, nothing is kept", (char[]){"HAKMEM_THP=always"}, (char[]){"HAKMEM_ELO_THRESHOLD=512K"});
	return done();
}
