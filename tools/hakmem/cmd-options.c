/* SPDX-License-Identifier: MIT */
/* hakmem options: every setting, its value for a program started here, and where that comes from. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "tunables.h"

static const struct option_help options_help[] = {
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

static const char *text_of_source(unsigned i)
{
	return hak_tunables_source(i) == HAK_SOURCE_ENVIRONMENT ? "environment" : "default";
}

static void print_line(unsigned i)
{
	char value[32];

	printf("%-26s %-12s %-24s %s(7)\n", hak_tunables_name(i), text_of_value(i, hak_tunables_value(i), value),
	       text_of_source(i), hak_tunables_name(i));
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
	char value[32];

	printf("%s: %s\n\n", hak_tunables_name(i), hak_tunables_summary(i));
	print_wrapped(options_texts[i]);
	printf("\n    In force: %s (%s)\n", text_of_value(i, hak_tunables_value(i), value), text_of_source(i));
	printf("    Default:  %s\n", text_of_value(i, hak_tunables_default(i), value));
	print_range(i);
	printf("    Changes:  %s\n", hak_tunables_stability(i) == HAK_TUNABLE_LIVE ? "at any time, by hakmem_option_set(3)"
	                                                                           : "only at the start of a program");
	printf("    Manual:   %s(7)\n", hak_tunables_name(i));
}

/* What the library would refuse, and thus ignore. */
static int print_refused(void)
{
	int status = STATUS_OK;

	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		if (hak_tunables_refused(i)) {
			complain("the environment's %s=%s is ignored", hak_tunables_name(i), hak_tunables_refused(i));
			status = STATUS_NO;
		}
	for (unsigned n = 0; hak_tunables_unknown(n); n++) {
		complain("the environment's %s is no setting", hak_tunables_unknown(n));
		status = STATUS_NO;
	}
	return status;
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

int command_options(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help("options", options_help);
		return complain_of_usage("options: unknown option '%s'", argv[optind - 1]);
	}
	hak_tunables_read(environ, false);
	if (optind < argc)
		return print_named(argc - optind, argv + optind);
	for (unsigned i = 0; i < HAK_TUNABLE_COUNT; i++)
		print_line(i);
	return print_refused();
}
