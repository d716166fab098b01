/* record: a trace of all calls, which HAKMEM_TRACE=FILE asks for.  Floor 6.
 *
 * The caches are starved (starve.h), so that every call comes by.  Events are written into chunks of the file that are
 * mapped and shared: nothing is lost when the process ends, in whatever way, and nothing has to be written then.
 *
 * A *slot* is a chunk that is being filled.  Whoever has an event borrows a slot, mostly the one that his thread had last.
 * Who finds it borrowed (a signal handler, say) takes another.  So there is no lock and no state that somebody else has to
 * end.  Each event has a number, from one counter: that of an allocation is taken after it, that of a free before it,
 * so that of two events about one address the numbers are in the order of what happened (C1).
 *
 * All of it but the path lies in memory that the kernel wipes in a forked child: a child finds no slots and begins a
 * file of its own, FILE.PID, without a handler having run.  So does a program that is executed with the same variable.
 *
 * The file: hakmem-trace(5).  When no further chunk can be had, the trace ends, and a line says so.
 * Concurrency: any threads, signal handlers.  Source of the idea that files as memory survive a crash: Linux' LTTng-UST. */
#ifndef HAK_RECORD_H
#define HAK_RECORD_H

#include "atomic.h"

#define HAK_RECORD_MAGIC "HAKTRACE"
#define HAK_RECORD_VERSION 1u
#define HAK_RECORD_CHUNK ((size_t)64 << 10)
#define HAK_RECORD_HEAD 32u /* bytes of each chunk's head */
#define HAK_RECORD_UNIT 16u /* addresses are counted in these */

/* The head of a file, which begins its first chunk; that chunk's own head follows. */
struct hak_record_file {
	char magic[8] HAK_NONSTRING;
	uint32_t version;
	uint32_t chunk; /* bytes of a chunk */
	uint32_t pid, parent;
	uint64_t start; /* when it began: nanoseconds since 1970 */
	char program[480];
};

/* All numbers of the first event of a chunk count from here. */
struct hak_record_chunk {
	char magic[8] HAK_NONSTRING;
	uint64_t number, time; /* of the first event; nanoseconds since some moment */
	uint32_t thread;       /* who writes, until an event says otherwise */
	uint32_t unused;
};

/* The first byte of an event.  Numbers follow, seven bits a byte, the lowest first, the top bit set if more follow: of all
 * but THREAD the step of the number and of the time (in microseconds) since the chunk's event before; then, an ADDRESS being
 * the step in units of 16 bytes since the address before, its sign in the lowest bit: */
enum hak_record_kind {
	HAK_RECORD_NONE,    /* the end of what was written into the chunk */
	HAK_RECORD_THREAD,  /* thread: who writes from here on */
	HAK_RECORD_EXIT,    /* the thread ends */
	HAK_RECORD_FREE,    /* ADDRESS */
	HAK_RECORD_MALLOC,  /* size, ADDRESS */
	HAK_RECORD_CALLOC,  /* size, ADDRESS */
	HAK_RECORD_ALIGNED, /* size, alignment as its logarithm, ADDRESS */
	HAK_RECORD_REALLOC, /* size, ADDRESS before, ADDRESS after, how much lower the number was when it began */
	HAK_RECORD_KINDS
};

HAK_VAR _Atomic uint32_t hak_record_on;
HAK_HOT bool hak_record_is_on(void)
{
	return hak_load(&hak_record_on, relaxed) != 0;
}

HAK_FN void hak_record_start(char **environment, bool is_secure); /* once, by the constructor */
HAK_FN void hak_record_after_fork(void);

/* These leave errno alone.  p NULL: the allocation failed, which is not written. */
HAK_FN void hak_record_alloc(enum hak_record_kind kind, size_t size, size_t align, const void *p);
HAK_FN void hak_record_free(const void *p);
HAK_FN uint64_t hak_record_begin(void);
HAK_FN void hak_record_resize(uint64_t begun, const void *old, size_t size, const void *p);
HAK_FN void hak_record_exit(void); /* of the thread */

#endif
