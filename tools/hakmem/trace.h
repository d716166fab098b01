/* SPDX-License-Identifier: MIT */
/* trace: a file of HAKMEM_TRACE (hakmem-trace(5), lib/record.h), event by event in the order in which they happened.
 *
 * The file is read as it is mapped: chunks whose events overlap are merged, so that memory does not grow with its length.
 * Nothing in it is trusted: a chunk that is damaged ends there. */
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/record.h"

#define TRACE_NONE UINT64_MAX

struct trace_event {
	enum hak_record_kind kind;
	uint32_t thread;
	uint64_t time;          /* nanoseconds since the first event */
	uint64_t size, align;   /* align 0: none was asked for */
	uint64_t address;       /* of FREE, what is freed */
	uint64_t old;           /* of REALLOC; 0: none */
	uint64_t number, begun; /* begun: of REALLOC, else as number */
};

struct trace {
	const char *bytes;
	size_t size;
	struct hak_record_file head;
	struct trace_cursor *cursors; /* a chunk each, by the number of their first event */
	size_t cursor_count, next;    /* the first that is not in the heap yet */
	struct trace_cursor **heap;   /* those that are, the lowest number first */
	size_t heap_count;
	uint64_t first_time;
	size_t damaged; /* chunks that ended in what is no event */
};

/* NULL, or why not; trace_close in any case. */
const char *trace_open(struct trace *trace, const char *path);
void trace_close(struct trace *trace);
bool trace_next(struct trace *trace, struct trace_event *event); /* false: that was all */
void trace_rewind(struct trace *trace);

bool trace_is_one(const char *path); /* is there a trace of that name? */

/* ---- blocks: which event is about which block ---- */

struct trace_block {
	uint64_t address; /* 0: the place is free */
	uint64_t id;      /* from 0, in the order of their allocation */
	uint64_t size, time, number;
	uint32_t thread, reallocs;
};

struct trace_blocks {
	struct trace_block *places;
	size_t mask, used;
	struct trace_block
		*displaced; /* whose address was handed out again before the realloc that moved them was done */
	size_t displaced_count;
	uint64_t next_id;
	uint64_t live_blocks, live_bytes, peak_bytes;
};

/* What an event did: a block that is gone (FREE; of REALLOC, what it was before), and one that is there.  id TRACE_NONE:
 * no such block, which for one that is gone means that it is older than the trace. */
struct trace_change {
	struct trace_block gone, made;
};

bool trace_blocks_open(struct trace_blocks *blocks);
void trace_blocks_close(struct trace_blocks *blocks);
bool trace_blocks_apply(struct trace_blocks *blocks, const struct trace_event *event,
			struct trace_change *change); /* false: no memory */

#endif
