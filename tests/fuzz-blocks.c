/* SPDX-License-Identifier: MIT */
/* Scripts of allocations against a shadow map: every live block is aligned, overlaps no other, is as large as was asked
 * for, keeps its bytes to the last usable one, and is zero after calloc.  Each byte of the input is a step. */
#include "fuzz.h"

#include <pthread.h>

#include "names.h"

enum { block_count = 64 };

struct block {
	unsigned char *at;
	size_t size; /* usable */
	unsigned char fill;
};

static struct block blocks[block_count];
static unsigned char next_fill;

/* ---- the shadow ---- */

static bool is_filled(const struct block *block, size_t size)
{
	return size == 0 || (block->at[0] == block->fill && memcmp(block->at, block->at + 1, size - 1) == 0);
}

static bool is_apart(const struct block *block)
{
	for (const struct block *other = blocks; other < blocks + block_count; other++)
		if (other != block && other->at != NULL && block->at < other->at + other->size &&
		    other->at < block->at + block->size)
			return false;
	return true;
}

/* Takes over a fresh block: all of it may be written, and is. */
static void note_block(struct block *block, void *at, size_t asked, size_t align)
{
	block->at = at;
	if (at == NULL)
		return;
	block->size = malloc_usable_size(at);
	block->fill = next_fill++;
	hold(block->size >= asked);
	hold((uintptr_t)at % align == 0);
	hold(is_apart(block));
	memset(at, block->fill, block->size);
}

static void *take(struct block *block)
{
	void *at = block->at;

	if (at != NULL)
		hold(is_filled(block, block->size));
	block->at = NULL;
	return at;
}

/* ---- the steps ---- */

/* Mostly small; now and then a page, a slab, and seldom a SuperSlab and more. */
static size_t pick_size(struct fuzz_input *input)
{
	unsigned word = fuzz_word(input);

	if (word < 64)
		return (size_t)word << 16; /* to 4 MiB */
	if (word < 2048)
		return (size_t)word << 6; /* to 128 KiB */
	if ((word & 3) == 0)
		return word >> 3; /* to 8 KiB */
	return word >> 6;         /* to 1 KiB */
}

static void step_malloc(struct block *block, struct fuzz_input *input)
{
	size_t size = pick_size(input);

	free(take(block));
	note_block(block, malloc(size), size, 16);
}

static void step_calloc(struct block *block, struct fuzz_input *input)
{
	size_t size = pick_size(input);
	unsigned char *at;

	free(take(block));
	at = calloc(size / 3 + 1, 3);
	for (size_t i = 0; at != NULL && i < size; i++)
		if (at[i] != 0) {
			hold(at[i] == 0);
			break;
		}
	note_block(block, at, size, 16);
}

static void step_aligned(struct block *block, struct fuzz_input *input)
{
	size_t align = (size_t)16 << (fuzz_byte(input) % 18); /* to 2 MiB */
	size_t size = pick_size(input);

	free(take(block));
	note_block(block, memalign(align, size), size, align);
}

static void step_realloc(struct block *block, struct fuzz_input *input)
{
	size_t size = pick_size(input) + 1, old = block->at != NULL ? block->size : 0;
	struct block moved = *block;

	moved.at = realloc(take(block), size);
	if (moved.at != NULL)
		hold(is_filled(&moved, size < old ? size : old));
	note_block(block, moved.at, size, 16);
}

static void *free_all(void *list)
{
	for (void **at = list; *at != NULL; at++)
		free(*at);
	return NULL;
}

/* A few neighbours, freed by a thread that ends thereby. */
static void step_elsewhere(size_t first)
{
	void *list[9] = {NULL};
	pthread_t thread;
	int used = 0;

	for (size_t i = first; i < first + 8; i++)
		if ((list[used] = take(&blocks[i % block_count])) != NULL)
			used++;
	if (pthread_create(&thread, NULL, free_all, list) == 0)
		pthread_join(thread, NULL);
	else
		free_all(list);
}

struct made {
	void *at[8];
	size_t size;
};

static void *make_all(void *with)
{
	struct made *made = with;

	for (int i = 0; i < 8; i++)
		made->at[i] = malloc(made->size + (size_t)i);
	return NULL;
}

/* A few neighbours, made by a thread that ends thereby. */
static void step_from_elsewhere(size_t first, struct fuzz_input *input)
{
	struct made made = {{NULL}, pick_size(input)};
	pthread_t thread;

	for (size_t i = first; i < first + 8; i++)
		free(take(&blocks[i % block_count]));
	if (pthread_create(&thread, NULL, make_all, &made) == 0)
		pthread_join(thread, NULL);
	for (size_t i = 0; i < 8; i++)
		note_block(&blocks[(first + i) % block_count], made.at[i], made.size + i, 16);
}

static void step_seldom(unsigned which, struct block *block, struct fuzz_input *input)
{
	if (which < 2)
		step_elsewhere((size_t)(block - blocks));
	else if (which < 4)
		step_from_elsewhere((size_t)(block - blocks), input);
	else if (which == 4)
		malloc_trim(0);
}

static void step(struct fuzz_input *input)
{
	unsigned byte = fuzz_byte(input);
	struct block *block = &blocks[fuzz_byte(input) % block_count];

	switch (byte & 7) {
	case 0:
	case 1:
		free(take(block));
		break;
	case 2:
		step_calloc(block, input);
		break;
	case 3:
		step_aligned(block, input);
		break;
	case 4:
		step_realloc(block, input);
		break;
	case 5:
		step_seldom(byte >> 3, block, input);
		break;
	default:
		step_malloc(block, input);
		break;
	}
}

static void fuzz_one(struct fuzz_input *input)
{
	while (!fuzz_is_empty(input))
		step(input);
	for (size_t i = 0; i < block_count; i++)
		free(take(&blocks[i]));
}
