/* SPDX-License-Identifier: MIT */
/* hakmem: the command.  To add a subcommand: a file cmd-NAME.c, a line in command.h, a row here, a page hakmem-NAME.1. */
#include <hakmem.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#ifndef HAK_DWFL
static int command_left_out(int argc, char **argv)
{
	static const struct option_help none[] = { { NULL, NULL } };

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return print_help(argv[0], none);
	complain("%s: this hakmem was built without libdw of elfutils, which that needs", argv[0]);
	return STATUS_NO;
}
#define command_profile command_left_out
#define command_leaks command_left_out
#endif

static const struct command commands[] = {
	{ "run", "[OPTION]... [SETTING=VALUE]... [--] PROGRAM [ARG]...", "run a program on HAKMEM", command_run },
	{ "options", "[OPTION]... [SETTING]...", "show the settings, and where their values come from", command_options },
	{ "check", "[OPTION]... [PID | -- PROGRAM]", "say whether HAKMEM is in effect, and if not, why", command_check },
	{ "stat", "[OPTION]... PID...|all", "show what a running process holds, and where its memory is", command_stat },
	{ "top", "[OPTION]...", "show all processes on HAKMEM, again and again", command_top },
	{ "explain", "[OPTION]... PID", "say what adapts itself in a running process, and why", command_explain },
	{ "set", "PID SETTING=VALUE...", "change settings of a running process", command_set },
	{ "map", "[OPTION]... PID", "draw the heap of a running process", command_map },
	{ "profile", "[OPTION]... PID", "write a heap profile of a running process, for pprof", command_profile },
	{ "leaks", "[OPTION]... PID", "show what a running process allocates and keeps", command_leaks },
	{ "record", "[OPTION]... [--] PROGRAM [ARG]...", "run a program, and write a trace of its calls", command_record },
	{ "replay", "[OPTION]... TRACE", "replay a trace on several allocators, and compare them", command_replay },
	{ "trim", "PID...|all", "ask running processes to give back what is free", command_trim },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* ---- words that subcommands share ---- */

void complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("hakmem: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

int complain_of_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("hakmem: ", stderr);
	vfprintf(stderr, format, arguments);
	fputs("; try 'hakmem --help'\n", stderr);
	va_end(arguments);
	return STATUS_USAGE;
}

int complain_of_option(const char *name, int option, char **argv)
{
	return complain_of_usage("%s: %s '%s'", name, option == ':' ? "a value is missing behind" : "unknown option",
	                         argv[optind - 1]);
}

int print_help(const char *name, const struct option_help *options)
{
	const struct command *command = command_find(name);

	if (command)
		printf("usage: hakmem %s %s\n\n%s\n\n", name, command->args, command->summary);
	for (; options->words; options++)
		printf("  %-22s %s\n", options->words, options->text);
	printf("  %-22s %s\n", "-h, --help", "show this help");
	printf("\nThe manual is hakmem-%s(1).\n", name);
	return STATUS_OK;
}

/* ---- without a subcommand ---- */

static int print_usage(void)
{
	printf("usage: hakmem COMMAND [ARG]...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	printf("\n"
	       "  hakmem COMMAND --help   show the arguments of a command\n"
	       "  hakmem --version        show the version\n"
	       "\n"
	       "Exit status: 0 done, 1 it could not be done (check: not in effect), 2 wrong arguments;\n"
	       "run exits as its program does.  The manual is hakmem(1), and of each command hakmem-COMMAND(1).\n");
	return STATUS_OK;
}

static bool is_flag(const char *word, const char *is_short, const char *is_long)
{
	return strcmp(word, is_short) == 0 || strcmp(word, is_long) == 0;
}

static int run(int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);

	if (!command)
		return complain_of_usage("there is no command '%s'", argv[0]);
	return command->run(argc, argv);
}

/* Of a command, what it says of itself. */
static int help(int argc, char **argv)
{
	char option[] = "--help", *words[] = { argv[1], option, NULL };

	if (argc > 2)
		return complain_of_usage("help: '%s' is too much", argv[2]);
	return argc < 2 ? print_usage() : run(2, words);
}

int main(int argc, char **argv)
{
	int status = STATUS_OK;

	if (argc < 2)
		return complain_of_usage("a command is missing");
	if (is_flag(argv[1], "-h", "--help"))
		status = print_usage();
	else if (strcmp(argv[1], "help") == 0)
		status = help(argc - 1, argv + 1);
	else if (is_flag(argv[1], "-V", "--version"))
		printf("hakmem %s\n", HAKMEM_VERSION);
	else
		status = run(argc - 1, argv + 1);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		complain("cannot write the output");
		return STATUS_NO;
	}
	return status;
}
