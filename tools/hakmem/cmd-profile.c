/* SPDX-License-Identifier: MIT */
/* hakmem profile: a heap profile of a process that runs, for pprof, and as a flame graph. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "flame.h"
#include "gather.h"
#include "pprof.h"
#include "words.h"

static const struct option_help profile_help[] = {
	{"PID", "this process"},
	{"--seconds N", "for so long; 10 if it is left out"},
	{"-o, --output FILE", "write the profile there; heap.pb.gz if it is left out"},
	{"--flame FILE.svg", "also draw a flame graph of what was allocated"},
	{"--distance BYTES", "a sample each so many bytes on average; else about 500 samples a second"},
	{NULL, NULL},
};

struct profile_wish {
	double seconds;
	uint64_t distance;
	const char *output, *flame;
};

static int parse_bytes(const char *word, uint64_t *bytes)
{
	char *end;

	errno = 0;
	*bytes = strtoull(word, &end, 10);
	if (word[0] < '0' || word[0] > '9' || *end || errno || *bytes == 0 || *bytes > (uint64_t)1 << 40)
		return complain_of_usage("profile: --distance wants a number of bytes, not '%s'", word);
	return STATUS_OK;
}

static int parse(int argc, char **argv, struct profile_wish *wish)
{
	static const struct option options[] = {
		{"seconds", required_argument, NULL, 's'}, {"output", required_argument, NULL, 'o'},
		{"flame", required_argument, NULL, 'f'},   {"distance", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
	int option;

	*wish = (struct profile_wish){.seconds = 10, .output = "heap.pb.gz"};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		if (option == 's' && (wish->seconds = gather_seconds(optarg)) == 0)
			return complain_of_usage("profile: --seconds wants a number from 0.1 to 1000000, not '%s'",
						 optarg);
		if (option == 'd' && parse_bytes(optarg, &wish->distance) != STATUS_OK)
			return STATUS_USAGE;
		if (option == 'o')
			wish->output = optarg;
		if (option == 'f')
			wish->flame = optarg;
		if (option == ':' || option == '?')
			return complain_of_option("profile", option, argv);
		if (option == 'h')
			exit(print_help("profile", profile_help));
	}
	return STATUS_OK;
}

static void say(const struct process *process, const struct gather *gather, const char *output)
{
	double blocks = 0, bytes = 0, live_blocks = 0, live_bytes = 0;
	char allocated[WORDS_SIZE], held[WORDS_SIZE];

	for (size_t i = 0; i < gather->stack_count; i++) {
		blocks += gather->stacks[i].blocks;
		bytes += gather->stacks[i].bytes;
		live_blocks += gather->stacks[i].live_blocks;
		live_bytes += gather->stacks[i].live_bytes;
	}
	printf("process %ld (%s): %.1f s, %zu samples of %zu stacks\n", (long)process->remote.pid, process->remote.name,
	       (double)(gather->ended - gather->begun) / 1000, gather->count, gather->stack_count);
	printf("allocated about %.0f blocks, %s; of these held at the end about %.0f blocks, %s\n", blocks,
	       words_bytes((uint64_t)bytes, allocated), live_blocks, words_bytes((uint64_t)live_bytes, held));
	if (gather->samples.lost)
		printf("%llu samples were lost, as this process was too slow; the others stand for them\n",
		       (unsigned long long)gather->samples.lost);
	if (gather->unlisted)
		printf("%llu samples are not followed, and count as freed: too many are held\n",
		       (unsigned long long)gather->unlisted);
	if (gather->is_gone)
		printf("the process ended meanwhile, so that nothing counts as held\n");
	printf("written: %s\n", output);
}

static int profile(const struct process *process, const struct profile_wish *wish)
{
	struct gather gathered;
	const char *error = gather(&gathered, process, wish->seconds, wish->distance);
	char title[256];
	int status = STATUS_OK;

	snprintf(title, sizeof(title), "%s (process %ld): bytes allocated in %.1f s", process->remote.name,
		 (long)process->remote.pid, (double)(gathered.ended - gathered.begun) / 1000);
	if (error) {
		status = process_complain(process->remote.pid, error);
	} else if (!pprof_write(&gathered, wish->output)) {
		complain("%s: %s", wish->output, strerror(errno));
		status = STATUS_NO;
	} else if (wish->flame && !flame_write(&gathered, title, wish->flame)) {
		complain("%s: %s", wish->flame, strerror(errno));
		status = STATUS_NO;
	} else {
		say(process, &gathered, wish->output);
	}
	gather_close(&gathered);
	return status;
}

int command_profile(int argc, char **argv)
{
	struct core_files none = {NULL, NULL, NULL};
	struct profile_wish wish;
	struct process process;
	int status = parse(argc, argv, &wish);

	if (status == STATUS_OK)
		status = process_open_one(&process, "profile", &none, argc - optind, argv + optind, false);
	if (status != STATUS_OK)
		return status;
	status = profile(&process, &wish);
	process_close(&process);
	return status;
}
