/* SPDX-License-Identifier: MIT */
/* unwind: from a sample's copy of the stack to addresses of code, and from these to names, by elfutils' libdwfl. */
#ifndef UNWIND_H
#define UNWIND_H

#include "samples.h"

#define UNWIND_DEPTH 128u
#define UNWIND_INLINED 16u

struct unwind;

/* NULL: no memory, or the process's mappings cannot be read. */
struct unwind *unwind_open(const struct remote *remote, uint64_t view_at);
void unwind_close(struct unwind *unwind);

/* Where the request came from, innermost first, without the allocator's own frames: addresses inside of the calls.  How many.
 * *is_cut: the copy ended before the stack did. */
unsigned unwind_sample(struct unwind *unwind, const struct sample *sample, uint64_t frames[UNWIND_DEPTH], bool *is_cut);

struct unwind_place {
	const char *function; /* never NULL: "name", or "[file]" or "[unknown]" */
	const char *file;     /* "" if it is not known */
	int line;             /* 0 then */
};
/* The function that the address lies in, before it those that were inlined there, innermost first; how many.  The texts are
 * good until the next call. */
unsigned unwind_names(struct unwind *unwind, uint64_t address, struct unwind_place places[UNWIND_INLINED]);

struct unwind_module {
	uint64_t start, end;
	const char *path;
	char build_id[41]; /* hexadecimal, or "" */
};
/* The file that is mapped there; false: none. */
bool unwind_module(struct unwind *unwind, uint64_t address, struct unwind_module *module);

#endif
