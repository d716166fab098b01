/* SPDX-License-Identifier: MIT */
#include "census.h"

#include <stdlib.h>
#include <string.h>

#include "resident.h"
#include "slots.h"

#define CENSUS_HEAPS (UINT32_C(1) << 22)
#define CENSUS_PARTS (UINT32_C(1) << 16)
#define CENSUS_HEAP_SIZE ((uint32_t)1 << 20)
#define CENSUS_TRIES 3

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* ---- classes ---- */

static void take_sizes(struct census *census, const struct view *view, const char *rows)
{
	for (unsigned c = 0; c < census->class_count; c++)
		census->classes[c].size =
			view_take_u32(rows + (size_t)c * NUMBER(view, class_row) + NUMBER(view, class_size));
}

static char *read_class_rows(const struct view *view)
{
	size_t size = (size_t)NUMBER(view, class_count) * NUMBER(view, class_row);
	bool is_good = NUMBER(view, class_row) <= 256 && NUMBER(view, class_count) <= CENSUS_CLASSES &&
		       NUMBER(view, class_size) < 256 && NUMBER(view, class_blocks) < 256 &&
		       NUMBER(view, class_slabs) < 256;
	char *rows = is_good ? calloc(1, size + 256) : NULL;

	if (rows && remote_read(view->remote, PLACE(view, classes), rows, size))
		return rows;
	free(rows);
	return NULL;
}

/* ---- heaps ---- */

/* The names of a class's counters, and where ours stand among them. */
struct bin_names {
	struct view_names names;
	unsigned at[11];
};

static const char *const bin_wanted[11] = { "refill_inbox", "refill_warm", "refill_pool", "refill_map",
					    "flushes",      "carved",      "put",         "sent",
					    "received",     "slabs_taken", "slabs_given" };

static bool open_bin_names(struct bin_names *bins, const struct view *view)
{
	if (!view_names_open(view, PLACE(view, bin_counter_names), &bins->names))
		return false;
	for (unsigned i = 0; i < 11; i++)
		bins->at[i] = view_names_find(&bins->names, bin_wanted[i]);
	return true;
}

static void add_counts(struct census_class *class, const struct view *view, const struct bin_names *bins,
		       const char *counts)
{
	uint64_t *sums[11] = { &class->refill_inbox, &class->refill_warm, &class->refill_pool, &class->refill_map,
			       &class->flushes,      &class->carved,      &class->put,         &class->sent,
			       &class->received,     &class->slabs_taken, &class->slabs_given };

	for (unsigned i = 0; i < 11; i++)
		if (bins->at[i] < bins->names.count)
			*sums[i] += view_take_word(view, counts + (size_t)bins->at[i] * view->word);
}

/* Blocks in a cache.  While it moves to another array its two halves do not fit: it is read again. */
static uint64_t count_cached(const struct view *view, uint64_t at, const char *heap, unsigned c)
{
	uint64_t bin = NUMBER(view, heap_bins) + (uint64_t)c * NUMBER(view, bin_size);
	uint64_t cache = NUMBER(view, heap_caches) + (uint64_t)c * NUMBER(view, cache_size);
	uint64_t capacity = view_take_u16(heap + bin + NUMBER(view, bin_capacity));
	uint64_t array = view_take_word(view, heap + bin + NUMBER(view, bin_array));
	uint64_t top = view_take_word(view, heap + cache + NUMBER(view, cache_top));

	for (int i = 0; i < CENSUS_TRIES && capacity > 0; i++) {
		if (top >= array && (top - array) / view->word <= capacity)
			return (top - array) / view->word;
		capacity = view_u32(view, at + bin + NUMBER(view, bin_capacity)) & UINT16_MAX;
		array = view_word(view, at + bin + NUMBER(view, bin_array));
		top = view_word(view, at + cache + NUMBER(view, cache_top));
	}
	return 0;
}

/* The same of the out-caches, where there are some: their arrays stay where they are. */
static void add_outs(struct census *census, const struct view *view, uint64_t outs)
{
	for (unsigned c = 0; c < NUMBER(view, outs_count) && c < census->class_count; c++) {
		uint64_t array = view_word(view, outs + NUMBER(view, outs_arrays) + (uint64_t)c * view->word);
		uint64_t cache = outs + NUMBER(view, outs_caches) + (uint64_t)c * NUMBER(view, cache_size);
		uint64_t top = array ? view_word(view, cache + NUMBER(view, cache_top)) : 0;

		if (top > array && (top - array) / view->word < NUMBER(view, outs_places))
			census->classes[c].cached += (top - array) / view->word;
	}
}

static void add_heap(struct census *census, const struct view *view, const struct bin_names *bins, uint64_t at,
		     const char *heap)
{
	uint32_t state = view_take_u32(heap + NUMBER(view, heap_state));
	uint64_t outs = view_take_word(view, heap + NUMBER(view, heap_outs));

	if (outs)
		add_outs(census, view, outs);
	census->heaps_live += state == NUMBER(view, heap_is_live);
	census->heaps_idle += state == NUMBER(view, heap_is_idle);
	census->heaps_lost += state != NUMBER(view, heap_is_live) && state != NUMBER(view, heap_is_idle);
	for (unsigned c = 0; c < census->class_count; c++) {
		const char *bin = heap + NUMBER(view, heap_bins) + (size_t)c * NUMBER(view, bin_size);

		add_counts(&census->classes[c], view, bins, bin + NUMBER(view, bin_counts));
		census->classes[c].cached += count_cached(view, at, heap, c);
	}
}

/* Everything that is read of a heap lies inside it. */
static bool has_good_heaps(const struct view *view, const struct census *census, const struct bin_names *bins)
{
	uint64_t size = NUMBER(view, heap_size), count = census->class_count;
	uint64_t bin = NUMBER(view, bin_size), cache = NUMBER(view, cache_size), word = view->word;

	return size <= CENSUS_HEAP_SIZE && view_fits(view, HAK_VIEW_NUMBER_heap_state, 4, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_heap_outs, word, size) && NUMBER(view, outs_places) <= 4096 &&
	       view_fits(view, HAK_VIEW_NUMBER_heap_caches, count * cache, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_heap_bins, count * bin, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_bin_counts, bins->names.count * word, bin) &&
	       view_fits(view, HAK_VIEW_NUMBER_bin_capacity, 2, bin) &&
	       view_fits(view, HAK_VIEW_NUMBER_bin_array, word, bin) &&
	       view_fits(view, HAK_VIEW_NUMBER_cache_top, word, cache) && NUMBER(view, heap_part_first) > 0 &&
	       NUMBER(view, heap_parts) <= CENSUS_PARTS && NUMBER(view, slab_shift) < 32;
}

/* The part of the directory that a heap is in, for ids from *start to *end - 1; 0: there is none. */
static uint64_t find_part(const struct view *view, uint32_t id, uint64_t *start, uint64_t *end)
{
	uint32_t number = 0;

	*start = 0;
	for (*end = NUMBER(view, heap_part_first); id >= *end; *end *= 2, number++)
		*start = *end;
	return number < NUMBER(view, heap_parts) ? view_word(view, PLACE(view, heap_directory) + (uint64_t)number * view->word) : 0;
}

static void add_heaps(struct census *census, const struct view *view, const struct bin_names *bins, char *heap)
{
	uint32_t made = view_u32(view, PLACE(view, heap_count));
	uint64_t start = 0, end = 0, part = 0, at;

	for (uint64_t i = 0; i < made && i < CENSUS_HEAPS; i++) {
		uint32_t id = NUMBER(view, heap_first) + (uint32_t)i;

		if (id >= end)
			part = find_part(view, id, &start, &end);
		if (!part) {
			i += end - 1 - id; /* to its last one */
			continue;
		}
		at = view_word(view, part + (id - start) * view->word);
		if (at && remote_read(view->remote, at, heap, NUMBER(view, heap_size)))
			add_heap(census, view, bins, at, heap);
	}
}

static const char *take_heaps(struct census *census, const struct view *view)
{
	struct bin_names bins;
	char *heap = NULL;
	const char *error = "no memory";

	if (open_bin_names(&bins, view)) {
		error = has_good_heaps(view, census, &bins) ? NULL : "its heaps are damaged";
		heap = error ? NULL : malloc(NUMBER(view, heap_size) + 8);
		if (heap)
			add_heaps(census, view, &bins, heap);
	}
	free(heap);
	view_names_close(&bins.names);
	return error;
}

/* ---- sums ---- */

/* A block that is carved and not put back is in a cache, in a parcel or in use. */
static void sum_class(struct census *census, const struct view *view, struct census_class *class, const char *row)
{
	uint64_t blocks = view_take_u16(row + NUMBER(view, class_blocks)),
		 slabs = (unsigned char)row[NUMBER(view, class_slabs)];
	uint64_t out = less(class->carved, class->put), held = less(class->slabs_taken, class->slabs_given);

	class->parcel = less(class->sent, class->received);
	class->live = less(out, class->cached + class->parcel);
	class->slab = slabs ? less(held / slabs * blocks, out) : 0;
	census->small_blocks += class->live;
	census->small_bytes += class->live * class->size;
	census->cached_blocks += class->cached;
	census->cached_bytes += class->cached * class->size;
	census->parcel_blocks += class->parcel;
	census->parcel_bytes += class->parcel * class->size;
	census->slab_blocks += class->slab;
	census->slab_bytes += less(held << NUMBER(view, slab_shift), out * class->size);
}

static void sum_slot(struct census *census, const struct slots *slots, const struct slot *slot)
{
	uint64_t slab_bytes = UINT64_C(1) << NUMBER(slots->view, slab_shift);

	if (slot->is_kept)
		census->kept_bytes += slab_bytes * SLOT_SLABS;
	if (slot->kind != SLOT_SLABS_KIND)
		return;
	census->superslabs++;
	census->superslab_bytes += slot->bytes;
	census->superslabs_huge += slot->huge;
	for (unsigned i = 0; i < SLOT_SLABS; i++) {
		enum slab_kind kind = slots_slab(slots, slot, i);

		census->mid_blocks += kind == SLAB_MID;
		census->mid_bytes += kind == SLAB_MID || kind == SLAB_MID_INNER ? slab_bytes : 0;
	}
}

#define CENSUS_GUARDED 65536u

static void sum_guarded(struct census *census, const struct view *view)
{
	uint64_t guard = PLACE(view, guard), words, blocks;
	uint32_t count;

	if (view_lacks(view, "guard"))
		return;
	words = view_word(view, guard + NUMBER(view, guard_words));
	blocks = view_word(view, guard + NUMBER(view, guard_blocks));
	count = view_u32(view, guard + NUMBER(view, guard_count));
	for (uint32_t i = 0; i < count && i < CENSUS_GUARDED; i++) {
		uint64_t block = blocks + (uint64_t)i * NUMBER(view, guard_block);

		if ((view_u32(view, words + (uint64_t)i * 8 + NUMBER(view, guard_low)) & NUMBER(view, guard_state)) !=
		    NUMBER(view, guard_is_used))
			continue;
		census->guarded_blocks++;
		census->guarded_bytes += view_word(view, block + NUMBER(view, guard_block_size));
	}
}

static void sum_process(struct census *census, const struct view *view)
{
	sum_guarded(census, view);
	census->large_bytes = view_word(view, PLACE(view, large_use) + NUMBER(view, large_bytes));
	census->large_blocks = view_word(view, PLACE(view, large_use) + NUMBER(view, large_blocks));
	census->elo_threshold = PLACE(view, elo_threshold) ? view_word(view, PLACE(view, elo_threshold)) : 0;
	census->decisions =
		PLACE(view, journal) ? view_u32(view, PLACE(view, journal) + NUMBER(view, journal_count)) : 0;
	if (PLACE(view, process_counter_names) &&
	    view_names_open(view, PLACE(view, process_counter_names), &census->process_names))
		for (unsigned i = 0; i < census->process_names.count; i++)
			census->process_counts[i] =
				view_word(view, PLACE(view, process_counts) + (uint64_t)i * view->word);
	census->live_blocks =
		census->small_blocks + census->mid_blocks + census->large_blocks + census->guarded_blocks;
	census->live_bytes = census->small_bytes + census->mid_bytes + census->large_bytes + census->guarded_bytes;
}

const char *census_take(struct census *census, const struct view *view)
{
	struct slots slots;
	char *rows;
	const char *error;

	memset(census, 0, sizeof(*census));
	if (view_lacks(view, "classes class_ heap_ cache_ bin_ large_ outs_"))
		return "its library does not tell where its counters are: it is of another version than this hakmem";
	rows = read_class_rows(view);
	if (!rows)
		return "its table of classes is damaged";
	census->class_count = NUMBER(view, class_count);
	take_sizes(census, view, rows);
	error = take_heaps(census, view);
	for (unsigned c = 0; c < census->class_count && !error; c++)
		sum_class(census, view, &census->classes[c], rows + (size_t)c * NUMBER(view, class_row));
	free(rows);
	if (!error)
		error = slots_take(&slots, view);
	else
		memset(&slots, 0, sizeof(slots));
	for (size_t s = 0; s < slots.count; s++)
		sum_slot(census, &slots, &slots.slot[s]);
	sum_process(census, view);
	if (!error)
		resident_take(census, &slots);
	slots_close(&slots);
	return error;
}

void census_close(struct census *census)
{
	view_names_close(&census->process_names);
}

uint64_t census_counter(const struct census *census, const char *name)
{
	unsigned i = view_names_find(&census->process_names, name);

	return i < census->process_names.count ? census->process_counts[i] : 0;
}
