/* SPDX-License-Identifier: MIT */
/* command: what every subcommand of `hakmem` shares.
 *
 * A subcommand is one file, cmd-NAME.c, with one function, and a row in the table of main.c.  Its argv begins with its
 * own name.  It returns one of the statuses below; the manual, hakmem(1) and hakmem-NAME(1), promises them. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum status {
	STATUS_OK = 0,    /* done; of check: HAKMEM is in effect */
	STATUS_NO = 1,    /* it could not be done; of check: HAKMEM is not in effect */
	STATUS_USAGE = 2, /* the command line is wrong */
};

struct command {
	const char *name, *args, *summary;
	int (*run)(int argc, char **argv);
};

int command_run(int argc, char **argv);
int command_options(int argc, char **argv);
int command_check(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_set(int argc, char **argv);
int command_trim(int argc, char **argv);
int command_map(int argc, char **argv);
int command_profile(int argc, char **argv);
int command_leaks(int argc, char **argv);
int command_top(int argc, char **argv);
int command_record(int argc, char **argv);
int command_replay(int argc, char **argv);

/* "hakmem: ", the words and a newline, to standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a wrong command line, with a hint where help is; returns STATUS_USAGE. */
int complain_of_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For what getopt_long refused: '?' an unknown option, ':' a value is missing. */
int complain_of_option(const char *name, int option, char **argv);

/* What an option of a subcommand is called, its argument, and what it does: for --help, --help itself left out. */
struct option_help {
	const char *words, *text;
};
/* Prints the help of a subcommand; returns STATUS_OK.  The options end with one whose words are NULL. */
int print_help(const char *name, const struct option_help *options);

#endif
