/* SPDX-License-Identifier: MIT */
/* hakmem run: a program on HAKMEM, with settings, and with figures when it is done. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "library.h"
#include "settings.h"
#include "tunables.h"

/* As env(1), nice(1) and shells do. */
enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127, STATUS_SIGNAL = 128 };

struct run_arguments {
	const char *library;
	bool stat;
};

static const struct option_help run_help[] = {
	{ "--stat", "print statistics and resource usage when the program ends" },
	{ "--secure LEVEL", "the same as HAKMEM_SECURE=LEVEL" },
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

/* Ours comes first: of two allocators the first counts. */
static int run_preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *list = NULL;

	if (!others || !*others)
		return setenv("LD_PRELOAD", library, true);
	if (asprintf(&list, "%s:%s", library, others) < 0 || setenv("LD_PRELOAD", list, true) != 0)
		return -1;
	free(list);
	return 0;
}

/* ---- the program ---- */

static int run_exec(char **argv)
{
	execvp(argv[0], argv);
	complain("%s: %s", argv[0], strerror(errno));
	return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

static double seconds_of(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec / 1e6; }

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

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

/* As a shell does it: the terminal's signals are for the program, not for us. */
static void ignore_terminal(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
}

static int run_and_wait(char **argv)
{
	double begun = seconds_now();
	struct rusage usage;
	int status;
	pid_t child = fork();

	if (child < 0) {
		complain("fork: %s", strerror(errno));
		return STATUS_CANNOT_RUN;
	}
	if (child == 0)
		_exit(run_exec(argv));
	ignore_terminal();
	while (wait4(child, &status, 0, &usage) < 0)
		if (errno != EINTR)
			return STATUS_CANNOT_RUN;
	print_usage_of(&usage, seconds_now() - begun);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "hakmem: %s: %s\n", argv[0], strsignal(WTERMSIG(status)));
	return STATUS_SIGNAL + WTERMSIG(status);
}

/* ---- the command line ---- */

/* STATUS_OK and the index of what follows in optind; -1: help was printed. */
static int run_read_options(int argc, char **argv, struct run_arguments *arguments)
{
	static const struct option options[] = {
		{ "stat", no_argument, NULL, 's' },         { "secure", required_argument, NULL, 'S' },
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
	struct run_arguments arguments = { NULL, false };
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
	if (!library)
		return STATUS_NO;
	if (run_preload(library) != 0 || (arguments.stat && setenv("HAKMEM_STATS", "1", true) != 0)) {
		complain("%s", strerror(errno));
		return STATUS_NO;
	}
	return arguments.stat ? run_and_wait(argv + optind) : run_exec(argv + optind);
}
