/* SPDX-License-Identifier: MIT */
/* hakmem record: a trace of all calls of a program. */
#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "library.h"
#include "program.h"
#include "trace.h"
#include "words.h"

#define RECORD_DEFAULT "hakmem.trace"

static const struct option_help record_help[] = {
	{"--output FILE", "write the trace there; -o for short; without it, to " RECORD_DEFAULT},
	{"--library FILE", "use this libhakmem.so"},
	{NULL, NULL},
};

/* What is in a trace, in a line. */
static void print_summary(const char *path)
{
	char peak[WORDS_SIZE], live[WORDS_SIZE], size[WORDS_SIZE];
	uint64_t events = 0, last = 0;
	uint32_t threads = 0;
	struct trace_blocks blocks = {.places = NULL};
	struct trace_change change;
	struct trace_event event;
	struct trace trace;
	const char *error = trace_open(&trace, path);

	if (error || !trace_blocks_open(&blocks)) {
		complain("%s: %s", path, error ? error : "no memory");
		trace_close(&trace);
		return;
	}
	while (trace_next(&trace, &event) && trace_blocks_apply(&blocks, &event, &change)) {
		events++;
		last = event.time;
		threads = event.thread > threads ? event.thread : threads;
	}
	fprintf(stderr,
		"hakmem: %s (%s): process %" PRIu32 ", %s, events %" PRIu64 ", threads %" PRIu32
		", %.3f s, live at the end %" PRIu64 " blocks, %s; at most %s\n",
		path, words_bytes(trace.size, size), trace.head.pid, trace.head.program, events, threads,
		(double)last / 1e9, blocks.live_blocks, words_bytes(blocks.live_bytes, live),
		words_bytes(blocks.peak_bytes, peak));
	if (trace.damaged)
		complain("%s: pieces that are damaged: %zu", path, trace.damaged);
	trace_blocks_close(&blocks);
	trace_close(&trace);
}

static bool print_summaries(const char *path)
{
	char *pattern = NULL;
	glob_t found;

	if (!trace_is_one(path))
		return false;
	print_summary(path);
	if (asprintf(&pattern, "%s.[0-9]*", path) < 0)
		return true;
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (trace_is_one(found.gl_pathv[i]))
				print_summary(found.gl_pathv[i]);
		globfree(&found);
	}
	free(pattern);
	return true;
}

static int record(const char *path, const char *library, char **argv)
{
	struct rusage usage;
	double seconds;
	int status;

	if (!library || !program_trace(path))
		return STATUS_NO;
	if (program_preload(library) != 0) {
		complain("%s", strerror(errno));
		return STATUS_NO;
	}
	status = program_status(argv, program_wait(argv, &usage, &seconds));
	if (status == STATUS_SIGNAL + SIGSYS)
		complain("its filter of system calls (seccomp) may have ended it for what a trace needs: openat, fstat, mmap "
			 "of a file, clock_gettime, gettid; run it without its sandbox, or see 'hakmem help profile'");
	if (seconds >= 0 && status != STATUS_NOT_FOUND && status != STATUS_CANNOT_RUN && !print_summaries(path)) {
		complain("%s: nothing was recorded; 'hakmem check -- %s' says whether HAKMEM is in effect", path,
			 argv[0]);
		return status ? status : STATUS_NO;
	}
	return status;
}

int command_record(int argc, char **argv)
{
	static const struct option options[] = {{"output", required_argument, NULL, 'o'},
						{"library", required_argument, NULL, 'l'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *path = RECORD_DEFAULT, *library = NULL;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:ho:", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("record", record_help);
		if (option == 'o')
			path = optarg;
		else if (option == 'l')
			library = optarg;
		else
			return complain_of_option("record", option, argv);
	}
	if (optind == argc)
		return complain_of_usage("record: a program is missing");
	return record(path, library_find(library), argv + optind);
}
