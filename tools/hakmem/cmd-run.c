/* SPDX-License-Identifier: MIT */
/* hakmem run: a program on HAKMEM, with settings, and with figures when it is done. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "library.h"
#include "program.h"
#include "settings.h"
#include "tunables.h"

struct run_arguments {
	const char *library, *trace;
	bool stat;
};

static const struct option_help run_help[] = {
	{ "--stat", "print statistics and resource usage when the program ends" },
	{ "--secure LEVEL", "the same as HAKMEM_SECURE=LEVEL" },
	{ "--trace FILE", "write a trace of all its calls there, as hakmem record does" },
	{ "--library FILE", "use this libhakmem.so" },
	{ NULL, NULL },
};

/* ---- settings ---- */

/* HAKMEM_FC_CAP or fc_cap. */
static int run_set(const char *name, const char *value)
{
	unsigned i = hak_tunables_find(name);

	if (i == HAK_TUNABLE_COUNT)
		return complain_of_setting(name);
	if (hak_tunables_try(i, value) != 0)
		return complain_of_value(i, value);
	return setenv(hak_tunables_name(i), value, true) == 0 ? STATUS_OK : STATUS_NO;
}

static int run_set_word(const char *word)
{
	size_t length = strcspn(word, "=");
	char *name = strndup(word, length);
	int status = name ? run_set(name, word + length + 1) : STATUS_NO;

	free(name);
	return status;
}

static double seconds_of(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec / 1e6; }

static void print_usage_of(const struct rusage *usage, double elapsed)
{
	fprintf(stderr,
	        "Resources of the process and of the children that it waited for\n"
	        "%16.2f  seconds elapsed\n%16.2f  seconds of processor time, user\n%16.2f  seconds, system\n"
	        "%16ld  peak resident memory, KiB\n%16ld  page faults, minor\n%16ld  page faults, major\n"
	        "%16ld  context switches, voluntary\n%16ld  context switches, involuntary\n",
	        elapsed, seconds_of(usage->ru_utime), seconds_of(usage->ru_stime), usage->ru_maxrss, usage->ru_minflt,
	        usage->ru_majflt, usage->ru_nvcsw, usage->ru_nivcsw);
}

static int run_and_print(char **argv)
{
	struct rusage usage;
	double seconds;
	int status = program_wait(argv, &usage, &seconds);

	if (seconds >= 0)
		print_usage_of(&usage, seconds);
	return program_status(argv, status);
}

/* ---- the command line ---- */

/* STATUS_OK and the index of what follows in optind; -1: help was printed. */
static int run_read_options(int argc, char **argv, struct run_arguments *arguments)
{
	static const struct option options[] = {
		{ "stat", no_argument, NULL, 's' },         { "secure", required_argument, NULL, 'S' },
		{ "trace", required_argument, NULL, 't' },
		{ "library", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, status = STATUS_OK;

	opterr = 0;
	while (status == STATUS_OK && (option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
		if (option == 's')
			arguments->stat = true;
		else if (option == 'S')
			status = run_set("HAKMEM_SECURE", optarg);
		else if (option == 't')
			arguments->trace = optarg;
		else if (option == 'l')
			arguments->library = optarg;
		else if (option == 'h')
			return print_help("run", run_help), -1;
		else
			status = complain_of_option("run", option, argv);
	}
	return status;
}

int command_run(int argc, char **argv)
{
	struct run_arguments arguments = { NULL, NULL, false };
	const char *library;
	int status = run_read_options(argc, argv, &arguments);
	bool is_behind = optind > 0 && strcmp(argv[optind - 1], "--") == 0;

	if (status != STATUS_OK)
		return status < 0 ? STATUS_OK : status;
	for (; !is_behind && optind < argc && strchr(argv[optind], '=') && !strchr(argv[optind], '/'); optind++)
		if ((status = run_set_word(argv[optind])) != STATUS_OK)
			return status;
	if (!is_behind && optind < argc && strcmp(argv[optind], "--") == 0)
		optind++;
	if (optind == argc)
		return complain_of_usage("run: a program is missing");
	library = library_find(arguments.library);
	if (!library || (arguments.trace && !program_trace(arguments.trace)))
		return STATUS_NO;
	if (program_preload(library) != 0 || (arguments.stat && setenv("HAKMEM_STATS", "1", true) != 0)) {
		complain("%s", strerror(errno));
		return STATUS_NO;
	}
	return arguments.stat ? run_and_print(argv + optind) : program_exec(argv + optind);
}
