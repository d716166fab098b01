/* SPDX-License-Identifier: MIT */
/* hakmem.h: what the HAKMEM allocator offers beyond malloc.  For C and C++; link with -lhakmem.
 *
 * Every function may be called by any thread at any time, also before main.  None of them allocates by malloc
 * or changes errno; errors come back as values, 0 is success.  All but hakmem_trim may be called in signal
 * handlers.  Sizes are bytes unless a name says otherwise.
 *
 * Structures begin with struct_size and grow at their end only.  The caller passes the size that he was
 * compiled with; the library fills in what both know, sets the rest to zero, and struct_size to the bytes
 * filled in. */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version ---- */

#define HAKMEM_VERSION_MAJOR 0
#define HAKMEM_VERSION_MINOR 1
#define HAKMEM_VERSION_PATCH 0
#define HAKMEM_VERSION_NUMBER \
	(HAKMEM_VERSION_MAJOR * 1000000 + HAKMEM_VERSION_MINOR * 1000 + HAKMEM_VERSION_PATCH)

#define HAKMEM_TEXT_OF(x) #x
#define HAKMEM_TEXT(x) HAKMEM_TEXT_OF(x)
/* "1.2.3" */
#define HAKMEM_VERSION \
	HAKMEM_TEXT(HAKMEM_VERSION_MAJOR) "." \
	HAKMEM_TEXT(HAKMEM_VERSION_MINOR) "." \
	HAKMEM_TEXT(HAKMEM_VERSION_PATCH)

/* HAKMEM_VERSION of the library that runs. */
const char *hakmem_version(void);

/* ---- settings ---- */

enum hakmem_option_type {
	HAKMEM_OPTION_BOOL, /* 0 or 1 */
	HAKMEM_OPTION_INT,
	HAKMEM_OPTION_ENUM, /* the unit lists its words, from 0: "off|populate|touch" */
	HAKMEM_OPTION_SIZE  /* bytes; as text also with K, M or G behind */
};

enum hakmem_option_source {
	HAKMEM_SOURCE_DEFAULT,
	HAKMEM_SOURCE_ENVIRONMENT,
	HAKMEM_SOURCE_PROGRAM, /* hakmem_option_set or mallopt */
	HAKMEM_SOURCE_FILE,    /* hakmem.conf */
	HAKMEM_SOURCE_OUTSIDE  /* hakmem set, while the program ran */
};

/* The texts live as long as the library. */
struct hakmem_option {
	size_t struct_size;
	const char *name;    /* of the environment variable: "HAKMEM_FC_CAP" */
	const char *unit;    /* "blocks"; "" if there is none */
	const char *summary; /* one line without a full stop */
	size_t value;
	size_t default_value;
	size_t minimum;
	size_t maximum;
	int type;    /* enum hakmem_option_type */
	int source;  /* enum hakmem_option_source: where the value comes from */
	int is_live; /* 1: it can be set at any time; 0: only before the library's constructor has run */
};

#define HAKMEM_VALUE_SIZE 32 /* a buffer of this size holds every value */

/* Names are HAKMEM_FC_CAP or fc_cap.  Values are texts as in the environment.
 *
 * get: writes the value in force.
 *     ENOENT: no such setting; ERANGE: the buffer is too small, and nothing is written.
 * set: ENOENT: no such setting; EINVAL: not a value of its type; ERANGE: out of bounds; EPERM: fixed since
 *     the start of the process.  On an error the value stays as it was.
 * list: the settings from index 0 on.
 *     ENOENT: there are not that many; EINVAL: size is below sizeof(size_t). */
int hakmem_option_get(const char *name, char *buffer, size_t size);
int hakmem_option_set(const char *name, const char *value);
int hakmem_option_list(unsigned index, struct hakmem_option *option, size_t size);

/* ---- statistics ---- */

/* Numbers are exact if no other thread allocates or frees meanwhile; else each is close by itself.  A block
 * counts with its usable size.  The man page hakmem_stats(3) says what each number is. */
struct hakmem_stats {
	size_t struct_size;

	/* what the program holds: small (up to 64 KiB) + mid (up to 2 MiB) + large + guarded */
	uint64_t live_blocks, live_bytes;
	uint64_t small_blocks, small_bytes;
	uint64_t mid_blocks, mid_bytes;
	uint64_t large_blocks, large_bytes;
	uint64_t guarded_blocks, guarded_bytes;

	/* what is free and kept: in unified caches, on the way between threads, in slabs, of large blocks */
	uint64_t cached_blocks, cached_bytes;
	uint64_t parcel_blocks, parcel_bytes;
	uint64_t slab_blocks, slab_bytes;
	uint64_t large_cached_bytes;

	/* what is mapped; a slab is 64 KiB, a SuperSlab up to 32 slabs */
	uint64_t superslabs, superslab_bytes;
	uint64_t slabs_used, slabs_free, slabs_dirty;
	uint64_t metadata_bytes;
	uint64_t mapped_bytes;
	uint64_t trim_bytes;

	uint64_t heaps_live, heaps_idle, heaps_lost;

	/* counted since the start of the process: the sources of refills, the ways of freed blocks */
	uint64_t refill_inbox, refill_warm, refill_pool, refill_map;
	uint64_t flushes;
	uint64_t carved, put;
	uint64_t sent, received;
	uint64_t slabs_taken, slabs_given;
	uint64_t direct_malloc, direct_free;
	uint64_t parcels_sent, parcels_received, parcels_dropped;
	uint64_t adopted, visited;

	/* what adapts itself: huge pages, the dirty budget, ELO's threshold (bytes), decisions made */
	uint64_t superslabs_huge;
	uint64_t dirty_budget, dirty_regret;
	uint64_t elo_threshold;
	uint64_t decisions;

	/* counted since the start of the process: work of the kernel */
	uint64_t superslab_maps, superslab_unmaps;
	uint64_t purge_calls, purged_bytes, regretted_bytes;
	uint64_t inside_bytes;
	uint64_t populated_bytes;
	uint64_t large_reused, large_mapped, large_moved;

	/* the same: guarded blocks handed out, and not, since all pages for them were in use */
	uint64_t guard_allocs, guard_full;
};

/* One size of small block. */
struct hakmem_class_stats {
	size_t struct_size;
	uint64_t block_size;
	uint64_t group; /* 0 .. 7 = C0 .. C7, 8: above 1024 bytes */

	uint64_t live_blocks, cached_blocks, parcel_blocks, slab_blocks;

	uint64_t refill_inbox, refill_warm, refill_pool, refill_map;
	uint64_t flushes;
	uint64_t carved, put;
	uint64_t sent, received;
	uint64_t slabs_taken, slabs_given;
	uint64_t direct_malloc, direct_free;
};

enum hakmem_format { HAKMEM_FORMAT_TEXT, HAKMEM_FORMAT_JSON };

/* EINVAL: size is below sizeof(size_t).  Of a class, from index 0 on; ENOENT: there are not that many. */
int hakmem_stats(struct hakmem_stats *stats, size_t size);
int hakmem_stats_class(unsigned index, struct hakmem_class_stats *stats, size_t size);

/* Writes all numbers as text for people or as one JSON object, cut to size - 1 bytes and a NUL; with size 0
 * nothing.  Returns the length that the whole needs, without the NUL, as snprintf does; 0: no such format. */
size_t hakmem_stats_print(enum hakmem_format format, char *buffer, size_t size);

/* ---- memory ---- */

/* Gives free memory back to the kernel: what the calling thread's caches hold, all free slabs, all freed
 * large blocks that are kept.  Returns about how many bytes that were. */
size_t hakmem_trim(void);

/* Called when more than HAKMEM_LIMIT (or HAKMEM_LIMIT_HARD) would be held, after free memory was given back: by the
 * thread that asks for memory, from within malloc, at most ten times a second.  It may free and allocate (not above
 * HAKMEM_LIMIT_HARD), and be left by longjmp; it must not wait for another thread that may be in malloc.  held and limit
 * are bytes.  NULL: no function, as at start.  To be set before other threads run. */
typedef void hakmem_limit_function(void *argument, size_t held, size_t limit);
void hakmem_limit_callback(hakmem_limit_function *function, void *argument);

#ifdef __cplusplus
}
#endif

#endif
