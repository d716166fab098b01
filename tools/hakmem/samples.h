/* SPDX-License-Identifier: MIT */
/* samples: a sampling session in another process (lib/sample.h): begins it, reads its samples as they come, and ends it.
 *
 * The process's hits are gone meanwhile.  They come back at samples_end, and by themselves 10 s after this process died. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "view.h"

#define SAMPLES_STACK ((size_t)16384)

struct sample {
	uint64_t number, address, size;
	uint64_t distance; /* on average, in bytes, between points: see sample_weight */
	uint64_t pc, sp, fp;
	uint32_t time, thread; /* milliseconds that wrap */
	uint32_t stack_bytes;
	bool is_listed; /* will be told when it is freed */
	unsigned char stack[SAMPLES_STACK];
};

/* Of how many requests of its size a sample tells. */
double sample_weight(const struct sample *sample);

struct samples {
	uint64_t filter_at; /* when it was looked whether it has a filter of system calls */
	const struct view *view;
	uint64_t next;     /* number of the next sample */
	uint64_t distance; /* in force */
	bool is_fixed;     /* the distance; else it follows the program */
	unsigned rate;     /* samples a second that are wanted then */
	uint64_t lost;
	double scale; /* each of those of the last samples_read stands for so many, since others were lost */
	uint64_t rate_at, rate_from; /* when the distance was looked at last: milliseconds, and `next` */
	struct sample sample;        /* the one that a reader is shown */
	char *live;                  /* the table, as samples_read_live found it; the caller frees it */
};

/* NULL, or why not.  distance 0: follow the program. */
const char *samples_begin(struct samples *samples, const struct view *view, uint64_t distance);
/* Those since the last call, each shown to `take`; call it every 20 ms or so.  False: the process is gone. */
bool samples_read(struct samples *samples, void (*take)(void *with, const struct sample *sample), void *with);
/* Reads which are held, for samples_each_live. */
bool samples_read_live(struct samples *samples);
void samples_each_live(const struct samples *samples, void (*take)(void *with, uint64_t address, uint32_t number),
		       void *with);
void samples_end(struct samples *samples);

uint64_t samples_now(void); /* milliseconds */

#endif
