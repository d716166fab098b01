/* SPDX-License-Identifier: MIT */
#include "slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MOST ((uint64_t)1 << 22) /* 8 TiB; more is garbage */
#define SLOT_SIZE_MOST 1024u
#define SLOTS_KEPT 4096u /* places of the cache of large blocks */

enum slab_kind slots_slab(const struct slots *slots, const struct slot *slot, unsigned i)
{
	uint32_t tag = slot->tags[i];

	if (((uint64_t)i + 1) << NUMBER(slots->view, slab_shift) > slot->bytes)
		return SLAB_ABSENT;
	if (slot->free >> i & 1)
		return slot->dirty >> i & 1 ? SLAB_DIRTY : SLAB_CLEAN;
	if (tag == NUMBER(slots->view, tag_mid))
		return SLAB_MID;
	if (tag == NUMBER(slots->view, tag_inner))
		return SLAB_MID_INNER;
	return tag >> NUMBER(slots->view, tag_shift) >= NUMBER(slots->view, heap_first) ? SLAB_SMALL : SLAB_DIRTY;
}

unsigned slots_class(const struct slots *slots, uint32_t tag)
{
	return (tag & ((UINT32_C(1) << NUMBER(slots->view, tag_shift)) - 1)) / NUMBER(slots->view, tag_class);
}

uint32_t slots_owner(const struct slots *slots, uint32_t tag)
{
	return tag >> NUMBER(slots->view, tag_shift);
}

static bool has_good_layout(const struct view *view)
{
	uint32_t size = NUMBER(view, slot_size);

	return size <= SLOT_SIZE_MOST && view_fits(view, HAK_VIEW_NUMBER_slot_word, 8, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_slot_slabs, view->word, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_slot_bytes, view->word, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_slot_mapped, view->word, size) &&
	       view_fits(view, HAK_VIEW_NUMBER_slot_state, 4, size) && view_fits(view, HAK_VIEW_NUMBER_slot_huge, 4, size) &&
	       NUMBER(view, slab_shift) >= 12 && NUMBER(view, slab_shift) < 30 &&
	       NUMBER(view, superslab_shift) == NUMBER(view, slab_shift) + 5 && NUMBER(view, tag_shift) < 32 &&
	       NUMBER(view, tag_class) > 0 && NUMBER(view, bigcache_places) <= SLOTS_KEPT;
}

static void take_slot(struct slot *slot, const struct view *view, const char *entry)
{
	uint64_t word;
	uint32_t state = view_take_u32(entry + NUMBER(view, slot_state));

	memcpy(&word, entry + NUMBER(view, slot_word), sizeof(word));
	slot->free = (uint32_t)word;
	slot->dirty = (uint32_t)(word >> 32);
	slot->bytes = view_take_word(view, entry + NUMBER(view, slot_bytes));
	slot->heads = view_take_word(view, entry + NUMBER(view, slot_slabs));
	slot->huge = view_take_u32(entry + NUMBER(view, slot_huge)) != 0;
	if (state == NUMBER(view, slot_is_slabs)) {
		slot->kind = SLOT_SLABS_KIND;
		if (slot->bytes > UINT64_C(1) << NUMBER(view, superslab_shift))
			slot->bytes = UINT64_C(1) << NUMBER(view, superslab_shift);
	} else if (state == NUMBER(view, slot_is_large)) {
		slot->kind = SLOT_LARGE_KIND;
		slot->usable = slot->bytes;
		slot->bytes = view_take_word(view, entry + NUMBER(view, slot_mapped));
	} else if (state == NUMBER(view, slot_is_inner)) {
		slot->kind = SLOT_INNER_KIND;
	} else if (state == NUMBER(view, slot_is_guard)) {
		slot->kind = SLOT_GUARD_KIND;
		slot->bytes = slot->usable = UINT64_C(1) << NUMBER(view, superslab_shift);
	}
}

static void take_entries(struct slots *slots, const char *entries, const char *tags)
{
	const struct view *view = slots->view;

	for (size_t s = 0; s < slots->count; s++) {
		struct slot *slot = &slots->slot[s];

		slot->address = slots->base + ((uint64_t)s << NUMBER(view, superslab_shift));
		take_slot(slot, view, entries + (slots->count - 1 - s) * NUMBER(view, slot_size));
		memcpy(slot->tags, tags + s * sizeof(slot->tags), sizeof(slot->tags));
	}
}

/* The cache of freed large blocks: runs of slots. */
static void take_kept(struct slots *slots)
{
	const struct view *view = slots->view;
	uint64_t at = PLACE(view, bigcache), count = view_word(view, at + NUMBER(view, bigcache_count));

	for (uint64_t i = 0; i < count && i < NUMBER(view, bigcache_places); i++) {
		uint64_t extent = at + i * NUMBER(view, extent_size);
		uint64_t slot = view_word(view, extent + NUMBER(view, extent_slot));
		uint64_t length = view_word(view, extent + NUMBER(view, extent_slots));

		for (uint64_t s = slot; s < slots->count && s - slot < length; s++)
			slots->slot[s].is_kept = true;
	}
}

static const char *read_tables(struct slots *slots, uint64_t entries, uint64_t tags)
{
	const struct view *view = slots->view;
	size_t entry_bytes = slots->count * NUMBER(view, slot_size), tag_bytes = slots->count * SLOT_SLABS * 4;
	char *entry = malloc(entry_bytes + 1), *tag = malloc(tag_bytes + 1);
	const char *error = NULL;

	slots->slot = calloc(slots->count + 1, sizeof(*slots->slot));
	if (!entry || !tag || !slots->slot)
		error = "no memory for a copy of its tables";
	else if (!remote_read(view->remote, entries - entry_bytes, entry, entry_bytes) ||
		 !remote_read(view->remote, tags, tag, tag_bytes))
		error = remote_refused(view->remote);
	else
		take_entries(slots, entry, tag);
	free(entry);
	free(tag);
	return error;
}

const char *slots_take(struct slots *slots, const struct view *view)
{
	uint64_t registry = PLACE(view, registry), covered, high, tags, entries;
	const char *error;

	memset(slots, 0, sizeof(*slots));
	slots->view = view;
	if (view_lacks(view, "registry slot_ slab_ superslab_ tag_ heap_first bigcache extent_"))
		return "its library does not tell where its tables are: it is of another version than this hakmem";
	covered = view_word(view, registry + NUMBER(view, registry_slabs)) / SLOT_SLABS;
	high = view_word(view, registry + NUMBER(view, registry_high));
	tags = view_word(view, registry + NUMBER(view, registry_tags));
	entries = view_word(view, registry + NUMBER(view, registry_slots));
	slots->base = view_word(view, registry + NUMBER(view, registry_base));
	slots->page = view_word(view, registry + NUMBER(view, registry_page));
	slots->count = (size_t)(high < covered ? high : covered);
	if (covered > SLOTS_MOST || slots->page < 4096 || slots->page > 1 << 20 || !has_good_layout(view)) {
		slots->count = 0;
		return "its tables are damaged";
	}
	slots->tables_start = (entries - covered * NUMBER(view, slot_size)) & ~(slots->page - 1);
	slots->tables_end = (tags + covered * SLOT_SLABS * 4 + slots->page - 1) & ~(slots->page - 1);
	error = slots->count > 0 ? read_tables(slots, entries, tags) : NULL;
	if (error)
		slots->count = 0;
	else
		take_kept(slots);
	return error;
}

void slots_close(struct slots *slots)
{
	free(slots->slot);
}
