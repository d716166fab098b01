/* SPDX-License-Identifier: MIT */
/* hakmem replay: a trace on several allocators, side by side. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "command.h"
#include "contest.h"
#include "image.h"
#include "library.h"
#include "trace.h"
#include "words.h"

#define REPLAY_RUNS 3

static const struct option_help replay_help[] = {
	{"--lib FILE", "replay on this allocator too, a shared library; may be given again"},
	{"--runs N", "so many runs on each, in turns; 3 without it"},
	{"--plot FILE", "draw what was present in the course of the trace (SVG, by gnuplot)"},
	{"--touch WHAT",
	 "of each block write: none, pages (all of its first 4 KiB, then a byte a page; without it), all"},
	{"--print", "print the trace instead, a line for each call"},
	{"--library FILE", "use this libhakmem.so"},
	{"TRACE", "a file of hakmem record"},
	{NULL, NULL},
};

struct replay_arguments {
	const char *plot, *library;
	const char *libs[CONTEST_MOST];
	unsigned lib_count, runs;
	enum plan_touch touch;
	bool is_print;
};

/* ---- printing the trace ---- */

static const char *const kind_words[HAK_RECORD_KINDS] = {
	[HAK_RECORD_NONE] = "",           [HAK_RECORD_THREAD] = "",         [HAK_RECORD_EXIT] = "exit",
	[HAK_RECORD_FREE] = "free",       [HAK_RECORD_MALLOC] = "malloc",   [HAK_RECORD_CALLOC] = "calloc",
	[HAK_RECORD_ALIGNED] = "aligned", [HAK_RECORD_REALLOC] = "realloc",
};

static void print_event(const struct trace_event *event, const struct trace_change *change)
{
	const struct trace_block *block = change->made.id != TRACE_NONE ? &change->made : &change->gone;

	printf("%" PRIu64 ".%06" PRIu64 " thread %" PRIu32 " %s", event->time / 1000000000,
	       event->time / 1000 % 1000000, event->thread, kind_words[event->kind]);
	if (change->made.id != TRACE_NONE)
		printf(" %" PRIu64, event->size);
	if (event->align)
		printf(" align %" PRIu64, event->align);
	if (block->id != TRACE_NONE)
		printf(" block %" PRIu64, block->id);
	else if (event->kind != HAK_RECORD_EXIT)
		printf(" unknown");
	if (change->gone.id != TRACE_NONE && event->kind == HAK_RECORD_REALLOC)
		printf(" from %" PRIu64, change->gone.size);
	if (change->gone.id != TRACE_NONE && event->kind == HAK_RECORD_FREE)
		printf(" of %" PRIu64 " lived %.6f", change->gone.size,
		       (double)(event->time - change->gone.time) / 1e9);
	if (event->address)
		printf(" at 0x%" PRIx64, event->address);
	printf("\n");
}

static int print_trace(struct trace *trace)
{
	struct trace_blocks blocks;
	struct trace_change change;
	struct trace_event event;
	bool ok = trace_blocks_open(&blocks);

	printf("# process %" PRIu32 " of %" PRIu32 ": %s\n", trace->head.pid, trace->head.parent, trace->head.program);
	while (ok && trace_next(trace, &event)) {
		ok = trace_blocks_apply(&blocks, &event, &change);
		if (ok)
			print_event(&event, &change);
	}
	printf("# live at the end: %" PRIu64 " blocks, %" PRIu64 " bytes; at most %" PRIu64 " bytes\n",
	       blocks.live_blocks, blocks.live_bytes, blocks.peak_bytes);
	trace_blocks_close(&blocks);
	if (trace->damaged)
		complain("pieces of the trace that are damaged: %zu", trace->damaged);
	return ok && !trace->damaged ? STATUS_OK : STATUS_NO;
}

/* ---- the table ---- */

static void print_head(const struct trace *trace, const struct plan_made *made, unsigned runs)
{
	char live[WORDS_SIZE];

	printf("%s: %" PRIu64 " calls of %" PRIu64 " threads in %.2f s, live at most %s\n", trace->head.program,
	       made->plan->ops, made->plan->threads, made->seconds, words_bytes(made->peak_live, live));
	if (made->unknown)
		printf("  (left out: %" PRIu64 " frees of blocks from before the trace)\n", made->unknown);
	printf("Medians of %u runs in turns; peak: anonymous memory; mean: what was present by what was live\n\n",
	       runs);
	printf("%-24s %9s %9s %9s %10s %6s %9s\n", "ALLOCATOR", "SECONDS", "CPU", "PEAK", "PEAK/LIVE", "MEAN",
	       "FAULTS");
}

static void print_contestant(const struct contestant *contestant, uint64_t peak_live)
{
	const struct contest_run *run = &contestant->median;
	char peak[WORDS_SIZE];

	if (contestant->count == 0) {
		printf("%-24s %9s\n", contestant->name, "broke off");
		return;
	}
	printf("%-24s %9.3f %9.3f %9s %10.2f %6.2f %9" PRIu64 "\n", contestant->name, run->seconds, run->cpu,
	       words_bytes(run->peak, peak), peak_live ? (double)run->peak / (double)peak_live : 0, run->mean,
	       run->faults);
	if (contestant->failed)
		printf("  allocations that failed: %" PRIu64 "\n", contestant->failed);
}

/* ---- the plot ---- */

static void plot_curves(FILE *gnuplot, const struct contestant *list, unsigned count, const struct plan_made *made)
{
	uint64_t step = made->plan->ops / PLAN_CURVE + 1;

	fprintf(gnuplot, "$live << END\n");
	for (uint64_t i = 0; i <= PLAN_CURVE && i * step < made->plan->ops; i++)
		fprintf(gnuplot, "%g %g\n", 100.0 * (double)(i * step) / (double)made->plan->ops,
			(double)made->curve[i] / 1048576);
	fprintf(gnuplot, "END\n");
	for (unsigned n = 0; n < count; n++) {
		fprintf(gnuplot, "$present%u << END\n0 0\n", n);
		for (unsigned i = 0; i < list[n].sample_count; i++)
			fprintf(gnuplot, "%g %g\n", 100 * list[n].samples[i].at,
				(double)list[n].samples[i].present / 1048576);
		fprintf(gnuplot, "END\n");
	}
}

/* In a gnuplot string, between apostrophes. */
static void plot_word(FILE *gnuplot, const char *word)
{
	fputc('\'', gnuplot);
	for (; *word; word++)
		if (*word >= ' ' && *word <= '~')
			fprintf(gnuplot, *word == '\'' ? "''" : "%c", *word);
	fputc('\'', gnuplot);
}

static int plot(const char *path, const struct contestant *list, unsigned count, const struct plan_made *made,
		const struct trace *trace)
{
	FILE *gnuplot = popen("gnuplot", "we");
	int status;

	if (!gnuplot) {
		complain("gnuplot: %s", strerror(errno));
		return STATUS_NO;
	}
	plot_curves(gnuplot, list, count, made);
	fprintf(gnuplot, "set terminal svg size 900,500 noenhanced background 'white'\nset output ");
	plot_word(gnuplot, path);
	fprintf(gnuplot, "\nset title ");
	plot_word(gnuplot, trace->head.program);
	fprintf(gnuplot, "\nset xlabel 'calls replayed, %%'\nset ylabel 'MiB'\nset key outside\nset yrange [0:*]\n"
			 "plot $live with filledcurves x1 lc rgb '#dddddd' title 'live'");
	for (unsigned n = 0; n < count; n++) {
		fprintf(gnuplot, ", $present%u with lines lw 2 title ", n);
		plot_word(gnuplot, list[n].name);
	}
	fprintf(gnuplot, "\n");
	status = pclose(gnuplot);
	if (status == 0)
		return STATUS_OK;
	complain(WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "gnuplot is needed for --plot"
								 : "%s: gnuplot could not draw it",
		 path);
	return STATUS_NO;
}

/* ---- allocators ---- */

/* NULL, with a complaint: it would not take malloc's place. */
static const char *check_library(const char *path)
{
	struct image image;
	const char *error = image_read(path, &image), *resolved = NULL;

	if (!error && !image.exports_malloc)
		error = "it is no library that defines malloc";
	image_close(&image);
	if (error)
		complain("%s: %s", path, error);
	else
		resolved = realpath(path, NULL); /* it lives as long as the process */
	return resolved;
}

static bool list_contestants(struct contestant *list, const struct replay_arguments *arguments, unsigned *count)
{
	list[0] = (struct contestant){.name = "the C library", .library = NULL};
	list[1] = (struct contestant){.name = "HAKMEM", .library = library_find(arguments->library)};
	*count = 2 + arguments->lib_count;
	if (!list[1].library)
		return false;
	for (unsigned i = 0; i < arguments->lib_count; i++) {
		const char *library = check_library(arguments->libs[i]),
			   *slash = library ? strrchr(library, '/') : NULL;

		if (!library)
			return false;
		list[2 + i] = (struct contestant){.name = slash ? slash + 1 : library, .library = library};
	}
	return true;
}

static int replay(struct trace *trace, const struct replay_arguments *arguments)
{
	struct contestant *list = calloc(CONTEST_MOST + 2, sizeof(*list));
	struct plan_made made = {.file = -1};
	unsigned count;
	const char *error;
	bool ok = list && list_contestants(list, arguments, &count);
	int status = ok ? STATUS_OK : STATUS_NO;

	error = ok ? plan_make(&made, trace, arguments->touch) : NULL;
	if (error) {
		complain("the trace: %s", error);
		status = STATUS_NO;
	}
	for (unsigned i = 0; i < arguments->runs && status == STATUS_OK; i++)
		if (!contest_round(list, count, &made))
			status = STATUS_NO;
	if (status == STATUS_OK) {
		print_head(trace, &made, arguments->runs);
		for (unsigned i = 0; i < count; i++) {
			contest_judge(&list[i]);
			print_contestant(&list[i], made.peak_live);
			status = list[i].count == arguments->runs ? status : STATUS_NO;
		}
		if (arguments->plot)
			status = plot(arguments->plot, list, count, &made, trace) == STATUS_OK ? status : STATUS_NO;
	}
	plan_close(&made);
	free(list);
	return status;
}

/* ---- the command line ---- */

static int parse_touch(const char *word, enum plan_touch *touch)
{
	static const char *const words[] = {
		[PLAN_TOUCH_NONE] = "none", [PLAN_TOUCH_PAGES] = "pages", [PLAN_TOUCH_ALL] = "all"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0) {
			*touch = (enum plan_touch)i;
			return STATUS_OK;
		}
	return complain_of_usage("replay: '%s' is neither none nor pages nor all", word);
}

static int parse_runs(const char *word, unsigned *runs)
{
	char *end;
	unsigned long number = strtoul(word, &end, 10);

	if (*end || end == word || number < 1 || number > CONTEST_RUNS)
		return complain_of_usage("replay: '%s' is no number of runs from 1 to %u", word, CONTEST_RUNS);
	*runs = (unsigned)number;
	return STATUS_OK;
}

static int take_option(int option, struct replay_arguments *arguments, char **argv)
{
	if (option == 'r')
		return parse_runs(optarg, &arguments->runs);
	if (option == 't')
		return parse_touch(optarg, &arguments->touch);
	if (option == 'P')
		arguments->is_print = true;
	else if (option == 'p')
		arguments->plot = optarg;
	else if (option == 'l')
		arguments->library = optarg;
	else if (option != 'a')
		return complain_of_option("replay", option, argv);
	else if (arguments->lib_count == CONTEST_MOST)
		return complain_of_usage("replay: no more than %u allocators", CONTEST_MOST);
	else
		arguments->libs[arguments->lib_count++] = optarg;
	return STATUS_OK;
}

int command_replay(int argc, char **argv)
{
	static const struct option options[] = {
		{"lib", required_argument, NULL, 'a'},  {"runs", required_argument, NULL, 'r'},
		{"plot", required_argument, NULL, 'p'}, {"touch", required_argument, NULL, 't'},
		{"print", no_argument, NULL, 'P'},      {"library", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
	};
	struct replay_arguments arguments = {.runs = REPLAY_RUNS, .touch = PLAN_TOUCH_PAGES};
	struct trace trace;
	const char *error;
	int option, status = STATUS_OK;

	opterr = 0;
	while (status == STATUS_OK && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("replay", replay_help);
		status = take_option(option, &arguments, argv);
	}
	if (status != STATUS_OK)
		return status;
	if (argc != optind + 1)
		return complain_of_usage("replay: one trace is wanted");
	error = trace_open(&trace, argv[optind]);
	if (error) {
		complain("%s: %s", argv[optind], error);
		status = STATUS_NO;
	} else {
		status = arguments.is_print ? print_trace(&trace) : replay(&trace, &arguments);
	}
	trace_close(&trace);
	return status;
}
