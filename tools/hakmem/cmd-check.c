/* SPDX-License-Identifier: MIT */
/* hakmem check: is HAKMEM in effect in a process, or would it be in a program; and if not, why not. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "conf.h"
#include "library.h"
#include "policy.h"
#include "preload.h"
#include "subject.h"
#include "tunables.h"

static const struct option_help check_help[] = {
	{ "--conf[=FILE]", "look at hakmem.conf and what is beside it only" },
	{ "PID", "look at this process; without it, at programs that are started here" },
	{ "-- PROGRAM", "look at this program, as it would be started here" },
	{ NULL, NULL },
};

static int __attribute__((format(printf, 1, 2))) say_no(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("not in effect: ", stdout);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
	return STATUS_NO;
}

static int say_yes(const char *how)
{
	printf("in effect: %s\n", how);
	return STATUS_OK;
}

static void print_subject(const struct subject *subject)
{
	const struct image *image = &subject->image;

	if (subject->pid)
		printf("process    %ld\n", (long)subject->pid);
	if (subject->script[0])
		printf("script     %s\n", subject->script);
	printf("program    %s (%s, %d-bit%s)\n", subject->path, image->interpreter[0] ? "dynamic" : "static",
	       image->is_64 ? 64 : 32, subject->is_secure ? ", with more rights than its caller" : "");
	if (image->allocator[0])
		printf("note       the program contains %s, and may use that instead of malloc\n", image->allocator);
}

static void print_preloads(const struct preload *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		printf("preload    %s (%s)%s%s\n", list[i].word, list[i].place, list[i].error ? ": " : "",
		       list[i].error ? list[i].error : "");
}

/* How many settings come from where. */
static void print_policy(bool has_file)
{
	unsigned by_file = 0, by_environment = 0;

	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++) {
		by_file += hak_tunables_source(i) == HAK_SOURCE_FILE;
		by_environment += hak_tunables_source(i) == HAK_SOURCE_ENVIRONMENT;
	}
	printf("settings   %u from %s%s, %u from the environment\n", by_file,
	       policy_path() ? policy_path() : "no file", policy_path() && !has_file ? " (not there, or not readable)" : "", by_environment);
}

/* The first that gives malloc to the program; NULL: none. */
static const struct preload *find_winner(const struct preload *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!list[i].error && list[i].has_malloc)
			return &list[i];
	return NULL;
}

static const struct preload *find_hakmem(const struct preload *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i].is_hakmem)
			return &list[i];
	return NULL;
}

/* Why a program cannot be given another malloc from outside at all; NULL: it can. */
static const char *find_own_reason(const struct image *image)
{
	if (!image->interpreter[0])
		return "the program is static, and nothing can be preloaded into it";
	if (image->has_asan || image_needs(image, "libasan.so"))
		return "the program is built with AddressSanitizer, which brings its own malloc";
	if (image->has_malloc)
		return "the program defines malloc itself, and that one comes first";
	return NULL;
}

/* HAKMEM_DISABLE, under its own name or as mode=pass. */
static int say_pass(void)
{
	char place[PATH_MAX + 16];

	return say_no("%s says to leave the program to the C library's malloc",
	              hak_tunables_source(HAK_TUNABLE_ID_disable) == HAK_SOURCE_ENVIRONMENT
	                      ? "HAKMEM_DISABLE in its environment"
	                      : policy_place(HAK_TUNABLE_ID_disable, place, sizeof(place)));
}

/* No library that is preloaded is HAKMEM. */
static int judge_without(const struct subject *subject, const struct preload *winner)
{
	if (image_needs(&subject->image, LIBRARY_NAME) && !winner)
		return hak_setting(disable) ? say_pass() : say_yes("the program is linked with libhakmem");
	if (winner)
		return say_no("%s is preloaded, and HAKMEM is not", winner->word);
	if (image_is_for_musl(&subject->image))
		return say_no("LD_PRELOAD does not name libhakmem, and musl programs do not read " PRELOAD_FILE);
	return say_no("neither LD_PRELOAD nor " PRELOAD_FILE " names libhakmem (hakmem run, or hakmem-preload enable, does it)");
}

static int judge(const struct subject *subject, const struct preload *list, unsigned count)
{
	const struct preload *winner = find_winner(list, count), *hakmem = find_hakmem(list, count);
	const char *reason = find_own_reason(&subject->image);

	if (subject->image.has_hakmem)
		return say_yes("libhakmem is linked into the program"); /* no pass-through there: it is the only malloc */
	if (reason)
		return say_no("%s", reason);
	if (!hakmem)
		return judge_without(subject, winner);
	if (hakmem->error)
		return say_no("%s (%s): %s", hakmem->word, hakmem->place, hakmem->error);
	if (winner != hakmem)
		return say_no("%s (%s) comes before it and has a malloc too", winner->word, winner->place);
	if (subject->maps && strchr(hakmem->path, '/') && !subject_has_mapped(subject, hakmem->path))
		return say_no("%s is not mapped in the process: it was replaced or added since the process started",
		              hakmem->path);
	if (hak_setting(disable))
		return say_pass();
	return say_yes(strcmp(hakmem->place, PRELOAD_FILE) == 0 ? "preloaded by " PRELOAD_FILE : "preloaded by LD_PRELOAD");
}

static int check_subject(const struct subject *subject)
{
	struct preload *list = calloc(PRELOAD_MOST, sizeof(*list));
	unsigned count = list ? preload_list(subject, list) : 0;
	struct policy policy = { "", subject->path, subject->environment, subject->is_secure };
	char root[64] = "";
	bool has_file;
	int status;

	if (subject->pid)
		snprintf(root, sizeof(root), "/proc/%ld/root", (long)subject->pid);
	policy.root = root;
	has_file = policy_read(&policy);
	print_subject(subject);
	print_preloads(list, count);
	print_policy(has_file);
	policy_complain();
	status = judge(subject, list, count);
	free(list);
	return status;
}

/* ---- the command line ---- */

static int check_process(const char *word)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	char *end;
	long pid;
	int status = STATUS_NO;

	errno = 0;
	pid = strtol(word, &end, 10);
	if (!subject || errno || *end || end == word || pid <= 0) {
		free(subject);
		return complain_of_usage("check: '%s' is no process id (a program stands behind --)", word);
	}
	if (subject_of_process(subject, (pid_t)pid))
		status = check_subject(subject);
	subject_close(subject);
	free(subject);
	return status;
}

static int check_program(const char *name)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	int status = STATUS_NO;

	if (subject && subject_of_program(subject, name))
		status = check_subject(subject);
	if (subject)
		subject_close(subject);
	free(subject);
	return status;
}

static int check_conf(const char *named)
{
	const char *path = named ? named : HAK_CONF_FILE;

	if (!named && access(path, F_OK) != 0) {
		printf("%s is not there: all programs have the defaults\n", path);
		return STATUS_OK;
	}
	if (!policy_read_file(path)) {
		complain("%s: %s", path, access(path, R_OK) != 0 ? strerror(errno) : "it is no file");
		return STATUS_NO;
	}
	if (policy_complain() > 0)
		return STATUS_NO;
	printf("%s is in order\n", path);
	return STATUS_OK;
}

int command_check(int argc, char **argv)
{
	static const struct option options[] = { { "conf", optional_argument, NULL, 'c' },
		                                 { "help", no_argument, NULL, 'h' },
		                                 { NULL, 0, NULL, 0 } };
	int option;
	bool is_program;
	char self[32];

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("check", check_help);
		if (option != 'c')
			return complain_of_option("check", option, argv);
		if (optind < argc)
			return complain_of_usage("check: --conf takes no PID and no PROGRAM; a file stands behind a =");
		return check_conf(optarg);
	}
	is_program = strcmp(argv[optind - 1], "--") == 0;
	if (is_program && optind == argc)
		return complain_of_usage("check: a program is missing");
	if (is_program)
		return check_program(argv[optind]);
	if (argc > optind + 1)
		return complain_of_usage("check: one process at a time");
	snprintf(self, sizeof(self), "%ld", (long)getpid());
	return check_process(optind < argc ? argv[optind] : self);
}
