/* SPDX-License-Identifier: MIT */
/* process: a process on HAKMEM, opened for those who look or write. */
#ifndef PROCESS_H
#define PROCESS_H

#include "view.h"

struct process {
	struct remote remote;
	struct view view;
};

/* NULL, or why not; process_close in any case. */
const char *process_open(struct process *process, pid_t pid, bool with_sizes);
void process_close(struct process *process);

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

#endif
