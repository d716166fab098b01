/* SPDX-License-Identifier: MIT */
/* hakmem options: every setting, its value for a program started here, and where that comes from. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "policy.h"
#include "tunables.h"

static const struct option_help options_help[] = {
	{ "--exe FILE", "with what hakmem.conf says for this program" },
	{ NULL, NULL },
};

/* The text of each setting's manual page; the library has only the summaries. */
static const char *const options_texts[HAK_TUNABLE_COUNT] = {
#define HAK_TUNABLE(id, name, type, preset, min, max, unit, stability, summary, text) text,
#include "tunables.def"
#undef HAK_TUNABLE
};

static const char *text_of_value(unsigned i, size_t value, char buffer[32])
{
	struct hak_text text;

	hak_text_open(&text, buffer, 32);
	hak_tunables_print(i, value, &text);
	return buffer;
}

static void print_line(unsigned i)
{
	char value[32], place[PATH_MAX + 16];

	printf("%-26s %-12s %-24s %s(7)\n", hak_tunables_name(i), text_of_value(i, hak_tunables_value(i), value),
	       policy_place(i, place, sizeof(place)), hak_tunables_name(i));
}

/* Words up to the 76th column. */
static void print_wrapped(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column > 0 && column + 1 + length > 72) {
			putchar('\n');
			column = 0;
		}
		printf("%s%.*s", column > 0 ? " " : "    ", (int)length, text);
		column += length + 1;
		text += length + (text[length] == ' ');
	}
	putchar('\n');
}

static void print_range(unsigned i)
{
	char low[32], high[32];

	if (hak_tunables_type(i) == HAK_TUNABLE_BOOL)
		printf("    Values:  0 or 1\n");
	else if (hak_tunables_type(i) == HAK_TUNABLE_ENUM)
		printf("    Values:  %s\n", hak_tunables_unit(i));
	else if (hak_tunables_max(i) == SIZE_MAX)
		printf("    Values:  %s and more, %s\n", text_of_value(i, hak_tunables_min(i), low), hak_tunables_unit(i));
	else
		printf("    Values:  %s to %s, %s\n", text_of_value(i, hak_tunables_min(i), low),
		       text_of_value(i, hak_tunables_max(i), high), hak_tunables_unit(i));
}

static void print_whole(unsigned i)
{
	char value[32], place[PATH_MAX + 16];

	printf("%s: %s\n\n", hak_tunables_name(i), hak_tunables_summary(i));
	print_wrapped(options_texts[i]);
	printf("\n    In force: %s (%s)\n", text_of_value(i, hak_tunables_value(i), value),
	       policy_place(i, place, sizeof(place)));
	printf("    Default:  %s\n", text_of_value(i, hak_tunables_default(i), value));
	print_range(i);
	printf("    Changes:  %s\n", hak_tunables_stability(i) == HAK_TUNABLE_LIVE ? "at any time, by hakmem_option_set(3)"
	                                                                           : "only at the start of a program");
	printf("    Manual:   %s(7)\n", hak_tunables_name(i));
}

static int print_named(int count, char **names)
{
	for (int n = 0; n < count; n++) {
		unsigned i = hak_tunables_find(names[n]);

		if (i == HAK_TUNABLE_COUNT)
			return complain_of_usage("options: there is no setting '%s'", names[n]);
		if (n > 0)
			putchar('\n');
		print_whole(i);
	}
	return STATUS_OK;
}

/* The executable that --exe names; a section knows it by its real path. */
static bool read_policy(const char *exe)
{
	struct policy policy = { "", "", environ, false };
	char *real = exe ? realpath(exe, NULL) : NULL;

	if (exe && !real) {
		complain("%s: %s", exe, strerror(errno));
		return false;
	}
	if (real)
		policy.program = real;
	policy_read(&policy);
	free(real);
	return true;
}

int command_options(int argc, char **argv)
{
	static const struct option options[] = { { "exe", required_argument, NULL, 'e' },
		                                 { "help", no_argument, NULL, 'h' },
		                                 { NULL, 0, NULL, 0 } };
	const char *exe = NULL;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("options", options_help);
		if (option != 'e')
			return complain_of_option("options", option, argv);
		exe = optarg;
	}
	if (!read_policy(exe))
		return STATUS_NO;
	if (optind < argc)
		return print_named(argc - optind, argv + optind);
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		print_line(i);
	return policy_complain() > 0 ? STATUS_NO : STATUS_OK;
}
