/* SPDX-License-Identifier: MIT */
/* Promises 9, 22: at a limit malloc gives NULL and ENOMEM, and what is freed then serves any other size and any other thread;
 * realloc of a large block needs room for what it grows by, not for all of it again; a failure beside another thread's frees
 * is not final.  RLIMIT_AS, RLIMIT_DATA, and starting under 64 MiB. */
#include <stdatomic.h>

#include "promise.h"

enum { most = 2000000 };

struct heap { unsigned char **at; size_t count, size; };

static struct heap open_heap(void) { return (struct heap){ map_table(most * sizeof(void *)), 0, 0 }; }

static void *take_all(void *with)
{
	struct heap *h = with;
	unsigned char *p = NULL;

	errno = 0;
	while (h->count < most && (p = malloc(h->size)) != NULL) {
		p[0] = p[h->size - 1] = 7;
		h->at[h->count++] = p;
	}
	hold(h->count == most || errno == ENOMEM);
	return NULL;
}

static void *free_all(void *with)
{
	struct heap *h = with;

	while (h->count > 0)
		free(h->at[--h->count]);
	return NULL;
}

#ifdef __GLIBC__
#define KEEPS_STACK true /* of a thread that ended, for the next one */
#else
#define KEEPS_STACK false
#endif

static void in_thread(void *(*run)(void *), void *with)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, with) != 0) {
		need(!KEEPS_STACK); /* there is no room for one */
		run(with);
		return;
	}
	need(pthread_join(thread, NULL) == 0);
}

/* What one size had, each other size gets, in this thread and in another; whoever frees. */
static void turns(size_t bytes)
{
	static const size_t sizes[] = { 100, 120000, 3 * MIB, 30000, 48, 500000, 9 * MIB, 2 * MIB, 5000, 1000 };
	struct heap h = open_heap();

	in_thread(free_all, &h); /* the C library keeps its stack */
	limit_addresses(bytes);
	for (size_t i = 0; i < 20; i++) {
		h.size = sizes[i % 10];
		if (i % 4 == 1)
			in_thread(take_all, &h);
		else
			take_all(&h);
		if (!hold(h.count == most || (h.count + 1) * h.size >= bytes * 7 / 10))
			note("%zu blocks of %zu: %zu of %zu MiB", h.count, h.size, h.count * h.size / MIB, bytes / MIB);
		if (i % 3 == 1)
			in_thread(free_all, &h);
		else
			free_all(&h);
	}
}

/* A vector that grows: at no time is there room for the old and the new one. */
static void vector(size_t bytes)
{
	size_t size = 3 * MIB;
	unsigned char *p = malloc(size);

	limit_addresses(bytes);
	need(p != NULL);
	p[0] = 1;
	for (;;) {
		unsigned char *grown = realloc(p, size + size / 4);

		if (grown == NULL)
			break;
		p = grown;
		size += size / 4;
		p[size - 1] = 1;
	}
	hold(errno == ENOMEM && p[0] == 1);
	if (!hold(size >= bytes * 7 / 10))
		note("%zu of %zu MiB", size / MIB, bytes / MIB);
	free(p);
}

/* The same, but something lies behind the block: it has to move. */
static void moving_vector(size_t bytes)
{
	size_t size = bytes / 2 - 4 * MIB;
	unsigned char *p = malloc(size), *behind = malloc(2 * MIB + 5000), *grown;

	need(p != NULL && behind != NULL);
	for (size_t at = 0; at < size; at += 4096)
		p[at] = (unsigned char)(at >> 12);
	limit_addresses(bytes / 4);
	grown = realloc(p, size + bytes / 8);
	hold(grown != NULL);
	if (grown == NULL)
		return;
	for (size_t at = 0; at < size; at += 4096)
		hold(grown[at] == (unsigned char)(at >> 12));
	memset(grown, 1, size + bytes / 8);
	free(grown);
	grown = malloc(size + bytes / 8);
	hold(grown != NULL);
	free(grown);
	free(behind);
}

/* All is taken, one block's worth is free, and other threads trim: each time they take the free memory out of sight for a
 * moment to give its pages back. */
static atomic_bool stop;

static void *trim(void *with)
{
	while (!atomic_load(&stop))
		malloc_trim(0);
	return with;
}

static void beside_trimming(size_t size)
{
	pthread_t thread[2];
	struct heap h = open_heap();
	size_t refused = 0, times = 0;

	for (int i = 0; i < 2; i++)
		need(pthread_create(&thread[i], NULL, trim, NULL) == 0);
	rest(10);
	limit_addresses(32 * MIB);
	h.size = size;
	take_all(&h);
	need(h.count > 0);
	free(h.at[--h.count]);
	for (double end = seconds() + (double)short_or_long(200, 5000) / 1000; seconds() < end; times++) {
		unsigned char *p = malloc(size);

		if (p == NULL) {
			refused++;
			continue;
		}
		p[0] = p[size / 2] = 1;
		free(p);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	free_all(&h);
	if (!hold(refused == 0))
		note("%zu times of %zu refused", refused, times);
}

static void data_limit(size_t bytes)
{
	struct heap h = open_heap();

	limit(RLIMIT_DATA, resident_field(5) + bytes);
	for (int i = 0; i < 4; i++) {
		h.size = (size_t[]){ 100, 200000, 5 * MIB, 3000 }[i];
		take_all(&h);
		if (h.count < most)
			hold(h.count * h.size >= bytes * 6 / 10);
		free_all(&h);
	}
}

static void check(const char *name, void (*run)(size_t), size_t with)
{
	int status = in_child(run, with);

	ok(status == 0, "%s, %zu KiB", name, with / KIB);
}

static void check_vectors(void)
{
	for (size_t bytes = 32 * MIB; bytes <= 512 * MIB; bytes *= 4)
		check("a vector", vector, bytes);
	for (size_t bytes = 64 * MIB; bytes <= GIB; bytes *= 4)
		check("a vector that must move", moving_vector, bytes);
}

int main(void)
{
	if (is_emulated())
		skip_all("the emulator sets no limit on addresses");
	for (size_t bytes = 16 * MIB; bytes <= short_or_long(128 * MIB, GIB); bytes *= 2)
		check("sizes in turns, here and elsewhere", turns, bytes);
	if (sizeof(void *) > 4)
		check_vectors();
	else
		skip("vectors: where the kernel chooses the addresses a block moves with room for both");
	for (size_t size = 4 * KIB; size <= 6 * MIB; size *= 6)
		check("beside threads that trim, blocks of", beside_trimming, size);
	check("RLIMIT_DATA", data_limit, 32 * MIB);
	check("RLIMIT_DATA", data_limit, 128 * MIB);
	return done();
}
