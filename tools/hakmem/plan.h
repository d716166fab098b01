/* SPDX-License-Identifier: MIT */
/* plan: a trace made ready for the replayer, in memory that both share.
 *
 * Each thread has its operations in a row.  What must come after what: each block has a *turn*, and an operation waits for the
 * one that it has in the plan; so whatever threads do with a block they do in the order of the trace.  Beside that no
 * thread gets ahead of another by more than PLAN_WINDOW operations, or a producer whose consumer held it up would not be held
 * up, and the memory would be another. */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_WINDOW 2048u
#define PLAN_CURVE 1000u /* points of what is live, in the course of the trace */

enum plan_touch { PLAN_TOUCH_NONE, PLAN_TOUCH_PAGES, PLAN_TOUCH_ALL };

struct plan_op {
	uint64_t size;
	uint32_t block, turn;
	uint32_t order; /* in the whole trace, from 0 */
	uint8_t kind;   /* enum hak_record_kind */
	uint8_t align;  /* its logarithm */
	uint16_t unused;
};

struct plan_thread {
	uint64_t first, count;     /* operations */
	_Atomic uint32_t position; /* order of the next one; UINT32_MAX: it is done */
	char padding[44];
};

struct plan_block {
	_Atomic uint32_t turn;
	uint32_t unused;
	char *p;
	uint64_t size;
};

struct plan {
	uint64_t bytes; /* of all */
	uint64_t ops, threads, blocks;
	uint64_t threads_at, ops_at, blocks_at; /* from here */
	uint64_t touch;

	/* of the replayer */
	_Atomic uint32_t floor; /* every thread has got there */
	uint32_t is_done;
	uint64_t failed; /* allocations */
	double seconds, user, system;
	uint64_t faults, peak; /* peak: bytes of anonymous memory */
};

/* What the command knows of it. */
struct trace;
struct plan_made {
	int file;
	struct plan *plan;
	uint64_t curve[PLAN_CURVE + 1]; /* live bytes */
	uint64_t peak_live;
	uint64_t unknown; /* frees of blocks that are older than the trace, left out */
	double seconds;   /* that the trace took */
};

const char *plan_make(struct plan_made *made, struct trace *trace, enum plan_touch touch); /* NULL, or why not */
void plan_reset(struct plan_made *made);                                                   /* for the next run */
void plan_close(struct plan_made *made);

#endif
