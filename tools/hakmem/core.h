/* SPDX-License-Identifier: MIT */
/* core: a core file in place of a process: remote.h reads through this where a remote has one.
 *
 * The kernel saves anonymous memory and what was written of private mappings of files; the rest of those mappings stands
 * in the files themselves, and is read there, if they are still the ones that ran. */
#ifndef CORE_H
#define CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote.h"

struct core;

/* Where files are that the process had mapped; NULL: where the core file says. */
struct core_files {
	const char *core;
	const char *program, *library;
};

/* Fills in all of a remote.  NULL, or why not; remote_close in any case. */
const char *core_open(struct remote *remote, const struct core_files *files);
void core_close(struct core *core);

size_t core_read(struct core *core, uint64_t at, void *to, size_t size); /* bytes from `at` on that are known */
bool core_has(struct core *core, uint64_t at);                           /* is the page saved, and not a hole? */
uint64_t core_saved_end(const struct core *core, uint64_t at);           /* of the mapping there, what was saved ends here */
uint64_t core_left_out(const struct core *core);                         /* bytes that were mapped and not saved */
const char *core_missing(const struct core *core); /* why a file could not be read that was needed; NULL: none was */

#endif
