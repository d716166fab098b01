/* SPDX-License-Identifier: MIT */
/* census: what a process's allocator holds, summed from its tables and counters, and which of its memory is present.
 *
 * The process runs on meanwhile: each number is close by itself, and none is negative.  With no other thread in the
 * allocator (a stopped process) all is exact. */
#ifndef CENSUS_H
#define CENSUS_H

#include "view.h"

#define CENSUS_CLASSES 256u

/* Of one class: blocks. */
struct census_class {
	uint32_t size;
	uint64_t live, cached, parcel, slab; /* in the program's hands, in caches, between threads, free in slabs */
	uint64_t refill_inbox, refill_warm, refill_pool, refill_map, flushes;
	uint64_t carved, put, sent, received, slabs_taken, slabs_given;
};

/* Where the memory of a process is. */
enum census_part {
	PART_SMALL,       /* slabs of blocks up to 64 KiB */
	PART_MID,         /* blocks above, up to 2 MiB */
	PART_DIRTY,       /* free slabs whose memory has not gone back */
	PART_CLEAN,       /* free slabs whose memory has */
	PART_LARGE,       /* blocks above 2 MiB */
	PART_KEPT,        /* freed ones that are kept */
	PART_GUARD,       /* guarded blocks */
	PART_TABLES,      /* the allocator's own tables */
	PART_LIBRARY,     /* its code and data */
	PART_FILES,       /* not HAKMEM's, from here on: code and files */
	PART_STACKS,
	PART_ANONYMOUS,   /* other memory without a file */
	PART_SHARED,      /* shared with other processes */
	PART_COUNT
};
#define PART_FIRST_OTHER PART_FILES

struct census_memory {
	uint64_t held;    /* bytes of addresses that are mapped for it */
	uint64_t present; /* bytes in memory */
};

struct census {
	unsigned class_count;
	struct census_class classes[CENSUS_CLASSES];
	uint64_t heaps_live, heaps_idle, heaps_lost;
	uint64_t live_blocks, live_bytes, small_blocks, small_bytes, mid_blocks, mid_bytes, large_blocks, large_bytes;
	uint64_t guarded_blocks, guarded_bytes;
	uint64_t cached_blocks, cached_bytes, parcel_blocks, parcel_bytes, slab_blocks, slab_bytes, kept_bytes;
	uint64_t superslabs, superslab_bytes, superslabs_huge;
	uint64_t elo_threshold, decisions;
	struct view_names process_names; /* counters of the process, as the library names them */
	uint64_t process_counts[64];

	/* only with a remote that was opened with sizes */
	struct census_memory memory[PART_COUNT];
	uint64_t sum, rss; /* of what is present; and what the kernel says: VmRSS */
	uint64_t swapped, huge;
	bool by_pages; /* which pages are present was told */
};

const char *census_take(struct census *census, const struct view *view); /* NULL, or why not; census_close in any case */
void census_close(struct census *census);
uint64_t census_counter(const struct census *census, const char *name); /* of the process; 0: there is none */

#endif
