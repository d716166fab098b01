/* SPDX-License-Identifier: MIT */
/* stress [SECONDS [THREADS [SEED]]]: threads allocate, resize, trade, free and end, and keep account of every byte.
 * Links: library, rooms (for ThreadSanitizer above all).
 *
 * Each block is filled with a pattern of its own, which is checked when it changes hands and when it is freed; and a shadow
 * map has one byte for each 16 bytes of memory, set while they are handed out: no two blocks overlap. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "look.h"
#include "names.h"
#include "random.h"
#include "resident.h"
#include "tap.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GRAIN 16u
#define HAS_WIDE_ADDRESSES (UINTPTR_MAX > UINT32_MAX)
#define SHADOW_PLACES \
	((size_t)1 << (HAS_WIDE_ADDRESSES ? 30 : 28)) /* 16 GiB, or all; what lies beyond is not watched */

enum { mine_count = 256, shared_count = 512, fill_most = 2048 };

struct block {
	unsigned char *at;
	size_t size; /* usable */
	uint64_t seed;
};

static _Atomic(struct block *) shared[shared_count]; /* records are mapped by the test, not allocated */
static _Atomic unsigned char *shadow;
static uintptr_t shadow_base;
static atomic_bool stop;
static atomic_ulong operations;

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	need(p != MAP_FAILED);
	return p;
}

/* ---- the shadow ---- */

static void open_shadow(void)
{
	void *first = malloc(1);

	if (HAS_WIDE_ADDRESSES)
		shadow_base = ((uintptr_t)first & ~((uintptr_t)GRAIN - 1)) - SHADOW_PLACES / 4 * GRAIN;
	shadow = map(SHADOW_PLACES);
	free(first);
}

/* The map of a large block is kept at its ends only. */
static void mark(const struct block *b, unsigned char from, unsigned char to)
{
	size_t first = ((uintptr_t)b->at - shadow_base) / GRAIN, count = b->size / GRAIN;

	if (first >= SHADOW_PLACES || first + count >= SHADOW_PLACES)
		return;
	for (size_t i = 0; i < count; i++) {
		if (i == 256 && count > 512)
			i = count - 256;
		if (atomic_exchange_explicit(&shadow[first + i], to, memory_order_relaxed) != from) {
			ok(false, "%p is %s", (void *)(b->at + i * GRAIN), to ? "handed out twice" : "freed twice");
			return;
		}
	}
}

/* ---- patterns ---- */

static unsigned char byte_of(const struct block *b, size_t i)
{
	return (unsigned char)((b->seed >> (i % 7 * 8)) + i);
}

static void fill_part(struct block *b, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		b->at[i] = byte_of(b, i);
}

/* All of a small block, both ends of a larger one. */
static void fill(struct block *b)
{
	if (b->size <= 2 * fill_most) {
		fill_part(b, 0, b->size);
		return;
	}
	fill_part(b, 0, fill_most);
	fill_part(b, b->size - fill_most, b->size);
}

static bool is_filled(const struct block *b, size_t from, size_t to)
{
	size_t i = from;

	while (i < to && b->at[i] == byte_of(b, i))
		i++;
	if (i < to)
		note("%p of %zu bytes is overwritten at %zu", (void *)b->at, b->size, i);
	return i >= to;
}

static void check_filled(const struct block *b)
{
	if (b->size <= 2 * fill_most)
		hold(is_filled(b, 0, b->size));
	else
		hold(is_filled(b, 0, fill_most) && is_filled(b, b->size - fill_most, b->size));
}

/* ---- blocks ---- */

static void adopt(struct block *b, void *at, size_t asked, size_t align, uint64_t seed)
{
	b->at = at;
	if (at == NULL)
		return;
	b->size = malloc_usable_size(at);
	b->seed = seed;
	hold(b->size >= asked);
	hold((uintptr_t)at % align == 0);
	mark(b, 0, 1);
	fill(b);
}

static void drop(struct block *b)
{
	if (b->at == NULL)
		return;
	check_filled(b);
	mark(b, 1, 0);
	free(b->at);
	b->at = NULL;
}

static size_t some_size(uint64_t *state)
{
	size_t r = next_random(state), kind = r % 256;

	r >>= 8;
	if (kind == 0)
		return (size_t)(r % (5 * MIB));
	if (kind < 4)
		return (size_t)(r % (400 * KIB));
	if (kind < 32)
		return (size_t)(r % (40 * KIB));
	return (size_t)(r % 1100);
}

static void make(struct block *b, uint64_t *state)
{
	size_t size = some_size(state), align = (size_t)16 << next_random(state) % 12;
	uint64_t seed = next_random(state);

	switch (seed % 8) {
	case 0:
		adopt(b, calloc(size / 4 + 1, 4), size, 16, seed);
		break;
	case 1:
		adopt(b, memalign(align, size), size, align, seed);
		break;
	default:
		adopt(b, malloc(size), size, 16, seed);
		break;
	}
}

static void check_zero(uint64_t *state)
{
	size_t size = some_size(state) % (64 * KIB) + 1;
	unsigned char *p = calloc(size, 1);

	if (p != NULL)
		hold(p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
	free(p);
}

static void resize(struct block *b, uint64_t *state)
{
	struct block old = *b;
	size_t size = some_size(state) + 1, kept;
	void *at;

	if (b->at == NULL)
		return;
	check_filled(b);
	mark(b, 1, 0);
	at = realloc(b->at, size);
	if (at == NULL) {
		mark(&old, 0, 1);
		return;
	}
	old.at = at;
	kept = old.size < size ? old.size : size;
	hold(is_filled(&old, 0, kept < fill_most ? kept : fill_most));
	adopt(b, at, size, 16, next_random(state));
}

/* Gives a block to whoever comes, and takes what was there. */
static void trade(struct block **b, uint64_t *state)
{
	struct block *other =
		atomic_exchange_explicit(&shared[next_random(state) % shared_count], *b, memory_order_acq_rel);

	*b = other;
	if (other->at != NULL)
		check_filled(other);
}

static void step(struct block **b, uint64_t *state)
{
	switch (next_random(state) % 16) {
	case 0:
		resize(*b, state);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		trade(b, state);
		break;
	case 5:
		check_zero(state);
		break;
	default:
		drop(*b);
		make(*b, state);
		break;
	}
}

/* ---- threads ---- */

struct worker {
	pthread_t thread;
	uint64_t seed;
	struct block *mine[mine_count];
};

/* A life: some thousand steps.  What a thread holds at its end its successor goes on with. */
static void *live(void *with)
{
	struct worker *w = with;
	uint64_t state = w->seed * UINT64_C(0x9e3779b97f4a7c15) | 1, steps = next_random(&state) % 4000;

	for (uint64_t i = 0; i < steps && !atomic_load_explicit(&stop, memory_order_relaxed); i++)
		step(&w->mine[next_random(&state) % mine_count], &state);
	if (next_random(&state) % 64 == 0)
		malloc_trim(0);
	atomic_fetch_add_explicit(&operations, steps, memory_order_relaxed);
	w->seed = next_random(&state);
	return NULL;
}

static void *live_on(void *with)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		pthread_t thread;

		need(pthread_create(&thread, NULL, live, with) == 0);
		pthread_join(thread, NULL);
	}
	return NULL;
}

static struct block *next_record(void)
{
	static struct block *records;
	static size_t left;

	if (left == 0) {
		left = 4096;
		records = map(left * sizeof(*records));
	}
	left--;
	return records++;
}

static void drop_all(struct worker *workers, size_t count)
{
	for (size_t i = 0; i < count * mine_count; i++)
		drop(workers[i / mine_count].mine[i % mine_count]);
	for (size_t i = 0; i < shared_count; i++)
		drop(atomic_load(&shared[i]));
}

static size_t argument(int argc, char **argv, int i, size_t preset)
{
	return argc > i ? strtoul(argv[i], NULL, 10) : preset;
}

int main(int argc, char **argv)
{
	size_t seconds = argument(argc, argv, 1, 2), count = argument(argc, argv, 2, 4),
	       seed = argument(argc, argv, 3, 1);
	struct worker *workers = map(count * sizeof(*workers));
	time_t end = time(NULL) + (time_t)seconds;
	uint64_t seed_of_main = seed | 1;

	open_shadow();
	for (size_t i = 0; i < shared_count; i++)
		atomic_store(&shared[i], next_record());
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < mine_count; j++)
			workers[i].mine[j] = next_record();
		workers[i].seed = seed * 1000 + i;
		need(pthread_create(&workers[i].thread, NULL, live_on, &workers[i]) == 0);
	}
	while (time(NULL) < end && failures() == 0) {
		usleep(20000);
		look_starve("starve_test", next_random(&seed_of_main) % 4 == 0);
		look_sample(next_random(&seed_of_main) % 4 ? 0 : 10000);
	}
	look_starve("starve_test", false);
	look_sample(0);
	atomic_store(&stop, true);
	for (size_t i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
	drop_all(workers, count);
	malloc_trim(0);
	ok(failures() == 0, "%zu threads, %zu seconds, seed %zu", count, seconds, seed);
	note("%lu steps, %zu MiB at the end", (unsigned long)atomic_load(&operations), resident() / MIB);
	return done();
}
