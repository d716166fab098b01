/* SPDX-License-Identifier: MIT */
/* process: a process on HAKMEM, opened for those who look or write. */
#ifndef PROCESS_H
#define PROCESS_H

#include "core.h"
#include "view.h"

struct process {
	struct remote remote;
	struct view view;
};

/* NULL, or why not; process_close in any case. */
const char *process_open(struct process *process, pid_t pid, bool with_sizes);
const char *process_open_core(struct process *process, const struct core_files *files);
void process_close(struct process *process);

/* Subcommands that look at one process, or at a core file: the options for that, their help, and what they say. */
#define PROCESS_CORE_OPTIONS                                                                                       \
	{ "core", required_argument, NULL, 'C' }, { "exe", required_argument, NULL, 'E' },                         \
	{                                                                                                          \
		"library", required_argument, NULL, 'L'                                                            \
	}
#define PROCESS_CORE_HELP                                                                                          \
	{ "--core FILE", "look at this core file instead of a process" },                                          \
		{ "--exe FILE", "with --core: the program is there" },                                              \
	{                                                                                                          \
		"--library FILE", "with --core: libhakmem.so is there"                                             \
	}
bool process_take_option(struct core_files *files, int option, const char *value); /* false: it is none of these */
/* Opens the process of the one word, or the core file.  STATUS_OK; else it has complained, and nothing is open. */
int process_open_one(struct process *process, const char *command, const struct core_files *files, int count, char **words,
		     bool with_sizes);

/* The processes of a command line: process ids, or the word "all", which finds those that are on HAKMEM.  The caller frees
 * `pids`.  False, with a complaint, if there is none. */
struct process_list {
	pid_t *pids;
	size_t count;
	size_t denied; /* of all: so many may not be looked at */
	bool is_all;
};
bool process_list(struct process_list *list, const char *command, int count, char **words);
void process_find_all(struct process_list *list);

/* "process 12: the reason" to standard error; STATUS_NO. */
int process_complain(pid_t pid, const char *reason);
int process_complain_of(const struct process *process, const char *reason); /* the same of one that was opened, or a core */

#endif
