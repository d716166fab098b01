/* SPDX-License-Identifier: MIT */
/* slots: a copy of the registry of a process: what lies in each 2 MiB of its window, and in each slab of them. */
#ifndef SLOTS_H
#define SLOTS_H

#include "view.h"

#define SLOT_SLABS 32u

enum slot_kind { SLOT_OTHER, SLOT_SLABS_KIND, SLOT_LARGE_KIND, SLOT_INNER_KIND, SLOT_GUARD_KIND };
enum slab_kind { SLAB_ABSENT, SLAB_SMALL, SLAB_MID, SLAB_MID_INNER, SLAB_DIRTY, SLAB_CLEAN };

struct slot {
	enum slot_kind kind;
	uint64_t address;
	uint64_t bytes;   /* mapped from there on: of a SuperSlab, or of a large block that begins here */
	uint64_t usable;  /* of a large block: what the program may use */
	uint64_t heads;   /* address of its slabs' heads */
	uint32_t free, dirty;      /* a bit for each slab */
	uint32_t tags[SLOT_SLABS];
	bool huge;        /* huge pages were asked for */
	bool is_kept;     /* in the cache of large blocks */
};

struct slots {
	const struct view *view;
	uint64_t base, page;
	size_t count;
	uint64_t tables_start, tables_end; /* of the registry itself */
	struct slot *slot;
};

const char *slots_take(struct slots *slots, const struct view *view); /* NULL, or why not; slots_close in any case */
void slots_close(struct slots *slots);

enum slab_kind slots_slab(const struct slots *slots, const struct slot *slot, unsigned i);
unsigned slots_class(const struct slots *slots, uint32_t tag); /* of a slab of small blocks */
uint32_t slots_owner(const struct slots *slots, uint32_t tag);

#endif
