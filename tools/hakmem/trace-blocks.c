/* SPDX-License-Identifier: MIT */
/* The blocks of a trace, in a hash table by address with linear probing. */
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define BLOCKS_AT_START 4096u

static const struct trace_block no_block = {.id = TRACE_NONE};

bool trace_blocks_open(struct trace_blocks *blocks)
{
	memset(blocks, 0, sizeof(*blocks));
	blocks->mask = BLOCKS_AT_START - 1;
	blocks->places = calloc(BLOCKS_AT_START, sizeof(*blocks->places));
	return blocks->places != NULL;
}

void trace_blocks_close(struct trace_blocks *blocks)
{
	free(blocks->places);
	free(blocks->displaced);
	memset(blocks, 0, sizeof(*blocks));
}

static size_t place_of(const struct trace_blocks *blocks, uint64_t address)
{
	size_t i = (size_t)(address / 16 * UINT64_C(0x9e3779b97f4a7c15) >> 20) & blocks->mask;

	while (blocks->places[i].address != 0 && blocks->places[i].address != address)
		i = (i + 1) & blocks->mask;
	return i;
}

static bool grow(struct trace_blocks *blocks)
{
	struct trace_block *old = blocks->places;
	size_t count = blocks->mask + 1;

	blocks->places = calloc(2 * count, sizeof(*blocks->places));
	if (!blocks->places) {
		blocks->places = old;
		return false;
	}
	blocks->mask = 2 * count - 1;
	for (size_t i = 0; i < count; i++)
		if (old[i].address)
			blocks->places[place_of(blocks, old[i].address)] = old[i];
	free(old);
	return true;
}

/* Those behind move up, so that no probing meets a hole. */
static void clear_place(struct trace_blocks *blocks, size_t i)
{
	struct trace_block moved;

	blocks->places[i].address = 0;
	blocks->used--;
	for (i = (i + 1) & blocks->mask; blocks->places[i].address; i = (i + 1) & blocks->mask) {
		moved = blocks->places[i];
		blocks->places[i].address = 0;
		blocks->places[place_of(blocks, moved.address)] = moved;
	}
}

static struct trace_block take_displaced(struct trace_blocks *blocks, uint64_t address, uint64_t begun)
{
	struct trace_block found;

	for (size_t i = 0; i < blocks->displaced_count; i++)
		if (blocks->displaced[i].address == address && blocks->displaced[i].number < begun) {
			found = blocks->displaced[i];
			blocks->displaced[i] = blocks->displaced[--blocks->displaced_count];
			return found;
		}
	return no_block;
}

/* The block that was there when the event began. */
static struct trace_block take(struct trace_blocks *blocks, uint64_t address, uint64_t begun)
{
	size_t i = place_of(blocks, address);
	struct trace_block found = blocks->places[i];

	if (address == 0)
		return no_block;
	if (found.address && found.number < begun)
		clear_place(blocks, i);
	else
		found = take_displaced(blocks, address, begun);
	if (found.id != TRACE_NONE) {
		blocks->live_blocks--;
		blocks->live_bytes -= found.size;
	}
	return found;
}

static bool displace(struct trace_blocks *blocks, struct trace_block *place)
{
	struct trace_block *more =
		realloc(blocks->displaced, (blocks->displaced_count + 1) * sizeof(*blocks->displaced));

	if (!more)
		return false;
	blocks->displaced = more;
	blocks->displaced[blocks->displaced_count++] = *place;
	return true;
}

static bool put(struct trace_blocks *blocks, const struct trace_block *block)
{
	size_t i;

	if (blocks->used * 2 > blocks->mask && !grow(blocks))
		return false;
	i = place_of(blocks, block->address);
	if (blocks->places[i].address && !displace(blocks, &blocks->places[i]))
		return false;
	blocks->used += blocks->places[i].address == 0;
	blocks->places[i] = *block;
	blocks->live_blocks++;
	blocks->live_bytes += block->size;
	if (blocks->live_bytes > blocks->peak_bytes)
		blocks->peak_bytes = blocks->live_bytes;
	return true;
}

bool trace_blocks_apply(struct trace_blocks *blocks, const struct trace_event *event, struct trace_change *change)
{
	struct trace_block *made = &change->made;

	change->gone = change->made = no_block;
	if (event->kind == HAK_RECORD_FREE)
		change->gone = take(blocks, event->address, event->begun);
	else if (event->kind == HAK_RECORD_REALLOC)
		change->gone = take(blocks, event->old, event->begun);
	if (event->kind == HAK_RECORD_FREE || event->kind == HAK_RECORD_EXIT || event->address == 0)
		return true;
	*made = (struct trace_block){.address = event->address,
				     .size = event->size,
				     .time = event->time,
				     .number = event->number,
				     .thread = event->thread};
	if (change->gone.id != TRACE_NONE) { /* a realloc goes on with the same block */
		made->id = change->gone.id;
		made->time = change->gone.time;
		made->thread = change->gone.thread;
		made->reallocs = change->gone.reallocs + 1;
	} else {
		made->id = blocks->next_id++;
	}
	return put(blocks, made);
}
