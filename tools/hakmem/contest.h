/* SPDX-License-Identifier: MIT */
/* contest: the replayer on several allocators, in turns, measured. */
#ifndef CONTEST_H
#define CONTEST_H

#include "plan.h"

#define CONTEST_MOST 16u /* allocators */
#define CONTEST_RUNS 99u
#define CONTEST_SAMPLES 2000u

struct contest_sample {
	double at; /* how much of the trace was done, 0..1 */
	uint64_t live, present;
};

struct contest_run {
	double seconds, cpu;
	uint64_t faults, peak;
	double mean; /* of what was present, by what was live */
};

struct contestant {
	const char *name, *library; /* library NULL: the C library's */
	unsigned count;             /* runs that came to their end */
	struct contest_run runs[CONTEST_RUNS];
	struct contest_run median;                      /* of each figure by itself */
	struct contest_sample samples[CONTEST_SAMPLES]; /* of the last run */
	unsigned sample_count;
	uint64_t failed; /* allocations, in the last run */
};

/* Runs each once; false, with a complaint, if the replayer cannot be started.  A contestant whose run breaks off has no
 * more runs. */
bool contest_round(struct contestant *list, unsigned count, struct plan_made *made);
void contest_judge(struct contestant *contestant);

#endif
