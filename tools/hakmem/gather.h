/* SPDX-License-Identifier: MIT */
/* gather: the samples of some seconds, unwound and summed by stack, and which of the blocks are held at the end. */
#ifndef GATHER_H
#define GATHER_H

#include "process.h"
#include "samples.h"
#include "unwind.h"

/* Where requests came from, and how many like them there were, as far as the samples tell. */
struct stack {
	uint64_t *frames; /* innermost first: unwind_sample */
	unsigned count;
	bool is_cut;
	uint64_t hash;
	double blocks, bytes;
	double live_blocks, live_bytes; /* held at the end */
	double old_bytes;               /* of these, what was allocated in the first half of the time */
	uint64_t samples, live_samples;
	uint64_t oldest; /* of the held ones: milliseconds before the end */
};

struct gathered {
	uint64_t address;
	uint32_t number;
	uint32_t stack; /* index */
	uint64_t size;
	double weight;
	uint64_t at; /* samples_now() */
};

struct gather {
	struct unwind *unwind;
	struct samples samples;
	struct stack *stacks;
	size_t stack_count, stack_room;
	uint32_t *index; /* hash table of stacks: 1 more than theirs */
	size_t index_size;
	struct gathered *all;
	size_t count, room;
	struct waiting *first, **last; /* those that are not unwound yet */
	uint64_t begun, ended;         /* samples_now() */
	uint64_t unlisted;             /* samples whose free would not have been told */
	bool has_live;                 /* it is known which are held */
	bool is_gone;                  /* the process ended meanwhile */
	bool has_failed;               /* no memory here */
};

/* Samples for so long, or until SIGINT, SIGTERM or SIGHUP.  distance 0: follow the program.  NULL, or why not.
 * gather_close in any case. */
const char *gather(struct gather *gather, const struct process *process, double seconds, uint64_t distance);
void gather_close(struct gather *gather);

/* Seconds of a word: 0.1 to 1e6; 0: it is none. */
double gather_seconds(const char *word);

#endif
