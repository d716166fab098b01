/* SPDX-License-Identifier: MIT */
/* hakmem trim: asks running processes to give back what is free. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "process.h"
#include "words.h"

#define TRIM_WAITS 100   /* for the process to do it .. */
#define TRIM_PAUSE 10000 /* .. so many microseconds each */

static const struct option_help trim_help[] = {
	{ "PID... | all", "these processes, or all that are on HAKMEM" },
	{ NULL, NULL },
};

static void say_done(const struct process *process, uint64_t before)
{
	char from[WORDS_SIZE], to[WORDS_SIZE];

	printf("process %ld (%s): done, VmRSS %s -> %s\n", (long)process->remote.pid, process->remote.name,
	       words_bytes(before, from), words_bytes(remote_rss(process->remote.pid), to));
}

/* The wish is one more in `asked`; who obeys makes `done` the same. */
static const char *trim_one(const struct process *process)
{
	const struct view *view = &process->view;
	uint64_t trim = PLACE(view, trim), before = remote_rss(process->remote.pid);
	uint32_t wish;

	if (view_lacks(view, "trim"))
		return "its library cannot be asked: it is of another version than this hakmem";
	wish = view_u32(view, trim + NUMBER(view, trim_asked)) + 1;
	if (!remote_write(view->remote, trim + NUMBER(view, trim_asked), &wish, sizeof(wish)))
		return remote_refused(view->remote);
	for (int i = 0; i < TRIM_WAITS; i++) {
		if (view_u32(view, trim + NUMBER(view, trim_done)) == wish) {
			say_done(process, before);
			return NULL;
		}
		usleep(TRIM_PAUSE);
	}
	printf("process %ld (%s): asked; it will do it when it next allocates or frees on a slow path\n",
	       (long)process->remote.pid, process->remote.name);
	return NULL;
}

static int trim_list(const struct process_list *list)
{
	int status = STATUS_OK;

	for (size_t i = 0; i < list->count; i++) {
		struct process process;
		const char *error = process_open(&process, list->pids[i], false);

		if (!error)
			error = trim_one(&process);
		process_close(&process);
		if (error && !list->is_all)
			status = process_complain(list->pids[i], error);
	}
	return status;
}

int command_trim(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	struct process_list list;
	int option, status;

	opterr = 0;
	if ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1)
		return option == 'h' ? print_help("trim", trim_help) : complain_of_option("trim", option, argv);
	if (!process_list(&list, "trim", argc - optind, argv + optind))
		return STATUS_USAGE;
	status = trim_list(&list);
	free(list.pids);
	return status;
}
