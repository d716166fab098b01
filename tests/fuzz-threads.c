/* SPDX-License-Identifier: MIT */
/* Scripts of allocations in several threads at once, against one shadow map: no live block overlaps another one's, each is
 * aligned, as large as was asked for, keeps its bytes to the last usable one, and is zero after calloc.
 *
 * The first byte says how many threads; the rest is dealt to them in equal parts.  A block is freed or resized by the
 * thread that made it, or by another one, which it reaches through a shelf; some are left there for the main thread. */
#include "fuzz.h"

#include <pthread.h>

#include "names.h"
#include "starve.h"

enum { most_threads = 8, own_blocks = 24, shelf_blocks = 48, map_places = 512 };

struct block {
	unsigned char *at;
	size_t size; /* usable */
	unsigned char fill;
};

/* The map, and the shelf.  Blocks are in the map from after their allocation until before their free. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block map[map_places], shelf[shelf_blocks];

struct worker {
	struct fuzz_input input;
	struct block own[own_blocks];
	unsigned char next_fill;
};

/* ---- the map ---- */

static bool is_apart(const struct block *block)
{
	for (const struct block *other = map; other < map + map_places; other++)
		if (other->at != NULL && block->at < other->at + other->size && other->at < block->at + block->size)
			return false;
	return true;
}

static struct block *place_of(const unsigned char *at)
{
	for (struct block *place = map; place < map + map_places; place++)
		if (place->at == at)
			return place;
	return NULL;
}

static void map_put(const struct block *block)
{
	struct block *place;

	pthread_mutex_lock(&lock);
	hold(is_apart(block));
	place = place_of(NULL);
	need(place != NULL);
	*place = *block;
	pthread_mutex_unlock(&lock);
}

static void map_take(const struct block *block)
{
	struct block *place;

	pthread_mutex_lock(&lock);
	place = place_of(block->at);
	if (hold(place != NULL))
		place->at = NULL;
	pthread_mutex_unlock(&lock);
}

/* ---- blocks ---- */

static bool is_filled(const struct block *block, size_t size)
{
	return size == 0 || (block->at[0] == block->fill && memcmp(block->at, block->at + 1, size - 1) == 0);
}

static void note_block(struct worker *worker, struct block *block, void *at, size_t asked, size_t align)
{
	*block = (struct block){at, at != NULL ? malloc_usable_size(at) : 0, worker->next_fill++};
	if (at == NULL)
		return;
	hold(block->size >= asked);
	hold((uintptr_t)at % align == 0);
	map_put(block);
	memset(at, block->fill, block->size);
}

/* Before a free or realloc. */
static void *take(struct block *block)
{
	void *at = block->at;

	if (at != NULL) {
		hold(is_filled(block, block->size));
		hold(malloc_usable_size(at) == block->size);
		map_take(block);
	}
	block->at = NULL;
	return at;
}

/* Mostly small; seldom a slab, a SuperSlab and more. */
static size_t pick_size(struct fuzz_input *input)
{
	unsigned word = fuzz_word(input);

	if (word < 16)
		return (size_t)word << 18; /* to 4 MiB */
	if (word < 1024)
		return (size_t)word << 7; /* to 128 KiB */
	if ((word & 3) == 0)
		return word >> 3; /* to 8 KiB */
	return word >> 6;         /* to 1 KiB */
}

/* ---- the steps ---- */

static void step_calloc(struct worker *worker, struct block *block)
{
	size_t size = pick_size(&worker->input);
	unsigned char *at;

	free(take(block));
	at = calloc(1, size);
	if (at != NULL && size > 0)
		hold(at[0] == 0 && memcmp(at, at + 1, size - 1) == 0);
	note_block(worker, block, at, size, 16);
}

static void step_realloc(struct worker *worker, struct block *block)
{
	size_t size = pick_size(&worker->input) + 1, old = block->at != NULL ? block->size : 0;
	struct block moved = *block;

	moved.at = realloc(take(block), size);
	if (moved.at != NULL)
		hold(is_filled(&moved, size < old ? size : old));
	note_block(worker, block, moved.at, size, 16);
}

/* Another thread's block for one of ours. */
static void step_swap(struct worker *worker, struct block *block)
{
	struct block *place = &shelf[fuzz_byte(&worker->input) % shelf_blocks], mine = *block;

	pthread_mutex_lock(&lock);
	*block = *place;
	*place = mine;
	pthread_mutex_unlock(&lock);
}

static void step_seldom(struct worker *worker, unsigned which)
{
	if (which == 0)
		malloc_trim(0);
	else if (which == 1)
		hak_starve_on(HAK_STARVE_TEST);
	else if (which == 2)
		hak_starve_off(HAK_STARVE_TEST);
	else if (which < 8)
		for (unsigned i = 0; i < own_blocks; i++)
			free(take(&worker->own[i]));
}

static void step(struct worker *worker)
{
	unsigned byte = fuzz_byte(&worker->input);
	struct block *block = &worker->own[fuzz_byte(&worker->input) % own_blocks];
	size_t size, align = (size_t)16 << (byte >> 3 & 15);

	switch (byte & 7) {
	case 0:
		free(take(block));
		break;
	case 1:
		step_calloc(worker, block);
		break;
	case 2:
		step_realloc(worker, block);
		break;
	case 3:
		size = pick_size(&worker->input);
		free(take(block));
		note_block(worker, block, memalign(align, size), size, align);
		break;
	case 4:
		step_seldom(worker, byte >> 3);
		break;
	case 5:
		step_swap(worker, block);
		break;
	default:
		size = pick_size(&worker->input);
		free(take(block));
		note_block(worker, block, malloc(size), size, 16);
		break;
	}
}

/* What it still has goes to the shelf where there is room, so that the thread's heap outlives it. */
static void leave(struct block *block)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < shelf_blocks && block->at != NULL; i++)
		if (shelf[i].at == NULL) {
			shelf[i] = *block;
			block->at = NULL;
		}
	pthread_mutex_unlock(&lock);
	free(take(block));
}

static void *work(void *with)
{
	struct worker *worker = with;

	while (!fuzz_is_empty(&worker->input))
		step(worker);
	for (unsigned i = 0; i < own_blocks; i++)
		leave(&worker->own[i]);
	return NULL;
}

static void fuzz_one(struct fuzz_input *input)
{
	static struct worker workers[most_threads];
	pthread_t threads[most_threads];
	unsigned count = fuzz_byte(input) % most_threads + 1, started = 0;
	void *volatile first = malloc(1); /* before there are threads, as a constructor of the library */
	size_t each = (size_t)(input->end - input->at) / count;

	free(first);
	memset(workers, 0, sizeof workers);
	for (unsigned i = 0; i < count; i++) {
		workers[i].input = (struct fuzz_input){input->at + i * each, input->at + (i + 1) * each};
		workers[i].next_fill = (unsigned char)(i * 32 + 1);
	}
	while (started < count - 1 && pthread_create(&threads[started], NULL, work, &workers[started]) == 0)
		started++;
	for (unsigned i = started; i < count; i++)
		work(&workers[i]);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	hak_starve_off(HAK_STARVE_TEST);
	for (unsigned i = 0; i < shelf_blocks; i++)
		free(take(&shelf[i]));
}
