/* SPDX-License-Identifier: MIT */
/* hakmem stat: what the allocator of a running process holds, and whose its memory is. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "figures.h"
#include "process.h"
#include "replace.h"
#include "words.h"

static const struct option_help stat_help[] = {
	{ "--json", "print one JSON object, or for several processes a list of them" },
	{ "--openmetrics", "print metrics for Prometheus' node_exporter (textfile collector)" },
	{ "--output FILE", "write it there; who reads the file finds all of it, or all of the one before" },
	{ "--watch[=SECONDS]", "print again and again, every two seconds or so many, until the process ends" },
	PROCESS_CORE_HELP,
	{ "PID... | all", "these processes, or all that are on HAKMEM" },
	{ NULL, NULL },
};

enum stat_format { STAT_TEXT, STAT_JSON, STAT_METRICS };

/* ---- text ---- */

static void print_held(const char *text, uint64_t blocks, uint64_t bytes)
{
	char buffer[WORDS_SIZE];

	printf("  %-34s %12" PRIu64 " %10s\n", text, blocks, words_bytes(bytes, buffer));
}

static void print_blocks(const struct census *census)
{
	printf("%-36s %12s %10s\n", "Blocks", "number", "bytes");
	print_held("live, up to 64 KiB", census->small_blocks, census->small_bytes);
	print_held("live, up to 2 MiB", census->mid_blocks, census->mid_bytes);
	print_held("live, above", census->large_blocks, census->large_bytes);
	if (census->guarded_blocks > 0)
		print_held("live, guarded", census->guarded_blocks, census->guarded_bytes);
	print_held("live", census->live_blocks, census->live_bytes);
	print_held("free, in caches of threads", census->cached_blocks, census->cached_bytes);
	print_held("free, on the way between threads", census->parcel_blocks, census->parcel_bytes);
	print_held("free, in slabs that threads hold", census->slab_blocks, census->slab_bytes);
}

static void print_part(const struct census *census, unsigned part)
{
	char held[WORDS_SIZE], present[WORDS_SIZE];

	if (census->memory[part].held == 0)
		return;
	printf("  %-34s %12s %10s\n", figures_parts[part].text,
	       part < PART_FIRST_OTHER ? words_bytes(census->memory[part].held, held) : "",
	       words_bytes(census->memory[part].present, present));
}

static uint64_t sum_of_hakmem(const struct census *census)
{
	uint64_t sum = 0;

	for (unsigned part = 0; part < PART_FIRST_OTHER; part++)
		sum += census->memory[part].present;
	return sum;
}

/* What of a core file's process is not in it. */
static void print_left_out(const struct core *core)
{
	char bytes[WORDS_SIZE];

	printf("  not saved: %s that were mapped.  By default the kernel leaves out what was not written of files, and\n"
	       "  shared files: see coredump_filter in core(5).  Which of them was present, and VmRSS, is not known.\n",
	       words_bytes(core_left_out(core), bytes));
}

static void print_memory(const struct census *census, const struct core *core)
{
	char sum[WORDS_SIZE], rss[WORDS_SIZE], part[WORDS_SIZE];

	printf("\n%-36s %12s %10s\n", "Memory of HAKMEM", "mapped", core ? "saved" : "present");
	for (unsigned i = 0; i < PART_FIRST_OTHER; i++)
		print_part(census, i);
	printf("  %-34s %12s %10s\n", "sum", "", words_bytes(sum_of_hakmem(census), sum));
	printf("Memory that is not HAKMEM's\n");
	for (unsigned i = PART_FIRST_OTHER; i < PART_COUNT; i++)
		print_part(census, i);
	printf("%-36s %12s %10s", "All", "", words_bytes(census->sum, sum));
	if (core)
		printf("\n");
	else
		printf("   (VmRSS: %s, %s of it explained)\n", words_bytes(census->rss, rss),
		       words_percent(census->sum, census->rss, part));
	if (core)
		print_left_out(core);
	if (census->swapped)
		printf("  swapped out: %s\n", words_bytes(census->swapped, sum));
	if (census->huge)
		printf("  in huge pages: %s\n", words_bytes(census->huge, sum));
	if (!census->by_pages)
		printf("  (the kernel does not tell which pages are present: the parts of one mapping are "
		       "estimated)\n");
}

static void print_rates(const struct census *census)
{
	uint64_t inbox = 0, warm = 0, pool = 0, map = 0, brought = 0, reused = census_counter(census, "large_reused");
	char first[WORDS_SIZE], second[WORDS_SIZE];

	for (unsigned c = 0; c < census->class_count; c++) {
		const struct census_class *class = &census->classes[c];

		inbox += class->refill_inbox;
		warm += class->refill_warm;
		pool += class->refill_pool;
		map += class->refill_map;
		brought += class->carved + class->received;
	}
	printf("\nHits  (those of caches cost nothing, and so are not counted)\n");
	printf("  refills %" PRIu64 ", each brought %.1f blocks; from other threads' frees %s, slabs at hand %s,\n",
	       inbox + warm + pool + map,
	       inbox + warm + pool + map ? (double)brought / (double)(inbox + warm + pool + map) : 0.0,
	       words_percent(inbox, inbox + warm + pool + map, first),
	       words_percent(warm, inbox + warm + pool + map, second));
	printf("  free slabs %s, the kernel %s\n", words_percent(pool, inbox + warm + pool + map, first),
	       words_percent(map, inbox + warm + pool + map, second));
	printf("  blocks above 2 MiB of memory that was kept: %s\n",
	       words_percent(reused, reused + census_counter(census, "large_mapped"), first));
}

static void print_classes(const struct census *census)
{
	char live[WORDS_SIZE];

	printf("\n%8s %12s %10s %10s %10s %10s %10s\n", "Size", "live", "bytes", "cached", "between", "in slabs",
	       "slabs");
	for (unsigned c = 0; c < census->class_count; c++) {
		const struct census_class *class = &census->classes[c];

		if (class->carved)
			printf("%8" PRIu32 " %12" PRIu64 " %10s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64
			       "\n",
			       class->size, class->live, words_bytes(class->live * class->size, live), class->cached,
			       class->parcel, class->slab, class->slabs_taken - class->slabs_given);
	}
}

static void print_text(const struct process *process, const struct census *census)
{
	printf("%s %ld (%s), HAKMEM %s, heaps: %" PRIu64 " of threads, %" PRIu64 " idle, %" PRIu64 " lost\n\n",
	       process->remote.core ? "Core file of process" : "Process", (long)process->remote.pid,
	       process->remote.name, process->view.version, census->heaps_live,
	       census->heaps_idle, census->heaps_lost);
	print_blocks(census);
	print_memory(census, process->remote.core);
	print_rates(census);
	print_classes(census);
}

/* ---- processes ---- */

static void print_line(const struct process *process, const struct census *census)
{
	char rss[WORDS_SIZE], own[WORDS_SIZE], live[WORDS_SIZE], cached[WORDS_SIZE], dirty[WORDS_SIZE];

	printf("%8ld %-16s %9s %9s %9s %9s %9s %6" PRIu64 "\n", (long)process->remote.pid, process->remote.name,
	       words_bytes(census->sum, rss), words_bytes(sum_of_hakmem(census), own),
	       words_bytes(census->live_bytes, live), words_bytes(census->cached_bytes + census->parcel_bytes, cached),
	       words_bytes(census->memory[PART_DIRTY].present + census->memory[PART_KEPT].present, dirty),
	       census->heaps_live);
}

static void print_found(struct figures **found, size_t count, enum stat_format format, bool is_all)
{
	if (format == STAT_METRICS) {
		figures_metrics(found, count);
		return;
	}
	if (format == STAT_JSON && (is_all || count > 1))
		printf("[");
	if (format == STAT_TEXT && is_all)
		printf("%8s %-16s %9s %9s %9s %9s %9s %6s\n", "PID", "NAME", "RSS", "HAKMEM", "LIVE", "CACHED", "DIRTY",
		       "HEAPS");
	for (size_t i = 0; i < count; i++) {
		if (format == STAT_JSON)
			figures_json(&found[i]->process, &found[i]->census);
		else if (is_all)
			print_line(&found[i]->process, &found[i]->census);
		else
			print_text(&found[i]->process, &found[i]->census);
		if (i + 1 < count && !(format == STAT_TEXT && is_all))
			printf(format == STAT_JSON ? ",\n" : "\n");
	}
	if (format == STAT_JSON)
		printf(is_all || count > 1 ? "]\n" : "\n");
}

/* NULL, with a complaint unless it is one of all. */
static struct figures *stat_take(pid_t pid, bool is_all)
{
	struct figures *found = calloc(1, sizeof(*found));
	const char *error = "no memory";

	if (found && !(error = process_open(&found->process, pid, true)) &&
	    !(error = census_take(&found->census, &found->process.view)))
		return found;
	if (!is_all)
		process_complain(pid, error);
	if (found) {
		census_close(&found->census);
		process_close(&found->process);
	}
	free(found);
	return NULL;
}

static int stat_once(const struct process_list *list, enum stat_format format)
{
	struct figures **found = calloc(list->count + 1, sizeof(struct figures *));
	size_t count = 0;

	for (size_t i = 0; found && i < list->count; i++)
		if ((found[count] = stat_take(list->pids[i], list->is_all)) != NULL)
			count++;
	if (list->is_all || count > 0)
		print_found(found, count, format, list->is_all);
	if (list->denied && format == STAT_TEXT)
		complain("not looked at, since they are of other users (root may): %zu", list->denied);
	for (size_t i = 0; i < count; i++) {
		census_close(&found[i]->census);
		process_close(&found[i]->process);
		free(found[i]);
	}
	free(found);
	return list->is_all || count == list->count ? STATUS_OK : STATUS_NO;
}

static int stat_core(const struct core_files *files, int count, char **words, enum stat_format format)
{
	struct figures *found = calloc(1, sizeof(*found));
	int status = found ? process_open_one(&found->process, "stat", files, count, words, true) : STATUS_NO;
	const char *error = NULL;

	if (status == STATUS_OK) {
		error = census_take(&found->census, &found->process.view);
		if (error)
			status = process_complain_of(&found->process, error);
		else
			print_found(&found, 1, format, false);
		census_close(&found->census);
		process_close(&found->process);
	}
	free(found);
	return status;
}

/* Until a process that was named has ended. */
static int stat_watch(struct process_list *list, enum stat_format format, double seconds)
{
	int status;

	while ((status = stat_once(list, format)) == STATUS_OK) {
		if (fflush(stdout) != 0)
			return STATUS_NO;
		usleep((useconds_t)(seconds * 1e6));
		if (list->is_all) {
			free(list->pids);
			process_find_all(list);
		} else if (!remote_is_there(list->pids[0])) {
			return STATUS_OK;
		}
		if (format == STAT_TEXT)
			printf("\n");
	}
	return status;
}

/* 0: it is no number of seconds. */
static double parse_seconds(const char *word)
{
	char *end;
	double seconds = strtod(word, &end);

	return *word && !*end && seconds >= 0.05 && seconds <= 86400 ? seconds : 0;
}

static int stat_any(const struct core_files *files, double seconds, enum stat_format format, int count, char **words)
{
	struct process_list list;
	int status;

	if (files->core || files->program || files->library)
		return stat_core(files, count, words, format);
	if (!process_list(&list, "stat", count, words))
		return STATUS_USAGE;
	status = seconds > 0 ? stat_watch(&list, format, seconds) : stat_once(&list, format);
	free(list.pids);
	return status;
}

int command_stat(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "openmetrics", no_argument, NULL, 'o' },
						 { "output", required_argument, NULL, 'f' },
						 { "watch", optional_argument, NULL, 'w' },
						 { "help", no_argument, NULL, 'h' },
						 PROCESS_CORE_OPTIONS,
						 { NULL, 0, NULL, 0 } };
	enum stat_format format = STAT_TEXT;
	struct core_files files = { NULL, NULL, NULL };
	const char *output = NULL;
	double seconds = 0;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("stat", stat_help);
		if (option == 'j')
			format = STAT_JSON;
		else if (option == 'o')
			format = STAT_METRICS;
		else if (option == 'f')
			output = optarg;
		else if (process_take_option(&files, option, optarg))
			continue;
		else if (option != 'w')
			return complain_of_option("stat", option, argv);
		else if ((seconds = optarg ? parse_seconds(optarg) : 2) == 0)
			return complain_of_usage("stat: '%s' is no number of seconds from 0.05 to 86400", optarg);
	}
	if (files.core && seconds > 0)
		return complain_of_usage("stat: --watch is for processes, and a core file does not change");
	if (output && seconds > 0)
		return complain_of_usage("stat: --watch has no --output");
	if (output && !replace_begin(output))
		return STATUS_NO;
	status = stat_any(&files, seconds, format, argc - optind, argv + optind);
	if (output && !replace_end(output, status == STATUS_OK))
		return STATUS_NO;
	return status;
}
