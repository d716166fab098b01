/* SPDX-License-Identifier: MIT */
#include "resident.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "library.h"

#define RESIDENT_CHUNKS 16384 /* mappings of tables that are followed */
#define RESIDENT_PAGES 512
#define RESIDENT_STACKS 1024 /* threads whose stacks are told from other memory */

/* A mapping that is being divided. */
struct share {
	struct census *census;
	const struct remote *remote;
	const struct mapping *mapping;
	uint64_t whole; /* bytes of pages that pagemap says are present; 0: not told */
	uint64_t left;  /* bytes present that no part has yet */
};

/* Bytes of [start, end) that are present; UINT64_MAX: not told. */
static uint64_t count_present(const struct remote *remote, uint64_t start, uint64_t end)
{
	size_t page = remote_page();
	uint64_t bytes = 0;
	bool present[RESIDENT_PAGES];

	if (remote->core && core_saved_end(remote->core, start) < end)
		end = core_saved_end(remote->core, start);
	for (uint64_t at = start & ~(uint64_t)(page - 1); at < end; at += RESIDENT_PAGES * page) {
		uint64_t pages = (end - at + page - 1) / page;
		size_t n = pages < RESIDENT_PAGES ? (size_t)pages : RESIDENT_PAGES;

		if (!remote_present(remote, at, n, present))
			return UINT64_MAX;
		for (size_t i = 0; i < n; i++)
			bytes += present[i] ? page : 0;
	}
	return bytes;
}

static uint64_t scale(uint64_t bytes, uint64_t by, uint64_t from)
{
	return from > 0 ? (uint64_t)((long double)bytes * (long double)by / (long double)from) : 0;
}

/* What of [start, end) lies in the mapping goes to a part. */
static void give(struct share *share, enum census_part part, uint64_t start, uint64_t end)
{
	const struct mapping *mapping = share->mapping;
	uint64_t bytes;

	start = start > mapping->start ? start : mapping->start;
	end = end < mapping->end ? end : mapping->end;
	if (start >= end)
		return;
	if (share->whole > 0) {
		bytes = count_present(share->remote, start, end);
		bytes = bytes == UINT64_MAX ? 0 : bytes;
		if (share->whole > mapping->resident)
			bytes = scale(bytes, mapping->resident, share->whole);
	} else {
		bytes = scale(end - start, mapping->resident, mapping->end - mapping->start);
	}
	bytes = bytes < share->left ? bytes : share->left;
	share->left -= bytes;
	share->census->memory[part].held += end - start;
	share->census->memory[part].present += bytes;
}

/* ---- HAKMEM's parts ---- */

static enum census_part part_of_slab(enum slab_kind kind)
{
	switch (kind) {
	case SLAB_SMALL:
		return PART_SMALL;
	case SLAB_MID:
	case SLAB_MID_INNER:
		return PART_MID;
	case SLAB_CLEAN:
		return PART_CLEAN;
	case SLAB_DIRTY:
	case SLAB_ABSENT:
		break;
	}
	return PART_DIRTY;
}

static void give_superslab(struct share *share, const struct slots *slots, const struct slot *slot)
{
	uint64_t bytes = UINT64_C(1) << NUMBER(slots->view, slab_shift);

	for (unsigned i = 0; i < SLOT_SLABS; i++) {
		enum slab_kind kind = slots_slab(slots, slot, i);

		if (kind != SLAB_ABSENT)
			give(share, part_of_slab(kind), slot->address + i * bytes, slot->address + (i + 1) * bytes);
	}
}

/* The slots that the mapping touches.  A large block begins in one and goes on in others. */
static void give_slots(struct share *share, const struct slots *slots)
{
	unsigned shift = NUMBER(slots->view, superslab_shift);
	uint64_t size = UINT64_C(1) << shift, past = 0; /* the end of the large blocks so far: garbage may overlap */

	for (size_t s = 0; s < slots->count; s++) {
		const struct slot *slot = &slots->slot[s];
		uint64_t end = slot->address + slot->bytes;

		if (slot->kind == SLOT_LARGE_KIND) {
			give(share, PART_LARGE, slot->address > past ? slot->address : past, end);
			past = end > past ? end : past;
		} else if (slot->kind == SLOT_GUARD_KIND)
			give(share, PART_GUARD, slot->address, slot->address + size);
		else if (slot->is_kept)
			give(share, PART_KEPT, slot->address, slot->address + size);
		else if (slot->kind == SLOT_SLABS_KIND && slot->address < share->mapping->end &&
			 share->mapping->start < slot->address + size)
			give_superslab(share, slots, slot);
	}
}

/* Where the mappings of tables are; the caller frees it.  The last has no size. */
struct chunk {
	uint64_t at, size;
};

static struct chunk *read_chunks(const struct view *view)
{
	struct chunk *chunks = calloc(RESIDENT_CHUNKS + 1, sizeof(*chunks));
	uint64_t at = view_lacks(view, "meta_") ? 0 : view_word(view, PLACE(view, meta_current));

	for (size_t i = 0, n = 0; chunks && at && i < RESIDENT_CHUNKS; i++) {
		uint64_t size = view_word(view, at + NUMBER(view, meta_size));

		if (size > 0 &&
		    view_word(view, at + NUMBER(view, meta_bytes)) == at) /* else it is in the library's own data */
			chunks[n++] = (struct chunk){ at, size };
		at = view_word(view, at + NUMBER(view, meta_older));
	}
	return chunks;
}

static void give_tables(struct share *share, const struct slots *slots, const struct chunk *chunks)
{
	give(share, PART_TABLES, slots->tables_start, slots->tables_end);
	for (; chunks && chunks->size; chunks++)
		give(share, PART_TABLES, chunks->at, chunks->at + chunks->size);
}

/* ---- others' parts ---- */

/* Where threads' stack pointers are: /proc/PID/task/TID/syscall ends with them, if the thread sleeps. */
static size_t read_stacks(pid_t pid, uint64_t *stacks)
{
	char path[320], line[512];
	size_t count = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	tasks = opendir(path);
	while (tasks && count < RESIDENT_STACKS && (entry = readdir(tasks)) != NULL) {
		FILE *file;
		char *last;

		snprintf(path, sizeof(path), "/proc/%ld/task/%s/syscall", (long)pid, entry->d_name);
		file = fopen(path, "re");
		if (file && fgets(line, sizeof(line), file) && (last = strrchr(line, ' ')) != NULL) {
			*last = '\0';
			last = strrchr(line, ' ');
			if (last && sscanf(last, " %" SCNx64, &stacks[count]) == 1)
				count++;
		}
		if (file)
			fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return count;
}

static bool has_stack(const struct mapping *mapping, const uint64_t *stacks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (mapping->start <= stacks[i] && stacks[i] < mapping->end)
			return true;
	return false;
}

static enum census_part part_of_other(const struct mapping *mapping, const struct view *view, const uint64_t *stacks,
				      size_t count)
{
	uint64_t trim = PLACE(view, trim);

	if (mapping->inode && mapping->path && library_is_named(mapping->path))
		return PART_LIBRARY;
	if (!mapping->inode && mapping->start <= trim && trim < mapping->end)
		return PART_LIBRARY; /* its .bss */
	if (mapping->access[3] == 's')
		return PART_SHARED;
	if (mapping->inode || (mapping->path && strncmp(mapping->path, "[v", 2) == 0))
		return PART_FILES;
	if ((mapping->path && strncmp(mapping->path, "[stack", 6) == 0) || has_stack(mapping, stacks, count))
		return PART_STACKS;
	return PART_ANONYMOUS;
}

/* ---- all ---- */

static bool touches(const struct mapping *mapping, uint64_t start, uint64_t end)
{
	return mapping->start < end && start < mapping->end;
}

static bool touches_slots(const struct mapping *mapping, const struct slots *slots)
{
	return slots->count > 0 &&
	       touches(mapping, slots->base, slots->base + ((uint64_t)slots->count << NUMBER(slots->view, superslab_shift)));
}

/* Anonymous private memory only can be HAKMEM's. */
static bool has_parts(const struct mapping *mapping, const struct slots *slots, const struct chunk *chunks)
{
	if (mapping->inode || mapping->access[1] != 'w' || mapping->access[3] != 'p')
		return false;
	for (; chunks && chunks->size; chunks++)
		if (touches(mapping, chunks->at, chunks->at + chunks->size))
			return true;
	return touches_slots(mapping, slots) || touches(mapping, slots->tables_start, slots->tables_end);
}

/* The pages of others are not counted: they may have reserved terabytes. */
static void divide(struct share *share, const struct slots *slots, const struct chunk *chunks)
{
	uint64_t whole;

	if (!has_parts(share->mapping, slots, chunks))
		return;
	whole = count_present(share->remote, share->mapping->start, share->mapping->end);
	if (whole == UINT64_MAX)
		share->census->by_pages = false;
	share->whole = whole == UINT64_MAX ? 0 : whole;
	if (touches_slots(share->mapping, slots))
		give_slots(share, slots);
	give_tables(share, slots, chunks);
}

void resident_take(struct census *census, const struct slots *slots)
{
	const struct remote *remote = slots->view->remote;
	uint64_t *stacks = calloc(RESIDENT_STACKS, sizeof(*stacks));
	size_t count = stacks && !remote->core ? read_stacks(remote->pid, stacks) : 0;
	struct chunk *chunks = read_chunks(slots->view);

	census->by_pages = true;
	for (size_t i = 0; i < remote->mapping_count; i++) {
		const struct mapping *mapping = &remote->mappings[i];
		struct share share = { census, remote, mapping, 0, mapping->resident };
		enum census_part rest = part_of_other(mapping, slots->view, stacks, count);

		census->sum += mapping->resident;
		census->swapped += mapping->swapped;
		census->huge += mapping->huge;
		if (mapping->resident > 0)
			divide(&share, slots, chunks);
		census->memory[rest].present += share.left;
		census->memory[rest].held += share.left;
	}
	census->rss = remote->rss;
	free(chunks);
	free(stacks);
}
