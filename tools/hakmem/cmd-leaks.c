/* SPDX-License-Identifier: MIT */
/* hakmem leaks: what a process allocates and does not free, by the stacks that it comes from. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "gather.h"
#include "words.h"

static const struct option_help leaks_help[] = {
	{"PID", "this process"},
	{"--seconds N", "watch for so long; 20 if it is left out"},
	{"--top N", "show so many stacks; 10 if it is left out"},
	{NULL, NULL},
};

#define LEAKS_FRAMES 12u /* that are shown of a stack */

/* What is older weighs more: a block that has outlived half of the time is less likely to be freed soon. */
static int compare(const void *left, const void *right)
{
	const struct stack *a = *(const struct stack *const *)left, *b = *(const struct stack *const *)right;

	if (a->old_bytes != b->old_bytes)
		return a->old_bytes < b->old_bytes ? 1 : -1;
	return a->live_bytes < b->live_bytes ? 1 : a->live_bytes > b->live_bytes ? -1 : 0;
}

static void show_frame(const struct gather *gather, uint64_t address)
{
	struct unwind_place places[UNWIND_INLINED];
	unsigned count = unwind_names(gather->unwind, address, places);

	for (unsigned i = 0; i < count; i++) {
		if (places[i].line)
			printf("      %s at %s:%d\n", places[i].function, places[i].file, places[i].line);
		else
			printf("      %s\n", places[i].function);
	}
}

static void show_stack(const struct gather *gather, const struct stack *stack)
{
	double seconds = (double)(gather->ended - gather->begun) / 1000;
	char held[WORDS_SIZE], old[WORDS_SIZE], pace[WORDS_SIZE], kept[WORDS_SIZE];

	printf("  %s in about %.0f blocks, up to %.1f s old; %s of it is older than %.1f s; grows by %s/s\n",
	       words_bytes((uint64_t)stack->live_bytes, held), stack->live_blocks, (double)stack->oldest / 1000,
	       words_bytes((uint64_t)stack->old_bytes, old), seconds / 2,
	       words_bytes((uint64_t)(stack->live_bytes / seconds), pace));
	printf("    %s of what it allocated is still held, from %llu samples\n",
	       words_percent((uint64_t)stack->live_bytes, (uint64_t)stack->bytes, kept),
	       (unsigned long long)stack->samples);
	for (unsigned i = 0; i < stack->count && i < LEAKS_FRAMES; i++)
		show_frame(gather, stack->frames[i]);
	if (stack->count > LEAKS_FRAMES || stack->is_cut)
		printf("      ..\n");
}

static int show(const struct process *process, const struct gather *gather, unsigned top)
{
	struct stack **held = calloc(gather->stack_count + 1, sizeof(struct stack *));
	size_t count = 0;

	if (!held)
		return process_complain(process->remote.pid, "no memory for its stacks");
	for (size_t i = 0; i < gather->stack_count; i++)
		if (gather->stacks[i].live_samples > 0)
			held[count++] = &gather->stacks[i];
	qsort(held, count, sizeof(*held), compare);
	printf("process %ld (%s): %.1f s, %zu samples; allocated since then and still held, oldest first\n",
	       (long)process->remote.pid, process->remote.name, (double)(gather->ended - gather->begun) / 1000,
	       gather->count);
	if (count == 0)
		printf("  nothing\n");
	for (size_t i = 0; i < count && i < top; i++)
		show_stack(gather, held[i]);
	if (count > top)
		printf("  and %zu stacks more\n", count - top);
	free(held);
	return STATUS_OK;
}

static int leaks(const struct process *process, double seconds, unsigned top)
{
	struct gather gathered;
	const char *error = gather(&gathered, process, seconds, 0);
	int status;

	if (!error && gathered.is_gone)
		error = "it ended meanwhile";
	status = error ? process_complain(process->remote.pid, error) : show(process, &gathered, top);
	gather_close(&gathered);
	return status;
}

int command_leaks(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
						{"top", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct core_files none = {NULL, NULL, NULL};
	struct process process;
	double seconds = 20;
	int top = 10, option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 's' && (seconds = gather_seconds(optarg)) == 0)
			return complain_of_usage("leaks: --seconds wants a number from 0.1 to 1000000, not '%s'",
						 optarg);
		if (option == 't' && ((top = atoi(optarg)) < 1 || strspn(optarg, "0123456789") != strlen(optarg)))
			return complain_of_usage("leaks: --top wants a number from 1 on, not '%s'", optarg);
		if (option == ':' || option == '?')
			return complain_of_option("leaks", option, argv);
		if (option == 'h')
			return print_help("leaks", leaks_help);
	}
	status = process_open_one(&process, "leaks", &none, argc - optind, argv + optind, false);
	if (status != STATUS_OK)
		return status;
	status = leaks(&process, seconds, (unsigned)top);
	process_close(&process);
	return status;
}
